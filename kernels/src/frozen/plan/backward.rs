//! The steps of the backward pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::build::{Builder, Value, ViewCopy};
use super::super::image::Image;
use super::super::matmul::MatMul;
use super::super::phase::Phase;
use super::super::pixel_loop::PixelLoop;
use super::super::segment::{AddendPlan, EpiloguePlan, Location, Record, Step, StepKind};
use super::super::strided_copy::StridedCopy;
use super::buffers::Buffers;
use super::forward::{NO_EPILOGUE, broadcasts, convolve, depthwise, map, multiply};
use super::layout::Layout;
use super::unit::{Unit, UnitKind};

/// The gradient of a value while its contributions are accumulated.
#[derive(Clone, Copy, Default)]
struct GradientSum {
    /// The location of the sum, once it has one.
    location: Option<Location>,
    /// The first contribution, if it is the unchanged gradient of another value. It is added together with
    /// the second contribution, without a copy.
    pending: Option<(Location, Image)>,
    /// The number of contributions that are still to come.
    remaining: usize,
}

/// The backward pass under construction.
struct Backward<'a> {
    layout: &'a Layout,
    buffers: &'a mut Buffers,
    /// The record of the activation's derivative of each value.
    records: HashMap<Value, Record>,
    sums: Vec<GradientSum>,
    steps: Vec<Step>,
}

/// Returns the steps of the backward pass.
pub fn backward(
    builder: &Builder,
    units: &[Unit],
    layout: &Layout,
    output: Value,
    buffers: &mut Buffers,
    saved: &HashMap<Value, Location>,
) -> Vec<Step> {
    let output_view = output;
    let output = builder.root(output);
    let mut sums = vec![GradientSum::default(); builder.nodes.len()];
    for unit in units {
        unit.inputs.iter().chain(&unit.addend).for_each(|value| sums[value.0].remaining += 1);
    }
    sums[output.0].remaining += 1;
    let records = units.iter().filter_map(|unit| Some((unit.output, unit.record?)));
    let mut pass =
        Backward { layout, buffers, records: records.collect(), sums, steps: Vec::new() };
    let load = layout.load(builder, output_view, &layout.gradients[output.0]).without_blocks();
    pass.accumulate_in_place(output, vec![(StepKind::Load(load), Vec::new())], false);
    for unit in units.iter().rev() {
        pass.push_unit(unit, saved);
    }
    // If the output does not depend on the input, the gradient is zero.
    let input = Value(0);
    let location = match pass.sums[0].location {
        Some(location) => location,
        None => {
            pass.accumulate_in_place(input, Vec::new(), true);
            pass.sums[0].location.unwrap_or(Location::Buffer(0))
        }
    };
    let image = layout.gradients[0];
    let kind = StepKind::Store(layout.store(builder, input, &image));
    pass.push(kind, vec![(location, image)], (location, image), false, NO_EPILOGUE);
    pass.steps
}

