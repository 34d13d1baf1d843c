//! Weighted sums of gradients over the nodes of a path, before the estimator receives them.

use burn::tensor::{Device, Tensor, TensorData};

/// The weighted sums of each sample's gradients over the nodes of its path. The nodes of a sample are
/// consecutive, in one batch or across several.
#[derive(Clone, Debug)]
pub struct PathSums {
    weights: Tensor<2>,
    nodes: usize,
    /// The sum over the first nodes of the current sample, and the number of these nodes.
    incomplete: Option<(Tensor<2>, usize)>,
}

impl PathSums {
    /// Empty sums for nodes with these `weights`.
    pub fn new(weights: &[f64], device: &Device) -> Self {
        let values: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
        let nodes = values.len();
        let weights = Tensor::from_data(TensorData::new(values, [nodes, 1]), device);
        Self { weights, nodes, incomplete: None }
    }

    /// Adds a batch of `gradients` `[rows, features]`; returns the samples `[n, features]` that it completes.
    pub fn add(&mut self, gradients: Tensor<2>) -> Option<Tensor<2>> {
        if self.nodes == 1 {
            return Some(gradients);
        }
        let [rows, features] = gradients.dims();
        let mut complete = Vec::new();
        let mut done = 0;
        if let Some((sum, from)) = self.incomplete.take() {
            done = rows.min(self.nodes - from);
            let sum = sum + self.weighted(gradients.clone().narrow(0, 0, done), from);
            if from + done == self.nodes {
                complete.push(sum);
            } else {
                self.incomplete = Some((sum, from + done));
            }
        }
        let whole = (rows - done) / self.nodes;
        if whole > 0 {
            let end = done + whole * self.nodes;
            let samples = gradients.clone().narrow(0, done, end - done);
            let samples: Tensor<3> = samples.reshape([whole, self.nodes, features]);
            let weights: Tensor<3> = self.weights.clone().reshape([1, self.nodes, 1]);
            complete.push((samples * weights).sum_dim(1).reshape([whole, features]));
            done = end;
        }
        if done < rows {
            let rest = gradients.narrow(0, done, rows - done);
            self.incomplete = Some((self.weighted(rest, 0), rows - done));
        }
        (!complete.is_empty()).then(|| Tensor::cat(complete, 0))
    }

    /// The sum `[1, features]` over the first nodes of a sample whose other nodes are still to come.
    pub fn incomplete(&self) -> Option<Tensor<2>> {
        self.incomplete.as_ref().map(|(sum, _)| sum.clone())
    }

    /// The weighted sum `[1, features]` of the gradients at the nodes from `from` on.
    fn weighted(&self, gradients: Tensor<2>, from: usize) -> Tensor<2> {
        let weights = self.weights.clone().narrow(0, from, gradients.dims()[0]);
        (gradients * weights).sum_dim(0)
    }
}
