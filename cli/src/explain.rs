//! `attriburn explain`: from pictures to maps, overlays and manifests.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use attriburn::{Attribution, Input, Model, Plan, Prediction, Task};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::ExplainArgs;
use crate::manifest::{self, Manifest};
use crate::maps::{Class, Made, side_by_side};
use crate::settings::{self, GridScale};
use crate::setup::Setup;
use crate::source::{Opened, Source, sources};
use crate::targets::Targets;
use crate::variants::Variant;
use crate::{Fatal, NOTHING_DONE, SOME_FAILED, files, lost};

/// Everything that is the same for all inputs.
struct Job<'a> {
    args: &'a ExplainArgs,
    setup: Setup,
    targets: Targets,
    grid_scale: GridScale,
}

/// An input with what the model says of it.
struct Item<'a> {
    source: &'a Source,
    opened: Opened,
    prediction: Prediction,
    classes: Vec<usize>,
}

/// Some of an input's classes, whose maps are made and held together.
struct Part<'a> {
    item: &'a Item<'a>,
    classes: &'a [usize],
}

impl<'a> Part<'a> {
    /// A map for each class.
    fn tasks(&self) -> impl Iterator<Item = Task<'a>> + use<'a> {
        let (input, prediction) = (&self.item.opened.input, &self.item.prediction);
        self.classes.iter().map(move |&class| Task { input, class, prediction })
    }
}

