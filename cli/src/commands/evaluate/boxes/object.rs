//! Annotated objects of an image.

/// A bounding box in pixels of the image file. `right` and `bottom` are exclusive.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub label: Option<String>,
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

/// The annotation of an image.
#[derive(Debug)]
pub struct Annotation {
    pub objects: Vec<Object>,
    /// The height and width of the annotated image, if recorded.
    pub size: Option<(usize, usize)>,
}

impl Object {
    /// Checks that all sides are finite and in order.
    pub fn check(&self) -> Result<(), String> {
        let sides = [self.left, self.top, self.right, self.bottom];
        if sides.iter().all(|side| side.is_finite())
            && self.left < self.right
            && self.top < self.bottom
        {
            return Ok(());
        }
        Err(format!(
            "{sides:?} is not a box; left must be less than right, and top less than bottom"
        ))
    }
}
