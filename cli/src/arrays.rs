//! Arrays of models that take their channels last: such a model is computed with channels first, and its
//! arrays are turned when they are read and written.

use std::path::Path;

use attriburn::npy::Array;

/// Whether a file is called like an array.
pub fn is_array(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"))
}

/// The samples of `[height, width, channels]` as `[channels, height, width]`, with or without a batch axis of
/// 1. Arrays of other shapes are left as they are.
pub fn channels_first(array: Array) -> Array {
    match array.shape[..] {
        [height, width, channels] | [1, height, width, channels] => {
            let values = transposed(&array.values, height * width, channels);
            Array { shape: vec![channels, height, width], values }
        }
        _ => array,
    }
}

/// The values of a map `[channels, height, width]` as `[height, width, channels]`.
pub fn channels_last(values: &[f32], shape: &[usize]) -> Array {
    match *shape {
        [channels, height, width] => Array {
            shape: vec![height, width, channels],
            values: transposed(values, channels, height * width),
        },
        _ => Array { shape: shape.to_vec(), values: values.to_vec() },
    }
}

/// A matrix of so many rows and columns with its axes exchanged.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_is_the_same() {
        let values: Vec<f32> = (0..24).map(|at| at as f32).collect();
        let last = channels_last(&values, &[3, 2, 4]);
        assert_eq!((last.shape[..].to_vec(), last.values[1]), (vec![2, 4, 3], 8.0));
        let first = channels_first(last);
        assert_eq!((first.shape[..].to_vec(), first.values), (vec![3, 2, 4], values));
    }
}
