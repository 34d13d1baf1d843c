//! Reference implementation of convolutions in double precision, with plain loops.

/// The sizes of a convolution. Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The shape of the input, `[samples, channels, height, width]`.
    pub input: [usize; 4],
    /// The shape of the weights, `[outputs, channels / groups, rows, columns]`.
    pub weights: [usize; 4],
    /// The number of groups.
    pub groups: usize,
    /// The strides.
    pub strides: [usize; 2],
    /// The dilations.
    pub dilations: [usize; 2],
    /// The zero padding of each axis, (before, after).
    pub padding: [(usize, usize); 2],
}

impl Sizes {
    /// Returns the shape of the output.
    pub fn output(&self) -> [usize; 4] {
        let along = |axis: usize| {
            let (begin, end) = self.padding[axis];
            let reach = self.dilations[axis] * (self.weights[axis + 2] - 1);
            (self.input[axis + 2] + begin + end - reach - 1) / self.strides[axis] + 1
        };
        [self.input[0], self.weights[0], along(0), along(1)]
    }

    /// Calls `each` for every term of the convolution with the offsets of the output, the input and the
    /// weight.
    pub fn each_product(&self, mut each: impl FnMut(usize, usize, usize)) {
        let ([samples, outputs, rows, columns], [_, channels, height, width]) =
            (self.output(), self.input);
        let [_, inputs, taps_y, taps_x] = self.weights;
        let input_position = |axis: usize, at: usize, tap: usize, size: usize| {
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
                        input_position(0, at / columns, tap / taps_x, height),
                        input_position(1, at % columns, tap % taps_x, width),
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

/// Computes the output.
pub fn output(sizes: &Sizes, x: &[f32], weights: &[f32]) -> Vec<f64> {
    let mut y = vec![0.0; sizes.output().iter().product()];
    sizes.each_product(|out, from, weight| {
        y[out] += f64::from(x[from]) * f64::from(weights[weight]);
    });
    y
}

/// Computes the gradient with respect to the input from the gradient with respect to the output.
pub fn gradient(sizes: &Sizes, gradient: &[f32], weights: &[f32]) -> Vec<f64> {
    let mut x = vec![0.0; sizes.input.iter().product()];
    sizes.each_product(|out, from, weight| {
        x[from] += f64::from(gradient[out]) * f64::from(weights[weight]);
    });
    x
}
