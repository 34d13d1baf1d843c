//! `mollify evaluate`: the papers' measurements over many pictures.
//!
//! ```text
//! pictures -> maps (method by method, repeat by repeat) -> metrics -> results.jsonl -> tables
//! ```

mod metric;
mod paper;
mod records;
mod table;

use std::collections::HashSet;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use mollify::{Attribution, Baseline, Input, Model, Plan, Prediction, Task};
use mollify_onnx::{Loader, OnnxModel};
use serde_json::json;

use crate::args::EvaluateArgs;
use crate::labels::nearest;
use crate::manifest::File;
use crate::setup::Setup;
use crate::source::{Source, sources};
use crate::targets::Targets;
use crate::{Fatal, NOTHING_DONE, SOME_FAILED, files, settings};

use metric::{Case, METRICS, Metric, Takes};
use records::{Record, Results};

/// Measures every method on every picture, and writes the tables.
pub fn run(args: &EvaluateArgs) -> Result<ExitCode, Fatal> {
    let preset = args.paper.as_deref().map(|name| paper::preset(name, args)).transpose()?;
    let (args, given) = match &preset {
        Some((args, sources)) => (args, Some(sources)),
        None => (args, None),
    };
    let metrics = metrics(args)?;
    let own_sources = match given {
        Some(_) => Vec::new(),
        None if args.images.is_empty() => return Err("give pictures with --images".into()),
        None => sources(&args.images)?,
    };
    let sources = given.unwrap_or(&own_sources);
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
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        all if all == results.records.len() => ExitCode::from(NOTHING_DONE),
        some => {
            eprintln!(
                "{some} of {} values are missing; {} says why",
                results.records.len(),
                results.path.display()
            );
            ExitCode::from(SOME_FAILED)
        }
    })
}

/// Everything that is the same for all pictures.
struct Job<'a> {
    args: &'a EvaluateArgs,
    setup: Setup,
    metrics: Vec<&'static Metric>,
    targets: Targets,
    fill: Baseline,
    shuffled: Option<(OnnxModel, File)>,
    shifted: Option<(OnnxModel, File, f32)>,
}

/// A picture that was read, or why it could not be.
type Picture = Result<(Input, Prediction, usize), String>;

