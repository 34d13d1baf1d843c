//! The signature of an operator: what graph passes know of it without compiling it.

/// The name, inputs, outputs and properties of a supported operator.
pub struct Signature {
    /// The name in ONNX.
    pub name: &'static str,
    /// The domain; empty for the default ONNX domain.
    pub domain: &'static str,
    /// The oldest supported opset.
    pub since: i64,
    /// The minimum and maximum number of inputs.
    pub inputs: (usize, usize),
    /// The number of outputs that are computed.
    pub outputs: usize,
    /// The semantics that graph passes match on.
    pub role: Role,
    /// Indices of inputs that configure the operator, such as axes and shapes: they stay on the host and are
    /// not model parameters.
    pub settings: &'static [usize],
    /// Indices of inputs that are statistics of the training data, such as running means, and not model
    /// parameters.
    pub statistics: &'static [usize],
    /// The names of the attributes that hold subgraphs.
    pub blocks: &'static [&'static str],
    /// Whether the operator blocks the gradient.
    pub non_differentiable: bool,
    /// Whether weights of rank 2 or more are matrices or convolution kernels, whatever their sizes.
    pub multiplies: bool,
}

/// No limit on the number of inputs or outputs.
pub const ANY: usize = usize::MAX;

/// Operator semantics that graph passes match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Other,
    /// Returns the input unchanged.
    Identity,
    /// Keeps every element and changes at most the shape, the order or the type.
    Moves,
    /// Depends on the shape of the input and not on its values.
    OfShape,
    /// Returns a constant.
    Constant,
    /// Runs one of two subgraphs.
    If,
    Convolution,
    Product,
    Quotient,
    Difference,
    Exponential,
    Logarithm,
    /// The sum reduction.
    Sum,
    /// The maximum reduction.
    Largest,
    Sigmoid,
    /// Normalizes each token over its channels.
    Normalization,
    /// A softmax or log-softmax.
    Softmax,
    /// Rounds and clips the input, and otherwise keeps it.
    Rounds,
}
