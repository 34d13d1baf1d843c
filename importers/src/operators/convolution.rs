//! Convolutions, with explicit and automatic padding, and their transposes.

use burn::backend::ops::ModuleOps;
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use onnx_ir::Node;
use onnx_ir::padding::{AutoPad, PaddingConfig1d, PaddingConfig2d, PaddingConfig3d};

use super::{Context, Operator, Run, one};
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator { name: "Conv", compile: conv },
    Operator { name: "ConvTranspose", compile: conv_transpose },
];

/// The attributes of a convolution over `N` axes.
struct Attributes<const N: usize> {
    kernel: [usize; N],
    stride: [usize; N],
    dilation: [usize; N],
    groups: usize,
    padding: [(usize, usize); N],
    auto_pad: AutoPad,
}

type Apply<const N: usize> =
    fn(DispatchTensor, DispatchTensor, Option<DispatchTensor>, ConvOptions<N>) -> DispatchTensor;

fn conv(node: &Node, _: &Context) -> Outcome<Run> {
    match node {
        Node::Conv1d(node) => {
            let config = &node.config;
            let attributes = Attributes {
                kernel: [config.kernel_size],
                stride: [config.stride],
                dilation: [config.dilation],
                groups: config.groups,
                padding: padding_1d(&config.padding),
                auto_pad: config.auto_pad.clone(),
            };
            run(attributes, Dispatch::conv1d)
        }
        Node::Conv2d(node) => {
            let config = &node.config;
            let attributes = Attributes {
                kernel: config.kernel_size,
                stride: config.stride,
                dilation: config.dilation,
                groups: config.groups,
                padding: padding_2d(&config.padding),
                auto_pad: config.auto_pad.clone(),
            };
            run(attributes, Dispatch::conv2d)
        }
        Node::Conv3d(node) => {
            let config = &node.config;
            let attributes = Attributes {
                kernel: config.kernel_size,
                stride: config.stride,
                dilation: config.dilation,
                groups: config.groups,
                padding: padding_3d(&config.padding),
                auto_pad: config.auto_pad.clone(),
            };
            run(attributes, Dispatch::conv3d)
        }
        other => Err(format!("the parser made it a {}", other.node_type())),
    }
}

fn run<const N: usize>(attributes: Attributes<N>, apply: Apply<N>) -> Outcome<Run> {
    one(move |inputs| {
        let (x, weight) = (inputs.value(0)?, inputs.float(1)?);
        let bias = inputs.optional_float(2)?;
        let dims = x.dims();
        if dims.len() != N + 2 {
            return Err(format!("it takes an input of {} axes, not {dims:?}", N + 2));
        }
        let span = |i: usize| attributes.dilation[i] * (attributes.kernel[i] - 1) + 1;
        let mut padding = attributes.padding;
        for (i, pads) in padding.iter_mut().enumerate() {
            let automatic = same(&attributes.auto_pad, dims[i + 2], span(i), attributes.stride[i]);
            *pads = automatic.unwrap_or(*pads);
            if dims[i + 2] + pads.0 + pads.1 < span(i) {
                return Err(format!("its kernel does not fit an input of {dims:?}"));
            }
        }
        let options = ConvOptions::new_with_padding(
            attributes.stride,
            padding,
            attributes.dilation,
            attributes.groups,
        );
        Ok(Value::new(apply(x.float()?, weight, bias, options)))
    })
}

/// The padding `(begin, end)` that automatic padding means for an axis; `None` where the explicit
/// padding holds. `span` is the extent of the dilated kernel.
pub fn same(auto: &AutoPad, size: usize, span: usize, stride: usize) -> Option<(usize, usize)> {
    let outputs = size.div_ceil(stride);
    let total = ((outputs.max(1) - 1) * stride + span).saturating_sub(size);
    match auto {
        AutoPad::NotSet => None,
        AutoPad::Valid => Some((0, 0)),
        AutoPad::SameUpper => Some((total / 2, total - total / 2)),
        AutoPad::SameLower => Some((total - total / 2, total / 2)),
    }
}

fn conv_transpose(node: &Node, _: &Context) -> Outcome<Run> {
    let unset = |auto: &AutoPad, shape: bool| match (auto, shape) {
        (AutoPad::NotSet, false) => Ok(()),
        _ => {
            Err("auto_pad and output_shape are not supported; export with explicit pads".to_owned())
        }
    };
    match node {
        Node::ConvTranspose1d(node) => {
            let c = &node.config;
            unset(&c.auto_pad, c.output_shape.is_some())?;
            let options = ConvTransposeOptions::new(
                [c.stride],
                [c.padding],
                [c.padding_out],
                [c.dilation],
                c.groups,
            );
            run_transposed(options, Dispatch::conv_transpose1d)
        }
        Node::ConvTranspose2d(node) => {
            let c = &node.config;
            unset(&c.auto_pad, c.output_shape.is_some())?;
            let options =
                ConvTransposeOptions::new(c.stride, c.padding, c.padding_out, c.dilation, c.groups);
            run_transposed(options, Dispatch::conv_transpose2d)
        }
        other => Err(format!("{} is not supported", other.node_type())),
    }
}

type ApplyTransposed<const N: usize> = fn(
    DispatchTensor,
    DispatchTensor,
    Option<DispatchTensor>,
    ConvTransposeOptions<N>,
) -> DispatchTensor;

fn run_transposed<const N: usize>(
    options: ConvTransposeOptions<N>,
    apply: ApplyTransposed<N>,
) -> Outcome<Run> {
    one(move |inputs| {
        let bias = inputs.optional_float(2)?;
        Ok(Value::new(apply(inputs.float(0)?, inputs.float(1)?, bias, options.clone())))
    })
}

/// Explicit padding as `(begin, end)` per axis.
pub fn padding_1d(padding: &PaddingConfig1d) -> [(usize, usize); 1] {
    match *padding {
        PaddingConfig1d::Valid => [(0, 0)],
        PaddingConfig1d::Explicit(left, right) => [(left, right)],
    }
}

/// Explicit padding as `(begin, end)` per axis.
pub fn padding_2d(padding: &PaddingConfig2d) -> [(usize, usize); 2] {
    match *padding {
        PaddingConfig2d::Valid => [(0, 0); 2],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
    }
}

fn padding_3d(padding: &PaddingConfig3d) -> [(usize, usize); 3] {
    match *padding {
        PaddingConfig3d::Valid => [(0, 0); 3],
        PaddingConfig3d::Explicit(front, top, left, back, bottom, right) => {
            [(front, back), (top, bottom), (left, right)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_follows_the_specification() {
        struct Case {
            auto: AutoPad,
            size: usize,
            span: usize,
            stride: usize,
            expected: Option<(usize, usize)>,
        }
        let cases = [
            (AutoPad::NotSet, 7, 3, 2, None),
            (AutoPad::Valid, 7, 3, 2, Some((0, 0))),
            (AutoPad::SameUpper, 7, 3, 2, Some((1, 1))),
            (AutoPad::SameUpper, 6, 3, 2, Some((0, 1))),
            (AutoPad::SameLower, 6, 3, 2, Some((1, 0))),
            (AutoPad::SameUpper, 5, 1, 2, Some((0, 0))),
        ];
        for (auto, size, span, stride, expected) in cases {
            let case = Case { auto, size, span, stride, expected };
            assert_eq!(same(&case.auto, case.size, case.span, case.stride), case.expected);
        }
    }
}
