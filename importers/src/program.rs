//! The program: a list of steps over numbered slots, with the weights on the device.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, Tensor};

use crate::error::{ErrorKind, LoadError};
use crate::graph::{Graph, Id, Node};
use crate::operators::{Inputs, Role, Run, compile};
use crate::room::{self, Taken};
use crate::value::{Kind, Outcome, Value};

/// A graph ready to run.
pub struct Program {
    steps: Vec<Step>,
    constants: Vec<Value>,
    slots: usize,
    /// The slot of each value that is not constant.
    of_ids: HashMap<Id, usize>,
    outputs: Vec<Source>,
}

/// One node, or several that are computed as one.
struct Step {
    /// For messages: the operator and the node's name.
    label: String,
    /// Whether it is several nodes.
    joined: bool,
    run: Run,
    inputs: Vec<Option<Source>>,
    /// The slots of the outputs that are read.
    outputs: Vec<Option<usize>>,
    /// Slots that nothing reads after this step.
    dead: Vec<usize>,
}

/// A value in its slot, with the room that it takes up.
struct Held {
    value: Value,
    _room: Taken,
}

impl Held {
    fn new(value: Value) -> Outcome<Self> {
        let room = room::take(&value.dims())?;
        Ok(Self { value, _room: room })
    }
}

/// A run of nodes that is computed as one.
pub struct Joined {
    /// The nodes' numbers; the last one makes the output.
    pub nodes: Vec<usize>,
    /// What the first one reads.
    pub input: Id,
    pub label: String,
    pub run: Run,
}

