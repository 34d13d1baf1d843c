//! Pooling. Asymmetric padding and `ceil_mode` are turned into explicit padding here, so that backends only
//! see symmetric padding and floor mode.

use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar};

use super::window::{Window, WindowConfig, pad_spatial};
use super::{Freezing, Inputs, Linear, Operator, Run, Site, single_output};
use crate::value::{Kind, Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[
    Operator::new("MaxPool", 1, (1, 1), max_pool).outputs(2).frozen(|ctx| {
        let window = frozen(ctx)?;
        ctx.builder.largest(ctx.x()?, window)
    }),
    Operator::new("AveragePool", 1, (1, 1), average_pool).linear(Linear::Jointly).frozen(|ctx| {
        let counts_padding = ctx.site.flag("count_include_pad", false).ok()?;
        let window = frozen(ctx)?;
        ctx.builder.window_mean(ctx.x()?, window, counts_padding)
    }),
    Operator::new("LpPool", 2, (1, 1), lp_pool),
    Operator::new("GlobalAveragePool", 1, (1, 1), |_| {
        single_output(|inputs| global_pool(inputs, Dispatch::float_mean_dim))
    })
    .linear(Linear::Jointly)
    .frozen(|ctx| ctx.builder.mean(ctx.x()?, &[2, 3])),
    Operator::new("GlobalMaxPool", 1, (1, 1), |_| {
        single_output(|inputs| global_pool(inputs, Dispatch::float_max_dim))
    }),
    Operator::new("GlobalLpPool", 2, (1, 1), |site| {
        let p = site.int("p", 2)?;
        single_output(move |inputs| {
            global_pool(inputs, move |x, axis| root(Dispatch::float_sum_dim(powers(x, p), axis), p))
        })
    }),
];

/// Returns the pooling window for a segment.
fn frozen(ctx: &Freezing) -> Option<attriburn_kernels::frozen::Window> {
    let pool = Pool::new(ctx.site).ok()?;
    let window = pool.config.window(&ctx.spatial_size()?, None).ok()?;
    window.frozen(pool.ceil)
}

/// The window attributes of a pooling node.
struct Pool {
    config: WindowConfig,
    /// Whether output sizes are rounded up (`ceil_mode`).
    ceil: bool,
}

/// A pooling window over an input of known size.
struct ResolvedPool {
    window: Window,
    /// Padding per axis, beyond `window.pads`, that the last window needs in `ceil_mode`.
    ceil_padding: Vec<i64>,
}

impl Pool {
    /// Reads the pooling attributes of a node.
    fn new(site: &Site) -> Outcome<Self> {
        Ok(Self { config: WindowConfig::new(site)?, ceil: site.flag("ceil_mode", false)? })
    }

    /// Resolves the window for the input `x`.
    fn resolve(&self, x: &Value) -> Outcome<ResolvedPool> {
        let dims = x.dims();
        if dims.len() < 3 {
            return Err(format!("an input of shape {dims:?} is not supported"));
        }
        let window = self.config.window(&dims[2..], None)?;
        let ceil_padding = dims[2..].iter().enumerate().map(|(axis, &size)| {
            if !self.ceil {
                return 0;
            }
            let (span, stride) = (window.span(axis) as i64, window.strides[axis] as i64);
            let (begin, end) = window.pads[axis];
            let padded = size as i64 + begin + end;
            let mut outputs = (padded - span + stride - 1) / stride + 1;
            // A window that would start in the end padding is dropped.
            if (outputs - 1) * stride >= size as i64 + begin {
                outputs -= 1;
            }
            ((outputs - 1) * stride + span - padded).max(0)
        });
        let ceil_padding = ceil_padding.collect();
        Ok(ResolvedPool { window, ceil_padding })
    }
}

impl ResolvedPool {
    /// Returns the padding per axis, if it is symmetric and not negative.
    fn symmetric(&self) -> Option<Vec<usize>> {
        let plain = self.ceil_padding.iter().all(|&ceil_padding| ceil_padding == 0);
        let even = self.window.pads.iter().all(|&(begin, end)| begin == end && begin >= 0);
        let pads = self.window.pads.iter().map(|&(begin, _)| begin.max(0) as usize);
        (plain && even).then(|| pads.collect())
    }

    /// Pads the input explicitly with `fill`.
    fn padded(&self, x: &Value, fill: f32) -> Outcome<Value> {
        let pads = self.window.pads.iter().zip(&self.ceil_padding);
        let pads: Vec<_> =
            pads.map(|(&(begin, end), &ceil_padding)| (begin, end + ceil_padding)).collect();
        pad_spatial(x, &pads, fill)
    }

    /// Returns the index of the first maximum of each window in the flattened input. With `column_major` the
    /// spatial axes are flattened in reverse order (`storage_order=1`).
    fn argmax(&self, x: &Value, column_major: bool) -> Outcome<Value> {
        let dims = x.dims();
        let (values, sizes) = (x.to_host()?.floats()?, &dims[2..]);
        let window = &self.window;
        let output_sizes: Vec<usize> = (0..sizes.len())
            .map(|axis| {
                let (begin, end) = window.pads[axis];
                let padded = sizes[axis] as i64 + begin + end + self.ceil_padding[axis];
                (padded as usize - window.span(axis)) / window.strides[axis] + 1
            })
            .collect();
        let split = |mut flat: usize, sizes: &[usize]| {
            let mut coordinates = vec![0; sizes.len()];
            for axis in (0..sizes.len()).rev() {
                (coordinates[axis], flat) = (flat % sizes[axis], flat / sizes[axis]);
            }
            coordinates
        };
        let strides: Vec<usize> = (0..sizes.len())
            .map(|axis| match column_major {
                true => sizes[..axis].iter().product(),
                false => sizes[axis + 1..].iter().product(),
            })
            .collect();
        let (area, count): (usize, usize) = (sizes.iter().product(), output_sizes.iter().product());
        let taps: usize = window.kernel.iter().product();
        let mut indices = Vec::with_capacity(dims[0] * dims[1] * count);
        for plane in 0..dims[0] * dims[1] {
            for out in 0..count {
                let out = split(out, &output_sizes);
                let mut best: Option<(f32, usize)> = None;
                for tap in (0..taps).map(|tap| split(tap, &window.kernel)) {
                    let at = (0..sizes.len()).map(|axis| {
                        let from = out[axis] * window.strides[axis];
                        let at = (from + tap[axis] * window.dilations[axis]) as i64;
                        usize::try_from(at - window.pads[axis].0)
                            .ok()
                            .filter(|&at| at < sizes[axis])
                    });
                    let Some(at) = at.collect::<Option<Vec<_>>>() else { continue };
                    let flat = at.iter().zip(sizes).fold(0, |flat, (&at, &size)| flat * size + at);
                    let value = values[plane * area + flat];
                    if best.is_none_or(|(maximum, _)| value > maximum) {
                        let index = at.iter().zip(&strides).map(|(at, stride)| at * stride);
                        best = Some((value, plane * area + index.sum::<usize>()));
                    }
                }
                let (_, index) = best.ok_or("a pooling window lies completely in the padding")?;
                indices.push(index as i64);
            }
        }
        Value::from_ints(indices).reshape(&[&dims[..2], &output_sizes].concat())
    }

    /// Returns, for each output position along `axis`, the number of window elements in the divisor.
    fn counts(&self, axis: usize, size: usize, counts_padding: bool) -> Vec<f32> {
        let (window, (begin, end)) = (&self.window, self.window.pads[axis]);
        let size = size as i64;
        let counted = match counts_padding {
            true => -begin..size + end,
            false => 0..size,
        };
        let (span, stride) = (window.span(axis) as i64, window.strides[axis]);
        (-begin..=size + end + self.ceil_padding[axis] - span)
            .step_by(stride)
            .map(|start| {
                let taps = (start..start + span).step_by(window.dilations[axis]);
                taps.filter(|at| counted.contains(at)).count() as f32
            })
            .collect()
    }
}

/// MaxPool; 8-bit integers are pooled as floats, which represent them exactly.
fn max_pool(site: &Site) -> Outcome<Run> {
    let pool = Pool::new(site)?;
    let column_major = site.opset() >= 8 && site.flag("storage_order", false)?;
    let returns_indices = site.node.outputs.get(1).is_some_and(Option::is_some);
    Ok(Box::new(move |inputs| {
        let x = inputs.value(0)?;
        let (element, kind) = (x.element(), x.kind());
        if element.integer().is_some_and(|(bytes, ..)| bytes > 1) {
            return Err(format!("pooling {} is not supported", element.name()));
        }
        let x = x.into_float();
        let resolved = pool.resolve(&x)?;
        let indices = match returns_indices {
            true => Some(resolved.argmax(&x, column_major)?),
            false => None,
        };
        let (x, pads) = match resolved.symmetric() {
            Some(pads) => (x, pads),
            None => (resolved.padded(&x, f32::NEG_INFINITY)?, vec![0; resolved.ceil_padding.len()]),
        };
        let pooled = pool_axes(
            &x,
            &resolved.window,
            &pads,
            |x, kernel, stride, pads, dilation| {
                Dispatch::max_pool2d(x, kernel, stride, pads, dilation, false)
            },
            true,
        )?;
        let pooled = match kind {
            Kind::Level => pooled.with_levels(element),
            _ => pooled.cast(element)?,
        };
        Ok([Some(pooled), indices].into_iter().flatten().collect())
    }))
}

fn average_pool(site: &Site) -> Outcome<Run> {
    let pool = Pool::new(site)?;
    let counts_padding = site.flag("count_include_pad", false)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let (resolved, dims) = (pool.resolve(&x)?, x.dims());
        let window = &resolved.window;
        let dilated = window.dilations.iter().any(|&dilation| dilation > 1);
        match resolved.symmetric() {
            Some(pads) if !dilated && dims.len() <= 4 => {
                return pool_axes(
                    &x,
                    window,
                    &pads,
                    |x, kernel, stride, pads, _| {
                        Dispatch::avg_pool2d(x, kernel, stride, pads, counts_padding, false)
                    },
                    false,
                );
            }
            _ => {}
        }
        let counts: Vec<Vec<f32>> = (2..dims.len())
            .map(|axis| resolved.counts(axis - 2, dims[axis], counts_padding))
            .collect();
        if counts.iter().flatten().any(|&count| count == 0.0) {
            return Err("a pooling window lies completely in the padding".into());
        }
        let mut window_sums = window_sums(&resolved.padded(&x, 0.0)?, window)?;
        for (axis, counts) in counts.into_iter().enumerate() {
            let mut shape = vec![1; dims.len()];
            shape[axis + 2] = counts.len();
            let counts = Value::from_floats(counts).reshape(&shape)?;
            window_sums = binary(&window_sums, &counts, Dispatch::float_div, None)?;
        }
        Ok(window_sums)
    })
}

