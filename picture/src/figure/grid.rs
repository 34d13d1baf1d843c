//! A figure of several pictures in rows and columns, each with a label.

use super::canvas::{Canvas, GAP, LINE, enlargement, shortened};
use super::legend::Legend;
use crate::error::{Error, ErrorKind};
use crate::raster::Picture;

/// A row of a grid.
#[derive(Clone, Debug)]
pub struct Row {
    /// The label above the row. An empty label takes no space.
    pub label: String,
    /// The panels of the row, one per column.
    pub panels: Vec<Panel>,
}

/// A picture in a grid.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The picture.
    pub picture: Picture,
    /// The colour bar below the picture.
    pub legend: Option<Legend>,
    /// A remark below the colour bar. An empty remark takes no space.
    pub remark: String,
}

impl From<Picture> for Panel {
    fn from(picture: Picture) -> Self {
        Self { picture, legend: None, remark: String::new() }
    }
}

impl Row {
    /// The height of the row without its label, if panels are enlarged by `factor`.
    fn panel_height(&self, factor: usize) -> usize {
        let height = |panel: &Panel| {
            let legend = panel.legend.map_or(0, |_| GAP / 2 + Legend::HEIGHT);
            let remark = if panel.remark.is_empty() { 0 } else { LINE };
            factor * panel.picture.height() + legend + remark
        };
        self.panels.iter().map(height).max().unwrap_or(0)
    }

    fn label_height(&self) -> usize {
        if self.label.is_empty() { 0 } else { LINE + GAP }
    }
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
    let pictures = || rows.iter().flat_map(|row| &row.panels).map(|panel| &panel.picture);
    let longest = pictures().map(|picture| picture.height().max(picture.width())).max();
    let factor = enlargement(longest.unwrap_or(1));
    let cell_width = factor * pictures().map(Picture::width).max().unwrap_or(0);
    let width = GAP + columns.len() * (cell_width + GAP);
    let row_height = |row: &Row| row.label_height() + row.panel_height(factor) + GAP;
    let first_row = GAP + LINE + GAP;
    let height = first_row + rows.iter().map(row_height).sum::<usize>();
    let mut canvas = Canvas::new(height, width);
    let left = |column: usize| GAP + column * (cell_width + GAP);
    for (column, label) in columns.iter().enumerate() {
        canvas.draw_text(&shortened(label, cell_width), left(column), GAP);
    }
    let mut top = first_row;
    for row in rows {
        canvas.draw_text(&shortened(&row.label, width.saturating_sub(2 * GAP)), GAP, top);
        let panels_top = top + row.label_height();
        for (column, panel) in row.panels.iter().enumerate() {
            panel.draw(&mut canvas, (left(column), panels_top), factor, cell_width);
        }
        top += row_height(row);
    }
    canvas.into_picture()
}

impl Panel {
    fn draw(
        &self,
        canvas: &mut Canvas,
        (left, top): (usize, usize),
        factor: usize,
        max_width: usize,
    ) {
        canvas.draw_picture(&self.picture, left, top, factor);
        let mut below = top + factor * self.picture.height();
        if let Some(legend) = self.legend {
            legend.draw(canvas, left, below + GAP / 2, factor * self.picture.width());
            below += GAP / 2 + Legend::HEIGHT;
        }
        canvas.draw_text(&shortened(&self.remark, max_width), left, below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::ColorMap;

    #[test]
    fn panels_and_labels_are_drawn_at_their_positions() {
        let panel = |value| {
            Panel::from(Picture::new(80, 160, vec![value; 3 * 80 * 160]).expect("a picture"))
        };
        let row = |label: &str, values: [u8; 2]| Row {
            label: label.into(),
            panels: values.map(panel).to_vec(),
        };
        let columns = ["left".to_owned(), "right".to_owned()];
        let mut rows = [row("first", [10, 20]), row("", [30, 40])];
        let picture = grid(&columns, &rows).expect("a grid");
        assert_eq!((picture.width(), picture.height()), (8 + 2 * 168, 34 + (26 + 88) + 88));
        let pixel = |x: usize, y: usize| picture.rgb()[3 * (y * picture.width() + x)];
        for (x, y, expected) in [(8, 60, 10), (176, 60, 20), (8, 148, 30), (335, 227, 40)] {
            assert_eq!(pixel(x, y), expected, "at {x}, {y}");
        }
        let has_text = |top: usize| {
            (top..top + 16)
                .flat_map(|y| (0..160).map(move |x| (x, y)))
                .any(|(x, y)| pixel(x, y) < 128)
        };
        assert!(has_text(8) && has_text(34), "the labels of the columns and of the first row");

        rows[1].panels[0].legend = Some(Legend { colours: ColorMap::RedBlue, limit: 1.0 });
        rows[1].panels[1].remark = "noise".into();
        let with_legend = grid(&columns, &rows).expect("a grid");
        assert_eq!(with_legend.height(), picture.height() + 4 + Legend::HEIGHT);
        let missing = Row { label: String::new(), panels: Vec::new() };
        assert!(grid(&columns, &[missing]).is_err());
    }

    #[test]
    fn small_panels_are_enlarged() {
        let panel = Picture::new(28, 28, vec![9; 3 * 28 * 28]).expect("a picture");
        let rows = [Row { label: String::new(), panels: vec![panel.into()] }];
        let picture = grid(&["a name that is far too long for it".to_owned()], &rows);
        assert_eq!(picture.expect("a grid").width(), 16 + 6 * 28);
    }
}
