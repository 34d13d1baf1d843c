//! Control flow: operators that run subgraphs. The choice of a branch and the number of iterations may depend
//! on shapes, but not on the values of the model's input: all samples of a batch share one decision.

use super::site::RunSubgraph;
use super::{ANY, Inputs, Operator, Role, Run, Site, axis};
use crate::graph::Graph;
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("If", 1, (1, 1), branch)
        .role(Role::If)
        .blocks(&["then_branch", "else_branch"])
        .outputs(ANY)
        .settings(&[0]),
    Operator::new("Loop", 1, (0, ANY), repeat).blocks(&["body"]).outputs(ANY).settings(&[0, 1]),
    Operator::new("Scan", 9, (1, ANY), scan).blocks(&["body"]).outputs(ANY),
];

/// The maximum number of iterations of a loop.
const MAX_ITERATIONS: i64 = 1 << 16;

/// A compiled subgraph of a node.
struct Subgraph {
    run: RunSubgraph,
    /// The number of formal inputs, without captured values.
    inputs: usize,
    outputs: usize,
    /// Whether the first output, the condition of a loop, depends on loop-carried or captured values. The
    /// iteration number is the only input on which it may depend.
    condition_is_carried: bool,
}

impl Subgraph {
    fn new(site: &Site, name: &str) -> Outcome<Self> {
        let block = site.node.blocks.iter().find(|(block_name, _)| block_name == name);
        let (_, block) =
            block.ok_or_else(|| format!("the subgraph attribute {name} is missing"))?;
        let captured = site.graph.captured(site.node);
        let inputs = [&block.inputs[..], &captured].concat();
        let graph = Graph {
            values: site.graph.values.clone(),
            nodes: block.nodes.clone(),
            samples: inputs.len(),
            inputs,
            outputs: block.outputs.clone(),
            samples_in: site.graph.samples_in.clone(),
            rounds: site.graph.rounds,
        };
        let carried = &graph.inputs[block.inputs.len().min(2)..];
        let condition_is_carried =
            graph.outputs.first().is_some_and(|&id| graph.depends_on(id, carried));
        let run = (site.compile_subgraph)(&graph, site.device)?;
        Ok(Self {
            run,
            inputs: block.inputs.len(),
            outputs: block.outputs.len(),
            condition_is_carried,
        })
    }

    /// Runs the subgraph on its formal inputs and the captured values of the outer graph.
    fn run(&self, inputs: Vec<Value>, captured: &[Value]) -> Outcome<Vec<Value>> {
        if inputs.len() != self.inputs {
            return Err(format!("the subgraph has {} inputs, not {}", self.inputs, inputs.len()));
        }
        (self.run)([inputs, captured.to_vec()].concat())
    }
}

fn branch(site: &Site) -> Outcome<Run> {
    if site.is_of_sample(0) {
        return Err("the condition depends on the values of the model's input, but all samples of a batch share one branch".into());
    }
    let (then_branch, else_branch) =
        (Subgraph::new(site, "then_branch")?, Subgraph::new(site, "else_branch")?);
    Ok(Box::new(move |inputs| {
        let holds = read_condition(&inputs.value(0)?)?;
        let captured = inputs.tail(1)?;
        if holds {
            then_branch.run(Vec::new(), &captured)
        } else {
            else_branch.run(Vec::new(), &captured)
        }
    }))
}

/// Reads a condition, which must have a single element.
fn read_condition(value: &Value) -> Outcome<bool> {
    match value.clone().into_int()?.ints()?[..] {
        [value] => Ok(value != 0),
        ref values => Err(format!("a condition must have one element, not {}", values.len())),
    }
}

/// Compiles a Loop. Each iteration of the body maps the loop-carried values to their next values and returns
/// one slice of each scan output.
fn repeat(site: &Site) -> Outcome<Run> {
    let body = Subgraph::new(site, "body")?;
    if site.is_of_sample(0) || site.is_of_sample(1) || body.condition_is_carried {
        return Err("the number of iterations depends on the values of the model's input, but all samples of a batch share it".into());
    }
    // Absent trailing inputs are not listed, but the trip count and the condition always have a place.
    let (listed_inputs, input_count) = (site.node.inputs.len(), site.node.inputs.len().max(2));
    let (counted, conditional) = (site.has(0), site.has(1));
    let carried = input_count - 2;
    if body.inputs != input_count || body.outputs < carried + 1 {
        return Err(
            "the inputs and outputs of the body do not match the loop-carried values".into()
        );
    }
    Ok(Box::new(move |inputs| {
        let max_trips = match counted {
            true => *inputs.ints(0)?.first().ok_or("the trip count is empty")?,
            false => i64::MAX,
        };
        let mut condition_holds = !conditional || read_condition(&inputs.value(1)?)?;
        let captured = inputs.tail(listed_inputs)?;
        let mut state =
            (2..input_count).map(|index| inputs.value(index)).collect::<Outcome<Vec<_>>>()?;
        let mut slices = vec![Vec::new(); body.outputs - 1 - carried];
        let mut iteration = 0;
        while condition_holds && iteration < max_trips {
            if iteration == MAX_ITERATIONS {
                return Err(format!("the loop exceeds the limit of {MAX_ITERATIONS} iterations"));
            }
            let number = Value::from_ints(vec![iteration]).reshape(&[])?;
            let condition = Value::from_bools(vec![true]).reshape(&[])?;
            let mut outputs = body.run([vec![number, condition], state].concat(), &captured)?;
            condition_holds = read_condition(&outputs[0])?;
            append_slices(&mut slices, outputs.split_off(1 + carried), &vec![0; body.outputs])?;
            state = outputs.split_off(1);
            iteration += 1;
        }
        let joined = slices.iter().map(|slices| concat_slices(slices, 0, false));
        Ok([state, joined.collect::<Outcome<_>>()?].concat())
    }))
}

