//! Metrics against public implementations. Tests against closed forms are beside each metric.

use std::path::Path;

use attriburn::{Domain, Explainer, Input, ModuleModel, Scale};
use attriburn_metrics::{
    MIN_PROBABILITY, Region, RevealSchedule, Segmentation, box_precision, gini, overlap,
    paired_t_test, reveal, selective_search, spearman, ssim, unit_distance,
};
use attriburn_tests::{array, data};
use burn::tensor::{Device, Tensor, TensorData};

#[test]
fn metrics_match_public_implementations() {
    let folder = data("metrics");
    let (a, b) = (array(&folder.join("a.npy")), array(&folder.join("b.npy")).values);
    let (&[height, width], a) = (&a.shape[..], a.values) else { panic!("two axes") };
    let magnitudes = |values: &[f32]| values.iter().map(|value| value.abs()).collect::<Vec<_>>();
    let rank = spearman(&a, &b).expect("a correlation");
    let few = spearman(&a[..12], &b[..12]).expect("a correlation");
    let doubles = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
    let paired = paired_t_test(&doubles(&a[..40]), &doubles(&b[..40])).expect("a test");
    let text = std::fs::read_to_string(folder.join("expected.txt")).expect("the values");
    let mut count = 0;
    for line in text.lines() {
        let (name, expected) = line.split_once('\t').expect("a name and a value");
        let expected: f64 = expected.parse().expect("a number");
        let value = match name {
            "spearman" => rank.coefficient,
            "spearman p of 12" => few.p_value,
            "paired t p" => paired.p_value,
            "ssim" => ssim(&a, &b, height, width).expect("a similarity"),
            "gini" => gini(&a).expect("an index"),
            "unit distance" => unit_distance(&a, &b).expect("a distance"),
            "overlap" => overlap(&magnitudes(&a), &magnitudes(&b), 0.05).expect("a share"),
            other => panic!("{other} has no metric"),
        };
        assert!((value - expected).abs() < 1e-6, "{name}: {value}, expected {expected}");
        count += 1;
    }
    assert_eq!(count, 7);
}

/// A model of two classes whose logits differ by `weights . x - offset`.
fn linear(weights: &[f32], shape: &[usize], offset: f64) -> ModuleModel<4> {
    let device = Device::flex();
    let weights = TensorData::new(weights.to_vec(), [1, weights.len()]);
    let weights = Tensor::<2>::from_data(weights, &device);
    ModuleModel::new(shape, &device, move |x: Tensor<4>| {
        let rows = x.dims()[0];
        let logit = (x.reshape([rows as i32, -1]) * weights.clone()).sum_dim(1) - offset;
        Tensor::cat(vec![logit.clone(), logit * 0.0], 1)
    })
}

/// Converts `[height, width, 3]` to `[3, height, width]`.
fn planes(values: &[f32]) -> Vec<f32> {
    (0..3).flat_map(|channel| values.iter().copied().skip(channel).step_by(3)).collect()
}

/// SIC and AIC are means over random masks, and the masks differ from those of the reference.
#[test]
fn information_curves_match_pair_saliency() {
    let folder = data("metrics");
    let picture = array(&folder.join("picture.npy"));
    let shape = [3, picture.shape[0], picture.shape[1]];
    let values = planes(&picture.values).iter().map(|value| value / 255.0).collect();
    let input = Input::new(values, &shape, Domain::uniform(0.0, 1.0)).expect("an input");
    let weights = planes(&array(&folder.join("weights.npy")).values);
    let scores = array(&folder.join("scores.npy")).values;
    let text = std::fs::read_to_string(folder.join("information.txt")).expect("the areas");
    for line in text.lines() {
        let [name, expected, error] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("three columns")
        };
        let [expected, error]: [f64; 2] = [expected, error].map(|x| x.parse().expect("a number"));
        // The reference counts a class as predicted from a probability of 0.9 on.
        let offset = if name == "aic" { 9f64.ln() } else { 0.0 };
        let model = linear(&weights, &shape, offset);
        let area = |seed| {
            let settings = RevealSchedule::new(seed);
            let revealed = reveal(&Explainer::new(&model), &input, 0, &scores, &settings);
            let revealed = revealed.expect("revealed images");
            let curve = match name {
                "aic" => revealed.accuracy(),
                _ => revealed.softmax(MIN_PROBABILITY),
            };
            curve.expect("a curve").area()
        };
        let areas: Vec<f64> = (0..40).map(area).collect();
        let mean = areas.iter().sum::<f64>() / 40.0;
        println!("{name}: {mean:.4}, expected {expected:.4} +- {error:.4}");
        assert!((mean - expected).abs() < 1e-2, "{name}: {mean}, expected {expected}");
    }
}

