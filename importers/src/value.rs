//! A tensor whose rank, kind and place are known only at run time.
//!
//! The host is burn's `flex`: integers, booleans and everything computed from constants and shapes
//! stay there; what depends on the model's input lives on the model's device. Where the two meet,
//! the host's value moves to the device. Integers of the sample are *levels*: the floats of their values,
//! so that they live where the sample does and a gradient passes them.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Dispatch, DispatchTensor, DispatchTensorKind, Scalar, TensorMetadata, get_device_settings,
};
use burn::tensor::{
    AllocationProperty, Bool, BoolDType, Bytes, DType, Device, FloatDType, Int, IntDType, Shape,
    Slice, Tensor, TensorData,
};

use crate::file::{Element, Numbers, Stored};
use crate::room;

/// What a run-time failure says; the graph adds the node.
pub type Outcome<T> = Result<T, String>;

/// A value of the graph while it runs.
#[derive(Clone, Debug)]
pub struct Value {
    tensor: DispatchTensor,
    /// burn has no tensors of rank 0: a scalar is held as `[1]`.
    scalar: bool,
    /// The type of the elements. All integers are held as int64, and levels as floats.
    element: Element,
}

/// The kind of a value's elements: float32, integers on the host, integers of the sample, or boolean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Float,
    Int,
    Level,
    Bool,
}

/// Applies the operation of the value's kind.
macro_rules! by_kind {
    ($value:expr, $float:ident, $int:ident, $bool:ident, ($($arg:expr),*)) => {
        match $value.kind() {
            Kind::Float | Kind::Level => Dispatch::$float($($arg),*),
            Kind::Int => Dispatch::$int($($arg),*),
            Kind::Bool => Dispatch::$bool($($arg),*),
        }
    };
}

impl Value {
    /// A value of the tensor's own shape; integers are int64.
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

    /// Another tensor of its own shape and of this value's type.
    pub fn with(&self, tensor: DispatchTensor) -> Self {
        Self { tensor, scalar: false, element: self.element }
    }

    /// Floats that are the values of integers of the type `element`; other values as they are.
    pub fn with_levels(self, element: Element) -> Self {
        match self.kind() {
            Kind::Float if element.integer().is_some() => Self { element, ..self },
            _ => self,
        }
    }

    /// The integers as levels; other values as they are.
    fn into_levels(self) -> Self {
        match self.kind() {
            Kind::Int => {
                let element = self.element;
                self.into_float().with_levels(element)
            }
            _ => self,
        }
    }

    /// The integers as those of the type `element`: what does not fit it wraps around, as in C.
    pub fn wrapped(self, element: Element) -> Outcome<Self> {
        let Some((bytes, lowest, highest)) = element.integer() else {
            return Ok(self);
        };
        if self.kind() != Kind::Int {
            return Ok(self);
        }
        let typed = Self { element, ..self };
        if (bytes, lowest) == (8, i64::MIN) {
            return Ok(typed);
        }
        let (dims, values) = (typed.dims(), typed.ints()?);
        if values.iter().all(|value| (lowest..=highest).contains(value)) {
            return Ok(typed);
        }
        if bytes == 8 {
            return Err("an integer is too large for the int64 in which uint64 is computed".into());
        }
        let span = highest - lowest + 1;
        let wrapped = values.into_iter().map(|value| (value - lowest).rem_euclid(span) + lowest);
        let whole = Self::from_ints(wrapped.collect()).reshape(&dims)?;
        Ok(Self { element, ..whole })
    }

    /// A host value of what the file stores: floats become float32. Those that are float32 already stay
    /// in the file.
    pub fn from_stored(stored: &Stored) -> Outcome<Self> {
        if let Some(bytes) = stored.borrowed() {
            let count = bytes.len() / size_of::<f32>();
            let bytes = Bytes::from_shared(bytes, AllocationProperty::File);
            let data = TensorData::from_bytes(bytes, [count], DType::F32);
            let tensor = Tensor::<1>::from_data(data, (&Device::flex(), DType::F32));
            return Self::new(tensor.into_dispatch()).reshape(&stored.dims);
        }
        Self::copied(stored)
    }

    /// The same in memory of its own: that of the file's part is given back.
    pub fn copied(stored: &Stored) -> Outcome<Self> {
        match stored.numbers()? {
            Numbers::Floats(values) => Self::from_floats(values),
            Numbers::Ints(values) => Self { element: stored.element, ..Self::from_ints(values) },
            Numbers::Bools(values) => Self::from_bools(values),
        }
        .reshape(&stored.dims)
    }

