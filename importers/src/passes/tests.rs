//! Each pass changes no output, and does what it is for.

use burn::tensor::Device;

use super::*;
use crate::program::Program;
use crate::sketch::{Sketch, assert_same, int, run};

/// Runs `pass` on the graph; the numbers of nodes before and after.
fn unchanged(mut graph: Graph, dims: &[usize], pass: fn(&mut Graph)) -> (usize, usize) {
    let (before, nodes) = (run(&graph, dims), graph.nodes.len());
    pass(&mut graph);
    assert_same(&before, &run(&graph, dims));
    (nodes, graph.nodes.len())
}

#[test]
fn pruning_drops_what_the_output_does_not_need() {
    let sketch = Sketch::new()
        .node("Tanh", &["x"], "unused", None)
        .node("NoSuchOperator", &["unused"], "never", None)
        .node("Relu", &["x"], "y", None);
    let mut graph = sketch.graph("y");
    prune::prune(&mut graph);
    assert_eq!(graph.nodes.len(), 1);
    let kept = Sketch::new().node("Tanh", &["x"], "h", None).node("Relu", &["h"], "y", None);
    assert_eq!(unchanged(kept.graph("y"), &[2, 3], prune::prune), (2, 2));
}

#[test]
fn identities_are_dropped() {
    let sketch = Sketch::new()
        .node("Identity", &["x"], "a", None)
        .node("Identity", &["a"], "b", None)
        .node("Relu", &["b"], "c", None)
        .node("Add", &["c", "a"], "d", None)
        .node("Identity", &["d"], "y", None);
    assert_eq!(unchanged(sketch.graph("y"), &[2, 3], identity::drop_identities), (5, 2));
}

#[test]
fn expressions_of_constants_are_computed() {
    let sketch = Sketch::new()
        .weight("w", &[3], &[0.5, -1.0, 2.0])
        .node("Exp", &["w"], "e", None)
        .node("Mul", &["e", "w"], "v", None)
        .node("Mul", &["x", "v"], "y", None);
    let pass = |graph: &mut Graph| fold::fold(graph).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(unchanged(sketch.graph("y"), &[2, 3], pass), (3, 1));
}

#[test]
fn a_gelu_that_is_spelled_out_becomes_one_node() {
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
        gelu::join(graph);
        prune::prune(graph);
    };
    let behind =
        sketch().node("Mul", &["x", "sum"], "h", None).node("Mul", &["h", "half"], "y", None);
    assert_eq!(unchanged(behind.graph("y"), &[2, 3], pass), (5, 1));
    let before =
        sketch().node("Mul", &["half", "x"], "h", None).node("Mul", &["h", "sum"], "y", None);
    assert_eq!(unchanged(before.graph("y"), &[2, 3], pass), (5, 1));
    // Another factor, and another value in the error function.
    let double =
        sketch().node("Mul", &["x", "sum"], "h", None).node("Mul", &["h", "one"], "y", None);
    assert_eq!(unchanged(double.graph("y"), &[2, 3], pass), (5, 5));
    let other = sketch()
        .node("Tanh", &["x"], "t", None)
        .node("Mul", &["t", "sum"], "h", None)
        .node("Mul", &["h", "half"], "y", None);
    assert_eq!(unchanged(other.graph("y"), &[2, 3], pass), (6, 6));
}

