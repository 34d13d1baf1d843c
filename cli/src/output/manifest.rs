//! The manifest: the model, the image, the settings, the results and the cost of a set of maps.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use attriburn::{Baseline, Plan, Score};
use attriburn_onnx::{OnnxModel, Quantization};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::args::{QUANTIZATIONS, RunOptions, WithModelArgs};
use crate::setup::preprocess::PreprocessPart;

/// The version of the manifest's JSON layout.
pub const SCHEMA_VERSION: u32 = 3;

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

/// The options of the run, which `--like` repeats.
#[derive(Clone, Serialize)]
pub struct Run<'a> {
    /// The options that were set, by long name.
    pub options: &'a BTreeMap<String, Vec<String>>,
    /// The input, if the command line can name it.
    pub inputs: BTreeMap<&'static str, Vec<String>>,
    /// A checksum of everything that the maps depend on, except the image and the target.
    pub key: &'a str,
}

#[derive(Serialize)]
pub struct Program {
    pub name: &'static str,
    pub version: &'static str,
}

pub const PROGRAM: Program = Program { name: "attriburn", version: env!("CARGO_PKG_VERSION") };

/// The path and checksum of a file.
#[derive(Clone, Serialize)]
pub struct FileRecord {
    pub path: String,
    pub sha256: String,
}

impl FileRecord {
    pub fn new(path: String, bytes: &[u8]) -> Self {
        Self { path, sha256: sha256(bytes) }
    }

    /// Computes the checksum of the file at `path`.
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
        Ok(Self { path: path.display().to_string(), sha256: hex(&checksum.finalize()) })
    }
}

/// Returns the SHA-256 checksum of `bytes` in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A model file, its external weight files and the settings of its inputs and outputs.
#[derive(Clone, Serialize)]
pub struct ModelFile {
    #[serde(flatten)]
    pub file: FileRecord,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<FileRecord>,
    /// The float types of the stored weights, other than float32. The computation uses float32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stored_in: Vec<String>,
    /// The files with the values of the other inputs, by input name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, FileRecord>,
    /// The file with the weights of the output positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<FileRecord>,
    /// The treatment of rounding in a quantized model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<&'static str>,
}

impl ModelFile {
    /// Describes a model in a single file with float32 weights.
    pub fn new(file: FileRecord) -> Self {
        let (weights, stored_in, fixed) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { file, weights, stored_in, fixed, mask: None, quantization: None }
    }

    /// Describes the file at `path`, from which `model` was loaded with `args`.
    pub fn read(path: &Path, model: &OnnxModel, args: &WithModelArgs) -> std::io::Result<Self> {
        let weights = model.weight_files().iter().map(|path| FileRecord::read(path));
        let stored_in = model.summary().other_floats().into_iter().map(str::to_owned).collect();
        let weights = weights.collect::<std::io::Result<_>>()?;
        let quantization = model.quantization().and_then(quantization_name);
        let pairs = args.tensors.fixed.iter();
        let fixed = pairs.map(|(name, path)| Ok((name.clone(), FileRecord::read(path)?)));
        let fixed = fixed.collect::<std::io::Result<_>>()?;
        let mask = args.mask.as_deref().map(FileRecord::read).transpose()?;
        Ok(Self { file: FileRecord::read(path)?, weights, stored_in, fixed, mask, quantization })
    }
}

#[derive(Serialize)]
pub struct Image<'a> {
    #[serde(flatten)]
    pub file: &'a FileRecord,
    /// The preprocessing of an image. `None` for an array, which is used unchanged.
    pub preprocess: Option<String>,
    /// The parts of the preprocessing with their sources, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preprocess_parts: Option<BTreeMap<&'static str, &'a PreprocessPart>>,
}

/// The bounds of the model's input domain.
#[derive(Serialize)]
pub struct Bounds<'a> {
    pub lower: &'a [f32],
    pub upper: &'a [f32],
}

/// The explained score.
#[derive(Clone, Serialize)]
pub struct Target {
    /// `class`, `against`, `difference` or `contrast`.
    pub kind: &'static str,
    pub index: usize,
    pub label: Option<String>,
    pub logit: f32,
    /// `None` if the scores are not logits.
    pub probability: Option<f64>,
    /// The classes that the class is contrasted with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Class>,
    /// The class that the image's folder is named after, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Class>,
}

/// A class and its label.
#[derive(Clone, Serialize)]
pub struct Class {
    pub index: usize,
    pub label: Option<String>,
}