    /// A host value of a device's `data`.
    fn from_data(data: TensorData) -> Outcome<Self> {
        let dims = data.shape().to_vec();
        let dtype = data.dtype();
        let wrong = |error| format!("{error:?}");
        if dtype.is_float() {
            data.convert::<f32>().try_into_vec().map(Self::from_floats)
        } else if dtype.is_bool() {
            data.convert::<bool>().try_into_vec().map(Self::from_bools)
        } else {
            data.convert::<i64>().try_into_vec().map(Self::from_ints)
        }
        .map_err(wrong)?
        .reshape(&dims)
    }

    /// A host vector of booleans.
    pub fn from_bools(values: Vec<bool>) -> Self {
        let count = values.len();
        let data = TensorData::new(values, [count]);
        Self::new(Tensor::<1, Bool>::from_data(data, &Device::flex()).into_dispatch())
    }

    /// A host vector of integers.
    pub fn from_ints(values: Vec<i64>) -> Self {
        let count = values.len();
        let data = TensorData::new(values, [count]);
        Self::new(Tensor::<1, Int>::from_data(data, (&Device::flex(), DType::I64)).into_dispatch())
    }

    /// A host vector of floats.
    pub fn from_floats(values: Vec<f32>) -> Self {
        let count = values.len();
        let data = TensorData::new(values, [count]);
        Self::new(Tensor::<1>::from_data(data, (&Device::flex(), DType::F32)).into_dispatch())
    }

    /// One number without axes, on the host.
    pub fn number(value: f32) -> Self {
        Self { scalar: true, ..Self::from_floats(vec![value]) }
    }

    /// `value` everywhere, on the host.
    pub fn filled(value: f32, dims: &[usize]) -> Outcome<Self> {
        Self::number(value).expand(dims)
    }

    /// The shape as ONNX sees it: empty for a scalar.
    pub fn dims(&self) -> Vec<usize> {
        if self.scalar { Vec::new() } else { self.tensor.shape().to_vec() }
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.dims().len()
    }

    /// The kind of the elements.
    pub fn kind(&self) -> Kind {
        match (self.element, self.tensor.dtype().is_float()) {
            (Element::BOOL, _) => Kind::Bool,
            (Element::FLOAT, _) => Kind::Float,
            (_, true) => Kind::Level,
            (_, false) => Kind::Int,
        }
    }

    /// The type of the elements: that of floats is float32.
    pub fn element(&self) -> Element {
        self.element
    }

    /// The tensor, of rank 1 for a scalar.
    pub fn tensor(&self) -> DispatchTensor {
        self.tensor.clone()
    }

    /// The float tensor.
    pub fn float(&self) -> Outcome<DispatchTensor> {
        match self.kind() {
            Kind::Float => Ok(self.tensor()),
            _ => Err(format!("it takes floats, not {} of shape {:?}", self.name(), self.dims())),
        }
    }

    /// The type of the elements in ONNX's spelling.
    fn name(&self) -> String {
        self.element.name()
    }

    /// The float tensor, of which this value was the last.
    pub fn into_tensor(self) -> Outcome<DispatchTensor> {
        match self.kind() {
            Kind::Float => Ok(self.tensor),
            _ => self.float(),
        }
    }

    /// The integers, of a value on the host.
    pub fn ints(&self) -> Outcome<Vec<i64>> {
        let data = self.host_data()?;
        match self.kind() {
            Kind::Int => data.convert::<i64>().try_into_vec().map_err(|e| format!("{e:?}")),
            Kind::Level => Err(format!("its {} depend on the values of the input", self.name())),
            _ => Err(format!("it takes integers, not {} of shape {:?}", self.name(), self.dims())),
        }
    }

    /// The floats or levels, of a value on the host.
    pub fn floats(&self) -> Outcome<Vec<f32>> {
        let data = self.host_data()?;
        match self.kind() {
            Kind::Float | Kind::Level => {
                data.convert::<f32>().try_into_vec().map_err(|e| format!("{e:?}"))
            }
            _ => Err(format!("it takes floats, not {} of shape {:?}", self.name(), self.dims())),
        }
    }

    fn host_data(&self) -> Outcome<TensorData> {
        let tensor = self.tensor.clone();
        match self.kind() {
            Kind::Float | Kind::Level => Tensor::<1>::from_dispatch(tensor).try_into_data(),
            Kind::Int => Tensor::<1, Int>::from_dispatch(tensor).try_into_data(),
            Kind::Bool => Tensor::<1, Bool>::from_dispatch(tensor).try_into_data(),
        }
        .map_err(|error| error.to_string())
    }

