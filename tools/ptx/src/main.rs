//! Compiles every variant of every device kernel to PTX, the assembly of NVIDIA GPUs, on a machine without a
//! GPU.
//!
//! Usage: `ptx FOLDER ARCHITECTURE`, such as `ptx target/ptx 80`. `.ci/cuda kernels` assembles the files and
//! checks that no kernel spills registers.

use std::sync::Arc;

use attriburn_kernels::Mollifier;
use attriburn_kernels::device_kernels::{
    GradientJob, GradientJobLaunch, Job, JobLaunch, Pass, Rule, THREADS, Variant, gradient_kernel,
    noise_kernel, split_kernel, update_kernel,
};
use cubecl::ir::features::Features;
use cubecl::ir::nvidia::SmArch;
use cubecl::ir::{AddressType, DeviceIdentity, HardwareProperties, MemoryDeviceProperties};
use cubecl::prelude::*;
use cubecl::{Compiler, CubeKernel};
use cubecl_llvm::nvptx::ptx_version::PtxVersion;
use cubecl_llvm::{LlvmTarget, PlironArtifact, PlironCompiler, PlironOptions};

/// The driver version that the PTX is for: CUDA 12.8.
const DRIVER_VERSION: i32 = 12_080;

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, architecture] = &args[..] else {
        eprintln!("usage: ptx FOLDER ARCHITECTURE");
        std::process::exit(2);
    };
    let architecture =
        architecture.parse().expect("ARCHITECTURE must be a compute capability, such as 80");
    std::fs::create_dir_all(folder)?;
    for (name, ptx) in kernels(architecture) {
        std::fs::write(format!("{folder}/{name}.ptx"), ptx)?;
    }
    Ok(())
}

/// Returns the name and the PTX of every kernel and variant, for GPUs with the compute capability
/// `architecture` (80 for 8.0).
///
/// # Panics
///
/// Panics if a kernel does not compile.
fn kernels(architecture: u32) -> Vec<(String, String)> {
    let noise_kernels = noise_variants().into_iter().flat_map(|variant| {
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
        [(name, compile_noise(variant, architecture))]
    });
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
        (format!("estimator-{pass:?}"), compile(&update, architecture))
    });
    let gradient = gradient_kernel::GradientKernel::<f32>::new(
        settings(),
        properties(),
        target(),
        buffer(),
        buffer(),
        buffer(),
        scalars::<GradientJob>(GradientJobLaunch::new(
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
    noise_kernels
        .chain([
            ("product-split".to_owned(), compile(&split, architecture)),
            ("convolution-gradient".to_owned(), compile(&gradient, architecture)),
        ])
        .chain(estimators)
        .collect()
}

fn compile_noise(variant: Variant, architecture: u32) -> String {
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
    compile(&kernel, architecture)
}

/// Returns every variant of the noise kernel.
fn noise_variants() -> Vec<Variant> {
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

/// Returns the settings of a launch.
fn settings() -> KernelSettings {
    KernelSettings::new(*CubeDim::new_1d(THREADS), ExecutionMode::Checked, AddressType::U32)
}

fn target() -> Arc<TargetProperties> {
    Arc::new(TargetProperties::default())
}

fn buffer() -> BufferCompilationArg {
    BufferCompilationArg { inplace: None }
}

/// Returns the scalar arguments of the noise kernel.
fn job() -> <Job as LaunchArg>::CompilationArg {
    scalars::<Job>(JobLaunch::new(0, 0, 0, 0, 0, 0, 0, 0, 0.0))
}

/// Returns the compilation argument of a kernel's scalars, as a launch registers them.
fn scalars<A: LaunchArg>(arguments: A::RuntimeArg) -> A::CompilationArg {
    let mut launcher = KernelLauncher::new(settings());
    let registered = A::register(arguments, &mut launcher);
    launcher.discard();
    registered
}

/// Returns the properties of a GPU that the compiler reads, such as limits and the plane size.
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

/// Compiles a kernel to PTX.
fn compile(kernel: &impl CubeKernel, architecture: u32) -> String {
    let mut compiler = PlironCompiler { target: LlvmTarget::Nvptx };
    let options = PlironOptions {
        sm_arch: Some(SmArch::new(architecture, false)),
        ptx_version: PtxVersion::for_driver(DRIVER_VERSION),
        ..Default::default()
    };
    match compiler.compile(kernel.define(), &options) {
        Ok(PlironArtifact::NvptxCode(module)) => {
            module.ptx.iter().take_while(|&&c| c != 0).map(|&c| c as u8 as char).collect()
        }
        Ok(_) => unreachable!("the target of the compiler is PTX"),
        Err(error) => panic!("a kernel failed to compile: {error}"),
    }
}
