//! Picture files in: the format is told by the content, the size is checked before any pixel is decoded.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::error::ImageError;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::jpeg_end::has_end_marker;
use super::{Picture, PictureError};

const SHORTEST_SIDE: u32 = 2;
const LONGEST_SIDE: u32 = 16_384;
/// For the decoded pixels and the decoder's own buffers together: 16384x16384 of 8-bit RGBA takes half of it.
const MEMORY_LIMIT: u64 = 2 << 30;
/// For the file as it lies on disk.
const FILE_LIMIT: u64 = 1 << 30;
/// As many bytes as it takes to tell every format.
const SIGNATURE_LENGTH: u64 = 16;

impl Picture {
    /// Reads a picture file: JPEG, PNG, WebP, BMP, GIF (the first frame) or TIFF, whatever its name ends in.
    ///
    /// The picture is turned upright as its EXIF orientation says. Greys, palettes and 16-bit values become 8-bit
    /// RGB (16 bits are rounded to the nearest of 8). Transparency is dropped, not blended: a transparent pixel
    /// shows the colour that is stored under it, as with Pillow's `convert("RGB")`. Colour profiles are not applied.
    /// Palette and grey float TIFFs are not read. 8-bit files decode to the bytes that Pillow has, but for JPEG, whose
    /// standard leaves room: with subsampled colour a value may differ by a few levels.
    ///
    /// # Errors
    ///
    /// [`PictureError::Unreadable`], [`NotAPicture`](PictureError::NotAPicture),
    /// [`Damaged`](PictureError::Damaged) also for a file that was cut short,
    /// [`Unsupported`](PictureError::Unsupported), [`TooSmall`](PictureError::TooSmall) below 2 pixels a side,
    /// [`TooLarge`](PictureError::TooLarge) above 16384, [`TooHeavy`](PictureError::TooHeavy) for a file above
    /// 1 GiB or one that takes more than 2 GiB to decode.
    pub fn open(path: &Path) -> Result<Picture, PictureError> {
        Picture::open_with_bytes(path).map(|(picture, _)| picture)
    }

    /// The same with the bytes of the file, which is read once: the picture is the one in these bytes, also
    /// where the file changes meanwhile.
    ///
    /// # Errors
    ///
    /// As [`open`](Picture::open).
    pub fn open_with_bytes(path: &Path) -> Result<(Picture, Vec<u8>), PictureError> {
        let name = path.display().to_string();
        let unreadable =
            |source: io::Error| PictureError::Unreadable { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.by_ref().take(SIGNATURE_LENGTH).read_to_end(&mut bytes).map_err(unreadable)?;
        // Before the rest is read: what is no picture may be of any length.
        format_of(&bytes, &name)?;
        file.take(FILE_LIMIT).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(too_heavy(&name, FILE_LIMIT));
        }
        Ok((decode(&bytes, &name)?, bytes))
    }

    /// Reads a picture from the bytes of a file, as [`open`](Picture::open) does.
    ///
    /// # Errors
    ///
    /// As [`open`](Picture::open), less [`PictureError::Unreadable`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Picture, PictureError> {
        decode(bytes, "the data")
    }
}

/// A decoder that panics has met a damaged file as well.
fn decode(bytes: &[u8], name: &str) -> Result<Picture, PictureError> {
    let format = format_of(bytes, name)?;
    let attempt = AssertUnwindSafe(|| decode_as(&format, bytes, name));
    catch_unwind(attempt).unwrap_or_else(|_| {
        Err(PictureError::Damaged {
            name: name.to_owned(),
            format: format.name,
            problem: "its decoder fails on it".to_owned(),
        })
    })
}

fn decode_as(format: &Format, bytes: &[u8], name: &str) -> Result<Picture, PictureError> {
    let failed = |error| explain(error, format.name, name);

    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MEMORY_LIMIT);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.decoder);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(failed)?;

    let (width, height) = decoder.dimensions();
    check_sides(width, height, name)?;
    limits.reserve(decoder.total_bytes()).map_err(failed)?;
    decoder.set_limits(limits).map_err(failed)?;
    if format.decoder == ImageFormat::Jpeg && !has_end_marker(bytes) {
        return Err(cut_short(format.name, name));
    }

    let orientation = decoder.orientation().map_err(failed)?;
    let stored = DynamicImage::from_decoder(decoder).map_err(failed)?;
    let mut upright = DynamicImage::ImageRgb8(stored.into_rgb8());
    upright.apply_orientation(orientation);
    let rgb = upright.into_rgb8();
    Picture::new(rgb.height() as usize, rgb.width() as usize, rgb.into_raw())
}

/// A format that is read: how it is decoded and what people call it.
struct Format {
    decoder: ImageFormat,
    name: &'static str,
}

