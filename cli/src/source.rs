//! What is explained: pictures and arrays, from the command line to a model's input.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use attriburn::picture::{Picture, Preprocess};
use attriburn::{Domain, Input, npy};
use glob::MatchOptions;

use crate::domain::pixels;
use crate::manifest::File;
use crate::{arrays, assets};

/// Something to explain, not yet read.
pub struct Source {
    place: Place,
    /// The folder of its maps, below the output folder.
    pub stem: String,
}

enum Place {
    BuiltIn,
    File(PathBuf),
    /// The bytes of a picture or array that came through standard input.
    Stdin(Vec<u8>),
    /// What could not be found, and why.
    Missing {
        name: String,
        reason: String,
    },
    /// A row of an array that was read, in the model's units.
    Row {
        name: String,
        values: Vec<f32>,
    },
}

/// A source that was read.
pub struct Opened {
    pub file: File,
    pub input: Input,
    /// The picture as the model sees it, where it is one.
    pub crop: Option<Picture>,
    /// The rows and columns of the picture's file, where it is one.
    pub size: Option<(usize, usize)>,
    /// How the picture became an input, where it is one.
    pub preprocess: Option<String>,
}

/// What an array file begins with.
const NPY: &[u8] = b"\x93NUMPY";

/// The endings of files that are taken from a folder.
const ENDINGS: [&str; 9] = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "npy"];

/// How standard input is written.
const STDIN: &str = "-";

/// The sources that `paths` mean, and the lines of the file `list`: files as they are, folders by the pictures in
/// them and in the folders in these, patterns such as `*.jpg` by what they match, and `-` by what comes through
/// standard input. No two share a folder for their maps: those of a picture in a folder lie as deep below the
/// output folder as the picture below that.
///
/// A folder or pattern without pictures is a source that fails when it is opened.
///
/// # Errors
///
/// When a list or standard input cannot be read.
pub fn sources(paths: &[PathBuf], list: Option<&Path>) -> Result<Vec<Source>, String> {
    let listed = list.map(lines_of).transpose()?.unwrap_or_default();
    let mut taken = HashSet::new();
    let mut sources = Vec::new();
    for path in paths.iter().chain(&listed) {
        if path.as_os_str() == STDIN {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            read.map_err(|error| format!("standard input cannot be read: {error}"))?;
            let stem = free_stem(Path::new("stdin"), &mut taken);
            sources.push(Source { stem, place: Place::Stdin(bytes) });
            continue;
        }
        let (files, below) = match found(path) {
            Ok(found) => found,
            Err(reason) => {
                let (name, stem) = (path.display().to_string(), free_stem(path, &mut taken));
                sources.push(Source { stem, place: Place::Missing { name, reason } });
                continue;
            }
        };
        for file in files {
            let stem = free_stem(file.strip_prefix(&below).unwrap_or(&file), &mut taken);
            sources.push(Source { stem, place: Place::File(file) });
        }
    }
    Ok(sources)
}

/// The files that a path means, and the folder that they are below.
fn found(path: &Path) -> Result<(Vec<PathBuf>, PathBuf), String> {
    if path.is_dir() {
        return Ok((pictures_in(path)?, path.to_owned()));
    }
    let parent = || path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(matches_of(path)?.unwrap_or_else(|| (vec![path.to_owned()], parent())))
}

/// The first of these that could not be found, and why.
pub fn missing(sources: &[Source]) -> Option<String> {
    sources.iter().find_map(|source| match &source.place {
        Place::Missing { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

/// The picture that is part of the program.
pub fn built_in() -> Source {
    Source { place: Place::BuiltIn, stem: assets::PICTURE_STEM.into() }
}

/// The paths on the lines of a file.
fn lines_of(list: &Path) -> Result<Vec<PathBuf>, String> {
    let text = match list.as_os_str() == STDIN {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(list),
    };
    let text = text.map_err(|error| format!("--files-from {}: {error}", list.display()))?;
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let paths: Vec<PathBuf> = lines.map(PathBuf::from).collect();
    match paths.is_empty() {
        true => Err(format!("--files-from {}: it has no lines", list.display())),
        false => Ok(paths),
    }
}

/// What a pattern such as `photos/*.jpg` matches, and the folder in front of its first wildcard; none for the
/// path of a file.
fn matches_of(path: &Path) -> Result<Option<(Vec<PathBuf>, PathBuf)>, String> {
    let text = path.to_string_lossy();
    let is_wild = |text: &str| text.contains(['*', '?', '[']);
    if path.exists() || !is_wild(&text) {
        return Ok(None);
    }
    let wrong = |what: String| format!("the pattern {text}: {what}");
    // As shells have it.
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let found = glob::glob_with(&text, options).map_err(|error| wrong(error.msg.to_owned()))?;
    let files: Result<Vec<PathBuf>, _> = found.collect();
    let files = files.map_err(|error| wrong(error.to_string()))?;
    let (folders, mut files): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|file| file.is_dir());
    // Folders that match themselves, and not those around files that do.
    let is_around = |folder: &PathBuf| files.iter().any(|file| file.starts_with(folder));
    let folders: Vec<PathBuf> = folders.into_iter().filter(|own| !is_around(own)).collect();
    for folder in &folders {
        collect(folder, &mut files)?;
    }
    files.sort();
    files.dedup();
    if files.is_empty() {
        return Err(wrong("it matches no picture".into()));
    }
    let fixed = path.iter().take_while(|part| !is_wild(&part.to_string_lossy()));
    Ok(Some((files, fixed.collect())))
}

/// The pictures in a folder and in those in it, in the order of their paths.
fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(format!(
            "the folder {} has no pictures: no file ends in {}",
            folder.display(),
            ENDINGS.join(", ")
        ));
    }
    Ok(files)
}

/// Hidden files and folders are left out, and links to folders, which may lead round in circles.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let wrong = |error| format!("the folder {} cannot be read: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(wrong)?);
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
        let is_picture = ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()));
        if kind.is_dir() {
            collect(&path, files)?;
        } else if is_picture && !path.is_dir() {
            files.push(path);
        }
    }
    Ok(())
}

