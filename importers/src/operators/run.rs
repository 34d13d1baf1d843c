//! Compiled nodes and their input values.

use std::cell::RefCell;

use burn::backend::DispatchTensor;

use crate::value::{Outcome, Value};

/// A compiled node: computes the outputs from the inputs.
pub type Run = Box<dyn Fn(&Inputs) -> Outcome<Vec<Value>> + Send + Sync>;

/// The input values of a node at run time; optional inputs may be absent.
pub struct Inputs {
    values: Vec<RefCell<Option<Value>>>,
}

impl Inputs {
    /// Wraps the input values, in the order of the node's inputs.
    pub fn new(values: Vec<Option<Value>>) -> Self {
        Self { values: values.into_iter().map(RefCell::new).collect() }
    }

    /// Returns the number of inputs, including absent ones.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns input `index`, if it is present.
    pub fn optional(&self, index: usize) -> Option<Value> {
        self.values.get(index)?.borrow().clone()
    }

    /// Removes and returns input `index`. If nothing else holds the value, its buffer can be reused for the
    /// result.
    pub fn take(&self, index: usize) -> Outcome<Value> {
        let value = self.values.get(index).and_then(|value| value.borrow_mut().take());
        value.ok_or_else(|| format!("the required input {index} is missing"))
    }

    /// Returns the required input `index`.
    pub fn value(&self, index: usize) -> Outcome<Value> {
        self.optional(index).ok_or_else(|| format!("the required input {index} is missing"))
    }

    /// Returns the required input `index` as a float tensor.
    pub fn float(&self, index: usize) -> Outcome<DispatchTensor> {
        self.value(index)?.float()
    }

    /// Returns input `index` as a float tensor, if it is present.
    pub fn optional_float(&self, index: usize) -> Outcome<Option<DispatchTensor>> {
        self.optional(index).map(|value| value.float()).transpose()
    }

    /// Returns the integers of the required host input `index`.
    pub fn ints(&self, index: usize) -> Outcome<Vec<i64>> {
        self.value(index)?.ints()
    }

    /// Returns all inputs that are present.
    pub fn all(&self) -> Vec<Value> {
        self.values.iter().filter_map(|value| value.borrow().clone()).collect()
    }
}

/// Compiles a node with one output.
pub fn single_output(
    run: impl Fn(&Inputs) -> Outcome<Value> + Send + Sync + 'static,
) -> Outcome<Run> {
    Ok(Box::new(move |inputs| Ok(vec![run(inputs)?])))
}

/// Compiles a float operation on one input that keeps the shape.
pub fn elementwise(
    run: impl Fn(DispatchTensor) -> DispatchTensor + Send + Sync + 'static,
) -> Outcome<Run> {
    single_output(move |inputs| {
        let x = inputs.take(0)?;
        let dims = x.dims();
        Value::new(run(x.into_tensor()?)).reshape(&dims)
    })
}
