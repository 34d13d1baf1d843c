//! The steps of the forward pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::arena::TapeSize;
use super::super::build::{Builder, Value};
use super::super::depthwise::PackedDepthwise;
use super::super::image::Image;
use super::super::matmul::MatMul;
use super::super::pack::PackedConvolution;
use super::super::phase::Phase;
use super::super::pixel_loop::PixelLoop;
use super::super::segment::{AddendPlan, EpiloguePlan, Location, Step, StepKind};
use super::super::strided_copy::StridedCopy;
use super::super::winograd::Winograd;
use super::buffers::Buffers;
use super::layout::Layout;
use super::unit::{Unit, UnitKind};
use crate::Activation;

/// The epilogue that does nothing.
pub const NO_EPILOGUE: EpiloguePlan = EpiloguePlan {
    bias: Vec::new(),
    scale: Vec::new(),
    addend: AddendPlan::Nothing,
    activation: Activation::Identity,
    record: None,
    derivative: None,
};

/// Returns the steps of the forward pass, and the locations of the values that the backward pass reads.
pub fn forward(
    builder: &Builder,
    units: &[Unit],
    layout: &Layout,
    output: Value,
    buffers: &mut Buffers,
    tape: &mut TapeSize,
) -> (Vec<Step>, HashMap<Value, Location>) {
    let output_view = output;
    let output = builder.root(output);
    let mut readers = vec![0; builder.nodes.len()];
    for unit in units {
        unit.inputs.iter().chain(&unit.addend).for_each(|value| readers[value.0] += 1);
    }
    readers[output.0] += 1;
    let mut saved: HashMap<Value, Location> = HashMap::new();
    for value in units.iter().flat_map(Unit::values_for_backward) {
        saved.entry(value).or_insert_with(|| match layout.constant(value) {
            Some(constant) => Location::Constant(constant),
            None => {
                tape.images.push(layout.values[value.0].len());
                Location::Tape(tape.images.len() - 1)
            }
        });
    }
    let mut locations: HashMap<Value, Location> = HashMap::new();
    let location = |value: Value, buffers: &mut Buffers| {
        let location = saved.get(&value).copied();
        location.unwrap_or_else(|| buffers.allocate(layout.values[value.0].len()))
    };
    let image = |value: Value| layout.values[value.0];
    let input = location(Value(0), buffers);
    locations.insert(Value(0), input);
    let mut steps = vec![Step {
        kind: StepKind::Load(layout.load(builder, Value(0), &image(Value(0)))),
        sources: Vec::new(),
        to: (input, image(Value(0))),
        clear: true,
        epilogue: NO_EPILOGUE,
    }];
    for unit in units {
        let to = location(unit.output, buffers);
        let source = |value: Value| {
            let constant = layout.constant(value).map(Location::Constant);
            (constant.unwrap_or_else(|| locations[&value]), image(value))
        };
        let sources: Vec<_> = unit.inputs.iter().map(|&value| source(value)).collect();
        let result = image(unit.output);
        let addend = unit.addend.map(source);
        let other = addend.map_or(result, |(_, image)| image);
        let mut epilogue = EpiloguePlan {
            addend: addend.map_or(AddendPlan::Nothing, |(location, _)| AddendPlan::Other(location)),
            activation: unit.activation,
            record: unit.record,
            ..NO_EPILOGUE
        };
        let mut further = Vec::new();
        let (kind, sources) = match &unit.kind {
            UnitKind::Convolution { forward, bias, scale, .. } => {
                epilogue.bias.clone_from(bias);
                epilogue.scale.clone_from(scale);
                let kind = convolve(forward, &sources[0].1, &result, &other);
                (kind, sources)
            }
            UnitKind::Depthwise { forward, bias, scale, .. } => {
                epilogue.bias.clone_from(bias);
                epilogue.scale.clone_from(scale);
                let kind = depthwise(forward, &sources[0].1, &result, &other);
                (kind, sources)
            }
            UnitKind::Add => {
                let mut other = result;
                if let Some(&(location, image)) = sources.get(1) {
                    epilogue.addend = AddendPlan::Other(location);
                    other = image;
                }
                (map(&sources[0].1, &result, &other, 1.0), vec![sources[0]])
            }
            UnitKind::Multiply => {
                (multiply(&sources[0].1, &sources[1].1, &result, &result), sources)
            }
            UnitKind::MaxPool { window, bytes } => {
                (StepKind::MaxPool { window: window.clone(), bytes: *bytes }, sources)
            }
            UnitKind::MeanPool { window, counts_padding } => {
                let (window, counts_padding) = (window.clone(), *counts_padding);
                (StepKind::MeanPool { window, counts_padding }, sources)
            }
            UnitKind::Normalize { normalization, floats } => (
                StepKind::Normalize { normalization: Arc::clone(normalization), floats: *floats },
                sources,
            ),
            UnitKind::SpatialSum(factor) => (StepKind::SpatialSum { factor: *factor }, sources),
            UnitKind::Softmax => (StepKind::Softmax, sources),
            UnitKind::MatMul(views) => {
                let images = [&result, &sources[0].1, &sources[1].1];
                (StepKind::MatMul(MatMul::forward(views, images)), sources)
            }
            UnitKind::Copy(parts) => {
                let copies = parts.iter().zip(&sources).map(|(part, source)| {
                    let (from, to) = ((&part.from, &source.1), (&part.to, &result));
                    (StepKind::Copy(StridedCopy::new(&part.loops, from, to)), vec![*source])
                });
                further.extend(copies);
                let copied: usize = parts.iter().map(|part| part.to.len()).sum();
                match copied == builder.dims(unit.output).iter().product::<usize>() {
                    true => further.remove(0),
                    false => (StepKind::Zero, Vec::new()),
                }
            }
        };
        steps.push(Step { kind, sources, to: (to, result), clear: true, epilogue });
        for (kind, sources) in further {
            steps.push(Step {
                kind,
                sources,
                to: (to, result),
                clear: false,
                epilogue: NO_EPILOGUE,
            });
        }
        for value in unit.inputs.iter().chain(&unit.addend) {
            readers[value.0] -= 1;
            if readers[value.0] == 0 && layout.constant(*value).is_none() {
                buffers.release(locations[value]);
            }
        }
        locations.insert(unit.output, to);
    }
    steps.push(Step {
        kind: StepKind::Store(layout.store(builder, output_view, &image(output)).without_blocks()),
        sources: vec![(locations[&output], image(output))],
        to: (locations[&output], image(output)),
        clear: false,
        epilogue: NO_EPILOGUE,
    });
    (steps, saved)
}

