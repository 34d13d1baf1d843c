//! Colour maps.

/// A colour map for strengths in `[-1, 1]`.
///
/// Diverging colour maps are for values with a sign, and white at zero. Sequential ones are for values without a
/// sign, are perceptually uniform, and dark at zero. The defaults, `red-blue` and `inferno`, are safe for people
/// with colour blindness, as are all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorMap {
    /// ColorBrewer's RdBu: red is positive, blue is negative.
    RedBlue,
    /// ColorBrewer's PuOr: orange is positive, purple is negative.
    OrangePurple,
    /// ColorBrewer's BrBG: brown is positive, blue-green is negative.
    BrownTeal,
    /// matplotlib's inferno.
    Inferno,
    /// matplotlib's magma.
    Magma,
    /// matplotlib's plasma.
    Plasma,
    /// matplotlib's viridis.
    Viridis,
    /// Cividis, the same for the most common forms of colour blindness.
    Cividis,
}

/// The part of a diverging colour map that is used on either side of its white centre. The ends of the colour map
/// are so dark that the two colours cannot be distinguished in single pixels.
const DIVERGING_SPAN: f64 = 0.4;
/// The position in the colour map beyond which overlays draw: the colour is always saturated there, because the
/// opacity shows the magnitude.
const OVERLAY_START: f64 = 0.45;

impl ColorMap {
    /// All colour maps with their names.
    pub const ALL: [(ColorMap, &'static str); 8] = [
        (ColorMap::RedBlue, "red-blue"),
        (ColorMap::OrangePurple, "orange-purple"),
        (ColorMap::BrownTeal, "brown-teal"),
        (ColorMap::Inferno, "inferno"),
        (ColorMap::Magma, "magma"),
        (ColorMap::Plasma, "plasma"),
        (ColorMap::Viridis, "viridis"),
        (ColorMap::Cividis, "cividis"),
    ];

    /// The default for values with a sign.
    pub const SIGNED: ColorMap = ColorMap::RedBlue;
    /// The default for values without a sign.
    pub const UNSIGNED: ColorMap = ColorMap::Inferno;

    /// The name of the colour map.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(map, _)| *map == self).map_or("", |(_, name)| name)
    }

    /// Whether the colour map has one colour for positive and one for negative values.
    pub fn is_diverging(self) -> bool {
        matches!(self, ColorMap::RedBlue | ColorMap::OrangePurple | ColorMap::BrownTeal)
    }

    /// The colour of a strength in `[-1, 1]` in a map without a picture. Sequential colour maps use the magnitude.
    pub fn colour(self, strength: f32) -> [u8; 3] {
        let strength = f64::from(strength);
        match self.is_diverging() {
            true => self.at(0.5 - DIVERGING_SPAN * strength),
            false => self.at(strength.abs()),
        }
    }

    /// The colour of a strength in an overlay, where the opacity shows the magnitude.
    pub(super) fn overlay_colour(self, strength: f32) -> [u8; 3] {
        let strength = f64::from(strength);
        match self {
            ColorMap::RedBlue if strength < 0.0 => [20, 110, 240],
            ColorMap::RedBlue => [230, 30, 30],
            _ if self.is_diverging() => self.at(0.5 - DIVERGING_SPAN * strength.signum()),
            _ => self.at(OVERLAY_START + (0.95 - OVERLAY_START) * strength.abs()),
        }
    }

    /// The colour at a position from 0 to 1. Diverging colour maps begin with the colour of positive values.
    fn at(self, position: f64) -> [u8; 3] {
        let gradient = match self {
            ColorMap::RedBlue => colorous::RED_BLUE,
            ColorMap::OrangePurple => colorous::PURPLE_ORANGE,
            ColorMap::BrownTeal => colorous::BROWN_GREEN,
            ColorMap::Inferno => colorous::INFERNO,
            ColorMap::Magma => colorous::MAGMA,
            ColorMap::Plasma => colorous::PLASMA,
            ColorMap::Viridis => colorous::VIRIDIS,
            ColorMap::Cividis => colorous::CIVIDIS,
        };
        gradient.eval_continuous(position).as_array()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance([red, green, blue]: [u8; 3]) -> f64 {
        0.2126 * f64::from(red) + 0.7152 * f64::from(green) + 0.0722 * f64::from(blue)
    }

    #[test]
    fn sequential_maps_grow_lighter_and_ignore_the_sign() {
        for (colours, name) in ColorMap::ALL.into_iter().filter(|(map, _)| !map.is_diverging()) {
            let lightness: Vec<f64> =
                (0..=20).map(|i| luminance(colours.colour(i as f32 / 20.0))).collect();
            assert!(lightness.is_sorted(), "{name}: {lightness:?}");
            assert!(lightness[20] > lightness[0] + 80.0, "{name}: {lightness:?}");
            assert_eq!(colours.colour(-0.7), colours.colour(0.7), "{name}");
        }
    }

    #[test]
    fn diverging_maps_are_pale_at_zero_and_symmetric_in_lightness() {
        for (colours, name) in ColorMap::ALL.into_iter().filter(|(map, _)| map.is_diverging()) {
            assert!(luminance(colours.colour(0.0)) > 235.0, "{name}");
            let (negative, positive) = (colours.colour(-1.0), colours.colour(1.0));
            assert!((luminance(negative) - luminance(positive)).abs() < 60.0, "{name}");
            let distance: u32 =
                negative.iter().zip(positive).map(|(a, b)| u32::from(a.abs_diff(b))).sum();
            assert!(distance > 150, "{name}: {negative:?} and {positive:?}");
            assert_ne!(colours.overlay_colour(-0.5), colours.overlay_colour(0.5), "{name}");
        }
    }
}
