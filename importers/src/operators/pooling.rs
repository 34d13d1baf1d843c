//! Pooling. Padding, its asymmetry and the ceiling of output sizes are made explicit here, so that
//! every device sees the one case it handles well.

use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::ops::PadMode;
use onnx_ir::Node;
use onnx_ir::padding::AutoPad;

use super::convolution::{padding_1d, padding_2d, same};
use super::{Context, Inputs, Operator, Run, expect_node, one};
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator { name: "MaxPool", compile: max_pool },
    Operator { name: "AveragePool", compile: average_pool },
    Operator {
        name: "GlobalAveragePool",
        compile: |_, _| one(|inputs| global(inputs, Dispatch::float_mean_dim)),
    },
    Operator {
        name: "GlobalMaxPool",
        compile: |_, _| one(|inputs| global(inputs, Dispatch::float_max_dim)),
    },
];

/// The windows of a pooling operator, over two axes.
struct Windows {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [(usize, usize); 2],
    dilation: [usize; 2],
    ceil: bool,
    auto_pad: AutoPad,
    /// Pooling over one axis: a second axis of size 1 stands in.
    flat: bool,
}

/// Padding per axis: what the model asks for, and what a rounded-up output needs beyond it.
struct Padding {
    explicit: [(usize, usize); 2],
    beyond: [usize; 2],
}

impl Padding {
    fn is_symmetric(&self) -> bool {
        self.beyond == [0, 0] && self.explicit.iter().all(|(begin, end)| begin == end)
    }
}

impl Windows {
    fn padding(&self, sizes: [usize; 2]) -> Outcome<Padding> {
        let mut padding = Padding { explicit: self.padding, beyond: [0, 0] };
        for (i, size) in sizes.into_iter().enumerate() {
            let span = self.dilation[i] * (self.kernel[i] - 1) + 1;
            let pads = same(&self.auto_pad, size, span, self.stride[i]).unwrap_or(self.padding[i]);
            let padded = size + pads.0 + pads.1;
            if padded < span {
                return Err(format!("its window does not fit an input of {sizes:?}"));
            }
            padding.explicit[i] = pads;
            if self.ceil {
                let mut outputs = (padded - span).div_ceil(self.stride[i]) + 1;
                // A window that would start in the padding at the end is dropped.
                if (outputs - 1) * self.stride[i] >= size + pads.0 {
                    outputs -= 1;
                }
                padding.beyond[i] = ((outputs - 1) * self.stride[i] + span).saturating_sub(padded);
            }
        }
        Ok(padding)
    }

    /// The input as `[n, c, h, w]`.
    fn image(&self, x: Value) -> Outcome<Value> {
        let dims = x.dims();
        match (self.flat, dims.len()) {
            (true, 3) => x.reshape(&[dims[0], dims[1], dims[2], 1]),
            (false, 4) => Ok(x),
            _ => Err(format!("it does not take an input of {dims:?}")),
        }
    }

    /// The output without the axis that stood in.
    fn restore(&self, tensor: DispatchTensor) -> Outcome<Value> {
        let value = Value::new(tensor);
        let dims = value.dims();
        if self.flat { value.reshape(&dims[..3]) } else { Ok(value) }
    }
}

fn max_pool(node: &Node, _: &Context) -> Outcome<Run> {
    if node.outputs().len() > 1 {
        return Err("its second output, the indices, is not supported".into());
    }
    let windows = match node {
        Node::MaxPool1d(node) => {
            let c = &node.config;
            Windows {
                kernel: [c.kernel_size, 1],
                stride: [c.stride, 1],
                padding: [padding_1d(&c.padding)[0], (0, 0)],
                dilation: [c.dilation, 1],
                ceil: c.ceil_mode,
                auto_pad: c.auto_pad.clone(),
                flat: true,
            }
        }
        other => {
            let c = &expect_node!(other, MaxPool2d).config;
            Windows {
                kernel: c.kernel_size,
                stride: c.strides,
                padding: padding_2d(&c.padding),
                dilation: c.dilation,
                ceil: c.ceil_mode,
                auto_pad: c.auto_pad.clone(),
                flat: false,
            }
        }
    };
    one(move |inputs| {
        let x = windows.image(inputs.value(0)?)?;
        let padding = windows.padding([x.dims()[2], x.dims()[3]])?;
        let (x, pads) = if padding.is_symmetric() {
            (x.float()?, [padding.explicit[0].0, padding.explicit[1].0])
        } else {
            (pad(x.float()?, &padding, f32::NEG_INFINITY), [0, 0])
        };
        windows.restore(Dispatch::max_pool2d(
            x,
            windows.kernel,
            windows.stride,
            pads,
            windows.dilation,
            false,
        ))
    })
}

