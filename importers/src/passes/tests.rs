//! Tests of the passes: each pass rewrites what it should and leaves the outputs unchanged.

use burn::tensor::Device;

use super::*;
use crate::program::Program;
use crate::sketch::{Sketch, assert_same, int, run};

/// Runs `pass` on the graph, asserts that the outputs do not change, and returns the number of nodes before
/// and after.
fn check_pass(mut graph: Graph, dims: &[usize], pass: fn(&mut Graph)) -> (usize, usize) {
    let (before, nodes) = (run(&graph, dims), graph.nodes.len());
    pass(&mut graph);
    assert_same(&before, &run(&graph, dims));
    (nodes, graph.nodes.len())
}

#[test]
fn prune_removes_unused_nodes() {
    let sketch = Sketch::new()
        .node("Tanh", &["x"], "unused", None)
        .node("NoSuchOperator", &["unused"], "never", None)
        .node("Relu", &["x"], "y", None);
    let mut graph = sketch.graph("y");
    prune::prune(&mut graph);
    assert_eq!(graph.nodes.len(), 1);
    let kept = Sketch::new().node("Tanh", &["x"], "h", None).node("Relu", &["h"], "y", None);
    assert_eq!(check_pass(kept.graph("y"), &[2, 3], prune::prune), (2, 2));
}

#[test]
fn identity_nodes_are_removed() {
    let sketch = Sketch::new()
        .node("Identity", &["x"], "a", None)
        .node("Identity", &["a"], "b", None)
        .node("Relu", &["b"], "c", None)
        .node("Add", &["c", "a"], "d", None)
        .node("Identity", &["d"], "y", None);
    assert_eq!(check_pass(sketch.graph("y"), &[2, 3], identity::drop_identities), (5, 2));
}

#[test]
fn constant_expressions_are_folded() {
    let sketch = Sketch::new()
        .weight("w", &[3], &[0.5, -1.0, 2.0])
        .node("Exp", &["w"], "e", None)
        .node("Mul", &["e", "w"], "v", None)
        .node("Mul", &["x", "v"], "y", None);
    let pass = |graph: &mut Graph| fold::fold(graph).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(check_pass(sketch.graph("y"), &[2, 3], pass), (3, 1));
}

#[test]
fn composite_gelu_becomes_one_node() {
    let sketch = || {
        Sketch::new()
            .weight("root", &[], &[std::f32::consts::SQRT_2])
            .weight("one", &[], &[1.0])
            .weight("half", &[], &[0.5])
            .node("Div", &["x", "root"], "scaled", None)
            .node("Erf", &["scaled"], "erf", None)
            .node("Add", &["erf", "one"], "sum", None)
    };
    let pass = |graph: &mut Graph| {
        gelu::fuse(graph);
        prune::prune(graph);
    };
    let half_last =
        sketch().node("Mul", &["x", "sum"], "h", None).node("Mul", &["h", "half"], "y", None);
    assert_eq!(check_pass(half_last.graph("y"), &[2, 3], pass), (5, 1));
    let half_first =
        sketch().node("Mul", &["half", "x"], "h", None).node("Mul", &["h", "sum"], "y", None);
    assert_eq!(check_pass(half_first.graph("y"), &[2, 3], pass), (5, 1));
    // No GELU: a wrong constant factor, and a factor other than the argument of the error function.
    let wrong_constant =
        sketch().node("Mul", &["x", "sum"], "h", None).node("Mul", &["h", "one"], "y", None);
    assert_eq!(check_pass(wrong_constant.graph("y"), &[2, 3], pass), (5, 5));
    let wrong_factor = sketch()
        .node("Tanh", &["x"], "t", None)
        .node("Mul", &["t", "sum"], "h", None)
        .node("Mul", &["h", "half"], "y", None);
    assert_eq!(check_pass(wrong_factor.graph("y"), &[2, 3], pass), (6, 6));
}

#[test]
fn names_that_differ_in_punctuation_or_case_are_distinct() {
    let sketch = Sketch::new()
        .weight("w.a", &[1], &[2.0])
        .weight("w_a", &[1], &[3.0])
        .weight("W_a", &[1], &[5.0])
        .node("Mul", &["x", "w.a"], "h.1", None)
        .node("Mul", &["x", "w_a"], "h_1", None)
        .node("Mul", &["x", "W_a"], "H_1", None)
        .node("Sub", &["h.1", "h_1"], "d", None)
        .node("Add", &["d", "H_1"], "y", None);
    let graph = sketch.graph("y");
    // 2 x - 3 x + 5 x.
    assert_same(&run(&graph, &[1, 2]), &[0.0, 4.0 * 0.7f32.sin()]);
}

