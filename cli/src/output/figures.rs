//! Pictures of maps: plain maps, overlays with titles and colour bars, and the grid of all maps of an image.

use attriburn::Scale;
use attriburn_picture::{
    Error, Figure, Legend, Overlay, Panel, Picture, Plane, Row, grid, map_picture, overlay,
};

use crate::args::GridScale;
use crate::output::display::Display;
use crate::output::files::Contents;
use crate::output::maps::MethodMap;
use crate::output::noise::NoiseRemark;
use crate::setup::source::LoadedInput;

/// A map as it is shown, with the colour scale of this map alone.
pub struct ShownMap {
    pub plane: Plane,
    pub scale: Scale,
}

impl ShownMap {
    /// Sums a map over its channels and applies the options of pictures. Returns `None` if the map is no image.
    ///
    /// # Errors
    ///
    /// When the options do not fit the input.
    pub fn new(
        map: &MethodMap,
        crop: Option<&Picture>,
        display: &Display,
    ) -> Result<Option<Self>, String> {
        let Some(plane) = plane(map)? else { return Ok(None) };
        let plane = display.apply(plane, map.plan, crop)?;
        let scale = display.scale(&plane);
        Ok(Some(Self { plane, scale }))
    }
}

/// Sums a map `[channels, height, width]` over its channels. Returns `None` for other shapes.
///
/// # Errors
///
/// When the map does not have the shape that it says.
pub fn plane(map: &MethodMap) -> Result<Option<Plane>, String> {
    let [channels, height, width] = map.shape[..] else {
        return Ok(None);
    };
    // The standard error of a single sample is not a number.
    let errors = Some(&map.map.standard_error[..]).filter(|errors| {
        map.plan.has_standard_error() && errors.iter().any(|error| error.is_finite())
    });
    let plane = Plane::new(&map.map.values, errors, [channels, height, width]);
    plane.map(Some).map_err(|error| error.to_string())
}

/// Draws the files of one map: the map alone with one pixel per value and, over an image, the overlay. Returns the
/// names of the files and their contents, and the overlay as a picture.
///
/// # Errors
///
/// When a picture cannot be drawn.
pub fn map_files(
    map: &MethodMap,
    shown: &ShownMap,
    input: &LoadedInput,
    title: &str,
    display: &Display,
) -> Result<(Contents, Option<Picture>), Error> {
    let (method, colours) = (&map.method, display.colours(map.plan));
    let notes = display.notes(map.plan);
    let text = [("Title", &*format!("{method}: {title}")), ("Description", &notes.join("; "))];
    let text = if notes.is_empty() { &text[..1] } else { &text[..] };
    let plain = map_picture(&shown.plane, shown.scale, colours);
    let mut files = vec![(format!("{method}.png"), plain.encode_png_with_text(text)?)];
    let Some(backdrop) = &input.backdrop else {
        return Ok((files, None));
    };
    let picture = overlay(&shown.plane, shown.scale, backdrop, display.overlay, colours);
    let has_colours = display.overlay != Overlay::Mask;
    let legend = Legend { colours, limit: shown.scale.limit() };
    let noise = NoiseRemark::of(&map.map, map.plan).map(|remark| remark.short());
    let figure = Figure {
        title: vec![title.to_owned(), method.to_string()],
        picture,
        legend: has_colours.then_some(legend),
        notes: noise.into_iter().chain(notes.iter().cloned()).collect(),
    };
    let drawn = figure.draw()?;
    files.push((format!("{method}.overlay.png"), drawn.encode_png_with_text(text)?));
    Ok((files, Some(drawn)))
}

/// A row of the grid: the maps of one target, as they are shown.
pub struct GridRow<'a> {
    label: String,
    maps: Vec<(&'a MethodMap<'a>, ShownMap)>,
}

impl<'a> GridRow<'a> {
    /// Pairs the maps of a target with how they are shown. Returns `None` if one of them is no image.
    pub fn new(label: String, maps: &'a [MethodMap], shown: Vec<Option<ShownMap>>) -> Option<Self> {
        let pair = |(map, shown): (&'a MethodMap<'a>, Option<ShownMap>)| Some((map, shown?));
        let maps = maps.iter().zip(shown).map(pair).collect::<Option<_>>()?;
        Some(Self { label, maps })
    }

    /// Returns the scales of the maps with the unit of `map`.
    fn comparable_scales(&self, map: &MethodMap) -> impl Iterator<Item = Scale> {
        let unit = map.unit();
        let alike = self.maps.iter().filter(move |(other, _)| other.unit() == unit);
        alike.map(|(_, shown)| shown.scale)
    }
}

/// Draws the image and all maps, one row per target, as a PNG file. Returns `None` without rows.
///
/// # Errors
///
/// When a map cannot be drawn.
pub fn grid_file(
    crop: Option<&Picture>,
    rows: &[GridRow],
    grid_scale: GridScale,
    display: &Display,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let draw = |row: &GridRow| {
        let panel = |(map, shown): &(&MethodMap, ShownMap)| {
            let scale = match grid_scale {
                GridScale::Panel => shown.scale,
                GridScale::Row => Scale::shared(row.comparable_scales(map)),
                GridScale::Shared => {
                    Scale::shared(rows.iter().flat_map(|row| row.comparable_scales(map)))
                }
            };
            let colours = display.colours(map.plan);
            let noise = NoiseRemark::of(&map.map, map.plan);
            Panel {
                picture: map_picture(&shown.plane, scale, colours),
                legend: Some(Legend { colours, limit: scale.limit() }),
                remark: noise.map(|remark| remark.short()).unwrap_or_default(),
            }
        };
        let panels = crop.cloned().map(Panel::from).into_iter().chain(row.maps.iter().map(panel));
        Row { label: row.label.clone(), panels: panels.collect() }
    };
    let mut drawn: Vec<Row> = rows.iter().map(draw).collect();
    let mut notes: Vec<String> =
        first.maps.iter().flat_map(|(map, _)| display.notes(map.plan)).collect();
    notes.sort();
    notes.dedup();
    if let (Some(row), false) = (drawn.first_mut(), notes.is_empty()) {
        row.label = format!("{} ({})", row.label, notes.join("; "));
    }
    let methods = first.maps.iter().map(|(map, _)| map.method.to_string());
    let columns: Vec<String> =
        crop.map(|_| "picture".to_owned()).into_iter().chain(methods).collect();
    grid(&columns, &drawn)?.encode_png().map(Some)
}
