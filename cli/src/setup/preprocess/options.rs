//! The preprocessing that the options set.

use std::path::Path;

use attriburn_picture::{
    Preset, Recipe, ResizeMode, ResizeSize, recipe_from_config, torchvision_recipe,
    torchvision_weights,
};

use super::value_range::divisor_for;
use crate::args::{PreprocessArgs, nearest};

/// Returns the parts that single options set.
pub fn recipe_from_options(args: &PreprocessArgs) -> Result<Recipe, String> {
    let divisor = match (&args.scale, &args.mean) {
        (Some(text), _) => Some(parse_divisor(text)?),
        (None, Some(mean)) => Some(divisor_for(mean.iter().chain(args.std.iter().flatten()))),
        (None, None) => None,
    };
    let resize = match (args.resize.as_deref(), args.crop_pct) {
        (Some(&[side]), _) => Some(ResizeSize::Side(side)),
        (Some(&[height, width]), _) => Some(ResizeSize::HeightWidth(height, width)),
        (Some(_), _) => return Err("--resize: write one size, or a height and a width".into()),
        (None, Some(share)) if share > 0.0 && share <= 1.0 => Some(ResizeSize::CropShare(share)),
        (None, Some(share)) => {
            return Err(format!("--crop-pct is {share}, but it must be above 0 and at most 1"));
        }
        (None, None) => None,
    };
    let size = match args.crop.as_deref() {
        None => None,
        Some(&[side]) => Some((side, side)),
        Some(&[height, width]) => Some((height, width)),
        Some(_) => return Err("--crop: write one size, or a height and a width".into()),
    };
    Ok(Recipe {
        size,
        // A size without a mode applies to the shorter side.
        mode: args.resize_mode.or(resize.map(|_| ResizeMode::Shortest)),
        resize,
        interpolation: args.interpolation,
        channels: args.channels,
        divisor,
        mean: args.mean.clone(),
        std: args.std.clone(),
        ..Recipe::default()
    })
}

/// Parses the divisor of bytes: `255`, `1/255`, or `none`. A number below 1 is a factor.
fn parse_divisor(text: &str) -> Result<f32, String> {
    let number = |text: &str| text.trim().parse::<f32>().ok().filter(|number| *number > 0.0);
    let divisor = match text.split_once('/') {
        _ if text == "none" => Some(1.0),
        Some((numerator, denominator)) => {
            number(numerator).zip(number(denominator)).map(|(n, d)| d / n)
        }
        None => number(text).map(|number| if number < 1.0 { 1.0 / number } else { number }),
    };
    divisor.ok_or_else(|| {
        format!("--scale {text:?}: write the divisor of bytes, such as 255 or 127.5, or none")
    })
}

/// Returns the recipe that `--preprocess` names: a preset, weights of torchvision, or a file of another
/// library.
pub fn named_recipe(name: &str) -> Result<Recipe, String> {
    if let Some(preset) = Preset::named(name) {
        return Ok(preset.recipe());
    }
    if let Some(recipe) = torchvision_recipe(name) {
        return Ok(recipe);
    }
    let names: Vec<&str> = Preset::ALL.iter().map(|(_, name)| *name).collect();
    let path = Path::new(name);
    if !path.is_file() {
        let weights = nearest(&name.to_lowercase(), torchvision_weights());
        return Err(format!(
            "--preprocess {name:?} does not exist; choose one of {}, a file such as preprocessor_config.json, or the name of torchvision weights such as {}",
            names.join(", "),
            weights.first().map_or("", String::as_str)
        ));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("--preprocess {name} cannot be read: {error}"))?;
    match recipe_from_config(&text) {
        Ok(Some(recipe)) => Ok(recipe),
        Ok(None) => Err(format!(
            "--preprocess {name}: the file describes no preprocessing; give a preprocessor_config.json of Hugging Face or a config.json of timm"
        )),
        Err(reason) => Err(format!("--preprocess {name}: {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_divisor_accepts_divisors_fractions_and_factors() {
        for (text, expected) in
            [("255", 255.0), ("1/127.5", 127.5), ("none", 1.0), ("0.5", 2.0), ("1", 1.0)]
        {
            assert_eq!(parse_divisor(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "-1", "1/0", "half"] {
            assert!(parse_divisor(text).is_err(), "{text}");
        }
    }
}
