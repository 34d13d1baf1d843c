//! The input: one sample, its shape, and the domain of its values.

use attriburn_kernels::Domain;

use crate::error::{Error, error};

/// One sample in the model's units.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    values: Vec<f32>,
    shape: Vec<usize>,
    domain: Domain,
    pixel_range: Option<Domain>,
    picture_shape: Option<Vec<usize>>,
}

impl Input {
    /// A sample with `values` in row-major order and a `shape` without the batch axis.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of values does not match the shape, a value is not finite, or the
    /// domain has neither one pair of bounds nor one per channel, or bounds that are not finite and ordered.
    pub fn new(values: Vec<f32>, shape: &[usize], domain: Domain) -> Result<Self, Error> {
        if shape.is_empty() || values.is_empty() || element_count(shape) != Some(values.len()) {
            return Err(Error::values(values.len(), shape));
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let value = values[index];
            return Err(error!(
                Input,
                "the input's value {index} is {value}; every value must be finite"
            ));
        }
        check_domain("domain", &domain, shape)?;
        let shape = shape.to_vec();
        Ok(Self { values, shape, domain, pixel_range: None, picture_shape: None })
    }

    /// The same input, with the values of black and white pixels in the model's units where these are not
    /// the bounds of the domain.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of bounds does not match, or they are not finite and in order.
    pub fn with_pixel_range(mut self, range: Domain) -> Result<Self, Error> {
        check_domain("pixel range", &range, &self.shape)?;
        self.pixel_range = Some(range);
        Ok(self)
    }

    /// The same input, whose values are those of a picture with this `shape`, `[channels, height, width]`,
    /// where the model's samples have another shape: `[1, 28, 28]` for flat samples of 784.
    ///
    /// # Errors
    ///
    /// Returns an error if the shape does not have three axes, or not as many values as the input.
    pub fn with_picture_shape(mut self, shape: &[usize]) -> Result<Self, Error> {
        if shape.len() != 3 {
            return Err(error!(
                Input,
                "a picture has the shape [channels, height, width], but {shape:?} was given"
            ));
        }
        if element_count(shape) != Some(self.values.len()) {
            return Err(Error::values(self.values.len(), shape));
        }
        self.picture_shape = Some(shape.to_vec());
        Ok(self)
    }

    /// The same input with other values.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of values differs, or one is not finite.
    pub fn with_values(&self, values: Vec<f32>) -> Result<Self, Error> {
        let input = Self::new(values, &self.shape, self.domain.clone())?;
        let (pixel_range, picture_shape) = (self.pixel_range.clone(), self.picture_shape.clone());
        Ok(Self { pixel_range, picture_shape, ..input })
    }

    /// The same input with `shift` added to each value, to the domain and to the pixel range.
    ///
    /// # Errors
    ///
    /// Returns an error if a sum is not finite.
    pub fn shifted(&self, shift: f32) -> Result<Self, Error> {
        let add = |values: &[f32]| values.iter().map(|value| value + shift).collect::<Vec<f32>>();
        let shifted =
            |domain: &Domain| Domain { lower: add(&domain.lower), upper: add(&domain.upper) };
        let input = Self::new(add(&self.values), &self.shape, shifted(&self.domain))?;
        let input = input.with_pixel_range(shifted(self.pixel_range()))?;
        Ok(Self { picture_shape: self.picture_shape.clone(), ..input })
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

    /// The bounds of the domain at the flat index `element`.
    pub fn bounds(&self, element: usize) -> (f32, f32) {
        self.domain.element_bounds(element, self.values.len())
    }

    /// The values of black and white pixels; by default the bounds of the domain.
    pub fn pixel_range(&self) -> &Domain {
        self.pixel_range.as_ref().unwrap_or(&self.domain)
    }

    /// The shape of the picture behind the values; by default the shape of the sample.
    pub fn picture_shape(&self) -> &[usize] {
        self.picture_shape.as_deref().unwrap_or(&self.shape)
    }

    /// The number of consecutive values of one channel.
    pub(crate) fn channel_len(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// The share of the values that lie outside the domain.
    pub fn outside_domain(&self) -> f64 {
        let is_outside = |(element, value): &(usize, &f32)| {
            let (lower, upper) = self.bounds(*element);
            !(lower..=upper).contains(*value)
        };
        let outside = self.values.iter().enumerate().filter(is_outside).count();
        outside as f64 / self.values.len() as f64
    }
}

/// The number of elements of a shape; `None` if it is too large for any memory.
fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))
}

fn check_domain(name: &str, domain: &Domain, shape: &[usize]) -> Result<(), Error> {
    let channels = shape.first().copied().unwrap_or_default();
    domain.check(channels).map_err(|reason| error!(Input, "the {name} {reason}"))
}
