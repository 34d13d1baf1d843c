//! What a model's own metadata says of its pictures.

use attriburn::picture::{Channels, Interpolation, Mode, Preset, Recipe, Side, recipe_of};

use crate::preprocess::values_alone;

/// An entry of a model's metadata.
type Entry = (String, String);

/// Keys under which a whole file of another library's may lie.
const FILES: [&str; 4] =
    ["preprocessor_config.json", "preprocessor_config", "pretrained_cfg", "config.json"];

/// What the metadata says, with the keys that say it: other libraries' files, the entries of ONNX's
/// `MetadataProps.md`, those that Ultralytics' exports have, and a `mean` and `std`.
pub fn recipes(metadata: &[Entry]) -> Vec<(String, Recipe)> {
    let source = |what: &str| match what {
        "" => "the model's metadata".to_owned(),
        key => format!("the model's metadata ({key})"),
    };
    let file = |key: &&str| Some((source(key), recipe_of(value(metadata, key)?).ok()??));
    let files = FILES.iter().filter_map(file);
    let others = [
        ("", props(metadata)),
        ("Ultralytics", ultralytics(metadata)),
        ("mean, std", plain(metadata)),
    ];
    let others = others.into_iter().filter(|(_, recipe)| *recipe != Recipe::default());
    files.chain(others.map(|(key, recipe)| (source(key), recipe))).collect()
}

fn value<'m>(metadata: &'m [Entry], key: &str) -> Option<&'m str> {
    metadata.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
}

/// The entries of ONNX's `MetadataProps.md`.
fn props(metadata: &[Entry]) -> Recipe {
    let channels = match value(metadata, "Image.BitmapPixelFormat") {
        Some("Gray8") => Some(Channels::Grey),
        Some("Bgr8" | "Bgra8") => Some(Channels::Bgr),
        Some("Rgb8" | "Rgba8") => Some(Channels::Rgb),
        _ => None,
    };
    let range = match value(metadata, "Image.NominalPixelRange") {
        Some("NominalRange_0_255") => Some(Preset::Raw255),
        Some("Normalized_0_1") => Some(Preset::Unit),
        Some("Normalized_1_1") => Some(Preset::Signed),
        _ => None,
    };
    let range = range.map(Preset::recipe).unwrap_or_default();
    Recipe { mode: None, interpolation: None, channels, ..range }
}

/// Ultralytics' classifiers: the shorter side to the size and the centre, or both sides where the size is no
/// square, values from 0 to 1
/// (`classify_transforms` in `ultralytics/data/augment.py`).
fn ultralytics(metadata: &[Entry]) -> Recipe {
    let is_theirs = value(metadata, "author") == Some("Ultralytics");
    if !is_theirs {
        return Recipe::default();
    }
    let sizes = value(metadata, "imgsz").map(numbers).unwrap_or_default();
    let size = match sizes[..] {
        [height, width] => Some((height as usize, width as usize)),
        [side] => Some((side as usize, side as usize)),
        _ => None,
    };
    match value(metadata, "task") {
        Some("classify") => Recipe {
            size,
            mode: size.map(|(height, width)| match height == width {
                true => Mode::Shortest,
                false => Mode::Squash,
            }),
            resize: size.map(|(height, width)| Side::Size(height, width)),
            interpolation: Some(Interpolation::Bilinear),
            ..values_alone(Preset::Unit)
        },
        // Other tasks fill up with grey, which is no mean; their values are the same.
        _ => Recipe { size, ..values_alone(Preset::Unit) },
    }
}

/// A `mean` and a `std`, of values from 0 to 1, or of bytes where they are greater than such values have.
fn plain(metadata: &[Entry]) -> Recipe {
    let find =
        |key: &str| value(metadata, key).map(numbers).filter(|own| matches!(own.len(), 1 | 3));
    let (Some(mean), Some(std)) = (find("mean"), find("std")) else {
        return Recipe::default();
    };
    let most = mean.iter().chain(&std).fold(0.0f32, |most, own| most.max(own.abs()));
    let divisor = if most > crate::preprocess::LARGEST_OF_UNIT { 1.0 } else { 255.0 };
    Recipe { divisor: Some(divisor), mean: Some(mean), std: Some(std), ..Recipe::default() }
}

/// The numbers of a list such as `[224, 224]`, or none where it has something else.
fn numbers(text: &str) -> Vec<f32> {
    let inner = text.trim().trim_start_matches(['[', '(']).trim_end_matches([']', ')']);
    let all: Option<Vec<f32>> = inner.split(',').map(|part| part.trim().parse().ok()).collect();
    all.filter(|all| all.iter().all(|own| own.is_finite())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(all: &[(&str, &str)]) -> Vec<Entry> {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_dialect_is_read() {
        assert!(recipes(&[]).is_empty());
        let yolo =
            entries(&[("author", "Ultralytics"), ("task", "classify"), ("imgsz", "[224, 192]")]);
        let [(source, recipe)] = &recipes(&yolo)[..] else { panic!("one recipe") };
        assert_eq!(source, "the model's metadata (Ultralytics)");
        let text = recipe.preprocess([3, 224, 192]).unwrap().to_string();
        assert_eq!(
            text,
            "resize 224x192, centre crop 224x192, mean [0.0, 0.0, 0.0], std [1.0, 1.0, 1.0]"
        );
        let own = entries(&[("mean", "[123.0, 116.0, 103.0]"), ("std", "(58, 57, 57)")]);
        assert_eq!(recipes(&own)[0].1.divisor, Some(1.0));
        let timm = entries(&[(
            "pretrained_cfg",
            r#"{"input_size": [3, 64, 64], "crop_pct": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1]}"#,
        )]);
        assert_eq!(recipes(&timm)[0].1.size, Some((64, 64)));
        for text in ["", "[a]", "[1,]", "inf"] {
            assert_eq!(numbers(text), Vec::<f32>::new(), "{text}");
        }
    }
}
