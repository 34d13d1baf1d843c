//! The options that say what is computed.

use std::path::PathBuf;

use attriburn::{AdaptiveRule, Estimate, Method, Mollifier, Output, Quadrature};

use super::choice::{method, one_of};

// Structs here have no doc comments: these would become the description of the command.
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
    /// Names with commas; `attriburn methods` lists them [default: adaptgrad]
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

    /// The most gradients where draws, samples and nodes are nested
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub budget: Option<u64>,

    /// The output that is differentiated [default: logit]
    #[arg(long, value_name = "NAME", value_parser = one_of(&Output::ALL), hide_short_help = true)]
    pub score: Option<Output>,

    /// What is kept of the gradients [default: mean]
    #[arg(long, value_name = "NAME", value_parser = one_of(&Estimate::ALL), hide_short_help = true)]
    pub estimate: Option<Estimate>,

    /// The seed of the noise [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Noise on the input")]
pub struct NoiseArgs {
    /// AdaptGrad's confidence, between 0 and 1 [default: 0.95]
    #[arg(long, value_name = "C", hide_short_help = true)]
    pub confidence: Option<f64>,

    /// SmoothGrad's width as a share of the domain (stdev_spread) [default: 0.2]
    #[arg(long, value_name = "SHARE", hide_short_help = true)]
    pub alpha: Option<f64>,

    /// SmoothGrad's width in the model's units (captum's stdevs)
    #[arg(long, value_name = "WIDTH", conflicts_with = "alpha", hide_short_help = true)]
    pub sigma: Option<f64>,

    /// The distribution [default: gaussian]
    #[arg(long, value_name = "NAME", value_parser = one_of(&Mollifier::ALL), hide_short_help = true)]
    pub kernel: Option<Mollifier>,

    /// AdaptGrad's width, as its paper or its code has it [default: paper]
    #[arg(long, value_name = "NAME", value_parser = one_of(&AdaptiveRule::ALL), hide_short_help = true)]
    pub width_rule: Option<AdaptiveRule>,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Integrated Gradients")]
pub struct PathArgs {
    /// Nodes along the path [default: 50]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub steps: Option<u32>,

    /// Where the nodes lie [default: gauss-legendre]
    #[arg(long, value_name = "RULE", value_parser = one_of(&Quadrature::ALL), hide_short_help = true)]
    pub quadrature: Option<Quadrature>,

    /// Where ig-file starts: a .npy file of the model's input shape
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub baseline: Option<PathBuf>,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Noise on the parameters")]
pub struct WeightArgs {
    /// Draws of the parameters, each with its own samples [default: 50]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub weight_samples: Option<u32>,

    /// The width as a share of each parameter's size [default: 0.2]
    #[arg(long, value_name = "SHARE", hide_short_help = true)]
    pub weight_alpha: Option<f64>,

    /// One width for all parameters
    #[arg(long, value_name = "WIDTH", conflicts_with = "weight_alpha", hide_short_help = true)]
    pub weight_sigma: Option<f64>,

    /// The confidence that a parameter keeps its sign
    #[arg(long, value_name = "C", conflicts_with_all = ["weight_alpha", "weight_sigma"], hide_short_help = true)]
    pub weight_confidence: Option<f64>,

    /// Parameters without noise, such as "classifier.*"; repeatable
    #[arg(long, value_name = "PATTERN", hide_short_help = true)]
    pub freeze: Vec<String>,
}
