//! The compiled graph: a list of operators over numbered values, with the weights on the device.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, Tensor, TensorData};
use onnx_ir::ir::ValueSource;
use onnx_ir::{Argument, Node, OnnxGraph, OnnxGraphBuilder};

use crate::error::{ErrorKind, LoadError};
use crate::names::Names;
use crate::operators::{Context, Inputs, Run, fold_batch_norm, onnx_name, operator};
use crate::value::{Kind, Value};

/// The parser's graph of a file's `bytes`, nothing simplified: that can freeze the batch size.
///
/// # Errors
///
/// The parser's message, also where it panics.
pub fn parse_graph(bytes: &[u8]) -> Result<OnnxGraph, String> {
    catch_unwind(|| OnnxGraphBuilder::new().simplify(false).parse_bytes(bytes))
        .map_err(|_| "the parser failed on it".to_owned())?
        .map_err(|error| error.to_string())
}

/// A graph ready to run.
pub struct Graph {
    steps: Vec<Step>,
    constants: Vec<Value>,
    slots: usize,
    output: Source,
}

/// One node.
struct Step {
    /// The operator's name in ONNX.
    operator: &'static str,
    /// For messages: the operator and the node's name.
    label: String,
    run: Run,
    inputs: Vec<Option<Source>>,
    outputs: Vec<usize>,
    /// Slots that nothing reads after this step.
    dead: Vec<usize>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Slot(usize),
    Constant(usize),
}

/// Operators that leave every value as it is and change at most its place.
const OF_SHAPE: [&str; 8] =
    ["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout"];

/// A node with what folding has changed of it.
struct Prepared<'a> {
    node: &'a Node,
    label: String,
    /// Weight and bias in place of the node's inputs 1 and 2.
    folded: Option<(TensorData, TensorData)>,
    /// The names of the outputs.
    outputs: Vec<String>,
}

impl Graph {
    /// Compiles the parser's graph for `device`.
    ///
    /// # Errors
    ///
    /// All nodes that cannot be honoured, or all weights that are not finite.
    pub fn compile(
        graph: &OnnxGraph,
        output: usize,
        names: &Names,
        context: &Context,
        device: &Device,
    ) -> Result<Self, LoadError> {
        let unsupported = |message: String| LoadError::new(ErrorKind::Unsupported, message);
        let mut compiler = Compiler::new(graph);
        let mut failures = Vec::new();
        for node in &graph.nodes {
            compiler.check_weights(node, names);
        }
        for prepared in prepare(graph, names) {
            if let Err(message) = compiler.add(&prepared, context) {
                failures.push(format!("{}: {message}", prepared.label));
            }
        }
        if !failures.is_empty() {
            return Err(unsupported(failures.join("; ")));
        }
        if !compiler.not_finite.is_empty() {
            let message = format!(
                "weights are not finite numbers: {}; the model was trained or stored badly",
                compiler.not_finite.join(", ")
            );
            return Err(LoadError::new(ErrorKind::Weights, message));
        }
        let output = graph
            .outputs
            .get(output)
            .and_then(|argument| compiler.source(argument).ok().flatten())
            .ok_or_else(|| unsupported("no node produces the graph's output".into()))?;
        let output = compiler.before_softmax(output);
        compiler.finish(output, device).map_err(unsupported)
    }

    /// The output for the `inputs`, that of the sample first and then the parameters; `observe` is
    /// called on every value.
    ///
    /// # Errors
    ///
    /// The first node that fails, with its inputs' shapes.
    pub fn run(
        &self,
        inputs: Vec<Value>,
        mut observe: impl FnMut(&Value),
    ) -> Result<Value, String> {
        let mut slots: Vec<Option<Value>> = vec![None; self.slots];
        for (slot, input) in slots.iter_mut().zip(inputs) {
            *slot = Some(input);
        }
        for step in &self.steps {
            let inputs = step.inputs.iter().map(|source| self.fetch(*source, &slots)).collect();
            let outputs = step.run(inputs)?;
            outputs.iter().for_each(&mut observe);
            for (&slot, value) in step.outputs.iter().zip(outputs) {
                slots[slot] = Some(value);
            }
            for &slot in &step.dead {
                slots[slot] = None;
            }
        }
        self.fetch(Some(self.output), &slots)
            .ok_or_else(|| "the graph's output was not computed".to_owned())
    }

