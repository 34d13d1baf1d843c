//! The sliding window of convolutions and pooling: kernel size, strides, dilations and padding per axis.

use attriburn_kernels::frozen;
use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::Slice;
use burn::tensor::ops::PadMode;

use super::{Site, size};
use crate::room;
use crate::value::{Outcome, Value};

/// The window attributes of a node.
pub struct WindowConfig {
    kernel: Option<Vec<usize>>,
    strides: Option<Vec<usize>>,
    dilations: Option<Vec<usize>>,
    pads: Option<Vec<i64>>,
    auto_pad: AutoPad,
}

/// The values of the `auto_pad` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoPad {
    NotSet,
    Valid,
    SameUpper,
    SameLower,
}

/// A window over an input of known size, with explicit padding.
#[derive(Clone, Debug)]
pub struct Window {
    pub kernel: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    /// `(begin, end)` per axis; negative padding crops.
    pub pads: Vec<(i64, i64)>,
}

impl WindowConfig {
    /// Reads the window attributes of a node.
    pub fn new(site: &Site) -> Outcome<Self> {
        let positive = |name: &str| match site.ints(name)? {
            None => Ok(None),
            Some(values) => {
                let sizes = values.iter().map(|&value| size(value)).collect::<Outcome<Vec<_>>>()?;
                if sizes.contains(&0) {
                    return Err(format!("{name} {values:?} must be positive"));
                }
                Ok(Some(sizes))
            }
        };
        let auto_pad = match site.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" | "" => AutoPad::NotSet,
            "VALID" => AutoPad::Valid,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            other => return Err(format!("auto_pad {other:?} is not supported")),
        };
        Ok(Self {
            kernel: positive("kernel_shape")?,
            strides: positive("strides")?,
            dilations: positive("dilations")?,
            pads: site.ints("pads")?,
            auto_pad,
        })
    }

    /// Returns the window over an input of spatial size `sizes`. The kernel size is `kernel`, that of the
    /// weight tensor, or the attribute `kernel_shape`.
    pub fn window(&self, sizes: &[usize], kernel: Option<&[usize]>) -> Outcome<Window> {
        let mut window = self.resolve(kernel, sizes.len())?;
        for (axis, &size) in sizes.iter().enumerate() {
            let span = window.span(axis);
            if let Some(pads) = auto_padding(self.auto_pad, size, span, window.strides[axis]) {
                window.pads[axis] = pads;
            }
            let (begin, end) = window.pads[axis];
            if (size as i64 + begin + end) < span as i64 {
                return Err(format!(
                    "the kernel is larger than the padded input of spatial size {sizes:?}"
                ));
            }
        }
        Ok(window)
    }

    /// Returns the window of a transposed convolution with this kernel size.
    pub fn transposed(&self, kernel: &[usize]) -> Outcome<Window> {
        self.resolve(Some(kernel), kernel.len())
    }

    /// Returns the pooling window of an unpooling over `axes` spatial axes.
    pub fn unpooled(&self, axes: usize) -> Outcome<Window> {
        self.resolve(None, axes)
    }

    /// Fills in the defaults for `axes` spatial axes and checks the lengths of the attributes.
    fn resolve(&self, kernel: Option<&[usize]>, axes: usize) -> Outcome<Window> {
        let kernel = match (kernel, &self.kernel) {
            (Some(kernel), Some(attribute)) if kernel != attribute => {
                return Err(format!(
                    "kernel_shape {attribute:?} differs from the kernel size of the weight, {kernel:?}"
                ));
            }
            (Some(kernel), _) => kernel.to_vec(),
            (None, Some(attribute)) => attribute.clone(),
            (None, None) => return Err("the attribute kernel_shape is missing".into()),
        };
        let ones = |values: &Option<Vec<usize>>| values.clone().unwrap_or_else(|| vec![1; axes]);
        let (strides, dilations) = (ones(&self.strides), ones(&self.dilations));
        let pads = self.pads.clone().unwrap_or_else(|| vec![0; 2 * axes]);
        let lengths = [kernel.len(), strides.len(), dilations.len(), pads.len().div_ceil(2)];
        if lengths != [axes; 4] {
            return Err(format!(
                "kernel_shape, strides, dilations and pads do not match the {axes} spatial axes of the input"
            ));
        }
        let pads = (0..axes).map(|axis| (pads[axis], pads[axis + axes])).collect();
        Ok(Window { kernel, strides, dilations, pads })
    }

    /// Returns the output size of a transposed convolution for an input of `size`, if `auto_pad` is SAME.
    pub fn same_output(&self, size: usize, stride: usize) -> Option<i64> {
        let same = matches!(self.auto_pad, AutoPad::SameUpper | AutoPad::SameLower);
        same.then_some((size * stride) as i64)
    }

    /// Splits a `total` padding into begin and end padding, as `auto_pad` demands.
    pub fn split(&self, total: i64) -> (i64, i64) {
        match self.auto_pad {
            AutoPad::SameUpper => (total.div_euclid(2), total - total.div_euclid(2)),
            _ => (total - total.div_euclid(2), total.div_euclid(2)),
        }
    }
}

