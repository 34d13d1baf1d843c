//! The search for the preprocessing of a model.

use attriburn_onnx::{Layout, ValueInfo};
use attriburn_picture::{Channels, Preset, Recipe};
use serde_json::json;

use super::files::{fits_size, recipes_beside};
use super::metadata;
use super::options::{named_recipe, recipe_from_options};
use super::parts::{FoundPreprocess, GUESS, PreprocessPart, Sources, parts_of};
use super::properties::ModelProperties;
use super::value_range::{range_before, values_only};
use crate::args::PreprocessArgs;

/// The guessed height and width of a free input size: that of most ImageNet models.
const DEFAULT_SIDE: usize = 224;

/// Finds the preprocessing of a model. Each part comes from the first of these sources that has it:
///
/// 1. the options, part by part;
/// 2. `--preprocess`;
/// 3. the model's metadata;
/// 4. files beside the model;
/// 5. the range of values that the input type or the first nodes reveal;
/// 6. a guess.
///
/// # Errors
///
/// When the model's samples are not images, or the preprocessing does not fit the model.
pub fn find(args: &PreprocessArgs, model: &ModelProperties) -> Result<FoundPreprocess, String> {
    let &[channels @ (1 | 3), height, width] = model.shape else {
        return Err(format!(
            "the model takes samples of shape {:?}, not images of 1 or 3 channels; give .npy files, or the image shape of flat samples with --picture-shape",
            model.shape
        ));
    };
    let mut sources = explicit_sources(args, model, Some((height, width)))?;
    if model.integers {
        sources.push(("the model's integer input".into(), values_only(Preset::Raw255)));
    } else if let Some(range) = model.scaling.and_then(range_before) {
        sources.push(("the model's first nodes".into(), values_only(range)));
    }
    let default = match (model.path, channels) {
        (None, _) => ("the built-in model".to_owned(), Preset::ImageNet.recipe()),
        (_, 1) => (GUESS.to_owned(), Preset::Unit.recipe()),
        (_, _) if model.integers => (GUESS.to_owned(), Preset::Raw255.recipe()),
        _ => (GUESS.to_owned(), Preset::ImageNet.recipe()),
    };
    let has_mean = |(_, recipe): &(String, Recipe)| recipe.mean.is_some();
    if sources[0].1.divisor.is_some() && !sources.iter().any(has_mean) {
        // With a divisor from the options, a guessed mean could be one of another range.
        let identity = Recipe { mean: Some(vec![0.0]), std: Some(vec![1.0]), ..Recipe::default() };
        sources.push(("--scale".into(), identity));
    }
    sources.push(default);
    let channel_order = sources.iter().find_map(|(_, recipe)| recipe.channels);
    for (_, recipe) in &mut sources[1..] {
        if channel_order == Some(Channels::Bgr) && recipe.channels != Some(Channels::Bgr) {
            // The statistics of this source are in the order red, green, blue.
            recipe.mean.iter_mut().chain(&mut recipe.std).for_each(|numbers| numbers.reverse());
        }
    }
    let recipe =
        sources.iter().fold(Recipe::default(), |merged, (_, recipe)| merged.or(recipe.clone()));
    let preprocess =
        recipe.preprocess([channels, height, width]).map_err(|error| error.to_string())?;
    if model.integers && !yields_integers(&recipe) {
        return Err(format!(
            "the preprocessing yields fractions ({preprocess}), but the model takes integers; choose --preprocess raw255"
        ));
    }
    let mut parts = parts_of(&recipe, &sources);
    parts.extend(size_part(model, height, width));
    parts.extend(layout_part(args, model));
    Ok(FoundPreprocess { preprocess, parts })
}

/// Returns the input size as a part, if the model's file leaves the size free.
fn size_part(model: &ModelProperties, height: usize, width: usize) -> Option<PreprocessPart> {
    let source = model.size_source?.to_owned();
    Some(PreprocessPart { name: "size", value: json!([height, width]), source })
}

/// Returns the layout as a part, if an option or the model's shape decides it.
fn layout_part(args: &PreprocessArgs, model: &ModelProperties) -> Option<PreprocessPart> {
    let source = match (args.layout, model.channels_last) {
        (Some(_), _) => "--layout",
        (None, true) => "the model's shape",
        (None, false) => return None,
    };
    let layout = if model.channels_last { "nhwc" } else { "nchw" };
    Some(PreprocessPart { name: "layout", value: json!(layout), source: source.to_owned() })
}

