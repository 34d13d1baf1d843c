//! Rejects weights that are not finite.

use crate::error::{ErrorKind, LoadError};
use crate::file::Numbers;
use crate::graph::{Constant, Graph, Node};

/// Checks every stored weight that a node reads. Allows attention masks of zeros and minus infinities, and
/// single infinite values, which may be bounds of a Clip.
///
/// # Errors
///
/// When other weights have values that are not finite; the message lists all of them.
pub fn check(graph: &Graph) -> Result<(), LoadError> {
    let mut checked = vec![false; graph.values.len()];
    let mut invalid = Vec::new();
    let mut check_inputs = |node: &Node| {
        for (index, id) in node.inputs.iter().enumerate() {
            let Some(id) = id.filter(|id| !std::mem::replace(&mut checked[id.0], true)) else {
                continue;
            };
            let Some(Constant::Stored(stored)) = graph.constant(id) else { continue };
            if !stored.element.is_float() || stored.is_finite() {
                continue;
            }
            let Ok(Numbers::Floats(values)) = stored.numbers() else { continue };
            let count = values.iter().filter(|value| !value.is_finite()).count();
            let is_bound = values.len() == 1 && !values[0].is_nan();
            if count > 0 && !is_mask(&values) && !is_bound {
                invalid.push(format!(
                    "{}, input {index} ({count} of {} values)",
                    node.label(),
                    values.len()
                ));
            }
        }
    };
    graph.nodes.iter().for_each(|node| node.visit(&mut check_inputs));
    if invalid.is_empty() {
        return Ok(());
    }
    let message = format!(
        "weights are not finite numbers: {}; training diverged or the file is damaged",
        invalid.join(", ")
    );
    Err(LoadError::new(ErrorKind::Weights, message))
}

/// Whether a tensor is an attention mask: only zeros and minus infinities, at least one of them infinite.
pub fn is_mask(values: &[f32]) -> bool {
    values.contains(&f32::NEG_INFINITY)
        && values.iter().all(|&value| value == 0.0 || value == f32::NEG_INFINITY)
}
