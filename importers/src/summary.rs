//! What a file takes, gives and contains, and what of that is not supported.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use onnx_ir::{GraphProto, NodeProto, TensorProto, ValueInfoProto};

use crate::error::{ErrorKind, LoadError};
use crate::file::{Element, File};
use crate::graph;
use crate::passes;

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
    /// The types of floats that the inputs and the stored tensors have, as ONNX spells them. All are
    /// computed in float32.
    pub floats: BTreeSet<String>,
    /// What else the file says of itself, by key: how pictures are prepared, say.
    pub metadata: Vec<(String, String)>,
    /// Nodes that an output needs and whose operators are not supported: `(operator, node)`.
    pub unsupported: Vec<(String, String)>,
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
            element: Element(tensor.elem_type).name(),
            shape: shape.collect(),
        }
    }

    /// Whether its elements are integers, which are differentiated like the floats that they become.
    pub fn is_integer(&self) -> bool {
        Element::named(&self.element).integer().is_some()
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

/// What the `file` contains.
pub fn summarize(file: &mut File) -> Summary {
    let unsupported = match graph::build(&file.proto, &mut file.folder) {
        Ok(mut graph) => {
            passes::needed(&mut graph);
            let owned = |(kind, name): (&str, &str)| (kind.to_owned(), name.to_owned());
            passes::unsupported(&graph).map(owned).collect()
        }
        // Loading says what is wrong.
        Err(_) => Vec::new(),
    };
    let model = &file.proto;
    let graph = &model.graph;
    let stored: HashSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut operators = BTreeMap::new();
    for node in &graph.node {
        *operators.entry(full_name(node)).or_insert(0) += 1;
    }
    // A file may claim any size.
    let numbers = |tensor: &TensorProto| {
        tensor.dims.iter().fold(1u64, |all, &size| all.saturating_mul(size.max(0) as u64))
    };
    Summary {
        producer: [model.producer_name.as_str(), model.producer_version.as_str()]
            .join(" ")
            .trim()
            .to_owned(),
        opset: graph::opset_of(model),
        inputs: graph
            .input
            .iter()
            .filter(|input| !stored.contains(input.name.as_str()))
            .map(ValueInfo::new)
            .collect(),
        outputs: graph.output.iter().map(ValueInfo::new).collect(),
        operators,
        weights: graph.initializer.len(),
        parameters: graph.initializer.iter().map(numbers).fold(0, u64::saturating_add),
        floats: floats(graph),
        metadata: model
            .metadata_props
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.clone()))
            .collect(),
        unsupported,
    }
}

/// The types of the floats in a graph.
fn floats(graph: &GraphProto) -> BTreeSet<String> {
    let inputs = graph.input.iter().map(|input| input.type_.tensor_type().elem_type);
    let stored = graph.initializer.iter().map(|tensor| tensor.data_type);
    let constants = graph.node.iter().flat_map(|node| &node.attribute);
    let constants = constants.filter_map(|attribute| attribute.t.as_ref()).map(|t| t.data_type);
    let all = inputs.chain(stored).chain(constants).map(Element);
    all.filter(|element| element.is_float()).map(Element::name).collect()
}

/// The operator's name, with its domain where that is not ONNX's own.
fn full_name(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}::{}", node.op_type),
    }
}

impl Summary {
    /// The types of floats other than float32, in which the model is not computed.
    pub fn other_floats(&self) -> Vec<&str> {
        self.floats.iter().map(String::as_str).filter(|name| *name != "float").collect()
    }

    /// Refuses a model that cannot be explained, naming everything that stands in the way.
    ///
    /// # Errors
    ///
    /// For inputs that are not one tensor of numbers, and for no outputs.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let listed = || self.inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match &self.inputs[..] {
            [] => Err(LoadError::new(ErrorKind::Input, "the model has no input")),
            [input] if input.is_float() || input.is_integer() => Ok(()),
            [input] => Err(LoadError::new(
                ErrorKind::Input,
                format!(
                    "the model takes no numbers, so there is no gradient: its input is {input}"
                ),
            )),
            inputs => Err(LoadError::new(
                ErrorKind::Input,
                format!(
                    "the model has {} inputs, but one is explained: {}; give the others a value (--fix NAME=FILE.npy), or export the model with the others fixed",
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
