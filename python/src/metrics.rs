//! Metrics of maps. Those that need a model are methods of the model.

use attriburn_metrics::{Region, Segmentation};
use pyo3::prelude::*;

use crate::array::{Array, floats};
use crate::error;

/// The score of each pixel of a map ``[channels, height, width]``: the absolute value of the sum over its channels.
fn scores(map: &Bound<'_, PyAny>) -> PyResult<(Vec<f32>, usize)> {
    let Array { values, shape } = Array::read(map)?;
    let width = shape.last().copied().unwrap_or_default();
    Ok((attriburn_metrics::pixel_scores(&values, &shape), width))
}

/// The score of each pixel of a map ``[channels, height, width]``, row by row: the absolute value of the sum over its
/// channels; of a map of another shape, the absolute values.
#[pyfunction]
pub fn pixel_scores<'py>(
    py: Python<'py>,
    map: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, numpy::PyArray1<f32>>> {
    Ok(numpy::PyArray1::from_vec(py, scores(map)?.0))
}

/// The Gini coefficient of the pixel scores, from 0 to 1: high for a map concentrated on few pixels. ``None`` for a map of
/// zeros.
#[pyfunction]
pub fn sparseness(map: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    Ok(attriburn_metrics::gini(&scores(map)?.0))
}

/// Spearman's rank correlation of two maps, with its two-sided p-value. ``None`` if one map is constant.
#[pyfunction]
pub fn rank_correlation(
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
) -> PyResult<Option<(f64, f64)>> {
    let found = attriburn_metrics::spearman(&floats(a)?, &floats(b)?);
    Ok(found.map(|found| (found.coefficient, found.p_value)))
}

/// The cosine similarity of two maps.
#[pyfunction]
pub fn cosine(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    Ok(attriburn_metrics::cosine(&floats(a)?, &floats(b)?))
}

/// The L2 distance of two maps, each divided by its norm.
#[pyfunction]
pub fn unit_distance(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    Ok(attriburn_metrics::unit_distance(&floats(a)?, &floats(b)?))
}

/// The overlap of the strongest pixels of two maps, from 0 to 1: of the ``share`` of the pixels with the highest scores in
/// one map, the share that is also among those of the other.
#[pyfunction]
#[pyo3(signature = (a, b, share=0.05))]
pub fn overlap(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>, share: f64) -> PyResult<Option<f64>> {
    Ok(attriburn_metrics::overlap(&scores(a)?.0, &scores(b)?.0, share))
}

/// The structural similarity of the pixel scores of two maps.
#[pyfunction]
pub fn ssim(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    let ((a, width), (b, _)) = (scores(a)?, scores(b)?);
    let height = a.len() / width.max(1);
    Ok(attriburn_metrics::ssim(&a, &b, height, width))
}

/// The share of the ``k`` pixels of highest score that lie in one of the boxes ``(left, top, right, bottom)``; right and
/// bottom are exclusive.
#[pyfunction]
#[pyo3(signature = (map, boxes, k=1))]
pub fn pointing_game(
    map: &Bound<'_, PyAny>,
    boxes: Vec<[usize; 4]>,
    k: usize,
) -> PyResult<Option<f64>> {
    let (scores, width) = scores(map)?;
    Ok(attriburn_metrics::pointing_game(&scores, width, &regions(&boxes), k))
}

/// The share of the boxes proposed from the map that overlap one of the ``boxes`` by at least half.
#[pyfunction]
pub fn box_precision(map: &Bound<'_, PyAny>, boxes: Vec<[usize; 4]>) -> PyResult<Option<f64>> {
    let (scores, width) = scores(map)?;
    let (regions, segmentation) = (regions(&boxes), Segmentation::adaptgrad());
    Ok(attriburn_metrics::box_precision(&scores, width, &regions, &segmentation))
}

fn regions(boxes: &[[usize; 4]]) -> Vec<Region> {
    let region = |&[left, top, right, bottom]: &[usize; 4]| Region { left, top, right, bottom };
    boxes.iter().map(region).collect()
}

/// The paired t-test of two methods on the same pictures: the mean difference and its two-sided p-value. ``None`` if all
/// differences are equal.
#[pyfunction]
pub fn paired_t_test(a: Vec<f64>, b: Vec<f64>) -> PyResult<Option<(f64, f64)>> {
    if a.len() != b.len() {
        return Err(error::of_argument(format!("{} and {} values are no pairs", a.len(), b.len())));
    }
    let test = attriburn_metrics::paired_t_test(&a, &b);
    Ok(test.map(|test| (test.difference, test.p_value)))
}
