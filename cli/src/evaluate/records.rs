//! The results, a line for each picture, method, repeat and metric, written as they come.
//!
//! What one map gave is a group of lines that is written at once and in one order for all runs. So
//! a run that was cut off goes on after the last whole group, and ends with the same bytes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::value::{Points, Value};

/// One value, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub picture: String,
    pub method: String,
    pub repeat: u32,
    pub metric: String,
    pub class: Option<usize>,
    pub value: Option<f64>,
    /// The points of the curve behind the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Points>,
    /// Why there is no value.
    pub reason: Option<String>,
    /// Whether the metric is not defined here, so that nothing failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_applicable: bool,
}

impl Record {
    /// The value with its curve.
    pub fn value(&self) -> Option<Value> {
        Some(Value { number: self.value?, curve: self.curve.clone() })
    }
}

/// The file of results.
pub struct Results {
    file: File,
    pub path: PathBuf,
    pub records: Vec<Record>,
}

pub const RESULTS: &str = "results.jsonl";
const SETTINGS: &str = "settings.json";

impl Results {
    /// The results in `folder`: new ones, or with `resume` those that are there, which must be of
    /// the same `settings`. `groups` says for each group of lines which picture, method and repeat
    /// it is of; `metrics` which lines it has.
    ///
    /// # Errors
    ///
    /// When there are results and `resume` is not asked for, those of another run, those that
    /// another run is writing, or those that were changed.
    pub fn open(
        folder: &Path,
        resume: bool,
        settings: &serde_json::Value,
        groups: impl Iterator<Item = (String, String, u32)>,
        metrics: &[&str],
    ) -> Result<Self, String> {
        check_free(folder, resume)?;
        let path = folder.join(RESULTS);
        let wrong = |error: std::io::Error| format!("{} cannot be used: {error}", path.display());
        let text = serde_json::to_string_pretty(settings).map_err(|error| error.to_string())?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(&path).map_err(wrong)?;
        // Where the file system has no locks there is none to respect.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(format!(
                "{} is being written by another run; wait for it, or choose another folder with --out",
                path.display()
            ));
        }
        let mut written = Vec::new();
        file.read_to_end(&mut written).map_err(wrong)?;
        match std::fs::read_to_string(folder.join(SETTINGS)) {
            // Where there is no result nothing is lost.
            _ if written.is_empty() => {
                crate::files::write(folder, SETTINGS, text.as_bytes())?;
            }
            Ok(known) if !is_same_run(&known, settings) => {
                return Err(format!(
                    "{} is of another run; give the same options as before, or choose another folder with --out:\n{}",
                    path.display(),
                    differences(&known, &text)
                ));
            }
            Ok(_) => {}
            Err(_) => {
                return Err(format!(
                    "{} is missing or cannot be read, and nothing else says what {RESULTS} beside it is of; choose another folder with --out",
                    folder.join(SETTINGS).display()
                ));
            }
        }
        let (records, length) = whole_groups(&written, groups, metrics).map_err(|line| {
            format!(
                "{}: line {line} is not what this run would write: the file was changed; mend it, or choose another folder with --out",
                path.display()
            )
        })?;
        file.set_len(length as u64).map_err(wrong)?;
        file.seek(SeekFrom::End(0)).map_err(wrong)?;
        Ok(Self { file, path, records })
    }

    /// Appends a group.
    pub fn append(&mut self, group: Vec<Record>) -> Result<(), String> {
        let mut lines = Vec::new();
        for record in &group {
            serde_json::to_writer(&mut lines, record).map_err(|error| error.to_string())?;
            lines.push(b'\n');
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        written.map_err(|error| format!("{} cannot be written: {error}", self.path.display()))?;
        // As they are read again: what is made of them must not depend on when they were.
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            self.records.push(serde_json::from_slice(line).map_err(|error| error.to_string())?);
        }
        Ok(())
    }
}

/// Refuses a folder with results where `resume` is not asked for.
pub fn check_free(folder: &Path, resume: bool) -> Result<(), String> {
    let path = folder.join(RESULTS);
    let has_results = std::fs::metadata(&path).is_ok_and(|found| found.len() > 0);
    match !resume && has_results {
        true => Err(format!(
            "{} is there already; go on with --resume, or choose another folder with --out",
            path.display()
        )),
        false => Ok(()),
    }
}

