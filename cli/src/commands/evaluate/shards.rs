//! The shards of an evaluation: what a shard keeps for merging, and merging.
//!
//! A shard is an evaluation of some of the images in a folder of its own, with settings that also hold the checksums of
//! these images and the command of the whole evaluation. To merge is to put the lines of all shards in the order of one
//! evaluation, whose results are then complete.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use attriburn_evaluate::{ErrorKind, SETTINGS};
use serde::{Deserialize, Serialize};

use super::job::{Checksums, Job, Part};
use crate::args::{Shard, join};
use crate::output::files;
use crate::output::pages::{command_of, shortened};
use crate::output::report;

/// The name of the file with the warnings of a shard.
const WARNINGS: &str = "warnings.json";

/// The parts of the settings of a shard that merging needs.
#[derive(Deserialize)]
struct RecordedSettings {
    run: RecordedRun,
    contents: Checksums,
}

#[derive(Deserialize)]
struct RecordedRun {
    arguments: Vec<String>,
}

impl RecordedSettings {
    /// Reads the settings of the shard in `folder`; `None` for a shard that was not started.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a shard did not write it.
    fn read(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join(SETTINGS);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            format!(
                "{} was not written by a shard of an evaluation ({error}); remove the folder and make the shard again",
                path.display()
            )
        })
    }
}

/// Returns the arguments that made the shards of an evaluation in `out`, or of the evaluations in its subfolders: a
/// table of several models has one for each model.
///
/// # Errors
///
/// When there is no shard.
pub fn recorded_arguments(out: &Path) -> Result<Vec<String>, String> {
    let mut folders = subfolders(out);
    folders.insert(0, out.to_owned());
    for folder in folders {
        for (_, folder) in shard_folders(&folder) {
            if let Some(settings) = RecordedSettings::read(&folder)? {
                return Ok(settings.run.arguments);
            }
        }
    }
    let shards = Shard::parent(out);
    Err(format!(
        "{} has no shards of an evaluation: name the folder that --out named when `attriburn evaluate --shard I/N` or `attriburn compare --shard I/N` made them; the maps of `attriburn explain --shard I/N` need no merging",
        shards.display()
    ))
}

/// Returns the folders in `folder`, by name.
fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Returns the shards that have a folder below `out`, in their order.
fn shard_folders(out: &Path) -> Vec<(Shard, PathBuf)> {
    let shard =
        |path: PathBuf| Some((Shard::of_folder(&path.file_name()?.to_string_lossy())?, path));
    let mut shards: Vec<_> =
        subfolders(&Shard::parent(out)).into_iter().filter_map(shard).collect();
    shards.sort_by_key(|(shard, _)| (shard.count(), shard.number()));
    shards
}

/// The results of all shards, in the order of one evaluation.
pub struct Merged {
    /// The lines of the file of results.
    pub lines: Vec<u8>,
    pub checksums: Checksums,
    pub warnings: Vec<String>,
}

