//! A model's own functions, which are put in place of the nodes that call them.

use std::collections::HashMap;

use onnx_ir::{AttributeProto, Message, ModelProto, NodeProto};

/// A function of the model.
pub struct Function<'a> {
    pub inputs: &'a [String],
    pub outputs: &'a [String],
    pub nodes: &'a [NodeProto],
    /// The opset of each domain inside the function.
    pub opsets: HashMap<String, i64>,
    /// The bytes of its nodes in the file.
    pub bytes: u64,
    /// Attributes that a call may leave out.
    defaults: &'a [AttributeProto],
}

/// The functions of a model by domain, name and overload.
pub type Functions<'a> = HashMap<(String, &'a str, &'a str), Function<'a>>;

/// The functions of `model`.
pub fn functions(model: &ModelProto) -> Functions<'_> {
    let function = |at: usize| {
        let own = &model.functions[at];
        let key = (domain(&own.domain).to_owned(), own.name.as_str(), own.overload.as_str());
        let imports = own.opset_import.iter();
        let function = Function {
            inputs: &own.input,
            outputs: &own.output,
            nodes: &own.node,
            bytes: own.node.iter().map(Message::compute_size).sum(),
            opsets: imports.map(|i| (domain(&i.domain).to_owned(), i.version)).collect(),
            defaults: &own.attribute_proto,
        };
        (key, function)
    };
    (0..model.functions.len()).map(function).collect()
}

/// The name of a domain: ONNX's own has two.
pub fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

impl Function<'_> {
    /// A node of the function with the attributes that it takes from the `call`.
    pub fn node(&self, node: &NodeProto, call: &NodeProto) -> NodeProto {
        let mut node = node.clone();
        node.attribute.retain_mut(|attribute| {
            if attribute.ref_attr_name.is_empty() {
                return true;
            }
            let wanted = |given: &&AttributeProto| given.name == attribute.ref_attr_name;
            let given = call.attribute.iter().find(wanted);
            match given.or_else(|| self.defaults.iter().find(wanted)) {
                Some(given) => {
                    let name = std::mem::take(&mut attribute.name);
                    *attribute = AttributeProto { name, ..given.clone() };
                    true
                }
                None => false,
            }
        });
        node
    }
}
