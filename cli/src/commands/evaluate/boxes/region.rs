//! Projection of boxes into the model's input, and selection of the boxes that count.

use attriburn_metrics::Region;
use attriburn_picture::Preprocess;

use super::object::Object;
use crate::setup::labels::Labels;

/// The part of an image that the model sees.
pub struct ModelView<'a> {
    /// The height and width of the model's input.
    pub shape: [usize; 2],
    /// The preprocessing and the height and width of the image file. `None` for an array.
    pub scaled: Option<(&'a Preprocess, (usize, usize))>,
}

impl ModelView<'_> {
    /// Projects a box into the model's input. Parts outside are cut off.
    pub fn region(&self, object: &Object) -> Region {
        let project = |row: f64, column: f64| match self.scaled {
            Some((preprocess, size)) => preprocess.map_point(size, (row, column)),
            None => (row, column),
        };
        let pixel =
            |position: f64, length: usize| position.round().clamp(0.0, length as f64) as usize;
        let [height, width] = self.shape;
        let (top, left) = project(object.top, object.left);
        let (bottom, right) = project(object.bottom, object.right);
        Region {
            left: pixel(left, width),
            top: pixel(top, height),
            right: pixel(right, width),
            bottom: pixel(bottom, height),
        }
    }
}

/// The selection of the objects that count.
pub enum CountedObjects<'a> {
    All,
    /// The objects of a class. Objects of unknown class count as well: those without a label, and those with
    /// a name if the class names are unknown.
    OfClass(&'a Labels, usize),
}

impl CountedObjects<'_> {
    /// Returns whether `object` counts.
    pub fn includes(&self, object: &Object) -> Result<bool, String> {
        let (Self::OfClass(labels, class), Some(label)) = (self, &object.label) else {
            return Ok(true);
        };
        let classes = labels.classes(label);
        match label.parse::<usize>() {
            _ if !classes.is_empty() => Ok(classes.contains(class)),
            Ok(index) => Ok(index == *class),
            Err(_) if labels.is_empty() => Ok(true),
            Err(_) => Err(format!(
                "a box has the label {label:?}, which is not the name of a class; give matching names with --labels, or count all boxes with --all-boxes"
            )),
        }
    }
}
