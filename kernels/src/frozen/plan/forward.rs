//! The steps of the forward pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::arrange::Move;
use super::super::build::{Builder, Value};
use super::super::depthwise::Taps;
use super::super::image::Image;
use super::super::pack::{Packed, Phase};
use super::super::product::Multiply;
use super::super::segment::{AddedPlan, FinishPlan, Place, Step, TapeSize, Work};
use super::super::sweep::Sweep;
use super::super::winograd::Winograd;
use super::{Buffers, Kind, Layout, Unit};
use crate::Activation;

/// Nothing happens to a sum.
pub const PLAIN: FinishPlan = FinishPlan {
    bias: Vec::new(),
    scale: Vec::new(),
    added: AddedPlan::Nothing,
    activation: Activation::Identity,
    keeps: None,
    derivative: None,
};

/// The steps of the forward pass, and where the values that the backward pass reads are.
pub fn forward(
    builder: &Builder,
    units: &[Unit],
    layout: &Layout,
    output: Value,
    buffers: &mut Buffers,
    tape: &mut TapeSize,
) -> (Vec<Step>, HashMap<Value, Place>) {
    let seen = output;
    let output = builder.root(output);
    let mut readers = vec![0; builder.nodes.len()];
    for unit in units {
        unit.inputs.iter().chain(&unit.added).for_each(|value| readers[value.0] += 1);
    }
    readers[output.0] += 1;
    let mut kept: HashMap<Value, Place> = HashMap::new();
    for value in units.iter().flat_map(Unit::reads_again) {
        kept.entry(value).or_insert_with(|| match layout.constant(value) {
            Some(constant) => Place::Constant(constant),
            None => {
                tape.pictures.push(layout.values[value.0].len());
                Place::Kept(tape.pictures.len() - 1)
            }
        });
    }
    let mut places: HashMap<Value, Place> = HashMap::new();
    let place = |value: Value, buffers: &mut Buffers| {
        let place = kept.get(&value).copied();
        place.unwrap_or_else(|| buffers.take(layout.values[value.0].len()))
    };
    let image = |value: Value| layout.values[value.0];
    let input = place(Value(0), buffers);
    places.insert(Value(0), input);
    let mut steps = vec![Step {
        work: Work::Load(layout.load(builder, Value(0), &image(Value(0)))),
        sources: Vec::new(),
        to: (input, image(Value(0))),
        clear: true,
        finish: PLAIN,
    }];
    for unit in units {
        let to = place(unit.output, buffers);
        let source = |value: Value| {
            let constant = layout.constant(value).map(Place::Constant);
            (constant.unwrap_or_else(|| places[&value]), image(value))
        };
        let sources: Vec<_> = unit.inputs.iter().map(|&value| source(value)).collect();
        let own = image(unit.output);
        let added = unit.added.map(source);
        let other = added.map_or(own, |(_, image)| image);
        let mut finish = FinishPlan {
            added: added.map_or(AddedPlan::Nothing, |(place, _)| AddedPlan::Other(place)),
            activation: unit.activation,
            keeps: unit.record,
            ..PLAIN
        };
        let mut more = Vec::new();
        let (work, sources) = match &unit.kind {
            Kind::Convolution { forward, bias, scale, .. } => {
                finish.bias.clone_from(bias);
                finish.scale.clone_from(scale);
                let work = convolve(forward, &sources[0].1, &own, &other);
                (work, sources)
            }
            Kind::Depthwise { forward, bias, scale, .. } => {
                finish.bias.clone_from(bias);
                finish.scale.clone_from(scale);
                let work = depthwise(forward, &sources[0].1, &own, &other);
                (work, sources)
            }
            Kind::Sum => {
                let mut other = own;
                if let Some(&(place, image)) = sources.get(1) {
                    finish.added = AddedPlan::Other(place);
                    other = image;
                }
                (map(&sources[0].1, &own, &other, 1.0), vec![sources[0]])
            }
            Kind::Multiply => (multiply(&sources[0].1, &sources[1].1, &own, &own), sources),
            Kind::Largest { window, bytes } => {
                (Work::Largest { window: window.clone(), bytes: *bytes }, sources)
            }
            Kind::Mean { window, counts_padding } => {
                let (window, counts_padding) = (window.clone(), *counts_padding);
                (Work::Mean { window, counts_padding }, sources)
            }
            Kind::Normalize { own, kept } => {
                (Work::Normalize { own: Arc::clone(own), kept: *kept }, sources)
            }
            Kind::Total(factor) => (Work::Sum { factor: *factor }, sources),
            Kind::Softmax => (Work::Softmax, sources),
            Kind::Product(product) => {
                let images = [&own, &sources[0].1, &sources[1].1];
                (Work::Product(Multiply::forward(product, images)), sources)
            }
            Kind::Arrange(parts) => {
                let moves = parts.iter().zip(&sources).map(|(part, source)| {
                    let (from, to) = ((&part.from, &source.1), (&part.to, &own));
                    (Work::Arrange(Move::new(&part.loops, from, to)), vec![*source])
                });
                more.extend(moves);
                let moved: usize = parts.iter().map(|part| part.to.len()).sum();
                match moved == builder.dims(unit.output).iter().product::<usize>() {
                    true => more.remove(0),
                    false => (Work::Zero, Vec::new()),
                }
            }
        };
        steps.push(Step { work, sources, to: (to, own), clear: true, finish });
        for (work, sources) in more {
            steps.push(Step { work, sources, to: (to, own), clear: false, finish: PLAIN });
        }
        for value in unit.inputs.iter().chain(&unit.added) {
            readers[value.0] -= 1;
            if readers[value.0] == 0 && layout.constant(*value).is_none() {
                buffers.release(places[value]);
            }
        }
        places.insert(unit.output, to);
    }
    steps.push(Step {
        work: Work::Store(layout.store(builder, seen, &image(output)).whole_pixels()),
        sources: vec![(places[&output], image(output))],
        to: (places[&output], image(output)),
        clear: false,
        finish: PLAIN,
    });
    (steps, kept)
}

