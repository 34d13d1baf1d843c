//! The preprocessing of images: from the options, the model, the files beside it, or a guess with a warning.
//!
//! ```text
//! options, metadata, files, value_range -> search (order of precedence) -> parts (values with their sources)
//! ```

mod files;
mod metadata;
mod options;
mod parts;
mod properties;
mod search;
mod value_range;

pub use parts::{FoundPreprocess, PreprocessPart};
pub use properties::ModelProperties;
pub use search::{find, resolve_free_shape};
