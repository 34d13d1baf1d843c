//! Arrays in NumPy's file format (`.npy`): every common number type in, little-endian float32 out.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use dtype::Dtype;
use header::{Header, MOST_AXES};

pub use error::NpyError;

mod dtype;
mod error;
mod header;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy itself writes a few hundred bytes and reads at most 10,000.
const LONGEST_HEADER: usize = 10_000;
/// Where NumPy lets the data begin, so that it can be mapped into memory.
const ALIGNMENT: usize = 64;

/// An array of any number of axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The length of each axis; no axis at all for a single value.
    pub shape: Vec<usize>,
    /// The values, the last axis fastest; as many as the product of `shape`.
    pub values: Vec<f32>,
}

/// Reads a `.npy` file: floats of 16, 32 or 64 bits and integers of 8 to 64 bits, signed or not, in either byte
/// order, C or Fortran order. Each becomes the nearest float32.
///
/// Memory is taken as data arrives, never because a header asks for it.
///
/// # Errors
///
/// [`NpyError::Unreadable`], [`NotNpy`](NpyError::NotNpy), [`Header`](NpyError::Header),
/// [`Dtype`](NpyError::Dtype) for objects, strings, complex and structured types,
/// [`Length`](NpyError::Length) for a file that was cut short or holds more than its header says,
/// [`OutOfRange`](NpyError::OutOfRange) for a finite float64 beyond float32.
pub fn read(path: &Path) -> Result<Array, NpyError> {
    let mut file = File::open(path)
        .map_err(|source| NpyError::Unreadable { path: path.to_owned(), source })?;
    read_from(&mut file, path)
}

/// Reads the bytes of a `.npy` file, as [`read`] does; errors call the file `name`.
///
/// # Errors
///
/// As [`read`].
pub fn from_bytes(mut bytes: &[u8], name: &Path) -> Result<Array, NpyError> {
    read_from(&mut bytes, name)
}

/// Writes `values` as a `.npy` file, version 1.0: little-endian float32 in C order.
///
/// # Errors
///
/// [`NpyError::Shape`] if `values` are not as many as the product of `shape`, or `shape` has more than 64 axes;
/// [`NpyError::Unwritable`] if `writer` fails.
pub fn write(mut writer: impl Write, shape: &[usize], values: &[f32]) -> Result<(), NpyError> {
    if shape.len() > MOST_AXES || product(shape) != Some(values.len()) {
        return Err(NpyError::Shape { shape: shape.to_vec(), values: values.len() });
    }
    writer.write_all(&opening(shape)).map_err(NpyError::Unwritable)?;
    for some in values.chunks(1 << 14) {
        let bytes: Vec<u8> = some.iter().flat_map(|value| value.to_le_bytes()).collect();
        writer.write_all(&bytes).map_err(NpyError::Unwritable)?;
    }
    writer.flush().map_err(NpyError::Unwritable)
}

/// Everything that comes before the data.
fn opening(shape: &[usize]) -> Vec<u8> {
    let header = Header { dtype: "<f4".to_owned(), fortran_order: false, shape: shape.to_vec() };
    let mut text = header.to_text();
    let fixed = MAGIC.len() + 2 + 2;
    let end = (fixed + text.len() + 1).next_multiple_of(ALIGNMENT);
    text.push_str(&" ".repeat(end - fixed - text.len() - 1));
    text.push('\n');
    // 64 axes of 20 digits fill 1,500 bytes, so 16 bits are enough for the length.
    let length = (text.len() as u16).to_le_bytes();
    [&MAGIC[..], &[1, 0], &length, text.as_bytes()].concat()
}

