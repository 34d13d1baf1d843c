//! The plan: every attribution method as a value.

use attriburn_kernels::WidthRule;
use serde::{Deserialize, Serialize};

use crate::cam::{Cam, CamRule};
use crate::error::{Error, error};
use crate::path::{Baseline, Path};
use crate::sampler::{Sampler, WeightNoise};
use crate::setters::setters;

/// A method: where gradients are sampled, and how the map follows from them.
///
/// A plan starts as one of the constructors and is changed by the builder methods:
///
/// ```
/// use attriburn::{Output, Plan};
/// let plan = Plan::adaptgrad().samples(100).output(Output::Probability).seed(7);
/// assert_eq!(plan.gradients(), 100);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Plan {
    /// The path whose nodes are sampled; `None` samples the input itself.
    pub path: Option<Path>,
    /// The noise on the input; `None` takes the clean input as the only sample.
    pub sampler: Option<Sampler>,
    /// The noise on the model's parameters; `None` leaves them unchanged.
    pub weights: Option<WeightNoise>,
    /// The statistic of the samples' gradients.
    pub estimate: Estimate,
    /// How the map follows from the mean gradient.
    pub readout: Readout,
    /// The output that is differentiated.
    pub output: Output,
    /// The class activation map that takes the place of the gradient with respect to the input; `None` for
    /// that gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cam: Option<Cam>,
    /// The maximum number of gradients of a nested plan, one with at least two of parameter draws, samples
    /// and nodes: see [`Plan::sizes`]. `None` computes all combinations.
    pub budget: Option<u64>,
    /// The relative standard error of the map at which sampling stops. The number of samples, or of
    /// parameter draws where there are any, remains the limit.
    ///
    /// The error is checked after 8 of them, then 10, 13 and so on, a quarter more each time, whatever the
    /// batch size.
    pub until: Option<f64>,
    /// The seed of the noise.
    pub seed: u64,
}

/// The numbers of gradients of a plan: `draws * samples * nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Draws of the parameters.
    pub draws: u64,
    /// Samples of each draw.
    pub samples: u64,
    /// Nodes of each sample.
    pub nodes: u64,
}

/// The statistic of the gradients `g_j` of `n` samples. On a path `g_j` is the weighted sum over the nodes.
/// The factor of the readout applies to each `g_j`, so it is squared for squares and variances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Estimate {
    /// `sum g_j / n`.
    #[default]
    Mean,
    /// `sum g_j^2 / n`: SmoothGrad-squared (Hooker et al., NeurIPS 2019).
    Square,
    /// `sum (g_j - mean)^2 / n`: VarGrad (Adebayo et al., ICLR 2018 workshop); with `n`, as in captum, and
    /// not `n - 1`.
    Variance,
    /// The product of the mean Jacobians of the model's parts over all `n` samples, in place of the mean of their
    /// products `g_j`: SmoothDiff (Hill et al., NeurIPS 2025), see [`Smoothed`](crate::Smoothed).
    ///
    /// It has less noise than the mean, and a bias, because the parts' Jacobians are not independent: the
    /// difference from the mean of the same samples, at a number of samples at which the noise is small.
    #[serde(rename = "smoothdiff")]
    SmoothDiff,
}

impl Estimate {
    /// Every statistic of the samples' own gradients with its name.
    pub const OF_GRADIENTS: [(Estimate, &'static str); 3] =
        [(Estimate::Mean, "mean"), (Estimate::Square, "square"), (Estimate::Variance, "variance")];
}

/// How the map follows from the mean gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Readout {
    /// The mean gradient itself.
    #[default]
    Gradient,
    /// The mean gradient times the clean input, element by element.
    TimesInput,
    /// The mean gradient times the difference of the clean input and the baseline, element by element:
    /// Integrated Gradients. Without a path, the same as [`Readout::TimesInput`].
    TimesDifference,
}

/// The output of the model that is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// The target's logit, before softmax.
    #[default]
    Logit,
    /// The target's probability, after softmax.
    Probability,
}

