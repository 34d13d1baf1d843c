//! One map to make.

use attriburn_kernels::WidthRule;

use crate::error::{Error, error};
use crate::plan::{Output, Plan};
use crate::score::outputs;
use crate::{Input, Prediction, Score};

use super::readback::{read, row};

/// One map of several: an input, the model's prediction for it, and the score to explain. Made and checked by
/// [`Explainer::task`](super::Explainer::task).
#[derive(Clone, Debug)]
pub struct Task<'a> {
    input: &'a Input,
    prediction: Prediction,
    score: Score,
}

impl<'a> Task<'a> {
    /// The task, whose score must have only classes of the prediction.
    pub(super) fn new(
        input: &'a Input,
        prediction: Prediction,
        score: Score,
    ) -> Result<Self, Error> {
        score.check_classes(prediction.logits().len())?;
        Ok(Self { input, prediction, score })
    }

    /// The input.
    pub fn input(&self) -> &'a Input {
        self.input
    }

    /// The model's prediction for the clean input.
    pub fn prediction(&self) -> &Prediction {
        &self.prediction
    }

    /// The score that is explained.
    pub fn score(&self) -> &Score {
        &self.score
    }

    /// Checks that the score is defined for the plan's output, and warns of elements without noise.
    pub(super) fn check(&self, plan: &Plan) -> Result<(), Error> {
        self.score.check_output(plan.output)?;
        check_output(plan.output, &self.prediction)?;
        let share = self.input.outside_domain();
        let width = plan.sampler.map(|sampler| sampler.width);
        if share > 0.0 && matches!(width, Some(WidthRule::Adaptive { .. })) {
            log::warn!(
                "{:.1} % of the input's elements lie outside their domain and get no noise; check the domain and the preprocessing",
                100.0 * share
            );
        }
        Ok(())
    }

    /// The difference of the explained output at the input and at the baseline, where the model gives
    /// `at_baseline`: the sum that a complete map has.
    pub(super) fn difference(
        &self,
        output: Output,
        at_baseline: &Prediction,
    ) -> Result<f64, Error> {
        Ok(self.value(output, &self.prediction)? - self.value(output, at_baseline)?)
    }

    /// The value of the score for a prediction.
    fn value(&self, output: Output, prediction: &Prediction) -> Result<f64, Error> {
        let logits = prediction.logits();
        let value = match (output, &self.score) {
            (Output::Logit, Score::Class(class)) => logits.get(*class).map(|&logit| logit.into()),
            (Output::Probability, Score::Class(class)) => prediction.probability(*class),
            (_, score) => {
                let logits = row(logits, &burn::tensor::Device::flex());
                let outputs = outputs(logits, output, prediction.link());
                read(score.of(outputs)?)?.first().map(|&value| value.into())
            }
        };
        value.ok_or_else(Error::no_gradient)
    }
}

/// Checks that the model has probabilities if these are explained.
pub fn check_output(output: Output, prediction: &Prediction) -> Result<(), Error> {
    if output == Output::Probability && !prediction.has_probability() {
        return Err(error!(
            Target,
            "the model has no probability to explain: it gives {} scores per sample that are no logits of one softmax; explain the logit",
            prediction.logits().len()
        ));
    }
    Ok(())
}
