//! Tensors as stored in a model file, and ONNX element types.

use bytes::Bytes;
use half::{bf16, f16};
use onnx_ir::TensorProto;
use rayon::prelude::*;

use super::{Folder, Mapped};

/// An ONNX element type, by its number in `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element(pub i32);

impl Element {
    pub const FLOAT: Self = Self(1);
    pub const UINT8: Self = Self(2);
    pub const INT32: Self = Self(6);
    pub const INT64: Self = Self(7);
    pub const BOOL: Self = Self(9);
    const FLOAT16: Self = Self(10);
    const DOUBLE: Self = Self(11);
    const BFLOAT16: Self = Self(16);

    /// Returns the ONNX name of the type.
    pub fn name(self) -> String {
        const NAMES: [&str; 24] = [
            "undefined",
            "float",
            "uint8",
            "int8",
            "uint16",
            "int16",
            "int32",
            "int64",
            "string",
            "bool",
            "float16",
            "double",
            "uint32",
            "uint64",
            "complex64",
            "complex128",
            "bfloat16",
            "float8e4m3fn",
            "float8e4m3fnuz",
            "float8e5m2",
            "float8e5m2fnuz",
            "uint4",
            "int4",
            "float4e2m1",
        ];
        let name = usize::try_from(self.0).ok().and_then(|number| NAMES.get(number));
        name.map_or_else(|| format!("type {}", self.0), |name| (*name).to_owned())
    }

    /// Returns the type with the ONNX name `name`; type 0 (undefined) for an unknown name.
    pub fn named(name: &str) -> Self {
        Self((1..64).find(|&number| Self(number).name() == name).unwrap_or_default())
    }

    /// Whether the type is a floating-point type, which is computed in float32.
    pub fn is_float(self) -> bool {
        [Self::FLOAT, Self::FLOAT16, Self::DOUBLE, Self::BFLOAT16].contains(&self)
    }

    /// Returns the unit roundoff (half the distance from 1 to the next larger number); 0 for exact types.
    /// `double` has the roundoff of float32, in which it is computed.
    pub fn precision(self) -> f64 {
        match self {
            Self::FLOAT16 => 2f64.powi(-11),
            Self::BFLOAT16 => 2f64.powi(-8),
            Self::FLOAT | Self::DOUBLE => 2f64.powi(-24),
            _ => 0.0,
        }
    }

    /// Returns the size in bytes, the minimum and the maximum of an integer type. The size of a 4-bit type,
    /// two of which share a byte, is 1.
    pub fn integer(self) -> Option<(usize, i64, i64)> {
        match self.0 {
            2 => Some((1, 0, u8::MAX.into())),
            3 => Some((1, i8::MIN.into(), i8::MAX.into())),
            4 => Some((2, 0, u16::MAX.into())),
            5 => Some((2, i16::MIN.into(), i16::MAX.into())),
            6 => Some((4, i32::MIN.into(), i32::MAX.into())),
            7 => Some((8, i64::MIN, i64::MAX)),
            12 => Some((4, 0, u32::MAX.into())),
            13 => Some((8, 0, i64::MAX)),
            21 => Some((1, 0, 15)),
            22 => Some((1, -8, 7)),
            _ => None,
        }
    }

    /// Whether two elements share a byte; the first element is the low half.
    pub fn is_packed(self) -> bool {
        matches!(self.0, 21 | 22)
    }

    /// Returns the two integers in a byte.
    fn unpacked(self, byte: u8) -> [i64; 2] {
        [byte & 15, byte >> 4].map(|half| match self.0 {
            22 if half > 7 => i64::from(half) - 16,
            _ => i64::from(half),
        })
    }
}

/// The number of bytes that are read before their memory is released.
const CHUNK_BYTES: usize = 1 << 22;

/// The size of the smallest tensor that is borrowed from the file instead of copied, in bytes.
const MIN_BORROWED_BYTES: usize = 1 << 16;

/// A tensor as stored in the file.
#[derive(Clone, Debug)]
pub struct Stored {
    pub dims: Vec<usize>,
    pub element: Element,
    data: Data,
}

#[derive(Clone, Debug)]
enum Data {
    /// Little-endian bytes, a part of the mapped file.
    Raw(Mapped),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    /// The `int32_data` field: int32 and narrower integers, the bits of float16 and bfloat16, or bytes of two
    /// 4-bit elements.
    Narrow(Vec<i32>),
    Ints(Vec<i64>),
    Unsigned(Vec<u64>),
}

