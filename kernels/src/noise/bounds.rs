//! The domains of the inputs of a batch, in the layout of the noise kernels.

use crate::domain::Domain;

/// The bounds of every channel of every input.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// The lower bounds, of shape `[inputs, channels]`.
    pub lower: Vec<f32>,
    /// The upper bounds, in the same order.
    pub upper: Vec<f32>,
    /// The number of channels of each input.
    pub channels: usize,
    /// The number of consecutive elements of a channel: `height * width` for `[C, H, W]`.
    pub inner: usize,
}

impl Bounds {
    /// Returns the bounds of inputs with `features` elements each. A domain with a single pair of bounds has
    /// these bounds in all channels.
    ///
    /// # Panics
    ///
    /// Panics if there is no domain, if the number of channels does not divide `features`, or if a domain has
    /// different numbers of lower and upper bounds.
    pub fn new(domains: &[Domain], features: usize) -> Self {
        let channels = domains.iter().map(|domain| domain.lower.len()).max().unwrap_or_default();
        assert!(
            channels > 0 && features.is_multiple_of(channels),
            "the number of channels must divide the number of elements"
        );
        assert!(
            domains.iter().all(|domain| domain.lower.len() == domain.upper.len()),
            "a domain must have as many lower as upper bounds"
        );
        let all =
            || domains.iter().flat_map(|domain| (0..channels).map(|c| domain.channel_bounds(c)));
        let (lower, upper) = all().unzip();
        Self { lower, upper, channels, inner: (features / channels).max(1) }
    }

    /// Returns the bounds of the element `e` of an input.
    #[inline(always)]
    pub fn element_bounds(&self, input: usize, e: usize) -> (f32, f32) {
        let index = input * self.channels + (e / self.inner) % self.channels;
        (self.lower[index], self.upper[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_pair_of_bounds_applies_to_all_channels() {
        let per_channel = Domain::per_channel(vec![0.0, 1.0], vec![2.0, 3.0]);
        let bounds = Bounds::new(&[Domain::uniform(-1.0, 1.0), per_channel], 8);
        assert_eq!((bounds.channels, bounds.inner), (2, 4));
        assert_eq!(bounds.lower, [-1.0, -1.0, 0.0, 1.0]);
        assert_eq!(bounds.upper, [1.0, 1.0, 2.0, 3.0]);
        assert_eq!(bounds.element_bounds(1, 3), (0.0, 2.0));
        assert_eq!(bounds.element_bounds(1, 4), (1.0, 3.0));
    }
}
