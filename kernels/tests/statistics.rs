//! Statistical tests: noise has the distribution of its mollifier, and draws are uncorrelated.
//!
//! All seeds are fixed, so the results are reproducible.

use attriburn_kernels::noise::{Points, noise};
use attriburn_kernels::{Batch, Boundary, Domain, Mollifier, Noise, Row, Width};
use burn::tensor::{Device, Tensor};
use statrs::distribution::{Cauchy, ContinuousCDF, Normal};

const FEATURES: usize = 10_000;
const DRAWS: usize = 1_000_000;

/// The maximum deviation in standard errors; a correct generator exceeds it in one of 150,000 tests.
const BOUND: f64 = 4.5;

/// Draws of `mollifier` at unit scale for the rows of a batch, around zero.
fn draws(mollifier: Mollifier, batch: &Batch) -> Vec<f32> {
    let kind = Noise { mollifier, width: Width::Absolute(1.0), boundary: Boundary::Free };
    let domain = [Domain::uniform(-1.0, 1.0)];
    let points = Points::at(Tensor::zeros([1, FEATURES], &Device::flex()));
    noise(&points, Some(&kind), &domain, batch).into_data().try_into_vec().expect("float32")
}

fn batch(stream: u32, first: u32) -> Batch {
    Batch::samples(20_241_007, stream, first, DRAWS / FEATURES)
}

fn million_draws(mollifier: Mollifier) -> Vec<f32> {
    draws(mollifier, &batch(0, 0))
}

/// The cumulative distribution function, derived from the density and not from the quantile.
fn distribution(mollifier: Mollifier, x: f64) -> f64 {
    match mollifier {
        Mollifier::Gaussian => Normal::standard().cdf(x),
        Mollifier::Poisson => Cauchy::new(0.0, 1.0).expect("a distribution").cdf(x),
        Mollifier::Hyperbolic => (1.0 + x.tanh()) / 2.0,
        Mollifier::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Mollifier::Rect => ((1.0 + x) / 2.0).clamp(0.0, 1.0),
        Mollifier::Laplace => 0.5 + 0.5 * x.signum() * (1.0 - (-x.abs()).exp()),
    }
}

/// The second and the fourth moment; `None` if they do not exist.
fn moments(mollifier: Mollifier) -> Option<(f64, f64)> {
    let pi = std::f64::consts::PI;
    let logistic = (pi.powi(2) / 3.0, 7.0 * pi.powi(4) / 15.0);
    match mollifier {
        Mollifier::Gaussian => Some((1.0, 3.0)),
        Mollifier::Poisson => None,
        Mollifier::Hyperbolic => Some((logistic.0 / 4.0, logistic.1 / 16.0)),
        Mollifier::Sigmoid => Some(logistic),
        Mollifier::Rect => Some((1.0 / 3.0, 1.0 / 5.0)),
        Mollifier::Laplace => Some((2.0, 24.0)),
    }
}

#[test]
fn moments_match_the_mollifier() {
    for (mollifier, name) in Mollifier::ALL {
        let Some((second, fourth)) = moments(mollifier) else { continue };
        let draws = million_draws(mollifier);
        let mean_of = |power: i32| {
            draws.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / DRAWS as f64
        };
        let root = (DRAWS as f64).sqrt();
        let mean = mean_of(1) / second.sqrt() * root;
        let variance = (mean_of(2) - second) / (fourth - second * second).sqrt() * root;
        // The distribution is symmetric; the variance of the cube is the sixth moment, taken from the sample.
        let skewness = mean_of(3) / mean_of(6).sqrt() * root;
        for (moment, z) in [("mean", mean), ("variance", variance), ("third moment", skewness)] {
            assert!(z.abs() < BOUND, "{name}: {moment} is {z:.1} standard errors off");
        }
    }
}

/// Kolmogorov-Smirnov test: the largest distance between the empirical distribution function and that of the
/// mollifier, in units of `1 / sqrt(n)`. A correct generator exceeds 2.23 in one of 10,000 tests.
#[test]
fn distribution_matches_the_mollifier() {
    for (mollifier, name) in Mollifier::ALL {
        let mut draws = million_draws(mollifier);
        draws.sort_by(f32::total_cmp);
        let n = DRAWS as f64;
        let distance = draws.iter().enumerate().map(|(i, &x)| {
            let f = distribution(mollifier, x.into());
            (f - i as f64 / n).abs().max((f - (i + 1) as f64 / n).abs())
        });
        let statistic = distance.fold(0.0, f64::max) * n.sqrt();
        assert!(statistic < 2.23, "{name}: the Kolmogorov-Smirnov statistic is {statistic:.2}");
        // The test has enough power: a distribution that is wider by 2 % fails it.
        let wider = draws.iter().enumerate().map(|(i, &x)| {
            (distribution(mollifier, f64::from(x) * 1.02) - (i as f64 + 0.5) / n).abs()
        });
        let statistic = wider.fold(0.0, f64::max) * n.sqrt();
        assert!(
            statistic > 2.23,
            "{name}: a distribution that is 2 % wider passes with {statistic:.2}"
        );
    }
}