/// Determines the sample shape of a model that leaves axes free. Returns the shape in the file's layout, and
/// the source of the size.
///
/// # Errors
///
/// When the input is not an image, or an option is invalid.
pub fn resolve_free_shape(
    args: &PreprocessArgs,
    model: &ModelProperties,
    input: &ValueInfo,
) -> Result<(Vec<usize>, String), String> {
    let axes = input.shape.get(1..).unwrap_or_default();
    if axes.len() != 3 {
        return Err(format!(
            "the input {input} leaves its size free; give it with --input-shape, for example 3,224,224"
        ));
    }
    // 0 stands for a free size: it is no number of channels.
    let known_sizes: Vec<usize> = axes.iter().map(|axis| *axis.as_ref().unwrap_or(&0)).collect();
    let channels_last = args.layout.unwrap_or(Layout::ChannelsFirst).transposes(&known_sizes);
    let sources = explicit_sources(args, model, None)?;
    let sized = sources.iter().find_map(|(source, recipe)| Some((source, recipe.input_size()?)));
    let ((height, width), source) = match sized {
        Some((source, size)) => (size, source.clone()),
        None => ((DEFAULT_SIDE, DEFAULT_SIDE), GUESS.to_owned()),
    };
    let mut sizes = vec![3, height, width];
    if channels_last {
        sizes.rotate_left(1);
    }
    let shape = axes.iter().zip(sizes).map(|(axis, size)| axis.as_ref().map_or(size, |size| *size));
    Ok((shape.collect(), source))
}

/// Collects the recipes of the options, the model's metadata and the files beside the model. Recipes for
/// another input `size` are left out.
fn explicit_sources(
    args: &PreprocessArgs,
    model: &ModelProperties,
    size: Option<(usize, usize)>,
) -> Result<Sources, String> {
    let mut sources: Sources = vec![("the options".into(), recipe_from_options(args)?)];
    if let Some(name) = &args.preprocess {
        sources.push((format!("--preprocess {name}"), named_recipe(name)?));
    }
    let recipes = metadata::recipes(model.metadata).into_iter();
    sources.extend(recipes.filter(|(source, recipe)| fits_size(recipe, size, source)));
    sources.extend(recipes_beside(model.path, size));
    Ok(sources)
}

