//! `--skip-existing`: detection of the maps of an earlier run with the same settings.

use attriburn::Score;
use serde_json::{Value, json};

use super::job::{Job, MAX_MAPS};
use super::prepared::PreparedInput;
use super::write::GRID;

use crate::output::manifest::{ExistingManifest, MANIFEST};
use crate::output::report::{print_line, print_summary};

impl Job<'_> {
    /// Returns whether all maps of an input, and its grid, exist with the same settings and the same image.
    pub(super) fn is_complete(&self, input: &PreparedInput) -> bool {
        let variants = self.setup.variants.iter();
        let methods: Vec<&str> = variants.map(|variant| variant.name.as_str()).collect();
        let exists = |score: &Score| {
            let folder = self.folder(input, &self.target(input, score));
            ExistingManifest::read(&folder).is_some_and(|manifest| {
                manifest.matches(&self.key, &methods, score, &input.loaded.file, &folder)
            })
        };
        let maps = methods.len() * input.scores.len();
        let has_grid = (2..=MAX_MAPS).contains(&maps) && self.setup.image_shape.len() == 3;
        let grid = self.out.join(&input.source.stem).join(GRID);
        input.scores.iter().all(exists) && (!has_grid || grid.is_file())
    }

    /// Reports a skipped input, with its manifests if JSON is requested.
    pub(super) fn report_existing(&self, input: &PreparedInput) {
        if !self.args.output.json {
            print_summary!("{}: skipped, maps exist", input.source.name());
            return;
        }
        for score in &input.scores {
            let folder = self.folder(input, &self.target(input, score));
            let path = folder.join(MANIFEST);
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let Ok(mut line) = serde_json::from_str::<Value>(&text) else { continue };
            line["folder"] = json!(folder.display().to_string());
            line["manifest"] = json!(path.display().to_string());
            line["skipped"] = json!(true);
            print_line!("{line}");
        }
    }
}
