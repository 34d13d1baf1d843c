//! `attriburn inspect`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use attriburn::{Model, Parameter};
use attriburn_onnx::{Layout, LoadError, Loader, OnnxModel, Summary, ValueInfo};
use serde::Serialize;

use crate::args::{InspectArgs, PreprocessArgs, WithModelArgs};
use crate::preprocess::{self, Found, Known, Part};
use crate::report::{self, print_line};
use crate::setup::{sized, with_tensors};
use crate::{Fatal, NOTHING_DONE};

/// Prints what the model contains, and loads it to see what is not supported.
pub fn run(args: &InspectArgs) -> Result<ExitCode, Fatal> {
    let summary = attriburn_onnx::summary(&args.model)?;
    let loaded = load(args);
    match args.json {
        true => print_line!("{}", serde_json::to_string(&line(args, &summary, &loaded))?),
        false => print(&summary),
    }
    match loaded {
        Ok(loaded) => {
            if !args.json {
                print_loaded(&loaded);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if !args.json {
                print_line!("can be explained: no");
            }
            report::error(error);
            Ok(ExitCode::from(NOTHING_DONE))
        }
    }
}

/// The model, and how pictures become its inputs.
struct Loaded {
    model: OnnxModel,
    preprocess: Result<Found, String>,
}

fn load(args: &InspectArgs) -> Result<Loaded, Fatal> {
    let device = attriburn::device("cpu")?;
    let load = |shape| -> Result<Result<OnnxModel, LoadError>, String> {
        let loader = Loader::new(&device).parameters(args.parameters);
        let loader = with_tensors(loader, &args.tensors, shape, Layout::ChannelsFirst)?;
        Ok(loader.load(&args.model))
    };
    let with = WithModelArgs { tensors: args.tensors.clone(), ..WithModelArgs::default() };
    let (model, size_from) = sized(&args.model, &with, load)?;
    let known = Known::of(&model, model.input_shape(), Some(&args.model));
    let known = Known { size: size_from.as_deref(), ..known };
    let preprocess = preprocess::find(&PreprocessArgs::default(), &known);
    Ok(Loaded { model, preprocess })
}

/// What is known of a model, as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    producer: &'a str,
    opset: i64,
    inputs: Vec<Tensor<'a>>,
    outputs: Vec<Tensor<'a>>,
    weights: usize,
    parameters: u64,
    operators: &'a BTreeMap<String, usize>,
    /// Operators that are not supported, with a node of each.
    unsupported: &'a [(String, String)],
    can_be_explained: bool,
    /// Why it cannot.
    reason: Option<String>,
    classes: Option<usize>,
    quantized: Option<bool>,
    input_shape: Option<&'a [usize]>,
    channels_last: Option<bool>,
    preprocess: Option<String>,
    preprocess_parts: Option<BTreeMap<&'static str, &'a Part>>,
    /// The parameters that noise can be put on, where they are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    noise_on: Vec<Noisy<'a>>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    element: &'a str,
    /// Sizes, or names of those that are free.
    shape: Vec<serde_json::Value>,
}

#[derive(Serialize)]
struct Noisy<'a> {
    name: &'a str,
    shape: &'a [usize],
}

fn line<'a>(
    args: &InspectArgs,
    summary: &'a Summary,
    loaded: &'a Result<Loaded, Fatal>,
) -> Line<'a> {
    let axis = |axis: &Result<usize, String>| match axis {
        Ok(size) => (*size).into(),
        Err(name) => name.as_str().into(),
    };
    let tensor = |info: &'a ValueInfo| Tensor {
        name: &info.name,
        element: &info.element,
        shape: info.shape.iter().map(axis).collect(),
    };
    let reason = loaded.as_ref().err().map(ToString::to_string);
    let loaded = loaded.as_ref().ok();
    let model = loaded.map(|loaded| &loaded.model);
    let found = loaded.and_then(|loaded| loaded.preprocess.as_ref().ok());
    let parameters = model.map(OnnxModel::parameters).unwrap_or_default();
    Line {
        file: args.model.display().to_string(),
        producer: &summary.producer,
        opset: summary.opset,
        inputs: summary.inputs.iter().map(tensor).collect(),
        outputs: summary.outputs.iter().map(tensor).collect(),
        weights: summary.weights,
        parameters: summary.parameters,
        operators: &summary.operators,
        unsupported: &summary.unsupported,
        can_be_explained: model.is_some(),
        reason,
        classes: model.map(OnnxModel::classes),
        quantized: model.map(|model| model.quantization().is_some()),
        input_shape: model.map(Model::input_shape),
        channels_last: model.map(OnnxModel::is_transposed),
        preprocess: found.map(|found| found.preprocess.to_string()),
        preprocess_parts: found.map(Found::by_name),
        noise_on: parameters
            .iter()
            .map(|parameter| Noisy { name: &parameter.name, shape: &parameter.shape })
            .collect(),
    }
}

fn print_loaded(loaded: &Loaded) {
    let Loaded { model, preprocess } = loaded;
    list(model.parameters());
    if model.quantization().is_some() {
        print_line!(
            "quantized: yes; by default the gradient passes the rounding straight through within the range of the integers (--quantization)"
        );
    }
    match preprocess {
        Ok(found) => {
            print_line!("pictures   {}", found.preprocess);
            for Part { name, value, source } in &found.parts {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                print_line!("  {name:<14} {value:<36} {source}");
            }
        }
        Err(reason) => print_line!("pictures   none: {reason}"),
    }
    print_line!("can be explained: yes, {} classes", model.classes());
}

fn list(parameters: &[Parameter]) {
    if !parameters.is_empty() {
        print_line!("parameters");
    }
    for parameter in parameters {
        print_line!("  {} {:?}", parameter.name, parameter.shape);
    }
}

fn print(summary: &Summary) {
    print_line!("producer   {}", summary.producer);
    print_line!("opset      {}", summary.opset);
    for input in &summary.inputs {
        print_line!("input      {input}");
    }
    for output in &summary.outputs {
        print_line!("output     {output}");
    }
    print_line!("weights    {} tensors, {} parameters", summary.weights, summary.parameters);
    let others = summary.other_floats();
    if !others.is_empty() {
        print_line!("precision  stored in {}, computed in float32", others.join(", "));
    }
    print_line!("operators");
    for (name, count) in &summary.operators {
        let unsupported = summary.unsupported.iter().filter(|(operator, _)| operator == name);
        let nodes: Vec<&str> = unsupported.map(|(_, node)| node.as_str()).collect();
        match nodes[..] {
            [] => print_line!("  {count:>5}  {name}"),
            _ => print_line!("  {count:>5}  {name}  (not supported: node {})", nodes.join(", ")),
        }
    }
}
