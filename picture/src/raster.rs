//! The in-memory picture: 8-bit RGB.

use image::codecs::jpeg::JpegEncoder;

use crate::error::{Error, ErrorKind};

/// An 8-bit RGB picture in row-major order, from the top left, with interleaved channels (red, green, blue).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    height: usize,
    width: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// Creates a picture from its `height * width * 3` interleaved bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if `rgb` has another length.
    pub fn new(height: usize, width: usize, rgb: Vec<u8>) -> Result<Picture, Error> {
        let expected = height.saturating_mul(width).saturating_mul(3);
        if rgb.len() != expected {
            return Err(Error::count("an RGB picture", (height, width), expected, rgb.len()));
        }
        Ok(Picture { height, width, rgb })
    }

    /// Creates a picture from its `height * width` pixels in row-major order.
    pub(super) fn from_pixels(
        height: usize,
        width: usize,
        pixels: impl Iterator<Item = [u8; 3]>,
    ) -> Picture {
        let rgb: Vec<u8> = pixels.flatten().collect();
        debug_assert_eq!(rgb.len(), height * width * 3);
        Picture { height, width, rgb }
    }

    /// The height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The `height * width * 3` interleaved bytes.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels in row-major order.
    pub fn pixels(&self) -> impl ExactSizeIterator<Item = [u8; 3]> + '_ {
        self.rgb.as_chunks::<3>().0.iter().copied()
    }

    /// Converts the picture to grey. All three channels hold the ITU-R 601 luma with the rounding of
    /// Pillow's mode `L`, `(19595 R + 38470 G + 7471 B + 32768) >> 16`.
    pub fn grey(&self) -> Picture {
        Picture::from_pixels(self.height, self.width, self.pixels().map(|pixel| [luma(pixel); 3]))
    }

    /// Encodes the picture as a PNG file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) if PNG cannot store the picture, for example if it
    /// has no pixels.
    pub fn encode_png(&self) -> Result<Vec<u8>, Error> {
        self.encode_png_with_text(&[])
    }

    /// Encodes the picture as a PNG file with text chunks, each a keyword such as `Title` or `Description` and its
    /// text.
    ///
    /// # Errors
    ///
    /// As [`encode_png`](Picture::encode_png), and for a keyword that PNG does not allow.
    pub fn encode_png_with_text(&self, texts: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
        let (Ok(width), Ok(height)) = (u32::try_from(self.width), u32::try_from(self.height))
        else {
            return Err(self.not_encoded("PNG", "a side is too long"));
        };
        let mut bytes = Vec::new();
        let mut encode = || -> Result<(), png::EncodingError> {
            let mut encoder = png::Encoder::new(&mut bytes, width, height);
            encoder.set_color(png::ColorType::Rgb);
            encoder.set_depth(png::BitDepth::Eight);
            encoder.set_compression(png::Compression::Fast);
            for (keyword, text) in texts {
                encoder.add_itxt_chunk((*keyword).to_owned(), (*text).to_owned())?;
            }
            let mut writer = encoder.write_header()?;
            writer.write_image_data(&self.rgb)?;
            writer.finish()
        };
        encode().map_err(|error| self.not_encoded("PNG", error))?;
        Ok(bytes)
    }

    /// Encodes the picture as a JPEG file with a quality from 1 to 100.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) if JPEG cannot store the picture, for example if it has no
    /// pixels or a side of more than 65,535.
    pub fn encode_jpeg(&self, quality: u8) -> Result<Vec<u8>, Error> {
        let (Ok(width), Ok(height)) = (u16::try_from(self.width), u16::try_from(self.height))
        else {
            return Err(self.not_encoded("JPEG", "a side is too long"));
        };
        let mut bytes = Vec::new();
        let encoded = JpegEncoder::new_with_quality(&mut bytes, quality).encode(
            &self.rgb,
            width.into(),
            height.into(),
            image::ExtendedColorType::Rgb8,
        );
        encoded.map_err(|error| self.not_encoded("JPEG", error))?;
        Ok(bytes)
    }

    fn not_encoded(&self, format: &str, problem: impl std::fmt::Display) -> Error {
        let Self { height, width, .. } = self;
        Error::new(
            ErrorKind::Format,
            format!(
                "a picture of height {height} and width {width} cannot be written as {format}: {problem}"
            ),
        )
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
    fn wrong_number_of_bytes_is_refused() {
        let error = Picture::new(2, 3, vec![0; 17]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "an RGB picture of height 2 and width 3 needs 18 values, but 17 were given"
        );
        assert!(Picture::new(usize::MAX, usize::MAX, Vec::new()).is_err());
    }

    #[test]
    fn luma_matches_pillow() {
        for value in 0..=255 {
            assert_eq!(luma([value; 3]), value, "the luma of a grey pixel is its value");
        }
        assert_eq!(luma([255, 0, 0]), 76);
        assert_eq!(luma([0, 255, 0]), 150);
        assert_eq!(luma([0, 0, 255]), 29);
    }

    #[test]
    fn png_round_trip_is_lossless() {
        let bytes: Vec<u8> = (0..5 * 7 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let picture = Picture::new(5, 7, bytes).unwrap();
        assert_eq!(Picture::from_bytes(&picture.encode_png().unwrap()).unwrap(), picture);
    }

    #[test]
    fn png_holds_its_text() {
        let picture = Picture::new(2, 2, (0..12).collect()).unwrap();
        let bytes = picture.encode_png_with_text(&[("Description", "σ = 2 pixels")]).unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let [chunk] = &reader.info().utf8_text[..] else { panic!("one chunk") };
        assert_eq!(
            (chunk.keyword.as_str(), chunk.get_text().unwrap().as_str()),
            ("Description", "σ = 2 pixels")
        );
        assert_eq!(Picture::from_bytes(&bytes).unwrap(), picture);
        assert!(picture.encode_png_with_text(&[("", "text")]).is_err());
    }

    #[test]
    fn jpeg_is_close_to_the_picture() {
        let picture = Picture::new(16, 24, vec![90; 16 * 24 * 3]).unwrap();
        let decoded = Picture::from_bytes(&picture.encode_jpeg(90).unwrap()).unwrap();
        assert_eq!((decoded.height(), decoded.width()), (16, 24));
        assert!(decoded.rgb().iter().all(|value| value.abs_diff(90) < 4));
    }

    #[test]
    fn picture_without_pixels_cannot_be_encoded() {
        let error = Picture::new(0, 7, Vec::new()).unwrap().encode_png().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("a picture of height 0 and width 7 cannot be written as PNG: "),
            "{error}"
        );
    }
}
