//! The methods by the papers' names. Each part of a name is listed here and nowhere else.

use attriburn_kernels::{Boundary, Mollifier};

use crate::Error;
use crate::path::{Baseline, Path, Quadrature};
use crate::plan::{AdaptiveRule, Estimate, Output, Plan, Readout, Sampler, WeightNoise, WidthRule};

/// A named method: a base, with noise or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    noise: &'static Smoothing,
    base: &'static Base,
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
    /// Nodes of a path.
    pub steps: u32,
    /// The quadrature along a path.
    pub quadrature: Quadrature,
    /// The values that the paths of `ig-file` start from.
    pub baseline: Option<Vec<f32>>,
    /// Draws of the parameters.
    pub weight_samples: u32,
    /// The width of the noise on the parameters: see [`WidthRule`].
    pub weight_width: WidthRule,
    /// Parameters that stay as they are: see [`WeightNoise::freeze`].
    pub freeze: Vec<String>,
    /// The most gradients of a nested method.
    pub budget: Option<u64>,
    /// The relative standard error at which a method with noise stops.
    pub until: Option<f64>,
    /// What is kept of the samples' gradients.
    pub estimate: Estimate,
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
            steps: 50,
            quadrature: Quadrature::GaussLegendre,
            baseline: None,
            // Both as the AdaptGrad paper has them, section 10.
            weight_samples: 50,
            weight_width: WidthRule::Relative { alpha: 0.2 },
            freeze: Vec::new(),
            budget: None,
            until: None,
            estimate: Estimate::Mean,
            output: Output::Logit,
            seed: 0,
        }
    }
}

/// Which noise a named method has.
#[derive(Debug, PartialEq, Eq)]
struct Smoothing {
    /// What stands before the base's name.
    prefix: &'static str,
    /// What the method with the plain gradient is called.
    gradient: &'static str,
    /// The noise, for a sentence on the method.
    summary: &'static str,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Smooth,
    Adapt,
    Clip,
}

const SMOOTHINGS: [Smoothing; 4] = [
    Smoothing { prefix: "", gradient: "gradient", summary: "", kind: None },
    Smoothing {
        prefix: "s-",
        gradient: "smoothgrad",
        summary: " under noise of one width for all pixels",
        kind: Some(Kind::Smooth),
    },
    Smoothing {
        prefix: "a-",
        gradient: "adaptgrad",
        summary: " under noise as wide as each pixel has room for",
        kind: Some(Kind::Adapt),
    },
    Smoothing {
        prefix: "c-",
        gradient: "clipgrad",
        summary: " under noise of one width, clipped to the domain",
        kind: Some(Kind::Clip),
    },
];

/// What a method computes but for the noise.
#[derive(Debug, PartialEq, Eq)]
struct Base {
    name: &'static str,
    summary: &'static str,
    kind: BaseKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BaseKind {
    Gradient,
    WeightNoise,
    TimesInput,
    Integrated(Start),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Black,
    White,
    Zero,
    Mean,
    Blur,
    File,
}

const fn integrated(name: &'static str, summary: &'static str, start: Start) -> Base {
    Base { name, summary, kind: BaseKind::Integrated(start) }
}

const BASES: [Base; 9] = [
    Base { name: "gradient", summary: "the gradient", kind: BaseKind::Gradient },
    Base {
        name: "ng",
        summary: "the gradient under noise on the parameters",
        kind: BaseKind::WeightNoise,
    },
    Base { name: "gi", summary: "the gradient times the input", kind: BaseKind::TimesInput },
    integrated("ig-black", "Integrated Gradients from black", Start::Black),
    integrated("ig-white", "Integrated Gradients from white", Start::White),
    integrated("ig-zero", "Integrated Gradients from zeros in the model's units", Start::Zero),
    integrated("ig-mean", "Integrated Gradients from the picture's mean colour", Start::Mean),
    integrated("ig-blur", "Integrated Gradients from the blurred picture", Start::Blur),
    integrated("ig-file", "Integrated Gradients from a file", Start::File),
];

impl Method {
    /// Every method, base by base.
    pub fn all() -> Vec<Method> {
        let with = |base| SMOOTHINGS.iter().map(move |noise| Method { noise, base });
        BASES.iter().flat_map(with).collect()
    }

    /// The method called `name`, if there is one.
    pub fn named(name: &str) -> Option<Method> {
        Self::all().into_iter().find(|method| method.name() == name)
    }

