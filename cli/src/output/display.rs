//! How maps are shown: the options of pictures, checked, and applied to a map.

use attriburn::{Estimate, Plan, Scale};
use attriburn_metrics::Segmentation;
use attriburn_picture::{ColorMap, Overlay, Picture, Plane, View};

use crate::args::{DisplayArgs, RunOptions};

/// The checked options of pictures.
#[derive(Clone, Debug)]
pub struct Display {
    pub overlay: Overlay,
    view: View,
    colormap: Option<ColorMap>,
    percentile: f64,
    /// The standard deviation of the blur, in pixels of the map.
    blur: Option<f64>,
    is_certain: bool,
    by_regions: bool,
    /// The options that need the image itself, which arrays do not have.
    need_image: Vec<&'static str>,
}

/// The number of standard errors below which `--certain` leaves a value blank.
const CERTAIN: f64 = 2.0;

/// The maximum standard deviation of a blur, in pixels.
const MAX_BLUR: f64 = 1000.0;

/// The superpixels of `--regions`: a hundred or so in a photo of 224 x 224 pixels.
const SUPERPIXELS: Segmentation = Segmentation { scale: 60.0, sigma: 0.8, min_size: 120 };

impl Display {
    /// Checks the options for maps under these plans, of inputs of `image_shape`.
    ///
    /// # Errors
    ///
    /// When an option is out of its range, or an option on the command line can be honoured by no map.
    pub fn new(
        args: &DisplayArgs,
        options: &RunOptions,
        plans: &[&Plan],
        image_shape: &[usize],
    ) -> Result<Self, String> {
        let percentile = args.percentile.unwrap_or(Scale::PERCENTILE);
        if !(percentile > 0.0 && percentile <= 100.0) {
            return Err(format!(
                "--percentile is {percentile}, but it must be above 0 and at most 100"
            ));
        }
        if let Some(blur) = args.display_blur.filter(|blur| !(*blur > 0.0 && *blur <= MAX_BLUR)) {
            return Err(format!(
                "--display-blur is {blur}, but it must be above 0 and at most {MAX_BLUR} pixels"
            ));
        }
        if let Some((name, reason)) = unused(args, plans, image_shape)
            && options.is_typed(name)
        {
            return Err(format!("--{name} is not used: {reason}"));
        }
        let need_image = ["overlay", "regions", "show"];
        Ok(Self {
            overlay: args.overlay.unwrap_or_default(),
            view: args.view.unwrap_or_default(),
            colormap: args.colormap,
            percentile,
            blur: args.display_blur,
            is_certain: args.certain,
            by_regions: args.regions,
            need_image: args.names().into_iter().filter(|name| need_image.contains(name)).collect(),
        })
    }

    /// Warns that an input without an image cannot honour some options.
    pub fn warn_without_image(&self, input: &str) {
        if !self.need_image.is_empty() {
            let names = self.need_image.join(" and --");
            log::warn!("{input} is an array, which has no image for --{names}");
        }
    }

    /// Returns whether the shown values of maps under `plan` have a sign.
    fn is_signed(&self, plan: &Plan) -> bool {
        self.view == View::Signed && has_sign(plan)
    }

    /// Returns the colour map of maps under `plan`.
    pub fn colours(&self, plan: &Plan) -> ColorMap {
        let is_signed = self.is_signed(plan);
        let fitting = self.colormap.filter(|map| map.is_diverging() == is_signed);
        fitting.unwrap_or_else(|| default_colours(is_signed))
    }

    /// Returns the colour scale of a shown map.
    pub fn scale(&self, plane: &Plane) -> Scale {
        Scale::at_percentile(plane.values(), self.percentile)
    }

