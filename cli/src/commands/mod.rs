//! The commands of the program. Each has a file or folder of the same name.

pub mod compare;
pub mod devices;
pub mod evaluate;
pub mod explain;
pub mod inspect;
pub mod lists;
pub mod merge;
