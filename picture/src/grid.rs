//! A figure of several pictures in rows and columns, each with a label.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::error::{Error, ErrorKind};
use crate::raster::Picture;

const FONT: RasterHeight = RasterHeight::Size16;
const BACKGROUND: u8 = 255;
/// The margin around panels and labels, in pixels.
const GAP: usize = 8;
/// The minimum size of the longest side among the panels, in pixels. Smaller panels are enlarged by an
/// integer factor.
const MIN_SIDE: usize = 160;

/// A row of a grid.
#[derive(Clone, Debug)]
pub struct Row {
    /// The label above the row. An empty label takes no space.
    pub label: String,
    /// The pictures of the row, one per column.
    pub panels: Vec<Picture>,
}

/// Arranges the panels of `rows` in a grid, with the labels of the `columns` at the top. Small panels are
/// enlarged by an integer factor without interpolation. A label that is too long is cut off and ends in dots.
///
/// # Errors
///
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if a row does not have one panel per column.
pub fn grid(columns: &[String], rows: &[Row]) -> Result<Picture, Error> {
    if let Some(row) = rows.iter().find(|row| row.panels.len() != columns.len()) {
        let message = format!(
            "row {:?} of the grid has {} panels, but there are {} columns; give one panel per column",
            row.label,
            row.panels.len(),
            columns.len()
        );
        return Err(Error::new(ErrorKind::Shape, message));
    }
    let panels = || rows.iter().flat_map(|row| &row.panels);
    let largest = panels().map(|panel| panel.height().max(panel.width())).max().unwrap_or(1);
    let factor = MIN_SIDE.div_ceil(largest.max(1));
    let cell_width = factor * panels().map(Picture::width).max().unwrap_or(0);
    let width = GAP + columns.len() * (cell_width + GAP);
    let text_height = FONT.val() + GAP;
    let row_height = |row: &Row| {
        let panel_height = factor * row.panels.iter().map(Picture::height).max().unwrap_or(0);
        let label_height = if row.label.is_empty() { 0 } else { text_height };
        label_height + panel_height + GAP
    };
    let height = GAP + text_height + rows.iter().map(row_height).sum::<usize>();
    let mut canvas = Canvas { width, rgb: vec![BACKGROUND; 3 * width * height] };
    let left = |column: usize| GAP + column * (cell_width + GAP);
    for (column, label) in columns.iter().enumerate() {
        canvas.draw_text(label, left(column), GAP, cell_width);
    }
    let mut top = GAP + text_height;
    for row in rows {
        let mut panels_top = top;
        if !row.label.is_empty() {
            canvas.draw_text(&row.label, GAP, top, width.saturating_sub(2 * GAP));
            panels_top += text_height;
        }
        for (column, panel) in row.panels.iter().enumerate() {
            canvas.draw_panel(panel, left(column), panels_top, factor);
        }
        top += row_height(row);
    }
    Picture::new(height, width, canvas.rgb)
}

struct Canvas {
    width: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    fn set_pixel(&mut self, x: usize, y: usize, pixel: [u8; 3]) {
        let start = 3 * (y * self.width + x);
        self.rgb[start..start + 3].copy_from_slice(&pixel);
    }

    /// Draws each pixel of `panel` as a square of `factor` x `factor` pixels.
    fn draw_panel(&mut self, panel: &Picture, left: usize, top: usize, factor: usize) {
        for (i, pixel) in panel.pixels().enumerate() {
            let (x, y) = (i % panel.width() * factor, i / panel.width() * factor);
            for offset in 0..factor * factor {
                self.set_pixel(left + x + offset % factor, top + y + offset / factor, pixel);
            }
        }
    }

    /// Draws one line of text that is at most `max_width` pixels wide.
    fn draw_text(&mut self, text: &str, left: usize, top: usize, max_width: usize) {
        let advance = get_raster_width(FontWeight::Regular, FONT);
        for (i, character) in shortened(text, max_width / advance).chars().enumerate() {
            let raster = get_raster(character, FontWeight::Regular, FONT)
                .or_else(|| get_raster('?', FontWeight::Regular, FONT));
            for (y, line) in raster.iter().flat_map(|raster| raster.rows().enumerate()) {
                for (x, &ink) in line.iter().enumerate() {
                    self.set_pixel(left + i * advance + x, top + y, [BACKGROUND - ink; 3]);
                }
            }
        }
    }
}

/// Returns `text`, cut off with dots if it is longer than `max_length` characters.
fn shortened(text: &str, max_length: usize) -> String {
    if text.chars().count() <= max_length {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max_length.saturating_sub(2)).collect();
    let dots = "..".chars().take(max_length).collect::<String>();
    kept + &dots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_and_labels_are_drawn_at_their_positions() {
        let panel = |value| Picture::new(80, 160, vec![value; 3 * 80 * 160]).expect("a picture");
        let row = |label: &str, values: [u8; 2]| Row {
            label: label.into(),
            panels: values.map(panel).to_vec(),
        };
        let columns = ["left".to_owned(), "right".to_owned()];
        let rows = [row("first", [10, 20]), row("", [30, 40])];
        let picture = grid(&columns, &rows).expect("a grid");
        assert_eq!((picture.width(), picture.height()), (8 + 2 * 168, 8 + 24 + 24 + 88 + 88));
        let pixel = |x: usize, y: usize| picture.rgb()[3 * (y * picture.width() + x)];
        for (x, y, expected) in [(8, 56, 10), (176, 56, 20), (8, 144, 30), (335, 223, 40)] {
            assert_eq!(pixel(x, y), expected, "at {x}, {y}");
        }
        let has_text = |top: usize| {
            (top..top + 16)
                .flat_map(|y| (0..160).map(move |x| (x, y)))
                .any(|(x, y)| pixel(x, y) < 128)
        };
        assert!(has_text(8) && has_text(32), "the labels of the columns and of the first row");
        let missing = Row { label: String::new(), panels: Vec::new() };
        assert!(grid(&columns, &[missing]).is_err());
    }

    #[test]
    fn small_panels_are_enlarged_and_long_labels_shortened() {
        let panel = Picture::new(28, 28, vec![9; 3 * 28 * 28]).expect("a picture");
        let rows = [Row { label: String::new(), panels: vec![panel] }];
        let picture = grid(&["a name that is far too long for it".to_owned()], &rows);
        assert_eq!(picture.expect("a grid").width(), 16 + 6 * 28);
        assert_eq!(shortened("adaptgrad", 9), "adaptgrad");
        assert_eq!(shortened("adaptgrad", 6), "adap..");
        assert_eq!(shortened("adaptgrad", 1), ".");
    }
}
