//! `attriburn explain`: from pictures to maps, overlays and manifests.
//!
//! ```text
//! inputs -> groups -> opened, with predictions and scores -> parts whose maps share batches -> files
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use attriburn::{Attribution, Input, Output, Plan, Prediction, Score, Task};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{ExplainArgs, GridScale};
use crate::manifest::{self, MANIFEST, Manifest};
use crate::maps::{Class, Made, side_by_side};
use crate::plans::Variant;
use crate::progress::Progress;
use crate::report::{self, print_line, say};
use crate::setup::{Request, Setup};
use crate::source::{Opened, Source, built_in, sources};
use crate::targets::Targets;
use crate::{Fatal, NOTHING_DONE, SOME_FAILED, files, lost};

/// Everything that is the same for all inputs.
struct Job<'a> {
    args: &'a ExplainArgs,
    setup: Setup,
    targets: Targets,
    grid_scale: GridScale,
    out: PathBuf,
    /// The options that manifests record.
    options: BTreeMap<String, Vec<String>>,
    /// What all maps depend on, as a checksum.
    key: String,
    progress: Progress,
}

/// An input with what the model says of it.
struct Item<'a> {
    source: &'a Source,
    opened: Opened,
    prediction: Prediction,
    /// What is explained.
    scores: Vec<Score>,
    /// Whether all of it was made before, and is left out.
    is_made: bool,
    /// The class that its folder is called after.
    expected: Option<usize>,
}

/// Some of an input's scores, whose maps are made and held together.
struct Part<'a> {
    item: &'a Item<'a>,
    scores: &'a [Score],
}

impl<'a> Part<'a> {
    /// A map for each score.
    fn tasks(&self) -> impl Iterator<Item = Task<'a>> + use<'a> {
        let (input, prediction) = (&self.item.opened.input, &self.item.prediction);
        self.scores.iter().map(move |score| Task { input, score: score.clone(), prediction })
    }
}

/// Explains every input; one that fails is reported and the others go on.
pub fn run(args: &ExplainArgs) -> Result<ExitCode, Fatal> {
    let sources = match (&args.inputs[..], &args.files_from) {
        ([], None) => vec![built_in()],
        (inputs, list) => sources(inputs, list.as_deref())?,
    };
    let job = Job::new(args, sources.len())?;
    if let Some(path) = &args.run.like {
        job.compare(path, &sources);
    }
    files::make_folder(&job.out)?;
    let failed: usize = job.groups(&sources).map(|group| job.explain(group)).sum();
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        all if all == sources.len() => ExitCode::from(NOTHING_DONE),
        _ => {
            report::note(format!(
                "{failed} of {} inputs failed, the others are written",
                sources.len()
            ));
            ExitCode::from(SOME_FAILED)
        }
    })
}

impl<'a> Job<'a> {
    fn new(args: &'a ExplainArgs, sources: usize) -> Result<Self, Fatal> {
        let request = Request {
            plan: &args.plan,
            sweeps: &[],
            model: &args.model,
            parameters: false,
            seeded: false,
            given: &args.given,
        };
        let setup = Setup::new(&request)?;
        let targets = Targets::parse(&args.target, &setup.labels)?;
        targets.check(setup.model.classes())?;
        let score = args.plan.method.score.unwrap_or_default();
        if targets.are_contrasts() && score != Output::Logit {
            return Err("--score probability: a contrast is one of logits; leave it out".into());
        }
        let several = setup.variants.len() * targets.most() > 1;
        if args.given.is_typed("grid-scale") && !several {
            return Err("--grid-scale is not used: one map makes no grid; leave it out".into());
        }
        let out = args.output.out.clone().unwrap_or_else(|| OUT.into());
        let all = setup.gradients().saturating_mul((sources * targets.most()) as u64);
        let key = key(args, &setup)?;
        Ok(Self {
            args,
            setup,
            targets,
            grid_scale: args.output.grid_scale.unwrap_or_default(),
            out,
            options: manifest::options_of(&args.given),
            key,
            progress: Progress::new(all, 0, "gradients"),
        })
    }

