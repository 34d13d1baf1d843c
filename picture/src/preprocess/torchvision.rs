//! The preprocessing that torchvision publishes for its pretrained weights.

use super::preset::Preset;
use super::recipe::{Recipe, ResizeMode, ResizeSize};
use crate::resample::Interpolation;

/// The columns `weights,resize,crop,interpolation`, exported from torchvision 0.30 by
/// `tests/data/preprocessing.py`.
const TABLE: &str = include_str!("torchvision.csv");

/// Returns the recipe for pretrained weights by their name in torchvision, for example
/// `ResNet50_Weights.IMAGENET1K_V2`. The name is not case-sensitive.
///
/// The recipe resizes the shorter side, crops the centre, and normalises with ImageNet's mean and standard
/// deviation. Returns `None` if torchvision has no weights of this name.
pub fn torchvision_recipe(weights: &str) -> Option<Recipe> {
    let row = rows().find(|row| row[0].eq_ignore_ascii_case(weights))?;
    let [_, resize, crop, filter] = row;
    let (resize, crop): (usize, usize) = (resize.parse().ok()?, crop.parse().ok()?);
    let interpolation = Interpolation::ALL.iter().find(|(_, name)| *name == filter)?.0;
    Some(Recipe {
        size: Some((crop, crop)),
        mode: Some(ResizeMode::Shortest),
        resize: Some(ResizeSize::Side(resize)),
        interpolation: Some(interpolation),
        ..Preset::ImageNet.recipe()
    })
}

/// The names of all weights that [`torchvision_recipe`] knows.
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
    fn every_row_of_the_table_is_a_valid_recipe() {
        let mut count = 0;
        for name in torchvision_weights() {
            let recipe = torchvision_recipe(name).unwrap_or_else(|| panic!("{name}"));
            let (height, width) = recipe.size.unwrap();
            assert!(recipe.preprocess([3, height, width]).is_ok(), "{name}");
            count += 1;
        }
        assert!(count > 100, "{count}");
        let recipe = torchvision_recipe("resnet50_weights.imagenet1k_v2").unwrap();
        let text = recipe.preprocess([3, 224, 224]).unwrap().to_string();
        assert!(text.starts_with("resize 232, centre crop 224x224, mean [0.485"), "{text}");
        assert_eq!(torchvision_recipe("ResNet50"), None);
    }
}
