//! The target: which score of the model's outputs a map explains, as it is asked for.

use std::fmt;
use std::sync::Arc;

use burn::tensor::Tensor;

/// The score to explain. With the outputs `s_k` of one input, which are logits or, with
/// [`Output::Probability`](crate::Output::Probability), probabilities:
#[derive(Clone, Debug, PartialEq, Default)]
#[non_exhaustive]
pub enum Target {
    /// `s_c` of the class `c` with the largest logit on the clean input.
    #[default]
    Predicted,
    /// `s_c` of the class with this index.
    Index(usize),
    /// `-s_c`: the evidence against the class or, where the model's one output is a quantity, for a small
    /// value.
    Against(usize),
    /// `s_a - s_b`: why class `a` and not class `b`.
    Difference {
        /// The class `a` that is explained.
        class: usize,
        /// The class `b` that it is compared with.
        other: usize,
    },
    /// `s_c - log(sum over k of exp(s_k))` of logits: the log-odds of `c` among the classes with the `top`
    /// largest logits; `k` runs over the others of these. The gradient is that of `s_c` minus the mean
    /// gradient of the others, weighted by their softmax: the weighted contrast of Wang and Wang (NeurIPS
    /// 2022).
    Contrast {
        /// The class `c`; `None` for the predicted class.
        class: Option<usize>,
        /// The number of largest logits that are compared, `c` included; at least 2.
        top: usize,
    },
    /// A function supplied by the caller.
    Function(ScoreFunction),
}

impl From<usize> for Target {
    fn from(class: usize) -> Self {
        Target::Index(class)
    }
}

/// A function from the outputs `[n, classes]` of `n` samples to the score `[n]` of each. A score must not
/// depend on the other samples. The function is differentiated, so it consists of burn's operations.
#[derive(Clone)]
pub struct ScoreFunction {
    name: String,
    function: Arc<dyn Fn(Tensor<2>) -> Tensor<1> + Send + Sync>,
}

impl ScoreFunction {
    /// The function, with a name for messages.
    pub fn new(
        name: impl Into<String>,
        function: impl Fn(Tensor<2>) -> Tensor<1> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), function: Arc::new(function) }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The scores of `outputs`.
    pub(crate) fn call(&self, outputs: Tensor<2>) -> Tensor<1> {
        (self.function)(outputs)
    }
}

impl fmt::Debug for ScoreFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ScoreFunction({:?})", self.name)
    }
}

/// Functions are equal if one is a clone of the other.
impl PartialEq for ScoreFunction {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function)
    }
}
