//! The names of the classes.

use std::path::Path;

use serde_json::Value;

use crate::args::nearest;
use crate::assets;
use crate::exit::Fatal;

/// The names of the classes, in class order. Empty if unknown.
pub struct Labels(Vec<String>);

/// Files beside a model that may name its classes.
const FILES_BESIDE_MODEL: [&str; 5] =
    ["config.json", "labels.txt", "synset.txt", "imagenet_classes.txt", "classes.txt"];

impl Labels {
    /// Reads the names in `file`, or returns those of ImageNet for the built-in model. Formats of a file:
    ///
    /// - one name per line, with or without the class index or the WordNet synset in front;
    /// - CSV with a column `label`, `name` or `class_name`;
    /// - JSON: a list, an object with class indices as keys, or an object with either under `id2label`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or has none of these formats.
    pub fn load(file: Option<&Path>, built_in: bool) -> Result<Self, Fatal> {
        let Some(path) = file else {
            return Ok(if built_in { Self::built_in() } else { Self(Vec::new()) });
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the labels {} cannot be read: {error}", path.display()))?;
        let names =
            parse(&text).map_err(|error| format!("the labels {}: {error}", path.display()))?;
        let names = names.ok_or_else(|| {
            format!(
                "{} contains no class names; give a JSON list, or an object under id2label",
                path.display()
            )
        });
        Ok(Self(names?))
    }

    /// Returns the names of ImageNet's classes.
    pub fn built_in() -> Self {
        Self(names_from_lines(assets::LABELS))
    }

    /// Looks for the names of `classes` classes in the model's metadata, then in the files beside the model.
    /// Lists of another length are ignored; the result is empty if no list remains.
    pub fn find(model: &Path, metadata: &[(String, String)], classes: usize) -> Self {
        let entry = metadata.iter().find(|(key, _)| key == "names");
        let from_metadata = entry.and_then(|(_, text)| parse(text).ok()?);
        let folder = model.parent().unwrap_or(Path::new(""));
        let read = |name: &&str| {
            let text = std::fs::read_to_string(folder.join(name)).ok()?;
            parse(&text).ok()?
        };
        let mut lists = from_metadata.into_iter().chain(FILES_BESIDE_MODEL.iter().filter_map(read));
        Self(lists.find(|names| names.len() == classes).unwrap_or_default())
    }

    /// Checks that there is one name for each of `classes` classes, or no name at all.
    ///
    /// # Errors
    ///
    /// When the numbers differ.
    pub fn check(&self, classes: usize) -> Result<(), String> {
        match self.0.len() {
            0 => Ok(()),
            count if count == classes => Ok(()),
            count => Err(format!(
                "there are {count} labels, but the model has {classes} classes; give one label per class with --labels"
            )),
        }
    }

    /// Returns all names, one per line.
    pub fn text(&self) -> String {
        self.0.join("\n")
    }

    /// Returns the name of `class`, if known.
    pub fn name(&self, class: usize) -> Option<&str> {
        self.0.get(class).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Returns whether the names are unknown.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the classes called `name`, ignoring case.
    pub fn classes(&self, name: &str) -> Vec<usize> {
        let name = name.to_lowercase();
        let same = self.0.iter().enumerate().filter(|(_, label)| label.to_lowercase() == name);
        same.map(|(class, _)| class).collect()
    }

    /// Returns the class that a folder of images is named after, for a model of `classes` classes: by label
    /// (also with `_` for spaces), by ImageNet synset, or by index.
    pub fn class_of_folder(&self, folder: &str, classes: usize) -> Option<usize> {
        let label = |name: &str| match self.classes(name)[..] {
            [class] => Some(class),
            _ => None,
        };
        let synset = || {
            let synsets = || assets::SYNSETS.lines();
            synsets().position(|synset| synset == folder).filter(|_| classes == synsets().count())
        };
        let index = || folder.parse().ok().filter(|&index: &usize| index < classes);
        label(folder).or_else(|| label(&folder.replace('_', " "))).or_else(synset).or_else(index)
    }

    /// Returns the class called `name`, ignoring case.
    ///
    /// # Errors
    ///
    /// When no class, or more than one, has the name. The message suggests similar names.
    pub fn class(&self, name: &str) -> Result<usize, String> {
        if self.is_empty() {
            return Err(format!(
                "the target {name:?} is a label, but the class names are unknown; give them with --labels, or give a class index"
            ));
        }
        match self.classes(name)[..] {
            [class] => Ok(class),
            [] => Err(format!(
                "there is no label {name:?}; similar labels: {}",
                nearest(&name.to_lowercase(), self.0.iter().map(String::as_str)).join(", ")
            )),
            ref classes => Err(format!(
                "{} classes are called {name:?}: give one of the indices {classes:?}",
                classes.len()
            )),
        }
    }
}

/// Parses the names in a text of any format. Returns `None` for JSON without class names.
fn parse(text: &str) -> Result<Option<Vec<String>>, String> {
    let trimmed = text.trim_start_matches('\u{feff}').trim_start();
    if trimmed.starts_with(['{', '[']) {
        let value: Value = serde_json::from_str(trimmed)
            // Ultralytics writes a dictionary in Python's syntax.
            .or_else(|error| serde_json::from_str(&python_to_json(trimmed)).map_err(|_| error))
            .map_err(|error| format!("not valid JSON: {error}"))?;
        return Ok(names_from_json(&value));
    }
    let first = trimmed.lines().next().unwrap_or_default().to_lowercase();
    let columns: Vec<&str> = first.split(',').map(str::trim).collect();
    let has_names = |column: &&str| ["label", "name", "class_name"].contains(column);
    match columns.iter().position(has_names) {
        Some(column) if columns.len() > 1 => names_from_csv(trimmed, column).map(Some),
        _ => Ok(Some(names_from_lines(trimmed))),
    }
}

/// Converts a dictionary or list in Python's syntax, such as `{0: 'a', 1: "it's"}`, to JSON.
fn python_to_json(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    let mut rest = text.chars();
    // The open brackets, and whether a dictionary key comes next.
    let (mut open, mut is_key) = (Vec::new(), false);
    while let Some(character) = rest.next() {
        match character {
            quote @ ('\'' | '"') => {
                let mut inner = String::new();
                while let Some(character) = rest.next().filter(|next| *next != quote) {
                    inner.push(match character {
                        '\\' => rest.next().unwrap_or('\\'),
                        character => character,
                    });
                }
                json.push_str(&Value::String(inner).to_string());
                is_key = false;
            }
            '0'..='9' if is_key => {
                let digits = rest.by_ref().take_while(|next| *next != ':');
                let number: String = std::iter::once(character).chain(digits).collect();
                json.push_str(&format!("{:?}:", number.trim()));
                is_key = false;
            }
            _ => {
                match character {
                    '{' | '[' => open.push(character),
                    '}' | ']' => drop(open.pop()),
                    _ => {}
                }
                is_key = match character {
                    '{' | ',' => open.last() == Some(&'{'),
                    character => is_key && character.is_whitespace(),
                };
                json.push(character);
            }
        }
    }
    json
}

/// Returns the names in a list, in an object with class indices as keys, or in either under `id2label`. A
/// class with a list of names gets the last name.
fn names_from_json(value: &Value) -> Option<Vec<String>> {
    let name = |value: &Value| match value {
        Value::Array(names) => names.last().and_then(Value::as_str).map(str::to_owned),
        value => value.as_str().map(str::to_owned),
    };
    match value {
        Value::Array(values) => values.iter().map(name).collect(),
        Value::Object(entries) => match entries.get("id2label") {
            Some(inner) => names_from_json(inner),
            None => {
                let mut names = vec![String::new(); entries.len()];
                for (key, value) in entries {
                    *names.get_mut(key.parse::<usize>().ok()?)? = name(value)?;
                }
                (!names.is_empty()).then_some(names)
            }
        },
        _ => None,
    }
}

fn names_from_csv(text: &str, column: usize) -> Result<Vec<String>, String> {
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let name = |row: csv::Result<csv::StringRecord>| match row {
        Ok(row) => Ok(row.get(column).unwrap_or_default().trim().to_owned()),
        Err(error) => Err(format!("not a valid CSV file: {error}")),
    };
    table.records().map(name).collect()
}

/// Returns one name per line. A WordNet synset or the class index in front is removed if every line has it.
fn names_from_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let strip_all = |strip: &dyn Fn(usize, &str) -> Option<String>| {
        lines.iter().enumerate().map(|(i, line)| strip(i, line)).collect::<Option<Vec<String>>>()
    };
    let strip_synset = |_: usize, line: &str| {
        let (synset, names) = line.split_once(char::is_whitespace)?;
        let digits = synset.strip_prefix('n').filter(|digits| digits.len() == 8)?;
        let first = names.split(',').next().unwrap_or_default();
        digits.parse::<u32>().ok().map(|_| first.trim().to_owned())
    };
    let strip_index = |index: usize, line: &str| {
        let rest = line.strip_prefix(&index.to_string())?;
        rest.strip_prefix([',', ':', ' ', '\t']).map(|name| name.trim().to_owned())
    };
    strip_all(&strip_synset)
        .or_else(|| strip_all(&strip_index))
        .unwrap_or_else(|| lines.iter().map(|&line| line.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_every_format() {
        let cases = [
            "tench\ngoldfish, gold\n",
            "0: tench\n1: goldfish, gold",
            "n01440764 tench, Tinca tinca\nn01443537 goldfish, gold",
            "index,label\n0,tench\n1,\"goldfish, gold\"\n",
            r#"["tench", "goldfish, gold"]"#,
            r#"{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish, gold"]}"#,
            r#"{"model_type": "vit", "id2label": {"1": "goldfish, gold", "0": "tench"}}"#,
            r#"{0: "tench", 1: "goldfish, gold"}"#,
            r#"{0: 'tench', 1: 'goldfish, gold'}"#,
            r#"{"depths": [2, 2, 6], "id2label": {"0": "tench", "1": "goldfish, gold"}}"#,
            r#"{'sizes': [2, 6], 'id2label': {0: 'tench', 1: "goldfish, gold"}}"#,
        ];
        let quoted = r#"{0: 'yellow lady\'s slipper', 1: "jack-o'-lantern", 10: "x"}"#;
        let json = r#"{"0":"yellow lady's slipper","1":"jack-o'-lantern","10":"x"}"#;
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&python_to_json(quoted)), value(json));
        for text in cases {
            let names = parse(text).unwrap().unwrap_or_else(|| panic!("{text}"));
            let second = if text.starts_with('n') { "goldfish" } else { "goldfish, gold" };
            assert_eq!(names, ["tench", second], "{text}");
        }
        assert_eq!(parse(r#"{"model_type": "vit"}"#), Ok(None));
        assert!(parse("{").is_err());
    }

    #[test]
    fn find_prefers_metadata_to_files_and_checks_the_number_of_classes() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.onnx");
        let found =
            |metadata: &[(String, String)], classes| Labels::find(&model, metadata, classes).text();
        assert_eq!(found(&[], 2), "");
        let config = r#"{"id2label": {"0": "cat", "1": "dog"}}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        assert_eq!((found(&[], 2), found(&[], 3)), ("cat\ndog".into(), String::new()));
        let names = [("names".to_owned(), "{0: 'wolf', 1: 'fox'}".to_owned())];
        assert_eq!(found(&names, 2), "wolf\nfox");
    }

    #[test]
    fn class_of_folder_accepts_synset_label_and_index() {
        let labels = Labels::built_in();
        for name in ["n02124075", "Egyptian cat", "egyptian_cat", "285"] {
            assert_eq!(labels.class_of_folder(name, 1000), Some(285), "{name}");
        }
        assert_eq!(labels.class_of_folder("photos", 1000), None);
        let two = Labels(vec!["cat".into(), "dog".into()]);
        assert_eq!(
            (two.class_of_folder("n02124075", 2), two.class_of_folder("dog", 2)),
            (None, Some(1))
        );
    }

    #[test]
    fn class_finds_a_label_or_suggests_similar_ones() {
        let labels = Labels::built_in();
        assert_eq!(labels.class("egyptian Cat"), Ok(285));
        let message = labels.class("egyptain cat").unwrap_err();
        let expected = "there is no label \"egyptain cat\"; similar labels: \"Egyptian cat\"";
        assert!(message.starts_with(expected), "{message}");
        let twice = Labels(vec!["crane".into(), "tench".into(), "crane".into()]);
        let message = twice.class("Crane").unwrap_err();
        assert_eq!(message, "2 classes are called \"Crane\": give one of the indices [0, 2]");
    }
}
