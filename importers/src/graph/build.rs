//! From the file's messages to the graph.

use std::collections::HashMap;
use std::rc::Rc;

use onnx_ir::{AttributeType, GraphProto, ModelProto, NodeProto, TensorProto};

use super::attributes::{Attributes, kind};
use super::function::{Functions, domain, functions};
use super::{Block, Constant, Graph, Id, Node};
use crate::error::{ErrorKind, LoadError};
use crate::file::{Folder, Stored};
use crate::operators::{Role, operator};

/// Functions and graphs may lie inside one another this deep.
const DEEPEST: usize = 64;

/// The bytes to which functions may grow when they are put in place of their calls, or this many times
/// their size: a few functions that call each other twice would fill any memory.
const LARGEST: u64 = 16 << 20;
const MOST_TIMES: u64 = 4;

/// The graph of `model`, functions put in place of their calls.
///
/// # Errors
///
/// When values are read that nothing makes, or made twice, or functions call themselves.
pub fn build(model: &ModelProto, folder: &mut Folder) -> Result<Graph, LoadError> {
    let imports = model.opset_import.iter();
    let mut builder = Builder {
        graph: Graph {
            values: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            samples: 1,
            outputs: Vec::new(),
            samples_in: HashMap::new(),
            rounds: true,
        },
        functions: functions(model),
        folder,
        grown: 0,
    };
    let place = Place {
        opsets: imports.map(|i| (domain(&i.domain).to_owned(), i.version)).collect(),
        prefix: String::new(),
        depth: 0,
    };
    builder.model(&model.graph, &place)?;
    Ok(builder.graph)
}

/// The opset of ONNX's own operators.
pub fn opset_of(model: &ModelProto) -> i64 {
    let own = model.opset_import.iter().find(|import| domain(&import.domain).is_empty());
    own.map_or(0, |import| import.version)
}

struct Builder<'a> {
    graph: Graph,
    functions: Functions<'a>,
    folder: &'a mut Folder,
    /// The bytes of the functions that were put in place of calls so far.
    grown: u64,
}

/// Where nodes come from.
struct Place {
    /// The opset of each domain.
    opsets: HashMap<String, i64>,
    /// What the nodes' names begin with: the calls that they come from.
    prefix: String,
    depth: usize,
}

/// Values by name.
type Scope = HashMap<String, Id>;

fn format(message: String) -> LoadError {
    LoadError::new(ErrorKind::Format, message)
}

