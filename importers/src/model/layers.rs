//! The layers of a model at which class activation maps can be computed: the float values that depend on the
//! sample and whose elements have positions in the image.

use attriburn::{Error, Layer};
use burn::tensor::Tensor;

use crate::graph::{Graph, Id, Node};
use crate::operators::Role;
use crate::passes::segments::Observed;
use crate::value::{Outcome, Value};

/// The layers of a model in execution order.
#[derive(Default)]
pub struct Layers {
    known: Vec<KnownLayer>,
    /// The layers that are listed.
    listed: Vec<Layer>,
}

/// A layer and its value in the graph.
#[derive(Debug)]
pub struct KnownLayer {
    pub layer: Layer,
    pub id: Id,
    pub arrangement: Arrangement,
    /// The name of the node that computes the value.
    node: String,
    /// Whether class activation maps are common at this layer: everything that the scores depend on passes
    /// through it, or it is the output of a normalization, as the input of an attention is.
    is_listed: bool,
}

/// The axes of a layer's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// `[n, channels, height, width]`.
    Planes,
    /// `[n, height, width, channels]`.
    Pixels,
    /// `[n, extra + positions, channels]`: tokens, behind extra ones such as the class token.
    Tokens { extra: usize },
    /// `[n, channels, extra + positions]`.
    ChannelsOfTokens { extra: usize },
}

/// The largest number of tokens without a position.
const MAX_EXTRA_TOKENS: usize = 16;

/// The number of extra tokens up to which the axis before the channels is taken for that of the tokens: a class
/// token and four registers.
const COMMON_EXTRA_TOKENS: usize = 5;

impl Layers {
    /// Finds the layers of `graph`, which was run on a batch of the shape `input`. Models whose samples are no
    /// images `[channels, height, width]` have none.
    pub fn find(graph: &Graph, observed: &Observed, input: &[usize]) -> Self {
        let &[rows, _, height, width] = input else { return Self::default() };
        let is_of_sample = graph.values_of_sample();
        let is_bottleneck = find_bottlenecks(graph, &is_of_sample);
        let producers = graph.producers();
        let layer = |node: &Node, id: Id| {
            if !is_of_sample[id.0] || !observed.floats.contains(&id) {
                return None;
            }
            let (layer, arrangement) =
                Arrangement::of(observed.shapes.get(&id)?, rows, [height, width])?;
            let is_output = graph.outputs.contains(&id);
            Some(KnownLayer {
                layer: Layer { name: graph.values[id.0].name.clone(), ..layer },
                id,
                arrangement,
                node: node.name.clone(),
                // A normalization with separate heads, as of the keys of an attention, has no positions.
                is_listed: !is_output
                    && (is_bottleneck[id.0]
                        || (arrangement != Arrangement::Planes
                            && is_normalization(graph, &producers, node))),
            })
        };
        let layers_of = |node: &Node| -> Vec<KnownLayer> {
            node.outputs.iter().flatten().filter_map(|&id| layer(node, id)).collect()
        };
        let known: Vec<KnownLayer> = graph.nodes.iter().flat_map(layers_of).collect();
        let listed = known.iter().filter(|known| known.is_listed);
        Self { listed: listed.map(|known| known.layer.clone()).collect(), known }
    }

    /// Returns the layers at which class activation maps are common.
    pub fn listed(&self) -> &[Layer] {
        &self.listed
    }

    /// Returns the listed layers from the last to the first.
    pub fn candidates(&self) -> impl Iterator<Item = &KnownLayer> {
        self.known.iter().rev().filter(|known| known.is_listed)
    }

    /// Returns the layer called `name`: a value, or else the first output of a node.
    ///
    /// # Errors
    ///
    /// When there is none; the message has similar names.
    pub fn named(&self, name: &str) -> Result<&KnownLayer, Error> {
        let of_value = self.known.iter().find(|known| known.layer.name == name);
        let found = of_value.or_else(|| self.known.iter().find(|known| known.node == name));
        found.ok_or_else(|| match self.known.is_empty() {
            true => no_layers(),
            false => Error::no_layer(name, self.similar(name).into_iter()),
        })
    }

