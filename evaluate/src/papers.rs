//! The tables of the papers. `papers.toml` lists the metrics, methods, settings and data of each table.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use attriburn::Mollifier;
use serde::Deserialize;

use crate::method::Method;
use crate::metric::Metric;
use crate::sweep::Sweep;

/// A table of a paper.
#[derive(Clone, Debug)]
pub struct Table {
    /// The name, such as `adaptgrad-table2`.
    pub name: String,
    /// The metrics.
    pub metrics: Vec<&'static Metric>,
    /// The methods.
    pub methods: Vec<Method>,
    /// The sweeps of settings.
    pub sweeps: Vec<Sweep>,
    /// The number of noise seeds.
    pub repeats: u32,
    /// The models and data.
    pub data: Data,
}

/// The models and data of a table.
#[derive(Clone, Debug)]
pub struct Data {
    /// The models, each evaluated by itself.
    pub models: Vec<RequiredFile>,
    /// The folder of images.
    pub pictures: Option<RequiredFile>,
    /// The array of digits, of shape `[n, 28, 28]` and with values from 0 to 255. Each digit becomes a sample
    /// of 784 values from 0 to 1.
    pub digits: Option<RequiredFile>,
    /// The folder of bounding boxes.
    pub boxes: Option<RequiredFile>,
    /// The model trained on shuffled labels.
    pub shuffled_model: Option<RequiredFile>,
    /// The model trained on shifted inputs.
    pub shifted_model: Option<RequiredFile>,
    /// The shift of the inputs.
    pub shift: Option<f32>,
    /// The model trained on other data.
    pub other_model: Option<RequiredFile>,
    /// The bounds of the input domain.
    pub domain: Option<[f32; 2]>,
    /// The name of the preprocessing.
    pub preprocess: Option<String>,
}

/// A file or folder that a table requires.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RequiredFile {
    /// The name within the data folder.
    pub file: String,
    /// A description.
    pub description: String,
}

impl Table {
    /// Returns every table.
    pub fn all() -> &'static [Table] {
        static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
            parse_tables(include_str!("papers.toml")).expect("papers.toml is valid")
        });
        &TABLES
    }

    /// Returns the table called `name`.
    pub fn named(name: &str) -> Option<&'static Table> {
        Self::all().iter().find(|table| table.name == name)
    }
}

impl Data {
    /// Returns every required file and folder.
    pub fn required_files(&self) -> impl Iterator<Item = &RequiredFile> {
        let others = [
            &self.shuffled_model,
            &self.shifted_model,
            &self.other_model,
            &self.pictures,
            &self.digits,
            &self.boxes,
        ];
        self.models.iter().chain(others.into_iter().flatten())
    }
}

/// The contents of `papers.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    files: BTreeMap<String, RequiredFile>,
    data: BTreeMap<String, RawData>,
    table: Vec<RawTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    name: String,
    metrics: Vec<String>,
    methods: Vec<String>,
    #[serde(default)]
    sweeps: Vec<String>,
    kernels: Option<KernelSweep>,
    #[serde(default = "one")]
    repeats: u32,
    data: DataEntry,
}

fn one() -> u32 {
    1
}

/// The data of a table: the name of shared data, or data of its own.
#[derive(Deserialize)]
#[serde(untagged)]
enum DataEntry {
    Name(String),
    Inline(RawData),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawData {
    models: Vec<String>,
    pictures: Option<String>,
    digits: Option<String>,
    boxes: Option<String>,
    shuffled_model: Option<String>,
    shifted_model: Option<String>,
    shift: Option<f32>,
    other_model: Option<String>,
    domain: Option<[f32; 2]>,
    preprocess: Option<String>,
}

/// A sweep over mollifiers, and the parameters from which their widths follow.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct KernelSweep {
    names: Vec<Mollifier>,
    confidence: f64,
    reach: f64,
    weight_reach: f64,
}

