//! Class activation maps of a model with a closed form.

use attriburn::{
    Attribution, Baseline, Cam, CamRule, Domain, ErrorKind, Explainer, Input, Layer, ModuleModel,
    Path, Plan, Quadrature, Readout, Sampler, Target,
};
use burn::tensor::{Device, Tensor, TensorData};

/// The derivatives of the score by the activations of each channel, times the 4 positions.
const WEIGHTS: [f32; 2] = [2.0, -1.5];

/// Two channels of 4 x 4 pixels. The activations are the squared sums of blocks of 2 x 2 pixels, and the score
/// is the weighted sum of the channels' means.
fn model() -> ModuleModel<4> {
    let layer = Layer { name: "blocks".into(), channels: 2, height: 2, width: 2 };
    let features = |x: Tensor<4>| {
        let n = x.dims()[0];
        let blocks: Tensor<6> = x.reshape([n, 2, 2, 2, 2, 2]);
        blocks.sum_dim(5).sum_dim(3).reshape([n, 2, 2, 2]).powi_scalar(2)
    };
    let head = |a: Tensor<4>| {
        let n = a.dims()[0];
        let weights = TensorData::new(WEIGHTS.to_vec(), [1, 2]);
        let means: Tensor<3> = a.reshape([n, 2, 4]).mean_dim(2);
        let weights = Tensor::<2>::from_data(weights, &means.device());
        (means.reshape([n, 2]) * weights).sum_dim(1)
    };
    ModuleModel::in_two_parts(&[2, 4, 4], &Device::flex(), layer, features, head)
}

fn input() -> Input {
    let values = (0..32).map(|i| (i as f32 * 0.7).sin() * 0.5 + 0.3).collect();
    Input::new(values, &[2, 4, 4], Domain::uniform(-1.0, 1.0)).expect("an input")
}

fn explain(plan: &Plan) -> Attribution {
    Explainer::new(&model()).explain(&input(), Target::Index(0), plan).expect("a map")
}

/// The activations `[channel][position]` at `values`, in double precision.
fn activations(values: &[f32]) -> [[f64; 4]; 2] {
    let pixel = |channel: usize, row: usize, column: usize| {
        f64::from(values[(channel * 4 + row) * 4 + column])
    };
    let block = |channel: usize, position: usize| {
        let (row, column) = (position / 2 * 2, position % 2 * 2);
        let sum: f64 = [(0, 0), (0, 1), (1, 0), (1, 1)]
            .into_iter()
            .map(|(down, along)| pixel(channel, row + down, column + along))
            .sum();
        sum.powi(2)
    };
    [0, 1].map(|channel| [0, 1, 2, 3].map(|position| block(channel, position)))
}

/// The map of a rule before negative values become 0.
fn map_at(rule: CamRule, values: &[f32]) -> [f64; 4] {
    let a = activations(values);
    let gradient = WEIGHTS.map(|weight| f64::from(weight) / 4.0);
    let weights = [0, 1].map(|k| match rule {
        CamRule::LayerCam => gradient[k].max(0.0),
        CamRule::GradCamPlusPlus => {
            let (g, sum) = (gradient[k], a[k].iter().sum::<f64>());
            4.0 * g.max(0.0) * g.powi(2) / (2.0 * g.powi(2) + sum * g.powi(3) + 1e-6)
        }
        _ => gradient[k],
    });
    [0, 1, 2, 3].map(|p| weights[0] * a[0][p] + weights[1] * a[1][p])
}

/// Enlarges 2 x 2 values to 4 x 4: the centres of the pixels lie at -1/4, 1/4, 3/4 and 5/4 positions.
fn enlarge(values: [f64; 4]) -> Vec<f64> {
    let shares = [0.0, 0.25, 0.75, 1.0];
    let pixel = |down: f64, along: f64| {
        let row = |a: f64, b: f64| a + along * (b - a);
        let (top, bottom) = (row(values[0], values[1]), row(values[2], values[3]));
        top + down * (bottom - top)
    };
    shares.iter().flat_map(|&down| shares.map(|along| pixel(down, along))).collect()
}

fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    for (value, expected) in found.iter().zip(expected) {
        assert!((f64::from(*value) - expected).abs() < 1e-5 * largest, "{what}: {found:?}");
    }
}

