//! Fuses a GELU that is composed of elementary operators, as exporters write it below opset 20, into one Gelu
//! node: `x (erf(x / sqrt(2)) + 1) / 2`, with the factors in any order.

use crate::graph::{Attributes, Graph, Id, Node};
use crate::operators::{Role, signature};

/// The first opset with the operator Gelu.
const OPSET: i64 = 20;

/// Replaces the last node of every such expression by a Gelu.
pub fn fuse(graph: &mut Graph) {
    let found: Vec<(usize, Id)> = (0..graph.nodes.len())
        .filter_map(|at| {
            Some((at, match_gelu(&Matcher { producers: graph.producers(), graph }, at)?))
        })
        .collect();
    for (at, x) in found {
        let node = &mut graph.nodes[at];
        node.operator = signature("", "Gelu");
        node.kind = "Gelu".into();
        node.opset = OPSET;
        node.attributes = Attributes::default();
        node.inputs = vec![Some(x)];
    }
}

struct Matcher<'a> {
    graph: &'a Graph,
    producers: Vec<Option<usize>>,
}

/// Returns the argument of the GELU that ends at node `at`, if there is one.
fn match_gelu(matcher: &Matcher, at: usize) -> Option<Id> {
    let mut factors = Vec::new();
    let mut constant = 1.0;
    matcher.collect_factors(&matcher.graph.nodes[at], &mut factors, &mut constant)?;
    let [a, b] = factors[..] else { return None };
    let argument = |x: Id, sum: Id| (matcher.match_erf_sum(sum)? == x).then_some(x);
    argument(a, b).or_else(|| argument(b, a)).filter(|_| constant == 0.5)
}

impl Matcher<'_> {
    /// Returns the node that produces `id`.
    fn producer(&self, id: Id) -> Option<&Node> {
        self.producers[id.0].map(|producer| &self.graph.nodes[producer])
    }

    /// Returns the single number that the constant `id` holds.
    fn number(&self, id: Id) -> Option<f64> {
        let constant = self.graph.constant(id)?.value().ok()?;
        // A constant of higher rank could add axes to the product by broadcasting.
        let [value] = constant.floats().ok()?[..] else { return None };
        (constant.rank() <= 1).then_some(f64::from(value))
    }

    /// Collects the non-constant factors of a product or quotient, at most two, and multiplies `constant` by
    /// the constant factors. Follows nested products that belong to the expression.
    fn collect_factors(
        &self,
        node: &Node,
        factors: &mut Vec<Id>,
        constant: &mut f64,
    ) -> Option<()> {
        let [Some(a), Some(b)] = node.inputs[..] else { return None };
        match node.operator?.role {
            Role::Product => {
                for id in [a, b] {
                    if let Some(number) = self.number(id) {
                        *constant *= number;
                    } else if factors.len() < 2
                        && self.producer(id).is_some_and(|node| self.is_inner_product(node))
                    {
                        self.collect_factors(self.producer(id)?, factors, constant)?;
                    } else {
                        factors.push(id);
                    }
                }
            }
            Role::Quotient => {
                *constant /= self.number(b)?;
                factors.push(a);
            }
            _ => return None,
        }
        (factors.len() <= 2).then_some(())
    }

    /// Whether a node is a product that belongs to the expression: one factor is a constant or the sum
    /// `erf(x / sqrt(2)) + 1`.
    fn is_inner_product(&self, node: &Node) -> bool {
        let [Some(a), Some(b)] = node.inputs[..] else { return false };
        let is_product = node.operator.is_some_and(|operator| operator.role == Role::Product);
        is_product
            && [a, b]
                .iter()
                .any(|&id| self.number(id).is_some() || self.match_erf_sum(id).is_some())
    }

    /// Returns the `x` of the sum `erf(x / sqrt(2)) + 1`, if `sum` is one.
    fn match_erf_sum(&self, sum: Id) -> Option<Id> {
        let node = self.producer(sum)?;
        let [Some(a), Some(b)] = node.inputs[..] else { return None };
        let erf = match (node.kind.as_str(), self.number(a), self.number(b)) {
            ("Add", Some(1.0), None) => b,
            ("Add", None, Some(1.0)) => a,
            _ => return None,
        };
        let node = self.producer(erf).filter(|node| node.kind == "Erf")?;
        let scaled = self.producer(node.inputs.first().copied().flatten()?)?;
        let (mut factors, mut constant) = (Vec::new(), 1.0);
        self.collect_factors(scaled, &mut factors, &mut constant)?;
        let [x] = factors[..] else { return None };
        ((constant - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-6).then_some(x)
    }
}