/// The records of the first groups that are whole, and their length in bytes. What a run that was
/// cut off leaves behind them, the beginning of a group, does not count.
///
/// # Errors
///
/// The number of the first line, from 1, that is no line of these groups.
fn whole_groups(
    written: &[u8],
    groups: impl Iterator<Item = (String, String, u32)>,
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

/// Whether the settings that are there are these, but for how they were asked for.
fn is_same_run(known: &str, settings: &serde_json::Value) -> bool {
    let without = |mut own: serde_json::Value| {
        own.as_object_mut().map(|own| own.remove("run"));
        own
    };
    let Ok(known) = serde_json::from_str::<serde_json::Value>(known) else { return false };
    // As they are read again.
    let now = serde_json::from_str(&settings.to_string()).unwrap_or_default();
    without(known) == without(now)
}

/// The lines in which two settings differ.
fn differences(before: &str, now: &str) -> String {
    let only = |mark: &str, a: &str, b: &str| -> Vec<String> {
        let missing = |line: &&str| !b.lines().any(|other| other == *line);
        a.lines().filter(missing).map(|line| format!("  {mark} {}", line.trim())).collect()
    };
    [only("then", before, now), only("now ", now, before)].concat().join("\n")
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
    fn a_run_that_was_cut_anywhere_ends_with_the_same_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let groups: Vec<_> = (0..4).map(|i| (format!("p{i}"), "adaptgrad".to_owned(), 0)).collect();
        let metrics = ["sparseness", "deletion"];
        let settings = serde_json::json!({ "seed": 0 });
        let open = |resume| {
            Results::open(folder.path(), resume, &settings, groups.iter().cloned(), &metrics)
        };
        let finish = |results: &mut Results| {
            for (picture, ..) in &groups[results.records.len() / 2..] {
                let group = metrics.iter().map(|metric| record(picture, metric)).collect();
                results.append(group).expect("an appended group");
            }
        };
        finish(&mut open(false).expect("new results"));
        let whole = std::fs::read(folder.path().join(RESULTS)).expect("the results");
        assert!(open(false).is_err_and(|message| message.contains("--resume")));
        for cut in 0..=whole.len() {
            std::fs::write(folder.path().join(RESULTS), &whole[..cut]).expect("a cut file");
            let mut results = open(true).expect("results");
            assert_eq!(results.records.len() % 2, 0, "whole groups alone");
            finish(&mut results);
            assert_eq!(std::fs::read(&results.path).expect("the results"), whole, "cut at {cut}");
            assert_eq!(results.records.len(), 8);
        }
        let two = open(true).map(|_first| open(true).map(drop)).expect("results");
        assert!(two.is_err_and(|message| message.contains("is being written by another run")));
        // What was changed before the end is not thrown away.
        let changed = String::from_utf8_lossy(&whole).replacen("p2", "p9", 1);
        std::fs::write(folder.path().join(RESULTS), &changed).expect("a changed file");
        assert!(open(true).is_err_and(|message| message.contains("line 5 is not what this run")));
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
            let expected = format!("line {line} is not what this run");
            let message = open(true).map(drop).expect_err(&expected);
            assert!(message.contains(&expected), "{message}");
        }
        std::fs::write(folder.path().join(RESULTS), &whole).expect("the results");
        let other = serde_json::json!({ "seed": 1 });
        let refused = Results::open(folder.path(), true, &other, groups.iter().cloned(), &metrics);
        assert!(refused.is_err_and(|message| message.contains("now  \"seed\": 1")));
        std::fs::remove_file(folder.path().join(SETTINGS)).expect("no settings");
        assert!(open(true).is_err_and(|message| message.contains("settings.json is missing")));
        std::fs::write(folder.path().join(RESULTS), "").expect("no results");
        // Without results the settings of another run are in nobody's way.
        std::fs::write(folder.path().join(SETTINGS), "{}").expect("other settings");
        finish(&mut open(true).expect("results"));
        assert_eq!(std::fs::read(folder.path().join(RESULTS)).expect("the results"), whole);
    }
}
