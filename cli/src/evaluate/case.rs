//! What a metric looks at: a map, and what it may be compared with, each made once when asked for.

use std::cell::OnceCell;

use attriburn::metrics::{
    Cascade, OutOfDomain, Region, Revealed, Revealing, Stage, pixel_scores, reveal,
};
use attriburn::{
    Attribution, Baseline, Explainer, Input, Output, Plan, Prediction, Sampler, Score, Target, Task,
};

/// What all maps of a run share.
pub struct Given<'a> {
    pub explainer: Explainer<'a>,
    /// With the model trained on shuffled labels.
    pub shuffled: Option<Explainer<'a>>,
    /// With the model trained on shifted inputs, and the shift.
    pub shifted: Option<(Explainer<'a>, f32)>,
    /// With the model trained on other data.
    pub other: Option<Explainer<'a>>,
    /// With the models whose layers are randomized.
    pub cascade: Vec<(&'a Stage, Explainer<'a>)>,
    /// What replaces pixels that are left out.
    pub fill: Baseline,
    /// The strongest pixels that the pointing game looks at.
    pub points: usize,
    /// The least probability of a picture that an information curve is measured on.
    pub least_probability: f64,
}

impl<'a> Given<'a> {
    /// The cascade's models, explained as the model is.
    pub fn with_cascade(
        mut self,
        cascade: &'a Cascade<'a>,
        explained: impl Fn(&'a dyn attriburn::Model) -> Explainer<'a>,
    ) -> Self {
        self.cascade =
            cascade.stages().iter().map(|model| (model.stage(), explained(model))).collect();
        self
    }
}

/// A picture that was read.
pub struct Picture {
    pub input: Input,
    pub prediction: Prediction,
    /// The class whose maps are made.
    pub class: usize,
    /// Where the objects of the class are, or why that is not known.
    pub regions: Result<Vec<Region>, String>,
    /// What tells the picture from others, for what is drawn for each.
    pub seed: u64,
    clean: OnceCell<Result<Attribution, String>>,
}

impl Picture {
    pub fn new(
        input: Input,
        prediction: Prediction,
        class: usize,
        regions: Result<Vec<Region>, String>,
        seed: u64,
    ) -> Self {
        Self { input, prediction, class, regions, seed, clean: OnceCell::new() }
    }

    /// The map of the class by `plan`.
    pub fn map(&self, explainer: &Explainer, plan: &Plan) -> Result<Attribution, String> {
        let score = Score::Class(self.class);
        let task = Task { input: &self.input, score, prediction: &self.prediction };
        let mut maps = explainer.explain_all(plan, &[task]).map_err(|error| error.to_string())?;
        maps.remove(0).map_err(|error| error.to_string())
    }

    /// The gradient of `output` without noise; all maps of a run are of the same output.
    fn clean(&self, explainer: &Explainer, output: Output) -> Result<&Attribution, String> {
        let clean = || self.map(explainer, &Plan { output, ..Plan::gradient() });
        self.clean.get_or_init(clean).as_ref().map_err(Clone::clone)
    }
}

/// A map and what it is measured by.
pub struct Case<'a> {
    pub given: &'a Given<'a>,
    pub plan: &'a Plan,
    pub picture: &'a Picture,
    pub map: &'a Attribution,
    other: OnceCell<Result<Attribution, String>>,
    other_prediction: OnceCell<Result<Prediction, String>>,
    reseeded: OnceCell<Result<Attribution, String>>,
    other_reseeded: OnceCell<Result<Attribution, String>>,
    cascade: OnceCell<Result<Vec<Attribution>, String>>,
    shown: OnceCell<Result<Revealed, String>>,
    counted: OnceCell<Result<OutOfDomain, String>>,
}

impl<'a> Case<'a> {
    pub fn new(
        given: &'a Given<'a>,
        plan: &'a Plan,
        picture: &'a Picture,
        map: &'a Attribution,
    ) -> Self {
        Self {
            given,
            plan,
            picture,
            map,
            other: OnceCell::new(),
            other_prediction: OnceCell::new(),
            reseeded: OnceCell::new(),
            other_reseeded: OnceCell::new(),
            cascade: OnceCell::new(),
            shown: OnceCell::new(),
            counted: OnceCell::new(),
        }
    }

    /// The score of each pixel of a map.
    pub fn scores(&self, map: &Attribution) -> Vec<f32> {
        pixel_scores(&map.values, self.picture.input.picture_shape())
    }

    /// The rows and columns of a map, where it is one of a picture.
    pub fn sides(&self) -> Result<[usize; 2], String> {
        match *self.picture.input.picture_shape() {
            [_, height, width] => Ok([height, width]),
            _ => Err("it is of pictures; say with --picture-shape what samples are".into()),
        }
    }

