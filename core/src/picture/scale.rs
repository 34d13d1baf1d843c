//! How strong a value of a map is, next to the others.

use crate::quantile::quantile;

/// The share of the values that is drawn without being clipped.
const CLIPPED_ABOVE: f64 = 0.99;

/// The clip limit of a map: the 99th percentile of `|value|`.
///
/// The percentile interpolates linearly between neighbours, as `numpy.percentile` does. Where it is 0 because almost
/// all values are, the limit is the greatest `|value|`. Values that are not finite are left out; a map without any
/// other value has limit 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    limit: f32,
}

impl Scale {
    /// The scale of `values`.
    pub fn of(values: &[f32]) -> Scale {
        let mut sizes: Vec<f32> =
            values.iter().filter(|value| value.is_finite()).map(|value| value.abs()).collect();
        sizes.sort_unstable_by(f32::total_cmp);
        let greatest = sizes.last().copied().unwrap_or(0.0);
        match quantile(&sizes, CLIPPED_ABOVE) as f32 {
            0.0 => Scale { limit: greatest },
            limit => Scale { limit },
        }
    }

    /// One scale for several maps: the widest of theirs, so that none is clipped more than alone.
    pub fn shared(scales: impl IntoIterator<Item = Scale>) -> Scale {
        let limit = scales.into_iter().map(|scale| scale.limit).fold(0.0, f32::max);
        Scale { limit }
    }

    /// The clip limit, in the map's units; 0 if nothing stands out.
    pub fn limit(self) -> f32 {
        self.limit
    }

    /// `value / limit`, clipped to [-1, 1]; 0 if the limit is 0 or the value is not finite.
    pub fn strength(self, value: f32) -> f32 {
        if self.limit == 0.0 || !value.is_finite() {
            return 0.0;
        }
        (value / self.limit).clamp(-1.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_99th_percentile_of_sizes() {
        let ramp: Vec<f32> =
            (0..=100).map(|i| if i % 2 == 0 { i as f32 } else { -i as f32 }).collect();
        let mut one_spike = vec![0.0; 1000];
        one_spike[3] = -7.0;
        let cases: [(&str, &[f32], f32); 7] = [
            ("0 to 100", &ramp, 99.0),
            ("interpolated: 1 + 0.99", &[-2.0, 1.0], 1.99),
            ("one value", &[-4.0], 4.0),
            ("one spike among zeros", &one_spike, 7.0),
            ("zeros", &[0.0; 5], 0.0),
            ("nothing", &[], 0.0),
            ("not numbers", &[f32::NAN, 3.0, f32::INFINITY], 3.0),
        ];
        for (what, values, limit) in cases {
            assert_eq!(Scale::of(values).limit(), limit, "{what}");
        }
    }

    #[test]
    fn strength_is_clipped() {
        let scale = Scale { limit: 4.0 };
        let cases = [
            (0.0, 0.0),
            (2.0, 0.5),
            (-4.0, -1.0),
            (9.0, 1.0),
            (f32::NEG_INFINITY, 0.0),
            (f32::NAN, 0.0),
        ];
        for (value, strength) in cases {
            assert_eq!(scale.strength(value), strength, "{value}");
        }
        assert_eq!(Scale { limit: 0.0 }.strength(3.0), 0.0);
    }
}
