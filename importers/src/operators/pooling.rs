//! Pooling. Padding, its asymmetry and the ceiling of output sizes are made explicit here, so that
//! every device sees the one case it handles well.

use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar};

use super::window::{Frame, Window, resized};
use super::{Freezing, Inputs, Operator, Run, Site, one};
use crate::value::{Kind, Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[
    Operator::new("MaxPool", 1, (1, 1), max_pool).outputs(2).frozen(|own| {
        let window = frozen(own)?;
        own.builder.largest(own.x()?, window)
    }),
    Operator::new("AveragePool", 1, (1, 1), average_pool).frozen(|own| {
        let counts_padding = own.site.flag("count_include_pad", false).ok()?;
        let window = frozen(own)?;
        own.builder.window_mean(own.x()?, window, counts_padding)
    }),
    Operator::new("LpPool", 2, (1, 1), lp_pool),
    Operator::new("GlobalAveragePool", 1, (1, 1), |_| {
        one(|inputs| global(inputs, Dispatch::float_mean_dim))
    })
    .frozen(|own| own.builder.mean(own.x()?, &[2, 3])),
    Operator::new("GlobalMaxPool", 1, (1, 1), |_| {
        one(|inputs| global(inputs, Dispatch::float_max_dim))
    }),
    Operator::new("GlobalLpPool", 2, (1, 1), |site| {
        let p = site.int("p", 2)?;
        one(move |inputs| {
            global(inputs, move |x, axis| root(Dispatch::float_sum_dim(powers(x, p), axis), p))
        })
    }),
];

/// The window of a pooling as part of a segment.
fn frozen(own: &Freezing) -> Option<attriburn_kernels::frozen::Window> {
    let pool = Pool::new(own.site).ok()?;
    let window = pool.frame.window(&own.pixels()?, None).ok()?;
    window.frozen(pool.ceil)
}

/// A pooling's window, and how many windows there are.
struct Pool {
    frame: Frame,
    ceil: bool,
}

/// A window over an input of known sizes.
struct Placed {
    window: Window,
    /// What a rounded-up output needs beyond the padding at the end.
    beyond: Vec<i64>,
}

impl Pool {
    fn new(site: &Site) -> Outcome<Self> {
        Ok(Self { frame: Frame::new(site)?, ceil: site.flag("ceil_mode", false)? })
    }

    fn place(&self, x: &Value) -> Outcome<Placed> {
        let dims = x.dims();
        if dims.len() < 3 {
            return Err(format!("it does not take an input of {dims:?}"));
        }
        let window = self.frame.window(&dims[2..], None)?;
        let beyond = dims[2..].iter().enumerate().map(|(axis, &size)| {
            if !self.ceil {
                return 0;
            }
            let (span, stride) = (window.span(axis) as i64, window.strides[axis] as i64);
            let (begin, end) = window.pads[axis];
            let padded = size as i64 + begin + end;
            let mut outputs = (padded - span + stride - 1) / stride + 1;
            // A window that would start in the padding at the end is dropped.
            if (outputs - 1) * stride >= size as i64 + begin {
                outputs -= 1;
            }
            ((outputs - 1) * stride + span - padded).max(0)
        });
        let beyond = beyond.collect();
        Ok(Placed { window, beyond })
    }
}

impl Placed {
    /// The same padding at both ends of every axis, where it is so.
    fn symmetric(&self) -> Option<Vec<usize>> {
        let plain = self.beyond.iter().all(|&beyond| beyond == 0);
        let even = self.window.pads.iter().all(|&(begin, end)| begin == end && begin >= 0);
        let pads = self.window.pads.iter().map(|&(begin, _)| begin.max(0) as usize);
        (plain && even).then(|| pads.collect())
    }

    fn padded(&self, x: &Value, fill: f32) -> Outcome<Value> {
        let pads = self.window.pads.iter().zip(&self.beyond);
        let pads: Vec<_> = pads.map(|(&(begin, end), &beyond)| (begin, end + beyond)).collect();
        resized(x, &pads, fill)
    }

    /// Where the largest element of each window lies in the flat input, the first of several; with
    /// `columns_first` the axes of an image count in the other order.
    fn largest(&self, x: &Value, columns_first: bool) -> Outcome<Value> {
        let dims = x.dims();
        let (values, sizes) = (x.to_host()?.floats()?, &dims[2..]);
        let window = &self.window;
        let outs: Vec<usize> = (0..sizes.len())
            .map(|axis| {
                let (begin, end) = window.pads[axis];
                let padded = sizes[axis] as i64 + begin + end + self.beyond[axis];
                (padded as usize - window.span(axis)) / window.strides[axis] + 1
            })
            .collect();
        let split = |mut flat: usize, sizes: &[usize]| {
            let mut place = vec![0; sizes.len()];
            for axis in (0..sizes.len()).rev() {
                (place[axis], flat) = (flat % sizes[axis], flat / sizes[axis]);
            }
            place
        };
        let strides: Vec<usize> = (0..sizes.len())
            .map(|axis| match columns_first {
                true => sizes[..axis].iter().product(),
                false => sizes[axis + 1..].iter().product(),
            })
            .collect();
        let (area, count): (usize, usize) = (sizes.iter().product(), outs.iter().product());
        let taps: usize = window.kernel.iter().product();
        let mut indices = Vec::with_capacity(dims[0] * dims[1] * count);
        for plane in 0..dims[0] * dims[1] {
            for out in 0..count {
                let out = split(out, &outs);
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
                    if best.is_none_or(|(largest, _)| value > largest) {
                        let index = at.iter().zip(&strides).map(|(at, stride)| at * stride);
                        best = Some((value, plane * area + index.sum::<usize>()));
                    }
                }
                let (_, index) = best.ok_or("a window of it has no elements")?;
                indices.push(index as i64);
            }
        }
        Value::from_ints(indices).reshape(&[&dims[..2], &outs].concat())
    }

    /// For each output element along `axis`, how many elements of its window count.
    fn counts(&self, axis: usize, size: usize, counts_padding: bool) -> Vec<f32> {
        let (window, (begin, end)) = (&self.window, self.window.pads[axis]);
        let size = size as i64;
        let counted = match counts_padding {
            true => -begin..size + end,
            false => 0..size,
        };
        let (span, stride) = (window.span(axis) as i64, window.strides[axis]);
        (-begin..=size + end + self.beyond[axis] - span)
            .step_by(stride)
            .map(|start| {
                let places = (start..start + span).step_by(window.dilations[axis]);
                places.filter(|at| counted.contains(at)).count() as f32
            })
            .collect()
    }
}

