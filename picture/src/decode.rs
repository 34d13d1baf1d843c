//! Decoding of picture files. The format is detected from the content, and the size is checked before any
//! pixel is decoded.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::error::ImageError;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::error::{Error, ErrorKind};
use crate::format::{self, Format, SIGNATURE_LENGTH};
use crate::jpeg_end::has_end_marker;
use crate::raster::Picture;

/// The minimum height and width of a picture, in pixels.
const MIN_SIDE: u32 = 2;
/// The maximum height and width of a picture, in pixels.
const MAX_SIDE: u32 = 16_384;
/// The maximum memory for the decoded pixels and the decoder's own buffers together, in bytes. A picture of
/// 16384x16384 pixels in 8-bit RGBA needs half of it.
const MEMORY_LIMIT: u64 = 2 << 30;
/// The maximum size of a file, in bytes.
const FILE_LIMIT: u64 = 1 << 30;

impl Picture {
    /// Reads a picture file: JPEG, PNG, WebP, BMP, GIF (the first frame) or TIFF. The extension of the file
    /// name does not matter.
    ///
    /// The EXIF orientation is applied. Grey values, palettes and 16-bit values become 8-bit RGB (16-bit
    /// values are rounded to the nearest 8-bit value). The alpha channel is dropped, not blended: a
    /// transparent pixel shows its stored colour, as with Pillow's `convert("RGB")`. Colour profiles are
    /// not applied. TIFF files with a palette or grey floats are not supported. 8-bit files decode to the
    /// same bytes as with Pillow, except JPEG files, for which the standard permits different decoders:
    /// with subsampled chroma, a value may differ by a few levels.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read ([`ErrorKind::Io`]), has an unsupported format or an
    /// unsupported variant of a format ([`ErrorKind::Format`]), is corrupt or truncated
    /// ([`ErrorKind::Damaged`]), or has a side below 2 or above 16,384 pixels, a size above 1 GiB, or
    /// pixels that need more than 2 GiB to decode ([`ErrorKind::Size`]).
    pub fn open(path: impl AsRef<Path>) -> Result<Picture, Error> {
        Picture::open_with_bytes(path).map(|(picture, _)| picture)
    }

    /// Reads a picture file as [`open`](Picture::open) does, and also returns the bytes of the file. The
    /// file is read only once, so the picture matches the bytes even if the file changes at the same time.
    ///
    /// # Errors
    ///
    /// As [`open`](Picture::open).
    pub fn open_with_bytes(path: impl AsRef<Path>) -> Result<(Picture, Vec<u8>), Error> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let unreadable = |source: io::Error| Error::unreadable(path, &source);
        let mut file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.by_ref().take(SIGNATURE_LENGTH).read_to_end(&mut bytes).map_err(unreadable)?;
        // The format is checked before the rest is read, because a file of another format may have any
        // length.
        format::detect(&bytes, &name)?;
        file.take(FILE_LIMIT).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(over_memory_limit(&name, FILE_LIMIT));
        }
        Ok((decode(&bytes, &name)?, bytes))
    }

    /// Decodes a picture from the bytes of a file, as [`open`](Picture::open) does.
    ///
    /// # Errors
    ///
    /// As [`open`](Picture::open), except [`ErrorKind::Io`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Picture, Error> {
        decode(bytes, "the data")
    }
}

/// Decodes `bytes`. A panic of the decoder is reported as a damaged file.
fn decode(bytes: &[u8], name: &str) -> Result<Picture, Error> {
    let format = format::detect(bytes, name)?;
    let attempt = AssertUnwindSafe(|| decode_as(&format, bytes, name));
    catch_unwind(attempt)
        .unwrap_or_else(|_| Err(Error::damaged(name, format.name, "its decoder panicked")))
}

fn decode_as(format: &Format, bytes: &[u8], name: &str) -> Result<Picture, Error> {
    let failed = |error| decoding_error(error, format.name, name);

    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MEMORY_LIMIT);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.decoder);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(failed)?;

    let (width, height) = decoder.dimensions();
    check_size(width, height, name)?;
    limits.reserve(decoder.total_bytes()).map_err(failed)?;
    decoder.set_limits(limits).map_err(failed)?;
    if format.decoder == ImageFormat::Jpeg && !has_end_marker(bytes) {
        return Err(truncated(format.name, name));
    }

    let orientation = decoder.orientation().map_err(failed)?;
    let stored = DynamicImage::from_decoder(decoder).map_err(failed)?;
    let mut upright = DynamicImage::ImageRgb8(stored.into_rgb8());
    upright.apply_orientation(orientation);
    let rgb = upright.into_rgb8();
    Picture::new(rgb.height() as usize, rgb.width() as usize, rgb.into_raw())
}

