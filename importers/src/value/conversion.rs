//! Conversions of element types, reading elements, and moves between the host and the device.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensorKind, Scalar, TensorMetadata, get_device_settings};
use burn::tensor::{
    AllocationProperty, Bool, BoolDType, Bytes, DType, Device, FloatDType, Int, IntDType, Tensor,
    TensorData,
};

use super::tensor::{Kind, Value};
use crate::error::Outcome;
use crate::file::{Element, Numbers, Stored};

impl Value {
    /// Creates a host value from a stored tensor. Float types are converted to float32; float32 data is not
    /// copied but borrowed from the memory-mapped file.
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

    /// Creates a host value from a stored tensor and copies the data, so that the pages of the file can be
    /// released.
    pub fn copied(stored: &Stored) -> Outcome<Self> {
        match stored.numbers()? {
            Numbers::Floats(values) => Self::from_floats(values),
            Numbers::Ints(values) => Self { element: stored.element, ..Self::from_ints(values) },
            Numbers::Bools(values) => Self::from_bools(values),
        }
        .reshape(&stored.dims)
    }

    /// Creates a host value from data read back from a device.
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

    /// Reads the integers of a host value.
    pub fn ints(&self) -> Outcome<Vec<i64>> {
        let data = self.host_data()?;
        match self.kind() {
            Kind::Int => data.convert::<i64>().try_into_vec().map_err(|e| format!("{e:?}")),
            Kind::Level => Err(format!(
                "{} values that depend on the model's input are not supported here",
                self.element_name()
            )),
            _ => Err(format!(
                "expected an integer tensor, got {} of shape {:?}",
                self.element_name(),
                self.dims()
            )),
        }
    }

    /// Reads the floats or levels of a value; device tensors are copied to the host.
    pub fn floats(&self) -> Outcome<Vec<f32>> {
        let data = self.host_data()?;
        match self.kind() {
            Kind::Float | Kind::Level => {
                data.convert::<f32>().try_into_vec().map_err(|e| format!("{e:?}"))
            }
            _ => Err(format!(
                "expected a float tensor, got {} of shape {:?}",
                self.element_name(),
                self.dims()
            )),
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

    /// Converts the elements to float32.
    pub fn into_float(self) -> Self {
        let tensor = match self.kind() {
            Kind::Float | Kind::Level => self.tensor,
            Kind::Int => Dispatch::int_into_float(self.tensor, FloatDType::F32),
            Kind::Bool => Dispatch::bool_into_float(self.tensor, FloatDType::F32),
        };
        Self { tensor, element: Element::FLOAT, ..self }
    }

    /// Converts the elements to int64 on the host; floats are truncated towards zero.
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

    /// Converts the elements to booleans: true where an element is not zero.
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

    /// Converts integers to levels; returns all other values unchanged.
    fn into_levels(self) -> Self {
        match self.kind() {
            Kind::Int => {
                let element = self.element;
                self.into_float().with_levels(element)
            }
            _ => self,
        }
    }

    /// Converts integers to the integer type `element`; values out of range wrap around, as in C.
    pub fn wrap_to(self, element: Element) -> Outcome<Self> {
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
            return Err(
                "a uint64 value exceeds the int64 range in which integers are computed".into()
            );
        }
        let span = highest - lowest + 1;
        let wrapped = values.into_iter().map(|value| (value - lowest).rem_euclid(span) + lowest);
        let whole = Self::from_ints(wrapped.collect()).reshape(&dims)?;
        Ok(Self { element, ..whole })
    }

    /// Casts to `element`; integers out of range wrap around, as in C.
    pub fn cast(self, element: Element) -> Outcome<Self> {
        if let Some((_, low, high)) = element.integer() {
            match (self.kind(), self.element.integer()) {
                (Kind::Level, Some((_, lowest, highest))) if low <= lowest && highest <= high => {
                    Ok(Self { element, ..self })
                }
                (Kind::Level, _) => Err(format!(
                    "casting {} that depend on the input to {} is not supported: they may be out of range",
                    self.element_name(),
                    element.name()
                )),
                _ => self.into_int()?.wrap_to(element),
            }
        } else if element == Element::BOOL {
            Ok(self.into_bool())
        } else {
            Ok(self.into_float())
        }
    }

    /// Returns the storage type of booleans on the value's device.
    pub fn bool_dtype(&self) -> BoolDType {
        get_device_settings::<Dispatch>(&self.tensor.device()).bool_dtype
    }

    /// Returns the value's device, without autodiff.
    pub fn device(&self) -> Device {
        Device::new(self.tensor.device()).without_autodiff()
    }

    /// Whether the tensor is on the host.
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

    /// Copies the value to the host; a value that is on the host is returned as it is.
    pub fn to_host(&self) -> Outcome<Self> {
        if self.is_on_host() {
            return Ok(self.clone());
        }
        let dims = self.tensor.shape().to_vec();
        let data = self.host_data()?;
        let moved = Self::from_data(data)?.reshape(&dims)?;
        Ok(Self { scalar: self.scalar, element: self.element, ..moved })
    }

    /// Copies the value to `device`; a value that is on `device` is returned as it is.
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
        let moved = self.with_tensor(tensor).reshape(&dims)?;
        Ok(Self { scalar: self.scalar, ..moved })
    }

    /// Moves a host value to the device of `other`; returns a device value unchanged.
    pub(super) fn on_device_of(self, other: &Value) -> Outcome<Self> {
        if other.is_on_host() || !self.is_on_host() {
            return Ok(self);
        }
        self.to_device(&other.device())
    }
}

/// Moves all values to one device: to the host if all are on the host, else to the device of the first
/// device value. Integers become levels if any value is levels.
pub fn on_one_device(mut values: Vec<Value>) -> Outcome<Vec<Value>> {
    if values.iter().any(|value| value.kind() == Kind::Level) {
        values = values.into_iter().map(Value::into_levels).collect();
    }
    let device = values.iter().find(|value| !value.is_on_host()).map(Value::device);
    let on_device_of = |value: Value| match &device {
        Some(device) if value.is_on_host() => value.to_device(device),
        _ => Ok(value),
    };
    values.into_iter().map(on_device_of).collect()
}
