//! The picture itself: 8-bit RGB in memory.

use image::ImageEncoder;
use image::codecs::png::PngEncoder;

use super::PictureError;

/// An 8-bit RGB picture: rows from the top, pixels from the left, three bytes (red, green, blue) a pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    height: usize,
    width: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture of `height` rows of `width` pixels from `height * width * 3` interleaved bytes.
    ///
    /// # Errors
    ///
    /// [`PictureError::Shape`] if `rgb` is of another length.
    pub fn new(height: usize, width: usize, rgb: Vec<u8>) -> Result<Picture, PictureError> {
        let expected = height.saturating_mul(width).saturating_mul(3);
        if rgb.len() != expected {
            return Err(PictureError::Shape {
                what: "an RGB picture",
                height,
                width,
                expected,
                given: rgb.len(),
            });
        }
        Ok(Picture { height, width, rgb })
    }

    /// A picture from its pixels in reading order, `height * width` of them.
    pub(super) fn from_pixels(
        height: usize,
        width: usize,
        pixels: impl Iterator<Item = [u8; 3]>,
    ) -> Picture {
        let rgb: Vec<u8> = pixels.flatten().collect();
        debug_assert_eq!(rgb.len(), height * width * 3);
        Picture { height, width, rgb }
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The interleaved bytes, `height * width * 3` of them.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels in reading order.
    pub fn pixels(&self) -> impl ExactSizeIterator<Item = [u8; 3]> + '_ {
        self.rgb.as_chunks::<3>().0.iter().copied()
    }

    /// The picture in greys: all three channels hold the ITU-R 601 luma as Pillow's mode `L` rounds it,
    /// `(19595 R + 38470 G + 7471 B + 32768) >> 16`.
    pub fn grey(&self) -> Picture {
        Picture::from_pixels(self.height, self.width, self.pixels().map(|pixel| [luma(pixel); 3]))
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// [`PictureError::Encode`] for a picture that PNG cannot hold, such as one without pixels.
    pub fn encode_png(&self) -> Result<Vec<u8>, PictureError> {
        let failed = |problem: String| PictureError::Encode {
            height: self.height,
            width: self.width,
            problem,
        };
        let (Ok(width), Ok(height)) = (u32::try_from(self.width), u32::try_from(self.height))
        else {
            return Err(failed("a side is too long".to_owned()));
        };
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes)
            .write_image(&self.rgb, width, height, image::ExtendedColorType::Rgb8)
            .map_err(|error| failed(error.to_string()))?;
        Ok(bytes)
    }
}

fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let weighted = 19595 * u32::from(red) + 38470 * u32::from(green) + 7471 * u32::from(blue);
    ((weighted + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_of_bytes_is_refused() {
        let error = Picture::new(2, 3, vec![0; 17]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "an RGB picture of height 2 and width 3 needs 18 values, but 17 were given"
        );
        assert!(Picture::new(usize::MAX, usize::MAX, Vec::new()).is_err());
    }

    #[test]
    fn luma_is_pillows() {
        for value in 0..=255 {
            assert_eq!(luma([value; 3]), value, "a grey stays as it is");
        }
        assert_eq!(luma([255, 0, 0]), 76);
        assert_eq!(luma([0, 255, 0]), 150);
        assert_eq!(luma([0, 0, 255]), 29);
    }

    #[test]
    fn png_holds_every_byte() {
        let bytes: Vec<u8> = (0..5 * 7 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let picture = Picture::new(5, 7, bytes).unwrap();
        assert_eq!(Picture::from_bytes(&picture.encode_png().unwrap()).unwrap(), picture);
    }

    #[test]
    fn a_picture_without_pixels_cannot_be_encoded() {
        let error = Picture::new(0, 7, Vec::new()).unwrap().encode_png().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("a picture of height 0 and width 7 cannot be written as PNG: "),
            "{error}"
        );
    }
}
