//! The nonlinear nodes of a model, and how the samples of a batch lie in their values.

use std::collections::HashMap;
use std::ops::Range;

use super::network::{check_close, single_output};
use crate::graph::{Graph, Id, Node, Samples};
use crate::operators::{Jacobian, Linear, Operator, operator_of};
use crate::program::Program;
use crate::value::{Kind, Outcome, Value};

/// The nonlinear nodes of a model.
pub struct Layouts {
    /// The nodes by step; `None` for a linear node, and for one that does not depend on the samples.
    pub nodes: Vec<Option<Averaged>>,
    /// The layout of the samples in the output.
    pub output: Samples,
    /// The bytes of one sample in the inputs of the nodes that are not element-wise, with a tracked copy.
    pub bytes_per_sample: u64,
}

/// A nonlinear node: the layouts of the samples in its inputs and outputs; `None` for a value that does not depend
/// on the samples.
pub struct Averaged {
    pub inputs: Vec<Option<Samples>>,
    pub outputs: Vec<Option<Samples>>,
    /// The layout of the samples in the first input and in the output of an element-wise node.
    pub diagonal: Option<Samples>,
}

/// The bytes of an element: its value in the batch and a tracked copy, in float32.
const BYTES_PER_ELEMENT: usize = 8;

/// The values of nonlinear nodes in a run of trial rows.
struct Observed {
    inputs: HashMap<usize, Vec<Option<Value>>>,
    outputs: HashMap<usize, Vec<Value>>,
    output: Value,
}

impl Layouts {
    /// Finds the nonlinear nodes of `graph`, compiled as `program`, by running one and two of the trial rows that
    /// `trial_inputs` gives.
    ///
    /// # Errors
    ///
    /// When the model does not run, or the samples cannot be told apart in a value.
    pub fn find(
        graph: &Graph,
        program: &Program,
        trial_inputs: impl Fn(Range<usize>) -> Outcome<Vec<Value>>,
    ) -> Outcome<Self> {
        let is_of_sample = graph.values_of_sample();
        let jacobians: Vec<Jacobian> =
            graph.nodes.iter().map(|node| jacobian(graph, node, &is_of_sample)).collect();
        let is_nonlinear: Vec<bool> =
            jacobians.iter().map(|jacobian| !matches!(jacobian, Jacobian::Constant(_))).collect();
        let single = Observed::run(program, &is_nonlinear, trial_inputs(1..2)?)?;
        let pair = Observed::run(program, &is_nonlinear, trial_inputs(0..2)?)?;
        let mut elements = 0;
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        for (at, node) in graph.nodes.iter().enumerate() {
            if !is_nonlinear[at] {
                nodes.push(None);
                continue;
            }
            let layout = |(id, (single, pair)): (Option<Id>, (Option<&Value>, Option<&Value>))| {
                let (Some(id), Some(single), Some(pair)) = (id, single, pair) else {
                    return Ok(None);
                };
                if !is_of_sample[id.0] {
                    return Ok(None);
                }
                layout(single, pair).map(Some).ok_or_else(|| {
                    format!(
                        "{}: the samples of a batch cannot be told apart in {:?}",
                        node.label(),
                        graph.values[id.0].name
                    )
                })
            };
            let (one, two) = (&single.inputs[&at], &pair.inputs[&at]);
            let values = one.iter().map(Option::as_ref).zip(two.iter().map(Option::as_ref));
            let inputs: Vec<Option<Samples>> = read_values(graph, node)
                .into_iter()
                .zip(values)
                .map(layout)
                .collect::<Outcome<_>>()?;
            let values =
                single.outputs[&at].iter().map(Some).zip(pair.outputs[&at].iter().map(Some));
            let outputs: Vec<Option<Samples>> =
                node.outputs.iter().copied().zip(values).map(layout).collect::<Outcome<_>>()?;
            let keeps_shape = match (one.first(), &single.outputs[&at][..]) {
                (Some(Some(input)), [output]) => {
                    input.dims() == output.dims()
                        && (input.kind(), output.kind()) == (Kind::Float, Kind::Float)
                }
                _ => false,
            };
            let is_diagonal = jacobians[at] == Jacobian::Diagonal && keeps_shape;
            let diagonal = inputs.first().copied().flatten().filter(|_| is_diagonal);
            if diagonal.is_none() {
                let used = one.iter().zip(&inputs).filter(|(_, layout)| layout.is_some());
                let sizes = used.filter_map(|(value, _)| Some(value.as_ref()?.dims()));
                elements += sizes.map(|dims| dims.iter().product::<usize>()).sum::<usize>();
            }
            nodes.push(Some(Averaged { inputs, outputs, diagonal }));
        }
        let output = layout(&single.output, &pair.output)
            .ok_or("the samples of a batch cannot be told apart in the output")?;
        Ok(Self { nodes, output, bytes_per_sample: (elements * BYTES_PER_ELEMENT) as u64 })
    }
}

