//! The ONNX operators, a file per family. Each operator is listed once, in the table of its
//! family: a row says all that the rest of the importer asks of it.

mod activation;
mod arithmetic;
mod attention;
mod bits;
mod control;
mod convolution;
mod create;
mod einsum;
mod freezing;
mod fused;
mod layout;
mod linear;
mod logic;
mod loss;
mod normalization;
mod pooling;
mod quantization;
mod quantized;
mod recurrent;
mod reduction;
mod resize;
mod rewriting;
mod sampling;
mod scatter;
mod selection;
mod signal;
mod site;
#[cfg(test)]
mod tests;
mod window;

use std::cell::RefCell;

use attriburn_kernels::Activation;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, Scalar};
use burn::tensor::Device;

use crate::graph::{Graph, Node};
use crate::value::{Outcome, Value};

pub use freezing::{Freeze, Freezing};
pub use rewriting::{Rewrite, Rewriting};
pub use site::Site;

/// A node ready to run: from its inputs to its outputs.
pub type Run = Box<dyn Fn(&Inputs) -> Outcome<Vec<Value>> + Send + Sync>;

/// The newest opset of ONNX's own operators whose changes are known here.
const NEWEST_OPSET: i64 = 28;

/// The domain of ONNX Runtime's operators.
const MICROSOFT: &str = "com.microsoft";

/// The domain of operators that are in no file: passes make nodes of them.
pub const OWN: &str = "attriburn";

/// An operator that can be imported.
pub struct Operator {
    /// Its name in ONNX.
    pub name: &'static str,
    /// Its domain; empty for ONNX's own.
    pub domain: &'static str,
    /// The oldest opset whose meaning of it is known.
    pub since: i64,
    /// The fewest and the most inputs.
    pub inputs: (usize, usize),
    /// How many of its outputs are made.
    pub outputs: usize,
    /// What it does that passes look for.
    pub role: Role,
    /// Inputs that set how it works: they stay on the host, and are no parameters.
    pub settings: &'static [usize],
    /// Inputs that are statistics of the training data, and no parameters.
    pub statistics: &'static [usize],
    /// The graphs among its attributes.
    pub blocks: &'static [&'static str],
    /// Whether no gradient passes it.
    pub flat: bool,
    /// Whether its parameters of several axes are matrices or kernels, whatever their sizes.
    pub multiplies: bool,
    /// The scale and shift of channels that it is, where it is one.
    pub affine: Option<AffineOf>,
    /// The activation that it is, where it is one.
    pub activation: Option<ActivationOf>,
    /// Makes it part of a segment of the CPU, where it can be.
    pub frozen: Option<Freeze>,
    /// Puts nodes of other operators in its place, where it is short for several.
    pub rewrite: Option<Rewrite>,
    /// Reads a node's attributes; an error names what cannot be honoured.
    compile: fn(&Site) -> Outcome<Run>,
}

/// What an operator does that passes look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Other,
    /// Gives its input as it is.
    Identity,
    /// Leaves every value as it is and changes at most its place.
    Moves,
    /// Reads the shape alone.
    OfShape,
    /// Holds a value.
    Constant,
    /// Chooses one of its graphs.
    If,
    Convolution,
    Product,
    Quotient,
    Difference,
    Exponential,
    Logarithm,
    /// The sum over axes.
    Sum,
    /// The largest over axes.
    Largest,
    Sigmoid,
    /// A softmax or its logarithm.
    Softmax,
    /// Gives its input but for rounding and bounds.
    Rounds,
}

/// `scale x + shift` with a number per channel.
pub struct Affine {
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
}

/// The channels of a tensor.
#[derive(Clone, Copy)]
pub struct Channels {
    /// How many axes the tensor has.
    pub rank: usize,
    /// Which of them is the channels.
    pub axis: usize,
    pub count: usize,
}

/// The scale and shift that a node is of the `channels` of its input `data`.
pub type AffineOf = fn(site: &Site, data: usize, channels: Channels) -> Option<Affine>;

