//! Numbers of the interface.

use barewire_types::{ByteOrder, Encoding, SampleFormat};
use std::fmt;

/// A result code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub i32);

impl Code {
    /// Done.
    pub const OK: Self = Self(0);
    /// Done or yes: the answer of `future` alone.
    pub const SUCCESS: Self = Self(0x3F48_47A0);
    /// No such device, or not there.
    pub const NOT_PRESENT: Self = Self(-1000);
    /// The device misbehaves.
    pub const HW_MALFUNCTION: Self = Self(-999);
    /// An argument is wrong.
    pub const INVALID_PARAMETER: Self = Self(-998);
    /// Not in this state.
    pub const INVALID_MODE: Self = Self(-997);
    /// The sample position does not advance.
    pub const SP_NOT_ADVANCING: Self = Self(-996);
    /// No such sample rate or clock.
    pub const NO_CLOCK: Self = Self(-995);
    /// Not enough memory.
    pub const NO_MEMORY: Self = Self(-994);

    /// The name that the field uses for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OK => "OK",
            Self::SUCCESS => "SUCCESS",
            Self::NOT_PRESENT => "NotPresent",
            Self::HW_MALFUNCTION => "HWMalfunction",
            Self::INVALID_PARAMETER => "InvalidParameter",
            Self::INVALID_MODE => "InvalidMode",
            Self::SP_NOT_ADVANCING => "SPNotAdvancing",
            Self::NO_CLOCK => "NoClock",
            Self::NO_MEMORY => "NoMemory",
            _ => "unknown",
        }
    }
}

impl Code {
    /// What the code says when a driver says nothing else.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::OK | Self::SUCCESS => "no error",
            Self::NOT_PRESENT => "the device or function is not there",
            Self::HW_MALFUNCTION => "the device does not work as it should",
            Self::INVALID_PARAMETER => "an argument of the call is out of range",
            Self::INVALID_MODE => "the call is not possible in the driver's present state",
            Self::SP_NOT_ADVANCING => "the driver is not running, so there is no position",
            Self::NO_CLOCK => "the sample rate or clock is not available",
            Self::NO_MEMORY => "there is not enough memory",
            _ => "the driver answered with a code that the interface does not define",
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A sample type's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SampleType(pub i32);

const SAMPLE_TYPES: [(i32, Encoding, ByteOrder, &str); 21] = {
    use ByteOrder::{Big, Little};
    use Encoding::*;
    [
        (0, Int16, Big, "Int16MSB"),
        (1, Int24, Big, "Int24MSB"),
        (2, Int32, Big, "Int32MSB"),
        (3, Float32, Big, "Float32MSB"),
        (4, Float64, Big, "Float64MSB"),
        (8, Int32Low16, Big, "Int32MSB16"),
        (9, Int32Low18, Big, "Int32MSB18"),
        (10, Int32Low20, Big, "Int32MSB20"),
        (11, Int32Low24, Big, "Int32MSB24"),
        (16, Int16, Little, "Int16LSB"),
        (17, Int24, Little, "Int24LSB"),
        (18, Int32, Little, "Int32LSB"),
        (19, Float32, Little, "Float32LSB"),
        (20, Float64, Little, "Float64LSB"),
        (24, Int32Low16, Little, "Int32LSB16"),
        (25, Int32Low18, Little, "Int32LSB18"),
        (26, Int32Low20, Little, "Int32LSB20"),
        (27, Int32Low24, Little, "Int32LSB24"),
        (32, Dsd8Lsb, Little, "DSDInt8LSB1"),
        (33, Dsd8Msb, Little, "DSDInt8MSB1"),
        (40, DsdNer8, Little, "DSDInt8NER8"),
    ]
};

impl SampleType {
    /// 32-bit little-endian integers: what nearly every driver offers.
    pub const INT32_LSB: Self = Self(18);

    /// The format that this type names; `None` if there is no such type.
    pub fn format(self) -> Option<SampleFormat> {
        let (_, encoding, order, _) = *SAMPLE_TYPES.iter().find(|row| row.0 == self.0)?;
        Some(SampleFormat { encoding, order })
    }

    /// The type that names `format`. 24 bits left-justified in 32 are full-scale 32-bit integers to a host.
    pub fn of(format: SampleFormat) -> Option<Self> {
        let encoding = match format.encoding {
            Encoding::Int24In32 => Encoding::Int32,
            other => other,
        };
        let order = if format.bytes() == 1 { ByteOrder::Little } else { format.order };
        SAMPLE_TYPES.iter().find(|row| row.1 == encoding && row.2 == order).map(|row| Self(row.0))
    }

    /// The name that the field uses for it.
    pub fn name(self) -> &'static str {
        SAMPLE_TYPES.iter().find(|row| row.0 == self.0).map_or("unknown", |row| row.3)
    }
}

