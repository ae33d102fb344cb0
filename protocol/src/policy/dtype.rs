//! Element types of arrays.

use crate::names::wire_names;

wire_names! {
    /// Element type of an array; little endian on the wire.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Dtype {
        /// IEEE 754 half precision.
        Float16 = "float16",
        /// IEEE 754 single precision.
        Float32 = "float32",
        /// IEEE 754 double precision.
        Float64 = "float64",
        /// Signed, 8 bits.
        Int8 = "int8",
        /// Signed, 16 bits.
        Int16 = "int16",
        /// Signed, 32 bits.
        Int32 = "int32",
        /// Signed, 64 bits.
        Int64 = "int64",
        /// Unsigned, 8 bits.
        Uint8 = "uint8",
        /// Unsigned, 16 bits.
        Uint16 = "uint16",
        /// Unsigned, 32 bits.
        Uint32 = "uint32",
        /// Unsigned, 64 bits.
        Uint64 = "uint64",
        /// One byte; everything but 0 is true.
        Bool = "bool",
    }
}

impl Dtype {
    /// Bytes of one element.
    pub const fn item_size(self) -> usize {
        match self {
            Self::Int8 | Self::Uint8 | Self::Bool => 1,
            Self::Float16 | Self::Int16 | Self::Uint16 => 2,
            Self::Float32 | Self::Int32 | Self::Uint32 => 4,
            Self::Float64 | Self::Int64 | Self::Uint64 => 8,
        }
    }

    /// The element at the beginning of `bytes` as a number; 64-bit integers are rounded, true is 1.
    ///
    /// `bytes` has the item size.
    #[expect(clippy::cast_precision_loss, reason = "documented")]
    pub(super) fn read(self, bytes: &[u8]) -> f64 {
        match self {
            Self::Float16 => half(u16::from_le_bytes(fixed(bytes))),
            Self::Float32 => f32::from_le_bytes(fixed(bytes)).into(),
            Self::Float64 => f64::from_le_bytes(fixed(bytes)),
            Self::Int8 => i8::from_le_bytes(fixed(bytes)).into(),
            Self::Int16 => i16::from_le_bytes(fixed(bytes)).into(),
            Self::Int32 => i32::from_le_bytes(fixed(bytes)).into(),
            Self::Int64 => i64::from_le_bytes(fixed(bytes)) as f64,
            Self::Uint8 => u8::from_le_bytes(fixed(bytes)).into(),
            Self::Uint16 => u16::from_le_bytes(fixed(bytes)).into(),
            Self::Uint32 => u32::from_le_bytes(fixed(bytes)).into(),
            Self::Uint64 => u64::from_le_bytes(fixed(bytes)) as f64,
            Self::Bool => f64::from(u8::from(fixed::<1>(bytes) != [0])),
        }
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

/// The value of a half precision number: 1 bit of sign, 5 of exponent, 10 of mantissa.
fn half(bits: u16) -> f64 {
    let mantissa = f64::from(bits & 0x3ff);
    let magnitude = match (bits >> 10) & 0x1f {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + mantissa) * 2f64.powi(i32::from(exponent) - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

/// A Rust type that elements of an array can be seen as, without a copy.
pub trait Element: bytemuck::Pod + sealed::Sealed {
    /// Its element type on the wire.
    const DTYPE: Dtype;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element {
    ($($type:ty => $dtype:ident),+ $(,)?) => {
        $(
            impl sealed::Sealed for $type {}
            impl Element for $type {
                const DTYPE: Dtype = Dtype::$dtype;
            }
        )+
    };
}

element! {
    f32 => Float32,
    f64 => Float64,
    i8 => Int8,
    i16 => Int16,
    i32 => Int32,
    i64 => Int64,
    u8 => Uint8,
    u16 => Uint16,
    u32 => Uint32,
    u64 => Uint64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_numbers_are_read_as_they_are_meant() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_953_125),
            (0x7bff, 65504.0),
            (0x0400, 2f64.powi(-14)),
            (0x0001, 2f64.powi(-24)),
            (0x83ff, -1023.0 * 2f64.powi(-24)),
            (0x7c00, f64::INFINITY),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half(bits).to_bits(), value.to_bits(), "{bits:04x}");
        }
        assert!(half(0x7e00).is_nan() && half(0xfc01).is_nan());
    }
}