/// The activation that a node is.
pub type ActivationOf = fn(site: &Site) -> Outcome<Activation>;

/// As many as are given.
pub const ANY: usize = usize::MAX;

impl Operator {
    /// An operator of ONNX's own with one output, in every opset from `since` on.
    const fn new(
        name: &'static str,
        since: i64,
        inputs: (usize, usize),
        compile: fn(&Site) -> Outcome<Run>,
    ) -> Self {
        Self {
            name,
            domain: "",
            since,
            inputs,
            outputs: 1,
            role: Role::Other,
            settings: &[],
            statistics: &[],
            blocks: &[],
            flat: false,
            multiplies: false,
            affine: None,
            activation: None,
            frozen: None,
            rewrite: None,
            compile,
        }
    }

    /// An operator that is short for several others.
    const fn short(
        name: &'static str,
        since: i64,
        inputs: (usize, usize),
        rewrite: Rewrite,
    ) -> Self {
        let compile = |_: &Site| Err("it is not put as other operators here".to_owned());
        Self { rewrite: Some(rewrite), ..Self::new(name, since, inputs, compile) }
    }

    const fn domain(mut self, domain: &'static str) -> Self {
        self.domain = domain;
        self
    }

    const fn outputs(mut self, outputs: usize) -> Self {
        self.outputs = outputs;
        self
    }

    const fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    const fn settings(mut self, inputs: &'static [usize]) -> Self {
        self.settings = inputs;
        self
    }

    const fn statistics(mut self, inputs: &'static [usize]) -> Self {
        self.statistics = inputs;
        self
    }

    const fn blocks(mut self, names: &'static [&'static str]) -> Self {
        self.blocks = names;
        self
    }

    const fn flat(mut self) -> Self {
        self.flat = true;
        self
    }

    const fn multiplies(mut self) -> Self {
        self.multiplies = true;
        self
    }

    const fn frozen(mut self, freeze: Freeze) -> Self {
        self.frozen = Some(freeze);
        self
    }

    const fn activation(mut self, of: ActivationOf) -> Self {
        self.activation = Some(of);
        self
    }

    const fn affine(mut self, affine: AffineOf) -> Self {
        self.affine = Some(affine);
        self
    }
}

/// The operator called `name` in `domain`, if it is supported.
pub fn operator(domain: &str, name: &str) -> Option<&'static Operator> {
    let mut all = families().into_iter().flatten();
    all.find(|operator| operator.name == name && operator.domain == domain)
}

/// An operator that can be imported, as `(domain, name)`; ONNX's own domain is empty.
pub type Name = (&'static str, &'static str);

/// The operators that can be imported: those that a gradient passes, or the others.
pub fn names(differentiable: bool) -> Vec<Name> {
    let all = families().into_iter().flatten();
    let wanted = all.filter(|operator| operator.flat != differentiable && operator.domain != OWN);
    wanted.map(|operator| (operator.domain, operator.name)).collect()
}

/// The `node` of `graph`, ready to run on `device`.
///
/// # Errors
///
/// For everything in the node that is not known or cannot be honoured.
pub fn compile(graph: &Graph, node: &Node, device: &Device) -> Outcome<Run> {
    let operator = known(node)?;
    let run = (operator.compile)(&Site { graph, node, device })?;
    all_read(node).map(|()| run)
}

/// Refuses a node with attributes that nobody asked for.
pub fn all_read(node: &Node) -> Outcome<()> {
    match node.attributes.unread()[..] {
        [] => Ok(()),
        ref names => Err(format!(
            "its attributes {} are not known in opset {}",
            names.join(", "),
            node.opset
        )),
    }
}

