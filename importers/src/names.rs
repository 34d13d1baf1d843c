//! The nodes' names as the file has them. The parser renames its nodes but keeps their order, so
//! each is found again by walking both lists together.

use std::collections::HashMap;

use onnx_ir::{Node, NodeProto};

use crate::operators::onnx_name;

/// From the parser's names to the file's.
pub struct Names {
    names: HashMap<String, String>,
}

impl Names {
    /// Aligns the parser's `nodes` with those of the file.
    pub fn align(nodes: &[Node], file: &[NodeProto]) -> Self {
        let mut names = HashMap::new();
        let mut left = file.iter();
        for node in nodes.iter().filter(|node| !matches!(node, Node::Constant(_))) {
            let operator = onnx_name(node);
            let is_same = |raw: &&NodeProto| raw.op_type == operator;
            let mut ahead = left.clone();
            if let Some(raw) = ahead.find(is_same) {
                left = ahead;
                names.insert(node.name().to_owned(), name_of(raw));
            }
        }
        Self { names }
    }

    /// The name of `node` in the file, or the parser's where it was not found.
    pub fn of(&self, node: &Node) -> String {
        self.names.get(node.name()).cloned().unwrap_or_else(|| node.name().to_owned())
    }
}

/// A node's name, or what it produces where it has none.
pub fn name_of(node: &NodeProto) -> String {
    match (node.name.is_empty(), node.output.first()) {
        (true, Some(output)) => format!("(unnamed, producing {output:?})"),
        (true, None) => "(unnamed)".into(),
        (false, _) => format!("{:?}", node.name),
    }
}