    /// Returns the names of the three layers most similar to `name`.
    fn similar(&self, name: &str) -> Vec<&str> {
        let typed = name.to_lowercase();
        let similarity = |other: &str| {
            let other = other.to_lowercase();
            let contains = if other.contains(&typed) { 1.0 } else { 0.0 };
            contains + strsim::jaro_winkler(&other, &typed)
        };
        let names = self.known.iter().map(|known| known.layer.name.as_str());
        let mut ranked: Vec<(f64, &str)> = names.map(|name| (similarity(name), name)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranked.into_iter().take(3).map(|(_, name)| name).collect()
    }
}

/// The error of a model without layers that have positions.
pub fn no_layers() -> Error {
    Error::new(
        attriburn::ErrorKind::Layer,
        "the model has no layer whose elements have positions in an image [channels, height, width], which a class activation map needs",
    )
}

/// Whether the node is a layer normalization, or the last node of one that is composed of elementary operators
/// as exporters write it below opset 17: `(x - mean) / sqrt(variance + epsilon) * scale + shift`.
fn is_normalization(graph: &Graph, producers: &[Option<usize>], node: &Node) -> bool {
    if node.operator.is_some_and(|operator| operator.role == Role::Normalization) {
        return true;
    }
    let producer = |id: Id| producers[id.0].map(|at| &graph.nodes[at]);
    // The other input of a node with one constant input.
    let beside_constant = |node: &Node, kind: &str| match node.inputs[..] {
        [Some(a), Some(b)] if node.kind == kind => {
            match (graph.constant(a).is_some(), graph.constant(b).is_some()) {
                (true, false) => producer(b),
                (false, true) => producer(a),
                _ => None,
            }
        }
        _ => None,
    };
    let scaled = beside_constant(node, "Add").and_then(|node| beside_constant(node, "Mul"));
    scaled.is_some_and(|quotient| {
        let divisor = quotient.input(1).and_then(producer);
        quotient.kind == "Div" && divisor.is_some_and(|node| node.kind == "Sqrt")
    })
}

/// Determines for each value whether all paths from the sample to the outputs pass through it.
fn find_bottlenecks(graph: &Graph, is_of_sample: &[bool]) -> Vec<bool> {
    let mut reads_left = vec![0usize; graph.values.len()];
    let nodes = || graph.nodes.iter().filter(|node| node.reads_of_sample(is_of_sample));
    nodes().for_each(|node| node.reads(&mut |id| reads_left[id.0] += 1));
    graph.outputs.iter().for_each(|id| reads_left[id.0] += 1);
    let mut found = vec![false; graph.values.len()];
    // The values of the sample that later nodes read.
    let mut open: Vec<Id> = graph.inputs[..graph.samples].to_vec();
    for node in nodes() {
        node.reads(&mut |id| reads_left[id.0] -= 1);
        open.extend(node.outputs.iter().flatten());
        open.retain(|id| reads_left[id.0] > 0);
        if let &[id] = &open[..] {
            found[id.0] = true;
        }
    }
    found
}

impl Arrangement {
    /// Returns the layer and the arrangement of a value of shape `dims` for `rows` samples of `[height, width]`
    /// pixels; `None` if the value has no positions, or a single one. The layer has no name yet.
    fn of(dims: &[usize], rows: usize, input: [usize; 2]) -> Option<(Layer, Self)> {
        let (arrangement, [channels, height, width]) = match *dims {
            [n, ..] if n != rows => return None,
            [_, a, b, c] if !has_aspect([b, c], input) && has_aspect([a, b], input) => {
                (Self::Pixels, [c, a, b])
            }
            [_, a, b, c] if is_image_like([b, c], input) => (Self::Planes, [a, b, c]),
            [_, a, b] => {
                let tokens = token_grid(a, input).map(|(extra, [rows, columns])| {
                    (extra, Self::Tokens { extra }, [b, rows, columns])
                });
                let turned = token_grid(b, input).map(|(extra, [rows, columns])| {
                    (extra, Self::ChannelsOfTokens { extra }, [a, rows, columns])
                });
                // Channels follow tokens in most models, but not where only the other axis is a plain grid: in a
                // patch embedding before its transposition.
                let is_common =
                    |(extra, ..): &(usize, Self, [usize; 3])| *extra <= COMMON_EXTRA_TOKENS;
                let best = tokens
                    .filter(is_common)
                    .or_else(|| tokens.into_iter().chain(turned).min_by_key(|(extra, ..)| *extra));
                let (_, arrangement, sizes) = best?;
                (arrangement, sizes)
            }
            _ => return None,
        };
        let layer = Layer { name: String::new(), channels, height, width };
        (layer.positions() > 1 && channels > 0).then_some((layer, arrangement))
    }