/// The correlation of two series in standard errors.
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

/// Checks that neither the draws nor their absolute values correlate.
fn check_independent(label: &str, a: &[f32], b: &[f32]) {
    let magnitudes = |x: &[f32]| x.iter().map(|x| x.abs()).collect::<Vec<f32>>();
    for (kind, z) in
        [("draws", correlation(a, b)), ("magnitudes", correlation(&magnitudes(a), &magnitudes(b)))]
    {
        assert!(z.abs() < BOUND, "{label}: the {kind} correlate by {z:.1} standard errors");
    }
}

#[test]
fn draws_do_not_correlate() {
    let reference = million_draws(Mollifier::Gaussian);
    for lag in [1, 2, 63, 64, 65, 100, 1024] {
        check_independent(
            &format!("elements {lag} apart"),
            &reference[lag..],
            &reference[..DRAWS - lag],
        );
    }
    let quarter = FEATURES / 4;
    let words = |word: usize| -> Vec<f32> {
        reference
            .chunks(FEATURES)
            .flat_map(|row| &row[word * quarter..][..quarter])
            .copied()
            .collect()
    };
    for (a, b) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
        check_independent(&format!("words {a} and {b} of a counter"), &words(a), &words(b));
    }
    check_independent(
        "neighbouring samples",
        &reference[FEATURES..],
        &reference[..DRAWS - FEATURES],
    );
    let other = |batch: &Batch| draws(Mollifier::Gaussian, batch);
    check_independent("neighbouring streams", &reference, &other(&batch(1, 0)));
    // Rows ordered by sample, then by node.
    let with_nodes = |count: u32, first: u32| {
        let row = |at: u32| Row { node: first + at % count, ..Row::sample(at / count) };
        let rows = (0..(DRAWS / FEATURES) as u32).map(row).collect();
        Batch { rows, ..batch(0, 0) }
    };
    check_independent("neighbouring nodes", &reference, &other(&with_nodes(1, 1)));
    let seeded = Batch { seed: batch(0, 0).seed + 1, ..batch(0, 0) };
    check_independent("neighbouring seeds", &reference, &other(&seeded));
    let path = draws(Mollifier::Gaussian, &with_nodes(2, 0));
    let (even, odd): (Vec<_>, Vec<_>) =
        path.chunks(FEATURES).enumerate().partition(|(row, _)| row % 2 == 0);
    let rows = |rows: Vec<(usize, &[f32])>| -> Vec<f32> {
        rows.into_iter().flat_map(|(_, row)| row).copied().collect()
    };
    check_independent("the nodes of a path", &rows(even), &rows(odd));
}

/// Adaptive noise stays within `[-reach, reach]` with the requested probability `p`, for a reach that differs
/// from element to element.
#[test]
fn adaptive_noise_stays_in_the_interval_with_the_requested_probability() {
    let x: Vec<f32> = (0..FEATURES).map(|e| -0.9 + 1.8 * e as f32 / FEATURES as f32).collect();
    let domain = [Domain::uniform(-1.0, 1.0)];
    for (mollifier, name) in Mollifier::ALL {
        for p in [0.5, 0.9, 0.975] {
            let width = Width::Adaptive(mollifier.width_factor(p));
            let kind = Noise { mollifier, width, boundary: Boundary::Free };
            let input = Tensor::<1>::from_floats(x.as_slice(), &Device::flex()).unsqueeze();
            let rows = noise(&Points::at(input), Some(&kind), &domain, &batch(2, 0)).into_data();
            let rows: Vec<f32> = rows.try_into_vec().expect("float32");
            let inside = rows.chunks(FEATURES).flat_map(|row| row.iter().zip(&x));
            let inside =
                inside.filter(|&(value, x)| (value - x).abs() <= 1.0 - x.abs()).count() as f64;
            let z = (inside - p * DRAWS as f64) / (DRAWS as f64 * p * (1.0 - p)).sqrt();
            let share = inside / DRAWS as f64;
            assert!(
                z.abs() < BOUND,
                "{name} at {p}: inside with frequency {share} ({z:.1} standard errors)"
            );
        }
    }
}
