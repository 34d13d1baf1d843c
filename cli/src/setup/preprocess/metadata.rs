//! The preprocessing in a model's metadata.

use attriburn_picture::{
    Channels, Interpolation, Preset, Recipe, ResizeMode, ResizeSize, recipe_from_config,
};

use super::value_range::{divisor_for, values_only};

/// The key and value of a metadata entry.
type Entry = (String, String);

/// Keys whose value may be a whole configuration file of another library.
const FILE_KEYS: [&str; 4] =
    ["preprocessor_config.json", "preprocessor_config", "pretrained_cfg", "config.json"];

/// Returns the recipes in the metadata with their sources: configuration files of other libraries, the
/// entries of ONNX's `MetadataProps.md`, the entries of Ultralytics' exports, and a `mean` and `std`.
pub fn recipes(metadata: &[Entry]) -> Vec<(String, Recipe)> {
    let source = |key: &str| match key {
        "" => "the model's metadata".to_owned(),
        key => format!("the model's metadata ({key})"),
    };
    let file = |key: &&str| Some((source(key), recipe_from_config(value(metadata, key)?).ok()??));
    let files = FILE_KEYS.iter().filter_map(file);
    let others = [
        ("", onnx_image_recipe(metadata)),
        ("Ultralytics", ultralytics_recipe(metadata)),
        ("mean, std", mean_and_std_recipe(metadata)),
    ];
    let others = others.into_iter().filter(|(_, recipe)| *recipe != Recipe::default());
    files.chain(others.map(|(key, recipe)| (source(key), recipe))).collect()
}

fn value<'m>(metadata: &'m [Entry], key: &str) -> Option<&'m str> {
    metadata.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
}

/// Reads the image entries of ONNX's `MetadataProps.md`.
fn onnx_image_recipe(metadata: &[Entry]) -> Recipe {
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

/// Reads the entries of an Ultralytics export. A classifier resizes the shorter side to the input size and
/// crops the centre; if the size is not square, it resizes both sides. Values are from 0 to 1
/// (`classify_transforms` in `ultralytics/data/augment.py`).
fn ultralytics_recipe(metadata: &[Entry]) -> Recipe {
    if value(metadata, "author") != Some("Ultralytics") {
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
                true => ResizeMode::Shortest,
                false => ResizeMode::Squash,
            }),
            resize: size.map(|(height, width)| ResizeSize::HeightWidth(height, width)),
            interpolation: Some(Interpolation::Bilinear),
            ..values_only(Preset::Unit)
        },
        // Other tasks pad with a grey that a recipe cannot express. Their values have the same range.
        _ => Recipe { size, ..values_only(Preset::Unit) },
    }
}

/// Reads the entries `mean` and `std`, which are statistics of bytes or of values from 0 to 1.
fn mean_and_std_recipe(metadata: &[Entry]) -> Recipe {
    let find = |key: &str| {
        value(metadata, key).map(numbers).filter(|numbers| matches!(numbers.len(), 1 | 3))
    };
    let (Some(mean), Some(std)) = (find("mean"), find("std")) else {
        return Recipe::default();
    };
    let divisor = divisor_for(mean.iter().chain(&std));
    Recipe { divisor: Some(divisor), mean: Some(mean), std: Some(std), ..Recipe::default() }
}

/// Parses a list such as `[224, 224]`. Returns an empty list if an element is not a finite number.
fn numbers(text: &str) -> Vec<f32> {
    let inner = text.trim().trim_start_matches(['[', '(']).trim_end_matches([']', ')']);
    let numbers: Option<Vec<f32>> = inner.split(',').map(|part| part.trim().parse().ok()).collect();
    numbers.filter(|numbers| numbers.iter().all(|number| number.is_finite())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Vec<Entry> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn recipes_reads_every_kind_of_entry() {
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
        let bytes = entries(&[("mean", "[123.0, 116.0, 103.0]"), ("std", "(58, 57, 57)")]);
        assert_eq!(recipes(&bytes)[0].1.divisor, Some(1.0));
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
