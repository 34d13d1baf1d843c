//! Quantiles of the mollifiers from polynomials and one logarithm. The CPU and every device thus evaluate the
//! same definition, with operations that each of them computes accurately.
//!
//! A random word gives a sign and a tail probability `p = (m + 1/2) / 2^32`, `m` its low 31 bits,
//! so that `p` is exact far in the tail. With `x = 1 - 2p` and `w = -ln(1 - x^2)` the normal
//! quantile is `x` times a smooth function of `w`; the quantile of the Cauchy distribution is
//! `tan(pi x / 2)`; the other quantiles need only the logarithm.
//!
//! The polynomials interpolate at Chebyshev nodes, computed in 40 digits; their relative errors
//! are 5e-9 (centre), 1.4e-9 (tail) and 1.7e-8 (tangent), below the rounding error of float32.

use crate::mollifier::Mollifier;

/// The value of `w` at which the normal quantile changes from [`CENTRE`] to [`TAIL`].
#[cfg_attr(
    not(feature = "cubecl"),
    allow(dead_code, reason = "the CPU compares the random word with TAIL_WORDS")
)]
pub const TAIL_STARTS: f64 = 6.0;
/// The normal quantile divided by `x`, as a polynomial in `w / 3 - 1` for `w` in `[0, 6]`.
pub const CENTRE: [f64; 12] = [
    2.296_035_130_179_859,
    1.025_150_982_365_251_9,
    -0.073_034_938_201_491_33,
    -0.031_928_454_190_902_14,
    0.022_349_221_403_369_285,
    -0.004_371_417_959_454_536_2,
    -0.001_822_345_307_887_608_3,
    0.001_397_820_934_804_218,
    -0.000_180_113_463_226_668_19,
    -0.000_164_728_222_442_556_19,
    5.632_761_366_858_553_6e-5,
    4.935_639_857_899_452e-6,
];
/// The centre of the interval of `sqrt(w)` in the tail, from `sqrt(6)` to 4.8.
pub const TAIL_CENTRE: f64 = (2.449_489_742_783_178 + 4.8) / 2.0;
/// The half width of the interval of `sqrt(w)` in the tail; see [`TAIL_CENTRE`].
pub const TAIL_HALF_WIDTH: f64 = (4.8 - 2.449_489_742_783_178) / 2.0;
/// The normal quantile divided by `x`, as a polynomial in `(sqrt(w) - TAIL_CENTRE) / TAIL_HALF_WIDTH`.
pub const TAIL: [f64; 12] = [
    4.894_871_806_877_66,
    1.675_520_753_461_665_1,
    0.005_068_620_730_421_34,
    -0.003_692_466_287_951_027_2,
    0.002_045_250_047_255_974_6,
    -0.001_339_641_592_011_869_2,
    0.000_969_584_087_689_021,
    -0.000_669_727_389_386_087_6,
    0.000_390_096_978_905_807_83,
    -9.018_586_771_145_05e-5,
    -7.811_997_436_676_888e-5,
    4.608_730_348_140_476e-5,
];
/// `tan(pi x / 2) / x`, as a polynomial in `8 x^2 - 1` for `x` in `[0, 1/2]`.
pub const TANGENT: [f64; 7] = [
    1.755_052_951_558_396_2,
    0.210_270_882_269_190_55,
    0.029_726_556_671_025_236,
    0.004_241_173_385_882_674,
    0.000_605_829_328_653_109,
    8.975_173_144_574_954e-5,
    1.282_166_565_485_826_4e-5,
];

/// `1 / 2^32`.
pub const UNIT: f64 = 1.0 / 4_294_967_296.0;

#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f64; N], t: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * t + c)
}