/// Returns a 1x1 convolution from 2 to 3 channels.
fn convolution() -> Sketch {
    Sketch::new()
        .weight("w", &[3, 2, 1, 1], &[0.5, -1.0, 2.0, 0.25, -0.75, 1.5])
        .weight("b", &[3], &[0.1, -0.2, 0.3])
        .node("Conv", &["x", "w", "b"], "c", None)
}

#[test]
fn channel_scales_and_shifts_are_folded_into_convolutions() {
    let dims = [2, 2, 3, 3];
    let norm = convolution()
        .weight("gamma", &[3], &[1.5, 0.5, -2.0])
        .weight("beta", &[3], &[0.3, 0.2, 0.1])
        .weight("mean", &[3], &[0.4, -0.4, 0.0])
        .weight("variance", &[3], &[0.5, 2.0, 1.0])
        .node("BatchNormalization", &["c", "gamma", "beta", "mean", "variance"], "y", None);
    assert_eq!(check_pass(norm.graph("y"), &dims, affine::fold), (2, 1));
    let chain = convolution()
        .weight("scale", &[3, 1, 1], &[2.0, -1.0, 0.5])
        .weight("one", &[], &[3.0])
        .node("Mul", &["scale", "c"], "m", None)
        .node("Sub", &["one", "m"], "s", None)
        .node("Div", &["s", "scale"], "d", None)
        .node("Add", &["d", "one"], "y", None);
    assert_eq!(check_pass(chain.graph("y"), &dims, affine::fold), (5, 1));
    // One number per column is not one per channel.
    let columns = convolution().weight("columns", &[3], &[2.0, -1.0, 0.5]).node(
        "Mul",
        &["c", "columns"],
        "y",
        None,
    );
    assert_eq!(check_pass(columns.graph("y"), &dims, affine::fold), (2, 2));
    // A convolution with another reader must not change.
    let shared = convolution()
        .weight("one", &[], &[3.0])
        .node("Mul", &["c", "one"], "m", None)
        .node("Add", &["c", "m"], "y", None);
    assert_eq!(check_pass(shared.graph("y"), &dims, affine::fold), (3, 3));
}

/// Returns the link function that the pass removes before `output`, and whether the remaining graph returns
/// the scores, which equal the input.
fn link_of(sketch: Sketch, output: &str) -> (Option<Link>, bool) {
    let mut graph = sketch.graph(output);
    let scores = run(&Sketch::new().node("Identity", &["x"], "y", None).graph("y"), &[2, 3]);
    let link = link::remove(&mut graph);
    prune::prune(&mut graph);
    (link, run(&graph, &[2, 3]) == scores)
}

#[test]
fn every_form_of_the_link_function_is_removed() {
    let scores = || Sketch::new().node("Identity", &["x"], "z", None);
    let exponential = || scores().node("Exp", &["z"], "e", None);
    let sum = |sketch: Sketch| {
        let sketch = sketch.ints("last", &[-1]);
        sketch.node("ReduceSum", &["e", "last"], "t", None).node("Div", &["e", "t"], "p", None)
    };
    let softmax = || scores().node("Softmax", &["z"], "p", Some(1));
    let cases: [(&str, Sketch, &str, Option<Link>); 9] = [
        ("none", scores(), "z", None),
        ("softmax", softmax(), "p", Some(Link::Softmax)),
        (
            "log softmax",
            scores().node("LogSoftmax", &["z"], "p", Some(1)),
            "p",
            Some(Link::Softmax),
        ),
        ("log of softmax", softmax().node("Log", &["p"], "l", None), "l", Some(Link::Softmax)),
        ("sigmoid", scores().node("Sigmoid", &["z"], "p", None), "p", Some(Link::Sigmoid)),
        ("softmax of elementary operators", sum(exponential()), "p", Some(Link::Softmax)),
        (
            "softmax before a reshape",
            softmax().ints("shape", &[0, 3, 1]).node("Reshape", &["p", "shape"], "y", None),
            "y",
            Some(Link::Softmax),
        ),
        (
            "softmax before a product",
            softmax().weight("hundred", &[], &[100.0]).node("Mul", &["p", "hundred"], "y", None),
            "y",
            Some(Link::Softmax),
        ),
        (
            "softmax shifted by the maximum",
            sum(scores()
                .node("ReduceMax", &["z"], "m", None)
                .node("Sub", &["z", "m"], "s", None)
                .node("Exp", &["s"], "e", None)),
            "p",
            Some(Link::Softmax),
        ),
    ];
    for (name, sketch, output, expected) in cases {
        assert_eq!(link_of(sketch, output), (expected, true), "{name}");
    }
    // A negative factor reverses the order of the classes; a probability that is read twice must remain.
    let negative = softmax().weight("minus", &[], &[-1.0]).node("Mul", &["p", "minus"], "y", None);
    assert_eq!(link_of(negative, "y").0, None);
    let read_twice = softmax().node("Mul", &["p", "p"], "y", None);
    assert_eq!(link_of(read_twice, "y").0, None);
}

