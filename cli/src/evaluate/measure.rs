//! From pictures to results: the maps that are still missing, and every metric of each.

use std::path::Path;

use attriburn::metrics::Cascade;
use attriburn::{Explainer, Model, Plan, Score};

use crate::plans::Variant;
use crate::progress::Progress;
use crate::source::Source;

use super::boxes::{Seen, Wanted};
use super::case::{Case, Given, Picture};
use super::job::{Job, digest_of_sums};
use super::metric::{Metric, Takes, any_takes};
use super::records::{Record, Results};
use super::value::{Missing, Value};

/// Takes what the results still lack.
pub fn measure(job: &Job, results: &mut Results) -> Result<(), String> {
    let mut done = results.records.len() / job.metrics.len();
    let maps: usize = job.setup.variants.iter().map(|v| job.repeats(&v.plan) as usize).sum();
    let all = maps * job.sources.len();
    if done == all {
        return Ok(());
    }
    let cascade = cascade(job)?;
    let given = given(job, cascade.as_ref());
    let progress = Progress::new(all as u64, done as u64, "maps");
    let mut is_warm = !job.metrics.iter().any(|metric| metric.timed);
    for source in job.sources {
        if done >= maps {
            done -= maps;
            continue;
        }
        let picture = open(job, source);
        if let (false, Ok(picture)) = (is_warm, &picture) {
            warm_up(job, &given, picture);
            is_warm = true;
        }
        for variant in &job.setup.variants {
            for repeat in 0..job.repeats(&variant.plan) {
                if done > 0 {
                    done -= 1;
                    continue;
                }
                let values = match &picture {
                    Ok(picture) => values(job, &given, &variant.plan, repeat, picture),
                    Err(reason) => {
                        vec![Err(Missing::failed(reason.as_str())); job.metrics.len()]
                    }
                };
                let class = picture.as_ref().ok().map(|picture| picture.class);
                results.append(records(job, source, (variant, repeat), class, values))?;
                progress.finish(1);
            }
        }
    }
    Ok(())
}

/// What all maps are measured with.
fn given<'g>(job: &'g Job, cascade: Option<&'g Cascade<'g>>) -> Given<'g> {
    let explained = |model: &'g dyn Model| -> Explainer<'g> { job.setup.explainer_of(model) };
    let others = &job.others;
    let given = Given {
        explainer: job.setup.explainer(),
        shuffled: others.shuffled.as_ref().map(|other| explained(&other.model)),
        shifted: others.shifted.as_ref().map(|(other, shift)| (explained(&other.model), *shift)),
        other: others.other.as_ref().map(|other| explained(&other.model)),
        cascade: Vec::new(),
        fill: job.fill.baseline(),
        points: job.args.points(),
        least_probability: job.args.least_probability(),
    };
    match cascade {
        Some(cascade) => given.with_cascade(cascade, explained),
        None => given,
    }
}

/// The models whose layers are randomized, where a metric takes them.
fn cascade<'j>(job: &'j Job) -> Result<Option<Cascade<'j>>, String> {
    if !any_takes(&job.metrics, Takes::Parameters) {
        return Ok(None);
    }
    let stages = job.args.stages.unwrap_or(usize::MAX);
    let cascade = Cascade::new(&job.setup.model, stages, job.args.seed());
    cascade.map(Some).map_err(|error| error.to_string())
}

/// The picture, what the model says of it, and where its objects are.
fn open(job: &Job, source: &Source) -> Result<Picture, String> {
    let opened = job.setup.open(source)?;
    let prediction = job.setup.explainer().predict(&opened.input).map_err(|e| e.to_string())?;
    let scores = job.targets.scores(&prediction, job.setup.expected(source))?;
    let class = scores.first().and_then(Score::class).ok_or("it has no class")?;
    let regions = match (&job.boxes, opened.input.picture_shape()) {
        (None, _) => Err("there are no boxes".into()),
        (Some(boxes), &[_, height, width]) => {
            let preprocess = job.setup.preprocess.as_ref().ok().map(|found| &found.preprocess);
            let scaled = preprocess.zip(opened.size);
            let seen = Seen { shape: [height, width], scaled };
            let wanted = match job.args.all_boxes {
                true => Wanted::All,
                false => Wanted::Class(&job.setup.labels, class),
            };
            boxes.regions(Path::new(&source.name()), &seen, wanted)
        }
        (Some(_), shape) => Err(format!("boxes are of pictures, not of samples of {shape:?}")),
    };
    let sum = digest_of_sums([opened.file.sha256]);
    let seed = u64::from_str_radix(&sum[..16], 16).unwrap_or_default();
    Ok(Picture::new(opened.input, prediction, class, regions, seed))
}

/// Makes a map of each method that is not measured: the first on a device also compiles and tunes
/// its kernels.
fn warm_up(job: &Job, given: &Given, picture: &Picture) {
    for variant in &job.setup.variants {
        // A method that fails says so when it is measured.
        let _ = picture.map(&given.explainer, &variant.plan);
    }
}

/// The value of each metric for one map.
fn values(
    job: &Job,
    given: &Given,
    plan: &Plan,
    repeat: u32,
    picture: &Picture,
) -> Vec<Result<Value, Missing>> {
    let plan = plan.clone().seed(plan.seed.wrapping_add(repeat.into()));
    let map = match picture.map(&given.explainer, &plan) {
        Ok(map) => map,
        Err(error) => return vec![Err(Missing::failed(error)); job.metrics.len()],
    };
    let case = Case::new(given, &plan, picture, &map);
    job.metrics.iter().map(|metric| metric.measure(&case)).collect()
}

/// The values of one map as lines of the results.
fn records(
    job: &Job,
    source: &Source,
    (variant, repeat): (&Variant, u32),
    class: Option<usize>,
    values: Vec<Result<Value, Missing>>,
) -> Vec<Record> {
    let record = |(metric, value): (&&Metric, Result<Value, Missing>)| {
        let (value, missing) = match value {
            Ok(value) => (Some(value), None),
            Err(missing) => (None, Some(missing)),
        };
        Record {
            picture: source.name(),
            method: variant.name.clone(),
            repeat,
            metric: metric.name.to_owned(),
            class,
            value: value.as_ref().map(|value| value.number),
            curve: value.and_then(|value| value.curve),
            not_applicable: missing.as_ref().is_some_and(|missing| !missing.is_failure),
            reason: missing.map(|missing| missing.reason),
        }
    };
    job.metrics.iter().zip(values).map(record).collect()
}
