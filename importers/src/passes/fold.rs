//! Computes what depends on constants alone, by the same operators as the rest, and puts the branch
//! of an If in its place where its condition is constant.

use std::collections::VecDeque;

use burn::tensor::Device;

use crate::error::{ErrorKind, LoadError};
use crate::graph::{Constant, Graph, Node};
use crate::operators::{Inputs, Role, compile};
use crate::program;
use crate::room;
use crate::value::Outcome;

/// Folds every node of constants.
///
/// # Errors
///
/// When such a node, whose operator must be supported, cannot be run.
pub fn fold(graph: &mut Graph) -> Result<(), LoadError> {
    let mut left: VecDeque<Node> = std::mem::take(&mut graph.nodes).into();
    let mut kept = Vec::with_capacity(left.len());
    let mut change = Vec::new();
    while let Some(mut node) = left.pop_front() {
        let wrong = |node: &Node, message: String| {
            LoadError::new(ErrorKind::Unsupported, format!("{}: {message}", node.label()))
        };
        let Some(operator) = node.operator else {
            kept.push(node);
            continue;
        };
        rename(&mut node, &change);
        let constant = |id: &Option<_>| id.is_none_or(|id| graph.constant(id).is_some());
        let known = node.inputs.iter().all(constant);
        if operator.role == Role::If && known {
            let block = branch(graph, &node).map_err(|message| wrong(&node, message))?;
            change.extend(
                node.outputs
                    .iter()
                    .zip(&block.outputs)
                    .filter_map(|(&from, &to)| Some((from?, to))),
            );
            block.nodes.into_iter().rev().for_each(|node| left.push_front(node));
            continue;
        }
        if !known || !graph.captured(&node).is_empty() {
            kept.push(node);
            continue;
        }
        let values = values(graph, &node).map_err(|message| wrong(&node, message))?;
        for (output, value) in node.outputs.iter().zip(values) {
            if let Some(id) = output {
                let room = room::take(&value.dims()).map_err(|message| wrong(&node, message))?;
                room.for_good();
                graph.values[id.0].constant = Some(Constant::Computed(value.into()));
            }
        }
    }
    graph.nodes = kept;
    graph.redirect(&change);
    Ok(())
}

/// Branches' outputs in place of what the nodes around read.
fn rename(node: &mut Node, change: &[(crate::graph::Id, crate::graph::Id)]) {
    if !change.is_empty() {
        node.rename(&mut |id| {
            change.iter().fold(id, |id, &(from, to)| if id == from { to } else { id })
        });
    }
}

/// What a node of constants gives.
fn values(graph: &Graph, node: &Node) -> Outcome<Vec<crate::value::Value>> {
    let run = compile(graph, node, &Device::flex())?;
    let inputs = node.inputs.iter().map(|id| match id.and_then(|id| graph.constant(id)) {
        Some(constant) => constant.value().map(Some),
        None => Ok(None),
    });
    program::apply(&run, Inputs::new(inputs.collect::<Outcome<_>>()?))
}

/// The branch that a constant condition chooses.
fn branch(graph: &Graph, node: &Node) -> Outcome<crate::graph::Block> {
    let condition = node.inputs.first().copied().flatten().and_then(|id| graph.constant(id));
    let condition = condition.ok_or("it has no condition")?;
    let holds = condition.value()?.into_int()?.ints()?.first().is_some_and(|&value| value != 0);
    let name = if holds { "then_branch" } else { "else_branch" };
    let block = node.blocks.iter().find(|(own, _)| own == name);
    block.map(|(_, block)| block.clone()).ok_or_else(|| format!("it has no {name}"))
}
