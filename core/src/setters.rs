//! The builder methods of plain settings.

/// Implements for each field a builder method of the same name, which returns the value with that field
/// replaced.
macro_rules! setters {
    ($type:ty { $($(#[$doc:meta])* $field:ident: $argument:ty,)* }) => {
        /// Builder methods: each returns the same value with one part replaced.
        impl $type {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $field(mut self, $field: $argument) -> Self {
                    self.$field = $field.into();
                    self
                }
            )*
        }
    };
}

pub(crate) use setters;
