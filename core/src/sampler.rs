//! The noise of a plan: on the input and on the parameters.

use attriburn_kernels::noise::{Points, noise};
use attriburn_kernels::{AdaptiveRule, Batch, Boundary, Mollifier, Noise, WidthRule};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::engine::read;
use crate::setters::setters;
use crate::{Error, Input};

/// The noise added to the input, and how many noisy samples are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Sampler {
    /// The distribution.
    pub mollifier: Mollifier,
    /// The width at each element.
    pub width: WidthRule,
    /// What happens to samples outside the domain.
    pub boundary: Boundary,
    /// The number of samples of each node, for each draw of the parameters; at least 1.
    pub samples: u32,
}

impl Sampler {
    /// 50 samples of Gaussian noise with this width, which may leave the domain.
    pub fn new(width: WidthRule) -> Self {
        Self { mollifier: Mollifier::Gaussian, width, boundary: Boundary::Free, samples: 50 }
    }

    /// AdaptGrad with the paper's settings: Gaussian noise, `c = 0.95`, 50 samples.
    pub fn adaptgrad() -> Self {
        Self::new(WidthRule::Adaptive { confidence: 0.95, rule: AdaptiveRule::Paper })
    }

    /// SmoothGrad with the usual settings: Gaussian noise, `alpha = 0.2`, 50 samples.
    pub fn smoothgrad() -> Self {
        Self::new(WidthRule::Relative { alpha: 0.2 })
    }

    /// The noisy sample number `sample` of `input`, in row-major order: the point at which a plan with this sampler
    /// and `seed`, without a path or noise on the parameters, takes the gradient of that number.
    ///
    /// # Errors
    ///
    /// Returns an error if the CPU cannot compute the sample.
    pub fn draw(&self, input: &Input, seed: u64, sample: u32) -> Result<Vec<f32>, Error> {
        let data = TensorData::new(input.values().to_vec(), [1, input.values().len()]);
        let points = Points::at(Tensor::<2>::from_data(data, &Device::flex()));
        let batch = Batch::samples(seed, 0, sample, 1);
        let domains = std::slice::from_ref(input.domain());
        read(noise(&points, Some(&self.noise()), domains, &batch))
    }

    /// The noise as the device kernel receives it.
    pub(crate) fn noise(&self) -> Noise {
        let width = self.width.on_input(self.mollifier);
        Noise { mollifier: self.mollifier, width, boundary: self.boundary }
    }
}

setters!(Sampler {
    /// Draws from another distribution.
    mollifier: Mollifier,
    /// Applies another boundary rule.
    boundary: Boundary,
    /// Draws another number of samples.
    samples: u32,
});

/// The noise on the model's parameters: NoiseGrad (Bykov et al., AAAI 2022), and FusionGrad around a
/// [`Sampler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct WeightNoise {
    /// The distribution.
    pub mollifier: Mollifier,
    /// The width at each element of a parameter.
    pub width: WidthRule,
    /// How many times all parameters are drawn; at least 1. Each draw has samples of its own.
    pub draws: u32,
    /// The parameters without noise, by patterns of their names with `*`, `?` and `[...]`.
    pub freeze: Vec<String>,
}

impl WeightNoise {
    /// 50 draws of Gaussian noise with this width on all parameters.
    pub fn new(width: WidthRule) -> Self {
        Self { mollifier: Mollifier::Gaussian, width, draws: 50, freeze: Vec::new() }
    }
}

setters!(WeightNoise {
    /// Draws from another distribution.
    mollifier: Mollifier,
    /// Draws all parameters another number of times.
    draws: u32,
    /// Leaves the parameters that these patterns match without noise.
    freeze: Vec<String>,
});
