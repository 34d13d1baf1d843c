//! Metrics of maps. Those that need a model are methods of the model.

use attriburn_metrics::{Region, Segmentation};
use pyo3::prelude::*;

use crate::array::Array;
use crate::error;

/// The scores of the pixels of a map ``[channels, height, width]`` or ``[height, width]``.
struct Scores {
    values: Vec<f32>,
    height: usize,
    width: usize,
}

impl Scores {
    fn of(map: &Bound<'_, PyAny>) -> PyResult<Self> {
        let map = Array::read(map)?;
        let (height, width) = match map.shape[..] {
            [height, width] | [_, height, width] => (height, width),
            ref shape => {
                return Err(error::of_argument(format!(
                    "a map of a picture has the shape [channels, height, width] or [height, width], not {shape:?}"
                )));
            }
        };
        map.check("the map", &[&map.shape])?;
        let values = match map.shape.len() {
            2 => map.values.iter().map(|value| value.abs()).collect(),
            _ => attriburn_metrics::pixel_scores(&map.values, &map.shape),
        };
        Ok(Self { values, height, width })
    }

    /// The scores of two maps of the same size.
    fn of_both(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<(Self, Self)> {
        let (a, b) = (Self::of(a)?, Self::of(b)?);
        match (a.height, a.width) == (b.height, b.width) {
            true => Ok((a, b)),
            false => Err(error::of_argument(format!(
                "the maps have {} x {} and {} x {} pixels; they must have the same size",
                a.height, a.width, b.height, b.width
            ))),
        }
    }
}

/// Two maps of the same shape.
fn both(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<(Vec<f32>, Vec<f32>)> {
    let (a, b) = (Array::read(a)?, Array::read(b)?);
    a.check("the first map", &[&b.shape])?;
    b.check("the second map", &[&a.shape])?;
    Ok((a.values, b.values))
}

/// The score of each pixel of a map ``[channels, height, width]``, row by row: the absolute value of the sum over its
/// channels; of a map ``[height, width]``, the absolute values.
#[pyfunction]
pub fn pixel_scores<'py>(
    py: Python<'py>,
    map: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, numpy::PyArray1<f32>>> {
    Ok(numpy::PyArray1::from_vec(py, Scores::of(map)?.values))
}

/// The Gini coefficient of the pixel scores, from 0 to 1: high for a map concentrated on few pixels. ``None`` for a map of
/// zeros.
#[pyfunction]
pub fn sparseness(map: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    Ok(attriburn_metrics::gini(&Scores::of(map)?.values))
}

/// Spearman's rank correlation of two maps, with its two-sided p-value. ``None`` if one map is constant.
#[pyfunction]
pub fn rank_correlation(
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
) -> PyResult<Option<(f64, f64)>> {
    let (a, b) = both(a, b)?;
    let found = attriburn_metrics::spearman(&a, &b);
    Ok(found.map(|found| (found.coefficient, found.p_value)))
}

/// The cosine similarity of two maps; ``None`` if one of them is zero.
#[pyfunction]
pub fn cosine(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    let (a, b) = both(a, b)?;
    Ok(attriburn_metrics::cosine(&a, &b))
}

/// The L2 distance of two maps, each divided by its norm; ``None`` if one of them is zero.
#[pyfunction]
pub fn unit_distance(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    let (a, b) = both(a, b)?;
    Ok(attriburn_metrics::unit_distance(&a, &b))
}

/// The overlap of the strongest pixels of two maps, from 0 to 1: of the ``share`` of the pixels with the highest scores in
/// one map, the share that is also among those of the other.
#[pyfunction]
#[pyo3(signature = (a, b, share=0.05))]
pub fn overlap(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>, share: f64) -> PyResult<Option<f64>> {
    let (a, b) = Scores::of_both(a, b)?;
    Ok(attriburn_metrics::overlap(&a.values, &b.values, share))
}

/// The structural similarity of the pixel scores of two maps; ``None`` if they are smaller than 7 x 7 pixels or constant.
#[pyfunction]
pub fn ssim(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    let (a, b) = Scores::of_both(a, b)?;
    Ok(attriburn_metrics::ssim(&a.values, &b.values, a.height, a.width))
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
    let scores = Scores::of(map)?;
    Ok(attriburn_metrics::pointing_game(&scores.values, scores.width, &regions(&boxes), k))
}

/// The share of the boxes proposed from the map that overlap one of the ``boxes`` by at least half.
#[pyfunction]
pub fn box_precision(map: &Bound<'_, PyAny>, boxes: Vec<[usize; 4]>) -> PyResult<Option<f64>> {
    let scores = Scores::of(map)?;
    let (regions, segmentation) = (regions(&boxes), Segmentation::adaptgrad());
    let (values, width) = (&scores.values, scores.width);
    Ok(attriburn_metrics::box_precision(values, width, &regions, &segmentation))
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
