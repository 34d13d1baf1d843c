//! What is changed in a graph before it becomes a program. Each pass leaves every output as it is,
//! but for [`link`], which takes the link function off the end.

mod affine;
mod finite;
pub mod fixed;
mod fold;
mod gelu;
mod identity;
pub mod layout;
mod link;
mod parameters;
mod prune;
pub mod quantized;
pub mod scaling;
pub mod segments;
#[cfg(test)]
mod tests;

use attriburn::Link;

use crate::error::{ErrorKind, LoadError};
use crate::graph::{Constant, Graph};

pub use parameters::Promoted;

/// What the passes found.
pub struct Outcome {
    pub parameters: Vec<Promoted>,
    /// The link function that was taken off the end.
    pub link: Option<Link>,
}

/// Brings the graph into the form that is run; only output `output` is kept.
///
/// # Errors
///
/// Everything that the output needs and that is not supported, or is not a finite number.
pub fn run(graph: &mut Graph, output: usize, apart: bool) -> Result<Outcome, LoadError> {
    graph.outputs = vec![graph.outputs[output]];
    let parameters = simplify(graph, apart)?;
    quantized::join(graph);
    prune::prune(graph);
    quantized::requantize(graph);
    let link = link::take_off(graph);
    prune::prune(graph);
    affine::fold(graph);
    gelu::join(graph);
    prune::prune(graph);
    Ok(Outcome { parameters, link })
}

/// Drops and computes what can be before the model runs; with `apart`, parameters become inputs.
///
/// # Errors
///
/// Everything that the outputs need and that is not supported, or is not a finite number.
pub fn simplify(graph: &mut Graph, apart: bool) -> Result<Vec<Promoted>, LoadError> {
    identity::drop_identities(graph);
    prune::prune(graph);
    judge(graph)?;
    finite::check(graph)?;
    quantized::spell_out(graph)?;
    quantized::keep_whole(graph);
    let parameters = if apart { parameters::promote(graph)? } else { Vec::new() };
    fold::fold(graph)?;
    prune::prune(graph);
    judge(graph)?;
    Ok(parameters)
}

/// The graph without what the model's outputs do not need.
pub fn needed(graph: &mut Graph) {
    identity::drop_identities(graph);
    prune::prune(graph);
}

/// Refuses nodes of operators that are not supported, and weights that cannot be read.
fn judge(graph: &Graph) -> Result<(), LoadError> {
    let nodes: Vec<String> =
        unsupported(graph).map(|(kind, name)| format!("{kind} (node {name})")).collect();
    if !nodes.is_empty() {
        let message = format!(
            "{} operators are not supported: {}; `attriburn inspect` shows the model, and an export with another opset may avoid them",
            nodes.len(),
            nodes.join(", ")
        );
        return Err(LoadError::new(ErrorKind::Unsupported, message));
    }
    let constants = graph.nodes.iter().flat_map(|node| node.inputs.iter().flatten());
    for id in constants.chain(&graph.outputs) {
        if let Some(Constant::Unreadable(reason)) = graph.constant(*id) {
            return Err(LoadError::new(ErrorKind::Weights, reason.clone()));
        }
    }
    Ok(())
}

/// The nodes whose operator is not supported, also in graphs inside others: `(operator, node)`.
pub fn unsupported(graph: &Graph) -> impl Iterator<Item = (&str, &str)> {
    let mut unknown = Vec::new();
    for node in &graph.nodes {
        node.visit(&mut |node| unknown.extend(node.operator.is_none().then_some(node)));
    }
    unknown.into_iter().map(|node| (node.kind.as_str(), node.name.as_str()))
}