#[test]
fn maps_of_every_rule_have_their_closed_form() {
    for (rule, name) in CamRule::ALL {
        let map = explain(&Plan::gradient().cam(rule));
        let values = map_at(rule, input().values());
        if matches!(rule, CamRule::GradCam | CamRule::HiresCam) {
            assert!(values.iter().any(|&value| value < 0.0), "{name}: nothing becomes 0");
        }
        assert_close(&map.values, &enlarge(values.map(|value| value.max(0.0))), name);
        assert_eq!(map.shape, [1, 4, 4]);
        assert_eq!(map.layer.expect("a layer").name, "blocks");
        assert_eq!(map.standard_error, [0.0; 16]);
    }
}

/// The map of a sampler is the mean of its samples' maps, whatever the batches.
#[test]
fn smoothed_maps_are_means_over_the_samples() {
    const SAMPLES: u32 = 13;
    let sampler = Sampler::smoothgrad().samples(SAMPLES);
    let plan = Plan::gradient().cam(CamRule::GradCamPlusPlus).sampler(sampler).seed(5);
    let samples = (0..SAMPLES).map(|sample| {
        let point = sampler.draw(&input(), 5, sample).expect("a sample");
        map_at(CamRule::GradCamPlusPlus, &point)
    });
    let samples: Vec<[f64; 4]> = samples.collect();
    let n = f64::from(SAMPLES);
    let mean = [0, 1, 2, 3].map(|p| samples.iter().map(|map| map[p]).sum::<f64>() / n);
    let error = [0, 1, 2, 3].map(|p| {
        let squares: f64 = samples.iter().map(|map| (map[p] - mean[p]).powi(2)).sum();
        (squares / (n - 1.0) / n).sqrt()
    });
    for batch in [1, 5, 20] {
        let model = model();
        let explainer = Explainer::new(&model).batch(batch);
        let map = explainer.explain(&input(), Target::Index(0), &plan).expect("a map");
        assert_close(&map.values, &enlarge(mean.map(|value| value.max(0.0))), "map");
        assert_close(&map.standard_error, &enlarge(error), "standard error");
        assert_eq!((map.samples, map.gradients), (13, 13));
    }
}

#[test]
fn sampling_stops_at_the_requested_standard_error() {
    let plan = Plan::grad_cam().sampler(Sampler::smoothgrad().samples(5000)).until(0.1);
    let map = explain(&plan);
    assert!(map.samples < 5000 && map.relative_standard_error().expect("an error") <= 0.1);
}

#[test]
fn map_of_a_path_is_the_weighted_mean_over_its_nodes() {
    let path = Path::new(Baseline::Zero).quadrature(Quadrature::Midpoint).steps(4);
    let map = explain(&Plan::grad_cam().path(path));
    // The activations are quadratic in the position on the path from 0.
    let share = [0.125f64, 0.375, 0.625, 0.875].map(|a| a * a).iter().sum::<f64>() / 4.0;
    let clean = map_at(CamRule::GradCam, input().values());
    assert_close(&map.values, &enlarge(clean.map(|value| (value * share).max(0.0))), "path");
}

#[test]
fn impossible_maps_are_refused() {
    let error = |plan: &Plan| {
        let error = Explainer::new(&model()).explain(&input(), Target::Index(0), plan);
        error.expect_err("an error")
    };
    let unknown = error(&Plan::gradient().cam(Cam::new(CamRule::LayerCam).layer("block")));
    assert_eq!(unknown.kind(), ErrorKind::Layer);
    assert!(
        unknown.to_string().contains("\"block\"") && unknown.to_string().contains("\"blocks\"")
    );
    for readout in [Readout::TimesInput, Readout::TimesDifference] {
        let times = error(&Plan::grad_cam().readout(readout));
        assert!(times.to_string().contains("cannot be multiplied"), "{times}");
    }
    let flat = ModuleModel::<2>::new(&[32], &Device::flex(), |x: Tensor<2>| x);
    let input = Input::new(vec![0.5; 32], &[32], Domain::uniform(0.0, 1.0)).expect("an input");
    let refused = Explainer::new(&flat).explain(&input, Target::Index(0), &Plan::grad_cam());
    assert!(refused.expect_err("no layers").to_string().contains("does not expose its layers"));
}
