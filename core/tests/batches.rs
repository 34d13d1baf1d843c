//! Batches that exceed the device's memory, and cancellation between batches.

use std::ops::ControlFlow;

use attriburn::{Domain, Error, ErrorKind, Explainer, Input, Model, Plan, Progress};
use burn::tensor::{Device, Tensor};

/// A model whose outputs are the squares of the inputs, and whose device has memory for `rows` samples.
struct LimitedMemory {
    device: Device,
    rows: usize,
}

impl Model for LimitedMemory {
    fn input_shape(&self) -> &[usize] {
        &[3]
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn forward(&self, batch: Tensor<2>) -> Result<Tensor<2>, Error> {
        if batch.dims()[0] > self.rows {
            return Err(Error::out_of_memory("no room"));
        }
        Ok(batch.powi_scalar(2))
    }
}

fn input() -> Input {
    Input::new(vec![0.1, 0.5, 0.7], &[3], Domain::uniform(0.0, 1.0)).expect("an input")
}

#[test]
fn batch_that_exceeds_memory_is_halved() {
    let explain = |rows| {
        let model = LimitedMemory { device: Device::flex(), rows };
        let plan = Plan::adaptgrad().samples(100);
        Explainer::new(&model).batch(64).explain(&input(), 1, &plan)
    };
    let (whole, halved) = (explain(64).expect("a map"), explain(10).expect("a map"));
    assert_eq!((whole.batch, whole.refused_batch), (64, None));
    assert_eq!((halved.batch, halved.refused_batch), (8, Some(64)));
    for (whole, halved) in whole.values.iter().zip(&halved.values) {
        assert!((whole - halved).abs() < 1e-6);
    }
    let message = explain(0).expect_err("no room for one").to_string();
    assert!(message.contains("no room"), "{message}");
}

#[test]
fn progress_callback_cancels_after_a_batch() {
    let model = LimitedMemory { device: Device::flex(), rows: 64 };
    let stop = |progress: Progress| match progress.done {
        done if done >= 20 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let explainer = Explainer::new(&model).batch(10).progress(&stop);
    let error = explainer.explain(&input(), 1, &Plan::adaptgrad()).expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(error.to_string(), "cancelled after 20 of 50 gradients");
}
