//! What is built in, so that an installed program works alone.

/// EfficientNet-Lite0 for ImageNet.
pub const MODEL: &[u8] = include_bytes!("../assets/efficientnet-lite0.onnx");
/// How the manifest names it.
pub const MODEL_NAME: &str = "built-in efficientnet-lite0";
/// The names of ImageNet's 1000 classes.
pub const LABELS: &str = include_str!("../assets/imagenet-labels.txt");
/// The numbers of their synsets in WordNet, as ImageNet's folders are called, in the same order.
pub const SYNSETS: &str = include_str!("../assets/imagenet-synsets.txt");
/// A photograph of a cat.
pub const PICTURE: &[u8] = include_bytes!("../assets/chelsea.png");
/// How the manifest names it.
pub const PICTURE_NAME: &str = "built-in chelsea.png";
/// The folder its maps go to.
pub const PICTURE_STEM: &str = "chelsea";
