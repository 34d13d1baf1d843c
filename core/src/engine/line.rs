//! Where a plan's gradients are taken: at the input, or at nodes on the line from a baseline to it.

use attriburn_kernels::noise::CHOICES;
use attriburn_kernels::{Row, philox};

use crate::plan::{Plan, Readout};
use crate::{Error, Input};

/// The points of one map before there is noise. They are not stored: each is a position between the baseline and
/// the input.
pub struct Line {
    /// The positions and weights of the nodes; the input itself without a path.
    nodes: Vec<(f64, f64)>,
    /// Where the path starts.
    pub baseline: Option<Vec<f32>>,
    /// None where every sample takes all nodes.
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

impl Line {
    /// # Errors
    ///
    /// When the path cannot start where the plan says.
    pub fn new(plan: &Plan, input: &Input) -> Result<Self, Error> {
        let Some(path) = &plan.path else {
            return Ok(Self { nodes: vec![(1.0, 1.0)], baseline: None, choice: None });
        };
        let baseline = path.baseline.values(input)?;
        if let Some(index) = baseline.iter().position(|value| !value.is_finite()) {
            return Err(Error::Baseline(format!("is not finite at value {index}")));
        }
        let nodes = path.quadrature.nodes(path.steps);
        let choice = plan.chooses_nodes().then(|| Choice::new(&nodes, plan));
        Ok(Self { nodes, baseline: Some(baseline), choice })
    }

    /// What the mean is multiplied with, element by element.
    pub fn factors(&self, readout: Readout, input: &Input) -> Vec<f32> {
        match (readout, &self.baseline) {
            (Readout::Gradient, _) => vec![1.0; input.values().len()],
            (Readout::TimesDifference, Some(baseline)) => {
                input.values().iter().zip(baseline).map(|(x, b)| x - b).collect()
            }
            (Readout::TimesInput | Readout::TimesDifference, _) => input.values().to_vec(),
        }
    }

    /// The weights of the nodes of a sample, in their order.
    pub fn weights(&self) -> Vec<f64> {
        match &self.choice {
            Some(choice) => vec![1.0 / choice.per_sample as f64; choice.per_sample as usize],
            None => self.nodes.iter().map(|(_, weight)| *weight).collect(),
        }
    }

    /// The row of the `index`-th gradient under a draw of the parameters, sample by sample and in each node by
    /// node, of the batch's `input`.
    pub fn row(&self, index: u64, stream: u32, input: usize) -> Row {
        match &self.choice {
            None => {
                let count = self.nodes.len() as u64;
                let (sample, node) = ((index / count) as u32, (index % count) as u32);
                Row { input, position: self.nodes[node as usize].0, sample, node }
            }
            Some(choice) => {
                let (sample, i) = (index / choice.per_sample, index % choice.per_sample);
                let position = self.nodes[choice.node(sample, i, stream)].0;
                // Each gradient has noise of its own, under its number.
                Row { input, position, sample: 0, node: index as u32 }
            }
        }
    }
}

impl Choice {
    fn new(nodes: &[(f64, f64)], plan: &Plan) -> Self {
        let sums = nodes.iter().scan(0.0, |sum, (_, weight)| {
            *sum += weight;
            Some(*sum)
        });
        Self { per_sample: plan.sizes().nodes, reached: sums.collect(), seed: plan.seed }
    }

    /// The `i`-th node of a sample, under a draw of the parameters.
    fn node(&self, sample: u64, i: u64, stream: u32) -> usize {
        let counter = [sample as u32, (sample >> 32) as u32, stream, CHOICES];
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
        let samples = 20_000;
        let mut counts = [0u32; 4];
        for sample in 0..samples {
            for i in 0..2 {
                counts[choice.node(sample, i, 0)] += 1;
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