/// Selectors of `asioMessage`, driver to host.
pub mod message {
    /// Is the selector in `value` supported?
    pub const SELECTOR_SUPPORTED: i32 = 1;
    /// Which version does the host speak?
    pub const ENGINE_VERSION: i32 = 2;
    /// Please tear the driver down and set it up anew.
    pub const RESET_REQUEST: i32 = 3;
    /// The buffer size should become `value`.
    pub const BUFFER_SIZE_CHANGE: i32 = 4;
    /// Samples were lost: please synchronise anew.
    pub const RESYNC_REQUEST: i32 = 5;
    /// Please read the latencies again.
    pub const LATENCIES_CHANGED: i32 = 6;
    /// Is `bufferSwitchTimeInfo` wanted?
    pub const SUPPORTS_TIME_INFO: i32 = 7;
    /// Is time code wanted?
    pub const SUPPORTS_TIME_CODE: i32 = 8;
    /// An xrun happened.
    pub const OVERLOAD: i32 = 15;
}

/// Selectors of `future`, host to driver.
pub mod future {
    /// Time code is wanted.
    pub const ENABLE_TIME_CODE_READ: i32 = 1;
    /// Time code is not wanted any more.
    pub const DISABLE_TIME_CODE_READ: i32 = 2;
    /// Direct monitoring.
    pub const SET_INPUT_MONITOR: i32 = 3;
    /// Tape transport.
    pub const TRANSPORT: i32 = 4;
    /// Hardware input gain.
    pub const SET_INPUT_GAIN: i32 = 5;
    /// Hardware input meter.
    pub const GET_INPUT_METER: i32 = 6;
    /// Hardware output gain.
    pub const SET_OUTPUT_GAIN: i32 = 7;
    /// Hardware output meter.
    pub const GET_OUTPUT_METER: i32 = 8;
    /// Whether direct monitoring exists.
    pub const CAN_INPUT_MONITOR: i32 = 9;
    /// Whether time info exists.
    pub const CAN_TIME_INFO: i32 = 10;
    /// Whether time code exists.
    pub const CAN_TIME_CODE: i32 = 11;
    /// Whether transport control exists.
    pub const CAN_TRANSPORT: i32 = 12;
    /// Whether input gain exists.
    pub const CAN_INPUT_GAIN: i32 = 13;
    /// Whether input meters exist.
    pub const CAN_INPUT_METER: i32 = 14;
    /// Whether output gain exists.
    pub const CAN_OUTPUT_GAIN: i32 = 15;
    /// Whether output meters exist.
    pub const CAN_OUTPUT_METER: i32 = 16;
    /// Reserved by the interface.
    pub const OPTIONAL_ONE: i32 = 17;
    /// Switch between PCM and DSD.
    pub const SET_IO_FORMAT: i32 = 0x2311_1961;
    /// PCM or DSD now?
    pub const GET_IO_FORMAT: i32 = 0x2311_1983;
    /// Whether PCM or DSD can be done.
    pub const CAN_DO_IO_FORMAT: i32 = 0x2311_2004;
    /// Whether xruns are reported.
    pub const CAN_REPORT_OVERLOAD: i32 = 0x2404_2012;
    /// How much of the latency is internal buffering.
    pub const GET_INTERNAL_BUFFER_SAMPLES: i32 = 0x2504_2012;
    /// cwASIO: which registered instance this is to be.
    pub const SET_INSTANCE_NAME: i32 = 0x7F00_0001;
}

/// Flags of a block's time.
pub mod time_flag {
    /// The system time is valid: always.
    pub const SYSTEM_TIME_VALID: u32 = 1;
    /// The sample position is valid: always.
    pub const SAMPLE_POSITION_VALID: u32 = 2;
    /// The sample rate is valid.
    pub const SAMPLE_RATE_VALID: u32 = 4;
    /// The speed is valid.
    pub const SPEED_VALID: u32 = 8;
    /// The sample rate has changed with this block.
    pub const SAMPLE_RATE_CHANGED: u32 = 16;
    /// The clock source has changed with this block.
    pub const CLOCK_SOURCE_CHANGED: u32 = 32;
}

#[cfg(test)]
mod tests {
    use super::SampleType;

    #[test]
    fn a_type_and_its_format_name_each_other() {
        for number in -2..64 {
            let kind = SampleType(number);
            if let Some(format) = kind.format() {
                assert_eq!(SampleType::of(format), Some(kind));
            }
        }
        assert_eq!(SampleType::of(barewire_types::SampleFormat::INT24_IN_32), Some(SampleType(18)));
        assert_eq!(SampleType(5).format(), None);
    }
}
