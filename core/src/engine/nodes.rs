//! The nodes at which a plan takes gradients: the input itself, or positions on the path to it.

use attriburn_kernels::streams::NODE_CHOICE;
use attriburn_kernels::{Row, philox};

use crate::plan::{Plan, Readout};
use crate::{Error, Input};

/// The nodes of one map before noise is added. Points are not stored: each node is a position between the
/// baseline and the input.
pub struct Nodes {
    /// Position and weight of each node; one node at the input without a path.
    nodes: Vec<(f64, f64)>,
    /// The start of the path.
    pub baseline: Option<Vec<f32>>,
    /// The nodes of each sample; `None` where every sample takes all.
    choice: Option<SystematicChoice>,
}

/// Systematic sampling of nodes: each sample takes `per_sample` nodes at equal distances in the cumulative
/// weight, from a random start of its own.
struct SystematicChoice {
    per_sample: u64,
    /// The sum of all weights.
    total: f64,
    /// The share of the weights up to and including each node.
    cumulative: Vec<f64>,
    seed: u64,
}

impl Nodes {
    /// The nodes of `plan` for `input`.
    ///
    /// # Errors
    ///
    /// Returns an error if the baseline has no finite values for this input.
    pub fn new(plan: &Plan, input: &Input) -> Result<Self, Error> {
        let Some(path) = &plan.path else {
            return Ok(Self { nodes: vec![(1.0, 1.0)], baseline: None, choice: None });
        };
        let baseline = path.baseline.values(input)?;
        if let Some(index) = baseline.iter().position(|value| !value.is_finite()) {
            return Err(Error::baseline(format!("is not finite at value {index}")));
        }
        let nodes = path.nodes();
        let choice = plan.chooses_nodes().then(|| SystematicChoice::new(&nodes, plan));
        Ok(Self { nodes, baseline: Some(baseline), choice })
    }

    /// The factor of the readout for each element.
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
            Some(SystematicChoice { per_sample, total, .. }) => {
                vec![total / *per_sample as f64; *per_sample as usize]
            }
            None => self.nodes.iter().map(|(_, weight)| *weight).collect(),
        }
    }

    /// The row of the noise operation for the gradient number `index` of the batch's `input`, under the draw
    /// of the parameters number `stream`. Gradients are numbered sample by sample, node by node.
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
                // Each gradient has noise of its own, addressed by its number.
                Row { input, position, sample: 0, node: index as u32 }
            }
        }
    }
}

impl SystematicChoice {
    fn new(nodes: &[(f64, f64)], plan: &Plan) -> Self {
        let total = nodes.iter().map(|(_, weight)| weight).sum();
        let shares = nodes.iter().scan(0.0, |sum, (_, weight)| {
            *sum += weight / total;
            Some(*sum)
        });
        let (per_sample, cumulative) = (plan.sizes().nodes, shares.collect());
        Self { per_sample, total, cumulative, seed: plan.seed }
    }

    /// The index of the `i`-th node of a sample, under a draw of the parameters.
    fn node(&self, sample: u64, i: u64, stream: u32) -> usize {
        let counter = [sample as u32, (sample >> 32) as u32, stream, NODE_CHOICE];
        let word = philox::philox(counter, philox::key(self.seed))[0];
        let start = (f64::from(word) + 0.5) / 2f64.powi(32);
        let place = (i as f64 + start) / self.per_sample as f64;
        let last = self.cumulative.len() - 1;
        self.cumulative.partition_point(|&sum| sum <= place).min(last)
    }
}
