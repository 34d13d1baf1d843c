//! The images of an evaluation as sources of the `attriburn_evaluate` library.

use std::path::Path;

use attriburn::{Input, Prediction, Score};
use attriburn_evaluate::{Source as EvaluationSource, Subject};
use attriburn_metrics::Region;

use super::boxes::{CountedObjects, ModelView};
use super::job::{Job, digest_of_checksums};
use crate::setup::source::{LoadedInput, Source};

/// A source of a job.
pub struct JobSource<'j> {
    pub job: &'j Job<'j>,
    pub source: &'j Source,
}

impl EvaluationSource for JobSource<'_> {
    type Opened = LoadedInput;

    fn name(&self) -> String {
        self.source.name()
    }

    fn open(&self) -> Result<LoadedInput, String> {
        self.job.setup.open(self.source)
    }

    fn input(loaded: &LoadedInput) -> &Input {
        &loaded.input
    }

    fn subject(&self, loaded: &LoadedInput, prediction: &Prediction) -> Result<Subject, String> {
        let expected = self.job.setup.expected_class(self.source);
        let scores = self.job.targets.scores(prediction, expected)?;
        let class = scores.first().and_then(Score::class).ok_or("the target has no class")?;
        let checksum = digest_of_checksums([loaded.file.sha256.clone()]);
        let seed = u64::from_str_radix(&checksum[..16], 16).unwrap_or_default();
        Ok(Subject { class, regions: self.regions(loaded, class), seed })
    }
}

impl JobSource<'_> {
    /// Returns the regions of the objects of a class.
    fn regions(&self, loaded: &LoadedInput, class: usize) -> Result<Vec<Region>, String> {
        let job = self.job;
        let boxes = job.boxes.as_ref().ok_or("there are no boxes; give them with --boxes")?;
        let &[_, height, width] = loaded.input.picture_shape() else {
            let shape = loaded.input.picture_shape();
            return Err(format!("boxes need images, but the samples have the shape {shape:?}"));
        };
        let preprocess = job.setup.preprocess.as_ref().ok().map(|found| &found.preprocess);
        let view = ModelView { shape: [height, width], scaled: preprocess.zip(loaded.size) };
        let counted = match job.args.all_boxes {
            true => CountedObjects::All,
            false => CountedObjects::OfClass(&job.setup.labels, class),
        };
        boxes.regions(Path::new(&self.source.name()), &view, counted)
    }
}
