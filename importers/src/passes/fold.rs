//! Constant folding. Nodes of constants are run with the same operators as at run time, and an If with a
//! constant condition is replaced by the selected branch.

use std::collections::VecDeque;

use burn::tensor::Device;

use crate::error::{ErrorKind, LoadError};
use crate::graph::{Constant, Graph, Node};
use crate::operators::{Inputs, Role, compile};
use crate::program;
use crate::program::compile_subgraph;
use crate::room;
use crate::value::Outcome;

/// Folds every node whose inputs are all constant.
///
/// # Errors
///
/// When such a node cannot be run or its result exceeds the memory limit. Nodes with unsupported operators
/// are kept.
pub fn fold(graph: &mut Graph) -> Result<(), LoadError> {
    let mut pending: VecDeque<Node> = std::mem::take(&mut graph.nodes).into();
    let mut kept = Vec::with_capacity(pending.len());
    let mut replacements = Vec::new();
    while let Some(mut node) = pending.pop_front() {
        let fold_error = |node: &Node, message: String| {
            LoadError::new(ErrorKind::Unsupported, format!("{}: {message}", node.label()))
        };
        let Some(operator) = node.operator else {
            kept.push(node);
            continue;
        };
        replace_reads(&mut node, &replacements);
        let is_constant = |id: &Option<_>| id.is_none_or(|id| graph.constant(id).is_some());
        let all_constant = node.inputs.iter().all(is_constant);
        if operator.role == Role::If && all_constant {
            let block =
                selected_branch(graph, &node).map_err(|message| fold_error(&node, message))?;
            replacements.extend(
                node.outputs
                    .iter()
                    .zip(&block.outputs)
                    .filter_map(|(&from, &to)| Some((from?, to))),
            );
            block.nodes.into_iter().rev().for_each(|node| pending.push_front(node));
            continue;
        }
        if !all_constant || !graph.captured(&node).is_empty() {
            kept.push(node);
            continue;
        }
        let values = evaluate(graph, &node).map_err(|message| fold_error(&node, message))?;
        for (output, value) in node.outputs.iter().zip(values) {
            if let Some(id) = output {
                let reservation =
                    room::reserve(&value.dims()).map_err(|message| fold_error(&node, message))?;
                reservation.keep();
                graph.values[id.0].constant = Some(Constant::Computed(value.into()));
            }
        }
    }
    graph.nodes = kept;
    graph.redirect(&replacements);
    Ok(())
}

/// Replaces reads of the outputs of replaced Ifs by reads of the outputs of their branches.
fn replace_reads(node: &mut Node, replacements: &[(crate::graph::Id, crate::graph::Id)]) {
    if !replacements.is_empty() {
        node.replace_reads(&mut |id| {
            replacements.iter().fold(id, |id, &(from, to)| if id == from { to } else { id })
        });
    }
}

/// Runs a node whose inputs are all constant and returns its outputs.
fn evaluate(graph: &Graph, node: &Node) -> Outcome<Vec<crate::value::Value>> {
    let run = compile(graph, node, &Device::flex(), compile_subgraph)?;
    let inputs = node.inputs.iter().map(|id| match id.and_then(|id| graph.constant(id)) {
        Some(constant) => constant.value().map(Some),
        None => Ok(None),
    });
    program::apply(&run, Inputs::new(inputs.collect::<Outcome<_>>()?))
}

/// Returns the branch of an If that its constant condition selects.
fn selected_branch(graph: &Graph, node: &Node) -> Outcome<crate::graph::Block> {
    let condition = node.inputs.first().copied().flatten().and_then(|id| graph.constant(id));
    let condition = condition.ok_or("it has no condition")?;
    let is_true = condition.value()?.into_int()?.ints()?.first().is_some_and(|&value| value != 0);
    let name = if is_true { "then_branch" } else { "else_branch" };
    let block = node.blocks.iter().find(|(attribute, _)| attribute == name);
    block.map(|(_, block)| block.clone()).ok_or_else(|| format!("it has no {name}"))
}
