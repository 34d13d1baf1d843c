//! The job of an evaluation: sources, metrics, methods, models and settings.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use attriburn::Model;
use attriburn_evaluate::{
    Context, Error, ErrorKind, Evaluation, Group, Metric, Requirement, Results, Variant,
    any_is_random, any_requires, check_no_results, repeats, samples_per_chunk,
};
use attriburn_metrics::{Cascade, Stage};
use serde_json::{Value, json};

use crate::args::{EvaluateArgs, Fill, Shard};
use crate::exit::Fatal;
use crate::output::manifest::{self, sha256};
use crate::setup::source::Source;
use crate::setup::targets::Targets;
use crate::setup::{Setup, SetupOptions};

use super::boxes::Boxes;
use super::comparison::{ComparisonModel, ComparisonModels};
use super::options;

/// The sources of an evaluation, and the setup and settings that all of them share.
pub struct Job<'a> {
    pub args: &'a EvaluateArgs,
    /// The output folder of the whole evaluation.
    pub out: PathBuf,
    pub sources: &'a [Source],
    pub setup: Setup,
    pub metrics: Vec<&'static Metric>,
    pub targets: Targets,
    pub fill: Fill,
    pub models: ComparisonModels,
    pub boxes: Option<Boxes>,
}

/// The images of an evaluation that one process measures: all of them, or those of a shard.
pub struct Part<'a> {
    pub shard: Option<Shard>,
    /// The folder of the results.
    pub folder: PathBuf,
    pub sources: Vec<&'a Source>,
}

/// The checksum of each image of a part; `None` for an image that cannot be read.
pub type Checksums = Vec<Option<String>>;

impl Part<'_> {
    /// Reads all images and computes their checksums.
    pub fn checksums(&self) -> Checksums {
        let checksum = |source: &&Source| source.contents().map(|bytes| sha256(&bytes));
        self.sources.iter().map(checksum).collect()
    }
}

impl<'a> Job<'a> {
    /// Loads the models and checks all options.
    ///
    /// # Errors
    ///
    /// When an option is invalid or unused, a model cannot be loaded, or the output folder has results
    /// already.
    pub fn new(args: &'a EvaluateArgs, sources: &'a [Source]) -> Result<Self, Fatal> {
        let metrics = options::metrics(args);
        options::check_numbers(args)?;
        let sources = &sources[..args.images.limit.unwrap_or(sources.len()).min(sources.len())];
        if sources.is_empty() {
            return Err("there is no image to measure; --limit must be at least 1".into());
        }
        let mut identities = HashSet::new();
        if let Some(twice) = sources.iter().find(|source| !identities.insert(source.identity())) {
            return Err(format!("{} is given twice; give it once", twice.name()).into());
        }
        let mut names = HashSet::new();
        if let Some(twice) = sources.iter().find(|source| !names.insert(source.name())) {
            let name = twice.name();
            return Err(format!("two images are called {name}; rename one of them").into());
        }
        let out = args.output.out.clone().unwrap_or_else(|| OUT.into());
        let folder = args.output.shard.map_or(out.clone(), |shard| shard.folder(&out));
        check_no_results(&folder, args.output.resume).map_err(storage_error)?;
        let parameters = any_requires(&metrics, Requirement::Parameters);
        let setup = Setup::new(&SetupOptions {
            plan: &args.plan,
            sweeps: &args.sweep,
            model: &args.model,
            parameters,
            seeded: parameters || any_is_random(&metrics),
            options: &args.options,
        })?;
        let targets = Targets::parse(args.images.target.as_slice(), &setup.labels)?;
        targets.check(setup.model.classes())?;
        if targets.may_be_several() || !targets.are_classes() {
            return Err(
                "--target: the metrics are defined for one class per image; give a single class"
                    .into(),
            );
        }
        let models = ComparisonModels::load(args, &setup)?;
        options::check_requirements(args, &metrics, &setup, &models)?;
        options::check_used(args, &metrics, &setup)?;
        let fill = args.fill.unwrap_or_default();
        if fill == Fill::Blur && setup.image_shape.len() != 3 {
            return Err("--fill blur needs images; choose zero, black or mean, or give the image shape of the samples with --picture-shape C,H,W".into());
        }
        let boxes = args.boxes.as_deref().map(Boxes::read).transpose()?;
        if let Some(boxes) = &boxes {
            boxes.check_names(sources.iter().map(Source::name))?;
        }
        Ok(Self { args, out, sources, setup, metrics, targets, fill, models, boxes })
    }