    /// Warns where the model or the picture is another than the manifest in `path` records.
    fn compare(&self, path: &Path, sources: &[Source]) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let known: Value = serde_json::from_str(&text).unwrap_or_default();
        let differs = |part: &str, own: &str| {
            known[part]["sha256"].as_str().is_some_and(|known| known != own)
        };
        if differs("model", &self.setup.model_file.file.sha256) {
            log::warn!("the model is not the one of {}", path.display());
        }
        for source in sources.iter().filter(|source| known["image"]["path"] == source.name()) {
            let now = source.contents().map(|bytes| manifest::sha256(&bytes)).unwrap_or_default();
            if differs("image", &now) {
                log::warn!("{} has changed since {}", source.name(), path.display());
            }
        }
    }

    /// The sources in groups whose maps share batches.
    fn groups<'s>(&self, sources: &'s [Source]) -> impl Iterator<Item = &'s [Source]> {
        let maps_each = (self.setup.variants.len() * self.targets.most()).max(1);
        // So that the first maps are not long in coming.
        let few = GRADIENTS_AT_ONCE / self.setup.gradients().max(1);
        let most = MOST_MAPS.div_ceil(maps_each) as u64;
        sources.chunks(few.clamp(1, most) as usize)
    }

    /// Explains some sources together; gives the number of those that failed.
    fn explain(&self, sources: &[Source]) -> usize {
        let (mut items, mut failed) = (Vec::new(), 0);
        for (source, item) in sources.iter().zip(self.open(sources)) {
            let left_out = match &item {
                Ok(item) if item.is_made => self.targets.most(),
                Ok(item) => self.targets.most() - item.scores.len(),
                Err(_) => self.targets.most(),
            };
            self.progress.finish(self.setup.gradients() * left_out as u64);
            match item {
                Ok(item) if item.is_made => self.progress.suspend(|| self.say_made(&item)),
                Ok(item) => items.push(item),
                Err(message) => failed += self.report(source, &[message]),
            }
        }
        let most = (MOST_MAPS / self.setup.variants.len()).max(1);
        if let [item] = &items[..]
            && item.scores.len() > most
        {
            let parts = item.scores.chunks(most).map(|scores| Part { item, scores });
            let messages: Vec<String> =
                parts.flat_map(|part| self.explain_parts(&[part])).flatten().collect();
            return failed + self.report(item.source, &messages);
        }
        let parts: Vec<Part> =
            items.iter().map(|item| Part { item, scores: &item.scores }).collect();
        for (part, messages) in parts.iter().zip(self.explain_parts(&parts)) {
            failed += self.report(part.item.source, &messages);
        }
        failed
    }

    /// Makes and writes the maps of all parts; gives what went wrong with each.
    fn explain_parts(&self, parts: &[Part]) -> Vec<Vec<String>> {
        let tasks: Vec<Task> = parts.iter().flat_map(Part::tasks).collect();
        let mut made: Vec<Vec<Made>> = tasks.iter().map(|_| Vec::new()).collect();
        let mut failures: Vec<Vec<String>> = vec![Vec::new(); tasks.len()];
        for Variant { name: method, plan, .. } in &self.setup.variants {
            for (task, map) in self.maps(plan, &tasks).into_iter().enumerate() {
                match map {
                    Ok(map) => {
                        let (shape, channels_last) =
                            (&self.setup.pictures[..], self.setup.model.is_transposed());
                        made[task].push(Made { method, plan, map, shape, channels_last });
                    }
                    Err(message) => failures[task].push(format!("{method}: {message}")),
                }
            }
        }
        let (mut made, mut failures) = (&made[..], &failures[..]);
        let written = |part: &Part| {
            let (own, others) = made.split_at(part.scores.len());
            let (own_failures, other_failures) = failures.split_at(part.scores.len());
            (made, failures) = (others, other_failures);
            let mut messages = own_failures.concat();
            messages.dedup();
            messages.extend(self.progress.suspend(|| self.write(part, own)).err());
            messages
        };
        parts.iter().map(written).collect()
    }

    /// Reads the sources and predicts their classes.
    fn open<'s>(&self, sources: &'s [Source]) -> Vec<Result<Item<'s>, String>> {
        let read = |source: &Source| self.setup.open(source);
        let opened: Vec<Result<Opened, String>> = sources.iter().map(read).collect();
        let inputs: Vec<&Input> = opened.iter().flatten().map(|opened| &opened.input).collect();
        let mut predictions = self.setup.explainer().predict_all(&inputs).into_iter();
        let item = |(source, opened): (&'s Source, Result<Opened, String>)| {
            let opened = opened?;
            let prediction = predictions.next().ok_or("it has no prediction")?;
            let prediction = prediction.map_err(|error| error.to_string())?;
            let expected = self.setup.expected(source);
            let scores = self.targets.scores(&prediction, expected.clone())?;
            let (is_made, expected) = (false, expected.ok());
            let mut item = Item { source, opened, prediction, scores, is_made, expected };
            item.is_made = self.args.output.skip_existing && self.is_made(&item);
            Ok(item)
        };
        sources.iter().zip(opened).map(item).collect()
    }

    /// Whether all maps of an input are there, made with the same settings from the same picture, and its grid.
    fn is_made(&self, item: &Item) -> bool {
        let methods: Vec<&str> = self.setup.variants.iter().map(|own| own.name.as_str()).collect();
        let is_there = |score: &Score| {
            let folder = self.folder(item, &self.target(item, score));
            manifest::Known::read(&folder).is_some_and(|known| {
                known.is_of(&self.key, &methods, score, &item.opened.file, &folder)
            })
        };
        let maps = methods.len() * item.scores.len();
        let has_grid = (2..=MOST_MAPS).contains(&maps) && self.setup.pictures.len() == 3;
        let grid = self.out.join(&item.source.stem).join(GRID);
        item.scores.iter().all(is_there) && (!has_grid || grid.is_file())
    }

    /// Says of an input that it is left out, with what was made before.
    fn say_made(&self, item: &Item) {
        if !self.args.output.json {
            say!("{}: made before", item.source.name());
            return;
        }
        for score in &item.scores {
            let folder = self.folder(item, &self.target(item, score));
            let path = folder.join(MANIFEST);
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let Ok(mut line) = serde_json::from_str::<Value>(&text) else { continue };
            line["folder"] = json!(folder.display().to_string());
            line["manifest"] = json!(path.display().to_string());
            line["skipped"] = json!(true);
            print_line!("{line}");
        }
    }

    /// The folder of the maps of a target.
    fn folder(&self, item: &Item, target: &manifest::Target) -> PathBuf {
        let folder = self.out.join(&item.source.stem);
        match self.targets.are_several() {
            true => folder.join(target.folder()),
            false => folder,
        }
    }

    /// One method's map of each task.
    fn maps(&self, plan: &Plan, tasks: &[Task]) -> Vec<Result<Attribution, String>> {
        let show = |done: u64, _: u64| self.progress.show(done);
        let explainer = self.setup.explainer().progress(&show);
        let maps = match explainer.explain_all(plan, tasks) {
            Ok(maps) => maps.into_iter().map(|map| map.map_err(|e| e.to_string())).collect(),
            Err(error) => vec![Err(error.to_string()); tasks.len()],
        };
        self.progress.finish(plan.gradients() * tasks.len() as u64);
        maps
    }

    /// Writes a part's maps, score by score, and prints what was written.
    fn write(&self, part: &Part, made: &[Vec<Made>]) -> Result<(), String> {
        let item = part.item;
        let target = |score: &Score| self.target(item, score);
        let targets: Vec<manifest::Target> = part.scores.iter().map(target).collect();
        for (target, made) in targets.iter().zip(made).filter(|(_, made)| !made.is_empty()) {
            self.write_target(item, target, made)?;
        }
        let whole = made.iter().all(|made| made.len() == self.setup.variants.len());
        if self.setup.variants.len() * item.scores.len() < 2 || !whole {
            return Ok(());
        }
        if part.scores.len() < item.scores.len() {
            if part.scores.last() == item.scores.last() {
                let maps = self.setup.variants.len() * item.scores.len();
                log::warn!("{maps} maps are too many for a grid");
            }
            return Ok(());
        }
        let folder = self.out.join(&item.source.stem);
        if let (Some(path), false) =
            (self.grid(item, &targets, made, &folder)?, self.args.output.json)
        {
            say!("  {:<11} {}", "grid", path.display());
        }
        Ok(())
    }

    /// Writes the picture of all maps side by side, where they are pictures.
    fn grid(
        &self,
        item: &Item,
        targets: &[manifest::Target],
        made: &[Vec<Made>],
        folder: &Path,
    ) -> Result<Option<PathBuf>, String> {
        let class = |(target, made): (&manifest::Target, _)| Class { label: target.title(), made };
        let made = made.iter().map(Vec::as_slice);
        let classes: Vec<Class> = targets.iter().zip(made).map(class).collect();
        let picture = side_by_side(item.opened.crop.as_ref(), &classes, self.grid_scale);
        let Some(picture) = picture.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        files::write(folder, GRID, &picture).map(Some)
    }

    fn target(&self, item: &Item, score: &Score) -> manifest::Target {
        let prediction = &item.prediction;
        let label = |class| self.setup.labels.name(class).map(str::to_owned);
        let class = |index: usize| manifest::Class { index, label: label(index) };
        // Scores of the command line are of a class.
        let index = score.class().unwrap_or_default();
        manifest::Target {
            kind: manifest::Target::kind(score),
            index,
            label: label(index),
            logit: prediction.logits[index],
            probability: prediction.has_probability().then(|| prediction.probability(index)),
            others: score.others().iter().copied().map(class).collect(),
            expected: item.expected.map(class),
        }
    }

    fn write_target(
        &self,
        item: &Item,
        target: &manifest::Target,
        made: &[Made],
    ) -> Result<(), String> {
        let folder = self.folder(item, target);
        files::make_folder(&folder)?;
        // It would be of other maps until it is written again.
        files::remove(&folder, MANIFEST)?;
        let (mut methods, mut lines) = (Vec::new(), Vec::new());
        for made in made {
            let with_error = self.args.output.standard_error;
            let written = made.write(&folder, item.opened.crop.as_ref(), with_error)?;
            lines.push(made.summary(&written));
            methods.push(self.record(made, &written)?);
        }
        let manifest = self.manifest(item, target, methods);
        let text = serde_json::to_string_pretty(&manifest).map_err(|error| error.to_string())?;
        let path = files::write(&folder, MANIFEST, text.as_bytes())?;
        if self.args.output.json {
            let (folder, path) = (folder.display().to_string(), path.display().to_string());
            let line = Line { folder, manifest: path, content: &manifest };
            let line = serde_json::to_string(&line).map_err(|error| error.to_string())?;
            print_line!("{line}");
            return Ok(());
        }
        say!("{}: {}", item.source.name(), target.title());
        if let Some(expected) = target.expected.as_ref().filter(|own| own.index != target.index) {
            let label = expected.label.as_deref().unwrap_or_default();
            say!("  {:<11} {label}, class {}", "expected", expected.index);
        }
        lines.iter().for_each(|line| say!("{line}"));
        say!("  {:<11} {}", "manifest", path.display());
        Ok(())
    }

    fn manifest<'m>(
        &'m self,
        item: &'m Item,
        target: &'m manifest::Target,
        methods: Vec<manifest::Method>,
    ) -> Manifest<'m> {
        let (file, preprocess) = (&item.opened.file, item.opened.preprocess.clone());
        let input = item.source.argument();
        let inputs = input.into_iter().map(|input| ("inputs", vec![input])).collect();
        Manifest {
            schema_version: manifest::SCHEMA_VERSION,
            program: manifest::PROGRAM,
            device: &self.setup.device,
            run: manifest::Run { options: &self.options, inputs, key: &self.key },
            model: &self.setup.model_file,
            image: manifest::Image {
                file,
                preprocess_parts: preprocess.as_ref().and(self.setup.preprocess_parts()),
                preprocess,
            },
            domain: manifest::Bounds {
                lower: &self.setup.domain.lower,
                upper: &self.setup.domain.upper,
            },
            target,
            methods,
        }
    }

    fn record(&self, made: &Made, written: &[PathBuf]) -> Result<manifest::Method, String> {
        let map = &made.map;
        let file_name =
            |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let plan = manifest::written(made.plan, self.setup.baseline.as_ref());
        Ok(manifest::Method {
            name: made.method.to_owned(),
            plan: plan.map_err(|error| error.to_string())?,
            files: written.iter().filter_map(file_name).collect(),
            seconds: map.seconds,
            gradients: map.gradients,
            samples: map.samples,
            left_out: map.left_out,
            batch: map.batch,
            notes: made.notes(),
            relative_standard_error: map.relative_standard_error(),
            completeness_gap: map.completeness_gap,
        })
    }

    /// Prints what went wrong with a source; gives 1, or 0 for nothing.
    fn report(&self, source: &Source, messages: &[String]) -> usize {
        for message in messages {
            lost::wait_for_the_end();
            self.progress.suspend(|| report::error(format!("{}: {message}", source.name())));
        }
        usize::from(!messages.is_empty())
    }
}