/// `(sum over the window of |x|^p)^(1/p)`.
fn lp_pool(site: &Site) -> Outcome<Run> {
    let pool = Pool::new(site)?;
    let p = site.int("p", 2)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let resolved = pool.resolve(&x)?;
        let powers = powers(resolved.padded(&x, 0.0)?.float()?, p);
        let window_sums = window_sums(&Value::new(powers), &resolved.window)?;
        Ok(Value::new(root(window_sums.float()?, p)))
    })
}

/// `|x|^p`.
fn powers(x: DispatchTensor, p: i64) -> DispatchTensor {
    match p {
        1 => Dispatch::float_abs(x),
        2 => Dispatch::float_mul(x.clone(), x),
        p => Dispatch::float_powf_scalar(Dispatch::float_abs(x), Scalar::Float(p as f64)),
    }
}

/// `x^(1/p)`, for a sum of `p`-th powers.
fn root(x: DispatchTensor, p: i64) -> DispatchTensor {
    match p {
        1 => x,
        2 => super::reduction::safe_sqrt(x),
        p => Dispatch::float_powf_scalar(x, Scalar::Float(1.0 / p as f64)),
    }
}

/// The sum over each window of a padded input, as a sum of shifted slices along one axis after the other.
fn window_sums(x: &Value, window: &Window) -> Outcome<Value> {
    let mut x = x.clone();
    for axis in 0..window.kernel.len() {
        x = reduce_axis(&x, window, axis, Dispatch::float_add)?;
    }
    Ok(x)
}

