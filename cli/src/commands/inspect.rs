//! `attriburn inspect`: the contents of a model, and whether it can be explained.

use std::collections::BTreeMap;

use attriburn::{Layer, Model, Parameter};
use attriburn_onnx::{Layout, LoadError, Loader, OnnxModel, Summary, ValueInfo};
use serde::Serialize;

use crate::args::{InspectArgs, PreprocessArgs, WithModelArgs};
use crate::exit::{DONE, Fatal, NOTHING_DONE};
use crate::output::report::{self, print_line};
use crate::setup::load::{load_with_size, set_tensors};
use crate::setup::preprocess::{self, FoundPreprocess, ModelProperties, PreprocessPart};

/// Prints a summary of the model's file, and loads the model to find unsupported operators.
pub fn run(args: &InspectArgs) -> Result<u8, Fatal> {
    let summary = attriburn_onnx::summary(&args.model)?;
    let loaded = load(args);
    match args.json {
        true => print_line!("{}", serde_json::to_string(&line(args, &summary, &loaded))?),
        false => print_file_summary(&summary),
    }
    match loaded {
        Ok(loaded) => {
            if !args.json {
                print_loaded(&loaded);
            }
            Ok(DONE)
        }
        Err(error) => {
            if !args.json {
                print_line!("can be explained: no");
            }
            report::error(error);
            Ok(NOTHING_DONE)
        }
    }
}

/// The loaded model and its preprocessing.
struct Loaded {
    model: OnnxModel,
    preprocess: Result<FoundPreprocess, String>,
}

fn load(args: &InspectArgs) -> Result<Loaded, Fatal> {
    let device = attriburn::device("cpu")?;
    let load = |shape| -> Result<Result<OnnxModel, LoadError>, String> {
        let loader = Loader::new(&device).parameters(args.parameters);
        let loader = set_tensors(loader, &args.tensors, shape, Layout::ChannelsFirst)?;
        Ok(loader.load(&args.model))
    };
    let with = WithModelArgs { tensors: args.tensors.clone(), ..WithModelArgs::default() };
    let (model, size_source) = load_with_size(&args.model, &with, load)?;
    let properties = ModelProperties::new(&model, model.input_shape(), Some(&args.model));
    let properties = ModelProperties { size_source: size_source.as_deref(), ..properties };
    let preprocess = preprocess::find(&PreprocessArgs::default(), &properties);
    Ok(Loaded { model, preprocess })
}

/// The summary as a JSON object.
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
    /// Unsupported operators, each with the name of a node.
    unsupported: &'a [(String, String)],
    can_be_explained: bool,
    /// Why the model cannot be explained.
    reason: Option<String>,
    classes: Option<usize>,
    quantized: Option<bool>,
    input_shape: Option<&'a [usize]>,
    channels_last: Option<bool>,
    preprocess: Option<String>,
    preprocess_parts: Option<BTreeMap<&'static str, &'a PreprocessPart>>,
    /// The layers of class activation maps, in execution order.
    layers: Vec<InspectedLayer<'a>>,
    /// The layer that the model chooses.
    layer: Option<String>,
    /// The parameters that noise can be added to, with `--parameters`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    noise_on: Vec<NoisyParameter<'a>>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    element: &'a str,
    /// The size of each axis, or the name of a free axis.
    shape: Vec<serde_json::Value>,
}

#[derive(Serialize)]
struct InspectedLayer<'a> {
    name: &'a str,
    /// The channels, the rows and the columns.
    shape: [usize; 3],
}

#[derive(Serialize)]
struct NoisyParameter<'a> {
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
        preprocess_parts: found.map(FoundPreprocess::by_name),
        layers: model
            .map(Model::layers)
            .unwrap_or_default()
            .iter()
            .map(|layer| InspectedLayer { name: &layer.name, shape: layer_shape(layer) })
            .collect(),
        layer: model.and_then(|model| Some(model.layer(None).ok()?.name)),
        noise_on: parameters
            .iter()
            .map(|parameter| NoisyParameter { name: &parameter.name, shape: &parameter.shape })
            .collect(),
    }
}

fn layer_shape(layer: &Layer) -> [usize; 3] {
    [layer.channels, layer.height, layer.width]
}

fn print_loaded(loaded: &Loaded) {
    let Loaded { model, preprocess } = loaded;
    print_parameters(model.parameters());
    print_layers(model);
    if model.quantization().is_some() {
        print_line!(
            "quantized: yes; the gradient uses the straight-through estimator within the integer range, unless --quantization ignore"
        );
    }
    match preprocess {
        Ok(found) => {
            print_line!("images     {}", found.preprocess);
            for PreprocessPart { name, value, source } in &found.parts {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                print_line!("  {name:<14} {value:<36} {source}");
            }
        }
        Err(reason) => print_line!("images     none: {reason}"),
    }
    print_line!("can be explained: yes, {} classes", model.classes());
}

/// Prints the layers of class activation maps, and which of them the model chooses.
fn print_layers(model: &OnnxModel) {
    let Ok(chosen) = model.layer(None) else {
        print_line!("layers     none with positions, so no class activation maps");
        return;
    };
    print_line!("layers     of class activation maps (--layer)");
    for layer in model.layers() {
        let note = if *layer == chosen { "  (default)" } else { "" };
        print_line!("  {} {:?}{note}", layer.name, layer_shape(layer));
    }
}

fn print_parameters(parameters: &[Parameter]) {
    if !parameters.is_empty() {
        print_line!("parameters");
    }
    for parameter in parameters {
        print_line!("  {} {:?}", parameter.name, parameter.shape);
    }
}

fn print_file_summary(summary: &Summary) {
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
