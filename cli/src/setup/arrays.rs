//! Arrays of NHWC models. The model is computed in NCHW; its arrays are transposed when they are read and
//! written.

use std::path::Path;

use attriburn_picture::npy::Array;

/// Returns whether the file name has the extension `.npy`.
pub fn is_array(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
}

/// Transposes `[height, width, channels]`, with or without a leading batch axis of size 1, to
/// `[channels, height, width]`. Returns arrays of other ranks unchanged.
pub fn channels_first(array: Array) -> Array {
    match array.shape[..] {
        [height, width, channels] | [1, height, width, channels] => {
            let values = transposed(&array.values, height * width, channels);
            Array { shape: vec![channels, height, width], values }
        }
        _ => array,
    }
}

/// Transposes the values of a map `[channels, height, width]` to `[height, width, channels]`.
pub fn channels_last(values: &[f32], shape: &[usize]) -> Array {
    match *shape {
        [channels, height, width] => Array {
            shape: vec![height, width, channels],
            values: transposed(values, channels, height * width),
        },
        _ => Array { shape: shape.to_vec(), values: values.to_vec() },
    }
}

/// Transposes a matrix of `rows` rows and `columns` columns.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_first_inverts_channels_last() {
        let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let last = channels_last(&values, &[3, 2, 4]);
        assert_eq!((last.shape[..].to_vec(), last.values[1]), (vec![2, 4, 3], 8.0));
        let first = channels_first(last);
        assert_eq!((first.shape[..].to_vec(), first.values), (vec![3, 2, 4], values));
    }
}
