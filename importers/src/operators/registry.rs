//! The list of all operators: the lookup by name, the checks of a node, and its compilation.

use burn::tensor::Device;

use super::domain::OWN;
use super::run::Run;
use super::schema::Operator;
use super::signature::Signature;
use super::site::{CompileSubgraph, Site};
use super::{
    activation, arithmetic, attention, bits, control, convolution, create, cumulative, einsum,
    fused, layout, linear, logic, loss, normalization, padding, pooling, quantization, quantized,
    recurrent, reduction, resize, sampling, scatter, selection, signal, slicing,
};
use crate::graph::{Graph, Node};
use crate::value::Outcome;

/// The newest opset of the default ONNX domain that is supported.
const NEWEST_OPSET: i64 = 28;

/// Returns the operator `name` of `domain`, if it is supported.
pub fn operator(domain: &str, name: &str) -> Option<&'static Operator> {
    let mut all = families().into_iter().flatten();
    all.find(|operator| operator.signature.name == name && operator.signature.domain == domain)
}

/// Returns the signature of the operator `name` of `domain`, if it is supported.
pub fn signature(domain: &str, name: &str) -> Option<&'static Signature> {
    operator(domain, name).map(|operator| &operator.signature)
}

/// Returns the operator of a node, if it is supported.
pub fn operator_of(node: &Node) -> Option<&'static Operator> {
    let signature = node.operator?;
    operator(signature.domain, signature.name)
}

/// A supported operator as `(domain, name)`; the default ONNX domain is empty.
pub type Name = (&'static str, &'static str);

/// Returns the supported operators: those that propagate a gradient, or those that block it.
pub fn names(differentiable: bool) -> Vec<Name> {
    let all = families().into_iter().flatten().map(|operator| &operator.signature);
    let selected = all.filter(|signature| {
        signature.non_differentiable != differentiable && signature.domain != OWN
    });
    selected.map(|signature| (signature.domain, signature.name)).collect()
}

/// Compiles a `node` of `graph` for `device`.
///
/// # Errors
///
/// If the operator, its opset or one of its attributes is not supported.
pub fn compile(
    graph: &Graph,
    node: &Node,
    device: &Device,
    compile_subgraph: CompileSubgraph,
) -> Outcome<Run> {
    let operator = checked_operator(node)?;
    let activation = operator.activation;
    let run = (operator.compile)(&Site { graph, node, device, activation, compile_subgraph })?;
    all_read(node).map(|()| run)
}

/// Checks that every attribute of the node has been read, so that no attribute is silently ignored.
pub fn all_read(node: &Node) -> Outcome<()> {
    match node.attributes.unread()[..] {
        [] => Ok(()),
        ref names => Err(format!(
            "the attributes {} are not supported in opset {}",
            names.join(", "),
            node.opset
        )),
    }
}

/// Returns the operator of `node` after checking the opset and the number of inputs, outputs and subgraphs.
pub fn checked_operator(node: &Node) -> Outcome<&'static Operator> {
    let found = operator_of(node).ok_or("the operator is not supported")?;
    let operator = &found.signature;
    if node.opset < operator.since {
        return Err(format!(
            "opset {} is older than {}, the oldest supported one; use onnx.version_converter or export with a newer opset",
            node.opset, operator.since
        ));
    }
    if operator.domain.is_empty() && node.opset > NEWEST_OPSET {
        return Err(format!(
            "opset {} is newer than {NEWEST_OPSET}, the newest supported one; export with an older opset",
            node.opset
        ));
    }
    let (fewest, most) = operator.inputs;
    if node.inputs.len() < fewest || node.inputs.len() > most {
        return Err(format!(
            "{} inputs are too few or too many for this operator",
            node.inputs.len()
        ));
    }
    if let Some(index) = node.outputs.iter().skip(operator.outputs).position(Option::is_some) {
        return Err(format!("output {} is not supported", index + operator.outputs));
    }
    let known = |name: &String| operator.blocks.contains(&name.as_str());
    if let Some((name, _)) = node.blocks.iter().find(|(name, _)| !known(name)) {
        return Err(format!("the subgraph attribute {name} is not supported"));
    }
    if node.opset < 6 {
        // A hint to the runtime for in-place computation.
        node.attributes.ignore(&["consumed_inputs"]);
    }
    Ok(found)
}

/// Returns the operator tables of all families.
pub(super) fn families() -> [&'static [Operator]; 27] {
    [
        activation::OPERATORS,
        arithmetic::OPERATORS,
        attention::OPERATORS,
        bits::OPERATORS,
        control::OPERATORS,
        convolution::OPERATORS,
        create::OPERATORS,
        cumulative::OPERATORS,
        einsum::OPERATORS,
        fused::OPERATORS,
        layout::OPERATORS,
        linear::OPERATORS,
        logic::OPERATORS,
        loss::OPERATORS,
        normalization::OPERATORS,
        padding::OPERATORS,
        pooling::OPERATORS,
        quantization::OPERATORS,
        quantized::OPERATORS,
        recurrent::OPERATORS,
        reduction::OPERATORS,
        resize::OPERATORS,
        sampling::OPERATORS,
        scatter::OPERATORS,
        selection::OPERATORS,
        signal::OPERATORS,
        slicing::OPERATORS,
    ]
}
