//! What is explained: a score of the model's outputs.

use std::fmt;
use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};

use crate::{Error, Link, Output};

/// What to explain, as it is asked for. With the outputs `s_k` of one input, which are logits or, with
/// [`Output::Probability`], probabilities:
#[derive(Clone, Debug, PartialEq, Default)]
#[non_exhaustive]
pub enum Target {
    /// `s_c` of the class `c` with the largest logit on the clean input.
    #[default]
    Predicted,
    /// `s_c` of the class with this index.
    Index(usize),
    /// `-s_c`: what speaks against the class, or for a small value where the model's one output is a quantity.
    Against(usize),
    /// `s_a - s_b`: why this class and not that one.
    Difference {
        /// The class `a` that is explained.
        class: usize,
        /// The class `b` that it is held against.
        other: usize,
    },
    /// `s_c - log(sum over k of exp(s_k))`, the log-odds of `c` among the classes with the `top` largest logits,
    /// of which `k` are the others. Its gradient is that of `s_c` less the mean gradient of the others, weighted
    /// by their softmax: the weighted contrast of Wang and Wang (NeurIPS 2022). Of logits alone.
    Contrast {
        /// The class `c`; none for the predicted one.
        class: Option<usize>,
        /// How many of the largest logits are compared, `c` included; at least 2.
        top: usize,
    },
    /// A function of the caller's.
    Function(ScoreFunction),
}

/// A function from the outputs `[n, classes]` of `n` samples to the score `[n]` of each, which must not depend
/// on the other samples. It is differentiated, so it is made of burn's operations.
#[derive(Clone)]
pub struct ScoreFunction {
    name: String,
    function: Arc<dyn Fn(Tensor<2>) -> Tensor<1> + Send + Sync>,
}

impl ScoreFunction {
    /// The function, with a name for messages.
    pub fn new(
        name: impl Into<String>,
        function: impl Fn(Tensor<2>) -> Tensor<1> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), function: Arc::new(function) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for ScoreFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ScoreFunction({:?})", self.name)
    }
}

/// Two functions are the same where one was cloned from the other.
impl PartialEq for ScoreFunction {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function)
    }
}

/// What a [`Target`] means for one input, from [`Prediction::score`].
#[derive(Clone, Debug, PartialEq)]
pub enum Score {
    /// `s_c`.
    Class(usize),
    /// `-s_c`.
    Against(usize),
    /// `s_c - log(sum over the others of exp(s_k))`: the difference of two logits where there is one other. Of
    /// probabilities, `s_c - s_k` of one other alone.
    Contrast {
        /// The class `c`.
        class: usize,
        /// The others; at least one.
        others: Vec<usize>,
    },
    /// A function of the caller's.
    Function(ScoreFunction),
}

impl Score {
    /// The class that is explained; none for a function.
    pub fn class(&self) -> Option<usize> {
        match self {
            Score::Class(class) | Score::Against(class) | Score::Contrast { class, .. } => {
                Some(*class)
            }
            Score::Function(_) => None,
        }
    }

    /// The classes that it is held against; none but for a contrast.
    pub fn others(&self) -> &[usize] {
        match self {
            Score::Contrast { others, .. } => others,
            _ => &[],
        }
    }

    /// Refuses a score that has no meaning for `output`.
    pub(crate) fn check(&self, output: Output) -> Result<(), Error> {
        match self {
            Score::Contrast { others, .. } if others.len() > 1 && output != Output::Logit => {
                Err(Error::Setting {
                    setting: "output",
                    value: "probability".into(),
                    range: "the logit: a contrast with several classes is one of logits",
                })
            }
            _ => Ok(()),
        }
    }

    /// The score `[n]` of each row of `outputs` `[n, classes]`.
    pub(crate) fn of(&self, outputs: Tensor<2>) -> Result<Tensor<1>, Error> {
        let rows = outputs.dims()[0];
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
            Score::Function(own) => {
                let scores = (own.function)(outputs);
                match scores.dims() {
                    [found] if found == rows => Ok(scores),
                    [found] => Err(Error::ScoreFunction {
                        name: own.name.clone(),
                        reason: format!("gives {found} scores for {rows} samples"),
                    }),
                }
            }
        }
    }
}

/// The model's answer to one clean input.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The logit of each class.
    pub logits: Vec<f32>,
    /// How they become probabilities; `None` where they do not.
    pub link: Option<Link>,
}

impl Prediction {
    /// The classes from the largest logit to the smallest.
    pub fn ranking(&self) -> Vec<usize> {
        let mut classes: Vec<usize> = (0..self.logits.len()).collect();
        classes.sort_by(|&a, &b| self.logits[b].total_cmp(&self.logits[a]));
        classes
    }