    /// The same elements in another shape.
    pub fn reshape(self, dims: &[usize]) -> Outcome<Self> {
        let (from, to): (usize, usize) = (self.dims().iter().product(), dims.iter().product());
        if from != to {
            return Err(format!("{:?} cannot be reshaped to {dims:?}", self.dims()));
        }
        if to == 0 {
            room::check(dims)?;
        }
        let scalar = dims.is_empty();
        let held: &[usize] = if scalar { &[1] } else { dims };
        if self.tensor.shape().as_slice() == held {
            return Ok(Self { scalar, ..self });
        }
        let shape = Shape::from(held.to_vec());
        let element = self.element;
        let tensor = by_kind!(self, float_reshape, int_reshape, bool_reshape, (self.tensor, shape));
        Ok(Self { tensor, scalar, element })
    }

    /// The value repeated along axes of size 1 until it has the shape `dims`.
    pub fn expand(self, dims: &[usize]) -> Outcome<Self> {
        let own = self.dims();
        if own == dims {
            return Ok(self);
        }
        room::check(dims)?;
        let lead = dims.len().checked_sub(own.len());
        let fits = |lead: usize| own.iter().zip(&dims[lead..]).all(|(a, b)| a == b || *a == 1);
        let Some(lead) = lead.filter(|&lead| fits(lead)) else {
            return Err(format!("{own:?} does not broadcast to {dims:?}"));
        };
        let aligned = self.reshape(&[vec![1; lead], own].concat())?;
        let shape = Shape::from(dims.to_vec());
        let tensor =
            by_kind!(aligned, float_expand, int_expand, bool_expand, (aligned.tensor, shape));
        Ok(Self { tensor, scalar: false, element: aligned.element })
    }

    /// The axes in another order.
    pub fn permute(self, axes: &[usize]) -> Outcome<Self> {
        let each_once = (0..self.rank()).all(|axis| axes.contains(&axis));
        if axes.len() != self.rank() || !each_once {
            return Err(format!("{axes:?} does not permute the axes of {:?}", self.dims()));
        }
        if axes.is_empty() {
            return Ok(self);
        }
        let tensor = by_kind!(self, float_permute, int_permute, bool_permute, (self.tensor, axes));
        Ok(Self { tensor, scalar: false, element: self.element })
    }

    /// A part of each axis.
    pub fn slice(self, slices: &[Slice]) -> Self {
        let tensor = by_kind!(self, float_slice, int_slice, bool_slice, (self.tensor, slices));
        Self { tensor, scalar: false, element: self.element }
    }

    /// What lies at `index` of `axis`, without that axis.
    pub fn part(self, axis: usize, index: usize) -> Outcome<Self> {
        let mut dims = self.dims();
        dims.remove(axis);
        self.range(axis, index..index + 1).reshape(&dims)
    }

    /// The same elements with a new axis of size 1 in front of `axis`.
    pub fn with_axis(self, axis: usize) -> Outcome<Self> {
        let mut dims = self.dims();
        dims.insert(axis, 1);
        self.reshape(&dims)
    }

    /// The elements of `axis` in `range`.
    pub fn range(self, axis: usize, range: std::ops::Range<usize>) -> Self {
        let mut slices = vec![Slice::from(..); self.rank()];
        slices[axis] = Slice::from(range);
        self.slice(&slices)
    }

    /// The slices of `axis` that `indices` name, in their order.
    pub fn select(self, axis: usize, indices: Vec<i64>) -> Outcome<Self> {
        let mut dims = self.dims();
        if let Some(size) = dims.get_mut(axis) {
            *size = indices.len();
        }
        room::check(&dims)?;
        let indices = Self::from_ints(indices).beside(&self)?.tensor;
        let tensor =
            by_kind!(self, float_select, int_select, bool_select, (self.tensor, axis, indices));
        Ok(Self { tensor, scalar: false, element: self.element })
    }

    /// The elements that `indices` (of this rank) name along `axis`.
    pub fn gather(self, axis: usize, indices: Value) -> Outcome<Self> {
        let indices = indices.beside(&self)?.tensor;
        let tensor =
            by_kind!(self, float_gather, int_gather, bool_gather, (axis, self.tensor, indices));
        Ok(Self { tensor, scalar: false, element: self.element })
    }

