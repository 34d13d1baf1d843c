//! A compiled graph: a list of steps over numbered slots, with the weights on the device.

mod compiler;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::Tensor;

use crate::graph::Id;
use crate::operators::{Inputs, Run};
use crate::room::{self, Reservation};
use crate::value::{Outcome, Value};

pub use compiler::compile_subgraph;

/// A compiled graph.
pub struct Program {
    steps: Vec<Step>,
    constants: Vec<Value>,
    slots: usize,
    /// The slot of each value that is not constant.
    slot_of_value: HashMap<Id, usize>,
    outputs: Vec<Source>,
}

/// A step of the program: one node, or several nodes fused into one computation.
pub struct Step {
    /// The operator and the node's name, for messages.
    label: String,
    /// Whether the step replaces several nodes.
    is_fused: bool,
    run: Run,
    inputs: Vec<Option<Source>>,
    /// The slots of the outputs; `None` for an output that nothing reads.
    outputs: Vec<Option<usize>>,
    /// The slots that no later step reads.
    dead: Vec<usize>,
}

/// The value in a slot, with its reservation under the memory limit.
struct Held {
    value: Value,
    _reservation: Reservation,
}

impl Held {
    fn new(value: Value) -> Outcome<Self> {
        let reservation = room::reserve(&value.dims())?;
        Ok(Self { value, _reservation: reservation })
    }
}

/// A group of nodes with one input and one output that becomes one step.
pub struct FusedNodes {
    /// The indices of the nodes in the graph; the last node produces the output.
    pub nodes: Vec<usize>,
    /// The input of the group.
    pub input: Id,
    pub label: String,
    pub run: Run,
}

/// The location of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Slot(usize),
    Constant(usize),
}

impl Source {
    fn slot(self) -> Option<usize> {
        match self {
            Self::Slot(slot) => Some(slot),
            Self::Constant(_) => None,
        }
    }
}

impl Program {
    /// Runs the program on `inputs` (the sample, then the parameters) and returns the outputs. `observe` is
    /// called with the index and the outputs of every step. Before [`fuse`](Self::fuse), the index of a step
    /// is the index of its node in the graph.
    ///
    /// # Errors
    ///
    /// When a node fails; the message contains the shapes of the node's inputs.
    pub fn run(
        &self,
        inputs: Vec<Value>,
        mut observe: impl FnMut(usize, &[Value]),
    ) -> Result<Vec<Value>, String> {
        self.run_steps(inputs, |at, step, inputs| {
            let outputs = step.run(inputs)?;
            observe(at, &outputs);
            Ok(outputs)
        })
    }

    /// Runs the program as [`run`](Self::run) does, but with the result of `replace` in place of the value
    /// `id`.
    ///
    /// # Errors
    ///
    /// When a node or `replace` fails, or no step computes the value.
    pub fn run_replacing(
        &self,
        inputs: Vec<Value>,
        id: Id,
        replace: impl FnOnce(Value) -> Outcome<Value>,
    ) -> Result<Vec<Value>, String> {
        let mut replace = Some(replace);
        let outputs = self.run_steps(inputs, |at, step, inputs| {
            let mut outputs = step.run(inputs)?;
            let Some(index) = self.output_index(at, id) else { return Ok(outputs) };
            if let (Some(replace), Some(value)) = (replace.take(), outputs.get_mut(index)) {
                *value = replace(value.clone())?;
            }
            Ok(outputs)
        })?;
        match replace {
            None => Ok(outputs),
            Some(_) => Err("no step computes the value".into()),
        }
    }

    /// Whether a step computes the value `id`. Values inside fused nodes are not computed by steps.
    pub fn computes(&self, id: Id) -> bool {
        (0..self.steps.len()).any(|at| self.output_index(at, id).is_some())
    }

    /// Returns the index of the value `id` among the outputs of the step `at`, if it is one of them.
    fn output_index(&self, at: usize, id: Id) -> Option<usize> {
        let slot = self.slot_of_value.get(&id)?;
        self.steps[at].outputs.iter().position(|output| output.as_ref() == Some(slot))
    }

    /// Runs the program on `inputs` as [`run`](Self::run) does. `run` is called with the index of every step, the
    /// step and its inputs, and returns the outputs.
    ///
    /// # Errors
    ///
    /// The first error of `run`.
    pub fn run_steps(
        &self,
        inputs: Vec<Value>,
        mut run: impl FnMut(usize, &Step, Vec<Option<Value>>) -> Result<Vec<Value>, String>,
    ) -> Result<Vec<Value>, String> {
        let mut slots: Vec<Option<Held>> = Vec::new();
        slots.resize_with(self.slots, || None);
        for (slot, input) in slots.iter_mut().zip(inputs) {
            *slot = Some(Held::new(input)?);
        }
        for (at, step) in self.steps.iter().enumerate() {
            let inputs = self.inputs(step, &mut slots);
            let outputs = run(at, step, inputs)?;
            for (slot, value) in step.outputs.iter().zip(outputs) {
                if let Some(slot) = slot {
                    let held = Held::new(value);
                    slots[*slot] =
                        Some(held.map_err(|message| format!("{}: {message}", step.label))?);
                }
            }
            for &slot in &step.dead {
                slots[slot] = None;
            }
        }
        let output = |source: &Source| {
            let value = self.fetch(Some(*source), &slots);
            value.ok_or_else(|| "an output of the graph was not computed".to_owned())
        };
        self.outputs.iter().map(output).collect()
    }

