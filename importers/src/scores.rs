//! Maps a model output of any shape to one score per class and sample.

use attriburn::Link;
use burn::tensor::{Tensor, TensorData};

use crate::error::{ErrorKind, LoadError};
use crate::value::{Outcome, Value};

/// The axes of an output that hold the classes and the positions. An output with several positions is
/// explained by the mean of its scores over the positions. A single score followed by a sigmoid is a binary
/// classifier: `score < 0` is class 0 and `score > 0` is class 1, with the scores `-score` and `score`.
///
/// | output | classes | positions |
/// |---|---|---|
/// | `[n]` | one | none |
/// | one axis longer than 1: `[n, classes]`, `[n, 1, 1, classes]` | that axis | none |
/// | `[n, length, classes]`, a sequence | axis 2 | axis 1 |
/// | `[n, classes, height, width]`, and more axes | axis 1 | the others |
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// The number of classes.
    pub classes: usize,
    /// The number of positions; 1 if the output has no position axes.
    positions: usize,
    /// Whether the class axis is the last axis.
    classes_last: bool,
    /// The weight of each position; `None` for equal weights.
    weights: Option<Vec<f32>>,
    /// Whether the model is a binary classifier with a single score.
    binary: bool,
    /// The link function that maps scores to probabilities.
    pub link: Option<Link>,
}

impl Scores {
    /// Returns the class and position axes of an output of shape `dims`, computed for `rows` samples. `link`
    /// is the link function that follows the scores in the file. `plane` is the height and width of the input
    /// of a model that takes channels last (NHWC); `None` for all other models.
    ///
    /// # Errors
    ///
    /// If the first axis of the output is not the batch axis.
    pub fn of(
        dims: &[usize],
        rows: usize,
        link: Option<Link>,
        plane: Option<[usize; 2]>,
    ) -> Result<Self, LoadError> {
        let single_position = |classes| Self { classes, positions: 1, ..Self::default() };
        match dims {
            [n, rest @ ..] if *n == rows && rest.iter().all(|&size| size > 0) => {
                let long: Vec<usize> = rest.iter().copied().filter(|&size| size > 1).collect();
                let scores = match (&long[..], rest) {
                    ([], _) => single_position(1),
                    (&[classes], _) => single_position(classes),
                    (_, &[positions, classes]) => {
                        Self { positions, classes_last: true, ..single_position(classes) }
                    }
                    (_, &[height, width, classes])
                        if plane.is_some_and(|plane| is_last([height, width, classes], plane)) =>
                    {
                        Self {
                            positions: height * width,
                            classes_last: true,
                            ..single_position(classes)
                        }
                    }
                    (_, rest) => {
                        let positions = rest[1..].iter().product();
                        Self { positions, ..single_position(rest[0]) }
                    }
                };
                Ok(scores.with_link(link))
            }
            _ => Err(LoadError::new(
                ErrorKind::Output,
                format!(
                    "the output has the shape {dims:?}, but its first axis must be the batch of {rows} samples"
                ),
            )),
        }
    }

    /// Sets the link function. A classifier of several classes without a link function in the file is
    /// assumed to be trained with a softmax. Means over positions have no link function. A single score has
    /// one only if the file ends in a sigmoid.
    fn with_link(self, link: Option<Link>) -> Self {
        match (self.positions, self.classes, link) {
            (1, 1, Some(Link::Sigmoid)) => Self { classes: 2, binary: true, link, ..self },
            (1, 2.., link) => Self { link: link.or(Some(Link::Softmax)), ..self },
            _ => self,
        }
    }

    /// Restricts the mean over positions to a region of the input image, for an `input` of shape
    /// `[channels, height, width]` and an output of shape `dims`.
    ///
    /// # Errors
    ///
    /// If the output has no spatial positions, or the region does not overlap the input.
    pub fn within(
        self,
        region: &Region,
        input: &[usize],
        dims: &[usize],
    ) -> Result<Self, LoadError> {
        let wrong = |message: String| Err(LoadError::new(ErrorKind::Output, message));
        let plane = match (dims, self.classes_last) {
            (&[_, height, width, _], true) | (&[_, _, height, width], false) => [height, width],
            _ => [0, 0],
        };
        let &[_, height, width] = input else {
            return wrong(format!(
                "a region needs inputs of shape [channels, height, width], not {input:?}"
            ));
        };
        if self.positions < 2 || plane.iter().product::<usize>() != self.positions {
            return wrong(format!(
                "a region needs spatial positions, but the output {dims:?} has no height and width axes"
            ));
        }
        match region.weights([height, width], plane) {
            Ok(weights) => Ok(Self { weights: Some(weights), ..self }),
            Err(message) => wrong(message),
        }
    }

