//! The search for inputs: from paths, patterns, lists and standard input to sources.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use glob::MatchOptions;

use super::source::{STDIN, Source};

/// The file extensions that are read from a folder.
const EXTENSIONS: [&str; 9] = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "npy"];

/// Finds the sources that `paths`, and the lines of the file `list`, name:
///
/// - a file is one source;
/// - a folder stands for the images and arrays in it and its subfolders;
/// - a pattern such as `*.jpg` stands for its matches;
/// - `-` stands for the data on standard input.
///
/// Each source gets a different output folder. For a source in a folder, the path of the output folder below
/// the run's output folder is the path of the source below the given folder.
///
/// A folder or pattern without images becomes a source that fails to open.
///
/// # Errors
///
/// When a list or standard input cannot be read.
pub fn find_sources(paths: &[PathBuf], list: Option<&Path>) -> Result<Vec<Source>, String> {
    let listed = list.map(read_list).transpose()?.unwrap_or_default();
    let mut used_stems = HashSet::new();
    let mut sources = Vec::new();
    for path in paths.iter().chain(&listed) {
        if path.as_os_str() == STDIN {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            read.map_err(|error| format!("standard input cannot be read: {error}"))?;
            let stem = unique_stem(Path::new("stdin"), &mut used_stems);
            sources.push(Source::stdin(stem, bytes));
            continue;
        }
        let (files, base) = match expand(path) {
            Ok(expanded) => expanded,
            Err(reason) => {
                let stem = unique_stem(path, &mut used_stems);
                sources.push(Source::missing(stem, path.display().to_string(), reason));
                continue;
            }
        };
        for file in files {
            let stem = unique_stem(file.strip_prefix(&base).unwrap_or(&file), &mut used_stems);
            sources.push(Source::file(stem, file));
        }
    }
    Ok(sources)
}

/// Returns the files that a path stands for, and the folder that their output paths are relative to.
fn expand(path: &Path) -> Result<(Vec<PathBuf>, PathBuf), String> {
    if path.is_dir() {
        return Ok((files_in(path)?, path.to_owned()));
    }
    let parent = || path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(expand_pattern(path)?.unwrap_or_else(|| (vec![path.to_owned()], parent())))
}

/// Returns the reason why the first missing source could not be found.
pub fn first_missing(sources: &[Source]) -> Option<String> {
    sources.iter().find_map(Source::missing_reason)
}

/// Reads the paths on the lines of a file.
fn read_list(list: &Path) -> Result<Vec<PathBuf>, String> {
    let text = match list.as_os_str() == STDIN {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(list),
    };
    let text = text.map_err(|error| format!("--files-from {}: {error}", list.display()))?;
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let paths: Vec<PathBuf> = lines.map(PathBuf::from).collect();
    match paths.is_empty() {
        true => Err(format!("--files-from {}: the list is empty", list.display())),
        false => Ok(paths),
    }
}

/// Returns the matches of a pattern such as `photos/*.jpg`, and the folder before the first wildcard. Returns
/// `None` for a path without wildcards, or of an existing file.
fn expand_pattern(path: &Path) -> Result<Option<(Vec<PathBuf>, PathBuf)>, String> {
    let text = path.to_string_lossy();
    let has_wildcard = |text: &str| text.contains(['*', '?', '[']);
    if path.exists() || !has_wildcard(&text) {
        return Ok(None);
    }
    let error = |reason: String| format!("the pattern {text}: {reason}");
    // Wildcards do not match hidden files, as in a shell.
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let matches =
        glob::glob_with(&text, options).map_err(|problem| error(problem.msg.to_owned()))?;
    let paths: Result<Vec<PathBuf>, _> = matches.collect();
    let paths = paths.map_err(|problem| error(problem.to_string()))?;
    let (folders, mut files): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.into_iter().partition(|path| path.is_dir());
    // `**` also matches the folders of matching files. Only folders without matching files are read.
    let has_match = |folder: &PathBuf| files.iter().any(|file| file.starts_with(folder));
    let folders: Vec<PathBuf> = folders.into_iter().filter(|folder| !has_match(folder)).collect();
    for folder in &folders {
        collect_files(folder, &mut files)?;
    }
    files.sort();
    files.dedup();
    if files.is_empty() {
        return Err(error("no image matches it".into()));
    }
    let base = path.iter().take_while(|part| !has_wildcard(&part.to_string_lossy()));
    Ok(Some((files, base.collect())))
}

/// Returns the images and arrays in a folder and its subfolders, ordered by path.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    collect_files(folder, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(format!(
            "the folder {} contains no images: no file has the extension {}",
            folder.display(),
            EXTENSIONS.join(", ")
        ));
    }
    Ok(files)
}

/// Appends the images and arrays in a folder and its subfolders. Skips hidden files and folders, and links to
/// folders, which could form a cycle.
fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let error = |reason| format!("the folder {} cannot be read: {reason}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(error)?);
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let extension =
            path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
        let is_input = extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()));
        if kind.is_dir() {
            collect_files(&path, files)?;
        } else if is_input && !path.is_dir() {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns the path without its extension, with a number appended if another source has the same stem.
fn unique_stem(path: &Path, used: &mut HashSet<String>) -> String {
    let stem = path.with_extension("");
    let stem = match stem.file_name() {
        Some(_) => stem.to_string_lossy().into_owned(),
        None => "input".into(),
    };
    let numbered = |i: usize| if i == 1 { stem.clone() } else { format!("{stem}-{i}") };
    (1..).map(numbered).find(|name| used.insert(name.clone())).unwrap_or(stem.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_sources_expands_folders_patterns_and_lists() {
        let folder = tempfile::tempdir().unwrap();
        for path in
            ["b.png", "cats/a.png", "cats/deep/A.JPG", "dogs/a.png", ".hidden/a.png", "c.txt"]
        {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        let single = folder.path().join("dogs/a.png");
        let again = folder.path().join("cats/a.png");
        let stems = |paths: &[PathBuf], list: Option<&Path>| -> Vec<String> {
            let sources = find_sources(paths, list).unwrap();
            sources.into_iter().map(|source| source.stem).collect()
        };
        let found = stems(&[folder.path().to_owned(), single.clone(), again.clone()], None);
        assert_eq!(found, ["b", "cats/a", "cats/deep/A", "dogs/a", "a", "a-2"]);
        let pattern = |text: &str| folder.path().join(text);
        assert_eq!(stems(&[pattern("*/*.png")], None), ["cats/a", "dogs/a", "loop/b"]);
        assert_eq!(stems(&[pattern("cats/**/*.JPG")], None), ["deep/A"]);
        let none = find_sources(&[pattern("*.webp")], None).unwrap();
        assert!(first_missing(&none).unwrap().contains("no image matches"));
        assert_eq!(stems(&[pattern("ca*")], None), ["cats/a", "cats/deep/A"]);
        let list = folder.path().join("list.txt");
        std::fs::write(&list, format!("{}\n\n{}\n", single.display(), again.display())).unwrap();
        assert_eq!(stems(&[], Some(&list)), ["a", "a-2"]);
        assert_eq!(find_sources(&[single], None).unwrap()[0].folder().as_deref(), Some("dogs"));
        std::fs::write(&list, "\n").unwrap();
        assert!(find_sources(&[], Some(&list)).is_err());
    }
}