impl Target {
    /// Returns the kind of `score`.
    pub fn kind(score: &Score) -> &'static str {
        match score {
            Score::Class(_) => "class",
            Score::Against(_) => "against",
            Score::Contrast { others, .. } if others.len() == 1 => "difference",
            Score::Contrast { .. } => "contrast",
            _ => "function",
        }
    }

    /// Returns the folder name that distinguishes this target from others of the same image.
    pub fn folder(&self) -> String {
        match (self.kind, &self.others[..]) {
            ("against", _) => format!("not-{}", self.index),
            (_, []) => self.index.to_string(),
            (_, [other]) => format!("{}-{}", self.index, other.index),
            (_, others) => format!("{}-top{}", self.index, others.len() + 1),
        }
    }

    /// Returns a readable description: the class with its label and probability, and the contrasted classes.
    pub fn title(&self) -> String {
        let name = |label: &Option<String>, index: usize| match label {
            Some(label) => format!("{label}, class {index}"),
            None => format!("class {index}"),
        };
        let class = name(&self.label, self.index);
        let class = match self.probability {
            Some(probability) => format!("{class} ({:.1} %)", 100.0 * probability),
            None => format!("{class} (score {:.3})", self.logit),
        };
        match &self.others[..] {
            [] if self.kind == "against" => format!("against {class}"),
            [] => class,
            [other] => format!("{class}, and not {}", name(&other.label, other.index)),
            others => format!("{class}, against the {} most likely others", others.len()),
        }
    }
}

#[derive(Serialize)]
pub struct Method {
    pub name: String,
    /// The serialized [`Plan`], with a baseline's file in place of its values.
    pub plan: Value,
    /// Whether the map is the bias of another, and not the map of a method.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_bias: bool,
    /// The layer of a class activation map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
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

/// Serializes a plan, with the file `baseline` in place of a baseline's values.
pub fn plan_to_json(
    plan: &Plan,
    baseline: Option<&FileRecord>,
) -> Result<Value, serde_json::Error> {
    let mut plan = plan.clone();
    let path = plan.path.as_mut().filter(|path| matches!(path.baseline, Baseline::Values(_)));
    let has_values = path.map(|path| path.baseline = Baseline::Values(Vec::new())).is_some();
    let mut value = serde_json::to_value(&plan)?;
    if has_values {
        value["path"]["baseline"] = serde_json::to_value(baseline)?;
    }
    Ok(value)
}

/// The fields of an existing manifest that identify its maps.
#[derive(Deserialize)]
pub struct ExistingManifest {
    run: ExistingRun,
    image: ExistingFile,
    target: ExistingTarget,
    methods: Vec<ExistingMethod>,
}

#[derive(Deserialize)]
struct ExistingRun {
    key: String,
}

#[derive(Deserialize)]
struct ExistingFile {
    sha256: String,
}

#[derive(Deserialize)]
struct ExistingTarget {
    kind: String,
    index: usize,
    #[serde(default)]
    others: Vec<ExistingClass>,
}

#[derive(Deserialize)]
struct ExistingClass {
    index: usize,
}

#[derive(Deserialize)]
struct ExistingMethod {
    name: String,
    #[serde(default)]
    is_bias: bool,
    files: Vec<String>,
}

impl ExistingManifest {
    /// Reads the manifest in `folder`, if there is a readable one.
    pub fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join(MANIFEST)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Returns whether the manifest records maps of `score` of `image` by all `methods` with the settings of
    /// `key`, and all its files exist in `folder`.
    pub fn matches(
        &self,
        key: &str,
        methods: &[&str],
        score: &Score,
        image: &FileRecord,
        folder: &Path,
    ) -> bool {
        let methods_of_run = self.methods.iter().filter(|method| !method.is_bias);
        let names = methods_of_run.map(|method| method.name.as_str());
        let others = self.target.others.iter().map(|other| other.index);
        let files = self.methods.iter().flat_map(|method| &method.files);
        self.run.key == key
            && names.eq(methods.iter().copied())
            && self.image.sha256 == image.sha256
            && (self.target.kind.as_str(), Some(self.target.index))
                == (Target::kind(score), score.class())
            && others.eq(score.others().iter().copied())
            && files.into_iter().all(|file| folder.join(file).is_file())
    }
}

/// The name of the manifest's file, in the folder of its maps.
pub const MANIFEST: &str = "manifest.json";

/// Returns the options that a manifest records: all except those that name the inputs of the whole run.
pub fn recorded_options(options: &RunOptions) -> BTreeMap<String, Vec<String>> {
    let inputs = ["inputs", "files-from"];
    let recorded = options.values.iter().filter(|(name, _)| !inputs.contains(&name.as_str()));
    recorded.map(|(name, values)| (name.clone(), values.clone())).collect()
}

fn quantization_name(quantization: Quantization) -> Option<&'static str> {
    QUANTIZATIONS.iter().find(|(other, _)| *other == quantization).map(|(_, name)| *name)
}
