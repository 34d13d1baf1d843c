//! The window of a convolution or pooling, and the size of its output.

/// The window of a convolution or pooling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The height and width of the kernel.
    pub kernel: [usize; 2],
    /// The vertical and horizontal stride.
    pub strides: [usize; 2],
    /// The vertical and horizontal dilation.
    pub dilations: [usize; 2],
    /// Padding at the top and the left.
    pub begin: [usize; 2],
    /// Padding at the bottom and the right.
    pub end: [usize; 2],
    /// Whether the output size is rounded up (ONNX `ceil_mode`): the last window of a pooling may extend
    /// beyond the padding.
    pub ceil: bool,
}

impl Window {
    /// Returns the window of a pointwise convolution: one pixel, stride 1, no padding.
    pub fn pixel() -> Self {
        Self {
            kernel: [1, 1],
            strides: [1, 1],
            dilations: [1, 1],
            begin: [0, 0],
            end: [0, 0],
            ceil: false,
        }
    }

    /// Returns the output size along `axis` for an input of `size`; `None` if no window fits.
    pub fn outputs(&self, axis: usize, size: usize) -> Option<usize> {
        let extent = self.dilations[axis] * (self.kernel[axis] - 1) + 1;
        let stride = self.strides[axis];
        let rest = (size + self.begin[axis] + self.end[axis]).checked_sub(extent)?;
        if !self.ceil {
            return Some(rest / stride + 1);
        }
        let outputs = rest.div_ceil(stride) + 1;
        // A window that would begin in the padding at the end is dropped.
        let begins_in_end_padding = (outputs - 1) * stride >= size + self.begin[axis];
        Some(outputs - usize::from(begins_in_end_padding))
    }
}
