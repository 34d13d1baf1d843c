//! How pictures become inputs: what the options say, then the model, then files beside it, and where none
//! does, a guess that is said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Once;

use attriburn::picture::{
    Channels, Mode, Preprocess, Preset, Recipe, Side, recipe_of, torchvision, torchvision_weights,
};
use attriburn_onnx::{Layout, OnnxModel, Scaling, ValueInfo};

use serde::Serialize;
use serde_json::{Value, json};

use crate::args::PreprocessArgs;
use crate::metadata;
use crate::nearest::nearest;

/// Files beside a model that say how its pictures are prepared.
const BESIDE: [&str; 2] = ["preprocessor_config.json", "config.json"];

/// A mean or deviation above this is one of bytes, which are then not divided.
pub const LARGEST_OF_UNIT: f32 = 3.0;

/// A preprocessing, and where each part of it comes from.
#[derive(Clone, Debug)]
pub struct Found {
    pub preprocess: Preprocess,
    pub parts: Vec<Part>,
}

/// A part of a preprocessing.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    #[serde(skip)]
    pub name: &'static str,
    pub value: Value,
    pub source: String,
}

/// What is known of the model whose pictures are prepared.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    /// Channels, height and width, or another shape where its samples are no pictures.
    pub shape: &'a [usize],
    /// Whether it takes integers.
    pub integers: bool,
    /// The file; none for the built-in model.
    pub path: Option<&'a Path>,
    /// What the file says of itself.
    pub metadata: &'a [(String, String)],
    /// What its first nodes do to the input.
    pub scaling: Option<&'a Scaling>,
    /// Where the size comes from, where the file leaves it free.
    pub size: Option<&'a str>,
    /// Whether the file has the channels last.
    pub channels_last: bool,
}

impl<'a> Known<'a> {
    /// What is known of a `model` from the file `path` whose pictures have the `shape`.
    pub fn of(model: &'a OnnxModel, shape: &'a [usize], path: Option<&'a Path>) -> Self {
        let summary = model.summary();
        let integers = summary.inputs[0].is_integer();
        let (metadata, scaling) = (&summary.metadata[..], model.scaling());
        let channels_last = model.is_transposed();
        Self { shape, integers, path, metadata, scaling, size: None, channels_last }
    }
}

