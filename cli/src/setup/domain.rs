//! The domain of a model's input, and the image shape of its samples.

use attriburn::Domain;
use attriburn_picture::Preprocess;

/// Returns the channels, height and width of the images in samples of `shape`: the shape itself, unless
/// `--picture-shape` sets an `option` for flat samples.
pub fn image_shape<'a>(
    option: Option<&'a [usize]>,
    shape: &'a [usize],
) -> Result<&'a [usize], String> {
    let Some(option) = option else {
        return Ok(shape);
    };
    let long_axes = |shape: &[usize]| -> Vec<usize> {
        shape.iter().copied().filter(|&size| size != 1).collect()
    };
    let elements = option.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let is_flat = long_axes(shape).len() <= 1 && elements == Some(shape.iter().product());
    if option.len() == 3 && (is_flat || long_axes(option) == long_axes(shape)) {
        return Ok(option);
    }
    Err(format!(
        "--picture-shape {option:?} does not fit the model's samples of shape {shape:?}; give the channels, height and width of an image with as many values as a flat sample"
    ))
}

/// Returns the input values of black and white in samples of `shape`.
pub fn pixel_range(preprocess: &Preprocess, shape: &[usize]) -> Result<Domain, String> {
    let (lower, upper) = preprocess.domain();
    if shape.first() == Some(&lower.len()) {
        return Ok(Domain::per_channel(lower, upper));
    }
    let same = |bounds: &[f32]| bounds.iter().all(|&bound| bound == bounds[0]);
    if same(&lower) && same(&upper) {
        return Ok(Domain::uniform(lower[0], upper[0]));
    }
    Err(format!(
        "the preprocessing has different bounds per channel, but the model takes flat samples of shape {shape:?}; choose --preprocess unit or signed"
    ))
}

/// Returns the domain of the model's input: the bounds of `--domain`, else those of the preprocessing.
pub fn input_domain(
    option: Option<&[f32]>,
    preprocess: Result<&Preprocess, &String>,
    shape: &[usize],
) -> Result<Domain, String> {
    let Some(bounds) = option else {
        return match preprocess {
            Ok(preprocess) => pixel_range(preprocess, shape),
            Err(reason) => Err(format!(
                "the domain of the model's input is unknown: {reason}; for arrays, give it with --domain MIN,MAX"
            )),
        };
    };
    let ordered = bounds.chunks(2).all(|pair| matches!(pair, [lower, upper] if lower < upper && lower.is_finite() && upper.is_finite()));
    let channels = shape.first().copied().unwrap_or(1);
    let split = || -> (Vec<f32>, Vec<f32>) {
        bounds.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip()
    };
    match bounds.len() {
        2 if ordered => Ok(Domain::uniform(bounds[0], bounds[1])),
        count if ordered && count == 2 * channels => {
            let (lower, upper) = split();
            Ok(Domain::per_channel(lower, upper))
        }
        _ => Err(format!(
            "--domain {bounds:?}: write the minimum and the maximum, such as 0,1, or one such pair for each of the {channels} channels"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_option_accepts_one_pair_or_one_pair_per_channel() {
        let parse = |bounds: &[f32]| input_domain(Some(bounds), Err(&String::new()), &[3, 4, 4]);
        assert_eq!(parse(&[0.0, 1.0]), Ok(Domain::uniform(0.0, 1.0)));
        let expected = Domain::per_channel(vec![-1.0, 0.0, 1.0], vec![1.0, 2.0, 3.0]);
        assert_eq!(parse(&[-1.0, 1.0, 0.0, 2.0, 1.0, 3.0]), Ok(expected));
        for wrong in [
            &[][..],
            &[1.0],
            &[1.0, 0.0],
            &[0.0, 1.0, 2.0],
            &[0.0, 1.0, 0.0, 1.0],
            &[0.0, f32::NAN],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
