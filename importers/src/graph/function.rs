//! Functions defined in a model, which are inlined at the nodes that call them.

use std::collections::HashMap;

use onnx_ir::{AttributeProto, Message, ModelProto, NodeProto};

/// A function defined in the model.
pub struct Function<'a> {
    pub inputs: &'a [String],
    pub outputs: &'a [String],
    pub nodes: &'a [NodeProto],
    /// The function's opset of each domain.
    pub opsets: HashMap<String, i64>,
    /// The size of the function's nodes in the file, in bytes.
    pub bytes: u64,
    /// The default values of attributes that a call may omit.
    defaults: &'a [AttributeProto],
}

/// The functions of a model, by domain, name and overload.
pub type Functions<'a> = HashMap<(String, &'a str, &'a str), Function<'a>>;

/// Returns the functions defined in `model`.
pub fn functions(model: &ModelProto) -> Functions<'_> {
    let function = |at: usize| {
        let proto = &model.functions[at];
        let key = (domain(&proto.domain).to_owned(), proto.name.as_str(), proto.overload.as_str());
        let imports = proto.opset_import.iter();
        let function = Function {
            inputs: &proto.input,
            outputs: &proto.output,
            nodes: &proto.node,
            bytes: proto.node.iter().map(Message::compute_size).sum(),
            opsets: imports.map(|i| (domain(&i.domain).to_owned(), i.version)).collect(),
            defaults: &proto.attribute_proto,
        };
        (key, function)
    };
    (0..model.functions.len()).map(function).collect()
}

/// Normalizes a domain name: the default domain is spelled both `""` and `"ai.onnx"`.
pub fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

impl Function<'_> {
    /// Returns a copy of the function's `node` in which references to the function's attributes are replaced
    /// by the values that `call` passes, or by their defaults.
    pub fn node(&self, node: &NodeProto, call: &NodeProto) -> NodeProto {
        let mut node = node.clone();
        node.attribute.retain_mut(|attribute| {
            if attribute.ref_attr_name.is_empty() {
                return true;
            }
            let is_referenced = |value: &&AttributeProto| value.name == attribute.ref_attr_name;
            let value = call.attribute.iter().find(is_referenced);
            match value.or_else(|| self.defaults.iter().find(is_referenced)) {
                Some(value) => {
                    let name = std::mem::take(&mut attribute.name);
                    *attribute = AttributeProto { name, ..value.clone() };
                    true
                }
                None => false,
            }
        });
        node
    }
}
