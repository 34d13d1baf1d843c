//! A white area on which pictures and text are drawn.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::error::Error;
use crate::raster::Picture;

const FONT: RasterHeight = RasterHeight::Size16;
const BACKGROUND: u8 = 255;
/// The margin around panels and text, in pixels.
pub const GAP: usize = 8;
/// The height of a line of text, in pixels.
pub const LINE: usize = FONT.val() + 2;
/// The minimum size of the longest side of a panel, in pixels. Smaller panels are enlarged by an integer factor.
const MIN_SIDE: usize = 160;

/// A white area in which pixels can be set.
pub struct Canvas {
    height: usize,
    width: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    pub fn new(height: usize, width: usize) -> Self {
        Self { height, width, rgb: vec![BACKGROUND; 3 * width * height] }
    }

    /// Sets a pixel. Pixels beyond the border are left out.
    pub fn set_pixel(&mut self, x: usize, y: usize, pixel: [u8; 3]) {
        if x < self.width && y < self.height {
            let start = 3 * (y * self.width + x);
            self.rgb[start..start + 3].copy_from_slice(&pixel);
        }
    }

    /// Draws each pixel of `picture` as a square of `factor` x `factor` pixels.
    pub fn draw_picture(&mut self, picture: &Picture, left: usize, top: usize, factor: usize) {
        for (i, pixel) in picture.pixels().enumerate() {
            let (x, y) = (i % picture.width() * factor, i / picture.width() * factor);
            for offset in 0..factor * factor {
                self.set_pixel(left + x + offset % factor, top + y + offset / factor, pixel);
            }
        }
    }

    /// Draws one line of text.
    pub fn draw_text(&mut self, text: &str, left: usize, top: usize) {
        for (i, character) in text.chars().enumerate() {
            let raster = get_raster(character, FontWeight::Regular, FONT)
                .or_else(|| get_raster('?', FontWeight::Regular, FONT));
            for (y, line) in raster.iter().flat_map(|raster| raster.rows().enumerate()) {
                for (x, &ink) in line.iter().enumerate() {
                    if ink > 0 {
                        self.set_pixel(left + i * advance() + x, top + y, [BACKGROUND - ink; 3]);
                    }
                }
            }
        }
    }

    pub fn into_picture(self) -> Result<Picture, Error> {
        Picture::new(self.height, self.width, self.rgb)
    }
}

/// The width of a character, in pixels.
fn advance() -> usize {
    get_raster_width(FontWeight::Regular, FONT)
}

/// The width of `text`, in pixels.
pub fn text_width(text: &str) -> usize {
    text.chars().count() * advance()
}

/// The integer factor that enlarges panels whose longest side is `longest` pixels.
pub fn enlargement(longest: usize) -> usize {
    MIN_SIDE.div_ceil(longest.max(1))
}

/// Returns `text`, cut off with dots if it is wider than `max_width` pixels.
pub fn shortened(text: &str, max_width: usize) -> String {
    let max_length = max_width / advance();
    if text.chars().count() <= max_length {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max_length.saturating_sub(2)).collect();
    let dots = "..".chars().take(max_length).collect::<String>();
    kept + &dots
}

/// Breaks `text` between words into lines of at most `max_width` pixels. Words that are too long are shortened.
pub fn wrapped(text: &str, max_width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(line) + advance() + text_width(word) <= max_width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(shortened(word, max_width)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_shortened_or_wrapped() {
        let width = |characters: usize| characters * advance();
        assert_eq!(shortened("adaptgrad", width(9)), "adaptgrad");
        assert_eq!(shortened("adaptgrad", width(6)), "adap..");
        assert_eq!(shortened("adaptgrad", width(1)), ".");
        let lines = wrapped("two words and an incomprehensible one", width(10));
        assert_eq!(lines, ["two words", "and an", "incompre..", "one"]);
        assert!(wrapped("", width(10)).is_empty());
    }

    #[test]
    fn pixels_beyond_the_border_are_left_out() {
        let mut canvas = Canvas::new(4, 4);
        canvas.draw_text("W", 2, 2);
        canvas.set_pixel(1, 0, [1, 2, 3]);
        let picture = canvas.into_picture().expect("a picture");
        assert_eq!(picture.pixels().nth(1), Some([1, 2, 3]));
        assert_eq!(picture.pixels().next(), Some([255; 3]));
    }
}
