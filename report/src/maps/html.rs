//! The page of attribution maps as HTML.

use maud::{Markup, PreEscaped, html};

use super::controls::controls;
use super::data::{InputMaps, MapsPage, TargetMaps};
use super::figure::{aspect, figure};
use super::script::ScriptData;
use crate::error::Error;
use crate::page::{Frame, json};

impl MapsPage {
    /// Returns the page as HTML.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of values of a map differs from its size, or if a map is empty.
    pub fn html(&self) -> Result<String, Error> {
        let mut data = ScriptData::default();
        let sections = (0..self.inputs.len())
            .map(|number| self.input(number, &mut data))
            .collect::<Result<Vec<Markup>, Error>>()?;
        let body = html! {
            @if self.inputs.len() > 1 {
                nav.contents aria-label="Inputs" {
                    @for (number, input) in self.inputs.iter().enumerate() {
                        a href=(format!("#input-{}", number + 1)) { (input.name) }
                    }
                }
            }
            (controls(self.has_errors()))
            main {
                @for section in &sections { (section) }
                (reading_aid())
            }
            dialog #enlarged aria-labelledby="enlarged-title" {
                div.dialog-head { h2 #enlarged-title {} button #close type="button" { "Close" } }
                div #enlarged-controls {}
                div #enlarged-map {}
            }
            (json("maps-data", &data))
        };
        let frame = Frame {
            kind: "Attribution maps",
            title: &self.title,
            command: &self.command,
            settings: &self.settings,
            warnings: &self.warnings,
            failures: &self.failures,
            style: include_str!("../../assets/maps.css"),
            scripts: &[
                include_str!("../../assets/maps.js"),
                include_str!("../../assets/maps-reading.js"),
            ],
            without_scripts: "sliders for opacity and thresholds, common colour scales, the value under the \
                              pointer in all maps at once, and enlarged maps",
        };
        Ok(frame.html(&body))
    }

    fn has_errors(&self) -> bool {
        let mut maps = self.inputs.iter().flat_map(|i| &i.targets).flat_map(|t| &t.maps);
        maps.any(|map| map.standard_error.is_some())
    }

    fn input(&self, number: usize, data: &mut ScriptData) -> Result<Markup, Error> {
        let input = &self.inputs[number];
        let class = format!("picture-{}", number + 1);
        let rows = input
            .targets
            .iter()
            .enumerate()
            .map(|(row, target)| target_row(input, target, (number, row), &class, data))
            .collect::<Result<Vec<Markup>, Error>>()?;
        Ok(html! {
            section.input id=(format!("input-{}", number + 1)) data-input=(number) {
                @if let Some(picture) = &input.picture { style { (PreEscaped(picture.css_rule(&class))) } }
                h2 { (input.name) }
                @for row in &rows { (row) }
            }
        })
    }
}

fn target_row(
    input: &InputMaps,
    target: &TargetMaps,
    (number, row): (usize, usize),
    class: &str,
    data: &mut ScriptData,
) -> Result<Markup, Error> {
    let class = input.picture.is_some().then_some(class);
    let figures = target
        .maps
        .iter()
        .map(|map| figure(map, &target.title, (number, row), class, data))
        .collect::<Result<Vec<Markup>, Error>>()?;
    Ok(html! {
        section.target {
            h3 { (target.title) }
            div.row {
                @if let (Some(picture), Some(class), 0) = (&input.picture, class, row) {
                    figure.map {
                        h4 { "input" }
                        div {
                            div.stack style=(aspect(picture.height, picture.width)) {
                                div.picture.(class) role="img" aria-label=(format!("The model's input, {}", input.name)) {}
                            }
                            p.size { (picture.width) " × " (picture.height) " pixels" }
                        }
                    }
                }
                @for figure in &figures { (figure) }
            }
        }
    })
}

fn reading_aid() -> Markup {
    html! {
        footer.remark {
            p {
                "Values in this page are rounded: by less than 1 % of the strongest value of a map, and standard \
                 errors by less than 3 %. The exact values are in the .npy files of the folder below each map. \
                 Colours saturate at the numbers beside the colour bar."
            }
        }
    }
}
