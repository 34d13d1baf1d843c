//! The input of a metric: a map, and the maps and predictions that the metric compares the map with. Each of
//! these is computed once, on demand.

use std::cell::OnceCell;

use attriburn::{Attribution, Explainer, Input, Plan, Prediction, Sampler};
use attriburn_metrics::{OutOfDomain, RevealSchedule, RevealedImage, pixel_scores, reveal};

use crate::context::Context;
use crate::sample::Sample;

const NO_OTHER_MODEL: &str = "no model trained on other data was given";

/// An attribution map with everything that metrics derive from it.
pub struct Case<'a> {
    /// The models, and the parameters of metrics.
    pub context: &'a Context<'a>,
    /// The plan that the map was computed with.
    pub plan: &'a Plan,
    /// The sample.
    pub sample: &'a Sample<'a>,
    /// The attribution map.
    pub map: &'a Attribution,
    other_map: OnceCell<Result<Attribution, String>>,
    other_prediction: OnceCell<Result<Prediction, String>>,
    reseeded_map: OnceCell<Result<Attribution, String>>,
    other_reseeded_map: OnceCell<Result<Attribution, String>>,
    cascade_maps: OnceCell<Result<Vec<Attribution>, String>>,
    revealed: OnceCell<Result<RevealedImage, String>>,
    out_of_domain: OnceCell<Result<OutOfDomain, String>>,
}

impl<'a> Case<'a> {
    /// Returns the case of one map.
    pub fn new(
        context: &'a Context<'a>,
        plan: &'a Plan,
        sample: &'a Sample<'a>,
        map: &'a Attribution,
    ) -> Self {
        Self {
            context,
            plan,
            sample,
            map,
            other_map: OnceCell::new(),
            other_prediction: OnceCell::new(),
            reseeded_map: OnceCell::new(),
            other_reseeded_map: OnceCell::new(),
            cascade_maps: OnceCell::new(),
            revealed: OnceCell::new(),
            out_of_domain: OnceCell::new(),
        }
    }

    /// Returns the score of each pixel of a map.
    pub fn scores(&self, map: &Attribution) -> Vec<f32> {
        pixel_scores(&map.values, self.sample.input.picture_shape())
    }

    /// Returns the height and width of the maps, if the samples are images.
    pub fn image_size(&self) -> Result<[usize; 2], String> {
        match *self.sample.input.picture_shape() {
            [_, height, width] => Ok([height, width]),
            ref shape => Err(format!(
                "this metric needs images [channels, height, width], but the samples have shape {shape:?}; specify the image shape"
            )),
        }
    }

    /// Returns the gradient without noise with respect to the input, for the same class.
    pub fn clean_gradient(&self) -> Result<&Attribution, String> {
        self.sample.clean_gradient(&self.context.explainer, self.plan.output)
    }

    /// Returns the map of the model trained on other data.
    pub fn other_map(&self) -> Result<&Attribution, String> {
        let compute = || self.comparison_map(self.context.other.as_ref(), "other data");
        self.other_map.get_or_init(compute).as_ref().map_err(Clone::clone)
    }

    /// Returns the prediction of the model trained on other data.
    pub fn other_prediction(&self) -> Result<&Prediction, String> {
        let compute = || {
            let explainer = self.context.other.as_ref().ok_or(NO_OTHER_MODEL)?;
            explainer.predict(self.sample.input).map_err(|error| error.to_string())
        };
        self.other_prediction.get_or_init(compute).as_ref().map_err(Clone::clone)
    }

    /// Returns the map of the same model for another noise seed.
    pub fn reseeded_map(&self) -> Result<&Attribution, String> {
        let compute = || self.explain_reseeded(&self.context.explainer);
        self.reseeded_map.get_or_init(compute).as_ref().map_err(Clone::clone)
    }

    /// Returns the map of the model trained on other data, for the seed of [`Case::reseeded_map`].
    pub fn other_reseeded_map(&self) -> Result<&Attribution, String> {
        let compute = || {
            let explainer = self.context.other.as_ref().ok_or(NO_OTHER_MODEL)?;
            self.explain_reseeded(explainer)
        };
        self.other_reseeded_map.get_or_init(compute).as_ref().map_err(Clone::clone)
    }

    fn explain_reseeded(&self, explainer: &Explainer) -> Result<Attribution, String> {
        // Far from the seeds of the repeats, which count up from the seed of the plan.
        let plan = self.plan.clone().seed(!self.plan.seed);
        let class = self.sample.subject.class;
        explainer.explain(self.sample.input, class, &plan).map_err(|error| error.to_string())
    }

    /// Returns the map of the model trained on shuffled labels.
    pub fn shuffled_map(&self) -> Result<Attribution, String> {
        self.comparison_map(self.context.shuffled.as_ref(), "shuffled labels")
    }

    fn comparison_map(
        &self,
        explainer: Option<&Explainer>,
        training: &str,
    ) -> Result<Attribution, String> {
        let explainer =
            explainer.ok_or_else(|| format!("no model trained on {training} was given"))?;
        self.explain(explainer, self.sample.input)
    }

    fn explain(&self, explainer: &Explainer, input: &Input) -> Result<Attribution, String> {
        let class = self.sample.subject.class;
        explainer.explain(input, class, self.plan).map_err(|error| error.to_string())
    }

    /// Returns the map of the model trained on shifted inputs, for the input and its domain shifted by the
    /// same amount.
    pub fn shifted_map(&self) -> Result<Attribution, String> {
        let (explainer, shift) =
            self.context.shifted.as_ref().ok_or("no model trained on shifted inputs was given")?;
        let input = self.sample.input.shifted(*shift).map_err(|error| error.to_string())?;
        self.explain(explainer, &input)
    }

    /// Returns the maps of the models with randomized layers, in the order of the cascade's stages.
    pub fn cascade_maps(&self) -> Result<&[Attribution], String> {
        let compute = || {
            let stages = self.context.cascade.iter();
            stages
                .map(|(_, explainer)| self.explain(explainer, self.sample.input))
                .collect::<Result<_, _>>()
        };
        self.cascade_maps.get_or_init(compute).as_ref().map(Vec::as_slice).map_err(Clone::clone)
    }

    /// Returns how much of the map's own noise `sampler` drew outside the domain. If the parameters have
    /// noise too, only the samples of the first draw of the parameters count.
    pub fn out_of_domain(&self, sampler: &Sampler) -> Result<OutOfDomain, String> {
        let drawn = match self.plan.weights {
            Some(_) => self.plan.sizes().samples,
            None => self.map.samples + self.map.left_out,
        };
        let compute = || {
            let (input, drawn) = (self.sample.input, u32::try_from(drawn).unwrap_or(u32::MAX));
            OutOfDomain::measured(sampler, input, drawn, self.plan.seed).map_err(|e| e.to_string())
        };
        self.out_of_domain.get_or_init(compute).clone()
    }

    /// Returns the predictions while the image is revealed in the order of the map's scores. The pixels known
    /// from the start are the same for every method.
    pub fn revealed(&self) -> Result<&RevealedImage, String> {
        let compute = || {
            let subject = &self.sample.subject;
            let settings = RevealSchedule::new(subject.seed.wrapping_add(self.plan.seed));
            let (explainer, scores) = (&self.context.explainer, self.scores(self.map));
            reveal(explainer, self.sample.input, subject.class, &scores, &settings)
                .map_err(|error| error.to_string())
        };
        self.revealed.get_or_init(compute).as_ref().map_err(Clone::clone)
    }
}
