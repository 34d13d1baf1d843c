//! Encoded pictures and their addresses inside a page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A picture in a format that browsers show.
#[derive(Clone, Debug)]
pub struct EncodedPicture {
    /// The media type, such as `image/png`.
    pub media_type: &'static str,
    /// The encoded bytes.
    pub bytes: Vec<u8>,
    /// The width in pixels.
    pub width: usize,
    /// The height in pixels.
    pub height: usize,
}

impl EncodedPicture {
    /// Returns the rule that makes this picture the background of a CSS class. A class is stored once, however
    /// many elements show it.
    pub(crate) fn css_rule(&self, class: &str) -> String {
        format!(".{class}{{background-image:url({})}}", data_uri(self.media_type, &self.bytes))
    }
}

/// Returns the address of data that stands in the page.
pub(crate) fn data_uri(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", base64(bytes))
}

/// Returns bytes in base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