    /// Returns the consecutive images whose maps share batches.
    pub fn chunks(&self) -> impl Iterator<Item = &'a [Source]> {
        self.sources.chunks(samples_per_chunk(&self.setup.variants, &self.metrics))
    }

    /// Returns the images and the folder of the whole evaluation.
    pub fn whole(&self) -> Part<'a> {
        Part { shard: None, folder: self.out.clone(), sources: self.sources.iter().collect() }
    }

    /// Returns the images and the folder of a shard.
    pub fn shard(&self, shard: Shard) -> Part<'a> {
        let sources = shard.of(self.chunks()).flatten().collect();
        Part { shard: Some(shard), folder: shard.folder(&self.out), sources }
    }

    /// Returns the number of maps of each image.
    pub fn maps_per_image(&self) -> usize {
        let repeats =
            |variant: &Variant| repeats(&variant.plan, &self.metrics, self.args.repeats());
        self.setup.variants.iter().map(|variant| repeats(variant) as usize).sum()
    }

    /// Returns the image, method and repeat of every map of a part, in the order of the results.
    pub fn groups(&self, part: &Part) -> impl Iterator<Item = Group> {
        let method_groups = |source: &Source, variant: &Variant| {
            let (image, method) = (source.name(), variant.name.clone());
            let repeats = 0..repeats(&variant.plan, &self.metrics, self.args.repeats());
            repeats.map(move |repeat| (image.clone(), method.clone(), repeat))
        };
        let source_groups = move |source| {
            self.setup.variants.iter().flat_map(move |variant| method_groups(source, variant))
        };
        part.sources.iter().copied().flat_map(source_groups)
    }

    /// Opens the results of a part whose images have these checksums.
    pub fn results(&self, part: &Part, checksums: &Checksums) -> Result<Results, Error> {
        let metrics: Vec<&str> = self.metrics.iter().map(|metric| metric.name).collect();
        let settings = self.settings(part, checksums);
        let resume = self.args.output.resume;
        Results::open(&part.folder, resume, &settings, self.groups(part), &metrics)
    }

    /// Returns the models with randomized layers, if a metric requires them.
    pub fn cascade(&self) -> Result<Option<Cascade<'_>>, String> {
        if !any_requires(&self.metrics, Requirement::Parameters) {
            return Ok(None);
        }
        let stages = self.args.stages.unwrap_or(usize::MAX);
        let cascade = Cascade::new(&self.setup.model, stages, self.args.seed());
        cascade.map(Some).map_err(|error| error.to_string())
    }

    /// Returns the evaluation that the library runs.
    pub fn evaluation<'e>(&'e self, cascade: Option<&'e Cascade<'e>>) -> Evaluation<'e> {
        let explainer = |model: &'e dyn Model| self.setup.explainer_for(model);
        let mut context = Context::new(self.setup.explainer());
        let ComparisonModels { shuffled, shifted, other } = &self.models;
        context.shuffled = shuffled.as_ref().map(|loaded| explainer(&loaded.model));
        context.shifted =
            shifted.as_ref().map(|(loaded, shift)| (explainer(&loaded.model), *shift));
        context.other = other.as_ref().map(|loaded| explainer(&loaded.model));
        context.fill = self.fill.baseline();
        context.points = self.args.points();
        context.min_probability = self.args.min_probability();
        if let Some(cascade) = cascade {
            context = context.with_cascade(cascade, explainer);
        }
        Evaluation {
            context,
            metrics: &self.metrics,
            variants: &self.setup.variants,
            repeats: self.args.repeats(),
        }
    }

    /// Returns the randomization stages of the cascade. Empty if no metric requires the cascade.
    pub fn stages(&self) -> Vec<Stage> {
        match any_requires(&self.metrics, Requirement::Parameters) {
            true => Stage::all(&self.setup.model, self.args.stages.unwrap_or(usize::MAX)),
            false => Vec::new(),
        }
    }

    /// Returns everything that the results of a part depend on, for `settings.json`.
    fn settings(&self, part: &Part, checksums: &Checksums) -> Value {
        let method = |variant: &Variant| {
            let plan = manifest::plan_to_json(&variant.plan, self.setup.baseline.as_ref()).ok();
            json!({ "name": variant.name, "plan": plan })
        };
        let stage = |stage: &Stage| json!({ "from": stage.layer, "share": stage.share });
        let file = |model: &Option<ComparisonModel>| model.as_ref().map(|model| model.file.clone());
        let names = || part.sources.iter().map(|source| source.name());
        let boxes = self.boxes.as_ref();
        let boxes = boxes.map(|boxes| digest(names().map(|name| boxes.contents(Path::new(&name)))));
        let (setup, args, models) = (&self.setup, self.args, &self.models);
        let with = &args.model.with;
        let mut settings = json!({
            "program": manifest::PROGRAM,
            "device": setup.device,
            "model": setup.model_file,
            "domain": { "lower": setup.domain.lower, "upper": setup.domain.upper },
            "preprocess": setup.preprocess.as_ref().ok().map(|found| found.preprocess.to_string()),
            "metrics": self.metrics.iter().map(|metric| metric.name).collect::<Vec<_>>(),
            "methods": setup.variants.iter().map(method).collect::<Vec<_>>(),
            "run": { "options": self.args.options.values },
            "target": self.targets.texts,
            "labels": digest([setup.labels.text().into_bytes()]),
            "model_output": with.tensors.model_output,
            "fixed": with.tensors.fixed,
            "region": with.region,
            "mask": with.mask,
            "input_shape": setup.model.input_shape(),
            "picture_shape": setup.image_shape,
            "batch": with.compute.batch,
            "memory": with.compute.memory,
            "seed": args.seed(),
            "repeats": args.repeats(),
            "fill": self.fill.name(),
            "points": args.points(),
            "min_probability": args.min_probability(),
            "stages": self.stages().iter().map(stage).collect::<Vec<_>>(),
            "shuffled_model": file(&models.shuffled),
            "shifted_model": models.shifted.as_ref().map(|(model, _)| &model.file),
            "shift": args.shift,
            "other_model": file(&models.other),
            "boxes": boxes,
            "all_boxes": args.all_boxes,
            "pictures": names().collect::<Vec<_>>(),
            "contents": digest_of_checksums(checksums.iter().flatten().cloned()),
        });
        if let Some(shard) = part.shard {
            settings["shard"] = json!(shard.to_string());
            // What merging the shards needs: the command, and the checksum of each image.
            settings["run"]["arguments"] = json!(args.options.arguments);
            settings["contents"] = json!(checksums);
        }
        settings
    }
}

/// The default output folder.
pub const OUT: &str = "attriburn-evaluation";

/// Returns one checksum of several contents, which depends on their order.
fn digest(contents: impl IntoIterator<Item = Vec<u8>>) -> String {
    digest_of_checksums(contents.into_iter().map(|bytes| sha256(&bytes)))
}

/// Returns one checksum of several contents, from their checksums.
pub fn digest_of_checksums(checksums: impl IntoIterator<Item = String>) -> String {
    sha256(checksums.into_iter().collect::<String>().as_bytes())
}

/// Formats an error of the results, with the option that resolves it.
pub fn storage_error(error: Error) -> String {
    match error.kind() {
        ErrorKind::ResultsExist => format!("{error} (--resume or --out)"),
        ErrorKind::Busy | ErrorKind::OtherEvaluation | ErrorKind::Damaged => {
            format!("{error} (--out)")
        }
        _ => error.to_string(),
    }
}