#[test]
fn values_whose_names_differ_in_punctuation_or_case_stay_apart() {
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

/// A 1x1 convolution from 2 to 3 channels.
fn convolution() -> Sketch {
    Sketch::new()
        .weight("w", &[3, 2, 1, 1], &[0.5, -1.0, 2.0, 0.25, -0.75, 1.5])
        .weight("b", &[3], &[0.1, -0.2, 0.3])
        .node("Conv", &["x", "w", "b"], "c", None)
}

#[test]
fn scales_and_shifts_of_channels_are_folded_into_the_convolution() {
    let dims = [2, 2, 3, 3];
    let norm = convolution()
        .weight("gamma", &[3], &[1.5, 0.5, -2.0])
        .weight("beta", &[3], &[0.3, 0.2, 0.1])
        .weight("mean", &[3], &[0.4, -0.4, 0.0])
        .weight("variance", &[3], &[0.5, 2.0, 1.0])
        .node("BatchNormalization", &["c", "gamma", "beta", "mean", "variance"], "y", None);
    assert_eq!(unchanged(norm.graph("y"), &dims, affine::fold), (2, 1));
    let chain = convolution()
        .weight("scale", &[3, 1, 1], &[2.0, -1.0, 0.5])
        .weight("one", &[], &[3.0])
        .node("Mul", &["scale", "c"], "m", None)
        .node("Sub", &["one", "m"], "s", None)
        .node("Div", &["s", "scale"], "d", None)
        .node("Add", &["d", "one"], "y", None);
    assert_eq!(unchanged(chain.graph("y"), &dims, affine::fold), (5, 1));
    // A number per place is not one per channel.
    let places = convolution().weight("places", &[3], &[2.0, -1.0, 0.5]).node(
        "Mul",
        &["c", "places"],
        "y",
        None,
    );
    assert_eq!(unchanged(places.graph("y"), &dims, affine::fold), (2, 2));
    // What something else reads must stay as it is.
    let shared = convolution()
        .weight("one", &[], &[3.0])
        .node("Mul", &["c", "one"], "m", None)
        .node("Add", &["c", "m"], "y", None);
    assert_eq!(unchanged(shared.graph("y"), &dims, affine::fold), (3, 3));
}

/// The link function that is found at `output`, and whether what is left gives `scores`, the input.
fn link_of(sketch: Sketch, output: &str) -> (Option<Link>, bool) {
    let mut graph = sketch.graph(output);
    let plain = run(&Sketch::new().node("Identity", &["x"], "y", None).graph("y"), &[2, 3]);
    let link = link::take_off(&mut graph);
    prune::prune(&mut graph);
    (link, run(&graph, &[2, 3]) == plain)
}

#[test]
fn the_link_function_is_found_in_every_form() {
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
        ("spelled out", sum(exponential()), "p", Some(Link::Softmax)),
        (
            "behind a reshape",
            softmax().ints("shape", &[0, 3, 1]).node("Reshape", &["p", "shape"], "y", None),
            "y",
            Some(Link::Softmax),
        ),
        (
            "behind a product",
            softmax().weight("hundred", &[], &[100.0]).node("Mul", &["p", "hundred"], "y", None),
            "y",
            Some(Link::Softmax),
        ),
        (
            "shifted by the largest",
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
    // A negative factor turns the order of the classes round, and a second reader needs the value.
    let negative = softmax().weight("minus", &[], &[-1.0]).node("Mul", &["p", "minus"], "y", None);
    assert_eq!(link_of(negative, "y").0, None);
    let read_twice = softmax().node("Mul", &["p", "p"], "y", None);
    assert_eq!(link_of(read_twice, "y").0, None);
}

#[test]
fn what_a_node_does_not_know_is_refused() {
    let message = |sketch: Sketch| {
        let graph = sketch.graph("y");
        let error = Program::new(&graph, &Device::flex()).err().expect("it is refused");
        error.to_string()
    };
    let attribute = message(Sketch::new().node("Relu", &["x"], "y", Some(1)));
    assert!(attribute.contains("its attributes axis are not known"), "{attribute}");
    let inputs = message(Sketch::new().node("Relu", &["x", "x"], "y", None));
    assert!(inputs.contains("2 inputs are too few or too many"), "{inputs}");
}

/// As networks are exported that standardize their weights instead of normalizing activations.
#[test]
fn weights_may_be_standardized_by_a_normalization_in_training_mode() {
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

    let error = Program::new(&norm("x").graph("y"), &Device::flex()).err().expect("it is refused");
    assert!(error.to_string().contains("training_mode=1 is not supported"), "{error}");
}

/// What the first nodes do to the input, by whatever nodes they say it.
#[test]
fn the_scaling_of_the_input_is_found() {
    let of = |sketch: Sketch, output: &str| {
        scaling::of_input(&sketch.graph(output), &[3, 4, 4]).map(|own| (own.scale, own.shift))
    };
    let filters = || Sketch::new().weight("w", &[1, 3, 1, 1], &[1.0, 2.0, 3.0]);
    let plain = filters().node("Conv", &["x", "w"], "y", None);
    assert_eq!(of(plain, "y"), None);
    // As Keras has it: a Rescaling behind a Transpose and back.
    let order = |perm: &[i64]| onnx_ir::AttributeProto {
        name: "perm".into(),
        type_: onnx_ir::AttributeType::INTS.into(),
        ints: perm.to_vec(),
        ..Default::default()
    };
    let rescaled = filters()
        .weight("factor", &[], &[0.5])
        .weight("offsets", &[3], &[-1.0, -2.0, -3.0])
        .node_with("Transpose", &["x"], "last", &[order(&[0, 2, 3, 1])])
        .node("Mul", &["factor", "last"], "scaled", None)
        .node("Add", &["scaled", "offsets"], "shifted", None)
        .node_with("Transpose", &["shifted"], "first", &[order(&[0, 3, 1, 2])])
        .node("Conv", &["first", "w"], "y", None);
    assert_eq!(of(rescaled, "y"), Some((vec![0.5; 3], vec![-1.0, -2.0, -3.0])));
    // A mean and a deviation that nodes of constants make.
    let normalized = filters()
        .weight("mean", &[3], &[1.0, 2.0, 4.0])
        .weight("std", &[1, 3, 1, 1], &[2.0, 4.0, 8.0])
        .ints("shape", &[1, 3, 1, 1])
        .node("Reshape", &["mean", "shape"], "means", None)
        .node("Sub", &["x", "means"], "centred", None)
        .node("Div", &["centred", "std"], "n", None)
        .node("Conv", &["n", "w"], "y", None);
    let expected = (vec![0.5, 0.25, 0.125], vec![-0.5, -0.5, -0.5]);
    assert_eq!(of(normalized, "y"), Some(expected));
    // What is also read as it is says nothing.
    let both = filters()
        .weight("factor", &[], &[0.5])
        .node("Mul", &["x", "factor"], "scaled", None)
        .node("Add", &["scaled", "x"], "y", None);
    assert_eq!(of(both, "y"), None);
}