/// The elements of a tensor in the types of the computation.
pub enum Numbers {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Bools(Vec<bool>),
}

impl Stored {
    /// Returns the tensor in `proto`, whose data may be in an external file of `folder`.
    ///
    /// # Errors
    ///
    /// When the data are missing, their number does not fit the shape, or the element type is not
    /// supported.
    pub fn new(proto: &TensorProto, folder: &mut Folder) -> Result<Self, String> {
        let invalid = |reason: &str| Err(format!("the weight {:?} {reason}", proto.name));
        let element = Element(proto.data_type);
        let Ok(dims) =
            proto.dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>()
        else {
            return invalid("has a negative size in its shape; export the model again");
        };
        if !element.is_float() && element.integer().is_none() && element != Element::BOOL {
            return invalid(&format!("has the type {}, which is not supported", element.name()));
        }
        let data = match folder.bytes(proto)? {
            Some(bytes) => Data::Raw(bytes),
            None => match element.0 {
                1 => Data::Floats(proto.float_data.clone()),
                11 => Data::Doubles(proto.double_data.clone()),
                7 => Data::Ints(proto.int64_data.clone()),
                12 | 13 => Data::Unsigned(proto.uint64_data.clone()),
                _ => Data::Narrow(proto.int32_data.clone()),
            },
        };
        let stored = Self { dims, element, data };
        let count = stored.dims.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
        match count {
            Some(count) if element.is_packed() && stored.len() == Some(count.div_ceil(2)) => {
                Ok(stored)
            }
            Some(count) if !element.is_packed() && stored.len() == Some(count) => Ok(stored),
            _ => invalid(&format!(
                "does not have as many elements as its shape {:?}; export or copy the model again",
                stored.dims
            )),
        }
    }

    /// Returns the number of elements, or of bytes for packed types; `None` if the raw data end within an
    /// element.
    fn len(&self) -> Option<usize> {
        match &self.data {
            Data::Raw(bytes) => {
                let (width, bytes) = (self.width(), bytes.bytes());
                bytes.len().is_multiple_of(width).then_some(bytes.len() / width)
            }
            Data::Floats(values) => Some(values.len()),
            Data::Doubles(values) => Some(values.len()),
            Data::Narrow(values) => Some(values.len()),
            Data::Ints(values) => Some(values.len()),
            Data::Unsigned(values) => Some(values.len()),
        }
    }

    /// Returns the size of an element in the file, in bytes.
    fn width(&self) -> usize {
        match self.element {
            Element::BOOL => 1,
            Element::FLOAT16 | Element::BFLOAT16 => 2,
            Element::DOUBLE => 8,
            Element::FLOAT => 4,
            other => other.integer().map_or(1, |(width, ..)| width),
        }
    }

    /// Returns the mapped bytes if the computation can use them without a copy: float32 elements in the
    /// processor's byte order, aligned, and enough of them to be worth it.
    pub fn borrowed(&self) -> Option<Bytes> {
        let Data::Raw(mapped) = &self.data else { return None };
        let bytes = mapped.bytes();
        let ready = cfg!(target_endian = "little")
            && self.element == Element::FLOAT
            && bytes.len() >= MIN_BORROWED_BYTES
            && bytes.as_ptr().align_offset(align_of::<f32>()) == 0;
        ready.then(|| bytes.clone())
    }

    /// Returns the elements. Every float type becomes float32, every integer type int64.
    ///
    /// # Errors
    ///
    /// When a uint64 element does not fit int64, or the elements are stored in a field of another type.
    pub fn numbers(&self) -> Result<Numbers, String> {
        let element = self.element;
        if element == Element::BOOL {
            return Ok(Numbers::Bools(match &self.data {
                Data::Raw(mapped) => mapped.bytes().iter().map(|&byte| byte != 0).collect(),
                _ => self.ints()?.into_iter().map(|value| value != 0).collect(),
            }));
        }
        if element.is_packed() {
            let pairs = self.ints()?.into_iter().flat_map(|byte| element.unpacked(byte as u8));
            return Ok(Numbers::Ints(pairs.take(self.dims.iter().product()).collect()));
        }
        if !element.is_float() {
            return self.ints().map(Numbers::Ints);
        }
        Ok(Numbers::Floats(match &self.data {
            Data::Floats(values) => values.clone(),
            Data::Doubles(values) => values.iter().map(|&value| value as f32).collect(),
            Data::Narrow(bits) => bits.iter().map(|&bits| self.half_to_f32(bits as u16)).collect(),
            Data::Raw(mapped) => self.raw_floats(mapped),
            Data::Ints(_) | Data::Unsigned(_) => {
                return Err(
                    "its float elements are stored in an integer field; export it again".into()
                );
            }
        }))
    }

