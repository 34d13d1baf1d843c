//! The preprocessing configurations of other libraries: `preprocessor_config.json` of Hugging Face's
//! transformers, and `config.json` of timm, with the preprocessing under `pretrained_cfg`.

use serde_json::Value;

use super::channels::Channels;
use super::geometry::CropRounding;
use super::recipe::{Recipe, ResizeMode, ResizeSize};
use crate::resample::Interpolation;

/// Parses the text of a preprocessing configuration. Returns `None` if the text is JSON without a
/// preprocessing.
///
/// # Errors
///
/// Returns an error if the text is not JSON, or if it has a setting that is not supported.
pub fn recipe_from_config(text: &str) -> Result<Option<Recipe>, String> {
    let config: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let timm_config = config.get("pretrained_cfg").unwrap_or(&config);
    if timm_config.get("crop_pct").is_some() && timm_config.get("input_size").is_some() {
        return timm_recipe(timm_config).map(Some);
    }
    let keys = ["image_processor_type", "feature_extractor_type", "image_mean", "do_resize"];
    match keys.iter().any(|key| config.get(key).is_some()) {
        true => transformers_recipe(&config).map(Some),
        false => Ok(None),
    }
}

/// Parses the settings of timm: `interpolation`, `crop_pct`, `crop_mode`, `mean`, `std` and `input_size`.
fn timm_recipe(config: &Value) -> Result<Recipe, String> {
    let numbers = |key: &str| config.get(key).map(|value| floats(value, key)).transpose();
    let size = match numbers("input_size")? {
        Some(sizes) => match sizes[..] {
            [_, height, width] => Some((height as usize, width as usize)),
            _ => return Err("its input_size is not channels, height and width".into()),
        },
        None => None,
    };
    let interpolation = match config.get("interpolation").and_then(Value::as_str) {
        None => None,
        Some(name) => Some(filter_by_name(name)?),
    };
    let mode = match config.get("crop_mode").and_then(Value::as_str) {
        None | Some("center") => ResizeMode::Shortest,
        Some("squash") => ResizeMode::Squash,
        Some("border") => ResizeMode::Border,
        Some(other) => return Err(format!("its crop_mode {other:?} is not known")),
    };
    Ok(Recipe {
        size,
        mode: Some(mode),
        resize: config.get("crop_pct").and_then(Value::as_f64).map(ResizeSize::CropShare),
        interpolation,
        crop_rounding: Some(CropRounding::HalfToEven),
        divisor: Some(255.0),
        mean: numbers("mean")?,
        std: numbers("std")?,
        ..Recipe::default()
    })
}

/// Parses the settings of an image processor of transformers. Missing flags get the defaults of transformers.
fn transformers_recipe(config: &Value) -> Result<Recipe, String> {
    let flag =
        |key: &str, default: bool| config.get(key).and_then(Value::as_bool).unwrap_or(default);
    let type_keys = ["image_processor_type", "feature_extractor_type"];
    let processor = type_keys.iter().find_map(|key| config.get(key)?.as_str()).unwrap_or_default();
    for (key, default) in
        [("do_pad", false), ("do_thumbnail", false), ("do_align_long_axis", false)]
    {
        if flag(key, default) {
            return Err(format!("its {key} is not supported"));
        }
    }
    let crop_share = config.get("crop_pct").and_then(Value::as_f64);
    let (mode, resize, resized) = match flag("do_resize", true) {
        true => parse_resize(config, processor, crop_share)?,
        false => (None, None, None),
    };
    let cropped = match flag("do_center_crop", false) {
        true => config.get("crop_size").map(|size| parse_size(size, "crop_size")).transpose()?,
        false => None,
    };
    // `rescale_offset` subtracts 1 after the division, which is the same as a mean that is larger by 1.
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
        (true, Some(value)) => floats(value, key).map(Some),
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
            Some(number) => Some(filter_by_number(number)?),
        },
        crop_rounding: Some(CropRounding::Down),
        channels: flag("do_flip_channel_order", false).then_some(Channels::Bgr),
        divisor: Some(divisor),
        mean: mean.map(|mean| mean.into_iter().map(|value| value + offset).collect()),
        std: numbers("image_std")?,
    })
}