impl Observed {
    /// Runs trial rows and keeps the values of nonlinear nodes.
    fn run(program: &Program, is_nonlinear: &[bool], trial: Vec<Value>) -> Outcome<Self> {
        let (mut inputs, mut outputs) = (HashMap::new(), HashMap::new());
        let output = program.run_steps(trial, |at, step, values| {
            if is_nonlinear[at] {
                inputs.insert(at, values.clone());
            }
            let computed = step.run(values)?;
            if is_nonlinear[at] {
                outputs.insert(at, computed.clone());
            }
            Ok(computed)
        })?;
        Ok(Self { inputs, outputs, output: single_output(output)? })
    }
}

/// Returns the values that a step of `node` reads: its inputs and those that its subgraphs capture.
fn read_values(graph: &Graph, node: &Node) -> Vec<Option<Id>> {
    let captured = graph.captured(node).into_iter().map(Some);
    node.inputs.iter().copied().chain(captured).collect()
}

/// Returns what is known of the Jacobian of a node with respect to the samples. A node that does not depend on them
/// counts as linear.
fn jacobian(graph: &Graph, node: &Node, is_of_sample: &[bool]) -> Jacobian {
    if !node.reads_of_sample(is_of_sample) {
        return Jacobian::Constant(Linear::Jointly);
    }
    let read = read_values(graph, node);
    let of_sample = |at: &usize| read[*at].is_some_and(|id| is_of_sample[id.0]);
    let inputs: Vec<usize> = (0..read.len()).filter(of_sample).collect();
    let of_node = |operator: &Operator| {
        let is_setting = |at: &usize| operator.signature.settings.contains(at);
        // Another bound or axis for each sample is another Jacobian.
        match inputs.iter().any(is_setting) {
            true => Jacobian::Any,
            false => operator.jacobian.of_inputs(&inputs),
        }
    };
    operator_of(node).map_or(Jacobian::Any, of_node)
}

/// Finds the layout of the samples in a value from its contents for one sample and for two. `None` if the contents
/// do not tell: on the trial rows, the samples may have equal values.
fn layout(single: &Value, pair: &Value) -> Option<Samples> {
    let found = sample_layouts(&single.clone().into_float(), &pair.clone().into_float());
    match found[..] {
        [layout] => Some(layout),
        // With one element for each sample, both layouts are the same.
        [layout, _] if layout.each <= 1 => Some(layout),
        [_, _, ..] => None,
        // Indices of a maximum count from the first sample of the batch.
        [] => sample_axis(single, pair).filter(|_| !is_differentiable(single)),
    }
}

/// Whether a value can have a derivative.
pub fn is_differentiable(value: &Value) -> bool {
    matches!(value.kind(), Kind::Float | Kind::Level)
}

/// Finds the axis along which the samples of a value lie, from its shapes for one sample and for two.
fn sample_axis(single: &Value, pair: &Value) -> Option<Samples> {
    let (one, two) = (single.dims(), pair.dims());
    let mut axes = (0..one.len()).filter(|&axis| one.get(axis) != two.get(axis));
    let axis = axes.next().filter(|_| one.len() == two.len())?;
    let each = one[axis];
    let doubles = axes.next().is_none() && two[axis] == 2 * each;
    doubles.then_some(Samples { axis, each, interleaved: false })
}

/// Finds the sample layout of a value from its contents for one sample, `single`, and for a batch of another
/// sample followed by that sample, `pair`: the first that fits. `None` if none does.
pub fn sample_layout(single: &Value, pair: &Value) -> Option<Samples> {
    sample_layouts(single, pair).first().copied()
}

/// Finds the sample layouts of a value that fit its contents.
fn sample_layouts(single: &Value, pair: &Value) -> Vec<Samples> {
    let Some(contiguous) = sample_axis(single, pair) else { return Vec::new() };
    let fits = |samples: &Samples| {
        let numbers = samples.numbers(pair.dims()[samples.axis]).enumerate();
        let second = numbers.filter(|&(_, sample)| sample == 1).map(|(at, _)| at as i64);
        let second = pair.clone().select(samples.axis, second.collect());
        second.is_ok_and(|second| check_close(&second, single).is_ok())
    };
    let all = [false, true].map(|interleaved| Samples { interleaved, ..contiguous });
    all.into_iter().filter(fits).collect()
}
