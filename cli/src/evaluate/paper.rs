//! The papers' tables: what each takes, and the settings that it was made with. Each is listed here
//! and nowhere else.

use std::path::{Path, PathBuf};

use attriburn::{Method, Mollifier, npy};

use crate::args::{EvaluateArgs, PlanOption, Sweep};
use crate::source::{Source, sources};

use super::metric::Metric;

/// A table of a paper.
struct Table {
    name: &'static str,
    metrics: &'static [&'static str],
    methods: &'static [&'static str],
    sweeps: &'static [Swept],
    repeats: u32,
    data: Data,
}

/// A file or folder that a table takes, and what it is.
type Needed = (&'static str, &'static str);

/// What a table is measured on.
enum Data {
    /// The MNIST digits, and three models of them.
    Digits,
    /// The CIFAR-10 pictures, and three models of them.
    Cifar,
    /// Pictures of ImageNet, each of these models in turn.
    ImageNet(&'static [Needed]),
    /// The same, with the boxes of the objects.
    Located(&'static [Needed]),
    /// The same, with a second model that was trained on other data.
    Twice(Needed, Needed),
}

const VGG16: Needed = ("vgg16.onnx", "torchvision's VGG16");
const INCEPTION: Needed = ("inception-v3.onnx", "torchvision's InceptionV3");
const RESNET50: Needed = ("resnet50.onnx", "torchvision's ResNet50");
const MOBILENET: Needed = ("mobilenet-v2.onnx", "torchvision's MobileNetV2");
const ALL: &[Needed] = &[VGG16, INCEPTION, RESNET50];

const PICTURES: Needed = ("images", "a folder of pictures; the papers take 1,000 of ILSVRC2012's");
const BOXES: Needed = ("boxes", "a folder of their Pascal VOC annotations");

const DIGITS: [Needed; 4] = [
    ("mlp-normal.onnx", "an MLP for pixels in [0, 1], samples of 784"),
    ("mlp-random.onnx", "the same trained on shuffled labels"),
    ("mlp-bias.onnx", "the same trained on pixels + 1"),
    ("digits.npy", "MNIST digits, uint8 [n, 28, 28]"),
];

const CIFAR: [Needed; 4] = [
    ("cnn-normal.onnx", "a CNN for CIFAR-10, samples of 3 x 32 x 32 in [0, 1]"),
    ("cnn-random.onnx", "the same trained on shuffled labels"),
    ("cnn-bias.onnx", "the same trained on pixels + 1"),
    ("images", "a folder of CIFAR-10's pictures"),
];

const FIFTEEN: &[&str] = &[
    "gradient",
    "smoothgrad",
    "adaptgrad",
    "gi",
    "s-gi",
    "a-gi",
    "ig-white",
    "s-ig-white",
    "a-ig-white",
    "ig-black",
    "s-ig-black",
    "a-ig-black",
    "ng",
    "s-ng",
    "a-ng",
];
const THREE: &[&str] = &["gradient", "smoothgrad", "adaptgrad"];
const TWO: &[&str] = &["smoothgrad", "adaptgrad"];
const CLIPPED: &[&str] = &["adaptgrad", "clipgrad"];
const MODES: &[&str] = &["gradient", "smoothgrad", "ng", "s-ng"];
const PATHS: &[&str] =
    &["ig-white", "s-ig-white", "a-ig-white", "ig-black", "s-ig-black", "a-ig-black"];

const SANITY: &[&str] = &["consistency", "invariance"];
const FAITHFULNESS: &[&str] = &["sparseness", "insertion", "deletion"];

/// The paper's widths, and that of its own rule ([`REACH`]).
const BETAS: &str = "alpha=0.1,0.2,0.255,0.3";

/// The settings that a table takes in turn.
enum Swept {
    /// As `--sweep` takes them.
    Values(&'static str),
    /// The five kernels, each as wide as puts [`CONFIDENCE`] of its noise within [`REACH`] and
    /// [`WEIGHT_REACH`] (arXiv 2407.00371, Eq. 30).
    Kernels,
}

use Swept::{Kernels, Values};

/// How likely a kernel's noise stays within its reach.
const CONFIDENCE: f64 = 0.95;
/// The reach around the input, as a share of the domain: half of it, the greatest pixel less the
/// mean one. A Gaussian's alpha is then 0.255, within the 0.2 to 0.3 that the paper gives for its
/// own.
const REACH: f64 = 0.5;
/// The reach around a parameter.
const WEIGHT_REACH: f64 = 0.01;

impl Swept {
    fn sweep(&self) -> Result<Sweep, String> {
        let kernel = |(mollifier, name): &(Mollifier, &str)| {
            let factor = mollifier.width_factor(CONFIDENCE);
            let (alpha, sigma) = (REACH * factor, WEIGHT_REACH * factor);
            format!("{name}:alpha={alpha}:weight-sigma={sigma}")
        };
        match self {
            Values(text) => Sweep::parse(text),
            Kernels => {
                let kernels: Vec<String> = Mollifier::ALL.iter().map(kernel).collect();
                Sweep::parse(&format!("kernel={}", kernels.join(",")))
            }
        }
    }
}

const fn table(
    name: &'static str,
    metrics: &'static [&'static str],
    methods: &'static [&'static str],
    data: Data,
) -> Table {
    Table { name, metrics, methods, sweeps: &[], repeats: 1, data }
}

impl Table {
    const fn swept(mut self, sweeps: &'static [Swept]) -> Self {
        self.sweeps = sweeps;
        self
    }

