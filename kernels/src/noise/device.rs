//! Launches of the noise kernel on a CubeCL device.

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::kernel::{JobLaunch, ROWS, Rule, Variant, noise_kernel, words_kernel};
use super::op::Kind;
use super::{Batch, Boundary, Domain, Mollifier, Width};
use crate::launch::{CUBES, THREADS};
use crate::philox;

/// The rows of a batch on the device of `inputs`.
pub fn launch(
    inputs: CubeTensor,
    baselines: CubeTensor,
    kind: &Kind,
    domain: &Domain,
    batch: &Batch,
) -> CubeTensor {
    let inputs = into_contiguous(inputs);
    let client = inputs.client.clone();
    let rows = empty_rows(&inputs, batch, DType::F32);
    let (rule, factor) = match kind.noise.map(|noise| noise.width) {
        None => (Rule::Absolute, 0.0),
        Some(Width::Absolute(sigma)) => (Rule::Absolute, sigma),
        Some(Width::Relative(factor)) => (Rule::Relative, factor),
        Some(Width::Adaptive(factor)) => (Rule::Adaptive, factor),
        Some(Width::Proportional(scale)) => (Rule::Proportional, scale),
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
    let job = job(&inputs, domain, batch, factor);
    // A buffer may be bound once: where there are no baselines, one number stands for them.
    let baselines = match kind.on_paths {
        true => into_contiguous(baselines),
        false => uploaded(&inputs, f32::as_bytes(&[0.0]), 1, DType::F32),
    };
    let bounds = bounds(domain);
    let bounds = uploaded(&inputs, f32::as_bytes(&bounds), bounds.len(), DType::F32);
    let table = table(&inputs, batch);
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

/// The random words of the rows of a batch.
pub fn launch_words(inputs: CubeTensor, batch: &Batch) -> CubeTensor {
    let client = inputs.client.clone();
    let words = empty_rows(&inputs, batch, DType::U32);
    let unbounded = Domain::new(vec![0.0], vec![0.0], 1);
    words_kernel::launch(
        &client,
        cubes(&inputs, batch.rows.len() as u32),
        CubeDim::new_1d(THREADS),
        table(&inputs, batch).into_buffer_arg(),
        words.clone().into_buffer_arg(),
        job(&inputs, &unbounded, batch, 0.0),
    );
    words
}

/// Input by input the lower bounds of its channels, then the upper ones.
fn bounds(domain: &Domain) -> Vec<f32> {
    let pairs = domain.lower.chunks(domain.channels).zip(domain.upper.chunks(domain.channels));
    pairs.flat_map(|(lower, upper)| lower.iter().chain(upper)).copied().collect()
}

/// Row by row its input, sample, node, and the bits of its position.
fn table(inputs: &CubeTensor, batch: &Batch) -> CubeTensor {
    let row = |row: &super::Row| {
        [row.input as u32, row.sample, row.node, (row.position as f32).to_bits()]
    };
    let table: Vec<u32> = batch.rows.iter().flat_map(row).collect();
    uploaded(inputs, u32::as_bytes(&table), table.len(), DType::U32)
}

fn uploaded(beside: &CubeTensor, bytes: &[u8], count: usize, dtype: DType) -> CubeTensor {
    let (client, device) = (beside.client.clone(), beside.device.clone());
    let handle = client.create_from_slice(bytes);
    CubeTensor::new_contiguous(client, device, [count].into(), handle, dtype)
}

fn empty_rows(inputs: &CubeTensor, batch: &Batch, dtype: DType) -> CubeTensor {
    let shape = [batch.rows.len(), inputs.shape()[1]];
    let (client, device) = (inputs.client.clone(), inputs.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), dtype)
}

/// One thread for each counter of a row, and `rows` times as many.
fn cubes(inputs: &CubeTensor, rows: u32) -> CubeCount {
    let blocks = (inputs.shape()[1] as u32).div_ceil(4).div_ceil(THREADS);
    CubeCount::Static(blocks.min(CUBES), rows, blocks.div_ceil(CUBES))
}

fn job(inputs: &CubeTensor, domain: &Domain, batch: &Batch, factor: f32) -> JobLaunch {
    let [key0, key1] = philox::key(batch.seed);
    JobLaunch::new(
        inputs.shape()[1] as u32,
        batch.rows.len() as u32,
        batch.rows[0].input as u32,
        batch.stream,
        key0,
        key1,
        domain.channels as u32,
        domain.inner as u32,
        factor,
    )
}
