//! Any graph, run once on the host: models of several inputs and outputs of every type, which is how
//! the importer is measured by ONNX's own conformance cases.

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

/// A tensor on the host: floats of every width as float32, integers, or booleans.
#[derive(Clone, Debug)]
pub struct HostTensor {
    value: Value,
    precision: f64,
}

impl HostTensor {
    /// The tensor in `bytes`, a `TensorProto` message.
    ///
    /// # Errors
    ///
    /// When it is none, or of a type that is not computed with.
    pub fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        let wrong = |message: String| LoadError::new(ErrorKind::Format, message);
        let proto = TensorProto::parse_from_bytes(bytes)
            .map_err(|error| wrong(format!("this is not a tensor: {error}")))?;
        let stored = Stored::new(&proto, &mut Folder::none(Mapped::default())).map_err(wrong)?;
        let value = Value::from_stored(&stored).map_err(wrong)?;
        Ok(Self { value, precision: stored.element.precision() })
    }

    /// Its shape; empty for a scalar.
    pub fn shape(&self) -> Vec<usize> {
        self.value.dims()
    }

    /// The type of its elements in ONNX's spelling; floats of every width are `"float"`.
    pub fn element(&self) -> String {
        self.value.element().name()
    }

    /// Half the distance of 1 to the next number of the type that it was stored in; 0 for integers.
    pub fn precision(&self) -> f64 {
        self.precision
    }

    /// Its elements in row-major order; booleans are 0 and 1.
    ///
    /// # Errors
    ///
    /// When they cannot be read back.
    pub fn values(&self) -> Result<Vec<f64>, LoadError> {
        let wrong = |message| LoadError::new(ErrorKind::Run, message);
        match self.value.kind() {
            Kind::Float | Kind::Level => {
                Ok(self.value.floats().map_err(wrong)?.into_iter().map(f64::from).collect())
            }
            _ => {
                let ints =
                    self.value.clone().into_int().and_then(|ints| ints.ints()).map_err(wrong)?;
                Ok(ints.into_iter().map(|value| value as f64).collect())
            }
        }
    }
}

/// The outputs of the model in the file `path` for these inputs, in the file's order.
///
/// # Errors
///
/// When the file is no ONNX model, needs what is not supported, or cannot be run on these inputs.
pub fn evaluate(
    path: impl AsRef<Path>,
    inputs: Vec<HostTensor>,
) -> Result<Vec<HostTensor>, LoadError> {
    let path = path.as_ref();
    let load = || {
        let mut file = file::open(path)?;
        let graph = graph::build(&file.proto, &mut file.folder)?;
        Ok((graph, room::of_file(file.folder.size())))
    };
    let run = |mut graph: Graph| {
        if inputs.len() != graph.inputs.len() {
            let message = format!("it takes {} inputs, not {}", graph.inputs.len(), inputs.len());
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
        .and_then(|(graph, most)| room::within(most, || run(graph)))
        .map_err(|error: LoadError| error.of(path))
}
