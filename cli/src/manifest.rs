//! The manifest: what was explained, how, and what it cost.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use attriburn::{Baseline, Plan, Score};
use attriburn_onnx::{OnnxModel, Quantization};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::args::{Given, QUANTIZATIONS, WithModelArgs};
use crate::preprocess::Part;

/// The version of the manifest's layout.
pub const SCHEMA_VERSION: u32 = 2;

#[derive(Serialize)]
pub struct Manifest<'a> {
    pub schema_version: u32,
    pub program: Program,
    pub device: &'a str,
    pub run: Run<'a>,
    pub model: &'a ModelFile,
    pub image: Image<'a>,
    pub domain: Bounds<'a>,
    pub target: &'a Target,
    pub methods: Vec<Method>,
}

/// How the maps were asked for: what `--like` takes.
#[derive(Clone, Serialize)]
pub struct Run<'a> {
    /// The options that were given, by their long names.
    pub options: &'a BTreeMap<String, Vec<String>>,
    /// What was explained, where it can be named on the command line.
    pub inputs: BTreeMap<&'static str, Vec<String>>,
    /// What the maps depend on besides the picture and the target, as a checksum.
    pub key: &'a str,
}

#[derive(Serialize)]
pub struct Program {
    pub name: &'static str,
    pub version: &'static str,
}

pub const PROGRAM: Program = Program { name: "attriburn", version: env!("CARGO_PKG_VERSION") };

#[derive(Clone, Serialize)]
pub struct File {
    pub path: String,
    pub sha256: String,
}

impl File {
    pub fn new(path: String, bytes: &[u8]) -> Self {
        Self { path, sha256: sha256(bytes) }
    }

    /// The file at `path`.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let mut checksum = Sha256::new();
        let mut file = BufReader::with_capacity(1 << 20, std::fs::File::open(path)?);
        loop {
            let bytes = file.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            checksum.update(bytes);
            let read = bytes.len();
            file.consume(read);
        }
        Ok(Self { path: path.display().to_string(), sha256: digits(&checksum.finalize()) })
    }
}

/// The checksum of bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    digits(&Sha256::digest(bytes))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A model, and the files beside it that hold its weights.
#[derive(Clone, Serialize)]
pub struct ModelFile {
    #[serde(flatten)]
    pub file: File,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<File>,
    /// The types of floats that it is stored in, other than the float32 that it is computed in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stored_in: Vec<String>,
    /// The values of its other inputs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, File>,
    /// The weights of its output's positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<File>,
    /// What becomes of the rounding, where it is quantized.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<&'static str>,
}

impl ModelFile {
    /// A file of float32 alone.
    pub fn new(file: File) -> Self {
        let (weights, stored_in, fixed) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { file, weights, stored_in, fixed, mask: None, quantization: None }
    }

    /// The one that `model` was read from.
    pub fn read(path: &Path, model: &OnnxModel, args: &WithModelArgs) -> std::io::Result<Self> {
        let weights = model.weight_files().iter().map(|path| File::read(path));
        let stored_in = model.summary().other_floats().into_iter().map(str::to_owned).collect();
        let weights = weights.collect::<std::io::Result<_>>()?;
        let quantization = model.quantization().and_then(quantization_name);
        let pairs = args.tensors.fixed.iter();
        let fixed = pairs.map(|(name, path)| Ok((name.clone(), File::read(path)?)));
        let fixed = fixed.collect::<std::io::Result<_>>()?;
        let mask = args.mask.as_deref().map(File::read).transpose()?;
        Ok(Self { file: File::read(path)?, weights, stored_in, fixed, mask, quantization })
    }
}

#[derive(Serialize)]
pub struct Image<'a> {
    #[serde(flatten)]
    pub file: &'a File,
    /// How the picture became an input; none for an array used as it is.
    pub preprocess: Option<String>,
    /// Its parts, and where each of them comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preprocess_parts: Option<BTreeMap<&'static str, &'a Part>>,
}

#[derive(Serialize)]
pub struct Bounds<'a> {
    pub lower: &'a [f32],
    pub upper: &'a [f32],
}

/// What was explained.
#[derive(Clone, Serialize)]
pub struct Target {
    /// `class`, `against`, `difference` or `contrast`.
    pub kind: &'static str,
    pub index: usize,
    pub label: Option<String>,
    pub logit: f32,
    /// None where the scores are no logits of a softmax.
    pub probability: Option<f64>,
    /// The classes that it is held against.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Class>,
    /// The class that the picture's folder is called after, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Class>,
}

/// A class and its name.
#[derive(Clone, Serialize)]
pub struct Class {
    pub index: usize,
    pub label: Option<String>,
}