    /// Whether the logits become probabilities: a softmax of one score is always 1.
    pub fn has_probability(&self) -> bool {
        match self.link {
            Some(Link::Softmax) => self.logits.len() > 1,
            Some(Link::Sigmoid) => true,
            None => false,
        }
    }

    /// The probability of `class`, the link function of the logits. Where there is no link function
    /// it is that of a softmax, and means nothing: see [`Prediction::has_probability`].
    pub fn probability(&self, class: usize) -> f64 {
        if self.link == Some(Link::Sigmoid) {
            return 1.0 / (1.0 + f64::from(-self.logits[class]).exp());
        }
        let largest = self.logits.iter().copied().fold(f32::MIN, f32::max);
        let exp = |logit: f32| f64::from(logit - largest).exp();
        exp(self.logits[class]) / self.logits.iter().map(|&logit| exp(logit)).sum::<f64>()
    }

    /// What `target` means for this input.
    ///
    /// # Errors
    ///
    /// [`Error::Target`] when there is no such class, [`Error::Contrast`] when a class is compared with itself
    /// or with none.
    pub fn score(&self, target: &Target) -> Result<Score, Error> {
        let classes = self.logits.len();
        let known = |index: usize| match index < classes {
            true => Ok(index),
            false => Err(Error::Target { index, classes }),
        };
        match *target {
            Target::Predicted => Ok(Score::Class(self.ranking()[0])),
            Target::Index(index) => known(index).map(Score::Class),
            Target::Against(index) => known(index).map(Score::Against),
            Target::Difference { class, other } if class == other => {
                Err(Error::Contrast(format!("the class {class} is compared with itself")))
            }
            Target::Difference { class, other } => {
                Ok(Score::Contrast { class: known(class)?, others: vec![known(other)?] })
            }
            Target::Contrast { class, top } => {
                if top < 2 || top > classes {
                    return Err(Error::Contrast(format!(
                        "{top} classes are compared, but the model has {classes}, of which at least 2 are"
                    )));
                }
                let ranking = self.ranking();
                let class = class.map_or(Ok(ranking[0]), known)?;
                let others = ranking.into_iter().filter(|&other| other != class);
                Ok(Score::Contrast { class, others: others.take(top - 1).collect() })
            }
            Target::Function(ref function) => Ok(Score::Function(function.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(logits: &[f32]) -> Prediction {
        Prediction { logits: logits.to_vec(), link: Some(Link::Softmax) }
    }

    fn value(score: &Score, logits: &[f32]) -> f64 {
        let outputs = TensorData::new(logits.to_vec(), [1, logits.len()]);
        let outputs = Tensor::from_data(outputs, &burn::tensor::Device::flex());
        let data = score.of(outputs).unwrap().into_data();
        data.try_into_vec::<f32>().unwrap()[0].into()
    }

    #[test]
    fn targets_mean_scores() {
        let logits = [1.0, 4.0, 3.0, -2.0];
        let score = |target: Target| prediction(&logits).score(&target);
        assert_eq!(score(Target::Predicted).unwrap(), Score::Class(1));
        assert_eq!(score(Target::Against(3)).unwrap(), Score::Against(3));
        let contrast = |class, others: &[usize]| Score::Contrast { class, others: others.to_vec() };
        let difference = Target::Difference { class: 0, other: 2 };
        assert_eq!(score(difference).unwrap(), contrast(0, &[2]));
        let top = |class, top| score(Target::Contrast { class, top });
        assert_eq!(top(None, 3).unwrap(), contrast(1, &[2, 0]));
        assert_eq!(top(Some(3), 3).unwrap(), contrast(3, &[1, 2]));
        for (target, message) in [
            (Target::Index(4), "the target 4 does not exist"),
            (Target::Difference { class: 1, other: 1 }, "compared with itself"),
            (Target::Contrast { class: None, top: 5 }, "the model has 4"),
            (Target::Contrast { class: None, top: 1 }, "at least 2"),
        ] {
            let error = score(target).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn contrasts_are_log_odds() {
        let logits = [1.0, 4.0, 3.0, -2.0];
        let others = (f64::from(1f32).exp() + 3f64.exp()).ln();
        let contrast = Score::Contrast { class: 1, others: vec![2, 0] };
        assert!((value(&contrast, &logits) - (4.0 - others)).abs() < 1e-5);
        // Large logits do not overflow.
        let large = Score::Contrast { class: 0, others: vec![1, 2] };
        assert!((value(&large, &[500.0, 400.0, -900.0]) - 100.0).abs() < 1e-3);
        assert_eq!(value(&Score::Against(3), &logits), 2.0);
        let mean = ScoreFunction::new("mean", |outputs| {
            let rows = outputs.dims()[0];
            outputs.mean_dim(1).reshape([rows])
        });
        assert_eq!(value(&Score::Function(mean), &logits), 1.5);
    }
}
