//! From a model's output of any shape to one score per class and sample.

use attriburn::Link;
use burn::tensor::{Tensor, TensorData};

use crate::error::{ErrorKind, LoadError};
use crate::value::{Outcome, Value};

/// Which axes of an output hold the classes and the positions. Scores of several positions are
/// averaged: the mean over positions is what is explained. One score with a sigmoid behind it is a
/// binary classifier: `score < 0` is class 0 and `score > 0` class 1, whose scores are `-score` and
/// `score`.
///
/// | output | classes | positions |
/// |---|---|---|
/// | `[n]` | one | none |
/// | one axis longer than 1: `[n, classes]`, `[n, 1, 1, classes]` | that axis | none |
/// | `[n, length, classes]`, a sequence | axis 2 | axis 1 |
/// | `[n, classes, height, width]`, and more axes | axis 1 | the others |
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    pub classes: usize,
    positions: usize,
    /// Whether the classes are the last axis.
    last: bool,
    /// The weight of each position; all count the same without.
    weights: Option<Vec<f32>>,
    /// Whether the two classes are the two signs of one score.
    binary: bool,
    /// How the scores become probabilities.
    pub link: Option<Link>,
}

impl Scores {
    /// The rule for an output of `dims` for `rows` samples, behind which the file has the link
    /// function `link`.
    ///
    /// # Errors
    ///
    /// When the output has no axis for the samples.
    pub fn of(
        dims: &[usize],
        rows: usize,
        link: Option<Link>,
        plane: Option<[usize; 2]>,
    ) -> Result<Self, LoadError> {
        let flat = |classes| Self { classes, positions: 1, ..Self::default() };
        match dims {
            [n, rest @ ..] if *n == rows && rest.iter().all(|&size| size > 0) => {
                let long: Vec<usize> = rest.iter().copied().filter(|&size| size > 1).collect();
                let scores = match (&long[..], rest) {
                    ([], _) => flat(1),
                    (&[classes], _) => flat(classes),
                    (_, &[positions, classes]) => Self { positions, last: true, ..flat(classes) },
                    (_, &[height, width, classes])
                        if plane.is_some_and(|plane| is_last([height, width, classes], plane)) =>
                    {
                        Self { positions: height * width, last: true, ..flat(classes) }
                    }
                    (_, rest) => {
                        let positions = rest[1..].iter().product();
                        Self { positions, ..flat(rest[0]) }
                    }
                };
                Ok(scores.linked(link))
            }
            _ => Err(LoadError::new(
                ErrorKind::Output,
                format!(
                    "for {rows} samples the output has the shape {dims:?}, whose first axis is not the samples'"
                ),
            )),
        }
    }

    /// The same with the link function that the scores have: a classifier without one was trained
    /// with a softmax; means over positions have none, and neither has a single score, unless the
    /// file says so.
    fn linked(self, link: Option<Link>) -> Self {
        match (self.positions, self.classes, link) {
            (1, 1, Some(Link::Sigmoid)) => Self { classes: 2, binary: true, link, ..self },
            (1, 2.., link) => Self { link: link.or(Some(Link::Softmax)), ..self },
            _ => self,
        }
    }

    /// The same, with the mean over a region of the `input`'s height and width.
    ///
    /// # Errors
    ///
    /// When the output `dims` has no such positions, or nothing of the region is in the input.
    pub fn within(
        self,
        region: &Region,
        input: &[usize],
        dims: &[usize],
    ) -> Result<Self, LoadError> {
        let wrong = |message: String| Err(LoadError::new(ErrorKind::Output, message));
        let plane = match (dims, self.last) {
            (&[_, height, width, _], true) | (&[_, _, height, width], false) => [height, width],
            _ => [0, 0],
        };
        let &[_, height, width] = input else {
            return wrong(format!("a region is one of a picture, but samples are {input:?}"));
        };
        if self.positions < 2 || plane.iter().product::<usize>() != self.positions {
            return wrong(format!(
                "the output {dims:?} has no rows and columns of positions, which a region takes"
            ));
        }
        match region.weights([height, width], plane) {
            Ok(weights) => Ok(Self { weights: Some(weights), ..self }),
            Err(message) => wrong(message),
        }
    }

    /// What is said of an output with several positions.
    pub fn remark(&self, dims: &[usize]) -> Option<String> {
        (self.positions > 1).then(|| {
            let (classes, positions) = (self.classes, self.positions);
            let sizes: Vec<String> = dims[1..].iter().map(ToString::to_string).collect();
            format!(
                "the output [n, {}] has {positions} positions of {classes} classes; the mean over {} is explained",
                sizes.join(", "),
                if self.weights.is_some() { "those of the region" } else { "the positions" }
            )
        })
    }

