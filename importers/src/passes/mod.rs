//! Graph rewrites before compilation. No pass changes the outputs of the graph, except [`link`], which
//! removes the final link function.

mod affine;
mod composite;
mod fake_quantize;
mod finite;
pub mod fixed;
mod fold;
mod gelu;
mod identity;
mod integer_product;
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

pub use parameters::PromotedParameter;

/// The result of the passes.
pub struct Outcome {
    /// The parameters that were promoted to graph inputs.
    pub parameters: Vec<PromotedParameter>,
    /// The link function that was removed from the end of the graph.
    pub link: Option<Link>,
}

/// Runs all passes. Keeps only the output with the index `output`; see [`simplify`] for
/// `promote_parameters`.
///
/// # Errors
///
/// When the output depends on an unsupported operator, or on a weight that is unreadable or not finite.
pub fn run(
    graph: &mut Graph,
    output: usize,
    promote_parameters: bool,
) -> Result<Outcome, LoadError> {
    graph.outputs = vec![graph.outputs[output]];
    let parameters = simplify(graph, promote_parameters)?;
    fake_quantize::fuse_fake_quantize(graph);
    prune::prune(graph);
    fake_quantize::requantize(graph);
    let link = link::remove(graph);
    prune::prune(graph);
    affine::fold(graph);
    gelu::fuse(graph);
    prune::prune(graph);
    Ok(Outcome { parameters, link })
}

/// Removes unneeded nodes, expands composite operators and folds constants. With `promote_parameters`,
/// parameters become graph inputs; they are returned.
///
/// # Errors
///
/// When an output depends on an unsupported operator, or on a weight that is unreadable or not finite.
pub fn simplify(
    graph: &mut Graph,
    promote_parameters: bool,
) -> Result<Vec<PromotedParameter>, LoadError> {
    identity::drop_identities(graph);
    prune::prune(graph);
    check_supported(graph)?;
    finite::check(graph)?;
    composite::expand_composites(graph)?;
    integer_product::use_integer_products(graph);
    let parameters = if promote_parameters { parameters::promote(graph)? } else { Vec::new() };
    fold::fold(graph)?;
    prune::prune(graph);
    check_supported(graph)?;
    Ok(parameters)
}

/// Removes all nodes and weights that the model's outputs do not depend on.
pub fn remove_unneeded(graph: &mut Graph) {
    identity::drop_identities(graph);
    prune::prune(graph);
}

/// Rejects nodes with unsupported operators and unreadable weights.
fn check_supported(graph: &Graph) -> Result<(), LoadError> {
    let nodes: Vec<String> =
        unsupported(graph).map(|(kind, name)| format!("{kind} (node {name})")).collect();
    if !nodes.is_empty() {
        let message = format!(
            "{} operators are not supported: {}; an export with another opset may avoid them",
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

/// Returns the nodes with unsupported operators as `(operator, node)`, including nodes of subgraphs.
pub fn unsupported(graph: &Graph) -> impl Iterator<Item = (&str, &str)> {
    let mut unknown = Vec::new();
    for node in &graph.nodes {
        node.visit(&mut |node| unknown.extend(node.operator.is_none().then_some(node)));
    }
    unknown.into_iter().map(|node| (node.kind.as_str(), node.name.as_str()))
}
