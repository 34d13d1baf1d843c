//! Weights in the order in which the kernels read them, once when a segment is made.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::aligned::Aligned;
use super::tile::Level;

/// A convolution's window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    pub strides: [usize; 2],
    /// Distances of taps.
    pub dilations: [usize; 2],
    /// Padding at the top and the left.
    pub begin: [usize; 2],
    /// Padding at the bottom and the right.
    pub end: [usize; 2],
    /// Whether a pooling's last window may reach beyond the padding.
    pub ceil: bool,
}

impl Window {
    /// A window of one pixel.
    pub fn pixel() -> Self {
        Self {
            kernel: [1, 1],
            strides: [1, 1],
            dilations: [1, 1],
            begin: [0, 0],
            end: [0, 0],
            ceil: false,
        }
    }

    /// The outputs along `axis` of an input of `size`, where there are any.
    pub fn outputs(&self, axis: usize, size: usize) -> Option<usize> {
        let span = self.dilations[axis] * (self.kernel[axis] - 1) + 1;
        let stride = self.strides[axis];
        let rest = (size + self.begin[axis] + self.end[axis]).checked_sub(span)?;
        if !self.ceil {
            return Some(rest / stride + 1);
        }
        let outputs = rest.div_ceil(stride) + 1;
        // A window that would begin in the padding at the end is dropped.
        let begins_behind = (outputs - 1) * stride >= size + self.begin[axis];
        Some(outputs - usize::from(begins_behind))
    }
}

/// Pixels that have the same taps: all of a forward convolution; of an input gradient those whose
/// places differ by whole strides.
#[derive(Clone, Debug)]
pub struct Phase {
    /// The first pixel that is computed.
    pub origin: [usize; 2],
    /// From one pixel that is computed to the next, down and to the right.
    pub step: [usize; 2],
    /// From one pixel that is read to the next.
    pub reads: [usize; 2],
    /// What is read, relative to the pixel.
    pub taps: Vec<[isize; 2]>,
    /// The weights' place in the kernel, for each tap.
    pub places: Vec<usize>,
}

/// The weights of some output channels for every tap.
#[derive(Clone, Debug)]
pub struct Block {
    /// The first output channel.
    pub output: usize,
    /// The output channels, filled up.
    pub lanes: usize,
    /// The first input channel.
    pub input: usize,
    /// `[tap][input][lane]`.
    pub weights: Aligned,
}

/// The weights of one phase.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// All output channels, in order.
    pub blocks: Vec<Block>,
    /// The weights without those that fill up.
    pub used: usize,
}

/// A convolution's sizes.
#[derive(Clone, Debug)]
pub struct Shape {
    pub outputs: usize,
    pub inputs: usize,
    pub groups: usize,
    pub window: Window,
}

/// A convolution's weights `[outputs, inputs / groups, height, width]`.
#[derive(Clone, Copy)]
pub struct Kernel<'a> {
    pub weights: &'a [f32],
    pub shape: &'a Shape,
}

/// A convolution in one direction. The gradient's weights are packed when they are read first: who
/// only wants scores never holds them.
#[derive(Debug)]
pub struct Packed {
    pub phases: Vec<Phase>,
    /// The input channels of a block.
    pub inputs: usize,
    pub outputs: usize,
    /// Whether it is computed by its definition alone.
    pub exact: bool,
    spans: Vec<Span>,
    /// Of each phase.
    blocks: OnceLock<Vec<Blocks>>,
    /// Where the weights of a gradient come from.
    source: Option<Source>,
}

/// The convolution whose gradient is computed.
#[derive(Debug)]
struct Source {
    forward: Arc<Packed>,
    shape: Shape,
    /// The pixels to each side that are computed at once; see [`Packed::backward_squares`].
    side: Option<usize>,
}

impl Phase {
    /// Every pixel from the same pixel.
    pub fn same() -> Self {
        Self { origin: [0, 0], step: [1, 1], reads: [1, 1], taps: vec![[0, 0]], places: vec![0] }
    }

    /// The one phase of a forward convolution.
    pub fn forward(window: &Window) -> Self {
        let [height, width] = window.kernel;
        let tap = |at: usize| [at / width, at % width].map(|at| at as isize);
        let taps = (0..height * width).map(|at| {
            let [y, x] = tap(at);
            [
                y * window.dilations[0] as isize - window.begin[0] as isize,
                x * window.dilations[1] as isize - window.begin[1] as isize,
            ]
        });
        Self {
            origin: [0, 0],
            step: [1, 1],
            reads: window.strides,
            taps: taps.collect(),
            places: (0..height * width).collect(),
        }
    }