impl Output {
    /// Every output with its name.
    pub const ALL: [(Output, &'static str); 2] =
        [(Output::Logit, "logit"), (Output::Probability, "probability")];
}

/// Constructors.
impl Plan {
    /// The plain gradient.
    pub fn gradient() -> Self {
        Self {
            path: None,
            sampler: None,
            weights: None,
            estimate: Estimate::Mean,
            readout: Readout::Gradient,
            output: Output::Logit,
            cam: None,
            budget: None,
            until: None,
            seed: 0,
        }
    }

    /// AdaptGrad with the paper's settings: Gaussian noise, `c = 0.95`, 50 samples.
    pub fn adaptgrad() -> Self {
        Self::gradient().sampler(Sampler::adaptgrad())
    }

    /// SmoothGrad with the usual settings: Gaussian noise, `alpha = 0.2`, 50 samples.
    pub fn smoothgrad() -> Self {
        Self::gradient().sampler(Sampler::smoothgrad())
    }

    /// Integrated Gradients from `baseline` with 50 Gauss-Legendre nodes.
    pub fn integrated_gradients(baseline: Baseline) -> Self {
        Self::gradient().path(Path::new(baseline)).readout(Readout::TimesDifference)
    }

    /// SmoothDiff with the noise of SmoothGrad.
    pub fn smoothdiff() -> Self {
        Self::smoothgrad().estimate(Estimate::SmoothDiff)
    }

    /// Grad-CAM at the layer that the model chooses. With a [`Sampler`] it is smoothed, so
    /// `Plan::grad_cam().cam(CamRule::GradCamPlusPlus).sampler(Sampler::smoothgrad())` is Smooth Grad-CAM++.
    pub fn grad_cam() -> Self {
        Self::gradient().cam(CamRule::GradCam)
    }
}

setters!(Plan {
    /// Takes gradients at the nodes of this path.
    path: Path,
    /// Takes gradients at noisy samples.
    sampler: Sampler,
    /// Draws the model's parameters with this noise.
    weights: WeightNoise,
    /// Computes this statistic of the gradients.
    estimate: Estimate,
    /// Derives the map in this way.
    readout: Readout,
    /// Differentiates this output.
    output: Output,
    /// Limits the gradients of a nested plan.
    budget: u64,
    /// Stops at this relative standard error.
    until: f64,
    /// Sets the seed of the noise.
    seed: u64,
});

impl Plan {
    /// The same plan with another number of samples; a plan without a sampler has none to set.
    #[must_use]
    pub fn samples(mut self, samples: u32) -> Self {
        self.sampler = self.sampler.map(|sampler| sampler.samples(samples));
        self
    }

    /// The same plan, which computes this class activation map instead of the gradient with respect to the
    /// input.
    #[must_use]
    pub fn cam(mut self, cam: impl Into<Cam>) -> Self {
        self.cam = Some(cam.into());
        self
    }

    /// The number of gradients; an upper bound for a plan that may stop before.
    pub fn gradients(&self) -> u64 {
        let sizes = self.sizes();
        sizes.draws.saturating_mul(sizes.samples).saturating_mul(sizes.nodes)
    }

    /// The numbers of parameter draws, of samples of each draw and of nodes of each sample.
    ///
    /// Without a budget, or within it, these are all. Otherwise draws come first, then samples, and the rest
    /// of the budget goes to nodes: each sample takes `n` of the path's nodes by systematic sampling, at
    /// equal distances in the cumulative quadrature weight from a random start of its own. Node `k` is
    /// chosen `w_k n` times on average, so the mean is unbiased. Squares and variances would be those of
    /// other gradients than the whole path's; [`Plan::check`] refuses them.
    pub fn sizes(&self) -> Sizes {
        let all = self.sizes_without_budget();
        let budget = self.budget.unwrap_or(u64::MAX);
        let draws = all.draws.min(budget);
        let samples = all.samples.min(budget / draws.max(1));
        let nodes = all.nodes.min(budget / draws.saturating_mul(samples).max(1));
        Sizes { draws, samples, nodes }
    }

    fn sizes_without_budget(&self) -> Sizes {
        Sizes {
            draws: self.weights.as_ref().map_or(1, |weights| weights.draws.into()),
            samples: self.sampler.map_or(1, |sampler| sampler.samples.into()),
            nodes: self.path.as_ref().map_or(1, |path| path.steps.into()),
        }
    }

    /// Whether there is noise, on the input or on the parameters.
    pub fn is_noisy(&self) -> bool {
        self.sampler.is_some() || self.weights.is_some()
    }

    /// Whether maps have a standard error: those that are a mean of independent samples, or of draws of the
    /// parameters.
    pub fn has_standard_error(&self) -> bool {
        match self.estimate {
            Estimate::Mean => self.is_noisy(),
            Estimate::SmoothDiff => self.weights.is_some(),
            Estimate::Square | Estimate::Variance => false,
        }
    }

    /// Whether gradients are nested: at least two of parameter draws, samples and nodes.
    pub fn is_nested(&self) -> bool {
        let levels = [self.weights.is_some(), self.sampler.is_some(), self.path.is_some()];
        levels.into_iter().filter(|level| *level).count() > 1
    }

    /// Whether the budget allows each sample only some of the path's nodes.
    pub(crate) fn chooses_nodes(&self) -> bool {
        self.sizes().nodes < self.sizes_without_budget().nodes
    }

    /// Whether all samples of an input together give one derivative.
    pub(crate) fn is_joint(&self) -> bool {
        self.estimate == Estimate::SmoothDiff
    }

    /// Checks that every setting is in its range.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Plan`](crate::ErrorKind::Plan) with the first setting that is not.
    pub fn check(&self) -> Result<(), Error> {
        let width = |rule: WidthRule, suffix: &str| match (rule.is_valid(), rule.number()) {
            (true, _) => Ok(()),
            (false, (name, value)) => {
                Err(Error::setting(&format!("{name}{suffix}"), value, rule.range()))
            }
        };
        if let Some(path) = &self.path {
            path.check()?;
        }
        if let Some(sampler) = &self.sampler {
            if sampler.samples == 0 {
                return Err(Error::setting("samples", 0, "at least 1"));
            }
            width(sampler.width, "")?;
        }
        if let Some(weights) = &self.weights {
            if weights.draws == 0 {
                return Err(Error::setting("the number of parameter draws", 0, "at least 1"));
            }
            width(weights.width, " of the noise on the parameters")?;
        }
        if self.cam.is_some() && self.readout != Readout::Gradient {
            return Err(error!(
                Plan,
                "a class activation map has one value for each position of a layer, which cannot be multiplied by the input; set the readout to the gradient"
            ));
        }
        self.check_joint()?;
        self.check_until()?;
        self.check_budget()?;
        let sizes = self.sizes();
        if self.estimate == Estimate::Variance && sizes.draws.saturating_mul(sizes.samples) == 1 {
            let range = "at least 2, and of a method with noise, for a variance";
            return Err(match self.budget {
                Some(budget) => Error::setting("budget", budget, range),
                None => Error::setting("samples", 1, range),
            });
        }
        Ok(())
    }

    fn check_joint(&self) -> Result<(), Error> {
        let reason = match (self.is_joint(), &self.sampler, &self.path, &self.cam) {
            (false, ..) | (true, Some(_), None, None) => return Ok(()),
            (true, _, _, Some(_)) => "a class activation map averages activations as well",
            (true, _, Some(_), None) => "the samples of a path lie around several nodes",
            (true, None, None, None) => "there is no noise on the input, so there is one sample",
        };
        Err(error!(
            Plan,
            "the estimate is smoothdiff, the product of the samples' mean Jacobians, but {reason}; use it with SmoothGrad or AdaptGrad, or take another estimate"
        ))
    }

    fn check_until(&self) -> Result<(), Error> {
        let Some(until) = self.until else {
            return Ok(());
        };
        if !(until > 0.0 && until.is_finite()) {
            return Err(Error::setting("until", until, "a positive number"));
        }
        if !self.has_standard_error() {
            let reason = "only a mean of noisy samples has a standard error; leave it out";
            return Err(error!(Plan, "until is {until}, but {reason}"));
        }
        Ok(())
    }

    fn check_budget(&self) -> Result<(), Error> {
        let range = match self.budget {
            None => return Ok(()),
            Some(0) => "at least 1",
            Some(budget) if !self.is_nested() => {
                let reason = "the method has one gradient per sample, node or draw; leave it out";
                return Err(error!(Plan, "budget is {budget}, but {reason}"));
            }
            Some(_) if self.chooses_nodes() && self.estimate != Estimate::Mean => {
                "as large as all gradients: squares and variances are those of whole paths"
            }
            Some(_) => return Ok(()),
        };
        Err(Error::setting("budget", self.budget.unwrap_or_default(), range))
    }
}