/// The parts of a recipe by name, and the value of each where it is there.
type PartOf = (&'static str, fn(&Recipe) -> Option<Value>);

const PARTS: [PartOf; 6] = [
    ("resize", |recipe| recipe.mode.map(|mode| json!(resize(mode, recipe.resize)))),
    ("interpolation", |recipe| recipe.interpolation.map(|own| json!(own.name()))),
    ("channels", |recipe| recipe.channels.map(|own| json!(own.name()))),
    ("scale", |recipe| recipe.divisor.map(|own| json!(decimal(own)))),
    ("mean", |recipe| recipe.mean.as_deref().map(decimals)),
    ("std", |recipe| recipe.std.as_deref().map(decimals)),
];

/// The number as it was written: the shortest decimal that means it.
fn decimal(own: f32) -> f64 {
    own.to_string().parse().unwrap_or(own.into())
}

fn decimals(all: &[f32]) -> Value {
    all.iter().map(|&own| decimal(own)).collect()
}

/// How the shape of a picture changes, in words.
fn resize(mode: Mode, side: Option<Side>) -> String {
    let name = mode.name();
    match side {
        None => name.to_owned(),
        Some(Side::Pixels(side)) => format!("{name} {side}"),
        Some(Side::Size(height, width)) => format!("{name} {height}x{width}"),
        Some(Side::Share(share)) => format!("{name}, of which {share} is cropped"),
        Some(Side::Usual) => format!("{name}, 256/224 of the crop"),
    }
}

/// What a guess is called.
const GUESS: &str = "a guess";

/// The size of a side where nothing says it: that of ImageNet's models.
const USUAL_SIDE: usize = 224;

/// Recipes with their sources, those that hold first.
type Sources = Vec<(String, Recipe)>;

/// Finds the preprocessing.
///
/// # Errors
///
/// When the model takes no pictures, or what was found does not fit it.
pub fn find(args: &PreprocessArgs, known: &Known) -> Result<Found, String> {
    let &[channels @ (1 | 3), height, width] = known.shape else {
        return Err(format!(
            "the model takes samples of {:?}, not pictures of 1 or 3 channels; give it .npy files, or say with --picture-shape what pictures are read as",
            known.shape
        ));
    };
    let mut sources = said(args, known, Some((height, width)))?;
    if known.integers {
        sources.push(("the model's integer input".into(), values_alone(Preset::Raw255)));
    } else if let Some(range) = known.scaling.and_then(range_before) {
        sources.push(("the model's first nodes".into(), values_alone(range)));
    }
    let usual = match (known.path, channels) {
        (None, _) => ("the built-in model".to_owned(), Preset::ImageNet.recipe()),
        (_, 1) => (GUESS.to_owned(), Preset::Unit.recipe()),
        (_, _) if known.integers => (GUESS.to_owned(), Preset::Raw255.recipe()),
        _ => (GUESS.to_owned(), Preset::ImageNet.recipe()),
    };
    let says_mean = |(_, own): &(String, Recipe)| own.mean.is_some();
    if sources[0].1.divisor.is_some() && !sources.iter().any(says_mean) {
        // A guess would be of values in another range.
        let plain = Recipe { mean: Some(vec![0.0]), std: Some(vec![1.0]), ..Recipe::default() };
        sources.push(("--scale".into(), plain));
    }
    sources.push(usual);
    let channel_order = sources.iter().find_map(|(_, own)| own.channels);
    for (_, own) in &mut sources[1..] {
        if channel_order == Some(Channels::Bgr) && own.channels != Some(Channels::Bgr) {
            // What it says of the channels is in the order red, green, blue.
            own.mean.iter_mut().chain(&mut own.std).for_each(|numbers| numbers.reverse());
        }
    }
    let recipe = sources.iter().fold(Recipe::default(), |all, (_, own)| all.or(own.clone()));
    let preprocess =
        recipe.preprocess([channels, height, width]).map_err(|error| error.to_string())?;
    if known.integers && !makes_integers(&recipe) {
        return Err(format!(
            "the preprocessing makes fractions ({preprocess}), but the model takes integers; choose --preprocess raw255"
        ));
    }
    let mut parts = parts_of(&recipe, &sources);
    let size = json!([height, width]);
    let from = |source: &str| Part { name: "size", value: size, source: source.to_owned() };
    parts.extend(known.size.map(from));
    let layout = match (args.layout, known.channels_last) {
        (Some(_), _) => Some("--layout"),
        (None, true) => Some("the model's shape"),
        (None, false) => None,
    };
    let name = json!(if known.channels_last { "nhwc" } else { "nchw" });
    parts.extend(layout.map(|own| Part { name: "layout", value: name, source: own.to_owned() }));
    Ok(Found { preprocess, parts })
}

/// The shape of a sample of a model that leaves it free, in the file's order, and where the size comes from.
///
/// # Errors
///
/// When the input is no picture, or an option is wrong.
pub fn free_shape(
    args: &PreprocessArgs,
    known: &Known,
    input: &ValueInfo,
) -> Result<(Vec<usize>, String), String> {
    let axes = input.shape.get(1..).unwrap_or_default();
    if axes.len() != 3 {
        return Err(format!(
            "the input {input} leaves its size free; give it with --input-shape, for example 3,224,224"
        ));
    }
    // A size that is free is no number of channels.
    let known_sizes: Vec<usize> = axes.iter().map(|axis| *axis.as_ref().unwrap_or(&0)).collect();
    let is_last = args.layout.unwrap_or(Layout::ChannelsFirst).transposes(&known_sizes);
    let sources = said(args, known, None)?;
    let sized = sources.iter().find_map(|(source, own)| Some((source, own.input_size()?)));
    let ((height, width), source) = match sized {
        Some((source, size)) => (size, source.clone()),
        None => ((USUAL_SIDE, USUAL_SIDE), GUESS.to_owned()),
    };
    let mut sizes = vec![3, height, width];
    if is_last {
        sizes.rotate_left(1);
    }
    let shape = axes.iter().zip(sizes).map(|(axis, size)| axis.as_ref().map_or(size, |own| *own));
    Ok((shape.collect(), source))
}

/// What the options, the model's metadata and the files beside it say. Files for another `size` are left out.
fn said(
    args: &PreprocessArgs,
    known: &Known,
    size: Option<(usize, usize)>,
) -> Result<Sources, String> {
    let mut sources: Sources = vec![("the options".into(), options(args)?)];
    if let Some(name) = &args.preprocess {
        sources.push((format!("--preprocess {name}"), asked(name)?));
    }
    let own = metadata::recipes(known.metadata).into_iter();
    sources.extend(own.filter(|(source, recipe)| is_for(recipe, size, source)));
    sources.extend(beside(known, size));
    Ok(sources)
}

/// A preset's range of values without its geometry.
pub fn values_alone(preset: Preset) -> Recipe {
    Recipe { mode: None, resize: None, interpolation: None, ..preset.recipe() }
}

/// The range of values before a model that scales them itself: behind such nodes they lie a few units around
/// zero. Values from 0 to 255 are told by a scale of hundredths or by a mean that only they have; values from 0 to
/// 1 by a range that has zero well inside it, for which they were shifted. None where neither is sure.
fn range_before(scaling: &Scaling) -> Option<Preset> {
    let all = |test: &dyn Fn(f64, f64) -> bool| {
        scaling.scale.iter().zip(&scaling.shift).all(|(&scale, &shift)| test(scale, shift))
    };
    let is_usual = |range: f64| (0.5..=12.0).contains(&range);
    let is_scaled_down = all(&|scale, _| is_usual(255.0 * scale));
    let has_mean_of_bytes = all(&|scale, shift| scale > 0.0 && scale <= 2.0 && -shift > 12.0);
    // Between a fifth and four fifths of the range.
    let is_centred =
        all(&|scale, shift| is_usual(scale) && (0.2..=0.8).contains(&(-shift / scale)));
    match () {
        () if is_scaled_down || has_mean_of_bytes => Some(Preset::Raw255),
        () if is_centred => Some(Preset::Unit),
        () => None,
    }
}

impl Found {
    /// The parts by their names.
    pub fn by_name(&self) -> BTreeMap<&'static str, &Part> {
        self.parts.iter().map(|part| (part.name, part)).collect()
    }

    /// The parts that were guessed.
    fn guessed(&self) -> Vec<&'static str> {
        self.parts.iter().filter(|part| part.source == GUESS).map(|part| part.name).collect()
    }

    /// Warns once of what was guessed.
    pub fn warn(&self) {
        static SAID: Once = Once::new();
        let parts = match self.guessed()[..] {
            [] => return,
            [one] => format!("its {one} is"),
            [ref first @ .., last] => format!("its {} and {last} are", first.join(", ")),
        };
        SAID.call_once(|| {
            log::warn!(
                "the model does not say how pictures become inputs: {parts} guessed ({}); if it was trained with another preprocessing, give it with --preprocess NAME or FILE, or part by part (--mean, --std, --resize and so on)",
                self.preprocess
            );
        });
    }
}