/// The operator of `node`, whose opset, inputs, outputs and graphs are known.
pub fn known(node: &Node) -> Outcome<&'static Operator> {
    let operator = node.operator.ok_or("the operator is not supported")?;
    if node.opset < operator.since {
        return Err(format!(
            "opset {} is too old, the oldest is {}; convert the model with onnx.version_converter or export it again",
            node.opset, operator.since
        ));
    }
    if operator.domain.is_empty() && node.opset > NEWEST_OPSET {
        return Err(format!(
            "opset {} is newer than {NEWEST_OPSET}, the newest that is known; export with an older one",
            node.opset
        ));
    }
    let (fewest, most) = operator.inputs;
    if node.inputs.len() < fewest || node.inputs.len() > most {
        return Err(format!("{} inputs are too few or too many", node.inputs.len()));
    }
    if let Some(index) = node.outputs.iter().skip(operator.outputs).position(Option::is_some) {
        return Err(format!("its output {} is not supported", index + operator.outputs));
    }
    let known = |name: &String| operator.blocks.contains(&name.as_str());
    if let Some((name, _)) = node.blocks.iter().find(|(name, _)| !known(name)) {
        return Err(format!("its graph {name} is not known"));
    }
    if node.opset < 6 {
        // A hint for saving memory.
        node.attributes.ignore(&["consumed_inputs"]);
    }
    Ok(operator)
}

/// Every supported operator, by family.
fn families() -> [&'static [Operator]; 24] {
    [
        activation::OPERATORS,
        arithmetic::OPERATORS,
        attention::OPERATORS,
        bits::OPERATORS,
        control::OPERATORS,
        convolution::OPERATORS,
        create::OPERATORS,
        einsum::OPERATORS,
        fused::OPERATORS,
        layout::OPERATORS,
        linear::OPERATORS,
        logic::OPERATORS,
        loss::OPERATORS,
        normalization::OPERATORS,
        pooling::OPERATORS,
        quantization::OPERATORS,
        quantized::OPERATORS,
        recurrent::OPERATORS,
        reduction::OPERATORS,
        resize::OPERATORS,
        sampling::OPERATORS,
        scatter::OPERATORS,
        selection::OPERATORS,
        signal::OPERATORS,
    ]
}

/// The inputs of a running node; optional ones may be absent.
pub struct Inputs {
    values: Vec<RefCell<Option<Value>>>,
}

impl Inputs {
    /// The inputs in the node's order.
    pub fn new(values: Vec<Option<Value>>) -> Self {
        Self { values: values.into_iter().map(RefCell::new).collect() }
    }

    /// How many inputs there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Input `index`, if it was given.
    pub fn optional(&self, index: usize) -> Option<Value> {
        self.values.get(index)?.borrow().clone()
    }

    /// Input `index`, which is not read again: where nothing else reads it either, what is computed of
    /// it can take its place in memory.
    pub fn take(&self, index: usize) -> Outcome<Value> {
        let taken = self.values.get(index).and_then(|value| value.borrow_mut().take());
        taken.ok_or_else(|| format!("its input {index} is missing"))
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
        self.values.iter().filter_map(|value| value.borrow().clone()).collect()
    }
}

/// A node with one output.
fn one(run: impl Fn(&Inputs) -> Outcome<Value> + Send + Sync + 'static) -> Outcome<Run> {
    Ok(Box::new(move |inputs| Ok(vec![run(inputs)?])))
}

/// A float operation of one input that keeps its shape.
fn pointwise(
    run: impl Fn(DispatchTensor) -> DispatchTensor + Send + Sync + 'static,
) -> Outcome<Run> {
    one(move |inputs| {
        let x = inputs.take(0)?;
        let dims = x.dims();
        Value::new(run(x.into_tensor()?)).reshape(&dims)
    })
}

/// The root of a sum of squares, whose derivative at 0 is 0, as in PyTorch's norms.
fn safe_sqrt(x: DispatchTensor) -> DispatchTensor {
    let dtype = Value::new(x.clone()).bool_dtype();
    let zero = Dispatch::float_equal_elem(x.clone(), Scalar::Float(0.0), dtype);
    let root = Dispatch::float_sqrt(Dispatch::float_mask_fill(x, zero.clone(), Scalar::Float(1.0)));
    Dispatch::float_mask_fill(root, zero, Scalar::Float(0.0))
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
