//! A model whose layers are randomized one after the other.

use attriburn_kernels::noise::PERMUTATIONS;
use attriburn_kernels::philox::{key, philox};
use burn::tensor::{Device, Tensor, TensorData};

use crate::engine::read_back;
use crate::{Error, Link, Model, ModelError, Parameter};

/// The cascading parameter randomization of Adebayo et al. (NeurIPS 2018): the layers of a model are
/// randomized from the output on, one more at each stage. A map that does not change does not show
/// what the model has learnt.
///
/// A file does not say how its parameters were drawn before training, so that each is permuted: it
/// keeps its values, hence their distribution, and loses their places. Parameters of one value do
/// not change.
pub struct Cascade<'a> {
    stages: Vec<Randomized<'a>>,
}

/// Where a stage ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The first parameter of the last layer that is randomized.
    pub layer: String,
    /// The share of the layers that are randomized, up to 1.
    pub share: f64,
    /// The place of that layer in the model.
    place: usize,
}

impl Stage {
    /// The stages of `model`, at most `most` of its layers apart at even distances, the last with
    /// every layer randomized; none of a model that does not keep its parameters apart.
    pub fn all(model: &dyn Model, most: usize) -> Vec<Self> {
        let own = model.parameters();
        let mut layers: Vec<usize> = own.iter().map(|parameter| parameter.layer).collect();
        layers.sort_unstable_by(|a, b| b.cmp(a));
        layers.dedup();
        let stage = |at: usize| {
            let first = own.iter().find(|parameter| parameter.layer == layers[at]);
            let share = (at + 1) as f64 / layers.len() as f64;
            Some(Self { layer: first?.name.clone(), share, place: layers[at] })
        };
        (0..layers.len()).filter(|&at| is_stage(at, layers.len(), most)).filter_map(stage).collect()
    }
}

/// A model with other values of its parameters.
pub struct Randomized<'a> {
    model: &'a dyn Model,
    parameters: Vec<Parameter>,
    stage: Stage,
}

impl<'a> Cascade<'a> {
    /// The [stages](Stage::all) of `model`, at most `most`, permuted by `seed`.
    ///
    /// # Errors
    ///
    /// [`Error::NoParameters`] of a model that does not keep them apart, and when they cannot be
    /// read from the device.
    pub fn new(model: &'a dyn Model, most: usize, seed: u64) -> Result<Self, Error> {
        let mut parameters = model.parameters().to_vec();
        if parameters.is_empty() {
            return Err(Error::NoParameters);
        }
        let mut stages = Vec::new();
        let mut randomized = usize::MAX;
        for stage in Stage::all(model, most) {
            let layers = stage.place..randomized;
            for (index, parameter) in parameters.iter_mut().enumerate() {
                if layers.contains(&parameter.layer) {
                    parameter.values = permuted(&parameter.values, model.device(), seed, index)?;
                }
            }
            randomized = stage.place;
            stages.push(Randomized { model, parameters: parameters.clone(), stage });
        }
        Ok(Self { stages })
    }

    /// The models, from the one whose last layer alone is randomized to the one with all.
    pub fn stages(&self) -> &[Randomized<'a>] {
        &self.stages
    }
}

impl Randomized<'_> {
    /// Where the randomized layers end.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }
}

/// Whether the layer `at` of `layers` ends one of `most` stages.
fn is_stage(at: usize, layers: usize, most: usize) -> bool {
    let stages = most.clamp(1, layers);
    (at + 1) * stages / layers > at * stages / layers
}

/// The values in a random order.
fn permuted(
    values: &Tensor<1>,
    device: &Device,
    seed: u64,
    parameter: usize,
) -> Result<Tensor<1>, Error> {
    let mut values = read_back(values.clone())?;
    let key = key(seed);
    // Fisher and Yates, with the high bits of a product in place of a remainder.
    for last in (1..values.len()).rev() {
        let word = philox([last as u32, parameter as u32, 0, PERMUTATIONS], key)[0];
        let other = (u64::from(word) * (last as u64 + 1)) >> 32;
        values.swap(last, other as usize);
    }
    let count = values.len();
    Ok(Tensor::from_data(TensorData::new(values, [count]), device))
}

