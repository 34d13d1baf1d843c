//! The range of input values, from 0 to 255 or from 0 to 1, that a model's first nodes and statistics reveal.

use attriburn_onnx::Scaling;
use attriburn_picture::{Preset, Recipe};

/// The largest magnitude of a mean or standard deviation of values from 0 to 1. Larger numbers are statistics
/// of bytes, which are then not divided by 255.
const MAX_UNIT_STATISTIC: f32 = 3.0;

/// Returns the divisor of bytes that fits a mean and standard deviation: 1 for statistics of bytes, 255 for
/// those of values from 0 to 1.
pub fn divisor_for<'n>(mean_and_std: impl Iterator<Item = &'n f32>) -> f32 {
    let largest = mean_and_std.fold(0.0f32, |largest, number| largest.max(number.abs()));
    if largest > MAX_UNIT_STATISTIC { 1.0 } else { 255.0 }
}

/// Returns the recipe of `preset` without its resize, so that only the range of values remains.
pub fn values_only(preset: Preset) -> Recipe {
    Recipe { mode: None, resize: None, interpolation: None, ..preset.recipe() }
}

/// Infers the input range of a model whose first nodes scale the input. After such nodes, values lie within a
/// few units of zero.
///
/// - 0 to 255: the scale is of the order of 1/100, or the shift is a mean of bytes.
/// - 0 to 1: the shift moves the zero well into the range.
///
/// Returns `None` if neither is certain.
pub fn range_before(scaling: &Scaling) -> Option<Preset> {
    let all = |test: &dyn Fn(f64, f64) -> bool| {
        scaling.scale.iter().zip(&scaling.shift).all(|(&scale, &shift)| test(scale, shift))
    };
    let is_usual_width = |range: f64| (0.5..=12.0).contains(&range);
    let is_scaled_down = all(&|scale, _| is_usual_width(255.0 * scale));
    let has_mean_of_bytes = all(&|scale, shift| scale > 0.0 && scale <= 2.0 && -shift > 12.0);
    // The zero lies between 20 % and 80 % of the range.
    let is_centred =
        all(&|scale, shift| is_usual_width(scale) && (0.2..=0.8).contains(&(-shift / scale)));
    match () {
        () if is_scaled_down || has_mean_of_bytes => Some(Preset::Raw255),
        () if is_centred => Some(Preset::Unit),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_before_returns_none_unless_the_range_is_certain() {
        let range = |scale: f64, shift: f64| {
            range_before(&Scaling { scale: vec![scale; 3], shift: vec![shift; 3] })
        };
        for (scale, shift) in
            [(1.0 / 255.0, 0.0), (1.0 / 127.5, -1.0), (1.0 / 58.0, -2.1), (1.0, -116.0)]
        {
            assert_eq!(range(scale, shift), Some(Preset::Raw255), "{scale} {shift}");
        }
        for (scale, shift) in [(2.0, -1.0), (1.0 / 0.229, -0.485 / 0.229), (1.0, -0.5)] {
            assert_eq!(range(scale, shift), Some(Preset::Unit), "{scale} {shift}");
        }
        // No scaling, or a shift of values around zero.
        for (scale, shift) in
            [(1.0, 0.0), (0.95, 0.01), (0.5, 0.5), (2.18, 0.07), (-1.0, 0.0), (0.0, 0.0)]
        {
            assert_eq!(range(scale, shift), None, "{scale} {shift}");
        }
    }
}
