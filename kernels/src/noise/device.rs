//! The launches of the noise kernel on a CubeCL device.

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::bounds::Bounds;
use super::kernel::{JobLaunch, ROWS, Rule, Variant, noise_kernel};
use super::row_kind::RowKind;
use super::{Batch, Boundary, Mollifier};
use crate::launch::{CUBES, THREADS};
use crate::philox;
use crate::width::Width;

/// Computes the rows of a batch on the device of `inputs`.
pub fn launch(
    inputs: CubeTensor,
    baselines: CubeTensor,
    kind: &RowKind,
    bounds: &Bounds,
    batch: &Batch,
) -> CubeTensor {
    let inputs = into_contiguous(inputs);
    let client = inputs.client.clone();
    let rows = empty_rows(&inputs, batch);
    let (rule, factor) = match kind.noise.map(|noise| noise.width) {
        None => (Rule::Absolute, 0.0),
        Some(Width::Absolute(sigma)) => (Rule::Absolute, sigma as f32),
        Some(Width::Relative(alpha)) => (Rule::Relative, alpha as f32),
        Some(Width::Adaptive(factor)) => (Rule::Adaptive, factor as f32),
        Some(Width::Proportional(scale)) => (Rule::Proportional, scale as f32),
    };
    let first = batch.rows[0].input;
    let variant = Variant {
        mollifier: kind.noise.map_or(Mollifier::default(), |noise| noise.mollifier),
        rule,
        clipped: kind.noise.is_some_and(|noise| noise.boundary == Boundary::Clipped),
        single: !kind.on_paths && batch.rows.iter().all(|row| row.input == first),
        on_paths: kind.on_paths,
        noisy: kind.noise.is_some(),
    };
    let cubes = cubes(&inputs, (batch.rows.len() as u32).div_ceil(ROWS));
    let job = job(&inputs, bounds, batch, factor);
    // A buffer may be bound only once, so the inputs cannot replace missing baselines; a dummy buffer does.
    let baselines = match kind.on_paths {
        true => into_contiguous(baselines),
        false => upload(&inputs, f32::as_bytes(&[0.0]), 1, DType::F32),
    };
    let bounds = interleaved(bounds);
    let bounds = upload(&inputs, f32::as_bytes(&bounds), bounds.len(), DType::F32);
    let table = row_table(&inputs, batch);
    noise_kernel::launch(
        &client,
        cubes,
        CubeDim::new_1d(THREADS),
        inputs.into_buffer_arg(),
        baselines.into_buffer_arg(),
        bounds.into_buffer_arg(),
        table.into_buffer_arg(),
        rows.clone().into_buffer_arg(),
        job,
        variant,
    );
    rows
}

/// Returns the bounds in the layout `[inputs, 2, channels]`: the lower, then the upper bounds of each input.
fn interleaved(bounds: &Bounds) -> Vec<f32> {
    let (lower, upper) = (&bounds.lower, &bounds.upper);
    let pairs = lower.chunks(bounds.channels).zip(upper.chunks(bounds.channels));
    pairs.flat_map(|(lower, upper)| lower.iter().chain(upper)).copied().collect()
}

/// Returns the table of rows, of shape `[rows, 4]`: the input, the sample, the node, and the bits of the
/// position.
fn row_table(inputs: &CubeTensor, batch: &Batch) -> CubeTensor {
    let row = |row: &super::Row| {
        [row.input as u32, row.sample, row.node, (row.position as f32).to_bits()]
    };
    let table: Vec<u32> = batch.rows.iter().flat_map(row).collect();
    upload(inputs, u32::as_bytes(&table), table.len(), DType::U32)
}

/// Uploads a buffer to the device of `like`.
fn upload(like: &CubeTensor, bytes: &[u8], count: usize, dtype: DType) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    let handle = client.create_from_slice(bytes);
    CubeTensor::new_contiguous(client, device, [count].into(), handle, dtype)
}

/// Allocates the rows of a batch.
fn empty_rows(inputs: &CubeTensor, batch: &Batch) -> CubeTensor {
    let shape = [batch.rows.len(), inputs.shape()[1]];
    let (client, device) = (inputs.client.clone(), inputs.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), DType::F32)
}

/// Returns the grid of cubes: one thread for each counter of a row along x and z, and `rows` along y.
fn cubes(inputs: &CubeTensor, rows: u32) -> CubeCount {
    let blocks = (inputs.shape()[1] as u32).div_ceil(4).div_ceil(THREADS);
    CubeCount::Static(blocks.min(CUBES), rows, blocks.div_ceil(CUBES))
}

/// Returns the scalar arguments of a launch.
fn job(inputs: &CubeTensor, bounds: &Bounds, batch: &Batch, factor: f32) -> JobLaunch {
    let [key0, key1] = philox::key(batch.seed);
    JobLaunch::new(
        inputs.shape()[1] as u32,
        batch.rows.len() as u32,
        batch.rows[0].input as u32,
        batch.stream,
        key0,
        key1,
        bounds.channels as u32,
        bounds.inner as u32,
        factor,
    )
}
