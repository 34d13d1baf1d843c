//! The windows of convolutions and poolings: kernel, strides, dilations and padding, per axis.

use attriburn_kernels::frozen;
use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::Slice;
use burn::tensor::ops::PadMode;

use super::{Site, size};
use crate::room;
use crate::value::{Outcome, Value};

/// The attributes of a node that describe its window.
pub struct Frame {
    kernel: Option<Vec<usize>>,
    strides: Option<Vec<usize>>,
    dilations: Option<Vec<usize>>,
    pads: Option<Vec<i64>>,
    auto_pad: AutoPad,
}

/// Padding that follows from the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoPad {
    NotSet,
    Valid,
    SameUpper,
    SameLower,
}

/// A window over an input of known sizes.
#[derive(Clone, Debug)]
pub struct Window {
    pub kernel: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    /// `(begin, end)`; negative padding cuts.
    pub pads: Vec<(i64, i64)>,
}

impl Frame {
    pub fn new(site: &Site) -> Outcome<Self> {
        let positive = |name: &str| match site.ints(name)? {
            None => Ok(None),
            Some(values) => {
                let sizes = values.iter().map(|&value| size(value)).collect::<Outcome<Vec<_>>>()?;
                if sizes.contains(&0) {
                    return Err(format!("its {name} {values:?} must be positive"));
                }
                Ok(Some(sizes))
            }
        };
        let auto_pad = match site.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" | "" => AutoPad::NotSet,
            "VALID" => AutoPad::Valid,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            other => return Err(format!("its auto_pad {other:?} is not known")),
        };
        Ok(Self {
            kernel: positive("kernel_shape")?,
            strides: positive("strides")?,
            dilations: positive("dilations")?,
            pads: site.ints("pads")?,
            auto_pad,
        })
    }

    /// The window over an input of `sizes`, with the `kernel` of a weight or that of the node.
    pub fn window(&self, sizes: &[usize], kernel: Option<&[usize]>) -> Outcome<Window> {
        let mut window = self.at(kernel, sizes.len())?;
        for (axis, &size) in sizes.iter().enumerate() {
            let span = window.span(axis);
            if let Some(pads) = same(self.auto_pad, size, span, window.strides[axis]) {
                window.pads[axis] = pads;
            }
            let (begin, end) = window.pads[axis];
            if (size as i64 + begin + end) < span as i64 {
                return Err(format!("its kernel does not fit an input of {sizes:?}"));
            }
        }
        Ok(window)
    }

    /// The window of a transposed convolution with this kernel.
    pub fn transposed(&self, kernel: &[usize]) -> Outcome<Window> {
        self.at(Some(kernel), kernel.len())
    }

    /// The window whose pooling is undone over so many axes.
    pub fn unpooled(&self, axes: usize) -> Outcome<Window> {
        self.at(None, axes)
    }

    fn at(&self, kernel: Option<&[usize]>, axes: usize) -> Outcome<Window> {
        let kernel = match (kernel, &self.kernel) {
            (Some(kernel), Some(own)) if kernel != own => {
                return Err(format!(
                    "its kernel_shape {own:?} is not that of its weight, {kernel:?}"
                ));
            }
            (Some(kernel), _) => kernel.to_vec(),
            (None, Some(own)) => own.clone(),
            (None, None) => return Err("it has no kernel_shape".into()),
        };
        let ones = |values: &Option<Vec<usize>>| values.clone().unwrap_or_else(|| vec![1; axes]);
        let (strides, dilations) = (ones(&self.strides), ones(&self.dilations));
        let pads = self.pads.clone().unwrap_or_else(|| vec![0; 2 * axes]);
        let lengths = [kernel.len(), strides.len(), dilations.len(), pads.len().div_ceil(2)];
        if lengths != [axes; 4] {
            return Err(format!("its window has other axes than the {axes} of its input"));
        }
        let pads = (0..axes).map(|axis| (pads[axis], pads[axis + axes])).collect();
        Ok(Window { kernel, strides, dilations, pads })
    }

    /// The size that a transposed convolution makes of `size` where its padding is automatic.
    pub fn same_output(&self, size: usize, stride: usize) -> Option<i64> {
        let same = matches!(self.auto_pad, AutoPad::SameUpper | AutoPad::SameLower);
        same.then_some((size * stride) as i64)
    }

    /// A padding of `total` in a part at the begin and one at the end.
    pub fn split(&self, total: i64) -> (i64, i64) {
        match self.auto_pad {
            AutoPad::SameUpper => (total.div_euclid(2), total - total.div_euclid(2)),
            _ => (total - total.div_euclid(2), total.div_euclid(2)),
        }
    }
}

