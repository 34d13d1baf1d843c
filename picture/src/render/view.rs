//! The part of a signed map that a picture shows.

/// The part of a map's values that a picture shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// The values with their signs.
    #[default]
    Signed,
    /// `|value|`.
    Magnitude,
    /// `max(value, 0)`: what increases the score.
    Positive,
    /// `max(-value, 0)`: what decreases the score.
    Negative,
}

impl View {
    /// All views with their names.
    pub const ALL: [(View, &'static str); 4] = [
        (View::Signed, "signed"),
        (View::Magnitude, "magnitude"),
        (View::Positive, "positive"),
        (View::Negative, "negative"),
    ];

    /// The name of the view.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(view, _)| *view == self).map_or("", |(_, name)| name)
    }

    /// The value that the view shows for `value`.
    pub fn of(self, value: f32) -> f32 {
        match self {
            View::Signed => value,
            View::Magnitude => value.abs(),
            View::Positive => value.max(0.0),
            View::Negative => (-value).max(0.0),
        }
    }
}
