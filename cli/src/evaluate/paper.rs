//! The papers' tables: what each takes, and the settings that it was made with.

use std::path::{Path, PathBuf};

use mollify::npy;

use crate::args::EvaluateArgs;
use crate::source::Source;

/// The files that Table 2 of the AdaptGrad paper takes, and what each is.
const TABLE_2: [(&str, &str); 4] = [
    ("digits.npy", "MNIST digits, uint8 [n, 28, 28]"),
    ("mlp-normal.onnx", "an MLP for pixels in [0, 1], samples of 784"),
    ("mlp-random.onnx", "the same trained on shuffled labels"),
    ("mlp-bias.onnx", "the same trained on pixels + 1"),
];

/// The options and inputs behind a paper's table.
///
/// # Errors
///
/// When there is no such table, or a file that it takes is missing: all that it takes are named.
pub fn preset(name: &str, args: &EvaluateArgs) -> Result<(EvaluateArgs, Vec<Source>), String> {
    match name {
        "adaptgrad-table2" => table_2(args),
        _ => Err(format!("there is no table {name:?}; there is adaptgrad-table2")),
    }
}

/// Consistency and Invariance of the gradient, SmoothGrad and AdaptGrad on MNIST.
fn table_2(args: &EvaluateArgs) -> Result<(EvaluateArgs, Vec<Source>), String> {
    let folder = args.data.clone().unwrap_or_default();
    let missing: Vec<_> = TABLE_2.iter().filter(|(file, _)| !folder.join(file).is_file()).collect();
    if !missing.is_empty() {
        let list: Vec<String> =
            missing.iter().map(|(file, what)| format!("{file} ({what})")).collect();
        return Err(format!("{} lacks {}", folder.display(), list.join(", ")));
    }
    let path = |file: &str| -> PathBuf { folder.join(file) };
    let mut filled = args.clone();
    filled.metrics = vec!["consistency".into(), "invariance".into()];
    filled.plan.method = vec!["gradient".into(), "smoothgrad".into(), "adaptgrad".into()];
    filled.model.model = Some(path("mlp-normal.onnx"));
    filled.model.domain.get_or_insert_with(|| "0,1".into());
    filled.shuffled_model = Some(path("mlp-random.onnx"));
    filled.shifted_model = Some(path("mlp-bias.onnx"));
    filled.shift = Some(1.0);
    if !args.typed.iter().any(|option| option == "repeats") {
        filled.repeats = 5;
    }
    Ok((filled, digits(&path("digits.npy"))?))
}

/// The digits as rows of pixels in `[0, 1]`.
fn digits(path: &Path) -> Result<Vec<Source>, String> {
    let array = npy::read(path).map_err(|error| error.to_string())?;
    let &[_, height, width] = &array.shape[..] else {
        return Err(format!("{} holds {:?}, not [n, 28, 28]", path.display(), array.shape));
    };
    let row = |(i, row): (usize, &[f32])| {
        Source::row(format!("digit-{i}"), row.iter().map(|value| value / 255.0).collect())
    };
    Ok(array.values.chunks((height * width).max(1)).enumerate().map(row).collect())
}
