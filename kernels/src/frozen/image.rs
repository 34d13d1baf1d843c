//! How a picture, or one sample of an activation, lies in memory.

/// `[height][width][stride]` numbers with a halo of zeros around them. Channels lie side by side;
/// what fills the stride up behind them is never read as a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// The numbers of a pixel.
    pub stride: usize,
    /// Zeros around the picture, in pixels.
    pub halo: usize,
}

/// Lanes to which the channels of a pixel are filled up.
pub const LANES: usize = 16;

impl Image {
    /// A picture whose channels are filled up to whole lanes.
    pub fn new(dims: [usize; 3], halo: usize) -> Self {
        let [channels, height, width] = dims;
        Self { height, width, channels, stride: channels.next_multiple_of(LANES), halo }
    }

    /// A picture whose pixels lie side by side.
    pub fn dense(dims: [usize; 3], halo: usize) -> Self {
        let [channels, height, width] = dims;
        Self { height, width, channels, stride: channels, halo }
    }

    /// The numbers of a row, its halo included.
    pub fn row(&self) -> usize {
        (self.width + 2 * self.halo) * self.stride
    }

    /// The numbers of the picture, its halo included.
    pub fn len(&self) -> usize {
        (self.height + 2 * self.halo) * self.row()
    }

    /// The numbers of the picture without its halo.
    pub fn area(&self) -> usize {
        self.height * self.width * self.stride
    }

    /// Where a pixel lies.
    pub fn offset(&self, y: usize, x: usize) -> usize {
        (y + self.halo) * self.row() + (x + self.halo) * self.stride
    }

    /// The numbers of row `y`, without its halo.
    pub fn inner(&self, y: usize) -> std::ops::Range<usize> {
        let first = self.offset(y, 0);
        first..first + self.width * self.stride
    }

    /// Makes the halo zero.
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

    /// Fills the picture from `[channels][height][width]`.
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

    /// Writes the picture as `[channels][height][width]`. Each of its pixels is `side` times `side` of
    /// those, whose channels lie side by side.
    pub fn store(&self, data: &[f32], side: usize, dims: [usize; 3], planes: &mut [f32]) {
        let [channels, height, width] = dims;
        for (channel, plane) in planes.chunks_exact_mut(height * width).enumerate() {
            for (y, row) in plane.chunks_exact_mut(width).enumerate() {
                let pixels = data[self.inner(y / side)].chunks_exact(self.stride);
                for (part, pixel) in row.chunks_mut(side).zip(pixels) {
                    for (x, value) in part.iter_mut().enumerate() {
                        *value = pixel[(y % side * side + x) * channels + channel];
                    }
                }
            }
        }
    }
}
