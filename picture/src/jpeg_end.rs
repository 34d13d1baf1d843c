//! Detection of truncated JPEG files.
//!
//! The decoder fills missing pixels with grey and reports success. A truncated file is therefore detected
//! from its markers: a complete image ends with the end-of-image marker `FF D9`.

/// Returns whether the image that starts at the first byte has its end-of-image marker.
///
/// Segments are skipped by their lengths, so the end-of-image marker of an embedded thumbnail does not count.
/// Data after the end-of-image marker (a second image, a trailer) is ignored. Source: ITU-T T.81, B.1.1.
pub(super) fn has_end_marker(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((marker, after)) = next_marker(rest) {
        rest = match marker {
            END_OF_IMAGE => return true,
            START_OF_IMAGE | TEMPORARY | RESTART_FIRST..=RESTART_LAST => after,
            _ => match after_segment(after) {
                Some(after) => after,
                None => return false,
            },
        };
    }
    false
}

const TEMPORARY: u8 = 0x01;
const RESTART_FIRST: u8 = 0xD0;
const RESTART_LAST: u8 = 0xD7;
const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;

/// Returns the code of the next marker and the bytes after it. Entropy-coded data is skipped: there, every
/// `FF` is followed by a stuffed `00`.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let start =
        bytes.windows(2).position(|pair| pair[0] == 0xFF && pair[1] != 0x00 && pair[1] != 0xFF)?;
    Some((bytes[start + 1], &bytes[start + 2..]))
}

/// Returns the bytes after a segment. A segment starts with its length, a big-endian 16-bit number that
/// includes its own two bytes.
fn after_segment(bytes: &[u8]) -> Option<&[u8]> {
    let (length, _) = bytes.split_first_chunk::<2>()?;
    bytes.get(usize::from(u16::from_be_bytes(*length))..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_markers_inside_segments_do_not_count() {
        let cases: [(&str, &[u8], bool); 8] = [
            ("no bytes", b"", false),
            ("start and end marker", b"\xFF\xD8\xFF\xD9", true),
            ("no end marker", b"\xFF\xD8", false),
            ("an end marker in a segment only", b"\xFF\xD8\xFF\xE1\x00\x06\xFF\xD8\xFF\xD9", false),
            (
                "an end marker in a segment and one after it",
                b"\xFF\xD8\xFF\xE1\x00\x06\xFF\xD8\xFF\xD9\xFF\xD9",
                true,
            ),
            (
                "entropy-coded data with stuffed bytes, a restart marker and fill bytes",
                b"\xFF\xD8\xFF\xDA\x00\x02ab\xFF\x00\xFF\xD0cd\xFF\xFF\xD9",
                true,
            ),
            ("a segment longer than the file", b"\xFF\xD8\xFF\xE1\x10\x00\xFF\xD9", false),
            ("a segment without a length", b"\xFF\xD8\xFF\xE1\x10", false),
        ];
        for (case, bytes, expected) in cases {
            assert_eq!(has_end_marker(bytes), expected, "{case}");
        }
    }
}