pub fn convolve(packed: &Arc<Packed>, from: &Image, to: &Image, added: &Image) -> Work {
    let sweep = |phase: &Phase| Sweep::new(phase, from, to, added, packed.inputs);
    let sweeps = packed.phases.iter().map(sweep).collect();
    let winograd = Winograd::of(packed, to.height, to.width).map(Arc::new);
    Work::Convolve { packed: Arc::clone(packed), sweeps, winograd }
}

pub fn depthwise(taps: &Arc<Taps>, from: &Image, to: &Image, added: &Image) -> Work {
    // Taps that lie side by side are of different channels: they stay apart.
    let sweep = |(phase, _): &(Phase, _)| Sweep::new(phase, from, to, added, 0);
    Work::Depthwise { taps: Arc::clone(taps), sweeps: taps.phases.iter().map(sweep).collect() }
}

pub fn map(from: &Image, to: &Image, added: &Image, factor: f32) -> Work {
    let sweep = Sweep::new(&Phase::same(), from, to, added, 0);
    let sweep = if spreads(from, to) { sweep.spread() } else { sweep };
    Work::Map { sweep, factor, gate: None }
}

/// Whether the one pixel of `from` stands for all of `to`.
pub fn spreads(from: &Image, to: &Image) -> bool {
    from.height * from.width == 1 && to.height * to.width != 1
}

/// The product of two pictures, or of one with the pixel that stands for all of another.
pub fn multiply(from: &Image, gate: &Image, to: &Image, added: &Image) -> Work {
    let sweep = |from: &Image| Sweep::new(&Phase::same(), from, to, added, 0);
    let gate = if spreads(gate, to) { sweep(gate).spread() } else { sweep(gate) };
    Work::Map { sweep: sweep(from), factor: 1.0, gate: Some(gate) }
}
