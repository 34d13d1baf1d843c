//! Makes one node of a GELU that is spelled out, as exporters below opset 20 do:
//! `x (erf(x / sqrt(2)) + 1) / 2`, its factors in any order.

use crate::graph::{Attributes, Graph, Id, Node};
use crate::operators::{Role, operator};

/// The opset in which the operator came.
const OPSET: i64 = 20;

/// Puts a Gelu in place of every node that ends such an expression.
pub fn join(graph: &mut Graph) {
    let found: Vec<(usize, Id)> = (0..graph.nodes.len())
        .filter_map(|at| Some((at, whole(&Spelled { makers: graph.makers(), graph }, at)?)))
        .collect();
    for (at, x) in found {
        let node = &mut graph.nodes[at];
        node.operator = operator("", "Gelu");
        node.kind = "Gelu".into();
        node.opset = OPSET;
        node.attributes = Attributes::default();
        node.inputs = vec![Some(x)];
    }
}

struct Spelled<'a> {
    graph: &'a Graph,
    makers: Vec<Option<usize>>,
}

/// What the GELU that ends at node `at` is of.
fn whole(spelled: &Spelled, at: usize) -> Option<Id> {
    let mut factors = Vec::new();
    let mut constant = 1.0;
    spelled.factors(&spelled.graph.nodes[at], &mut factors, &mut constant)?;
    let [a, b] = factors[..] else { return None };
    let of = |x: Id, sum: Id| (spelled.error_of(sum)? == x).then_some(x);
    of(a, b).or_else(|| of(b, a)).filter(|_| constant == 0.5)
}

impl Spelled<'_> {
    fn maker(&self, id: Id) -> Option<&Node> {
        self.makers[id.0].map(|maker| &self.graph.nodes[maker])
    }

    fn number(&self, id: Id) -> Option<f64> {
        let constant = self.graph.constant(id)?.value().ok()?;
        // One of more axes could add axes to the product.
        let [value] = constant.floats().ok()?[..] else { return None };
        (constant.rank() <= 1).then_some(f64::from(value))
    }

    /// The factors of a product or quotient, and the constant among them: at most two products deep.
    fn factors(&self, node: &Node, factors: &mut Vec<Id>, constant: &mut f64) -> Option<()> {
        let [Some(a), Some(b)] = node.inputs[..] else { return None };
        match node.operator?.role {
            Role::Product => {
                for id in [a, b] {
                    if let Some(number) = self.number(id) {
                        *constant *= number;
                    } else if factors.len() < 2
                        && self.maker(id).is_some_and(|maker| self.is_scaled(maker))
                    {
                        self.factors(self.maker(id)?, factors, constant)?;
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

    /// Whether a node is a product that is part of the expression: with a constant, or with the error
    /// function's sum.
    fn is_scaled(&self, node: &Node) -> bool {
        let [Some(a), Some(b)] = node.inputs[..] else { return false };
        let product = node.operator.is_some_and(|own| own.role == Role::Product);
        product && [a, b].iter().any(|&id| self.number(id).is_some() || self.error_of(id).is_some())
    }

    /// The `x` of a sum that is `erf(x / sqrt(2)) + 1`.
    fn error_of(&self, sum: Id) -> Option<Id> {
        let node = self.maker(sum)?;
        let [Some(a), Some(b)] = node.inputs[..] else { return None };
        let error = match (node.kind.as_str(), self.number(a), self.number(b)) {
            ("Add", Some(1.0), None) => b,
            ("Add", None, Some(1.0)) => a,
            _ => return None,
        };
        let node = self.maker(error).filter(|node| node.kind == "Erf")?;
        let scaled = self.maker(node.inputs.first().copied().flatten()?)?;
        let (mut factors, mut constant) = (Vec::new(), 1.0);
        self.factors(scaled, &mut factors, &mut constant)?;
        let [x] = factors[..] else { return None };
        ((constant - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-6).then_some(x)
    }
}
