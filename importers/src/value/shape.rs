//! Broadcasting, permuting, slicing, indexing and joining of values.

use burn::backend::Dispatch;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::tensor::{Shape, Slice};

use super::conversion::on_one_device;
use super::tensor::{Kind, Value, by_kind};
use crate::error::Outcome;
use crate::room;

impl Value {
    /// Creates a float tensor of shape `dims` filled with `value`, on the host.
    pub fn filled(value: f32, dims: &[usize]) -> Outcome<Self> {
        Self::number(value).expand(dims)
    }

    /// Broadcasts the value to the shape `dims`.
    pub fn expand(self, dims: &[usize]) -> Outcome<Self> {
        let from = self.dims();
        if from == dims {
            return Ok(self);
        }
        room::check(dims)?;
        let lead = dims.len().checked_sub(from.len());
        let fits = |lead: usize| from.iter().zip(&dims[lead..]).all(|(a, b)| a == b || *a == 1);
        let Some(lead) = lead.filter(|&lead| fits(lead)) else {
            return Err(format!("cannot broadcast {from:?} to {dims:?}"));
        };
        let aligned = self.reshape(&[vec![1; lead], from].concat())?;
        let shape = Shape::from(dims.to_vec());
        let tensor =
            by_kind!(aligned, float_expand, int_expand, bool_expand, (aligned.tensor, shape));
        Ok(Self { tensor, scalar: false, element: aligned.element })
    }

    /// Permutes the axes.
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

    /// Slices each axis.
    pub fn slice(self, slices: &[Slice]) -> Self {
        let tensor = by_kind!(self, float_slice, int_slice, bool_slice, (self.tensor, slices));
        Self { tensor, scalar: false, element: self.element }
    }

    /// Selects position `index` of `axis` and removes the axis.
    pub fn index_axis(self, axis: usize, index: usize) -> Outcome<Self> {
        let mut dims = self.dims();
        dims.remove(axis);
        self.range(axis, index..index + 1).reshape(&dims)
    }

    /// Inserts an axis of size 1 before `axis`.
    pub fn insert_axis(self, axis: usize) -> Outcome<Self> {
        let mut dims = self.dims();
        dims.insert(axis, 1);
        self.reshape(&dims)
    }

    /// Slices one axis to `range`.
    pub fn range(self, axis: usize, range: std::ops::Range<usize>) -> Self {
        let mut slices = vec![Slice::from(..); self.rank()];
        slices[axis] = Slice::from(range);
        self.slice(&slices)
    }

    /// Selects positions of `axis` by index, as in ONNX's Gather with a vector of indices.
    pub fn select(self, axis: usize, indices: Vec<i64>) -> Outcome<Self> {
        let mut dims = self.dims();
        if let Some(size) = dims.get_mut(axis) {
            *size = indices.len();
        }
        room::check(&dims)?;
        let indices = Self::from_ints(indices).on_device_of(&self)?.tensor;
        let tensor =
            by_kind!(self, float_select, int_select, bool_select, (self.tensor, axis, indices));
        Ok(Self { tensor, scalar: false, element: self.element })
    }

    /// Gathers elements along `axis` by an index tensor of the same rank, as in ONNX's GatherElements.
    pub fn gather(self, axis: usize, indices: Value) -> Outcome<Self> {
        let indices = indices.on_device_of(&self)?.tensor;
        let tensor =
            by_kind!(self, float_gather, int_gather, bool_gather, (axis, self.tensor, indices));
        Ok(Self { tensor, scalar: false, element: self.element })
    }

    /// Concatenates values along `axis`.
    pub fn concat(values: &[Value], axis: usize) -> Outcome<Self> {
        let values = on_one_device(values.to_vec())?;
        let Some(first) = values.first() else {
            return Err("the node has no inputs".into());
        };
        if let Some(other) = values.iter().find(|value| value.element() != first.element()) {
            return Err(type_mismatch(first, other));
        }
        let mut dims = first.dims();
        if axis < dims.len() {
            let sizes = values.iter().filter_map(|value| value.dims().get(axis).copied());
            dims[axis] = sizes.fold(0, usize::saturating_add);
        }
        room::check(&dims)?;
        let tensors = values.iter().map(Value::tensor).collect();
        let tensor = by_kind!(first, float_cat, int_cat, bool_cat, (tensors, axis));
        Ok(first.with_tensor(tensor))
    }

    /// Selects `yes` where the boolean `self` is true and `no` elsewhere, with broadcasting (ONNX's Where).
    pub fn choose(self, yes: Value, no: Value) -> Outcome<Self> {
        let dims = broadcast(&broadcast(&self.dims(), &yes.dims())?, &no.dims())?;
        let values = on_one_device(vec![self, yes, no])?;
        let [mask, yes, no] = &values[..] else {
            return Err("expected a condition and two values".into());
        };
        let (mask, yes, no) =
            (mask.clone().expand(&dims)?, yes.clone().expand(&dims)?, no.clone().expand(&dims)?);
        if yes.element() != no.element() || mask.kind() != Kind::Bool {
            return Err("expected a boolean condition and two values of the same type".into());
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
}

/// Returns the shape to which the shapes `a` and `b` broadcast.
pub fn broadcast(a: &[usize], b: &[usize]) -> Outcome<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], axis: usize| {
        (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis])
    };
    let sizes = (0..rank).map(|axis| match (at(a, axis), at(b, axis)) {
        (x, y) if x == y || y == 1 => Ok(x),
        (1, y) => Ok(y),
        _ => Err(format!("the shapes {a:?} and {b:?} do not broadcast")),
    });
    let dims: Vec<usize> = sizes.collect::<Outcome<_>>()?;
    room::check(&dims)?;
    Ok(dims)
}

/// Returns the message for two values whose element types differ.
pub(super) fn type_mismatch(a: &Value, b: &Value) -> String {
    format!("the input types {} and {} differ", a.element().name(), b.element().name())
}
