//! The output of the program: files, manifests, messages and progress.

pub mod device_loss;
pub mod files;
pub mod manifest;
pub mod maps;
pub mod progress;
pub mod report;