    const fn repeated(mut self, repeats: u32) -> Self {
        self.repeats = repeats;
        self
    }
}

/// `adaptgrad` is arXiv 2410.07711, `axiomatization` 2407.00371, `stability-fidelity` 2411.05837.
const TABLES: [Table; 18] = [
    table(
        "adaptgrad-table1",
        &["sparseness", "out-of-domain-share-measured", "out-of-domain-amount-measured"],
        &["smoothgrad"],
        Data::ImageNet(&[VGG16]),
    )
    .swept(&[Values("alpha=0.1,0.2,0.3,0.4,0.5")]),
    table("adaptgrad-table2", SANITY, THREE, Data::Digits).repeated(5),
    table("adaptgrad-table3", FAITHFULNESS, FIFTEEN, Data::ImageNet(&[VGG16])).repeated(5),
    table("adaptgrad-table4", FAITHFULNESS, FIFTEEN, Data::ImageNet(&[INCEPTION])).repeated(5),
    table("adaptgrad-table5", FAITHFULNESS, FIFTEEN, Data::ImageNet(&[RESNET50])).repeated(5),
    table("adaptgrad-table6", &["sparseness"], TWO, Data::ImageNet(&[VGG16])).swept(&[
        Values("alpha=0.1,0.2,0.3,0.4,0.5"),
        Values("confidence=0.9,0.95,0.99,0.995,0.999"),
        Values("samples=10,20,30,50,70,100"),
    ]),
    table("adaptgrad-table7", &["sic"], PATHS, Data::ImageNet(ALL)),
    table("adaptgrad-table8", SANITY, CLIPPED, Data::Digits).repeated(5),
    table("adaptgrad-table9", FAITHFULNESS, CLIPPED, Data::ImageNet(ALL)).repeated(5),
    table("adaptgrad-table10", &["box-precision"], TWO, Data::Located(ALL)),
    table("adaptgrad-table11", &["seconds"], THREE, Data::ImageNet(ALL)),
    table("adaptgrad-figure9", &["adversarial-pixels"], THREE, Data::ImageNet(&[VGG16]))
        .repeated(10),
    table("axiomatization-table1", SANITY, MODES, Data::Digits).swept(&[Kernels]),
    table("axiomatization-table2", SANITY, &["gradient", "smoothgrad"], Data::Digits)
        .swept(&[Values(BETAS)]),
    table(
        "axiomatization-table2-vgg16",
        &["pointing-game", "sparseness"],
        &["gradient", "smoothgrad"],
        Data::Located(&[VGG16]),
    )
    .swept(&[Values(BETAS)]),
    table("axiomatization-table3", SANITY, MODES, Data::Cifar).swept(&[Kernels]),
    table(
        "axiomatization-table4",
        &["pointing-game", "sparseness"],
        MODES,
        Data::Located(&[VGG16, MOBILENET, INCEPTION]),
    )
    .swept(&[Kernels]),
    table(
        "stability-fidelity",
        &[
            "stability",
            "stability-ssim",
            "stability-overlap",
            "fidelity",
            "fidelity-ssim",
            "fidelity-overlap",
        ],
        THREE,
        Data::Twice(
            ("model-a.onnx", "a classifier"),
            ("model-b.onnx", "the same trained on other data"),
        ),
    )
    .swept(&[
        Values("alpha=0.02,0.05,0.1,0.2,0.3,0.5"),
        Values("confidence=0.5,0.8,0.9,0.95,0.99,0.999"),
    ]),
];

/// The names of the tables.
pub const PAPERS: [&str; TABLES.len()] = {
    let mut names = [""; TABLES.len()];
    let mut at = 0;
    while at < TABLES.len() {
        names[at] = TABLES[at].name;
        at += 1;
    }
    names
};

/// One evaluation of a table: the options and inputs behind it.
pub struct Run {
    pub args: EvaluateArgs,
    pub sources: Vec<Source>,
}

/// The evaluations behind a paper's table, one for each model; those of several models go into
/// folders called after them.
///
/// # Errors
///
/// When there is no such table, or a file that it takes is missing: all that it takes are named.
pub fn runs(name: &str, args: &EvaluateArgs) -> Result<Vec<Run>, String> {
    let table = TABLES.iter().find(|table| table.name == name);
    let table = table.ok_or_else(|| format!("there is no table {name:?}"))?;
    let folder = args.data.clone().unwrap_or_default();
    let missing: Vec<String> = table
        .data
        .needed()
        .into_iter()
        .filter(|(file, _)| !folder.join(file).exists())
        .map(|(file, what)| format!("{file} ({what})"))
        .collect();
    if !missing.is_empty() {
        return Err(format!("{} lacks {}", folder.display(), missing.join(", ")));
    }
    let models = table.data.models();
    let run = |model: &Needed| {
        let mut filled = table.filled(args)?;
        filled.model.model = Some(folder.join(model.0));
        if models.len() > 1 {
            let out = args.output.out.clone().unwrap_or_else(|| super::job::OUT.into());
            filled.output.out = Some(out.join(Path::new(model.0).with_extension("")));
        }
        let sources = table.data.fill(&mut filled, &folder)?;
        Ok(Run { args: filled, sources })
    };
    models.iter().map(run).collect()
}

impl Table {
    /// The options with the table's own.
    fn filled(&self, args: &EvaluateArgs) -> Result<EvaluateArgs, String> {
        let mut filled = args.clone();
        filled.metrics = self.metrics.iter().filter_map(|name| Metric::named(name)).collect();
        filled.plan.method.method =
            self.methods.iter().filter_map(|name| Method::named(name)).collect();
        filled.sweep = self.sweeps.iter().map(Swept::sweep).collect::<Result<_, _>>()?;
        let is_swept =
            |option: &&PlanOption| filled.sweep.iter().any(|sweep| sweep.sets(option.name));
        if let Some(PlanOption { name: option, .. }) = PlanOption::given(&args.plan).find(is_swept)
        {
            let name = self.name;
            return Err(format!("--{option}: {name} measures several of it; leave it out"));
        }
        filled.images.repeats = args.images.repeats.or(Some(self.repeats));
        Ok(filled)
    }
}

impl Data {
    /// The models that are measured in turn.
    fn models(&self) -> &[Needed] {
        match self {
            Data::Digits => &DIGITS[..1],
            Data::Cifar => &CIFAR[..1],
            Data::ImageNet(models) | Data::Located(models) => models,
            Data::Twice(first, _) => std::slice::from_ref(first),
        }
    }

