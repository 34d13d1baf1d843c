//! Convolutions on CubeCL devices.

use burn::backend::TensorMetadata;
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Shape, Slice};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::conv::{ConvStrategy, conv_forward};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::kernel::{JobLaunch, gradient_kernel};
use crate::launch::{CUBES, THREADS};
use crate::product::device::in_float32;

/// Whether the device is a software renderer on the CPU. There, autotuning takes seconds per candidate, and
/// the direct kernel is as fast as the others.
fn is_software(x: &CubeTensor) -> bool {
    x.client.properties().identity.physical.is_none()
}

/// Computes the convolution.
pub fn forward(x: CubeTensor, weights: CubeTensor, options: ConvOptions<2>) -> CubeTensor {
    if !is_software(&x) {
        return in_float32(x, weights, |x, weights| {
            CubeBackend::conv2d(x, weights, None, options.clone())
        });
    }
    conv_forward::<2>(x, weights, None, options, ConvStrategy::Direct)
        .expect("direct convolution supports every shape")
}

/// Computes the gradient with respect to an input of shape `dims`.
pub fn gradient(
    gradient: CubeTensor,
    weights: CubeTensor,
    dims: [usize; 4],
    options: &ConvOptions<2>,
) -> CubeTensor {
    if options.stride == [1, 1]
        && let Some(padding) = flipped_padding(&gradient, &weights, dims, options)
    {
        let weights = transposed(weights, options.groups);
        let options =
            ConvOptions::new_with_padding([1, 1], padding, options.dilation, options.groups);
        return forward(gradient, weights, options);
    }
    match options.groups == 1 && options.dilation == [1, 1] {
        true => by_phases(gradient, weights, dims, options),
        false => launch(gradient, weights, dims, options),
    }
}

/// The padding with which a stride-1 convolution of the gradient has the size of the input; `None` if the
/// padding would be negative.
fn flipped_padding(
    gradient: &CubeTensor,
    weights: &CubeTensor,
    dims: [usize; 4],
    options: &ConvOptions<2>,
) -> Option<[(usize, usize); 2]> {
    let mut padding = [(0, 0); 2];
    for (axis, padding) in padding.iter_mut().enumerate() {
        let reach = options.dilation[axis] * (weights.shape()[axis + 2] - 1);
        let begin = reach.checked_sub(options.padding[axis].0)?;
        let end = (dims[axis + 2] + reach).checked_sub(gradient.shape()[axis + 2] + begin)?;
        *padding = (begin, end);
    }
    Some(padding)
}

/// Transposes weights `[outputs, channels / groups, height, width]` to
/// `[channels, outputs / groups, height, width]`, with flipped kernels.
fn transposed(weights: CubeTensor, groups: usize) -> CubeTensor {
    let [outputs, inputs, height, width] = weights.shape().dims::<4>();
    let each = outputs / groups;
    let flipped = CubeBackend::float_flip(weights, &[2, 3]);
    if groups == 1 {
        return CubeBackend::float_permute(flipped, &[1, 0, 2, 3]);
    }
    let by_group = Shape::new([groups, each, inputs, height, width]);
    let swapped =
        CubeBackend::float_permute(CubeBackend::float_reshape(flipped, by_group), &[0, 2, 1, 3, 4]);
    CubeBackend::float_reshape(swapped, Shape::new([groups * inputs, each, height, width]))
}

/// Computes the gradient of a strided convolution by phases. The input pixels at the same offset modulo the
/// stride form a phase; every pixel of a phase is read through the same weights, every `s`-th of the kernel.
/// Each phase is a stride-1 convolution.
fn by_phases(
    gradient: CubeTensor,
    weights: CubeTensor,
    dims: [usize; 4],
    options: &ConvOptions<2>,
) -> CubeTensor {
    let device = gradient.device();
    let mut result = CubeBackend::float_zeros(Shape::new(dims), &device, gradient.dtype.into());
    for (down, right) in (0..options.stride[0])
        .flat_map(|down| (0..options.stride[1]).map(move |right| (down, right)))
    {
        let phase = |axis: usize, first: usize| {
            Phase::new(
                first,
                options.stride[axis],
                options.padding[axis].0,
                [dims[axis + 2], gradient.shape()[axis + 2], weights.shape()[axis + 2]],
            )
        };
        let (Some(y), Some(x)) = (phase(0, down), phase(1, right)) else { continue };
        let phase_weights = CubeBackend::float_slice(
            weights.clone(),
            &[Slice::from(..), Slice::from(..), y.weights, x.weights],
        );
        let read = CubeBackend::float_slice(
            gradient.clone(),
            &[Slice::from(..), Slice::from(..), y.read, x.read],
        );
        let options = ConvOptions::new_with_padding([1, 1], [y.padding, x.padding], [1, 1], 1);
        let part = forward(read, transposed(phase_weights, 1), options);
        let places = [Slice::from(..), Slice::from(..), y.input, x.input];
        result = CubeBackend::float_slice_assign(result, &places, part);
    }
    result
}

