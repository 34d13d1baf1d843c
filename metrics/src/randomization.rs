//! Cascading randomization of a model's layers.

use attriburn::{Activations, Error, ErrorKind, Layer, Link, Model, Parameter};
use attriburn_kernels::philox::{key, philox};
use attriburn_kernels::streams::PERMUTATIONS;
use burn::tensor::{Device, Tensor, TensorData};

/// The cascading parameter randomization of Adebayo et al. (NeurIPS 2018). The layers of a model are
/// randomized from the output to the input, with more layers at each stage. A map that does not change is
/// independent of what the model has learnt.
///
/// A model file does not contain the distribution of the initial parameters, so each parameter tensor is
/// permuted. The permutation keeps the distribution of the values. A tensor with a single value does not
/// change.
pub struct Cascade<'a> {
    stages: Vec<RandomizedModel<'a>>,
}

/// The layers that a stage of a cascade randomizes: from the output up to and including `layer`.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The name of the first parameter of the randomized layer that is closest to the input.
    pub layer: String,
    /// The share of the layers that are randomized, up to 1.
    pub share: f64,
    /// The index of that layer in the model.
    layer_index: usize,
}

impl Stage {
    /// Selects at most `max_stages` evenly spaced stages of `model`. The last stage randomizes every layer.
    /// Returns no stages if the model does not expose its parameters.
    pub fn all(model: &dyn Model, max_stages: usize) -> Vec<Self> {
        let parameters = model.parameters();
        let mut layers: Vec<usize> = parameters.iter().map(|parameter| parameter.layer).collect();
        layers.sort_unstable_by(|a, b| b.cmp(a));
        layers.dedup();
        let stage = |i: usize| {
            let first = parameters.iter().find(|parameter| parameter.layer == layers[i]);
            let share = (i + 1) as f64 / layers.len() as f64;
            Some(Self { layer: first?.name.clone(), share, layer_index: layers[i] })
        };
        let ends = |&i: &usize| ends_stage(i, layers.len(), max_stages);
        (0..layers.len()).filter(ends).filter_map(stage).collect()
    }
}

/// A model with some of its layers randomized.
pub struct RandomizedModel<'a> {
    model: &'a dyn Model,
    parameters: Vec<Parameter>,
    stage: Stage,
}

impl<'a> Cascade<'a> {
    /// Randomizes `model` in at most `max_stages` [stages](Stage::all), with permutations from `seed`.
    ///
    /// # Errors
    ///
    /// Returns an error if the model does not expose its parameters, or they cannot be read from the device.
    pub fn new(model: &'a dyn Model, max_stages: usize, seed: u64) -> Result<Self, Error> {
        let mut parameters = model.parameters().to_vec();
        if parameters.is_empty() {
            return Err(Error::no_parameters());
        }
        let mut stages = Vec::new();
        let mut randomized_from = usize::MAX;
        for stage in Stage::all(model, max_stages) {
            let layers = stage.layer_index..randomized_from;
            for (index, parameter) in parameters.iter_mut().enumerate() {
                if layers.contains(&parameter.layer) {
                    parameter.values = permuted(&parameter.values, model.device(), seed, index)?;
                }
            }
            randomized_from = stage.layer_index;
            stages.push(RandomizedModel { model, parameters: parameters.clone(), stage });
        }
        Ok(Self { stages })
    }

    /// The randomized models, from the one with the fewest randomized layers to the one with all layers
    /// randomized.
    pub fn stages(&self) -> &[RandomizedModel<'a>] {
        &self.stages
    }
}

impl RandomizedModel<'_> {
    /// The stage of the cascade.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }
}

/// Whether layer `i` of `layers`, counted from the output, is the last layer of one of `max_stages` stages.
fn ends_stage(i: usize, layers: usize, max_stages: usize) -> bool {
    let stages = max_stages.clamp(1, layers);
    (i + 1) * stages / layers > i * stages / layers
}

/// Permutes the values at random.
fn permuted(
    values: &Tensor<1>,
    device: &Device,
    seed: u64,
    parameter: usize,
) -> Result<Tensor<1>, Error> {
    let mut values = read(values.clone())?;
    let key = key(seed);
    // The Fisher-Yates shuffle, with the high bits of a product instead of a remainder.
    for last in (1..values.len()).rev() {
        let word = philox([last as u32, parameter as u32, 0, PERMUTATIONS], key)[0];
        let chosen = (u64::from(word) * (last as u64 + 1)) >> 32;
        values.swap(last, chosen as usize);
    }
    let count = values.len();
    Ok(Tensor::from_data(TensorData::new(values, [count]), device))
}

