//! `mollify evaluate`: the papers' measurements over many pictures.
//!
//! ```text
//! pictures -> maps (variant by variant, repeat by repeat) -> metrics -> results.jsonl
//!                                                     -> cells -> tables and plots
//! ```

mod boxes;
mod case;
mod cells;
mod metric;
mod paper;
mod plot;
mod records;
mod table;
mod value;

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use mollify::metrics::Cascade;
use mollify::{Baseline, Explainer, Model, Plan};
use mollify_onnx::{Loader, OnnxModel};
use serde_json::json;

use crate::args::EvaluateArgs;
use crate::labels::nearest;
use crate::manifest::File;
use crate::setup::Setup;
use crate::source::{Source, sources};
use crate::targets::Targets;
use crate::variants::Variant;
use crate::{Fatal, NOTHING_DONE, SOME_FAILED, files, settings};

use boxes::Boxes;
use case::{Case, Given, Picture};
use metric::{METRICS, Metric, Takes};
use records::{Record, Results};
use value::Value;

/// Measures every method on every picture, and writes the tables and plots.
pub fn run(args: &EvaluateArgs) -> Result<ExitCode, Fatal> {
    let runs = match &args.paper {
        Some(name) => paper::runs(name, args)?,
        None if args.metrics.is_empty() => return Err(asks_for_metrics().into()),
        None if args.images.is_empty() => return Err("give pictures with --images".into()),
        None => vec![paper::Run { args: args.clone(), sources: sources(&args.images)? }],
    };
    let ends = runs.iter().map(evaluate).collect::<Result<Vec<End>, Fatal>>()?;
    Ok(match ends.iter().max() {
        Some(End::NothingMeasured) if ends.iter().all(|end| *end == End::NothingMeasured) => {
            ExitCode::from(NOTHING_DONE)
        }
        Some(End::SomeMissing | End::NothingMeasured) => ExitCode::from(SOME_FAILED),
        _ => ExitCode::SUCCESS,
    })
}

/// How an evaluation ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    AllMeasured,
    SomeMissing,
    NothingMeasured,
}

/// One evaluation, of one model.
fn evaluate(paper::Run { args, sources }: &paper::Run) -> Result<End, Fatal> {
    let metrics = metrics(args)?;
    let sources = &sources[..args.first.unwrap_or(sources.len()).min(sources.len())];
    if sources.is_empty() {
        return Err("there is no picture to measure; --first must be at least 1".into());
    }
    let mut names = HashSet::new();
    if let Some(twice) = sources.iter().find(|source| !names.insert(source.name())) {
        return Err(format!("{} is given twice, and would count twice", twice.name()).into());
    }
    let job = Job::new(args, metrics)?;
    let groups = job.groups(sources);
    files::make_folder(&args.out)?;
    let names: Vec<&str> = job.metrics.iter().map(|metric| metric.name).collect();
    let mut results =
        Results::open(&args.out, args.resume, &job.settings(sources), &groups, &names)?;
    job.measure(sources, &mut results)?;
    job.report(&results.records)?;
    let failed = results.records.iter().filter(|record| record.value.is_none()).count();
    if failed == 0 {
        return Ok(End::AllMeasured);
    }
    if failed == results.records.len() {
        return Ok(End::NothingMeasured);
    }
    let (all, path) = (results.records.len(), results.path.display());
    eprintln!("{failed} of {all} values are missing; {path} says why");
    Ok(End::SomeMissing)
}

/// Everything that is the same for all pictures.
struct Job<'a> {
    args: &'a EvaluateArgs,
    setup: Setup,
    metrics: Vec<&'static Metric>,
    targets: Targets,
    fill: Baseline,
    others: Others,
    boxes: Option<Boxes>,
}

/// The models that the maps are compared with.
struct Others {
    shuffled: Option<(OnnxModel, File)>,
    shifted: Option<(OnnxModel, File, f32)>,
    other: Option<(OnnxModel, File)>,
}

impl Others {
    fn load(args: &EvaluateArgs, setup: &Setup) -> Result<Self, Fatal> {
        let noisy = setup.variants.iter().any(|variant| variant.plan.weights.is_some());
        let load = |path: &Option<std::path::PathBuf>| -> Result<_, Fatal> {
            let Some(path) = path else { return Ok(None) };
            let model = Loader::new(setup.model.device())
                .parameters(noisy)
                .input_shape(args.model.input_shape.clone())
                .output(args.model.output_name.clone())
                .load(path)?;
            if (model.input_shape(), model.classes())
                != (setup.model.input_shape(), setup.model.classes())
            {
                let message = "it takes other inputs or has other classes than the model";
                return Err(format!("{}: {message}", path.display()).into());
            }
            Ok(Some((model, File::new(path.display().to_string(), &std::fs::read(path)?))))
        };
        let shifted = match (load(&args.shifted_model)?, args.shift) {
            (Some((model, file)), Some(shift)) => Some((model, file, shift)),
            (Some(_), None) => return Err("--shifted-model takes --shift".into()),
            (None, _) => None,
        };
        Ok(Self { shuffled: load(&args.shuffled_model)?, shifted, other: load(&args.other_model)? })
    }
}

