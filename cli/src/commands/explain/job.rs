//! The job of `explain`: the options, the setup, and how many inputs are explained at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attriburn::{Output, Plan};
use attriburn_evaluate::Variant;
use serde_json::{Value, json};

use crate::args::{ExplainArgs, GridScale};
use crate::exit::Fatal;
use crate::output::display::Display;
use crate::output::manifest::{self, recorded_options};
use crate::output::progress::Progress;
use crate::setup::source::Source;
use crate::setup::targets::Targets;
use crate::setup::{Setup, SetupOptions};

/// The setup and settings that all inputs share.
pub struct Job<'a> {
    pub args: &'a ExplainArgs,
    /// The inputs, in groups whose maps share batches; of a shard, those of its groups.
    pub groups: Vec<&'a [Source]>,
    pub setup: Setup,
    pub targets: Targets,
    pub grid_scale: GridScale,
    pub display: Display,
    pub out: PathBuf,
    /// The options that manifests record.
    pub options: BTreeMap<String, Vec<String>>,
    /// A checksum of the settings that all maps depend on.
    pub key: String,
    pub progress: Progress,
}

impl<'a> Job<'a> {
    /// Loads the model and checks all options.
    ///
    /// # Errors
    ///
    /// When an option is invalid or unused, or the model cannot be loaded.
    pub fn new(args: &'a ExplainArgs, sources: &'a [Source]) -> Result<Self, Fatal> {
        let options = SetupOptions {
            plan: &args.plan,
            sweeps: &[],
            model: &args.model,
            parameters: false,
            seeded: false,
            options: &args.options,
        };
        let setup = Setup::new(&options)?;
        let targets = Targets::parse(&args.target, &setup.labels)?;
        targets.check(setup.model.classes())?;
        let score = args.plan.method.score.unwrap_or_default();
        if targets.need_logits() && score != Output::Logit {
            return Err(
                "--score probability: a contrast is defined for logits only; leave the option out"
                    .into(),
            );
        }
        let has_grid = setup.variants.len() * targets.max_scores() > 1;
        if args.options.is_typed("grid-scale") && !has_grid {
            return Err("--grid-scale is not used: a single map has no grid; leave it out".into());
        }
        if args.options.is_typed("report") && setup.image_shape.len() != 3 {
            return Err(format!(
                "--report is not used: the model takes samples of shape {:?}, whose maps are no images; leave it out, or give the image shape with --picture-shape C,H,W",
                setup.image_shape
            )
            .into());
        }
        let plans: Vec<&Plan> = setup.variants.iter().map(|variant| &variant.plan).collect();
        let display = Display::new(&args.display, &args.options, &plans, &setup.image_shape)?;
        let out = args.output.out.clone().unwrap_or_else(|| OUT.into());
        let groups = groups(sources, &setup, targets.max_scores());
        let groups: Vec<&[Source]> = match args.output.shard {
            Some(shard) => shard.of(groups).collect(),
            None => groups.collect(),
        };
        let maps = groups.iter().map(|group| group.len()).sum::<usize>() * targets.max_scores();
        let gradients = setup.gradients().saturating_mul(maps as u64);
        let key = settings_key(args, &setup)?;
        Ok(Self {
            args,
            groups,
            setup,
            targets,
            grid_scale: args.output.grid_scale.unwrap_or_default(),
            display,
            out,
            options: recorded_options(&args.options),
            key,
            progress: Progress::new(gradients, 0, "gradients"),
        })
    }

    /// Warns if the model or an image has changed since the manifest at `path` was written.
    pub fn warn_if_changed(&self, path: &Path, sources: &[Source]) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let recorded: Value = serde_json::from_str(&text).unwrap_or_default();
        let differs = |part: &str, checksum: &str| {
            recorded[part]["sha256"].as_str().is_some_and(|recorded| recorded != checksum)
        };
        if differs("model", &self.setup.model_file.file.sha256) {
            log::warn!("the model differs from the model recorded in {}", path.display());
        }
        for source in sources.iter().filter(|source| recorded["image"]["path"] == source.name()) {
            let checksum =
                source.contents().map(|bytes| manifest::sha256(&bytes)).unwrap_or_default();
            if differs("image", &checksum) {
                log::warn!("{} has changed since {}", source.name(), path.display());
            }
        }
    }
}

/// Splits sources into groups whose maps share batches.
fn groups<'s>(
    sources: &'s [Source],
    setup: &Setup,
    max_scores: usize,
) -> impl Iterator<Item = &'s [Source]> + use<'s> {
    let maps_per_source = (setup.variants.len() * max_scores).max(1);
    // Small groups, so that the first maps are written soon.
    let size = GRADIENTS_PER_GROUP / setup.gradients().max(1);
    let max_size = MAX_MAPS.div_ceil(maps_per_source) as u64;
    sources.chunks(size.clamp(1, max_size) as usize)
}

/// Returns a checksum of all settings that the maps of a run depend on.
fn settings_key(args: &ExplainArgs, setup: &Setup) -> Result<String, serde_json::Error> {
    let plan = |variant: &Variant| manifest::plan_to_json(&variant.plan, setup.baseline.as_ref());
    let plans: Vec<Value> = setup.variants.iter().map(plan).collect::<Result<_, _>>()?;
    let methods: Vec<&str> = setup.variants.iter().map(|variant| variant.name.as_str()).collect();
    let (with, options) = (&args.model.with, &args.options.values);
    let preprocess = setup.preprocess.as_ref().ok().map(|found| found.preprocess.to_string());
    let pictures: BTreeMap<&str, &Vec<String>> = args
        .display
        .names()
        .into_iter()
        .filter_map(|name| Some((name, options.get(name)?)))
        .collect();
    let settings = json!({
        "version": manifest::PROGRAM.version,
        "schema": manifest::SCHEMA_VERSION,
        "model": setup.model_file,
        "domain": { "lower": setup.domain.lower, "upper": setup.domain.upper },
        "preprocess": preprocess,
        "pictures": setup.image_shape,
        "methods": methods,
        "plans": plans,
        "standard_error": args.output.standard_error,
        "pictures_of_maps": pictures,
        "exact": with.compute.exact,
        "output": [options.get("model-output"), options.get("region")],
    });
    Ok(manifest::sha256(settings.to_string().as_bytes()))
}

/// The default output folder.
const OUT: &str = "attriburn-out";

/// The maximum number of maps in memory before they are written.
pub const MAX_MAPS: usize = 64;

/// The number of gradients in a group: several batches, so that a last batch that is not full costs little.
const GRADIENTS_PER_GROUP: u64 = 256;
