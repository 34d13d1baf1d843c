//! The estimator's state on the host.

use super::CARRY;

/// The state of an estimator, read from the device.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The mean of each element.
    pub mean: Vec<f32>,
    /// The sum of squared deviations from the mean of each element.
    pub squares: Vec<f32>,
    /// The number of samples; all elements have the same number.
    pub samples: u64,
}

impl State {
    /// The state in the values of a state tensor `[4, features]`, in row-major order.
    ///
    /// # Panics
    ///
    /// Panics without values.
    pub fn from_values(mut values: Vec<f32>) -> Self {
        let features = values.len() / 4;
        let (low, high) = (values[2 * features] as u64, values[3 * features] as u64);
        values.truncate(2 * features);
        let squares = values.split_off(features);
        Self { mean: values, squares, samples: low + high * CARRY as u64 }
    }
}