    /// Returns the activations `[rows, channels, positions]` of the first `rows` samples of `value`, on its
    /// own, without the operations that computed them.
    pub fn activations(self, value: &Value, rows: usize) -> Outcome<Tensor<3>> {
        let dims = value.dims();
        if dims[0] < rows {
            return Err(format!(
                "the layer has {} samples in a batch of {rows}, so its first axis is not the batch",
                dims[0]
            ));
        }
        let value = value.clone().range(0, 0..rows);
        let (value, channels) = match self {
            Self::Planes => (value, dims[1]),
            Self::Pixels => (value.permute(&[0, 3, 1, 2])?, dims[3]),
            Self::Tokens { extra } => {
                (value.range(1, extra..dims[1]).permute(&[0, 2, 1])?, dims[2])
            }
            Self::ChannelsOfTokens { extra } => (value.range(2, extra..dims[2]), dims[1]),
        };
        let positions = value.dims()[2..].iter().product();
        let value = value.reshape(&[rows, channels, positions])?;
        Ok(Tensor::from_dispatch(value.float()?))
    }

    /// Returns `value` with the `activations` in their place.
    pub fn replace(self, value: &Value, activations: Tensor<3>) -> Outcome<Value> {
        let (dims, rows) = (value.dims(), activations.dims()[0]);
        let value = value.clone();
        let new = Value::new(activations.into_dispatch());
        let new = match self {
            Self::Planes => new.reshape(&[rows, dims[1], dims[2], dims[3]])?,
            Self::Pixels => {
                new.reshape(&[rows, dims[3], dims[1], dims[2]])?.permute(&[0, 2, 3, 1])?
            }
            Self::Tokens { extra } => {
                let new = new.permute(&[0, 2, 1])?;
                with_extra(value.clone().range(0, 0..rows), extra, 1, new)?
            }
            Self::ChannelsOfTokens { extra } => {
                with_extra(value.clone().range(0, 0..rows), extra, 2, new)?
            }
        };
        match dims[0] {
            all if all == rows => Ok(new),
            all => Value::concat(&[new, value.range(0, rows..all)], 0),
        }
    }
}

/// Puts the `extra` first tokens of `value` before `new` along `axis`.
fn with_extra(value: Value, extra: usize, axis: usize, new: Value) -> Outcome<Value> {
    match extra {
        0 => Ok(new),
        _ => Value::concat(&[value.range(axis, 0..extra), new], axis),
    }
}

/// Whether `rows x columns` positions have the aspect ratio of the input, up to rounding.
fn has_aspect([rows, columns]: [usize; 2], [height, width]: [usize; 2]) -> bool {
    (rows * width).abs_diff(columns * height) <= height.max(width)
}

/// Whether `rows x columns` may be the positions of a feature map: their aspect ratio is that of the input, up to
/// what convolutions without padding cut off. The queries of an attention, tokens x features, are mostly no such map.
fn is_image_like([rows, columns]: [usize; 2], [height, width]: [usize; 2]) -> bool {
    let expected = (columns * height) as f64 / width as f64;
    (rows as f64 - expected).abs() <= 2.0 + 0.25 * expected
}

/// Returns the number of extra tokens and the grid `[rows, columns]` of the others, for `tokens` tokens of an
/// input of `[height, width]` pixels that is divided into square patches.
fn token_grid(tokens: usize, [height, width]: [usize; 2]) -> Option<(usize, [usize; 2])> {
    let sides = 1..=height.max(width);
    let grids = sides.flat_map(|side| {
        [[height / side, width / side], [height.div_ceil(side), width.div_ceil(side)]]
    });
    let extra = |[rows, columns]: [usize; 2]| {
        let positions = rows * columns;
        let extra = tokens.checked_sub(positions).filter(|&extra| extra <= MAX_EXTRA_TOKENS)?;
        (positions > 1 && extra < positions).then_some((extra, [rows, columns]))
    };
    grids.filter_map(extra).min_by_key(|&(extra, _)| extra)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shape, the size of the input, and the channels, rows and columns with the arrangement.
    type Case<'a> = (&'a [usize], [usize; 2], Option<([usize; 3], Arrangement)>);

