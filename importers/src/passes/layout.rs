//! Converts image inputs in the NCHW layout for models that expect NHWC, such as those of TensorFlow and
//! Keras.

use crate::graph::{Attributes, Graph, Node};
use crate::operators::signature;

/// The opset of the inserted Transpose.
const OPSET: i64 = 13;

/// Changes the model's input from `[n, height, width, channels]` to `[n, channels, height, width]` by
/// inserting a Transpose before the first node.
pub fn prepend_transpose(graph: &mut Graph) {
    let nhwc = graph.inputs[0];
    let name = graph.values[nhwc.0].name.clone();
    let nchw = graph.add(name.clone(), None);
    graph.inputs[0] = nchw;
    let node = Node {
        operator: signature("", "Transpose"),
        kind: "Transpose".into(),
        name: format!("in front of {name:?}"),
        opset: OPSET,
        attributes: Attributes::int_list("perm", &[0, 2, 3, 1]),
        inputs: vec![Some(nchw)],
        outputs: vec![Some(nhwc)],
        blocks: Vec::new(),
    };
    graph.nodes.insert(0, node);
}
