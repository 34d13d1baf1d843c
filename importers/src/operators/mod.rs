//! The ONNX operators, one file per family. Each operator is listed once, in the `OPERATORS` table of its
//! family; the table row holds everything that the rest of the importer needs to know about it.

mod activation;
mod arithmetic;
mod attention;
mod axes;
mod bits;
mod broadcast;
mod control;
mod convolution;
mod create;
mod cumulative;
mod domain;
mod einsum;
mod freezing;
mod fused;
mod interpolation;
mod layout;
mod linear;
mod logic;
mod loss;
mod normalization;
mod padding;
mod pooling;
mod quantization;
mod quantized;
mod recurrent;
mod reduction;
mod registry;
mod resize;
mod rewriting;
mod run;
mod sampling;
mod scatter;
mod schema;
mod selection;
mod signal;
mod signature;
mod site;
mod slicing;
mod taps;
#[cfg(test)]
mod tests;
mod window;

pub(super) use axes::{axis, size};
pub(super) use domain::MICROSOFT;
pub(super) use run::{elementwise, single_output};
pub(super) use site::ActivationOf;

pub use domain::OWN;
pub use freezing::Freezing;
pub use registry::{Name, all_read, checked_operator, compile, names, operator_of, signature};
pub use rewriting::Rewriting;
pub use run::{Inputs, Run};
pub use schema::{Affine, Channels, Jacobian, Linear, Operator};
pub use signature::{ANY, Role, Signature};
pub use site::{RunSubgraph, Site};
