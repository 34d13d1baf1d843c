//! Folds batch normalizations and constant scales and shifts of channels into the preceding convolution, in
//! double precision.

use burn::tensor::Device;

use crate::graph::{Constant, Graph, Node};
use crate::operators::{Affine, Channels, Role, Site, operator_of};
use crate::value::Value;

/// Folds every such node that is the only reader of its convolution.
pub fn fold(graph: &mut Graph) {
    let read_counts = graph.read_counts();
    let mut producers = graph.producers();
    let mut absorbed = Vec::with_capacity(graph.nodes.len());
    for at in 0..graph.nodes.len() {
        let folded = fold_into_convolution(graph, at, &read_counts, &producers);
        absorbed.push(folded.is_some());
        let Some((conv, weight, bias)) = folded else { continue };
        let weight = graph.add("folded weight".into(), Some(Constant::Computed(weight.into())));
        let bias = graph.add("folded bias".into(), Some(Constant::Computed(bias.into())));
        let outputs = graph.nodes[at].outputs.clone();
        for output in outputs.iter().flatten() {
            producers[output.0] = Some(conv);
        }
        let conv = &mut graph.nodes[conv];
        conv.inputs.truncate(1);
        conv.inputs.extend([Some(weight), Some(bias)]);
        conv.outputs = outputs;
    }
    let mut absorbed = absorbed.into_iter();
    graph.nodes.retain(|_| !absorbed.next().unwrap_or(false));
}

/// Returns the index of the convolution that the node `at` can be folded into, and the folded weight and
/// bias; `None` if the node cannot be folded.
fn fold_into_convolution(
    graph: &Graph,
    at: usize,
    read_counts: &[usize],
    producers: &[Option<usize>],
) -> Option<(usize, Value, Value)> {
    let node = &graph.nodes[at];
    let affine = operator_of(node)?.affine?;
    if node.outputs.iter().flatten().count() != 1 {
        return None;
    }
    let is_conv =
        |conv: &Node| conv.operator.is_some_and(|operator| operator.role == Role::Convolution);
    let (data, conv) = node.inputs.iter().enumerate().find_map(|(index, id)| {
        let conv = producers.get(id.as_ref()?.0).copied().flatten()?;
        is_conv(&graph.nodes[conv]).then_some((index, conv))
    })?;
    if read_counts[node.inputs[data]?.0] != 1 {
        return None;
    }
    let inputs = &graph.nodes[conv].inputs;
    let weight = graph.constant((*inputs.get(1)?)?)?;
    let dims = weight.dims()?;
    let channels = *dims.first()?;
    let device = Device::flex();
    let site = Site::on_host(graph, node, &device);
    let output_channels = Channels { rank: dims.len(), axis: 1, count: channels };
    let Affine { scale, shift } = affine(&site, data, output_channels)?;
    let weight = weight.value().ok()?.floats().ok()?;
    let old = match inputs.get(2).copied().flatten() {
        Some(bias) => graph.constant(bias)?.value().ok()?.floats().ok()?,
        None => vec![0.0; channels],
    };
    let lengths = [scale.len(), shift.len(), old.len()];
    if channels == 0 || lengths.iter().any(|&length| length != channels) {
        return None;
    }
    let rows = weight.chunks((weight.len() / channels).max(1)).zip(&scale);
    let scaled = rows
        .flat_map(|(row, scale)| row.iter().map(move |&value| (f64::from(value) * scale) as f32));
    let shifted = (0..channels).map(|c| (f64::from(old[c]) * scale[c] + shift[c]) as f32).collect();
    let weight = Value::from_floats(scaled.collect()).reshape(&dims).ok()?;
    Some((conv, weight, Value::from_floats(shifted)))
}
