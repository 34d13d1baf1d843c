//! Arrays in NumPy's file format (`.npy`). Integers and floats are read as float32; float32 is written.

mod header;
mod values;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use npyz::{DType, Order, WriterBuilder};

use crate::error::{Error, ErrorKind};
use header::{NpyError, element_type, read_header};
use values::{read_values, to_c_order};

/// The maximum number of axes of a written array; NumPy has the same limit.
const MAX_AXES: usize = 64;

/// An array with any number of axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The length of each axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// The values in row-major order. Their number is the product of `shape`.
    pub values: Vec<f32>,
}

/// Reads a `.npy` file of floats with 16, 32 or 64 bits or of integers with 8 to 64 bits, in any byte
/// order, in C or Fortran order. Each value is rounded to the nearest float32.
///
/// Memory is allocated for the data that is actually read, not for the size that the header claims.
///
/// # Errors
///
/// Returns an error if the file cannot be read ([`ErrorKind::Io`]), is not a `.npy` file of numbers
/// ([`ErrorKind::Format`]), is shorter or longer than its header says ([`ErrorKind::Damaged`]), or contains a
/// finite float64 beyond the range of float32 ([`ErrorKind::Range`]).
pub fn read(path: impl AsRef<Path>) -> Result<Array, Error> {
    let path = path.as_ref();
    let mut file = File::open(path).map_err(|error| Error::unreadable(path, &error))?;
    read_from(&mut file, path)
}

/// Reads an array from the bytes of a `.npy` file as [`read`] does. Messages call the file `name`.
///
/// # Errors
///
/// As [`read`].
pub fn from_bytes(mut bytes: &[u8], name: impl AsRef<Path>) -> Result<Array, Error> {
    read_from(&mut bytes, name.as_ref())
}

/// Writes `values` with the given `shape` as a `.npy` file of little-endian float32 in C order.
///
/// # Errors
///
/// Returns an error if the number of values is not the product of `shape`, if `shape` has more than 64
/// axes, or if `writer` fails.
pub fn write(writer: impl Write, shape: &[usize], values: &[f32]) -> Result<(), Error> {
    if shape.len() > MAX_AXES || product(shape) != Some(values.len()) {
        let count = values.len();
        let message = format!(
            "an array of shape {shape:?} cannot be written with {count} values; give at most {MAX_AXES} axes, and as many values as the product of the shape"
        );
        return Err(Error::new(ErrorKind::Shape, message));
    }
    let shape: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
    let write = || -> io::Result<()> {
        let float32 = DType::Plain("<f4".parse().map_err(io::Error::other)?);
        let options = npyz::WriteOptions::new().dtype(float32).shape(&shape);
        let mut writer = options.writer(io::BufWriter::new(writer)).begin_nd()?;
        writer.extend(values)?;
        writer.finish()
    };
    write().map_err(|error| Error::new(ErrorKind::Io, format!("cannot write the array: {error}")))
}

fn read_from(reader: &mut impl Read, path: &Path) -> Result<Array, Error> {
    let header = read_header(reader).map_err(|error| error.at(path))?;
    let shape: Option<Vec<usize>> =
        header.shape().iter().map(|&size| usize::try_from(size).ok()).collect();
    let (dtype, size) = element_type(&header).map_err(|error| error.at(path))?;
    let Some((shape, expected)) = shape
        .and_then(|shape| Some((product(&shape)?.checked_mul(size)?, shape)))
        .map(|(bytes, shape)| (shape, bytes))
    else {
        return Err(NpyError::too_large(header.shape()).at(path));
    };
    let mut bytes = Vec::new();
    // One byte more than expected, to detect a file that is too long.
    let limit = (expected as u64).saturating_add(1);
    reader.take(limit).read_to_end(&mut bytes).map_err(|error| Error::unreadable(path, &error))?;
    if bytes.len() != expected {
        let found = match bytes.len() > expected {
            true => "more".to_owned(),
            false => bytes.len().to_string(),
        };
        return Err(Error::new(
            ErrorKind::Damaged,
            format!(
                "{} is damaged: shape {shape:?} of dtype {dtype} needs {expected} bytes, but {found} follow the header; copy or write it again",
                path.display()
            ),
        ));
    }
    let order = header.order();
    let values = read_values(header, &bytes).map_err(|error| error.at(path))?;
    let values = if order == Order::Fortran { to_c_order(&values, &shape) } else { values };
    Ok(Array { shape, values })
}