    /// Applies the options to a map under `plan`. `crop` is the image that the model received.
    ///
    /// # Errors
    ///
    /// When the image does not have the size of the map.
    pub fn apply(
        &self,
        mut plane: Plane,
        plan: &Plan,
        crop: Option<&Picture>,
    ) -> Result<Plane, String> {
        if let (true, Some(crop)) = (self.by_regions, crop) {
            plane = plane.by_regions(&superpixels(crop)).map_err(|error| error.to_string())?;
        }
        if self.is_certain {
            plane = plane.certain(CERTAIN);
        }
        // Before the blur, so that opposite signs do not cancel in a view without signs.
        if has_sign(plan) {
            plane = plane.viewed(self.view);
        }
        if let Some(blur) = self.blur {
            plane = plane.blurred(blur);
        }
        Ok(plane)
    }

    /// Returns what a picture of a map under `plan` does not show as it is.
    pub fn notes(&self, plan: &Plan) -> Vec<String> {
        let mut notes = Vec::new();
        if self.by_regions {
            notes.push("values summed over superpixels".to_owned());
        }
        if self.is_certain && has_several_samples(plan) {
            notes.push(format!("blank: within {CERTAIN} standard errors of zero"));
        }
        if let Some(blur) = self.blur {
            notes.push(format!("blurred for display, standard deviation {blur} pixels"));
        }
        if self.view != View::Signed && has_sign(plan) {
            notes.push(format!("{} values", self.view.name()));
        }
        if self.percentile != Scale::PERCENTILE {
            notes.push(format!("colours clipped at percentile {}", self.percentile));
        }
        notes
    }
}

/// Returns the first option that no map can honour, with the reason.
fn unused(
    args: &DisplayArgs,
    plans: &[&Plan],
    image_shape: &[usize],
) -> Option<(&'static str, String)> {
    if let (Some(name), false) = (args.names().first(), image_shape.len() == 3) {
        let reason = format!(
            "the model takes samples of shape {image_shape:?}, whose maps are no images; leave it out, or give the image shape with --picture-shape C,H,W"
        );
        return Some((name, reason));
    }
    if args.certain && !plans.iter().any(|plan| has_several_samples(plan)) {
        let reason = "only a mean of several noisy samples has standard errors; leave it out, or choose a method with noise";
        return Some(("certain", reason.to_owned()));
    }
    let view = args.view.unwrap_or_default();
    let any_has_sign = plans.iter().any(|plan| has_sign(plan));
    if view != View::Signed && !any_has_sign {
        return Some(("view", "the maps have no sign; leave it out".to_owned()));
    }
    let is_signed = |plan: &&&Plan| view == View::Signed && has_sign(plan);
    let reason = match (args.colormap?.is_diverging(), plans.iter().find(is_signed)) {
        (true, None) => {
            "it is for values with a sign, which these maps do not show; choose a sequential one such as inferno or viridis"
        }
        (false, Some(_)) if plans.iter().all(|plan| is_signed(&plan)) => {
            "it cannot show signs; add --view magnitude, positive or negative, or choose red-blue, orange-purple or brown-teal"
        }
        _ => return None,
    };
    Some(("colormap", reason.to_owned()))
}

fn has_several_samples(plan: &Plan) -> bool {
    let sizes = plan.sizes();
    plan.has_standard_error() && sizes.draws.saturating_mul(sizes.samples) > 1
}

/// Returns whether maps under `plan` have a sign. Squares, variances and class activation maps have none.
pub fn has_sign(plan: &Plan) -> bool {
    matches!(plan.estimate, Estimate::Mean | Estimate::SmoothDiff) && plan.cam.is_none()
}

/// Returns the default colour map of values with or without a sign.
pub fn default_colours(is_signed: bool) -> ColorMap {
    if is_signed { ColorMap::SIGNED } else { ColorMap::UNSIGNED }
}

