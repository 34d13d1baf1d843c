//! The settings of methods, and the registry of settings: the name of each, the plans that use it, and how a
//! sweep sets its value.

use std::str::FromStr;

use attriburn::{AdaptiveRule, Baseline, Estimate, Mollifier, Output, Plan, Quadrature, WidthRule};

/// The settings of all methods. [`Settings::with`] changes some of the defaults.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The number of noisy samples of a method with noise on the input.
    pub samples: u32,
    /// The confidence `c` of AdaptGrad.
    pub confidence: f64,
    /// The width rule of AdaptGrad.
    pub rule: AdaptiveRule,
    /// The width of the noise of SmoothGrad and ClipGrad, as a share of the extent of the domain.
    pub alpha: f64,
    /// The absolute width of the noise of SmoothGrad and ClipGrad, which replaces `alpha`.
    pub sigma: Option<f64>,
    /// The distribution of the noise.
    pub mollifier: Mollifier,
    /// The number of quadrature nodes along a path.
    pub steps: u32,
    /// The quadrature along a path.
    pub quadrature: Quadrature,
    /// The baseline of `ig-file`.
    pub baseline: Option<Vec<f32>>,
    /// The number of draws of the parameters, for methods with noise on the parameters.
    pub weight_samples: u32,
    /// The width of the noise on the parameters.
    pub weight_width: WidthRule,
    /// The parameters without noise; see [`WeightNoise`](attriburn::WeightNoise).
    pub freeze: Vec<String>,
    /// The maximum number of gradients of a nested method.
    pub budget: Option<u64>,
    /// The relative standard error at which a method with noise stops drawing samples.
    pub until: Option<f64>,
    /// The statistic of the samples' gradients that becomes the map.
    pub estimate: Estimate,
    /// The model output that is differentiated.
    pub output: Output,
    /// The layer of class activation maps; `None` for the model's choice.
    pub layer: Option<String>,
    /// The seed of the noise.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            samples: 50,
            confidence: 0.95,
            rule: AdaptiveRule::Paper,
            alpha: 0.2,
            sigma: None,
            mollifier: Mollifier::Gaussian,
            steps: 50,
            quadrature: Quadrature::GaussLegendre,
            baseline: None,
            // The values of the AdaptGrad paper, section 10.
            weight_samples: 50,
            weight_width: WidthRule::Relative { alpha: 0.2 },
            freeze: Vec::new(),
            budget: None,
            until: None,
            estimate: Estimate::Mean,
            output: Output::Logit,
            layer: None,
            seed: 0,
        }
    }
}

impl Settings {
    /// Returns the default settings after applying `set`.
    ///
    /// ```
    /// use attriburn_evaluate::Settings;
    /// let settings = Settings::with(|settings| settings.samples = 20);
    /// assert_eq!(settings.samples, 20);
    /// ```
    pub fn with(set: impl FnOnce(&mut Self)) -> Self {
        Self::default().changed(set)
    }

    /// Returns these settings after applying `set`.
    #[must_use]
    pub fn changed(mut self, set: impl FnOnce(&mut Self)) -> Self {
        set(&mut self);
        self
    }
}

/// A setting that only some plans use.
#[derive(Debug)]
pub struct Setting {
    /// The name, such as `weight-samples`.
    pub name: &'static str,
    is_used: fn(&Plan) -> bool,
    /// Parses a text and sets the value; `None` for a setting that cannot be swept.
    set: Option<fn(&mut Settings, &str) -> Option<()>>,
}

/// Returns a setting that cannot be swept.
const fn fixed(name: &'static str, is_used: fn(&Plan) -> bool) -> Setting {
    Setting { name, is_used, set: None }
}

/// A setting that can be swept: its name, the assignment of a parsed value, and the plans that use it.
macro_rules! swept {
    ($name:literal, |$settings:ident, $value:ident| $set:expr, $is_used:expr) => {
        Setting {
            name: $name,
            is_used: $is_used,
            set: Some(|$settings, text| {
                let $value = parse(text)?;
                $set;
                Some(())
            }),
        }
    };
}

