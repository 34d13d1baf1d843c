//! Preprocessing as other libraries write it down: Hugging Face's `preprocessor_config.json`, and timm's
//! `config.json`, which has it under `pretrained_cfg`.

use serde_json::Value;

use super::{Centre, Channels, Mode, Recipe, Side};
use crate::picture::resample::Interpolation;

/// The recipe in the text of such a file; `None` where it is a JSON file of another kind.
///
/// # Errors
///
/// When the text is not JSON, or asks for what is not supported.
pub fn recipe_of(text: &str) -> Result<Option<Recipe>, String> {
    let config: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let timm = config.get("pretrained_cfg").unwrap_or(&config);
    if timm.get("crop_pct").is_some() && timm.get("input_size").is_some() {
        return timm_s(timm).map(Some);
    }
    let keys = ["image_processor_type", "feature_extractor_type", "image_mean", "do_resize"];
    match keys.iter().any(|key| config.get(key).is_some()) {
        true => hugging_face_s(&config).map(Some),
        false => Ok(None),
    }
}

/// timm's `interpolation`, `crop_pct`, `crop_mode`, `mean`, `std` and `input_size`.
fn timm_s(config: &Value) -> Result<Recipe, String> {
    let numbers = |key: &str| config.get(key).map(|own| floats(own, key)).transpose();
    let size = match config.get("input_size").map(|own| floats(own, "input_size")).transpose()? {
        Some(own) => match own[..] {
            [_, height, width] => Some((height as usize, width as usize)),
            _ => return Err("its input_size is not channels, height and width".into()),
        },
        None => None,
    };
    let interpolation = match config.get("interpolation").and_then(Value::as_str) {
        None => None,
        Some(name) => Some(named(name)?),
    };
    let mode = match config.get("crop_mode").and_then(Value::as_str) {
        None | Some("center") => Mode::Shortest,
        Some("squash") => Mode::Squash,
        Some("border") => Mode::Border,
        Some(other) => return Err(format!("its crop_mode {other:?} is not known")),
    };
    Ok(Recipe {
        size,
        mode: Some(mode),
        resize: config.get("crop_pct").and_then(Value::as_f64).map(Side::Share),
        interpolation,
        centre: Some(Centre::Even),
        divisor: Some(255.0),
        mean: numbers("mean")?,
        std: numbers("std")?,
        ..Recipe::default()
    })
}

/// What Hugging Face's image processors take.
fn hugging_face_s(config: &Value) -> Result<Recipe, String> {
    let flag =
        |key: &str, default: bool| config.get(key).and_then(Value::as_bool).unwrap_or(default);
    let kind = ["image_processor_type", "feature_extractor_type"];
    let kind = kind.iter().find_map(|key| config.get(key)?.as_str()).unwrap_or_default();
    for (key, default) in
        [("do_pad", false), ("do_thumbnail", false), ("do_align_long_axis", false)]
    {
        if flag(key, default) {
            return Err(format!("its {key} is not supported"));
        }
    }
    let share = config.get("crop_pct").and_then(Value::as_f64);
    let (mode, resize, resized) = match flag("do_resize", true) {
        true => resize_of(config, kind, share)?,
        false => (None, None, None),
    };
    let cropped = match flag("do_center_crop", false) {
        true => config.get("crop_size").map(|own| size_of(own, "crop_size")).transpose()?,
        false => None,
    };
    let offset = if flag("rescale_offset", false) { 1.0 } else { 0.0 };
    let divisor = match flag("do_rescale", true) {
        true => match config.get("rescale_factor").and_then(Value::as_f64) {
            Some(factor) => (1.0 / factor) as f32,
            None => 255.0,
        },
        false => 1.0,
    };
    let normalises = flag("do_normalize", true);
    let numbers = |key: &str| match (normalises, config.get(key)) {
        (true, Some(own)) => floats(own, key).map(Some),
        (true, None) => Ok(None),
        (false, _) => Ok(Some(vec![if key == "image_std" { 1.0 } else { 0.0 }])),
    };
    let mean = numbers("image_mean")?;
    Ok(Recipe {
        size: cropped.or(resized),
        mode,
        resize,
        interpolation: match config.get("resample").and_then(Value::as_u64) {
            None => None,
            Some(number) => Some(numbered(number)?),
        },
        centre: Some(Centre::Down),
        channels: flag("do_flip_channel_order", false).then_some(Channels::Bgr),
        divisor: Some(divisor),
        mean: mean.map(|mean| mean.into_iter().map(|own| own + offset).collect()),
        std: numbers("image_std")?,
    })
}

