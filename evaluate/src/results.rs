//! The file of results, from which an interrupted run can resume.
//!
//! The records of one map form a group of lines that is written at once. The order of the groups is fixed, so
//! an interrupted run resumes after the last complete group and ends with the same bytes.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};
use crate::record::Record;

/// The file of results.
#[derive(Debug)]
pub struct Results {
    file: File,
    path: PathBuf,
    records: Vec<Record>,
}

/// The key of one map in the results: the name of the sample, the name of the variant, and the index of the
/// repeat.
pub type Group = (String, String, u32);

/// The name of the file of results.
pub const RESULTS: &str = "results.jsonl";
/// The name of the file of settings.
pub const SETTINGS: &str = "settings.json";
/// The prefix of the names of temporary files.
const TEMPORARY_PREFIX: &str = ".attriburn-";

impl Results {
    /// Opens the results in `folder`, which must exist. Without `resume`, the folder must have no results. With
    /// `resume`, existing results are continued if their settings equal `settings`, except for the entry `run`.
    ///
    /// `groups` are the keys of all maps in order, and `metrics` the names of the metrics of each map.
    ///
    /// # Errors
    ///
    /// Returns an error if there are results and `resume` is false, or the results have other settings, are
    /// being written by another process, or were changed.
    pub fn open(
        folder: &Path,
        resume: bool,
        settings: &serde_json::Value,
        groups: impl Iterator<Item = Group>,
        metrics: &[&str],
    ) -> Result<Self, Error> {
        check_no_results(folder, resume)?;
        let path = folder.join(RESULTS);
        let io_error = |error: std::io::Error| {
            let message =
                format!("{} cannot be opened, read or truncated: {error}", path.display());
            Error::new(ErrorKind::Io, message)
        };
        let text = serde_json::to_string_pretty(settings).map_err(Error::output)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(&path).map_err(io_error)?;
        // A file system without locks returns another error, which is ignored.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "{} is being written by another run; wait for it, or choose another folder",
                    path.display()
                ),
            ));
        }
        let mut written = Vec::new();
        file.read_to_end(&mut written).map_err(io_error)?;
        match std::fs::read_to_string(folder.join(SETTINGS)) {
            // Without results, the settings of an earlier run can be overwritten.
            _ if written.is_empty() => write_settings(folder, &text)?,
            Ok(known) if !is_same_run(&known, settings) => {
                return Err(Error::new(
                    ErrorKind::OtherEvaluation,
                    format!(
                        "{} belongs to a run with other settings; use the settings of that run, or choose another folder:\n{}",
                        path.display(),
                        differences(&known, &text)
                    ),
                ));
            }
            Ok(_) => {}
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Damaged,
                    format!(
                        "{} is missing or cannot be read, so the settings of {RESULTS} are unknown; choose another folder",
                        folder.join(SETTINGS).display()
                    ),
                ));
            }
        }
        let (records, length) = complete_groups(&written, groups, metrics).map_err(|line| {
            Error::new(
                ErrorKind::Damaged,
                format!(
                    "{}: line {line} is not a record that this run would write, so the file was changed; restore it, or choose another folder",
                    path.display()
                ),
            )
        })?;
        file.set_len(length as u64).map_err(io_error)?;
        file.seek(SeekFrom::End(0)).map_err(io_error)?;
        Ok(Self { file, path, records })
    }

    /// Returns the records so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the records of one map.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub fn append(&mut self, group: &[Record]) -> Result<(), Error> {
        let mut lines = Vec::new();
        for record in group {
            serde_json::to_writer(&mut lines, record).map_err(Error::output)?;
            lines.push(b'\n');
        }
        self.append_lines(&lines)
    }

    /// Appends the lines of records that another process wrote, unchanged.
    ///
    /// # Errors
    ///
    /// Returns an error if a line is no record, or the file cannot be written.
    pub fn append_lines(&mut self, lines: &[u8]) -> Result<(), Error> {
        // The records are parsed from the written text, so that a resumed run has exactly the same values in
        // its tables.
        let parse = |line: &[u8]| serde_json::from_slice(line).map_err(Error::output);
        let lines_of_records = lines.split_inclusive(|&byte| byte == b'\n');
        let records: Vec<Record> = lines_of_records.map(parse).collect::<Result<_, _>>()?;
        let written = self.file.write_all(lines).and_then(|()| self.file.sync_data());
        written.map_err(|error| {
            let message = format!("{} cannot be written: {error}", self.path.display());
            Error::new(ErrorKind::Io, message)
        })?;
        self.records.extend(records);
        Ok(())
    }
}

