//! Takes the link function off the end of a classifier: the scores before it are explained, for the
//! derivative of a probability vanishes where the model is sure. What rounds behind it goes with it.

use attriburn::Link;

use crate::graph::{Graph, Id, Node};
use crate::operators::Role;

/// Finds the link function in front of the output, behind nodes that only move values or multiply
/// by a positive number, and makes these nodes read the scores instead.
pub fn take_off(graph: &mut Graph) -> Option<Link> {
    let end = End { readers: graph.readers(), makers: graph.makers(), graph };
    let output = end.graph.outputs[0];
    let (mut path, mut at, mut rounds) = (Vec::new(), output, false);
    let (link, scores) = loop {
        let maker = end.makers[at.0]?;
        if let Some(found) = end.link(maker) {
            break found;
        }
        let node = &end.graph.nodes[maker];
        let next = match role(node)? {
            Role::Moves => node.inputs.first().copied().flatten()?,
            Role::Product => end.scaled(node)?,
            // Made for probabilities, not for scores.
            Role::Rounds => {
                rounds = true;
                node.inputs.first().copied().flatten()?
            }
            _ => return None,
        };
        if end.readers[next.0] != 1 {
            return None;
        }
        path.push(maker);
        at = next;
    };
    let mut current = scores;
    for maker in path.into_iter().rev() {
        let node = &mut graph.nodes[maker];
        // A cast of levels would cut the scores.
        if role(node) == Some(Role::Moves) && !(rounds && node.kind == "Cast") {
            node.inputs[0] = Some(current);
            current = node.outputs[0]?;
        }
    }
    graph.outputs[0] = current;
    Some(link)
}

fn role(node: &Node) -> Option<Role> {
    node.operator.map(|operator| operator.role)
}

struct End<'a> {
    graph: &'a Graph,
    readers: Vec<usize>,
    makers: Vec<Option<usize>>,
}

impl End<'_> {
    /// The link function that the node computes, and the scores that it reads.
    fn link(&self, maker: usize) -> Option<(Link, Id)> {
        let node = &self.graph.nodes[maker];
        let input = node.inputs.first().copied().flatten()?;
        match role(node)? {
            Role::Softmax => Some((Link::Softmax, input)),
            Role::Sigmoid => Some((Link::Sigmoid, input)),
            Role::Quotient => self.spelled_out(node).map(|scores| (Link::Softmax, scores)),
            Role::Logarithm => {
                let (link, scores) = self.link(self.makers[input.0]?)?;
                (link == Link::Softmax).then_some((link, scores))
            }
            _ => None,
        }
    }

    /// The scores in `exp(scores) / sum(exp(scores))`, shifted by their largest or not.
    fn spelled_out(&self, quotient: &Node) -> Option<Id> {
        let [Some(powers), Some(sum)] = quotient.inputs[..] else { return None };
        let total = self.made_by(sum, Role::Sum)?;
        if total.inputs.first() != Some(&Some(powers)) {
            return None;
        }
        let exponent =
            self.made_by(powers, Role::Exponential)?.inputs.first().copied().flatten()?;
        let shifted = || {
            let difference = self.made_by(exponent, Role::Difference)?;
            let [Some(scores), Some(shift)] = difference.inputs[..] else { return None };
            let largest = self.made_by(shift, Role::Largest)?;
            (largest.inputs.first() == Some(&Some(scores))).then_some(scores)
        };
        Some(shifted().unwrap_or(exponent))
    }

    fn made_by(&self, id: Id, wanted: Role) -> Option<&Node> {
        let node = &self.graph.nodes[self.makers[id.0]?];
        (role(node) == Some(wanted)).then_some(node)
    }

    /// What a product with one positive constant multiplies.
    fn scaled(&self, product: &Node) -> Option<Id> {
        let [Some(a), Some(b)] = product.inputs[..] else { return None };
        let positive = |id: Id| {
            let values = self.graph.constant(id)?.value().ok()?.floats().ok()?;
            (values.len() == 1 && values[0] > 0.0).then_some(())
        };
        match (positive(a), positive(b)) {
            (None, Some(())) => Some(a),
            (Some(()), None) => Some(b),
            _ => None,
        }
    }
}
