//! Promotes parameters to graph inputs, so that each run can use other parameter values. Nodes that depend on
//! a parameter are then not constant-folded, and batch normalization is not folded into a convolution.

use crate::error::{ErrorKind, LoadError};
use crate::file::Numbers;
use crate::graph::{Constant, Graph, Id, Node};

use super::finite::is_mask;
use super::quantized;

/// A parameter that was promoted to a graph input.
pub struct PromotedParameter {
    /// The name in the file.
    pub name: String,
    pub shape: Vec<usize>,
    /// The values in float32.
    pub values: Vec<f32>,
    /// The index of the parameter's layer, counted from the input.
    pub layer: usize,
}

/// Makes every parameter a graph input after the sample, in the file's order. A parameter is a stored float
/// tensor that a node reads, except settings of an operator, statistics of a normalization, single numbers
/// (constants of an expression) and attention masks (zeros and minus infinities).
///
/// # Errors
///
/// When the values of a parameter cannot be read.
pub fn promote(graph: &mut Graph) -> Result<Vec<PromotedParameter>, LoadError> {
    let mut read = vec![false; graph.values.len()];
    let scales = quantized::dynamic_scales(graph);
    let mut mark_parameters = |node: &Node| {
        // Such a node multiplies a dynamic scale by the scale of quantized weights, which is not a parameter.
        if node.inputs.iter().flatten().any(|id| scales.contains(id)) {
            return;
        }
        let settings = node.operator.map_or(&[][..], |operator| operator.settings);
        let statistics = node.operator.map_or(&[][..], |operator| operator.statistics);
        for (index, id) in node.inputs.iter().enumerate() {
            if let Some(id) =
                id.filter(|_| !settings.contains(&index) && !statistics.contains(&index))
            {
                read[id.0] = true;
            }
        }
    };
    graph.nodes.iter().for_each(|node| node.visit(&mut mark_parameters));
    let mut parameters = Vec::new();
    for id in (0..graph.values.len()).map(Id).filter(|id| read[id.0]) {
        let Some(Constant::Stored(stored)) = graph.constant(id) else { continue };
        if !stored.element.is_float() || stored.dims.iter().product::<usize>() < 2 {
            continue;
        }
        let (name, shape) = (graph.values[id.0].name.clone(), stored.dims.clone());
        let values = match stored.numbers() {
            Ok(Numbers::Floats(values)) if !is_mask(&values) => values,
            Err(reason) => {
                let message = format!("the weight {name:?} cannot be read: {reason}");
                return Err(LoadError::new(ErrorKind::Weights, message));
            }
            Ok(_) => continue,
        };
        graph.values[id.0].constant = None;
        graph.inputs.push(id);
        parameters.push(PromotedParameter { name, shape, values, layer: 0 });
    }
    assign_layers(graph, &mut parameters);
    Ok(parameters)
}

/// Assigns a layer to each parameter. A layer begins at each node that is the first to read a matrix or a
/// kernel; all parameters that this node is the first to read belong to the layer. Biases and scales of
/// other nodes belong to the preceding layer.
fn assign_layers(graph: &Graph, parameters: &mut [PromotedParameter]) {
    let first = graph.inputs.len() - parameters.len();
    let mut seen = vec![false; parameters.len()];
    let mut layers = 0;
    for node in &graph.nodes {
        let mut new = Vec::new();
        node.reads(&mut |id| {
            let index = graph.inputs[first..].iter().position(|&input| input == id);
            new.extend(index.filter(|&index| !std::mem::replace(&mut seen[index], true)));
        });
        if new.is_empty() {
            continue;
        }
        let multiplies = node.operator.is_some_and(|operator| operator.multiplies);
        let is_matrix = |&index: &usize| {
            let shape = &parameters[index].shape;
            let long_axes = shape.iter().filter(|&&size| size > 1).count();
            long_axes > 1 || (multiplies && shape.len() > 1)
        };
        layers += usize::from(layers == 0 || new.iter().any(is_matrix));
        new.into_iter().for_each(|index| parameters[index].layer = layers - 1);
    }
}
