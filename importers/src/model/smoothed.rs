//! Smoothed differentiation: the derivative passes through the mean Jacobian of each nonlinear node over samples.
//!
//! The samples run in batches without gradients. Then one tracked row, the *carrier*, runs through the same program.
//! A linear node has the same Jacobian for all samples, so it runs on the carrier alone. Of an element-wise node, the
//! batches leave the sum of its derivatives, by which the carrier is multiplied. Any other nonlinear node keeps its
//! inputs of all batches: it runs on them again, with the derivative of the carrier in every sample, and the carrier
//! goes on with the mean of its outputs. Only the carrier's derivative and its shapes matter, never its values.

use std::collections::HashMap;

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::Tensor;

use super::layouts::{Averaged, Layouts, is_differentiable};
use super::network::single_output;
use crate::graph::Samples;
use crate::program::{Program, Step};
use crate::value::{Outcome, Value};

/// A program of single nodes whose derivative can be averaged over samples.
pub struct SmoothedNetwork {
    pub program: Program,
    pub layouts: Layouts,
}

/// What the batches leave of a nonlinear node.
enum Kept {
    /// The sum over the samples of an element-wise derivative, `[outer, 1, inner]`; `None` if it is 0.
    Derivatives(Option<Box<Tensor<3>>>),
    /// The inputs, batch by batch.
    Inputs(Vec<Vec<Option<Value>>>),
}

/// What the batches leave of all nonlinear nodes, by step.
#[derive(Default)]
pub struct Batches {
    kept: HashMap<usize, Kept>,
    outputs: Vec<Value>,
    /// The number of samples of each batch.
    pub rows: Vec<usize>,
}

impl SmoothedNetwork {
    /// Runs a batch of `rows` samples.
    pub fn add(&self, left: &mut Batches, rows: usize, inputs: Vec<Value>) -> Outcome<()> {
        let outputs = self.program.run_steps(inputs, |at, step, inputs| {
            let Some(averaged) = self.layouts.nodes[at].as_ref() else { return step.run(inputs) };
            if let Some(samples) = averaged.diagonal {
                let (derivatives, outputs) = with_derivatives(samples, step, inputs)?;
                let kept = left.kept.entry(at).or_insert(Kept::Derivatives(None));
                if let (Kept::Derivatives(sum), Some(derivatives)) = (kept, derivatives) {
                    *sum = Some(Box::new(match sum.take() {
                        Some(sum) => *sum + derivatives,
                        None => derivatives,
                    }));
                }
                return Ok(outputs);
            }
            let kept = left.kept.entry(at).or_insert(Kept::Inputs(Vec::new()));
            if let Kept::Inputs(batches) = kept {
                batches.push(inputs.clone());
            }
            step.run(inputs)
        })?;
        left.outputs.push(single_output(outputs)?);
        left.rows.push(rows);
        Ok(())
    }

    /// Runs the carrier. Returns the outputs of the batches, with the derivative of the carrier in each sample.
    pub fn outputs(&self, left: Batches, carrier: Vec<Value>) -> Outcome<Vec<Value>> {
        let Batches { mut kept, outputs, rows } = left;
        let carriers = self.program.run_steps(carrier, |at, step, inputs| {
            match self.layouts.nodes[at].as_ref().zip(kept.remove(&at)) {
                None => step.run(inputs),
                Some((averaged, Kept::Derivatives(sum))) => {
                    averaged.multiply(&inputs, sum.map(|sum| *sum), rows.iter().sum())
                }
                Some((averaged, Kept::Inputs(batches))) => {
                    averaged.run(step, batches, &inputs, &rows)
                }
            }
        })?;
        let carrier = single_output(carriers)?;
        let attached = |output: &Value| attach(self.layouts.output, output, &carrier);
        outputs.iter().map(attached).collect()
    }
}

/// Runs an element-wise node. Returns the sum over the samples of its derivative, and its outputs.
fn with_derivatives(
    samples: Samples,
    step: &Step,
    mut inputs: Vec<Option<Value>>,
) -> Outcome<(Option<Tensor<3>>, Vec<Value>)> {
    let value = inputs[0].take().ok_or("the required input 0 is missing")?;
    let leaf = by_sample(samples, &value)?.autodiff().require_grad();
    inputs[0] = Some(value.with_tensor(leaf.clone().into_dispatch()).reshape(&value.dims())?);
    let mut outputs = step.run(inputs)?;
    let output = by_sample(samples, &outputs[0])?;
    if !output.is_tracked() {
        return Ok((None, outputs));
    }
    let derivatives = leaf.grad(&output.clone().sum().backward());
    let inner = outputs[0].with_tensor(output.inner().into_dispatch());
    outputs[0] = inner.reshape(&value.dims())?;
    Ok((derivatives.map(|derivatives| derivatives.sum_dim(1)), outputs))
}