/// Checks that `folder` has no results, unless `resume` is true.
///
/// # Errors
///
/// Returns [`ErrorKind::ResultsExist`] if `folder` has results and `resume` is false.
pub fn check_no_results(folder: &Path, resume: bool) -> Result<(), Error> {
    let path = folder.join(RESULTS);
    let has_results = std::fs::metadata(&path).is_ok_and(|found| found.len() > 0);
    match !resume && has_results {
        true => Err(Error::new(
            ErrorKind::ResultsExist,
            format!("{} already exists; resume the run, or choose another folder", path.display()),
        )),
        false => Ok(()),
    }
}

/// Writes the settings to a temporary file, and renames the file.
fn write_settings(folder: &Path, text: &str) -> Result<(), Error> {
    let path = folder.join(SETTINGS);
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.prefix(TEMPORARY_PREFIX).tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|error| {
        Error::new(ErrorKind::Io, format!("{} cannot be written: {error}", path.display()))
    })
}

/// The records of the complete groups at the beginning, and their length in bytes. An incomplete group at the
/// end, left by a run that was interrupted, is ignored.
///
/// # Errors
///
/// Returns the number, counted from 1, of the first line that does not belong to `groups`.
fn complete_groups(
    written: &[u8],
    groups: impl Iterator<Item = Group>,
    metrics: &[&str],
) -> Result<(Vec<Record>, usize), usize> {
    let mut lines = written.split_inclusive(|&byte| byte == b'\n').enumerate();
    let (mut records, mut length) = (Vec::new(), 0);
    for (picture, method, repeat) in groups {
        let (mut group, mut bytes) = (Vec::new(), 0);
        for metric in metrics {
            let Some((at, line)) = lines.next() else {
                return Ok((records, length));
            };
            if !line.ends_with(b"\n") {
                return Ok((records, length));
            }
            let record: Record = serde_json::from_slice(line).map_err(|_| at + 1)?;
            let found = (&record.picture, &record.method, &record.repeat, record.metric.as_str());
            if found != (&picture, &method, &repeat, metric) {
                return Err(at + 1);
            }
            bytes += line.len();
            group.push(record);
        }
        records.extend(group);
        length += bytes;
    }
    match lines.next() {
        Some((at, _)) => Err(at + 1),
        None => Ok((records, length)),
    }
}

/// Returns whether two settings are equal, except for the entry `run`.
fn is_same_run(known: &str, settings: &serde_json::Value) -> bool {
    let without_run = |mut settings: serde_json::Value| {
        settings.as_object_mut().map(|entries| entries.remove("run"));
        settings
    };
    let Ok(known) = serde_json::from_str::<serde_json::Value>(known) else { return false };
    // Serialized and parsed, like the known settings.
    let now = serde_json::from_str(&settings.to_string()).unwrap_or_default();
    without_run(known) == without_run(now)
}

/// The maximum number of lines of a settings file in a message.
const MAX_DIFFERENCES: usize = 20;