/// Appends each value of an iteration to its list of slices, with a new axis of size 1 at `axes`.
fn append_slices(slices: &mut [Vec<Value>], outputs: Vec<Value>, axes: &[i64]) -> Outcome<()> {
    for ((slices, value), &along) in slices.iter_mut().zip(outputs).zip(axes) {
        let at = axis(along, value.rank() + 1)?;
        slices.push(value.insert_axis(at)?);
    }
    Ok(())
}

/// Concatenates the slices of all iterations along the axis `along`.
fn concat_slices(slices: &[Value], along: i64, reversed: bool) -> Outcome<Value> {
    let first = slices
        .first()
        .ok_or("a loop without iterations leaves the shape of a scan output unknown")?;
    let at = axis(along, first.rank())?;
    match reversed {
        true => Value::concat(&slices.iter().rev().cloned().collect::<Vec<_>>(), at),
        false => Value::concat(slices, at),
    }
}

/// Compiles a Scan, which runs the body for every slice of the scanned inputs.
fn scan(site: &Site) -> Outcome<Run> {
    let body = Subgraph::new(site, "body")?;
    let input_count = site.node.inputs.len();
    let scanned = usize::try_from(site.int("num_scan_inputs", 0)?).ok();
    let carried =
        scanned.filter(|&scanned| scanned > 0).and_then(|scanned| input_count.checked_sub(scanned));
    let carried =
        carried.ok_or("num_scan_inputs must be positive and at most the number of inputs")?;
    let scanned = input_count - carried;
    let outputs = body
        .outputs
        .checked_sub(carried)
        .ok_or("the body has fewer outputs than loop-carried values")?;
    let list = |name: &str, count: usize| match site.ints(name)? {
        None => Ok(vec![0; count]),
        Some(values) if values.len() == count => Ok(values),
        Some(values) => Err(format!("{name} {values:?} must have {count} values")),
    };
    let (from, to) = (list("scan_input_axes", scanned)?, list("scan_output_axes", outputs)?);
    let backwards = list("scan_input_directions", scanned)?;
    let reversed = list("scan_output_directions", outputs)?;
    Ok(Box::new(move |inputs| {
        let captured = inputs.tail(input_count)?;
        let mut state =
            (0..carried).map(|index| inputs.value(index)).collect::<Outcome<Vec<_>>>()?;
        let scanned_values =
            (carried..input_count).map(|index| inputs.value(index)).collect::<Outcome<Vec<_>>>()?;
        let axes =
            scanned_values.iter().zip(&from).map(|(value, &along)| axis(along, value.rank()));
        let axes = axes.collect::<Outcome<Vec<_>>>()?;
        let length = scanned_values[0].dims()[axes[0]];
        if scanned_values.iter().zip(&axes).any(|(value, &axis)| value.dims()[axis] != length) {
            return Err("the scanned inputs differ in length".into());
        }
        let mut slices = vec![Vec::new(); outputs];
        for step in 0..length {
            let mut step_inputs = state;
            for ((value, &axis), &backwards) in scanned_values.iter().zip(&axes).zip(&backwards) {
                let at = if backwards == 1 { length - 1 - step } else { step };
                step_inputs.push(value.clone().index_axis(axis, at)?);
            }
            let mut step_outputs = body.run(step_inputs, &captured)?;
            append_slices(&mut slices, step_outputs.split_off(carried), &to)?;
            state = step_outputs;
        }
        let joined = slices.iter().enumerate();
        let joined = joined.map(|(at, slices)| concat_slices(slices, to[at], reversed[at] == 1));
        Ok([state, joined.collect::<Outcome<_>>()?].concat())
    }))
}

impl Inputs {
    /// Returns the inputs from `index` on, all of which are required.
    fn tail(&self, index: usize) -> Outcome<Vec<Value>> {
        (index..self.len()).map(|index| self.value(index)).collect()
    }
}
