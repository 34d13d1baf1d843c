//! The registry of metrics. Each metric is listed here and nowhere else.

use attriburn_metrics::{deletion, insertion};

use crate::measure;
use crate::metric::Better::{Higher, Lower};
use crate::metric::Metric;
use crate::metric::Requirement::{
    Boxes, Fill, MinProbability, OtherModel, Parameters, Points, Probability, ShiftedModel,
    ShuffledModel,
};
use crate::metric::metric;
use crate::value::Value;

impl Metric {
    /// Returns the metric called `name`.
    pub fn named(name: &str) -> Option<&'static Metric> {
        METRICS.iter().find(|metric| metric.name == name)
    }

    /// Returns the metrics of the similarity of two models' scores and maps, each of the maps after the same metric of
    /// one model's maps for two seeds.
    pub fn of_model_comparison() -> Vec<&'static Metric> {
        let pairs = MODEL_SIMILARITIES.iter().flat_map(|(models, seeds)| [*models, *seeds]);
        let names = ["same-class", "scores", DIFFERENCE].into_iter().chain(pairs);
        names.filter_map(Metric::named).collect()
    }
}

/// Every metric.
pub const METRICS: &[Metric] = &[
    metric(
        "sparseness",
        "Gini coefficient of the pixel scores: high for a map concentrated on few pixels",
        Higher,
        &[],
        measure::sparseness,
    ),
    metric(
        "insertion",
        "area under the class probability as pixels are inserted, strongest first",
        Higher,
        &[Probability, Fill],
        |case| measure::faithfulness(case, insertion),
    )
    .curve("share of pixels inserted", "probability"),
    metric(
        "deletion",
        "area under the class probability as pixels are deleted, strongest first",
        Lower,
        &[Probability, Fill],
        |case| measure::faithfulness(case, deletion),
    )
    .curve("share of pixels deleted", "probability"),
    metric(
        "sic",
        "Softmax Information Curve: area under the class probability against the information shown",
        Higher,
        &[Probability, MinProbability],
        measure::sic,
    )
    .curve("normalized information", "normalized probability")
    .median()
    .random(),
    metric(
        "aic",
        "Accuracy Information Curve: area under the accuracy against the information shown",
        Higher,
        &[Probability],
        measure::aic,
    )
    .curve("normalized information", "normalized accuracy")
    .median()
    .random(),
    metric(
        "pointing-game",
        "share of the strongest pixels that lie on the object",
        Higher,
        &[Boxes, Points],
        measure::pointing,
    ),
    metric(
        "box-precision",
        "share of the boxes proposed from the map that overlap the object",
        Higher,
        &[Boxes],
        measure::box_proposals,
    ),
    metric(
        "adversarial-pixels",
        "number of pixels to change, strongest first, until the class probability falls below 0.5",
        Lower,
        &[Probability],
        measure::adversarial_pixel_count,
    ),
    metric(
        "out-of-domain-share",
        "expected share of noisy values outside the domain",
        Lower,
        &[],
        |case| Ok(measure::expected_out_of_domain(case)?.share.into()),
    ),
    metric(
        "out-of-domain-amount",
        "expected distance of noisy values from the domain",
        Lower,
        &[],
        |case| Ok(measure::expected_out_of_domain(case)?.amount.into()),
    ),
    metric(
        "out-of-domain-share-measured",
        "share of noisy values outside the domain, counted in the samples of the map",
        Lower,
        &[],
        |case| Ok(measure::measured_out_of_domain(case)?.share.into()),
    ),
    metric(
        "out-of-domain-amount-measured",
        "distance of noisy values from the domain, measured in the samples of the map",
        Lower,
        &[],
        |case| Ok(measure::measured_out_of_domain(case)?.amount.into()),
    ),
    metric("error", "relative standard error of the map", Lower, &[], measure::relative_error),
    metric(
        "gap",
        "completeness gap of Integrated Gradients",
        Lower,
        &[],
        measure::completeness_gap,
    ),
    metric(
        "consistency",
        "absolute rank correlation with the map of a model trained on shuffled labels",
        Lower,
        &[ShuffledModel],
        |case| measure::absolute_rank_correlation(case.map, &case.shuffled_map()?).map(Value::from),
    ),
    metric(
        "invariance",
        "absolute rank correlation with the map of a model trained on shifted inputs",
        Higher,
        &[ShiftedModel],
        |case| measure::absolute_rank_correlation(case.map, &case.shifted_map()?).map(Value::from),
    ),
    metric(
        "cascade",
        "absolute rank correlation with the maps of the model as its layers are randomized",
        Lower,
        &[Parameters],
        |case| measure::cascade(case, measure::absolute_rank_correlation),
    )
    .curve("share of layers randomized", "rank correlation"),
    metric(
        "cascade-ssim",
        "structural similarity to the maps of the model as its layers are randomized",
        Lower,
        &[Parameters],
        |case| {
            measure::cascade(case, |map, other| measure::structural_similarity(case, map, other))
        },
    )
    .curve("share of layers randomized", "structural similarity"),
    metric(
        "random-logit",
        "structural similarity to the map of a random other class",
        Lower,
        &[],
        measure::random_logit,
    )
    .random(),
    metric(
        "stability",
        "distance to the map of a model trained on other data",
        Lower,
        &[OtherModel],
        |case| measure::distance(case, case.other_map()?),
    ),
    metric(
        "stability-ssim",
        "structural similarity to the map of a model trained on other data",
        Higher,
        &[OtherModel],
        |case| measure::structural_similarity(case, case.map, case.other_map()?).map(Value::from),
    ),
    metric(
        "stability-overlap",
        "overlap of the strongest pixels with those in the map of a model trained on other data",
        Higher,
        &[OtherModel],
        |case| measure::strongest_overlap(case, case.other_map()?),
    ),
    metric("fidelity", "distance to the gradient without noise", Lower, &[], |case| {
        measure::distance(case, measure::comparable_gradient(case)?)
    }),
    metric(
        "fidelity-ssim",
        "structural similarity to the gradient without noise",
        Higher,
        &[],
        |case| {
            measure::structural_similarity(case, case.map, measure::comparable_gradient(case)?)
                .map(Value::from)
        },
    ),
    metric(
        "fidelity-overlap",
        "overlap of the strongest pixels with those in the gradient without noise",
        Higher,
        &[],
        |case| measure::strongest_overlap(case, measure::comparable_gradient(case)?),
    ),
    metric(
        "same-class",
        "1 if both models predict the same class, else 0",
        Higher,
        &[OtherModel],
        measure::same_class,
    ),
    metric(
        "scores",
        "correlation of the class scores of both models",
        Higher,
        &[OtherModel],
        measure::score_correlation,
    ),
    metric(
        "cosine",
        "cosine similarity of the maps of both models",
        Higher,
        &[OtherModel],
        |case| measure::cosine_similarity(case.map, case.other_map()?),
    ),
    metric("rank", "rank correlation of the maps of both models", Higher, &[OtherModel], |case| {
        measure::rank_correlation(case.map, case.other_map()?)
    }),
    metric(
        "overlap",
        "overlap of the strongest pixels in the maps of both models",
        Higher,
        &[OtherModel],
        |case| measure::strongest_overlap(case, case.other_map()?),
    ),
    metric(
        "difference",
        "share of the difference between the maps of both models that is not noise",
        Lower,
        &[OtherModel],
        measure::noise_free_difference,
    ),
    metric("seeds-cosine", "cosine similarity of the maps for two seeds", Higher, &[], |case| {
        measure::cosine_similarity(case.map, case.reseeded_map()?)
    }),
    metric("seeds-rank", "rank correlation of the maps for two seeds", Higher, &[], |case| {
        measure::rank_correlation(case.map, case.reseeded_map()?)
    }),
    metric(
        "seeds-overlap",
        "overlap of the strongest pixels in the maps for two seeds",
        Higher,
        &[],
        |case| measure::strongest_overlap(case, case.reseeded_map()?),
    ),
    metric("seconds", "time to compute the map, in seconds", Lower, &[], |case| {
        Ok(case.map.seconds.into())
    })
    .timed(),
];

/// The pairs of metrics whose rank correlation over the images is tested (Table 1 of arXiv 2410.07711).
pub const CORRELATED: [(&str, &str); 4] = [
    ("sparseness", "out-of-domain-share"),
    ("sparseness", "out-of-domain-amount"),
    ("sparseness", "out-of-domain-share-measured"),
    ("sparseness", "out-of-domain-amount-measured"),
];

/// Each similarity metric of the maps of two models, with the same metric of one model's maps for two seeds.
pub const MODEL_SIMILARITIES: [(&str, &str); 3] =
    [("cosine", "seeds-cosine"), ("rank", "seeds-rank"), ("overlap", "seeds-overlap")];

/// The metric for the share of the difference between two models that is not noise.
pub const DIFFERENCE: &str = "difference";

/// The pairs of metrics that are plotted against each other, horizontal and vertical axis (arXiv 2411.05837).
pub const PLOTTED_PAIRS: [(&str, &str); 3] = [
    ("fidelity", "stability"),
    ("fidelity-ssim", "stability-ssim"),
    ("fidelity-overlap", "stability-overlap"),
];

/// The metric that theory predicts to be proportional to `1 / width` of the noise (arXiv 2411.05837).
pub const INVERSE_TO_WIDTH: &str = "stability";