/// Returns the lines of two settings that differ, the first ones of many.
fn differences(before: &str, now: &str) -> String {
    let unmatched = |mark: &str, a: &str, b: &str| -> Vec<String> {
        let others: HashSet<&str> = b.lines().collect();
        let missing: Vec<&str> = a.lines().filter(|line| !others.contains(line)).collect();
        let shown = missing.iter().take(MAX_DIFFERENCES);
        let mut lines: Vec<String> =
            shown.map(|line| format!("  {mark} {}", line.trim())).collect();
        if missing.len() > lines.len() {
            lines.push(format!("  {mark} and {} more lines", missing.len() - lines.len()));
        }
        lines
    };
    [unmatched("then", before, now), unmatched("now ", now, before)].concat().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(picture: &str, metric: &str) -> Record {
        Record {
            picture: picture.into(),
            method: "adaptgrad".into(),
            repeat: 0,
            metric: metric.into(),
            class: Some(3),
            value: Some(0.1 + 0.2),
            curve: Some(vec![(0.0, 1.0 / 3.0), (1.0, 2.0 / 3.0)]),
            reason: None,
            not_applicable: false,
        }
    }

    #[test]
    fn resumed_run_ends_with_the_same_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let groups: Vec<_> = (0..4).map(|i| (format!("p{i}"), "adaptgrad".to_owned(), 0)).collect();
        let metrics = ["sparseness", "deletion"];
        let settings = serde_json::json!({ "seed": 0 });
        let open = |resume| {
            Results::open(folder.path(), resume, &settings, groups.iter().cloned(), &metrics)
        };
        let finish = |results: &mut Results| {
            for (picture, ..) in &groups[results.records.len() / 2..] {
                let group: Vec<Record> =
                    metrics.iter().map(|metric| record(picture, metric)).collect();
                results.append(&group).expect("an appended group");
            }
        };
        finish(&mut open(false).expect("new results"));
        let whole = std::fs::read(folder.path().join(RESULTS)).expect("the results");
        assert!(open(false).is_err_and(|error| error.kind() == ErrorKind::ResultsExist));
        for cut in 0..=whole.len() {
            std::fs::write(folder.path().join(RESULTS), &whole[..cut]).expect("a cut file");
            let mut results = open(true).expect("results");
            assert_eq!(results.records.len() % 2, 0, "only complete groups are kept");
            finish(&mut results);
            assert_eq!(std::fs::read(&results.path).expect("the results"), whole, "cut at {cut}");
            assert_eq!(results.records.len(), 8);
        }
        // Lines that another process wrote are kept as they are.
        std::fs::write(folder.path().join(RESULTS), "").expect("no results");
        let mut results = open(true).expect("results");
        assert!(results.append_lines(b"{}\n").is_err() && results.records.is_empty());
        results.append_lines(&whole).expect("appended lines");
        assert_eq!(std::fs::read(&results.path).expect("the results"), whole);
        assert_eq!(results.records.len(), 8);
        drop(results);
        let two = open(true).map(|_first| open(true).map(drop)).expect("results");
        assert!(
            two.is_err_and(|error| error.to_string().contains("is being written by another run"))
        );
        // A file with a changed line is an error, and the file stays as it is.
        let changed = String::from_utf8_lossy(&whole).replacen("p2", "p9", 1);
        std::fs::write(folder.path().join(RESULTS), &changed).expect("a changed file");
        assert!(open(true).is_err_and(|error| {
            error.to_string().contains("line 5 is not a record that this run")
        }));
        let left = std::fs::read(folder.path().join(RESULTS)).expect("the results");
        assert_eq!(left, changed.as_bytes());
        for (changed, line) in [
            (
                String::from_utf8_lossy(&whole).replacen(
                    "p1\",\"method\":\"adaptgrad\",\"repeat\":0,\"metric\":\"deletion",
                    "p1",
                    1,
                ),
                4,
            ),
            (String::from_utf8_lossy(&whole).into_owned() + "{}\n", 9),
            (String::from_utf8_lossy(&whole).into_owned() + "{}", 9),
        ] {
            std::fs::write(folder.path().join(RESULTS), &changed).expect("a changed file");
            let expected = format!("line {line} is not a record that this run");
            let message = open(true).map(drop).expect_err(&expected).to_string();
            assert!(message.contains(&expected), "{message}");
        }
        std::fs::write(folder.path().join(RESULTS), &whole).expect("the results");
        let other = serde_json::json!({ "seed": 1 });
        let refused = Results::open(folder.path(), true, &other, groups.iter().cloned(), &metrics);
        assert!(refused.is_err_and(|error| error.to_string().contains("now  \"seed\": 1")));
        std::fs::remove_file(folder.path().join(SETTINGS)).expect("no settings");
        assert!(
            open(true).is_err_and(|error| error.to_string().contains("settings.json is missing"))
        );
        std::fs::write(folder.path().join(RESULTS), "").expect("no results");
        // Without results, the settings of another run are overwritten.
        std::fs::write(folder.path().join(SETTINGS), "{}").expect("other settings");
        finish(&mut open(true).expect("results"));
        assert_eq!(std::fs::read(folder.path().join(RESULTS)).expect("the results"), whole);
    }
}
