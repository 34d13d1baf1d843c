//! Attributes that ONNX lets a file leave out, but the parser does not.

use onnx_ir::{AttributeProto, AttributeType, ModelProto};

/// `(operator, attribute, its default)`.
const DEFAULTS: [(&str, &str, &str); 1] = [("Resize", "mode", "nearest")];

/// Spells out the defaults; tells whether there was one.
pub fn spell_out(model: &mut ModelProto) -> bool {
    let mut found = false;
    let Some(graph) = model.graph.as_mut() else {
        return false;
    };
    for node in &mut graph.node {
        for (operator, name, value) in DEFAULTS {
            if node.op_type == operator && node.attribute.iter().all(|a| a.name != name) {
                node.attribute.push(AttributeProto {
                    name: name.into(),
                    type_: AttributeType::STRING.into(),
                    s: value.as_bytes().to_vec().into(),
                    ..Default::default()
                });
                found = true;
            }
        }
    }
    found
}
