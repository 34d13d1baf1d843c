//! The steps of the backward pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::arrange::Move;
use super::super::build::{Arrangement, Builder, Value};
use super::super::image::Image;
use super::super::pack::Phase;
use super::super::product::Multiply;
use super::super::segment::{AddedPlan, FinishPlan, Place, Record, Step, Work};
use super::super::sweep::Sweep;
use super::forward::{PLAIN, convolve, depthwise, map, multiply, spreads};
use super::{Buffers, Kind, Layout, Unit};

/// A gradient that is being summed up.
#[derive(Clone, Copy, Default)]
struct Sum {
    /// Where it is.
    place: Option<Place>,
    /// Another gradient that is to be added, before there is a place.
    pending: Option<(Place, Image)>,
    /// Contributions that are still to come.
    left: usize,
}

/// The backward pass under construction.
struct Backward<'a> {
    layout: &'a Layout,
    buffers: &'a mut Buffers,
    /// The derivative of each value's activation.
    records: HashMap<Value, Record>,
    sums: Vec<Sum>,
    steps: Vec<Step>,
}

/// The steps of the backward pass.
pub fn backward(
    builder: &Builder,
    units: &[Unit],
    layout: &Layout,
    output: Value,
    buffers: &mut Buffers,
    kept: &HashMap<Value, Place>,
) -> Vec<Step> {
    let seen = output;
    let output = builder.root(output);
    let mut sums = vec![Sum::default(); builder.nodes.len()];
    for unit in units {
        unit.inputs.iter().chain(&unit.added).for_each(|value| sums[value.0].left += 1);
    }
    sums[output.0].left += 1;
    let records = units.iter().filter_map(|unit| Some((unit.output, unit.record?)));
    let mut pass =
        Backward { layout, buffers, records: records.collect(), sums, steps: Vec::new() };
    let load = layout.load(builder, seen, &layout.gradients[output.0]).whole_pixels();
    pass.scatter(output, vec![(Work::Load(load), Vec::new())], false);
    for unit in units.iter().rev() {
        pass.unit(unit, kept);
    }
    // The input of a segment that does not depend on it has no gradient.
    let input = Value(0);
    let place = match pass.sums[0].place {
        Some(place) => place,
        None => {
            pass.scatter(input, Vec::new(), true);
            pass.sums[0].place.unwrap_or(Place::Buffer(0))
        }
    };
    let image = layout.gradients[0];
    let work = Work::Store(layout.store(builder, input, &image));
    pass.push(work, vec![(place, image)], (place, image), false, PLAIN);
    pass.steps
}

