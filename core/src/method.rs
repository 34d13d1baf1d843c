//! The methods by the papers' names. Each is listed here and nowhere else.

use mollify_kernels::{Boundary, Mollifier};

use crate::plan::{AdaptiveRule, Output, Plan, Readout, Sampler, WidthRule};

/// A named method: how its plan follows from the settings.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// The name on the command line.
    pub name: &'static str,
    /// One line on what it computes.
    pub summary: &'static str,
    /// The noise, or none.
    noise: Option<Shape>,
    readout: Readout,
}

/// The settings that plans of several methods share.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Noisy samples of a smoothed method.
    pub samples: u32,
    /// AdaptGrad's confidence `c`.
    pub confidence: f64,
    /// AdaptGrad's width rule.
    pub rule: AdaptiveRule,
    /// SmoothGrad's and ClipGrad's share of the domain's extent.
    pub alpha: f64,
    /// An absolute width in place of `alpha`.
    pub sigma: Option<f64>,
    /// The distribution of the noise.
    pub mollifier: Mollifier,
    /// Which output is differentiated.
    pub output: Output,
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
            output: Output::Logit,
            seed: 0,
        }
    }
}

/// Which width and boundary a named method's noise has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Smooth,
    Adapt,
    Clip,
}

/// Every method.
pub const METHODS: [Method; 7] = [
    Method {
        name: "gradient",
        summary: "the derivative of the target's logit with respect to the input",
        noise: None,
        readout: Readout::Gradient,
    },
    Method {
        name: "smoothgrad",
        summary: "the mean gradient under noise of one width for all pixels",
        noise: Some(Shape::Smooth),
        readout: Readout::Gradient,
    },
    Method {
        name: "adaptgrad",
        summary: "the mean gradient under noise as wide as each pixel has room for",
        noise: Some(Shape::Adapt),
        readout: Readout::Gradient,
    },
    Method {
        name: "clipgrad",
        summary: "SmoothGrad whose samples are clipped to the domain",
        noise: Some(Shape::Clip),
        readout: Readout::Gradient,
    },
    Method {
        name: "gi",
        summary: "gradient times input",
        noise: None,
        readout: Readout::TimesInput,
    },
    Method {
        name: "s-gi",
        summary: "SmoothGrad times input",
        noise: Some(Shape::Smooth),
        readout: Readout::TimesInput,
    },
    Method {
        name: "a-gi",
        summary: "AdaptGrad times input",
        noise: Some(Shape::Adapt),
        readout: Readout::TimesInput,
    },
];

impl Method {
    /// The method called `name`, if there is one.
    pub fn named(name: &str) -> Option<Method> {
        METHODS.into_iter().find(|method| method.name == name)
    }

    /// The method's plan under `settings`.
    pub fn plan(&self, settings: &Settings) -> Plan {
        let sampler = self.noise.map(|shape| Sampler {
            mollifier: settings.mollifier,
            width: match (shape, settings.sigma) {
                (Shape::Adapt, _) => {
                    WidthRule::Adaptive { confidence: settings.confidence, rule: settings.rule }
                }
                (_, Some(sigma)) => WidthRule::Absolute { sigma },
                (_, None) => WidthRule::Relative { alpha: settings.alpha },
            },
            boundary: match shape {
                Shape::Clip => Boundary::Clipped,
                Shape::Smooth | Shape::Adapt => Boundary::Free,
            },
        });
        Plan {
            sampler,
            readout: self.readout,
            output: settings.output,
            samples: settings.samples,
            seed: settings.seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_settings_are_the_papers() {
        let settings = Settings::default();
        let plan = |name| Method::named(name).expect("a method").plan(&settings);
        assert_eq!(plan("adaptgrad"), Plan::adaptgrad());
        assert_eq!(plan("smoothgrad"), Plan::smoothgrad());
        assert_eq!(plan("gradient").sampler, Plan::gradient().sampler);
    }

    #[test]
    fn names_are_unique() {
        for (i, method) in METHODS.iter().enumerate() {
            assert!(METHODS[..i].iter().all(|other| other.name != method.name));
        }
    }
}
