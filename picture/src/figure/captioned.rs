//! A single picture with a title, a colour bar and notes.

use super::canvas::{Canvas, GAP, LINE, enlargement, wrapped};
use super::legend::Legend;
use crate::error::Error;
use crate::raster::Picture;

/// A picture with a title above, and a colour bar and notes below.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The lines of the title. Long lines are wrapped.
    pub title: Vec<String>,
    /// The picture. A small picture is enlarged by an integer factor.
    pub picture: Picture,
    /// The colour bar.
    pub legend: Option<Legend>,
    /// The notes. Long notes are wrapped.
    pub notes: Vec<String>,
}

/// The minimum width of the text, in pixels.
const MIN_WIDTH: usize = 320;

impl Figure {
    /// Draws the figure.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the picture has no pixels.
    pub fn draw(&self) -> Result<Picture, Error> {
        let (height, width) = (self.picture.height(), self.picture.width());
        let factor = enlargement(height.max(width));
        let (height, width) = (factor * height, factor * width);
        let text_width = width.max(MIN_WIDTH);
        let lines = |texts: &[String]| -> Vec<String> {
            texts.iter().flat_map(|text| wrapped(text, text_width)).collect()
        };
        let (title, notes) = (lines(&self.title), lines(&self.notes));
        let block = |lines: &[String]| if lines.is_empty() { 0 } else { lines.len() * LINE + GAP };
        let legend_height = self.legend.map_or(0, |_| Legend::HEIGHT + GAP);
        let total = GAP + block(&title) + height + GAP + legend_height + block(&notes);
        let mut canvas = Canvas::new(total, text_width + 2 * GAP);
        let mut top = GAP;
        for line in &title {
            canvas.draw_text(line, GAP, top);
            top += LINE;
        }
        top = GAP + block(&title);
        let left = GAP + (text_width - width) / 2;
        canvas.draw_picture(&self.picture, left, top, factor);
        top += height + GAP;
        if let Some(legend) = self.legend {
            legend.draw(&mut canvas, left, top, width);
            top += legend_height;
        }
        for line in &notes {
            canvas.draw_text(line, GAP, top);
            top += LINE;
        }
        canvas.into_picture()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::ColorMap;

    #[test]
    fn figure_holds_title_picture_colour_bar_and_notes() {
        let picture = Picture::new(100, 400, vec![9; 3 * 100 * 400]).expect("a picture");
        let legend = Some(Legend { colours: ColorMap::RedBlue, limit: 1.0 });
        let figure = Figure {
            title: vec!["tabby".into()],
            picture,
            legend,
            notes: vec![
                "a note that is longer than the width of the picture, so it is wrapped".into(),
            ],
        };
        let drawn = figure.draw().expect("a figure");
        assert_eq!(drawn.width(), 416);
        assert_eq!(drawn.height(), 8 + 26 + 100 + 8 + (32 + 8) + (2 * 18 + 8));
        let row = |y: usize| &drawn.rgb()[3 * y * 416..][..3 * 416];
        assert_eq!(row(34)[3 * 8], 9, "the picture");
        assert!(row(33).iter().all(|value| *value == 255), "the gap above the picture");
        assert!((8..26).any(|y| row(y).iter().any(|value| *value < 128)), "the title");
        let last = drawn.height() - 8 - 18;
        assert!((last..last + 16).any(|y| row(y).iter().any(|value| *value < 128)), "the note");
        let bare = Figure { title: Vec::new(), legend: None, notes: Vec::new(), ..figure };
        assert_eq!(bare.draw().expect("a figure").height(), 8 + 100 + 8);
    }
}