impl<'a> Job<'a> {
    fn new(args: &'a EvaluateArgs, metrics: Vec<&'static Metric>) -> Result<Self, Fatal> {
        if args.repeats == 0 {
            return Err("repeats is 0, but it must be at least 1".into());
        }
        let setup = Setup::new(&args.plan, &args.model, &args.typed)?;
        let targets = Targets::parse(std::slice::from_ref(&args.target), &setup.labels)?;
        targets.check(setup.model.classes())?;
        if targets.are_several() {
            return Err("--target: one class of each picture is evaluated".into());
        }
        let other =
            |path: &Option<std::path::PathBuf>| -> Result<Option<(OnnxModel, File)>, Fatal> {
                let Some(path) = path else { return Ok(None) };
                let noisy = setup.plans.iter().any(|(_, plan)| plan.weights.is_some());
                let loader = Loader::new(setup.model.device()).parameters(noisy);
                let model = loader
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
        let shuffled = other(&args.shuffled_model)?;
        let shifted = match (other(&args.shifted_model)?, args.shift) {
            (Some((model, file)), Some(shift)) => Some((model, file, shift)),
            (Some(_), None) => return Err("--shifted-model takes --shift".into()),
            (None, _) => None,
        };
        for metric in &metrics {
            let missing = match metric.takes {
                Takes::ShuffledModel if shuffled.is_none() => "--shuffled-model",
                Takes::ShiftedModel if shifted.is_none() => "--shifted-model and --shift",
                Takes::Probability
                    if !setup.model.has_probability() || setup.model.classes() < 2 =>
                {
                    "a model whose scores are the logits of one softmax"
                }
                _ => continue,
            };
            return Err(format!("the metric {} takes {missing}", metric.name).into());
        }
        all_used(args, &metrics, &setup)?;
        let fill = settings::fill(&args.fill)?;
        if fill == Baseline::Blur && setup.model.input_shape().len() != 3 {
            return Err("--fill blur takes pictures; choose zero, black or mean".into());
        }
        Ok(Self { args, setup, metrics, targets, fill, shuffled, shifted })
    }

    /// Seeds of a plan: without noise all maps would be the same.
    fn repeats(&self, plan: &Plan) -> u32 {
        if plan.is_noisy() { self.args.repeats } else { 1 }
    }

    /// Picture, method and repeat of each map, in the order in which they are made.
    fn groups(&self, sources: &[Source]) -> Vec<(String, String, u32)> {
        let of_method = |source: &Source, name: &str, plan: &Plan| {
            let (picture, name) = (source.name(), name.to_owned());
            (0..self.repeats(plan)).map(move |repeat| (picture.clone(), name.clone(), repeat))
        };
        sources
            .iter()
            .flat_map(|source| {
                self.setup.plans.iter().flat_map(move |(name, plan)| of_method(source, name, plan))
            })
            .collect()
    }

    /// What the results depend on.
    fn settings(&self, sources: &[Source]) -> serde_json::Value {
        let methods: Vec<_> = self
            .setup
            .plans
            .iter()
            .map(|(name, plan)| {
                json!({
                    "name": name,
                    "settings": settings::described(plan, self.setup.baseline.as_ref()),
                })
            })
            .collect();
        json!({
            "program": crate::manifest::PROGRAM,
            "device": self.setup.device,
            "model": self.setup.model_file,
            "domain": { "lower": self.setup.domain.lower, "upper": self.setup.domain.upper },
            "preprocess": self.setup.preprocess.as_ref().ok().map(ToString::to_string),
            "metrics": self.metrics.iter().map(|metric| metric.name).collect::<Vec<_>>(),
            "methods": methods,
            "target": self.args.target,
            "labels": digest([self.setup.labels.text().into_bytes()]),
            "output_name": self.args.model.output_name,
            "input_shape": self.setup.model.input_shape(),
            "seed": self.args.plan.seed,
            "repeats": self.args.repeats,
            "fill": self.args.fill,
            "shuffled_model": self.shuffled.as_ref().map(|(_, file)| file),
            "shifted_model": self.shifted.as_ref().map(|(_, file, _)| file),
            "shift": self.args.shift,
            "pictures": sources.iter().map(Source::name).collect::<Vec<_>>(),
            "contents": digest(sources.iter().filter_map(Source::contents)),
        })
    }

    /// Takes what the results still lack.
    fn measure(&self, sources: &[Source], results: &mut Results) -> Result<(), String> {
        let mut done = results.records.len() / self.metrics.len();
        let maps: u32 = self.setup.plans.iter().map(|(_, plan)| self.repeats(plan)).sum();
        let bar = progress_bar(u64::from(maps) * sources.len() as u64, done as u64);
        for source in sources {
            if done >= maps as usize {
                done -= maps as usize;
                continue;
            }
            let picture = self.open(source);
            for (name, plan) in &self.setup.plans {
                for repeat in 0..self.repeats(plan) {
                    if done > 0 {
                        done -= 1;
                        continue;
                    }
                    let values = match &picture {
                        Ok(picture) => self.values(plan, repeat, picture),
                        Err(reason) => vec![Err(reason.clone()); self.metrics.len()],
                    };
                    let class = picture.as_ref().ok().map(|(.., class)| *class);
                    let record = |(metric, value): (&&Metric, Result<f64, String>)| Record {
                        picture: source.name(),
                        method: name.clone(),
                        repeat,
                        metric: metric.name.to_owned(),
                        class,
                        value: value.as_ref().ok().copied(),
                        reason: value.err(),
                    };
                    results.append(self.metrics.iter().zip(values).map(record).collect())?;
                    bar.inc(1);
                }
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn open(&self, source: &Source) -> Picture {
        let input = self.setup.open(source)?.input;
        let prediction = self.setup.explainer().predict(&input).map_err(|e| e.to_string())?;
        let classes = self.targets.classes(&prediction).map_err(|error| error.to_string())?;
        let class = *classes.first().ok_or("it has no class")?;
        Ok((input, prediction, class))
    }

    /// The value of each metric for one map.
    fn values(
        &self,
        plan: &Plan,
        repeat: u32,
        (input, prediction, class): &(Input, Prediction, usize),
    ) -> Vec<Result<f64, String>> {
        let plan = plan.clone().seed(plan.seed.wrapping_add(repeat.into()));
        let explainer = self.setup.explainer();
        let shuffled = self.shuffled.as_ref().map(|(model, _)| self.setup.explainer_of(model));
        let shifted =
            self.shifted.as_ref().map(|(model, _, shift)| (self.setup.explainer_of(model), *shift));
        let task = Task { input, class: *class, prediction };
        let map: Result<Attribution, mollify::Error> = explainer
            .explain_all(&plan, &[task])
            .and_then(|maps| maps.into_iter().next().unwrap_or(Err(mollify::Error::NoGradient)));
        let map = match map {
            Ok(map) => map,
            Err(error) => return vec![Err(error.to_string()); self.metrics.len()],
        };
        let case = Case {
            explainer: &explainer,
            plan: &plan,
            input,
            map: &map,
            fill: &self.fill,
            shuffled: shuffled.as_ref(),
            shifted: shifted.as_ref().map(|(explainer, shift)| (explainer, *shift)),
        };
        self.metrics.iter().map(|metric| metric.measure(&case)).collect()
    }

    /// Writes and prints the tables.
    fn report(&self, records: &[Record]) -> Result<(), String> {
        let methods: Vec<String> = self.setup.plans.iter().map(|(name, _)| name.clone()).collect();
        let cells = table::cells(records, &self.metrics, &methods);
        let differences = table::differences(&cells);
        let text = table::markdown(&cells, &differences, &self.metrics);
        say!("{text}");
        let tables = [("table.md", text.into_bytes()), ("table.csv", table::csv(&cells)?)];
        for (name, bytes) in tables {
            say!("{}", files::write(&self.args.out, name, &bytes)?.display());
        }
        say!("{}", self.args.out.join(records::RESULTS).display());
        Ok(())
    }
}

/// Refuses an option that was typed and that nothing uses.
fn all_used(args: &EvaluateArgs, metrics: &[&Metric], setup: &Setup) -> Result<(), String> {
    let asked = |names: &[&str]| metrics.iter().any(|metric| names.contains(&metric.name));
    let uses = [
        ("fill", asked(&["insertion", "deletion"])),
        ("shuffled_model", asked(&["consistency"])),
        ("shifted_model", asked(&["invariance"])),
        ("repeats", setup.plans.iter().any(|(_, plan)| plan.is_noisy())),
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

/// The checksum of several contents in their order.
fn digest(contents: impl IntoIterator<Item = Vec<u8>>) -> String {
    let sums: Vec<String> =
        contents.into_iter().map(|bytes| File::new(String::new(), &bytes).sha256).collect();
    File::new(String::new(), sums.concat().as_bytes()).sha256
}

/// The metrics that were asked for, each once.
fn metrics(args: &EvaluateArgs) -> Result<Vec<&'static Metric>, String> {
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    if args.metrics.is_empty() {
        return Err(format!("name the metrics: {}", names.join(", ")));
    }
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