/// The padding that automatic padding means for an axis; `None` where the explicit one holds. `span`
/// is the extent of the dilated kernel.
fn same(auto: AutoPad, size: usize, span: usize, stride: usize) -> Option<(i64, i64)> {
    let outputs = size.div_ceil(stride);
    let total = ((outputs.max(1) - 1) * stride + span).saturating_sub(size) as i64;
    match auto {
        AutoPad::NotSet => None,
        AutoPad::Valid => Some((0, 0)),
        AutoPad::SameUpper => Some((total / 2, total - total / 2)),
        AutoPad::SameLower => Some((total - total / 2, total / 2)),
    }
}

impl Window {
    /// The window of a segment, where it has two axes and does not cut.
    pub fn frozen(&self, ceil: bool) -> Option<frozen::Window> {
        let pads: Option<Vec<(usize, usize)>> = self
            .pads
            .iter()
            .map(|&(begin, end)| Some((usize::try_from(begin).ok()?, usize::try_from(end).ok()?)))
            .collect();
        let [(top, bottom), (left, right)] = pads?[..] else { return None };
        Some(frozen::Window {
            kernel: self.kernel[..].try_into().ok()?,
            strides: self.strides[..].try_into().ok()?,
            dilations: self.dilations[..].try_into().ok()?,
            begin: [top, left],
            end: [bottom, right],
            ceil,
        })
    }

    /// The extent of the dilated kernel.
    pub fn span(&self, axis: usize) -> usize {
        self.dilations[axis] * (self.kernel[axis] - 1) + 1
    }

    /// The input with what negative padding cuts cut off, and the padding that remains.
    pub fn cut(&self, x: &Value) -> Outcome<(Value, Vec<(usize, usize)>)> {
        let remain = |&(begin, end): &(i64, i64)| (begin.max(0) as usize, end.max(0) as usize);
        let padding = self.pads.iter().map(remain).collect();
        if self.pads.iter().all(|&(begin, end)| begin >= 0 && end >= 0) {
            return Ok((x.clone(), padding));
        }
        let negative: Vec<_> =
            self.pads.iter().map(|&(begin, end)| (begin.min(0), end.min(0))).collect();
        Ok((resized(x, &negative, 0.0)?, padding))
    }
}

/// The sizes of axes with padding at both ends.
pub fn padded(dims: &[usize], pads: &[(usize, usize)]) -> Vec<usize> {
    let sizes = dims.iter().zip(pads);
    sizes.map(|(size, (a, b))| size.saturating_add(*a).saturating_add(*b)).collect()
}

/// The axes behind the batch and the channels padded with `fill`; negative padding cuts.
pub fn resized(x: &Value, pads: &[(i64, i64)], fill: f32) -> Outcome<Value> {
    let dims = x.dims();
    let mut slices = vec![Slice::from(..); dims.len()];
    let mut grown = vec![(0, 0); dims.len()];
    for (axis, &(begin, end)) in pads.iter().enumerate() {
        let (from, to) = ((-begin).max(0), dims[axis + 2] as i64 - (-end).max(0));
        if from > to {
            return Err(format!("its padding {pads:?} cuts more than there is of {dims:?}"));
        }
        slices[axis + 2] = Slice::from(from as usize..to as usize);
        grown[axis + 2] = (begin.max(0) as usize, end.max(0) as usize);
    }
    let cuts = pads.iter().any(|&(begin, end)| begin < 0 || end < 0);
    let x = if cuts { x.clone().slice(&slices) } else { x.clone() };
    if grown.iter().all(|&pads| pads == (0, 0)) {
        return Ok(x);
    }
    room::check(&padded(&x.dims(), &grown))?;
    Ok(Value::new(Dispatch::float_pad(x.float()?, &grown, PadMode::Constant(fill))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_follows_the_specification() {
        let cases = [
            (AutoPad::NotSet, 7, 3, 2, None),
            (AutoPad::Valid, 7, 3, 2, Some((0, 0))),
            (AutoPad::SameUpper, 7, 3, 2, Some((1, 1))),
            (AutoPad::SameUpper, 6, 3, 2, Some((0, 1))),
            (AutoPad::SameLower, 6, 3, 2, Some((1, 0))),
            (AutoPad::SameUpper, 5, 1, 2, Some((0, 0))),
        ];
        for (auto, size, span, stride, expected) in cases {
            assert_eq!(same(auto, size, span, stride), expected, "{auto:?} {size} {span} {stride}");
        }
    }
}
