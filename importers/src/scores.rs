//! From a model's output of any shape to one score per class and sample.

use attriburn::Link;
use burn::tensor::Tensor;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    pub classes: usize,
    positions: usize,
    /// Whether the classes are the last axis.
    last: bool,
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
    pub fn of(dims: &[usize], rows: usize, link: Option<Link>) -> Result<Self, LoadError> {
        let plain = Self { positions: 1, ..Self::default() };
        let flat = |classes| Self { classes, ..plain };
        match dims {
            [n, rest @ ..] if *n == rows && rest.iter().all(|&size| size > 0) => {
                let long: Vec<usize> = rest.iter().copied().filter(|&size| size > 1).collect();
                let scores = match (&long[..], rest) {
                    ([], _) => flat(1),
                    (&[classes], _) => flat(classes),
                    (_, &[positions, classes]) => Self { classes, positions, last: true, ..plain },
                    (_, rest) => {
                        let positions = rest[1..].iter().product();
                        Self { classes: rest[0], positions, ..plain }
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

    /// What is said of an output with several positions.
    pub fn remark(&self, dims: &[usize]) -> Option<String> {
        (self.positions > 1).then(|| {
            let (classes, positions) = (self.classes, self.positions);
            let sizes: Vec<String> = dims[1..].iter().map(ToString::to_string).collect();
            format!(
                "the output [n, {}] has {positions} positions of {classes} classes; the mean over the positions is explained",
                sizes.join(", ")
            )
        })
    }

    /// The scores `[rows, classes]` in `output`.
    pub fn read(&self, output: Value, rows: usize) -> Outcome<Tensor<2>> {
        let (classes, positions) = (if self.binary { 1 } else { self.classes }, self.positions);
        let shape = if self.last { [rows, positions, classes] } else { [rows, classes, positions] };
        let scores = Tensor::<3>::from_dispatch(output.reshape(&shape)?.float()?);
        let axis = if self.last { 1 } else { 2 };
        let scores = if positions > 1 { scores.mean_dim(axis) } else { scores };
        let scores = scores.reshape([rows, classes]);
        Ok(if self.binary { Tensor::cat(vec![scores.clone().neg(), scores], 1) } else { scores })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let scores = Scores::of(dims, 2, None).expect("a rule");
            let found = (scores.classes, scores.positions, scores.last);
            assert_eq!(found, (classes, positions, last), "{dims:?}");
        }
        assert!(Scores::of(&[], 2, None).is_err());
        assert!(Scores::of(&[1, 10], 2, None).is_err());
    }

    #[test]
    fn a_single_score_with_a_sigmoid_is_a_binary_classifier() {
        let scores = Scores::of(&[2, 1], 2, Some(Link::Sigmoid)).expect("a rule");
        assert_eq!((scores.classes, scores.link), (2, Some(Link::Sigmoid)));
        let output = Value::from_floats(vec![0.5, -3.0]).reshape(&[2, 1]).expect("two values");
        let read = scores.read(output, 2).expect("scores").into_data();
        assert_eq!(read.try_into_vec::<f32>().expect("floats"), [-0.5, 0.5, 3.0, -3.0]);
        let alone = Scores::of(&[2, 1], 2, None).expect("a rule");
        assert_eq!((alone.classes, alone.link), (1, None));
    }

    #[test]
    fn positions_are_averaged() {
        let output = Value::from_floats((0..12).map(|i| i as f32).collect());
        let read = |dims: &[usize]| {
            let scores = Scores::of(dims, 2, None).expect("a rule");
            let output = output.clone().reshape(dims).expect("twelve values");
            let scores = scores.read(output, 2).expect("scores");
            scores.into_data().try_into_vec::<f32>().expect("floats")
        };
        assert_eq!(read(&[2, 3, 2]), [2.0, 3.0, 8.0, 9.0]);
        assert_eq!(read(&[2, 3, 2, 1]), [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]);
    }
}
