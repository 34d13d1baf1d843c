//! The transforms of weights, inputs and outputs.

use super::super::fma::fused;
use super::super::image::LANES;

/// The height and width of a tile of outputs.
pub const OUTPUT_TILE: usize = 4;
/// The height and width of the inputs of a tile.
pub const INPUT_TILE: usize = 6;
/// The number of positions of a transformed tile.
pub const POSITIONS: usize = INPUT_TILE * INPUT_TILE;

/// A vector of channels.
pub type Lanes = [f32; LANES];

/// The interpolation points are 0, these two, their negatives, and infinity. The constants below are exact in
/// `f32`.
const POINTS: [f32; 2] = [0.625, 1.5];
/// The squares of the points, the sum and the product of the squares, and the cubes of the points.
const SQUARES: [f32; 2] = [POINTS[0] * POINTS[0], POINTS[1] * POINTS[1]];
const SUM: f32 = SQUARES[0] + SQUARES[1];
const PRODUCT: f32 = SQUARES[0] * SQUARES[1];
const CUBES: [f32; 2] = [POINTS[0] * SQUARES[0], POINTS[1] * SQUARES[1]];

/// Computes `G` times a column: the value of the polynomial at each point, divided by the product of the
/// differences between that point and the others.
pub fn transform_weight([a, b, c]: [f64; 3]) -> [f64; INPUT_TILE] {
    let [p, q] = POINTS.map(f64::from);
    let at = |x: f64, scale: f64| (a + b * x + c * x * x) / scale;
    let (first, second) = (2.0 * p * p * (p * p - q * q), 2.0 * q * q * (q * q - p * p));
    [at(0.0, p * p * q * q), at(p, first), at(-p, first), at(q, second), at(-q, second), c]
}

/// Computes `B'` times a column, in every lane.
#[inline(always)]
pub fn transform_input<const FUSED: bool>(d: [&Lanes; INPUT_TILE]) -> [Lanes; INPUT_TILE] {
    let mut to = [[0f32; LANES]; INPUT_TILE];
    for lane in 0..LANES {
        let (a, b, c) = (d[0][lane], d[1][lane], d[2][lane]);
        let (d, e, f) = (d[3][lane], d[4][lane], d[5][lane]);
        to[0][lane] = fused::<FUSED>(PRODUCT, a, fused::<FUSED>(-SUM, c, e));
        for point in 0..2 {
            let other = SQUARES[1 - point];
            let even = fused::<FUSED>(-other, c, e);
            let odd = fused::<FUSED>(-other, b, d);
            to[1 + 2 * point][lane] = fused::<FUSED>(POINTS[point], odd, even);
            to[2 + 2 * point][lane] = fused::<FUSED>(-POINTS[point], odd, even);
        }
        to[5][lane] = fused::<FUSED>(PRODUCT, b, fused::<FUSED>(-SUM, d, f));
    }
    to
}

/// Computes `A'` times a column, in every lane.
#[inline(always)]
pub fn transform_output<const FUSED: bool>(m: [&Lanes; INPUT_TILE]) -> [Lanes; OUTPUT_TILE] {
    let mut to = [[0f32; LANES]; OUTPUT_TILE];
    for lane in 0..LANES {
        let (a, b, c) = (m[0][lane], m[1][lane], m[2][lane]);
        let (d, e, f) = (m[3][lane], m[4][lane], m[5][lane]);
        let (sums, differences) = ([b + c, d + e], [b - c, d - e]);
        let both = |[p, q]: [f32; 2], [x, y]: [f32; 2], z: f32| {
            fused::<FUSED>(p, x, fused::<FUSED>(q, y, z))
        };
        to[0][lane] = a + sums[0] + sums[1];
        to[1][lane] = both(POINTS, differences, 0.0);
        to[2][lane] = both(SQUARES, sums, 0.0);
        to[3][lane] = both(CUBES, differences, f);
    }
    to
}