    /// The phases of the gradient with respect to the input: input `p + s t` was read by output
    /// `t + (p + begin - i dilation) / s` through tap `i`, where that is whole.
    pub fn backward(window: &Window) -> Vec<Self> {
        let width = window.kernel[1];
        let along = |axis: usize, phase: usize| -> Vec<(usize, isize)> {
            let stride = window.strides[axis] as isize;
            let reach = |tap: usize| {
                let at =
                    (phase + window.begin[axis]) as isize - (tap * window.dilations[axis]) as isize;
                (at.rem_euclid(stride) == 0).then_some((tap, at.div_euclid(stride)))
            };
            // From left to right in the gradient.
            (0..window.kernel[axis]).rev().filter_map(reach).collect()
        };
        let phase = |y: usize, x: usize| {
            let (rows, columns) = (along(0, y), along(1, x));
            let both = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
            let (places, taps) = both.map(|((i, y), (j, x))| (i * width + j, [*y, *x])).unzip();
            Self { origin: [y, x], step: window.strides, reads: [1, 1], taps, places }
        };
        let [down, right] = window.strides;
        (0..down).flat_map(|y| (0..right).map(move |x| (y, x))).map(|(y, x)| phase(y, x)).collect()
    }

    /// The pixels along `axis` that are computed of so many.
    pub fn count(&self, axis: usize, size: usize) -> usize {
        size.saturating_sub(self.origin[axis]).div_ceil(self.step[axis])
    }

    /// The halo that a picture of `from` needs where one of `to` is computed (height and width).
    pub fn halo(&self, from: [usize; 2], to: [usize; 2]) -> usize {
        let mut halo = 0;
        for tap in &self.taps {
            for axis in 0..2 {
                let Some(last) = self.count(axis, to[axis]).checked_sub(1) else { continue };
                let end = (last * self.reads[axis]) as isize + tap[axis];
                let beyond = (end - (from[axis] as isize - 1)).max(-tap[axis]).max(0);
                halo = halo.max(beyond as usize);
            }
        }
        halo
    }
}

/// What `cell` holds, made where nothing is there yet. Nobody waits for it: a thread that makes it on
/// all cores may meanwhile be given other work that reads it.
pub fn made<T>(cell: &OnceLock<Vec<T>>, make: impl FnOnce() -> Vec<T>) -> &[T] {
    if let Some(values) = cell.get() {
        return values;
    }
    let values = make();
    cell.get_or_init(|| values)
}

impl Packed {
    /// The forward convolution.
    pub fn forward(kernel: &Kernel, level: Level) -> Self {
        let Shape { outputs, inputs, groups, ref window } = *kernel.shape;
        let (made, read) = (outputs / groups, inputs / groups);
        let area = window.kernel[0] * window.kernel[1];
        let spans = spans(level, outputs, made, read);
        let packed = Self::new(vec![Phase::forward(window)], spans, outputs, None);
        let blocks = packed.pack(|output, input, place| {
            let own = input.checked_sub(output / made * read).filter(|&own| own < read)?;
            Some(kernel.weights[(output * read + own) * area + place])
        });
        Self { blocks: blocks.into(), ..packed }
    }

    /// The gradient of `forward`, a convolution of this shape, with respect to the input; it swaps
    /// inputs and outputs.
    pub fn backward(forward: &Arc<Packed>, shape: &Shape, level: Level) -> Self {
        let (read, made) = (shape.outputs / shape.groups, shape.inputs / shape.groups);
        let spans = spans(level, shape.inputs, made, read);
        let source = Source { forward: Arc::clone(forward), shape: shape.clone(), side: None };
        Self::new(Phase::backward(&shape.window), spans, shape.inputs, Some(source))
    }

    /// The gradient with respect to an input of few channels, `side` times `side` pixels at once, whose
    /// channels lie side by side: pixels `side t + p` read what output `side / stride t + a` has, through
    /// the tap `i` with `i dilation = p + begin - stride a`. `side` is a multiple of the stride.
    pub fn backward_squares(
        forward: &Arc<Packed>,
        shape: &Shape,
        level: Level,
        side: usize,
    ) -> Self {
        let window = &shape.window;
        let along = |axis: usize| {
            let (stride, dilation) = (window.strides[axis] as isize, window.dilations[axis]);
            let last = ((window.kernel[axis] - 1) * dilation) as isize;
            let begin = window.begin[axis] as isize;
            let high = side as isize - 1 + begin;
            -(last - begin).div_euclid(stride)..high.div_euclid(stride) + 1
        };
        let taps: Vec<[isize; 2]> = along(0).flat_map(|y| along(1).map(move |x| [y, x])).collect();
        let phase = Phase {
            origin: [0, 0],
            step: [1, 1],
            reads: window.strides.map(|stride| side / stride),
            places: (0..taps.len()).collect(),
            taps,
        };
        let outputs = side * side * shape.inputs;
        let spans = spans(level, outputs, outputs, shape.outputs);
        let source =
            Source { forward: Arc::clone(forward), shape: shape.clone(), side: Some(side) };
        Self::new(vec![phase], spans, outputs, Some(source))
    }