    /// Returns the elements of `mapped` as float32, in parallel, and releases the mapped memory chunk by
    /// chunk.
    fn raw_floats(&self, mapped: &Mapped) -> Vec<f32> {
        fn read<const N: usize>(to: &mut [f32], bytes: &[u8], float: impl Fn([u8; N]) -> f32) {
            to.iter_mut().zip(chunks(bytes)).for_each(|(to, bytes)| *to = float(bytes));
        }
        let mut floats = vec![0.0; mapped.bytes().len() / self.width()];
        let parts = floats.par_chunks_mut(CHUNK_BYTES / self.width());
        parts.zip(mapped.bytes().par_chunks(CHUNK_BYTES)).enumerate().for_each(
            |(at, (to, part))| {
                match self.element {
                    Element::FLOAT => read(to, part, f32::from_le_bytes),
                    Element::DOUBLE => read(to, part, |bytes| f64::from_le_bytes(bytes) as f32),
                    _ => read(to, part, |bytes| self.half_to_f32(u16::from_le_bytes(bytes))),
                }
                mapped.release(at * CHUNK_BYTES..at * CHUNK_BYTES + part.len());
            },
        );
        floats
    }

    /// Whether every element is finite. Mapped float32 elements are not copied.
    pub fn is_finite(&self) -> bool {
        let Data::Raw(mapped) = &self.data else {
            return self.numbers().is_ok_and(|numbers| match numbers {
                Numbers::Floats(values) => values.iter().all(|value| value.is_finite()),
                Numbers::Ints(_) | Numbers::Bools(_) => true,
            });
        };
        if self.element != Element::FLOAT {
            return self.raw_floats(mapped).iter().all(|value| value.is_finite());
        }
        mapped.bytes().par_chunks(CHUNK_BYTES).enumerate().all(|(at, part)| {
            let non_finite = chunks(part)
                .fold(0u32, |any, bytes| any | u32::from(!f32::from_le_bytes(bytes).is_finite()));
            mapped.release(at * CHUNK_BYTES..at * CHUNK_BYTES + part.len());
            non_finite == 0
        })
    }

    /// Converts the bits of a float16 or bfloat16 element to float32.
    fn half_to_f32(&self, bits: u16) -> f32 {
        match self.element {
            Element::BFLOAT16 => bf16::from_bits(bits).to_f32(),
            _ => f16::from_bits(bits).to_f32(),
        }
    }

    /// Returns the elements of an integer or boolean type; one value per byte for packed types.
    fn ints(&self) -> Result<Vec<i64>, String> {
        let unsigned = |value: u64| {
            i64::try_from(value).map_err(|_| {
                format!("its element {value} exceeds int64, in which uint64 is computed")
            })
        };
        match &self.data {
            Data::Ints(values) => Ok(values.clone()),
            Data::Unsigned(values) => values.iter().map(|&value| unsigned(value)).collect(),
            Data::Narrow(values) => Ok(values
                .iter()
                .map(
                    |&value| {
                        if self.element.0 == 12 { i64::from(value as u32) } else { value.into() }
                    },
                )
                .collect()),
            Data::Raw(mapped) => match (self.element.0, mapped.bytes()) {
                (2 | 21 | 22, bytes) => Ok(bytes.iter().map(|&byte| byte.into()).collect()),
                (3, bytes) => Ok(bytes.iter().map(|&byte| (byte as i8).into()).collect()),
                (4, bytes) => Ok(chunks(bytes).map(|b| u16::from_le_bytes(b).into()).collect()),
                (5, bytes) => Ok(chunks(bytes).map(|b| i16::from_le_bytes(b).into()).collect()),
                (6, bytes) => Ok(chunks(bytes).map(|b| i32::from_le_bytes(b).into()).collect()),
                (12, bytes) => Ok(chunks(bytes).map(|b| u32::from_le_bytes(b).into()).collect()),
                (13, bytes) => chunks(bytes).map(|b| unsigned(u64::from_le_bytes(b))).collect(),
                (_, bytes) => Ok(chunks(bytes).map(i64::from_le_bytes).collect()),
            },
            Data::Floats(_) | Data::Doubles(_) => {
                Err("its integer elements are stored in a float field; export it again".into())
            }
        }
    }
}

/// Splits `bytes` into arrays of `N` bytes.
fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().copied()
}