/// The parts of the whole `recipe`, each with the first source that has it.
fn parts_of(recipe: &Recipe, sources: &[(String, Recipe)]) -> Vec<Part> {
    let option = |name: &str| match name {
        "resize" => "--resize, --resize-mode or --crop-pct".to_owned(),
        name => format!("--{name}"),
    };
    let part = |&(name, value): &PartOf| {
        let of_source = |(_, (_, own)): &(usize, &(String, Recipe))| value(own).is_some();
        let (at, (source, _)) = sources.iter().enumerate().find(of_source)?;
        let source = if at == 0 { option(name) } else { source.clone() };
        Some(Part { name, value: value(recipe)?, source })
    };
    PARTS.iter().filter_map(part).collect()
}

fn makes_integers(recipe: &Recipe) -> bool {
    let all = |numbers: &Option<Vec<f32>>, one: f32| {
        numbers.as_ref().is_none_or(|numbers| numbers.iter().all(|&number| number == one))
    };
    recipe.divisor == Some(1.0) && all(&recipe.mean, 0.0) && all(&recipe.std, 1.0)
}

/// What the options say, part by part.
fn options(args: &PreprocessArgs) -> Result<Recipe, String> {
    let divisor = match (&args.scale, &args.mean) {
        (Some(text), _) => Some(divisor(text)?),
        (None, Some(mean)) => {
            let all = mean.iter().chain(args.std.iter().flatten());
            Some(if all.fold(0.0, |a: f32, b| a.max(b.abs())) > LARGEST_OF_UNIT {
                1.0
            } else {
                255.0
            })
        }
        (None, None) => None,
    };
    let resize = match (args.resize.as_deref(), args.crop_pct) {
        (Some(&[side]), _) => Some(Side::Pixels(side)),
        (Some(&[height, width]), _) => Some(Side::Size(height, width)),
        (Some(_), _) => return Err("--resize: write one size, or a height and a width".into()),
        (None, Some(share)) if share > 0.0 && share <= 1.0 => Some(Side::Share(share)),
        (None, Some(share)) => {
            return Err(format!("--crop-pct is {share}, and it must be above 0 and at most 1"));
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
        // A size alone is that of the usual way.
        mode: args.resize_mode.or(resize.map(|_| Mode::Shortest)),
        resize,
        interpolation: args.interpolation,
        channels: args.channels,
        divisor,
        mean: args.mean.clone(),
        std: args.std.clone(),
        ..Recipe::default()
    })
}