impl Builder<'_> {
    fn model(&mut self, graph: &GraphProto, place: &Place) -> Result<(), LoadError> {
        let mut scope = Scope::new();
        self.stored(graph, &mut scope)?;
        // Old files list the stored tensors among the inputs as well.
        for input in &graph.input {
            if !scope.contains_key(&input.name) {
                let id = self.graph.add(input.name.clone(), None);
                scope.insert(input.name.clone(), id);
                self.graph.inputs.push(id);
            }
        }
        self.graph.nodes = self.nodes(&graph.node, &mut scope, place)?;
        for output in &graph.output {
            let id = scope.get(&output.name).copied();
            let id =
                id.ok_or_else(|| format(format!("no node produces the output {:?}", output.name)));
            self.graph.outputs.push(id?);
        }
        Ok(())
    }

    /// The stored tensors of a graph.
    fn stored(&mut self, graph: &GraphProto, scope: &mut Scope) -> Result<(), LoadError> {
        if let Some(sparse) = graph.sparse_initializer.first() {
            let message =
                format!("the weight {:?} is sparse, which is not supported", sparse.values.name);
            return Err(LoadError::new(ErrorKind::Unsupported, message));
        }
        for tensor in &graph.initializer {
            let constant = self.tensor(tensor);
            let id = self.graph.add(tensor.name.clone(), Some(constant));
            if scope.insert(tensor.name.clone(), id).is_some() {
                return Err(format(format!("the weight {:?} is stored twice", tensor.name)));
            }
        }
        Ok(())
    }

    fn tensor(&mut self, proto: &TensorProto) -> Constant {
        match Stored::new(proto, self.folder) {
            Ok(stored) => Constant::Stored(Rc::new(stored)),
            Err(reason) => Constant::Unreadable(reason),
        }
    }

    /// The nodes in `protos`, what they make added to `scope`.
    fn nodes(
        &mut self,
        protos: &[NodeProto],
        scope: &mut Scope,
        place: &Place,
    ) -> Result<Vec<Node>, LoadError> {
        if place.depth > DEEPEST {
            let message =
                format!("functions or graphs lie inside one another more than {DEEPEST} deep");
            return Err(format(message));
        }
        let mut own = Scope::new();
        let mut nodes = Vec::with_capacity(protos.len());
        for proto in protos {
            let inputs = self.inputs(proto, scope, place)?;
            let function =
                (domain(&proto.domain).to_owned(), proto.op_type.as_str(), proto.overload.as_str());
            let made = if self.functions.contains_key(&function) {
                self.call(proto, &inputs, place, &mut nodes)?
            } else {
                self.node(proto, inputs, scope, place, &mut nodes)?
            };
            for (name, id) in proto.output.iter().zip(made) {
                let Some(id) = id else { continue };
                if own.insert(name.clone(), id).is_some() {
                    return Err(format(format!(
                        "two nodes produce {name:?}; export the model again"
                    )));
                }
                scope.insert(name.clone(), id);
            }
        }
        Ok(nodes)
    }

    fn inputs(
        &mut self,
        proto: &NodeProto,
        scope: &Scope,
        place: &Place,
    ) -> Result<Vec<Option<Id>>, LoadError> {
        let read = |name: &String| match scope.get(name) {
            _ if name.is_empty() => Ok(None),
            Some(id) => Ok(Some(*id)),
            None => Err(format(format!(
                "the node {} reads {name:?}, which no node produces before it; export it again",
                name_of(proto, place)
            ))),
        };
        proto.input.iter().map(read).collect()
    }

    /// Adds a node, or the constant that it is.
    fn node(
        &mut self,
        proto: &NodeProto,
        mut inputs: Vec<Option<Id>>,
        scope: &Scope,
        place: &Place,
        nodes: &mut Vec<Node>,
    ) -> Result<Vec<Option<Id>>, LoadError> {
        let own_domain = domain(&proto.domain);
        let operator = operator(own_domain, &proto.op_type);
        let attributes = Attributes::new(proto.attribute.iter(), self.folder);
        if operator.is_some_and(|operator| operator.role == Role::Constant)
            && let Ok(Some(tensor)) = attributes.tensor("value")
            && let [name] = &proto.output[..]
            && attributes.unread().is_empty()
        {
            return Ok(vec![Some(self.graph.add(name.clone(), Some(Constant::Stored(tensor))))]);
        }
        let mut blocks = Vec::new();
        for attribute in proto.attribute.iter().filter(|a| kind(a) == AttributeType::GRAPH) {
            blocks.push((attribute.name.clone(), self.block(&attribute.g, scope, place)?));
        }
        while inputs.last() == Some(&None) {
            inputs.pop();
        }
        let outputs: Vec<Option<Id>> = proto
            .output
            .iter()
            .map(|name| (!name.is_empty()).then(|| self.graph.add(name.clone(), None)))
            .collect();
        let kind = match own_domain {
            "" => proto.op_type.clone(),
            domain => format!("{domain}::{}", proto.op_type),
        };
        let opset = place.opsets.get(own_domain).copied().unwrap_or(if own_domain.is_empty() {
            0
        } else {
            1
        });
        let name = name_of(proto, place);
        let outputs_of_node = outputs.clone();
        nodes.push(Node { operator, kind, name, opset, attributes, inputs, outputs, blocks });
        Ok(outputs_of_node)
    }

    fn block(
        &mut self,
        graph: &GraphProto,
        scope: &Scope,
        place: &Place,
    ) -> Result<Block, LoadError> {
        let mut scope = scope.clone();
        let mut own = Scope::new();
        self.stored(graph, &mut own)?;
        let mut inputs = Vec::with_capacity(graph.input.len());
        for input in &graph.input {
            let id = self.graph.add(input.name.clone(), None);
            inputs.push(id);
            if own.insert(input.name.clone(), id).is_some() {
                let message =
                    format!("the graph of a node has two inputs or weights {:?}", input.name);
                return Err(format(message));
            }
        }
        scope.extend(own);
        let place = Place {
            opsets: place.opsets.clone(),
            prefix: place.prefix.clone(),
            depth: place.depth + 1,
        };
        let nodes = self.nodes(&graph.node, &mut scope, &place)?;
        let outputs = graph.output.iter().map(|output| {
            scope.get(&output.name).copied().ok_or_else(|| {
                format(format!(
                    "no node produces {:?}, the output of a graph inside a node",
                    output.name
                ))
            })
        });
        Ok(Block { inputs, nodes, outputs: outputs.collect::<Result<_, _>>()? })
    }

    /// Adds the nodes of the function that `call` names.
    fn call(
        &mut self,
        call: &NodeProto,
        inputs: &[Option<Id>],
        place: &Place,
        nodes: &mut Vec<Node>,
    ) -> Result<Vec<Option<Id>>, LoadError> {
        let key = (domain(&call.domain).to_owned(), call.op_type.as_str(), call.overload.as_str());
        let function = &self.functions[&key];
        let name = name_of(call, place);
        self.grown = self.grown.saturating_add(function.bytes);
        let sizes = self.functions.values().map(|function| function.bytes);
        let most = LARGEST.max(MOST_TIMES.saturating_mul(sizes.sum()));
        if self.grown > most {
            return Err(format(format!(
                "at the node {name} the model's functions have grown to more than {} MiB, by calling each other; the file means harm, or was exported wrongly",
                most >> 20
            )));
        }
        if inputs.len() > function.inputs.len() || call.output.len() > function.outputs.len() {
            return Err(format(format!(
                "the node {name} gives the function {} more values than it has",
                call.op_type
            )));
        }
        let (mut scope, mut absent) = (Scope::new(), Vec::new());
        for (index, formal) in function.inputs.iter().enumerate() {
            match inputs.get(index).copied().flatten() {
                Some(given) => drop(scope.insert(formal.clone(), given)),
                None => absent.push(formal),
            }
        }
        let mut protos: Vec<NodeProto> =
            function.nodes.iter().map(|node| function.node(node, call)).collect();
        // An optional input that the call leaves out is absent inside as well.
        for input in protos.iter_mut().flat_map(|proto| &mut proto.input) {
            if absent.contains(&&*input) {
                input.clear();
            }
        }
        let place = Place {
            opsets: function.opsets.clone(),
            prefix: format!("{name} > "),
            depth: place.depth + 1,
        };
        let outputs = function.outputs;
        nodes.extend(self.nodes(&protos, &mut scope, &place)?);
        let made = outputs.iter().map(|name| scope.get(name).copied());
        Ok(made.take(call.output.len()).collect())
    }
}

/// A node's name, or what it produces where it has none.
fn name_of(node: &NodeProto, place: &Place) -> String {
    let name = match (node.name.is_empty(), node.output.first()) {
        (true, Some(output)) => format!("(unnamed, producing {output:?})"),
        (true, None) => "(unnamed)".into(),
        (false, _) => format!("{:?}", node.name),
    };
    format!("{}{name}", place.prefix)
}
