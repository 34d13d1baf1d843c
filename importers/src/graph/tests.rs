//! Tests of building graphs: functions, branches and invalid graphs.

use onnx_ir::{AttributeProto, AttributeType, GraphProto, ModelProto, ValueInfoProto};

use super::*;
use crate::file::{Folder, Mapped};
use crate::sketch::{Sketch, assert_same, node, run};

fn float(name: &str, value: f32) -> AttributeProto {
    let type_ = AttributeType::FLOAT.into();
    AttributeProto { name: name.into(), type_, f: value, ..Default::default() }
}

/// Returns an attribute of a node inside a function that refers to the function's attribute `from`.
fn reference(name: &str, from: &str) -> AttributeProto {
    let type_ = AttributeType::FLOAT.into();
    AttributeProto { name: name.into(), type_, ref_attr_name: from.into(), ..Default::default() }
}

/// Returns a model with the functions `Leak`, whose attribute `slope` defaults to 0.5, and `Twice`, which
/// calls `Leak` two times.
fn with_functions() -> Sketch {
    let mut sketch = Sketch::new();
    let functions = &mut sketch.model.functions;
    functions.extend([Default::default(), Default::default()]);
    for (function, name) in functions.iter_mut().zip(["Leak", "Twice"]) {
        (function.name, function.domain) = (name.into(), "local".into());
        (function.input, function.output) = (vec!["a".into()], vec!["b".into()]);
        function.opset_import.extend([Default::default(), Default::default()]);
        function.opset_import[0].version = 17;
        function.opset_import[1].version = 1;
        function.opset_import[1].domain = "local".into();
    }
    functions[0].node = vec![node("LeakyRelu", &["a"], "b", &[reference("alpha", "slope")])];
    functions[0].attribute_proto = vec![float("slope", 0.5)];
    let mut inner =
        [node("Leak", &["a"], "h", &[reference("slope", "slope")]), node("Leak", &["h"], "b", &[])];
    inner.iter_mut().for_each(|call| call.domain = "local".into());
    functions[1].node = inner.to_vec();
    functions[1].attribute = vec!["slope".into()];
    sketch
}

#[test]
fn function_calls_are_inlined() {
    let mut sketch = with_functions();
    let mut call = node("Twice", &["x"], "h", &[float("slope", 0.1)]);
    call.domain = "local".into();
    sketch.graph.node.push(call);
    // The value `b` here is another one than the output `b` of the functions.
    let graph =
        sketch.node("Neg", &["x"], "b", None).node("Sub", &["h", "b"], "y", None).graph("y");
    let x: Vec<f32> = (0..8).map(|i| (i as f32 * 0.7).sin()).collect();
    let leak = |x: f32, slope: f32| if x < 0.0 { slope * x } else { x };
    let expected: Vec<f32> = x.iter().map(|&x| leak(leak(x, 0.1), 0.5) + x).collect();
    assert_same(&expected, &run(&graph, &[2, 4]));
}

#[test]
fn recursive_functions_are_rejected() {
    let mut sketch = with_functions();
    sketch.model.functions[0].node[0].op_type = "Twice".into();
    sketch.model.functions[0].node[0].domain = "local".into();
    let mut call = node("Twice", &["x"], "y", &[]);
    call.domain = "local".into();
    sketch.graph.node.push(call);
    let error = built(sketch, "y").err().expect("the graph is rejected").to_string();
    assert!(error.contains("nested more than 64 levels deep"), "{error}");
}

/// Forty functions, each of which calls the next one twice: inlining would make 2^40 nodes from a file of a
/// few kilobytes.
#[test]
fn exponential_inlining_is_rejected() {
    let mut sketch = with_functions();
    let template = sketch.model.functions[1].clone();
    sketch.model.functions = (0..40)
        .map(|at| {
            let mut function = template.clone();
            function.name = format!("F{at}");
            for inner in &mut function.node {
                inner.op_type = format!("F{}", at + 1);
                inner.attribute.clear();
            }
            function
        })
        .collect();
    for inner in &mut sketch.model.functions[39].node {
        (inner.op_type, inner.domain) = ("Relu".into(), String::new());
    }
    let mut call = node("F0", &["x"], "y", &[]);
    call.domain = "local".into();
    sketch.graph.node.push(call);
    let error = built(sketch, "y").err().expect("the graph is rejected").to_string();
    assert!(error.contains("the inlined functions exceed 16 MiB"), "{error}");
}

/// Builds the graph of `sketch` with the output `output`.
fn built(sketch: Sketch, output: &str) -> Result<Graph, crate::LoadError> {
    let mut graph = sketch.graph;
    graph.output.push(ValueInfoProto { name: output.into(), ..Default::default() });
    let model = ModelProto { graph: Some(graph).into(), ..sketch.model };
    build(&model, &mut Folder::in_memory(Mapped::default()))
}

/// Returns a subgraph attribute that may read values of the enclosing graph.
fn branch(name: &str, nodes: &[onnx_ir::NodeProto], output: &str) -> AttributeProto {
    let output = ValueInfoProto { name: output.into(), ..Default::default() };
    let graph = GraphProto { node: nodes.to_vec(), output: vec![output], ..Default::default() };
    let type_ = AttributeType::GRAPH.into();
    AttributeProto { name: name.into(), type_, g: Some(graph).into(), ..Default::default() }
}

#[test]
fn if_nodes_with_constant_conditions_are_replaced_by_a_branch() {
    for (condition, factor) in [(1, 2.0), (0, -3.0)] {
        let then = branch("then_branch", &[node("Mul", &["h", "two"], "t", &[])], "t");
        // The output of a branch may be a value of the enclosing graph or of a nested If.
        let inner = [
            branch("then_branch", &[node("Mul", &["h", "three"], "u", &[])], "u"),
            branch("else_branch", &[], "h"),
        ];
        let nodes = [
            node("Not", &["condition"], "other", &[]),
            node("If", &["other"], "v", &inner),
            node("Neg", &["v"], "w", &[]),
        ];
        let sketch = Sketch::new()
            .weight("two", &[1], &[2.0])
            .weight("three", &[1], &[3.0])
            .scalar("condition", 9, &[condition])
            .node("Identity", &["x"], "h", None)
            .node_with("If", &["condition"], "c", &[then, branch("else_branch", &nodes, "w")])
            .node("Relu", &["c"], "y", None);
        let mut graph = sketch.graph("y");
        crate::passes::simplify(&mut graph, false).unwrap_or_else(|error| panic!("{error}"));
        let x = (0..6).map(|i| (i as f32 * 0.7).sin());
        let expected: Vec<f32> = x.map(|x| (factor * x).max(0.0)).collect();
        assert_same(&expected, &run(&graph, &[2, 3]));
    }
}

#[test]
fn invalid_graphs_are_rejected() {
    let duplicate = Sketch::new().node("Relu", &["x"], "y", None).node("Tanh", &["x"], "y", None);
    let dangling = Sketch::new().node("Relu", &["nothing"], "y", None);
    let cases = [
        (duplicate, "two nodes produce \"y\""),
        (dangling, "reads \"nothing\", which no node produces before it"),
        (Sketch::new(), "no node produces the output \"y\""),
    ];
    for (sketch, expected) in cases {
        let error = built(sketch, "y").err().expect("the graph is rejected").to_string();
        assert!(error.contains(expected), "{error}");
    }
}