    /// The scores `[rows, classes]` in `output`.
    pub fn read(&self, output: Value, rows: usize) -> Outcome<Tensor<2>> {
        let (classes, positions) = (if self.binary { 1 } else { self.classes }, self.positions);
        let shape = if self.last { [rows, positions, classes] } else { [rows, classes, positions] };
        let scores = Tensor::<3>::from_dispatch(output.reshape(&shape)?.float()?);
        let axis = if self.last { 1 } else { 2 };
        let scores = match &self.weights {
            Some(weights) => {
                let shape = if self.last { [1, positions, 1] } else { [1, 1, positions] };
                let weights = TensorData::new(weights.clone(), [positions]);
                let weights = Tensor::<1>::from_data(weights, &scores.device());
                (scores * weights.reshape(shape)).sum_dim(axis)
            }
            None if positions > 1 => scores.mean_dim(axis),
            None => scores,
        };
        let scores = scores.reshape([rows, classes]);
        Ok(if self.binary { Tensor::cat(vec![scores.clone().neg(), scores], 1) } else { scores })
    }
}

/// Whether the classes are the last axis of an output, of a model whose input has its channels last and this
/// height and width: so it is, unless the last two axes alone have the shape of the input.
fn is_last([a, b, c]: [usize; 3], [height, width]: [usize; 2]) -> bool {
    let is_alike = |rows: usize, columns: usize| {
        (rows * width).abs_diff(columns * height) <= height.max(width)
    };
    is_alike(a, b) || !is_alike(b, c)
}

/// A part of the input, of which the outputs with positions are averaged.
#[derive(Clone, Debug, PartialEq)]
pub enum Region {
    /// A rectangle of the input's pixels.
    Rectangle {
        /// Columns left of it.
        x: usize,
        /// Rows above it.
        y: usize,
        /// Its columns.
        width: usize,
        /// Its rows.
        height: usize,
    },
    /// A weight from 0 on for each of the input's pixels.
    Mask {
        /// The rows.
        height: usize,
        /// The pixels of a row.
        width: usize,
        /// The weights, row by row.
        weights: Vec<f32>,
    },
}

