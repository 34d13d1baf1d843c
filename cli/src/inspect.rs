//! `attriburn inspect`.

use std::process::ExitCode;

use attriburn::{Model, Parameter};
use attriburn_onnx::{Loader, OnnxModel, Summary};

use crate::args::{InspectArgs, LayoutName, PreprocessArgs};
use crate::preprocess::{self, Known};
use crate::{Fatal, NOTHING_DONE};

/// Prints what the model contains, and loads it to see what is not supported.
pub fn run(args: &InspectArgs) -> Result<ExitCode, Fatal> {
    print(&attriburn_onnx::summary(&args.model)?);
    let loader = Loader::new(&attriburn::device("cpu")?)
        .parameters(args.parameters)
        .input_shape(args.input_shape.clone())
        .layout(LayoutName::loaded(None))
        .output(args.output_name.clone());
    match loader.load(&args.model) {
        Ok(model) => {
            list(model.parameters());
            if model.quantization().is_some() {
                say!(
                    "quantized: yes; by default the gradient passes the rounding straight through within the range of the integers (--quantization)"
                );
            }
            say_preprocess(args, &model);
            say!("can be explained: yes, {} classes", model.classes());
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            say!("can be explained: no");
            eprintln!("error: {error}");
            Ok(ExitCode::from(NOTHING_DONE))
        }
    }
}

/// How pictures become inputs, and where each part of that comes from.
fn say_preprocess(args: &InspectArgs, model: &OnnxModel) {
    let known = Known::of(model, model.input_shape(), Some(&args.model));
    match preprocess::find(&PreprocessArgs::default(), &known) {
        Ok(found) => {
            say!("pictures   {}", found.preprocess);
            for (part, source) in &found.sources {
                say!("  {part:<14} {source}");
            }
        }
        Err(reason) => say!("pictures   none: {reason}"),
    }
}

fn list(parameters: &[Parameter]) {
    if !parameters.is_empty() {
        say!("parameters");
    }
    for parameter in parameters {
        say!("  {} {:?}", parameter.name, parameter.shape);
    }
}

fn print(summary: &Summary) {
    say!("producer   {}", summary.producer);
    say!("opset      {}", summary.opset);
    for input in &summary.inputs {
        say!("input      {input}");
    }
    for output in &summary.outputs {
        say!("output     {output}");
    }
    say!("weights    {} tensors, {} parameters", summary.weights, summary.parameters);
    let others = summary.other_floats();
    if !others.is_empty() {
        say!("precision  stored in {}, computed in float32", others.join(", "));
    }
    say!("operators");
    for (name, count) in &summary.operators {
        let unsupported = summary.unsupported.iter().filter(|(operator, _)| operator == name);
        let nodes: Vec<&str> = unsupported.map(|(_, node)| node.as_str()).collect();
        match nodes[..] {
            [] => say!("  {count:>5}  {name}"),
            _ => say!("  {count:>5}  {name}  (not supported: node {})", nodes.join(", ")),
        }
    }
}
