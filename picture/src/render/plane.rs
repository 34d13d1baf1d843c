//! A map with one value per pixel.

use super::view::View;
use crate::error::{Error, ErrorKind};

/// A map with one value per pixel: the sum over the channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    height: usize,
    width: usize,
    values: Vec<f32>,
    errors: Option<Vec<f32>>,
}

impl Plane {
    /// Sums a map `[channels, height, width]` over its channels, in double precision.
    ///
    /// The standard errors are summed too: the channels of a sample are not independent, and the sum is the
    /// greatest standard error that their sum can have.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are not `channels * height * width` values, or
    /// another number of standard errors.
    pub fn new(
        values: &[f32],
        errors: Option<&[f32]>,
        [channels, height, width]: [usize; 3],
    ) -> Result<Plane, Error> {
        let pixels = height.saturating_mul(width);
        let sum = |values: &[f32]| {
            let expected = pixels.saturating_mul(channels);
            if values.len() != expected {
                let (subject, size) = ("a map with channels", (height, width));
                return Err(Error::count(subject, size, expected, values.len()));
            }
            let mut sums = vec![0.0f64; pixels];
            for channel in values.chunks_exact(pixels.max(1)) {
                for (sum, value) in sums.iter_mut().zip(channel) {
                    *sum += f64::from(*value);
                }
            }
            Ok(sums.into_iter().map(|sum| sum as f32).collect::<Vec<f32>>())
        };
        let errors = errors.map(sum).transpose()?;
        Ok(Plane { height, width, values: sum(values)?, errors })
    }

    /// The height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The values in row-major order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The standard errors of the values, if they are known.
    pub fn errors(&self) -> Option<&[f32]> {
        self.errors.as_deref()
    }

    /// Sets the values to 0 whose magnitude is less than `z` standard errors: they cannot be told from 0. Values
    /// without a finite standard error are kept.
    #[must_use]
    pub fn certain(mut self, z: f64) -> Plane {
        let errors = self.errors.iter().flatten();
        for (value, &error) in self.values.iter_mut().zip(errors) {
            if f64::from(value.abs()) < z * f64::from(error) {
                *value = 0.0;
            }
        }
        self
    }

    /// Replaces each value by the sum over its region. `regions` has the number of each pixel's region.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if `regions` does not have one number per pixel.
    pub fn by_regions(mut self, regions: &[usize]) -> Result<Plane, Error> {
        if regions.len() != self.values.len() {
            return Err(Error::new(
                ErrorKind::Shape,
                format!(
                    "there are region numbers of {} pixels, but the map has {}; give one per pixel",
                    regions.len(),
                    self.values.len()
                ),
            ));
        }
        let count = regions.iter().max().map_or(0, |last| last + 1);
        let sum_by_region = |values: &mut Vec<f32>| {
            let mut sums = vec![0.0f64; count];
            for (&region, value) in regions.iter().zip(values.iter()) {
                sums[region] += f64::from(*value);
            }
            *values = regions.iter().map(|&region| sums[region] as f32).collect();
        };
        sum_by_region(&mut self.values);
        self.errors.as_mut().map(sum_by_region);
        Ok(self)
    }

    /// Blurs the values with a Gaussian whose standard deviation is `sigma` pixels, for display. Pixels beyond the
    /// border are left out. The standard errors are removed, because they are not those of blurred values.
    #[must_use]
    pub fn blurred(mut self, sigma: f64) -> Plane {
        if sigma > 0.0 && sigma.is_finite() && !self.values.is_empty() {
            let taps = gaussian(sigma, self.height.max(self.width));
            let rows = along(&self.values, self.width, 1, &taps);
            self.values = along(&rows, self.height, self.width, &taps);
            self.errors = None;
        }
        self
    }

    /// Keeps the part of the values that `view` shows.
    #[must_use]
    pub fn viewed(mut self, view: View) -> Plane {
        self.values.iter_mut().for_each(|value| *value = view.of(*value));
        self
    }
}

/// The weights of a Gaussian at the distances from 0 to 3 `sigma`, at most `limit` of them.
fn gaussian(sigma: f64, limit: usize) -> Vec<f64> {
    let count = ((3.0 * sigma).ceil() as usize + 1).min(limit);
    (0..count).map(|distance| (-0.5 * (distance as f64 / sigma).powi(2)).exp()).collect()
}

