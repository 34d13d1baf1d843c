//! Branches and loops: operators that run the graphs inside them. How often and which of them runs
//! may follow from shapes, but not from the values of a sample: those of a batch would share it.

use super::{ANY, Inputs, Operator, Role, Run, Site, axis};
use crate::graph::Graph;
use crate::program::Program;
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

/// The most iterations of a loop.
const LONGEST: i64 = 1 << 16;

/// A graph inside a node.
struct Inner {
    program: Program,
    inputs: usize,
    outputs: usize,
    /// Whether its first output, a loop's condition, follows from more than the iteration's number.
    is_open: bool,
}

impl Inner {
    fn new(site: &Site, name: &str) -> Outcome<Self> {
        let block = site.node.blocks.iter().find(|(own, _)| own == name);
        let (_, block) = block.ok_or_else(|| format!("it has no {name}"))?;
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
        let is_open = graph.outputs.first().is_some_and(|&id| graph.depends_on(id, carried));
        let program = Program::new(&graph, site.device).map_err(|error| error.to_string())?;
        Ok(Self { program, inputs: block.inputs.len(), outputs: block.outputs.len(), is_open })
    }

    /// The outputs for its own inputs and the values that it captures.
    fn run(&self, own: Vec<Value>, captured: &[Value]) -> Outcome<Vec<Value>> {
        if own.len() != self.inputs {
            return Err(format!("its graph takes {} values, not {}", self.inputs, own.len()));
        }
        self.program.run([own, captured.to_vec()].concat(), |_, _| {})
    }
}

fn branch(site: &Site) -> Outcome<Run> {
    if site.is_of_sample(0) {
        return Err("its condition depends on the values of the input, which is not supported: the samples of a batch would share it".into());
    }
    let (yes, no) = (Inner::new(site, "then_branch")?, Inner::new(site, "else_branch")?);
    Ok(Box::new(move |inputs| {
        let holds = truth(&inputs.value(0)?)?;
        let captured = inputs.from(1)?;
        if holds { yes.run(Vec::new(), &captured) } else { no.run(Vec::new(), &captured) }
    }))
}

/// The one boolean in `value`.
fn truth(value: &Value) -> Outcome<bool> {
    match value.clone().into_int()?.ints()?[..] {
        [value] => Ok(value != 0),
        ref values => Err(format!("its condition has {} values", values.len())),
    }
}

/// Runs its body a number of times: the body turns the values that are carried into the next ones,
/// and makes a slice of every further output.
fn repeat(site: &Site) -> Outcome<Run> {
    let body = Inner::new(site, "body")?;
    if site.is_of_sample(0) || site.is_of_sample(1) || body.is_open {
        return Err("how often it runs depends on the values of the input, which is not supported: the samples of a batch would share it".into());
    }
    // Inputs at the end that are absent are not listed.
    let (listed, own) = (site.node.inputs.len(), site.node.inputs.len().max(2));
    let (counted, conditional) = (site.has(0), site.has(1));
    let carried = own - 2;
    if body.inputs != own || body.outputs < carried + 1 {
        return Err("its body does not take and give what it carries".into());
    }
    Ok(Box::new(move |inputs| {
        let most = match counted {
            true => *inputs.ints(0)?.first().ok_or("its count is missing")?,
            false => i64::MAX,
        };
        let mut goes_on = !conditional || truth(&inputs.value(1)?)?;
        let captured = inputs.from(listed)?;
        let mut state = (2..own).map(|index| inputs.value(index)).collect::<Outcome<Vec<_>>>()?;
        let mut slices = vec![Vec::new(); body.outputs - 1 - carried];
        let mut iteration = 0;
        while goes_on && iteration < most {
            if iteration == LONGEST {
                return Err(format!("it runs more than {LONGEST} times"));
            }
            let number = Value::from_ints(vec![iteration]).reshape(&[])?;
            let condition = Value::from_bools(vec![true]).reshape(&[])?;
            let mut made = body.run([vec![number, condition], state].concat(), &captured)?;
            goes_on = truth(&made[0])?;
            keep(&mut slices, made.split_off(1 + carried), &vec![0; body.outputs])?;
            state = made.split_off(1);
            iteration += 1;
        }
        let joined = slices.iter().map(|slices| join(slices, 0, false));
        Ok([state, joined.collect::<Outcome<_>>()?].concat())
    }))
}

