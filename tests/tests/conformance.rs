//! ONNX's own conformance cases against the committed list `conformance.tsv`: each case either agrees with
//! the expected outputs, or is refused with the listed reason. A wrong output is never listed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attriburn_onnx::{HostTensor, evaluate};
use attriburn_tests::data;

/// The outcome of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Status {
    Passes,
    /// The model or its data were refused with this message.
    Refused(String),
    /// An output differs from the expected one as described.
    Wrong(String),
}

impl Status {
    /// Returns the status and its reason as written in the list.
    fn columns(&self) -> (&'static str, String) {
        match self {
            Status::Passes => ("passes", String::new()),
            Status::Refused(reason) => ("refused", reason.clone()),
            Status::Wrong(reason) => ("wrong", reason.clone()),
        }
    }
}

/// Reads the tensors `NAME_0.pb`, `NAME_1.pb`, ... in `folder`.
fn tensors(folder: &Path, name: &str) -> Result<Vec<HostTensor>, String> {
    (0..)
        .map(|index| folder.join(format!("{name}_{index}.pb")))
        .take_while(|path| path.exists())
        .map(|path| {
            let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
            HostTensor::parse(&bytes).map_err(|error| error.to_string())
        })
        .collect()
}

/// Runs the case in `folder` and compares its outputs with the expected ones.
fn run_case(folder: &Path) -> Status {
    let model = folder.join("model.onnx");
    let found = tensors(folder, "input")
        .and_then(|inputs| evaluate(&model, inputs).map_err(|error| error.to_string()));
    let (found, expected) = match (found, tensors(folder, "output")) {
        (Ok(found), Ok(expected)) => (found, expected),
        (Err(reason), _) | (_, Err(reason)) => {
            // The path of the model differs from machine to machine.
            let reason = reason.replace(&format!("{}: ", model.display()), "");
            return Status::Refused(reason.replace(['\t', '\n'], " "));
        }
    };
    if found.len() != expected.len() {
        return Status::Wrong(format!("{} outputs, expected {}", found.len(), expected.len()));
    }
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        if found.shape() != expected.shape() || found.element() != expected.element() {
            return Status::Wrong(format!(
                "output {index} is {} {:?}, expected {} {:?}",
                found.element(),
                found.shape(),
                expected.element(),
                expected.shape()
            ));
        }
        // ONNX's own tolerance, or a few rounding errors of the expected tensor's element type.
        let tolerance = 1e-3f64.max(4.0 * expected.precision());
        let (Ok(found), Ok(expected)) = (found.values(), expected.values()) else {
            return Status::Wrong(format!("output {index} cannot be read"));
        };
        let differs = |(a, b): &(&f64, &f64)| {
            let same = a == b || (a.is_nan() && b.is_nan());
            !(same || (*a - *b).abs() <= 1e-5 + tolerance * b.abs())
        };
        let count = found.iter().zip(&expected).filter(differs).count();
        if let Some((a, b)) = found.iter().zip(&expected).find(differs) {
            return Status::Wrong(format!(
                "{count} of {} values of output {index} differ: {a}, expected {b}",
                expected.len()
            ));
        }
    }
    Status::Passes
}

/// Reads the committed list: status and reason by `KIND/NAME`.
fn listed() -> BTreeMap<String, (String, String)> {
    let list = std::fs::read_to_string(data("conformance.tsv")).expect("the list");
    list.lines()
        .skip(1)
        .map(|line| {
            let mut columns = line.split('\t').map(str::to_owned);
            let mut column = || columns.next().unwrap_or_default();
            (column(), (column(), column()))
        })
        .collect()
}

/// Finds the cases `KIND/NAME` in `folder`.
fn cases(folder: &Path) -> BTreeMap<String, PathBuf> {
    let folders = |folder: &Path| {
        let entries = std::fs::read_dir(folder).expect("a folder of cases").flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    folders(folder)
        .iter()
        .flat_map(|kind| {
            folders(kind).into_iter().map(|case| (format!("{}/{}", name(kind), name(&case)), case))
        })
        .collect()
}

/// Runs all cases in `folder`. Returns their statuses, and a description of each difference from the list.
fn compare_with_list(folder: &Path) -> (BTreeMap<String, Status>, Vec<String>) {
    let listed = listed();
    let mut found = BTreeMap::new();
    let mut differences = Vec::new();
    for (name, case) in cases(folder) {
        let status = run_case(&case);
        let (word, reason) = status.columns();
        let (listed_word, listed_reason) = listed.get(&name).cloned().unwrap_or_default();
        if listed_word != word || listed_reason != reason {
            differences.push(format!(
                "{name}: listed {listed_word} {listed_reason}\n    found {word} {reason}"
            ));
        }
        found.insert(name, status);
    }
    (found, differences)
}

#[test]
fn list_contains_no_wrong_outputs() {
    let listed = listed();
    assert!(listed.len() > 1000, "{}", listed.len());
    assert!(listed.values().all(|(status, _)| status == "passes" || status == "refused"));
}

/// The cases that the repository stores.
#[test]
fn stored_cases_agree_with_the_list() {
    let (found, differences) = compare_with_list(&data("conformance"));
    assert!(found.len() >= 20, "{}", found.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// All cases, in the folder that the environment variable `ATTRIBURN_CONFORMANCE` names.
#[test]
#[ignore = "needs the cases that tests/data/conformance.py writes; .ci/conformance runs this test"]
fn all_cases_agree_with_the_list() {
    let folder = std::env::var("ATTRIBURN_CONFORMANCE").expect("ATTRIBURN_CONFORMANCE");
    let (found, mut differences) = compare_with_list(Path::new(&folder));
    let mut list = String::from("case\tstatus\treason\n");
    for (name, status) in &found {
        let (word, reason) = status.columns();
        list.push_str(&format!("{name}\t{word}\t{reason}\n"));
    }
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance.tsv");
    std::fs::write(&copy, list).expect("the current list is written");
    let missing = listed().into_keys().filter(|name| !found.contains_key(name));
    differences.extend(missing.map(|name| format!("{name}: listed, but the case does not exist")));
    println!("current list: {}", copy.display());
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
