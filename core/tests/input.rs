//! Validation of inputs, and the properties that derived inputs keep.

use attriburn::{Domain, ErrorKind, Input};

#[test]
fn invalid_values_shapes_and_domains_are_refused() {
    let unit = || Domain::uniform(0.0, 1.0);
    let cases = [
        (
            Input::new(vec![0.0; 5], &[2, 3], unit()),
            "the input has 5 values, but its shape [2, 3] asks for 6",
        ),
        (
            Input::new(vec![0.0], &[], unit()),
            "the input has 1 values, but a sample of shape [] has no axis",
        ),
        (
            Input::new(vec![0.0, f32::NAN], &[2], unit()),
            "the input's value 1 is NaN; every value must be finite",
        ),
        (
            Input::new(vec![0.0; 2], &[2], Domain::uniform(1.0, 1.0)),
            "the domain of channel 0 is [1, 1]; its bounds must be finite and in order",
        ),
        (
            Input::new(vec![0.0; 6], &[2, 3], Domain::per_channel(vec![0.0; 3], vec![1.0; 3])),
            "the domain has 3 lower and 3 upper bounds; the input takes one pair, or one for each of its 2 channels",
        ),
    ];
    for (result, expected) in cases {
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.kind(), ErrorKind::Input);
    }
}

#[test]
fn flat_inputs_can_have_a_picture_shape() {
    let flat = || Input::new(vec![0.0; 6], &[6], Domain::uniform(0.0, 1.0)).unwrap();
    assert_eq!(flat().picture_shape(), [6]);
    let picture = flat().with_picture_shape(&[1, 2, 3]).unwrap();
    assert_eq!((picture.shape(), picture.picture_shape()), (&[6][..], &[1, 2, 3][..]));
    let wrong_size = flat().with_picture_shape(&[1, 2, 2]).unwrap_err();
    assert!(wrong_size.to_string().contains("the input has 6 values"), "{wrong_size}");
    let wrong_rank = flat().with_picture_shape(&[2, 3]).unwrap_err();
    assert!(wrong_rank.to_string().contains("[channels, height, width]"), "{wrong_rank}");
}

#[test]
fn derived_inputs_keep_shape_domain_and_pixel_range() {
    let input = Input::new(vec![0.25; 6], &[6], Domain::uniform(-1.0, 2.0))
        .and_then(|input| input.with_pixel_range(Domain::uniform(0.0, 1.0)))
        .and_then(|input| input.with_picture_shape(&[1, 2, 3]))
        .unwrap();
    let other = input.with_values(vec![0.5; 6]).unwrap();
    assert_eq!(other.values(), [0.5; 6]);
    assert_eq!(other.with_values(vec![0.25; 6]).unwrap(), input);
    let error = input.with_values(vec![0.5; 5]).unwrap_err();
    assert!(error.to_string().contains("the input has 5 values"), "{error}");
    let shifted = input.shifted(1.0).unwrap();
    assert_eq!((shifted.values(), shifted.picture_shape()), (&[1.25; 6][..], &[1, 2, 3][..]));
    assert_eq!(shifted.domain(), &Domain::uniform(0.0, 3.0));
    assert_eq!(shifted.pixel_range(), &Domain::uniform(1.0, 2.0));
    assert!(input.shifted(f32::NAN).unwrap_err().to_string().contains("is NaN"));
}
