//! Winograd's algorithm changes scores and gradients by rounding alone.

use attriburn::{Domain, Explainer, Plan, Target};
use attriburn_onnx::Loader;
use attriburn_tests::{first_sample, folders, relative_l2};
use burn::tensor::Device;

#[test]
fn winograd_changes_the_zoo_by_rounding_alone() {
    let mut differ = 0;
    for folder in folders("zoo") {
        let input = first_sample(&folder, Domain::uniform(-9.0, 9.0));
        let run = |exact: bool| {
            let loader = Loader::new(&Device::flex()).exact(exact);
            let model = loader.load(folder.join("model.onnx")).expect("a model");
            let explainer = Explainer::new(&model);
            let logits = explainer.predict(&input).expect("a prediction").logits;
            let map = explainer.explain(&Plan::gradient(), &input, Target::Predicted);
            (logits, map.expect("a map").values)
        };
        let ((exact, by_definition), (quick, gradient)) = (run(true), run(false));
        let name = folder.display();
        let error = relative_l2(&quick, &exact);
        assert!(error <= 1e-5, "{name}: logits differ by {error:.1e}");
        let error = relative_l2(&gradient, &by_definition);
        assert!(error <= 1e-4, "{name}: gradients differ by {error:.1e}");
        differ += usize::from(gradient != by_definition);
    }
    assert!(differ > 0, "no model of the zoo takes the algorithm");
}
