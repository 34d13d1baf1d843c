//! What the pages of `explain` and `evaluate` share: encoded pictures, colours, and the command line.

use std::collections::BTreeMap;
use std::path::Path;

use attriburn_picture::{ColorMap, Error, Picture};
use attriburn_report::{EncodedPicture, Palette};

use crate::args;
use crate::output::manifest::{self, ModelFile};
use crate::setup::Setup;

/// The name of the page's file, in the output folder.
pub const REPORT: &str = "report.html";

/// The quality of JPEG pictures in pages.
const QUALITY: u8 = 85;

/// Encodes a picture whose longest side is at most `max_side` pixels.
///
/// # Errors
///
/// When the picture has no pixels.
pub fn encoded(picture: &Picture, max_side: usize) -> Result<EncodedPicture, Error> {
    let picture = picture.fit_within(max_side);
    Ok(EncodedPicture {
        media_type: "image/jpeg",
        bytes: picture.encode_jpeg(QUALITY)?,
        width: picture.width(),
        height: picture.height(),
    })
}

/// Returns the colours of a page for maps with a sign and without.
pub fn palette(signed: ColorMap, unsigned: ColorMap) -> Palette {
    Palette {
        signed: std::array::from_fn(|i| signed.colour((i as f32 - 127.0) / 127.0)),
        unsigned: std::array::from_fn(|i| unsigned.colour(i as f32 / 254.0)),
    }
}

/// Returns the command line of this process, quoted for a shell.
pub fn command_line() -> String {
    let arguments = args::arguments().iter().skip(1);
    let arguments: Vec<String> =
        arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    command_of(&arguments)
}

/// Returns the command line with these arguments, quoted for a shell.
pub fn command_of(arguments: &[String]) -> String {
    let words = std::iter::once("attriburn").chain(arguments.iter().map(String::as_str));
    // An argument cannot hold the only character that cannot be quoted, a zero byte.
    shlex::try_join(words).unwrap_or_default()
}

/// Returns a number with its noun.
pub fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// Returns the name of a model's file without folders and extension.
pub fn model_name(model: &ModelFile) -> String {
    let path = Path::new(&model.file.path);
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| model.file.path.clone())
}

/// Returns what a run depends on, by name: the program, the model, the device, the preprocessing and the options.
pub fn settings(setup: &Setup, options: &BTreeMap<String, Vec<String>>) -> Vec<(String, String)> {
    let model = &setup.model_file.file;
    let named = |name: &str, value: String| (name.to_owned(), value);
    let mut settings = vec![
        named("program", format!("attriburn {}", manifest::PROGRAM.version)),
        named("model", model.path.clone()),
        named("checksum of the model (SHA-256)", model.sha256.clone()),
        named("device", setup.device.clone()),
    ];
    if let Ok(found) = &setup.preprocess {
        settings.push(named("preprocessing", found.preprocess.to_string()));
    }
    let options = options.iter().map(|(name, values)| (format!("--{name}"), values.join(", ")));
    settings.extend(options);
    settings
}

/// The maximum number of messages in a list of a page.
pub const MAX_MESSAGES: usize = 20;

/// Shortens a list of `total` messages, of which `messages` has at least the first ones.
pub fn shortened(mut messages: Vec<String>, total: usize) -> Vec<String> {
    messages.truncate(MAX_MESSAGES);
    if total > messages.len() {
        messages.push(format!("and {} more", total - messages.len()));
    }
    messages
}
