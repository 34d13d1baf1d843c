//! Quadrature rules on `[0, 1]`.

use serde::{Deserialize, Serialize};

/// A quadrature rule on `[0, 1]`: nodes `a_k` and weights `w_k`, `k` from 0 to `n - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quadrature {
    /// Gauss-Legendre: exact for polynomials of degree up to `2n - 1`.
    #[default]
    GaussLegendre,
    /// `a_k = k / n`, equal weights.
    Left,
    /// `a_k = (k + 1) / n`, equal weights.
    Right,
    /// `a_k = (k + 1/2) / n`, equal weights.
    Midpoint,
    /// `a_k = k / (n - 1)`, equal weights, halved at both ends.
    Trapezoid,
}

impl Quadrature {
    /// Every rule with its name.
    pub const ALL: [(Quadrature, &'static str); 5] = [
        (Quadrature::GaussLegendre, "gauss-legendre"),
        (Quadrature::Left, "left"),
        (Quadrature::Right, "right"),
        (Quadrature::Midpoint, "midpoint"),
        (Quadrature::Trapezoid, "trapezoid"),
    ];

    /// The nodes and weights in ascending order; the weights add up to 1.
    ///
    /// # Panics
    ///
    /// Panics if `n` is 0, or 1 for the trapezoid rule.
    pub fn nodes(self, n: u32) -> Vec<(f64, f64)> {
        assert!(n > u32::from(self == Quadrature::Trapezoid), "a rule has nodes");
        let weight = 1.0 / f64::from(n);
        let even = |shift: f64| (0..n).map(|k| ((f64::from(k) + shift) * weight, weight)).collect();
        match self {
            Quadrature::Left => even(0.0),
            Quadrature::Right => even(1.0),
            Quadrature::Midpoint => even(0.5),
            Quadrature::Trapezoid => {
                let step = 1.0 / f64::from(n - 1);
                let weight = |k| if k == 0 || k == n - 1 { step / 2.0 } else { step };
                (0..n).map(|k| (f64::from(k) * step, weight(k))).collect()
            }
            Quadrature::GaussLegendre => gauss_legendre(n),
        }
    }
}

/// The roots of the Legendre polynomial `P_n` by Newton's method from Tricomi's estimate, moved
/// from `[-1, 1]` to `[0, 1]`, with weights `1 / ((1 - x^2) P_n'(x)^2)`.
fn gauss_legendre(n: u32) -> Vec<(f64, f64)> {
    let degree = f64::from(n);
    let root = |k: u32| {
        let angle = std::f64::consts::PI * (f64::from(k) + 0.75) / (degree + 0.5);
        let mut x = -angle.cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (value, derivative) = legendre(n, x);
            let step = value / derivative;
            (x, slope) = (x - step, derivative);
            if step.abs() < 1e-15 {
                break;
            }
        }
        (0.5 * (x + 1.0), 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(root).collect()
}

/// `P_n(x)` and its derivative by the three-term recurrence, for `x` inside `(-1, 1)`.
fn legendre(n: u32, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for k in 2..=n {
        let k = f64::from(k);
        (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
    }
    (value, f64::from(n) * (x * value - before) / (x * x - 1.0))
}
