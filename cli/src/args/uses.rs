//! The options of plans: which plans use each of them, and which can be swept. Each is listed here and nowhere
//! else.

use attriburn::{Baseline, Estimate, Mollifier, Plan, WidthRule};

use super::PlanArgs;

/// An option that only some plans use.
pub struct PlanOption {
    /// Its name on the command line.
    pub name: &'static str,
    /// Whether it is there.
    is_given: fn(&PlanArgs) -> bool,
    /// Whether a plan uses it.
    pub is_used: fn(&Plan) -> bool,
    /// Sets it to what a sweep says; none where it cannot be swept.
    set: Option<Set>,
}

type Set = fn(&mut PlanArgs, &str) -> Option<()>;

/// An option, its place among the arguments, and which plans use it.
macro_rules! option {
    ($name:literal, $group:ident.$field:ident, $used:expr) => {
        PlanOption {
            name: $name,
            is_given: |args| args.$group.$field.is_some(),
            is_used: $used,
            set: None,
        }
    };
    ($name:literal, $group:ident.$field:ident, swept as $read:expr, $used:expr) => {
        PlanOption {
            name: $name,
            is_given: |args| args.$group.$field.is_some(),
            is_used: $used,
            set: Some(|args, text| {
                args.$group.$field = Some($read(text)?);
                Some(())
            }),
        }
    };
}

/// Every such option.
const OPTIONS: [PlanOption; 19] = [
    option!("samples", method.samples, swept as number, |plan| plan.sampler.is_some()),
    option!("until", method.until, |plan| plan.is_noisy() && plan.estimate == Estimate::Mean),
    option!("budget", method.budget, Plan::is_nested),
    option!("estimate", method.estimate, Plan::is_noisy),
    option!("seed", method.seed, Plan::is_noisy),
    option!("confidence", noise.confidence, swept as number, |plan| is_adaptive(width_of(plan))),
    option!("alpha", noise.alpha, swept as number, |plan| is_relative(width_of(plan))),
    option!("sigma", noise.sigma, swept as number, |plan| is_absolute(width_of(plan))),
    option!("kernel", noise.kernel, swept as mollifier, Plan::is_noisy),
    option!("width-rule", noise.width_rule, |plan| is_adaptive(width_of(plan))
        || is_adaptive(weight_width_of(plan))),
    option!("steps", path.steps, swept as number, |plan| plan.path.is_some()),
    option!("quadrature", path.quadrature, |plan| plan.path.is_some()),
    option!("baseline", path.baseline, |plan| {
        plan.path.as_ref().is_some_and(|path| matches!(path.baseline, Baseline::Values(_)))
    }),
    option!("weight-samples", weights.weight_samples, swept as number, |plan| {
        plan.weights.is_some()
    }),
    option!("weight-alpha", weights.weight_alpha, swept as number, |plan| {
        is_relative(weight_width_of(plan))
    }),
    option!("weight-sigma", weights.weight_sigma, swept as number, |plan| {
        is_absolute(weight_width_of(plan))
    }),
    option!("weight-confidence", weights.weight_confidence, swept as number, |plan| {
        is_adaptive(weight_width_of(plan))
    }),
    PlanOption {
        name: "freeze",
        is_given: |args| !args.weights.freeze.is_empty(),
        is_used: |plan| plan.weights.is_some(),
        set: None,
    },
    PlanOption {
        name: "standard-error",
        // It is no option of the plan, and asked for elsewhere.
        is_given: |_| false,
        is_used: |plan| plan.is_noisy() && plan.estimate == Estimate::Mean,
        set: None,
    },
];

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn mollifier(text: &str) -> Option<Mollifier> {
    Mollifier::ALL.iter().find(|(_, name)| *name == text).map(|(mollifier, _)| *mollifier)
}

fn width_of(plan: &Plan) -> Option<WidthRule> {
    plan.sampler.map(|sampler| sampler.width)
}

fn weight_width_of(plan: &Plan) -> Option<WidthRule> {
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

impl PlanOption {
    /// The option called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        const { &OPTIONS }.iter().find(|option| option.name == name)
    }

    /// The options that are there.
    pub fn given(args: &PlanArgs) -> impl Iterator<Item = &'static Self> {
        const { &OPTIONS }.iter().filter(|option| (option.is_given)(args))
    }

    /// Whether `plan` uses the option called `name`.
    pub fn uses(plan: &Plan, name: &str) -> bool {
        Self::named(name).is_some_and(|option| (option.is_used)(plan))
    }

    /// Whether it is there.
    pub fn is_given(&self, args: &PlanArgs) -> bool {
        (self.is_given)(args)
    }

    /// Sets it to a value of a sweep.
    ///
    /// # Errors
    ///
    /// When the value is none of the option's.
    pub fn set(&self, args: &mut PlanArgs, value: &str) -> Result<(), String> {
        self.set
            .and_then(|set| set(args, value))
            .ok_or_else(|| format!("--sweep {}: {value:?} is no value of it", self.name))
    }

    /// The names of those that can be swept.
    pub fn swept() -> impl Iterator<Item = &'static str> {
        const { &OPTIONS }.iter().filter(|option| option.set.is_some()).map(|option| option.name)
    }
}