fn format_of(bytes: &[u8], name: &str) -> Result<Format, PictureError> {
    let not_a_picture = |found: String| PictureError::NotAPicture { name: name.to_owned(), found };
    if bytes.is_empty() {
        return Err(not_a_picture("it is empty".to_owned()));
    }
    let Ok(decoder) = image::guess_format(bytes) else {
        return Err(not_a_picture("its first bytes are those of no known format".to_owned()));
    };
    let name = match decoder {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        other => return Err(not_a_picture(format!("it looks like {other:?}"))),
    };
    Ok(Format { decoder, name })
}

fn check_sides(width: u32, height: u32, name: &str) -> Result<(), PictureError> {
    let name = name.to_owned();
    if width.max(height) > LONGEST_SIDE {
        let limit = LONGEST_SIDE;
        return Err(PictureError::TooLarge { name, width, height, limit });
    }
    if width.min(height) < SHORTEST_SIDE {
        let limit = SHORTEST_SIDE;
        return Err(PictureError::TooSmall { name, width, height, limit });
    }
    Ok(())
}

/// The decoder's error in this module's words.
fn explain(error: ImageError, format: &'static str, name: &str) -> PictureError {
    match error {
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            cut_short(format, name)
        }
        ImageError::Limits(_) => too_heavy(name, MEMORY_LIMIT),
        ImageError::Unsupported(error) => {
            PictureError::Unsupported { name: name.to_owned(), format, feature: error.to_string() }
        }
        other => {
            PictureError::Damaged { name: name.to_owned(), format, problem: other.to_string() }
        }
    }
}

fn cut_short(format: &'static str, name: &str) -> PictureError {
    PictureError::Damaged {
        name: name.to_owned(),
        format,
        problem: "the data ends before the picture does".to_owned(),
    }
}

