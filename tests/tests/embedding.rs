//! What a person who embeds the library can do wrong is refused, or made right.

use attriburn::{Domain, Explainer, Input, ModuleModel, Plan, Score, Target, Task};
use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// A linear layer, a batch normalization and a dropout, as burn makes them: in training mode.
#[derive(Module, Debug)]
struct Network {
    first: Linear,
    norm: BatchNorm,
    dropout: Dropout,
    last: Linear,
}

impl Network {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(6, 8).init(device),
            norm: BatchNormConfig::new(8).init(device),
            dropout: DropoutConfig::new(0.5).init(),
            last: LinearConfig::new(8, 3).init(device),
        }
    }

    fn forward(&self, batch: Tensor<2>) -> Tensor<2> {
        let features = self.norm.forward(self.first.forward(batch));
        self.last.forward(self.dropout.forward(features.powi_scalar(2)))
    }
}

fn input() -> Input {
    let values = vec![0.1, 0.9, 0.4, 0.3, 0.7, 0.2];
    Input::new(values, &[6], Domain::uniform(0.0, 1.0)).expect("an input")
}

#[test]
fn a_module_in_training_mode_is_taken_out_of_it() {
    let device = Device::flex();
    let model = ModuleModel::<2>::of(&Network::new(&device), &[6], &device, Network::forward);
    let explain = |batch| {
        let explainer = Explainer::new(&model).batch(Some(batch));
        let map = explainer.explain(&Plan::adaptgrad(), &input(), Target::Index(1)).expect("a map");
        (explainer.predict(&input()).expect("a prediction").logits, map.values)
    };
    let (logits, map) = explain(50);
    for batch in [50, 7, 1] {
        let (again, other) = explain(batch);
        assert_eq!(logits, again, "the model has changed");
        for (a, b) in map.iter().zip(&other) {
            assert!((a - b).abs() < 1e-5, "{map:?} is not {other:?} in batches of {batch}");
        }
    }
}

#[test]
fn a_function_of_a_module_in_training_mode_is_refused() {
    let device = Device::flex();
    let network = Network::new(&device);
    let model = ModuleModel::<2>::new(&[6], &device, move |batch| network.forward(batch));
    let map = Explainer::new(&model).explain(&Plan::adaptgrad(), &input(), Target::Index(1));
    let message = map.expect_err("it is refused").to_string();
    assert!(message.contains("in training mode; make it with ModuleModel::of"), "{message}");
}

fn linear() -> ModuleModel<2> {
    ModuleModel::new(&[6], &Device::flex(), |x: Tensor<2>| x.narrow(1, 0, 3) * 2.0)
}

#[test]
fn tasks_that_are_not_of_the_model_are_refused() {
    let model = linear();
    let (explainer, right) = (Explainer::new(&model), input());
    let wrong = Input::new(vec![0.5; 5], &[5], Domain::uniform(0.0, 1.0)).expect("an input");
    let prediction = explainer.predict(&right).expect("a prediction");
    let tasks = [
        Task { input: &right, score: Score::Class(3), prediction: &prediction },
        Task { input: &wrong, score: Score::Class(0), prediction: &prediction },
        Task { input: &right, score: Score::Class(2), prediction: &prediction },
    ];
    let maps = explainer.explain_all(&Plan::adaptgrad(), &tasks).expect("maps");
    let message = |index: usize| maps[index].as_ref().expect_err("refused").to_string();
    assert!(message(0).contains("3"), "{}", message(0));
    assert!(message(1).contains("[5]"), "{}", message(1));
    let expected = [0.0, 0.0, 2.0, 0.0, 0.0, 0.0];
    assert_eq!(maps[2].as_ref().expect("the right one has a map").values, expected);
}

#[test]
fn scores_of_another_shape_are_refused() {
    let scores: [fn(Tensor<2>) -> Tensor<2>; 3] = [
        |x| Tensor::zeros([x.dims()[0], 0], &x.device()),
        |x| x.transpose(),
        |x| x.reshape([-1, 3]),
    ];
    for forward in scores {
        let model = ModuleModel::<2>::new(&[6], &Device::flex(), forward);
        let map = Explainer::new(&model).explain(&Plan::gradient(), &input(), Target::Predicted);
        let message = map.expect_err("it is refused").to_string();
        assert!(message.contains("it must give [1, classes]"), "{message}");
    }
}

#[test]
fn the_share_of_elements_outside_the_domain_is_said() {
    let values = vec![0.5, 1.5, -0.5, 0.25, 0.0, 1.0];
    let input = Input::new(values, &[6], Domain::uniform(0.0, 1.0)).expect("an input");
    let model = linear();
    let map = Explainer::new(&model).explain(&Plan::adaptgrad(), &input, Target::Index(0));
    assert_eq!(map.expect("a map").outside_domain, 2.0 / 6.0);
}
