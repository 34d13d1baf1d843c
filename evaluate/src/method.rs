//! The registry of methods: plans, by the names that the papers use. Each part of a name is listed here and
//! nowhere else.

use attriburn::{
    Baseline, Boundary, Cam, CamRule, Error, ErrorKind, Estimate, Path, Plan, Readout, Sampler,
    WeightNoise, Weighting, WidthRule,
};

use crate::settings::Settings;

/// A named method: a base method, with or without noise on the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Method {
    smoothing: &'static Smoothing,
    base: Base,
}

/// A method without noise on the input.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Base {
    AtInput(&'static AtInput),
    /// SmoothDiff, which needs noise.
    MeanJacobians,
    AtLayer(&'static AtLayer),
    OnPath(&'static OnPath, &'static Start),
}

/// The noise that a named method adds to the input.
#[derive(Debug, PartialEq, Eq)]
struct Smoothing {
    /// The prefix of the method's name, before the name of the base method.
    prefix: &'static str,
    /// The name of the method whose base is the gradient.
    gradient: &'static str,
    /// The description of the noise, appended to the summary of the base method.
    summary: &'static str,
    kind: Option<NoiseKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoiseKind {
    Smooth,
    Adapt,
    Clip,
}

const SMOOTHINGS: [Smoothing; 4] = [
    Smoothing { prefix: "", gradient: "gradient", summary: "", kind: None },
    Smoothing {
        prefix: "s-",
        gradient: "smoothgrad",
        summary: ", with input noise of one width for all pixels",
        kind: Some(NoiseKind::Smooth),
    },
    Smoothing {
        prefix: "a-",
        gradient: "adaptgrad",
        summary: ", with input noise whose width adapts to each pixel's distance from the domain bounds",
        kind: Some(NoiseKind::Adapt),
    },
    Smoothing {
        prefix: "c-",
        gradient: "clipgrad",
        summary: ", with input noise of one width for all pixels, clipped to the domain",
        kind: Some(NoiseKind::Clip),
    },
];

/// A method that differentiates at the input.
#[derive(Debug, PartialEq, Eq)]
struct AtInput {
    name: &'static str,
    summary: &'static str,
    readout: Readout,
    has_weight_noise: bool,
}

const AT_INPUT: [AtInput; 3] = [
    AtInput {
        name: "gradient",
        summary: "the gradient",
        readout: Readout::Gradient,
        has_weight_noise: false,
    },
    AtInput {
        name: "ng",
        summary: "the gradient with noise on the parameters",
        readout: Readout::Gradient,
        has_weight_noise: true,
    },
    AtInput {
        name: "gi",
        summary: "the gradient times the input",
        readout: Readout::TimesInput,
        has_weight_noise: false,
    },
];

/// The name of SmoothDiff with noise of one width for all pixels.
const SMOOTHDIFF: &str = "smoothdiff";

/// A method that differentiates at a layer inside the model: a class activation map.
#[derive(Debug, PartialEq, Eq)]
struct AtLayer {
    name: &'static str,
    /// The name of the method with noise of one width for all pixels, if it has one of its own.
    smooth: Option<&'static str>,
    summary: &'static str,
    rule: CamRule,
}

const AT_LAYER: [AtLayer; 4] = [
    AtLayer {
        name: "grad-cam",
        smooth: None,
        summary: "Grad-CAM: a layer's activations, each channel weighted by its mean gradient",
        rule: CamRule::GradCam,
    },
    AtLayer {
        name: "hires-cam",
        smooth: None,
        summary: "HiResCAM: a layer's activations times their gradients",
        rule: CamRule::HiresCam,
    },
    AtLayer {
        name: "layer-cam",
        smooth: None,
        summary: "LayerCAM: a layer's activations times their positive gradients",
        rule: CamRule::LayerCam,
    },
    AtLayer {
        name: "grad-cam++",
        smooth: Some("smooth-grad-cam++"),
        summary: "Grad-CAM++: a layer's activations, each channel weighted by its positive gradients",
        rule: CamRule::GradCamPlusPlus,
    },
];

/// A method that differentiates on the path from a baseline to the input.
#[derive(Debug, PartialEq, Eq)]
struct OnPath {
    /// The name, before the name of the baseline.
    name: &'static str,
    summary: &'static str,
    weighting: Weighting,
}

const ON_PATH: [OnPath; 2] = [
    OnPath { name: "ig", summary: "Integrated Gradients", weighting: Weighting::Uniform },
    OnPath {
        name: "ps-ig",
        summary: "Path-Sampled Integrated Gradients",
        weighting: Weighting::Position,
    },
];

/// A baseline by name; `None` is read from a file.
#[derive(Debug, PartialEq)]
struct Start {
    name: &'static str,
    summary: &'static str,
    baseline: Option<Baseline>,
}

const STARTS: [Start; 6] = [
    Start { name: "black", summary: "a black baseline", baseline: Some(Baseline::Black) },
    Start { name: "white", summary: "a white baseline", baseline: Some(Baseline::White) },
    Start {
        name: "zero",
        summary: "a baseline of zeros in the model's units",
        baseline: Some(Baseline::Zero),
    },
    Start { name: "mean", summary: "the mean colour of the image", baseline: Some(Baseline::Mean) },
    Start { name: "blur", summary: "the blurred image", baseline: Some(Baseline::Blur) },
    Start { name: "file", summary: "a baseline read from a file", baseline: None },
];

impl Method {
    /// Returns every method, ordered by base method, then by noise.
    pub fn all() -> Vec<Method> {
        let at_input = AT_INPUT.iter().map(Base::AtInput).chain([Base::MeanJacobians]);
        let at_layer = AT_LAYER.iter().map(Base::AtLayer);
        let from_starts = |method| STARTS.iter().map(move |start| Base::OnPath(method, start));
        let bases = at_input.chain(at_layer).chain(ON_PATH.iter().flat_map(from_starts));
        let smoothed = |base| SMOOTHINGS.iter().map(move |smoothing| Method { smoothing, base });
        let has_noise =
            |method: &Method| method.base != Base::MeanJacobians || method.smoothing.kind.is_some();
        bases.flat_map(smoothed).filter(has_noise).collect()
    }

    /// Returns the method that takes the mean of the samples' gradients in place of SmoothDiff; `None` for other
    /// methods than SmoothDiff.
    pub fn without_bias(&self) -> Option<Method> {
        let is_biased = self.base == Base::MeanJacobians;
        is_biased.then(|| Method::named(self.smoothing.gradient)).flatten()
    }

    /// Returns the method called `name`, if there is one.
    pub fn named(name: &str) -> Option<Method> {
        Self::all().into_iter().find(|method| method.name() == name)
    }

    /// Returns the name, such as `a-ig-black`.
    pub fn name(&self) -> String {
        let prefix = self.smoothing.prefix;
        match self.base {
            Base::AtInput(AtInput { name: "gradient", .. }) => self.smoothing.gradient.to_owned(),
            Base::AtLayer(AtLayer { smooth: Some(name), .. })
                if self.smoothing.kind == Some(NoiseKind::Smooth) =>
            {
                (*name).to_owned()
            }
            Base::AtLayer(method) => format!("{prefix}{}", method.name),
            Base::AtInput(method) => format!("{prefix}{}", method.name),
            Base::MeanJacobians => match self.smoothing.kind {
                Some(NoiseKind::Smooth) => SMOOTHDIFF.to_owned(),
                _ => format!("{prefix}{SMOOTHDIFF}"),
            },
            Base::OnPath(method, start) => format!("{prefix}{}-{}", method.name, start.name),
        }
    }

    /// Returns a one-line description of the method.
    pub fn summary(&self) -> String {
        let noise = self.smoothing.summary;
        match self.base {
            Base::AtInput(method) => format!("{}{noise}", method.summary),
            Base::MeanJacobians => format!(
                "SmoothDiff: the gradient through the mean Jacobian of each nonlinear node{noise}"
            ),
            Base::AtLayer(method) => format!("{}{noise}", method.summary),
            Base::OnPath(method, start) => {
                format!("{} from {}{noise}", method.summary, start.summary)
            }
        }
    }

    /// Returns the plan of the method with `settings`.
    ///
    /// # Errors
    ///
    /// Returns an error if the baseline of the method is read from a file and `settings.baseline` is `None`.
    pub fn plan(&self, settings: &Settings) -> Result<Plan, Error> {
        let mut plan = Plan::gradient().output(settings.output).seed(settings.seed);
        plan.sampler = self.smoothing.kind.map(|kind| sampler(kind, settings));
        match self.base {
            Base::AtInput(method) => {
                plan.readout = method.readout;
                plan.weights = method.has_weight_noise.then(|| weight_noise(settings));
            }
            Base::MeanJacobians => {}
            Base::AtLayer(method) => {
                let mut cam = Cam::new(method.rule);
                cam.layer.clone_from(&settings.layer);
                plan.cam = Some(cam);
            }
            Base::OnPath(method, start) => {
                plan.readout = Readout::TimesDifference;
                plan.path = Some(self.path(method, start, settings)?);
            }
        }
        if plan.is_noisy() {
            (plan.estimate, plan.until) = match self.base {
                // One product of means has no standard error at which to stop.
                Base::MeanJacobians => (Estimate::SmoothDiff, None),
                _ => (settings.estimate, settings.until),
            };
        }
        if plan.is_nested() {
            plan.budget = settings.budget;
        }
        Ok(plan)
    }

    fn path(&self, method: &OnPath, start: &Start, settings: &Settings) -> Result<Path, Error> {
        let from_file = || settings.baseline.clone().map(Baseline::Values);
        let baseline = start.baseline.clone().or_else(from_file).ok_or_else(|| {
            let message = format!("the baseline of {} is missing; give its values", self.name());
            Error::new(ErrorKind::Baseline, message)
        })?;
        let path = Path::new(baseline).quadrature(settings.quadrature).steps(settings.steps);
        Ok(path.weighting(method.weighting))
    }
}

fn weight_noise(settings: &Settings) -> WeightNoise {
    WeightNoise::new(settings.weight_width)
        .mollifier(settings.mollifier)
        .draws(settings.weight_samples)
        .freeze(settings.freeze.clone())
}

fn sampler(kind: NoiseKind, settings: &Settings) -> Sampler {
    let width = match (kind, settings.sigma) {
        (NoiseKind::Adapt, _) => {
            WidthRule::Adaptive { confidence: settings.confidence, rule: settings.rule }
        }
        (_, Some(sigma)) => WidthRule::Absolute { sigma },
        (_, None) => WidthRule::Relative { alpha: settings.alpha },
    };
    let boundary = match kind {
        NoiseKind::Clip => Boundary::Clipped,
        NoiseKind::Smooth | NoiseKind::Adapt => Boundary::Free,
    };
    let sampler = Sampler::new(width).mollifier(settings.mollifier);
    sampler.boundary(boundary).samples(settings.samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str) -> Plan {
        let method = Method::named(name).expect("a method");
        method.plan(&Settings::default()).expect("a plan")
    }

    #[test]
    fn default_settings_are_those_of_the_papers() {
        assert_eq!(plan("adaptgrad"), Plan::adaptgrad());
        assert_eq!(plan("smoothgrad"), Plan::smoothgrad());
        assert_eq!(plan("smoothdiff"), Plan::smoothdiff());
        assert_eq!(plan("gradient").sampler, Plan::gradient().sampler);
        assert_eq!(plan("ig-white").path, Plan::integrated_gradients(Baseline::White).path);
        assert_eq!(plan("a-ig-zero").gradients(), 50 * 50);
        assert_eq!(plan("ng").gradients(), 50);
        assert_eq!(plan("a-ng").gradients(), 50 * 50);
        assert_eq!(plan("grad-cam"), Plan::grad_cam());
        let smooth = Plan::gradient().cam(CamRule::GradCamPlusPlus).sampler(Sampler::smoothgrad());
        assert_eq!(plan("smooth-grad-cam++"), smooth);
    }

    #[test]
    fn method_names_are_unique_and_known() {
        let all = Method::all();
        assert_eq!(all.len(), 79);
        for (i, method) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other.name() != method.name()));
            assert_eq!(Method::named(&method.name()), Some(*method));
        }
    }

    #[test]
    fn class_activation_maps_have_the_layer_of_the_settings() {
        for (rule, name) in CamRule::ALL {
            let settings = Settings::with(|settings| settings.layer = Some("block".into()));
            let plan = Method::named(name).expect("a method").plan(&settings).expect("a plan");
            assert_eq!(plan.cam, Some(Cam::new(rule).layer("block")));
        }
    }

    #[test]
    fn baseline_from_a_file_requires_its_values() {
        let method = Method::named("s-ig-file").expect("a method");
        let message = method.plan(&Settings::default()).expect_err("no file").to_string();
        assert!(message.contains("s-ig-file"), "{message}");
        let settings = Settings::with(|settings| settings.baseline = Some(vec![1.0]));
        let path = method.plan(&settings).expect("a plan").path.expect("a path");
        assert_eq!(path.baseline, Baseline::Values(vec![1.0]));
    }
}
