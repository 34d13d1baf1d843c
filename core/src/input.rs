//! What is explained: one sample, its shape, and the domain its values may lie in.

use crate::Error;

/// The values the model's input can take, per channel or one pair for all, in the model's units.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// Least values: one, or one per channel.
    pub lower: Vec<f32>,
    /// Greatest values: one, or one per channel.
    pub upper: Vec<f32>,
}

impl Domain {
    /// One pair of bounds for every element.
    pub fn uniform(lower: f32, upper: f32) -> Self {
        Self { lower: vec![lower], upper: vec![upper] }
    }

    /// One pair of bounds per channel, the first axis of a sample.
    pub fn per_channel(lower: Vec<f32>, upper: Vec<f32>) -> Self {
        Self { lower, upper }
    }

    /// The bounds of a channel.
    pub(crate) fn of(&self, channel: usize) -> (f32, f32) {
        let pair = channel.min(self.lower.len() - 1);
        (self.lower[pair], self.upper[pair])
    }
}

/// One sample in the model's units.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    values: Vec<f32>,
    shape: Vec<usize>,
    domain: Domain,
    pixels: Option<Domain>,
    picture: Option<Vec<usize>>,
}

impl Input {
    /// A sample of `values` in row-major order, of `shape` without the batch axis.
    ///
    /// # Errors
    ///
    /// When the number of values does not match the shape, a value is not finite, or the domain
    /// is empty, unordered or has neither one pair of bounds nor one per channel.
    pub fn new(values: Vec<f32>, shape: &[usize], domain: Domain) -> Result<Self, Error> {
        if shape.is_empty() || values.len() != shape.iter().product::<usize>() || values.is_empty()
        {
            return Err(Error::Values { values: values.len(), shape: shape.to_vec() });
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::NotFinite { index, value: values[index] });
        }
        check_domain(&domain, shape)?;
        Ok(Self { values, shape: shape.to_vec(), domain, pixels: None, picture: None })
    }

    /// The same input, of a picture whose pixels range from black to white over `pixels` in the
    /// model's units, where that is not the domain.
    ///
    /// # Errors
    ///
    /// As for a domain.
    pub fn with_pixels(mut self, pixels: Domain) -> Result<Self, Error> {
        check_domain(&pixels, &self.shape)?;
        self.pixels = Some(pixels);
        Ok(self)
    }

    /// The same input, whose values are those of a picture of `shape`, `[channels, height, width]`,
    /// where the model takes them in another, such as flat samples of 784 for `[1, 28, 28]`.
    ///
    /// # Errors
    ///
    /// [`Error::NoPicture`] for a shape of other than three axes, [`Error::Values`] for one of
    /// another number of values.
    pub fn of_picture(mut self, shape: &[usize]) -> Result<Self, Error> {
        if shape.len() != 3 {
            return Err(Error::NoPicture { shape: shape.to_vec() });
        }
        if shape.iter().product::<usize>() != self.values.len() {
            return Err(Error::Values { values: self.values.len(), shape: shape.to_vec() });
        }
        self.picture = Some(shape.to_vec());
        Ok(self)
    }

    /// The same input with other values.
    ///
    /// # Errors
    ///
    /// When there are more or fewer of them, or one is not finite.
    pub fn with_values(&self, values: Vec<f32>) -> Result<Self, Error> {
        let (pixels, picture) = (self.pixels.clone(), self.picture.clone());
        let input = Self::new(values, &self.shape, self.domain.clone())?;
        Ok(Self { pixels, picture, ..input })
    }

    /// The same input with `shift` added to each value, to the domain, and to black and white.
    ///
    /// # Errors
    ///
    /// When one is not finite afterwards.
    pub fn shifted(&self, shift: f32) -> Result<Self, Error> {
        let moved = |values: &[f32]| values.iter().map(|value| value + shift).collect::<Vec<f32>>();
        let moved_domain =
            |domain: &Domain| Domain { lower: moved(&domain.lower), upper: moved(&domain.upper) };
        let input = Self::new(moved(&self.values), &self.shape, moved_domain(&self.domain))?;
        let input = input.with_pixels(moved_domain(self.pixels()))?;
        Ok(Self { picture: self.picture.clone(), ..input })
    }

    /// The values in row-major order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The shape without the batch axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The values of black and white: the domain, unless said otherwise.
    pub fn pixels(&self) -> &Domain {
        self.pixels.as_ref().unwrap_or(&self.domain)
    }

    /// The shape of the picture behind the values: that of the sample, unless said otherwise.
    pub fn picture_shape(&self) -> &[usize] {
        self.picture.as_deref().unwrap_or(&self.shape)
    }

    /// The number of consecutive values of one channel.
    pub(crate) fn channel_len(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// The bounds of the value at a flat index.
    pub(crate) fn bounds(&self, index: usize) -> (f32, f32) {
        self.domain.of(index / self.channel_len())
    }

    /// The share of the values that lie outside the domain.
    pub fn outside_domain(&self) -> f64 {
        let outside = |(index, value): &(usize, &f32)| {
            let (lower, upper) = self.bounds(*index);
            !(lower..=upper).contains(*value)
        };
        self.values.iter().enumerate().filter(outside).count() as f64 / self.values.len() as f64
    }

    /// The domain as the noise kernel takes it.
    pub(crate) fn kernel_domain(&self) -> attriburn_kernels::noise::Domain {
        let Domain { lower, upper } = self.domain.clone();
        attriburn_kernels::noise::Domain::new(lower, upper, self.channel_len())
    }
}

