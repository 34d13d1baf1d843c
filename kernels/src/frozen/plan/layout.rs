//! How values and their gradients lie in memory.

use super::super::aligned::Aligned;
use super::super::arrange::Move;
use super::super::build::{Builder, Operation, Value};
use super::super::image::{Image, LANES};
use super::super::segment::Outside;
use super::super::view::{Pair, View};
use super::{Kind, Unit};

/// How values and their gradients lie in memory.
pub struct Layout {
    pub values: Vec<Image>,
    pub gradients: Vec<Image>,
    /// The pixels to each side of the input that are one of its gradient.
    side: usize,
    /// Values that are the same for every sample.
    constants: Vec<Value>,
}

impl Layout {
    pub fn new(builder: &Builder, units: &[Unit]) -> Self {
        let count = builder.nodes.len();
        let (mut values, mut gradients) = (vec![0; count], vec![0; count]);
        // Only convolutions over a few channels read them side by side.
        let mut dense = builder.dims(Value(0))[0] < LANES;
        let size = |value: Value| [builder.dims(value)[1], builder.dims(value)[2]];
        let sides = units.iter().filter_map(|unit| match unit.kind {
            Kind::Convolution { side, .. } => Some(side),
            _ => None,
        });
        let side = sides.max().unwrap_or(1);
        let [channels, height, width] = builder.dims(Value(0));
        let squares = [side * side * channels, height.div_ceil(side), width.div_ceil(side)];
        for unit in units {
            let [forward, backward] = unit.kind.phases();
            dense &=
                matches!(unit.kind, Kind::Convolution { .. }) || !unit.inputs.contains(&Value(0));
            dense &= unit.added != Some(Value(0));
            let from = unit.inputs[0];
            for phase in forward {
                let halo = phase.halo(size(from), size(unit.output));
                values[from.0] = halo.max(values[from.0]);
            }
            let made = if from == Value(0) { [squares[1], squares[2]] } else { size(from) };
            for phase in backward {
                let halo = phase.halo(size(unit.output), made);
                gradients[unit.output.0] = halo.max(gradients[unit.output.0]);
            }
        }
        let image = |at: usize, halo: usize| Image::new(builder.nodes[at].dims, halo);
        let mut own: Vec<Image> = (0..count).map(|at| image(at, values[at])).collect();
        if dense {
            own[0] = Image::dense(builder.nodes[0].dims, values[0]);
        }
        let mut gradients: Vec<Image> = (0..count).map(|at| image(at, gradients[at])).collect();
        gradients[0] = Image::new(squares, gradients[0].halo);
        let is_constant =
            |value: &Value| matches!(builder.nodes[value.0].operation, Operation::Constant(_));
        let constants = (0..count).map(Value).filter(is_constant).collect();
        Self { values: own, gradients, side, constants }
    }

    /// Which of the constants a value is.
    pub fn constant(&self, value: Value) -> Option<usize> {
        self.constants.iter().position(|&own| own == value)
    }

    /// The pictures of the constants.
    pub fn constants(&self, builder: &Builder) -> Vec<Aligned> {
        let picture = |value: &Value| {
            let image = self.values[value.0];
            let mut picture = Aligned::zeros(image.len());
            if let Operation::Constant(planes) = &builder.nodes[value.0].operation {
                image.load(planes, &mut picture);
            }
            picture
        };
        self.constants.iter().map(picture).collect()
    }

    /// How `value`, from outside, comes to lie in `image`.
    pub fn load(&self, builder: &Builder, value: Value, image: &Image) -> Outside {
        self.outside(builder, value, |view, pairs, (rows, dense)| {
            Move::new(pairs, (rows, dense), (view, image))
        })
    }

    /// How `value`, or its gradient, comes out of `image`.
    pub fn store(&self, builder: &Builder, value: Value, image: &Image) -> Outside {
        let turned = |pairs: &[Pair]| pairs.iter().map(|pair| pair.turned()).collect::<Vec<_>>();
        self.outside(builder, value, |view, pairs, (rows, dense)| {
            Move::new(&turned(pairs), (view, image), (rows, dense))
        })
    }

    fn outside(
        &self,
        builder: &Builder,
        value: Value,
        other: impl FnOnce(&View, &[Pair], (&View, &Image)) -> Move,
    ) -> Outside {
        let dims = builder.dims(value);
        if builder.is_planes(value) {
            return Outside::Planes { side: self.side, dims };
        }
        let view = builder.view(value);
        // As a picture whose channels are the last axis, without gaps.
        let rows = View::rows(view.batch(), &view.shape());
        let (rows, size) = rows.expect("a batch divides its axis");
        let pairs = rows.pairs(view).expect("an axis of a whole picture");
        Outside::Other(other(view, &pairs, (&rows, &Image::dense(size, 0))))
    }
}
