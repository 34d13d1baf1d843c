//! Nested plans (parameter draws, samples, path nodes) with budgets and early stopping, and maps that share
//! batches.

use attriburn::{
    Attribution, Baseline, Domain, Estimate, Explainer, Input, Model, ModuleModel, Path, Plan,
    Quadrature, Sampler, Score, Target, Task, WidthRule,
};
use attriburn_evaluate::{Method, Settings};
use attriburn_onnx::{Loader, OnnxModel};
use attriburn_tests::{array, data, efficientnet, relative_l2};
use burn::tensor::{Device, Tensor};

fn plan(name: &str, settings: &Settings) -> Plan {
    Method::named(name).expect("a method").plan(settings).expect("a plan")
}

fn map(model: &dyn Model, plan: &Plan, input: &Input, batch: Option<usize>) -> Attribution {
    let explainer = Explainer::new(model).batch(batch);
    explainer.explain(input, Target::Predicted, plan).unwrap_or_else(|error| panic!("{error}"))
}

/// The model `F(x) = sum x^3`.
fn cubic(device: &Device) -> ModuleModel<2> {
    ModuleModel::new(&[6], device, |x: Tensor<2>| x.powi_scalar(3).sum_dim(1))
}

fn input() -> Input {
    let values = vec![0.9, -0.4, 0.1, 0.6, -0.8, 0.3];
    Input::new(values, &[6], Domain::uniform(-1.0, 1.5)).expect("an input")
}

/// With a budget for two of four nodes, each sample takes a node `2 w` times on average and at most once.
///
/// The derivative of the model's element `e` is 1 at node `e` and 0 at the other nodes, so from baseline 0 to input 1 the
/// map is the share of the samples' nodes that are node `e`. The noise is too narrow to matter.
#[test]
fn nodes_are_chosen_in_proportion_to_their_weights() {
    let nodes = Quadrature::GaussLegendre.nodes(4);
    let positions: Vec<f32> = nodes.iter().map(|(position, _)| *position as f32).collect();
    let model = ModuleModel::<2>::new(&[4], &Device::flex(), move |x: Tensor<2>| {
        // A function whose derivative is the Lagrange polynomial of a node: its value is that of `x` minus a constant,
        // times a derivative that is detached.
        let value = |e: usize| {
            let own = x.clone().narrow(1, e, 1);
            let others = positions.iter().enumerate().filter(|(k, _)| *k != e);
            let slope = others.fold(own.clone().detach().ones_like(), |product, (_, a)| {
                product * (own.clone().detach() - *a) / (positions[e] - a)
            });
            own * slope
        };
        Tensor::cat((0..4).map(value).collect(), 1).sum_dim(1)
    });
    let input = Input::new(vec![1.0; 4], &[4], Domain::uniform(0.0, 2.0)).expect("an input");
    let samples = 20_000;
    let sampler = Sampler::new(WidthRule::Absolute { sigma: 1e-6 });
    let plan = Plan::integrated_gradients(Baseline::Zero).path(Path::new(Baseline::Zero).steps(4));
    let plan = plan.sampler(sampler).samples(samples).budget(2 * u64::from(samples)).seed(3);
    let map = map(&model, &plan, &input, Some(5000));
    assert_eq!(map.gradients, 2 * u64::from(samples));
    for ((_, weight), &share) in nodes.into_iter().zip(&map.values) {
        let p = 2.0 * weight;
        let count = 2.0 * f64::from(share) * f64::from(samples);
        let spread = (p * (1.0 - p) * f64::from(samples)).sqrt();
        let z = (count - p * f64::from(samples)) / spread;
        assert!(z.abs() < 4.5, "{count} for the weight {weight}: {z:.1} standard errors");
    }
}