fn check_size(width: u32, height: u32, name: &str) -> Result<(), Error> {
    let size = format!("{width}x{height} pixels (width x height)");
    if width.max(height) > MAX_SIDE {
        return Err(Error::new(
            ErrorKind::Size,
            format!(
                "{name} is too large: {size}, but each side must have at most {MAX_SIDE}; scale it down"
            ),
        ));
    }
    if width.min(height) < MIN_SIDE {
        return Err(Error::new(
            ErrorKind::Size,
            format!("{name} is too small: {size}, but each side must have at least {MIN_SIDE}"),
        ));
    }
    Ok(())
}

/// Converts an error of the decoder to an error that names the file.
fn decoding_error(error: ImageError, format: &'static str, name: &str) -> Error {
    match error {
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            truncated(format, name)
        }
        ImageError::Limits(_) => over_memory_limit(name, MEMORY_LIMIT),
        ImageError::Unsupported(error) => {
            let message = format!(
                "{name} is a {format} file of an unsupported variant: {error}; save it as an 8-bit RGB PNG"
            );
            Error::new(ErrorKind::Format, message)
        }
        other => Error::damaged(name, format, other),
    }
}

fn truncated(format: &'static str, name: &str) -> Error {
    Error::damaged(name, format, "the data ends before the picture is complete")
}

