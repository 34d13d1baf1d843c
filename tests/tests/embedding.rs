//! Mistakes in code that embeds the library: they are refused with an error, or corrected.

use attriburn::{Domain, Explainer, Input, ModuleModel, Plan, Score, Target};
use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// Linear layers, a batch normalization and a dropout, as burn initializes them: in training mode.
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
fn module_in_training_mode_is_switched_to_inference() {
    let device = Device::flex();
    let model = ModuleModel::<2>::of(&Network::new(&device), &[6], &device, Network::forward);
    let explain = |batch| {
        let explainer = Explainer::new(&model).batch(batch);
        let map = explainer.explain(&input(), Target::Index(1), &Plan::adaptgrad()).expect("a map");
        (explainer.predict(&input()).expect("a prediction").logits().to_vec(), map.values)
    };
    let (logits, map) = explain(50);
    for batch in [50, 7, 1] {
        let (other_logits, other) = explain(batch);
        assert_eq!(logits, other_logits, "the model has changed");
        for (a, b) in map.iter().zip(&other) {
            assert!((a - b).abs() < 1e-5, "{map:?}, but {other:?} in batches of {batch}");
        }
    }
}

#[test]
fn closure_over_a_module_in_training_mode_is_refused() {
    let device = Device::flex();
    let network = Network::new(&device);
    let model = ModuleModel::<2>::new(&[6], &device, move |batch| network.forward(batch));
    let map = Explainer::new(&model).explain(&input(), Target::Index(1), &Plan::adaptgrad());
    let message = map.expect_err("refused").to_string();
    assert!(message.contains("in training mode; make it with ModuleModel::of"), "{message}");
}

fn linear() -> ModuleModel<2> {
    ModuleModel::new(&[6], &Device::flex(), |x: Tensor<2>| x.narrow(1, 0, 3) * 2.0)
}

#[test]
fn tasks_that_do_not_fit_the_model_are_refused() {
    let model = linear();
    let (explainer, valid) = (Explainer::new(&model), input());
    let too_short = Input::new(vec![0.5; 5], &[5], Domain::uniform(0.0, 1.0)).expect("an input");
    let prediction = explainer.predict(&valid).expect("a prediction");
    let refused = |input, class| {
        let task = explainer.task_with(input, &prediction, Score::Class(class));
        task.map(drop).expect_err("refused").to_string()
    };
    let (class, shape) = (refused(&valid, 3), refused(&too_short, 0));
    assert!(class.contains('3'), "{class}");
    assert!(shape.contains("[5]"), "{shape}");
    let task = explainer.task_with(&valid, &prediction, Score::Class(2)).expect("a task");
    let maps = explainer.explain_all(&[task], &Plan::adaptgrad()).expect("maps");
    let expected = [0.0, 0.0, 2.0, 0.0, 0.0, 0.0];
    assert_eq!(maps[0].as_ref().expect("a map of the valid task").values, expected);
}

#[test]
fn outputs_that_are_not_batch_by_classes_are_refused() {
    let functions: [fn(Tensor<2>) -> Tensor<2>; 3] = [
        |x| Tensor::zeros([x.dims()[0], 0], &x.device()),
        |x| x.transpose(),
        |x| x.reshape([-1, 3]),
    ];
    for forward in functions {
        let model = ModuleModel::<2>::new(&[6], &Device::flex(), forward);
        let map = Explainer::new(&model).explain(&input(), Target::Predicted, &Plan::gradient());
        let message = map.expect_err("refused").to_string();
        assert!(message.contains("it must give [1, classes]"), "{message}");
    }
}

#[test]
fn share_of_elements_outside_the_domain_is_reported() {
    let values = vec![0.5, 1.5, -0.5, 0.25, 0.0, 1.0];
    let input = Input::new(values, &[6], Domain::uniform(0.0, 1.0)).expect("an input");
    let model = linear();
    let map = Explainer::new(&model).explain(&input, Target::Index(0), &Plan::adaptgrad());
    assert_eq!(map.expect("a map").outside_domain, 2.0 / 6.0);
}
