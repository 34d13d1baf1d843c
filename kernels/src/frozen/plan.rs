//! From operations to steps: activations and sums become part of the convolution in front of them,
//! and every picture gets a buffer.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::build::{Builder, Convolution, Normalization, Operation, Value, Weights};
use super::depthwise::Taps;
use super::finish::{Activation, Kept};
use super::image::{Image, LANES};
use super::pack::{Kernel, Packed, Phase, Shape, Window};
use super::segment::{AddedPlan, FinishPlan, Place, Record, Segment, Step, TapeSize, Work};
use super::sweep::Sweep;
use super::tile::Level;
use super::winograd::Winograd;

/// An operation with what follows it.
struct Unit {
    kind: Kind,
    inputs: Vec<Value>,
    /// Added to the result before the activation.
    added: Option<Value>,
    activation: Activation,
    output: Value,
    /// Where the activation's derivative is kept.
    record: Option<Record>,
}

/// The units that exist.
enum Kind {
    Convolution {
        forward: Arc<Packed>,
        backward: Arc<Packed>,
        bias: Vec<f32>,
        /// The pixels to each side that are one of the gradient that it makes.
        side: usize,
    },
    Depthwise {
        forward: Arc<Taps>,
        backward: Arc<Taps>,
        bias: Vec<f32>,
    },
    /// The first input, with the second one where there is one.
    Sum,
    Gate,
    Largest {
        window: Window,
        bytes: usize,
    },
    Mean {
        window: Window,
        counts_padding: bool,
    },
    GlobalMean,
    Concat,
    Normalize {
        own: Arc<Normalization>,
        kept: usize,
    },
}

impl Kind {
    /// The phases of a convolution forwards and backwards.
    fn phases(&self) -> [Vec<&Phase>; 2] {
        match self {
            Self::Convolution { forward, backward, .. } => {
                [forward, backward].map(|own| own.phases.iter().collect())
            }
            Self::Depthwise { forward, backward, .. } => {
                [forward, backward].map(|own| own.phases.iter().map(|(phase, _)| phase).collect())
            }
            _ => [Vec::new(), Vec::new()],
        }
    }
}

/// The segment of `builder` from its input to `output`.
pub(super) fn plan(mut builder: Builder, output: Value, level: Level) -> Segment {
    let mut tape = TapeSize::default();
    let output = root(&builder, output);
    let units = units(&mut builder, output, level, &mut tape);
    let builder = &builder;
    let layout = Layout::new(builder, &units);
    let mut buffers = Buffers::default();
    let (forward, kept) = forward(builder, &units, &layout, output, &mut buffers, &mut tape);
    buffers.restart();
    let backward = backward(builder, &units, &layout, output, &mut buffers, &kept);
    Segment {
        level,
        input: builder.dims(Value(0)),
        output: builder.dims(output),
        forward,
        backward,
        buffers: buffers.sizes,
        tape,
        winograd: AtomicBool::new(false),
        arenas: Mutex::new(Vec::new()),
        tapes: Arc::new(Mutex::new(Vec::new())),
    }
}

/// The picture that `value` is, whatever the order of its axes outside.
fn root(builder: &Builder, mut value: Value) -> Value {
    while let Operation::Turn = builder.nodes[value.0].operation {
        value = builder.nodes[value.0].inputs[0];
    }
    value
}

