//! Philox4x32-10, a counter-based generator: four words of random bits for each counter and key.
//!
//! Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//! A random number depends only on its address (counter and key), not on the batch size, the order of
//! evaluation, the thread or the device.

/// Multiplier of the first word.
pub const MULTIPLIER_0: u32 = 0xD251_1F53;
/// Multiplier of the third word.
pub const MULTIPLIER_1: u32 = 0xCD9E_8D57;
/// The constant that each round adds to the first word of the key (the golden ratio).
pub const WEYL_0: u32 = 0x9E37_79B9;
/// The constant that each round adds to the second word of the key (the square root of three, less one).
pub const WEYL_1: u32 = 0xBB67_AE85;
/// The number of rounds.
pub const ROUNDS: u32 = 10;

/// Returns the key for a seed: the low and the high 32 bits of the seed.
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// Returns four random words for `counter` under `key`.
#[inline(always)]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let product0 = u64::from(MULTIPLIER_0) * u64::from(c0);
        let product1 = u64::from(MULTIPLIER_1) * u64::from(c2);
        c0 = (product1 >> 32) as u32 ^ c1 ^ k0;
        c2 = (product0 >> 32) as u32 ^ c3 ^ k1;
        c1 = product1 as u32;
        c3 = product0 as u32;
        k0 = k0.wrapping_add(WEYL_0);
        k1 = k1.wrapping_add(WEYL_1);
    }
    [c0, c1, c2, c3]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors published with the authors' library Random123 (`kat_vectors`).
    #[test]
    fn published_test_vectors() {
        struct Case {
            counter: [u32; 4],
            key: [u32; 2],
            expected: [u32; 4],
        }
        let cases = [
            Case {
                counter: [0; 4],
                key: [0; 2],
                expected: [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            },
            Case {
                counter: [u32::MAX; 4],
                key: [u32::MAX; 2],
                expected: [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            },
            Case {
                counter: [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                key: [0xa409_3822, 0x299f_31d0],
                expected: [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            },
        ];
        for case in cases {
            assert_eq!(philox(case.counter, case.key), case.expected);
        }
    }
}