#[test]
fn boxes_match_selectivesearch() {
    let folder = data("metrics");
    for index in 0..3 {
        let map = array(&folder.join(format!("map-{index}.npy")));
        let scale = Scale::of(&map.values);
        let byte = |&value: &f32| f64::from((255.0 * scale.strength(value)).round()) / 255.0;
        let grey: Vec<f64> = map.values.iter().map(byte).collect();
        let width = map.shape[1];
        let settings = Segmentation::adaptgrad();
        let expected = array(&folder.join(format!("segments-{index}.npy"))).values;
        let found = settings.segments(&grey, width).expect("segments");
        let wrong = found.iter().zip(&expected).filter(|&(&a, &b)| a as f32 != b).count();
        assert_eq!(wrong, 0, "pixels of map {index} in a wrong segment");
        let mut boxes: Vec<[usize; 4]> = selective_search(&grey, width, &settings)
            .expect("boxes")
            .iter()
            .map(|region| [region.left, region.top, region.right, region.bottom])
            .collect();
        boxes.sort_unstable();
        assert_eq!(boxes, rectangles(&folder.join(format!("boxes-{index}.txt"))), "map {index}");
    }
}

/// The precision of the reference boxes of each map. The objects are the whole image, or boxes of another
/// map.
#[test]
fn box_precision_matches_selectivesearch() {
    let folder = data("metrics");
    let region = |[left, top, right, bottom]: [usize; 4]| Region { left, top, right, bottom };
    for index in 0..3 {
        let map = array(&folder.join(format!("map-{index}.npy")));
        let [found, others] = [index, (index + 1) % 3].map(|index| {
            let boxes = rectangles(&folder.join(format!("boxes-{index}.txt")));
            boxes.into_iter().map(region).collect::<Vec<Region>>()
        });
        let whole = Region { left: 0, top: 0, right: map.shape[1], bottom: map.shape[0] };
        for objects in [vec![whole], others[others.len() / 2..].to_vec()] {
            let overlap = |a: &Region, b: &Region| {
                let side = |a: (usize, usize), b: (usize, usize)| {
                    a.1.min(b.1) as f64 - a.0.max(b.0) as f64
                };
                let across = side((a.left, a.right), (b.left, b.right)).max(0.0);
                let down = side((a.top, a.bottom), (b.top, b.bottom)).max(0.0);
                let both = across * down;
                both / ((a.area() + b.area()) as f64 - both)
            };
            let hits = found.iter().filter(|f| objects.iter().any(|o| overlap(f, o) >= 0.5));
            let expected = hits.count() as f64 / found.len() as f64;
            let settings = Segmentation::adaptgrad();
            let precision = box_precision(&map.values, map.shape[1], &objects, &settings);
            let precision = precision.expect("a precision");
            println!("map {index}: {precision:.4} of {} boxes", found.len());
            assert!((precision - expected).abs() < 1e-12, "{precision}, expected {expected}");
        }
    }
}

/// Reads boxes `[left, top, right, bottom]`, sorted.
fn rectangles(path: &Path) -> Vec<[usize; 4]> {
    let text = std::fs::read_to_string(path).expect("the boxes");
    let numbers = |line: &str| line.split(' ').map(|n| n.parse().expect("a number")).collect();
    let mut boxes: Vec<[usize; 4]> =
        text.lines().map(|line| Vec::try_into(numbers(line)).expect("four numbers")).collect();
    boxes.sort_unstable();
    boxes
}
