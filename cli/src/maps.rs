//! Maps as files, and what is said of them.

use std::path::{Path, PathBuf};

use attriburn::picture::{Picture, PictureError, Row, Scale, Style, grid, map_picture_at};
use attriburn::picture::{channel_sum, overlay};
use attriburn::{Attribution, Estimate, Plan};

use crate::args::GridScale;
use crate::{arrays, files};

/// A map that was made, under its method's name.
pub struct Made<'a> {
    pub method: &'a str,
    pub plan: &'a Plan,
    pub map: Attribution,
    /// Its shape as a picture, where it is one.
    pub shape: &'a [usize],
    /// Whether arrays of it have their channels last.
    pub channels_last: bool,
}

/// A map without its channels.
struct Flat {
    values: Vec<f32>,
    height: usize,
    width: usize,
    /// The map's own scale.
    scale: Scale,
}

impl Made<'_> {
    /// Writes the raw map, its standard error where it is asked for, its picture and, over a
    /// picture, the overlay.
    pub fn write(
        &self,
        folder: &Path,
        crop: Option<&Picture>,
        with_error: bool,
    ) -> Result<Vec<PathBuf>, String> {
        let method = self.method;
        let mut contents = vec![(format!("{method}.npy"), self.array(&self.map.values)?)];
        let has_error = self.plan.is_noisy() && self.plan.estimate == Estimate::Mean;
        if with_error && has_error {
            let errors = self.array(&self.map.standard_error)?;
            contents.push((format!("{method}.standard-error.npy"), errors));
        }
        let pictures = || -> Result<Vec<(String, Vec<u8>)>, PictureError> {
            let Some(Flat { values, height, width, scale }) = self.flat()? else {
                return Ok(Vec::new());
            };
            let style = self.style();
            let alone = map_picture_at(&values, height, width, style, scale)?;
            let mut pictures = vec![(format!("{method}.png"), alone.encode_png()?)];
            if let Some(crop) = crop {
                let over = overlay(&values, height, width, crop, style)?;
                pictures.push((format!("{method}.overlay.png"), over.encode_png()?));
            }
            Ok(pictures)
        };
        contents.extend(pictures().map_err(|error| error.to_string())?);
        contents.iter().map(|(name, bytes)| files::write(folder, name, bytes)).collect()
    }

    /// The bytes of an array file of the map's values or errors, in the file's shape of the model's input.
    fn array(&self, values: &[f32]) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let written = match self.channels_last {
            true => {
                let turned = arrays::channels_last(values, &self.map.shape);
                attriburn::npy::write(&mut bytes, &turned.shape, &turned.values)
            }
            false => attriburn::npy::write(&mut bytes, &self.map.shape, values),
        };
        written.map(|()| bytes).map_err(|error| error.to_string())
    }

    /// The sum over the channels of a map `[channels, height, width]`.
    fn flat(&self) -> Result<Option<Flat>, PictureError> {
        let &[channels, height, width] = self.shape else {
            return Ok(None);
        };
        let values = channel_sum(&self.map.values, channels, height, width)?;
        let scale = Scale::of(&values);
        Ok(Some(Flat { values, height, width, scale }))
    }

    /// Squares and variances have no sign to show.
    fn style(&self) -> Style {
        match self.plan.estimate {
            Estimate::Mean => Style::Signed,
            Estimate::Square | Estimate::Variance => Style::Absolute,
        }
    }

    /// What a reader of the manifest should know besides the figures.
    pub fn notes(&self) -> Vec<String> {
        let map = &self.map;
        let mut notes = Vec::new();
        if let Some(asked) = map.refused_batch {
            notes.push(format!(
                "the device had no memory for batches of {asked}; they were halved to {}",
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
            let parts = parts.iter().filter(|(there, ..)| *there);
            let parts: Vec<String> =
                parts.map(|(_, size, name)| format!("{size} {name}")).collect();
            let most = if self.plan.until.is_some() { "at most " } else { "" };
            notes.push(format!("--budget {budget} gave {most}{}", parts.join(" x ")));
        }
        notes
    }

    /// One method's lines of the summary.
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
        let below = |line: String| format!("\n              {line}");
        let files = written.iter().map(|path| path.display().to_string());
        let lines: String = self.notes().into_iter().chain(files).map(below).collect();
        format!(
            "  {:<11} {} gradients in {:.2} s{error}{gap}{left_out}{lines}",
            self.method, map.gradients, map.seconds
        )
    }
}

/// The scales of the maps that estimate the same as `made`: a mean and a variance have none in
/// common.
fn alike<'a>(
    made: &Made,
    maps: impl Iterator<Item = (&'a Made<'a>, &'a Flat)>,
) -> impl Iterator<Item = Scale> {
    let estimate = made.plan.estimate;
    maps.filter(move |(other, _)| other.plan.estimate == estimate).map(|(_, map)| map.scale)
}

/// The maps of one class, with a name for the row.
pub struct Class<'a> {
    pub label: String,
    pub made: &'a [Made<'a>],
}

/// The picture and all maps side by side, a row for each class; none where maps are no pictures.
///
/// # Errors
///
/// When a map cannot be drawn.
pub fn side_by_side(
    crop: Option<&Picture>,
    classes: &[Class],
    shared: GridScale,
) -> Result<Option<Vec<u8>>, PictureError> {
    let flat =
        |class: &Class| class.made.iter().map(Made::flat).collect::<Result<Option<Vec<_>>, _>>();
    let Some(rows) = classes.iter().map(flat).collect::<Result<Option<Vec<_>>, _>>()? else {
        return Ok(None);
    };
    let draw = |(class, maps): (&Class, &Vec<Flat>)| {
        let panel = |(made, map): (&Made, &Flat)| {
            let scale = match shared {
                GridScale::Panel => map.scale,
                GridScale::Row => Scale::shared(alike(made, class.made.iter().zip(maps))),
                GridScale::Shared => {
                    let all = classes.iter().zip(&rows);
                    Scale::shared(all.flat_map(|(c, maps)| alike(made, c.made.iter().zip(maps))))
                }
            };
            map_picture_at(&map.values, map.height, map.width, made.style(), scale)
        };
        let panels = class.made.iter().zip(maps).map(panel);
        let panels = crop.cloned().map(Ok).into_iter().chain(panels).collect::<Result<_, _>>()?;
        Ok(Row { label: class.label.clone(), panels })
    };
    let rows = classes.iter().zip(&rows).map(draw).collect::<Result<Vec<_>, PictureError>>()?;
    let Some(first) = classes.first() else {
        return Ok(None);
    };
    let methods = first.made.iter().map(|made| made.method.to_owned());
    let columns: Vec<String> =
        crop.map(|_| "picture".to_owned()).into_iter().chain(methods).collect();
    grid(&columns, &rows)?.encode_png().map(Some)
}