impl Target {
    /// What kind of score it is.
    pub fn kind(score: &Score) -> &'static str {
        match score {
            Score::Class(_) => "class",
            Score::Against(_) => "against",
            Score::Contrast { others, .. } if others.len() == 1 => "difference",
            Score::Contrast { .. } => "contrast",
            Score::Function(_) => "function",
        }
    }

    /// The name of its folder among those of other targets.
    pub fn folder(&self) -> String {
        match (self.kind, &self.others[..]) {
            ("against", _) => format!("not-{}", self.index),
            (_, []) => self.index.to_string(),
            (_, [other]) => format!("{}-{}", self.index, other.index),
            (_, others) => format!("{}-top{}", self.index, others.len() + 1),
        }
    }

    /// The class with its probability, for a person.
    pub fn title(&self) -> String {
        let name = |label: &Option<String>, index: usize| match label {
            Some(label) => format!("{label}, class {index}"),
            None => format!("class {index}"),
        };
        let own = name(&self.label, self.index);
        let own = match self.probability {
            Some(probability) => format!("{own} ({:.1} %)", 100.0 * probability),
            None => format!("{own} (score {:.3})", self.logit),
        };
        match &self.others[..] {
            [] if self.kind == "against" => format!("against {own}"),
            [] => own,
            [other] => format!("{own}, and not {}", name(&other.label, other.index)),
            others => format!("{own}, against the {} most likely others", others.len()),
        }
    }
}

#[derive(Serialize)]
pub struct Method {
    pub name: String,
    /// The plan as [`Plan`] is written, but for a baseline's values, in whose place its file is named.
    pub plan: Value,
    pub files: Vec<String>,
    pub seconds: f64,
    pub gradients: u64,
    pub samples: u64,
    pub left_out: u64,
    pub batch: usize,
    pub notes: Vec<String>,
    pub relative_standard_error: Option<f64>,
    pub completeness_gap: Option<f64>,
}

/// A plan as it is written; `baseline` is the file of its baseline's values.
pub fn written(plan: &Plan, baseline: Option<&File>) -> Result<Value, serde_json::Error> {
    let mut plan = plan.clone();
    let from_file = plan.path.as_mut().filter(|path| matches!(path.baseline, Baseline::Values(_)));
    let is_from_file = from_file.map(|path| path.baseline = Baseline::Values(Vec::new())).is_some();
    let mut value = serde_json::to_value(&plan)?;
    if is_from_file {
        value["path"]["baseline"] = serde_json::to_value(baseline)?;
    }
    Ok(value)
}

/// The parts of a manifest that say whether it is of the same maps.
#[derive(Deserialize)]
pub struct Known {
    run: KnownRun,
    image: KnownFile,
    target: KnownTarget,
    methods: Vec<KnownMethod>,
}

#[derive(Deserialize)]
struct KnownRun {
    key: String,
}

#[derive(Deserialize)]
struct KnownFile {
    sha256: String,
}

#[derive(Deserialize)]
struct KnownTarget {
    kind: String,
    index: usize,
    #[serde(default)]
    others: Vec<KnownClass>,
}

#[derive(Deserialize)]
struct KnownClass {
    index: usize,
}

#[derive(Deserialize)]
struct KnownMethod {
    name: String,
    files: Vec<String>,
}

impl Known {
    /// The manifest in a folder, where there is one that can be read.
    pub fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join(MANIFEST)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Whether it is of maps with this `key` by all these `methods` of this `score` of this `image`, and all its
    /// files are there.
    pub fn is_of(
        &self,
        key: &str,
        methods: &[&str],
        score: &Score,
        image: &File,
        folder: &Path,
    ) -> bool {
        let made = self.methods.iter().map(|method| method.name.as_str());
        let others = self.target.others.iter().map(|other| other.index);
        let files = self.methods.iter().flat_map(|method| &method.files);
        self.run.key == key
            && made.eq(methods.iter().copied())
            && self.image.sha256 == image.sha256
            && (self.target.kind.as_str(), Some(self.target.index))
                == (Target::kind(score), score.class())
            && others.eq(score.others().iter().copied())
            && files.into_iter().all(|file| folder.join(file).is_file())
    }
}

/// The manifest's file, in the folder of its maps.
pub const MANIFEST: &str = "manifest.json";

/// The options that a manifest records of an input.
pub fn options_of(given: &Given) -> BTreeMap<String, Vec<String>> {
    let of_all = ["inputs", "files-from"];
    let own = given.options.iter().filter(|(name, _)| !of_all.contains(&name.as_str()));
    own.map(|(name, values)| (name.clone(), values.clone())).collect()
}

/// The name of a quantization.
fn quantization_name(own: Quantization) -> Option<&'static str> {
    QUANTIZATIONS.iter().find(|(other, _)| *other == own).map(|(_, name)| *name)
}
