//! The classes' names.

use std::path::Path;

use serde_json::Value;

use crate::nearest::nearest;
use crate::{Fatal, assets};

/// The names of the classes in their order; empty where they are not known.
pub struct Labels(Vec<String>);

/// Files beside a model that may name its classes.
const BESIDE: [&str; 5] =
    ["config.json", "labels.txt", "synset.txt", "imagenet_classes.txt", "classes.txt"];

impl Labels {
    /// The names in `file`, or those of ImageNet for the built-in model: one per line, with or without the
    /// class's number or WordNet's in front; a CSV file with a column `label` or `name`; or JSON, a list, an
    /// object by number, or one with such an object under `id2label`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or understood.
    pub fn load(file: Option<&Path>, built_in: bool) -> Result<Self, Fatal> {
        let Some(path) = file else {
            return Ok(if built_in { Self::built_in() } else { Self(Vec::new()) });
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the labels {} cannot be read: {error}", path.display()))?;
        let read = parse(&text).map_err(|error| format!("the labels {}: {error}", path.display()));
        let names = read?.ok_or_else(|| {
            format!("{} names no classes; give a list, or an object under id2label", path.display())
        });
        Ok(Self(names?))
    }

    /// The names of ImageNet's classes.
    pub fn built_in() -> Self {
        Self(lines(assets::LABELS))
    }

    /// The names that the model's metadata or a file beside it gives to `classes` classes; none where there are
    /// none, or others.
    pub fn beside(model: &Path, metadata: &[(String, String)], classes: usize) -> Self {
        let entry = metadata.iter().find(|(key, _)| key == "names");
        let own = entry.and_then(|(_, text)| parse(text).ok()?);
        let folder = model.parent().unwrap_or(Path::new(""));
        let read = |name: &&str| {
            let text = std::fs::read_to_string(folder.join(name)).ok()?;
            parse(&text).ok()?
        };
        let mut found = own.into_iter().chain(BESIDE.iter().filter_map(read));
        Self(found.find(|names| names.len() == classes).unwrap_or_default())
    }

    /// Checks that there is a name for each of `classes`, or none at all.
    ///
    /// # Errors
    ///
    /// When the numbers differ.
    pub fn check(&self, classes: usize) -> Result<(), String> {
        match self.0.len() {
            0 => Ok(()),
            count if count == classes => Ok(()),
            count => Err(format!(
                "there are {count} labels, one per line, but the model has {classes} classes"
            )),
        }
    }

    /// All names, one per line.
    pub fn text(&self) -> String {
        self.0.join("\n")
    }

    /// The name of `class`, where it is known.
    pub fn name(&self, class: usize) -> Option<&str> {
        self.0.get(class).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Whether the names are not known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The classes called `name`, whatever the case.
    pub fn classes(&self, name: &str) -> Vec<usize> {
        let wanted = name.to_lowercase();
        let same = self.0.iter().enumerate().filter(|(_, label)| label.to_lowercase() == wanted);
        same.map(|(class, _)| class).collect()
    }

    /// The class that a `folder` of its pictures is called after, of a model with so many `classes`: its label,
    /// also with `_` for spaces, its index, or its synset among ImageNet's.
    pub fn of_folder(&self, folder: &str, classes: usize) -> Option<usize> {
        let label = |name: &str| match self.classes(name)[..] {
            [class] => Some(class),
            _ => None,
        };
        let synset = || {
            let synsets = || assets::SYNSETS.lines();
            synsets().position(|own| own == folder).filter(|_| classes == synsets().count())
        };
        let index = || folder.parse().ok().filter(|&index: &usize| index < classes);
        label(folder).or_else(|| label(&folder.replace('_', " "))).or_else(synset).or_else(index)
    }

    /// The class called `name`, whatever the case.
    ///
    /// # Errors
    ///
    /// When no class or several have the name; the message suggests near ones.
    pub fn class(&self, name: &str) -> Result<usize, String> {
        if self.is_empty() {
            return Err(format!(
                "the target {name:?} is a label, but the classes' names are not known; give them with --labels, or an index"
            ));
        }
        match self.classes(name)[..] {
            [class] => Ok(class),
            [] => Err(format!(
                "there is no label {name:?}; near ones are {}",
                nearest(&name.to_lowercase(), self.0.iter().map(String::as_str)).join(", ")
            )),
            ref classes => Err(format!(
                "{} classes are called {name:?}: give one of the indices {classes:?}",
                classes.len()
            )),
        }
    }
}

/// The names in a text; none in a JSON file of another kind.
fn parse(text: &str) -> Result<Option<Vec<String>>, String> {
    let trimmed = text.trim_start_matches('\u{feff}').trim_start();
    if trimmed.starts_with(['{', '[']) {
        let value: Value = serde_json::from_str(trimmed)
            // Ultralytics' exports have a dictionary as Python prints it.
            .or_else(|error| serde_json::from_str(&json_of_python(trimmed)).map_err(|_| error))
            .map_err(|error| format!("it is not JSON: {error}"))?;
        return Ok(of_json(&value));
    }
    let first = trimmed.lines().next().unwrap_or_default().to_lowercase();
    let columns: Vec<&str> = first.split(',').map(str::trim).collect();
    let named = |column: &&str| ["label", "name", "class_name"].contains(column);
    match columns.iter().position(named) {
        Some(column) if columns.len() > 1 => of_table(trimmed, column).map(Some),
        _ => Ok(Some(lines(trimmed))),
    }
}

/// A dictionary or list as Python prints it, `{0: 'a', 1: "it's"}`, as JSON.
fn json_of_python(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text.chars();
    // The brackets that are open, and whether a key of a dictionary comes next.
    let (mut open, mut is_key) = (Vec::new(), false);
    while let Some(character) = rest.next() {
        match character {
            quote @ ('\'' | '"') => {
                let mut inner = String::new();
                while let Some(character) = rest.next().filter(|own| *own != quote) {
                    inner.push(match character {
                        '\\' => rest.next().unwrap_or('\\'),
                        character => character,
                    });
                }
                made.push_str(&Value::String(inner).to_string());
                is_key = false;
            }
            '0'..='9' if is_key => {
                let digits = rest.by_ref().take_while(|own| *own != ':');
                let number: String = std::iter::once(character).chain(digits).collect();
                made.push_str(&format!("{:?}:", number.trim()));
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
                    own => is_key && own.is_whitespace(),
                };
                made.push(character);
            }
        }
    }
    made
}

/// A list, an object by number, or one of these under `id2label`; of a list of names the last.
fn of_json(value: &Value) -> Option<Vec<String>> {
    let name = |own: &Value| match own {
        Value::Array(names) => names.last().and_then(Value::as_str).map(str::to_owned),
        own => own.as_str().map(str::to_owned),
    };
    match value {
        Value::Array(all) => all.iter().map(name).collect(),
        Value::Object(all) => match all.get("id2label") {
            Some(inner) => of_json(inner),
            None => {
                let mut names = vec![String::new(); all.len()];
                for (key, own) in all {
                    *names.get_mut(key.parse::<usize>().ok()?)? = name(own)?;
                }
                (!names.is_empty()).then_some(names)
            }
        },
        _ => None,
    }
}

fn of_table(text: &str, column: usize) -> Result<Vec<String>, String> {
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let name = |row: csv::Result<csv::StringRecord>| match row {
        Ok(row) => Ok(row.get(column).unwrap_or_default().trim().to_owned()),
        Err(error) => Err(format!("it is not a CSV file: {error}")),
    };
    table.records().map(name).collect()
}

/// A name for each line, without the class's own number or that of its synset in WordNet in front.
fn lines(text: &str) -> Vec<String> {
    let all: Vec<&str> = text.lines().map(str::trim).collect();
    let each = |strip: &dyn Fn(usize, &str) -> Option<String>| {
        all.iter().enumerate().map(|(at, line)| strip(at, line)).collect::<Option<Vec<String>>>()
    };
    let of_synset = |_: usize, line: &str| {
        let (synset, names) = line.split_once(char::is_whitespace)?;
        let digits = synset.strip_prefix('n').filter(|digits| digits.len() == 8)?;
        let first = names.split(',').next().unwrap_or_default();
        digits.parse::<u32>().ok().map(|_| first.trim().to_owned())
    };
    let numbered = |at: usize, line: &str| {
        let rest = line.strip_prefix(&at.to_string())?;
        rest.strip_prefix([',', ':', ' ', '\t']).map(|name| name.trim().to_owned())
    };
    each(&of_synset)
        .or_else(|| each(&numbered))
        .unwrap_or_else(|| all.iter().map(|&line| line.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_kind_are_read() {
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
        let same = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(same(&json_of_python(quoted)), same(json));
        for text in cases {
            let names = parse(text).unwrap().unwrap_or_else(|| panic!("{text}"));
            let second = if text.starts_with('n') { "goldfish" } else { "goldfish, gold" };
            assert_eq!(names, ["tench", second], "{text}");
        }
        assert_eq!(parse(r#"{"model_type": "vit"}"#), Ok(None));
        assert!(parse("{").is_err());
    }

    #[test]
    fn names_are_found_beside_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.onnx");
        let found = |metadata: &[(String, String)], classes| {
            Labels::beside(&model, metadata, classes).text()
        };
        assert_eq!(found(&[], 2), "");
        let config = r#"{"id2label": {"0": "cat", "1": "dog"}}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        assert_eq!((found(&[], 2), found(&[], 3)), ("cat\ndog".into(), String::new()));
        let names = [("names".to_owned(), "{0: 'wolf', 1: 'fox'}".to_owned())];
        assert_eq!(found(&names, 2), "wolf\nfox");
    }

    #[test]
    fn folders_are_called_after_classes() {
        let labels = Labels::built_in();
        for name in ["n02124075", "Egyptian cat", "egyptian_cat", "285"] {
            assert_eq!(labels.of_folder(name, 1000), Some(285), "{name}");
        }
        assert_eq!(labels.of_folder("photos", 1000), None);
        let two = Labels(vec!["cat".into(), "dog".into()]);
        assert_eq!((two.of_folder("n02124075", 2), two.of_folder("dog", 2)), (None, Some(1)));
    }

    #[test]
    fn labels_are_found_or_suggested() {
        let labels = Labels::built_in();
        assert_eq!(labels.class("egyptian Cat"), Ok(285));
        let message = labels.class("egyptain cat").unwrap_err();
        let expected = "there is no label \"egyptain cat\"; near ones are \"Egyptian cat\"";
        assert!(message.starts_with(expected), "{message}");
        let twice = Labels(vec!["crane".into(), "tench".into(), "crane".into()]);
        let message = twice.class("Crane").unwrap_err();
        assert_eq!(message, "2 classes are called \"Crane\": give one of the indices [0, 2]");
    }
}
