//! The code that stores a map in a page: one byte per value, as a PNG that browsers show as it is.
//!
//! A map is a PNG with a palette. Pixel index `127 + k`, with `k` from -127 to 127, is the value
//!
//! ```text
//! v(k) = sign(k) * limit * (k / 127)^2,    limit = max |value|
//! ```
//!
//! so the error of a value `v` is at most `limit * (127 * sqrt(|v| / limit) + 1/4) / 127^2`, which is below 0.8 %
//! of the limit and relatively small for weak values. The palette holds the colours, so the PNG shows the map
//! without a script; a script reads the indices from the file's bytes.
//!
//! The standard error is a grey PNG. Byte 0 is the error 0. Byte `b` from 1 to 255 is the error
//!
//! ```text
//! e(b) = low * (high / low)^((b - 1) / 254),    high = max error,    low = max(min positive error, high / 10^6)
//! ```
//!
//! whose relative error is below 2.8 %. Smaller positive errors become `low`.
//!
//! Rows are stored without PNG's filters: scripts then only inflate the bytes and skip the first of each row.

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};

/// The index of the value 0, and the number of codes on each side of 0.
pub(crate) const ZERO: u8 = 127;
/// The ratio of the largest and the smallest coded standard error.
const ERROR_RANGE: f32 = 1e6;

/// The coded values of a map.
pub(crate) struct CodedValues {
    /// The largest magnitude.
    pub(crate) limit: f32,
    /// The index of each value.
    pub(crate) indices: Vec<u8>,
    /// The number of values that are not finite. They are coded as 0.
    pub(crate) not_finite: usize,
}

/// Codes the values of a map.
pub(crate) fn code_values(values: &[f32]) -> CodedValues {
    let finite = |value: &&f32| value.is_finite();
    let limit = values.iter().filter(finite).fold(0f32, |limit, value| limit.max(value.abs()));
    let index = |&value: &f32| {
        if !value.is_finite() || value == 0.0 {
            return ZERO;
        }
        let steps = (value.abs() / limit).sqrt() * f32::from(ZERO);
        (f32::from(ZERO) + (steps.round()).copysign(value)) as u8
    };
    CodedValues {
        limit,
        indices: values.iter().map(index).collect(),
        not_finite: values.iter().filter(|value| !value.is_finite()).count(),
    }
}

/// Returns the value of an index.
pub(crate) fn value_of(index: u8, limit: f32) -> f32 {
    let steps = (f32::from(index) - f32::from(ZERO)) / f32::from(ZERO);
    limit * steps * steps.abs()
}

/// The coded standard errors of a map.
pub(crate) struct CodedErrors {
    /// The smallest positive error that is coded.
    pub(crate) low: f32,
    /// The largest error.
    pub(crate) high: f32,
    /// The code of each error.
    pub(crate) codes: Vec<u8>,
    /// The number of errors that are not finite. They are coded as the largest error.
    pub(crate) not_finite: usize,
}

/// Codes the standard errors of a map.
pub(crate) fn code_errors(errors: &[f32]) -> CodedErrors {
    let positive = || errors.iter().copied().filter(|error| error.is_finite() && *error > 0.0);
    let high = positive().fold(0f32, f32::max);
    let low = positive().fold(high, f32::min).max(high / ERROR_RANGE);
    let steps = (high / low).ln();
    let code = |&error: &f32| match error {
        error if !error.is_finite() => u8::MAX,
        error if error <= 0.0 => 0,
        _ if steps <= 0.0 || steps.is_nan() => u8::MAX,
        error => (1.0 + 254.0 * ((error / low).ln() / steps).clamp(0.0, 1.0)).round() as u8,
    };
    CodedErrors {
        low,
        high,
        codes: errors.iter().map(code).collect(),
        not_finite: errors.iter().filter(|error| !error.is_finite()).count(),
    }
}

/// Returns a PNG of indices into `palette`.
pub(crate) fn indexed_png(
    indices: &[u8],
    height: usize,
    width: usize,
    palette: &[[u8; 3]; 255],
) -> Result<Vec<u8>, EncodingError> {
    encode(indices, height, width, ColorType::Indexed, Some(palette.as_flattened()))
}

