//! `mollify explain`: from pictures to maps, overlays and manifests.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use mollify::picture::{Preprocess, Style, channel_sum, map_picture, overlay};
use mollify::{
    Attribution, Domain, Estimate, Explainer, Input, Method, Model, Plan, Prediction, Settings,
    Target,
};
use mollify_onnx::{Loader, OnnxModel};

use crate::args::ExplainArgs;
use crate::labels::Labels;
use crate::manifest::{self, File, Manifest};
use crate::settings::{self, Targets};
use crate::source::{Opened, Source, sources};
use crate::{Fatal, NOTHING_DONE, SOME_FAILED, assets, files};

/// Everything that is the same for all inputs.
struct Job<'a> {
    args: &'a ExplainArgs,
    plans: Vec<(String, Plan)>,
    baseline: Option<File>,
    targets: Targets,
    labels: Labels,
    model: OnnxModel,
    model_file: File,
    device: String,
    preprocess: Result<Preprocess, String>,
    domain: Domain,
    memory: Option<u64>,
}

/// Explains every input; one that fails is reported and the others go on.
pub fn run(args: &ExplainArgs) -> Result<ExitCode, Fatal> {
    let sources = sources(&args.inputs)?;
    let job = Job::new(args)?;
    files::make_folder(&args.out)?;
    let mut failed = 0;
    for source in &sources {
        if let Err(message) = job.explain(source) {
            eprintln!("error: {}: {message}", source.name());
            failed += 1;
        }
    }
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        all if all == sources.len() => ExitCode::from(NOTHING_DONE),
        _ => {
            eprintln!("{failed} of {} inputs failed, the others are written", sources.len());
            ExitCode::from(SOME_FAILED)
        }
    })
}

impl<'a> Job<'a> {
    fn new(args: &'a ExplainArgs) -> Result<Self, Fatal> {
        let methods = settings::methods(args)?;
        let baseline = args.baseline.as_deref().map(settings::baseline).transpose()?;
        let array = baseline.as_ref().map(|(array, _)| array);
        let settings = settings::settings(args, array)?;
        let plans = plans(&methods, &settings)?;
        settings::all_used(&args.typed, &plans)?;
        if args.batch == Some(0) {
            return Err("batch is 0, but it must be at least 1".into());
        }
        let memory = args.memory.as_deref().map(settings::bytes).transpose()?;
        let labels = Labels::load(args.labels.as_deref(), args.model.is_none())?;
        let targets = Targets::parse(&args.target, &labels)?;
        if args.no_fusion {
            mollify::disable_fusion()?;
        }
        let device = mollify::device(&args.device)?;
        let (model, model_file) = load(args, &device)?;
        labels.check(model.classes())?;
        settings::paths_fit(&plans, array, model.input_shape())?;
        if let Targets::Top(count) = targets
            && count > model.classes()
        {
            let classes = model.classes();
            return Err(format!("--target top:{count}: the model has {classes} classes").into());
        }
        if let Targets::One(Target::Index(index)) = targets
            && index >= model.classes()
        {
            let classes = model.classes();
            return Err(mollify::Error::Target { index, classes }.into());
        }
        let preprocess = settings::preprocess(args.preprocess.as_deref(), model.input_shape());
        if let (Err(message), Some(_)) = (&preprocess, &args.preprocess) {
            return Err(message.clone().into());
        }
        let domain = settings::domain(args.domain.as_deref(), preprocess.as_ref())?;
        Ok(Self {
            args,
            plans,
            baseline: baseline.map(|(_, file)| file),
            targets,
            labels,
            model,
            model_file,
            device: if args.no_fusion && mollify::describe(&device) != "cpu" {
                format!("{}, without fusion", mollify_backends::describe(&device))
            } else {
                mollify_backends::describe(&device)
            },
            preprocess,
            domain,
            memory,
        })
    }

    fn explainer(&self) -> Explainer<'_> {
        let explainer = Explainer::new(&self.model).batch(self.args.batch);
        match self.memory {
            Some(bytes) => explainer.memory(bytes),
            None => explainer,
        }
    }

    fn explain(&self, source: &Source) -> Result<(), String> {
        let opened =
            source.open(self.model.input_shape(), self.preprocess.as_ref(), &self.domain)?;
        let prediction = self.explainer().predict(&opened.input).map_err(|e| e.to_string())?;
        let classes = self.targets.classes(&prediction).map_err(|error| error.to_string())?;
        for &class in &classes {
            let mut folder = self.args.out.join(&source.stem);
            if let Targets::Top(_) = self.targets {
                folder = folder.join(class.to_string());
            }
            self.explain_class(source, &opened, &prediction, class, &folder)?;
        }
        Ok(())
    }

    fn explain_class(
        &self,
        source: &Source,
        opened: &Opened,
        prediction: &Prediction,
        class: usize,
        folder: &Path,
    ) -> Result<(), String> {
        files::make_folder(folder)?;
        let target = manifest::Target {
            index: class,
            label: self.labels.name(class).map(str::to_owned),
            logit: prediction.logits[class],
            probability: prediction.probability(class),
        };
        let headline = headline(source, &target);
        let mut methods = Vec::new();
        let mut lines = Vec::new();
        for (name, plan) in &self.plans {
            let map = self.map(name, plan, &opened.input, class)?;
            let written = write_map(folder, name, &map, style(plan), opened)?;
            lines.push(summary(name, &map, &written));
            methods.push(self.record(name, plan, &map, &written));
        }
        let manifest = Manifest {
            schema_version: manifest::SCHEMA_VERSION,
            program: manifest::PROGRAM,
            device: &self.device,
            seed: self.args.seed,
            model: &self.model_file,
            image: manifest::Image { file: &opened.file, preprocess: opened.preprocess.clone() },
            domain: manifest::Bounds { lower: &self.domain.lower, upper: &self.domain.upper },
            target,
            methods,
        };
        let text = serde_json::to_string_pretty(&manifest).map_err(|error| error.to_string())?;
        let path = files::write(folder, "manifest.json", text.as_bytes())?;
        if self.args.json {
            say!("{text}");
        } else {
            say!("{headline}");
            lines.iter().for_each(|line| say!("{line}"));
            say!("  manifest    {}", path.display());
        }
        Ok(())
    }

    fn record(
        &self,
        name: &str,
        plan: &Plan,
        map: &Attribution,
        written: &[PathBuf],
    ) -> manifest::Method {
        let file_name =
            |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        manifest::Method {
            name: name.to_owned(),
            settings: settings::described(plan, self.baseline.as_ref()),
            files: written.iter().filter_map(file_name).collect(),
            seconds: map.seconds,
            gradients: map.gradients,
            samples: map.samples,
            left_out: map.left_out,
            batch: map.batch,
            notes: notes(map),
            relative_standard_error: map.relative_standard_error(),
            completeness_gap: map.completeness_gap,
        }
    }

    fn map(
        &self,
        name: &str,
        plan: &Plan,
        input: &Input,
        class: usize,
    ) -> Result<Attribution, String> {
        let bar = progress_bar(name);
        let show = |done: u64, total: u64| {
            bar.set_length(total);
            bar.set_position(done);
        };
        let map = self.explainer().progress(&show).explain(plan, input, Target::Index(class));
        bar.finish_and_clear();
        map.map_err(|error| error.to_string())
    }
}

