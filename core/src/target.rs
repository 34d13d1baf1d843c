//! Which class is explained.

use crate::{Error, Output};

/// The class to explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Target {
    /// The class with the largest logit on the clean input.
    #[default]
    Predicted,
    /// The class with this index.
    Index(usize),
}

/// The model's answer to one clean input.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The logit of each class.
    pub logits: Vec<f32>,
}

impl Prediction {
    /// The classes from the largest logit to the smallest.
    pub fn ranking(&self) -> Vec<usize> {
        let mut classes: Vec<usize> = (0..self.logits.len()).collect();
        classes.sort_by(|&a, &b| self.logits[b].total_cmp(&self.logits[a]));
        classes
    }

    /// The softmax of the logits at `class`.
    pub fn probability(&self, class: usize) -> f64 {
        let largest = self.logits.iter().copied().fold(f32::MIN, f32::max);
        let exp = |logit: f32| f64::from(logit - largest).exp();
        exp(self.logits[class]) / self.logits.iter().map(|&logit| exp(logit)).sum::<f64>()
    }

    /// The output of `class` that is differentiated.
    pub(crate) fn score(&self, output: Output, class: usize) -> f64 {
        match output {
            Output::Logit => self.logits[class].into(),
            Output::Probability => self.probability(class),
        }
    }

    /// The index of the class that `target` means.
    ///
    /// # Errors
    ///
    /// [`Error::Target`] when there is no such class.
    pub fn class(&self, target: Target) -> Result<usize, Error> {
        match target {
            Target::Predicted => Ok(self.ranking()[0]),
            Target::Index(index) if index < self.logits.len() => Ok(index),
            Target::Index(index) => Err(Error::Target { index, classes: self.logits.len() }),
        }
    }
}
