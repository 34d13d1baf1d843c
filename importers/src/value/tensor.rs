//! A tensor with its ONNX element type: constructors, properties and the shape.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{Bool, DType, Device, Int, Shape, Tensor, TensorData};

use crate::error::Outcome;
use crate::file::Element;
use crate::room;

/// The run-time value of a graph edge: a tensor with its ONNX element type.
#[derive(Clone, Debug)]
pub struct Value {
    pub(super) tensor: DispatchTensor,
    /// burn has no tensors of rank 0: a scalar is held as `[1]`.
    pub(super) scalar: bool,
    /// The ONNX element type. Integers of every type are stored as int64, and levels as floats.
    pub(super) element: Element,
}

/// The storage kind of a value's elements: float32, int64 on the host, levels (integers that depend on the
/// input, stored as floats), or boolean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Float,
    Int,
    Level,
    Bool,
}

/// Calls the backend operation for the value's kind.
macro_rules! by_kind {
    ($value:expr, $float:ident, $int:ident, $bool:ident, ($($arg:expr),*)) => {
        match $value.kind() {
            Kind::Float | Kind::Level => Dispatch::$float($($arg),*),
            Kind::Int => Dispatch::$int($($arg),*),
            Kind::Bool => Dispatch::$bool($($arg),*),
        }
    };
}
pub(super) use by_kind;

impl Value {
    /// Wraps a tensor and keeps its shape; integer tensors get the element type int64.
    pub fn new(tensor: DispatchTensor) -> Self {
        let dtype = tensor.dtype();
        let element = if dtype.is_float() {
            Element::FLOAT
        } else if dtype.is_bool() {
            Element::BOOL
        } else {
            Element::INT64
        };
        Self { tensor, scalar: false, element }
    }

    /// Wraps another tensor, with its own shape and the element type of `self`.
    pub fn with_tensor(&self, tensor: DispatchTensor) -> Self {
        Self { tensor, scalar: false, element: self.element }
    }

    /// Marks a float value as levels of the integer type `element`; returns all other values unchanged.
    pub fn with_levels(self, element: Element) -> Self {
        match self.kind() {
            Kind::Float if element.integer().is_some() => Self { element, ..self },
            _ => self,
        }
    }

    /// Creates a host vector of booleans.
    pub fn from_bools(values: Vec<bool>) -> Self {
        let count = values.len();
        let data = TensorData::new(values, [count]);
        Self::new(Tensor::<1, Bool>::from_data(data, &Device::flex()).into_dispatch())
    }

    /// Creates a host vector of int64.
    pub fn from_ints(values: Vec<i64>) -> Self {
        let count = values.len();
        let data = TensorData::new(values, [count]);
        Self::new(Tensor::<1, Int>::from_data(data, (&Device::flex(), DType::I64)).into_dispatch())
    }

    /// Creates a host vector of float32.
    pub fn from_floats(values: Vec<f32>) -> Self {
        let count = values.len();
        let data = TensorData::new(values, [count]);
        Self::new(Tensor::<1>::from_data(data, (&Device::flex(), DType::F32)).into_dispatch())
    }

    /// Creates a float scalar (rank 0) on the host.
    pub fn number(value: f32) -> Self {
        Self { scalar: true, ..Self::from_floats(vec![value]) }
    }

    /// Returns the shape in ONNX terms: empty for a scalar.
    pub fn dims(&self) -> Vec<usize> {
        if self.scalar { Vec::new() } else { self.tensor.shape().to_vec() }
    }

    /// Returns the number of axes.
    pub fn rank(&self) -> usize {
        self.dims().len()
    }

    /// Returns the storage kind of the elements.
    pub fn kind(&self) -> Kind {
        match (self.element, self.tensor.dtype().is_float()) {
            (Element::BOOL, _) => Kind::Bool,
            (Element::FLOAT, _) => Kind::Float,
            (_, true) => Kind::Level,
            (_, false) => Kind::Int,
        }
    }

    /// Returns the ONNX element type; float32 for every float value.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Returns the backend tensor; a scalar has the shape `[1]`.
    pub fn tensor(&self) -> DispatchTensor {
        self.tensor.clone()
    }

    /// Returns the backend tensor of a float value.
    ///
    /// # Errors
    ///
    /// If the value is not float.
    pub fn float(&self) -> Outcome<DispatchTensor> {
        match self.kind() {
            Kind::Float => Ok(self.tensor()),
            _ => Err(format!(
                "expected a float tensor, got {} of shape {:?}",
                self.element_name(),
                self.dims()
            )),
        }
    }

    /// Returns the ONNX name of the element type.
    pub(super) fn element_name(&self) -> String {
        self.element.name()
    }

    /// Consumes a float value and returns its backend tensor, so that the buffer can be reused.
    pub fn into_tensor(self) -> Outcome<DispatchTensor> {
        match self.kind() {
            Kind::Float => Ok(self.tensor),
            _ => self.float(),
        }
    }

    /// Changes the shape; the number of elements must stay the same.
    pub fn reshape(self, dims: &[usize]) -> Outcome<Self> {
        let (from, to): (usize, usize) = (self.dims().iter().product(), dims.iter().product());
        if from != to {
            return Err(format!("cannot reshape {:?} to {dims:?}", self.dims()));
        }
        if to == 0 {
            room::check(dims)?;
        }
        let scalar = dims.is_empty();
        let stored_dims: &[usize] = if scalar { &[1] } else { dims };
        if self.tensor.shape().as_slice() == stored_dims {
            return Ok(Self { scalar, ..self });
        }
        let shape = Shape::from(stored_dims.to_vec());
        let element = self.element;
        let tensor = by_kind!(self, float_reshape, int_reshape, bool_reshape, (self.tensor, shape));
        Ok(Self { tensor, scalar, element })
    }
}