impl<'a> Job<'a> {
    fn new(args: &'a EvaluateArgs, metrics: Vec<&'static Metric>) -> Result<Self, Fatal> {
        check_numbers(args)?;
        let parameters = metrics.iter().any(|metric| metric.takes(Takes::Parameters));
        let seeded = parameters || metrics.iter().any(|metric| metric.drawn);
        let mut typed = args.typed.clone();
        typed.retain(|option| option != "seed" || !seeded);
        let setup = Setup::new(&args.plan, &args.sweep, &args.model, parameters, &typed)?;
        let targets = Targets::parse(std::slice::from_ref(&args.target), &setup.labels)?;
        targets.check(setup.model.classes())?;
        if targets.are_several() {
            return Err("--target: one class of each picture is evaluated".into());
        }
        let others = Others::load(args, &setup)?;
        for metric in &metrics {
            let is_missing = |takes: &&Takes| match takes {
                Takes::ShuffledModel => others.shuffled.is_none(),
                Takes::ShiftedModel => others.shifted.is_none(),
                Takes::OtherModel => others.other.is_none(),
                Takes::Boxes => args.boxes.is_none(),
                Takes::Probability => !setup.model.has_probability() || setup.model.classes() < 2,
                Takes::Parameters => false,
            };
            if let Some(takes) = metric.takes.iter().find(is_missing) {
                let name = metric.name;
                return Err(format!("the metric {name} takes {}", takes.what()).into());
            }
        }
        all_used(args, &metrics, &setup)?;
        let fill = settings::fill(&args.fill)?;
        if fill == Baseline::Blur && setup.model.input_shape().len() != 3 {
            return Err("--fill blur takes pictures; choose zero, black or mean".into());
        }
        let boxes = args.boxes.as_deref().map(Boxes::read).transpose()?;
        Ok(Self { args, setup, metrics, targets, fill, others, boxes })
    }

    /// Seeds of a plan: where nothing is drawn all values would be the same.
    fn repeats(&self, plan: &Plan) -> u32 {
        let is_drawn = plan.is_noisy() || self.metrics.iter().any(|metric| metric.drawn);
        if is_drawn { self.args.repeats } else { 1 }
    }

    /// Picture, method and repeat of each map, in the order in which they are made.
    fn groups(&self, sources: &[Source]) -> Vec<(String, String, u32)> {
        let of_method = |source: &Source, variant: &Variant| {
            let (picture, name) = (source.name(), variant.name.clone());
            let repeats = 0..self.repeats(&variant.plan);
            repeats.map(move |repeat| (picture.clone(), name.clone(), repeat))
        };
        let of = |source| self.setup.variants.iter().flat_map(move |v| of_method(source, v));
        sources.iter().flat_map(of).collect()
    }

    /// What the results depend on.
    fn settings(&self, sources: &[Source]) -> serde_json::Value {
        let described = |variant: &Variant| {
            let settings = settings::described(&variant.plan, self.setup.baseline.as_ref());
            json!({ "name": variant.name, "settings": settings })
        };
        let boxes = self.boxes.as_ref();
        let boxes =
            boxes.map(|boxes| digest(sources.iter().map(|s| boxes.contents(Path::new(&s.name())))));
        json!({
            "program": crate::manifest::PROGRAM,
            "device": self.setup.device,
            "model": self.setup.model_file,
            "domain": { "lower": self.setup.domain.lower, "upper": self.setup.domain.upper },
            "preprocess": self.setup.preprocess.as_ref().ok().map(ToString::to_string),
            "metrics": self.metrics.iter().map(|metric| metric.name).collect::<Vec<_>>(),
            "methods": self.setup.variants.iter().map(described).collect::<Vec<_>>(),
            "target": self.args.target,
            "labels": digest([self.setup.labels.text().into_bytes()]),
            "output_name": self.args.model.output_name,
            "input_shape": self.setup.model.input_shape(),
            "picture_shape": self.setup.pictures,
            "seed": self.args.plan.seed,
            "repeats": self.args.repeats,
            "fill": self.args.fill,
            "points": self.args.points,
            "least_probability": self.args.least_probability,
            "stages": self.args.stages,
            "shuffled_model": self.others.shuffled.as_ref().map(|(_, file)| file),
            "shifted_model": self.others.shifted.as_ref().map(|(_, file, _)| file),
            "shift": self.args.shift,
            "other_model": self.others.other.as_ref().map(|(_, file)| file),
            "boxes": boxes,
            "pictures": sources.iter().map(Source::name).collect::<Vec<_>>(),
            "contents": digest(sources.iter().filter_map(Source::contents)),
        })
    }