    /// The gradient without noise of the same class.
    pub fn clean(&self) -> Result<&Attribution, String> {
        self.picture.clean(&self.given.explainer, self.plan.output)
    }

    /// The map of the model trained on other data.
    pub fn other(&self) -> Result<&Attribution, String> {
        let made = || self.with(self.given.other.as_ref(), "other data");
        self.other.get_or_init(made).as_ref().map_err(Clone::clone)
    }

    /// What the other model gives for the picture.
    pub fn other_prediction(&self) -> Result<&Prediction, String> {
        let made = || {
            let explainer = self.given.other.as_ref().ok_or("there is no other model")?;
            explainer.predict(&self.picture.input).map_err(|error| error.to_string())
        };
        self.other_prediction.get_or_init(made).as_ref().map_err(Clone::clone)
    }

    /// The map of the same model with noise of another seed.
    pub fn reseeded(&self) -> Result<&Attribution, String> {
        let made = || self.with_another_seed(&self.given.explainer);
        self.reseeded.get_or_init(made).as_ref().map_err(Clone::clone)
    }

    /// The map of the other model with this other seed.
    pub fn other_reseeded(&self) -> Result<&Attribution, String> {
        let made = || {
            let explainer = self.given.other.as_ref().ok_or("there is no other model")?;
            self.with_another_seed(explainer)
        };
        self.other_reseeded.get_or_init(made).as_ref().map_err(Clone::clone)
    }

    fn with_another_seed(&self, explainer: &Explainer) -> Result<Attribution, String> {
        // Far from the seeds that are counted up from the one that was given.
        let plan = Plan { seed: !self.plan.seed, ..self.plan.clone() };
        let target = Target::Index(self.picture.class);
        explainer.explain(&plan, &self.picture.input, target).map_err(|error| error.to_string())
    }

    /// The map of the model trained on shuffled labels.
    pub fn shuffled(&self) -> Result<Attribution, String> {
        self.with(self.given.shuffled.as_ref(), "shuffled labels")
    }

    fn with(&self, model: Option<&Explainer>, what: &str) -> Result<Attribution, String> {
        let explainer = model.ok_or_else(|| format!("there is no model trained on {what}"))?;
        self.of(explainer, &self.picture.input)
    }

    fn of(&self, explainer: &Explainer, input: &Input) -> Result<Attribution, String> {
        let target = Target::Index(self.picture.class);
        explainer.explain(self.plan, input, target).map_err(|error| error.to_string())
    }

    /// The map of the model trained on shifted inputs, of the input shifted as much together with its
    /// domain.
    pub fn shifted(&self) -> Result<Attribution, String> {
        let (other, shift) =
            self.given.shifted.as_ref().ok_or("there is no model trained on shifted inputs")?;
        let input = self.picture.input.shifted(*shift).map_err(|error| error.to_string())?;
        self.of(other, &input)
    }

    /// The maps of the models whose layers are randomized, from the output's on.
    pub fn cascade(&self) -> Result<&[Attribution], String> {
        let maps = || {
            let stages = self.given.cascade.iter();
            stages.map(|(_, model)| self.of(model, &self.picture.input)).collect::<Result<_, _>>()
        };
        self.cascade.get_or_init(maps).as_ref().map(Vec::as_slice).map_err(Clone::clone)
    }

    /// How much of the map's own noise `sampler` drew outside the domain, that of the first draw of
    /// the parameters where these have noise as well.
    pub fn counted(&self, sampler: &Sampler) -> Result<OutOfDomain, String> {
        let drawn = match self.plan.weights {
            Some(_) => self.plan.sizes().samples,
            None => self.map.samples + self.map.left_out,
        };
        let made = || {
            let (input, drawn) = (&self.picture.input, u32::try_from(drawn).unwrap_or(u32::MAX));
            OutOfDomain::measured(sampler, input, drawn, self.plan.seed).map_err(|e| e.to_string())
        };
        self.counted.get_or_init(made).clone()
    }

    /// The picture as it is revealed in the map's order, from pixels that are the same for every
    /// method.
    pub fn shown(&self) -> Result<&Revealed, String> {
        let made = || {
            let (Given { explainer, .. }, Picture { input, seed, .. }) = (self.given, self.picture);
            let how = Revealing::new(seed.wrapping_add(self.plan.seed));
            let scores = self.scores(self.map);
            reveal(explainer, input, self.picture.class, &scores, &how).map_err(|e| e.to_string())
        };
        self.shown.get_or_init(made).as_ref().map_err(Clone::clone)
    }
}
