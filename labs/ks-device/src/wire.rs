//! Numbers and layouts of ks.h and ksmedia.h, as a driver sees them; pointers are as wide as the client's.

pub(crate) type Set = [u8; 16];

const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> Set {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

pub(crate) const SET_PIN: Set =
    guid(0x8C13_4960, 0x51AD, 0x11CF, [0x87, 0x8A, 0x94, 0xF8, 0x01, 0xC1, 0, 0]);
pub(crate) const SET_CONNECTION: Set =
    guid(0x1D58_C920, 0xAC9B, 0x11CF, [0xA5, 0xD6, 0x28, 0xDB, 0x04, 0xC1, 0, 0]);
pub(crate) const SET_TOPOLOGY: Set =
    guid(0x720D_4AC0, 0x7533, 0x11D0, [0xA5, 0xD6, 0x28, 0xDB, 0x04, 0xC1, 0, 0]);
pub(crate) const SET_AUDIO: Set =
    guid(0x45FF_AAA0, 0x6E1B, 0x11D0, [0xBC, 0xF2, 0x44, 0x45, 0x53, 0x54, 0, 0]);
pub(crate) const SET_RTAUDIO: Set =
    guid(0xA855_A48C, 0x2F78, 0x4729, [0x90, 0x51, 0x19, 0x68, 0x74, 0x6B, 0x9E, 0xEF]);
pub(crate) const INTERFACES: Set =
    guid(0x1A87_66A0, 0x62CE, 0x11CF, [0xA5, 0xD6, 0x28, 0xDB, 0x04, 0xC1, 0, 0]);
const MICROSOFT: [u8; 8] = [0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
pub(crate) const TYPE_AUDIO: Set = guid(0x7364_7561, 0, 0x10, MICROSOFT);
pub(crate) const PCM: Set = guid(1, 0, 0x10, MICROSOFT);
pub(crate) const FLOAT: Set = guid(3, 0, 0x10, MICROSOFT);
pub(crate) const WAVEFORMATEX: Set =
    guid(0x0558_9F81, 0xC356, 0x11CE, [0xBF, 0x01, 0, 0xAA, 0, 0x55, 0x59, 0x5A]);
const NODES: [u8; 8] = [0x8A, 0x2B, 0, 0xA0, 0xC9, 0x25, 0x5A, 0xC1];
pub(crate) const NODE_MUX: Set = guid(0x2CEA_F780, 0xC556, 0x11D0, NODES);
pub(crate) const NODE_VOLUME: Set = guid(0x3A5A_CC00, 0xC557, 0x11D0, NODES);
pub(crate) const NODE_MUTE: Set = guid(0x02B2_23C0, 0xC557, 0x11D0, NODES);

pub(crate) const IOCTL_PROPERTY: u32 = 0x002F_0003;
pub(crate) const IOCTL_WRITE_STREAM: u32 = 0x002F_8013;
pub(crate) const IOCTL_READ_STREAM: u32 = 0x002F_4017;
pub(crate) const IOCTL_RESET_STATE: u32 = 0x002F_001B;

pub(crate) const GET: u32 = 1;
pub(crate) const SET: u32 = 2;
pub(crate) const TOPOLOGY_FLAG: u32 = 0x1000_0000;
pub(crate) const FILTER: u32 = u32::MAX;

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn half_word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// A pointer or handle of a client whose pointers have `width` bytes.
pub(crate) fn pointer(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let mut raw = [0; 8];
    raw.get_mut(..width)?.copy_from_slice(bytes.get(at..at + width)?);
    Some(u64::from_le_bytes(raw))
}

pub(crate) fn set(bytes: &[u8], at: usize) -> Option<Set> {
    bytes.get(at..at + 16)?.try_into().ok()
}

/// A reply that grows.
#[derive(Default)]
pub(crate) struct Out(pub(crate) Vec<u8>);

impl Out {
    pub(crate) fn word(&mut self, word: u32) -> &mut Self {
        self.0.extend_from_slice(&word.to_le_bytes());
        self
    }

    pub(crate) fn long(&mut self, long: u64) -> &mut Self {
        self.0.extend_from_slice(&long.to_le_bytes());
        self
    }

    pub(crate) fn set(&mut self, set: &Set) -> &mut Self {
        self.0.extend_from_slice(set);
        self
    }

    pub(crate) fn pointer(&mut self, pointer: u64, width: usize) -> &mut Self {
        self.0.extend_from_slice(&pointer.to_le_bytes()[..width.min(8)]);
        self
    }

    pub(crate) fn align(&mut self, bytes: usize) -> &mut Self {
        self.0.resize(self.0.len().next_multiple_of(bytes), 0);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        text.encode_utf16().chain([0]).for_each(|unit| self.0.extend(unit.to_le_bytes()));
        self
    }
}

/// `KSMULTIPLE_ITEM` with its items.
pub(crate) fn multiple(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Out::default();
    let body = items.concat();
    out.word(u32::try_from(body.len() + 8).unwrap_or(0));
    out.word(u32::try_from(items.len()).unwrap_or(0));
    out.0.extend_from_slice(&body);
    out.0
}

/// A format as a client writes it behind `KSPIN_CONNECT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) channels: u32,
    pub(crate) rate: u32,
    pub(crate) container_bits: u32,
    pub(crate) valid_bits: u32,
    pub(crate) is_float: bool,
}

impl Format {
    /// `None` if any field contradicts another: drivers check them all.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let size = usize::try_from(word(bytes, 0)?).ok()?;
        let sample_size = word(bytes, 8)?;
        let (major, sub, specifier) = (set(bytes, 16)?, set(bytes, 32)?, set(bytes, 48)?);
        if bytes.len() < size || major != TYPE_AUDIO || specifier != WAVEFORMATEX {
            return None;
        }
        let wave = &bytes[64..];
        let (tag, channels) = (half_word(wave, 0)?, u32::from(half_word(wave, 2)?));
        let (rate, per_second) = (word(wave, 4)?, word(wave, 8)?);
        let (align, bits) = (u32::from(half_word(wave, 12)?), u32::from(half_word(wave, 14)?));
        let extension = half_word(wave, 16)?;
        let is_float = sub == FLOAT;
        if !is_float && sub != PCM {
            return None;
        }
        let valid_bits = match (tag, extension) {
            (0xFFFE, 22) if size == 104 => {
                if set(wave, 24)? != sub {
                    return None;
                }
                u32::from(half_word(wave, 18)?)
            }
            (1, 0) if size == 82 && !is_float => bits,
            (3, 0) if size == 82 && is_float => bits,
            _ => return None,
        };
        let agrees = align == channels * bits / 8
            && per_second == rate * align
            && sample_size == align
            && valid_bits <= bits
            && channels > 0
            && bits > 0;
        let format = Self { channels, rate, container_bits: bits, valid_bits, is_float };
        agrees.then_some(format)
    }

    pub(crate) fn frame_bytes(&self) -> usize {
        usize::try_from(self.channels * self.container_bits / 8).unwrap_or(1).max(1)
    }
}