fn product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, axis| product.checked_mul(*axis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: &[u8; 6] = b"\x93NUMPY";
    /// The alignment of the data in `.npy` files, in bytes.
    const ALIGNMENT: usize = 64;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [&MAGIC[..], &[1, 0], &length, header.as_bytes(), data].concat()
    }

    fn header(dtype: &str, order: &str, shape: &str) -> String {
        format!("{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
    }

    fn parsed(bytes: &[u8]) -> Result<Array, String> {
        read_from(&mut &bytes[..], Path::new("map.npy")).map_err(|error| error.to_string())
    }

    #[test]
    fn every_element_type_is_read() {
        let cases: [(&str, &[u8], [f32; 2]); 14] = [
            ("<f4", &[0, 0, 0xC0, 0x3F, 0, 0, 0, 0xC0], [1.5, -2.0]),
            (">f4", &[0x3F, 0xC0, 0, 0, 0xC0, 0, 0, 0], [1.5, -2.0]),
            ("<f8", &[0, 0, 0, 0, 0, 0, 0xF8, 0x3F, 0, 0, 0, 0, 0, 0, 0, 0xC0], [1.5, -2.0]),
            (">f8", &[0x3F, 0xF8, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0], [1.5, -2.0]),
            ("<f2", &[0, 0x3E, 0, 0xC0], [1.5, -2.0]),
            (">f2", &[0x3E, 0, 0, 0x01], [1.5, 5.960_464_5e-8]),
            ("|u1", &[7, 255], [7.0, 255.0]),
            ("|i1", &[7, 255], [7.0, -1.0]),
            ("<u2", &[1, 2, 0xFF, 0xFF], [513.0, 65535.0]),
            (">i2", &[2, 1, 0xFF, 0xFE], [513.0, -2.0]),
            ("<i4", &[1, 2, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF], [513.0, -2.0]),
            (">u4", &[0, 0, 2, 1, 0xFF, 0xFF, 0xFF, 0xFF], [513.0, 4_294_967_295.0]),
            (
                "<i8",
                &[1, 2, 0, 0, 0, 0, 0, 0, 0xFE, 255, 255, 255, 255, 255, 255, 255],
                [513.0, -2.0],
            ),
            (
                ">i8",
                &[0, 0, 0, 0, 0, 0, 2, 1, 255, 255, 255, 255, 255, 255, 255, 0xFE],
                [513.0, -2.0],
            ),
        ];
        for (dtype, data, values) in cases {
            let array = parsed(&file(&header(dtype, "False", "(2,)"), data)).unwrap();
            assert_eq!(array.values, values, "{dtype}");
            assert_eq!(array.shape, [2], "{dtype}");
        }
    }

    #[test]
    fn fortran_order_becomes_c_order() {
        // numpy.arange(24).reshape(2, 3, 4) in Fortran order: the first axis varies fastest.
        let data: Vec<u8> = (0..24).map(|i| i % 2 * 12 + i / 2 % 3 * 4 + i / 6).collect();
        let array = parsed(&file(&header("|u1", "True", "(2, 3, 4)"), &data)).unwrap();
        assert_eq!(array.shape, [2, 3, 4]);
        let expected: Vec<f32> = (0..24).map(|value| value as f32).collect();
        assert_eq!(array.values, expected);
        assert_eq!(parsed(&file(&header("|u1", "True", "()"), &[9])).unwrap().values, [9.0]);
        assert!(parsed(&file(&header("|u1", "True", "(3, 0)"), &[])).unwrap().values.is_empty());
    }

    #[test]
    fn write_and_read_round_trip() {
        let cases: [(&[usize], &[f32]); 4] = [
            (&[], &[2.5]),
            (&[3], &[1.0, -0.0, f32::INFINITY]),
            (&[1, 2, 2], &[1e-40, f32::MIN, f32::MAX, 0.1]),
            (&[0, 5], &[]),
        ];
        for (shape, values) in cases {
            let mut bytes = Vec::new();
            write(&mut bytes, shape, values).unwrap();
            assert_eq!((bytes.len() - values.len() * 4) % ALIGNMENT, 0, "{shape:?}");
            let array = parsed(&bytes).unwrap();
            assert_eq!(array.shape, shape);
            let bits =
                |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&array.values), bits(values), "{shape:?}");
        }
    }

    #[test]
    fn written_bytes_follow_the_format() {
        let mut bytes = Vec::new();
        write(&mut bytes, &[2], &[1.5, -2.0]).unwrap();
        // The magic string, version 1.0, and a header of 0x76 bytes that ends in a line break: 128 bytes in
        // total.
        assert!(bytes.starts_with(b"\x93NUMPY\x01\x00\x76\x00"));
        let header = String::from_utf8_lossy(&bytes[10..128]);
        assert!(
            header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, )"),
            "{header}"
        );
        assert!(header.ends_with(" \n"), "{header:?}");
        assert_eq!(&bytes[128..], b"\x00\x00\xC0\x3F\x00\x00\x00\xC0");
    }

    #[test]
    fn write_refuses_a_shape_that_does_not_match_the_values() {
        let error = write(Vec::new(), &[2, 3], &[0.0; 5]).unwrap_err().to_string();
        assert_eq!(
            error,
            "an array of shape [2, 3] cannot be written with 5 values; \
             give at most 64 axes, and as many values as the product of the shape"
        );
        assert!(write(Vec::new(), &[usize::MAX, 3], &[]).is_err());
        assert!(write(Vec::new(), &[1; 65], &[0.0]).is_err());
    }

    #[test]
    fn invalid_files_are_refused() {
        let whole = file(&header("<f4", "False", "(2,)"), &[0; 8]);
        let damaged = "map.npy is damaged: shape [2] of dtype <f4 needs 8 bytes, but";
        let invalid = "map.npy has an invalid header:";
        let again = "write it again with numpy.save";
        let objects = "map.npy has elements of dtype |O, but only integers and floats of at most 64 bits are supported; \
                       convert it with .astype(numpy.float32)";
        let huge = 1e300f64.to_le_bytes();
        let cases = [
            (Vec::new(), "map.npy is not a .npy file; write it with numpy.save".to_owned()),
            (
                b"PK\x03\x04 a zip archive".to_vec(),
                "map.npy is not a .npy file; write it with numpy.save".to_owned(),
            ),
            (whole[..9].to_vec(), format!("{invalid} the file ends inside the header; {again}")),
            (whole[..40].to_vec(), format!("{invalid} the file ends inside the header; {again}")),
            (
                whole[..whole.len() - 3].to_vec(),
                format!("{damaged} 5 follow the header; copy or write it again"),
            ),
            (
                [&whole[..], &[0]].concat(),
                format!("{damaged} more follow the header; copy or write it again"),
            ),
            (file(&header("|O", "False", "(2,)"), &[0; 8]), objects.to_owned()),
            (
                file(&header("<c8", "False", "(2,)"), &[0; 16]),
                objects.replace("|O", "<c8"),
            ),
            (
                file(&header("<f16", "False", "(2,)"), &[0; 32]),
                objects.replace("|O", "<f16"),
            ),
            (
                file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", &[0; 8]),
                objects.replace("|O", "[('a', '<f4'), ]"),
            ),
            (
                file(&header("<f4", "False", "(4294967296, 4294967296, 4)"), &[0; 8]),
                format!(
                    "{invalid} the shape [4294967296, 4294967296, 4] is too large for any memory; {again}"
                ),
            ),
            (
                file(&header("<f4", "False", "(1000000, 1000000)"), &[0; 8]),
                "map.npy is damaged: shape [1000000, 1000000] of dtype <f4 needs 4000000000000 bytes, \
                 but 8 follow the header; copy or write it again"
                    .to_owned(),
            ),
            (
                b"\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF".to_vec(),
                format!("{invalid} the header has 4294967295 bytes, but the limit is 10000; {again}"),
            ),
            (
                b"\x93NUMPY\x09\x00\xFF\xFF".to_vec(),
                format!("{invalid} the format version is 9, but only 1 to 3 are supported; {again}"),
            ),
            (
                file(&header("<f8", "False", "(1,)"), &huge),
                "map.npy contains 1e300, which is too large for float32".to_owned(),
            ),
        ];
        for (bytes, message) in cases {
            assert_eq!(parsed(&bytes), Err(message));
        }
    }

    #[test]
    fn error_names_the_missing_file() {
        let error = read("no/such/map.npy").unwrap_err().to_string();
        assert!(error.starts_with("cannot read no/such/map.npy: "), "{error}");
    }
}