fn read_from(reader: &mut impl Read, path: &Path) -> Result<Array, NpyError> {
    let path = path.to_owned();
    let header = match header_text(reader) {
        Ok(text) => Header::parse(&text)
            .map_err(|problem| NpyError::Header { path: path.clone(), problem })?,
        Err(Opening::Foreign) => return Err(NpyError::NotNpy { path }),
        Err(Opening::Broken(problem)) => return Err(NpyError::Header { path, problem }),
        Err(Opening::Unreadable(source)) => return Err(NpyError::Unreadable { path, source }),
    };
    let Some(dtype) = Dtype::named(&header.dtype) else {
        let dtype = header.dtype;
        return Err(NpyError::Dtype { path, dtype });
    };
    let Some(expected) = product(&header.shape).and_then(|count| count.checked_mul(dtype.size))
    else {
        return Err(NpyError::Header {
            path,
            problem: format!("its shape {:?} asks for more than any memory holds", header.shape),
        });
    };

    let mut bytes = Vec::new();
    let one_more = (expected as u64).saturating_add(1);
    if let Err(source) = reader.take(one_more).read_to_end(&mut bytes) {
        return Err(NpyError::Unreadable { path, source });
    }
    if bytes.len() != expected {
        let found = match bytes.len() > expected {
            true => "more".to_owned(),
            false => bytes.len().to_string(),
        };
        return Err(NpyError::Length {
            path,
            shape: header.shape,
            dtype: header.dtype,
            expected: expected as u64,
            found,
        });
    }

    let values = bytes.chunks_exact(dtype.size).map(|item| dtype.value(item));
    let values: Vec<f32> =
        values.collect::<Result<_, f64>>().map_err(|value| NpyError::OutOfRange { path, value })?;
    let values = match header.fortran_order {
        true => last_axis_fastest(&values, &header.shape),
        false => values,
    };
    Ok(Array { shape: header.shape, values })
}

fn product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, axis| product.checked_mul(*axis))
}

/// Why the bytes before the data gave no header.
enum Opening {
    Foreign,
    Broken(String),
    Unreadable(io::Error),
}

