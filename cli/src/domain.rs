//! The values that a model's input can take, and the pictures behind its samples.

use attriburn::Domain;
use attriburn::picture::Preprocess;

/// The channels, height and width of the pictures behind samples of `shape`: the shape itself
/// unless another is `given` for samples that are flat.
pub fn picture_shape<'a>(
    given: Option<&'a [usize]>,
    shape: &'a [usize],
) -> Result<&'a [usize], String> {
    let Some(given) = given else {
        return Ok(shape);
    };
    let long = |shape: &[usize]| -> Vec<usize> {
        shape.iter().copied().filter(|&size| size != 1).collect()
    };
    let values = given.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
    let is_flat = long(shape).len() <= 1 && values == Some(shape.iter().product());
    if given.len() == 3 && (is_flat || long(given) == long(shape)) {
        return Ok(given);
    }
    Err(format!(
        "--picture-shape {given:?} does not fit: it says the channels, height and width of pictures for a model of flat samples with as many values, and the model takes samples of {shape:?}"
    ))
}

/// The values of black and white in samples of `shape`.
pub fn pixels(preprocess: &Preprocess, shape: &[usize]) -> Result<Domain, String> {
    let (lower, upper) = preprocess.domain();
    if shape.first() == Some(&lower.len()) {
        return Ok(Domain::per_channel(lower, upper));
    }
    let same = |bounds: &[f32]| bounds.iter().all(|&bound| bound == bounds[0]);
    if same(&lower) && same(&upper) {
        return Ok(Domain::uniform(lower[0], upper[0]));
    }
    Err(format!(
        "the bounds of the preprocessing differ by channel, but the model takes flat samples of {shape:?}; choose --preprocess unit or signed"
    ))
}

/// The domain that was given, else that of the preprocessing.
pub fn domain(
    given: Option<&[f32]>,
    preprocess: Result<&Preprocess, &String>,
    shape: &[usize],
) -> Result<Domain, String> {
    let Some(bounds) = given else {
        return match preprocess {
            Ok(preprocess) => pixels(preprocess, shape),
            Err(reason) => Err(format!(
                "the domain of the model's input is not known: {reason}; for arrays give it with --domain MIN,MAX"
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
            "--domain {bounds:?}: write the least and the greatest value, such as 0,1, or such a pair for each of the {channels} channels"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_one_pair_or_one_for_each_channel() {
        let of = |bounds: &[f32]| domain(Some(bounds), Err(&String::new()), &[3, 4, 4]);
        assert_eq!(of(&[0.0, 1.0]), Ok(Domain::uniform(0.0, 1.0)));
        let each = Domain::per_channel(vec![-1.0, 0.0, 1.0], vec![1.0, 2.0, 3.0]);
        assert_eq!(of(&[-1.0, 1.0, 0.0, 2.0, 1.0, 3.0]), Ok(each));
        for wrong in [
            &[][..],
            &[1.0],
            &[1.0, 0.0],
            &[0.0, 1.0, 2.0],
            &[0.0, 1.0, 0.0, 1.0],
            &[0.0, f32::NAN],
        ] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }
}
