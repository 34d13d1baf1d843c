//! The ONNX operators, a file per family. Each operator is listed once, in the table of its
//! family: its ONNX name and the function that turns a node of it into something that runs.

mod activation;
mod arithmetic;
mod convolution;
mod create;
mod layout;
mod linear;
mod logic;
mod normalization;
mod pooling;
mod reduction;
mod resize;
mod selection;

pub(crate) use normalization::folded as fold_batch_norm;

use burn::backend::DispatchTensor;
use onnx_ir::{Node, RuntimeInputRef};

use crate::value::{Outcome, Value};

/// A node ready to run: from its inputs to its outputs.
pub type Run = Box<dyn Fn(&Inputs) -> Outcome<Vec<Value>> + Send + Sync>;

/// An operator that can be imported.
pub struct Operator {
    /// Its name in ONNX.
    pub name: &'static str,
    /// Reads a node's attributes; an error names what cannot be honoured.
    pub compile: fn(&Node, &Context) -> Outcome<Run>,
}

/// What a node's meaning depends on besides itself.
pub struct Context {
    /// The opset of the default domain.
    pub opset: i64,
}

/// The operator called `name`, if it is supported.
pub fn operator(name: &str) -> Option<&'static Operator> {
    families().into_iter().flatten().find(|operator| operator.name == name)
}

/// Every supported operator, by family.
fn families() -> [&'static [Operator]; 12] {
    [
        activation::OPERATORS,
        arithmetic::OPERATORS,
        convolution::OPERATORS,
        create::OPERATORS,
        layout::OPERATORS,
        linear::OPERATORS,
        logic::OPERATORS,
        normalization::OPERATORS,
        pooling::OPERATORS,
        reduction::OPERATORS,
        resize::OPERATORS,
        selection::OPERATORS,
    ]
}

/// The name in ONNX of a node's operator: the parser splits some by dimension and joins others.
pub fn onnx_name(node: &Node) -> String {
    if let Node::Linear(linear) = node {
        return if linear.config.transpose_weight { "Gemm" } else { "MatMul" }.into();
    }
    let name = node.node_type().to_string();
    match name.as_str() {
        "Lrn" => "LRN".into(),
        _ => ["1d", "2d", "3d"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(&name)
            .into(),
    }
}

/// The inputs of a running node; optional ones may be absent.
pub struct Inputs {
    values: Vec<Option<Value>>,
}

impl Inputs {
    /// The inputs in the node's order.
    pub fn new(values: Vec<Option<Value>>) -> Self {
        Self { values }
    }

    /// Input `index`, if it was given.
    pub fn optional(&self, index: usize) -> Option<Value> {
        self.values.get(index).cloned().flatten()
    }

    /// Input `index`.
    pub fn value(&self, index: usize) -> Outcome<Value> {
        self.optional(index).ok_or_else(|| format!("its input {index} is missing"))
    }

    /// Input `index` as a float tensor.
    pub fn float(&self, index: usize) -> Outcome<DispatchTensor> {
        self.value(index)?.float()
    }

    /// Input `index`, where it was given, as a float tensor.
    pub fn optional_float(&self, index: usize) -> Outcome<Option<DispatchTensor>> {
        self.optional(index).map(|value| value.float()).transpose()
    }

    /// The integers of the host's input `index`.
    pub fn ints(&self, index: usize) -> Outcome<Vec<i64>> {
        self.value(index)?.ints()
    }

    /// All inputs that were given.
    pub fn all(&self) -> Vec<Value> {
        self.values.iter().flatten().cloned().collect()
    }
}

/// A setting that is known when the model is loaded, or read from an input when it runs.
#[derive(Clone, Debug)]
enum Setting<T> {
    Known(T),
    Input(usize),
}

impl<T> Setting<T> {
    fn input(reference: &RuntimeInputRef) -> Self {
        Setting::Input(reference.input_index)
    }
}

impl Setting<Vec<i64>> {
    fn read(&self, inputs: &Inputs) -> Outcome<Vec<i64>> {
        match self {
            Setting::Known(values) => Ok(values.clone()),
            Setting::Input(index) => inputs.ints(*index),
        }
    }
}

/// Matches a node's variant; the table and the parser cannot disagree unless one of them changes.
macro_rules! expect_node {
    ($node:expr, $variant:ident) => {
        match $node {
            onnx_ir::Node::$variant(node) => node,
            other => return Err(format!("the parser made it a {}", other.node_type())),
        }
    };
}
use expect_node;

/// A node with one output.
fn one(run: impl Fn(&Inputs) -> Outcome<Value> + Send + Sync + 'static) -> Outcome<Run> {
    Ok(Box::new(move |inputs| Ok(vec![run(inputs)?])))
}

/// A float operation of one input that keeps its shape.
fn pointwise(
    run: impl Fn(DispatchTensor) -> DispatchTensor + Send + Sync + 'static,
) -> Outcome<Run> {
    one(move |inputs| {
        let x = inputs.value(0)?;
        Value::new(run(x.float()?)).reshape(&x.dims())
    })
}

/// An axis counted from the end when negative.
fn axis(axis: i64, rank: usize) -> Outcome<usize> {
    let counted = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(counted)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| format!("axis {axis} does not exist: the input has {rank} axes"))
}

/// A size or count that must not be negative.
fn size(value: i64) -> Outcome<usize> {
    usize::try_from(value).map_err(|_| format!("{value} is not a size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operator_is_listed_once() {
        let mut names: Vec<_> = families().into_iter().flatten().map(|op| op.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
