//! Noise on the model's parameters.

use attriburn_kernels::parameter::{ParameterAddress, perturb};
use burn::tensor::Tensor;

use crate::error::{Error, error};
use crate::plan::Plan;
use crate::sampler::WeightNoise;
use crate::{Model, Parameter};

/// Checks that `model` has the parameters that `plan` puts noise on.
///
/// # Errors
///
/// Returns an error if the model does not expose its parameters, or a pattern of frozen parameters matches
/// none, or the patterns leave no parameter to draw.
pub fn check_parameters(model: &dyn Model, plan: &Plan) -> Result<(), Error> {
    plan.weights.iter().try_for_each(|noise| ParameterNoise::new(model, noise, plan.seed).map(drop))
}

/// The noise of a plan on the parameters of a model.
pub struct ParameterNoise<'a> {
    parameters: &'a [Parameter],
    /// Whether each parameter stays unchanged.
    frozen: Vec<bool>,
    noise: &'a WeightNoise,
    seed: u64,
}

impl<'a> ParameterNoise<'a> {
    /// The parameters of `model` that `noise` is put on.
    pub fn new(model: &'a dyn Model, noise: &'a WeightNoise, seed: u64) -> Result<Self, Error> {
        let parameters = exposed_parameters(model)?;
        let mut frozen = vec![false; parameters.len()];
        for text in &noise.freeze {
            let pattern = glob::Pattern::new(text)
                .map_err(|error| bad_pattern(text, format!("is no pattern: {}", error.msg)))?;
            let mut matches = 0;
            for (parameter, frozen) in parameters.iter().zip(&mut frozen) {
                if pattern.matches(&parameter.name) {
                    (*frozen, matches) = (true, matches + 1);
                }
            }
            if matches == 0 {
                return Err(bad_pattern(text, no_match(parameters)));
            }
        }
        if frozen.iter().all(|&frozen| frozen) {
            let patterns = noise.freeze.join(", ");
            return Err(bad_pattern(&patterns, "leaves no parameter to draw".into()));
        }
        Ok(Self { parameters, frozen, noise, seed })
    }

    /// All parameters, with the noise of the draw number `draw`. The model's own do not change.
    pub fn draw(&self, draw: u64) -> Vec<Tensor<1>> {
        let mollifier = self.noise.mollifier;
        let width = self.noise.width.on_parameter(mollifier);
        let noisy = |(index, parameter): (usize, &Parameter)| {
            let values = parameter.values.clone();
            if self.frozen[index] {
                return values;
            }
            let (parameter, draw) = (index as u32, draw as u32);
            perturb(values, mollifier, width, ParameterAddress { seed: self.seed, parameter, draw })
        };
        self.parameters.iter().enumerate().map(noisy).collect()
    }
}

fn bad_pattern(pattern: &str, reason: String) -> Error {
    error!(Parameter, "the pattern {pattern:?} of frozen parameters {reason}")
}

/// The reason where a pattern matches no parameter, with the first names.
fn no_match(parameters: &[Parameter]) -> String {
    let names: Vec<&str> =
        parameters.iter().take(5).map(|parameter| parameter.name.as_str()).collect();
    let more = if parameters.len() > names.len() { " and so on" } else { "" };
    format!("matches none of the parameters {}{more}", names.join(", "))
}

/// The parameters that the model exposes.
pub fn exposed_parameters(model: &dyn Model) -> Result<&[Parameter], Error> {
    match model.parameters() {
        [] => Err(Error::no_parameters()),
        parameters => Ok(parameters),
    }
}
