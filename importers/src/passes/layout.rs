//! Pictures with the channels last, as TensorFlow and Keras take them, for a caller who has them first.

use crate::graph::{Attributes, Graph, Node};
use crate::operators::operator;

/// The opset of the Transpose that is put in front.
const OPSET: i64 = 13;

/// Makes the model's input `[n, channels, height, width]` where it is `[n, height, width, channels]`, by a
/// Transpose in front.
pub fn take_channels_first(graph: &mut Graph) {
    let inner = graph.inputs[0];
    let name = graph.values[inner.0].name.clone();
    let outer = graph.add(name.clone(), None);
    graph.inputs[0] = outer;
    let node = Node {
        operator: operator("", "Transpose"),
        kind: "Transpose".into(),
        name: format!("in front of {name:?}"),
        opset: OPSET,
        attributes: Attributes::of_list("perm", &[0, 2, 3, 1]),
        inputs: vec![Some(outer)],
        outputs: vec![Some(inner)],
        blocks: Vec::new(),
    };
    graph.nodes.insert(0, node);
}
