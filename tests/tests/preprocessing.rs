//! Preprocessing configurations of other libraries, against the inputs that those libraries compute.

use attriburn_picture::{Picture, recipe_from_config, torchvision_recipe};
use attriburn_tests::{array, data};

#[test]
fn configurations_of_other_libraries_match_their_outputs() {
    let folder = data("preprocessing");
    let picture = Picture::open(folder.join("picture.png")).expect("a picture");
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let name = path.display();
        let text = std::fs::read_to_string(&path).expect("a file");
        let recipe = recipe_from_config(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let recipe = recipe.unwrap_or_else(|| panic!("{name}: no preprocessing was found"));
        let expected = array(&path.with_extension("npy"));
        let shape: [usize; 3] = expected.shape[..].try_into().expect("three axes");
        let preprocess = recipe.preprocess(shape).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = preprocess.apply(&picture).expect("an input").values;
        // A pixel that differs by one byte value changes the input by at least 0.008.
        let largest =
            found.iter().zip(&expected.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest <= 2e-6, "{name}: largest difference {largest}, {preprocess}");
        cases += 1;
    }
    assert!(cases >= 15, "{cases} cases");
}

/// The crops of torchvision's own transforms, byte by byte.
#[test]
fn crops_of_torchvision_weights_match_torchvision() {
    let folder = data("preprocessing");
    let picture = Picture::open(folder.join("picture.png")).expect("a picture");
    for (at, name) in
        ["ResNet50_Weights.IMAGENET1K_V2", "MaxVit_T_Weights.IMAGENET1K_V1"].into_iter().enumerate()
    {
        let expected = Picture::open(folder.join(format!("torchvision-{at}.png")));
        let recipe = torchvision_recipe(name).expect("a recipe");
        let preprocess = recipe.preprocess([3, 224, 224]).expect("a preprocessing");
        let prepared = preprocess.apply(&picture).expect("an input");
        assert!(prepared.crop == expected.expect("a picture"), "{name}: {preprocess}");
    }
}

#[test]
fn unsupported_configurations_are_refused() {
    let without_preprocessing =
        recipe_from_config(r#"{"architectures": ["ResNet"], "id2label": {"0": "tench"}}"#);
    assert_eq!(without_preprocessing, Ok(None));
    let cases = [
        ("{", "it is not JSON"),
        (r#"{"do_resize": true, "do_pad": true}"#, "its do_pad is not supported"),
        (r#"{"do_resize": true, "resample": 9}"#, "its resample 9 is not known"),
        (r#"{"do_resize": true, "size": {"longest_edge": 9}}"#, "a longest_edge"),
        (r#"{"image_mean": "grey"}"#, "its image_mean is not a list of numbers"),
        (
            r#"{"crop_pct": 1, "input_size": [3, 9, 9], "crop_mode": "corner"}"#,
            "its crop_mode \"corner\" is not known",
        ),
    ];
    for (text, expected) in cases {
        let message = recipe_from_config(text).expect_err(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
}
