//! A class or interface id.

use std::fmt;

/// 128 bits in the mixed byte order of Windows.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guid {
    /// First group.
    pub data1: u32,
    /// Second group.
    pub data2: u16,
    /// Third group.
    pub data3: u16,
    /// The last two groups.
    pub data4: [u8; 8],
}

impl Guid {
    /// `IID_IUnknown`.
    pub const IUNKNOWN: Self =
        Self { data1: 0, data2: 0, data3: 0, data4: [0xC0, 0, 0, 0, 0, 0, 0, 0x46] };

    /// The id whose digits, read from left to right, are those of `value`.
    #[expect(clippy::cast_possible_truncation, reason = "each part takes its own bits")]
    pub const fn from_u128(value: u128) -> Self {
        Self {
            data1: (value >> 96) as u32,
            data2: (value >> 80) as u16,
            data3: (value >> 64) as u16,
            data4: (value as u64).to_be_bytes(),
        }
    }
}

impl Guid {
    /// The id that is written as [`Display`](fmt::Display) writes it, in capitals or not.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().strip_prefix('{')?.strip_suffix('}')?;
        let lengths = digits.split('-').map(str::len);
        if !lengths.eq([8, 4, 4, 4, 12]) || digits.contains(['+', '_']) {
            return None;
        }
        u128::from_str_radix(&digits.replace('-', ""), 16).ok().map(Self::from_u128)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data1, data2, data3, data4: d } = self;
        write!(f, "{{{data1:08X}-{data2:04X}-{data3:04X}-{:02X}{:02X}-", d[0], d[1])?;
        d[2..].iter().try_for_each(|byte| write!(f, "{byte:02X}"))?;
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::Guid;

    #[test]
    fn an_id_is_written_as_the_registry_spells_it() {
        assert_eq!(Guid::IUNKNOWN.to_string(), "{00000000-0000-0000-C000-000000000046}");
        let id = Guid::from_u128(0x0123_4567_89AB_CDEF_0123_4567_89AB_CDEF);
        assert_eq!(id.to_string(), "{01234567-89AB-CDEF-0123-456789ABCDEF}");
        assert_eq!(Guid::parse(" {01234567-89ab-cdef-0123-456789ABCDEF}"), Some(id));
        for wrong in [
            "",
            "{}",
            "01234567-89AB-CDEF-0123-456789ABCDEF",
            "{01234567-89AB-CDEF-0123-456789ABCDEG}",
            "{+1234567-89AB-CDEF-0123-456789ABCDEF}",
            "{0123456789ABCDEF-0123-4567-89AB-CDEF}",
        ] {
            assert_eq!(Guid::parse(wrong), None, "{wrong}");
        }
    }
}