fn average_pool(node: &Node, _: &Context) -> Outcome<Run> {
    let (windows, counts_padding) = match node {
        Node::AveragePool1d(node) => {
            let c = &node.config;
            let windows = Windows {
                kernel: [c.kernel_size, 1],
                stride: [c.stride, 1],
                padding: [padding_1d(&c.padding)[0], (0, 0)],
                dilation: [c.dilation, 1],
                ceil: c.ceil_mode,
                auto_pad: c.auto_pad.clone(),
                flat: true,
            };
            (windows, c.count_include_pad)
        }
        other => {
            let c = &expect_node!(other, AveragePool2d).config;
            let windows = Windows {
                kernel: c.kernel_size,
                stride: c.strides,
                padding: padding_2d(&c.padding),
                dilation: c.dilation,
                ceil: c.ceil_mode,
                auto_pad: c.auto_pad.clone(),
                flat: false,
            };
            (windows, c.count_include_pad)
        }
    };
    if windows.dilation != [1, 1] {
        return Err("dilations other than 1 are not supported".into());
    }
    one(move |inputs| {
        let x = windows.image(inputs.value(0)?)?;
        let sizes = [x.dims()[2], x.dims()[3]];
        let padding = windows.padding(sizes)?;
        let pool = |x, pads, counts| {
            Dispatch::avg_pool2d(x, windows.kernel, windows.stride, pads, counts, false)
        };
        if padding.is_symmetric() {
            let pads = [padding.explicit[0].0, padding.explicit[1].0];
            return windows.restore(pool(x.float()?, pads, counts_padding));
        }
        let shares = shares(&windows, &padding, sizes, counts_padding)?.to_device(&x.device())?;
        let means = pool(pad(x.float()?, &padding, 0.0), [0, 0], true);
        windows.restore(Dispatch::float_div(means, shares.float()?))
    })
}

/// The share of each window, `[1, 1, h, w]`, that counts in its mean.
fn shares(
    windows: &Windows,
    padding: &Padding,
    sizes: [usize; 2],
    counts_padding: bool,
) -> Outcome<Value> {
    let along = |i: usize| -> Vec<f32> {
        let (begin, end) = padding.explicit[i];
        let padded = begin + sizes[i] + end + padding.beyond[i];
        let counted =
            if counts_padding { 0..begin + sizes[i] + end } else { begin..begin + sizes[i] };
        (0..=padded - windows.kernel[i])
            .step_by(windows.stride[i])
            .map(|start| {
                let inside = (start..start + windows.kernel[i]).filter(|at| counted.contains(at));
                inside.count() as f32 / windows.kernel[i] as f32
            })
            .collect()
    };
    let (rows, columns) = (along(0), along(1));
    let products = rows.iter().flat_map(|row| columns.iter().map(move |column| row * column));
    Value::from_floats(products.collect()).reshape(&[1, 1, rows.len(), columns.len()])
}

fn pad(x: DispatchTensor, padding: &Padding, value: f32) -> DispatchTensor {
    let [(top, bottom), (left, right)] = padding.explicit;
    let [below, beside] = padding.beyond;
    let pads = [(0, 0), (0, 0), (top, bottom + below), (left, right + beside)];
    Dispatch::float_pad(x, &pads, PadMode::Constant(value))
}

/// Reduces every axis after the channels.
fn global(inputs: &Inputs, reduce: fn(DispatchTensor, usize) -> DispatchTensor) -> Outcome<Value> {
    let x = inputs.value(0)?;
    let dims = x.dims();
    let [n, c, ..] = dims[..] else {
        return Err(format!("it does not take an input of {dims:?}"));
    };
    let mut reduced = vec![1; dims.len()];
    reduced[..2].copy_from_slice(&[n, c]);
    let flat = x.reshape(&[n, c, dims[2..].iter().product()])?;
    Value::new(reduce(flat.float()?, 2)).reshape(&reduced)
}
