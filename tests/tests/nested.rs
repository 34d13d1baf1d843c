//! Budgets, stopping early, and maps that share batches.

use attriburn::{
    Attribution, Baseline, Domain, Estimate, Explainer, Input, Method, Model, ModuleModel, Plan,
    Score, Settings, Target, Task,
};
use attriburn_onnx::{Loader, OnnxModel};
use attriburn_tests::{array, data, efficientnet, relative_l2};
use burn::tensor::{Device, Tensor};

fn plan(name: &str, settings: &Settings) -> Plan {
    Method::named(name).expect("a method").plan(settings).expect("a plan")
}

fn map(model: &dyn Model, plan: &Plan, input: &Input, batch: Option<usize>) -> Attribution {
    let explainer = Explainer::new(model).batch(batch);
    explainer.explain(plan, input, Target::Predicted).unwrap_or_else(|error| panic!("{error}"))
}

/// `sum x^3`.
fn cubic(device: &Device) -> ModuleModel<2> {
    ModuleModel::new(&[6], device, |x: Tensor<2>| x.powi_scalar(3).sum_dim(1))
}

fn input() -> Input {
    let values = vec![0.9, -0.4, 0.1, 0.6, -0.8, 0.3];
    Input::new(values, &[6], Domain::uniform(-1.0, 1.5)).expect("an input")
}

/// How far two maps are from each other in joint standard errors: the mean and the spread.
fn agreement(a: &Attribution, b: &Attribution) -> (f64, f64) {
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

/// Of `x^3` along a path from `b` with noise of variance `s^2` the map is
/// `x^3 - b^3 + 3 s^2 (x - b)`, here from 0 and whatever the budget.
#[test]
fn a_budget_does_not_move_a_map() {
    let model = cubic(&Device::flex());
    for (budget, samples, nodes) in [
        (40_000, 4000, 10),
        (12_000, 4000, 3),
        (4000, 4000, 1),
        (2500, 2500, 1),
        (99_999, 4000, 20),
    ] {
        let settings = Settings {
            samples: 4000,
            sigma: Some(0.3),
            steps: 20,
            budget: Some(budget),
            ..Settings::default()
        };
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
                "{budget}: {} for {expected} +- {error}",
                map.values[e]
            );
        }
        let cut = Explainer::new(&model).batch(Some(37));
        let cut = cut.explain(&plan, &input(), Target::Predicted).expect("a map");
        assert!(relative_l2(&cut.values, &map.values) < 1e-5, "{budget}");
    }
}

#[test]
fn draws_come_first_then_samples_then_nodes() {
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
        let cut = Plan { budget: Some(5000), estimate, ..plan.clone() };
        assert!(cut.check().expect_err("other gradients").to_string().contains("whole paths"));
        assert!(Plan { budget: Some(125_000), ..cut }.check().is_ok());
    }
    let flat = Plan { budget: Some(10), ..Plan::adaptgrad() };
    let message = flat.check().expect_err("not nested").to_string();
    assert!(message.contains("budget is 10"), "{message}");
}

#[test]
fn budgeted_and_full_maps_of_efficientnet_agree() {
    let model = OnnxModel::load(efficientnet(), &Device::flex()).expect("the model");
    let values = array(&data("efficientnet-lite0/input.npy")).values;
    let (mean, spread) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let bound = |pixel: f32| (0..3).map(|c| (pixel - mean[c]) / spread[c]).collect();
    let domain = Domain::per_channel(bound(0.0), bound(1.0));
    let input = Input::new(values, &[3, 224, 224], domain).expect("an input");
    let settings = Settings { samples: 24, steps: 8, ..Settings::default() };
    let full = map(&model, &plan("a-ig-black", &settings), &input, None);
    let settings = Settings { budget: Some(48), seed: 1, ..settings };
    let budgeted = map(&model, &plan("a-ig-black", &settings), &input, None);
    assert_eq!((full.gradients, budgeted.gradients), (192, 48));
    let (mean, spread) = agreement(&full, &budgeted);
    let errors = (full.relative_standard_error(), budgeted.relative_standard_error());
    println!("mean {mean:.3}, spread {spread:.3}; relative standard errors {errors:?}");
    assert!(mean.abs() < 0.05, "mean {mean}");
    // Of 24 samples each the differences follow Student's distribution, a little wider than 1.
    assert!((0.9..1.15).contains(&spread), "spread {spread}");
}

