//! Tests of operator semantics that are easy to get wrong.

use burn::tensor::{Device, Tensor, TensorData};

use super::registry::families;
use crate::sketch::{Sketch, int, run_on, text};
use crate::value::Value;

#[test]
fn each_operator_is_listed_once() {
    let mut names: Vec<_> = families()
        .into_iter()
        .flatten()
        .map(|operator| (operator.signature.domain, operator.signature.name))
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// Returns the gradient of the sum of the model's output with respect to its input.
fn gradient(sketch: Sketch, dims: &[usize], values: &[f32]) -> Vec<f32> {
    let data = TensorData::new(values.to_vec(), [values.len()]);
    let x = Tensor::<1>::from_data(data, &Device::flex()).autodiff().require_grad();
    let input = Value::new(x.clone().into_dispatch()).reshape(dims).expect("an input");
    let output = run_on(&sketch.graph("y"), input);
    let count = output.dims().iter().product();
    let output = output.reshape(&[count]).expect("a vector").float().expect("floats");
    let gradients = Tensor::<1>::from_dispatch(output).sum().backward();
    x.grad(&gradients).expect("a gradient").into_data().try_into_vec().expect("floats")
}

/// Returns the shape and the values of the model's output.
fn output(sketch: Sketch, dims: &[usize], values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let input = Value::from_floats(values.to_vec()).reshape(dims).expect("an input");
    let output = run_on(&sketch.graph("y"), input);
    (output.dims(), output.floats().expect("floats"))
}

/// The expected derivative at 0 is 0, as in PyTorch.
#[test]
fn gradient_of_norms_is_zero_at_zero() {
    let norm = || Sketch::new().node_with("ReduceL2", &["x"], "y", &[int("keepdims", 0)]);
    assert_eq!(gradient(norm(), &[1, 2], &[0.0, 0.0]), [0.0, 0.0]);
    let [a, b] = gradient(norm(), &[1, 2], &[3.0, 4.0])[..] else { panic!("two values") };
    assert!((a - 0.6).abs() < 1e-6 && (b - 0.8).abs() < 1e-6);
    let normal = || Sketch::new().node("LpNormalization", &["x"], "y", Some(1));
    assert_eq!(output(normal(), &[1, 2], &[0.0, 0.0]).1, [0.0, 0.0]);
    assert!(gradient(normal(), &[1, 2], &[0.0, 0.0]).iter().all(|value| value.is_finite()));
}

#[test]
fn resize_scales_every_axis_and_rounds_sizes_in_float32() {
    let resize = |scales: [f32; 3]| {
        let sketch = Sketch::new().weight("s", &[3], &scales);
        let attributes =
            [text("coordinate_transformation_mode", "asymmetric"), text("nearest_mode", "floor")];
        sketch.node_with("Resize", &["x", "", "s"], "y", &attributes)
    };
    let (dims, values) = output(resize([2.0, 2.0, 1.0]), &[1, 2, 1], &[5.0, 7.0]);
    assert_eq!((dims, values), (vec![2, 4, 1], vec![5.0, 5.0, 7.0, 7.0, 5.0, 5.0, 7.0, 7.0]));
    // In double precision, 3 times this scale is below 5; in float32 it rounds to 5.
    let (dims, _) = output(resize([1.0, 1.0, 1.666_666_6]), &[1, 1, 3], &[1.0, 2.0, 3.0]);
    assert_eq!(dims, [1, 1, 5]);
}

#[test]
fn reshape_with_allowzero_keeps_zero_sizes() {
    let sketch = Sketch::new().ints("shape", &[0, 3]);
    let sketch = sketch.node_with("Reshape", &["x", "shape"], "y", &[int("allowzero", 1)]);
    assert_eq!(output(sketch, &[3, 0], &[]).0, [0, 3]);
}

#[test]
fn slice_reverses_an_empty_axis() {
    let sketch = Sketch::new().ints("start", &[-1]).ints("end", &[i64::MIN]).ints("axis", &[1]);
    let sketch = sketch.ints("step", &[-1]);
    let sketch = sketch.node("Slice", &["x", "start", "end", "axis", "step"], "y", None);
    assert_eq!(output(sketch, &[2, 0], &[]), (vec![2, 0], Vec::new()));
}

#[test]
fn clip_accepts_bounds_of_every_float_type() {
    // 1.5 in float, float16, double and bfloat16.
    let cases: [(i32, &[u8]); 4] = [
        (1, &[0, 0, 0xC0, 0x3F]),
        (10, &[0x00, 0x3E]),
        (11, &[0, 0, 0, 0, 0, 0, 0xF8, 0x3F]),
        (16, &[0xC0, 0x3F]),
    ];
    for (data_type, bytes) in cases {
        let sketch = Sketch::new().scalar("max", data_type, bytes);
        let sketch = sketch.node("Clip", &["x", "", "max"], "y", None);
        assert_eq!(output(sketch, &[1, 2], &[1.0, 2.0]).1, [1.0, 1.5], "type {data_type}");
    }
}

#[test]
fn fused_conv_equals_conv_add_relu() {
    let weights = || {
        Sketch::new().weight("w", &[1, 2, 1, 1], &[0.5, -1.0]).weight("b", &[1], &[0.25]).weight(
            "z",
            &[1, 1, 1, 2],
            &[1.0, -1.0],
        )
    };
    let mut fused = weights();
    let inputs = ["x", "w", "b", "z"];
    let mut node = crate::sketch::node("FusedConv", &inputs, "y", &[text("activation", "Relu")]);
    node.domain = "com.microsoft".into();
    fused.graph.node.push(node);
    let parts = weights()
        .node("Conv", &["x", "w", "b"], "c", None)
        .node("Add", &["c", "z"], "s", None)
        .node("Relu", &["s"], "y", None);
    let values = [1.0, 2.0, -0.5, 0.75];
    let (dims, found) = output(fused, &[1, 2, 1, 2], &values);
    assert_eq!((dims, found), output(parts, &[1, 2, 1, 2], &values));
}

/// A spatial transformer needs the gradient with respect to the sampling coordinates.
#[test]
fn grid_sample_has_a_gradient_in_the_grid() {
    let grid = |mode| {
        let image: Vec<f32> = (0..16).map(|i| ((i * 7) % 5) as f32).collect();
        Sketch::new().weight("image", &[1, 1, 4, 4], &image).node_with(
            "GridSample",
            &["image", "x"],
            "y",
            &[text("mode", mode)],
        )
    };
    for mode in ["bilinear", "bicubic"] {
        let point = [0.21f32, -0.34];
        let exact = gradient(grid(mode), &[1, 1, 1, 2], &point);
        for axis in 0..2 {
            let moved = |by: f32| {
                let mut moved_point = point;
                moved_point[axis] += by;
                output(grid(mode), &[1, 1, 1, 2], &moved_point).1[0]
            };
            let difference = (moved(0.01) - moved(-0.01)) / 0.02;
            assert!((exact[axis] - difference).abs() < 2e-2, "{mode}: {exact:?}, {difference}");
        }
    }
}
