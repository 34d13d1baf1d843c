//! ONNX's own conformance cases: what passes, and why the others are refused. No case may give
//! another answer than ONNX's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attriburn_onnx::{HostTensor, evaluate};
use attriburn_tests::data;

/// How a case ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Status {
    Passes,
    Refused(String),
    Wrong(String),
}

impl Status {
    /// The status and its reason as a line of the list has them; paths are those of one machine.
    fn line(&self) -> (&'static str, String) {
        match self {
            Status::Passes => ("passes", String::new()),
            Status::Refused(reason) => ("refused", reason.clone()),
            Status::Wrong(reason) => ("wrong", reason.clone()),
        }
    }
}

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

/// Runs the case in `folder`.
fn status(folder: &Path) -> Status {
    let model = folder.join("model.onnx");
    let found = tensors(folder, "input")
        .and_then(|inputs| evaluate(&model, inputs).map_err(|error| error.to_string()));
    let (found, expected) = match (found, tensors(folder, "output")) {
        (Ok(found), Ok(expected)) => (found, expected),
        (Err(reason), _) | (_, Err(reason)) => {
            let reason = reason.replace(&format!("{}: ", model.display()), "");
            return Status::Refused(reason.replace(['\t', '\n'], " "));
        }
    };
    if found.len() != expected.len() {
        return Status::Wrong(format!("{} outputs, not {}", found.len(), expected.len()));
    }
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        if found.shape() != expected.shape() || found.element() != expected.element() {
            return Status::Wrong(format!(
                "output {index} is {} {:?}, not {} {:?}",
                found.element(),
                found.shape(),
                expected.element(),
                expected.shape()
            ));
        }
        // ONNX's own tolerance, or what several roundings to the type of the expected values make.
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
                "{count} of {} values of output {index} differ: {a}, not {b}",
                expected.len()
            ));
        }
    }
    Status::Passes
}

/// The committed list: kind/name, status and reason.
fn expected() -> BTreeMap<String, (String, String)> {
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

/// What differs from the list among the cases in `folder`.
fn drift(folder: &Path) -> (BTreeMap<String, Status>, Vec<String>) {
    let expected = expected();
    let mut found = BTreeMap::new();
    let mut drift = Vec::new();
    for (name, case) in cases(folder) {
        let status = status(&case);
        let (word, reason) = status.line();
        let (listed, why) = expected.get(&name).cloned().unwrap_or_default();
        if listed != word || why != reason {
            drift.push(format!("{name}: listed {listed} {why}\n    found {word} {reason}"));
        }
        found.insert(name, status);
    }
    (found, drift)
}

#[test]
fn no_case_is_listed_with_a_wrong_answer() {
    let expected = expected();
    assert!(expected.len() > 1000, "{}", expected.len());
    assert!(expected.values().all(|(status, _)| status == "passes" || status == "refused"));
}

/// The cases that are part of the repository.
#[test]
fn a_part_is_as_the_list_says() {
    let (found, drift) = drift(&data("conformance"));
    assert!(found.len() >= 20, "{}", found.len());
    assert!(drift.is_empty(), "{}", drift.join("\n"));
}

/// All cases, in the folder that `ATTRIBURN_CONFORMANCE` names; `tests/data/conformance.py` makes it.
#[test]
#[ignore = "needs the folder that tests/data/conformance.py makes: .ci/conformance runs it"]
fn all_are_as_the_list_says() {
    let folder = std::env::var("ATTRIBURN_CONFORMANCE").expect("ATTRIBURN_CONFORMANCE");
    let (found, mut drift) = drift(Path::new(&folder));
    let mut list = String::from("case\tstatus\treason\n");
    for (name, status) in &found {
        let (word, reason) = status.line();
        list.push_str(&format!("{name}\t{word}\t{reason}\n"));
    }
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance.tsv");
    std::fs::write(&copy, list).expect("the list as it is");
    let missing = expected().into_keys().filter(|name| !found.contains_key(name));
    drift.extend(missing.map(|name| format!("{name}: listed, but there is no such case")));
    println!("the list as it is: {}", copy.display());
    assert!(drift.is_empty(), "{} differ:\n{}", drift.len(), drift.join("\n"));
}
