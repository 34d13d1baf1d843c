//! The memory layouts of values and gradients.

use super::super::aligned::AlignedBuffer;
use super::super::build::{Builder, Operation, Value};
use super::super::image::{Image, LANES};
use super::super::joint_loop::JointLoop;
use super::super::segment::ExternalLayout;
use super::super::strided_copy::StridedCopy;
use super::super::view::View;
use super::unit::{Unit, UnitKind};

/// The memory layouts of all values and of their gradients.
pub struct Layout {
    pub values: Vec<Image>,
    pub gradients: Vec<Image>,
    /// The block size of the input gradient in space-to-depth layout.
    block_size: usize,
    /// The values that are constants.
    constants: Vec<Value>,
}

impl Layout {
    pub fn new(builder: &Builder, units: &[Unit]) -> Self {
        let count = builder.nodes.len();
        let (mut values, mut gradients) = (vec![0; count], vec![0; count]);
        // The input is stored without channel padding if it has few channels and only convolutions read it.
        let mut dense = builder.dims(Value(0))[0] < LANES;
        let size = |value: Value| [builder.dims(value)[1], builder.dims(value)[2]];
        let block_sizes = units.iter().filter_map(|unit| match unit.kind {
            UnitKind::Convolution { block_size, .. } => Some(block_size),
            _ => None,
        });
        let block_size = block_sizes.max().unwrap_or(1);
        let [channels, height, width] = builder.dims(Value(0));
        let blocked_dims = [
            block_size * block_size * channels,
            height.div_ceil(block_size),
            width.div_ceil(block_size),
        ];
        for unit in units {
            let [forward, backward] = unit.kind.phases();
            dense &= matches!(unit.kind, UnitKind::Convolution { .. })
                || !unit.inputs.contains(&Value(0));
            dense &= unit.addend != Some(Value(0));
            let from = unit.inputs[0];
            for phase in forward {
                let halo = phase.halo(size(from), size(unit.output));
                values[from.0] = halo.max(values[from.0]);
            }
            let gradient_size =
                if from == Value(0) { [blocked_dims[1], blocked_dims[2]] } else { size(from) };
            for phase in backward {
                let halo = phase.halo(size(unit.output), gradient_size);
                gradients[unit.output.0] = halo.max(gradients[unit.output.0]);
            }
        }
        let image = |at: usize, halo: usize| Image::new(builder.nodes[at].dims, halo);
        let mut images: Vec<Image> = (0..count).map(|at| image(at, values[at])).collect();
        if dense {
            images[0] = Image::dense(builder.nodes[0].dims, values[0]);
        }
        let mut gradients: Vec<Image> = (0..count).map(|at| image(at, gradients[at])).collect();
        gradients[0] = Image::new(blocked_dims, gradients[0].halo);
        let is_constant =
            |value: &Value| matches!(builder.nodes[value.0].operation, Operation::Constant(_));
        let constants = (0..count).map(Value).filter(is_constant).collect();
        Self { values: images, gradients, block_size, constants }
    }

    /// The index of `value` among the constants, if it is one.
    pub fn constant(&self, value: Value) -> Option<usize> {
        self.constants.iter().position(|&constant| constant == value)
    }

    /// The data of the constants as images.
    pub fn constants(&self, builder: &Builder) -> Vec<AlignedBuffer> {
        let load = |value: &Value| {
            let image = self.values[value.0];
            let mut data = AlignedBuffer::zeros(image.len());
            if let Operation::Constant(planes) = &builder.nodes[value.0].operation {
                image.load(planes, &mut data);
            }
            data
        };
        self.constants.iter().map(load).collect()
    }

    /// The layout from which `value` is loaded into `image`.
    pub fn load(&self, builder: &Builder, value: Value, image: &Image) -> ExternalLayout {
        self.external(builder, value, |view, joint_loops, (rows, dense)| {
            StridedCopy::new(joint_loops, (rows, dense), (view, image))
        })
    }

    /// The layout to which `value`, or its gradient, is stored from `image`.
    pub fn store(&self, builder: &Builder, value: Value, image: &Image) -> ExternalLayout {
        let swapped = |joint_loops: &[JointLoop]| {
            joint_loops.iter().map(|joint| joint.swapped()).collect::<Vec<_>>()
        };
        self.external(builder, value, |view, joint_loops, (rows, dense)| {
            StridedCopy::new(&swapped(joint_loops), (view, image), (rows, dense))
        })
    }

    /// The layout of `value` outside the segment: NCHW, or the tensor in row-major order. For the latter,
    /// `copy` returns the copy between the image and the tensor.
    fn external(
        &self,
        builder: &Builder,
        value: Value,
        copy: impl FnOnce(&View, &[JointLoop], (&View, &Image)) -> StridedCopy,
    ) -> ExternalLayout {
        let dims = builder.dims(value);
        if builder.is_planes(value) {
            return ExternalLayout::Nchw { block_size: self.block_size, dims };
        }
        let view = builder.view(value);
        // The tensor in row-major order is an image of one row whose channels are the last axis.
        let rows = View::channels_last(view.batch(), &view.shape());
        let (rows, size) = rows.expect("the number of samples divides the batch axis");
        let joint_loops = rows.joint_loops(view).expect("the view covers the whole image");
        ExternalLayout::Strided(copy(view, &joint_loops, (&rows, &Image::dense(size, 0))))
    }
}