fn read(values: Tensor<1>) -> Result<Vec<f32>, Error> {
    let failed =
        |reason: String| Error::new(ErrorKind::Device, format!("the device failed: {reason}"));
    let data = values.try_into_data().map_err(|error| failed(error.to_string()))?;
    data.convert::<f32>().try_into_vec().map_err(|error| failed(format!("{error:?}")))
}

impl Model for RandomizedModel<'_> {
    fn input_shape(&self) -> &[usize] {
        self.model.input_shape()
    }

    fn device(&self) -> &Device {
        self.model.device()
    }

    fn forward(&self, batch: Tensor<2>) -> Result<Tensor<2>, Error> {
        let values: Vec<_> =
            self.parameters.iter().map(|parameter| parameter.values.clone()).collect();
        self.model.forward_with(batch, &values)
    }

    fn link(&self) -> Option<Link> {
        self.model.link()
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn forward_with(&self, batch: Tensor<2>, parameters: &[Tensor<1>]) -> Result<Tensor<2>, Error> {
        self.model.forward_with(batch, parameters)
    }

    fn layers(&self) -> &[Layer] {
        self.model.layers()
    }

    fn layer(&self, name: Option<&str>) -> Result<Layer, Error> {
        self.model.layer(name)
    }

    fn forward_from(
        &self,
        layer: &Layer,
        batch: Tensor<2>,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Activations, Error> {
        let own: Vec<_> =
            self.parameters.iter().map(|parameter| parameter.values.clone()).collect();
        self.model.forward_from(layer, batch, parameters.or(Some(&own)))
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
    use attriburn::{Domain, Explainer, Input, ModuleModel, Plan, Target};

    /// `x -> sum(x * first * second)` with two layers of 64 parameters each.
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
        ModuleModel::with_parameters(&[64], &device, parameters, |x: Tensor<2>, parameters| {
            let weights = parameters.iter().map(|values| values.clone().reshape([1, 64]));
            weights.fold(x, |x, weight| x * weight).sum_dim(1)
        })
    }

    #[test]
    fn layers_are_permuted_from_the_output_to_the_input() {
        let model = model();
        let cascade = Cascade::new(&model, usize::MAX, 0).expect("a cascade");
        let stages: Vec<(&str, f64)> =
            cascade.stages().iter().map(|s| (s.stage().layer.as_str(), s.stage().share)).collect();
        assert_eq!(stages, [("second", 0.5), ("first", 1.0)]);
        let values = |model: &dyn Model, index: usize| {
            read(model.parameters()[index].values.clone()).expect("values")
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
        // The gradient of x * a * b is a * b.
        let input = Input::new(vec![0.5; 64], &[64], Domain::uniform(0.0, 1.0)).expect("an input");
        let map = Explainer::new(both).explain(&input, Target::Index(0), &Plan::gradient());
        let products = values(both, 0).into_iter().zip(values(both, 1)).map(|(a, b)| a * b);
        for (value, product) in map.expect("a map").values.into_iter().zip(products) {
            assert!((value - product).abs() <= 1e-5 * product, "{value} for {product}");
        }
    }

    #[test]
    fn stages_are_evenly_spaced_and_end_with_the_last_layer() {
        let stages = |layers, max_stages| {
            (0..layers).filter(|&i| ends_stage(i, layers, max_stages)).collect()
        };
        let cases: [(usize, usize, Vec<usize>); 4] = [
            (5, 9, vec![0, 1, 2, 3, 4]),
            (6, 3, vec![1, 3, 5]),
            (5, 2, vec![2, 4]),
            (5, 1, vec![4]),
        ];
        for (layers, max_stages, expected) in cases {
            let found: Vec<usize> = stages(layers, max_stages);
            assert_eq!(found, expected, "{layers} layers in {max_stages} stages");
        }
    }

    #[test]
    fn model_without_exposed_parameters_is_refused() {
        let model = ModuleModel::<2>::new(&[4], &Device::flex(), |x: Tensor<2>| x);
        let error = Cascade::new(&model, 9, 0).map(drop).expect_err("no parameters");
        assert_eq!(error.kind(), ErrorKind::Parameter);
    }
}