    fn fetch(&self, source: Option<Source>, slots: &[Option<Value>]) -> Option<Value> {
        match source? {
            Source::Slot(slot) => slots[slot].clone(),
            Source::Constant(constant) => Some(self.constants[constant].clone()),
        }
    }
}

impl Step {
    /// Runs the node. A failure inside burn becomes an error as well: it is this node that cannot
    /// be run on these inputs.
    fn run(&self, inputs: Vec<Option<Value>>) -> Result<Vec<Value>, String> {
        let shapes: Vec<_> = inputs.iter().flatten().map(|v| (v.kind(), v.dims())).collect();
        let inputs = Inputs::new(inputs);
        catch_unwind(AssertUnwindSafe(|| (self.run)(&inputs)))
            .unwrap_or_else(|panic| Err(panic_message(panic.as_ref())))
            .map_err(|message| {
                let shapes: Vec<_> =
                    shapes.iter().map(|(kind, dims)| format!("{kind:?} {dims:?}")).collect();
                format!("{}: {message} (inputs: {})", self.label, shapes.join(", "))
            })
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it cannot be run on these inputs: {}", text.unwrap_or("unknown failure"))
}

/// The nodes in order, each normalization behind a convolution folded into it.
fn prepare<'a>(graph: &'a OnnxGraph, names: &Names) -> Vec<Prepared<'a>> {
    let readers = readers(graph);
    let outputs = |node: &Node| node.outputs().iter().map(|o| o.name.clone()).collect();
    let mut merged = HashMap::new();
    for node in &graph.nodes {
        if let Some((conv, folded)) = foldable(node, graph, &readers) {
            merged.insert(conv, (folded, outputs(node)));
        }
    }
    let absorbed: HashSet<String> =
        merged.values().flat_map(|(_, outputs): &(_, Vec<String>)| outputs).cloned().collect();
    graph
        .nodes
        .iter()
        .filter(|node| !node.outputs().iter().any(|o| absorbed.contains(&o.name)))
        .map(|node| {
            let label = label(node, names);
            match merged.remove(node.name()) {
                Some((folded, outputs)) => Prepared { node, label, folded: Some(folded), outputs },
                None => Prepared { node, label, folded: None, outputs: outputs(node) },
            }
        })
        .collect()
}

/// What messages call a node.
fn label(node: &Node, names: &Names) -> String {
    format!("{} {}", onnx_name(node), names.of(node))
}

/// How many inputs and graph outputs read each value.
fn readers(graph: &OnnxGraph) -> HashMap<&str, usize> {
    let mut readers = HashMap::new();
    let inputs = graph.nodes.iter().flat_map(|node| node.inputs());
    for argument in inputs.chain(&graph.outputs) {
        *readers.entry(argument.name.as_str()).or_insert(0) += 1;
    }
    readers
}

/// The convolution that `node`, a batch normalization, can be folded into: one whose output nothing
/// else reads and whose numbers are all constant.
fn foldable(
    node: &Node,
    graph: &OnnxGraph,
    readers: &HashMap<&str, usize>,
) -> Option<(String, (TensorData, TensorData))> {
    let Node::BatchNormalization(norm) = node else {
        return None;
    };
    let input = norm.inputs.first()?.name.as_str();
    if readers.get(input) != Some(&1) || norm.outputs.len() != 1 {
        return None;
    }
    let conv = graph.nodes.iter().find(|node| node.outputs().iter().any(|o| o.name == input))?;
    if !matches!(conv, Node::Conv1d(_) | Node::Conv2d(_) | Node::Conv3d(_)) {
        return None;
    }
    let weight = conv.inputs().get(1)?.value()?;
    let bias = conv.inputs().get(2).filter(|bias| !bias.is_optional());
    let bias = match bias {
        Some(bias) => Some(bias.value()?),
        None => None,
    };
    let folded = fold_batch_norm(&weight, bias.as_ref(), norm)?;
    Some((conv.name().to_owned(), folded))
}

/// What is known while nodes are compiled one after the other.
struct Compiler {
    steps: Vec<Step>,
    constants: Vec<Value>,
    /// The source of each named value.
    sources: HashMap<String, Source>,
    /// Constants held by the parser's number, so that a shared weight is held once.
    shared: HashMap<usize, usize>,
    /// The first slots, which the graph's inputs fill.
    inputs: usize,
    slots: usize,
    /// Weights with values that are not finite.
    not_finite: Vec<String>,
}

