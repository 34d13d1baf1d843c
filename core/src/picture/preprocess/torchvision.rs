//! The preprocessing that torchvision publishes with its weights.

use super::{Mode, Preset, Recipe, Side};
use crate::picture::Interpolation;

/// `weights,resize,crop,interpolation`, from torchvision 0.30 by `tests/data/preprocessing.py`.
const TABLE: &str = include_str!("torchvision.csv");

/// The recipe of weights by torchvision's name for them, such as `ResNet50_Weights.IMAGENET1K_V2`, in any case:
/// the shorter side is resized, the centre cropped, with ImageNet's mean and deviation. None for names that it
/// does not have.
pub fn torchvision(weights: &str) -> Option<Recipe> {
    let row = rows().find(|row| row[0].eq_ignore_ascii_case(weights))?;
    let [_, resize, crop, filter] = row;
    let (resize, crop): (usize, usize) = (resize.parse().ok()?, crop.parse().ok()?);
    let interpolation = Interpolation::ALL.iter().find(|(_, name)| *name == filter)?.0;
    Some(Recipe {
        size: Some((crop, crop)),
        mode: Some(Mode::Shortest),
        resize: Some(Side::Pixels(resize)),
        interpolation: Some(interpolation),
        ..Preset::ImageNet.recipe()
    })
}

/// The names of all weights that are known.
pub fn torchvision_weights() -> impl Iterator<Item = &'static str> {
    rows().map(|row| row[0])
}

fn rows() -> impl Iterator<Item = [&'static str; 4]> {
    TABLE.lines().skip(1).filter_map(|line| {
        let mut columns = line.split(',');
        Some([columns.next()?, columns.next()?, columns.next()?, columns.next()?])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_recipe() {
        let mut count = 0;
        for name in torchvision_weights() {
            let recipe = torchvision(name).unwrap_or_else(|| panic!("{name}"));
            let (height, width) = recipe.size.unwrap();
            assert!(recipe.preprocess([3, height, width]).is_ok(), "{name}");
            count += 1;
        }
        assert!(count > 100, "{count}");
        let found = torchvision("resnet50_weights.imagenet1k_v2").unwrap();
        let text = found.preprocess([3, 224, 224]).unwrap().to_string();
        assert!(text.starts_with("resize 232, centre crop 224x224, mean [0.485"), "{text}");
        assert_eq!(torchvision("ResNet50"), None);
    }
}
