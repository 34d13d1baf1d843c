//! The file as it is, before the parser: what it takes, gives and contains, and what of that is
//! not supported.

use std::collections::{BTreeMap, HashSet};

use onnx_ir::{GraphProto, Message, ModelProto, NodeProto, TensorProto, ValueInfoProto};

use crate::error::{ErrorKind, LoadError};
use crate::names::name_of;
use crate::operators::operator;

/// Before this opset, binary operators broadcast by attributes.
const OLDEST_OPSET: i64 = 7;

/// What a model file contains.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The program that wrote the file, where it says so.
    pub producer: String,
    /// The opset of ONNX's own operators.
    pub opset: i64,
    /// The inputs, weights excluded.
    pub inputs: Vec<ValueInfo>,
    /// The outputs.
    pub outputs: Vec<ValueInfo>,
    /// How many nodes there are of each operator.
    pub operators: BTreeMap<String, usize>,
    /// Stored tensors and the numbers in them.
    pub weights: usize,
    /// The numbers in all stored tensors.
    pub parameters: u64,
    /// Nodes of operators that are not supported: `(operator, node)`.
    pub unsupported: Vec<(String, String)>,
    /// Values that are read but come from nowhere: `(node, value)`.
    pub dangling: Vec<(String, String)>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// The type of its elements, as ONNX spells it.
    pub element: String,
    /// Its axes: a size, or a name for one that is free.
    pub shape: Vec<Result<usize, String>>,
}

impl ValueInfo {
    fn new(info: &ValueInfoProto) -> Self {
        let tensor = info.type_.tensor_type();
        let shape = tensor.shape.dim.iter().map(|dim| {
            usize::try_from(dim.dim_value()).ok().filter(|&size| size > 0).ok_or_else(|| match dim
                .dim_param()
            {
                "" => "?".to_owned(),
                name => name.to_owned(),
            })
        });
        Self {
            name: info.name.clone(),
            element: element_name(tensor.elem_type),
            shape: shape.collect(),
        }
    }

    /// Whether its elements are floating point numbers.
    pub fn is_float(&self) -> bool {
        matches!(self.element.as_str(), "float" | "float16" | "double" | "bfloat16")
    }
}

impl std::fmt::Display for ValueInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let axes: Vec<String> = self
            .shape
            .iter()
            .map(|axis| match axis {
                Ok(size) => size.to_string(),
                Err(name) => name.clone(),
            })
            .collect();
        write!(f, "{} {}[{}]", self.name, self.element, axes.join(", "))
    }
}

/// The spelling of ONNX's element types, by their numbers in `TensorProto.DataType`.
fn element_name(number: i32) -> String {
    const NAMES: [&str; 17] = [
        "undefined",
        "float",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "string",
        "bool",
        "float16",
        "double",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
    ];
    usize::try_from(number)
        .ok()
        .and_then(|number| NAMES.get(number))
        .map_or_else(|| format!("type {number}"), |name| (*name).to_owned())
}

/// The file's contents.
///
/// # Errors
///
/// [`ErrorKind::Format`] when `bytes` are not an ONNX model.
pub fn parse(bytes: &[u8]) -> Result<ModelProto, LoadError> {
    let format = |message: &str| Err(LoadError::new(ErrorKind::Format, message));
    if bytes.is_empty() {
        return format("the file is empty; export the model again");
    }
    let Ok(model) = ModelProto::parse_from_bytes(bytes) else {
        return format("this is not an ONNX model, or it is cut short; export or copy it again");
    };
    if model.graph.node.is_empty() && model.graph.output.is_empty() {
        return format("this is not an ONNX model: it has no graph; export or copy it again");
    }
    Ok(model)
}

