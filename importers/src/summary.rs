//! A summary of a model file: inputs, outputs, operators, weights and unsupported nodes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use onnx_ir::{GraphProto, NodeProto, TensorProto, ValueInfoProto};

use crate::error::{ErrorKind, LoadError};
use crate::file::{Element, File};
use crate::graph;
use crate::passes;

/// The contents of a model file.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The program that wrote the file; empty if the file does not name it.
    pub producer: String,
    /// The opset of the ONNX domain.
    pub opset: i64,
    /// The inputs, without weights.
    pub inputs: Vec<ValueInfo>,
    /// The outputs.
    pub outputs: Vec<ValueInfo>,
    /// The number of nodes of each operator.
    pub operators: BTreeMap<String, usize>,
    /// The number of stored tensors.
    pub weights: usize,
    /// The total number of elements of the stored tensors.
    pub parameters: u64,
    /// The ONNX names of the float types of inputs, stored tensors and constants. All of them are computed in
    /// float32.
    pub floats: BTreeSet<String>,
    /// The metadata entries `(key, value)`, such as the image preprocessing.
    pub metadata: Vec<(String, String)>,
    /// The nodes with unsupported operators that an output depends on: `(operator, node)`.
    pub unsupported: Vec<(String, String)>,
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueInfo {
    /// The name.
    pub name: String,
    /// The ONNX name of the element type.
    pub element: String,
    /// The axes: the size of a fixed axis, or the name of a free axis (`"?"` if it has none).
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

    /// Whether the elements are integers. Integer inputs are converted to floats and differentiated as such.
    pub fn is_integer(&self) -> bool {
        Element::named(&self.element).integer().is_some()
    }

    /// Whether the elements are floating-point numbers.
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

/// Summarizes `file`.
pub fn summarize(file: &mut File) -> Summary {
    let unsupported = match graph::build(&file.proto, &mut file.folder) {
        Ok(mut graph) => {
            passes::remove_unneeded(&mut graph);
            let owned = |(kind, name): (&str, &str)| (kind.to_owned(), name.to_owned());
            passes::unsupported(&graph).map(owned).collect()
        }
        // Loading the model reports the error.
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
    // A file may claim a shape of any size, so the product saturates.
    let elements = |tensor: &TensorProto| {
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
        parameters: graph.initializer.iter().map(elements).fold(0, u64::saturating_add),
        floats: floats(graph),
        metadata: model
            .metadata_props
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.clone()))
            .collect(),
        unsupported,
    }
}

/// Returns the float types of the inputs, initializers and constants of a graph.
fn floats(graph: &GraphProto) -> BTreeSet<String> {
    let inputs = graph.input.iter().map(|input| input.type_.tensor_type().elem_type);
    let stored = graph.initializer.iter().map(|tensor| tensor.data_type);
    let constants = graph.node.iter().flat_map(|node| &node.attribute);
    let constants = constants.filter_map(|attribute| attribute.t.as_ref()).map(|t| t.data_type);
    let all = inputs.chain(stored).chain(constants).map(Element);
    all.filter(|element| element.is_float()).map(Element::name).collect()
}

/// Returns the operator's name, prefixed with the domain if that is not the ONNX domain.
fn full_name(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}::{}", node.op_type),
    }
}

impl Summary {
    /// Returns the float types other than float32.
    pub fn other_floats(&self) -> Vec<&str> {
        self.floats.iter().map(String::as_str).filter(|name| *name != "float").collect()
    }

    /// Checks that the inputs and outputs allow an attribution.
    ///
    /// # Errors
    ///
    /// When the inputs are not a single numeric tensor, or there is no output.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let listed = || self.inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match &self.inputs[..] {
            [] => Err(LoadError::new(ErrorKind::Input, "the model has no input")),
            [input] if input.is_float() || input.is_integer() => Ok(()),
            [input] => Err(LoadError::new(
                ErrorKind::Input,
                format!("the input {input} is not numeric, so there is no gradient"),
            )),
            inputs => Err(LoadError::new(
                ErrorKind::SeveralInputs,
                format!(
                    "the model has {} inputs, but exactly one can be explained: {}; fix the others to a value, or export the model with a single input",
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
