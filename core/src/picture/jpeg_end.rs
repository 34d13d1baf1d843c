//! Is a JPEG file whole?
//!
//! The decoder fills what is missing with grey and reports success, so a file that was cut short has to be told by
//! its markers: a whole one ends its picture with the marker `FF D9`.

/// Whether the picture that begins at the first byte is closed by its end marker.
///
/// Segments are stepped over by their lengths, so the end marker of a thumbnail inside one does not count; what
/// follows the end marker (a second picture, a trailer) is not looked at. Source: ITU-T T.81, B.1.1.
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

/// The next marker's code and what follows it. Coded data is passed by: in it `FF` is always followed by `00`.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let at =
        bytes.windows(2).position(|pair| pair[0] == 0xFF && pair[1] != 0x00 && pair[1] != 0xFF)?;
    Some((bytes[at + 1], &bytes[at + 2..]))
}

/// What follows a segment that begins with its own length, a big-endian 16-bit number that counts itself.
fn after_segment(bytes: &[u8]) -> Option<&[u8]> {
    let (length, _) = bytes.split_first_chunk::<2>()?;
    bytes.get(usize::from(u16::from_be_bytes(*length))..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pictures_own_end_counts() {
        let cases: [(&str, &[u8], bool); 8] = [
            ("nothing", b"", false),
            ("start and end", b"\xFF\xD8\xFF\xD9", true),
            ("no end", b"\xFF\xD8", false),
            ("a segment that holds an end", b"\xFF\xD8\xFF\xE1\x00\x06\xFF\xD8\xFF\xD9", false),
            ("the same, closed", b"\xFF\xD8\xFF\xE1\x00\x06\xFF\xD8\xFF\xD9\xFF\xD9", true),
            (
                "coded data with stuffing, a restart and fill bytes",
                b"\xFF\xD8\xFF\xDA\x00\x02ab\xFF\x00\xFF\xD0cd\xFF\xFF\xD9",
                true,
            ),
            ("a segment longer than the file", b"\xFF\xD8\xFF\xE1\x10\x00\xFF\xD9", false),
            ("a segment without a length", b"\xFF\xD8\xFF\xE1\x10", false),
        ];
        for (what, bytes, whole) in cases {
            assert_eq!(has_end_marker(bytes), whole, "{what}");
        }
    }
}
