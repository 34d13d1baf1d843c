//! Quadrature rules against the integrals of polynomials.

use attriburn::Quadrature;

#[test]
fn rules_integrate_polynomials_up_to_their_degree_exactly() {
    let integral = |rule: Quadrature, n: u32, degree: i32| -> f64 {
        rule.nodes(n).iter().map(|(a, w)| w * a.powi(degree)).sum()
    };
    for n in [1, 2, 3, 10, 50, 200] {
        for degree in 0..(2 * n as i32).min(40) {
            let value = integral(Quadrature::GaussLegendre, n, degree);
            let expected = 1.0 / f64::from(degree + 1);
            assert!((value - expected).abs() < 1e-13, "{n} nodes, degree {degree}: {value}");
        }
    }
    for n in [2, 3, 50] {
        for (rule, name) in Quadrature::ALL {
            assert!((integral(rule, n, 0) - 1.0).abs() < 1e-14, "{name}");
        }
        for rule in [Quadrature::Midpoint, Quadrature::Trapezoid] {
            assert!((integral(rule, n, 1) - 0.5).abs() < 1e-14, "{rule:?}");
        }
        let step = 0.5 / f64::from(n);
        assert!((integral(Quadrature::Left, n, 1) - (0.5 - step)).abs() < 1e-14);
        assert!((integral(Quadrature::Right, n, 1) - (0.5 + step)).abs() < 1e-14);
    }
}
