//! The element types of NumPy's file format, each turned into float32.

/// An element type that is read.
pub(super) struct Dtype {
    /// Bytes an element.
    pub(super) size: usize,
    big_endian: bool,
    /// The value of an element's bits; `Err` for a finite number that float32 cannot hold.
    value_of: fn(u64) -> Result<f32, f64>,
}

impl Dtype {
    /// The type of a name such as `<f4`: byte order, kind, bytes.
    pub(super) fn named(name: &str) -> Option<Dtype> {
        let (kind, big_endian) = match name.split_at_checked(1)? {
            (">", kind) => (kind, true),
            ("<" | "|" | "=", kind) => (kind, false),
            _ => return None,
        };
        let value_of: fn(u64) -> Result<f32, f64> = match kind {
            "f2" => |bits| Ok(half(bits as u16)),
            "f4" => |bits| Ok(f32::from_bits(bits as u32)),
            "f8" => |bits| narrowed(f64::from_bits(bits)),
            "b1" | "u1" | "u2" | "u4" | "u8" => |bits| Ok(bits as f32),
            "i1" => |bits| Ok(f32::from(bits as i8)),
            "i2" => |bits| Ok(f32::from(bits as i16)),
            "i4" => |bits| Ok(bits as i32 as f32),
            "i8" => |bits| Ok(bits as i64 as f32),
            _ => return None,
        };
        let size = kind[1..].parse().ok()?;
        Some(Dtype { size, big_endian, value_of })
    }

    /// The value of one element, `size` bytes of the file; `Err` for a finite number that float32 cannot hold.
    pub(super) fn value(&self, item: &[u8]) -> Result<f32, f64> {
        let append = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        let bits = match self.big_endian {
            true => item.iter().fold(0, append),
            false => item.iter().rev().fold(0, append),
        };
        (self.value_of)(bits)
    }
}

fn narrowed(value: f64) -> Result<f32, f64> {
    let narrow = value as f32;
    match value.is_finite() && narrow.is_infinite() {
        true => Err(value),
        false => Ok(narrow),
    }
}

/// The value of an IEEE 754 half: 1 bit of sign, 5 of exponent (bias 15), 10 of fraction.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f32::from(bits & 0x3FF) / 1024.0;
    match i32::from(bits >> 10 & 0x1F) {
        0 => sign * fraction * 2f32.powi(-14),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        exponent => sign * (1.0 + fraction) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_have_a_type() {
        for name in ["<f16", "|O", "<U3", "<c8", "<M8[ns]", "f4", "<", "", "é4", "<i3"] {
            assert!(Dtype::named(name).is_none(), "{name}");
        }
        assert_eq!(Dtype::named("=f4").map(|dtype| dtype.size), Some(4));
        assert_eq!(Dtype::named("|b1").map(|dtype| dtype.size), Some(1));
    }

    #[test]
    fn halves_at_the_edges() {
        let cases = [
            (0x7BFF, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0xFC00, f32::NEG_INFINITY),
            (0x8000, 0.0),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits), value, "{bits:04x}");
        }
        assert!(half(0x7C01).is_nan());
    }

    #[test]
    fn a_double_beyond_single_is_told() {
        let cases = [
            (1e300, Err(1e300)),
            (1e-300, Ok(0.0)),
            (f64::NEG_INFINITY, Ok(f32::NEG_INFINITY)),
            (f64::from(f32::MAX), Ok(f32::MAX)),
        ];
        for (value, result) in cases {
            assert_eq!(narrowed(value), result, "{value}");
        }
    }
}
