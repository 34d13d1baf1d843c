//! Writing of maps as arrays and images, their summaries, and the grid of all maps of an image.

use std::path::{Path, PathBuf};

use attriburn::{Attribution, Estimate, Plan, Scale};
use attriburn_picture::{
    Error, Picture, Row, Style, channel_sum, grid, map_picture_with_scale, npy, overlay,
};

use crate::args::GridScale;
use crate::output::files;
use crate::setup::arrays;

/// A map of one method.
pub struct MethodMap<'a> {
    /// The name of the method.
    pub method: &'a str,
    pub plan: &'a Plan,
    pub map: Attribution,
    /// The map's shape: `[channels, height, width]` for an image.
    pub shape: &'a [usize],
    /// Whether the map's array file has its channels last.
    pub channels_last: bool,
}

/// A map summed over its channels.
struct ChannelSum {
    values: Vec<f32>,
    height: usize,
    width: usize,
    /// The colour scale of this map alone.
    scale: Scale,
}

impl MethodMap<'_> {
    /// Writes the raw map, its standard error if `with_error`, its image and, with a `crop`, the overlay.
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
        let pictures = || -> Result<Vec<(String, Vec<u8>)>, Error> {
            let Some(ChannelSum { values, height, width, scale }) = self.channel_sum()? else {
                return Ok(Vec::new());
            };
            let style = self.style();
            let map = map_picture_with_scale(&values, height, width, style, scale)?;
            let mut pictures = vec![(format!("{method}.png"), map.encode_png()?)];
            if let Some(crop) = crop {
                let overlay = overlay(&values, height, width, crop, style)?;
                pictures.push((format!("{method}.overlay.png"), overlay.encode_png()?));
            }
            Ok(pictures)
        };
        contents.extend(pictures().map_err(|error| error.to_string())?);
        contents.iter().map(|(name, bytes)| files::write(folder, name, bytes)).collect()
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

    /// Sums a map `[channels, height, width]` over its channels. Returns `None` for other shapes.
    fn channel_sum(&self) -> Result<Option<ChannelSum>, Error> {
        let &[channels, height, width] = self.shape else {
            return Ok(None);
        };
        let values = channel_sum(&self.map.values, channels, height, width)?;
        let scale = Scale::of(&values);
        Ok(Some(ChannelSum { values, height, width, scale }))
    }

    /// Returns the colour style: squares and variances have no sign.
    fn style(&self) -> Style {
        match self.plan.estimate {
            Estimate::Mean => Style::Signed,
            _ => Style::Absolute,
        }
    }

    /// Returns remarks on a reduced batch, on `--until` and on `--budget`.
    pub fn notes(&self) -> Vec<String> {
        let map = &self.map;
        let mut notes = Vec::new();
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
        format!(
            "  {:<11} {} gradients in {:.2} s{error}{gap}{left_out}{lines}",
            self.method, map.gradients, map.seconds
        )
    }
}

/// Returns the scales of the `maps` with the same estimate as `map`: a mean and a variance cannot share a
/// scale.
fn comparable_scales<'a>(
    map: &MethodMap,
    maps: impl Iterator<Item = (&'a MethodMap<'a>, &'a ChannelSum)>,
) -> impl Iterator<Item = Scale> {
    let estimate = map.plan.estimate;
    maps.filter(move |(other, _)| other.plan.estimate == estimate).map(|(_, sum)| sum.scale)
}

/// A row of the grid: the maps of one target.
pub struct GridRow<'a> {
    pub label: String,
    pub maps: &'a [MethodMap<'a>],
}

/// Draws the image and all maps as a PNG file, one row per target. Returns `None` if the maps are not images.
///
/// # Errors
///
/// When a map cannot be drawn.
pub fn draw_grid(
    crop: Option<&Picture>,
    rows: &[GridRow],
    grid_scale: GridScale,
) -> Result<Option<Vec<u8>>, Error> {
    let channel_sums = |row: &GridRow| {
        row.maps.iter().map(MethodMap::channel_sum).collect::<Result<Option<Vec<_>>, _>>()
    };
    let Some(sums) = rows.iter().map(channel_sums).collect::<Result<Option<Vec<_>>, _>>()? else {
        return Ok(None);
    };
    let draw = |(row, row_sums): (&GridRow, &Vec<ChannelSum>)| {
        let panel = |(map, sum): (&MethodMap, &ChannelSum)| {
            let scale =
                match grid_scale {
                    GridScale::Panel => sum.scale,
                    GridScale::Row => {
                        Scale::shared(comparable_scales(map, row.maps.iter().zip(row_sums)))
                    }
                    GridScale::Shared => {
                        let all = rows.iter().zip(&sums);
                        Scale::shared(all.flat_map(|(row, sums)| {
                            comparable_scales(map, row.maps.iter().zip(sums))
                        }))
                    }
                };
            map_picture_with_scale(&sum.values, sum.height, sum.width, map.style(), scale)
        };
        let panels = row.maps.iter().zip(row_sums).map(panel);
        let panels = crop.cloned().map(Ok).into_iter().chain(panels).collect::<Result<_, _>>()?;
        Ok(Row { label: row.label.clone(), panels })
    };
    let drawn = rows.iter().zip(&sums).map(draw).collect::<Result<Vec<_>, Error>>()?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let methods = first.maps.iter().map(|map| map.method.to_owned());
    let columns: Vec<String> =
        crop.map(|_| "picture".to_owned()).into_iter().chain(methods).collect();
    grid(&columns, &drawn)?.encode_png().map(Some)
}