/// The units that `output` needs, in order.
fn units(builder: &mut Builder, output: Value, level: Level, tape: &mut TapeSize) -> Vec<Unit> {
    let inputs_of: Vec<Vec<Value>> = builder
        .nodes
        .iter()
        .map(|node| node.inputs.iter().map(|&value| root(builder, value)).collect())
        .collect();
    let mut needed = vec![false; builder.nodes.len()];
    needed[output.0] = true;
    let mut readers: Vec<Vec<Value>> = vec![Vec::new(); builder.nodes.len()];
    for at in (0..builder.nodes.len()).rev().filter(|&at| at <= output.0) {
        if needed[at] {
            for &input in &inputs_of[at] {
                needed[input.0] = true;
                readers[input.0].push(Value(at));
            }
        }
    }
    // The one reader of a value that is not the output.
    let reader = |value: Value| match readers[value.0][..] {
        [reader] if value != output => Some(reader),
        _ => None,
    };
    let mut part_of_another = vec![false; builder.nodes.len()];
    let mut units = Vec::new();
    for at in 1..=output.0 {
        if !needed[at] || part_of_another[at] {
            continue;
        }
        let dims = builder.nodes[at].dims;
        let operation = std::mem::replace(&mut builder.nodes[at].operation, Operation::Planned);
        let inputs = inputs_of[at].clone();
        let mut made = Value(at);
        let mut added = None;
        let mut activation = Activation::Identity;
        let (kind, inputs) = match operation {
            Operation::Input | Operation::Turn | Operation::Planned => continue,
            Operation::Activate(own) => {
                activation = own;
                (Kind::Sum, inputs)
            }
            Operation::Add => (Kind::Sum, inputs),
            Operation::Gate => (Kind::Gate, inputs),
            Operation::Convolution(mut convolution) => {
                let mut weights = convolution.weights.read().into_owned();
                convolution.weights = Weights::Given(Vec::new());
                while let Some(next) = reader(made)
                    && let Operation::Convolution(scale) = &builder.nodes[next.0].operation
                    && scale.window == Window::pixel()
                    && scale.groups == convolution.outputs
                    && scale.outputs == convolution.outputs
                {
                    scaled(&mut weights, &mut convolution, scale);
                    made = next;
                    part_of_another[next.0] = true;
                }
                if let Some(sum) = reader(made)
                    && let Operation::Add = builder.nodes[sum.0].operation
                    && let Some(other) = inputs_of[sum.0].iter().find(|&&v| v != made)
                    && other.0 < at
                {
                    (added, made) = (Some(*other), sum);
                    part_of_another[sum.0] = true;
                }
                let channels = builder.dims(inputs[0])[0];
                let shape = Shape {
                    outputs: convolution.outputs,
                    inputs: channels,
                    groups: convolution.groups,
                    window: convolution.window.clone(),
                };
                let kernel = Kernel { weights: &weights, shape: &shape };
                let bias = filled_up(convolution.bias.take().unwrap_or_default());
                let each = convolution.groups == channels && convolution.outputs == channels;
                let kind = match each {
                    true => Kind::Depthwise {
                        forward: Taps::forward(&kernel).into(),
                        backward: Taps::backward(&kernel).into(),
                        bias,
                    },
                    false => {
                        let alone = readers[0].len() == 1 && inputs == [Value(0)];
                        let side = side(&shape).filter(|_| alone);
                        let forward = Arc::new(Packed::forward(&kernel, level));
                        let backward = match side {
                            Some(side) => Packed::backward_squares(&forward, &shape, level, side),
                            None => Packed::backward(&forward, &shape, level),
                        };
                        Kind::Convolution {
                            forward,
                            backward: backward.into(),
                            bias,
                            side: side.unwrap_or(1),
                        }
                    }
                };
                (kind, inputs)
            }
            Operation::Largest(window) => {
                let bytes = tape.bytes;
                tape.bytes += Image::new(dims, 0).area();
                (Kind::Largest { window, bytes }, inputs)
            }
            Operation::Mean(window, counts_padding) => {
                let kind = Kind::Mean { window, counts_padding };
                (kind, inputs)
            }
            Operation::Normalize(own) => {
                let own = Normalization {
                    scale: filled_up(own.scale),
                    shift: filled_up(own.shift),
                    epsilon: own.epsilon,
                };
                let kept = tape.floats;
                tape.floats += Image::new(dims, 0).area() + dims[1] * dims[2];
                (Kind::Normalize { own: own.into(), kept }, inputs)
            }
            Operation::GlobalMean => (Kind::GlobalMean, inputs),
            Operation::Concat => (Kind::Concat, inputs),
        };
        let takes_activation = matches!(
            kind,
            Kind::Convolution { .. } | Kind::Depthwise { .. } | Kind::Sum | Kind::Gate
        );
        if let Some(next) = reader(made)
            && let Operation::Activate(own) = builder.nodes[next.0].operation
            && takes_activation
            && activation == Activation::Identity
        {
            (activation, made) = (own, next);
            part_of_another[next.0] = true;
        }
        let record = record(activation, builder.dims(made), tape);
        units.push(Unit { kind, inputs, added, activation, output: made, record });
    }
    units
}