impl Backward<'_> {
    fn push(
        &mut self,
        kind: StepKind,
        sources: Vec<(Location, Image)>,
        to: (Location, Image),
        clear: bool,
        epilogue: EpiloguePlan,
    ) {
        self.steps.push(Step { kind, sources, to, clear, epilogue });
    }

    /// Adds the steps that propagate the gradient of the unit's output to its inputs.
    fn push_unit(&mut self, unit: &Unit, saved: &HashMap<Value, Location>) {
        let Some(location) = self.sums[unit.output.0].location else { return };
        let gradient = (location, self.layout.gradients[unit.output.0]);
        if let Some(addend) = unit.addend {
            self.accumulate(addend, gradient);
        }
        let from = unit.inputs[0];
        match &unit.kind {
            UnitKind::Convolution { backward, .. } => self
                .accumulate_computed(from, |to, addend| {
                    (convolve(backward, &gradient.1, to, addend), vec![gradient])
                }),
            UnitKind::Depthwise { backward, .. } => self.accumulate_computed(from, |to, addend| {
                (depthwise(backward, &gradient.1, to, addend), vec![gradient])
            }),
            UnitKind::Add => unit.inputs.iter().for_each(|&value| self.accumulate(value, gradient)),
            UnitKind::Multiply => {
                let factors = [unit.inputs[0], unit.inputs[1]];
                let value = |value: Value| (saved[&value], self.layout.values[value.0]);
                let [x, gate] = factors.map(value);
                let broadcasts = broadcasts(&gate.1, &gradient.1);
                for (value, other) in factors.into_iter().zip([gate, x]) {
                    if self.layout.constant(value).is_some() {
                        continue;
                    }
                    match broadcasts && value == unit.inputs[1] {
                        true => {
                            let kind = StepKind::SpatialSum { factor: 1.0 };
                            self.accumulate_gate(value, kind, vec![gradient, other]);
                        }
                        false => self.accumulate_computed(value, |to, addend| {
                            (multiply(&gradient.1, &other.1, to, addend), vec![gradient, other])
                        }),
                    }
                }
            }
            UnitKind::MaxPool { window, bytes } => {
                let kind = StepKind::MaxPoolGradient { window: window.clone(), bytes: *bytes };
                self.accumulate_in_place(from, vec![(kind, vec![gradient])], true);
            }
            UnitKind::MeanPool { window, counts_padding } => {
                let (window, counts_padding) = (window.clone(), *counts_padding);
                let kind = StepKind::MeanPoolGradient { window, counts_padding };
                self.accumulate_in_place(from, vec![(kind, vec![gradient])], true);
            }
            UnitKind::Normalize { normalization, floats } => {
                self.accumulate_computed(from, |to, addend| {
                    let pixel_loop = PixelLoop::new(&Phase::identity(), &gradient.1, to, addend, 0);
                    let normalization = Arc::clone(normalization);
                    (
                        StepKind::NormalizeGradient { normalization, floats: *floats, pixel_loop },
                        vec![gradient],
                    )
                })
            }
            UnitKind::Softmax => self.accumulate_computed(from, |to, addend| {
                let pixel_loop = PixelLoop::new(&Phase::identity(), &gradient.1, to, addend, 0);
                let result = (saved[&unit.output], self.layout.values[unit.output.0]);
                (StepKind::SoftmaxGradient { pixel_loop }, vec![gradient, result])
            }),
            UnitKind::MatMul(views) => {
                let [left, right] = [unit.inputs[0], unit.inputs[1]];
                let value = |value: Value| (saved[&value], self.layout.values[value.0]);
                let (a, b) = (value(left), value(right));
                let to = [left, right].map(|value| self.layout.gradients[value.0]);
                if self.layout.constant(left).is_none() {
                    let product = MatMul::left_gradient(views, [&gradient.1, &to[0], &b.1]);
                    self.accumulate_in_place(
                        left,
                        vec![(StepKind::MatMul(product), vec![gradient, b])],
                        true,
                    );
                }
                if self.layout.constant(right).is_none() {
                    let product = MatMul::right_gradient(views, [&gradient.1, &a.1, &to[1]]);
                    self.accumulate_in_place(
                        right,
                        vec![(StepKind::MatMul(product), vec![a, gradient])],
                        true,
                    );
                }
            }
            UnitKind::Copy(copies) => {
                for (&value, copy) in unit.inputs.iter().zip(copies) {
                    self.accumulate_copy(value, copy, gradient);
                }
            }
            UnitKind::SpatialSum(factor) => self.accumulate_computed(from, |to, addend| {
                (map(&gradient.1, to, addend, *factor), vec![gradient])
            }),
        }
        self.buffers.release(location);
    }

    /// Counts a contribution to the gradient of `value`. After the last one, returns the record of the
    /// derivative by which the sum must be multiplied, if there is one.
    fn derivative(&mut self, value: Value) -> Option<Record> {
        let sum = &mut self.sums[value.0];
        sum.remaining -= 1;
        let done = sum.remaining == 0;
        self.records.get(&value).copied().filter(|_| done)
    }

    /// The location of the gradient of `value`, and whether it was allocated by this call.
    fn gradient_location(&mut self, value: Value) -> (Location, bool) {
        match self.sums[value.0].location {
            Some(location) => (location, false),
            None => {
                let location = self.buffers.allocate(self.layout.gradients[value.0].len());
                self.sums[value.0].location = Some(location);
                (location, true)
            }
        }
    }

    /// Accumulates the result of a step that supports an epilogue. `kind` receives the layouts of the image
    /// that the step writes and of the image that it adds.
    fn accumulate_computed(
        &mut self,
        value: Value,
        kind: impl FnOnce(&Image, &Image) -> (StepKind, Vec<(Location, Image)>),
    ) {
        let derivative = self.derivative(value);
        let image = self.layout.gradients[value.0];
        let pending = self.sums[value.0].pending.take();
        let (location, new) = self.gradient_location(value);
        let (addend, other) = match (new, pending) {
            (false, _) => (AddendPlan::Output, image),
            (true, Some((location, other))) => (AddendPlan::Other(location), other),
            (true, None) => (AddendPlan::Nothing, image),
        };
        let (kind, sources) = kind(&image, &other);
        self.push(
            kind,
            sources,
            (location, image),
            new,
            EpiloguePlan { addend, derivative, ..NO_EPILOGUE },
        );
        if let Some((other, _)) = pending {
            self.buffers.release(other);
        }
    }

    /// Accumulates the gradient of another value unchanged.
    fn accumulate(&mut self, value: Value, gradient: (Location, Image)) {
        if self.layout.constant(value).is_some() {
            return;
        }
        let sum = self.sums[value.0];
        if sum.location.is_none() && sum.pending.is_none() && sum.remaining > 1 {
            self.sums[value.0].remaining -= 1;
            self.buffers.retain(gradient.0);
            self.sums[value.0].pending = Some(gradient);
            return;
        }
        self.accumulate_computed(value, |to, addend| {
            (map(&gradient.1, to, addend, 1.0), vec![gradient])
        });
    }

    /// Accumulates the results of steps without an epilogue. With `adds`, the steps add to the content of the
    /// gradient; otherwise they overwrite it.
    fn accumulate_in_place(
        &mut self,
        value: Value,
        steps: Vec<(StepKind, Vec<(Location, Image)>)>,
        adds: bool,
    ) {
        let image = self.layout.gradients[value.0];
        if let Some(pending) = self.sums[value.0].pending.take() {
            // The steps need a location to write to, so the pending contribution is copied first.
            self.sums[value.0].remaining += 1;
            self.accumulate_computed(value, |to, addend| {
                (map(&pending.1, to, addend, 1.0), vec![pending])
            });
            self.buffers.release(pending.0);
        }
        let derivative = if steps.is_empty() { None } else { self.derivative(value) };
        let (location, new) = self.gradient_location(value);
        if new && adds {
            self.push(StepKind::Zero, Vec::new(), (location, image), true, NO_EPILOGUE);
        }
        for (kind, sources) in steps {
            self.push(kind, sources, (location, image), new && !adds, NO_EPILOGUE);
        }
        if derivative.is_some() {
            let pixel_loop = PixelLoop::new(&Phase::identity(), &image, &image, &image, 0);
            let epilogue = EpiloguePlan { addend: AddendPlan::Output, derivative, ..NO_EPILOGUE };
            let kind = StepKind::Map { pixel_loop, factor: 1.0, gate: None };
            self.push(kind, Vec::new(), (location, image), false, epilogue);
        }
    }

    /// Accumulates the gradient of a copy.
    fn accumulate_copy(&mut self, value: Value, views: &ViewCopy, gradient: (Location, Image)) {
        if self.layout.constant(value).is_some() {
            return;
        }
        let to = self.layout.gradients[value.0];
        let sum = self.sums[value.0];
        let new = sum.location.is_none() && sum.pending.is_none();
        let adds = !new || !views.from.covers([to.channels, to.height, to.width]);
        let (from, result) = ((&views.from, &to), (&views.to, &gradient.1));
        let copy = StridedCopy::gradient(&views.loops, from, result, adds);
        self.accumulate_in_place(value, vec![(StepKind::Copy(copy), vec![gradient])], adds);
    }

    /// Accumulates the gradient of a gate, a single pixel.
    fn accumulate_gate(&mut self, value: Value, kind: StepKind, sources: Vec<(Location, Image)>) {
        let image = self.layout.gradients[value.0];
        let buffer = self.buffers.allocate(image.len());
        self.push(kind, sources, (buffer, image), true, NO_EPILOGUE);
        self.accumulate(value, (buffer, image));
        self.buffers.release(buffer);
    }
}
