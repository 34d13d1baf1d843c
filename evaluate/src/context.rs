//! The models and parameters that the metrics of an evaluation share.

use attriburn::{Baseline, Explainer, Model};
use attriburn_metrics::{Cascade, MIN_PROBABILITY, Stage};

/// The explained model, the comparison models, and the parameters of metrics.
#[non_exhaustive]
pub struct Context<'a> {
    /// The explainer of the evaluated model.
    pub explainer: Explainer<'a>,
    /// The explainer of the model trained on shuffled labels.
    pub shuffled: Option<Explainer<'a>>,
    /// The explainer of the model trained on shifted inputs, and the shift of these inputs.
    pub shifted: Option<(Explainer<'a>, f32)>,
    /// The explainer of the model trained on other data.
    pub other: Option<Explainer<'a>>,
    /// The explainers of the models with randomized layers. Each stage randomizes more layers than the stage
    /// before, beginning with the last layer of the model.
    pub cascade: Vec<(&'a Stage, Explainer<'a>)>,
    /// The values that replace deleted pixels.
    pub fill: Baseline,
    /// The number of strongest pixels that the pointing game counts.
    pub points: usize,
    /// The predicted probability below which an image has no softmax information curve.
    pub min_probability: f64,
}

impl<'a> Context<'a> {
    /// Returns a context without comparison models, with the default parameters: zeros replace deleted
    /// pixels, the pointing game counts 5 pixels, and the probability threshold is that of PAIR.
    pub fn new(explainer: Explainer<'a>) -> Self {
        Self {
            explainer,
            shuffled: None,
            shifted: None,
            other: None,
            cascade: Vec::new(),
            fill: Baseline::Zero,
            points: 5,
            min_probability: MIN_PROBABILITY,
        }
    }

    /// Sets the models of a cascade; `explainer` creates the explainer of each model.
    #[must_use]
    pub fn with_cascade(
        mut self,
        cascade: &'a Cascade<'a>,
        explainer: impl Fn(&'a dyn Model) -> Explainer<'a>,
    ) -> Self {
        let stage = |model: &'a attriburn_metrics::RandomizedModel<'a>| {
            let as_model: &'a dyn Model = model;
            (model.stage(), explainer(as_model))
        };
        self.cascade = cascade.stages().iter().map(stage).collect();
        self
    }
}
