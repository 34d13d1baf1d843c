//! The built-in model, labels and image, so that an installed program works without other files.

/// EfficientNet-Lite0, trained on ImageNet.
pub const MODEL: &[u8] = include_bytes!("../assets/efficientnet-lite0.onnx");
/// The name of the model in manifests.
pub const MODEL_NAME: &str = "built-in efficientnet-lite0";
/// The names of ImageNet's 1000 classes.
pub const LABELS: &str = include_str!("../assets/imagenet-labels.txt");
/// The WordNet synset identifiers of the classes, in the same order. ImageNet's folders have these names.
pub const SYNSETS: &str = include_str!("../assets/imagenet-synsets.txt");
/// A photograph of a cat.
pub const IMAGE: &[u8] = include_bytes!("../assets/chelsea.png");
/// The name of the image in manifests.
pub const IMAGE_NAME: &str = "built-in chelsea.png";
/// The output folder of its maps, below the output folder of the run.
pub const IMAGE_STEM: &str = "chelsea";