/// What bytes are divided by: `255`, `1/255`, or `none`.
fn divisor(text: &str) -> Result<f32, String> {
    let number = |text: &str| text.trim().parse::<f32>().ok().filter(|number| *number > 0.0);
    let divisor = match text.split_once('/') {
        _ if text == "none" => Some(1.0),
        Some((one, divisor)) => {
            number(one).zip(number(divisor)).map(|(one, divisor)| divisor / one)
        }
        None => number(text).map(|number| if number < 1.0 { 1.0 / number } else { number }),
    };
    divisor.ok_or_else(|| {
        format!("--scale {text:?}: write what bytes are divided by, such as 255 or 127.5, or none")
    })
}

/// A preset, or a file as other libraries write it.
fn asked(name: &str) -> Result<Recipe, String> {
    if let Some(preset) = Preset::named(name) {
        return Ok(preset.recipe());
    }
    if let Some(recipe) = torchvision(name) {
        return Ok(recipe);
    }
    let names: Vec<&str> = Preset::ALL.iter().map(|(_, name)| *name).collect();
    let path = Path::new(name);
    if !path.is_file() {
        let weights = nearest(&name.to_lowercase(), torchvision_weights());
        return Err(format!(
            "--preprocess {name:?} does not exist; choose one of {}, a file such as preprocessor_config.json, or torchvision's name of weights such as {}",
            names.join(", "),
            weights.first().map_or("", String::as_str)
        ));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("--preprocess {name} cannot be read: {error}"))?;
    match recipe_of(&text) {
        Ok(Some(recipe)) => Ok(recipe),
        Ok(None) => Err(format!(
            "--preprocess {name}: it says nothing of pictures; a preprocessor_config.json of Hugging Face or a config.json of timm does"
        )),
        Err(reason) => Err(format!("--preprocess {name}: {reason}")),
    }
}