/// Returns a grey PNG.
pub(crate) fn grey_png(
    bytes: &[u8],
    height: usize,
    width: usize,
) -> Result<Vec<u8>, EncodingError> {
    encode(bytes, height, width, ColorType::Grayscale, None)
}

fn encode(
    bytes: &[u8],
    height: usize,
    width: usize,
    colour: ColorType,
    palette: Option<&[u8]>,
) -> Result<Vec<u8>, EncodingError> {
    let mut file = Vec::new();
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut encoder = Encoder::new(&mut file, size(width), size(height));
    encoder.set_color(colour);
    encoder.set_depth(BitDepth::Eight);
    if let Some(palette) = palette {
        encoder.set_palette(palette);
    }
    encoder.set_compression(Compression::Balanced);
    encoder.set_filter(Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(bytes)?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_return_within_the_stated_error() {
        let values: Vec<f32> = (-1000..=1000).map(|i| (i as f32 / 1000.0).powi(3) * 7.0).collect();
        let coded = code_values(&values);
        assert_eq!(coded.limit, 7.0);
        for (&value, &index) in values.iter().zip(&coded.indices) {
            let steps = 127.0 * (value.abs() / 7.0).sqrt();
            let bound = 7.0 * (steps + 0.25) / (127.0 * 127.0);
            let error = (value_of(index, coded.limit) - value).abs();
            assert!(error <= bound * 1.0001, "{value}: {error} above {bound}");
        }
        assert_eq!(value_of(coded.indices[0], 7.0), -7.0);
        assert_eq!(value_of(coded.indices[2000], 7.0), 7.0);
    }

    #[test]
    fn values_that_are_not_finite_are_coded_as_zero_and_counted() {
        let coded = code_values(&[f32::NAN, f32::INFINITY, -2.0, 0.0]);
        assert_eq!((coded.not_finite, coded.limit), (2, 2.0));
        assert_eq!(coded.indices, [ZERO, ZERO, 0, ZERO]);
        assert_eq!(code_values(&[0.0, 0.0]).indices, [ZERO, ZERO]);
        let extreme = code_values(&[f32::MAX, f32::MIN_POSITIVE, -f32::MAX]);
        assert_eq!(extreme.indices, [254, ZERO, 0]);
    }

    #[test]
    fn errors_return_within_three_percent() {
        let errors: Vec<f32> = (0..600).map(|i| 3e-5 * 10f32.powf(i as f32 / 100.0)).collect();
        let coded = code_errors(&errors);
        for (&error, &code) in errors.iter().zip(&coded.codes) {
            let exponent = (f32::from(code) - 1.0) / 254.0;
            let decoded = coded.low * (coded.high / coded.low).powf(exponent);
            assert!((decoded / error - 1.0).abs() < 0.03, "{error} became {decoded}");
        }
        let special = code_errors(&[0.0, f32::NAN, 2.0, 2.0]);
        assert_eq!(special.codes, [0, 255, 255, 255]);
        assert_eq!((special.low, special.high, special.not_finite), (2.0, 2.0, 1));
        assert_eq!(code_errors(&[0.0]).codes, [0]);
    }

    #[test]
    fn png_holds_the_indices() {
        let indices: Vec<u8> = (0..=254).collect();
        let palette = std::array::from_fn(|i| [i as u8, 0, 9]);
        let file = indexed_png(&indices, 15, 17, &palette).expect("a PNG");
        let mut decoder = png::Decoder::new(std::io::Cursor::new(&file));
        decoder.set_transformations(png::Transformations::IDENTITY);
        let mut reader = decoder.read_info().expect("a header");
        let mut bytes = vec![0; reader.output_buffer_size().expect("a size")];
        reader.next_frame(&mut bytes).expect("a frame");
        assert_eq!(bytes, indices);
        assert!(indexed_png(&[], 0, 0, &palette).is_err());
    }
}