impl KernelSweep {
    fn sweep(&self) -> Result<Sweep, String> {
        let kernel = |mollifier: &Mollifier| {
            let factor = mollifier.width_factor(self.confidence);
            let (alpha, sigma) = (self.reach * factor, self.weight_reach * factor);
            format!("{}:alpha={alpha}:weight-sigma={sigma}", mollifier.name())
        };
        let kernels: Vec<String> = self.names.iter().map(kernel).collect();
        Sweep::parse(&format!("kernel={}", kernels.join(",")))
    }
}

/// Parses the tables in the text of `papers.toml`.
fn parse_tables(text: &str) -> Result<Vec<Table>, String> {
    let document: Document = toml_edit::de::from_str(text).map_err(|error| error.to_string())?;
    let table = |raw: &RawTable| {
        let unknown = |name: &String| format!("{}: unknown name {name:?}", raw.name);
        let metric = |name: &String| Metric::named(name).ok_or_else(|| unknown(name));
        let method = |name: &String| Method::named(name).ok_or_else(|| unknown(name));
        let data = match &raw.data {
            DataEntry::Inline(data) => data,
            DataEntry::Name(name) => document.data.get(name).ok_or_else(|| unknown(name))?,
        };
        let file = |name: &String| document.files.get(name).cloned().ok_or_else(|| unknown(name));
        let optional = |name: &Option<String>| name.as_ref().map(file).transpose();
        let sweeps = raw.sweeps.iter().map(|text| Sweep::parse(text));
        let kernels = raw.kernels.iter().map(KernelSweep::sweep);
        Ok(Table {
            name: raw.name.clone(),
            metrics: raw.metrics.iter().map(metric).collect::<Result<_, _>>()?,
            methods: raw.methods.iter().map(method).collect::<Result<_, _>>()?,
            sweeps: sweeps.chain(kernels).collect::<Result<_, _>>()?,
            repeats: raw.repeats,
            data: Data {
                models: data.models.iter().map(file).collect::<Result<_, String>>()?,
                pictures: optional(&data.pictures)?,
                digits: optional(&data.digits)?,
                boxes: optional(&data.boxes)?,
                shuffled_model: optional(&data.shuffled_model)?,
                shifted_model: optional(&data.shifted_model)?,
                shift: data.shift,
                other_model: optional(&data.other_model)?,
                domain: data.domain,
                preprocess: data.preprocess.clone(),
            },
        })
    };
    document.table.iter().map(table).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use crate::variant::variants;

    #[test]
    fn every_table_has_variants_and_data() {
        assert_eq!(Table::all().len(), 18);
        for table in Table::all() {
            let variants = variants(&table.methods, &Settings::default(), &table.sweeps);
            let variants = variants.unwrap_or_else(|error| panic!("{}: {error}", table.name));
            assert!(variants.len() >= table.methods.len(), "{}", table.name);
            assert!(table.data.required_files().count() >= 2, "{}", table.name);
            assert!(table.data.pictures.is_some() != table.data.digits.is_some());
        }
    }

    #[test]
    fn unknown_names_are_errors() {
        let text = include_str!("papers.toml");
        for (good, bad) in
            [("sparseness", "sparsity"), ("smoothgrad", "rough"), ("vgg16 =", "vgg =")]
        {
            let message = parse_tables(&text.replacen(good, bad, 1)).expect_err(bad);
            assert!(message.contains("unknown"), "{message}");
        }
    }

    #[test]
    fn kernel_sweep_has_the_widths_of_equation_30() {
        let table = Table::named("axiomatization-table1").expect("a table");
        let gaussian = &table.sweeps[0].values[0];
        assert_eq!((gaussian.value.as_str(), &gaussian.with[0].0[..]), ("gaussian", "alpha"));
        let alpha: f64 = gaussian.with[0].1.parse().expect("a number");
        assert!((alpha - 0.255).abs() < 1e-3, "{alpha}");
    }
}
