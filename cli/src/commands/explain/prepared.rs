//! The inputs of a group, with their predictions and the scores to explain.

use attriburn::{Input, Prediction, Score};

use super::job::Job;
use crate::setup::source::{LoadedInput, Source};

/// An input with its prediction and the scores to explain.
pub struct PreparedInput<'a> {
    pub source: &'a Source,
    pub loaded: LoadedInput,
    pub prediction: Prediction,
    pub scores: Vec<Score>,
    /// The class that the folder of the source is named after.
    pub expected: Option<usize>,
}

/// Some scores of an input, whose maps are computed and held in memory together.
pub struct ScoreGroup<'a> {
    pub input: &'a PreparedInput<'a>,
    pub scores: &'a [Score],
}

impl Job<'_> {
    /// Reads the sources and predicts their classes.
    pub(super) fn prepare<'s>(
        &self,
        sources: &'s [Source],
    ) -> Vec<Result<PreparedInput<'s>, String>> {
        let read = |source: &Source| self.setup.open_with_backdrop(source);
        let loaded: Vec<Result<LoadedInput, String>> = sources.iter().map(read).collect();
        let inputs: Vec<&Input> = loaded.iter().flatten().map(|loaded| &loaded.input).collect();
        let mut predictions = self.setup.explainer().predict_all(&inputs).into_iter();
        let prepare = |(source, loaded): (&'s Source, Result<LoadedInput, String>)| {
            let loaded = loaded?;
            if loaded.crop.is_none() {
                self.display.warn_without_image(&source.name());
            }
            let prediction = predictions.next().ok_or("the model gave no prediction")?;
            let prediction = prediction.map_err(|error| error.to_string())?;
            let expected = self.setup.expected_class(source);
            let scores = self.targets.scores(&prediction, expected.clone())?;
            Ok(PreparedInput { source, loaded, prediction, scores, expected: expected.ok() })
        };
        sources.iter().zip(loaded).map(prepare).collect()
    }
}
