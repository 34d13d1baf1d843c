//! The figure of one map: map over picture, colour bar, remarks and facts.

use maud::{Markup, html};

use super::colours::{code_colours, colour_bar};
use super::data::Map;
use super::script::ScriptData;
use crate::error::Error;
use crate::picture::{base64, data_uri};
use crate::tile;

/// Returns the figure of a map.
///
/// `place` is the number of the input and that of the row, and `picture` the CSS class of the input's picture.
pub(super) fn figure(
    map: &Map,
    target: &str,
    place: (usize, usize),
    picture: Option<&str>,
    data: &mut ScriptData,
) -> Result<Markup, Error> {
    check_length(map, "values", map.values.len())?;
    let png_error = |source| Error::Png {
        method: map.method.clone(),
        height: map.height,
        width: map.width,
        source,
    };
    let values = tile::code_values(&map.values);
    let colours = code_colours(map, values.limit);
    let png = tile::indexed_png(&values.indices, map.height, map.width, &colours);
    let png = data_uri("image/png", &png.map_err(png_error)?);
    let mut notes = map.notes.clone();
    if values.not_finite > 0 {
        notes.push(format!("Values that are not finite, shown as 0: {}.", values.not_finite));
    }
    let mut errors = None;
    let mut error_png = None;
    if let Some(standard_error) = &map.standard_error {
        check_length(map, "standard errors", standard_error.len())?;
        let coded = tile::code_errors(standard_error);
        let png = tile::grey_png(&coded.codes, map.height, map.width).map_err(png_error)?;
        error_png = Some(base64(&png));
        if coded.not_finite > 0 {
            notes.push(format!(
                "Standard errors that are not finite, shown as the largest error: {}.",
                coded.not_finite
            ));
        }
        errors = Some(coded);
    }
    let number = data.add(map, place, &values, errors.as_ref());
    Ok(html! {
        figure.map {
            h4 { (map.method) }
            div {
                div.stack data-map=(number) data-error=[error_png] style=(aspect(map.height, map.width)) {
                    @if let Some(class) = picture { div.picture.(class) {} }
                    img.layer.over[picture.is_some()] decoding="async" src=(png)
                        alt=(format!("Attribution map of {} for {target}", map.method));
                }
                (colour_bar(map, values.limit))
                figcaption {
                    p.here hidden {}
                    @if !notes.is_empty() { ul.notes { @for note in &notes { li { (note) } } } }
                    @if !map.facts.is_empty() {
                        dl.facts { @for (name, value) in &map.facts { div { dt { (name) } dd { (value) } } } }
                    }
                    @if !map.files.is_empty() { p.files { "Exact values: " code { (map.files) } } }
                }
            }
        }
    })
}

fn check_length(map: &Map, what: &'static str, count: usize) -> Result<(), Error> {
    match map.height.checked_mul(map.width) == Some(count) {
        true => Ok(()),
        false => Err(Error::Length {
            method: map.method.clone(),
            what,
            count,
            height: map.height,
            width: map.width,
        }),
    }
}

/// Returns the style of an element with the shape of `height` rows and `width` columns.
pub(super) fn aspect(height: usize, width: usize) -> String {
    format!("aspect-ratio:{width}/{height}")
}
