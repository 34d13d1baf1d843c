//! Preprocessing as other libraries write it down makes what they make.

use attriburn::picture::{Picture, recipe_of, torchvision};
use attriburn_tests::{array, data};

#[test]
fn configurations_of_other_libraries_make_what_they_make() {
    let folder = data("preprocessing");
    let picture = Picture::open(&folder.join("picture.png")).expect("a picture");
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let name = path.display();
        let text = std::fs::read_to_string(&path).expect("a file");
        let recipe = recipe_of(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let recipe = recipe.unwrap_or_else(|| panic!("{name}: it is no preprocessing"));
        let expected = array(&path.with_extension("npy"));
        let shape: [usize; 3] = expected.shape[..].try_into().expect("three axes");
        let preprocess = recipe.preprocess(shape).unwrap_or_else(|error| panic!("{name}: {error}"));
        let made = preprocess.apply(&picture).expect("an input").values;
        // A byte that differs by one makes a difference of 0.008 at least.
        let largest =
            made.iter().zip(&expected.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest <= 2e-6, "{name}: {largest} at most, {preprocess}");
        cases += 1;
    }
    assert!(cases >= 15, "{cases} cases");
}

/// torchvision's own crops, to the last byte.
#[test]
fn weights_of_torchvision_are_prepared_as_it_does() {
    let folder = data("preprocessing");
    let picture = Picture::open(&folder.join("picture.png")).expect("a picture");
    for (at, name) in
        ["ResNet50_Weights.IMAGENET1K_V2", "MaxVit_T_Weights.IMAGENET1K_V1"].into_iter().enumerate()
    {
        let expected = Picture::open(&folder.join(format!("torchvision-{at}.png")));
        let recipe = torchvision(name).expect("a recipe");
        let preprocess = recipe.preprocess([3, 224, 224]).expect("a preprocessing");
        let prepared = preprocess.apply(&picture).expect("an input");
        assert!(prepared.crop == expected.expect("a picture"), "{name}: {preprocess}");
    }
}

#[test]
fn what_is_no_preprocessing_or_not_supported_says_so() {
    let none = recipe_of(r#"{"architectures": ["ResNet"], "id2label": {"0": "tench"}}"#);
    assert_eq!(none, Ok(None));
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
        let message = recipe_of(text).expect_err(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
}
