//! Attributes that ONNX lets a file leave out, but that the parser demands or takes for zero.

use onnx_ir::{AttributeProto, AttributeType, ModelProto};

/// `(operator, attribute, its default)`.
const DEFAULTS: [(&str, &str, Preset); 2] = [
    ("Resize", "mode", Preset::Text("nearest")),
    ("BatchNormalization", "epsilon", Preset::Number(1e-5)),
];

#[derive(Clone, Copy)]
enum Preset {
    Text(&'static str),
    Number(f32),
}

impl Preset {
    fn attribute(self, name: &str) -> AttributeProto {
        let mut attribute = AttributeProto { name: name.into(), ..Default::default() };
        match self {
            Preset::Text(text) => {
                attribute.type_ = AttributeType::STRING.into();
                attribute.s = text.as_bytes().to_vec().into();
            }
            Preset::Number(number) => {
                attribute.type_ = AttributeType::FLOAT.into();
                attribute.f = number;
            }
        }
        attribute
    }
}

/// Spells out the defaults; tells whether there was one.
pub fn spell_out(model: &mut ModelProto) -> bool {
    let mut found = false;
    let Some(graph) = model.graph.as_mut() else {
        return false;
    };
    for node in &mut graph.node {
        for (operator, name, value) in DEFAULTS {
            if node.op_type == operator && node.attribute.iter().all(|a| a.name != name) {
                node.attribute.push(value.attribute(name));
                found = true;
            }
        }
    }
    found
}