/// The path without its ending, numbered where another file has taken it.
fn free_stem(path: &Path, taken: &mut HashSet<String>) -> String {
    let stem = path.with_extension("");
    let stem = match stem.file_name() {
        Some(_) => stem.to_string_lossy().into_owned(),
        None => "input".into(),
    };
    let numbered = |i: usize| if i == 1 { stem.clone() } else { format!("{stem}-{i}") };
    (1..).map(numbered).find(|name| taken.insert(name.clone())).unwrap_or(stem.clone())
}

/// The shape of the sample in an array that may have a batch axis of 1 before samples of `shape`.
pub fn sample_shape<'a>(array: &'a [usize], shape: &[usize]) -> &'a [usize] {
    match array.split_first() {
        Some((1, rest)) if rest == shape => rest,
        _ => array,
    }
}

impl Source {
    /// A row of an array, called `name`.
    pub fn row(name: String, values: Vec<f32>) -> Self {
        Self { stem: name.clone(), place: Place::Row { name, values } }
    }

    /// How messages and the manifest name it.
    pub fn name(&self) -> String {
        match &self.place {
            Place::BuiltIn => assets::PICTURE_NAME.into(),
            Place::File(path) => path.display().to_string(),
            Place::Stdin(_) => "standard input".into(),
            Place::Row { name, .. } | Place::Missing { name, .. } => name.clone(),
        }
    }

    /// How the command line names it; none for the built-in picture.
    pub fn argument(&self) -> Option<String> {
        match &self.place {
            Place::File(path) => Some(path.display().to_string()),
            Place::Stdin(_) => Some(STDIN.to_owned()),
            Place::BuiltIn | Place::Row { .. } | Place::Missing { .. } => None,
        }
    }

    /// What the folder is called that it lies in.
    pub fn folder(&self) -> Option<String> {
        match &self.place {
            Place::File(path) => {
                let whole = std::path::absolute(path).ok()?;
                Some(whole.parent()?.file_name()?.to_string_lossy().into_owned())
            }
            _ => None,
        }
    }

    /// What tells it from other sources, however it is named.
    pub fn identity(&self) -> PathBuf {
        match &self.place {
            Place::File(path) => path.canonicalize().unwrap_or_else(|_| path.clone()),
            _ => self.name().into(),
        }
    }