/// Filters along one axis, whose `count` values lie `stride` apart. The weights inside the border sum to 1.
fn along(values: &[f32], count: usize, stride: usize, taps: &[f64]) -> Vec<f32> {
    let filtered = |at: usize| {
        let i = (at / stride) % count;
        let start = at - i * stride;
        let (first, last) = (i.saturating_sub(taps.len() - 1), (i + taps.len() - 1).min(count - 1));
        let (mut sum, mut total) = (0.0, 0.0);
        for j in first..=last {
            let weight = taps[j.abs_diff(i)];
            sum += weight * f64::from(values[start + j * stride]);
            total += weight;
        }
        (sum / total) as f32
    };
    (0..values.len()).map(filtered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_each_pixel_are_summed() {
        let values = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0, 0.5, 0.5, 0.5, 0.5];
        let plane = Plane::new(&values, Some(&values), [3, 2, 2]).expect("a plane");
        assert_eq!(plane.values(), [11.5, 22.5, 33.5, 44.5]);
        assert_eq!(plane.errors(), Some(&[11.5, 22.5, 33.5, 44.5][..]));
        let error = Plane::new(&values, None, [3, 2, 3]).expect_err("too few values").to_string();
        assert_eq!(
            error,
            "a map with channels of height 2 and width 3 needs 18 values, but 12 were given"
        );
        assert!(Plane::new(&[], None, [3, 0, 5]).expect("a plane").values().is_empty());
    }

    #[test]
    fn values_within_their_standard_errors_become_zero() {
        let (values, errors) = ([-1.0, 2.0, -3.0, 4.0, 5.0], [1.0, 1.0, 1.0, f32::NAN, 2.6]);
        let plane = Plane::new(&values, Some(&errors), [1, 1, 5]).expect("a plane");
        assert_eq!(plane.certain(2.0).values(), [0.0, 2.0, -3.0, 4.0, 0.0]);
    }

    #[test]
    fn regions_hold_the_sum_of_their_values() {
        let plane = Plane::new(&[1.0, 2.0, -4.0, 8.0], Some(&[1.0; 4]), [1, 2, 2]);
        let summed = plane.expect("a plane").by_regions(&[0, 1, 1, 0]).expect("as many numbers");
        assert_eq!(summed.values(), [9.0, -2.0, -2.0, 9.0]);
        assert_eq!(summed.errors(), Some(&[2.0; 4][..]));
        assert!(summed.by_regions(&[0; 3]).is_err());
    }

    #[test]
    fn blur_keeps_a_constant_and_spreads_a_point() {
        let constant = Plane::new(&[3.0; 35], None, [1, 5, 7]).expect("a plane").blurred(1.5);
        assert!(constant.values().iter().all(|value| (value - 3.0).abs() < 1e-6));
        let mut point = [0.0; 81];
        point[40] = 1.0;
        let plane = Plane::new(&point, Some(&point), [1, 9, 9]).expect("a plane");
        let blurred = plane.clone().blurred(1.0);
        // The square of the normalised one-dimensional weight at 0: (1 / 2.5066)^2.
        assert!((blurred.values()[40] - 0.159_24).abs() < 2e-3, "{}", blurred.values()[40]);
        let (left, above) = (blurred.values()[39], blurred.values()[31]);
        assert!((left - above).abs() < 1e-6, "the same in both directions: {left} and {above}");
        assert_eq!(blurred.errors(), None);
        assert_eq!(plane.clone().blurred(0.0), plane);
    }

    #[test]
    fn views_keep_a_part_of_the_values() {
        let plane = Plane::new(&[-2.0, 3.0], None, [1, 1, 2]).expect("a plane");
        let cases = [
            (View::Signed, [-2.0, 3.0]),
            (View::Magnitude, [2.0, 3.0]),
            (View::Positive, [0.0, 3.0]),
            (View::Negative, [2.0, 0.0]),
        ];
        for (view, values) in cases {
            assert_eq!(plane.clone().viewed(view).values(), values, "{}", view.name());
        }
    }
}