/// Explains every input; one that fails is reported and the others go on.
pub fn run(args: &ExplainArgs) -> Result<ExitCode, Fatal> {
    let sources = sources(&args.inputs)?;
    let job = Job::new(args)?;
    files::make_folder(&args.out)?;
    let failed: usize = job.groups(&sources).map(|group| job.explain(group)).sum();
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
        let setup = Setup::new(&args.plan, &[], &args.model, false, &args.typed)?;
        let targets = Targets::parse(&args.target, &setup.labels)?;
        targets.check(setup.model.classes())?;
        let grid_scale = GridScale::parse(&args.grid_scale)?;
        let several = setup.variants.len() * targets.most() > 1;
        if args.typed.iter().any(|name| name == "grid_scale") && !several {
            return Err("--grid-scale is not used: one map makes no grid; leave it out".into());
        }
        Ok(Self { args, setup, targets, grid_scale })
    }

    /// The sources in groups whose maps share batches.
    fn groups<'s>(&self, sources: &'s [Source]) -> impl Iterator<Item = &'s [Source]> {
        let widest =
            self.setup.variants.iter().map(|v| self.maps_at_once(&v.plan)).max().unwrap_or(1);
        let maps_each = (self.setup.variants.len() * self.targets.most()).max(1);
        sources.chunks(widest.min(MOST_MAPS.div_ceil(maps_each)))
    }

    /// Explains some sources together; gives the number of those that failed.
    fn explain(&self, sources: &[Source]) -> usize {
        let (mut items, mut failed) = (Vec::new(), 0);
        for (source, item) in sources.iter().zip(self.open(sources)) {
            match item {
                Ok(item) => items.push(item),
                Err(message) => failed += report(source, &[message]),
            }
        }
        let most = (MOST_MAPS / self.setup.variants.len()).max(1);
        if let [item] = &items[..]
            && item.classes.len() > most
        {
            let parts = item.classes.chunks(most).map(|classes| Part { item, classes });
            let messages: Vec<String> =
                parts.flat_map(|part| self.explain_parts(&[part])).flatten().collect();
            return failed + report(item.source, &messages);
        }
        let parts: Vec<Part> =
            items.iter().map(|item| Part { item, classes: &item.classes }).collect();
        for (part, messages) in parts.iter().zip(self.explain_parts(&parts)) {
            failed += report(part.item.source, &messages);
        }
        failed
    }

    /// Makes and writes the maps of all parts; gives what went wrong with each.
    fn explain_parts(&self, parts: &[Part]) -> Vec<Vec<String>> {
        let tasks: Vec<Task> = parts.iter().flat_map(Part::tasks).collect();
        let mut made: Vec<Vec<Made>> = tasks.iter().map(|_| Vec::new()).collect();
        let mut failures: Vec<Vec<String>> = vec![Vec::new(); tasks.len()];
        for Variant { name: method, plan, .. } in &self.setup.variants {
            for (task, map) in self.maps(method, plan, &tasks).into_iter().enumerate() {
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
            let (own, others) = made.split_at(part.classes.len());
            let (own_failures, other_failures) = failures.split_at(part.classes.len());
            (made, failures) = (others, other_failures);
            let mut messages = own_failures.concat();
            messages.dedup();
            messages.extend(self.write(part, own).err());
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
            let classes = self.targets.classes(&prediction).map_err(|error| error.to_string())?;
            Ok(Item { source, opened, prediction, classes })
        };
        sources.iter().zip(opened).map(item).collect()
    }

    /// One method's map of each task.
    fn maps(&self, method: &str, plan: &Plan, tasks: &[Task]) -> Vec<Result<Attribution, String>> {
        let bar = progress_bar(method);
        let show = |done: u64, total: u64| {
            bar.set_length(total);
            bar.set_position(done);
        };
        let explainer = self.setup.explainer().progress(&show);
        let together = |tasks: &[Task]| match explainer.explain_all(plan, tasks) {
            Ok(maps) => maps.into_iter().map(|map| map.map_err(|e| e.to_string())).collect(),
            Err(error) => vec![Err(error.to_string()); tasks.len()],
        };
        let maps = tasks.chunks(self.maps_at_once(plan)).flat_map(together).collect();
        bar.finish_and_clear();
        maps
    }

    /// Writes a part's maps, class by class, and prints what was written.
    fn write(&self, part: &Part, made: &[Vec<Made>]) -> Result<(), String> {
        let item = part.item;
        let folder = self.args.out.join(&item.source.stem);
        let target = |&class: &usize| self.target(item, class);
        let targets: Vec<manifest::Target> = part.classes.iter().map(target).collect();
        for (target, made) in targets.iter().zip(made).filter(|(_, made)| !made.is_empty()) {
            let folder = match self.targets.are_several() {
                true => folder.join(target.index.to_string()),
                false => folder.clone(),
            };
            self.write_class(item, target, made, &folder)?;
        }
        let whole = made.iter().all(|made| made.len() == self.setup.variants.len());
        if self.setup.variants.len() * item.classes.len() < 2 || !whole {
            return Ok(());
        }
        if part.classes.len() < item.classes.len() {
            if part.classes.last() == item.classes.last() {
                let maps = self.setup.variants.len() * item.classes.len();
                log::warn!("{maps} maps are too many for a grid");
            }
            return Ok(());
        }
        if let (Some(path), false) = (self.grid(item, &targets, made, &folder)?, self.args.json) {
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
        let class = |(target, made)| Class { label: name_of(target), made };
        let made = made.iter().map(Vec::as_slice);
        let classes: Vec<Class> = targets.iter().zip(made).map(class).collect();
        let picture = side_by_side(item.opened.crop.as_ref(), &classes, self.grid_scale);
        let Some(picture) = picture.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        files::write(folder, GRID, &picture).map(Some)
    }

    fn target(&self, item: &Item, class: usize) -> manifest::Target {
        manifest::Target {
            index: class,
            label: self.setup.labels.name(class).map(str::to_owned),
            logit: item.prediction.logits[class],
            probability: item
                .prediction
                .has_probability()
                .then(|| item.prediction.probability(class)),
        }
    }

    fn write_class(
        &self,
        item: &Item,
        target: &manifest::Target,
        made: &[Made],
        folder: &Path,
    ) -> Result<(), String> {
        files::make_folder(folder)?;
        let headline = format!("{}: {}", item.source.name(), name_of(target));
        let (mut methods, mut lines) = (Vec::new(), Vec::new());
        for made in made {
            let written = made.write(folder, item.opened.crop.as_ref(), self.args.stderr)?;
            lines.push(made.summary(&written));
            methods.push(self.record(made, &written));
        }
        let (file, preprocess) = (&item.opened.file, item.opened.preprocess.clone());
        let manifest = Manifest {
            schema_version: manifest::SCHEMA_VERSION,
            program: manifest::PROGRAM,
            device: &self.setup.device,
            seed: self.args.plan.seed,
            model: &self.setup.model_file,
            image: manifest::Image {
                file,
                preprocess_from: preprocess.as_ref().and(self.setup.preprocess_from()),
                preprocess,
            },
            domain: manifest::Bounds {
                lower: &self.setup.domain.lower,
                upper: &self.setup.domain.upper,
            },
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
            say!("  {:<11} {}", "manifest", path.display());
        }
        Ok(())
    }

    /// How many maps of a plan share batches; their paths lie on the device together.
    fn maps_at_once(&self, plan: &Plan) -> usize {
        let features: usize = self.setup.model.input_shape().iter().product();
        let steps = plan.path.as_ref().map_or(1, |path| u64::from(path.steps));
        let fitting = MOST_NODE_VALUES / (steps * features as u64).max(1);
        (GRADIENTS_AT_ONCE / plan.gradients().max(1)).min(fitting).clamp(1, MOST_MAPS as u64)
            as usize
    }

    fn record(&self, made: &Made, written: &[PathBuf]) -> manifest::Method {
        let map = &made.map;
        let file_name =
            |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        manifest::Method {
            name: made.method.to_owned(),
            settings: settings::described(made.plan, self.setup.baseline.as_ref()),
            files: written.iter().filter_map(file_name).collect(),
            seconds: map.seconds,
            gradients: map.gradients,
            samples: map.samples,
            left_out: map.left_out,
            batch: map.batch,
            notes: made.notes(),
            relative_standard_error: map.relative_standard_error(),
            completeness_gap: map.completeness_gap,
        }
    }
}

/// The grid's file, in the folder of its picture.
const GRID: &str = "grid.png";

/// The most maps that are held before they are written.
const MOST_MAPS: usize = 64;

/// Gradients that maps are made together for, several times what a batch holds: so the last batch,
/// which is not full, counts little.
const GRADIENTS_AT_ONCE: u64 = 256;

/// The most values of the paths of maps that are made together: 256 MiB of float32.
const MOST_NODE_VALUES: u64 = 1 << 26;

/// Prints what went wrong with a source; gives 1, or 0 for nothing.
fn report(source: &Source, messages: &[String]) -> usize {
    for message in messages {
        lost::wait_for_the_end();
        eprintln!("error: {}: {message}", source.name());
    }
    usize::from(!messages.is_empty())
}

/// A bar on stderr; hidden where that is no terminal.
fn progress_bar(method: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:12} {wide_bar} {pos}/{len} gradients, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_message(method.to_owned())
}

/// A class with its probability, for a person.
fn name_of(target: &manifest::Target) -> String {
    let label = target.label.as_deref().map_or(String::new(), |label| format!("{label}, "));
    match target.probability {
        Some(probability) => {
            format!("{label}class {} ({:.1} %)", target.index, 100.0 * probability)
        }
        None => format!("{label}class {} (score {:.3})", target.index, target.logit),
    }
}
