//! Refuses weights that are not finite numbers.

use crate::error::{ErrorKind, LoadError};
use crate::file::Numbers;
use crate::graph::{Constant, Graph, Node};

/// Checks every stored weight that a node reads. Minus infinity among zeros is an attention mask,
/// and a single infinity may be a bound.
///
/// # Errors
///
/// All weights that have other values that are not finite.
pub fn check(graph: &Graph) -> Result<(), LoadError> {
    let mut checked = vec![false; graph.values.len()];
    let mut wrong = Vec::new();
    let mut see = |node: &Node| {
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
                wrong.push(format!(
                    "{}, input {index} ({count} of {} values)",
                    node.label(),
                    values.len()
                ));
            }
        }
    };
    graph.nodes.iter().for_each(|node| node.visit(&mut see));
    if wrong.is_empty() {
        return Ok(());
    }
    let message = format!(
        "weights are not finite numbers: {}; the model was trained or stored badly",
        wrong.join(", ")
    );
    Err(LoadError::new(ErrorKind::Weights, message))
}

/// Whether a tensor holds nothing but zeros and minus infinities.
pub fn is_mask(values: &[f32]) -> bool {
    values.contains(&f32::NEG_INFINITY)
        && values.iter().all(|&value| value == 0.0 || value == f32::NEG_INFINITY)
}
