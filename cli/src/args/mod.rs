//! The command line as it is typed. An option that was not given is `None`: defaults are applied where a
//! value is used.

mod choice;
mod display;
mod evaluate;
mod explain;
mod file;
mod model;
mod nearest;
mod picture;
mod plan;
mod program;
mod read;
mod shard;

pub use display::DisplayArgs;
pub use evaluate::{CompareArgs, EvaluateArgs, Fill, TableOutputArgs};
pub use explain::{ExplainArgs, GridScale};
pub use file::RunOptions;
pub use model::{ComputeArgs, ModelArgs, QUANTIZATIONS, TensorArgs, WithModelArgs};
pub use nearest::nearest;
pub use picture::PreprocessArgs;
pub use plan::PlanArgs;
pub use program::{Args, Command, InspectArgs, ListArgs, MergeArgs};
pub use read::{arguments, command, parse_recorded, read, set_arguments};
pub use shard::{Shard, join};