    #[test]
    fn axes_are_recognized_by_the_aspect_ratio_of_the_input() {
        let square = [224, 224];
        let cases: [Case; 14] = [
            (&[1, 512, 7, 7], square, Some(([512, 7, 7], Arrangement::Planes))),
            (&[1, 7, 7, 768], square, Some(([768, 7, 7], Arrangement::Pixels))),
            (&[1, 7, 7, 7], square, Some(([7, 7, 7], Arrangement::Planes))),
            (&[1, 64, 5, 8], [160, 256], Some(([64, 5, 8], Arrangement::Planes))),
            (&[1, 5, 8, 64], [160, 256], Some(([64, 5, 8], Arrangement::Pixels))),
            (&[1, 197, 768], square, Some(([768, 14, 14], Arrangement::Tokens { extra: 1 }))),
            (&[1, 261, 384], square, Some(([384, 16, 16], Arrangement::Tokens { extra: 5 }))),
            (&[1, 196, 768], square, Some(([768, 14, 14], Arrangement::Tokens { extra: 0 }))),
            (&[1, 41, 96], [160, 256], Some(([96, 5, 8], Arrangement::Tokens { extra: 1 }))),
            (
                &[1, 768, 196],
                square,
                Some(([768, 14, 14], Arrangement::ChannelsOfTokens { extra: 0 })),
            ),
            (
                &[1, 32, 16],
                [32, 32],
                Some(([32, 4, 4], Arrangement::ChannelsOfTokens { extra: 0 })),
            ),
            (&[1, 512, 1, 1], square, None),
            (&[64, 49, 96], square, None),
            (&[1, 1000], square, None),
        ];
        for (dims, input, expected) in cases {
            let found = Arrangement::of(dims, 1, input);
            let found = found.map(|(layer, arrangement)| {
                ([layer.channels, layer.height, layer.width], arrangement)
            });
            assert_eq!(found, expected, "{dims:?} of {input:?}");
        }
    }

    /// The activations of two samples of three replace themselves.
    #[test]
    fn activations_are_put_back_where_they_were() {
        let cases: [(&[usize], Arrangement); 4] = [
            (&[3, 2, 2, 2], Arrangement::Planes),
            (&[3, 2, 2, 2], Arrangement::Pixels),
            (&[3, 5, 2], Arrangement::Tokens { extra: 1 }),
            (&[3, 2, 6], Arrangement::ChannelsOfTokens { extra: 2 }),
        ];
        for (dims, arrangement) in cases {
            let count = dims.iter().product::<usize>();
            let values: Vec<f32> = (0..count).map(|i| i as f32).collect();
            let value = Value::from_floats(values.clone()).reshape(dims).expect("a value");
            let activations = arrangement.activations(&value, 2).expect("activations");
            assert_eq!(activations.dims(), [2, 2, 4], "{arrangement:?}");
            let back = arrangement.replace(&value, activations).expect("a value");
            assert_eq!(
                (back.dims(), back.floats()),
                (dims.to_vec(), Ok(values)),
                "{arrangement:?}"
            );
        }
    }
}