/// The step of a convolution.
pub fn convolve(
    packed: &Arc<PackedConvolution>,
    from: &Image,
    to: &Image,
    addend: &Image,
) -> StepKind {
    let pixel_loop = |phase: &Phase| PixelLoop::new(phase, from, to, addend, packed.inputs);
    let pixel_loops = packed.phases.iter().map(pixel_loop).collect();
    let winograd = Winograd::for_convolution(packed, to.height, to.width).map(Arc::new);
    StepKind::Convolve { packed: Arc::clone(packed), pixel_loops, winograd }
}

/// The step of a depthwise convolution.
pub fn depthwise(
    packed: &Arc<PackedDepthwise>,
    from: &Image,
    to: &Image,
    addend: &Image,
) -> StepKind {
    // A tap count of 0 keeps adjacent taps separate: the depthwise kernel reads one tap at a time.
    let pixel_loop = |(phase, _): &(Phase, _)| PixelLoop::new(phase, from, to, addend, 0);
    StepKind::Depthwise {
        packed: Arc::clone(packed),
        pixel_loops: packed.phases.iter().map(pixel_loop).collect(),
    }
}

/// The step that writes `factor` times `from`, which may be a single pixel that is broadcast.
pub fn map(from: &Image, to: &Image, addend: &Image, factor: f32) -> StepKind {
    let pixel_loop = PixelLoop::new(&Phase::identity(), from, to, addend, 0);
    let pixel_loop = if broadcasts(from, to) { pixel_loop.broadcast_input() } else { pixel_loop };
    StepKind::Map { pixel_loop, factor, gate: None }
}

/// Whether `from` is a single pixel that is broadcast to all of `to`.
pub fn broadcasts(from: &Image, to: &Image) -> bool {
    from.height * from.width == 1 && to.height * to.width != 1
}

/// The elementwise product of two images; `gate` may be a single pixel, which is broadcast.
pub fn multiply(from: &Image, gate: &Image, to: &Image, addend: &Image) -> StepKind {
    let pixel_loop = |from: &Image| PixelLoop::new(&Phase::identity(), from, to, addend, 0);
    let gate =
        if broadcasts(gate, to) { pixel_loop(gate).broadcast_input() } else { pixel_loop(gate) };
    StepKind::Map { pixel_loop: pixel_loop(from), factor: 1.0, gate: Some(gate) }
}