/// Numbers of channels, zeros behind them up to whole lanes.
fn filled_up(mut values: Vec<f32>) -> Vec<f32> {
    values.resize(values.len().next_multiple_of(LANES), 0.0);
    values
}

/// Makes a scale and a shift of every output part of the convolution in front of them.
fn scaled(weights: &mut [f32], convolution: &mut Convolution, scale: &Convolution) {
    let each = weights.len() / convolution.outputs;
    let factors = scale.weights.read();
    for (weights, factor) in weights.chunks_exact_mut(each).zip(factors.iter()) {
        weights.iter_mut().for_each(|weight| *weight *= factor);
    }
    let mut bias = convolution.bias.take().unwrap_or_else(|| vec![0.0; convolution.outputs]);
    for (at, bias) in bias.iter_mut().enumerate() {
        let shift = scale.bias.as_ref().map_or(0.0, |shift| shift[at]);
        *bias = *bias * factors[at] + shift;
    }
    convolution.bias = Some(bias);
}

/// How many pixels to each side of an input of few channels have their gradient computed at once, so
/// that lanes are not left empty.
fn side(shape: &Shape) -> Option<usize> {
    let [down, right] = shape.window.strides;
    let lanes = |side: usize| side * side * shape.inputs;
    let few = shape.groups == 1 && shape.inputs < LANES && down == right;
    let side = match down {
        1 => (1..=4).rev().find(|&side| lanes(side) <= LANES)?,
        stride => stride,
    };
    (few && side > 1).then_some(side)
}

/// Room for an activation's derivative.
fn record(activation: Activation, dims: [usize; 3], tape: &mut TapeSize) -> Option<Record> {
    let area = Image::new(dims, 0).area();
    match activation.kept() {
        Kept::Nothing => None,
        Kept::Bytes => {
            tape.bytes += area;
            Some(Record::Bytes { first: tape.bytes - area, slope: activation.slope() })
        }
        Kept::Floats => {
            tape.floats += area;
            Some(Record::Floats { first: tape.floats - area })
        }
    }
}

/// How values and their gradients lie in memory.
struct Layout {
    values: Vec<Image>,
    gradients: Vec<Image>,
    /// The pixels to each side of the input that are one of its gradient.
    side: usize,
}

impl Layout {
    fn new(builder: &Builder, units: &[Unit]) -> Self {
        let count = builder.nodes.len();
        let (mut values, mut gradients) = (vec![0; count], vec![0; count]);
        // Only convolutions over a few channels read them side by side.
        let mut dense = builder.dims(Value(0))[0] < LANES;
        let size = |value: Value| [builder.dims(value)[1], builder.dims(value)[2]];
        let sides = units.iter().filter_map(|unit| match unit.kind {
            Kind::Convolution { side, .. } => Some(side),
            _ => None,
        });
        let side = sides.max().unwrap_or(1);
        let [channels, height, width] = builder.dims(Value(0));
        let squares = [side * side * channels, height.div_ceil(side), width.div_ceil(side)];
        for unit in units {
            let [forward, backward] = unit.kind.phases();
            dense &=
                matches!(unit.kind, Kind::Convolution { .. }) || !unit.inputs.contains(&Value(0));
            dense &= unit.added != Some(Value(0));
            let from = unit.inputs[0];
            for phase in forward {
                let halo = phase.halo(size(from), size(unit.output));
                values[from.0] = halo.max(values[from.0]);
            }
            let made = if from == Value(0) { [squares[1], squares[2]] } else { size(from) };
            for phase in backward {
                let halo = phase.halo(size(unit.output), made);
                gradients[unit.output.0] = halo.max(gradients[unit.output.0]);
            }
        }
        let image = |at: usize, halo: usize| Image::new(builder.nodes[at].dims, halo);
        let mut own: Vec<Image> = (0..count).map(|at| image(at, values[at])).collect();
        if dense {
            own[0] = Image::dense(builder.nodes[0].dims, values[0]);
        }
        let mut gradients: Vec<Image> = (0..count).map(|at| image(at, gradients[at])).collect();
        gradients[0] = Image::new(squares, gradients[0].halo);
        Self { values: own, gradients, side }
    }
}