impl Compiler {
    fn new(graph: &OnnxGraph) -> Self {
        let inputs = graph.inputs.iter().enumerate();
        Self {
            steps: Vec::new(),
            constants: Vec::new(),
            sources: inputs.map(|(i, input)| (input.name.clone(), Source::Slot(i))).collect(),
            shared: HashMap::new(),
            inputs: graph.inputs.len(),
            slots: graph.inputs.len(),
            not_finite: Vec::new(),
        }
    }

    /// Notes constant inputs that are not finite numbers. Minus infinity among zeros is an
    /// attention mask, and a single infinity may be a bound.
    fn check_weights(&mut self, node: &Node, names: &Names) {
        if matches!(node, Node::Constant(_)) {
            return;
        }
        for (index, argument) in node.inputs().iter().enumerate() {
            let Some(data) = argument.value().filter(|data| data.dtype().is_float()) else {
                continue;
            };
            let Ok(values) = data.convert::<f32>().try_into_vec::<f32>() else {
                continue;
            };
            let wrong = values.iter().filter(|value| !value.is_finite()).count();
            let is_mask = values.iter().all(|&value| value == 0.0 || value == f32::NEG_INFINITY);
            let is_bound = values.len() == 1 && !values[0].is_nan();
            if wrong > 0 && !is_mask && !is_bound {
                let place = format!("{}, input {index}", label(node, names));
                self.not_finite.push(format!("{place} ({wrong} of {} values)", values.len()));
            }
        }
    }

    fn add(&mut self, prepared: &Prepared, context: &Context) -> Result<(), String> {
        let name = onnx_name(prepared.node);
        let operator = operator(&name).ok_or("the operator is not supported")?;
        let run = (operator.compile)(prepared.node, context)?;
        let mut inputs = prepared
            .node
            .inputs()
            .iter()
            .map(|argument| self.source(argument))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some((weight, bias)) = &prepared.folded {
            inputs.truncate(1);
            for data in [weight, bias] {
                let constant = self.hold(Value::from_data(data.clone())?);
                inputs.push(Some(constant));
            }
        }
        let step = Step {
            operator: operator.name,
            label: prepared.label.clone(),
            run,
            inputs,
            outputs: Vec::new(),
            dead: Vec::new(),
        };
        self.place(step, &prepared.outputs)
    }

    /// Runs a step of constants at once; any other waits for the input.
    fn place(&mut self, mut step: Step, outputs: &[String]) -> Result<(), String> {
        let is_constant =
            |source: &Option<Source>| matches!(source, None | Some(Source::Constant(_)));
        if step.inputs.iter().all(is_constant) {
            let fetch = |source: &Option<Source>| match source {
                Some(Source::Constant(constant)) => Some(self.constants[*constant].clone()),
                _ => None,
            };
            let values = step.run(step.inputs.iter().map(fetch).collect())?;
            for (name, value) in outputs.iter().zip(values) {
                let source = self.hold(value);
                self.sources.insert(name.clone(), source);
            }
            return Ok(());
        }
        for name in outputs {
            step.outputs.push(self.slots);
            self.sources.insert(name.clone(), Source::Slot(self.slots));
            self.slots += 1;
        }
        self.steps.push(step);
        Ok(())
    }

    fn hold(&mut self, value: Value) -> Source {
        self.constants.push(value);
        Source::Constant(self.constants.len() - 1)
    }

    /// Where an argument's value comes from; `None` for an optional one that is absent.
    fn source(&mut self, argument: &Argument) -> Result<Option<Source>, String> {
        if argument.is_optional() {
            return Ok(None);
        }
        if let Some(source) = self.sources.get(&argument.name) {
            return Ok(Some(*source));
        }
        let number = match argument.value_source {
            ValueSource::Static(number) => Some(number),
            _ => None,
        };
        if let Some(held) = number.and_then(|number| self.shared.get(&number)) {
            return Ok(Some(Source::Constant(*held)));
        }
        let Some(data) = argument.value() else {
            return Err(format!("it reads {:?}, which no node produces", argument.name));
        };
        let source = self.hold(Value::from_data(data)?);
        match number {
            Some(number) => {
                self.shared.insert(number, self.constants.len() - 1);
            }
            None => {
                self.sources.insert(argument.name.clone(), source);
            }
        }
        Ok(Some(source))
    }

