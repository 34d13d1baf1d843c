//! Winograd convolution changes logits and gradients by rounding errors only.

use attriburn::{Domain, Explainer, Plan, Target};
use attriburn_onnx::Loader;
use attriburn_tests::{first_sample, folders, relative_l2};
use burn::tensor::Device;

#[test]
fn winograd_changes_models_of_the_zoo_by_rounding_only() {
    let mut changed = 0;
    for folder in folders("zoo") {
        let input = first_sample(&folder, Domain::uniform(-9.0, 9.0));
        let run = |exact: bool| {
            let loader = Loader::new(&Device::flex()).exact(exact);
            let model = loader.load(folder.join("model.onnx")).expect("a model");
            let explainer = Explainer::new(&model);
            let logits = explainer.predict(&input).expect("a prediction").logits().to_vec();
            let map = explainer.explain(&input, Target::Predicted, &Plan::gradient());
            (logits, map.expect("a map").values)
        };
        let (exact_logits, exact_gradient) = run(true);
        let (logits, gradient) = run(false);
        let name = folder.display();
        let error = relative_l2(&logits, &exact_logits);
        assert!(error <= 1e-5, "{name}: logits differ by {error:.1e}");
        let error = relative_l2(&gradient, &exact_gradient);
        assert!(error <= 1e-4, "{name}: gradients differ by {error:.1e}");
        changed += usize::from(gradient != exact_gradient);
    }
    assert!(changed > 0, "no model of the zoo uses Winograd convolution");
}
