//! Where a plan's gradients are taken before there is noise.

use attriburn_kernels::noise::{CHOICES, noise};
use attriburn_kernels::{Address, philox};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::plan::{Plan, Readout, Sampler};
use crate::{Error, Input};

/// The most values of a path's nodes: 4 GiB of float32.
const MOST_NODE_VALUES: u64 = 1 << 30;

/// The input itself, or the nodes of a path to it with their weights.
pub struct Way {
    rows: Vec<f32>,
    features: usize,
    weights: Vec<f64>,
    pub baseline: Option<Vec<f32>>,
}

impl Way {
    pub fn new(plan: &Plan, input: &Input) -> Result<Self, Error> {
        let features = input.values().len();
        let Some(path) = &plan.path else {
            let (rows, weights) = (input.values().to_vec(), vec![1.0]);
            return Ok(Self { rows, features, weights, baseline: None });
        };
        let baseline = path.baseline.values(input)?;
        if let Some(index) = baseline.iter().position(|value| !value.is_finite()) {
            return Err(Error::Baseline(format!("is not finite at value {index}")));
        }
        if u64::from(path.steps) * features as u64 > MOST_NODE_VALUES {
            let (value, range) =
                (path.steps.to_string(), "fewer: the path's nodes take over 4 GiB");
            return Err(Error::Setting { setting: "steps", value, range });
        }
        let (rows, weights) = path.nodes(input, &baseline);
        Ok(Self { rows, features, weights, baseline: Some(baseline) })
    }

    /// What the mean is multiplied with, element by element.
    pub fn factors(&self, readout: Readout, input: &Input) -> Vec<f32> {
        match (readout, &self.baseline) {
            (Readout::Gradient, _) => vec![1.0; self.features],
            (Readout::TimesDifference, Some(baseline)) => {
                input.values().iter().zip(baseline).map(|(x, b)| x - b).collect()
            }
            (Readout::TimesInput | Readout::TimesDifference, _) => input.values().to_vec(),
        }
    }

    /// The nodes on the device.
    pub fn nodes(&self, plan: &Plan, device: &Device) -> Nodes {
        let shape = [self.weights.len(), self.features];
        let rows = Tensor::from_data(TensorData::new(self.rows.clone(), shape), device);
        let choice = plan.chooses_nodes().then(|| Choice {
            per_sample: plan.sizes().nodes,
            reached: self
                .weights
                .iter()
                .scan(0.0, |sum, weight| {
                    *sum += weight;
                    Some(*sum)
                })
                .collect(),
            seed: plan.seed,
        });
        Nodes { rows, weights: self.weights.clone(), choice }
    }
}

/// The nodes `[nodes, features]` of a way, and which of them the samples take.
pub struct Nodes {
    rows: Tensor<2>,
    weights: Vec<f64>,
    /// None where every sample takes all of them.
    choice: Option<Choice>,
}

/// Some nodes of a path for each sample: `per_sample` of them, at equal distances in the sum of
/// the weights, from a start that is the sample's own.
struct Choice {
    per_sample: u64,
    /// The sum of the weights up to and with each node.
    reached: Vec<f64>,
    seed: u64,
}

impl Nodes {
    /// The weights of the nodes of a sample, in their order.
    pub fn weights(&self) -> Vec<f64> {
        match &self.choice {
            Some(choice) => vec![1.0 / choice.per_sample as f64; choice.per_sample as usize],
            None => self.weights.clone(),
        }
    }

    /// The points `[rows, features]` at which gradients are taken: from the flat index `first`,
    /// sample by sample and in each node by node, of the given draw of the parameters.
    pub fn points(&self, sampler: Option<&Sampler>, input: &Input, at: &Address) -> Tensor<2> {
        let noisy = |nodes: Tensor<2>, sampler: &Sampler, at: &Address| {
            noise(nodes, &sampler.noise(), &input.kernel_domain(), at)
        };
        match (&self.choice, sampler) {
            (None, Some(sampler)) => noisy(self.rows.clone(), sampler, at),
            (None, None) => {
                // Without noise on the input each draw of the parameters takes all nodes once.
                let first = at.first as usize;
                self.rows.clone().narrow(0, first, at.rows)
            }
            (Some(choice), sampler) => {
                let rows = (at.first..at.first + at.rows as u64)
                    .map(|row| choice.node(row / choice.per_sample, row % choice.per_sample, at));
                let index: Vec<i64> = rows.map(|node| node as i64).collect();
                let index = TensorData::new(index, [at.rows]);
                let index = Tensor::<1, Int>::from_data(index, &self.rows.device());
                let nodes = self.rows.clone().select(0, index);
                // Each row is a node of its own to the kernel, under its flat index.
                let at = Address { node: at.first as u32, first: 0, ..*at };
                match sampler {
                    Some(sampler) => noisy(nodes, sampler, &at),
                    None => nodes,
                }
            }
        }
    }
}

impl Choice {
    /// The `i`-th node of a sample.
    fn node(&self, sample: u64, i: u64, at: &Address) -> usize {
        let counter = [sample as u32, (sample >> 32) as u32, at.stream, CHOICES];
        let word = philox::philox(counter, philox::key(self.seed))[0];
        let start = (f64::from(word) + 0.5) / 2f64.powi(32);
        let place = (i as f64 + start) / self.per_sample as f64;
        let total = self.reached.last().copied().unwrap_or(1.0);
        self.reached.partition_point(|&sum| sum <= place * total).min(self.reached.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_chosen_in_proportion_to_their_weights() {
        let weights = [0.1, 0.4, 0.3, 0.2];
        let mut sum = 0.0;
        let reached = weights.map(|weight| {
            sum += weight;
            sum
        });
        let choice = Choice { per_sample: 2, reached: reached.to_vec(), seed: 3 };
        let at = Address { seed: 3, stream: 0, node: 0, first: 0, rows: 1 };
        let samples = 20_000;
        let mut counts = [0u32; 4];
        for sample in 0..samples {
            for i in 0..2 {
                counts[choice.node(sample, i, &at)] += 1;
            }
        }
        for (count, weight) in counts.into_iter().zip(weights) {
            // A sample takes a node at most once, with the probability 2 w.
            let p: f64 = 2.0 * weight;
            let spread = (p * (1.0 - p) * samples as f64).sqrt();
            let z = (f64::from(count) - p * samples as f64) / spread;
            assert!(z.abs() < 4.5, "{count} for the weight {weight}: {z:.1} standard errors");
        }
    }
}
