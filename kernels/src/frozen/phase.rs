//! The input pixels that the output pixels of a convolution read.

use super::window::Window;

/// Output pixels that have the same taps. A forward convolution has one phase. An input gradient has one
/// phase per stride offset: the pixels whose positions differ by multiples of the stride.
#[derive(Clone, Debug)]
pub struct Phase {
    /// The row and column of the first pixel that is computed.
    pub origin: [usize; 2],
    /// The vertical and horizontal distance between computed pixels.
    pub step: [usize; 2],
    /// The distance between the input pixels that adjacent computed pixels read.
    pub input_step: [usize; 2],
    /// The position of the input pixel that each tap reads, relative to the pixel.
    pub taps: Vec<[isize; 2]>,
    /// The index of each tap in the kernel, in row-major order.
    pub kernel_indices: Vec<usize>,
}

impl Phase {
    /// Returns the phase in which every pixel reads the input pixel at its own position.
    pub fn identity() -> Self {
        Self {
            origin: [0, 0],
            step: [1, 1],
            input_step: [1, 1],
            taps: vec![[0, 0]],
            kernel_indices: vec![0],
        }
    }

    /// Returns the only phase of a forward convolution.
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
            input_step: window.strides,
            taps: taps.collect(),
            kernel_indices: (0..height * width).collect(),
        }
    }

    /// Returns the phases of the gradient with respect to the input: with the stride `s`, input `p + s t` was
    /// read through tap `i` by output `t + (p + begin - i dilation) / s`, if that is an integer.
    pub fn backward(window: &Window) -> Vec<Self> {
        let width = window.kernel[1];
        let taps_along = |axis: usize, phase: usize| -> Vec<(usize, isize)> {
            let stride = window.strides[axis] as isize;
            let source_output = |tap: usize| {
                let at =
                    (phase + window.begin[axis]) as isize - (tap * window.dilations[axis]) as isize;
                (at.rem_euclid(stride) == 0).then_some((tap, at.div_euclid(stride)))
            };
            // In ascending order of the output position, so that adjacent taps are contiguous.
            (0..window.kernel[axis]).rev().filter_map(source_output).collect()
        };
        let phase = |y: usize, x: usize| {
            let (rows, columns) = (taps_along(0, y), taps_along(1, x));
            let both = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
            let (kernel_indices, taps) =
                both.map(|((i, y), (j, x))| (i * width + j, [*y, *x])).unzip();
            Self { origin: [y, x], step: window.strides, input_step: [1, 1], taps, kernel_indices }
        };
        let [down, right] = window.strides;
        (0..down).flat_map(|y| (0..right).map(move |x| (y, x))).map(|(y, x)| phase(y, x)).collect()
    }

    /// The number of pixels that the phase computes along an `axis` of `size` pixels.
    pub fn count(&self, axis: usize, size: usize) -> usize {
        size.saturating_sub(self.origin[axis]).div_ceil(self.step[axis])
    }

    /// The halo that an input of size `from` needs to compute an output of size `to` (height and width).
    pub fn halo(&self, from: [usize; 2], to: [usize; 2]) -> usize {
        let mut halo = 0;
        for tap in &self.taps {
            for axis in 0..2 {
                let Some(last) = self.count(axis, to[axis]).checked_sub(1) else { continue };
                let end = (last * self.input_step[axis]) as isize + tap[axis];
                let beyond = (end - (from[axis] as isize - 1)).max(-tap[axis]).max(0);
                halo = halo.max(beyond as usize);
            }
        }
        halo
    }
}
