//! Memory layout of images.
//!
//! An *image* is one sample of a tensor in channels-last storage: an input image or a feature map.

/// Layout `[height][width][stride]` with a halo of zeros around it. The channels of a pixel are contiguous;
/// the padding between `channels` and `stride` is never read as a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// The number of elements per pixel: the channels, padded.
    pub stride: usize,
    /// The width of the zero border on each side, in pixels.
    pub halo: usize,
}

/// The number of SIMD lanes to a multiple of which the channels of a pixel are padded.
pub const LANES: usize = 16;

impl Image {
    /// Returns the layout with the channels padded to a multiple of [`LANES`]; `dims` is
    /// `[channels, height, width]`.
    pub fn new(dims: [usize; 3], halo: usize) -> Self {
        let [channels, height, width] = dims;
        Self { height, width, channels, stride: channels.next_multiple_of(LANES), halo }
    }

    /// Returns the layout without padding between pixels.
    pub fn dense(dims: [usize; 3], halo: usize) -> Self {
        let [channels, height, width] = dims;
        Self { height, width, channels, stride: channels, halo }
    }

    /// The number of elements of a row, including the halo.
    pub fn row(&self) -> usize {
        (self.width + 2 * self.halo) * self.stride
    }

    /// The number of elements of the image, including the halo.
    pub fn len(&self) -> usize {
        (self.height + 2 * self.halo) * self.row()
    }

    /// The number of elements of the image without the halo.
    pub fn area(&self) -> usize {
        self.height * self.width * self.stride
    }

    /// The offset of the first channel of pixel (`y`, `x`).
    pub fn offset(&self, y: usize, x: usize) -> usize {
        (y + self.halo) * self.row() + (x + self.halo) * self.stride
    }

    /// The elements of row `y` without the halo.
    pub fn inner(&self, y: usize) -> std::ops::Range<usize> {
        let first = self.offset(y, 0);
        first..first + self.width * self.stride
    }

    /// Sets the halo to zero.
    pub fn clear_halo(&self, data: &mut [f32]) {
        if self.halo == 0 {
            return;
        }
        let (row, edge) = (self.row(), self.halo * self.stride);
        let last = (self.height + self.halo) * row;
        data[..self.halo * row].fill(0.0);
        data[last..last + self.halo * row].fill(0.0);
        for y in self.halo..self.height + self.halo {
            data[y * row..y * row + edge].fill(0.0);
            data[(y + 1) * row - edge..(y + 1) * row].fill(0.0);
        }
    }

    /// Copies a tensor `[channels][height][width]` into the image.
    pub fn load(&self, planes: &[f32], data: &mut [f32]) {
        let area = self.height * self.width;
        for y in 0..self.height {
            let row = &mut data[self.inner(y)];
            for channel in 0..self.channels {
                let plane = &planes[channel * area + y * self.width..][..self.width];
                for (pixel, value) in row.chunks_exact_mut(self.stride).zip(plane) {
                    pixel[channel] = *value;
                }
            }
        }
    }

    /// Copies the image to a tensor `[channels][height][width]` of shape `dims` (depth to space): each
    /// pixel of the image holds a block of `block_size` by `block_size` pixels of the tensor, as
    /// `[block_size][block_size][channels]`.
    pub fn store(&self, data: &[f32], block_size: usize, dims: [usize; 3], planes: &mut [f32]) {
        let [channels, height, width] = dims;
        for (channel, plane) in planes.chunks_exact_mut(height * width).enumerate() {
            for (y, row) in plane.chunks_exact_mut(width).enumerate() {
                let pixels = data[self.inner(y / block_size)].chunks_exact(self.stride);
                for (part, pixel) in row.chunks_mut(block_size).zip(pixels) {
                    for (x, value) in part.iter_mut().enumerate() {
                        *value = pixel[(y % block_size * block_size + x) * channels + channel];
                    }
                }
            }
        }
    }
}
