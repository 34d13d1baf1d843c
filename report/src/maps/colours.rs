//! The colours of a map's codes, and its colour bar.

use maud::{Markup, html};

use super::data::{Map, Palette};
use crate::number::significant;
use crate::tile;

/// Returns a value relative to the clip limit, from -1 to 1.
fn strength(value: f32, clip: f32) -> f32 {
    match clip > 0.0 {
        true => (value / clip).clamp(-1.0, 1.0),
        false if value == 0.0 => 0.0,
        false => value.signum(),
    }
}

impl Palette {
    /// Returns the colour of a strength from -1 to 1.
    fn colour(&self, strength: f32, is_signed: bool) -> [u8; 3] {
        match is_signed {
            true => self.signed[(127.0 + 127.0 * strength).round() as usize],
            false => self.unsigned[(254.0 * strength.abs()).round() as usize],
        }
    }
}

/// Returns the clip limit, or the largest magnitude if the limit is not finite.
pub(super) fn clip(map: &Map, limit: f32) -> f32 {
    if map.clip.is_finite() { map.clip } else { limit }
}

/// Returns the colour of each code of a map.
pub(super) fn code_colours(map: &Map, limit: f32) -> [[u8; 3]; 255] {
    let clip = clip(map, limit);
    std::array::from_fn(|index| {
        let value = tile::value_of(index as u8, limit);
        map.palette.colour(strength(value, clip), map.is_signed)
    })
}

/// The number of colours in a colour bar.
const STOPS: usize = 17;

/// Returns the colour bar, with the clip limit at its ends.
pub(super) fn colour_bar(map: &Map, limit: f32) -> Markup {
    let low = if map.is_signed { -1.0 } else { 0.0 };
    let stop = |i: usize| {
        let strength = low + (1.0 - low) * i as f32 / (STOPS - 1) as f32;
        let [r, g, b] = map.palette.colour(strength, map.is_signed);
        format!("#{r:02x}{g:02x}{b:02x}")
    };
    let stops: Vec<String> = (0..STOPS).map(stop).collect();
    let clip = f64::from(clip(map, limit));
    let labels = match map.is_signed {
        true => vec![significant(-clip, 3), "0".into(), format!("+{}", significant(clip, 3))],
        false => vec!["0".into(), significant(clip, 3)],
    };
    html! {
        div.bar aria-hidden="true" style=(format!("background:linear-gradient(90deg,{})", stops.join(","))) {}
        div.ticks { @for label in labels { span { (label) } } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_saturate_at_the_clip_limit() {
        let ramp: [[u8; 3]; 255] = std::array::from_fn(|i| [i as u8, 0, 0]);
        let palette = Palette { signed: ramp, unsigned: ramp };
        let red = |value, clip, is_signed| palette.colour(strength(value, clip), is_signed)[0];
        assert_eq!([-9.0, -2.0, 0.0, 1.0, 3.0].map(|v| red(v, 2.0, true)), [0, 0, 127, 191, 254]);
        assert_eq!([0.0, 1.0, -1.0, 5.0].map(|v| red(v, 2.0, false)), [0, 127, 127, 254]);
        assert_eq!([0.0, 1.0, -1.0].map(|v| red(v, 0.0, true)), [127, 254, 0]);
    }
}
