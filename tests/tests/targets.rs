//! Targets that combine several classes: their maps against combinations of the maps of single classes.

use attriburn::{
    Baseline, Domain, Explainer, Input, ModuleModel, Output, Plan, ScoreFunction, Target,
};
use burn::tensor::{Device, Tensor, TensorData};

/// A model with three classes and the logits `W x + 0.3 (W x)^2`.
fn model() -> ModuleModel<2> {
    let device = Device::flex();
    let weights = vec![1.0f32, -2.0, 0.5, 0.3, 0.7, -1.1, 2.0, 0.1, -0.4, 0.9, -0.6, 1.3];
    let weights = TensorData::new(weights, [4, 3]);
    let weights = Tensor::<2>::from_data(weights, &device);
    ModuleModel::new(&[4], &device, move |x: Tensor<2>| {
        let scores = x.matmul(weights.clone());
        scores.clone() + scores.powi_scalar(2) * 0.3
    })
}

fn input() -> Input {
    Input::new(vec![0.2, 0.9, 0.4, 0.7], &[4], Domain::uniform(0.0, 1.0)).expect("an input")
}

fn map(plan: &Plan, target: Target) -> Vec<f32> {
    let model = model();
    let map = Explainer::new(&model).explain(&input(), target, plan);
    map.expect("a map").values
}

fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-5, "{found}, expected {expected}");
    }
}

fn plans() -> [Plan; 3] {
    [Plan::gradient(), Plan::adaptgrad().samples(9), Plan::integrated_gradients(Baseline::Black)]
}

#[test]
fn map_of_a_difference_is_the_difference_of_maps() {
    for plan in plans() {
        let [first, second] = [0, 2].map(|class| map(&plan, Target::Index(class)));
        let expected: Vec<f64> =
            first.iter().zip(&second).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
        assert_close(&map(&plan, Target::Difference { class: 0, other: 2 }), &expected);
        let negative: Vec<f64> = first.iter().map(|a| -f64::from(*a)).collect();
        assert_close(&map(&plan, Target::Against(0)), &negative);
    }
}

/// A contrast is the log-odds of a class among the top classes. Its gradient is the gradient of the class
/// minus those of the other classes, weighted by the softmax over the others.
#[test]
fn contrast_weights_other_classes_by_their_softmax() {
    let model = model();
    let prediction = Explainer::new(&model).predict(&input()).expect("a prediction");
    let ranking = prediction.ranking();
    let exp = |class: usize| f64::from(prediction.logits()[class]).exp();
    let gradients: Vec<Vec<f32>> =
        ranking.iter().map(|&class| map(&Plan::gradient(), Target::Index(class))).collect();
    let others = exp(ranking[1]) + exp(ranking[2]);
    let expected: Vec<f64> = (0..4)
        .map(|at| {
            let gradient = |rank: usize| f64::from(gradients[rank][at]);
            let weighted = exp(ranking[1]) * gradient(1) + exp(ranking[2]) * gradient(2);
            gradient(0) - weighted / others
        })
        .collect();
    assert_close(&map(&Plan::gradient(), Target::Contrast { class: None, top: 3 }), &expected);
    // The contrast of the top two classes is their difference.
    let pair = Target::Difference { class: ranking[0], other: ranking[1] };
    let difference: Vec<f64> = map(&Plan::gradient(), pair).into_iter().map(f64::from).collect();
    assert_close(&map(&Plan::gradient(), Target::Contrast { class: None, top: 2 }), &difference);
}

/// A map of Integrated Gradients sums to the difference of the scores of its end points, for every target.
#[test]
fn path_maps_are_complete_for_every_target() {
    let model = model();
    let plan = Plan::integrated_gradients(Baseline::Black);
    let sum = ScoreFunction::new("squares", |outputs| {
        let rows = outputs.dims()[0];
        outputs.powi_scalar(2).sum_dim(1).reshape([rows])
    });
    for target in [
        Target::Difference { class: 1, other: 0 },
        Target::Contrast { class: Some(2), top: 3 },
        Target::Against(1),
        Target::Function(sum),
    ] {
        let map = Explainer::new(&model).explain(&input(), target.clone(), &plan);
        let gap = map.expect("a map").completeness_gap.expect("a gap");
        assert!(gap < 1e-5, "{target:?}: {gap}");
    }
}

#[test]
fn score_functions_are_differentiated_and_checked() {
    let difference = ScoreFunction::new("first minus last", |outputs| {
        let rows = outputs.dims()[0];
        let column = |at| outputs.clone().narrow(1, at, 1);
        (column(0) - column(2)).reshape([rows])
    });
    for plan in plans() {
        let expected = map(&plan, Target::Difference { class: 0, other: 2 });
        let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
        assert_close(&map(&plan, Target::Function(difference.clone())), &expected);
    }
    let wrong = ScoreFunction::new("one score for all", |outputs| outputs.sum());
    let model = model();
    let plan = Plan::adaptgrad().samples(4);
    let error = Explainer::new(&model).explain(&input(), Target::Function(wrong), &plan);
    let message = error.expect_err("a wrong shape").to_string();
    assert!(message.contains("\"one score for all\" gives 1 scores for 4 samples"), "{message}");
}

#[test]
fn probabilities_support_differences_but_not_contrasts() {
    let plan = Plan::gradient().output(Output::Probability);
    let [first, second] = [0, 1].map(|class| map(&plan, Target::Index(class)));
    let expected: Vec<f64> =
        first.iter().zip(&second).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
    assert_close(&map(&plan, Target::Difference { class: 0, other: 1 }), &expected);
    let model = model();
    let target = Target::Contrast { class: None, top: 3 };
    let error = Explainer::new(&model)
        .explain(&input(), target, &plan)
        .expect_err("a contrast needs logits");
    assert!(error.to_string().starts_with("output is probability"), "{error}");
}
