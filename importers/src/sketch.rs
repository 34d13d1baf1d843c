//! A builder of small ONNX models for the importer's tests.

use burn::tensor::Device;
use onnx_ir::{
    AttributeProto, AttributeType, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};

use crate::file::{Folder, Mapped};
use crate::graph::{self, Graph};
use crate::program::Program;
use crate::value::Value;

/// A model under construction, with one input `x`.
#[derive(Default)]
pub struct Sketch {
    /// The model message without its graph; tests may add functions.
    pub model: ModelProto,
    pub graph: GraphProto,
}

impl Sketch {
    pub fn new() -> Self {
        let mut sketch = Self::default();
        sketch.graph.input.push(ValueInfoProto { name: "x".into(), ..Default::default() });
        sketch
    }

    /// Adds a float initializer.
    pub fn weight(mut self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: 1,
            float_data: values.to_vec(),
            ..Default::default()
        });
        self
    }

    /// Adds a scalar initializer of the type `data_type`, from its little-endian bytes.
    pub fn scalar(mut self, name: &str, data_type: i32, bytes: &[u8]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            data_type,
            raw_data: bytes.to_vec().into(),
            ..Default::default()
        });
        self
    }

    /// Adds a 1-D int64 initializer.
    pub fn ints(mut self, name: &str, values: &[i64]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: 7,
            int64_data: values.to_vec(),
            ..Default::default()
        });
        self
    }

    /// Adds a node, with the attribute `axis` if given.
    pub fn node(self, kind: &str, inputs: &[&str], output: &str, axis: Option<i64>) -> Self {
        match axis {
            Some(axis) => self.node_with(kind, inputs, output, &[int("axis", axis)]),
            None => self.node_with(kind, inputs, output, &[]),
        }
    }

    /// Adds a node with attributes.
    pub fn node_with(
        mut self,
        kind: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[AttributeProto],
    ) -> Self {
        self.graph.node.push(node(kind, inputs, output, attributes));
        self
    }

    /// Builds the graph with the output `output`, in opset 17.
    pub fn graph(mut self, output: &str) -> Graph {
        self.graph.output.push(ValueInfoProto { name: output.into(), ..Default::default() });
        let mut model = ModelProto { graph: Some(self.graph).into(), ..self.model };
        model.opset_import.push(Default::default());
        model.opset_import[0].version = 17;
        graph::build(&model, &mut Folder::in_memory(Mapped::default()))
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Returns a node with one output.
pub fn node(kind: &str, inputs: &[&str], output: &str, attributes: &[AttributeProto]) -> NodeProto {
    NodeProto {
        name: format!("{kind} of {output}"),
        op_type: kind.into(),
        input: inputs.iter().map(|&input| input.into()).collect(),
        output: vec![output.into()],
        attribute: attributes.to_vec(),
        ..Default::default()
    }
}

/// Returns an integer attribute.
pub fn int(name: &str, value: i64) -> AttributeProto {
    let type_ = AttributeType::INT.into();
    AttributeProto { name: name.into(), type_, i: value, ..Default::default() }
}

/// Returns a string attribute.
pub fn text(name: &str, value: &str) -> AttributeProto {
    let type_ = AttributeType::STRING.into();
    let s = value.as_bytes().to_vec().into();
    AttributeProto { name: name.into(), type_, s, ..Default::default() }
}

/// Runs the graph on `input` and returns its first output.
pub fn run_on(graph: &Graph, input: Value) -> Value {
    let program = Program::new(graph, &Device::flex()).unwrap_or_else(|error| panic!("{error}"));
    let outputs = program.run(vec![input], |_, _| {}).unwrap_or_else(|error| panic!("{error}"));
    outputs.into_iter().next().expect("an output")
}

/// Runs the graph on a fixed input of the shape `dims` and returns its first output.
pub fn run(graph: &Graph, dims: &[usize]) -> Vec<f32> {
    let count: usize = dims.iter().product();
    let values = (0..count).map(|i| (i as f32 * 0.7).sin()).collect();
    let input = Value::from_floats(values).reshape(dims).expect("an input");
    run_on(graph, input).floats().expect("floats")
}

/// Asserts that two vectors agree to a relative and absolute tolerance of 1e-5.
pub fn assert_same(before: &[f32], after: &[f32]) {
    assert_eq!(before.len(), after.len());
    for (a, b) in before.iter().zip(after) {
        assert!((a - b).abs() <= 1e-5 * (1.0 + a.abs()), "{before:?} became {after:?}");
    }
}
