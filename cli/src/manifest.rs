//! The manifest: what was explained, how, and what it cost.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use attriburn_onnx::OnnxModel;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::settings;

/// The version of the manifest's layout.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
pub struct Manifest<'a> {
    pub schema_version: u32,
    pub program: Program,
    pub device: &'a str,
    pub seed: u64,
    pub model: &'a ModelFile,
    pub image: Image<'a>,
    pub domain: Bounds<'a>,
    pub target: &'a Target,
    pub methods: Vec<Method>,
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
    /// What becomes of the rounding, where it is quantized.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<&'static str>,
}

impl ModelFile {
    /// A file of float32 alone.
    pub fn new(file: File) -> Self {
        Self { file, weights: Vec::new(), stored_in: Vec::new(), quantization: None }
    }

    /// The one that `model` was read from.
    pub fn read(path: &Path, model: &OnnxModel) -> std::io::Result<Self> {
        let weights = model.weight_files().iter().map(|path| File::read(path));
        let stored_in = model.summary().other_floats().into_iter().map(str::to_owned).collect();
        let weights = weights.collect::<std::io::Result<_>>()?;
        let quantization = model.quantization().and_then(settings::quantization_name);
        Ok(Self { file: File::read(path)?, weights, stored_in, quantization })
    }
}

#[derive(Serialize)]
pub struct Image<'a> {
    #[serde(flatten)]
    pub file: &'a File,
    /// How the picture became an input; none for an array used as it is.
    pub preprocess: Option<String>,
    /// Where each part of that comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preprocess_from: Option<BTreeMap<&'static str, &'a str>>,
}

#[derive(Serialize)]
pub struct Bounds<'a> {
    pub lower: &'a [f32],
    pub upper: &'a [f32],
}

#[derive(Serialize)]
pub struct Target {
    pub index: usize,
    pub label: Option<String>,
    pub logit: f32,
    /// None where the scores are no logits of a softmax.
    pub probability: Option<f64>,
}

#[derive(Serialize)]
pub struct Method {
    pub name: String,
    pub settings: serde_json::Value,
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