fn superpixels(crop: &Picture) -> Vec<usize> {
    let grey: Vec<f64> = crop.grey().pixels().map(|pixel| f64::from(pixel[0]) / 255.0).collect();
    // Every picture has a multiple of its width of pixels.
    SUPERPIXELS.segments(&grey, crop.width()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The options as if all of them were on the command line.
    fn typed(args: &DisplayArgs) -> RunOptions {
        RunOptions::of(args.names().into_iter().map(str::to_owned), BTreeSet::new())
    }

    fn display(args: &DisplayArgs, plan: &Plan) -> Result<Display, String> {
        Display::new(args, &typed(args), &[plan], &[3, 8, 8])
    }

    #[test]
    fn options_that_no_map_can_honour_are_refused() {
        let (signed, squares) = (Plan::adaptgrad(), Plan::adaptgrad().estimate(Estimate::Square));
        let (gradient, single) = (Plan::gradient(), Plan::adaptgrad().samples(1));
        let args = DisplayArgs::default;
        let certain = DisplayArgs { certain: true, ..args() };
        let viridis = DisplayArgs { colormap: Some(ColorMap::Viridis), ..args() };
        let cases = [
            (certain.clone(), &gradient, "--certain is not used"),
            (certain.clone(), &squares, "--certain is not used"),
            (certain.clone(), &single, "--certain is not used"),
            (DisplayArgs { percentile: Some(0.0), ..args() }, &signed, "--percentile is 0"),
            (DisplayArgs { percentile: Some(f64::NAN), ..args() }, &signed, "--percentile is NaN"),
            (DisplayArgs { display_blur: Some(-1.0), ..args() }, &signed, "--display-blur is -1"),
            (viridis.clone(), &signed, "cannot show signs"),
            (DisplayArgs { colormap: Some(ColorMap::RedBlue), ..args() }, &squares, "with a sign"),
            (DisplayArgs { view: Some(View::Negative), ..args() }, &squares, "have no sign"),
        ];
        for (args, plan, part) in cases {
            let message = display(&args, plan).map(drop).expect_err(part);
            assert!(message.contains(part), "{args:?}: {message}");
        }
        let show = DisplayArgs { show: true, ..args() };
        let flat = Display::new(&show, &typed(&show), &[&signed], &[784]);
        assert!(flat.is_err_and(|message| message.starts_with("--show is not used")));
        // From a file, such options are ignored.
        let from_file = RunOptions::default();
        assert!(Display::new(&certain, &from_file, &[&gradient], &[3, 8, 8]).is_ok());
        let ignored =
            Display::new(&viridis, &from_file, &[&signed], &[3, 8, 8]).expect("a display");
        assert_eq!(ignored.colours(&signed), ColorMap::RedBlue);
        assert_eq!(ignored.colours(&squares), ColorMap::Viridis);
    }

    #[test]
    fn options_are_applied_and_named_where_they_apply() {
        let plan = Plan::adaptgrad();
        // Two flat halves: each is a region.
        let pixels = (0..32 * 32).flat_map(|i| [if i % 32 < 16 { 0 } else { 250 }; 3]).collect();
        let crop = Picture::new(32, 32, pixels).expect("a picture");
        let values: Vec<f32> = (0..32 * 32).map(|i| if i % 32 < 16 { -1.0 } else { 3.0 }).collect();
        let plane = Plane::new(&values, Some(&[1.0; 32 * 32]), [1, 32, 32]).expect("a plane");
        let ends = |args: &DisplayArgs, plan: &Plan| {
            let display = display(args, plan).expect("a display");
            let shown = display.apply(plane.clone(), plan, Some(&crop)).expect("a shown map");
            (shown.values()[0], shown.values()[31], display.notes(plan))
        };
        let args = DisplayArgs::default();
        let (left, right, notes) = ends(&DisplayArgs { regions: true, ..args.clone() }, &plan);
        assert_eq!((left, right), (-512.0, 3.0 * 512.0));
        assert_eq!(notes, ["values summed over superpixels"]);
        let positive = DisplayArgs { certain: true, view: Some(View::Magnitude), ..args.clone() };
        let (left, right, notes) = ends(&positive, &plan);
        assert_eq!((left, right), (0.0, 3.0));
        assert_eq!(notes, ["blank: within 2 standard errors of zero", "magnitude values"]);
        // A gradient beside it has no standard error.
        let both =
            Display::new(&positive, &typed(&positive), &[&plan, &Plan::gradient()], &[3, 8, 8]);
        assert_eq!(both.expect("a display").notes(&Plan::gradient()), ["magnitude values"]);
    }
}
