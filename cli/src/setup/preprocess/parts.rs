//! The result of the search: a preprocessing, with the source of each of its parts.

use std::collections::BTreeMap;
use std::sync::Once;

use attriburn_picture::{Preprocess, Recipe, ResizeMode, ResizeSize};
use serde::Serialize;
use serde_json::{Value, json};

/// The source of a part that was guessed.
pub const GUESS: &str = "a guess";

/// Recipes with their sources, in order of precedence. The first is that of the options.
pub type Sources = Vec<(String, Recipe)>;

/// A preprocessing, with the source of each part.
#[derive(Clone, Debug)]
pub struct FoundPreprocess {
    pub preprocess: Preprocess,
    pub parts: Vec<PreprocessPart>,
}

/// A part of a preprocessing.
#[derive(Clone, Debug, Serialize)]
pub struct PreprocessPart {
    #[serde(skip)]
    pub name: &'static str,
    pub value: Value,
    pub source: String,
}

/// The name of a part of a recipe, and a function that returns its value, if the recipe has one.
type PartAccessor = (&'static str, fn(&Recipe) -> Option<Value>);

const PARTS: [PartAccessor; 6] = [
    ("resize", |recipe| recipe.mode.map(|mode| json!(describe_resize(mode, recipe.resize)))),
    ("interpolation", |recipe| recipe.interpolation.map(|filter| json!(filter.name()))),
    ("channels", |recipe| recipe.channels.map(|order| json!(order.name()))),
    ("scale", |recipe| recipe.divisor.map(|divisor| json!(shortest_decimal(divisor)))),
    ("mean", |recipe| recipe.mean.as_deref().map(shortest_decimals)),
    ("std", |recipe| recipe.std.as_deref().map(shortest_decimals)),
];

/// Returns the shortest decimal that rounds to `number`, as a double: 0.1f32 becomes 0.1.
fn shortest_decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(number.into())
}

fn shortest_decimals(numbers: &[f32]) -> Value {
    numbers.iter().map(|&number| shortest_decimal(number)).collect()
}

/// Describes a resize, such as `shortest 256`.
fn describe_resize(mode: ResizeMode, side: Option<ResizeSize>) -> String {
    let name = mode.name();
    match side {
        None => name.to_owned(),
        Some(ResizeSize::Side(side)) => format!("{name} {side}"),
        Some(ResizeSize::HeightWidth(height, width)) => format!("{name} {height}x{width}"),
        Some(ResizeSize::CropShare(share)) => format!("{name}, of which {share} is cropped"),
        Some(ResizeSize::ImageNet) => format!("{name}, 256/224 of the crop"),
    }
}

/// Returns the parts of the merged `recipe`, each with the first of `sources` that has it.
pub fn parts_of(recipe: &Recipe, sources: &[(String, Recipe)]) -> Vec<PreprocessPart> {
    let option = |name: &str| match name {
        "resize" => "--resize, --resize-mode or --crop-pct".to_owned(),
        name => format!("--{name}"),
    };
    let part = |&(name, value): &PartAccessor| {
        let has_value = |(_, (_, recipe)): &(usize, &(String, Recipe))| value(recipe).is_some();
        let (i, (source, _)) = sources.iter().enumerate().find(has_value)?;
        let source = if i == 0 { option(name) } else { source.clone() };
        Some(PreprocessPart { name, value: value(recipe)?, source })
    };
    PARTS.iter().filter_map(part).collect()
}

impl FoundPreprocess {
    /// Returns the parts by name.
    pub fn by_name(&self) -> BTreeMap<&'static str, &PreprocessPart> {
        self.parts.iter().map(|part| (part.name, part)).collect()
    }

    /// Returns the names of the parts that were guessed.
    fn guessed(&self) -> Vec<&'static str> {
        self.parts.iter().filter(|part| part.source == GUESS).map(|part| part.name).collect()
    }

    /// Logs a warning that names the guessed parts, once per run.
    pub fn warn_if_guessed(&self) {
        static WARNED: Once = Once::new();
        let parts = match self.guessed()[..] {
            [] => return,
            [part] => format!("the {part} is"),
            [ref first @ .., last] => format!("the {} and {last} are", first.join(", ")),
        };
        WARNED.call_once(|| {
            log::warn!(
                "the model does not specify its whole preprocessing: {parts} guessed ({}); if the model was trained with another preprocessing, give it with --preprocess NAME or FILE, or part by part (--mean, --std, --resize and so on)",
                self.preprocess
            );
        });
    }
}
