//! Launches of the noise kernel on a CubeCL device.

use burn::backend::TensorMetadata;
use burn::tensor::{DType, FloatDType, bf16, f16};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::kernel::{JobLaunch, ROWS, Rule, Variant, noise_kernel, words_kernel};
use super::{Address, Boundary, Domain, Noise, Width};
use crate::launch::{CUBES, THREADS};
use crate::philox;

/// Noisy rows of `dtype` on the device of `nodes`.
pub fn launch(
    nodes: CubeTensor,
    noise: &Noise,
    domain: &Domain,
    address: &Address,
    dtype: FloatDType,
) -> CubeTensor {
    let nodes = into_contiguous(nodes);
    let client = nodes.client.clone();
    let rows = empty_rows(&nodes, address, dtype.into());
    let bounds: Vec<f32> = domain.lower.iter().chain(&domain.upper).copied().collect();
    let (rule, factor) = match noise.width {
        Width::Absolute(sigma) => (Rule::Absolute, sigma),
        Width::Relative(factor) => (Rule::Relative, factor),
        Width::Adaptive(factor) => (Rule::Adaptive, factor),
        Width::Proportional(scale) => (Rule::Proportional, scale),
    };
    let variant = Variant {
        mollifier: noise.mollifier,
        rule,
        clipped: noise.boundary == Boundary::Clipped,
        single: nodes.shape()[0] == 1,
    };
    let job = job(&nodes, domain, address, factor);
    let cubes = cubes(&nodes, (address.rows as u32).div_ceil(ROWS));
    let bounds = CubeTensor::new_contiguous(
        client.clone(),
        nodes.device.clone(),
        [bounds.len()].into(),
        client.create_from_slice(f32::as_bytes(&bounds)),
        nodes.dtype,
    );
    let (nodes, bounds) = (nodes.into_buffer_arg(), bounds.into_buffer_arg());
    let (threads, out) = (CubeDim::new_1d(THREADS), rows.clone().into_buffer_arg());
    match dtype {
        FloatDType::F16 => {
            noise_kernel::launch::<f16>(&client, cubes, threads, nodes, bounds, out, job, variant);
        }
        FloatDType::BF16 => {
            noise_kernel::launch::<bf16>(&client, cubes, threads, nodes, bounds, out, job, variant);
        }
        _ => {
            noise_kernel::launch::<f32>(&client, cubes, threads, nodes, bounds, out, job, variant);
        }
    }
    rows
}

/// The random words of the rows at `address`.
pub fn launch_words(nodes: CubeTensor, address: &Address) -> CubeTensor {
    let client = nodes.client.clone();
    let words = empty_rows(&nodes, address, DType::U32);
    let unbounded = Domain { lower: vec![0.0], upper: vec![0.0], inner: 1 };
    words_kernel::launch(
        &client,
        cubes(&nodes, address.rows as u32),
        CubeDim::new_1d(THREADS),
        words.clone().into_buffer_arg(),
        job(&nodes, &unbounded, address, 0.0),
    );
    words
}

fn empty_rows(nodes: &CubeTensor, address: &Address, dtype: DType) -> CubeTensor {
    let shape = [address.rows, nodes.shape()[1]];
    let (client, device) = (nodes.client.clone(), nodes.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), dtype)
}

/// One thread for each counter of a row, and `rows` times as many.
fn cubes(nodes: &CubeTensor, rows: u32) -> CubeCount {
    let blocks = (nodes.shape()[1] as u32).div_ceil(4).div_ceil(THREADS);
    CubeCount::Static(blocks.min(CUBES), rows, blocks.div_ceil(CUBES))
}

fn job(nodes: &CubeTensor, domain: &Domain, address: &Address, factor: f32) -> JobLaunch {
    let [count, features] = [nodes.shape()[0], nodes.shape()[1]];
    let [key0, key1] = philox::key(address.seed);
    JobLaunch::new(
        features as u32,
        address.rows as u32,
        count as u32,
        address.node,
        (address.first / count as u64) as u32,
        (address.first % count as u64) as u32,
        address.stream,
        key0,
        key1,
        domain.lower.len() as u32,
        domain.inner as u32,
        factor,
    )
}
