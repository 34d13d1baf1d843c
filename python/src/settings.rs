//! The settings of a method from keyword arguments.

use attriburn::{AdaptiveRule, Estimate, Mollifier, Output, Quadrature, WidthRule};
use attriburn_evaluate::Settings;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::array::floats;
use crate::choice::choice;

/// The keyword arguments that set the same value.
const WEIGHT_WIDTHS: [&str; 3] = ["weight_alpha", "weight_sigma", "weight_confidence"];

/// Returns the settings with the values in `keywords`.
///
/// # Errors
///
/// When there is no such setting, or its value has a wrong type.
pub fn settings(keywords: &Bound<'_, PyDict>) -> PyResult<Settings> {
    let mut settings = Settings::default();
    for (name, value) in keywords {
        let name: String = name.extract()?;
        if value.is_none() {
            continue;
        }
        set(&mut settings, &name, &value)?;
    }
    let widths = WEIGHT_WIDTHS.iter().filter(|name| {
        keywords.get_item(name).is_ok_and(|value| value.is_some_and(|value| !value.is_none()))
    });
    let widths: Vec<&str> = widths.copied().collect();
    if widths.len() > 1 {
        return Err(PyTypeError::new_err(format!(
            "{} set the same width; give one",
            widths.join(" and ")
        )));
    }
    // The rule of the width is a setting of its own.
    if let WidthRule::Adaptive { confidence, .. } = settings.weight_width {
        settings.weight_width = WidthRule::Adaptive { confidence, rule: settings.rule };
    }
    Ok(settings)
}

/// The names of all settings, for messages.
const NAMES: [&str; 20] = [
    "samples",
    "confidence",
    "width_rule",
    "alpha",
    "sigma",
    "kernel",
    "steps",
    "quadrature",
    "baseline",
    "weight_samples",
    "weight_alpha",
    "weight_sigma",
    "weight_confidence",
    "freeze",
    "budget",
    "until",
    "estimate",
    "score",
    "layer",
    "seed",
];

fn set(settings: &mut Settings, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let text = || value.extract::<String>();
    match name {
        "samples" => settings.samples = value.extract()?,
        "confidence" => settings.confidence = value.extract()?,
        "width_rule" => settings.rule = choice(name, &text()?, &AdaptiveRule::ALL)?,
        "alpha" => settings.alpha = value.extract()?,
        "sigma" => settings.sigma = Some(value.extract()?),
        "kernel" => settings.mollifier = choice(name, &text()?, &Mollifier::ALL)?,
        "steps" => settings.steps = value.extract()?,
        "quadrature" => settings.quadrature = choice(name, &text()?, &Quadrature::ALL)?,
        "baseline" => settings.baseline = Some(floats(value)?),
        "weight_samples" => settings.weight_samples = value.extract()?,
        "weight_alpha" => {
            settings.weight_width = WidthRule::Relative { alpha: value.extract()? };
        }
        "weight_sigma" => {
            settings.weight_width = WidthRule::Absolute { sigma: value.extract()? };
        }
        "weight_confidence" => {
            let (confidence, rule) = (value.extract()?, settings.rule);
            settings.weight_width = WidthRule::Adaptive { confidence, rule };
        }
        "freeze" => settings.freeze = value.extract()?,
        "budget" => settings.budget = Some(value.extract()?),
        "until" => settings.until = Some(value.extract()?),
        "estimate" => settings.estimate = choice(name, &text()?, &Estimate::OF_GRADIENTS)?,
        "score" => settings.output = choice(name, &text()?, &Output::ALL)?,
        "layer" => settings.layer = Some(text()?),
        "seed" => settings.seed = value.extract()?,
        _ => {
            return Err(PyTypeError::new_err(format!(
                "there is no setting {name:?}; the settings are {}",
                NAMES.join(", ")
            )));
        }
    }
    Ok(())
}
