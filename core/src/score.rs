//! The score: a target resolved for one input, and its value on tensors.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Int, Tensor, TensorData};

use crate::error::{Error, error};
use crate::target::ScoreFunction;
use crate::{Link, Output};

/// The score that a [`Target`](crate::Target) means for one input, from
/// [`Prediction::score`](crate::Prediction::score).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Score {
    /// `s_c`.
    Class(usize),
    /// `-s_c`.
    Against(usize),
    /// `s_c - log(sum over the others of exp(s_k))`, the difference of two logits if there is one other class.
    /// Of probabilities only `s_c - s_k`, with one other class.
    Contrast {
        /// The class `c`.
        class: usize,
        /// The other classes; at least one.
        others: Vec<usize>,
    },
    /// A function supplied by the caller.
    Function(ScoreFunction),
}

impl Score {
    /// The class that is explained; `None` for a function.
    pub fn class(&self) -> Option<usize> {
        match self {
            Score::Class(class) | Score::Against(class) | Score::Contrast { class, .. } => {
                Some(*class)
            }
            Score::Function(_) => None,
        }
    }

    /// The classes that a contrast compares with; empty for other scores.
    pub fn others(&self) -> &[usize] {
        match self {
            Score::Contrast { others, .. } => others,
            _ => &[],
        }
    }

    /// Checks that the model has all `classes` of the score, and that a contrast compares some.
    pub(crate) fn check_classes(&self, classes: usize) -> Result<(), Error> {
        if matches!(self, Score::Contrast { others, .. } if others.is_empty()) {
            return Err(error!(Target, "the contrast has no other class to compare with"));
        }
        match self.others().iter().copied().chain(self.class()).find(|&index| index >= classes) {
            Some(index) => Err(Error::no_class(index, classes)),
            None => Ok(()),
        }
    }

    /// Checks that the score is defined for `output`.
    pub(crate) fn check_output(&self, output: Output) -> Result<(), Error> {
        match self {
            Score::Contrast { others, .. } if others.len() > 1 && output != Output::Logit => {
                let reason = "a contrast with several classes is defined for logits only";
                Err(error!(Plan, "output is probability, but {reason}"))
            }
            _ => Ok(()),
        }
    }

    /// The score `[n]` of each row of `outputs` `[n, classes]`.
    ///
    /// # Errors
    ///
    /// Returns an error if a class does not exist, or a score function does not give one score for each row.
    pub fn of(&self, outputs: Tensor<2>) -> Result<Tensor<1>, Error> {
        let [rows, classes] = outputs.dims();
        self.check_classes(classes)?;
        let column = |class: usize| outputs.clone().narrow(1, class, 1).reshape([rows]);
        match self {
            Score::Class(class) => Ok(column(*class)),
            Score::Against(class) => Ok(column(*class).neg()),
            Score::Contrast { class, others } => match others[..] {
                [other] => Ok(column(*class) - column(other)),
                _ => {
                    let index: Vec<i64> = others.iter().map(|&other| other as i64).collect();
                    let index = TensorData::new(index, [others.len()]);
                    let index = Tensor::<1, Int>::from_data(index, &outputs.device());
                    let others = outputs.clone().select(1, index);
                    let largest = others.clone().detach().max_dim(1);
                    let sum = (others - largest.clone()).exp().sum_dim(1);
                    Ok(column(*class) - (sum.log() + largest).reshape([rows]))
                }
            },
            Score::Function(function) => {
                let scores = function.call(outputs);
                match scores.dims() {
                    [found] if found == rows => Ok(scores),
                    [found] => Err(error!(
                        Target,
                        "the score function {:?} gives {found} scores for {rows} samples; it must map outputs [n, classes] to scores [n]",
                        function.name()
                    )),
                }
            }
        }
    }
}

/// The outputs of `logits` `[n, classes]` that are differentiated.
pub(crate) fn outputs(logits: Tensor<2>, output: Output, link: Option<Link>) -> Tensor<2> {
    match (output, link) {
        (Output::Logit, _) => logits,
        (Output::Probability, Some(Link::Sigmoid)) => sigmoid(logits),
        (Output::Probability, _) => softmax(logits, 1),
    }
}

/// The sum over the rows of `outputs` `[n, classes]` of each row's score. Each of `scores` belongs to as many
/// consecutive rows as the number beside it.
pub(crate) fn sum_of_scores(
    outputs: Tensor<2>,
    scores: &[(&Score, usize)],
) -> Result<Tensor<1>, Error> {
    let classes = scores.iter().map(|(score, rows)| match score {
        Score::Class(class) => Some(std::iter::repeat_n(*class, *rows)),
        _ => None,
    });
    if let Some(classes) = classes.collect::<Option<Vec<_>>>() {
        let classes: Vec<usize> = classes.into_iter().flatten().collect();
        return Ok(sum_of_classes(outputs, &classes));
    }
    let mut first = 0;
    let mut sums = Vec::new();
    for (score, rows) in scores {
        sums.push(score.of(outputs.clone().narrow(0, first, *rows))?.sum());
        first += rows;
    }
    Ok(Tensor::cat(sums, 0).sum())
}

/// The same where each row's score is the output of a class.
fn sum_of_classes(outputs: Tensor<2>, classes: &[usize]) -> Tensor<1> {
    if let Some(&class) = classes.first()
        && classes.iter().all(|&other| other == class)
    {
        return outputs.narrow(1, class, 1).sum();
    }
    let [rows, count] = outputs.dims();
    let mut mask = vec![0f32; rows * count];
    for (row, class) in classes.iter().enumerate() {
        mask[row * count + class] = 1.0;
    }
    let mask = Tensor::from_data(TensorData::new(mask, [rows, count]), &outputs.device());
    (outputs * mask).sum()
}