/// Returns the padding of an axis according to `auto_pad`; `None` if the padding is explicit. `span` is the
/// extent of the dilated kernel.
fn auto_padding(mode: AutoPad, size: usize, span: usize, stride: usize) -> Option<(i64, i64)> {
    let outputs = size.div_ceil(stride);
    let total = ((outputs.max(1) - 1) * stride + span).saturating_sub(size) as i64;
    match mode {
        AutoPad::NotSet => None,
        AutoPad::Valid => Some((0, 0)),
        AutoPad::SameUpper => Some((total / 2, total - total / 2)),
        AutoPad::SameLower => Some((total - total / 2, total / 2)),
    }
}

impl Window {
    /// Returns the window for a fused CPU segment, if it has two axes and does not crop.
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

    /// Returns the extent of the dilated kernel.
    pub fn span(&self, axis: usize) -> usize {
        self.dilations[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Crops the input by the negative padding and returns it with the remaining padding.
    pub fn crop(&self, x: &Value) -> Outcome<(Value, Vec<(usize, usize)>)> {
        let remain = |&(begin, end): &(i64, i64)| (begin.max(0) as usize, end.max(0) as usize);
        let padding = self.pads.iter().map(remain).collect();
        if self.pads.iter().all(|&(begin, end)| begin >= 0 && end >= 0) {
            return Ok((x.clone(), padding));
        }
        let negative: Vec<_> =
            self.pads.iter().map(|&(begin, end)| (begin.min(0), end.min(0))).collect();
        Ok((pad_spatial(x, &negative, 0.0)?, padding))
    }
}

/// Returns the sizes of the axes after padding.
pub fn padded_dims(dims: &[usize], pads: &[(usize, usize)]) -> Vec<usize> {
    let sizes = dims.iter().zip(pads);
    sizes.map(|(size, (a, b))| size.saturating_add(*a).saturating_add(*b)).collect()
}

/// Pads the spatial axes (all after batch and channels) with `fill`; negative padding crops.
pub fn pad_spatial(x: &Value, pads: &[(i64, i64)], fill: f32) -> Outcome<Value> {
    let dims = x.dims();
    let mut slices = vec![Slice::from(..); dims.len()];
    let mut positive_pads = vec![(0, 0); dims.len()];
    for (axis, &(begin, end)) in pads.iter().enumerate() {
        let (from, to) = ((-begin).max(0), dims[axis + 2] as i64 - (-end).max(0));
        if from > to {
            return Err(format!(
                "the padding {pads:?} crops more than the whole input of shape {dims:?}"
            ));
        }
        slices[axis + 2] = Slice::from(from as usize..to as usize);
        positive_pads[axis + 2] = (begin.max(0) as usize, end.max(0) as usize);
    }
    let cuts = pads.iter().any(|&(begin, end)| begin < 0 || end < 0);
    let x = if cuts { x.clone().slice(&slices) } else { x.clone() };
    if positive_pads.iter().all(|&pads| pads == (0, 0)) {
        return Ok(x);
    }
    room::check(&padded_dims(&x.dims(), &positive_pads))?;
    Ok(Value::new(Dispatch::float_pad(x.float()?, &positive_pads, PadMode::Constant(fill))))
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
        for (mode, size, span, stride, expected) in cases {
            assert_eq!(
                auto_padding(mode, size, span, stride),
                expected,
                "{mode:?} {size} {span} {stride}"
            );
        }
    }
}
