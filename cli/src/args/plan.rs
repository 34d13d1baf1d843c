//! The options of a plan: methods, noise, paths and samples.

use std::path::PathBuf;

use attriburn::{AdaptiveRule, Estimate, Mollifier, Output, Quadrature};
use attriburn_evaluate::Method;

use super::choice::{method, one_of};

// Structs with options have no doc comments: these would become the description of the command.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct PlanArgs {
    #[command(flatten)]
    pub method: MethodArgs,
    #[command(flatten)]
    pub noise: NoiseArgs,
    #[command(flatten)]
    pub path: PathArgs,
    #[command(flatten)]
    pub weights: WeightArgs,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Method")]
pub struct MethodArgs {
    /// Comma-separated names; `attriburn methods` lists them [default: adaptgrad]
    #[arg(
        short = 'M',
        long = "method",
        alias = "methods",
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = method(),
        hide_possible_values = true
    )]
    pub method: Vec<Method>,

    /// Noisy samples per map [default: 50]
    #[arg(short = 'n', long, value_name = "N")]
    pub samples: Option<u32>,

    /// Stop at this relative standard error, such as 0.1
    #[arg(long, value_name = "ERROR")]
    pub until: Option<f64>,

    /// Maximum number of gradients of a nested method
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub budget: Option<u64>,

    /// Output to differentiate [default: logit]
    #[arg(long, value_name = "NAME", value_parser = one_of(&Output::ALL), hide_short_help = true)]
    pub score: Option<Output>,

    /// Statistic of the gradients [default: mean]
    #[arg(long, value_name = "NAME", value_parser = one_of(&Estimate::OF_GRADIENTS), hide_short_help = true)]
    pub estimate: Option<Estimate>,

    /// Layer of Grad-CAM and its kin [default: chosen by the model]
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub layer: Option<String>,

    /// Seed of the noise [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Noise on the input")]
pub struct NoiseArgs {
    /// Confidence of AdaptGrad, between 0 and 1 [default: 0.95]
    #[arg(long, value_name = "C", hide_short_help = true)]
    pub confidence: Option<f64>,

    /// SmoothGrad width as a share of the domain (stdev_spread) [default: 0.2]
    #[arg(long, value_name = "SHARE", hide_short_help = true)]
    pub alpha: Option<f64>,

    /// SmoothGrad width in the model's units (captum's stdevs)
    #[arg(long, value_name = "WIDTH", conflicts_with = "alpha", hide_short_help = true)]
    pub sigma: Option<f64>,

    /// Noise distribution [default: gaussian]
    #[arg(long, value_name = "NAME", value_parser = one_of(&Mollifier::ALL), hide_short_help = true)]
    pub kernel: Option<Mollifier>,

    /// AdaptGrad width rule [default: paper]
    #[arg(long, value_name = "NAME", value_parser = one_of(&AdaptiveRule::ALL), hide_short_help = true)]
    pub width_rule: Option<AdaptiveRule>,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Integrated Gradients")]
pub struct PathArgs {
    /// Quadrature nodes along the path [default: 50]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub steps: Option<u32>,

    /// Quadrature rule [default: gauss-legendre]
    #[arg(long, value_name = "RULE", value_parser = one_of(&Quadrature::ALL), hide_short_help = true)]
    pub quadrature: Option<Quadrature>,

    /// Baseline of ig-file: a .npy file of the model's input shape
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub baseline: Option<PathBuf>,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Noise on the parameters")]
pub struct WeightArgs {
    /// Parameter draws, each with its own samples [default: 50]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub weight_samples: Option<u32>,

    /// Noise width as a share of each parameter's magnitude [default: 0.2]
    #[arg(long, value_name = "SHARE", hide_short_help = true)]
    pub weight_alpha: Option<f64>,

    /// Noise width, the same for all parameters
    #[arg(long, value_name = "WIDTH", conflicts_with = "weight_alpha", hide_short_help = true)]
    pub weight_sigma: Option<f64>,

    /// Confidence that a parameter keeps its sign
    #[arg(long, value_name = "C", conflicts_with_all = ["weight_alpha", "weight_sigma"], hide_short_help = true)]
    pub weight_confidence: Option<f64>,

    /// Parameters without noise, such as "classifier.*"; repeatable
    #[arg(long, value_name = "PATTERN", hide_short_help = true)]
    pub freeze: Vec<String>,
}

/// The method where the options name none.
const DEFAULT_METHOD: &str = "adaptgrad";

impl MethodArgs {
    /// Returns the requested methods without duplicates.
    pub fn methods(&self) -> Vec<Method> {
        let default = Method::named(DEFAULT_METHOD).filter(|_| self.method.is_empty());
        let mut methods = Vec::new();
        for method in self.method.iter().copied().chain(default) {
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        methods
    }
}
