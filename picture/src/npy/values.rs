//! The values of a `.npy` file, converted to float32 in C order.

use std::io;

use npyz::{DType, NpyFile, NpyHeader, TypeChar};

use super::header::NpyError;

/// Converts the data of the file to float32, in the order of the file.
pub(super) fn read_values(header: NpyHeader, bytes: &[u8]) -> Result<Vec<f32>, NpyError> {
    let DType::Plain(plain) = header.dtype() else {
        return Err(NpyError::ElementType(header.dtype().descr()));
    };
    let file = NpyFile::with_header(header, bytes);
    let values = match (plain.type_char(), plain.num_bytes()) {
        (TypeChar::Float, Some(2)) => converted(file, |value: half::f16| value.to_f32()),
        (TypeChar::Float, Some(4)) => converted(file, |value: f32| value),
        (TypeChar::Float, Some(8)) => {
            let values = file.into_vec::<f64>().map_err(NpyError::Io)?;
            let is_too_large = |value: &&f64| value.is_finite() && (**value as f32).is_infinite();
            if let Some(&value) = values.iter().find(is_too_large) {
                return Err(NpyError::OutOfRange(value));
            }
            Ok(values.into_iter().map(|value| value as f32).collect())
        }
        (TypeChar::Int, Some(1)) => converted(file, |value: i8| value.into()),
        (TypeChar::Int, Some(2)) => converted(file, |value: i16| value.into()),
        (TypeChar::Int, Some(4)) => converted(file, |value: i32| value as f32),
        (TypeChar::Int, _) => converted(file, |value: i64| value as f32),
        (TypeChar::Uint, Some(1)) => converted(file, |value: u8| value.into()),
        (TypeChar::Uint, Some(2)) => converted(file, |value: u16| value.into()),
        (TypeChar::Uint, Some(4)) => converted(file, |value: u32| value as f32),
        _ => converted(file, |value: u64| value as f32),
    };
    values.map_err(NpyError::Io)
}

fn converted<T: npyz::Deserialize>(
    file: NpyFile<&[u8]>,
    convert: impl Fn(T) -> f32,
) -> io::Result<Vec<f32>> {
    let values = file.data::<T>().map_err(io::Error::other)?;
    values.map(|value| value.map(&convert)).collect()
}

/// Converts values from Fortran order to C order.
pub(super) fn to_c_order(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let mut index = vec![0; shape.len()];
    let mut offset = 0;
    let mut reordered = Vec::with_capacity(values.len());
    while reordered.len() < values.len() {
        reordered.push(values[offset]);
        // Increment `index`, last axis first, and keep its offset in the file in `offset`.
        let mut stride = values.len();
        for axis in (0..shape.len()).rev() {
            stride /= shape[axis];
            index[axis] += 1;
            offset += stride;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
            offset -= stride * shape[axis];
        }
    }
    reordered
}