#[test]
fn unknown_attributes_and_extra_inputs_are_rejected() {
    let message = |sketch: Sketch| {
        let graph = sketch.graph("y");
        let error = Program::new(&graph, &Device::flex()).err().expect("the graph is rejected");
        error.to_string()
    };
    let attribute = message(Sketch::new().node("Relu", &["x"], "y", Some(1)));
    assert!(attribute.contains("the attributes axis are not supported"), "{attribute}");
    let inputs = message(Sketch::new().node("Relu", &["x", "x"], "y", None));
    assert!(inputs.contains("2 inputs are too few or too many"), "{inputs}");
}

/// Networks with weight standardization (instead of normalized activations) are exported in this form.
#[test]
fn training_mode_normalization_of_constant_weights_is_folded() {
    let norm = |input: &str| {
        Sketch::new()
            .weight("w", &[1, 2, 2], &[1.0, 3.0, -2.0, 4.0])
            .weight("ones", &[2], &[1.0; 2])
            .weight("zeros", &[2], &[0.0; 2])
            .node_with(
                "BatchNormalization",
                &[input, "ones", "zeros", "zeros", "ones"],
                "v",
                &[int("training_mode", 1)],
            )
            .node("Add", &["v", "x"], "y", None)
    };
    let mut graph = norm("w").graph("y");
    fold::fold(&mut graph).unwrap_or_else(|error| panic!("{error}"));
    let x: Vec<f32> = (0..4).map(|i| (i as f32 * 0.7).sin()).collect();
    let standardized = [-1.0, 1.0, -1.0, 1.0];
    let expected: Vec<f32> = x.iter().zip(standardized).map(|(x, v)| x + v).collect();
    assert_same(&expected, &run(&graph, &[1, 2, 2]));

    let error =
        Program::new(&norm("x").graph("y"), &Device::flex()).err().expect("the graph is rejected");
    assert!(error.to_string().contains("training_mode=1 is not supported"), "{error}");
}

/// A scaling of the input by the first nodes is found, whichever nodes compute it.
#[test]
fn input_scaling_is_detected() {
    let scaling = |sketch: Sketch, output: &str| {
        scaling::input_scaling(&sketch.graph(output), &[3, 4, 4])
            .map(|affine| (affine.scale, affine.shift))
    };
    let filters = || Sketch::new().weight("w", &[1, 3, 1, 1], &[1.0, 2.0, 3.0]);
    let plain = filters().node("Conv", &["x", "w"], "y", None);
    assert_eq!(scaling(plain, "y"), None);
    // A Keras Rescaling layer between two Transposes.
    let perm = |perm: &[i64]| onnx_ir::AttributeProto {
        name: "perm".into(),
        type_: onnx_ir::AttributeType::INTS.into(),
        ints: perm.to_vec(),
        ..Default::default()
    };
    let rescaled = filters()
        .weight("factor", &[], &[0.5])
        .weight("offsets", &[3], &[-1.0, -2.0, -3.0])
        .node_with("Transpose", &["x"], "last", &[perm(&[0, 2, 3, 1])])
        .node("Mul", &["factor", "last"], "scaled", None)
        .node("Add", &["scaled", "offsets"], "shifted", None)
        .node_with("Transpose", &["shifted"], "first", &[perm(&[0, 3, 1, 2])])
        .node("Conv", &["first", "w"], "y", None);
    assert_eq!(scaling(rescaled, "y"), Some((vec![0.5; 3], vec![-1.0, -2.0, -3.0])));
    // A normalization whose mean is computed from constants by a node.
    let normalized = filters()
        .weight("mean", &[3], &[1.0, 2.0, 4.0])
        .weight("std", &[1, 3, 1, 1], &[2.0, 4.0, 8.0])
        .ints("shape", &[1, 3, 1, 1])
        .node("Reshape", &["mean", "shape"], "means", None)
        .node("Sub", &["x", "means"], "centred", None)
        .node("Div", &["centred", "std"], "n", None)
        .node("Conv", &["n", "w"], "y", None);
    let expected = (vec![0.5, 0.25, 0.125], vec![-0.5, -0.5, -0.5]);
    assert_eq!(scaling(normalized, "y"), Some(expected));
    // There is no scaling if a node also reads the unscaled input.
    let both = filters()
        .weight("factor", &[], &[0.5])
        .node("Mul", &["x", "factor"], "scaled", None)
        .node("Add", &["scaled", "x"], "y", None);
    assert_eq!(scaling(both, "y"), None);
}