    /// The values one after the other along `axis`.
    pub fn concat(values: &[Value], axis: usize) -> Outcome<Self> {
        let values = together(values.to_vec())?;
        let Some(first) = values.first() else {
            return Err("it has no inputs".into());
        };
        if let Some(other) = values.iter().find(|value| value.element() != first.element()) {
            return Err(differ(first, other));
        }
        let mut dims = first.dims();
        if axis < dims.len() {
            let sizes = values.iter().filter_map(|value| value.dims().get(axis).copied());
            dims[axis] = sizes.fold(0, usize::saturating_add);
        }
        room::check(&dims)?;
        let tensors = values.iter().map(Value::tensor).collect();
        let tensor = by_kind!(first, float_cat, int_cat, bool_cat, (tensors, axis));
        Ok(first.with(tensor))
    }

    /// `yes` where `self` holds and `no` elsewhere.
    pub fn choose(self, yes: Value, no: Value) -> Outcome<Self> {
        let dims = broadcast(&broadcast(&self.dims(), &yes.dims())?, &no.dims())?;
        let values = together(vec![self, yes, no])?;
        let [mask, yes, no] = &values[..] else {
            return Err("it takes a condition and two values".into());
        };
        let (mask, yes, no) =
            (mask.clone().expand(&dims)?, yes.clone().expand(&dims)?, no.clone().expand(&dims)?);
        if yes.element() != no.element() || mask.kind() != Kind::Bool {
            return Err("it takes a boolean condition and two values of one type".into());
        }
        let tensor = by_kind!(
            yes,
            float_mask_where,
            int_mask_where,
            bool_mask_where,
            (no.tensor, mask.tensor, yes.tensor)
        );
        Ok(Self { tensor, scalar: dims.is_empty(), element: yes.element })
    }

    /// The elements as float32.
    pub fn into_float(self) -> Self {
        let tensor = match self.kind() {
            Kind::Float | Kind::Level => self.tensor,
            Kind::Int => Dispatch::int_into_float(self.tensor, FloatDType::F32),
            Kind::Bool => Dispatch::bool_into_float(self.tensor, FloatDType::F32),
        };
        Self { tensor, element: Element::FLOAT, ..self }
    }

    /// The elements as int64, cut towards zero, on the host.
    pub fn into_int(self) -> Outcome<Self> {
        let scalar = self.scalar;
        let host = self.to_host()?;
        let tensor = match host.kind() {
            Kind::Int => host.tensor,
            Kind::Float => Dispatch::float_into_int(host.tensor, IntDType::I64),
            Kind::Bool => Dispatch::bool_into_int(host.tensor, IntDType::I64),
            Kind::Level => return host.ints().map(Self::from_ints),
        };
        Ok(Self { tensor, scalar, element: Element::INT64 })
    }

    /// Whether each element differs from zero.
    pub fn into_bool(self) -> Self {
        let dtype = self.bool_dtype();
        let tensor = match self.kind() {
            Kind::Bool => self.tensor,
            Kind::Int => Dispatch::int_not_equal_elem(self.tensor, Scalar::Int(0), dtype),
            Kind::Float | Kind::Level => {
                Dispatch::float_not_equal_elem(self.tensor, Scalar::Float(0.0), dtype)
            }
        };
        Self { tensor, element: Element::BOOL, ..self }
    }

    /// The elements as `element`: integers that do not fit one wrap around, as in C.
    pub fn cast(self, element: Element) -> Outcome<Self> {
        if let Some((_, low, high)) = element.integer() {
            match (self.kind(), self.element.integer()) {
                (Kind::Level, Some((_, lowest, highest))) if low <= lowest && highest <= high => {
                    Ok(Self { element, ..self })
                }
                (Kind::Level, _) => Err(format!(
                    "integers of the sample are not cut from {} to {}",
                    self.name(),
                    element.name()
                )),
                _ => self.into_int()?.wrapped(element),
            }
        } else if element == Element::BOOL {
            Ok(self.into_bool())
        } else {
            Ok(self.into_float())
        }
    }

    /// The type of booleans where this value lives.
    pub fn bool_dtype(&self) -> BoolDType {
        get_device_settings::<Dispatch>(&self.tensor.device()).bool_dtype
    }

    /// Where the value is, without autodiff.
    pub fn device(&self) -> Device {
        Device::new(self.tensor.device()).without_autodiff()
    }

    /// Whether the value is on the host.
    pub fn is_on_host(&self) -> bool {
        fn flex(kind: &DispatchTensorKind) -> bool {
            match kind {
                DispatchTensorKind::Flex(_) => true,
                DispatchTensorKind::Autodiff(inner) => flex(inner),
                #[allow(unreachable_patterns)]
                _ => false,
            }
        }
        flex(&self.tensor.kind)
    }

    /// The value on the host.
    pub fn to_host(&self) -> Outcome<Self> {
        if self.is_on_host() {
            return Ok(self.clone());
        }
        let dims = self.tensor.shape().to_vec();
        let data = self.host_data()?;
        let moved = Self::from_data(data)?.reshape(&dims)?;
        Ok(Self { scalar: self.scalar, element: self.element, ..moved })
    }

