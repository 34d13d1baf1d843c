//! Which class is explained.

use crate::{Error, Link, Output};

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