fn over_memory_limit(name: &str, limit: u64) -> Error {
    Error::new(
        ErrorKind::Size,
        format!(
            "{name} needs more than {} MiB of memory to be read; scale it down or save it as an 8-bit RGB PNG",
            limit >> 20
        ),
    )
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

    /// An image with a dark upper half and a light lower half. Its texture makes all rows and columns
    /// differ, so that no encoder predicts a whole row from its neighbours.
    fn test_image(width: u32, height: u32) -> DynamicImage {
        DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
            let base = if y < height / 2 { 20 } else { 180 };
            Rgb([base, base + (x * 37 % 50) as u8, base + (y * 13 % 40) as u8])
        }))
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn error_message(bytes: &[u8]) -> String {
        Picture::from_bytes(bytes).unwrap_err().to_string()
    }

    #[test]
    fn every_format_is_detected_and_decoded() {
        let image = test_image(24, 16);
        for format in FORMATS {
            let picture = Picture::from_bytes(&encoded(&image, format)).unwrap();
            assert_eq!((picture.height(), picture.width()), (16, 24), "{format:?}");
            let worst =
                picture.rgb().iter().zip(image.as_bytes()).map(|(a, b)| a.abs_diff(*b)).max();
            // JPEG is lossy, and the GIF encoder quantizes the colours to a palette.
            let lossy = [ImageFormat::Jpeg, ImageFormat::Gif].contains(&format);
            let tolerance = if lossy { 60 } else { 0 };
            assert!(worst <= Some(tolerance), "{format:?} is off by {worst:?}");
        }
    }

    #[test]
    fn grey_16_bit_and_transparent_pixels_become_8_bit_rgb() {
        let grey = image::GrayImage::from_fn(4, 3, |x, y| image::Luma([(x * 60 + y) as u8]));
        let rgb16 =
            image::ImageBuffer::from_fn(4, 3, |x, y| Rgb([(x * 60 + y) as u16 * 257, 128, 129]));
        let transparent =
            image::RgbaImage::from_fn(4, 3, |x, y| image::Rgba([(x * 60 + y) as u8, 9, 7, 0]));
        let cases = [
            (DynamicImage::ImageLuma8(grey), None),
            (DynamicImage::ImageRgb16(rgb16), Some([0, 1])),
            (DynamicImage::ImageRgba8(transparent), Some([9, 7])),
        ];
        for (image, green_blue) in cases {
            let picture = Picture::from_bytes(&encoded(&image, ImageFormat::Png)).unwrap();
            for (index, pixel) in picture.pixels().enumerate() {
                let red = (index % 4 * 60 + index / 4) as u8;
                let [green, blue] = green_blue.unwrap_or([red, red]);
                assert_eq!(pixel, [red, green, blue], "{:?}", image.color());
            }
        }
    }

    #[test]
    fn exif_orientation_is_applied() {
        // Orientation 6: the stored picture must be rotated clockwise by 90 degrees.
        let exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let stored = encoded(&test_image(24, 16), ImageFormat::Jpeg);
        let rotated = [&stored[..2], exif, &stored[2..]].concat();
        let (stored, rotated) =
            (Picture::from_bytes(&stored).unwrap(), Picture::from_bytes(&rotated).unwrap());
        assert_eq!((rotated.height(), rotated.width()), (24, 16));
        for y in 0..16 {
            for x in 0..24 {
                let (from, to) = (y * 24 + x, x * 16 + (15 - y));
                assert_eq!(rotated.pixels().nth(to), stored.pixels().nth(from), "pixel {x},{y}");
            }
        }
    }

    #[test]
    fn truncated_files_are_refused_or_decode_completely() {
        for format in FORMATS {
            let bytes = encoded(&test_image(24, 16), format);
            let whole = Picture::from_bytes(&bytes).unwrap();
            for length in 0..bytes.len() {
                // Some formats end in bytes without pixel data; without these bytes the picture is still
                // complete.
                if let Ok(picture) = Picture::from_bytes(&bytes[..length]) {
                    assert!(picture == whole, "{format:?} cut to {length} of {}", bytes.len());
                }
            }
            let message = error_message(&bytes[..bytes.len() * 2 / 3]);
            assert!(message.contains("damaged"), "{format:?}: {message}");
            assert!(message.ends_with("; copy, download or export it again"), "{message}");
        }
    }

    #[test]
    fn corrupted_bytes_never_panic() {
        let mut state = 1u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize
        };
        for format in FORMATS {
            let bytes = encoded(&test_image(24, 16), format);
            for _ in 0..300 {
                let mut corrupted = bytes.clone();
                for _ in 0..1 + random() % 4 {
                    corrupted[random() % bytes.len()] = random() as u8;
                }
                let _ = Picture::from_bytes(&corrupted);
            }
        }
    }

    #[test]
    fn truncated_jpeg_is_refused() {
        let bytes = encoded(&test_image(64, 64), ImageFormat::Jpeg);
        assert_eq!(
            error_message(&bytes[..bytes.len() / 2]),
            "the data is a damaged JPEG file: the data ends before the picture is complete; \
             copy, download or export it again"
        );
    }

    #[test]
    fn side_lengths_are_limited() {
        let cases = [
            (
                (1, 1),
                "the data is too small: 1x1 pixels (width x height), but each side must have at least 2",
            ),
            (
                (1, 40),
                "the data is too small: 1x40 pixels (width x height), but each side must have at least 2",
            ),
            (
                (20_000, 16),
                "the data is too large: 20000x16 pixels (width x height), \
                 but each side must have at most 16384; scale it down",
            ),
            (
                (2, 16_385),
                "the data is too large: 2x16385 pixels (width x height), \
                 but each side must have at most 16384; scale it down",
            ),
        ];
        for ((width, height), message) in cases {
            for format in FORMATS {
                if format == ImageFormat::WebP && width.max(height) > MAX_SIDE {
                    continue; // WebP cannot store a side above 16383 pixels.
                }
                let bytes = encoded(&test_image(width, height), format);
                assert_eq!(error_message(&bytes), message, "{format:?}");
            }
        }
        assert!(Picture::from_bytes(&encoded(&test_image(2, 16_384), ImageFormat::Png)).is_ok());
    }

    #[test]
    fn huge_size_in_header_is_refused_before_decoding() {
        let cases = [
            (100_000u32, "is too large: 100000x100000 pixels"),
            (0x7FFF_FFFF, "needs more than 2048 MiB of memory to be read; scale it down"),
        ];
        for (side, problem) in cases {
            let mut png = encoded(&test_image(4, 4), ImageFormat::Png);
            png[16..20].copy_from_slice(&side.to_be_bytes());
            png[20..24].copy_from_slice(&side.to_be_bytes());
            let checksum = crc(&png[12..29]);
            png[29..33].copy_from_slice(&checksum.to_be_bytes());
            let message = error_message(&png);
            assert!(message.contains(problem), "{message}");
        }
    }

    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
        })
    }

    #[test]
    fn unsupported_formats_are_refused() {
        let hint = "convert it to JPEG, PNG, WebP, BMP, GIF or TIFF";
        let cases: [(&[u8], &str); 4] = [
            (b"", "it is empty"),
            (b"hello, world: no pixels here", "its first bytes match no known format"),
            (b"\0\0\0\x20ftypavif\0\0\0\0", "its format is Avif"),
            (b"P6\n2 2\n255\n", "its format is Pnm"),
        ];
        for (bytes, found) in cases {
            assert_eq!(
                error_message(bytes),
                format!("the data is not a picture that can be read: {found}; {hint}")
            );
        }
    }

    #[test]
    fn error_names_the_missing_file() {
        let error = Picture::open(Path::new("no/such/picture.png")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read no/such/picture.png: "), "{error}");
        let error = Picture::open(Path::new(".")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read .: "), "{error}");
    }
}
