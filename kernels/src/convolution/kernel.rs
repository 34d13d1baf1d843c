//! The device kernel (CubeCL) of the input gradient, for any stride, dilation, number of groups and padding.
#![allow(missing_docs)] // CubeCL's macros generate public items without documentation.

use cubecl::prelude::*;

use crate::launch::THREADS;

/// The sizes of a launch.
#[derive(CubeLaunch, CubeType)]
pub struct Job {
    /// The number of elements of the input gradient.
    count: u32,
    /// The channels, height and width of the input.
    channels: u32,
    height: u32,
    width: u32,
    /// The channels, height and width of the output.
    outputs: u32,
    rows: u32,
    columns: u32,
    /// The input and output channels per group.
    inputs_per_group: u32,
    outputs_per_group: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_y: u32,
    stride_x: u32,
    padding_y: u32,
    padding_x: u32,
    dilation_y: u32,
    dilation_x: u32,
}

/// Computes one element `x[n][y][x][c]` of the input gradient per thread: the sum over all products that the
/// element takes part in. Layouts are channels last: `gradient[n][i][j][o]` and `weights[u][v][o][c]`, where
/// `c` runs over the channels of one group.
#[cube(launch)]
pub fn gradient_kernel<F: Float>(
    gradient: &[F],
    weights: &[F],
    input_gradient: &mut [F],
    job: &Job,
) {
    let at = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * THREADS + UNIT_POS_X;
    if at >= job.count {
        terminate!();
    }
    let channel = at % job.channels;
    let pixel = at / job.channels;
    let x = pixel % job.width + job.padding_x;
    let y = pixel / job.width % job.height + job.padding_y;
    let sample = pixel / job.width / job.height;
    let first = channel / job.inputs_per_group * job.outputs_per_group;
    let group_channel = channel % job.inputs_per_group;
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
                            let mut weight =
                                (tap * job.outputs + first) * job.inputs_per_group + group_channel;
                            let end = from + job.outputs_per_group;
                            while from < end {
                                sum += gradient[from as usize] * weights[weight as usize];
                                from += 1u32;
                                weight += job.inputs_per_group;
                            }
                        }
                    }
                }
            }
        }
    }
    input_gradient[at as usize] = sum;
}
