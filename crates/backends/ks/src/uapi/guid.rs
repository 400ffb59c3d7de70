//! The names of kernel streaming: 128-bit numbers.

/// A GUID.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid([u8; 16]);

impl Guid {
    /// From the digits as they are written between braces.
    pub const fn new(digits: u128) -> Self {
        let b = digits.to_be_bytes();
        // Three fields are little-endian in memory, the rest are bytes.
        Self([
            b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13],
            b[14], b[15],
        ])
    }

    /// From memory.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// As it lies in memory.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl std::fmt::Debug for Guid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guid({:02x?})", self.0)
    }
}

/// Categories of filters.
pub mod category {
    use super::Guid;
    /// All that has to do with audio.
    pub const AUDIO: Guid = Guid::new(0x6994AD04_93EF_11D0_A3CC_00A0C9223196);
    /// Plays.
    pub const RENDER: Guid = Guid::new(0x65E8773E_8F56_11D0_A3B9_00A0C9223196);
    /// Captures.
    pub const CAPTURE: Guid = Guid::new(0x65E8773D_8F56_11D0_A3B9_00A0C9223196);
    /// WaveRT; a hint only.
    pub const REALTIME: Guid = Guid::new(0xEB115FFC_10C8_4964_831D_6DCB02E6F23F);
}

/// Sets of properties, interfaces and media.
pub mod set {
    use super::Guid;
    /// `KSPROPSETID_Pin`.
    pub const PIN: Guid = Guid::new(0x8C134960_51AD_11CF_878A_94F801C10000);
    /// `KSPROPSETID_Connection`.
    pub const CONNECTION: Guid = Guid::new(0x1D58C920_AC9B_11CF_A5D6_28DB04C10000);
    /// `KSPROPSETID_Topology`.
    pub const TOPOLOGY: Guid = Guid::new(0x720D4AC0_7533_11D0_A5D6_28DB04C10000);
    /// `KSPROPSETID_Audio`.
    pub const AUDIO: Guid = Guid::new(0x45FFAAA0_6E1B_11D0_BCF2_444553540000);
    /// `KSPROPSETID_RtAudio`.
    pub const RTAUDIO: Guid = Guid::new(0xA855A48C_2F78_4729_9051_1968746B9EEF);
    /// `KSINTERFACESETID_Standard`.
    pub const INTERFACE_STANDARD: Guid = Guid::new(0x1A8766A0_62CE_11CF_A5D6_28DB04C10000);
    /// `KSMEDIUMSETID_Standard`.
    pub const MEDIUM_STANDARD: Guid = Guid::new(0x4747B320_62CE_11CF_A5D6_28DB04C10000);
}

/// Parts of data formats.
pub mod format {
    use super::Guid;
    /// `KSDATAFORMAT_TYPE_AUDIO`.
    pub const TYPE_AUDIO: Guid = Guid::new(0x73647561_0000_0010_8000_00AA00389B71);
    /// `KSDATAFORMAT_SUBTYPE_PCM`.
    pub const PCM: Guid = Guid::new(0x00000001_0000_0010_8000_00AA00389B71);
    /// `KSDATAFORMAT_SUBTYPE_IEEE_FLOAT`.
    pub const FLOAT: Guid = Guid::new(0x00000003_0000_0010_8000_00AA00389B71);
    /// `GUID_NULL`: any.
    pub const WILDCARD: Guid = Guid::new(0);
    /// `KSDATAFORMAT_SPECIFIER_WAVEFORMATEX`.
    pub const WAVEFORMATEX: Guid = Guid::new(0x05589F81_C356_11CE_BF01_00AA0055595A);
}

/// Types of nodes.
pub mod node {
    use super::Guid;
    /// Lets one of its inputs through.
    pub const MUX: Guid = Guid::new(0x2CEAF780_C556_11D0_8A2B_00A0C9255AC1);
    /// Changes loudness.
    pub const VOLUME: Guid = Guid::new(0x3A5ACC00_C557_11D0_8A2B_00A0C9255AC1);
    /// Silences.
    pub const MUTE: Guid = Guid::new(0x02B223C0_C557_11D0_8A2B_00A0C9255AC1);
}

#[cfg(test)]
mod tests {
    use super::{Guid, category};

    #[test]
    fn digits_lie_in_memory_as_windows_has_them() {
        let expected = [
            0x04, 0xAD, 0x94, 0x69, 0xEF, 0x93, 0xD0, 0x11, 0xA3, 0xCC, 0x00, 0xA0, 0xC9, 0x22,
            0x31, 0x96,
        ];
        assert_eq!(category::AUDIO, Guid::from_bytes(expected));
    }
}