/// Whether a recipe is for inputs of a size; one for another is warned of.
fn is_for(recipe: &Recipe, size: Option<(usize, usize)>, source: &str) -> bool {
    match recipe.size.zip(size) {
        Some((own, size)) if own != size => {
            log::warn!(
                "{source} is not used: it is for inputs of {}x{}, but the model takes {}x{}",
                own.0,
                own.1,
                size.0,
                size.1
            );
            false
        }
        _ => true,
    }
}

/// What files beside the model say, or around its folder where that is called `onnx`. One that is not
/// understood, or is of another size, is warned of and left out.
fn beside(known: &Known, size: Option<(usize, usize)>) -> Sources {
    let Some(folder) = known.path.map(|path| path.parent().unwrap_or(Path::new(""))) else {
        return Vec::new();
    };
    let around = folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == "onnx"));
    let files = [Some(folder), around].into_iter().flatten();
    let files = files.flat_map(|folder| BESIDE.map(|name| folder.join(name)));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).ok()?;
        let problem = match recipe_of(&text) {
            Ok(Some(recipe)) => {
                let name = path.display().to_string();
                return is_for(&recipe, size, &name).then_some((name, recipe));
            }
            Ok(None) => return None,
            Err(reason) => reason,
        };
        log::warn!("{} is not used: {problem}", path.display());
        None
    };
    files.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known<'a>(shape: &'a [usize], path: Option<&'a Path>) -> Known<'a> {
        Known { shape, path, ..Known::default() }
    }

    fn source<'a>(found: &'a Found, part: &str) -> &'a str {
        found.by_name().get(part).map_or("", |part| &part.source)
    }

    #[test]
    fn options_come_first_and_a_guess_last() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.onnx");
        let shape = [3, 32, 32];
        let args = PreprocessArgs::default();
        let guessed = find(&args, &known(&shape, Some(&model))).unwrap();
        assert_eq!(guessed.preprocess, Preprocess::imagenet(32, 32).unwrap());
        assert!(guessed.parts.iter().all(|part| part.source == GUESS));

        let config = folder.path().join("preprocessor_config.json");
        let text = r#"{"size": {"height": 32, "width": 32}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 3}"#;
        std::fs::write(&config, text).unwrap();
        let found = find(&args, &known(&shape, Some(&model))).unwrap();
        let expected =
            "resize 32x32 bicubic, centre crop 32x32, mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5]";
        assert_eq!(found.preprocess.to_string(), expected);
        assert_eq!(source(&found, "mean"), config.display().to_string());

        let metadata = [("Image.NominalPixelRange".to_owned(), "NominalRange_0_255".to_owned())];
        let own = Known { metadata: &metadata, ..known(&shape, Some(&model)) };
        let found = find(&args, &own).unwrap();
        assert_eq!(source(&found, "scale"), "the model's metadata");
        assert_eq!(found.preprocess.domain(), (vec![0.0; 3], vec![255.0; 3]));

        let args = PreprocessArgs {
            preprocess: Some("clip".into()),
            mean: Some(vec![123.0, 116.0, 103.0]),
            std: Some(vec![58.0]),
            ..PreprocessArgs::default()
        };
        let found = find(&args, &own).unwrap();
        assert_eq!(
            (source(&found, "mean"), source(&found, "interpolation")),
            ("--mean", "--preprocess clip")
        );
        assert_eq!(source(&found, "scale"), "--scale");
        assert_eq!(found.preprocess.domain().0[0], -123.0 / 58.0);
    }

    #[test]
    fn metadata_says_the_whole_geometry() {
        let yolo = |size: &str| {
            [("author", "Ultralytics"), ("task", "classify"), ("imgsz", size)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        };
        let text = |size: &str, shape: &[usize]| {
            let metadata = yolo(size);
            let own = Known { metadata: &metadata, ..known(shape, Some(Path::new("yolo.onnx"))) };
            find(&PreprocessArgs::default(), &own).unwrap().preprocess.to_string()
        };
        let values = "mean [0.0, 0.0, 0.0], std [1.0, 1.0, 1.0]";
        let expected = format!("resize 64, centre crop 64x64, {values}");
        assert_eq!(text("[64, 64]", &[3, 64, 64]), expected);
        let expected = format!("resize 64x96, centre crop 64x96, {values}");
        assert_eq!(text("[64, 96]", &[3, 64, 96]), expected);
        // Of another size it is left out, and what is left is guessed.
        assert!(text("[32, 32]", &[3, 64, 64]).contains("0.485"));
    }

    #[test]
    fn a_range_is_told_only_where_it_is_sure() {
        let of = |scale: f64, shift: f64| {
            range_before(&Scaling { scale: vec![scale; 3], shift: vec![shift; 3] })
        };
        for (scale, shift) in
            [(1.0 / 255.0, 0.0), (1.0 / 127.5, -1.0), (1.0 / 58.0, -2.1), (1.0, -116.0)]
        {
            assert_eq!(of(scale, shift), Some(Preset::Raw255), "{scale} {shift}");
        }
        for (scale, shift) in [(2.0, -1.0), (1.0 / 0.229, -0.485 / 0.229), (1.0, -0.5)] {
            assert_eq!(of(scale, shift), Some(Preset::Unit), "{scale} {shift}");
        }
        // Nothing is done, or values around zero are moved.
        for (scale, shift) in
            [(1.0, 0.0), (0.95, 0.01), (0.5, 0.5), (2.18, 0.07), (-1.0, 0.0), (0.0, 0.0)]
        {
            assert_eq!(of(scale, shift), None, "{scale} {shift}");
        }
    }

    #[test]
    fn what_goes_together_stays_together() {
        let shape = [3, 32, 32];
        let found = |args: PreprocessArgs| {
            let own = known(&shape, Some(Path::new("model.onnx")));
            find(&args, &own).unwrap().preprocess.to_string()
        };
        let bgr = PreprocessArgs { channels: Some(Channels::Bgr), ..PreprocessArgs::default() };
        assert!(found(bgr.clone()).contains("channels bgr, mean [0.406, 0.456, 0.485]"));
        let typed = (Some(vec![0.1, 0.2, 0.3]), Some(vec![1.0]));
        assert!(
            found(PreprocessArgs { mean: typed.0, std: typed.1, ..bgr })
                .contains("[0.1, 0.2, 0.3]")
        );
        let none = PreprocessArgs { scale: Some("none".into()), ..PreprocessArgs::default() };
        assert!(found(none).contains("values from 0 to 255, mean [0.0, 0.0, 0.0], std [1.0"));
    }

    #[test]
    fn a_file_of_another_size_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("onnx");
        std::fs::create_dir(&inner).unwrap();
        let model = inner.join("model.onnx");
        let config = r#"{"pretrained_cfg": {"input_size": [3, 64, 64], "crop_pct": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1]}}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let args = PreprocessArgs::default();
        let mean = |shape: &[usize]| {
            let found = find(&args, &known(shape, Some(&model))).unwrap();
            source(&found, "mean").to_owned()
        };
        assert_eq!(mean(&[3, 32, 32]), GUESS);
        assert!(mean(&[3, 64, 64]).ends_with("config.json"));
    }

    #[test]
    fn scales_are_read() {
        for (text, expected) in
            [("255", 255.0), ("1/127.5", 127.5), ("none", 1.0), ("0.5", 2.0), ("1", 1.0)]
        {
            assert_eq!(divisor(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "-1", "1/0", "half"] {
            assert!(divisor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn integers_take_bytes_as_they_are() {
        let shape = [3, 32, 32];
        let own = Known { integers: true, ..known(&shape, Some(Path::new("model.onnx"))) };
        let found = find(&PreprocessArgs::default(), &own).unwrap();
        assert_eq!(found.preprocess, Preprocess::raw255(3, 32, 32).unwrap());
        assert_eq!(source(&found, "scale"), "the model's integer input");
        let args = PreprocessArgs { preprocess: Some("unit".into()), ..PreprocessArgs::default() };
        assert!(find(&args, &own).unwrap_err().contains("makes fractions"));
    }
}
