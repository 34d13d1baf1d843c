//! Writing of the files of an input: maps, images, manifests and grid.

use std::path::{Path, PathBuf};

use attriburn::Score;
use attriburn_picture::Picture;
use serde::Serialize;

use super::job::Job;
use super::page::Gallery;
use super::prepared::{PreparedInput, ScoreGroup};
use crate::output::figures::{GridRow, ShownMap, grid_file, map_files};
use crate::output::manifest::{self, MANIFEST, Manifest};
use crate::output::maps::MethodMap;
use crate::output::report::{print_line, print_summary};
use crate::output::{files, terminal};

/// The name of the grid's file, in the output folder of the input.
pub const GRID: &str = "grid.png";

impl Job<'_> {
    /// Writes the maps of a group, given per score, and the grid, and adds the maps to the gallery. Prints the paths
    /// of the written files.
    pub(super) fn write(
        &self,
        group: &ScoreGroup,
        maps_by_score: &[Vec<MethodMap>],
        gallery: &mut Gallery,
    ) -> Result<(), String> {
        let input = group.input;
        let target = |score: &Score| self.target(input, score);
        let targets: Vec<manifest::Target> = group.scores.iter().map(target).collect();
        let mut shown_by_score = Vec::new();
        for (target, maps) in targets.iter().zip(maps_by_score) {
            let shown = self.shown(input, maps)?;
            if !maps.is_empty() {
                self.write_target(input, target, maps, &shown)?;
                gallery.add(self, input, target, maps)?;
            }
            shown_by_score.push(shown);
        }
        let all_succeeded = maps_by_score.iter().all(|maps| {
            let computed = maps.iter().filter(|map| !map.is_bias());
            computed.count() == self.setup.variants.len()
        });
        if self.setup.variants.len() * input.scores.len() < 2 || !all_succeeded {
            return Ok(());
        }
        if group.scores.len() < input.scores.len() {
            if group.scores.last() == input.scores.last() {
                let maps = self.setup.variants.len() * input.scores.len();
                log::warn!("{}: {maps} maps are too many for a grid", input.source.name());
            }
            return Ok(());
        }
        let maps = maps_by_score.iter().zip(shown_by_score);
        let rows = targets.iter().zip(maps);
        let rows = rows.map(|(target, (maps, shown))| GridRow::new(target.title(), maps, shown));
        // Maps that are not images have no grid.
        let Some(rows) = rows.collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        let path = self.write_grid(input, &rows)?;
        if let (Some(path), false) = (path, self.args.output.json) {
            print_summary!("  {:<11} {}", "grid", path.display());
        }
        Ok(())
    }

    /// Applies the options of pictures to maps of an input. `None` stands for a map that is no image.
    fn shown(
        &self,
        input: &PreparedInput,
        maps: &[MethodMap],
    ) -> Result<Vec<Option<ShownMap>>, String> {
        let crop = input.loaded.crop.as_ref();
        maps.iter().map(|map| ShownMap::new(map, crop, &self.display)).collect()
    }

    /// Writes the grid of all maps of an input. Returns its path; `None` without rows.
    fn write_grid(
        &self,
        input: &PreparedInput,
        rows: &[GridRow],
    ) -> Result<Option<PathBuf>, String> {
        let grid = grid_file(input.loaded.crop.as_ref(), rows, self.grid_scale, &self.display);
        let Some(grid) = grid.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        files::write(&self.out.join(&input.source.stem), GRID, &grid).map(Some)
    }

    /// Describes a score of an input for the manifest.
    pub(super) fn target(&self, input: &PreparedInput, score: &Score) -> manifest::Target {
        let prediction = &input.prediction;
        let label = |class| self.setup.labels.name(class).map(str::to_owned);
        let class = |index: usize| manifest::Class { index, label: label(index) };
        // Every target of the command line has a class.
        let index = score.class().unwrap_or_default();
        manifest::Target {
            kind: manifest::Target::kind(score),
            index,
            label: label(index),
            logit: prediction.logits()[index],
            probability: prediction.probability(index),
            others: score.others().iter().copied().map(class).collect(),
            expected: input.expected.map(class),
        }
    }

    /// Writes the maps and the manifest of one target. `shown` has an entry for each map.
    fn write_target(
        &self,
        input: &PreparedInput,
        target: &manifest::Target,
        maps: &[MethodMap],
        shown: &[Option<ShownMap>],
    ) -> Result<(), String> {
        let folder = self.folder(input, target);
        files::create_folder(&folder)?;
        // An old manifest must not describe the new maps, not even until the new manifest is written.
        files::remove(&folder, MANIFEST)?;
        let (mut methods, mut lines, mut overlays) = (Vec::new(), Vec::new(), Vec::new());
        for (map, shown) in maps.iter().zip(shown) {
            let (written, overlay) =
                self.write_map(input, &folder, &target.title(), map, shown.as_ref())?;
            overlays.extend(overlay);
            lines.push(map.summary(&written));
            methods.push(self.method_record(map, &written)?);
        }
        let manifest = self.manifest(input, target, methods);
        let text = serde_json::to_string_pretty(&manifest).map_err(|error| error.to_string())?;
        let path = files::write(&folder, MANIFEST, text.as_bytes())?;
        if self.args.output.json {
            let (folder, path) = (folder.display().to_string(), path.display().to_string());
            let line = Line { folder, manifest: path, content: &manifest };
            let line = serde_json::to_string(&line).map_err(|error| error.to_string())?;
            print_line!("{line}");
            return Ok(());
        }
        print_summary!("{}: {}", input.source.name(), target.title());
        let differs = |expected: &&manifest::Class| expected.index != target.index;
        if let Some(expected) = target.expected.as_ref().filter(differs) {
            let label = expected.label.as_deref().unwrap_or_default();
            print_summary!("  {:<11} {label}, class {}", "expected", expected.index);
        }
        lines.iter().for_each(|line| print_summary!("{line}"));
        if self.args.display.show {
            overlays.iter().for_each(terminal::draw);
        }
        print_summary!("  {:<11} {}", "manifest", path.display());
        Ok(())
    }

    /// Writes the arrays and pictures of one map. Returns the paths and, for an image, the overlay.
    fn write_map(
        &self,
        input: &PreparedInput,
        folder: &Path,
        title: &str,
        map: &MethodMap,
        shown: Option<&ShownMap>,
    ) -> Result<(Vec<PathBuf>, Option<Picture>), String> {
        let mut contents = map.arrays(self.args.output.standard_error)?;
        let mut overlay = None;
        if let Some(shown) = shown {
            let files = map_files(map, shown, &input.loaded, title, &self.display);
            let (pictures, drawn) = files.map_err(|error| error.to_string())?;
            contents.extend(pictures);
            overlay = drawn;
        }
        let write = |(name, bytes): &(String, Vec<u8>)| files::write(folder, name, bytes);
        let written = contents.iter().map(write).collect::<Result<_, _>>()?;
        Ok((written, overlay))
    }

    fn manifest<'m>(
        &'m self,
        input: &'m PreparedInput,
        target: &'m manifest::Target,
        methods: Vec<manifest::Method>,
    ) -> Manifest<'m> {
        let (file, preprocess) = (&input.loaded.file, input.loaded.preprocess.clone());
        let argument = input.source.argument();
        let inputs = argument.into_iter().map(|argument| ("inputs", vec![argument])).collect();
        Manifest {
            schema_version: manifest::SCHEMA_VERSION,
            program: manifest::PROGRAM,
            device: &self.setup.device,
            run: manifest::Run { options: &self.options, inputs, key: &self.key },
            model: &self.setup.model_file,
            image: manifest::Image {
                file,
                preprocess_parts: preprocess.as_ref().and(self.setup.preprocess_parts()),
                preprocess,
            },
            domain: manifest::Bounds {
                lower: &self.setup.domain.lower,
                upper: &self.setup.domain.upper,
            },
            target,
            methods,
        }
    }

    /// Describes a map for the manifest.
    fn method_record(
        &self,
        method_map: &MethodMap,
        written: &[PathBuf],
    ) -> Result<manifest::Method, String> {
        let map = &method_map.map;
        let file_name =
            |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let plan = manifest::plan_to_json(method_map.plan, self.setup.baseline.as_ref());
        Ok(manifest::Method {
            name: method_map.method.to_string(),
            plan: plan.map_err(|error| error.to_string())?,
            is_bias: method_map.is_bias(),
            layer: map.layer.as_ref().map(|layer| layer.name.clone()),
            files: written.iter().filter_map(file_name).collect(),
            seconds: map.seconds,
            gradients: map.gradients,
            samples: map.samples,
            left_out: map.left_out,
            batch: map.batch,
            notes: method_map.notes(),
            relative_standard_error: map.relative_standard_error(),
            completeness_gap: map.completeness_gap,
        })
    }

    /// Returns the output folder for the maps of a target.
    pub(super) fn folder(&self, input: &PreparedInput, target: &manifest::Target) -> PathBuf {
        let folder = self.out.join(&input.source.stem);
        match self.targets.may_be_several() {
            true => folder.join(target.folder()),
            false => folder,
        }
    }
}

/// A manifest as one line of JSON, with the paths of its folder and file.
#[derive(Serialize)]
struct Line<'a> {
    folder: String,
    manifest: String,
    #[serde(flatten)]
    content: &'a Manifest<'a>,
}