fn too_heavy(name: &str, limit: u64) -> PictureError {
    PictureError::TooHeavy { name: name.to_owned(), limit_mib: limit >> 20 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    const FORMATS: [ImageFormat; 6] = [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::Tiff,
    ];

    /// Two halves, dark above and light below, with a little texture so that no row is predicted for nothing.
    fn sample(width: u32, height: u32) -> DynamicImage {
        DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
            let ground = if y < height / 2 { 20 } else { 180 };
            Rgb([ground, ground + (x * 37 % 50) as u8, ground + (y * 13 % 40) as u8])
        }))
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn refusal(bytes: &[u8]) -> String {
        Picture::from_bytes(bytes).unwrap_err().to_string()
    }

    #[test]
    fn every_format_is_told_by_its_content() {
        let image = sample(24, 16);
        for format in FORMATS {
            let picture = Picture::from_bytes(&encoded(&image, format)).unwrap();
            assert_eq!((picture.height(), picture.width()), (16, 24), "{format:?}");
            let worst =
                picture.rgb().iter().zip(image.as_bytes()).map(|(a, b)| a.abs_diff(*b)).max();
            // JPEG approximates, and the encoder of GIF picks a palette.
            let lossy = [ImageFormat::Jpeg, ImageFormat::Gif].contains(&format);
            let tolerance = if lossy { 60 } else { 0 };
            assert!(worst <= Some(tolerance), "{format:?} is off by {worst:?}");
        }
    }

    #[test]
    fn other_pixels_become_rgb() {
        let grey = image::GrayImage::from_fn(4, 3, |x, y| image::Luma([(x * 60 + y) as u8]));
        let wide =
            image::ImageBuffer::from_fn(4, 3, |x, y| Rgb([(x * 60 + y) as u16 * 257, 128, 129]));
        let see_through =
            image::RgbaImage::from_fn(4, 3, |x, y| image::Rgba([(x * 60 + y) as u8, 9, 7, 0]));
        let cases = [
            (DynamicImage::ImageLuma8(grey), None),
            (DynamicImage::ImageRgb16(wide), Some([0, 1])),
            (DynamicImage::ImageRgba8(see_through), Some([9, 7])),
        ];
        for (image, green_blue) in cases {
            let picture = Picture::from_bytes(&encoded(&image, ImageFormat::Png)).unwrap();
            for (at, pixel) in picture.pixels().enumerate() {
                let red = (at % 4 * 60 + at / 4) as u8;
                let [green, blue] = green_blue.unwrap_or([red, red]);
                assert_eq!(pixel, [red, green, blue], "{:?}", image.color());
            }
        }
    }

    #[test]
    fn the_exif_orientation_is_honoured() {
        // Orientation 6: the stored picture is to be turned a quarter clockwise.
        let exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let stored = encoded(&sample(24, 16), ImageFormat::Jpeg);
        let turned = [&stored[..2], exif, &stored[2..]].concat();
        let (stored, turned) =
            (Picture::from_bytes(&stored).unwrap(), Picture::from_bytes(&turned).unwrap());
        assert_eq!((turned.height(), turned.width()), (24, 16));
        for y in 0..16 {
            for x in 0..24 {
                let (from, to) = (y * 24 + x, x * 16 + (15 - y));
                assert_eq!(turned.pixels().nth(to), stored.pixels().nth(from), "pixel {x},{y}");
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_refused_or_whole() {
        for format in FORMATS {
            let bytes = encoded(&sample(24, 16), format);
            let whole = Picture::from_bytes(&bytes).unwrap();
            for length in 0..bytes.len() {
                // Some formats end in bytes that hold no pixels; without those the picture is still all there.
                if let Ok(picture) = Picture::from_bytes(&bytes[..length]) {
                    assert!(picture == whole, "{format:?} cut to {length} of {}", bytes.len());
                }
            }
            let half = refusal(&bytes[..bytes.len() * 2 / 3]);
            assert!(half.contains("damaged"), "{format:?}: {half}");
            assert!(half.ends_with("; copy, download or export it again"), "{half}");
        }
    }

    #[test]
    fn changed_bytes_never_panic() {
        let mut state = 1u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize
        };
        for format in FORMATS {
            let bytes = encoded(&sample(24, 16), format);
            for _ in 0..300 {
                let mut changed = bytes.clone();
                for _ in 0..1 + random() % 4 {
                    changed[random() % bytes.len()] = random() as u8;
                }
                let _ = Picture::from_bytes(&changed);
            }
        }
    }

    #[test]
    fn a_cut_jpeg_says_so() {
        let bytes = encoded(&sample(64, 64), ImageFormat::Jpeg);
        assert_eq!(
            refusal(&bytes[..bytes.len() / 2]),
            "the data is a damaged JPEG file: the data ends before the picture does; \
             copy, download or export it again"
        );
    }

    #[test]
    fn sides_are_limited() {
        let cases = [
            (
                (1, 1),
                "the data is too small: 1x1 pixels (width x height), and each side must have at least 2",
            ),
            (
                (1, 40),
                "the data is too small: 1x40 pixels (width x height), and each side must have at least 2",
            ),
            (
                (20_000, 16),
                "the data is too large: 20000x16 pixels (width x height), \
                 and the limit is 16384 a side; scale it down",
            ),
            (
                (2, 16_385),
                "the data is too large: 2x16385 pixels (width x height), \
                 and the limit is 16384 a side; scale it down",
            ),
        ];
        for ((width, height), message) in cases {
            for format in FORMATS {
                if format == ImageFormat::WebP && width.max(height) > LONGEST_SIDE {
                    continue; // The format itself ends at 16383.
                }
                let bytes = encoded(&sample(width, height), format);
                assert_eq!(refusal(&bytes), message, "{format:?}");
            }
        }
        assert!(Picture::from_bytes(&encoded(&sample(2, 16_384), ImageFormat::Png)).is_ok());
    }

    #[test]
    fn a_huge_header_is_refused_before_its_pixels() {
        let cases = [
            (100_000u32, "is too large: 100000x100000 pixels"),
            (0x7FFF_FFFF, "needs more than 2048 MiB of memory to be read; scale it down"),
        ];
        for (side, problem) in cases {
            let mut png = encoded(&sample(4, 4), ImageFormat::Png);
            png[16..20].copy_from_slice(&side.to_be_bytes());
            png[20..24].copy_from_slice(&side.to_be_bytes());
            let checksum = crc(&png[12..29]);
            png[29..33].copy_from_slice(&checksum.to_be_bytes());
            let message = refusal(&png);
            assert!(message.contains(problem), "{message}");
        }
    }

    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
        })
    }

    #[test]
    fn what_is_no_picture_is_told() {
        let readable = "JPEG, PNG, WebP, BMP, GIF and TIFF are read, so convert it to one of these";
        let cases: [(&[u8], &str); 4] = [
            (b"", "it is empty"),
            (b"hello, world: no pixels here", "its first bytes are those of no known format"),
            (b"\0\0\0\x20ftypavif\0\0\0\0", "it looks like Avif"),
            (b"P6\n2 2\n255\n", "it looks like Pnm"),
        ];
        for (bytes, found) in cases {
            assert_eq!(
                refusal(bytes),
                format!("the data is not a picture that can be read: {found}; {readable}")
            );
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Picture::open(Path::new("no/such/picture.png")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read no/such/picture.png: "), "{error}");
        let error = Picture::open(Path::new(".")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read .: "), "{error}");
    }
}