/// Integers of 8 bits are pooled as floats, which hold them exactly.
fn max_pool(site: &Site) -> Outcome<Run> {
    let pool = Pool::new(site)?;
    let columns_first = site.opset() >= 8 && site.flag("storage_order", false)?;
    let indexes = site.node.outputs.get(1).is_some_and(Option::is_some);
    Ok(Box::new(move |inputs| {
        let x = inputs.value(0)?;
        let (element, kind) = (x.element(), x.kind());
        if element.integer().is_some_and(|(bytes, ..)| bytes > 1) {
            return Err(format!("it does not pool {}", element.name()));
        }
        let x = x.into_float();
        let placed = pool.place(&x)?;
        let indices = match indexes {
            true => Some(placed.largest(&x, columns_first)?),
            false => None,
        };
        let (x, pads) = match placed.symmetric() {
            Some(pads) => (x, pads),
            None => (placed.padded(&x, f32::NEG_INFINITY)?, vec![0; placed.beyond.len()]),
        };
        let pooled = over_axes(
            &x,
            &placed.window,
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
    one(move |inputs| {
        let x = inputs.value(0)?;
        let (placed, dims) = (pool.place(&x)?, x.dims());
        let window = &placed.window;
        let dilated = window.dilations.iter().any(|&dilation| dilation > 1);
        match placed.symmetric() {
            Some(pads) if !dilated && dims.len() <= 4 => {
                return over_axes(
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
            .map(|axis| placed.counts(axis - 2, dims[axis], counts_padding))
            .collect();
        if counts.iter().flatten().any(|&count| count == 0.0) {
            return Err("a window of it has no elements".into());
        }
        let mut sums = sums(&placed.padded(&x, 0.0)?, window)?;
        for (axis, counts) in counts.into_iter().enumerate() {
            let mut shape = vec![1; dims.len()];
            shape[axis + 2] = counts.len();
            let counts = Value::from_floats(counts).reshape(&shape)?;
            sums = binary(&sums, &counts, Dispatch::float_div, None)?;
        }
        Ok(sums)
    })
}

/// `(sum over the window of |x|^p)^(1/p)`.
fn lp_pool(site: &Site) -> Outcome<Run> {
    let pool = Pool::new(site)?;
    let p = site.int("p", 2)?;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let placed = pool.place(&x)?;
        let powers = powers(placed.padded(&x, 0.0)?.float()?, p);
        let sums = sums(&Value::new(powers), &placed.window)?;
        Ok(Value::new(root(sums.float()?, p)))
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

/// `x^(1/p)` of a sum of such powers.
fn root(x: DispatchTensor, p: i64) -> DispatchTensor {
    match p {
        1 => x,
        2 => super::safe_sqrt(x),
        p => Dispatch::float_powf_scalar(x, Scalar::Float(1.0 / p as f64)),
    }
}

/// The sum over each window of an input that is padded already: along one axis after the other, a
/// sum of shifted slices.
fn sums(x: &Value, window: &Window) -> Outcome<Value> {
    let mut x = x.clone();
    for axis in 0..window.kernel.len() {
        x = along(&x, window, axis, Dispatch::float_add)?;
    }
    Ok(x)
}

/// The windows along `axis` joined by `join`.
fn along(x: &Value, window: &Window, axis: usize, join: crate::value::Binary) -> Outcome<Value> {
    let dims = x.dims();
    let (span, stride) = (window.span(axis), window.strides[axis]);
    let last = (dims[axis + 2] - span) / stride * stride;
    let mut joined: Option<Value> = None;
    for tap in 0..window.kernel[axis] {
        let from = tap * window.dilations[axis];
        let part = if stride == 1 {
            x.clone().range(axis + 2, from..from + last + 1)
        } else {
            let places = (from..=from + last).step_by(stride).map(|place| place as i64);
            x.clone().select(axis + 2, places.collect())?
        };
        joined = Some(match joined {
            Some(joined) => binary(&joined, &part, join, None)?,
            None => part,
        });
    }
    joined.ok_or_else(|| "its window is empty".into())
}

/// A pooling over two axes: kernel, strides, padding, dilations.
type Pooling2d = [usize; 2];

/// Pools over one, two or three axes; the third apart from the others, of which the largest is the
/// largest of the largest.
fn over_axes(
    x: &Value,
    window: &Window,
    pads: &[usize],
    pool: impl Fn(DispatchTensor, Pooling2d, Pooling2d, Pooling2d, Pooling2d) -> DispatchTensor,
    splits: bool,
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
        5 if splits => {
            let [n, c, d, h, w] = dims[..] else {
                return Err(format!("it does not take an input of {dims:?}"));
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
        _ => Err(format!("it does not take an input of {dims:?}")),
    }
}

/// Reduces every axis after the channels.
fn global(
    inputs: &Inputs,
    reduce: impl Fn(DispatchTensor, usize) -> DispatchTensor,
) -> Outcome<Value> {
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
