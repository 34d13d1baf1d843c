//! Removes the link function (softmax or sigmoid) from the end of a classifier, so that the scores before it
//! are explained: the derivative of a probability vanishes where the model is confident. Quantization after
//! the link function is removed as well.

use attriburn::Link;

use crate::graph::{Graph, Id, Node};
use crate::operators::Role;

/// Removes the link function before the output and returns it. Between the link function and the output there
/// may be nodes that only move values; they then read the scores. There may also be multiplications by a
/// positive number and quantization, which are removed.
pub fn remove(graph: &mut Graph) -> Option<Link> {
    let matcher = Matcher { read_counts: graph.read_counts(), producers: graph.producers(), graph };
    let output = matcher.graph.outputs[0];
    let (mut path, mut at, mut rounds) = (Vec::new(), output, false);
    let (link, scores) = loop {
        let producer = matcher.producers[at.0]?;
        if let Some(found) = matcher.match_link(producer) {
            break found;
        }
        let node = &matcher.graph.nodes[producer];
        let next = match role(node)? {
            Role::Moves => node.inputs.first().copied().flatten()?,
            Role::Product => matcher.match_positive_scaling(node)?,
            // The quantization parameters are those of probabilities, not of scores.
            Role::Rounds => {
                rounds = true;
                node.inputs.first().copied().flatten()?
            }
            _ => return None,
        };
        if matcher.read_counts[next.0] != 1 {
            return None;
        }
        path.push(producer);
        at = next;
    };
    let mut current = scores;
    for index in path.into_iter().rev() {
        let node = &mut graph.nodes[index];
        // A cast to the quantized type would truncate the scores.
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

struct Matcher<'a> {
    graph: &'a Graph,
    read_counts: Vec<usize>,
    producers: Vec<Option<usize>>,
}

impl Matcher<'_> {
    /// Returns the link function that ends at the node with the index `at`, and the scores that it reads.
    fn match_link(&self, at: usize) -> Option<(Link, Id)> {
        let node = &self.graph.nodes[at];
        let input = node.inputs.first().copied().flatten()?;
        match role(node)? {
            Role::Softmax => Some((Link::Softmax, input)),
            Role::Sigmoid => Some((Link::Sigmoid, input)),
            Role::Quotient => {
                self.match_softmax_quotient(node).map(|scores| (Link::Softmax, scores))
            }
            Role::Logarithm => {
                let (link, scores) = self.match_link(self.producers[input.0]?)?;
                (link == Link::Softmax).then_some((link, scores))
            }
            _ => None,
        }
    }

    /// Returns the scores in `exp(scores) / sum(exp(scores))`. The scores in the exponent may be shifted by
    /// their maximum.
    fn match_softmax_quotient(&self, quotient: &Node) -> Option<Id> {
        let [Some(powers), Some(sum)] = quotient.inputs[..] else { return None };
        let total = self.producer_with_role(sum, Role::Sum)?;
        if total.inputs.first() != Some(&Some(powers)) {
            return None;
        }
        let exponential = self.producer_with_role(powers, Role::Exponential)?;
        let exponent = exponential.inputs.first().copied().flatten()?;
        let unshifted = || {
            let difference = self.producer_with_role(exponent, Role::Difference)?;
            let [Some(scores), Some(shift)] = difference.inputs[..] else { return None };
            let maximum = self.producer_with_role(shift, Role::Largest)?;
            (maximum.inputs.first() == Some(&Some(scores))).then_some(scores)
        };
        Some(unshifted().unwrap_or(exponent))
    }

    /// Returns the node that produces `id`, if its role is `expected`.
    fn producer_with_role(&self, id: Id, expected: Role) -> Option<&Node> {
        let node = &self.graph.nodes[self.producers[id.0]?];
        (role(node) == Some(expected)).then_some(node)
    }

    /// Returns the other factor of a product with a single positive constant.
    fn match_positive_scaling(&self, product: &Node) -> Option<Id> {
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