    /// What all maps are measured with.
    fn given<'g>(&'g self, cascade: Option<&'g Cascade<'g>>) -> Given<'g> {
        let explained = |model: &'g dyn Model| -> Explainer<'g> { self.setup.explainer_of(model) };
        let Others { shuffled, shifted, other } = &self.others;
        let given = Given {
            explainer: self.setup.explainer(),
            shuffled: shuffled.as_ref().map(|(model, _)| explained(model)),
            shifted: shifted.as_ref().map(|(model, _, shift)| (explained(model), *shift)),
            other: other.as_ref().map(|(model, _)| explained(model)),
            cascade: Vec::new(),
            fill: self.fill.clone(),
            points: self.args.points,
            least_probability: self.args.least_probability,
            shape: &self.setup.pictures,
        };
        match cascade {
            Some(cascade) => given.with_cascade(cascade, explained),
            None => given,
        }
    }

    /// The models whose layers are randomized, where a metric takes them.
    fn cascade(&self) -> Result<Option<Cascade<'_>>, String> {
        if !self.metrics.iter().any(|metric| metric.takes(Takes::Parameters)) {
            return Ok(None);
        }
        let stages = self.args.stages.unwrap_or(usize::MAX);
        let cascade = Cascade::new(&self.setup.model, stages, self.args.plan.seed);
        cascade.map(Some).map_err(|error| error.to_string())
    }

    /// Takes what the results still lack.
    fn measure(&self, sources: &[Source], results: &mut Results) -> Result<(), String> {
        let mut done = results.records.len() / self.metrics.len();
        let maps: u32 = self.setup.variants.iter().map(|v| self.repeats(&v.plan)).sum();
        if done == maps as usize * sources.len() {
            return Ok(());
        }
        let cascade = self.cascade()?;
        let given = self.given(cascade.as_ref());
        let bar = progress_bar(u64::from(maps) * sources.len() as u64, done as u64);
        for source in sources {
            if done >= maps as usize {
                done -= maps as usize;
                continue;
            }
            let picture = self.open(source);
            for variant in &self.setup.variants {
                for repeat in 0..self.repeats(&variant.plan) {
                    if done > 0 {
                        done -= 1;
                        continue;
                    }
                    let values = match &picture {
                        Ok(picture) => self.values(&given, &variant.plan, repeat, picture),
                        Err(reason) => vec![Err(reason.clone()); self.metrics.len()],
                    };
                    let class = picture.as_ref().ok().map(|picture| picture.class);
                    let record = |(metric, value): (&&Metric, Result<Value, String>)| {
                        let (value, reason) = match value {
                            Ok(value) => (Some(value), None),
                            Err(reason) => (None, Some(reason)),
                        };
                        Record {
                            picture: source.name(),
                            method: variant.name.clone(),
                            repeat,
                            metric: metric.name.to_owned(),
                            class,
                            value: value.as_ref().map(|value| value.number),
                            curve: value.and_then(|value| value.curve),
                            reason,
                        }
                    };
                    results.append(self.metrics.iter().zip(values).map(record).collect())?;
                    bar.inc(1);
                }
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn open(&self, source: &Source) -> Result<Picture, String> {
        let opened = self.setup.open(source)?;
        let prediction =
            self.setup.explainer().predict(&opened.input).map_err(|e| e.to_string())?;
        let classes = self.targets.classes(&prediction).map_err(|error| error.to_string())?;
        let class = *classes.first().ok_or("it has no class")?;
        let regions = match (&self.boxes, &self.setup.pictures[..]) {
            (None, _) => Err("there are no boxes".into()),
            (Some(boxes), &[_, height, width]) => {
                let scaled = self.setup.preprocess.as_ref().ok().zip(opened.size);
                let (path, of) = (source.name(), (&self.setup.labels, class));
                boxes.regions(Path::new(&path), [height, width], scaled, of)
            }
            (Some(_), shape) => Err(format!("boxes are of pictures, not of samples of {shape:?}")),
        };
        let contents = source.contents().unwrap_or_default();
        let seed = u64::from_str_radix(&digest([contents])[..16], 16).unwrap_or_default();
        Ok(Picture::new(opened.input, prediction, class, regions, seed))
    }

    /// The value of each metric for one map.
    fn values(
        &self,
        given: &Given,
        plan: &Plan,
        repeat: u32,
        picture: &Picture,
    ) -> Vec<Result<Value, String>> {
        let plan = plan.clone().seed(plan.seed.wrapping_add(repeat.into()));
        let map = match picture.map(&given.explainer, &plan) {
            Ok(map) => map,
            Err(error) => return vec![Err(error); self.metrics.len()],
        };
        let case = Case::new(given, &plan, picture, &map);
        self.metrics.iter().map(|metric| metric.measure(&case)).collect()
    }

    /// Writes the tables and plots, and prints the tables.
    fn report(&self, records: &[Record]) -> Result<(), String> {
        let variants = &self.setup.variants;
        let methods: Vec<String> = variants.iter().map(|variant| variant.name.clone()).collect();
        let cells = cells::cells(records, &self.metrics, &methods);
        let (differences, together) = (cells::differences(&cells), cells::together(&cells));
        let text = table::markdown(&cells, &differences, &together, records);
        say!("{text}");
        let write = |name: &str, bytes: &[u8]| -> Result<(), String> {
            say!("{}", files::write(&self.args.out, name, bytes)?.display());
            Ok(())
        };
        write("table.md", text.as_bytes())?;
        for (name, bytes) in table::csv(&cells, &differences, &together)? {
            write(name, &bytes)?;
        }
        for (name, bytes) in plot::plots(&cells, variants)? {
            write(&name, &bytes)?;
        }
        say!("{}", self.args.out.join(records::RESULTS).display());
        Ok(())
    }
}

impl Takes {
    /// What it is, in words.
    fn what(self) -> &'static str {
        match self {
            Takes::ShuffledModel => "--shuffled-model",
            Takes::ShiftedModel => "--shifted-model and --shift",
            Takes::OtherModel => "--other-model",
            Takes::Boxes => "--boxes",
            Takes::Probability => "a model whose scores are the logits of one softmax",
            Takes::Parameters => "a model whose parameters are kept apart",
        }
    }
}

/// Refuses numbers out of their ranges.
fn check_numbers(args: &EvaluateArgs) -> Result<(), String> {
    let counts = [
        ("repeats", args.repeats as usize),
        ("points", args.points),
        ("stages", args.stages.unwrap_or(1)),
    ];
    if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
        return Err(format!("{name} is 0, but it must be at least 1"));
    }
    match args.least_probability {
        least if (0.0..=1.0).contains(&least) => Ok(()),
        least => Err(format!("least-probability is {least}, but it must be from 0 to 1")),
    }
}