/// Computes `ln(v)` for a positive normal `v` with a relative error below 1e-11, without branches or calls,
/// so that a loop of logarithms can be vectorized.
#[inline(always)]
fn ln(v: f64) -> f64 {
    const HALF_ROOT: u64 = 0x3FE6_A09E_667F_3BCD; // sqrt(1/2)
    let shifted = v.to_bits().wrapping_sub(HALF_ROOT);
    let exponent = (shifted as i64) >> 52;
    let mantissa = f64::from_bits(v.to_bits().wrapping_sub((exponent as u64) << 52));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let q = s * s;
    let series = 1.0
        + q * (1.0 / 3.0
            + q * (1.0 / 5.0
                + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0))))));
    exponent as i32 as f64 * std::f64::consts::LN_2 + 2.0 * s * series
}

/// Returns the draw of `mollifier` for one random word, except in the normal tail; see [`normal_tail`].
#[inline(always)]
pub fn draw(mollifier: Mollifier, word: u32) -> f64 {
    let (p, x) = tail_probability(word);
    let magnitude = match mollifier {
        Mollifier::Gaussian => {
            let w = -ln(4.0 * p * (1.0 - p));
            x * polynomial(&CENTRE, w * (1.0 / 3.0) - 1.0)
        }
        Mollifier::Poisson => {
            let y = (2.0 * p).min(x);
            let tangent = y * polynomial(&TANGENT, 8.0 * y * y - 1.0);
            if p < 0.25 { 1.0 / tangent } else { tangent }
        }
        Mollifier::Hyperbolic => 0.5 * ln((1.0 - p) / p),
        Mollifier::Sigmoid => ln((1.0 - p) / p),
        Mollifier::Rect => x,
        Mollifier::Laplace => -ln(2.0 * p),
    };
    if is_negative(word) { -magnitude } else { magnitude }
}

/// Words whose low 31 bits are below this value lie in the normal tail, `w > 6`: 0.12 % of all words.
pub const TAIL_WORDS: u32 = 2_663_190;

/// Returns the normal draw of a word in the tail.
#[inline(always)]
pub fn normal_tail(word: u32) -> f64 {
    let (p, x) = tail_probability(word);
    let w = -ln(4.0 * p * (1.0 - p));
    let magnitude = x * polynomial(&TAIL, (w.sqrt() - TAIL_CENTRE) / TAIL_HALF_WIDTH);
    if is_negative(word) { -magnitude } else { magnitude }
}

/// Returns the tail probability `p` of a word, and `1 - 2p`.
#[inline(always)]
pub fn tail_probability(word: u32) -> (f64, f64) {
    let m = f64::from((word & 0x7FFF_FFFF) as i32);
    let p = (m + 0.5) * UNIT;
    (p, 1.0 - 2.0 * p)
}

/// Whether the draw of a word is negative: the highest bit of the word.
#[inline(always)]
pub fn is_negative(word: u32) -> bool {
    word >> 31 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw_any(mollifier: Mollifier, word: u32) -> f64 {
        if mollifier == Mollifier::Gaussian && word & 0x7FFF_FFFF < TAIL_WORDS {
            normal_tail(word)
        } else {
            draw(mollifier, word)
        }
    }

    #[test]
    fn tail_starts_at_w_of_six() {
        let (p, _) = tail_probability(TAIL_WORDS);
        assert!((-(4.0 * p * (1.0 - p)).ln() - TAIL_STARTS).abs() < 1e-5);
    }

    #[test]
    fn draws_match_the_inverse_distribution_function() {
        let words = [0, 1, 2, 1000, TAIL_WORDS - 1, TAIL_WORDS, 0x1234_5678]
            .into_iter()
            .chain((0..4000).map(|i| i * 536_870))
            .chain([0x3FFF_FFFF, 0x4000_0000, 0x7FFF_FFFE, 0x7FFF_FFFF]);
        for word in words {
            for (mollifier, name) in Mollifier::ALL {
                let expected = mollifier.tail_quantile(tail_probability(word).0);
                let value = draw_any(mollifier, word);
                assert!(
                    (value - expected).abs() <= 3e-8 * expected.abs().max(1e-3),
                    "{name} of {word:#x}: {value}, expected {expected}"
                );
                assert_eq!(draw_any(mollifier, word | 1 << 31), -value);
            }
        }
    }
}
