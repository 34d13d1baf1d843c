//! The compilation of a graph to a program.

use std::collections::HashMap;

use burn::tensor::Device;

use super::{Program, Source, Step};
use crate::error::{ErrorKind, LoadError};
use crate::graph::{Graph, Id, Node};
use crate::operators::{Role, RunSubgraph, compile};
use crate::value::{Kind, Outcome, Value};

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
}

/// Compiles a subgraph of a node, see [`CompileSubgraph`](crate::operators::CompileSubgraph).
pub fn compile_subgraph(graph: &Graph, device: &Device) -> Outcome<RunSubgraph> {
    let program = Program::new(graph, device).map_err(|error| error.to_string())?;
    Ok(Box::new(move |inputs| program.run(inputs, |_, _| {})))
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
