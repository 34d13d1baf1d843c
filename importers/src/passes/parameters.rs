//! Parameters become inputs of the graph, so that a run can be given other values of them: nothing
//! that depends on them is computed beforehand, and no normalization is folded into a convolution.

use crate::error::{ErrorKind, LoadError};
use crate::file::Numbers;
use crate::graph::{Constant, Graph, Id, Node};

use super::finite::is_mask;
use super::quantized;

/// A parameter as the file stores it.
pub struct Promoted {
    /// Its name in the file.
    pub name: String,
    pub shape: Vec<usize>,
    /// Its values in float32.
    pub values: Vec<f32>,
    /// The layer it belongs to, counted from the input.
    pub layer: usize,
}

/// Makes every parameter an input behind the sample's, in the file's order. A parameter is a
/// stored float tensor of more than one value that a node reads other than as a setting or as the
/// statistics of a normalization; a single number is a constant of an expression, and zeros and
/// minus infinities are an attention mask.
///
/// # Errors
///
/// When the values of one cannot be read.
pub fn promote(graph: &mut Graph) -> Result<Vec<Promoted>, LoadError> {
    let mut read = vec![false; graph.values.len()];
    let scales = quantized::dynamic_scales(graph);
    let mut see = |node: &Node| {
        // The scale of weights that are multiplied with a scale of the sample.
        if node.inputs.iter().flatten().any(|id| scales.contains(id)) {
            return;
        }
        let fixed = node.operator.map_or(&[][..], |operator| operator.settings);
        let statistics = node.operator.map_or(&[][..], |operator| operator.statistics);
        for (index, id) in node.inputs.iter().enumerate() {
            if let Some(id) = id.filter(|_| !fixed.contains(&index) && !statistics.contains(&index))
            {
                read[id.0] = true;
            }
        }
    };
    graph.nodes.iter().for_each(|node| node.visit(&mut see));
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
        parameters.push(Promoted { name, shape, values, layer: 0 });
    }
    number_layers(graph, &mut parameters);
    Ok(parameters)
}

/// Says which layer each parameter belongs to: a node that is the first to read a matrix or a
/// kernel begins one, with all that it reads; biases and scales of other nodes belong to the layer
/// before. Nodes lie in the order in which they run.
fn number_layers(graph: &Graph, parameters: &mut [Promoted]) {
    let first = graph.inputs.len() - parameters.len();
    let mut seen = vec![false; parameters.len()];
    let mut layers = 0;
    for node in &graph.nodes {
        let mut own = Vec::new();
        node.reads(&mut |id| {
            let index = graph.inputs[first..].iter().position(|&own| own == id);
            own.extend(index.filter(|&index| !std::mem::replace(&mut seen[index], true)));
        });
        if own.is_empty() {
            continue;
        }
        let multiplies = node.operator.is_some_and(|operator| operator.multiplies);
        let is_matrix = |&index: &usize| {
            let shape = &parameters[index].shape;
            let long = shape.iter().filter(|&&size| size > 1).count();
            long > 1 || (multiplies && shape.len() > 1)
        };
        layers += usize::from(layers == 0 || own.iter().any(is_matrix));
        own.into_iter().for_each(|index| parameters[index].layer = layers - 1);
    }
}