/// What `model` contains.
pub fn summarize(model: &ModelProto) -> Summary {
    let graph = &model.graph;
    let stored: HashSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut operators = BTreeMap::new();
    for node in &graph.node {
        *operators.entry(full_name(node)).or_insert(0) += 1;
    }
    let numbers =
        |tensor: &TensorProto| tensor.dims.iter().map(|&d| d.max(0) as u64).product::<u64>();
    Summary {
        producer: [model.producer_name.as_str(), model.producer_version.as_str()]
            .join(" ")
            .trim()
            .to_owned(),
        opset: opset(model),
        inputs: graph
            .input
            .iter()
            .filter(|input| !stored.contains(input.name.as_str()))
            .map(ValueInfo::new)
            .collect(),
        outputs: graph.output.iter().map(ValueInfo::new).collect(),
        operators,
        weights: graph.initializer.len(),
        parameters: graph.initializer.iter().map(numbers).sum(),
        unsupported: graph
            .node
            .iter()
            .filter(|node| !is_supported(node))
            .map(|node| (full_name(node), name_of(node)))
            .collect(),
        dangling: dangling(graph),
    }
}

/// What the nodes of `graph` read but neither it nor the file's weights and inputs produce.
fn dangling(graph: &GraphProto) -> Vec<(String, String)> {
    let weights = graph.initializer.iter().map(|tensor| &tensor.name);
    let inputs = graph.input.iter().map(|input| &input.name);
    let made = graph.node.iter().flat_map(|node| &node.output);
    let known: HashSet<&String> = weights.chain(inputs).chain(made).collect();
    let reads = |node: &NodeProto| {
        let node_name = name_of(node);
        let missing = node.input.iter().filter(|name| !name.is_empty() && !known.contains(name));
        missing.map(|name| (node_name.clone(), name.clone())).collect::<Vec<_>>()
    };
    graph.node.iter().flat_map(reads).collect()
}

/// The opset of ONNX's own operators.
pub fn opset(model: &ModelProto) -> i64 {
    let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    model.opset_import.iter().find(|import| own(&import.domain)).map_or(0, |import| import.version)
}

fn is_supported(node: &NodeProto) -> bool {
    (node.domain.is_empty() || node.domain == "ai.onnx") && operator(&node.op_type).is_some()
}

/// The operator's name, with its domain where that is not ONNX's own.
fn full_name(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}::{}", node.op_type),
    }
}

impl Summary {
    /// Refuses a model that cannot be explained, naming everything that stands in the way.
    ///
    /// # Errors
    ///
    /// For unsupported operators, for inputs that are not one float tensor, and for no outputs.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        if self.opset < OLDEST_OPSET {
            let message = format!(
                "opset {} is too old, the oldest is {OLDEST_OPSET}; convert the model with onnx.version_converter or export it again",
                self.opset
            );
            return Err(LoadError::new(ErrorKind::Unsupported, message));
        }
        if !self.unsupported.is_empty() {
            let nodes: Vec<String> = self
                .unsupported
                .iter()
                .map(|(name, node)| format!("{name} (node {node})"))
                .collect();
            let message = format!(
                "{} operators are not supported: {}; `attriburn inspect` shows the model, and an export with another opset may avoid them",
                nodes.len(),
                nodes.join(", ")
            );
            return Err(LoadError::new(ErrorKind::Unsupported, message));
        }
        if let Some((node, value)) = self.dangling.first() {
            let message =
                format!("the node {node} reads {value:?}, which no node produces; export it again");
            return Err(LoadError::new(ErrorKind::Format, message));
        }
        let listed = || self.inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match &self.inputs[..] {
            [] => Err(LoadError::new(ErrorKind::Input, "the model has no input")),
            [input] if input.is_float() => Ok(()),
            [input] => Err(LoadError::new(
                ErrorKind::Input,
                format!(
                    "the model has no float input, so there is no gradient: its input is {input}"
                ),
            )),
            inputs => Err(LoadError::new(
                ErrorKind::Input,
                format!(
                    "the model has {} inputs, but one is explained: {}; export it with the others fixed",
                    inputs.len(),
                    listed()
                ),
            )),
        }?;
        if self.outputs.is_empty() {
            return Err(LoadError::new(ErrorKind::Output, "the model has no output"));
        }
        Ok(())
    }
}
