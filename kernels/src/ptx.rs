//! The kernels' assembly for NVIDIA's GPUs, made without a GPU: for checking that it assembles and
//! what it takes up. Not a part of the library.

use std::sync::Arc;

use cubecl::ir::features::Features;
use cubecl::ir::nvidia::SmArch;
use cubecl::ir::{AddressType, DeviceIdentity, HardwareProperties, MemoryDeviceProperties};
use cubecl::prelude::*;
use cubecl::{Compiler, CubeKernel};
use cubecl_llvm::nvptx::ptx_version::PtxVersion;
use cubecl_llvm::{LlvmTarget, PlironArtifact, PlironCompiler, PlironOptions};

use crate::convolution::kernel::{self as convolution, gradient_kernel};
use crate::estimator::device::{Pass, update_kernel};
use crate::launch::THREADS;
use crate::mollifier::Mollifier;
use crate::noise::kernel::{Job, JobLaunch, Rule, Variant, noise_kernel, words_kernel};
use crate::product::kernel::split_kernel;

/// The version of the driver, CUDA 12.8's, that the assembly is for.
const DRIVER: i32 = 12_080;

/// The kernels by name in PTX, in every variant, for GPUs of compute capability `architecture`
/// (80 for 8.0).
///
/// # Panics
///
/// When a kernel does not compile.
pub fn kernels(architecture: u32) -> Vec<(String, String)> {
    let noises = variants().into_iter().flat_map(|variant| {
        let name = format!(
            "{}-{}-{:?}{}{}",
            if variant.noisy { "noise" } else { "points" },
            variant.mollifier.name(),
            variant.rule,
            if variant.clipped { "-clipped" } else { "" },
            match (variant.single, variant.on_paths) {
                (true, _) => "",
                (false, false) => "-several",
                (false, true) => "-paths",
            }
        );
        [(name, noise(variant, architecture))]
    });
    let words = words_kernel::WordsKernel::new(
        settings(),
        properties(),
        target(),
        buffer(),
        buffer(),
        job(),
    );
    let estimators = [Pass::Marking, Pass::Again].map(|pass| {
        let update = update_kernel::UpdateKernel::new(
            settings(),
            properties(),
            target(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            (),
            (),
            pass,
        );
        (format!("estimator-{pass:?}"), ptx(&update, architecture))
    });
    let gradient = gradient_kernel::GradientKernel::<f32>::new(
        settings(),
        properties(),
        target(),
        buffer(),
        buffer(),
        buffer(),
        scalars::<convolution::Job>(convolution::JobLaunch::new(
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        )),
    );
    let split = split_kernel::SplitKernel::new(
        settings(),
        properties(),
        target(),
        buffer(),
        buffer(),
        buffer(),
        (),
    );
    noises
        .chain([
            ("product-split".to_owned(), ptx(&split, architecture)),
            ("convolution-gradient".to_owned(), ptx(&gradient, architecture)),
            ("words".to_owned(), ptx(&words, architecture)),
        ])
        .chain(estimators)
        .collect()
}

fn noise(variant: Variant, architecture: u32) -> String {
    let kernel = noise_kernel::NoiseKernel::new(
        settings(),
        properties(),
        target(),
        buffer(),
        buffer(),
        buffer(),
        buffer(),
        buffer(),
        job(),
        variant,
    );
    ptx(&kernel, architecture)
}

fn variants() -> Vec<Variant> {
    let rules = [Rule::Absolute, Rule::Relative, Rule::Adaptive, Rule::Proportional];
    let mut all = Vec::new();
    for (mollifier, _) in Mollifier::ALL {
        for rule in rules {
            for clipped in [false, true] {
                for (single, on_paths) in [(true, false), (false, false), (false, true)] {
                    all.push(Variant { mollifier, rule, clipped, single, on_paths, noisy: true });
                }
            }
        }
    }
    let points = Variant { single: false, on_paths: true, noisy: false, ..all[0] };
    all.push(points);
    all
}

fn settings() -> KernelSettings {
    KernelSettings::new(*CubeDim::new_1d(THREADS), ExecutionMode::Checked, AddressType::U32)
}

fn target() -> Arc<TargetProperties> {
    Arc::new(TargetProperties::default())
}

fn buffer() -> BufferCompilationArg {
    BufferCompilationArg { inplace: None }
}

/// The noise kernel's scalars.
fn job() -> <Job as LaunchArg>::CompilationArg {
    scalars::<Job>(JobLaunch::new(0, 0, 0, 0, 0, 0, 0, 0, 0.0))
}

/// A kernel's scalars, as a launch registers them.
fn scalars<A: LaunchArg>(own: A::RuntimeArg) -> A::CompilationArg {
    let mut launcher = KernelLauncher::new(settings());
    let registered = A::register(own, &mut launcher);
    launcher.discard();
    registered
}

/// What a launch knows of the hardware.
fn properties() -> Arc<DeviceProperties> {
    let hardware = HardwareProperties {
        load_width: 128,
        vector_register_count: None,
        plane_size_min: 32,
        plane_size_max: 32,
        max_bindings: 32,
        max_shared_memory_size: 48 << 10,
        max_cube_count: (i32::MAX as u32, 65_535, 65_535),
        max_units_per_cube: 1024,
        max_cube_dim: (1024, 1024, 64),
        num_streaming_multiprocessors: None,
        num_tensor_cores: None,
        min_tensor_cores_dim: None,
        num_cpu_cores: None,
        last_level_cache_size: None,
        max_vector_size: VectorSize::MAX,
        cube_mma_reserved_shared_memory: 0,
    };
    Arc::new(DeviceProperties::new(
        Features::default(),
        MemoryDeviceProperties::new(u64::MAX, 256),
        hardware,
        cubecl::profile::TimingMethod::Device,
        DeviceIdentity { name: "none".into(), fingerprint: "none".into(), physical: None },
    ))
}

fn ptx(kernel: &impl CubeKernel, architecture: u32) -> String {
    let mut compiler = PlironCompiler { target: LlvmTarget::Nvptx };
    let options = PlironOptions {
        sm_arch: Some(SmArch::new(architecture, false)),
        ptx_version: PtxVersion::for_driver(DRIVER),
        ..Default::default()
    };
    match compiler.compile(kernel.define(), &options) {
        Ok(PlironArtifact::NvptxCode(module)) => {
            module.ptx.iter().take_while(|&&c| c != 0).map(|&c| c as u8 as char).collect()
        }
        Ok(_) => unreachable!("the compiler's target is PTX"),
        Err(error) => panic!("a kernel does not compile: {error}"),
    }
}