/// Buffers that are used again when nothing reads them any more.
#[derive(Default)]
struct Buffers {
    sizes: Vec<usize>,
    users: Vec<usize>,
}

impl Buffers {
    /// A buffer of `len` numbers with one user.
    fn take(&mut self, len: usize) -> Place {
        let free = (0..self.sizes.len()).filter(|&at| self.users[at] == 0);
        let best = free.min_by_key(|&at| match self.sizes[at] {
            size if size >= len => (0, size),
            size => (1, len - size),
        });
        let at = best.unwrap_or_else(|| {
            self.sizes.push(0);
            self.users.push(0);
            self.sizes.len() - 1
        });
        self.sizes[at] = self.sizes[at].max(len);
        self.users[at] = 1;
        Place::Buffer(at)
    }

    fn share(&mut self, place: Place) {
        if let Place::Buffer(at) = place {
            self.users[at] += 1;
        }
    }

    fn release(&mut self, place: Place) {
        if let Place::Buffer(at) = place {
            self.users[at] -= 1;
        }
    }

    /// Every buffer free.
    fn restart(&mut self) {
        self.users.fill(0);
    }
}

const PLAIN: FinishPlan = FinishPlan {
    bias: Vec::new(),
    added: AddedPlan::Nothing,
    activation: Activation::Identity,
    keeps: None,
    derivative: None,
};

/// The steps of the forward pass, and where the values that the backward pass reads are.
fn forward(
    builder: &Builder,
    units: &[Unit],
    layout: &Layout,
    output: Value,
    buffers: &mut Buffers,
    tape: &mut TapeSize,
) -> (Vec<Step>, HashMap<Value, Place>) {
    let mut readers = vec![0; builder.nodes.len()];
    for unit in units {
        unit.inputs.iter().chain(&unit.added).for_each(|value| readers[value.0] += 1);
    }
    readers[output.0] += 1;
    let mut kept: HashMap<Value, Place> = HashMap::new();
    for unit in units.iter().filter(|unit| matches!(unit.kind, Kind::Gate)) {
        for &value in &unit.inputs {
            kept.entry(value).or_insert_with(|| {
                tape.pictures.push(layout.values[value.0].len());
                Place::Kept(tape.pictures.len() - 1)
            });
        }
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
        work: Work::Load,
        sources: Vec::new(),
        to: (input, image(Value(0))),
        clear: true,
        finish: PLAIN,
    }];
    for unit in units {
        let to = place(unit.output, buffers);
        let source = |value: Value| (places[&value], image(value));
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
            Kind::Convolution { forward, bias, .. } => {
                finish.bias.clone_from(bias);
                let work = convolve(forward, &sources[0].1, &own, &other);
                (work, sources)
            }
            Kind::Depthwise { forward, bias, .. } => {
                finish.bias.clone_from(bias);
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
            Kind::Gate => (map(&sources[0].1, &own, &own, 1.0), sources),
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
            Kind::GlobalMean => (Work::Sum { factor: share(&sources[0].1) }, sources),
            Kind::Concat => {
                let mut at = 0;
                for &(place, image) in &sources {
                    let work = Work::Copy { channels: image.channels, from: 0, to: at };
                    more.push((work, vec![(place, image)]));
                    at += image.channels;
                }
                (Work::Zero, Vec::new())
            }
        };
        steps.push(Step { work, sources, to: (to, own), clear: true, finish });
        for (work, sources) in more {
            steps.push(Step { work, sources, to: (to, own), clear: false, finish: PLAIN });
        }
        for value in unit.inputs.iter().chain(&unit.added) {
            readers[value.0] -= 1;
            if readers[value.0] == 0 {
                buffers.release(places[value]);
            }
        }
        places.insert(unit.output, to);
    }
    steps.push(Step {
        work: Work::Store { side: 1, dims: builder.dims(output) },
        sources: vec![(places[&output], image(output))],
        to: (places[&output], image(output)),
        clear: false,
        finish: PLAIN,
    });
    (steps, kept)
}