impl Backward<'_> {
    fn push(
        &mut self,
        work: Work,
        sources: Vec<(Place, Image)>,
        to: (Place, Image),
        clear: bool,
        finish: FinishPlan,
    ) {
        self.steps.push(Step { work, sources, to, clear, finish });
    }

    fn unit(&mut self, unit: &Unit, kept: &HashMap<Value, Place>) {
        let Some(place) = self.sums[unit.output.0].place else { return };
        let gradient = (place, self.layout.gradients[unit.output.0]);
        if let Some(added) = unit.added {
            self.same(added, gradient);
        }
        let from = unit.inputs[0];
        match &unit.kind {
            Kind::Convolution { backward, .. } => self.computed(from, |to, added| {
                (convolve(backward, &gradient.1, to, added), vec![gradient])
            }),
            Kind::Depthwise { backward, .. } => self.computed(from, |to, added| {
                (depthwise(backward, &gradient.1, to, added), vec![gradient])
            }),
            Kind::Sum => unit.inputs.iter().for_each(|&value| self.same(value, gradient)),
            Kind::Multiply => {
                let factors = [unit.inputs[0], unit.inputs[1]];
                let kept = |value: Value| (kept[&value], self.layout.values[value.0]);
                let [x, gate] = factors.map(kept);
                let spreads = spreads(&gate.1, &gradient.1);
                for (value, other) in factors.into_iter().zip([gate, x]) {
                    if self.layout.constant(value).is_some() {
                        continue;
                    }
                    match spreads && value == unit.inputs[1] {
                        true => {
                            let work = Work::Sum { factor: 1.0 };
                            self.gate(value, work, vec![gradient, other]);
                        }
                        false => self.computed(value, |to, added| {
                            (multiply(&gradient.1, &other.1, to, added), vec![gradient, other])
                        }),
                    }
                }
            }
            Kind::Largest { window, bytes } => {
                let work = Work::LargestGradient { window: window.clone(), bytes: *bytes };
                self.scatter(from, vec![(work, vec![gradient])], true);
            }
            Kind::Mean { window, counts_padding } => {
                let (window, counts_padding) = (window.clone(), *counts_padding);
                let work = Work::MeanGradient { window, counts_padding };
                self.scatter(from, vec![(work, vec![gradient])], true);
            }
            Kind::Normalize { own, kept } => self.computed(from, |to, added| {
                let sweep = Sweep::new(&Phase::same(), &gradient.1, to, added, 0);
                let own = Arc::clone(own);
                (Work::NormalizeGradient { own, kept: *kept, sweep }, vec![gradient])
            }),
            Kind::Softmax => self.computed(from, |to, added| {
                let sweep = Sweep::new(&Phase::same(), &gradient.1, to, added, 0);
                let result = (kept[&unit.output], self.layout.values[unit.output.0]);
                (Work::SoftmaxGradient { sweep }, vec![gradient, result])
            }),
            Kind::Product(product) => {
                let [left, right] = [unit.inputs[0], unit.inputs[1]];
                let value = |value: Value| (kept[&value], self.layout.values[value.0]);
                let (a, b) = (value(left), value(right));
                let to = [left, right].map(|value| self.layout.gradients[value.0]);
                if self.layout.constant(left).is_none() {
                    let work = Multiply::left_gradient(product, [&gradient.1, &to[0], &b.1]);
                    self.scatter(left, vec![(Work::Product(work), vec![gradient, b])], true);
                }
                if self.layout.constant(right).is_none() {
                    let work = Multiply::right_gradient(product, [&gradient.1, &a.1, &to[1]]);
                    self.scatter(right, vec![(Work::Product(work), vec![a, gradient])], true);
                }
            }
            Kind::Arrange(parts) => {
                for (&value, own) in unit.inputs.iter().zip(parts) {
                    self.arranged(value, own, gradient);
                }
            }
            Kind::Total(factor) => self
                .computed(from, |to, added| (map(&gradient.1, to, added, *factor), vec![gradient])),
        }
        self.buffers.release(place);
    }

    /// Whether `value` has all of its gradient after this contribution, and then its derivative.
    fn derivative(&mut self, value: Value) -> Option<Record> {
        let sum = &mut self.sums[value.0];
        sum.left -= 1;
        let done = sum.left == 0;
        self.records.get(&value).copied().filter(|_| done)
    }

    /// Where the gradient of `value` is, and whether that is new.
    fn place(&mut self, value: Value) -> (Place, bool) {
        match self.sums[value.0].place {
            Some(place) => (place, false),
            None => {
                let place = self.buffers.take(self.layout.gradients[value.0].len());
                self.sums[value.0].place = Some(place);
                (place, true)
            }
        }
    }

    /// Adds what a step computes, which can finish it: `work` is given the pictures that it writes
    /// and adds.
    fn computed(
        &mut self,
        value: Value,
        work: impl FnOnce(&Image, &Image) -> (Work, Vec<(Place, Image)>),
    ) {
        let derivative = self.derivative(value);
        let image = self.layout.gradients[value.0];
        let pending = self.sums[value.0].pending.take();
        let (place, new) = self.place(value);
        let (added, other) = match (new, pending) {
            (false, _) => (AddedPlan::Own, image),
            (true, Some((place, other))) => (AddedPlan::Other(place), other),
            (true, None) => (AddedPlan::Nothing, image),
        };
        let (work, sources) = work(&image, &other);
        self.push(work, sources, (place, image), new, FinishPlan { added, derivative, ..PLAIN });
        if let Some((other, _)) = pending {
            self.buffers.release(other);
        }
    }

    /// Adds another gradient as it is.
    fn same(&mut self, value: Value, gradient: (Place, Image)) {
        if self.layout.constant(value).is_some() {
            return;
        }
        let sum = self.sums[value.0];
        if sum.place.is_none() && sum.pending.is_none() && sum.left > 1 {
            self.sums[value.0].left -= 1;
            self.buffers.share(gradient.0);
            self.sums[value.0].pending = Some(gradient);
            return;
        }
        self.computed(value, |to, added| (map(&gradient.1, to, added, 1.0), vec![gradient]));
    }

    /// Adds what steps write that only add to what is there already.
    fn scatter(&mut self, value: Value, work: Vec<(Work, Vec<(Place, Image)>)>, adds: bool) {
        let image = self.layout.gradients[value.0];
        if let Some(pending) = self.sums[value.0].pending.take() {
            // It needs a place of its own first.
            self.sums[value.0].left += 1;
            self.computed(value, |to, added| (map(&pending.1, to, added, 1.0), vec![pending]));
            self.buffers.release(pending.0);
        }
        let derivative = if work.is_empty() { None } else { self.derivative(value) };
        let (place, new) = self.place(value);
        if new && adds {
            self.push(Work::Zero, Vec::new(), (place, image), true, PLAIN);
        }
        for (work, sources) in work {
            self.push(work, sources, (place, image), new && !adds, PLAIN);
        }
        if derivative.is_some() {
            let sweep = Sweep::new(&Phase::same(), &image, &image, &image, 0);
            let finish = FinishPlan { added: AddedPlan::Own, derivative, ..PLAIN };
            let work = Work::Map { sweep, factor: 1.0, gate: None };
            self.push(work, Vec::new(), (place, image), false, finish);
        }
    }

    /// Adds what an arrangement has of a gradient.
    fn arranged(&mut self, value: Value, own: &Arrangement, gradient: (Place, Image)) {
        if self.layout.constant(value).is_some() {
            return;
        }
        let to = self.layout.gradients[value.0];
        let sum = self.sums[value.0];
        let new = sum.place.is_none() && sum.pending.is_none();
        let adds = !new || !own.from.covers([to.channels, to.height, to.width]);
        let views = ((&own.from, &to), (&own.to, &gradient.1));
        let work = Move::gradient(&own.loops, views.0, views.1, adds);
        self.scatter(value, vec![(Work::Arrange(work), vec![gradient])], adds);
    }

    /// Adds the gradient of a gate, a single pixel.
    fn gate(&mut self, value: Value, work: Work, sources: Vec<(Place, Image)>) {
        let image = self.layout.gradients[value.0];
        let buffer = self.buffers.take(image.len());
        self.push(work, sources, (buffer, image), true, PLAIN);
        self.same(value, (buffer, image));
        self.buffers.release(buffer);
    }
}
