//! The description of an operator: the row of an operator in the table of its family.

use super::freezing::Freeze;
use super::rewriting::Rewrite;
use super::run::Run;
use super::signature::{Role, Signature};
use super::site::{ActivationOf, Site};
use crate::value::Outcome;

/// A supported operator: its signature, and how it is compiled, lowered and rewritten.
pub struct Operator {
    /// The signature, which nodes refer to.
    pub signature: Signature,
    /// Expresses the node as a per-channel scale and shift, if possible.
    pub affine: Option<AffineOf>,
    /// Expresses the node as an element-wise activation, if possible.
    pub activation: Option<ActivationOf>,
    /// Lowers the node into a fused CPU segment, if possible.
    pub frozen: Option<Freeze>,
    /// What is known of the Jacobian.
    pub jacobian: Jacobian,
    /// Replaces the node by nodes of other operators, for operators that are defined as a composition.
    pub rewrite: Option<Rewrite>,
    /// Reads the attributes and compiles the node; an error names the unsupported setting.
    pub(super) compile: fn(&Site) -> Outcome<Run>,
}

/// What is known of an operator's Jacobian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jacobian {
    /// Nothing.
    Any,
    /// Each element of the output depends on the same element of the first input alone, while the other inputs are
    /// constants.
    Diagonal,
    /// It is the same for all values: the output is a linear function of these inputs, up to a constant.
    Constant(Linear),
}

/// The inputs in which an operator is linear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linear {
    /// All inputs jointly: a sum.
    Jointly,
    /// Each input, while the others are constants: a product.
    Singly,
    /// The first input, while the others are constants: a quotient.
    First,
}

impl Jacobian {
    /// Returns the Jacobian with respect to the inputs with these indices, while the others are constants.
    pub fn of_inputs(self, inputs: &[usize]) -> Self {
        let holds = match self {
            Self::Any | Self::Constant(Linear::Jointly) => true,
            Self::Constant(Linear::Singly) => inputs.len() == 1,
            Self::Diagonal | Self::Constant(Linear::First) => inputs == [0],
        };
        if holds { self } else { Self::Any }
    }
}

/// The map `scale x + shift` with one scale and one shift per channel.
pub struct Affine {
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
}

/// The channel axis of a tensor.
#[derive(Clone, Copy)]
pub struct Channels {
    /// The rank of the tensor.
    pub rank: usize,
    /// The index of the channel axis.
    pub axis: usize,
    /// The number of channels.
    pub count: usize,
}

/// Returns the node as a scale and shift of the `channels` of its input number `data`, if it is one.
pub type AffineOf = fn(site: &Site, data: usize, channels: Channels) -> Option<Affine>;

impl Operator {
    /// Creates an operator of the default ONNX domain with one output, supported from opset `since` on.
    pub(super) const fn new(
        name: &'static str,
        since: i64,
        inputs: (usize, usize),
        compile: fn(&Site) -> Outcome<Run>,
    ) -> Self {
        Self {
            signature: Signature {
                name,
                domain: "",
                since,
                inputs,
                outputs: 1,
                role: Role::Other,
                settings: &[],
                statistics: &[],
                blocks: &[],
                non_differentiable: false,
                multiplies: false,
            },
            affine: None,
            activation: None,
            frozen: None,
            jacobian: Jacobian::Any,
            rewrite: None,
            compile,
        }
    }

    /// Creates an operator that is rewritten to a composition of other operators.
    pub(super) const fn rewritten(
        name: &'static str,
        since: i64,
        inputs: (usize, usize),
        rewrite: Rewrite,
    ) -> Self {
        let compile = |_: &Site| {
            Err("the operator is supported only where it is rewritten to other operators"
                .to_owned())
        };
        Self { rewrite: Some(rewrite), ..Self::new(name, since, inputs, compile) }
    }

    pub(super) const fn domain(mut self, domain: &'static str) -> Self {
        self.signature.domain = domain;
        self
    }

    pub(super) const fn outputs(mut self, outputs: usize) -> Self {
        self.signature.outputs = outputs;
        self
    }

    pub(super) const fn role(mut self, role: Role) -> Self {
        self.signature.role = role;
        self
    }

    pub(super) const fn settings(mut self, inputs: &'static [usize]) -> Self {
        self.signature.settings = inputs;
        self
    }

    pub(super) const fn statistics(mut self, inputs: &'static [usize]) -> Self {
        self.signature.statistics = inputs;
        self
    }

    pub(super) const fn blocks(mut self, names: &'static [&'static str]) -> Self {
        self.signature.blocks = names;
        self
    }

    pub(super) const fn non_differentiable(mut self) -> Self {
        self.signature.non_differentiable = true;
        self
    }

    pub(super) const fn multiplies(mut self) -> Self {
        self.signature.multiplies = true;
        self
    }

    pub(super) const fn frozen(mut self, freeze: Freeze) -> Self {
        self.frozen = Some(freeze);
        self
    }

    pub(super) const fn activation(mut self, of: ActivationOf) -> Self {
        self.activation = Some(of);
        self
    }

    pub(super) const fn linear(mut self, linear: Linear) -> Self {
        self.jacobian = Jacobian::Constant(linear);
        self
    }

    pub(super) const fn elementwise(mut self) -> Self {
        self.jacobian = Jacobian::Diagonal;
        self
    }

    pub(super) const fn affine(mut self, affine: AffineOf) -> Self {
        self.affine = Some(affine);
        self
    }
}