impl Merged {
    /// Reads the results of all shards of the evaluation `job`.
    ///
    /// # Errors
    ///
    /// When a shard is missing, incomplete or being measured, or was made with other settings, another model or other
    /// images.
    pub fn read(job: &Job) -> Result<Self, String> {
        let count = number_of_shards(&job.out)?;
        let (mut written, mut checksums, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        let mut unfinished = Unfinished::default();
        for shard in Shard::all(count) {
            let part = job.shard(shard);
            let Some(settings) = RecordedSettings::read(&part.folder)? else {
                let path = part.folder.join(SETTINGS);
                let path = path.display();
                unfinished.add(shard, format!("shard {shard} is missing: there is no {path}"));
                continue;
            };
            let results = job.results(&part, &settings.contents);
            let results = results.map_err(|error| match error.kind() {
                ErrorKind::Busy => format!("shard {shard} is not finished: {error}"),
                ErrorKind::OtherEvaluation => format!(
                    "shard {shard} was made with other settings, another model or other images, or in another working directory: {error}\nto make the shard again, remove {} and run\n  {}",
                    part.folder.display(),
                    command(job, shard)
                ),
                _ => format!("shard {shard}: {error}"),
            })?;
            let (measured, expected) = (
                results.records().len() / job.metrics.len(),
                part.sources.len() * job.maps_per_image(),
            );
            if measured < expected {
                let text = format!("shard {shard} is incomplete: {measured} of {expected} maps");
                unfinished.add(shard, text);
                continue;
            }
            let path = results.path();
            let bytes = std::fs::read(path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            written.push(bytes);
            checksums.push(settings.contents);
            for Warning { chunk, message } in Warnings::read(&part.folder)? {
                warnings.push((shard.group(chunk), message));
            }
        }
        unfinished.check(job)?;
        // The sort is stable, so the warnings of a chunk keep their order.
        warnings.sort_by_key(|(chunk, _)| *chunk);
        let sizes = || job.chunks().map(<[_]>::len);
        let lines = written.iter().map(|bytes| lines_of(bytes)).collect();
        let lines_per_image = job.maps_per_image() * job.metrics.len();
        Ok(Self {
            lines: join(lines, sizes().map(|size| size * lines_per_image)).concat(),
            checksums: join(checksums, sizes()),
            warnings: warnings.into_iter().map(|(_, message)| message).collect(),
        })
    }
}

/// Returns the lines of a text, each with its end.
fn lines_of(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').collect()
}

/// Returns the number of shards of the evaluation in `out`.
///
/// # Errors
///
/// When there are none, or the evaluation was divided in different ways.
fn number_of_shards(out: &Path) -> Result<usize, String> {
    let shards = shard_folders(out);
    match (shards.first(), shards.last()) {
        (Some((first, _)), Some((last, _))) if first.count() == last.count() => Ok(first.count()),
        (Some((first, _)), Some((last, _))) => Err(format!(
            "{} has shards {first} and {last}, so the evaluation was divided in two ways; remove the folders of one of them",
            Shard::parent(out).display()
        )),
        _ => Err(format!(
            "{} has no shards; name the folder that --out named when the shards were made",
            Shard::parent(out).display()
        )),
    }
}

/// The shards that cannot be merged yet.
#[derive(Default)]
struct Unfinished {
    first: Option<Shard>,
    messages: Vec<String>,
}

impl Unfinished {
    fn add(&mut self, shard: Shard, message: String) {
        self.first.get_or_insert(shard);
        self.messages.push(message);
    }

    /// Returns an error that names the shards, and the command that finishes the first of them.
    fn check(self, job: &Job) -> Result<(), String> {
        let Some(first) = self.first else { return Ok(()) };
        let count = self.messages.len();
        let messages = shortened(self.messages, count).join("\n");
        Err(format!("{messages}\nthis command finishes shard {first}:\n  {}", command(job, first)))
    }
}

/// Returns the command that finishes a shard.
fn command(job: &Job, shard: Shard) -> String {
    let mut arguments = job.args.options.arguments.clone();
    // The option goes right after the name of the command: arguments may follow a `--`.
    let name =
        arguments.iter().position(|argument| argument == "evaluate" || argument == "compare");
    let at = name.map_or(0, |at| at + 1);
    let is_resumed = arguments.iter().any(|argument| argument == "--resume");
    let resume = (!is_resumed).then(|| "--resume".to_owned());
    arguments.splice(at..at, ["--shard".to_owned(), shard.to_string()].into_iter().chain(resume));
    command_of(&arguments)
}

/// A warning of a shard that the page of the whole evaluation shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Warning {
    /// The number of the chunk, among those of the shard, in which the warning first occurred.
    chunk: usize,
    message: String,
}

/// The warnings that are logged while a shard is measured, in a file.
pub struct Warnings<'p> {
    part: &'p Part<'p>,
    /// The number of maps in a chunk.
    maps_per_chunk: usize,
    state: RefCell<State>,
}

struct State {
    /// The number of maps measured so far.
    maps: usize,
    /// The number of logged warnings that are in the file, or belong to the setup.
    seen: usize,
    warnings: Vec<Warning>,
}

impl<'p> Warnings<'p> {
    /// Opens the warnings of a shard of which `maps` maps were measured by an interrupted process. The warnings that
    /// were logged so far are those of the setup, which merging logs again.
    pub fn open(job: &Job, part: &'p Part<'p>, maps: usize) -> Result<Self, String> {
        let images_per_chunk = job.chunks().next().map_or(1, <[_]>::len);
        let maps_per_chunk = (images_per_chunk * job.maps_per_image()).max(1);
        if maps == 0 {
            files::remove(&part.folder, WARNINGS)?;
        }
        let warnings = Self::read(&part.folder)?;
        let state = RefCell::new(State { maps, seen: report::warnings().len(), warnings });
        Ok(Self { part, maps_per_chunk, state })
    }

    /// Reads the warnings of the shard in `folder`.
    fn read(folder: &Path) -> Result<Vec<Warning>, String> {
        let path = folder.join(WARNINGS);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        serde_json::from_str(&text)
            .map_err(|error| format!("{} was changed: {error}", path.display()))
    }

    /// Counts a measured map, and writes the warnings that were logged since the last one.
    pub fn count_map(&self) -> Result<(), String> {
        let mut state = self.state.borrow_mut();
        let chunk = state.maps / self.maps_per_chunk;
        state.maps += 1;
        let logged = report::warnings();
        let new = logged.get(state.seen..).unwrap_or_default();
        let is_new = |message: &&String| !state.warnings.iter().any(|w| w.message == **message);
        let new: Vec<Warning> = new
            .iter()
            .filter(is_new)
            .map(|message| Warning { chunk, message: message.clone() })
            .collect();
        state.seen = logged.len();
        if new.is_empty() {
            return Ok(());
        }
        state.warnings.extend(new);
        let text = serde_json::to_string_pretty(&state.warnings).map_err(|e| e.to_string())?;
        files::write(&self.part.folder, WARNINGS, text.as_bytes()).map(drop)
    }
}
