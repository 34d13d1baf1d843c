//! The noise is distributed as its mollifier says, and its draws are independent of each other.
//!
//! Every test draws at fixed seeds, so that it gives the same answer each time.

use attriburn_kernels::noise::{Domain, Points, noise};
use attriburn_kernels::{Batch, Boundary, Mollifier, Noise, Row, Width};
use burn::tensor::{Device, Tensor};
use statrs::distribution::{Cauchy, ContinuousCDF, Normal};

const FEATURES: usize = 10_000;
const DRAWS: usize = 1_000_000;

/// The deviation, in standard errors, that one in 150,000 honest tests exceeds.
const BOUND: f64 = 4.5;

/// Unit draws of `mollifier` for the rows of a batch, around zeros.
fn draws(mollifier: Mollifier, batch: &Batch) -> Vec<f32> {
    let kind = Noise { mollifier, width: Width::Absolute(1.0), boundary: Boundary::Free };
    let domain = Domain::new(vec![-1.0], vec![1.0], 1);
    let points = Points::at(Tensor::zeros([1, FEATURES], &Device::flex()));
    noise(&points, Some(&kind), &domain, batch).into_data().try_into_vec().expect("float32")
}

fn batch(stream: u32, first: u32) -> Batch {
    Batch::samples(20_241_007, stream, first, DRAWS / FEATURES)
}

fn million(mollifier: Mollifier) -> Vec<f32> {
    draws(mollifier, &batch(0, 0))
}

/// The cumulative distribution function, written down from the density and not from the quantile.
fn distribution(mollifier: Mollifier, x: f64) -> f64 {
    match mollifier {
        Mollifier::Gaussian => Normal::standard().cdf(x),
        Mollifier::Poisson => Cauchy::new(0.0, 1.0).expect("a distribution").cdf(x),
        Mollifier::Hyperbolic => (1.0 + x.tanh()) / 2.0,
        Mollifier::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Mollifier::Rect => ((1.0 + x) / 2.0).clamp(0.0, 1.0),
    }
}

/// The second and fourth moment, where they exist.
fn moments(mollifier: Mollifier) -> Option<(f64, f64)> {
    let pi = std::f64::consts::PI;
    let logistic = (pi.powi(2) / 3.0, 7.0 * pi.powi(4) / 15.0);
    match mollifier {
        Mollifier::Gaussian => Some((1.0, 3.0)),
        Mollifier::Poisson => None,
        Mollifier::Hyperbolic => Some((logistic.0 / 4.0, logistic.1 / 16.0)),
        Mollifier::Sigmoid => Some(logistic),
        Mollifier::Rect => Some((1.0 / 3.0, 1.0 / 5.0)),
    }
}

#[test]
fn moments_are_those_of_the_mollifier() {
    for (mollifier, name) in Mollifier::ALL {
        let Some((second, fourth)) = moments(mollifier) else { continue };
        let draws = million(mollifier);
        let mean_of = |power: i32| {
            draws.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / DRAWS as f64
        };
        let root = (DRAWS as f64).sqrt();
        let mean = mean_of(1) / second.sqrt() * root;
        let variance = (mean_of(2) - second) / (fourth - second * second).sqrt() * root;
        // A symmetric distribution; the spread of the cube is the sixth moment, from the sample.
        let skewness = mean_of(3) / mean_of(6).sqrt() * root;
        for (moment, z) in [("mean", mean), ("variance", variance), ("third", skewness)] {
            assert!(z.abs() < BOUND, "{name}: {moment} is {z:.1} standard errors off");
        }
    }
}

/// Kolmogorov and Smirnov's test: the largest distance between the draws' distribution and the
/// mollifier's, over `1 / sqrt(n)`; one honest test in 10,000 exceeds 2.23.
#[test]
fn the_distribution_is_the_mollifier_s() {
    for (mollifier, name) in Mollifier::ALL {
        let mut draws = million(mollifier);
        draws.sort_by(f32::total_cmp);
        let n = DRAWS as f64;
        let distance = draws.iter().enumerate().map(|(i, &x)| {
            let f = distribution(mollifier, x.into());
            (f - i as f64 / n).abs().max((f - (i + 1) as f64 / n).abs())
        });
        let statistic = distance.fold(0.0, f64::max) * n.sqrt();
        assert!(statistic < 2.23, "{name}: {statistic:.2}");
        // And it does tell distributions apart: two parts in a hundred wider is far outside.
        let wider = draws.iter().enumerate().map(|(i, &x)| {
            (distribution(mollifier, f64::from(x) * 1.02) - (i as f64 + 0.5) / n).abs()
        });
        let statistic = wider.fold(0.0, f64::max) * n.sqrt();
        assert!(statistic > 2.23, "{name} cannot be told from a wider one: {statistic:.2}");
    }
}