    /// The value on `device`.
    pub fn to_device(&self, device: &Device) -> Outcome<Self> {
        if self.device() == *device {
            return Ok(self.clone());
        }
        let dims = self.tensor.shape().to_vec();
        let count: usize = dims.iter().product();
        let data = self.host_data()?;
        let dtype = data.dtype();
        let data = TensorData::from_bytes(data.into_bytes(), [count], dtype);
        let tensor = match self.kind() {
            Kind::Float | Kind::Level => Tensor::<1>::from_data(data, device).into_dispatch(),
            Kind::Int => Tensor::<1, Int>::from_data(data, device).into_dispatch(),
            Kind::Bool => Tensor::<1, Bool>::from_data(data, device).into_dispatch(),
        };
        let moved = self.with(tensor).reshape(&dims)?;
        Ok(Self { scalar: self.scalar, ..moved })
    }

    /// This value where `other` is: moved there when it is on the host and `other` is not.
    fn beside(self, other: &Value) -> Outcome<Self> {
        if other.is_on_host() || !self.is_on_host() {
            return Ok(self);
        }
        self.to_device(&other.device())
    }
}

/// The values in one place: on the device as soon as one of them is.
pub fn together(mut values: Vec<Value>) -> Outcome<Vec<Value>> {
    if values.iter().any(|value| value.kind() == Kind::Level) {
        values = values.into_iter().map(Value::into_levels).collect();
    }
    let anchor = values.iter().find(|value| !value.is_on_host()).map(Value::device);
    let beside = |value: Value| match &anchor {
        Some(device) if value.is_on_host() => value.to_device(device),
        _ => Ok(value),
    };
    values.into_iter().map(beside).collect()
}

/// The shape that `a` and `b` broadcast to.
pub fn broadcast(a: &[usize], b: &[usize]) -> Outcome<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], axis: usize| {
        (axis + dims.len()).checked_sub(rank).map_or(1, |own| dims[own])
    };
    let sizes = (0..rank).map(|axis| match (at(a, axis), at(b, axis)) {
        (x, y) if x == y || y == 1 => Ok(x),
        (1, y) => Ok(y),
        _ => Err(format!("{a:?} and {b:?} do not broadcast")),
    });
    let dims: Vec<usize> = sizes.collect::<Outcome<_>>()?;
    room::check(&dims)?;
    Ok(dims)
}

/// An operation on two tensors, by kind.
pub type Binary = fn(FloatTensor<Dispatch>, FloatTensor<Dispatch>) -> FloatTensor<Dispatch>;

/// Applies `float` or `int` to `a` and `b`, broadcast to one shape; integers wrap around.
pub fn binary(a: &Value, b: &Value, float: Binary, int: Option<Binary>) -> Outcome<Value> {
    combined(a.clone(), b.clone(), float, int)
}

/// The same, where neither is read again.
pub fn combined(a: Value, b: Value, float: Binary, int: Option<Binary>) -> Outcome<Value> {
    let (a, b, dims) = aligned(a, b)?;
    let element = a.element();
    let tensor = match (a.kind(), int) {
        (Kind::Float, _) => float(a.tensor, b.tensor),
        (Kind::Int, Some(int)) => int(a.tensor, b.tensor),
        (Kind::Level, _) => {
            let name = element.name();
            return Err(format!("arithmetic with the {name} of the sample is not supported"));
        }
        (kind, _) => return Err(format!("it is not defined for {kind:?}")),
    };
    Value::new(tensor).reshape(&dims)?.wrapped(element)
}

fn differ(a: &Value, b: &Value) -> String {
    format!("its inputs are of different types, {} and {}", a.element().name(), b.element().name())
}

/// `a` and `b` in one place, of one type and rank, and the shape they broadcast to.
pub fn aligned(a: Value, b: Value) -> Outcome<(Value, Value, Vec<usize>)> {
    let dims = broadcast(&a.dims(), &b.dims())?;
    if a.element() != b.element() {
        return Err(differ(&a, &b));
    }
    let rank = dims.len().max(1);
    let pad = |value: Value| {
        let own = value.dims();
        value.reshape(&[vec![1; rank - own.len()], own].concat())
    };
    let mut pair = together(vec![pad(a)?, pad(b)?])?;
    let (b, a) = (pair.pop(), pair.pop());
    match (a, b) {
        (Some(a), Some(b)) => Ok((a, b, dims)),
        _ => Err("it takes two inputs".into()),
    }
}
