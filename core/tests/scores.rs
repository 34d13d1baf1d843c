//! The values of scores.

use attriburn::{Score, ScoreFunction};
use burn::tensor::{Tensor, TensorData};

fn value(score: &Score, logits: &[f32]) -> f64 {
    let outputs = TensorData::new(logits.to_vec(), [1, logits.len()]);
    let outputs = Tensor::from_data(outputs, &burn::tensor::Device::flex());
    let data = score.of(outputs).unwrap().into_data();
    data.try_into_vec::<f32>().unwrap()[0].into()
}

#[test]
fn contrasts_are_log_odds() {
    let logits = [1.0, 4.0, 3.0, -2.0];
    let others = (f64::from(1f32).exp() + 3f64.exp()).ln();
    let contrast = Score::Contrast { class: 1, others: vec![2, 0] };
    assert!((value(&contrast, &logits) - (4.0 - others)).abs() < 1e-5);
    // Large logits do not overflow.
    let large = Score::Contrast { class: 0, others: vec![1, 2] };
    assert!((value(&large, &[500.0, 400.0, -900.0]) - 100.0).abs() < 1e-3);
    assert_eq!(value(&Score::Against(3), &logits), 2.0);
    let mean = ScoreFunction::new("mean", |outputs| {
        let rows = outputs.dims()[0];
        outputs.mean_dim(1).reshape([rows])
    });
    assert_eq!(value(&Score::Function(mean), &logits), 1.5);
}