/// The correlation of two series, in standard errors.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let n = a.len() as f64;
    let mean = |x: &[f32]| x.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let product = |x: &[f32], mx: f64, y: &[f32], my: f64| -> f64 {
        x.iter().zip(y).map(|(&x, &y)| (f64::from(x) - mx) * (f64::from(y) - my)).sum()
    };
    product(a, ma, b, mb) / (product(a, ma, a, ma) * product(b, mb, b, mb)).sqrt() * n.sqrt()
}

/// Neither the draws nor their sizes go together.
fn check_independent(what: &str, a: &[f32], b: &[f32]) {
    let sizes = |x: &[f32]| x.iter().map(|x| x.abs()).collect::<Vec<f32>>();
    for (kind, z) in [("draws", correlation(a, b)), ("sizes", correlation(&sizes(a), &sizes(b)))] {
        assert!(z.abs() < BOUND, "{what}: the {kind} correlate by {z:.1} standard errors");
    }
}

#[test]
fn draws_do_not_correlate() {
    let draws_ = million(Mollifier::Gaussian);
    for lag in [1, 2, 63, 64, 65, 100, 1024] {
        check_independent(&format!("elements {lag} apart"), &draws_[lag..], &draws_[..DRAWS - lag]);
    }
    let quarter = FEATURES / 4;
    let words = |word: usize| -> Vec<f32> {
        draws_.chunks(FEATURES).flat_map(|row| &row[word * quarter..][..quarter]).copied().collect()
    };
    for (a, b) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
        check_independent(&format!("words {a} and {b} of a counter"), &words(a), &words(b));
    }
    check_independent("neighbouring samples", &draws_[FEATURES..], &draws_[..DRAWS - FEATURES]);
    let other = |batch: &Batch| draws(Mollifier::Gaussian, batch);
    check_independent("neighbouring streams", &draws_, &other(&batch(1, 0)));
    // Sample by sample, and in each node by node.
    let of_nodes = |count: u32, first: u32| {
        let row = |at: u32| Row { node: first + at % count, ..Row::sample(at / count) };
        let rows = (0..(DRAWS / FEATURES) as u32).map(row).collect();
        Batch { rows, ..batch(0, 0) }
    };
    check_independent("neighbouring nodes", &draws_, &other(&of_nodes(1, 1)));
    let seeded = Batch { seed: batch(0, 0).seed + 1, ..batch(0, 0) };
    check_independent("neighbouring seeds", &draws_, &other(&seeded));
    let path = draws(Mollifier::Gaussian, &of_nodes(2, 0));
    let (even, odd): (Vec<_>, Vec<_>) =
        path.chunks(FEATURES).enumerate().partition(|(row, _)| row % 2 == 0);
    let rows = |rows: Vec<(usize, &[f32])>| -> Vec<f32> {
        rows.into_iter().flat_map(|(_, row)| row).copied().collect()
    };
    check_independent("the nodes of a path", &rows(even), &rows(odd));
}

/// The width that should hold `[-reach, reach]` with probability `p` does, for reaches that differ
/// from element to element.
#[test]
fn the_interval_is_held_with_the_promised_probability() {
    let x: Vec<f32> = (0..FEATURES).map(|e| -0.9 + 1.8 * e as f32 / FEATURES as f32).collect();
    let domain = Domain::new(vec![-1.0], vec![1.0], 1);
    for (mollifier, name) in Mollifier::ALL {
        for p in [0.5, 0.9, 0.975] {
            let width = Width::Adaptive(mollifier.width_factor(p) as f32);
            let kind = Noise { mollifier, width, boundary: Boundary::Free };
            let input = Tensor::<1>::from_floats(x.as_slice(), &Device::flex()).unsqueeze();
            let rows = noise(&Points::at(input), Some(&kind), &domain, &batch(2, 0)).into_data();
            let rows: Vec<f32> = rows.try_into_vec().expect("float32");
            let held = rows.chunks(FEATURES).flat_map(|row| row.iter().zip(&x));
            let held = held.filter(|&(value, x)| (value - x).abs() <= 1.0 - x.abs()).count() as f64;
            let z = (held - p * DRAWS as f64) / (DRAWS as f64 * p * (1.0 - p)).sqrt();
            let share = held / DRAWS as f64;
            assert!(z.abs() < BOUND, "{name} at {p}: held in {share} ({z:.1} standard errors)");
        }
    }
}