    /// The logits, where `output` is a softmax of them, in another shape or not.
    fn before_softmax(&mut self, output: Source) -> Source {
        let mut reader = None;
        let mut read = output;
        while let Source::Slot(slot) = read
            && let Some(at) = self.steps.iter().position(|step| step.outputs.contains(&slot))
            && let Some(before) = self.steps[at].inputs.first().copied().flatten()
        {
            match self.steps[at].operator {
                "Softmax" | "LogSoftmax" => {
                    log::warn!("the model ends in a softmax; its input, the logits, is explained");
                    return match reader {
                        Some(reader) => {
                            let step: &mut Step = &mut self.steps[reader];
                            step.inputs[0] = Some(before);
                            output
                        }
                        None => before,
                    };
                }
                operator if OF_SHAPE.contains(&operator) => (reader, read) = (Some(at), before),
                _ => break,
            }
        }
        output
    }

    fn finish(mut self, output: Source, device: &Device) -> Result<Graph, String> {
        self.prune(output);
        self.upload(device)?;
        self.bury(output);
        Ok(Graph { steps: self.steps, constants: self.constants, slots: self.slots, output })
    }

    /// Drops the steps that the output does not need.
    fn prune(&mut self, output: Source) {
        let mut needed = vec![false; self.slots];
        if let Source::Slot(slot) = output {
            needed[slot] = true;
        }
        let mut kept = Vec::with_capacity(self.steps.len());
        for step in std::mem::take(&mut self.steps).into_iter().rev() {
            if step.outputs.iter().any(|&slot| needed[slot]) {
                for source in step.inputs.iter().flatten() {
                    if let Source::Slot(slot) = source {
                        needed[*slot] = true;
                    }
                }
                kept.push(step);
            }
        }
        kept.reverse();
        self.steps = kept;
    }

    /// Moves the float constants that meet the input's descendants to the device.
    fn upload(&mut self, device: &Device) -> Result<(), String> {
        let mut on_device = vec![false; self.slots];
        on_device[..self.inputs].fill(true);
        let mut wanted = vec![false; self.constants.len()];
        for step in &self.steps {
            let reads = |source: &Option<Source>| matches!(source, Some(Source::Slot(slot)) if on_device[*slot]);
            let of_shapes = matches!(step.operator, "Shape" | "Size");
            if of_shapes || !step.inputs.iter().any(reads) {
                continue;
            }
            for source in step.inputs.iter().flatten() {
                if let Source::Constant(constant) = source {
                    wanted[*constant] = true;
                }
            }
            for &slot in &step.outputs {
                on_device[slot] = true;
            }
        }
        for (constant, _) in self.constants.iter_mut().zip(wanted).filter(|(_, wanted)| *wanted) {
            if constant.kind() == Kind::Float {
                *constant = constant.to_device(device)?;
            }
        }
        Ok(())
    }

    /// Marks where each value is read last.
    fn bury(&mut self, output: Source) {
        let mut alive = vec![false; self.slots];
        if let Source::Slot(slot) = output {
            alive[slot] = true;
        }
        for step in self.steps.iter_mut().rev() {
            let reads = step.inputs.iter().flatten().filter_map(|source| match source {
                Source::Slot(slot) => Some(*slot),
                Source::Constant(_) => None,
            });
            for slot in reads.chain(step.outputs.iter().copied()).collect::<Vec<_>>() {
                if !alive[slot] {
                    alive[slot] = true;
                    step.dead.push(slot);
                }
            }
        }
    }
}

/// The outputs of a graph of constants alone, in their order; `None` where one depends on an input
/// or cannot be computed.
pub fn constant_outputs(graph: &OnnxGraph, context: &Context) -> Option<Vec<Value>> {
    let mut compiler = Compiler::new(graph);
    for prepared in prepare(graph, &Names::align(&graph.nodes, &[])) {
        compiler.add(&prepared, context).ok()?;
    }
    let value = |argument: &Argument| match compiler.source(argument).ok()?? {
        Source::Constant(constant) => Some(compiler.constants[constant].clone()),
        Source::Slot(_) => None,
    };
    graph.outputs.iter().map(value).collect()
}

/// Rows as the graph's input of the shape `dims`.
pub fn as_input(rows: Tensor<2>, dims: &[usize]) -> Result<Value, String> {
    Value::new(rows.into_dispatch()).reshape(dims)
}
