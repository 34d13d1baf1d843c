//! The page of all maps of a run, in one file.

use attriburn_picture::ColorMap;
use attriburn_report::{InputMaps, Map, MapsPage, TargetMaps};

use super::job::Job;
use super::prepared::PreparedInput;
use crate::output::display::has_sign;
use crate::output::figures::plane;
use crate::output::maps::MethodMap;
use crate::output::pages::{
    MAX_MESSAGES, REPORT, command_line, counted, encoded, model_name, palette, settings, shortened,
};
use crate::output::report::{note, print_summary, warnings};
use crate::output::{files, manifest};

/// The maximum number of pixels of all maps in a page: 128 maps of 224 x 224 pixels, or about 20 MB.
const MAX_PIXELS: usize = 128 * 224 * 224;
/// The longest side of the images in a page, in pixels.
const PICTURE_SIDE: usize = 640;

/// The maps of a run, collected for its page.
#[derive(Default)]
pub struct Gallery {
    inputs: Vec<InputMaps>,
    maps: usize,
    /// The number of pixels of all maps.
    pixels: usize,
    /// Some of the inputs that are not shown, with the reason.
    left_out: Vec<String>,
    /// The number of inputs that are not shown.
    left_out_count: usize,
    /// The number of maps that the page has no space for.
    without_space: usize,
}

impl Gallery {
    /// Returns a gallery that keeps no map, for a run without a page.
    pub fn without_space() -> Self {
        Self { pixels: MAX_PIXELS, ..Self::default() }
    }

    /// Notes that an input is not shown.
    pub fn leave_out(&mut self, input: &str, reason: &str) {
        self.left_out_count += 1;
        if self.left_out_count <= MAX_MESSAGES {
            self.left_out.push(format!("{input}: {reason}"));
        }
    }

    /// Adds the maps of one target of an input. Maps that are no images are not shown.
    ///
    /// # Errors
    ///
    /// When the image cannot be encoded.
    pub fn add(
        &mut self,
        job: &Job,
        input: &PreparedInput,
        target: &manifest::Target,
        maps: &[MethodMap],
    ) -> Result<(), String> {
        // A picture of the model's input has the pixels of a map.
        let pixels: usize =
            maps.iter().map(|map| map.shape.iter().skip(1).product::<usize>()).sum();
        if self.pixels + pixels > MAX_PIXELS {
            self.without_space += maps.len();
            return Ok(());
        }
        self.pixels += pixels;
        let shown = maps.iter().map(|map| shown_map(job, input, target, map));
        let maps: Vec<Map> = shown.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        if maps.is_empty() {
            return Ok(());
        }
        self.maps += maps.len();
        let target = TargetMaps { title: target.title(), maps };
        let name = input.source.name();
        match self.inputs.last_mut().filter(|last| last.name == name) {
            Some(last) => last.targets.push(target),
            None => {
                let backdrop = input.loaded.backdrop.as_ref();
                let picture = backdrop.map(|picture| encoded(picture, PICTURE_SIDE)).transpose();
                let picture = picture.map_err(|error| error.to_string())?;
                self.inputs.push(InputMaps { name, picture, targets: vec![target] });
            }
        }
        Ok(())
    }

    /// Writes the page if there are several maps, or it is requested, and prints its path.
    ///
    /// # Errors
    ///
    /// When the page cannot be written.
    pub fn write(self, job: &Job) -> Result<(), String> {
        if self.maps < 2 && !job.args.output.report {
            return Ok(());
        }
        if self.maps == 0 {
            note(format!("no map was computed, so {REPORT} is not written"));
            return Ok(());
        }
        let mut left_out = shortened(self.left_out, self.left_out_count);
        if self.without_space > 0 {
            left_out.push(format!(
                "{} more maps: the page is full; their files are in the folders",
                self.without_space
            ));
        }
        let page = MapsPage {
            title: format!(
                "Maps of {} by {}",
                counted(self.inputs.len(), "input"),
                model_name(&job.setup.model_file)
            ),
            command: command_line(),
            settings: settings(&job.setup, &job.options),
            warnings: warnings(),
            failures: left_out,
            inputs: self.inputs,
        };
        let html = page.html().map_err(|error| error.to_string())?;
        let path = files::write(&job.out, REPORT, html.as_bytes())?;
        if !job.args.output.json {
            print_summary!("{:<13} {}", "report", path.display());
        }
        Ok(())
    }
}

/// Returns a map for the page; `None` if it is no image.
fn shown_map(
    job: &Job,
    input: &PreparedInput,
    target: &manifest::Target,
    method_map: &MethodMap,
) -> Result<Option<Map>, String> {
    let Some(plane) = plane(method_map)? else { return Ok(None) };
    let MethodMap { method, plan, map, .. } = method_map;
    let is_signed = has_sign(plan);
    let clip = job.display.scale(&plane).limit();
    let colours = job.display.colours(plan);
    let (signed, unsigned) = match colours.is_diverging() {
        true => (colours, ColorMap::UNSIGNED),
        false => (ColorMap::SIGNED, colours),
    };
    let mut facts = vec![("samples".to_owned(), map.samples.to_string())];
    if !method_map.is_bias() {
        facts.insert(0, ("gradients".to_owned(), map.gradients.to_string()));
    }
    if let Some(error) = map.relative_standard_error().filter(|_| plan.has_standard_error()) {
        facts.push(("relative standard error".to_owned(), format!("{error:.2}")));
    }
    if let Some(layer) = &map.layer {
        facts.push(("layer".to_owned(), layer.name.clone()));
    }
    if let Some(gap) = map.completeness_gap {
        facts.push(("completeness gap".to_owned(), format!("{gap:.2e}")));
    }
    if map.left_out > 0 {
        facts.push(("samples left out (not finite)".to_owned(), map.left_out.to_string()));
    }
    let folder = job.folder(input, target);
    let folder = folder.strip_prefix(&job.out).unwrap_or(&folder);
    Ok(Some(Map {
        method: method.to_string(),
        unit: method_map.unit(),
        is_signed,
        height: plane.height(),
        width: plane.width(),
        standard_error: plane.errors().map(<[f32]>::to_vec),
        values: plane.values().to_vec(),
        clip,
        palette: palette(signed, unsigned),
        facts,
        notes: method_map.notes(),
        files: folder.display().to_string(),
    }))
}