impl Model for Randomized<'_> {
    fn input_shape(&self) -> &[usize] {
        self.model.input_shape()
    }

    fn device(&self) -> &Device {
        self.model.device()
    }

    fn forward(&self, batch: Tensor<2>) -> Result<Tensor<2>, ModelError> {
        let values: Vec<_> = self.parameters.iter().map(|own| own.values.clone()).collect();
        self.model.forward_with(batch, &values)
    }

    fn link(&self) -> Option<Link> {
        self.model.link()
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn forward_with(
        &self,
        batch: Tensor<2>,
        parameters: &[Tensor<1>],
    ) -> Result<Tensor<2>, ModelError> {
        self.model.forward_with(batch, parameters)
    }

    fn max_batch(&self) -> Option<usize> {
        self.model.max_batch()
    }

    fn bytes_per_sample(&self) -> Option<u64> {
        self.model.bytes_per_sample()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Domain, Explainer, Input, ModuleModel, Plan, Target};

    /// `x -> x * first * second`, two layers of 64 values each.
    fn model() -> ModuleModel<2> {
        let device = Device::flex();
        let values = |step: f32| {
            let values = (0..64).map(|i| step * i as f32 + 1.0).collect::<Vec<_>>();
            Tensor::<1>::from_data(TensorData::new(values, [64]), &device)
        };
        let parameter = |name: &str, layer, step| Parameter {
            name: name.into(),
            shape: vec![64],
            values: values(step),
            layer,
        };
        let parameters = vec![parameter("first", 0, 1.0), parameter("second", 1, 0.5)];
        ModuleModel::with_parameters(&[64], &device, parameters, |x: Tensor<2>, own| {
            let weights = own.iter().map(|own| own.clone().reshape([1, 64]));
            weights.fold(x, |x, weight| x * weight).sum_dim(1)
        })
    }

    #[test]
    fn layers_are_permuted_from_the_output_on() {
        let model = model();
        let cascade = Cascade::new(&model, usize::MAX, 0).expect("a cascade");
        let stages: Vec<(&str, f64)> =
            cascade.stages().iter().map(|s| (s.stage().layer.as_str(), s.stage().share)).collect();
        assert_eq!(stages, [("second", 0.5), ("first", 1.0)]);
        let values = |own: &dyn Model, index: usize| {
            read_back(own.parameters()[index].values.clone()).expect("values")
        };
        let sorted = |mut values: Vec<f32>| {
            values.sort_by(f32::total_cmp);
            values
        };
        let [first, both] = cascade.stages() else { panic!("two stages") };
        assert_eq!(values(first, 0), values(&model, 0));
        for (stage, index) in [(first, 1), (both, 0), (both, 1)] {
            assert_ne!(values(stage, index), values(&model, index));
            assert_eq!(sorted(values(stage, index)), values(&model, index));
        }
        assert_ne!(values(both, 0)[0] * 0.5 + 0.5, values(both, 1)[0]);
        // The map of x * a * b is a * b.
        let input = Input::new(vec![0.5; 64], &[64], Domain::uniform(0.0, 1.0)).expect("an input");
        let map = Explainer::new(both).explain(&Plan::gradient(), &input, Target::Index(0));
        let products = values(both, 0).into_iter().zip(values(both, 1)).map(|(a, b)| a * b);
        for (value, product) in map.expect("a map").values.into_iter().zip(products) {
            assert!((value - product).abs() <= 1e-5 * product, "{value} for {product}");
        }
    }

    #[test]
    fn stages_are_at_even_distances_and_end_with_all() {
        let stages = |layers, most| (0..layers).filter(|&at| is_stage(at, layers, most)).collect();
        let cases: [(usize, usize, Vec<usize>); 4] = [
            (5, 9, vec![0, 1, 2, 3, 4]),
            (6, 3, vec![1, 3, 5]),
            (5, 2, vec![2, 4]),
            (5, 1, vec![4]),
        ];
        for (layers, most, expected) in cases {
            let found: Vec<usize> = stages(layers, most);
            assert_eq!(found, expected, "{layers} layers in {most} stages");
        }
    }

    #[test]
    fn a_model_that_keeps_nothing_apart_is_refused() {
        let model = ModuleModel::<2>::new(&[4], &Device::flex(), |x: Tensor<2>| x);
        assert!(matches!(Cascade::new(&model, 9, 0), Err(Error::NoParameters)));
    }
}