    /// Returns the inputs of a step. A value is moved out of its slot at its last use, so that the step can
    /// overwrite the memory of the value.
    fn inputs(&self, step: &Step, slots: &mut [Option<Held>]) -> Vec<Option<Value>> {
        let read = |(at, source): (usize, &Option<Source>)| match source {
            Some(Source::Slot(slot))
                if step.dead.contains(slot) && !step.inputs[at + 1..].contains(source) =>
            {
                slots[*slot].take().map(|held| held.value)
            }
            source => self.fetch(*source, slots),
        };
        step.inputs.iter().enumerate().map(read).collect()
    }

    /// Replaces each group of nodes by one step and drops constants that no step reads any more.
    pub fn fuse(&mut self, groups: Vec<FusedNodes>) {
        let mut steps: Vec<Option<Step>> =
            std::mem::take(&mut self.steps).into_iter().map(Some).collect();
        for group in groups {
            let last = group.nodes.last().and_then(|&last| steps[last].take());
            group.nodes.iter().for_each(|&node| steps[node] = None);
            let (Some(last), Some(&node)) = (last, group.nodes.last()) else { continue };
            let input = self.slot_of_value.get(&group.input).map(|&slot| Source::Slot(slot));
            let (label, run) = (group.label, group.run);
            steps[node] = Some(Step {
                is_fused: true,
                label,
                run,
                inputs: vec![input],
                outputs: last.outputs,
                dead: Vec::new(),
            });
        }
        self.steps = steps.into_iter().flatten().collect();
        self.drop_unread();
        let mut read = vec![false; self.constants.len()];
        let sources = self.steps.iter().flat_map(|step| step.inputs.iter().flatten());
        for source in sources.chain(&self.outputs) {
            if let Source::Constant(constant) = source {
                read[*constant] = true;
            }
        }
        for (constant, _) in self.constants.iter_mut().zip(read).filter(|(_, read)| !read) {
            *constant = Value::from_floats(Vec::new());
        }
        self.mark_last_uses();
    }

    /// Drops the steps whose outputs no later step and no program output reads.
    fn drop_unread(&mut self) {
        let mut read = vec![false; self.slots];
        let slots = |sources: &mut dyn Iterator<Item = &Source>| {
            sources.filter_map(|source| source.slot()).collect::<Vec<usize>>()
        };
        slots(&mut self.outputs.iter()).into_iter().for_each(|slot| read[slot] = true);
        let mut kept = Vec::with_capacity(self.steps.len());
        for step in std::mem::take(&mut self.steps).into_iter().rev() {
            if step.outputs.iter().flatten().any(|&slot| read[slot]) {
                let inputs = slots(&mut step.inputs.iter().flatten());
                inputs.into_iter().for_each(|slot| read[slot] = true);
                kept.push(step);
            }
        }
        kept.reverse();
        self.steps = kept;
    }

    /// Returns the labels of the steps that are single nodes.
    pub fn labels(&self) -> Vec<&str> {
        let single = self.steps.iter().filter(|step| !step.is_fused);
        single.map(|step| step.label.as_str()).collect()
    }

    /// Records the last use of each slot in the step that reads it last.
    fn mark_last_uses(&mut self) {
        let mut alive = vec![false; self.slots];
        for slot in self.outputs.iter().filter_map(|output| output.slot()) {
            alive[slot] = true;
        }
        for step in self.steps.iter_mut().rev() {
            step.dead.clear();
            let reads = step.inputs.iter().flatten().filter_map(|source| source.slot());
            for slot in reads.chain(step.outputs.iter().copied().flatten()).collect::<Vec<_>>() {
                if !alive[slot] {
                    alive[slot] = true;
                    step.dead.push(slot);
                }
            }
        }
    }

    /// Returns the value at `source`; `None` if the slot is empty.
    fn fetch(&self, source: Option<Source>, slots: &[Option<Held>]) -> Option<Value> {
        match source? {
            Source::Slot(slot) => slots[slot].as_ref().map(|held| held.value.clone()),
            Source::Constant(constant) => Some(self.constants[constant].clone()),
        }
    }
}

impl Step {
    /// Runs the step; an error message names the node and the shapes of its inputs.
    pub fn run(&self, inputs: Vec<Option<Value>>) -> Result<Vec<Value>, String> {
        let shapes: Vec<_> = inputs.iter().flatten().map(|v| (v.kind(), v.dims())).collect();
        apply(&self.run, Inputs::new(inputs)).map_err(|message| {
            let shapes: Vec<_> =
                shapes.iter().map(|(kind, dims)| format!("{kind:?} {dims:?}")).collect();
            format!("{}: {message} (inputs: {})", self.label, shapes.join(", "))
        })
    }
}

/// Runs a node. A panic inside burn becomes an error, because it concerns this node and its inputs only.
pub fn apply(run: &Run, inputs: Inputs) -> Outcome<Vec<Value>> {
    catch_unwind(AssertUnwindSafe(|| run(&inputs)))
        .unwrap_or_else(|panic| Err(panic_message(panic.as_ref())))
}

/// Returns the message of a panic inside burn.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it cannot be run on these inputs: {}", text.unwrap_or("unknown failure"))
}

/// Reshapes flattened samples to the graph input's shape `dims`.
pub fn input_from_rows(rows: Tensor<2>, dims: &[usize]) -> Result<Value, String> {
    Value::new(rows.into_dispatch()).reshape(dims)
}
