//! A compiled graph: a list of steps over numbered slots, with the weights on the device.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, Tensor};

use crate::error::{ErrorKind, LoadError};
use crate::graph::{Graph, Id, Node};
use crate::operators::{Inputs, Role, Run, RunSubgraph, compile};
use crate::room::{self, Reservation};
use crate::value::{Kind, Outcome, Value};

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
struct Step {
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
    /// Compiles `graph` for `device`.
    ///
    /// # Errors
    ///
    /// When a node uses an unsupported feature; the message lists all such nodes.
    pub fn new(graph: &Graph, device: &Device) -> Result<Self, LoadError> {
        let unsupported = |message: String| LoadError::new(ErrorKind::Unsupported, message);
        let mut compiler = Compiler::new(graph, device);
        let mut failures = Vec::new();
        for node in &graph.nodes {
            if let Err(message) = compiler.add(node) {
                failures.push(format!("{}: {message}", node.label()));
            }
        }
        if !failures.is_empty() {
            return Err(unsupported(failures.join("; ")));
        }
        let outputs = graph.outputs.iter().map(|&output| compiler.source(output, true));
        let outputs = outputs.collect::<Outcome<_>>().map_err(unsupported)?;
        Ok(compiler.finish(outputs))
    }

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
        self.execute(inputs, |at, outputs| {
            observe(at, outputs);
            Ok(())
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
        let outputs = self.execute(inputs, |at, outputs| {
            let Some(index) = self.output_index(at, id) else { return Ok(()) };
            if let (Some(replace), Some(value)) = (replace.take(), outputs.get_mut(index)) {
                *value = replace(value.clone())?;
            }
            Ok(())
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

    /// Runs the program; `visit` may change the outputs of every step.
    fn execute(
        &self,
        inputs: Vec<Value>,
        mut visit: impl FnMut(usize, &mut [Value]) -> Result<(), String>,
    ) -> Result<Vec<Value>, String> {
        let mut slots: Vec<Option<Held>> = Vec::new();
        slots.resize_with(self.slots, || None);
        for (slot, input) in slots.iter_mut().zip(inputs) {
            *slot = Some(Held::new(input)?);
        }
        for (at, step) in self.steps.iter().enumerate() {
            let inputs = self.inputs(step, &mut slots);
            let mut outputs = step.run(inputs)?;
            visit(at, &mut outputs)?;
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
    fn run(&self, inputs: Vec<Option<Value>>) -> Result<Vec<Value>, String> {
        let shapes: Vec<_> = inputs.iter().flatten().map(|v| (v.kind(), v.dims())).collect();
        apply(&self.run, Inputs::new(inputs)).map_err(|message| {
            let shapes: Vec<_> =
                shapes.iter().map(|(kind, dims)| format!("{kind:?} {dims:?}")).collect();
            format!("{}: {message} (inputs: {})", self.label, shapes.join(", "))
        })
    }
}

/// Compiles a subgraph of a node, see [`CompileSubgraph`](crate::operators::CompileSubgraph).
pub fn compile_subgraph(graph: &Graph, device: &Device) -> Outcome<RunSubgraph> {
    let program = Program::new(graph, device).map_err(|error| error.to_string())?;
    Ok(Box::new(move |inputs| program.run(inputs, |_, _| {})))
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

/// The state of compiling nodes in execution order.
struct Compiler<'a> {
    graph: &'a Graph,
    device: &'a Device,
    steps: Vec<Step>,
    constants: Vec<Value>,
    /// The index of each constant in `constants`, by value and by whether the device is requested.
    constant_indices: HashMap<(Id, bool), usize>,
    /// The slot of each input and of each value that a step produces.
    slots: HashMap<Id, usize>,
    /// Whether a value depends on an input. Such values lie on the device, except integers.
    depends_on_input: Vec<bool>,
}

impl<'a> Compiler<'a> {
    fn new(graph: &'a Graph, device: &'a Device) -> Self {
        let mut depends_on_input = vec![false; graph.values.len()];
        graph.inputs.iter().for_each(|input| depends_on_input[input.0] = true);
        Self {
            graph,
            device,
            steps: Vec::new(),
            constants: Vec::new(),
            constant_indices: HashMap::new(),
            slots: graph.inputs.iter().enumerate().map(|(slot, id)| (*id, slot)).collect(),
            depends_on_input,
        }
    }

    /// Adds a node. If this fails, the node's outputs still get slots, so that the nodes that read them do
    /// not fail as well.
    fn add(&mut self, node: &Node) -> Outcome<()> {
        let run = compile(self.graph, node, self.device, compile_subgraph);
        let run = run.inspect_err(|_| {
            for id in node.outputs.iter().flatten() {
                self.slots.insert(*id, self.slots.len());
            }
        })?;
        let operator = node.operator.ok_or("the operator is not supported")?;
        let captured = self.graph.captured(node).into_iter().map(Some);
        let read: Vec<Option<Id>> = node.inputs.iter().copied().chain(captured).collect();
        let depends = |id: &Id| self.depends_on_input[id.0];
        let on_device = operator.role != Role::OfShape && read.iter().flatten().any(depends);
        let mut inputs = Vec::with_capacity(read.len());
        for (index, id) in read.into_iter().enumerate() {
            let to_device = on_device && !operator.settings.contains(&index);
            inputs.push(id.map(|id| self.source(id, to_device)).transpose()?);
        }
        let mut outputs = Vec::with_capacity(node.outputs.len());
        for output in &node.outputs {
            outputs.push(output.map(|id| {
                let slot = self.slots.len();
                self.slots.insert(id, slot);
                self.depends_on_input[id.0] = on_device;
                slot
            }));
        }
        self.steps.push(Step {
            label: node.label(),
            is_fused: false,
            run,
            inputs,
            outputs,
            dead: Vec::new(),
        });
        Ok(())
    }

    /// Returns the location of a value. A float constant is uploaded to the device if `to_device` is set.
    fn source(&mut self, id: Id, to_device: bool) -> Outcome<Source> {
        if let Some(slot) = self.slots.get(&id) {
            return Ok(Source::Slot(*slot));
        }
        if let Some(constant) = self.constant_indices.get(&(id, to_device)) {
            return Ok(Source::Constant(*constant));
        }
        let Some(constant) = self.graph.constant(id) else {
            let name = &self.graph.values[id.0].name;
            return Err(format!("it reads {name:?}, which no node produces"));
        };
        let mut value = constant.value()?;
        if to_device && value.kind() == Kind::Float {
            value = value.to_device(self.device)?;
        }
        self.constants.push(value);
        self.constant_indices.insert((id, to_device), self.constants.len() - 1);
        Ok(Source::Constant(self.constants.len() - 1))
    }

    fn finish(self, outputs: Vec<Source>) -> Program {
        let mut program = Program {
            steps: self.steps,
            constants: self.constants,
            slots: self.slots.len(),
            slot_of_value: self.slots,
            outputs,
        };
        program.mark_last_uses();
        program
    }
}

/// Reshapes flattened samples to the graph input's shape `dims`.
pub fn input_from_rows(rows: Tensor<2>, dims: &[usize]) -> Result<Value, String> {
    Value::new(rows.into_dispatch()).reshape(dims)
}
