//! Products on a CubeCL device.

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

use super::kernel::split_kernel;
use crate::launch::{CUBES, THREADS};

/// What `multiply` makes of two tensors, which is linear in both, in float32.
pub fn in_float32(
    a: CubeTensor,
    b: CubeTensor,
    multiply: impl Fn(CubeTensor, CubeTensor) -> CubeTensor,
) -> CubeTensor {
    match rounds(&a) {
        true => in_parts(a, b, multiply),
        false => multiply(a, b),
    }
}

/// Whether the device may multiply float32 in TF32.
fn rounds(x: &CubeTensor) -> bool {
    x.dtype == DType::F32 && x.client.properties().supports_type(ElemType::Float(FloatKind::TF32))
}

/// The same of the parts of both.
pub(crate) fn in_parts(
    a: CubeTensor,
    b: CubeTensor,
    multiply: impl Fn(CubeTensor, CubeTensor) -> CubeTensor,
) -> CubeTensor {
    let ([a, rest_of_a], [b, rest_of_b]) = (split(a), split(b));
    let rest =
        CubeBackend::float_add(multiply(a.clone(), rest_of_b), multiply(rest_of_a, b.clone()));
    // The small ones first.
    CubeBackend::float_add(rest, multiply(a, b))
}

/// What TF32 holds of every number, and the rest.
pub(crate) fn split(x: CubeTensor) -> [CubeTensor; 2] {
    let x = into_contiguous(x);
    let count = x.shape().num_elements();
    assert!(count < 1 << 31, "a tensor of {count} numbers is too large for a kernel");
    let (client, device) = (x.client.clone(), x.device.clone());
    let made = [(), ()].map(|()| {
        empty_device_contiguous_dtype(client.clone(), device.clone(), x.shape(), x.dtype)
    });
    let cubes = (count as u32).div_ceil(THREADS);
    if cubes > 0 {
        split_kernel::launch(
            &client,
            CubeCount::Static(cubes.min(CUBES), cubes.div_ceil(CUBES), 1),
            CubeDim::new_1d(THREADS),
            x.into_buffer_arg(),
            made[0].clone().into_buffer_arg(),
            made[1].clone().into_buffer_arg(),
            count as u32,
        );
    }
    made
}