/// Every setting.
const SETTINGS: &[Setting] = &[
    swept!("samples", |settings, value| settings.samples = value, |plan| plan.sampler.is_some()),
    fixed("until", Plan::has_standard_error),
    fixed("budget", Plan::is_nested),
    fixed("estimate", |plan| plan.is_noisy() && plan.estimate != Estimate::SmoothDiff),
    fixed("seed", Plan::is_noisy),
    swept!("confidence", |settings, value| settings.confidence = value, |plan| {
        is_adaptive(width(plan))
    }),
    swept!("alpha", |settings, value| settings.alpha = value, |plan| is_relative(width(plan))),
    swept!("sigma", |settings, value| settings.sigma = Some(value), |plan| {
        is_absolute(width(plan))
    }),
    Setting {
        name: "kernel",
        is_used: Plan::is_noisy,
        set: Some(|settings, text| {
            let (mollifier, _) = Mollifier::ALL.iter().find(|(_, name)| *name == text)?;
            settings.mollifier = *mollifier;
            Some(())
        }),
    },
    fixed("width-rule", |plan| is_adaptive(width(plan)) || is_adaptive(weight_width(plan))),
    swept!("steps", |settings, value| settings.steps = value, |plan| plan.path.is_some()),
    fixed("quadrature", |plan| plan.path.is_some()),
    fixed("baseline", |plan| {
        plan.path.as_ref().is_some_and(|path| matches!(path.baseline, Baseline::Values(_)))
    }),
    swept!("weight-samples", |settings, value| settings.weight_samples = value, |plan| {
        plan.weights.is_some()
    }),
    swept!(
        "weight-alpha",
        |settings, value| settings.weight_width = WidthRule::Relative { alpha: value },
        |plan| is_relative(weight_width(plan))
    ),
    swept!(
        "weight-sigma",
        |settings, value| settings.weight_width = WidthRule::Absolute { sigma: value },
        |plan| is_absolute(weight_width(plan))
    ),
    swept!(
        "weight-confidence",
        |settings, value| {
            settings.weight_width = WidthRule::Adaptive { confidence: value, rule: settings.rule }
        },
        |plan| is_adaptive(weight_width(plan))
    ),
    fixed("layer", |plan| plan.cam.is_some()),
    fixed("freeze", |plan| plan.weights.is_some()),
    fixed("standard-error", Plan::has_standard_error),
];

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn width(plan: &Plan) -> Option<WidthRule> {
    plan.sampler.map(|sampler| sampler.width)
}

fn weight_width(plan: &Plan) -> Option<WidthRule> {
    plan.weights.as_ref().map(|weights| weights.width)
}

fn is_relative(width: Option<WidthRule>) -> bool {
    matches!(width, Some(WidthRule::Relative { .. }))
}

fn is_absolute(width: Option<WidthRule>) -> bool {
    matches!(width, Some(WidthRule::Absolute { .. }))
}

fn is_adaptive(width: Option<WidthRule>) -> bool {
    matches!(width, Some(WidthRule::Adaptive { .. }))
}

impl Setting {
    /// Returns every setting.
    pub fn all() -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter()
    }

    /// Returns the setting called `name`.
    pub fn named(name: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Returns whether `plan` uses this setting.
    pub fn is_used(&self, plan: &Plan) -> bool {
        (self.is_used)(plan)
    }

    /// Returns whether a sweep can set this setting.
    pub fn can_be_swept(&self) -> bool {
        self.set.is_some()
    }

    /// Parses `text` and sets the value in `settings`. Returns `None` if `text` is not a valid value of this
    /// setting, or the setting cannot be swept.
    pub fn set(&self, settings: &mut Settings, text: &str) -> Option<()> {
        self.set?(settings, text)
    }
}
