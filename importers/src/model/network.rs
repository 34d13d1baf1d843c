//! A graph compiled for a device: the steps that run, among them the frozen segments of the CPU.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use attriburn::{Error, Layer};
use attriburn_kernels::frozen::{Segment, frozen};
use burn::tensor::Device;

use crate::error::LoadError;
use crate::graph::{Graph, Id};
use crate::operators::Inputs;
use crate::passes::segments::{self, Observed};
use crate::program::{FusedNodes, Program};
use crate::value::{Kind, Value};

/// A compiled graph.
pub struct Network {
    pub program: Program,
    /// The frozen segments in execution order.
    pub segments: Vec<Arc<Segment>>,
}

/// The networks that were cut so far, by the value of the layer, and the layer that the model chooses.
#[derive(Default)]
pub struct Cuts {
    pub networks: Mutex<HashMap<Id, Arc<Network>>>,
    pub default: OnceLock<Result<Layer, Error>>,
}

/// The properties of the segments that were built.
pub struct SegmentInfo {
    /// The memory that the segments keep for the backward pass, in bytes per sample.
    pub bytes_per_sample: u64,
    /// Whether an operation inside a segment may have moved the batch away from the first axis.
    pub batch_moves: bool,
}

impl Network {
    /// Compiles `graph` node by node, without segments.
    ///
    /// # Errors
    ///
    /// See [`Program::new`].
    pub fn of_nodes(graph: &Graph, device: &Device) -> Result<Self, LoadError> {
        Ok(Self { program: Program::new(graph, device)?, segments: Vec::new() })
    }

    /// Builds the segments of the graph (on the CPU only) and fuses their nodes in the program. Removes the
    /// values inside segments from the `observed` shapes, because only nodes keep them for the backward pass.
    pub fn build_segments(
        &mut self,
        graph: &Graph,
        device: &Device,
        observed: &mut Observed,
    ) -> SegmentInfo {
        let mut info = SegmentInfo { bytes_per_sample: 0, batch_moves: false };
        if *device != Device::flex() {
            return info;
        }
        let mut groups = Vec::new();
        let mut unpacked = Vec::new();
        for found in segments::find(graph, observed) {
            let (last, inner) = match found.nodes.split_last() {
                Some((&last, inner)) => (last, inner),
                None => continue,
            };
            for id in inner.iter().flat_map(|&node| graph.nodes[node].outputs.iter().flatten()) {
                observed.shapes.remove(id);
            }
            let packed = Arc::new(OnceLock::<Arc<Segment>>::new());
            let shared = Arc::clone(&packed);
            let run = move |inputs: &Inputs| {
                let segment = shared.get().ok_or("its segment is not packed")?;
                if inputs.value(0)?.dims().get(1..) != Some(segment.input()) {
                    return Err("a sample's shape depends on the size of the batch".into());
                }
                Ok(vec![Value::new(frozen(inputs.float(0)?, segment))])
            };
            let label = format!("the nodes up to {}", graph.nodes[last].label());
            groups.push(FusedNodes {
                nodes: found.nodes,
                input: found.input,
                label,
                run: Box::new(run),
            });
            info.batch_moves |= found.builder.batch_moves();
            unpacked.push((packed, found.builder, found.output));
        }
        // This drops the unpacked weights from the program before the segments pack them again.
        self.program.fuse(groups);
        for (packed, builder, output) in unpacked {
            let segment = Arc::new(Segment::new(builder, output));
            self.segments.push(Arc::clone(&segment));
            let _ = packed.set(segment);
        }
        info.bytes_per_sample =
            self.segments.iter().map(|segment| segment.bytes_per_sample() as u64).sum();
        info
    }

    /// Lets the segments compute convolutions with Winograd's algorithm where it is faster.
    pub fn use_winograd(&self) {
        self.segments.iter().for_each(|segment| segment.use_winograd());
    }
}

/// Returns the single output that is explained.
pub fn single_output(outputs: Vec<Value>) -> Result<Value, String> {
    let output = outputs.into_iter().next().ok_or("the graph has no output")?;
    Ok(match output.kind() {
        // The scores of a model with an integer output.
        Kind::Level => output.into_float(),
        _ => output,
    })
}

/// Checks that `actual` equals `expected` up to 2e-3 of the largest expected magnitude.
pub fn check_close(actual: &Value, expected: &Value) -> Result<(), String> {
    if actual.dims() != expected.dims() {
        return Err(format!("the shape {:?}, not {:?}", actual.dims(), expected.dims()));
    }
    let (actual, expected) = (actual.floats()?, expected.floats()?);
    let finite = expected.iter().filter(|value| value.is_finite());
    let magnitude = finite.fold(1e-6f32, |a, b| a.max(b.abs()));
    let differs = |(a, b): &(&f32, &f32)| match (a.is_finite(), b.is_finite()) {
        (true, true) => (*a - *b).abs() > 2e-3 * magnitude,
        _ => a.is_nan() != b.is_nan() || (!a.is_nan() && a != b),
    };
    match actual.iter().zip(&expected).find(differs) {
        Some((actual, expected)) => Err(format!("{actual}, not {expected}")),
        None => Ok(()),
    }
}