/// How a picture is resized, to what, and the size that it has then where that is known.
type Resized = (Option<Mode>, Option<Side>, Option<(usize, usize)>);

fn resize_of(config: &Value, kind: &str, share: Option<f64>) -> Result<Resized, String> {
    let Some(size) = config.get("size") else { return Ok((None, None, None)) };
    let pixels = |key: &str| size.get(key).and_then(Value::as_u64).map(|side| side as usize);
    // Processors for which one number is the shorter side.
    const SHORTEST: [&str; 8] = [
        "CLIP",
        "ChineseCLIP",
        "ConvNext",
        "Levit",
        "MobileNetV1",
        "MobileNetV2",
        "MobileViT",
        "PoolFormer",
    ];
    let number = size.as_u64().map(|side| side as usize);
    let is_shortest = SHORTEST.iter().any(|name| kind.starts_with(name));
    let shorter = pixels("shortest_edge").or(number.filter(|_| is_shortest));
    if let Some(side) = shorter {
        return Ok(match (share, kind) {
            // ConvNeXt's crops from 224/256, and larger inputs not at all.
            (Some(share), _) if kind.starts_with("ConvNext") && side < 384 => {
                let before = (side as f64 / share) as usize;
                (Some(Mode::Shortest), Some(Side::Pixels(before)), Some((side, side)))
            }
            (Some(_), _) if kind.starts_with("ConvNext") => {
                (Some(Mode::Squash), Some(Side::Size(side, side)), Some((side, side)))
            }
            (_, kind) if kind.starts_with("Levit") => {
                let before = (256.0 / 224.0 * side as f64) as usize;
                (Some(Mode::Shortest), Some(Side::Pixels(before)), None)
            }
            _ => (Some(Mode::Shortest), Some(Side::Pixels(side)), None),
        });
    }
    if pixels("longest_edge").is_some() {
        return Err("its size has a longest_edge, which is not supported".into());
    }
    let (height, width) = size_of(size, "size")?;
    Ok((Some(Mode::Squash), Some(Side::Size(height, width)), Some((height, width))))
}

/// A size as one number or as `height` and `width`.
fn size_of(own: &Value, key: &str) -> Result<(usize, usize), String> {
    let side = |own: Option<&Value>| own.and_then(Value::as_u64).map(|side| side as usize);
    let both = side(own.get("height")).zip(side(own.get("width")));
    let square = side(Some(own)).or_else(|| side(own.get("shortest_edge")));
    both.or_else(|| square.map(|side| (side, side)))
        .ok_or_else(|| format!("its {key} is not known: {own}"))
}

fn floats(own: &Value, key: &str) -> Result<Vec<f32>, String> {
    let numbers: Option<Vec<f32>> = match own {
        Value::Array(all) => all.iter().map(|one| one.as_f64().map(|one| one as f32)).collect(),
        one => one.as_f64().map(|one| vec![one as f32]),
    };
    numbers.ok_or_else(|| format!("its {key} is not a list of numbers: {own}"))
}

/// A filter by name.
fn named(name: &str) -> Result<Interpolation, String> {
    let found = Interpolation::ALL.iter().find(|(_, own)| *own == name);
    found
        .map(|(interpolation, _)| *interpolation)
        .ok_or_else(|| format!("its interpolation {name:?} is not known"))
}

/// A filter by its number in Pillow.
fn numbered(number: u64) -> Result<Interpolation, String> {
    match number {
        0 => Ok(Interpolation::Nearest),
        1 => Ok(Interpolation::Lanczos),
        2 => Ok(Interpolation::Bilinear),
        3 => Ok(Interpolation::Bicubic),
        4 => Ok(Interpolation::Box),
        5 => Ok(Interpolation::Hamming),
        _ => Err(format!("its resample {number} is not known")),
    }
}
