//! The registry of random streams.
//!
//! The last word of a Philox counter names the stream that a random number belongs to. Every use of random
//! numbers in the project has its stream here, so that no two uses ever share a number.
//!
//! | stream | random numbers for | counter |
//! |---|---|---|
//! | below [`RESERVED`] | noise on the input; the stream is the number of the parameter draw | `(element mod q, sample, node, stream)` |
//! | [`PARAMETERS`] | noise on the parameters | `(element mod q, draw, parameter, stream)` |
//! | [`NODE_CHOICE`] | the start of the systematic choice of path nodes | `(sample, sample / 2^32, parameter draw, stream)` |
//! | [`PERMUTATIONS`] | the permutation of a parameter in a randomization cascade | `(element, parameter, 0, stream)` |
//! | [`MASKS`] | the pixels that the information curves show first | `(pixel, 0, 0, stream)` |
//! | [`OTHER_CLASSES`] | the other class of the Random Logit metric | `(0, 0, 0, stream)` |
//!
//! `q` is a quarter of the elements, rounded up: the four words of a counter belong to elements that lie `q`
//! apart.

/// The stream of the noise on parameters.
pub const PARAMETERS: u32 = u32::MAX;
/// The stream of the choice of nodes along a path.
pub const NODE_CHOICE: u32 = u32::MAX - 1;
/// The stream of the permutations of parameters.
pub const PERMUTATIONS: u32 = u32::MAX - 2;
/// The stream of the masks of pixels.
pub const MASKS: u32 = u32::MAX - 3;
/// The stream of the other classes of the Random Logit metric.
pub const OTHER_CLASSES: u32 = u32::MAX - 4;
/// The streams of the noise on the input lie below this number.
pub const RESERVED: u32 = u32::MAX - 15;
