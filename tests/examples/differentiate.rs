//! Writes the scores of an ONNX classifier and the gradient of one score. `tests/coverage/coverage.py`
//! compares them with ONNX Runtime and PyTorch.
//!
//!     differentiate MODEL.onnx ROWS.npy TARGET OUT
//!
//! ROWS.npy holds the samples. OUT/scores.npy and OUT/gradient.npy receive the scores of every sample, and
//! the gradient of the score with the index TARGET.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use attriburn_onnx::OnnxModel;
use attriburn_picture::npy;
use attriburn_tests::logits_and_gradients;
use burn::tensor::Device;

fn main() -> ExitCode {
    match differentiate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn differentiate() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, target, out] = &arguments[..] else {
        return Err("usage: differentiate MODEL.onnx ROWS.npy TARGET OUT".into());
    };
    let rows = npy::read(Path::new(rows))?;
    let count = rows.shape.first().copied().unwrap_or(0);
    let targets = vec![target.parse()?; count];
    let model = OnnxModel::load(model, &Device::flex())?;
    let (scores, gradient) = logits_and_gradients(&model, &rows, &targets);
    let out = Path::new(out);
    npy::write(File::create(out.join("scores.npy"))?, &[count, model.classes()], &scores)?;
    npy::write(File::create(out.join("gradient.npy"))?, &rows.shape, &gradient)?;
    Ok(())
}
