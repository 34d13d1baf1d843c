//! Predictions for clean inputs, in batches.

use burn::tensor::{Tensor, TensorData};

use super::explainer::Explainer;
use super::readback::read;
use crate::{Error, Input, Prediction};

impl<'a> Explainer<'a> {
    /// The model's prediction for the clean input.
    ///
    /// # Errors
    ///
    /// Returns an error if the input's shape is not the model's, or the model fails or gives a value that is
    /// not finite.
    pub fn predict(&self, input: &Input) -> Result<Prediction, Error> {
        self.predict_all(&[input]).remove(0)
    }

    /// The model's prediction for each clean input, in batches, or the error of that input; see
    /// [`Explainer::predict`].
    pub fn predict_all(&self, inputs: &[&Input]) -> Vec<Result<Prediction, Error>> {
        let fits = |input: &&&Input| self.check_shape(input).is_ok();
        let fitting: Vec<&[f32]> = inputs.iter().filter(fits).map(|input| input.values()).collect();
        let mut predictions = self.predict_rows(&fitting).into_iter();
        let prediction = |input: &&Input| {
            self.check_shape(input)?;
            predictions.next().unwrap_or_else(|| Prediction::new(Vec::new(), None))
        };
        inputs.iter().map(prediction).collect()
    }

    /// The prediction for each sample, in batches.
    pub(super) fn predict_rows(&self, samples: &[&[f32]]) -> Vec<Result<Prediction, Error>> {
        let batches = samples.chunks(self.batch_size(u64::MAX));
        batches.flat_map(|batch| self.predict_batch(batch)).collect()
    }

    /// The prediction for each sample of a batch. A batch that fails is split in halves: the memory may be
    /// too small for the whole, or one sample may be at fault.
    fn predict_batch(&self, batch: &[&[f32]]) -> Vec<Result<Prediction, Error>> {
        let whole = || -> Result<Vec<Vec<f32>>, Error> {
            let data = TensorData::new(batch.concat(), [batch.len(), batch[0].len()]);
            let logits = self.model.forward(Tensor::from_data(data, self.model.device()))?;
            let logits = checked(logits, batch.len(), None)?;
            let classes = logits.dims()[1];
            Ok(read(logits)?.chunks(classes).map(<[f32]>::to_vec).collect())
        };
        match whole() {
            Ok(rows) => {
                rows.into_iter().map(|logits| Prediction::new(logits, self.model.link())).collect()
            }
            Err(error) if batch.len() == 1 => vec![Err(error)],
            Err(_) => {
                let (first, second) = batch.split_at(batch.len() / 2);
                [self.predict_batch(first), self.predict_batch(second)].concat()
            }
        }
    }
}

/// A model's output for `rows` samples, which must be `[rows, classes]`, with the number of `classes` of the
/// predictions where it is known.
pub fn checked(logits: Tensor<2>, rows: usize, classes: Option<usize>) -> Result<Tensor<2>, Error> {
    match logits.dims() {
        [found, count]
            if found == rows && count > 0 && classes.is_none_or(|expected| expected == count) =>
        {
            Ok(logits)
        }
        found => {
            let classes = classes.map_or("classes".to_owned(), |count| count.to_string());
            Err(Error::model(format!(
                "the model gave scores of shape {found:?} for {rows} samples; it must give [{rows}, {classes}]"
            )))
        }
    }
}
