//! Several pictures side by side, with a name over each column and each row.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use super::{Picture, PictureError};

const FONT: RasterHeight = RasterHeight::Size16;
const GROUND: u8 = 255;
/// Pixels around panels and between text and panels.
const GAP: usize = 8;
/// Panels smaller than this are drawn enlarged by a whole factor.
const LEAST_SIDE: usize = 160;

/// A row of a grid.
#[derive(Clone, Debug)]
pub struct Row {
    /// What stands over it; nothing for an empty text.
    pub label: String,
    /// Its pictures, one per column.
    pub panels: Vec<Picture>,
}

/// Puts the panels of `rows` side by side under the names of the `columns`. Small panels are
/// enlarged, each of their pixels to a square; text that is too long ends in dots.
///
/// # Errors
///
/// [`PictureError::Shape`] when a row does not have a panel for each column.
pub fn grid(columns: &[String], rows: &[Row]) -> Result<Picture, PictureError> {
    if let Some(row) = rows.iter().find(|row| row.panels.len() != columns.len()) {
        return Err(PictureError::Shape {
            what: "a grid",
            height: rows.len(),
            width: columns.len(),
            expected: columns.len(),
            given: row.panels.len(),
        });
    }
    let panels = || rows.iter().flat_map(|row| &row.panels);
    let largest = panels().map(|panel| panel.height().max(panel.width())).max().unwrap_or(1);
    let factor = LEAST_SIDE.div_ceil(largest.max(1));
    let cell_width = factor * panels().map(Picture::width).max().unwrap_or(0);
    let width = GAP + columns.len() * (cell_width + GAP);
    let text_height = FONT.val() + GAP;
    let row_height = |row: &Row| {
        let tallest = factor * row.panels.iter().map(Picture::height).max().unwrap_or(0);
        let label = if row.label.is_empty() { 0 } else { text_height };
        label + tallest + GAP
    };
    let height = GAP + text_height + rows.iter().map(row_height).sum::<usize>();
    let mut canvas = Canvas { width, rgb: vec![GROUND; 3 * width * height] };
    let left = |column: usize| GAP + column * (cell_width + GAP);
    for (column, name) in columns.iter().enumerate() {
        canvas.write(name, left(column), GAP, cell_width);
    }
    let mut top = GAP + text_height;
    for row in rows {
        let mut panels_top = top;
        if !row.label.is_empty() {
            canvas.write(&row.label, GAP, top, width.saturating_sub(2 * GAP));
            panels_top += text_height;
        }
        for (column, panel) in row.panels.iter().enumerate() {
            canvas.draw(panel, left(column), panels_top, factor);
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
    fn set(&mut self, x: usize, y: usize, pixel: [u8; 3]) {
        let at = 3 * (y * self.width + x);
        self.rgb[at..at + 3].copy_from_slice(&pixel);
    }

    fn draw(&mut self, panel: &Picture, left: usize, top: usize, factor: usize) {
        for (i, pixel) in panel.pixels().enumerate() {
            let (x, y) = (i % panel.width() * factor, i / panel.width() * factor);
            for place in 0..factor * factor {
                self.set(left + x + place % factor, top + y + place / factor, pixel);
            }
        }
    }

    /// Writes one line of at most `room` pixels.
    fn write(&mut self, text: &str, left: usize, top: usize, room: usize) {
        let step = get_raster_width(FontWeight::Regular, FONT);
        for (i, letter) in fitting(text, room / step).chars().enumerate() {
            let raster = get_raster(letter, FontWeight::Regular, FONT)
                .or_else(|| get_raster('?', FontWeight::Regular, FONT));
            for (y, line) in raster.iter().flat_map(|raster| raster.rows().enumerate()) {
                for (x, &ink) in line.iter().enumerate() {
                    self.set(left + i * step + x, top + y, [GROUND - ink; 3]);
                }
            }
        }
    }
}

/// The text in at most `most` letters.
fn fitting(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(2)).collect();
    let dots = "..".chars().take(most).collect::<String>();
    kept + &dots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_stand_where_they_should() {
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
        let ink = |top: usize| {
            (top..top + 16)
                .flat_map(|y| (0..160).map(move |x| (x, y)))
                .any(|(x, y)| pixel(x, y) < 128)
        };
        assert!(ink(8) && ink(32), "the names are there");
        let missing = Row { label: String::new(), panels: Vec::new() };
        assert!(grid(&columns, &[missing]).is_err());
    }

    #[test]
    fn small_panels_grow_and_long_names_end_in_dots() {
        let panel = Picture::new(28, 28, vec![9; 3 * 28 * 28]).expect("a picture");
        let rows = [Row { label: String::new(), panels: vec![panel] }];
        let picture = grid(&["a name that is far too long for it".to_owned()], &rows);
        assert_eq!(picture.expect("a grid").width(), 16 + 6 * 28);
        assert_eq!(fitting("adaptgrad", 9), "adaptgrad");
        assert_eq!(fitting("adaptgrad", 6), "adap..");
        assert_eq!(fitting("adaptgrad", 1), ".");
    }
}
