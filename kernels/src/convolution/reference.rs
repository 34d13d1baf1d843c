//! What is computed, number by number, in double precision.

/// The sizes of a convolution: `[height, width]` of each, the input `[samples, channels, height, width]`
/// and the weights `[outputs, channels / groups, rows, columns]`.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Of the input.
    pub input: [usize; 4],
    /// Of the weights.
    pub weights: [usize; 4],
    /// Groups of channels that are convolved apart.
    pub groups: usize,
    /// Between two windows.
    pub strides: [usize; 2],
    /// Between two taps of a window.
    pub dilations: [usize; 2],
    /// Zeros in front of the input and behind it.
    pub padding: [(usize, usize); 2],
}

impl Sizes {
    /// The shape of the output.
    pub fn output(&self) -> [usize; 4] {
        let along = |axis: usize| {
            let (begin, end) = self.padding[axis];
            let reach = self.dilations[axis] * (self.weights[axis + 2] - 1);
            (self.input[axis + 2] + begin + end - reach - 1) / self.strides[axis] + 1
        };
        [self.input[0], self.weights[0], along(0), along(1)]
    }

    /// Calls `each` with the places of every output, input and weight that make a product.
    pub fn each_product(&self, mut each: impl FnMut(usize, usize, usize)) {
        let ([samples, outputs, rows, columns], [_, channels, height, width]) =
            (self.output(), self.input);
        let [_, inputs, taps_y, taps_x] = self.weights;
        let place = |axis: usize, at: usize, tap: usize, size: usize| {
            (at * self.strides[axis] + tap * self.dilations[axis])
                .checked_sub(self.padding[axis].0)
                .filter(|&at| at < size)
        };
        let mut out = 0;
        for sample in 0..samples {
            for (output, at) in
                (0..outputs).flat_map(|output| (0..rows * columns).map(move |at| (output, at)))
            {
                let first = output / (outputs / self.groups) * inputs;
                for (c, tap) in
                    (0..inputs).flat_map(|c| (0..taps_y * taps_x).map(move |tap| (c, tap)))
                {
                    if let (Some(y), Some(x)) = (
                        place(0, at / columns, tap / taps_x, height),
                        place(1, at % columns, tap % taps_x, width),
                    ) {
                        let from = ((sample * channels + first + c) * height + y) * width + x;
                        each(out, from, (output * inputs + c) * taps_y * taps_x + tap);
                    }
                }
                out += 1;
            }
        }
    }
}

/// The output.
pub fn output(sizes: &Sizes, x: &[f32], weights: &[f32]) -> Vec<f64> {
    let mut y = vec![0.0; sizes.output().iter().product()];
    sizes.each_product(|out, from, weight| {
        y[out] += f64::from(x[from]) * f64::from(weights[weight]);
    });
    y
}

/// The gradient with respect to the input, from that with respect to the output.
pub fn gradient(sizes: &Sizes, gradient: &[f32], weights: &[f32]) -> Vec<f64> {
    let mut x = vec![0.0; sizes.input.iter().product()];
    sizes.each_product(|out, from, weight| {
        x[from] += f64::from(gradient[out]) * f64::from(weights[weight]);
    });
    x
}