/// The methods' plans with their names.
fn plans(methods: &[Method], settings: &Settings) -> Result<Vec<(String, Plan)>, Fatal> {
    let checked = |method: &Method| {
        let plan = method.plan(settings)?;
        plan.check()?;
        Ok((method.name(), plan))
    };
    methods.iter().map(checked).collect()
}

/// The model, and how the manifest names it.
fn load(args: &ExplainArgs, device: &burn::tensor::Device) -> Result<(OnnxModel, File), Fatal> {
    let loader =
        Loader::new(device).input_shape(args.input_shape.clone()).output(args.output_name.clone());
    match &args.model {
        None => {
            let file = File::new(assets::MODEL_NAME.into(), assets::MODEL);
            Ok((loader.load_bytes(assets::MODEL)?, file))
        }
        Some(path) => {
            let model = loader.load(path)?;
            let bytes = std::fs::read(path)?;
            Ok((model, File::new(path.display().to_string(), &bytes)))
        }
    }
}

/// A bar on stderr; hidden where that is no terminal.
fn progress_bar(method: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:12} {wide_bar} {pos}/{len} gradients, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_message(method.to_owned())
}

/// Squares and variances have no sign to show.
fn style(plan: &Plan) -> Style {
    match plan.estimate {
        Estimate::Mean => Style::Signed,
        Estimate::Square | Estimate::Variance => Style::Absolute,
    }
}

/// Writes the raw map, its picture and, over a picture, the overlay.
fn write_map(
    folder: &Path,
    method: &str,
    map: &Attribution,
    style: Style,
    opened: &Opened,
) -> Result<Vec<PathBuf>, String> {
    let text = |error: mollify::picture::PictureError| error.to_string();
    let mut array = Vec::new();
    mollify::npy::write(&mut array, &map.shape, &map.values).map_err(|error| error.to_string())?;
    let mut contents = vec![(format!("{method}.npy"), array)];
    if let [channels, height, width] = map.shape[..] {
        let flat = channel_sum(&map.values, channels, height, width).map_err(text)?;
        let picture = map_picture(&flat, height, width, style).map_err(text)?;
        contents.push((format!("{method}.png"), picture.encode_png().map_err(text)?));
        if let Some(crop) = &opened.crop {
            let over = overlay(&flat, height, width, crop, style).map_err(text)?;
            contents.push((format!("{method}.overlay.png"), over.encode_png().map_err(text)?));
        }
    }
    contents.iter().map(|(name, bytes)| files::write(folder, name, bytes)).collect()
}

/// What a reader of the manifest should know besides the figures.
fn notes(map: &Attribution) -> Vec<String> {
    let halved = map.refused_batch.map(|asked| {
        format!(
            "the device had no memory for batches of {asked}; they were halved to {}",
            map.batch
        )
    });
    halved.into_iter().collect()
}

fn headline(source: &Source, target: &manifest::Target) -> String {
    let label = target.label.as_deref().map_or(String::new(), |label| format!("{label}, "));
    let percent = 100.0 * target.probability;
    format!("{}: {label}class {} ({percent:.1} %)", source.name(), target.index)
}

fn summary(method: &str, map: &Attribution, written: &[PathBuf]) -> String {
    let files: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    let error = match (map.gradients, map.relative_standard_error()) {
        (2.., Some(error)) if map.samples > 1 => format!(", relative standard error {error:.2}"),
        _ => String::new(),
    };
    let gap =
        map.completeness_gap.map_or(String::new(), |gap| format!(", completeness gap {gap:.2e}"));
    let left_out = match map.left_out {
        0 => String::new(),
        count => format!(", {count} samples left out (not finite)"),
    };
    let notes: String = notes(map).iter().map(|note| format!("\n              {note}")).collect();
    format!(
        "  {method:<11} {} gradients in {:.2} s{error}{gap}{left_out}{notes}\n              {}",
        map.gradients,
        map.seconds,
        files.join("\n              ")
    )
}
