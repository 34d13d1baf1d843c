//! Builds the graph from the messages of a model file.

use std::collections::HashMap;
use std::rc::Rc;

use onnx_ir::{AttributeType, GraphProto, ModelProto, NodeProto, TensorProto};

use super::attributes::{Attributes, kind};
use super::function::{Functions, domain, functions};
use super::{Block, Constant, Graph, Id, Node};
use crate::error::{ErrorKind, LoadError};
use crate::file::{Folder, Stored};
use crate::operators::{Role, signature};

/// The maximum nesting depth of function calls and subgraphs.
const MAX_DEPTH: usize = 64;

/// Inlined function calls may reach this size in bytes, or `MAX_INLINING_RATIO` times the size of the
/// functions in the file, whichever is larger. Without a limit, a few functions that each call another one
/// twice would exhaust any memory.
const MAX_INLINED_BYTES: u64 = 16 << 20;
const MAX_INLINING_RATIO: u64 = 4;

/// Builds the graph of `model` and inlines all function calls.
///
/// # Errors
///
/// When a value is read but not produced, or produced twice, or a function calls itself.
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
        inlined_bytes: 0,
    };
    let context = Context {
        opsets: imports.map(|i| (domain(&i.domain).to_owned(), i.version)).collect(),
        prefix: String::new(),
        depth: 0,
    };
    builder.add_main_graph(&model.graph, &context)?;
    Ok(builder.graph)
}

/// Returns the opset of the ONNX domain; 0 if the model imports none.
pub fn opset_of(model: &ModelProto) -> i64 {
    let onnx = model.opset_import.iter().find(|import| domain(&import.domain).is_empty());
    onnx.map_or(0, |import| import.version)
}

struct Builder<'a> {
    graph: Graph,
    functions: Functions<'a>,
    folder: &'a mut Folder,
    /// The total size of the functions inlined so far, in bytes.
    inlined_bytes: u64,
}

/// The context of nodes: the main graph, a subgraph or an inlined function.
struct Context {
    /// The opset of each domain.
    opsets: HashMap<String, i64>,
    /// A prefix of node names in messages: the function calls that the nodes were inlined from.
    prefix: String,
    /// The nesting depth of function calls and subgraphs.
    depth: usize,
}

/// The visible values, by name.
type Scope = HashMap<String, Id>;

fn format_error(message: String) -> LoadError {
    LoadError::new(ErrorKind::Format, message)
}