    /// The name on the command line.
    pub fn name(&self) -> String {
        match self.base.kind {
            BaseKind::Gradient => self.noise.gradient.to_owned(),
            _ => format!("{}{}", self.noise.prefix, self.base.name),
        }
    }

    /// One line on what it computes.
    pub fn summary(&self) -> String {
        format!("{}{}", self.base.summary, self.noise.summary)
    }

    /// The method's plan under `settings`.
    ///
    /// # Errors
    ///
    /// When the path starts from values that the settings do not have.
    pub fn plan(&self, settings: &Settings) -> Result<Plan, Error> {
        let mut plan = Plan {
            path: self.path(settings)?,
            sampler: self.noise.kind.map(|kind| sampler(kind, settings)),
            weights: (self.base.kind == BaseKind::WeightNoise).then(|| weight_noise(settings)),
            readout: match self.base.kind {
                BaseKind::Gradient | BaseKind::WeightNoise => Readout::Gradient,
                BaseKind::TimesInput => Readout::TimesInput,
                BaseKind::Integrated(_) => Readout::TimesDifference,
            },
            estimate: Estimate::Mean,
            output: settings.output,
            samples: settings.samples,
            budget: None,
            until: None,
            seed: settings.seed,
        };
        if plan.is_noisy() {
            plan.estimate = settings.estimate;
            plan.until = settings.until;
        }
        if plan.is_nested() {
            plan.budget = settings.budget;
        }
        Ok(plan)
    }

    fn path(&self, settings: &Settings) -> Result<Option<Path>, Error> {
        let BaseKind::Integrated(start) = self.base.kind else {
            return Ok(None);
        };
        let baseline = match start {
            Start::Black => Baseline::Black,
            Start::White => Baseline::White,
            Start::Zero => Baseline::Zero,
            Start::Mean => Baseline::Mean,
            Start::Blur => Baseline::Blur,
            Start::File => Baseline::Values(settings.baseline.clone().ok_or_else(|| {
                Error::Baseline(format!("of {} is missing; give its values", self.name()))
            })?),
        };
        let (quadrature, steps) = (settings.quadrature, settings.steps);
        Ok(Some(Path { baseline, quadrature, steps }))
    }
}

fn weight_noise(settings: &Settings) -> WeightNoise {
    WeightNoise {
        mollifier: settings.mollifier,
        width: settings.weight_width,
        draws: settings.weight_samples,
        freeze: settings.freeze.clone(),
    }
}

fn sampler(kind: Kind, settings: &Settings) -> Sampler {
    Sampler {
        mollifier: settings.mollifier,
        width: match (kind, settings.sigma) {
            (Kind::Adapt, _) => {
                WidthRule::Adaptive { confidence: settings.confidence, rule: settings.rule }
            }
            (_, Some(sigma)) => WidthRule::Absolute { sigma },
            (_, None) => WidthRule::Relative { alpha: settings.alpha },
        },
        boundary: match kind {
            Kind::Clip => Boundary::Clipped,
            Kind::Smooth | Kind::Adapt => Boundary::Free,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str) -> Plan {
        let method = Method::named(name).expect("a method");
        method.plan(&Settings::default()).expect("a plan")
    }

    #[test]
    fn default_settings_are_the_papers() {
        assert_eq!(plan("adaptgrad"), Plan::adaptgrad());
        assert_eq!(plan("smoothgrad"), Plan::smoothgrad());
        assert_eq!(plan("gradient").sampler, Plan::gradient().sampler);
        assert_eq!(plan("ig-white").path, Plan::integrated_gradients(Baseline::White).path);
        assert_eq!(plan("a-ig-zero").gradients(), 50 * 50);
        assert_eq!(plan("ng").gradients(), 50);
        assert_eq!(plan("a-ng").gradients(), 50 * 50);
    }

    #[test]
    fn names_are_unique_and_found() {
        let all = Method::all();
        assert_eq!(all.len(), 36);
        for (i, method) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other.name() != method.name()));
            assert_eq!(Method::named(&method.name()), Some(*method));
        }
    }

    #[test]
    fn a_path_from_a_file_needs_the_file() {
        let method = Method::named("s-ig-file").expect("a method");
        let message = method.plan(&Settings::default()).expect_err("no file").to_string();
        assert!(message.contains("s-ig-file"), "{message}");
        let settings = Settings { baseline: Some(vec![1.0]), ..Settings::default() };
        let path = method.plan(&settings).expect("a plan").path.expect("a path");
        assert_eq!(path.baseline, Baseline::Values(vec![1.0]));
    }
}
