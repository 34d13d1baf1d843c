//! Colour bars.

use super::canvas::{Canvas, GAP, LINE, text_width};
use crate::render::ColorMap;

/// The colour bar of a map: its colours with the numbers at both ends and, for values with a sign, at the centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Legend {
    /// The colour map.
    pub colours: ColorMap,
    /// The clip limit of the map's scale, in the units of the map.
    pub limit: f32,
}

/// The height of the bar, in pixels.
const BAR: usize = 10;

impl Legend {
    /// The height of the bar and its numbers, in pixels.
    pub(super) const HEIGHT: usize = BAR + LINE + GAP / 2;

    /// Draws the bar over `width` pixels, with the numbers below.
    pub(super) fn draw(self, canvas: &mut Canvas, left: usize, top: usize, width: usize) {
        let is_diverging = self.colours.is_diverging();
        for x in 0..width {
            let place = (x as f32 + 0.5) / width as f32;
            let strength = if is_diverging { 2.0 * place - 1.0 } else { place };
            for y in 0..BAR {
                canvas.set_pixel(left + x, top + y, self.colours.colour(strength));
            }
        }
        let (below, last) = (top + BAR + 1, number(self.limit));
        let has_sign = is_diverging && self.limit > 0.0;
        let first = if has_sign { format!("-{last}") } else { "0".to_owned() };
        let right = left + width.saturating_sub(text_width(&last));
        canvas.draw_text(&first, left, below);
        canvas.draw_text(&last, right, below);
        let has_space = text_width(&first) + text_width(&last) + text_width("000") <= width;
        if is_diverging && has_space {
            canvas.draw_text("0", left + (width - text_width("0")) / 2, below);
        }
    }
}

/// Three significant digits, without an exponent where that is short.
fn number(value: f32) -> String {
    let digits = match value.abs() {
        0.0 => return "0".to_owned(),
        size if !(0.001..10_000.0).contains(&size) => return format!("{value:.1e}"),
        size => (2 - size.log10().floor() as i32).max(0) as usize,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        let cases = [
            (0.0, "0"),
            (1.0, "1.00"),
            (0.012_345, "0.0123"),
            (123.4, "123"),
            (9_876.0, "9876"),
            (1.234e-7, "1.2e-7"),
            (54_321.0, "5.4e4"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn bar_runs_from_the_negative_to_the_positive_colour() {
        let mut canvas = Canvas::new(40, 200);
        let legend = Legend { colours: ColorMap::RedBlue, limit: 0.5 };
        legend.draw(&mut canvas, 0, 0, 200);
        let pixels: Vec<[u8; 3]> = canvas.into_picture().expect("a picture").pixels().collect();
        assert!(pixels[0][2] > pixels[0][0] + 50, "blue at the left: {:?}", pixels[0]);
        assert!(pixels[199][0] > pixels[199][2] + 50, "red at the right: {:?}", pixels[199]);
        assert!(pixels[100].iter().all(|value| *value > 235), "white at the centre");
        assert!(pixels[200 * 11..].iter().any(|pixel| pixel[0] < 128), "numbers below the bar");
    }
}