/// The resize mode, the size after the resize, and the height and width of the input if the resize defines
/// them.
type ResizeParts = (Option<ResizeMode>, Option<ResizeSize>, Option<(usize, usize)>);

/// Parses the `size` setting of transformers, whose meaning depends on the image processor.
fn parse_resize(
    config: &Value,
    processor: &str,
    crop_share: Option<f64>,
) -> Result<ResizeParts, String> {
    let Some(size) = config.get("size") else { return Ok((None, None, None)) };
    let pixels = |key: &str| size.get(key).and_then(Value::as_u64).map(|side| side as usize);
    // Image processors for which a single number is the size of the shorter side.
    const SHORTER_SIDE: [&str; 8] = [
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
    let is_shorter_side = SHORTER_SIDE.iter().any(|name| processor.starts_with(name));
    let shorter_side = pixels("shortest_edge").or(number.filter(|_| is_shorter_side));
    if let Some(side) = shorter_side {
        let shortest = Some(ResizeMode::Shortest);
        return Ok(match (crop_share, processor) {
            // ConvNeXt crops below 384 pixels, by crop_pct (224/256), and squashes larger inputs without a
            // crop.
            (Some(share), _) if processor.starts_with("ConvNext") && side < 384 => {
                let resized = (side as f64 / share) as usize;
                (shortest, Some(ResizeSize::Side(resized)), Some((side, side)))
            }
            (Some(_), _) if processor.starts_with("ConvNext") => {
                let size = ResizeSize::HeightWidth(side, side);
                (Some(ResizeMode::Squash), Some(size), Some((side, side)))
            }
            (_, processor) if processor.starts_with("Levit") => {
                let resized = (256.0 / 224.0 * side as f64) as usize;
                (shortest, Some(ResizeSize::Side(resized)), None)
            }
            _ => (shortest, Some(ResizeSize::Side(side)), None),
        });
    }
    if pixels("longest_edge").is_some() {
        return Err("its size has a longest_edge, which is not supported".into());
    }
    let (height, width) = parse_size(size, "size")?;
    let resize = ResizeSize::HeightWidth(height, width);
    Ok((Some(ResizeMode::Squash), Some(resize), Some((height, width))))
}

/// Parses a size that is either one number or an object with `height` and `width`.
fn parse_size(value: &Value, key: &str) -> Result<(usize, usize), String> {
    let side = |value: Option<&Value>| value.and_then(Value::as_u64).map(|side| side as usize);
    let both = side(value.get("height")).zip(side(value.get("width")));
    let square = side(Some(value)).or_else(|| side(value.get("shortest_edge")));
    both.or_else(|| square.map(|side| (side, side)))
        .ok_or_else(|| format!("its {key} is not a number or a height and a width: {value}"))
}

/// Parses a number or a list of numbers.
fn floats(value: &Value, key: &str) -> Result<Vec<f32>, String> {
    let numbers: Option<Vec<f32>> = match value {
        Value::Array(items) => {
            items.iter().map(|item| item.as_f64().map(|number| number as f32)).collect()
        }
        single => single.as_f64().map(|number| vec![number as f32]),
    };
    numbers.ok_or_else(|| format!("its {key} is not a list of numbers: {value}"))
}

/// Returns the filter called `name`.
fn filter_by_name(name: &str) -> Result<Interpolation, String> {
    let found = Interpolation::ALL.iter().find(|(_, filter_name)| *filter_name == name);
    found
        .map(|(interpolation, _)| *interpolation)
        .ok_or_else(|| format!("its interpolation {name:?} is not known"))
}

/// Returns the filter with this number in Pillow.
fn filter_by_number(number: u64) -> Result<Interpolation, String> {
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