    /// Returns the note to show for an output with several positions.
    pub fn remark(&self, dims: &[usize]) -> Option<String> {
        (self.positions > 1).then(|| {
            let (classes, positions) = (self.classes, self.positions);
            let sizes: Vec<String> = dims[1..].iter().map(ToString::to_string).collect();
            format!(
                "the output [n, {}] has {positions} positions of {classes} classes; the mean over {} is explained",
                sizes.join(", "),
                if self.weights.is_some() { "the positions in the region" } else { "all positions" }
            )
        })
    }

    /// Returns the scores `[rows, classes]` of a model output.
    pub fn read(&self, output: Value, rows: usize) -> Outcome<Tensor<2>> {
        let (classes, positions) = (if self.binary { 1 } else { self.classes }, self.positions);
        let shape =
            if self.classes_last { [rows, positions, classes] } else { [rows, classes, positions] };
        let scores = Tensor::<3>::from_dispatch(output.reshape(&shape)?.float()?);
        let axis = if self.classes_last { 1 } else { 2 };
        let scores = match &self.weights {
            Some(weights) => {
                let shape = if self.classes_last { [1, positions, 1] } else { [1, 1, positions] };
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

/// Whether the classes are the last axis of an output `[n, a, b, c]` of a model whose input is NHWC with this
/// height and width. The class axis is the last one unless only the last two axes have the aspect ratio of
/// the input.
fn is_last([a, b, c]: [usize; 3], [height, width]: [usize; 2]) -> bool {
    let is_alike = |rows: usize, columns: usize| {
        (rows * width).abs_diff(columns * height) <= height.max(width)
    };
    is_alike(a, b) || !is_alike(b, c)
}

/// The part of the input image over whose positions the scores are averaged.
#[derive(Clone, Debug, PartialEq)]
pub enum Region {
    /// A rectangle of the input's pixels.
    Rectangle {
        /// The left edge: the number of pixel columns to its left.
        x: usize,
        /// The top edge: the number of pixel rows above.
        y: usize,
        /// The width, in pixels.
        width: usize,
        /// The height, in pixels.
        height: usize,
    },
    /// A non-negative weight for each pixel of the input.
    Mask {
        /// The height, in pixels.
        height: usize,
        /// The width, in pixels.
        width: usize,
        /// The weights, row-major.
        weights: Vec<f32>,
    },
}

impl Region {
    /// Returns the weights of a `plane` (height, width) of positions over an input of `[height, width]`
    /// pixels, with sum 1. The weight of a position is the weight of the input area under it.
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
                    "the mask is {columns} x {rows} pixels, but must be {width} x {height} as the input"
                ));
            }
            if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
                return Err("the weights of a mask must be finite and non-negative".into());
            }
        }
        // The fraction of the input pixel `pixel` that lies in the cell `cell` of `cells`, along one axis of
        // `size` pixels.
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
                "the region does not overlap the input, which is {width} x {height} pixels"
            ));
        }
        Ok(weights.into_iter().map(|weight| (weight / total) as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_weights_are_the_region_area_under_each_position() {
        let rectangle = Region::Rectangle { x: 1, y: 0, width: 2, height: 2 };
        assert_eq!(rectangle.weights([4, 4], [2, 2]), Ok(vec![0.5, 0.5, 0.0, 0.0]));
        assert_eq!(rectangle.weights([4, 4], [1, 1]), Ok(vec![1.0]));
        // Each cell spans 4/3 pixels.
        let thirds = rectangle.weights([4, 4], [3, 3]).expect("weights");
        let expected = [1.0 / 9.0, 4.0 / 9.0, 1.0 / 9.0, 1.0 / 18.0, 2.0 / 9.0, 1.0 / 18.0];
        for (found, expected) in thirds.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{thirds:?}");
        }
        let mask = Region::Mask { height: 2, width: 2, weights: vec![0.0, 3.0, 0.0, 1.0] };
        assert_eq!(mask.weights([2, 2], [2, 2]), Ok(vec![0.0, 0.75, 0.0, 0.25]));
        let outside = Region::Rectangle { x: 9, y: 0, width: 2, height: 2 };
        assert!(outside.weights([4, 4], [2, 2]).is_err());
        let wrong_size = Region::Mask { height: 1, width: 4, weights: vec![1.0; 4] };
        assert!(wrong_size.weights([2, 2], [2, 2]).is_err());
    }

    #[test]
    fn region_averages_the_positions_inside_it() {
        let region = Region::Rectangle { x: 0, y: 0, width: 2, height: 1 };
        let scores = Scores::of(&[1, 3, 2, 2], 1, None, None).expect("a valid output shape");
        let scores =
            scores.within(&region, &[3, 2, 2], &[1, 3, 2, 2]).expect("an output with positions");
        let output = Value::from_floats((0..12).map(|i| i as f32).collect());
        let output = output.reshape(&[1, 3, 2, 2]).expect("twelve values");
        let read = scores.read(output, 1).expect("scores").into_data();
        assert_eq!(read.try_into_vec::<f32>().expect("floats"), [0.5, 4.5, 8.5]);
        let without_positions = Scores::of(&[1, 10], 1, None, None).expect("a valid output shape");
        assert!(without_positions.within(&region, &[3, 2, 2], &[1, 10]).is_err());
    }

    #[test]
    fn output_shape_determines_class_and_position_axes() {
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
        for (dims, classes, positions, classes_last) in cases {
            let scores = Scores::of(dims, 2, None, None).expect("a valid output shape");
            let found = (scores.classes, scores.positions, scores.classes_last);
            assert_eq!(found, (classes, positions, classes_last), "{dims:?}");
        }
        assert!(Scores::of(&[], 2, None, None).is_err());
        assert!(Scores::of(&[1, 10], 2, None, None).is_err());
    }

    #[test]
    fn single_score_with_sigmoid_is_a_binary_classifier() {
        let scores =
            Scores::of(&[2, 1], 2, Some(Link::Sigmoid), None).expect("a valid output shape");
        assert_eq!((scores.classes, scores.link), (2, Some(Link::Sigmoid)));
        let output = Value::from_floats(vec![0.5, -3.0]).reshape(&[2, 1]).expect("two values");
        let read = scores.read(output, 2).expect("scores").into_data();
        assert_eq!(read.try_into_vec::<f32>().expect("floats"), [-0.5, 0.5, 3.0, -3.0]);
        let alone = Scores::of(&[2, 1], 2, None, None).expect("a valid output shape");
        assert_eq!((alone.classes, alone.link), (1, None));
    }

    #[test]
    fn channels_last_models_have_classes_last() {
        let scores =
            Scores::of(&[2, 4, 5, 10], 2, None, Some([16, 20])).expect("a valid output shape");
        assert_eq!((scores.classes, scores.positions, scores.classes_last), (10, 20, true));
        let first =
            Scores::of(&[2, 5, 32, 32], 2, None, Some([64, 64])).expect("a valid output shape");
        assert_eq!((first.classes, first.positions, first.classes_last), (5, 1024, false));
    }

    #[test]
    fn scores_are_averaged_over_positions() {
        let output = Value::from_floats((0..12).map(|i| i as f32).collect());
        let read = |dims: &[usize]| {
            let scores = Scores::of(dims, 2, None, None).expect("a valid output shape");
            let output = output.clone().reshape(dims).expect("twelve values");
            let scores = scores.read(output, 2).expect("scores");
            scores.into_data().try_into_vec::<f32>().expect("floats")
        };
        assert_eq!(read(&[2, 3, 2]), [2.0, 3.0, 8.0, 9.0]);
        assert_eq!(read(&[2, 3, 2, 1]), [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]);
    }
}
