//! The model's parameters: noise on them, and derivatives with respect to them.

use attriburn_kernels::Width;
use attriburn_kernels::parameter::{ParameterAddress, perturb};
use burn::tensor::Tensor;

use super::memory::read;
use super::{Explainer, checked, outputs, sum_of_scores};
use crate::plan::{Output, Plan, WeightNoise, WidthRule};
use crate::target::Target;
use crate::{Error, Input, Model, Parameter};

/// The derivative of a target's output with respect to one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterGradient {
    /// The parameter's name.
    pub name: String,
    /// The parameter's shape.
    pub shape: Vec<usize>,
    /// The derivative with respect to each element, in row-major order.
    pub values: Vec<f32>,
}

impl Explainer<'_> {
    /// The derivative of the target's `output` for the clean `input` with respect to the
    /// parameters called `names`, or to all for none.
    ///
    /// # Errors
    ///
    /// As for [`Explainer::explain`], and when the model does not keep its parameters apart, has
    /// none of a name, or its output does not depend on one.
    pub fn parameter_gradients(
        &self,
        input: &Input,
        target: Target,
        output: Output,
        names: &[&str],
    ) -> Result<Vec<ParameterGradient>, Error> {
        let own = kept_apart(self.model)?;
        if let Some(name) = names.iter().find(|name| own.iter().all(|own| own.name != **name)) {
            return Err(Error::NoParameter { name: (*name).to_owned() });
        }
        let prediction = self.predict(input)?;
        self.check_output(output, &prediction)?;
        let score = prediction.score(&target)?;
        score.check(output)?;
        let wanted = |own: &Parameter| names.is_empty() || names.contains(&own.name.as_str());
        let tracked = |own: &Parameter| match wanted(own) {
            true => own.values.clone().autodiff().require_grad(),
            false => own.values.clone(),
        };
        let values: Vec<Tensor<1>> = own.iter().map(tracked).collect();
        let row = self.row(input.values()).autodiff();
        let logits = checked(self.model.forward_with(row, &values)?, 1)?;
        let score = sum_of_scores(outputs(logits, output, self.model.link()), &[(&score, 1)])?;
        if !score.is_tracked() {
            return Err(Error::NoGradient);
        }
        let gradients = score.backward();
        let gradient = |(own, values): (&Parameter, &Tensor<1>)| {
            let gradient = values
                .grad(&gradients)
                .ok_or_else(|| Error::NoParameterGradient { name: own.name.clone() })?;
            let (name, shape) = (own.name.clone(), own.shape.clone());
            Ok(ParameterGradient { name, shape, values: read(gradient)? })
        };
        own.iter().zip(&values).filter(|(own, _)| wanted(own)).map(gradient).collect()
    }
}

/// Checks that `model` has the parameters that `plan` puts noise on.
///
/// # Errors
///
/// When it does not keep them apart, or a pattern of frozen ones matches none or leaves none.
pub fn check_parameters(model: &dyn Model, plan: &Plan) -> Result<(), Error> {
    plan.weights.iter().try_for_each(|noise| Drawn::new(model, noise, plan.seed).map(drop))
}

/// The parameters that a plan draws.
pub struct Drawn<'a> {
    own: &'a [Parameter],
    frozen: Vec<bool>,
    noise: &'a WeightNoise,
    seed: u64,
}

impl<'a> Drawn<'a> {
    /// The parameters of `model` that `noise` is put on.
    pub fn new(model: &'a dyn Model, noise: &'a WeightNoise, seed: u64) -> Result<Self, Error> {
        let own = kept_apart(model)?;
        let mut frozen = vec![false; own.len()];
        for text in &noise.freeze {
            let freeze = |reason: String| Error::Freeze { pattern: text.clone(), reason };
            let pattern = glob::Pattern::new(text)
                .map_err(|error| freeze(format!("is no pattern: {}", error.msg)))?;
            let mut matches = 0;
            for (own, frozen) in own.iter().zip(&mut frozen) {
                if pattern.matches(&own.name) {
                    (*frozen, matches) = (true, matches + 1);
                }
            }
            if matches == 0 {
                let names: Vec<&str> = own.iter().take(5).map(|own| own.name.as_str()).collect();
                let reason = format!("matches none of the parameters {}", names.join(", "));
                let more = if own.len() > names.len() { " and so on" } else { "" };
                return Err(freeze(reason + more));
            }
        }
        if frozen.iter().all(|&frozen| frozen) {
            let pattern = noise.freeze.join(", ");
            return Err(Error::Freeze { pattern, reason: "leaves no parameter to draw".into() });
        }
        Ok(Self { own, frozen, noise, seed })
    }

    /// All parameters with the noise of a draw; the model's own do not change.
    pub fn draw(&self, draw: u64) -> Vec<Tensor<1>> {
        let mollifier = self.noise.mollifier;
        let width = match self.noise.width {
            WidthRule::Relative { alpha } => Width::Proportional(alpha as f32),
            WidthRule::Absolute { sigma } => Width::Absolute(sigma as f32),
            WidthRule::Adaptive { confidence, rule } => {
                let p = rule.probability(confidence);
                Width::Proportional(mollifier.width_factor(p) as f32)
            }
        };
        let drawn = |(parameter, own): (usize, &Parameter)| {
            let values = own.values.clone();
            if self.frozen[parameter] {
                return values;
            }
            let (parameter, draw) = (parameter as u32, draw as u32);
            perturb(values, mollifier, width, ParameterAddress { seed: self.seed, parameter, draw })
        };
        self.own.iter().enumerate().map(drawn).collect()
    }
}

fn kept_apart(model: &dyn Model) -> Result<&[Parameter], Error> {
    match model.parameters() {
        [] => Err(Error::NoParameters),
        own => Ok(own),
    }
}
