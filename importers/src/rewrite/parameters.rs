//! Parameters become inputs of the graph, so that a run can be given other values of them: their
//! names and shapes stay the file's, nothing that depends on them is computed beforehand, and no
//! normalization is folded into a convolution.

use std::collections::HashSet;

use burn::tensor::TensorData;
use onnx_ir::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

use crate::error::{ErrorKind, LoadError};

/// A parameter as the file stores it.
pub struct Stored {
    /// Its name in the file.
    pub name: String,
    /// Its values in float32.
    pub values: TensorData,
    /// The layer it belongs to, counted from the input.
    pub layer: usize,
}

/// Inputs that are settings or statistics of an operator, not parameters: `(operator, input)`.
const NO_PARAMETERS: [(&str, usize); 10] = [
    ("BatchNormalization", 3),
    ("BatchNormalization", 4),
    ("Resize", 1),
    ("Resize", 2),
    ("Upsample", 1),
    ("Clip", 1),
    ("Clip", 2),
    ("Pad", 2),
    ("Dropout", 1),
    ("Pow", 1),
];

/// Operators whose parameters of several axes are matrices or kernels, whatever their sizes.
const MULTIPLY: [&str; 4] = ["Conv", "ConvTranspose", "Gemm", "MatMul"];

/// What the inputs are called that parameters become.
const PREFIX: &str = "attriburn_parameter_";

/// float, float16, double and bfloat16, by their numbers in `TensorProto.DataType`.
const FLOATS: [i32; 4] = [1, 10, 11, 16];

/// Makes every parameter an input behind the sample's, in the file's order. A parameter is a
/// stored float tensor of more than one value that a node reads other than as a setting or as the
/// statistics of a normalization; a single number is a constant of an expression, and zeros and
/// minus infinities are an attention mask.
///
/// # Errors
///
/// When the values of one cannot be read.
pub fn promote(model: &mut ModelProto) -> Result<Vec<Stored>, LoadError> {
    let Some(graph) = model.graph.as_mut() else {
        return Ok(Vec::new());
    };
    store_constants(graph);
    read_directly(graph);
    let chosen = parameters(graph);
    let stored: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    // Old files list the stored tensors among the inputs as well.
    graph.input.retain(|input| !stored.contains(&input.name));
    let mut parameters = Vec::new();
    for tensor in std::mem::take(&mut graph.initializer) {
        let values = match chosen.contains(&tensor.name) {
            true => Some(values(&tensor)?).filter(|values| !is_mask(values)),
            false => None,
        };
        let Some(values) = values else {
            graph.initializer.push(tensor);
            continue;
        };
        // The parser takes names apart at their dots and may join two.
        let name = format!("{PREFIX}{}", parameters.len());
        rename(graph, &tensor.name, &name);
        graph.input.push(declaration(&name, &tensor));
        let shape = tensor.dims.iter().map(|&size| size as usize).collect();
        parameters.push(finite(tensor.name, shape, values)?);
    }
    number_layers(graph, &mut parameters);
    Ok(parameters)
}

/// Says which layer each parameter belongs to: a node that is the first to read a matrix or a
/// kernel begins one, with all that it reads; biases and scales of other nodes belong to the layer
/// before. Nodes lie in the order in which they run.
fn number_layers(graph: &GraphProto, parameters: &mut [Stored]) {
    let index = |name: &String| name.strip_prefix(PREFIX)?.parse::<usize>().ok();
    let (mut seen, mut layers) = (HashSet::new(), 0);
    for node in &graph.node {
        let indices = node.input.iter().filter_map(index);
        let own: Vec<usize> = indices.filter(|&i| i < parameters.len() && seen.insert(i)).collect();
        if own.is_empty() {
            continue;
        }
        let is_matrix = |&i: &usize| {
            let shape = parameters[i].values.shape();
            let long = shape.iter().filter(|&&size| size > 1).count();
            long > 1 || (MULTIPLY.contains(&node.op_type.as_str()) && shape.len() > 1)
        };
        layers += usize::from(layers == 0 || own.iter().any(is_matrix));
        own.into_iter().for_each(|i| parameters[i].layer = layers - 1);
    }
}