impl Builder<'_> {
    fn add_main_graph(&mut self, graph: &GraphProto, context: &Context) -> Result<(), LoadError> {
        let mut scope = Scope::new();
        self.add_initializers(graph, &mut scope)?;
        // Old files list initializers among the graph inputs as well.
        for input in &graph.input {
            if !scope.contains_key(&input.name) {
                let id = self.graph.add(input.name.clone(), None);
                scope.insert(input.name.clone(), id);
                self.graph.inputs.push(id);
            }
        }
        self.graph.nodes = self.build_nodes(&graph.node, &mut scope, context)?;
        for output in &graph.output {
            let id = scope.get(&output.name).copied();
            let id = id.ok_or_else(|| {
                format_error(format!("no node produces the output {:?}", output.name))
            });
            self.graph.outputs.push(id?);
        }
        Ok(())
    }

    /// Adds the initializers of a graph as constants.
    fn add_initializers(&mut self, graph: &GraphProto, scope: &mut Scope) -> Result<(), LoadError> {
        if let Some(sparse) = graph.sparse_initializer.first() {
            let message = format!(
                "the weight {:?} is sparse, which is not supported; export it as a dense tensor",
                sparse.values.name
            );
            return Err(LoadError::new(ErrorKind::Unsupported, message));
        }
        for tensor in &graph.initializer {
            let constant = self.constant(tensor);
            let id = self.graph.add(tensor.name.clone(), Some(constant));
            if scope.insert(tensor.name.clone(), id).is_some() {
                return Err(format_error(format!(
                    "the weight {:?} is stored twice; export the model again",
                    tensor.name
                )));
            }
        }
        Ok(())
    }

    fn constant(&mut self, proto: &TensorProto) -> Constant {
        match Stored::new(proto, self.folder) {
            Ok(stored) => Constant::Stored(Rc::new(stored)),
            Err(reason) => Constant::Unreadable(reason),
        }
    }

    /// Builds the nodes in `protos` and adds their outputs to `scope`.
    fn build_nodes(
        &mut self,
        protos: &[NodeProto],
        scope: &mut Scope,
        context: &Context,
    ) -> Result<Vec<Node>, LoadError> {
        if context.depth > MAX_DEPTH {
            let message =
                format!("functions or subgraphs are nested more than {MAX_DEPTH} levels deep");
            return Err(format_error(message));
        }
        let mut produced = Scope::new();
        let mut nodes = Vec::with_capacity(protos.len());
        for proto in protos {
            let inputs = self.resolve_inputs(proto, scope, context)?;
            let function =
                (domain(&proto.domain).to_owned(), proto.op_type.as_str(), proto.overload.as_str());
            let outputs = if self.functions.contains_key(&function) {
                self.inline_call(proto, &inputs, context, &mut nodes)?
            } else {
                self.add_node(proto, inputs, scope, context, &mut nodes)?
            };
            for (name, id) in proto.output.iter().zip(outputs) {
                let Some(id) = id else { continue };
                if produced.insert(name.clone(), id).is_some() {
                    return Err(format_error(format!(
                        "two nodes produce {name:?}; export the model again"
                    )));
                }
                scope.insert(name.clone(), id);
            }
        }
        Ok(nodes)
    }

    /// Returns the values that the inputs of a node name; `None` for an omitted optional input.
    fn resolve_inputs(
        &mut self,
        proto: &NodeProto,
        scope: &Scope,
        context: &Context,
    ) -> Result<Vec<Option<Id>>, LoadError> {
        let resolve = |name: &String| match scope.get(name) {
            _ if name.is_empty() => Ok(None),
            Some(id) => Ok(Some(*id)),
            None => Err(format_error(format!(
                "the node {} reads {name:?}, which no node produces before it; export the model again",
                name_of(proto, context)
            ))),
        };
        proto.input.iter().map(resolve).collect()
    }

    /// Adds a node, or a constant if the node is a Constant. Returns its outputs.
    fn add_node(
        &mut self,
        proto: &NodeProto,
        mut inputs: Vec<Option<Id>>,
        scope: &Scope,
        context: &Context,
        nodes: &mut Vec<Node>,
    ) -> Result<Vec<Option<Id>>, LoadError> {
        let own_domain = domain(&proto.domain);
        let operator = signature(own_domain, &proto.op_type);
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
            blocks.push((attribute.name.clone(), self.build_block(&attribute.g, scope, context)?));
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
        let opset = context.opsets.get(own_domain).copied().unwrap_or(if own_domain.is_empty() {
            0
        } else {
            1
        });
        let name = name_of(proto, context);
        let outputs_of_node = outputs.clone();
        nodes.push(Node { operator, kind, name, opset, attributes, inputs, outputs, blocks });
        Ok(outputs_of_node)
    }

    /// Builds a subgraph of a node; the values of `scope` are visible inside it.
    fn build_block(
        &mut self,
        graph: &GraphProto,
        scope: &Scope,
        context: &Context,
    ) -> Result<Block, LoadError> {
        let mut scope = scope.clone();
        let mut local = Scope::new();
        self.add_initializers(graph, &mut local)?;
        let mut inputs = Vec::with_capacity(graph.input.len());
        for input in &graph.input {
            let id = self.graph.add(input.name.clone(), None);
            inputs.push(id);
            if local.insert(input.name.clone(), id).is_some() {
                let message =
                    format!("a subgraph has two inputs or weights named {:?}", input.name);
                return Err(format_error(message));
            }
        }
        scope.extend(local);
        let context = Context {
            opsets: context.opsets.clone(),
            prefix: context.prefix.clone(),
            depth: context.depth + 1,
        };
        let nodes = self.build_nodes(&graph.node, &mut scope, &context)?;
        let outputs = graph.output.iter().map(|output| {
            scope.get(&output.name).copied().ok_or_else(|| {
                format_error(format!("no node produces {:?}, an output of a subgraph", output.name))
            })
        });
        Ok(Block { inputs, nodes, outputs: outputs.collect::<Result<_, _>>()? })
    }

    /// Adds the nodes of the function that `call` names. Returns the outputs of the call.
    fn inline_call(
        &mut self,
        call: &NodeProto,
        inputs: &[Option<Id>],
        context: &Context,
        nodes: &mut Vec<Node>,
    ) -> Result<Vec<Option<Id>>, LoadError> {
        let key = (domain(&call.domain).to_owned(), call.op_type.as_str(), call.overload.as_str());
        let function = &self.functions[&key];
        let name = name_of(call, context);
        self.inlined_bytes = self.inlined_bytes.saturating_add(function.bytes);
        let sizes = self.functions.values().map(|function| function.bytes);
        let limit = MAX_INLINED_BYTES.max(MAX_INLINING_RATIO.saturating_mul(sizes.sum()));
        if self.inlined_bytes > limit {
            return Err(format_error(format!(
                "at the node {name} the inlined functions exceed {} MiB, because functions call one another too often; the file is malicious or was exported incorrectly",
                limit >> 20
            )));
        }
        if inputs.len() > function.inputs.len() || call.output.len() > function.outputs.len() {
            return Err(format_error(format!(
                "the node {name} has more inputs or outputs than the function {} that it calls; export the model again",
                call.op_type
            )));
        }
        let (mut scope, mut absent) = (Scope::new(), Vec::new());
        for (index, parameter) in function.inputs.iter().enumerate() {
            match inputs.get(index).copied().flatten() {
                Some(id) => drop(scope.insert(parameter.clone(), id)),
                None => absent.push(parameter),
            }
        }
        let mut protos: Vec<NodeProto> =
            function.nodes.iter().map(|node| function.node(node, call)).collect();
        // An optional input that the call omits is also absent for the nodes inside the function.
        for input in protos.iter_mut().flat_map(|proto| &mut proto.input) {
            if absent.contains(&&*input) {
                input.clear();
            }
        }
        let context = Context {
            opsets: function.opsets.clone(),
            prefix: format!("{name} > "),
            depth: context.depth + 1,
        };
        let outputs = function.outputs;
        nodes.extend(self.build_nodes(&protos, &mut scope, &context)?);
        let outputs = outputs.iter().map(|name| scope.get(name).copied());
        Ok(outputs.take(call.output.len()).collect())
    }
}

/// Returns the name of a node for messages; an unnamed node is described by its first output.
fn name_of(node: &NodeProto, context: &Context) -> String {
    let name = match (node.name.is_empty(), node.output.first()) {
        (true, Some(output)) => format!("(unnamed, producing {output:?})"),
        (true, None) => "(unnamed)".into(),
        (false, _) => format!("{:?}", node.name),
    };
    format!("{}{name}", context.prefix)
}
