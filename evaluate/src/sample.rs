//! The samples of an evaluation.

use std::cell::OnceCell;

use attriburn::{Attribution, Explainer, Input, Output, Plan, Prediction, Score};
use attriburn_metrics::Region;

/// A sample of an evaluation that is read only when its turn comes.
pub trait Source {
    /// The sample after reading.
    type Opened;

    /// Returns the name of the sample in the results.
    fn name(&self) -> String;

    /// Reads the sample.
    ///
    /// # Errors
    ///
    /// Returns the reason why the sample cannot be used.
    fn open(&self) -> Result<Self::Opened, String>;

    /// Returns the model's input of an opened sample.
    fn input(opened: &Self::Opened) -> &Input;

    /// Returns what to measure of an opened sample, given the model's prediction.
    ///
    /// # Errors
    ///
    /// Returns the reason why the sample cannot be used.
    fn subject(&self, opened: &Self::Opened, prediction: &Prediction) -> Result<Subject, String>;
}

/// The class, regions and seed that the metrics of a sample use.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The class whose maps are computed.
    pub class: usize,
    /// The regions of the objects of the class, or the reason why there are none.
    pub regions: Result<Vec<Region>, String>,
    /// The seed of the random numbers drawn for this sample. Each sample has a different seed.
    pub seed: u64,
}

/// An opened sample with its prediction.
pub struct Sample<'a> {
    /// The input.
    pub input: &'a Input,
    /// The model's prediction.
    pub prediction: Prediction,
    /// What the metrics measure.
    pub subject: Subject,
    clean_gradient: OnceCell<Result<Attribution, String>>,
}

impl<'a> Sample<'a> {
    /// Returns a sample.
    pub fn new(input: &'a Input, prediction: Prediction, subject: Subject) -> Self {
        Self { input, prediction, subject, clean_gradient: OnceCell::new() }
    }

    /// Returns the score that the maps explain.
    pub fn score(&self) -> Score {
        Score::Class(self.subject.class)
    }

    /// Returns the gradient of `output` without noise. It is computed once, since all maps of an evaluation
    /// explain the same output.
    pub(crate) fn clean_gradient(
        &self,
        explainer: &Explainer,
        output: Output,
    ) -> Result<&Attribution, String> {
        let gradient = || {
            let task = explainer.task_with(self.input, &self.prediction, self.score())?;
            explainer.explain_all(&[task], &Plan::gradient().output(output))?.remove(0)
        };
        let compute = || gradient().map_err(|error: attriburn::Error| error.to_string());
        self.clean_gradient.get_or_init(compute).as_ref().map_err(Clone::clone)
    }
}
