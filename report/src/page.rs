//! The frame of both pages: head, styles, command, settings, warnings and scripts.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

/// The parts of a page that both kinds have.
pub(crate) struct Frame<'a> {
    /// The kind of page, above the title.
    pub(crate) kind: &'a str,
    /// The title.
    pub(crate) title: &'a str,
    /// The command that makes the page again.
    pub(crate) command: &'a str,
    /// Names and values of settings.
    pub(crate) settings: &'a [(String, String)],
    /// Warnings about the whole run.
    pub(crate) warnings: &'a [String],
    /// Inputs that were left out, with the reason.
    pub(crate) failures: &'a [String],
    /// Styles in addition to those of all pages.
    pub(crate) style: &'static str,
    /// The parts of the script in addition to that of all pages, in one scope.
    pub(crate) scripts: &'static [&'static str],
    /// The features that need scripts.
    pub(crate) without_scripts: &'a str,
}

const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = include_str!("../assets/page.js");

/// Forbids the browser to load anything that is not in the file.
const POLICY: &str =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

impl Frame<'_> {
    /// Returns the page around `body`.
    pub(crate) fn html(&self, body: &Markup) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content="attriburn";
                    title { (self.title) " – " (self.kind) }
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) (PreEscaped(self.style)) }
                }
                body {
                    header.head {
                        p.kind { (self.kind) }
                        h1 { (self.title) }
                        (messages("warnings", "Warnings", self.warnings))
                        (messages("failures", "Left out", self.failures))
                        (self.origin())
                        noscript { p.remark { "Scripts are off. With scripts, the page adds " (self.without_scripts) "." } }
                    }
                    (body)
                    (self.script())
                }
            }
        };
        page.into_string()
    }

    /// Returns the script: all its parts in one function, so that they share names among themselves only.
    fn script(&self) -> Markup {
        let parts = [&[SCRIPT], self.scripts].concat().join("\n");
        html! { script { (PreEscaped(format!("\"use strict\";\n(() => {{\n{parts}}})();\n"))) } }
    }

    /// Returns the command and the settings.
    fn origin(&self) -> Markup {
        html! {
            details.origin {
                summary { "Command and settings" }
                @if !self.command.is_empty() { pre { code { (self.command) } } }
                @if !self.settings.is_empty() {
                    div.scroll { table.settings {
                        @for (name, value) in self.settings { tr { th scope="row" { (name) } td { (value) } } }
                    } }
                }
            }
        }
    }
}

/// Returns a titled list of messages; nothing if there are none.
fn messages(id: &str, title: &str, messages: &[String]) -> Markup {
    html! {
        @if !messages.is_empty() {
            section.messages id=(id) aria-label=(title) {
                h2 { (title) }
                ul { @for message in messages { li { (message) } } }
            }
        }
    }
}

/// Returns data for scripts. `<` is written as an escape, so no text can end the element.
pub(crate) fn json(id: &str, data: &impl Serialize) -> Markup {
    // Structs of numbers and texts can always be written as JSON.
    let text =
        serde_json::to_string(data).unwrap_or_else(|_| "null".into()).replace('<', "\\u003c");
    html! { script type="application/json" id=(id) { (PreEscaped(text)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_data_cannot_end_its_element() {
        let text = json("data", &"</script><script>").into_string();
        assert_eq!(
            text,
            r#"<script type="application/json" id="data">"\u003c/script>\u003cscript>"</script>"#
        );
    }
}