#[test]
fn a_map_stops_where_it_is_told_to() {
    let model = cubic(&Device::flex());
    let smooth = Settings { samples: 5000, alpha: 0.1, ..Settings::default() };
    for (name, settings) in
        [("smoothgrad", smooth.clone()), ("s-ig-zero", Settings { steps: 3, ..smooth.clone() })]
    {
        for until in [0.2, 0.05, 0.02] {
            let plan = plan(name, &Settings { until: Some(until), ..settings.clone() });
            let whole = map(&model, &plan, &input(), Some(64));
            let error = whole.relative_standard_error().expect("an error");
            assert!(error <= until && whole.samples < 5000, "{name}: {error} for {until}");
            // A quarter of the samples fewer were not enough.
            let fewer = (whole.samples * 3 / 4) as u32;
            if whole.samples > 8 {
                let fewer = Plan { until: None, samples: fewer, ..plan.clone() };
                let fewer = map(&model, &fewer, &input(), None);
                assert!(fewer.relative_standard_error().expect("an error") > until, "{name}");
            }
            for batch in [1, 7, 100] {
                let cut = map(&model, &plan, &input(), Some(batch));
                assert_eq!((cut.samples, cut.gradients), (whole.samples, whole.gradients));
            }
        }
    }
    // The limit holds where the error stays above.
    let plan = plan("smoothgrad", &Settings { until: Some(1e-6), samples: 30, ..smooth });
    assert_eq!(map(&model, &plan, &input(), None).samples, 30);
}

#[test]
fn draws_of_the_parameters_stop_as_well() {
    let folder = data("zoo/mlp");
    let loader = Loader::new(&Device::flex()).parameters(true);
    let model = loader.load(folder.join("model.onnx")).expect("a model");
    let rows = array(&folder.join("input.npy"));
    let row = rows.values[..rows.values.len() / 2].to_vec();
    let input = Input::new(row, &rows.shape[1..], Domain::uniform(-3.0, 3.0)).expect("an input");
    let settings =
        Settings { samples: 3, weight_samples: 400, until: Some(0.1), ..Settings::default() };
    for name in ["ng", "a-ng"] {
        let plan = plan(name, &settings);
        let whole = map(&model, &plan, &input, None);
        let draws = whole.gradients / plan.sizes().samples;
        assert!((8..400).contains(&draws), "{name}: {draws}");
        assert!(whole.relative_standard_error().expect("an error") <= 0.1);
        assert_eq!(map(&model, &plan, &input, Some(2)).gradients, whole.gradients);
    }
}

/// A map is what it would be alone, whatever shares its batches.
#[test]
fn maps_share_batches_without_a_trace() {
    let device = Device::flex();
    // Each sum up to a term is a class of its own.
    let model = ModuleModel::new(&[6], &device, |x: Tensor<2>| x.powi_scalar(3).cumsum(1));
    let inputs: Vec<Input> = (0..5)
        .map(|shift| {
            let values = input().values().iter().map(|x| x - 0.1 * shift as f32).collect();
            Input::new(values, &[6], Domain::uniform(-1.5, 1.5)).expect("an input")
        })
        .collect();
    let settings = Settings { samples: 9, steps: 4, ..Settings::default() };
    let budgeted = Settings { budget: Some(18), ..settings.clone() };
    let stopping = Settings { until: Some(0.3), samples: 200, ..settings.clone() };
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
                    (target, Task { input, score, prediction })
                })
                .unzip();
            let together = explainer.explain_all(&plan, &tasks).expect("maps");
            for ((target, task), map) in targets.into_iter().zip(&tasks).zip(together) {
                let map = map.expect("a map");
                let alone = explainer.explain(&plan, task.input, target);
                let alone = alone.expect("a map");
                assert_eq!((&map.score, map.samples), (&task.score, alone.samples), "{name}");
                assert!(relative_l2(&map.values, &alone.values) < 1e-6, "{name}");
                assert!(relative_l2(&map.standard_error, &alone.standard_error) < 1e-5, "{name}");
            }
        }
    }
}

/// What is wrong with one input does not touch the others.
#[test]
fn one_input_may_fail_among_others() {
    let device = Device::flex();
    let model = ModuleModel::<2>::new(&[2], &device, |x: Tensor<2>| x.log());
    let domain = || Domain::uniform(-1.0, 2.0);
    let good = Input::new(vec![1.0, 0.5], &[2], domain()).expect("an input");
    let bad = Input::new(vec![1.0, -0.5], &[2], domain()).expect("an input");
    let other = Input::new(vec![1.0; 3], &[3], domain()).expect("an input");
    let explainer = Explainer::new(&model);
    let predictions = explainer.predict_all(&[&bad, &other, &good]);
    let [first, second, third] = &predictions[..] else {
        panic!("three predictions");
    };
    assert!(first.as_ref().expect_err("not finite").to_string().contains("not finite"));
    assert!(second.as_ref().expect_err("another shape").to_string().contains("shape"));
    let prediction = third.as_ref().expect("finite");
    let task = |input| Task { input, score: Score::Class(1), prediction };
    let maps = explainer.explain_all(&Plan::gradient(), &[task(&good), task(&good)]);
    assert!(maps.expect("maps").iter().all(Result::is_ok));
    let edge = Input::new(vec![1.0, 0.0], &[2], domain()).expect("an input");
    let maps = explainer.explain_all(&Plan::gradient(), &[task(&edge), task(&good)]);
    let maps = maps.expect("maps");
    assert!(maps[0].is_err() && maps[1].is_ok());
}