/// Where a value comes from.
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
    /// All nodes that cannot be honoured.
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

    /// The outputs for the `inputs`, that of the sample first and then the parameters; `observe` is
    /// called with the number of every step, which is that of its node, and what it makes.
    ///
    /// # Errors
    ///
    /// The first node that fails, with its inputs' shapes.
    pub fn run(
        &self,
        inputs: Vec<Value>,
        mut observe: impl FnMut(usize, &[Value]),
    ) -> Result<Vec<Value>, String> {
        let mut slots: Vec<Option<Held>> = Vec::new();
        slots.resize_with(self.slots, || None);
        for (slot, input) in slots.iter_mut().zip(inputs) {
            *slot = Some(Held::new(input)?);
        }
        for (at, step) in self.steps.iter().enumerate() {
            let inputs = self.inputs(step, &mut slots);
            let outputs = step.run(inputs)?;
            observe(at, &outputs);
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

    /// What a step reads. What nothing reads after it is moved, so that it can be overwritten.
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

    /// The same program with each run of nodes as one step; constants that nothing reads any more
    /// are dropped.
    pub fn join(&mut self, runs: Vec<Joined>) {
        let mut steps: Vec<Option<Step>> =
            std::mem::take(&mut self.steps).into_iter().map(Some).collect();
        for run in runs {
            let last = run.nodes.last().and_then(|&last| steps[last].take());
            run.nodes.iter().for_each(|&node| steps[node] = None);
            let (Some(last), Some(&node)) = (last, run.nodes.last()) else { continue };
            let input = self.of_ids.get(&run.input).map(|&slot| Source::Slot(slot));
            let (label, run) = (run.label, run.run);
            steps[node] = Some(Step {
                joined: true,
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
        self.mark_last_reads();
    }

    /// Drops the steps that make nothing that is read.
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

    /// The nodes that are steps of their own.
    pub fn labels(&self) -> Vec<&str> {
        let alone = self.steps.iter().filter(|step| !step.joined);
        alone.map(|step| step.label.as_str()).collect()
    }

    /// Notes where each value is read last.
    fn mark_last_reads(&mut self) {
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

    fn fetch(&self, source: Option<Source>, slots: &[Option<Held>]) -> Option<Value> {
        match source? {
            Source::Slot(slot) => slots[slot].as_ref().map(|held| held.value.clone()),
            Source::Constant(constant) => Some(self.constants[constant].clone()),
        }
    }
}

impl Step {
    fn run(&self, inputs: Vec<Option<Value>>) -> Result<Vec<Value>, String> {
        let shapes: Vec<_> = inputs.iter().flatten().map(|v| (v.kind(), v.dims())).collect();
        apply(&self.run, Inputs::new(inputs)).map_err(|message| {
            let shapes: Vec<_> =
                shapes.iter().map(|(kind, dims)| format!("{kind:?} {dims:?}")).collect();
            format!("{}: {message} (inputs: {})", self.label, shapes.join(", "))
        })
    }
}

/// Runs a node. A failure inside burn becomes an error as well: it is this node that cannot be run
/// on these inputs.
pub fn apply(run: &Run, inputs: Inputs) -> Outcome<Vec<Value>> {
    catch_unwind(AssertUnwindSafe(|| run(&inputs)))
        .unwrap_or_else(|panic| Err(panic_message(panic.as_ref())))
}

/// What a failure inside burn says.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it cannot be run on these inputs: {}", text.unwrap_or("unknown failure"))
}

/// What is known while nodes are compiled one after the other.
struct Compiler<'a> {
    graph: &'a Graph,
    device: &'a Device,
    steps: Vec<Step>,
    constants: Vec<Value>,
    /// The constants that are held, by their value's number and whether they lie on the device.
    held: HashMap<(Id, bool), usize>,
    /// The slot of each value that a step makes.
    slots: HashMap<Id, usize>,
    /// Values that depend on an input, and so lie on the device, but for integers.
    of_inputs: Vec<bool>,
}

impl<'a> Compiler<'a> {
    fn new(graph: &'a Graph, device: &'a Device) -> Self {
        let mut of_inputs = vec![false; graph.values.len()];
        graph.inputs.iter().for_each(|input| of_inputs[input.0] = true);
        Self {
            graph,
            device,
            steps: Vec::new(),
            constants: Vec::new(),
            held: HashMap::new(),
            slots: graph.inputs.iter().enumerate().map(|(slot, id)| (*id, slot)).collect(),
            of_inputs,
        }
    }

    /// Adds a node; what it makes is known even where that fails, so that its readers do not fail
    /// with it.
    fn add(&mut self, node: &Node) -> Outcome<()> {
        let run = compile(self.graph, node, self.device);
        let run = run.inspect_err(|_| {
            for id in node.outputs.iter().flatten() {
                self.slots.insert(*id, self.slots.len());
            }
        })?;
        let operator = node.operator.ok_or("the operator is not supported")?;
        let captured = self.graph.captured(node).into_iter().map(Some);
        let read: Vec<Option<Id>> = node.inputs.iter().copied().chain(captured).collect();
        let depends = |id: &Id| self.of_inputs[id.0];
        let on_device = operator.role != Role::OfShape && read.iter().flatten().any(depends);
        let mut inputs = Vec::with_capacity(read.len());
        for (index, id) in read.into_iter().enumerate() {
            let wanted = on_device && !operator.settings.contains(&index);
            inputs.push(id.map(|id| self.source(id, wanted)).transpose()?);
        }
        let mut outputs = Vec::with_capacity(node.outputs.len());
        for output in &node.outputs {
            outputs.push(output.map(|id| {
                let slot = self.slots.len();
                self.slots.insert(id, slot);
                self.of_inputs[id.0] = on_device;
                slot
            }));
        }
        self.steps.push(Step {
            label: node.label(),
            joined: false,
            run,
            inputs,
            outputs,
            dead: Vec::new(),
        });
        Ok(())
    }

    /// Where a value comes from; a constant of floats lies on the device where that is `wanted`.
    fn source(&mut self, id: Id, wanted: bool) -> Outcome<Source> {
        if let Some(slot) = self.slots.get(&id) {
            return Ok(Source::Slot(*slot));
        }
        if let Some(held) = self.held.get(&(id, wanted)) {
            return Ok(Source::Constant(*held));
        }
        let Some(constant) = self.graph.constant(id) else {
            let name = &self.graph.values[id.0].name;
            return Err(format!("it reads {name:?}, which no node produces"));
        };
        let mut value = constant.value()?;
        if wanted && value.kind() == Kind::Float {
            value = value.to_device(self.device)?;
        }
        self.constants.push(value);
        self.held.insert((id, wanted), self.constants.len() - 1);
        Ok(Source::Constant(self.constants.len() - 1))
    }

    fn finish(self, outputs: Vec<Source>) -> Program {
        let mut program = Program {
            steps: self.steps,
            constants: self.constants,
            slots: self.slots.len(),
            of_ids: self.slots,
            outputs,
        };
        program.mark_last_reads();
        program
    }
}

/// Rows as the graph's input of the shape `dims`.
pub fn as_input(rows: Tensor<2>, dims: &[usize]) -> Result<Value, String> {
    Value::new(rows.into_dispatch()).reshape(dims)
}
