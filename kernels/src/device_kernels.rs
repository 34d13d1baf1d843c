pub use crate::convolution::kernel::{
    Job as GradientJob, JobLaunch as GradientJobLaunch, gradient_kernel,
};
pub use crate::estimator::device::{Pass, update_kernel};
pub use crate::launch::THREADS;
pub use crate::noise::kernel::{Job, JobLaunch, Rule, Variant, noise_kernel};
pub use crate::product::kernel::split_kernel;
