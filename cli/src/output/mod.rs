//! The output of the program: files, manifests, messages and progress.

pub mod bias;
pub mod device_loss;
pub mod display;
pub mod figures;
pub mod files;
pub mod manifest;
pub mod maps;
pub mod noise;
pub mod pages;
pub mod progress;
pub mod report;
pub mod terminal;
