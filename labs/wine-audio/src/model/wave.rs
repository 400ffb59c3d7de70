//! Formats as they lie in memory, read field by field as Microsoft documents `WAVEFORMATEX` and `WAVEFORMATEXTENSIBLE`.

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wave {
    /// Floats instead of integers.
    pub is_float: bool,
    /// Bits of a sample in memory.
    pub container: u16,
    /// Bits of them that count.
    pub valid: u16,
    /// Frames a second.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
    /// `dwChannelMask`; 0 for the short form.
    pub mask: u32,
    /// The long form.
    pub is_extensible: bool,
}

const PCM: [u8; 16] = [1, 0, 0, 0, 0, 0, 16, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

impl Wave {
    /// `bits` of which `valid` count, integers, long form.
    pub const fn integers(container: u16, valid: u16, rate: u32, channels: u16, mask: u32) -> Self {
        Self { is_float: false, container, valid, rate, channels, mask, is_extensible: true }
    }

    /// 32-bit floats, long form: what mixers have.
    pub const fn floats(rate: u32, channels: u16, mask: u32) -> Self {
        Self { is_float: true, container: 32, valid: 32, rate, channels, mask, is_extensible: true }
    }

    /// What lies in memory; `None` if it contradicts itself.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let at = |place: usize, width: usize| {
            let field = bytes.get(place..place + width)?;
            Some(field.iter().rev().fold(0_u32, |number, &byte| number << 8 | u32::from(byte)))
        };
        let short = |place| at(place, 2).and_then(|number| u16::try_from(number).ok());
        let (tag, channels, rate, bytes_a_second) = (short(0)?, short(2)?, at(4, 4)?, at(8, 4)?);
        let (align, container) = (short(12)?, short(14)?);
        let mut wave = Self {
            is_float: tag == 3,
            container,
            valid: container,
            rate,
            channels,
            mask: 0,
            is_extensible: tag == 0xFFFE,
        };
        if wave.is_extensible {
            if short(16)? < 22 {
                return None;
            }
            wave.valid = short(18)?;
            wave.mask = at(20, 4)?;
            let guid: [u8; 16] = bytes.get(24..40)?.try_into().ok()?;
            let mut floats = PCM;
            floats[0] = 3;
            wave.is_float = guid == floats;
            if !wave.is_float && guid != PCM {
                return None;
            }
        } else if tag != 1 && tag != 3 {
            return None;
        }
        let frame = usize::from(channels) * usize::from(container / 8);
        let agrees = container.is_multiple_of(8)
            && wave.valid <= container
            && usize::from(align) == frame
            && frame > 0
            && u64::from(bytes_a_second) == u64::from(rate) * frame as u64;
        agrees.then_some(wave)
    }

    /// As it lies in memory, long form.
    pub fn write(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        let mut put = |place: usize, width: usize, number: u32| {
            bytes[place..place + width].copy_from_slice(&number.to_le_bytes()[..width]);
        };
        let frame = u32::try_from(self.frame_bytes()).unwrap_or(0);
        put(0, 2, 0xFFFE);
        put(2, 2, self.channels.into());
        put(4, 4, self.rate);
        put(8, 4, self.rate * frame);
        put(12, 2, frame);
        put(14, 2, self.container.into());
        put(16, 2, 22);
        put(18, 2, self.valid.into());
        put(20, 4, self.mask);
        bytes[24..].copy_from_slice(&PCM);
        bytes[24] = if self.is_float { 3 } else { 1 };
        bytes
    }

    /// Bytes of a frame.
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * usize::from(self.container / 8)
    }

    /// Frames in a time of units of 100 ns, to the nearest.
    pub fn frames_of(&self, hns: i64) -> u32 {
        let hns = u64::try_from(hns).unwrap_or(0);
        u32::try_from((hns * u64::from(self.rate) + 5_000_000) / 10_000_000).unwrap_or(u32::MAX)
    }
}

/// Frames after which both a frame and `bytes` bytes end.
pub fn step(frame_bytes: usize, bytes: u32) -> u32 {
    (1..=bytes).find(|n| (*n as usize * frame_bytes).is_multiple_of(bytes as usize)).unwrap_or(1)
}
