//! The layouts and numbers of kernel streaming, as bytes: what goes into a property request and what comes out of it.
//!
//! Sizes follow the pointers of this build; a 32-bit process on 64-bit Windows uses its own layouts, the system
//! translates (ksmedia.h). Nothing here talks to the system.

mod guid;
mod words;

pub use guid::{Guid, category, format, node, set};
pub use words::{Reply, Request};

/// Bytes of a pointer or handle.
pub const POINTER: usize = size_of::<usize>();

/// Control codes: `CTL_CODE(FILE_DEVICE_KS, n, METHOD_NEITHER, access)`.
pub mod control {
    /// Gets or sets a property.
    pub const PROPERTY: u32 = 0x002F_0003;
    /// Hands over filled memory to be played.
    pub const WRITE_STREAM: u32 = 0x002F_8013;
    /// Hands over empty memory to be filled.
    pub const READ_STREAM: u32 = 0x002F_4017;
    /// Begins or ends a reset, which gives all memory back.
    pub const RESET_STATE: u32 = 0x002F_001B;
}

/// What a property request wants.
pub mod flag {
    /// The value.
    pub const GET: u32 = 1;
    /// To change it.
    pub const SET: u32 = 2;
    /// Must be there where a node is meant.
    pub const TOPOLOGY: u32 = 0x1000_0000;
}

/// `KSPROPERTY_PIN_*`.
pub mod pin {
    #![allow(missing_docs, reason = "the names of the interface")]
    pub const CINSTANCES: u32 = 0;
    pub const CTYPES: u32 = 1;
    pub const DATAFLOW: u32 = 2;
    pub const DATARANGES: u32 = 3;
    pub const INTERFACES: u32 = 5;
    pub const COMMUNICATION: u32 = 7;
    pub const PHYSICALCONNECTION: u32 = 10;
    pub const CATEGORY: u32 = 11;
    pub const NAME: u32 = 12;
    pub const PROPOSEDATAFORMAT: u32 = 14;
}

/// `KSPROPERTY_CONNECTION_*`.
pub mod connection {
    #![allow(missing_docs, reason = "the names of the interface")]
    pub const STATE: u32 = 0;
    pub const ALLOCATORFRAMING: u32 = 3;
}

/// `KSPROPERTY_TOPOLOGY_*`.
pub mod topology {
    #![allow(missing_docs, reason = "the names of the interface")]
    pub const NODES: u32 = 1;
    pub const CONNECTIONS: u32 = 2;
    /// `KSFILTER_NODE`: the filter itself, in a connection.
    pub const FILTER: u32 = u32::MAX;
}

/// `KSPROPERTY_AUDIO_*`.
pub mod audio {
    #![allow(missing_docs, reason = "the names of the interface")]
    pub const VOLUMELEVEL: u32 = 4;
    pub const POSITION: u32 = 5;
    pub const MUX_SOURCE: u32 = 0xC;
    pub const MUTE: u32 = 0xD;
}

/// `KSPROPERTY_RTAUDIO_*`.
pub mod rtaudio {
    #![allow(missing_docs, reason = "the names of the interface")]
    pub const BUFFER: u32 = 1;
    pub const HWLATENCY: u32 = 2;
    pub const POSITIONREGISTER: u32 = 3;
    pub const BUFFER_WITH_NOTIFICATION: u32 = 5;
    pub const REGISTER_NOTIFICATION_EVENT: u32 = 6;
    pub const UNREGISTER_NOTIFICATION_EVENT: u32 = 7;
    pub const QUERY_NOTIFICATION_SUPPORT: u32 = 8;
}

/// `KSSTATE_*`, one step from each to the next.
pub mod state {
    #![allow(missing_docs, reason = "the names of the interface")]
    pub const STOP: u32 = 0;
    pub const ACQUIRE: u32 = 1;
    pub const PAUSE: u32 = 2;
    pub const RUN: u32 = 3;
}

/// Which way a pin moves data: `KSPIN_DATAFLOW_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Into the filter: played.
    Play,
    /// Out of it: captured.
    Capture,
}

