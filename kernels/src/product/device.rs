//! Products on CubeCL devices.

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

/// Computes `multiply(a, b)`, which must be linear in both arguments, with float32 accuracy.
pub fn in_float32(
    a: CubeTensor,
    b: CubeTensor,
    multiply: impl Fn(CubeTensor, CubeTensor) -> CubeTensor,
) -> CubeTensor {
    match uses_tf32(&a) {
        true => in_parts(a, b, multiply),
        false => multiply(a, b),
    }
}

/// Whether the device may compute float32 products in TF32.
fn uses_tf32(x: &CubeTensor) -> bool {
    x.dtype == DType::F32 && x.client.properties().supports_type(ElemType::Float(FloatKind::TF32))
}

/// Computes `multiply(a, b)` from the parts of both arguments; see [`split`].
pub(crate) fn in_parts(
    a: CubeTensor,
    b: CubeTensor,
    multiply: impl Fn(CubeTensor, CubeTensor) -> CubeTensor,
) -> CubeTensor {
    let ([a, low_a], [b, low_b]) = (split(a), split(b));
    let cross_terms =
        CubeBackend::float_add(multiply(a.clone(), low_b), multiply(low_a, b.clone()));
    // The small terms are added first.
    CubeBackend::float_add(cross_terms, multiply(a, b))
}

/// Splits every value into the part that TF32 represents and the remainder.
pub(crate) fn split(x: CubeTensor) -> [CubeTensor; 2] {
    let x = into_contiguous(x);
    let count = x.shape().num_elements();
    assert!(
        count < 1 << 31,
        "a tensor of {count} elements is too large for a device kernel; reduce the batch size"
    );
    let (client, device) = (x.client.clone(), x.device.clone());
    let parts = [(), ()].map(|()| {
        empty_device_contiguous_dtype(client.clone(), device.clone(), x.shape(), x.dtype)
    });
    let cubes = (count as u32).div_ceil(THREADS);
    if cubes > 0 {
        split_kernel::launch(
            &client,
            CubeCount::Static(cubes.min(CUBES), cubes.div_ceil(CUBES), 1),
            CubeDim::new_1d(THREADS),
            x.into_buffer_arg(),
            parts[0].clone().into_buffer_arg(),
            parts[1].clone().into_buffer_arg(),
            count as u32,
        );
    }
    parts
}