/// One axis of a phase of the input.
struct Phase {
    /// The weights of the phase.
    weights: Slice,
    /// The part of the output gradient that is read, and its padding.
    read: Slice,
    padding: (usize, usize),
    /// The positions of the phase in the input.
    input: Slice,
}

impl Phase {
    /// Returns the phase of every `stride`-th position from `first` on; `None` if it is empty or no output
    /// reads it.
    fn new(first: usize, stride: usize, padding: usize, sizes: [usize; 3]) -> Option<Self> {
        let [size, output_size, kernel] = sizes;
        let offset = (first + padding) % stride;
        if first >= size || offset >= kernel {
            return None;
        }
        let step = |first: usize, end: usize| {
            Slice::new(first as isize, Some(end as isize), stride as isize)
        };
        let taps = (kernel - offset).div_ceil(stride) as isize;
        let count = (size - first).div_ceil(stride) as isize;
        // Position `i` of the phase is read by the outputs `i + ahead - taps + 1` to `i + ahead`.
        let ahead = ((first + padding) / stride) as isize;
        let begin = taps - 1 - ahead;
        let end = count + ahead - output_size as isize;
        let read = (-begin).max(0)..output_size as isize - (-end).max(0);
        (read.start < read.end).then(|| Self {
            weights: step(offset, kernel),
            read: Slice::new(read.start, Some(read.end), 1),
            padding: (begin.max(0) as usize, end.max(0) as usize),
            input: step(first, size),
        })
    }
}

/// Launches the device [kernel](super::kernel).
fn launch(
    gradient: CubeTensor,
    weights: CubeTensor,
    dims: [usize; 4],
    options: &ConvOptions<2>,
) -> CubeTensor {
    let [samples, channels, height, width] = dims;
    let [outputs, inputs_per_group, kernel_height, kernel_width] = weights.shape().dims::<4>();
    let [_, _, rows, columns] = gradient.shape().dims::<4>();
    let gradient = into_contiguous(CubeBackend::float_permute(gradient, &[0, 2, 3, 1]));
    let weights = into_contiguous(CubeBackend::float_permute(weights, &[2, 3, 0, 1]));
    let client = gradient.client.clone();
    let shape = Shape::new([samples, height, width, channels]);
    let device = gradient.device.clone();
    let result = empty_device_contiguous_dtype(client.clone(), device, shape, gradient.dtype);
    let elements = samples * channels * height * width;
    let largest = elements.max(gradient.shape().num_elements());
    assert!(
        largest < 1 << 31,
        "a batch of {largest} elements is too large for a device kernel; reduce the batch size"
    );
    let count = elements as u32;
    let cubes = count.div_ceil(THREADS);
    let job = JobLaunch::new(
        count,
        channels as u32,
        height as u32,
        width as u32,
        outputs as u32,
        rows as u32,
        columns as u32,
        inputs_per_group as u32,
        (outputs / options.groups) as u32,
        kernel_height as u32,
        kernel_width as u32,
        options.stride[0] as u32,
        options.stride[1] as u32,
        options.padding[0].0 as u32,
        options.padding[1].0 as u32,
        options.dilation[0] as u32,
        options.dilation[1] as u32,
    );
    gradient_kernel::launch::<f32>(
        &client,
        CubeCount::Static(cubes.min(CUBES), cubes.div_ceil(CUBES), 1),
        CubeDim::new_1d(THREADS),
        gradient.into_buffer_arg(),
        weights.into_buffer_arg(),
        result.clone().into_buffer_arg(),
        job,
    );
    CubeBackend::float_permute(result, &[0, 3, 1, 2])
}