/// Makes the weights that the file keeps in Constant nodes stored tensors as the others are.
fn store_constants(graph: &mut GraphProto) {
    let weight = |node: &NodeProto| match (&node.attribute[..], &node.output[..]) {
        ([attribute], [name]) if node.op_type == "Constant" && attribute.name == "value" => {
            let tensor = attribute.t.as_ref().filter(|tensor| is_weight(tensor))?;
            Some(TensorProto { name: name.clone(), ..tensor.clone() })
        }
        _ => None,
    };
    let given: HashSet<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    for node in std::mem::take(&mut graph.node) {
        match weight(&node).filter(|tensor| !given.contains(&tensor.name)) {
            Some(tensor) => graph.initializer.push(tensor),
            None => graph.node.push(node),
        }
    }
}

/// Whether a stored tensor has several float values.
fn is_weight(tensor: &TensorProto) -> bool {
    let values = tensor.dims.iter().try_fold(1i64, |all, &size| all.checked_mul(size));
    FLOATS.contains(&tensor.data_type) && values.is_some_and(|values| values > 1)
}

/// Whether a tensor holds nothing but zeros and minus infinities.
fn is_mask(values: &[f32]) -> bool {
    values.contains(&f32::NEG_INFINITY)
        && values.iter().all(|&value| value == 0.0 || value == f32::NEG_INFINITY)
}

/// Removes the Identity nodes through which weights that are equal are shared: the parser looks for
/// a weight's shape at the node that uses it.
fn read_directly(graph: &mut GraphProto) {
    let stored: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let given: HashSet<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    while let Some(at) = graph.node.iter().position(|node| {
        let [input, output] = [&node.input[..], &node.output[..]];
        node.op_type == "Identity"
            && matches!(input, [name] if stored.contains(name))
            && matches!(output, [name] if !given.contains(name))
    }) {
        let node = graph.node.remove(at);
        rename(graph, &node.output[0], &node.input[0]);
    }
}

fn parameters(graph: &GraphProto) -> HashSet<String> {
    let reads = |node: &NodeProto| {
        let is_setting = |index: usize| NO_PARAMETERS.contains(&(node.op_type.as_str(), index));
        let names = node.input.iter().enumerate().filter(|(index, _)| !is_setting(*index));
        names.map(|(_, name)| name.clone()).collect::<Vec<_>>()
    };
    let read: HashSet<String> = graph.node.iter().flat_map(reads).collect();
    let is_parameter = |tensor: &&TensorProto| is_weight(tensor) && read.contains(&tensor.name);
    graph.initializer.iter().filter(is_parameter).map(|tensor| tensor.name.clone()).collect()
}

fn rename(graph: &mut GraphProto, from: &str, to: &str) {
    for input in graph.node.iter_mut().flat_map(|node| &mut node.input) {
        if input == from {
            *input = to.to_owned();
        }
    }
}

fn declaration(name: &str, tensor: &TensorProto) -> ValueInfoProto {
    let mut info = ValueInfoProto { name: name.to_owned(), ..Default::default() };
    let kind = info.type_.mut_or_insert_default().mut_tensor_type();
    kind.elem_type = tensor.data_type;
    let shape = kind.shape.mut_or_insert_default();
    for &size in &tensor.dims {
        shape.dim.push(Default::default());
        if let Some(axis) = shape.dim.last_mut() {
            axis.set_dim_value(size);
        }
    }
    info
}

/// The values of a tensor in float32.
fn values(tensor: &TensorProto) -> Result<Vec<f32>, LoadError> {
    let wrong = |reason: String| refused(&tensor.name, &format!("cannot be read: {reason}"));
    let data = TensorData::try_from(tensor.clone()).map_err(|error| wrong(format!("{error:?}")))?;
    data.convert::<f32>().try_into_vec().map_err(|error| wrong(format!("{error:?}")))
}

/// The parameter of these values, which must be finite.
fn finite(name: String, shape: Vec<usize>, values: Vec<f32>) -> Result<Stored, LoadError> {
    match values.iter().filter(|value| !value.is_finite()).count() {
        0 => Ok(Stored { name, values: TensorData::new(values, shape), layer: 0 }),
        count => Err(refused(
            &name,
            &format!(
                "has {count} values that are not finite numbers; the model was trained or stored badly"
            ),
        )),
    }
}

fn refused(name: &str, reason: &str) -> LoadError {
    LoadError::new(ErrorKind::Weights, format!("the weight {name:?} {reason}"))
}