impl Region {
    /// The weights of a `plane` of positions over an input of so many rows and columns, which add up to 1. A
    /// position weighs as much as the part of the input under it.
    fn weights(&self, input: [usize; 2], plane: [usize; 2]) -> Result<Vec<f32>, String> {
        let [height, width] = input;
        let at = |row: usize, column: usize| match self {
            Region::Rectangle { x, y, width, height } => {
                let inside = |at: usize, from: usize, count: usize| at >= from && at - from < count;
                f64::from(u8::from(inside(column, *x, *width) && inside(row, *y, *height)))
            }
            Region::Mask { weights, .. } => weights[row * width + column].into(),
        };
        if let Region::Mask { height: rows, width: columns, weights } = self {
            if [*rows, *columns] != input || weights.len() != height * width {
                return Err(format!(
                    "the mask has {rows} rows of {columns} pixels, but the input has {height} of {width}"
                ));
            }
            if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
                return Err("a mask's weights must be finite and not below 0".into());
            }
        }
        // The share of the input's pixel `pixel` in the cell `cell` of `cells`, along one axis.
        let share = |pixel: usize, size: usize, cell: usize, cells: usize| {
            let (from, to) = (cell * size, (cell + 1) * size);
            let overlap = ((pixel + 1) * cells).min(to).saturating_sub((pixel * cells).max(from));
            overlap as f64 / cells as f64
        };
        let reach = |size: usize, cell: usize, cells: usize| {
            (cell * size / cells)..((cell + 1) * size).div_ceil(cells)
        };
        let mut weights = Vec::with_capacity(plane[0] * plane[1]);
        for row in 0..plane[0] {
            for column in 0..plane[1] {
                let mut sum = 0.0;
                for y in reach(height, row, plane[0]) {
                    for x in reach(width, column, plane[1]) {
                        let part =
                            share(y, height, row, plane[0]) * share(x, width, column, plane[1]);
                        sum += part * at(y, x);
                    }
                }
                weights.push(sum);
            }
        }
        let total: f64 = weights.iter().sum();
        if total <= 0.0 {
            return Err(format!(
                "the region has no part in the input, which has {height} rows of {width} pixels"
            ));
        }
        Ok(weights.into_iter().map(|weight| (weight / total) as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_weighs_positions_by_what_lies_under_them() {
        let rectangle = Region::Rectangle { x: 1, y: 0, width: 2, height: 2 };
        assert_eq!(rectangle.weights([4, 4], [2, 2]), Ok(vec![0.5, 0.5, 0.0, 0.0]));
        assert_eq!(rectangle.weights([4, 4], [1, 1]), Ok(vec![1.0]));
        // Cells of 4/3 pixels.
        let thirds = rectangle.weights([4, 4], [3, 3]).expect("weights");
        let expected = [1.0 / 9.0, 4.0 / 9.0, 1.0 / 9.0, 1.0 / 18.0, 2.0 / 9.0, 1.0 / 18.0];
        for (found, expected) in thirds.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{thirds:?}");
        }
        let mask = Region::Mask { height: 2, width: 2, weights: vec![0.0, 3.0, 0.0, 1.0] };
        assert_eq!(mask.weights([2, 2], [2, 2]), Ok(vec![0.0, 0.75, 0.0, 0.25]));
        let outside = Region::Rectangle { x: 9, y: 0, width: 2, height: 2 };
        assert!(outside.weights([4, 4], [2, 2]).is_err());
        let flat = Region::Mask { height: 1, width: 4, weights: vec![1.0; 4] };
        assert!(flat.weights([2, 2], [2, 2]).is_err());
    }

    #[test]
    fn a_region_is_one_of_positions() {
        let region = Region::Rectangle { x: 0, y: 0, width: 2, height: 1 };
        let scores = Scores::of(&[1, 3, 2, 2], 1, None, None).expect("a rule");
        let scores = scores.within(&region, &[3, 2, 2], &[1, 3, 2, 2]).expect("positions");
        let output = Value::from_floats((0..12).map(|i| i as f32).collect());
        let output = output.reshape(&[1, 3, 2, 2]).expect("twelve values");
        let read = scores.read(output, 1).expect("scores").into_data();
        assert_eq!(read.try_into_vec::<f32>().expect("floats"), [0.5, 4.5, 8.5]);
        let flat = Scores::of(&[1, 10], 1, None, None).expect("a rule");
        assert!(flat.within(&region, &[3, 2, 2], &[1, 10]).is_err());
    }

    #[test]
    fn each_shape_has_its_rule() {
        let cases: [(&[usize], usize, usize, bool); 9] = [
            (&[2], 1, 1, false),
            (&[2, 10], 10, 1, false),
            (&[2, 10, 1, 1], 10, 1, false),
            (&[2, 10, 1], 10, 1, false),
            (&[2, 7, 10], 10, 7, true),
            (&[2, 1, 10], 10, 1, false),
            (&[2, 1, 1, 10], 10, 1, false),
            (&[2, 1, 4, 5], 1, 20, false),
            (&[2, 10, 4, 5], 10, 20, false),
        ];
        for (dims, classes, positions, last) in cases {
            let scores = Scores::of(dims, 2, None, None).expect("a rule");
            let found = (scores.classes, scores.positions, scores.last);
            assert_eq!(found, (classes, positions, last), "{dims:?}");
        }
        assert!(Scores::of(&[], 2, None, None).is_err());
        assert!(Scores::of(&[1, 10], 2, None, None).is_err());
    }

    #[test]
    fn a_single_score_with_a_sigmoid_is_a_binary_classifier() {
        let scores = Scores::of(&[2, 1], 2, Some(Link::Sigmoid), None).expect("a rule");
        assert_eq!((scores.classes, scores.link), (2, Some(Link::Sigmoid)));
        let output = Value::from_floats(vec![0.5, -3.0]).reshape(&[2, 1]).expect("two values");
        let read = scores.read(output, 2).expect("scores").into_data();
        assert_eq!(read.try_into_vec::<f32>().expect("floats"), [-0.5, 0.5, 3.0, -3.0]);
        let alone = Scores::of(&[2, 1], 2, None, None).expect("a rule");
        assert_eq!((alone.classes, alone.link), (1, None));
    }

    #[test]
    fn classes_are_last_where_channels_are() {
        let scores = Scores::of(&[2, 4, 5, 10], 2, None, Some([16, 20])).expect("a rule");
        assert_eq!((scores.classes, scores.positions, scores.last), (10, 20, true));
        let first = Scores::of(&[2, 5, 32, 32], 2, None, Some([64, 64])).expect("a rule");
        assert_eq!((first.classes, first.positions, first.last), (5, 1024, false));
    }

    #[test]
    fn positions_are_averaged() {
        let output = Value::from_floats((0..12).map(|i| i as f32).collect());
        let read = |dims: &[usize]| {
            let scores = Scores::of(dims, 2, None, None).expect("a rule");
            let output = output.clone().reshape(dims).expect("twelve values");
            let scores = scores.read(output, 2).expect("scores");
            scores.into_data().try_into_vec::<f32>().expect("floats")
        };
        assert_eq!(read(&[2, 3, 2]), [2.0, 3.0, 8.0, 9.0]);
        assert_eq!(read(&[2, 3, 2, 1]), [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]);
    }
}
