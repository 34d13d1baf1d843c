//! The input gradient in CubeCL's language, for every stride, dilation, group and padding.

use cubecl::prelude::*;

use crate::launch::THREADS;

/// Sizes that are known when the kernel is launched.
#[derive(CubeLaunch, CubeType)]
pub struct Job {
    /// How many numbers are made.
    count: u32,
    /// Of the input.
    channels: u32,
    height: u32,
    width: u32,
    /// Of the output, whose gradient is given.
    outputs: u32,
    rows: u32,
    columns: u32,
    /// Channels and outputs of a group.
    inputs_each: u32,
    outputs_each: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_y: u32,
    stride_x: u32,
    padding_y: u32,
    padding_x: u32,
    dilation_y: u32,
    dilation_x: u32,
}

/// Each thread sums up one number of the input's gradient, `x[n][y][x][c]`, over all products in which
/// it took part. Channels lie side by side: `gradient[n][i][j][o]` and `weights[u][v][o][c]`, with the
/// channels of one group alone.
#[cube(launch)]
pub fn gradient_kernel<F: Float>(gradient: &[F], weights: &[F], made: &mut [F], job: &Job) {
    let at = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * THREADS + UNIT_POS_X;
    if at >= job.count {
        terminate!();
    }
    let channel = at % job.channels;
    let pixel = at / job.channels;
    let x = pixel % job.width + job.padding_x;
    let y = pixel / job.width % job.height + job.padding_y;
    let sample = pixel / job.width / job.height;
    let first = channel / job.inputs_each * job.outputs_each;
    let own = channel % job.inputs_each;
    let mut sum = F::new(0.0);
    for v in 0..job.kernel_height {
        let up = v * job.dilation_y;
        if up <= y {
            let row = (y - up) / job.stride_y;
            if row * job.stride_y + up == y && row < job.rows {
                for u in 0..job.kernel_width {
                    let left = u * job.dilation_x;
                    if left <= x {
                        let column = (x - left) / job.stride_x;
                        if column * job.stride_x + left == x && column < job.columns {
                            let row = sample * job.rows + row;
                            let tap = v * job.kernel_width + u;
                            let mut from = (row * job.columns + column) * job.outputs + first;
                            let mut weight = (tap * job.outputs + first) * job.inputs_each + own;
                            let end = from + job.outputs_each;
                            while from < end {
                                sum += gradient[from as usize] * weights[weight as usize];
                                from += 1u32;
                                weight += job.inputs_each;
                            }
                        }
                    }
                }
            }
        }
    }
    made[at as usize] = sum;
}
