//! The noise kernel in plain Rust and double precision, one element at a time: what every device
//! is compared with.

use super::{Address, Boundary, Domain, Noise, Width};
use crate::philox::{key, philox};
use crate::quantile::{is_negative, tail_probability};

/// The size of a problem: the number of nodes and of elements per row.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Nodes of the path.
    pub nodes: usize,
    /// Elements of a row.
    pub features: usize,
}

/// Element `e` of row `r`, from the value `x` of its node; unrounded.
pub fn element(
    x: f32,
    (e, r): (usize, usize),
    sizes: Sizes,
    noise: &Noise,
    domain: &Domain,
    at: &Address,
) -> f64 {
    let (lower, upper) = bounds(domain, e);
    let draw = draw((e, r), sizes, noise, at);
    let value = f64::from(x) + sigma(noise.width, x, lower, upper) * draw;
    match noise.boundary {
        Boundary::Free => value,
        Boundary::Clipped => value.clamp(lower, upper),
    }
}

/// The draw at unit scale of element `e` of row `r`.
pub fn draw((e, r): (usize, usize), sizes: Sizes, noise: &Noise, at: &Address) -> f64 {
    let word = word((e, r), sizes, at);
    let magnitude = noise.mollifier.tail_quantile(tail_probability(word).0);
    if is_negative(word) { -magnitude } else { magnitude }
}

/// The random word of element `e` of row `r`.
pub fn word((e, r): (usize, usize), sizes: Sizes, at: &Address) -> u32 {
    let index = at.first + r as u64;
    let sample = (index / sizes.nodes as u64) as u32;
    let node = at.node + (index % sizes.nodes as u64) as u32;
    let quarter = sizes.features.div_ceil(4);
    let counter = [(e % quarter) as u32, sample, node, at.stream];
    philox(counter, key(at.seed))[e / quarter]
}

/// The width at a value `x` between `lower` and `upper`.
pub fn sigma(width: Width, x: f32, lower: f64, upper: f64) -> f64 {
    let x = f64::from(x);
    match width {
        Width::Absolute(sigma) => f64::from(sigma),
        Width::Relative(factor) => f64::from(factor) * (upper - lower),
        Width::Adaptive(factor) => f64::from(factor) * (x - lower).min(upper - x).max(0.0),
        Width::Proportional(scale) => f64::from(scale) * x,
    }
}

/// The bounds of element `e`.
pub fn bounds(domain: &Domain, e: usize) -> (f64, f64) {
    let channel = domain.channel(e);
    (f64::from(domain.lower[channel]), f64::from(domain.upper[channel]))
}