/// Returns the mean and the standard deviation, over all elements, of the difference of two maps in joint
/// standard errors.
fn joint_z_scores(a: &Attribution, b: &Attribution) -> (f64, f64) {
    let values = a.values.iter().zip(&b.values).zip(a.standard_error.iter().zip(&b.standard_error));
    let scores: Vec<f64> = values
        .filter(|(_, (first, second))| **first > 0.0 && **second > 0.0)
        .map(|((a, b), (first, second))| {
            f64::from(a - b) / f64::from(*first).hypot(f64::from(*second))
        })
        .collect();
    let n = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / n;
    (mean, (scores.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// For `F = sum x^3`, a path from `b` and noise of variance `s^2`, the expected map does not depend on the
/// budget: `x^3 - b^3 + 3 s^2 (x - b)`. Here `b` is 0.
#[test]
fn budget_does_not_bias_a_map() {
    let model = cubic(&Device::flex());
    for (budget, samples, nodes) in [
        (40_000, 4000, 10),
        (12_000, 4000, 3),
        (4000, 4000, 1),
        (2500, 2500, 1),
        (99_999, 4000, 20),
    ] {
        let settings = Settings::with(|settings| {
            settings.samples = 4000;
            settings.sigma = Some(0.3);
            settings.steps = 20;
            settings.budget = Some(budget);
        });
        let plan = plan("s-ig-zero", &settings);
        let sizes = plan.sizes();
        assert_eq!((sizes.draws, sizes.samples, sizes.nodes), (1, samples, nodes));
        let map = map(&model, &plan, &input(), Some(500));
        assert_eq!((map.gradients, map.samples), (samples * nodes, samples));
        for (e, &x) in input().values().iter().enumerate() {
            let expected = x.powi(3) + 3.0 * 0.09 * x;
            let (difference, error) = (map.values[e] - expected, map.standard_error[e]);
            assert!(
                difference.abs() < 4.5 * error,
                "{budget}: {}, expected {expected} +- {error}",
                map.values[e]
            );
        }
        let explainer = Explainer::new(&model).batch(37);
        let small_batches = explainer.explain(&input(), Target::Predicted, &plan).expect("a map");
        assert!(relative_l2(&small_batches.values, &map.values) < 1e-5, "{budget}");
    }
}

#[test]
fn budget_is_spent_on_draws_then_samples_then_nodes() {
    let mut plan = plan("a-ng", &Settings::default());
    plan.path = Plan::integrated_gradients(Baseline::Zero).path;
    for (budget, expected) in [
        (1, (1, 1, 1)),
        (30, (30, 1, 1)),
        (500, (50, 10, 1)),
        (5000, (50, 50, 2)),
        (125_000, (50, 50, 50)),
        (999_999, (50, 50, 50)),
    ] {
        plan.budget = Some(budget);
        let sizes = plan.sizes();
        assert_eq!((sizes.draws, sizes.samples, sizes.nodes), expected, "{budget}");
        assert!(plan.gradients() <= budget);
    }
    for estimate in [Estimate::Square, Estimate::Variance] {
        let reduced = plan.clone().budget(5000).estimate(estimate);
        let message = reduced.check().expect_err("incomplete paths").to_string();
        assert!(message.contains("whole paths"), "{message}");
        assert!(reduced.budget(125_000).check().is_ok());
    }
    let flat = Plan::adaptgrad().budget(10);
    let message = flat.check().expect_err("not nested").to_string();
    assert!(message.contains("budget is 10"), "{message}");
}

#[test]
fn map_of_efficientnet_with_a_budget_agrees_with_the_full_map() {
    let model = OnnxModel::load(efficientnet(), &Device::flex()).expect("the model");
    let values = array(&data("efficientnet-lite0/input.npy")).values;
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let bound = |pixel: f32| (0..3).map(|c| (pixel - mean[c]) / std[c]).collect();
    let domain = Domain::per_channel(bound(0.0), bound(1.0));
    let input = Input::new(values, &[3, 224, 224], domain).expect("an input");
    let settings = Settings::with(|settings| {
        settings.samples = 24;
        settings.steps = 8;
    });
    let full = map(&model, &plan("a-ig-black", &settings), &input, None);
    let settings = settings.clone().changed(|settings| {
        settings.budget = Some(48);
        settings.seed = 1;
    });
    let budgeted = map(&model, &plan("a-ig-black", &settings), &input, None);
    assert_eq!((full.gradients, budgeted.gradients), (192, 48));
    let (mean, deviation) = joint_z_scores(&full, &budgeted);
    let errors = (full.relative_standard_error(), budgeted.relative_standard_error());
    println!(
        "z-scores: mean {mean:.3}, deviation {deviation:.3}; relative standard errors {errors:?}"
    );
    assert!(mean.abs() < 0.05, "mean {mean}");
    // With 24 samples the z-scores follow Student's t-distribution, whose deviation is slightly above 1.
    assert!((0.9..1.15).contains(&deviation), "deviation {deviation}");
}

#[test]
fn map_stops_at_the_requested_standard_error() {
    let model = cubic(&Device::flex());
    let smooth = Settings::with(|settings| {
        settings.samples = 5000;
        settings.alpha = 0.1;
    });
    for (name, settings) in [
        ("smoothgrad", smooth.clone()),
        ("s-ig-zero", smooth.clone().changed(|settings| settings.steps = 3)),
    ] {
        for until in [0.2, 0.05, 0.02] {
            let settings = settings.clone().changed(|settings| settings.until = Some(until));
            let plan = plan(name, &settings);
            let stopped = map(&model, &plan, &input(), Some(64));
            let error = stopped.relative_standard_error().expect("an error");
            assert!(error <= until && stopped.samples < 5000, "{name}: {error}, limit {until}");
            // With a quarter of the samples fewer, the error is above the limit.
            let fewer = (stopped.samples * 3 / 4) as u32;
            if stopped.samples > 8 {
                let mut fewer = plan.clone().samples(fewer);
                fewer.until = None;
                let fewer = map(&model, &fewer, &input(), None);
                assert!(fewer.relative_standard_error().expect("an error") > until, "{name}");
            }
            for batch in [1, 7, 100] {
                let other = map(&model, &plan, &input(), Some(batch));
                assert_eq!((other.samples, other.gradients), (stopped.samples, stopped.gradients));
            }
        }
    }
    // If the error stays above the limit, the map ends with the maximum number of samples.
    let settings = smooth.clone().changed(|settings| {
        settings.until = Some(1e-6);
        settings.samples = 30;
    });
    let plan = plan("smoothgrad", &settings);
    assert_eq!(map(&model, &plan, &input(), None).samples, 30);
}

#[test]
fn parameter_draws_stop_at_the_requested_standard_error() {
    let folder = data("zoo/mlp");
    let loader = Loader::new(&Device::flex()).parameters(true);
    let model = loader.load(folder.join("model.onnx")).expect("a model");
    let rows = array(&folder.join("input.npy"));
    let row = rows.values[..rows.values.len() / 2].to_vec();
    let input = Input::new(row, &rows.shape[1..], Domain::uniform(-3.0, 3.0)).expect("an input");
    let settings = Settings::with(|settings| {
        settings.samples = 3;
        settings.weight_samples = 400;
        settings.until = Some(0.1);
    });
    for name in ["ng", "a-ng"] {
        let plan = plan(name, &settings);
        let stopped = map(&model, &plan, &input, None);
        let draws = stopped.gradients / plan.sizes().samples;
        assert!((8..400).contains(&draws), "{name}: {draws}");
        assert!(stopped.relative_standard_error().expect("an error") <= 0.1);
        assert_eq!(map(&model, &plan, &input, Some(2)).gradients, stopped.gradients);
    }
}

/// A map does not depend on the other maps that share its batches.
#[test]
fn maps_that_share_batches_equal_separate_maps() {
    let device = Device::flex();
    // Class `i` is the partial sum of the first `i + 1` terms.
    let model = ModuleModel::new(&[6], &device, |x: Tensor<2>| x.powi_scalar(3).cumsum(1));
    let inputs: Vec<Input> = (0..5)
        .map(|shift| {
            let values = input().values().iter().map(|x| x - 0.1 * shift as f32).collect();
            Input::new(values, &[6], Domain::uniform(-1.5, 1.5)).expect("an input")
        })
        .collect();
    let settings = Settings::with(|settings| {
        settings.samples = 9;
        settings.steps = 4;
    });
    let budgeted = settings.clone().changed(|settings| settings.budget = Some(18));
    let stopping = settings.clone().changed(|settings| {
        settings.until = Some(0.3);
        settings.samples = 200;
    });
    for (name, settings) in [
        ("gradient", &settings),
        ("adaptgrad", &settings),
        ("a-ig-black", &settings),
        ("a-ig-black", &budgeted),
        ("smoothgrad", &stopping),
    ] {
        let plan = plan(name, settings);
        for batch in [None, Some(1), Some(10)] {
            let explainer = Explainer::new(&model).batch(batch);
            let all: Vec<&Input> = inputs.iter().collect();
            let predictions = explainer.predict_all(&all);
            let predictions: Vec<_> =
                predictions.into_iter().map(|prediction| prediction.expect("finite")).collect();
            let (targets, tasks): (Vec<Target>, Vec<Task>) = inputs
                .iter()
                .zip(&predictions)
                .enumerate()
                .map(|(class, (input, prediction))| {
                    let target = match class {
                        0 => Target::Against(0),
                        1 => Target::Difference { class: 1, other: 0 },
                        class => Target::Index(class),
                    };
                    let score = prediction.score(&target).expect("a score");
                    (target, explainer.task_with(input, prediction, score).expect("a task"))
                })
                .unzip();
            let maps = explainer.explain_all(&tasks, &plan).expect("maps");
            for ((target, task), map) in targets.into_iter().zip(&tasks).zip(maps) {
                let map = map.expect("a map");
                let separate = explainer.explain(task.input(), target, &plan);
                let separate = separate.expect("a map");
                assert_eq!((&map.score, map.samples), (task.score(), separate.samples), "{name}");
                assert!(relative_l2(&map.values, &separate.values) < 1e-6, "{name}");
                let errors = relative_l2(&map.standard_error, &separate.standard_error);
                assert!(errors < 1e-5, "{name}");
            }
        }
    }
}

/// An error of one input does not affect the other inputs of the call.
#[test]
fn failing_input_does_not_affect_others() {
    let device = Device::flex();
    let model = ModuleModel::<2>::new(&[2], &device, |x: Tensor<2>| x.log());
    let domain = || Domain::uniform(-1.0, 2.0);
    let good = Input::new(vec![1.0, 0.5], &[2], domain()).expect("an input");
    let bad = Input::new(vec![1.0, -0.5], &[2], domain()).expect("an input");
    let wrong_shape = Input::new(vec![1.0; 3], &[3], domain()).expect("an input");
    let explainer = Explainer::new(&model);
    let predictions = explainer.predict_all(&[&bad, &wrong_shape, &good]);
    let [first, second, third] = &predictions[..] else {
        panic!("three predictions");
    };
    assert!(first.as_ref().expect_err("not finite").to_string().contains("not finite"));
    assert!(second.as_ref().expect_err("a wrong shape").to_string().contains("shape"));
    let prediction = third.as_ref().expect("finite");
    let task = |input| explainer.task_with(input, prediction, Score::Class(1)).expect("a task");
    let maps = explainer.explain_all(&[task(&good), task(&good)], &Plan::gradient());
    assert!(maps.expect("maps").iter().all(Result::is_ok));
    let edge = Input::new(vec![1.0, 0.0], &[2], domain()).expect("an input");
    let maps = explainer.explain_all(&[task(&edge), task(&good)], &Plan::gradient());
    let maps = maps.expect("maps");
    assert!(maps[0].is_err() && maps[1].is_ok());
}