/// Appends each of `made` to its `slices`, with a new axis of size 1.
fn keep(slices: &mut [Vec<Value>], made: Vec<Value>, axes: &[i64]) -> Outcome<()> {
    for ((slices, value), &along) in slices.iter_mut().zip(made).zip(axes) {
        let at = axis(along, value.rank() + 1)?;
        slices.push(value.with_axis(at)?);
    }
    Ok(())
}

/// The slices of all iterations as one value.
fn join(slices: &[Value], along: i64, reversed: bool) -> Outcome<Value> {
    let first = slices.first().ok_or("it runs no iteration, so that an output has no shape")?;
    let at = axis(along, first.rank())?;
    match reversed {
        true => Value::concat(&slices.iter().rev().cloned().collect::<Vec<_>>(), at),
        false => Value::concat(slices, at),
    }
}

/// Runs its body for every slice of some inputs.
fn scan(site: &Site) -> Outcome<Run> {
    let body = Inner::new(site, "body")?;
    let own = site.node.inputs.len();
    let scanned = usize::try_from(site.int("num_scan_inputs", 0)?).ok();
    let carried =
        scanned.filter(|&scanned| scanned > 0).and_then(|scanned| own.checked_sub(scanned));
    let carried = carried.ok_or("its num_scan_inputs is not the number of inputs that it has")?;
    let scanned = own - carried;
    let made = body.outputs.checked_sub(carried).ok_or("its body gives too few values")?;
    let list = |name: &str, count: usize| match site.ints(name)? {
        None => Ok(vec![0; count]),
        Some(values) if values.len() == count => Ok(values),
        Some(values) => Err(format!("its {name} {values:?} are not {count}")),
    };
    let (from, to) = (list("scan_input_axes", scanned)?, list("scan_output_axes", made)?);
    let backwards = list("scan_input_directions", scanned)?;
    let reversed = list("scan_output_directions", made)?;
    Ok(Box::new(move |inputs| {
        let captured = inputs.from(own)?;
        let mut state =
            (0..carried).map(|index| inputs.value(index)).collect::<Outcome<Vec<_>>>()?;
        let columns =
            (carried..own).map(|index| inputs.value(index)).collect::<Outcome<Vec<_>>>()?;
        let axes = columns.iter().zip(&from).map(|(value, &along)| axis(along, value.rank()));
        let axes = axes.collect::<Outcome<Vec<_>>>()?;
        let length = columns[0].dims()[axes[0]];
        if columns.iter().zip(&axes).any(|(value, &axis)| value.dims()[axis] != length) {
            return Err("the inputs that it scans differ in length".into());
        }
        let mut slices = vec![Vec::new(); made];
        for step in 0..length {
            let mut own = state;
            for ((value, &axis), &backwards) in columns.iter().zip(&axes).zip(&backwards) {
                let at = if backwards == 1 { length - 1 - step } else { step };
                own.push(value.clone().part(axis, at)?);
            }
            let mut all = body.run(own, &captured)?;
            keep(&mut slices, all.split_off(carried), &to)?;
            state = all;
        }
        let joined = slices.iter().enumerate();
        let joined = joined.map(|(at, slices)| join(slices, to[at], reversed[at] == 1));
        Ok([state, joined.collect::<Outcome<_>>()?].concat())
    }))
}

impl Inputs {
    /// The inputs from `index` on, all of which are given.
    fn from(&self, index: usize) -> Outcome<Vec<Value>> {
        (index..self.len()).map(|index| self.value(index)).collect()
    }
}