impl Direction {
    /// From `KSPROPERTY_PIN_DATAFLOW`.
    pub fn from_word(word: u32) -> Option<Self> {
        match word {
            1 => Some(Self::Play),
            2 => Some(Self::Capture),
            _ => None,
        }
    }
}

/// How a pin takes memory: ids of `KSINTERFACESETID_Standard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// Packet by packet.
    Streaming,
    /// One ring for good: WaveRT.
    Looped,
}

impl Interface {
    const fn word(self) -> u32 {
        match self {
            Self::Streaming => 0,
            Self::Looped => 1,
        }
    }
}

/// `KSPIN_CONNECT` for a pin that is opened from user mode, followed by the format: `Standard` interface and medium, normal priority.
pub fn pin_connect(pin: u32, interface: Interface, format: &[u8]) -> Vec<u8> {
    const PRIORITY_NORMAL: u32 = 0x4000_0000;
    let mut request = Request::empty();
    request.guid(&set::INTERFACE_STANDARD);
    request.word(interface.word()).word(0);
    request.guid(&set::MEDIUM_STANDARD);
    request.word(0).word(0).word(pin).align(POINTER).pointer(0);
    request.word(PRIORITY_NORMAL).word(1).align(8);
    let mut bytes = request.bytes().to_vec();
    bytes.extend_from_slice(format);
    bytes
}

/// `KSSTREAM_HEADER`, where it lies in memory.
pub mod header {
    use super::POINTER;

    /// Its size.
    pub const BYTES: usize = 40 + if POINTER == 8 { 16 } else { 8 };
    /// The offset of the number of bytes that the memory has.
    pub const FRAME_EXTENT: usize = 32;
    /// The offset of the number of bytes that are used.
    pub const DATA_USED: usize = 36;
    /// The offset of the pointer to the memory.
    pub const DATA: usize = 40;
    /// The offset of the flags, which the driver leaves set and which must be 0 when it is handed over again: a Scarlett
    /// 2i4 of the first generation returns at once for ever otherwise (PortAudio#310).
    pub const OPTIONS: usize = 40 + POINTER;

    /// A header for `bytes` bytes at `data`, of which `used` are used. Times are unknown: rate 1/1.
    pub fn new(data: usize, bytes: u32, used: u32) -> [u8; BYTES] {
        let mut header = [0; BYTES];
        let mut put = |at: usize, value: u32| {
            header[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        };
        #[expect(clippy::cast_possible_truncation, reason = "a few dozen")]
        put(0, BYTES as u32);
        put(16, 1);
        put(20, 1);
        put(FRAME_EXTENT, bytes);
        put(DATA_USED, used);
        header[DATA..DATA + POINTER].copy_from_slice(&data.to_ne_bytes());
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_ks_h() {
        let is_wide = POINTER == 8;
        assert_eq!(pin_connect(0, Interface::Looped, &[]).len(), if is_wide { 72 } else { 64 });
        assert_eq!(header::BYTES, if is_wide { 56 } else { 48 });
        assert_eq!(Request::property(&set::PIN, 0, flag::GET).bytes().len(), 24);
        assert_eq!(Request::of_pin(&set::PIN, 0, flag::GET, 3).bytes().len(), 32);
        assert_eq!(
            Request::rt_buffer(rtaudio::BUFFER_WITH_NOTIFICATION, 4096, Some(2)).bytes().len(),
            40
        );
        let plain = if is_wide { 40 } else { 32 };
        assert_eq!(Request::rt_buffer(rtaudio::BUFFER, 4096, None).bytes().len(), plain);
        assert_eq!(Request::with_pointer(rtaudio::POSITIONREGISTER, 7).bytes().len(), 32);
    }

    #[test]
    fn a_pin_is_named_where_the_driver_looks() {
        let bytes = pin_connect(5, Interface::Looped, &[0xAA]);
        assert_eq!(bytes[16], 1, "the interface");
        assert_eq!(bytes[48], 5, "the pin");
        assert_eq!(bytes.last(), Some(&0xAA));
    }
}
