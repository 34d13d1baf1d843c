//! Runs any ONNX model once on the host, with several inputs and outputs of any element type. ONNX's
//! conformance tests run through this module.

use std::path::Path;

use burn::tensor::Device;
use onnx_ir::{Message, TensorProto};

use crate::error::{ErrorKind, LoadError};
use crate::file::{self, Element, Folder, Mapped, Stored};
use crate::graph::{self, Graph};
use crate::passes;
use crate::program::Program;
use crate::room;
use crate::value::{Kind, Value};

/// A tensor on the host. Its elements are float32 (converted from any float type), integers or booleans.
#[derive(Clone, Debug)]
pub struct HostTensor {
    value: Value,
    precision: f64,
}

impl HostTensor {
    /// Parses `bytes` as a `TensorProto` message.
    ///
    /// # Errors
    ///
    /// When `bytes` are not a tensor, or its element type is not supported.
    pub fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        let format_error = |message: String| LoadError::new(ErrorKind::Format, message);
        let proto = TensorProto::parse_from_bytes(bytes)
            .map_err(|error| format_error(format!("this is not an ONNX tensor: {error}")))?;
        let stored =
            Stored::new(&proto, &mut Folder::in_memory(Mapped::default())).map_err(format_error)?;
        let value = Value::from_stored(&stored).map_err(format_error)?;
        Ok(Self { value, precision: stored.element.precision() })
    }

    /// Returns the shape; empty for a scalar.
    pub fn shape(&self) -> Vec<usize> {
        self.value.dims()
    }

    /// Returns the ONNX name of the element type; every float type is `"float"`.
    pub fn element(&self) -> String {
        self.value.element().name()
    }

    /// Returns the unit roundoff of the stored element type (half the distance from 1 to the next larger
    /// number); 0 for integers.
    pub fn precision(&self) -> f64 {
        self.precision
    }

    /// Returns the elements in row-major order; booleans are 0 and 1.
    ///
    /// # Errors
    ///
    /// When the elements cannot be converted.
    pub fn values(&self) -> Result<Vec<f64>, LoadError> {
        let run_error = |message| LoadError::new(ErrorKind::Run, message);
        match self.value.kind() {
            Kind::Float | Kind::Level => {
                Ok(self.value.floats().map_err(run_error)?.into_iter().map(f64::from).collect())
            }
            _ => {
                let ints = self
                    .value
                    .clone()
                    .into_int()
                    .and_then(|ints| ints.ints())
                    .map_err(run_error)?;
                Ok(ints.into_iter().map(|value| value as f64).collect())
            }
        }
    }
}

/// Runs the model in the file `path` on `inputs` and returns its outputs. Inputs and outputs are in the
/// file's order.
///
/// # Errors
///
/// When the file is not an ONNX model, uses an unsupported feature, or cannot be run on `inputs`.
pub fn evaluate(
    path: impl AsRef<Path>,
    inputs: Vec<HostTensor>,
) -> Result<Vec<HostTensor>, LoadError> {
    let path = path.as_ref();
    let load = || {
        let mut file = file::open(path)?;
        let graph = graph::build(&file.proto, &mut file.folder)?;
        Ok((graph, room::limit(file.folder.size())))
    };
    let run = |mut graph: Graph| {
        if inputs.len() != graph.inputs.len() {
            let message =
                format!("the model has {} inputs, not {}", graph.inputs.len(), inputs.len());
            return Err(LoadError::new(ErrorKind::Input, message));
        }
        passes::simplify(&mut graph, false)?;
        let program = Program::new(&graph, &Device::flex())?;
        let values = inputs.iter().map(|input| input.value.clone()).collect();
        let outputs = program
            .run(values, |_, _| {})
            .map_err(|message| LoadError::new(ErrorKind::Run, message))?;
        let precision = Element::FLOAT.precision();
        Ok(outputs.into_iter().map(|value| HostTensor { value, precision }).collect())
    };
    load()
        .and_then(|(graph, limit)| room::with_limit(limit, || run(graph)))
        .map_err(|error: LoadError| error.with_path(path))
}