    fn new(phases: Vec<Phase>, spans: Vec<Span>, outputs: usize, source: Option<Source>) -> Self {
        let inputs = spans.first().map_or(0, |span| span.inputs);
        Self { phases, inputs, outputs, exact: false, spans, blocks: OnceLock::new(), source }
    }

    /// Whether every output is made of every input.
    pub fn is_whole(&self) -> bool {
        self.source.as_ref().is_none_or(|source| source.side.is_none())
            && self.spans.iter().all(|span| span.input == 0)
    }

    /// The weights of each phase.
    pub fn blocks(&self) -> &[Blocks] {
        made(&self.blocks, || self.pack_from_source())
    }

    /// The same, which are not held on to.
    pub fn read(&self) -> Cow<'_, [Blocks]> {
        self.blocks
            .get()
            .map_or_else(|| self.pack_from_source().into(), |own| own.as_slice().into())
    }

    fn pack_from_source(&self) -> Vec<Blocks> {
        let Some(Source { forward, shape, side }) = &self.source else { return Vec::new() };
        match side {
            None => {
                let (read, made) = (shape.outputs / shape.groups, shape.inputs / shape.groups);
                self.pack(|output, input, place| {
                    let same_group = input / read == output / made;
                    same_group.then(|| forward.weight(input, output, place))
                })
            }
            Some(side) => {
                let taps = &self.phases[0].taps;
                self.pack(|output, input, place| {
                    let (pixel, channel) = (output / shape.inputs, output % shape.inputs);
                    let tap = |axis: usize, pixel: usize| {
                        let (stride, dilation) =
                            (shape.window.strides[axis] as isize, shape.window.dilations[axis]);
                        let from = (pixel + shape.window.begin[axis]) as isize
                            - stride * taps[place][axis];
                        let from = usize::try_from(from).ok()?;
                        let tap = from.is_multiple_of(dilation).then_some(from / dilation)?;
                        (tap < shape.window.kernel[axis]).then_some(tap)
                    };
                    let (i, j) = (tap(0, pixel / side)?, tap(1, pixel % side)?);
                    Some(forward.weight(input, channel, i * shape.window.kernel[1] + j))
                })
            }
        }
    }

    /// The weight of an output for an input of its group, in a forward convolution.
    fn weight(&self, output: usize, input: usize, place: usize) -> f32 {
        let Some(Blocks { blocks, .. }) = self.blocks().first() else { return 0.0 };
        // All blocks but the last have the same lanes.
        let block = &blocks[output / blocks[0].lanes];
        let row = place * self.inputs + input - block.input;
        block.weights[row * block.lanes + output - block.output]
    }

    fn pack(&self, weight: impl Fn(usize, usize, usize) -> Option<f32> + Sync) -> Vec<Blocks> {
        let pack = |phase: &Phase, span: &Span| {
            let mut used = 0;
            let mut weights = Aligned::zeros(phase.places.len() * span.inputs * span.lanes);
            let mut rows = weights.chunks_exact_mut(span.lanes);
            let lanes = span.lanes.min(self.outputs - span.output);
            for &place in &phase.places {
                for input in span.input..span.input + span.inputs {
                    let Some(row) = rows.next() else { break };
                    for (lane, value) in row[..lanes].iter_mut().enumerate() {
                        if let Some(own) = weight(span.output + lane, input, place) {
                            *value = own;
                            used += 1;
                        }
                    }
                }
            }
            let Span { output, lanes, input, .. } = *span;
            (Block { output, lanes, input, weights }, used)
        };
        let of_phase = |phase: &Phase| {
            let (blocks, counts): (Vec<_>, Vec<usize>) =
                self.spans.par_iter().map(|span| pack(phase, span)).unzip();
            Blocks { blocks, used: counts.iter().sum() }
        };
        self.phases.iter().map(of_phase).collect()
    }
}

/// Output channels, and the input channels that they are made of.
#[derive(Clone, Copy, Debug)]
struct Span {
    output: usize,
    lanes: usize,
    input: usize,
    inputs: usize,
}

/// The blocks of `outputs` channels in groups that make `made` of `read` each. Blocks over several
/// groups read the inputs of all of them, the same number for every block.
fn spans(level: Level, outputs: usize, made: usize, read: usize) -> Vec<Span> {
    let groups = outputs / made;
    let lanes_of = |left: usize| if groups == 1 { level.lanes(left) } else { 16 };
    let mut spans = Vec::new();
    let mut output = 0;
    while output < outputs {
        let lanes = lanes_of(outputs - output);
        let last = (output + lanes).min(outputs) - 1;
        let (first, end) = (output / made, last / made + 1);
        spans.push(Span { output, lanes, input: first * read, inputs: (end - first) * read });
        output += lanes;
    }
    // One number of inputs for all: the runs of a sweep are the same for every block.
    let widest = spans.iter().map(|span| span.inputs).max().unwrap_or(0);
    let all = groups * read;
    for span in &mut spans {
        span.input = span.input.min(all - widest);
        span.inputs = widest;
    }
    spans
}