fn check_domain(domain: &Domain, shape: &[usize]) -> Result<(), Error> {
    let bad = |reason: String| Err(Error::Domain { reason });
    let pairs = domain.lower.len();
    if domain.upper.len() != pairs || (pairs != 1 && Some(&pairs) != shape.first()) {
        return bad(format!(
            "has {pairs} lower and {} upper bounds; an input of shape {shape:?} takes one pair, or one for each of its {} channels",
            domain.upper.len(),
            shape.first().unwrap_or(&0),
        ));
    }
    for (channel, (lower, upper)) in domain.lower.iter().zip(&domain.upper).enumerate() {
        if !(lower.is_finite() && upper.is_finite() && lower < upper) {
            return bad(format!(
                "of channel {channel} is [{lower}, {upper}]; its bounds must be finite and in order"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_an_input_is_refused() {
        let unit = || Domain::uniform(0.0, 1.0);
        let cases = [
            (
                Input::new(vec![0.0; 5], &[2, 3], unit()),
                "the input has 5 values, but its shape [2, 3] asks for 6",
            ),
            (
                Input::new(vec![0.0], &[], unit()),
                "the input has 1 values, but a sample of shape [] has no axis",
            ),
            (
                Input::new(vec![0.0, f32::NAN], &[2], unit()),
                "the input's value 1 is NaN; every value must be finite",
            ),
            (
                Input::new(vec![0.0; 2], &[2], Domain::uniform(1.0, 1.0)),
                "the domain of channel 0 is [1, 1]; its bounds must be finite and in order",
            ),
            (
                Input::new(vec![0.0; 6], &[2, 3], Domain::per_channel(vec![0.0; 3], vec![1.0; 3])),
                "the domain has 3 lower and 3 upper bounds; an input of shape [2, 3] takes one pair, or one for each of its 2 channels",
            ),
        ];
        for (result, expected) in cases {
            assert_eq!(result.unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn flat_samples_may_be_of_pictures() {
        let flat = || Input::new(vec![0.0; 6], &[6], Domain::uniform(0.0, 1.0)).unwrap();
        assert_eq!(flat().picture_shape(), [6]);
        let picture = flat().of_picture(&[1, 2, 3]).unwrap();
        assert_eq!((picture.shape(), picture.picture_shape()), (&[6][..], &[1, 2, 3][..]));
        assert!(matches!(flat().of_picture(&[1, 2, 2]), Err(Error::Values { values: 6, .. })));
        assert!(matches!(flat().of_picture(&[2, 3]), Err(Error::NoPicture { .. })));
    }

    #[test]
    fn likenesses_keep_what_is_not_changed() {
        let input = Input::new(vec![0.25; 6], &[6], Domain::uniform(-1.0, 2.0))
            .and_then(|input| input.with_pixels(Domain::uniform(0.0, 1.0)))
            .and_then(|input| input.of_picture(&[1, 2, 3]))
            .unwrap();
        let other = input.with_values(vec![0.5; 6]).unwrap();
        assert_eq!(other.values(), [0.5; 6]);
        assert_eq!(other.with_values(vec![0.25; 6]).unwrap(), input);
        assert!(matches!(input.with_values(vec![0.5; 5]), Err(Error::Values { values: 5, .. })));
        let shifted = input.shifted(1.0).unwrap();
        assert_eq!((shifted.values(), shifted.picture_shape()), (&[1.25; 6][..], &[1, 2, 3][..]));
        assert_eq!(shifted.domain(), &Domain::uniform(0.0, 3.0));
        assert_eq!(shifted.pixels(), &Domain::uniform(1.0, 2.0));
        assert!(matches!(input.shifted(f32::NAN), Err(Error::NotFinite { .. })));
    }
}
