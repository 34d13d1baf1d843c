//! Maps: their array files, remarks and summaries.

use std::borrow::Cow;
use std::path::PathBuf;

use attriburn::{Attribution, Estimate, Plan};
use attriburn_evaluate::Method;
use attriburn_picture::npy;

use crate::output::bias::Bias;
use crate::output::files::Contents;
use crate::output::noise::NoiseRemark;
use crate::setup::{Setup, arrays};

/// A map of one method.
pub struct MethodMap<'a> {
    /// The name of the method.
    pub method: Cow<'a, str>,
    pub plan: &'a Plan,
    pub map: Attribution,
    /// What is known of the difference, if the map is the bias of another.
    bias: Option<Bias>,
    /// Whether the map has a bias that is not shown.
    hides_bias: bool,
    /// The map's shape: `[channels, height, width]` for an image.
    pub shape: Vec<usize>,
    /// Whether the map's array file has its channels last.
    pub channels_last: bool,
}

impl<'a> MethodMap<'a> {
    /// Describes a map of the model in `setup`.
    pub fn new(method: &'a str, plan: &'a Plan, map: Attribution, setup: &Setup) -> Self {
        // A class activation map has a single channel.
        let shape = match &map.layer {
            Some(_) => map.shape.clone(),
            None => setup.image_shape.clone(),
        };
        let channels_last = setup.model.is_transposed();
        let hides_bias = plan.estimate == Estimate::SmoothDiff;
        let method = method.into();
        Self { method, plan, map, bias: None, hides_bias, shape, channels_last }
    }

    /// Adds the bias of each map of SmoothDiff to `maps`: its difference from the mean gradient of the same samples, if
    /// that is among them. Its standard error is that of the mean gradient.
    pub fn add_biases(maps: &mut Vec<Self>) {
        let mut biases = Vec::new();
        for at in 0..maps.len() {
            let bias = maps[at].bias_beside(maps);
            maps[at].hides_bias &= bias.is_none();
            biases.extend(bias);
        }
        maps.extend(biases);
    }

    fn bias_beside(&self, maps: &[Self]) -> Option<Self> {
        if self.plan.estimate != Estimate::SmoothDiff {
            return None;
        }
        let unbiased = self.plan.clone().estimate(Estimate::Mean);
        let mean = maps.iter().find(|map| *map.plan == unbiased)?;
        let (bias, map) = Bias::new(&self.map, &mean.method, &mean.map);
        let method = format!("{}-bias", self.method).into();
        let (shape, channels_last) = (self.shape.clone(), self.channels_last);
        let (bias, plan) = (Some(bias), mean.plan);
        Some(Self { method, plan, map, bias, hides_bias: false, shape, channels_last })
    }
}

impl MethodMap<'_> {
    /// Returns a name for what the values are. Maps with another unit cannot share a colour scale: a mean and a variance,
    /// or a gradient and an activation.
    pub fn unit(&self) -> String {
        let rule = self.plan.cam.as_ref().map(|cam| cam.rule);
        let statistic = match self.plan.estimate {
            // Both are gradients.
            Estimate::SmoothDiff => Estimate::Mean,
            other => other,
        };
        format!("{statistic:?} {rule:?}")
    }

    /// Returns whether the map is the bias of another.
    pub fn is_bias(&self) -> bool {
        self.bias.is_some()
    }

    /// Encodes the map and, if `with_error`, its standard error as array files. Returns their names and contents.
    ///
    /// # Errors
    ///
    /// When the array cannot be encoded.
    pub fn arrays(&self, with_error: bool) -> Result<Contents, String> {
        let method = &self.method;
        let mut files = vec![(format!("{method}.npy"), self.array(&self.map.values)?)];
        if with_error && self.plan.has_standard_error() {
            let errors = self.array(&self.map.standard_error)?;
            files.push((format!("{method}.standard-error.npy"), errors));
        }
        Ok(files)
    }

    /// Encodes the map's values or standard errors as a `.npy` file, with the input shape of the model file.
    fn array(&self, values: &[f32]) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let written = match self.channels_last {
            true => {
                let array = arrays::channels_last(values, &self.map.shape);
                npy::write(&mut bytes, &array.shape, &array.values)
            }
            false => npy::write(&mut bytes, &self.map.shape, values),
        };
        written.map(|()| bytes).map_err(|error| error.to_string())
    }

    /// Returns remarks on noise, on a reduced batch, on `--until` and on `--budget`.
    pub fn notes(&self) -> Vec<String> {
        let map = &self.map;
        if let Some(bias) = &self.bias {
            return vec![bias.note()];
        }
        let noise = NoiseRemark::of(map, self.plan).map(|remark| remark.long());
        let mut notes = Vec::from_iter(noise);
        if self.hides_bias {
            let other = Method::named(&self.method).and_then(|method| method.without_bias());
            notes.extend(other.map(|other| {
                let other = other.name();
                format!(
                    "SmoothDiff has a bias; with --method {other},{}, without --until and --estimate, it is shown",
                    self.method
                )
            }));
        }
        if let Some(refused) = map.refused_batch {
            notes.push(format!(
                "the device had no memory for batches of {refused}; they were halved to {}",
                map.batch
            ));
        }
        if let Some(until) = self.plan.until {
            let reached = map.relative_standard_error().is_some_and(|error| error <= until);
            notes.push(if reached {
                format!("--until {until} was reached after {} gradients", map.gradients)
            } else {
                format!("--until {until} was not reached; ask for more samples")
            });
        }
        if let Some(budget) = self.plan.budget {
            let sizes = self.plan.sizes();
            let parts = [
                (self.plan.weights.is_some(), sizes.draws, "draws of the parameters"),
                (self.plan.sampler.is_some(), sizes.samples, "samples"),
                (self.plan.path.is_some(), sizes.nodes, "nodes"),
            ];
            let parts = parts.iter().filter(|(is_used, ..)| *is_used);
            let parts: Vec<String> =
                parts.map(|(_, size, name)| format!("{size} {name}")).collect();
            let at_most = if self.plan.until.is_some() { "at most " } else { "" };
            notes.push(format!("--budget {budget} allowed {at_most}{}", parts.join(" x ")));
        }
        notes
    }

    /// Formats the lines of the summary: cost, errors, remarks and the paths of the `written` files.
    pub fn summary(&self, written: &[PathBuf]) -> String {
        let map = &self.map;
        let error = match (self.plan.is_noisy(), map.relative_standard_error()) {
            (true, Some(error)) => format!(", relative standard error {error:.2}"),
            _ => String::new(),
        };
        let gap = map
            .completeness_gap
            .map_or(String::new(), |gap| format!(", completeness gap {gap:.2e}"));
        let left_out = match map.left_out {
            0 => String::new(),
            count => format!(", {count} samples left out (not finite)"),
        };
        let indented = |line: String| format!("\n              {line}");
        let files = written.iter().map(|path| path.display().to_string());
        let lines: String = self.notes().into_iter().chain(files).map(indented).collect();
        if let Some(bias) = &self.bias {
            return format!("  {:<11} the difference from {}{lines}", self.method, bias.mean());
        }
        format!(
            "  {:<11} {} gradients in {:.2} s{error}{gap}{left_out}{lines}",
            self.method, map.gradients, map.seconds
        )
    }
}