fn convolve(packed: &Arc<Packed>, from: &Image, to: &Image, added: &Image) -> Work {
    let sweep = |phase: &Phase| Sweep::new(phase, from, to, added, packed.inputs);
    let sweeps = packed.phases.iter().map(sweep).collect();
    let winograd = Winograd::of(packed, to.height, to.width).map(Arc::new);
    Work::Convolve { packed: Arc::clone(packed), sweeps, winograd }
}

fn depthwise(taps: &Arc<Taps>, from: &Image, to: &Image, added: &Image) -> Work {
    // Taps that lie side by side are of different channels: they stay apart.
    let sweep = |(phase, _): &(Phase, _)| Sweep::new(phase, from, to, added, 0);
    Work::Depthwise { taps: Arc::clone(taps), sweeps: taps.phases.iter().map(sweep).collect() }
}

fn map(from: &Image, to: &Image, added: &Image, factor: f32) -> Work {
    let sweep = Sweep::new(&Phase::same(), from, to, added, 0);
    let spreads = from.height * from.width == 1 && to.height * to.width != 1;
    Work::Map { sweep: if spreads { sweep.spread() } else { sweep }, factor }
}

fn share(image: &Image) -> f32 {
    1.0 / (image.height * image.width) as f32
}

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
fn backward(
    builder: &Builder,
    units: &[Unit],
    layout: &Layout,
    output: Value,
    buffers: &mut Buffers,
    kept: &HashMap<Value, Place>,
) -> Vec<Step> {
    let mut sums = vec![Sum::default(); builder.nodes.len()];
    for unit in units {
        unit.inputs.iter().chain(&unit.added).for_each(|value| sums[value.0].left += 1);
    }
    sums[output.0].left += 1;
    let records = units.iter().filter_map(|unit| Some((unit.output, unit.record?)));
    let mut pass =
        Backward { layout, buffers, records: records.collect(), sums, steps: Vec::new() };
    pass.scatter(output, vec![(Work::Load, Vec::new())], false);
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
    let work = Work::Store { side: layout.side, dims: builder.dims(input) };
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
            Kind::Gate => {
                let kept = |value: Value| (kept[&value], self.layout.values[value.0]);
                let (x, gate) = (kept(unit.inputs[0]), kept(unit.inputs[1]));
                self.computed(unit.inputs[0], |to, added| {
                    (map(&gradient.1, to, added, 1.0), vec![gradient, gate])
                });
                let work = Work::Sum { factor: 1.0 };
                self.gate(unit.inputs[1], work, vec![gradient, x]);
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
            Kind::GlobalMean => {
                let factor = share(&self.layout.gradients[from.0]);
                self.computed(from, |to, added| {
                    (map(&gradient.1, to, added, factor), vec![gradient])
                });
            }
            Kind::Concat => {
                let mut at = 0;
                for &value in &unit.inputs {
                    let channels = self.layout.gradients[value.0].channels;
                    let image = self.layout.gradients[value.0];
                    let buffer = self.buffers.take(image.len());
                    let part = (buffer, image);
                    self.push(Work::Zero, Vec::new(), part, true, PLAIN);
                    let work = Work::Copy { channels, from: at, to: 0 };
                    self.push(work, vec![gradient], part, false, PLAIN);
                    self.same(value, part);
                    self.buffers.release(buffer);
                    at += channels;
                }
            }
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
            let work = Work::Map { sweep, factor: 1.0 };
            self.push(work, Vec::new(), (place, image), false, finish);
        }
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