/// Reduces the windows along `axis` by the binary `operation`.
fn reduce_axis(
    x: &Value,
    window: &Window,
    axis: usize,
    operation: crate::value::Binary,
) -> Outcome<Value> {
    let dims = x.dims();
    let (span, stride) = (window.span(axis), window.strides[axis]);
    let last = (dims[axis + 2] - span) / stride * stride;
    let mut result: Option<Value> = None;
    for tap in 0..window.kernel[axis] {
        let from = tap * window.dilations[axis];
        let part = if stride == 1 {
            x.clone().range(axis + 2, from..from + last + 1)
        } else {
            let indices = (from..=from + last).step_by(stride).map(|index| index as i64);
            x.clone().select(axis + 2, indices.collect())?
        };
        result = Some(match result {
            Some(result) => binary(&result, &part, operation, None)?,
            None => part,
        });
    }
    result.ok_or_else(|| "kernel_shape is empty".into())
}

/// A kernel size, stride, padding or dilation of 2D pooling.
type Pooling2d = [usize; 2];

/// Pools over one, two or three spatial axes with a 2D pooling. Three axes need a `separable` reduction, such
/// as the maximum, which is applied to the last two axes and then to the first.
fn pool_axes(
    x: &Value,
    window: &Window,
    pads: &[usize],
    pool: impl Fn(DispatchTensor, Pooling2d, Pooling2d, Pooling2d, Pooling2d) -> DispatchTensor,
    separable: bool,
) -> Outcome<Value> {
    let dims = x.dims();
    let pair = |values: &[usize], fill| [values[0], values.get(1).copied().unwrap_or(fill)];
    match dims.len() {
        3 | 4 => {
            let image = match dims.len() {
                3 => x.clone().reshape(&[dims[0], dims[1], dims[2], 1])?,
                _ => x.clone(),
            };
            let pooled = Value::new(pool(
                image.float()?,
                pair(&window.kernel, 1),
                pair(&window.strides, 1),
                pair(pads, 0),
                pair(&window.dilations, 1),
            ));
            let out = pooled.dims();
            if dims.len() == 3 { pooled.reshape(&out[..3]) } else { Ok(pooled) }
        }
        5 if separable => {
            let [n, c, d, h, w] = dims[..] else {
                return Err(format!("an input of shape {dims:?} is not supported"));
            };
            let planes = x.clone().reshape(&[n, c * d, h, w])?;
            let last_two = |values: &[usize]| [values[1], values[2]];
            let pooled = Value::new(pool(
                planes.float()?,
                last_two(&window.kernel),
                last_two(&window.strides),
                last_two(pads),
                last_two(&window.dilations),
            ));
            let (h, w) = (pooled.dims()[2], pooled.dims()[3]);
            let columns = pooled.reshape(&[n * c, d, h * w, 1])?.permute(&[0, 2, 1, 3])?;
            let pooled = Value::new(pool(
                columns.float()?,
                [window.kernel[0], 1],
                [window.strides[0], 1],
                [pads[0], 0],
                [window.dilations[0], 1],
            ));
            let d = pooled.dims()[2];
            pooled.permute(&[0, 2, 1, 3])?.reshape(&[n, c, d, h, w])
        }
        _ => Err(format!("an input of shape {dims:?} is not supported")),
    }
}

/// Reduces all spatial axes to size 1.
fn global_pool(
    inputs: &Inputs,
    reduce: impl Fn(DispatchTensor, usize) -> DispatchTensor,
) -> Outcome<Value> {
    let x = inputs.value(0)?;
    let dims = x.dims();
    let [n, c, ..] = dims[..] else {
        return Err(format!("an input of shape {dims:?} is not supported"));
    };
    let mut reduced = vec![1; dims.len()];
    reduced[..2].copy_from_slice(&[n, c]);
    let flat = x.reshape(&[n, c, dims[2..].iter().product()])?;
    Value::new(reduce(flat.float()?, 2)).reshape(&reduced)
}
