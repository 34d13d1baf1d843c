//! Values of the built-in baselines.

use attriburn::{Baseline, Domain, Input};

#[test]
fn baselines_have_their_defined_values() {
    let values: Vec<f32> = (0..2 * 4 * 5).map(|i| i as f32).collect();
    let domain = Domain::per_channel(vec![-1.0, -2.0], vec![50.0, 60.0]);
    let input = Input::new(values, &[2, 4, 5], domain).expect("an input");
    let values = |baseline: Baseline| baseline.values(&input).expect("a baseline");
    assert_eq!((values(Baseline::Black)[19], values(Baseline::Black)[20]), (-1.0, -2.0));
    assert_eq!((values(Baseline::White)[19], values(Baseline::White)[20]), (50.0, 60.0));
    assert_eq!(values(Baseline::Zero), vec![0.0; 40]);
    assert_eq!((values(Baseline::Mean)[0], values(Baseline::Mean)[39]), (9.5, 29.5));
    let vector = Input::new(vec![1.0, 2.0, 6.0], &[3], Domain::uniform(0.0, 9.0));
    assert_eq!(Baseline::Mean.values(&vector.expect("an input")).expect("a mean"), [3.0; 3]);
    let with_range = input.clone().with_pixel_range(Domain::uniform(0.0, 9.0)).expect("a range");
    assert_eq!(Baseline::White.values(&with_range).expect("a baseline"), vec![9.0; 40]);
}

#[test]
fn blur_is_a_gaussian_filter_that_keeps_the_mean() {
    let (height, width) = (40, 40);
    let mut values = vec![0.0; height * width];
    values[20 * width + 20] = 1.0;
    let input = Input::new(values, &[1, height, width], Domain::uniform(0.0, 1.0));
    let blurred = Baseline::Blur.values(&input.expect("an input")).expect("a baseline");
    let sum: f32 = blurred.iter().sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    // sigma is 4 pixels: at a distance of 4 the weight is exp(-1/2) times the weight of the centre.
    let ratio = blurred[20 * width + 24] / blurred[20 * width + 20];
    assert!((ratio - (-0.5f32).exp()).abs() < 1e-4, "{ratio}");
}
