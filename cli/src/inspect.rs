//! `mollify inspect`.

use std::process::ExitCode;

use mollify_onnx::{OnnxModel, Summary};

use crate::args::InspectArgs;
use crate::{Fatal, NOTHING_DONE};

/// Prints what the model contains, and loads it to see what is not supported.
pub fn run(args: &InspectArgs) -> Result<ExitCode, Fatal> {
    print(&mollify_onnx::summary(&args.model)?);
    match OnnxModel::load(&args.model, &mollify::device("cpu")?) {
        Ok(model) => {
            println!("can be explained: yes, {} classes", model.classes());
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            println!("can be explained: no");
            eprintln!("error: {error}");
            Ok(ExitCode::from(NOTHING_DONE))
        }
    }
}

fn print(summary: &Summary) {
    println!("producer   {}", summary.producer);
    println!("opset      {}", summary.opset);
    for input in &summary.inputs {
        println!("input      {input}");
    }
    for output in &summary.outputs {
        println!("output     {output}");
    }
    println!("weights    {} tensors, {} parameters", summary.weights, summary.parameters);
    println!("operators");
    for (name, count) in &summary.operators {
        let unsupported = summary.unsupported.iter().filter(|(operator, _)| operator == name);
        let nodes: Vec<&str> = unsupported.map(|(_, node)| node.as_str()).collect();
        match nodes[..] {
            [] => println!("  {count:>5}  {name}"),
            _ => println!("  {count:>5}  {name}  (not supported: node {})", nodes.join(", ")),
        }
    }
}
