//! Class activation maps: maps of the activations inside a model, weighted by their gradients.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// A class activation map, for [`Plan::cam`](crate::Plan::cam).
///
/// `A_kp` is the activation of channel `k` at the position `p` of a layer, and `G_kp = dF/dA_kp` the derivative
/// of the explained output. Values that do not pass through the layer, such as those of a skip connection,
/// are constants: `G` is the partial derivative.
///
/// Each sample has a map [`CamRule`], with one value for each position. The plan averages the maps of its
/// samples as it averages gradients. At the end negative values become 0, and the map is enlarged to the
/// height and width of the input by bilinear interpolation between the centres of the positions.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Cam {
    /// How activations and gradients become a map.
    pub rule: CamRule,
    /// The name of the layer; `None` for the model's choice, see [`Model::layer`](crate::Model::layer).
    pub layer: Option<String>,
}

/// The map of one sample, before negative values become 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CamRule {
    /// `sum_k (mean_q G_kq) A_kp` (Selvaraju et al., ICCV 2017).
    #[default]
    #[serde(rename = "grad-cam")]
    GradCam,
    /// `sum_k G_kp A_kp` (Draelos and Carin, arXiv 2011.08891).
    #[serde(rename = "hires-cam")]
    HiresCam,
    /// `sum_k max(G_kp, 0) A_kp` (Jiang et al., IEEE TIP 2021).
    #[serde(rename = "layer-cam")]
    LayerCam,
    /// `sum_k (sum_q a_kq max(G_kq, 0)) A_kp` with
    /// `a_kq = G_kq^2 / (2 G_kq^2 + (sum_r A_kr) G_kq^3 + 1e-6)`, and 0 where `G_kq` is 0 (Chattopadhyay et
    /// al., WACV 2018, as in pytorch-grad-cam).
    #[serde(rename = "grad-cam++")]
    GradCamPlusPlus,
}

impl Cam {
    /// The map by `rule` at the layer that the model chooses.
    pub fn new(rule: CamRule) -> Self {
        Self { rule, layer: None }
    }

    /// The same map at the layer called `name`.
    #[must_use]
    pub fn layer(mut self, name: impl Into<String>) -> Self {
        self.layer = Some(name.into());
        self
    }
}

impl From<CamRule> for Cam {
    fn from(rule: CamRule) -> Self {
        Self::new(rule)
    }
}

/// The term that keeps the denominator of Grad-CAM++ from 0, as in pytorch-grad-cam.
const EPSILON: f32 = 1e-6;

impl CamRule {
    /// Every rule with its name.
    pub const ALL: [(CamRule, &'static str); 4] = [
        (CamRule::GradCam, "grad-cam"),
        (CamRule::HiresCam, "hires-cam"),
        (CamRule::LayerCam, "layer-cam"),
        (CamRule::GradCamPlusPlus, "grad-cam++"),
    ];

    /// The maps `[n, positions]` of `n` samples with `activations` and `gradients` `[n, channels, positions]`.
    pub(crate) fn maps(self, activations: Tensor<3>, gradients: Tensor<3>) -> Tensor<2> {
        let [samples, _, positions] = activations.dims();
        let weights = match self {
            CamRule::GradCam => gradients.mean_dim(2),
            CamRule::HiresCam => gradients,
            CamRule::LayerCam => gradients.clamp_min(0.0),
            CamRule::GradCamPlusPlus => plus_plus_weights(activations.clone(), gradients),
        };
        (activations * weights).sum_dim(1).reshape([samples, positions])
    }
}

/// The weight of each channel in Grad-CAM++, `[n, channels, 1]`.
fn plus_plus_weights(activations: Tensor<3>, gradients: Tensor<3>) -> Tensor<3> {
    let squares = gradients.clone().powi_scalar(2);
    let cubes = squares.clone() * gradients.clone();
    let denominator = squares.clone() * 2.0 + activations.sum_dim(2) * cubes + EPSILON;
    // Where the gradient is 0 the factor is 0 as well.
    (squares / denominator * gradients.clamp_min(0.0)).sum_dim(2)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// Two channels at two positions, computed by hand.
    #[test]
    fn rules_in_closed_form() {
        let tensor = |values: [f32; 4]| {
            Tensor::<3>::from_data(TensorData::new(values.to_vec(), [1, 2, 2]), &Device::flex())
        };
        let (a, g) = ([1.0, 3.0, 2.0, 4.0], [0.5, -1.5, 0.0, 2.0]);
        let map = |rule: CamRule| -> Vec<f32> {
            let map = rule.maps(tensor(a), tensor(g)).into_data();
            map.try_into_vec().expect("float32 values")
        };
        assert_eq!(map(CamRule::GradCam), [-0.5 + 2.0, -1.5 + 4.0]);
        assert_eq!(map(CamRule::HiresCam), [0.5, -4.5 + 8.0]);
        assert_eq!(map(CamRule::LayerCam), [0.5, 8.0]);
        // 0.25 / (0.5 + 4 * 0.125) = 1/4 and 4 / (8 + 6 * 8) = 1/14, up to the term 1e-6.
        let weights = [0.25 * 0.5, 2.0 / 14.0];
        let expected = [weights[0] + 2.0 * weights[1], 3.0 * weights[0] + 4.0 * weights[1]];
        for (value, expected) in map(CamRule::GradCamPlusPlus).iter().zip(expected) {
            assert!((value - expected).abs() < 2e-6, "{value} for {expected}");
        }
    }
}