    /// Every file and folder that is taken.
    fn needed(&self) -> Vec<Needed> {
        let others: &[Needed] = match self {
            Data::Digits => &DIGITS[1..],
            Data::Cifar => &CIFAR[1..],
            Data::ImageNet(_) => &[PICTURES],
            Data::Located(_) => &[PICTURES, BOXES],
            Data::Twice(_, second) => &[*second, PICTURES],
        };
        [self.models(), others].concat()
    }

    /// Sets what the data asks for, and gives the inputs.
    fn fill(&self, args: &mut EvaluateArgs, folder: &Path) -> Result<Vec<Source>, String> {
        let path = |file: &str| -> PathBuf { folder.join(file) };
        let sane = |args: &mut EvaluateArgs, needed: &[Needed; 4]| {
            args.model.with.preprocess.domain.get_or_insert_with(|| vec![0.0, 1.0]);
            args.shuffled_model = Some(path(needed[1].0));
            args.shifted_model = Some(path(needed[2].0));
            args.shift = Some(1.0);
        };
        match self {
            Data::Digits => {
                sane(args, &DIGITS);
                return digits(&path(DIGITS[3].0));
            }
            Data::Cifar => {
                sane(args, &CIFAR);
                args.model.with.preprocess.preprocess.get_or_insert_with(|| "unit".into());
            }
            Data::ImageNet(_) => {}
            Data::Located(_) => args.boxes = Some(path(BOXES.0)),
            Data::Twice(_, second) => args.other_model = Some(path(second.0)),
        }
        sources(&[path(PICTURES.0)], None)
    }
}

/// The digits as rows of pixels in `[0, 1]`.
fn digits(path: &Path) -> Result<Vec<Source>, String> {
    let array = npy::read(path).map_err(|error| error.to_string())?;
    let wrong = |what: String| format!("{} holds {what}", path.display());
    let &[_, height @ 28, width @ 28] = &array.shape[..] else {
        return Err(wrong(format!("an array of {:?}, not of [n, 28, 28]", array.shape)));
    };
    let most = array.values.iter().copied().fold(0.0, f32::max);
    if most <= 1.0 || array.values.iter().any(|value| !(0.0..=255.0).contains(value)) {
        return Err(wrong("no digits, whose pixels are from 0 to 255".into()));
    }
    let row = |(i, row): (usize, &[f32])| {
        Source::row(format!("digit-{i}"), row.iter().map(|value| value / 255.0).collect())
    };
    Ok(array.values.chunks((height * width).max(1)).enumerate().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plans::variants;
    use clap::Parser;

    /// Every table names metrics, methods and settings that exist.
    #[test]
    fn tables_can_be_asked_for() {
        let args = EvaluateArgs::parse_from(["evaluate"]);
        for table in &TABLES {
            for metric in table.metrics {
                assert!(Metric::named(metric).is_some(), "{}: {metric}", table.name);
            }
            for method in table.methods {
                assert!(Method::named(method).is_some(), "{}: {method}", table.name);
            }
            let filled = table.filled(&args).unwrap_or_else(|e| panic!("{}: {e}", table.name));
            let found = variants(&filled.plan, None, &filled.sweep);
            let found = found.unwrap_or_else(|error| panic!("{}: {error}", table.name));
            assert!(found.len() >= table.methods.len(), "{}", table.name);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut args = EvaluateArgs::parse_from(["evaluate"]);
        args.data = Some(folder.path().to_owned());
        for table in &TABLES {
            let message = runs(table.name, &args).map(drop).expect_err(table.name);
            for (file, what) in table.data.needed() {
                assert!(message.contains(&format!("{file} ({what})")), "{message}");
            }
        }
        args.plan.noise.confidence = Some(0.9);
        let table = TABLES.iter().find(|table| table.name == "adaptgrad-table6").expect("a table");
        let message = table.filled(&args).map(drop).expect_err("a setting that is swept");
        assert_eq!(message, "--confidence: adaptgrad-table6 measures several of it; leave it out");
    }
}
