//! How one sample lies in memory.

use std::fmt;

/// The order of a sample's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// What a sample is, apart from its byte order.
///
/// Integers are two's complement and *left-justified* (full scale fills the container from the top) unless
/// the name says `Low`: then the value stands in the low bits, sign-extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// 16 bits in 2 bytes.
    Int16,
    /// 24 bits in 3 bytes.
    Int24,
    /// 24 bits in the high bits of 4 bytes; the low byte is zero.
    Int24In32,
    /// 32 bits in 4 bytes.
    Int32,
    /// 16 bits in the low bits of 4 bytes, sign-extended.
    Int32Low16,
    /// 18 bits in the low bits of 4 bytes, sign-extended.
    Int32Low18,
    /// 20 bits in the low bits of 4 bytes, sign-extended.
    Int32Low20,
    /// 24 bits in the low bits of 4 bytes, sign-extended.
    Int32Low24,
    /// IEEE 754 binary32, full scale ±1.
    Float32,
    /// IEEE 754 binary64, full scale ±1.
    Float64,
    /// Eight one-bit samples a byte, the oldest in bit 0.
    Dsd8Lsb,
    /// Eight one-bit samples a byte, the oldest in bit 7.
    Dsd8Msb,
    /// One one-bit sample a byte (0 or 1).
    DsdNer8,
}

/// How one sample lies in memory: encoding and byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SampleFormat {
    /// What the sample is.
    pub encoding: Encoding,
    /// The order of its bytes; [`ByteOrder::Little`] for one-byte encodings.
    pub order: ByteOrder,
}

impl SampleFormat {
    /// 16-bit little-endian integers.
    pub const INT16: Self = Self::little(Encoding::Int16);
    /// Packed 24-bit little-endian integers.
    pub const INT24: Self = Self::little(Encoding::Int24);
    /// 24-bit integers in the high bits of 32-bit little-endian containers.
    pub const INT24_IN_32: Self = Self::little(Encoding::Int24In32);
    /// 32-bit little-endian integers.
    pub const INT32: Self = Self::little(Encoding::Int32);
    /// 32-bit little-endian floats.
    pub const FLOAT32: Self = Self::little(Encoding::Float32);
    /// 64-bit little-endian floats.
    pub const FLOAT64: Self = Self::little(Encoding::Float64);

    /// `encoding` with the least significant byte first.
    pub const fn little(encoding: Encoding) -> Self {
        Self { encoding, order: ByteOrder::Little }
    }

    /// `encoding` with the most significant byte first.
    pub const fn big(encoding: Encoding) -> Self {
        Self { encoding, order: ByteOrder::Big }
    }

    /// Bytes from one sample to the next of the same channel when planar. For the one-bit encodings that
    /// hold eight samples a byte this is the size of the byte that holds them: 1.
    pub const fn bytes(self) -> usize {
        match self.encoding {
            Encoding::Dsd8Lsb | Encoding::Dsd8Msb | Encoding::DsdNer8 => 1,
            Encoding::Int16 => 2,
            Encoding::Int24 => 3,
            Encoding::Int24In32
            | Encoding::Int32
            | Encoding::Int32Low16
            | Encoding::Int32Low18
            | Encoding::Int32Low20
            | Encoding::Int32Low24
            | Encoding::Float32 => 4,
            Encoding::Float64 => 8,
        }
    }

    /// How many bits of an integer sample this format carries unchanged: 24 for `Float32`, whose significand
    /// has 24 bits, and 32 for `Float64`, since no integer here is wider; 1 for DSD.
    pub const fn exact_bits(self) -> u8 {
        match self.encoding {
            Encoding::Int16 | Encoding::Int32Low16 => 16,
            Encoding::Int32Low18 => 18,
            Encoding::Int32Low20 => 20,
            Encoding::Int24 | Encoding::Int24In32 | Encoding::Int32Low24 | Encoding::Float32 => 24,
            Encoding::Int32 | Encoding::Float64 => 32,
            Encoding::Dsd8Lsb | Encoding::Dsd8Msb | Encoding::DsdNer8 => 1,
        }
    }

    /// Whether samples are integers (PCM).
    pub const fn is_integer(self) -> bool {
        !self.is_float() && !self.is_dsd()
    }

    /// Whether samples are floats (PCM).
    pub const fn is_float(self) -> bool {
        matches!(self.encoding, Encoding::Float32 | Encoding::Float64)
    }

    /// Whether samples are single bits (DSD).
    pub const fn is_dsd(self) -> bool {
        matches!(self.encoding, Encoding::Dsd8Lsb | Encoding::Dsd8Msb | Encoding::DsdNer8)
    }

    /// The byte that, repeated, is silence. DSD's 0x69 has as many ones as zeros; a DSD byte of 0 would be
    /// full-scale direct current. `DsdNer8` holds one sample a byte, so its silence is no repeated byte and
    /// is written by the kernels; 0 is given for it.
    pub const fn silence_byte(self) -> u8 {
        match self.encoding {
            Encoding::Dsd8Lsb => 0x96,
            Encoding::Dsd8Msb => 0x69,
            _ => 0,
        }
    }

    /// The short name used in settings, reports and JSON: `int16`, `int24`, `int24in32`, `int32-be` …
    pub const fn name(self) -> &'static str {
        macro_rules! named {
            ($($encoding:ident $little:literal $big:literal),* $(,)?) => {
                match (self.encoding, self.order) {
                    $((Encoding::$encoding, ByteOrder::Little) => $little,
                      (Encoding::$encoding, ByteOrder::Big) => $big,)*
                }
            };
        }
        named!(
            Int16 "int16" "int16-be", Int24 "int24" "int24-be",
            Int24In32 "int24in32" "int24in32-be", Int32 "int32" "int32-be",
            Int32Low16 "int32low16" "int32low16-be", Int32Low18 "int32low18" "int32low18-be",
            Int32Low20 "int32low20" "int32low20-be", Int32Low24 "int32low24" "int32low24-be",
            Float32 "float32" "float32-be", Float64 "float64" "float64-be",
            Dsd8Lsb "dsd8lsb" "dsd8lsb-be", Dsd8Msb "dsd8msb" "dsd8msb-be",
            DsdNer8 "dsdner8" "dsdner8-be",
        )
    }

    /// Every little-endian format, in a fixed order.
    pub const ALL_LITTLE: [Self; 13] = [
        Self::INT16,
        Self::INT24,
        Self::INT24_IN_32,
        Self::INT32,
        Self::little(Encoding::Int32Low16),
        Self::little(Encoding::Int32Low18),
        Self::little(Encoding::Int32Low20),
        Self::little(Encoding::Int32Low24),
        Self::FLOAT32,
        Self::FLOAT64,
        Self::little(Encoding::Dsd8Lsb),
        Self::little(Encoding::Dsd8Msb),
        Self::little(Encoding::DsdNer8),
    ];

    /// The format of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL_LITTLE
            .into_iter()
            .flat_map(|f| [f, Self::big(f.encoding)])
            .find(|f| f.name() == name)
    }
}

impl fmt::Display for SampleFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_found_by_its_name() {
        for format in SampleFormat::ALL_LITTLE {
            assert_eq!(SampleFormat::from_name(format.name()), Some(format));
            let big = SampleFormat::big(format.encoding);
            assert_eq!(SampleFormat::from_name(big.name()), Some(big));
        }
        assert_eq!(SampleFormat::from_name("int17"), None);
    }
}