/// The text between the fixed bytes and the data.
fn header_text(reader: &mut impl Read) -> Result<String, Opening> {
    let [m0, m1, m2, m3, m4, m5, major, _minor] = fixed::<8>(reader)?.ok_or(Opening::Foreign)?;
    if [m0, m1, m2, m3, m4, m5] != *MAGIC {
        return Err(Opening::Foreign);
    }
    let cut_short = || Opening::Broken("the file ends inside it".to_owned());
    let length = match major {
        1 => fixed::<2>(reader)?.map(|bytes| usize::from(u16::from_le_bytes(bytes))),
        2 | 3 => fixed::<4>(reader)?.map(|bytes| u32::from_le_bytes(bytes) as usize),
        other => {
            return Err(Opening::Broken(format!("it is of version {other}, and 1 to 3 are read")));
        }
    };
    let length = length.ok_or_else(cut_short)?;
    if length > LONGEST_HEADER {
        return Err(Opening::Broken(format!(
            "it is {length} bytes long, and the limit is {LONGEST_HEADER}"
        )));
    }
    let mut text = vec![0; length];
    match reader.read_exact(&mut text) {
        Ok(()) => String::from_utf8(text).map_err(|_| Opening::Broken("it is not text".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(cut_short()),
        Err(error) => Err(Opening::Unreadable(error)),
    }
}

/// The next `N` bytes, `None` if the file ends before.
fn fixed<const N: usize>(reader: &mut impl Read) -> Result<Option<[u8; N]>, Opening> {
    let mut bytes = [0; N];
    match reader.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(Opening::Unreadable(error)),
    }
}

/// Values whose first axis ran fastest, laid out so that the last does.
fn last_axis_fastest(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let mut place = vec![0; shape.len()];
    let mut from = 0;
    let mut laid_out = Vec::with_capacity(values.len());
    while laid_out.len() < values.len() {
        laid_out.push(values[from]);
        // Count up `place`, last axis first, and keep `from` its distance in `values`.
        let mut stride = values.len();
        for axis in (0..shape.len()).rev() {
            stride /= shape[axis];
            place[axis] += 1;
            from += stride;
            if place[axis] < shape[axis] {
                break;
            }
            place[axis] = 0;
            from -= stride * shape[axis];
        }
    }
    laid_out
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn every_number_type_is_read() {
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
    fn fortran_order_is_turned() {
        // numpy.arange(24).reshape(2, 3, 4), its first axis fastest.
        let data: Vec<u8> = (0..24).map(|at| at % 2 * 12 + at / 2 % 3 * 4 + at / 6).collect();
        let array = parsed(&file(&header("|u1", "True", "(2, 3, 4)"), &data)).unwrap();
        assert_eq!(array.shape, [2, 3, 4]);
        let counting: Vec<f32> = (0..24).map(|value| value as f32).collect();
        assert_eq!(array.values, counting);
        assert_eq!(parsed(&file(&header("|u1", "True", "()"), &[9])).unwrap().values, [9.0]);
        assert!(parsed(&file(&header("|u1", "True", "(3, 0)"), &[])).unwrap().values.is_empty());
    }

    #[test]
    fn what_is_written_is_read() {
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
    fn the_bytes_are_numpys() {
        let mut bytes = Vec::new();
        write(&mut bytes, &[2], &[1.5, -2.0]).unwrap();
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
        let expected = [
            b"\x93NUMPY\x01\x00\x76\x00",
            text.as_bytes(),
            " ".repeat(128 - 10 - text.len() - 1).as_bytes(),
            b"\n\x00\x00\xC0\x3F\x00\x00\x00\xC0",
        ]
        .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_shape_that_does_not_fit_is_not_written() {
        let error = write(Vec::new(), &[2, 3], &[0.0; 5]).unwrap_err().to_string();
        assert_eq!(error, "an array of shape [2, 3] cannot be written with 5 values");
        assert!(write(Vec::new(), &[usize::MAX, 3], &[]).is_err());
        assert!(write(Vec::new(), &[1; 65], &[0.0]).is_err());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let whole = file(&header("<f4", "False", "(2,)"), &[0; 8]);
        let damaged = "map.npy is damaged: shape [2] of dtype <f4 takes 8 bytes, but";
        let broken = "map.npy has a header that cannot be used:";
        let again = "write it again with numpy.save";
        let objects = "map.npy holds elements of dtype |O, and only integers and floats of at most 64 bits are read; \
                       convert it with .astype(numpy.float32)";
        let huge = 1e300f64.to_le_bytes();
        let cases = [
            (Vec::new(), "map.npy is not a .npy file; write it with numpy.save".to_owned()),
            (
                b"PK\x03\x04 a zip archive".to_vec(),
                "map.npy is not a .npy file; write it with numpy.save".to_owned(),
            ),
            (whole[..9].to_vec(), format!("{broken} the file ends inside it; {again}")),
            (whole[..40].to_vec(), format!("{broken} the file ends inside it; {again}")),
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
                objects.replace("|O", "[('a', '<f4')]"),
            ),
            (
                file(&header("<f4", "False", "(4294967296, 4294967296, 4)"), &[0; 8]),
                format!(
                    "{broken} its shape [4294967296, 4294967296, 4] asks for more than any memory holds; {again}"
                ),
            ),
            (
                file(&header("<f4", "False", "(1000000, 1000000)"), &[0; 8]),
                "map.npy is damaged: shape [1000000, 1000000] of dtype <f4 takes 4000000000000 bytes, \
                 but 8 follow the header; copy or write it again"
                    .to_owned(),
            ),
            (
                b"\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF".to_vec(),
                format!("{broken} it is 4294967295 bytes long, and the limit is 10000; {again}"),
            ),
            (
                b"\x93NUMPY\x09\x00\xFF\xFF".to_vec(),
                format!("{broken} it is of version 9, and 1 to 3 are read; {again}"),
            ),
            (
                file(&header("<f8", "False", "(1,)"), &huge),
                "map.npy holds 1e300, which is too large for float32".to_owned(),
            ),
        ];
        for (bytes, message) in cases {
            assert_eq!(parsed(&bytes), Err(message));
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("no/such/map.npy")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read no/such/map.npy: "), "{error}");
    }
}
