//! An evaluation: what is measured, of what, and with what.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use attriburn::metrics::Stage;
use attriburn::{Model, Plan};
use serde_json::json;

use crate::Fatal;
use crate::args::{EvaluateArgs, Fill};
use crate::manifest::{self, sha256};
use crate::plans::Variant;
use crate::setup::{Request, Setup};
use crate::source::Source;
use crate::targets::Targets;

use super::boxes::Boxes;
use super::metric::{Metric, Takes, any_is_drawn, any_takes};
use super::others::{Other, Others};
use super::{options, records};

/// Everything that is the same for all pictures, and the pictures.
pub struct Job<'a> {
    pub args: &'a EvaluateArgs,
    /// Where the tables and results go.
    pub out: PathBuf,
    pub sources: &'a [Source],
    pub setup: Setup,
    pub metrics: Vec<&'static Metric>,
    pub targets: Targets,
    pub fill: Fill,
    pub others: Others,
    pub boxes: Option<Boxes>,
}

impl<'a> Job<'a> {
    /// Loads the models, and checks all that was given.
    ///
    /// # Errors
    ///
    /// When anything of it cannot be used, or the results of another run are in its place.
    pub fn new(args: &'a EvaluateArgs, sources: &'a [Source]) -> Result<Self, Fatal> {
        let metrics = options::metrics(args);
        options::check_numbers(args)?;
        let sources = &sources[..args.images.limit.unwrap_or(sources.len()).min(sources.len())];
        if sources.is_empty() {
            return Err("there is no picture to measure; --limit must be at least 1".into());
        }
        let mut known = HashSet::new();
        if let Some(twice) = sources.iter().find(|source| !known.insert(source.identity())) {
            return Err(format!("{} is given twice, and would count twice", twice.name()).into());
        }
        let mut names = HashSet::new();
        if let Some(twice) = sources.iter().find(|source| !names.insert(source.name())) {
            let name = twice.name();
            return Err(format!("two pictures are called {name}; rename one of them").into());
        }
        let out = args.output.out.clone().unwrap_or_else(|| OUT.into());
        records::check_free(&out, args.output.resume)?;
        let parameters = any_takes(&metrics, Takes::Parameters);
        let setup = Setup::new(&Request {
            plan: &args.plan,
            sweeps: &args.sweep,
            model: &args.model,
            parameters,
            seeded: parameters || any_is_drawn(&metrics),
            given: &args.given,
        })?;
        let targets = Targets::parse(args.images.target.as_slice(), &setup.labels)?;
        targets.check(setup.model.classes())?;
        if targets.are_several() || !targets.are_classes() {
            return Err("--target: one class of each picture is evaluated, since the metrics are of a class".into());
        }
        let others = Others::load(args, &setup)?;
        options::check_taken(args, &metrics, &setup, &others)?;
        options::check_used(args, &metrics, &setup)?;
        let fill = args.fill.unwrap_or_default();
        if fill == Fill::Blur && setup.pictures.len() != 3 {
            return Err("--fill blur takes pictures; choose zero, black or mean, or say with --picture-shape what samples are".into());
        }
        let boxes = args.boxes.as_deref().map(Boxes::read).transpose()?;
        if let Some(boxes) = &boxes {
            boxes.check_names(sources.iter().map(Source::name))?;
        }
        Ok(Self { args, out, sources, setup, metrics, targets, fill, others, boxes })
    }

    /// Seeds of a plan: where nothing is drawn all values would be the same.
    pub fn repeats(&self, plan: &Plan) -> u32 {
        if plan.is_noisy() || any_is_drawn(&self.metrics) { self.args.repeats() } else { 1 }
    }

    /// Picture, method and repeat of each map, in the order in which they are made.
    pub fn groups(&self) -> impl Iterator<Item = (String, String, u32)> {
        let of_method = |source: &Source, variant: &Variant| {
            let (picture, name) = (source.name(), variant.name.clone());
            let repeats = 0..self.repeats(&variant.plan);
            repeats.map(move |repeat| (picture.clone(), name.clone(), repeat))
        };
        let of = move |source| self.setup.variants.iter().flat_map(move |v| of_method(source, v));
        self.sources.iter().flat_map(of)
    }

    /// Where the stages of the randomized model end; none where no metric takes it.
    pub fn stages(&self) -> Vec<Stage> {
        match any_takes(&self.metrics, Takes::Parameters) {
            true => Stage::all(&self.setup.model, self.args.stages.unwrap_or(usize::MAX)),
            false => Vec::new(),
        }
    }

    /// What the results depend on.
    pub fn settings(&self) -> serde_json::Value {
        let described = |variant: &Variant| {
            let plan = manifest::written(&variant.plan, self.setup.baseline.as_ref()).ok();
            json!({ "name": variant.name, "plan": plan })
        };
        let stage = |stage: &Stage| json!({ "from": stage.layer, "share": stage.share });
        let file = |other: &Option<Other>| other.as_ref().map(|other| other.file.clone());
        let names = || self.sources.iter().map(Source::name);
        let boxes = self.boxes.as_ref();
        let boxes = boxes.map(|boxes| digest(names().map(|name| boxes.contents(Path::new(&name)))));
        let (setup, args, others) = (&self.setup, self.args, &self.others);
        let with = &args.model.with;
        json!({
            "program": crate::manifest::PROGRAM,
            "device": setup.device,
            "model": setup.model_file,
            "domain": { "lower": setup.domain.lower, "upper": setup.domain.upper },
            "preprocess": setup.preprocess.as_ref().ok().map(|found| found.preprocess.to_string()),
            "metrics": self.metrics.iter().map(|metric| metric.name).collect::<Vec<_>>(),
            "methods": setup.variants.iter().map(described).collect::<Vec<_>>(),
            "run": { "options": self.args.given.options },
            "target": self.targets.texts,
            "labels": digest([setup.labels.text().into_bytes()]),
            "model_output": with.tensors.model_output,
            "fixed": with.tensors.fixed,
            "region": with.region,
            "mask": with.mask,
            "input_shape": setup.model.input_shape(),
            "picture_shape": setup.pictures,
            "batch": with.compute.batch,
            "memory": with.compute.memory,
            "seed": args.seed(),
            "repeats": args.repeats(),
            "fill": self.fill.name(),
            "points": args.points(),
            "least_probability": args.least_probability(),
            "stages": self.stages().iter().map(stage).collect::<Vec<_>>(),
            "shuffled_model": file(&others.shuffled),
            "shifted_model": others.shifted.as_ref().map(|(other, _)| &other.file),
            "shift": args.shift,
            "other_model": file(&others.other),
            "boxes": boxes,
            "all_boxes": args.all_boxes,
            "pictures": names().collect::<Vec<_>>(),
            "contents": digest(self.sources.iter().filter_map(Source::contents)),
        })
    }
}

/// Where the results go.
pub const OUT: &str = "attriburn-evaluation";

/// The checksum of several contents in their order.
fn digest(contents: impl IntoIterator<Item = Vec<u8>>) -> String {
    digest_of_sums(contents.into_iter().map(|bytes| sha256(&bytes)))
}

/// The same of the contents' own checksums.
pub fn digest_of_sums(sums: impl IntoIterator<Item = String>) -> String {
    sha256(sums.into_iter().collect::<String>().as_bytes())
}
