//! What a plan reads from the moments of a map: its values, their standard error and its shape.

use super::layer::image_size;
use super::moments::Moments;
use super::nodes::Nodes;
use crate::enlarge::enlarge;
use crate::plan::Plan;
use crate::{Error, Input, Layer};

/// The values of a map.
pub struct Reading {
    pub values: Vec<f32>,
    pub standard_error: Vec<f32>,
    pub shape: Vec<usize>,
}

impl Reading {
    /// The map of `input` with these `moments`. `layer` is the layer of a class activation map.
    pub fn new(
        plan: &Plan,
        input: &Input,
        nodes: &Nodes,
        layer: Option<&Layer>,
        moments: &Moments,
    ) -> Result<Self, Error> {
        let Some(layer) = layer else {
            let factors = nodes.factors(plan.readout, input);
            return Ok(Self {
                values: moments.map(plan.estimate, &factors),
                standard_error: moments.standard_error(plan, &factors),
                shape: input.shape().to_vec(),
            });
        };
        let (cells, size) = ([layer.height, layer.width], image_size(input)?);
        let factors = vec![1.0; layer.positions()];
        let mut map = moments.map(plan.estimate, &factors);
        map.iter_mut().for_each(|value| *value = value.max(0.0));
        Ok(Self {
            values: enlarge(&map, cells, size),
            standard_error: enlarge(&moments.standard_error(plan, &factors), cells, size),
            shape: vec![1, size[0], size[1]],
        })
    }
}