/// A manifest as one line, with where its files are.
#[derive(Serialize)]
struct Line<'a> {
    folder: String,
    manifest: String,
    #[serde(flatten)]
    content: &'a Manifest<'a>,
}

/// What all maps of a run depend on, as a checksum.
fn key(args: &ExplainArgs, setup: &Setup) -> Result<String, serde_json::Error> {
    let plan = |variant: &Variant| manifest::written(&variant.plan, setup.baseline.as_ref());
    let plans: Vec<Value> = setup.variants.iter().map(plan).collect::<Result<_, _>>()?;
    let methods: Vec<&str> = setup.variants.iter().map(|variant| variant.name.as_str()).collect();
    let (with, options) = (&args.model.with, &args.given.options);
    let preprocess = setup.preprocess.as_ref().ok().map(|found| found.preprocess.to_string());
    let everything = json!({
        "version": manifest::PROGRAM.version,
        "schema": manifest::SCHEMA_VERSION,
        "model": setup.model_file,
        "domain": { "lower": setup.domain.lower, "upper": setup.domain.upper },
        "preprocess": preprocess,
        "pictures": setup.pictures,
        "methods": methods,
        "plans": plans,
        "standard_error": args.output.standard_error,
        "exact": with.compute.exact,
        "output": [options.get("model-output"), options.get("region")],
    });
    Ok(manifest::sha256(everything.to_string().as_bytes()))
}

/// Where the maps go.
const OUT: &str = "attriburn-out";

/// The grid's file, in the folder of its picture.
const GRID: &str = "grid.png";

/// The most maps that are held before they are written.
const MOST_MAPS: usize = 64;

/// Gradients that maps are made together for, several times what a batch holds: so the last batch,
/// which is not full, counts little.
const GRADIENTS_AT_ONCE: u64 = 256;
