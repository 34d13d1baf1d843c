//! The controls of the page: sliders and choices.

use maud::{Markup, html};

/// A slider with its name and its value.
struct Slider<'a> {
    id: &'a str,
    name: &'a str,
    explanation: &'a str,
    max: &'a str,
    step: &'a str,
    value: &'a str,
    is_disabled: bool,
}

impl Slider<'_> {
    fn html(&self) -> Markup {
        html! {
            div.control.{ (self.id) "-control" } title=(self.explanation) {
                label for=(self.id) { (self.name) }
                output for=(self.id) id=(format!("{}-value", self.id)) {}
                input type="range" id=(self.id) min="0" max=(self.max) step=(self.step) value=(self.value)
                    disabled[self.is_disabled];
            }
        }
    }
}

fn choice(id: &str, name: &str, explanation: &str, options: &[(&str, &str)]) -> Markup {
    html! {
        div.control title=(explanation) {
            label for=(id) { (name) }
            select id=(id) autocomplete="off" {
                @for (value, text) in options { option value=(value) { (text) } }
            }
        }
    }
}

/// Returns the controls. They need scripts, and are hidden until the script shows them.
pub(super) fn controls(has_errors: bool) -> Markup {
    let sliders = [
        Slider {
            id: "opacity",
            name: "Map opacity",
            explanation: "0 shows the picture, 100 shows the map",
            max: "100",
            step: "1",
            value: "70",
            is_disabled: false,
        },
        Slider {
            id: "wipe",
            name: "Wipe line",
            explanation: "The map is shown to the right of this line",
            max: "100",
            step: "1",
            value: "50",
            is_disabled: false,
        },
        Slider {
            id: "percentile",
            name: "Strongest",
            explanation: "Hide values whose magnitude lies below this percentile of their map",
            max: "100",
            step: "0.5",
            value: "0",
            is_disabled: false,
        },
        Slider {
            id: "certainty",
            name: "Certain, z",
            explanation: match has_errors {
                true => {
                    "Hide values whose magnitude is below this multiple of their standard error"
                }
                false => "The maps have no standard errors",
            },
            max: "10",
            step: "0.1",
            value: "0",
            is_disabled: !has_errors,
        },
    ];
    html! {
        form #controls aria-label="View of the maps" autocomplete="off" hidden {
            div.controls {
                @for slider in &sliders { (slider.html()) }
                (choice("scale", "Colour scale", "The maps that share a clip limit", &[
                    ("own", "each map"), ("row", "each row"), ("shared", "all maps"),
                ]))
                (choice("view", "Values", "Maps without sign do not change", &[
                    ("signed", "signed"), ("magnitude", "magnitude"), ("positive", "positive"),
                    ("negative", "negative"),
                ]))
                (choice("mode", "Show", "Mask: the picture is visible where the map is strong", &[
                    ("colour", "colours"), ("mask", "mask"), ("wipe", "wipe"),
                ]))
                div.control.buttons {
                    button type="button" #more aria-expanded="false" { "More" }
                    button type="reset" { "Reset" }
                }
            }
            p #readout role="status" { "Point at a map to read its values." }
        }
    }
}