impl Averaged {
    /// Returns the carrier of an element-wise node with this `sum` of derivatives over `rows` samples.
    fn multiply(
        &self,
        carriers: &[Option<Value>],
        sum: Option<Tensor<3>>,
        rows: usize,
    ) -> Outcome<Vec<Value>> {
        let value = carriers[0].as_ref().ok_or("the required input 0 is missing")?;
        let samples = self.diagonal.ok_or("the node is not element-wise")?;
        let zero = zero_with_derivative(by_sample(samples, value)?);
        let carrier = match sum {
            Some(sum) => zero * (sum / rows as f32).autodiff(),
            None => zero.detach(),
        };
        Ok(vec![value.with_tensor(carrier.into_dispatch()).reshape(&value.dims())?])
    }

    /// Runs the node on the inputs of all batches, with the derivative of the `carriers`. Returns the means of the
    /// outputs over all samples.
    fn run(
        &self,
        step: &Step,
        batches: Vec<Vec<Option<Value>>>,
        carriers: &[Option<Value>],
        rows: &[usize],
    ) -> Outcome<Vec<Value>> {
        let total: usize = rows.iter().sum();
        let mut means: Option<Vec<Value>> = None;
        for (batch, &rows) in batches.into_iter().zip(rows) {
            let inputs = batch.into_iter().zip(carriers).zip(&self.inputs);
            let inputs =
                inputs.map(|((value, carrier), samples)| match (value, carrier, samples) {
                    (Some(value), Some(carrier), Some(samples)) => {
                        attach(*samples, &value, carrier).map(Some)
                    }
                    (value, ..) => Ok(value),
                });
            let outputs = step.run(inputs.collect::<Outcome<_>>()?)?;
            let share = rows as f32 / total as f32;
            let mean = |(value, samples): (Value, &Option<Samples>)| match samples {
                Some(samples) => weighted_mean(*samples, &value, share),
                None => Ok(value),
            };
            let outputs: Vec<Value> =
                outputs.into_iter().zip(&self.outputs).map(mean).collect::<Outcome<_>>()?;
            means = Some(match means {
                None => outputs,
                Some(means) => {
                    let pairs = means.into_iter().zip(outputs).zip(&self.outputs);
                    pairs.map(|((sum, value), samples)| sum_of(sum, value, samples)).collect()
                }
            });
        }
        means.ok_or_else(|| "there are no samples".into())
    }
}

/// Returns the tensor as `[outer, samples, inner]`.
fn by_sample(samples: Samples, value: &Value) -> Outcome<Tensor<3>> {
    let dims = value.dims();
    let outer: usize = dims[..samples.axis].iter().product();
    let inner: usize = dims[samples.axis + 1..].iter().product();
    let (each, count) = (samples.each, dims[samples.axis] / samples.each.max(1));
    let shape = match samples.interleaved {
        true => [outer * each, count, inner],
        false => [outer, count, each * inner],
    };
    Ok(Tensor::from_dispatch(value.clone().reshape(&shape)?.tensor()))
}

/// Returns zeros with the derivative of `carrier`.
fn zero_with_derivative(carrier: Tensor<3>) -> Tensor<3> {
    let zero = carrier.clone() - carrier.detach();
    // The difference of two infinite numbers is none.
    zero.clone().mask_fill(zero.is_nan(), 0.0)
}

/// Returns `value` with the derivative of `carrier`, which has one sample, in each of its samples.
fn attach(samples: Samples, value: &Value, carrier: &Value) -> Outcome<Value> {
    if !is_differentiable(value) {
        return Ok(value.clone());
    }
    let carrier = by_sample(samples, carrier)?;
    if !carrier.is_tracked() {
        return Ok(value.clone());
    }
    let attached = by_sample(samples, value)?.autodiff() + zero_with_derivative(carrier);
    value.with_tensor(attached.into_dispatch()).reshape(&value.dims())
}

/// Returns the mean of the samples times `share`; of a value without derivative, the first sample.
fn weighted_mean(samples: Samples, value: &Value, share: f32) -> Outcome<Value> {
    let mut dims = value.dims();
    if !is_differentiable(value) {
        let numbers = samples.numbers(dims[samples.axis]).enumerate();
        let first = numbers.filter(|&(_, sample)| sample == 0).map(|(at, _)| at as i64);
        return value.clone().select(samples.axis, first.collect());
    }
    let mean = by_sample(samples, value)?.mean_dim(1) * share;
    dims[samples.axis] = samples.each;
    value.with_tensor(mean.into_dispatch()).reshape(&dims)
}

/// Returns the sum of the weighted means of two batches.
fn sum_of(a: Value, b: Value, samples: &Option<Samples>) -> Value {
    if samples.is_none() || !is_differentiable(&a) {
        return a;
    }
    let sum = Dispatch::float_add(a.tensor(), b.tensor());
    a.with_tensor(sum)
}
