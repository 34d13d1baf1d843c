//! The scale of a map: the magnitude at which its colours are clipped.

/// The clip limit of a map: a percentile of `|value|`, the 99th by default.
///
/// The percentile interpolates linearly between neighbours, as `numpy.percentile` does. Where it is 0 because almost
/// all values are, the limit is the greatest `|value|`. Values that are not finite are left out; a map without any
/// other value has limit 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    limit: f32,
}

impl Scale {
    /// The percentile of `|value|` at which [`Scale::of`] clips.
    pub const PERCENTILE: f64 = 99.0;

    /// The scale of `values`, clipped at the 99th percentile.
    pub fn of(values: &[f32]) -> Scale {
        Scale::at_percentile(values, Self::PERCENTILE)
    }

    /// The scale of `values`, clipped at this percentile of `|value|`, from 0 to 100.
    pub fn at_percentile(values: &[f32], percentile: f64) -> Scale {
        let mut sizes: Vec<f32> =
            values.iter().filter(|value| value.is_finite()).map(|value| value.abs()).collect();
        sizes.sort_unstable_by(f32::total_cmp);
        let greatest = sizes.last().copied().unwrap_or(0.0);
        match quantile(&sizes, percentile.clamp(0.0, 100.0) / 100.0) as f32 {
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

/// The quantile of the `sorted` values at `share` in `[0, 1]`, interpolated linearly between neighbours as by
/// `numpy.quantile`; 0 without values.
pub fn quantile(sorted: &[f32], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = share * last as f64;
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let (low, high) = (f64::from(sorted[below]), f64::from(sorted[above]));
    low + (high - low) * place.fract()
}
