//! Derivatives of an output with respect to the model's parameters.

use burn::tensor::Tensor;

use super::explainer::Explainer;
use super::parameters::exposed_parameters;
use super::predict::checked;
use super::readback::{read, row};
use super::task::check_output;
use crate::error::{Error, error};
use crate::plan::Output;
use crate::score::{outputs, sum_of_scores};
use crate::{Input, Parameter, Target};

/// The derivative of a target's output with respect to one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterGradient {
    /// The name of the parameter.
    pub name: String,
    /// The shape of the parameter.
    pub shape: Vec<usize>,
    /// The derivative with respect to each element, in row-major order.
    pub values: Vec<f32>,
}

impl Explainer<'_> {
    /// The derivatives of the target's `output` for the clean `input` with respect to the parameters with
    /// these `names`, or with respect to all parameters if `names` is empty.
    ///
    /// # Errors
    ///
    /// As for [`Explainer::explain`], and if the model does not expose its parameters, has none of a name, or
    /// its output does not depend on one.
    pub fn parameter_gradients(
        &self,
        input: &Input,
        target: impl Into<Target>,
        output: Output,
        names: &[&str],
    ) -> Result<Vec<ParameterGradient>, Error> {
        let parameters = exposed_parameters(self.model)?;
        let is_known = |name: &&&str| parameters.iter().any(|parameter| parameter.name == **name);
        if let Some(name) = names.iter().find(|name| !is_known(name)) {
            return Err(error!(Parameter, "the model has no parameter {name:?}"));
        }
        let task = self.task(input, target)?;
        check_output(output, task.prediction())?;
        task.score().check_output(output)?;
        let is_requested =
            |parameter: &Parameter| names.is_empty() || names.contains(&parameter.name.as_str());
        let tracked = |parameter: &Parameter| match is_requested(parameter) {
            true => parameter.values.clone().autodiff().require_grad(),
            false => parameter.values.clone(),
        };
        let values: Vec<Tensor<1>> = parameters.iter().map(tracked).collect();
        let row = row(input.values(), self.model.device()).autodiff();
        let logits = checked(self.model.forward_with(row, &values)?, 1, None)?;
        let score =
            sum_of_scores(outputs(logits, output, self.model.link()), &[(task.score(), 1)])?;
        if !score.is_tracked() {
            return Err(Error::no_gradient());
        }
        let gradients = score.backward();
        let gradient = |(parameter, values): (&Parameter, &Tensor<1>)| {
            let (name, shape) = (parameter.name.clone(), parameter.shape.clone());
            let gradient = values.grad(&gradients).ok_or_else(|| {
                error!(
                    NoGradient,
                    "the model's output does not depend on the parameter {name:?}, so it has no derivative"
                )
            })?;
            Ok(ParameterGradient { name, shape, values: read(gradient)? })
        };
        let requested = |(parameter, _): &(&Parameter, _)| is_requested(parameter);
        parameters.iter().zip(&values).filter(requested).map(gradient).collect()
    }
}