/// Returns whether the recipe keeps bytes as they are.
fn yields_integers(recipe: &Recipe) -> bool {
    let all_equal = |numbers: &Option<Vec<f32>>, expected: f32| {
        numbers.as_ref().is_none_or(|numbers| numbers.iter().all(|&number| number == expected))
    };
    recipe.divisor == Some(1.0) && all_equal(&recipe.mean, 0.0) && all_equal(&recipe.std, 1.0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use attriburn_picture::Preprocess;

    use super::*;

    fn model<'a>(shape: &'a [usize], path: Option<&'a Path>) -> ModelProperties<'a> {
        ModelProperties { shape, path, ..ModelProperties::default() }
    }

    fn source<'a>(found: &'a FoundPreprocess, part: &str) -> &'a str {
        found.by_name().get(part).map_or("", |part| &part.source)
    }

    #[test]
    fn sources_are_searched_in_order_of_precedence() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.onnx");
        let shape = [3, 32, 32];
        let args = PreprocessArgs::default();
        let guessed = find(&args, &model(&shape, Some(&file))).unwrap();
        assert_eq!(guessed.preprocess, Preprocess::imagenet(32, 32).unwrap());
        assert!(guessed.parts.iter().all(|part| part.source == GUESS));

        let config = folder.path().join("preprocessor_config.json");
        let text = r#"{"size": {"height": 32, "width": 32}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 3}"#;
        std::fs::write(&config, text).unwrap();
        let found = find(&args, &model(&shape, Some(&file))).unwrap();
        let expected =
            "resize 32x32 bicubic, centre crop 32x32, mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5]";
        assert_eq!(found.preprocess.to_string(), expected);
        assert_eq!(source(&found, "mean"), config.display().to_string());

        let metadata = [("Image.NominalPixelRange".to_owned(), "NominalRange_0_255".to_owned())];
        let properties = ModelProperties { metadata: &metadata, ..model(&shape, Some(&file)) };
        let found = find(&args, &properties).unwrap();
        assert_eq!(source(&found, "scale"), "the model's metadata");
        assert_eq!(found.preprocess.domain(), (vec![0.0; 3], vec![255.0; 3]));

        let args = PreprocessArgs {
            preprocess: Some("clip".into()),
            mean: Some(vec![123.0, 116.0, 103.0]),
            std: Some(vec![58.0]),
            ..PreprocessArgs::default()
        };
        let found = find(&args, &properties).unwrap();
        assert_eq!(
            (source(&found, "mean"), source(&found, "interpolation")),
            ("--mean", "--preprocess clip")
        );
        assert_eq!(source(&found, "scale"), "--scale");
        assert_eq!(found.preprocess.domain().0[0], -123.0 / 58.0);
    }

    #[test]
    fn ultralytics_metadata_sets_the_resize() {
        let yolo = |size: &str| {
            [("author", "Ultralytics"), ("task", "classify"), ("imgsz", size)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        };
        let text = |size: &str, shape: &[usize]| {
            let metadata = yolo(size);
            let properties = ModelProperties {
                metadata: &metadata,
                ..model(shape, Some(Path::new("yolo.onnx")))
            };
            find(&PreprocessArgs::default(), &properties).unwrap().preprocess.to_string()
        };
        let values = "mean [0.0, 0.0, 0.0], std [1.0, 1.0, 1.0]";
        let expected = format!("resize 64, centre crop 64x64, {values}");
        assert_eq!(text("[64, 64]", &[3, 64, 64]), expected);
        let expected = format!("resize 64x96, centre crop 64x96, {values}");
        assert_eq!(text("[64, 96]", &[3, 64, 96]), expected);
        // Metadata for another size is ignored, so the mean is guessed.
        assert!(text("[32, 32]", &[3, 64, 64]).contains("0.485"));
    }

    #[test]
    fn statistics_follow_the_channel_order_and_the_scale() {
        let shape = [3, 32, 32];
        let found = |args: PreprocessArgs| {
            let properties = model(&shape, Some(Path::new("model.onnx")));
            find(&args, &properties).unwrap().preprocess.to_string()
        };
        let bgr = PreprocessArgs { channels: Some(Channels::Bgr), ..PreprocessArgs::default() };
        assert!(found(bgr.clone()).contains("channels bgr, mean [0.406, 0.456, 0.485]"));
        let statistics = (Some(vec![0.1, 0.2, 0.3]), Some(vec![1.0]));
        assert!(
            found(PreprocessArgs { mean: statistics.0, std: statistics.1, ..bgr })
                .contains("[0.1, 0.2, 0.3]")
        );
        let none = PreprocessArgs { scale: Some("none".into()), ..PreprocessArgs::default() };
        assert!(found(none).contains("values from 0 to 255, mean [0.0, 0.0, 0.0], std [1.0"));
    }

    #[test]
    fn a_file_for_another_size_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("onnx");
        std::fs::create_dir(&inner).unwrap();
        let file = inner.join("model.onnx");
        let config = r#"{"pretrained_cfg": {"input_size": [3, 64, 64], "crop_pct": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1]}}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let args = PreprocessArgs::default();
        let mean = |shape: &[usize]| {
            let found = find(&args, &model(shape, Some(&file))).unwrap();
            source(&found, "mean").to_owned()
        };
        assert_eq!(mean(&[3, 32, 32]), GUESS);
        assert!(mean(&[3, 64, 64]).ends_with("config.json"));
    }

    #[test]
    fn integer_inputs_keep_bytes() {
        let shape = [3, 32, 32];
        let properties =
            ModelProperties { integers: true, ..model(&shape, Some(Path::new("model.onnx"))) };
        let found = find(&PreprocessArgs::default(), &properties).unwrap();
        assert_eq!(found.preprocess, Preprocess::raw255(3, 32, 32).unwrap());
        assert_eq!(source(&found, "scale"), "the model's integer input");
        let args = PreprocessArgs { preprocess: Some("unit".into()), ..PreprocessArgs::default() };
        assert!(find(&args, &properties).unwrap_err().contains("yields fractions"));
    }
}
