//! The file formats of pictures, detected from the first bytes of a file.

use image::ImageFormat;

use crate::error::{Error, ErrorKind};

/// The number of leading bytes that is enough to detect every format.
pub(super) const SIGNATURE_LENGTH: u64 = 16;

/// A supported file format.
pub(super) struct Format {
    /// The format, as the decoder identifies it.
    pub decoder: ImageFormat,
    /// The name of the format in messages.
    pub name: &'static str,
}

/// Detects the format of a file from its leading `bytes`. Messages call the file `name`.
pub(super) fn detect(bytes: &[u8], name: &str) -> Result<Format, Error> {
    let unsupported = |found: String| {
        Error::new(
            ErrorKind::Format,
            format!(
                "{name} is not a picture that can be read: {found}; convert it to JPEG, PNG, WebP, BMP, GIF or TIFF"
            ),
        )
    };
    if bytes.is_empty() {
        return Err(unsupported("it is empty".to_owned()));
    }
    let Ok(decoder) = image::guess_format(bytes) else {
        return Err(unsupported("its first bytes match no known format".to_owned()));
    };
    let name = match decoder {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        other => return Err(unsupported(format!("its format is {other:?}"))),
    };
    Ok(Format { decoder, name })
}
