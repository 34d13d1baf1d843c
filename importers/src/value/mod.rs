//! A tensor whose rank, element type and device are known only at run time.
//!
//! The host is burn's `flex` backend. Integers, booleans and every tensor computed from constants and
//! shapes stay on the host; tensors that depend on the values of the model's input live on the model's
//! device. An operation with operands on both moves the host operand to the device. Integers that depend on
//! the values of the input are *levels*: float tensors that hold the integer values, so that they live on
//! the model's device and propagate a gradient.

mod arithmetic;
mod conversion;
mod shape;
mod tensor;

pub use crate::error::Outcome;
pub use arithmetic::{Binary, align_for_broadcast, binary, binary_owned};
pub use conversion::on_one_device;
pub use shape::broadcast;
pub use tensor::{Kind, Value};
