//! Numbers as text.

/// Formats a number with `digits` significant digits. Numbers below 1e-4 and from 1e6 have an exponent.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    if value == 0.0 {
        return "0".into();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let exponent = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok());
    let text = match exponent {
        Some(exponent @ -4i32..6) => {
            let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
            format!("{value:.decimals$}")
        }
        _ => scientific,
    };
    text.replace('-', "−")
}

/// Formats a number with 3 significant digits; `–` if it is missing.
pub(crate) fn short(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| significant(value, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_significant_digits() {
        let cases = [
            (0.0, "0"),
            (0.123456, "0.123"),
            (-0.00123456, "−0.00123"),
            (9.999, "10.0"),
            (12345.6, "12346"),
            (1.5e-7, "1.50e−7"),
            (2.0e6, "2.00e6"),
            (f64::NAN, "–"),
        ];
        for (value, text) in cases {
            assert_eq!(significant(value, 3), text);
        }
        assert_eq!(short(None), "–");
    }
}