    /// The bytes behind the source; none where they cannot be read.
    pub fn contents(&self) -> Option<Vec<u8>> {
        match &self.place {
            Place::BuiltIn => Some(assets::PICTURE.to_vec()),
            Place::File(path) => std::fs::read(path).ok(),
            Place::Stdin(bytes) => Some(bytes.clone()),
            Place::Missing { .. } => None,
            Place::Row { values, .. } => {
                Some(values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
        }
    }

    /// Reads the source as an input of `shape` with values in `domain`; arrays are `turned` where they have their
    /// channels last.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is damaged, or does not fit the model.
    pub fn open(
        &self,
        shape: &[usize],
        turned: bool,
        preprocess: Result<&Preprocess, &String>,
        domain: &Domain,
    ) -> Result<Opened, String> {
        match &self.place {
            Place::BuiltIn => {
                let picture = Picture::from_bytes(assets::PICTURE).map_err(|e| e.to_string())?;
                self.prepared(&picture, assets::PICTURE, shape, preprocess, domain)
            }
            Place::Row { values, .. } => {
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                let input = Input::new(values.clone(), shape, domain.clone());
                Ok(Opened {
                    file: File::new(self.name(), &bytes),
                    input: input.map_err(|error| error.to_string())?,
                    crop: None,
                    size: None,
                    preprocess: None,
                })
            }
            Place::Missing { reason, .. } => Err(reason.clone()),
            Place::Stdin(bytes) if bytes.starts_with(NPY) => {
                self.array(Path::new("standard input"), bytes, shape, turned, domain)
            }
            Place::Stdin(bytes) => {
                let picture = Picture::from_bytes(bytes);
                let picture = picture.map_err(|error| format!("standard input: {error}"))?;
                self.prepared(&picture, bytes, shape, preprocess, domain)
            }
            Place::File(path) if arrays::is_array(path) => {
                let unreadable =
                    |source| npy::NpyError::Unreadable { path: path.to_owned(), source };
                let bytes = std::fs::read(path).map_err(|error| unreadable(error).to_string())?;
                self.array(path, &bytes, shape, turned, domain)
            }
            Place::File(path) => {
                let (picture, bytes) =
                    Picture::open_with_bytes(path).map_err(|error| error.to_string())?;
                self.prepared(&picture, &bytes, shape, preprocess, domain)
            }
        }
    }

    fn prepared(
        &self,
        picture: &Picture,
        bytes: &[u8],
        shape: &[usize],
        preprocess: Result<&Preprocess, &String>,
        domain: &Domain,
    ) -> Result<Opened, String> {
        let preprocess = preprocess.map_err(Clone::clone)?;
        let prepared = preprocess.apply(picture).map_err(|error| error.to_string())?;
        let pixels = pixels(preprocess, shape)?;
        let input = Input::new(prepared.values, shape, domain.clone())
            .and_then(|input| input.with_pixels(pixels))
            .map_err(|error| error.to_string())?;
        Ok(Opened {
            file: File::new(self.name(), bytes),
            input,
            crop: Some(prepared.crop),
            size: Some((picture.height(), picture.width())),
            preprocess: Some(preprocess.to_string()),
        })
    }

    /// An array of the model's input shape, with or without a batch axis of 1.
    fn array(
        &self,
        path: &Path,
        bytes: &[u8],
        shape: &[usize],
        turned: bool,
        domain: &Domain,
    ) -> Result<Opened, String> {
        let array = npy::from_bytes(bytes, path).map_err(|error| error.to_string())?;
        let read = array.shape.clone();
        let array = if turned { arrays::channels_first(array) } else { array };
        if sample_shape(&array.shape, shape) != shape {
            let mut own = shape.to_vec();
            own.rotate_left(usize::from(turned));
            return Err(format!(
                "{} holds an array of {read:?}, but the model takes samples of {own:?}",
                path.display(),
            ));
        }
        let input = Input::new(array.values, shape, domain.clone());
        Ok(Opened {
            file: File::new(self.name(), bytes),
            input: input.map_err(|error| format!("{}: {error}", path.display()))?,
            crop: None,
            size: None,
            preprocess: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_as_deep_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        for path in
            ["b.png", "cats/a.png", "cats/deep/A.JPG", "dogs/a.png", ".hidden/a.png", "c.txt"]
        {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path(), folder.path().join("round")).unwrap();
        let single = folder.path().join("dogs/a.png");
        let again = folder.path().join("cats/a.png");
        let stems = |paths: &[PathBuf], list: Option<&Path>| -> Vec<String> {
            let found = sources(paths, list).unwrap();
            found.into_iter().map(|source| source.stem).collect()
        };
        let found = stems(&[folder.path().to_owned(), single.clone(), again.clone()], None);
        assert_eq!(found, ["b", "cats/a", "cats/deep/A", "dogs/a", "a", "a-2"]);
        let pattern = |text: &str| folder.path().join(text);
        assert_eq!(stems(&[pattern("*/*.png")], None), ["cats/a", "dogs/a", "round/b"]);
        assert_eq!(stems(&[pattern("cats/**/*.JPG")], None), ["deep/A"]);
        let none = sources(&[pattern("*.webp")], None).unwrap();
        assert!(missing(&none).unwrap().contains("matches no picture"));
        assert_eq!(stems(&[pattern("ca*")], None), ["cats/a", "cats/deep/A"]);
        let list = folder.path().join("list.txt");
        std::fs::write(&list, format!("{}\n\n{}\n", single.display(), again.display())).unwrap();
        assert_eq!(stems(&[], Some(&list)), ["a", "a-2"]);
        assert_eq!(sources(&[single], None).unwrap()[0].folder().as_deref(), Some("dogs"));
        std::fs::write(&list, "\n").unwrap();
        assert!(sources(&[], Some(&list)).is_err());
    }
}
