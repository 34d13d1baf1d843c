//! The prediction: the model's outputs for one clean input.

use crate::error::{Error, error};
use crate::{Link, Score, Target};

/// The model's outputs for one clean input: at least one logit, all of them finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    logits: Vec<f32>,
    link: Option<Link>,
}

impl Prediction {
    /// The prediction with the logit of each class, and the function from logits to probabilities if there
    /// is one.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no logit, or one is not finite.
    pub fn new(logits: Vec<f32>, link: Option<Link>) -> Result<Self, Error> {
        if logits.is_empty() {
            return Err(Error::model("the model gives no scores"));
        }
        match logits.iter().position(|logit| !logit.is_finite()) {
            None => Ok(Self { logits, link }),
            Some(class) => Err(error!(
                NotFinite,
                "the model's output for this input is not finite (class {class} is {}); check the preprocessing and the model's weights",
                logits[class]
            )),
        }
    }

    /// The logit of each class.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// The function from logits to probabilities; `None` where the scores are no logits.
    pub fn link(&self) -> Option<Link> {
        self.link
    }

    /// The class with the largest logit.
    pub fn class(&self) -> usize {
        self.ranking()[0]
    }

    /// The classes in descending order of their logits.
    pub fn ranking(&self) -> Vec<usize> {
        let mut classes: Vec<usize> = (0..self.logits.len()).collect();
        classes.sort_by(|&a, &b| self.logits[b].total_cmp(&self.logits[a]));
        classes
    }

    /// Whether the classes have probabilities. The softmax of a single score, which is always 1, is none.
    pub fn has_probability(&self) -> bool {
        match self.link {
            Some(Link::Softmax) => self.logits.len() > 1,
            Some(Link::Sigmoid) => true,
            None => false,
        }
    }

    /// The probability of `class`; `None` if the model has no probabilities or no such class.
    pub fn probability(&self, class: usize) -> Option<f64> {
        let logit = *self.logits.get(class).filter(|_| self.has_probability())?;
        if self.link == Some(Link::Sigmoid) {
            return Some(1.0 / (1.0 + f64::from(-logit).exp()));
        }
        let largest = self.logits.iter().copied().fold(f32::MIN, f32::max);
        let exp = |logit: f32| f64::from(logit - largest).exp();
        Some(exp(logit) / self.logits.iter().map(|&logit| exp(logit)).sum::<f64>())
    }

    /// The score that `target` means for this input.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Target`](crate::ErrorKind::Target) if a class does not exist, or a contrast has fewer than two classes.
    pub fn score(&self, target: &Target) -> Result<Score, Error> {
        let classes = self.logits.len();
        let existing = |index: usize| match index < classes {
            true => Ok(index),
            false => Err(Error::no_class(index, classes)),
        };
        let no_contrast =
            |reason: String| Err(error!(Target, "the target compares nothing: {reason}"));
        match *target {
            Target::Predicted => Ok(Score::Class(self.class())),
            Target::Index(index) => existing(index).map(Score::Class),
            Target::Against(index) => existing(index).map(Score::Against),
            Target::Difference { class, other } if class == other => {
                no_contrast(format!("the class {class} is compared with itself"))
            }
            Target::Difference { class, other } => {
                Ok(Score::Contrast { class: existing(class)?, others: vec![existing(other)?] })
            }
            Target::Contrast { top, .. } if top < 2 || top > classes => Err(error!(
                Target,
                "a contrast of {top} classes does not exist: it has at least 2, and the model has {classes}"
            )),
            Target::Contrast { class, top } => {
                let class = class.map_or(Ok(self.class()), existing)?;
                let others = self.ranking().into_iter().filter(|&other| other != class);
                Ok(Score::Contrast { class, others: others.take(top - 1).collect() })
            }
            Target::Function(ref function) => Ok(Score::Function(function.clone())),
        }
    }
}