/// Refuses an option that was typed and that nothing uses.
fn all_used(args: &EvaluateArgs, metrics: &[&Metric], setup: &Setup) -> Result<(), String> {
    let asked = |names: &[&str]| metrics.iter().any(|metric| names.contains(&metric.name));
    let taken = |what: Takes| metrics.iter().any(|metric| metric.takes(what));
    let uses = [
        ("fill", asked(&["insertion", "deletion"])),
        ("points", asked(&["pointing-game"])),
        ("least_probability", asked(&["sic"])),
        ("shuffled_model", taken(Takes::ShuffledModel)),
        ("shifted_model", taken(Takes::ShiftedModel)),
        ("other_model", taken(Takes::OtherModel)),
        ("boxes", taken(Takes::Boxes)),
        ("stages", taken(Takes::Parameters)),
        (
            "repeats",
            metrics.iter().any(|metric| metric.drawn)
                || setup.variants.iter().any(|variant| variant.plan.is_noisy()),
        ),
    ];
    let unused =
        |(option, used): &&(&str, bool)| !used && args.typed.iter().any(|typed| typed == option);
    match uses.iter().find(unused) {
        Some((option, _)) => Err(format!(
            "--{} is not used by these metrics and methods; leave it out",
            option.replace('_', "-")
        )),
        None => Ok(()),
    }
}

fn asks_for_metrics() -> String {
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    format!("name the metrics: {}", names.join(", "))
}

/// The checksum of several contents in their order.
fn digest(contents: impl IntoIterator<Item = Vec<u8>>) -> String {
    let sums: Vec<String> =
        contents.into_iter().map(|bytes| File::new(String::new(), &bytes).sha256).collect();
    File::new(String::new(), sums.concat().as_bytes()).sha256
}

/// The metrics that were asked for, each once.
fn metrics(args: &EvaluateArgs) -> Result<Vec<&'static Metric>, String> {
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let mut metrics: Vec<&'static Metric> = Vec::new();
    for name in &args.metrics {
        let metric = Metric::named(name).ok_or_else(|| {
            let near = nearest(name, names.iter().copied()).join(", ");
            format!("there is no metric {name:?}; near ones are {near}")
        })?;
        if !metrics.iter().any(|other| other.name == metric.name) {
            metrics.push(metric);
        }
    }
    Ok(metrics)
}

/// A bar on stderr; hidden where that is no terminal.
fn progress_bar(maps: u64, done: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} maps, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(maps).with_style(style).with_position(done);
    bar.reset_eta();
    bar
}
