//! Sample formats in kernel streaming's words: data ranges read, data formats written.

use crate::uapi::{Guid, Reply, format};
use barewire_device::Side;
use barewire_types::{RateHz, SampleFormat};
use barewire_wave::WaveFormat;

/// Bytes of `KSDATAFORMAT`, to which a wave format is joined.
const FORMAT_BYTES: usize = 64;
/// `KSDATARANGE_ATTRIBUTES`: a list of attributes follows and counts as an item.
const HAS_ATTRIBUTES: u32 = 2;
/// A range that has no limit is taken to have this many channels at most.
const CHANNELS_WITHOUT_LIMIT: u32 = 8;

/// What a pin says that it takes: `KSDATARANGE_AUDIO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) takes_integers: bool,
    pub(crate) takes_floats: bool,
    pub(crate) max_channels: u16,
    pub(crate) bits: (u32, u32),
    pub(crate) rates_hz: (u32, u32),
}

/// The audio ranges in a reply to `KSPROPERTY_PIN_DATARANGES`. What is damaged or no PCM is left out.
pub(crate) fn ranges(bytes: &[u8]) -> Vec<Range> {
    let reply = Reply(bytes);
    let count = reply.word(4).unwrap_or(0);
    let mut found = Vec::new();
    let (mut at, mut is_attributes) = (8_usize, false);
    for _ in 0..count.min(1000) {
        let Some(size) = reply.word(at).and_then(|size| usize::try_from(size).ok()) else { break };
        if size < 8 {
            break;
        }
        if !is_attributes && let Some(item) = bytes.get(at..at.saturating_add(size)) {
            found.extend(range(item));
        }
        is_attributes = !is_attributes && reply.word(at + 4).unwrap_or(0) & HAS_ATTRIBUTES != 0;
        let Some(next) = at.checked_add(size) else { break };
        // Each item begins on a multiple of 8.
        at = next.next_multiple_of(8);
    }
    found
}

fn range(item: &[u8]) -> Option<Range> {
    let reply = Reply(item);
    let (major, sub, specifier) = (reply.guid(16)?, reply.guid(32)?, reply.guid(48)?);
    let is_any = |guid: Guid, wanted: Guid| guid == wanted || guid == format::WILDCARD;
    // Ranges for DirectSound say the same once more.
    if !is_any(major, format::TYPE_AUDIO) || !is_any(specifier, format::WAVEFORMATEX) {
        return None;
    }
    let (takes_integers, takes_floats) = (is_any(sub, format::PCM), is_any(sub, format::FLOAT));
    let most = reply.word(64)?;
    let most = if most == u32::MAX { CHANNELS_WITHOUT_LIMIT } else { most };
    let range = Range {
        takes_integers,
        takes_floats,
        max_channels: u16::try_from(most).unwrap_or(u16::MAX),
        bits: (reply.word(68)?, reply.word(72)?),
        rates_hz: (reply.word(76)?, reply.word(80)?),
    };
    ((takes_integers || takes_floats) && range.max_channels > 0).then_some(range)
}

impl Range {
    pub(crate) fn takes(&self, sample: SampleFormat) -> bool {
        let bits = u32::from(sample.exact_bits());
        let kind = if sample.is_float() { self.takes_floats } else { self.takes_integers };
        // The range counts valid bits; floats are listed as 32.
        let bits = if sample.is_float() { 32 } else { bits };
        kind && (self.bits.0..=self.bits.1).contains(&bits)
    }

    pub(crate) fn runs_at(&self, rate: RateHz) -> bool {
        (self.rates_hz.0..=self.rates_hz.1).contains(&rate.get())
    }
}

/// Formats that pins are asked for, the best first. 24 bits travel in 32 rather than packed: half a ring has to be a
/// multiple of 128 bytes, which packed stereo meets only every 64 frames.
pub(crate) const FORMATS: [SampleFormat; 5] = [
    SampleFormat::INT32,
    SampleFormat::INT24_IN_32,
    SampleFormat::INT24,
    SampleFormat::INT16,
    SampleFormat::FLOAT32,
];

/// Speaker positions for so many channels: those that `ksmedia.h` names, else none.
fn speakers(channels: u16) -> u32 {
    match channels {
        1 => 0x4,
        2 => 0x3,
        4 => 0x33,
        6 => 0x60F,
        8 => 0x63F,
        _ => 0,
    }
}

/// How a wave format is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `WAVEFORMATEXTENSIBLE`, with speaker positions.
    Extensible,
    /// The same without speaker positions: what interfaces with many channels take.
    Directionless,
    /// Plain `WAVEFORMATEX`.
    Plain,
}

impl Dialect {
    /// Those worth trying. Plain never for 24 bits: a Realtek driver takes it and then reads other frames than it said,
    /// as loud noise (HEnquist/wasapi-rs#62).
    pub(crate) fn worth_trying(side: Side) -> Vec<Self> {
        let mut all = vec![Self::Extensible];
        if speakers(side.channels) != 0 {
            all.push(Self::Directionless);
        }
        if side.channels <= 2 && side.format == SampleFormat::INT16 {
            all.push(Self::Plain);
        }
        all
    }
}

/// `KSDATAFORMAT` with its wave format.
pub(crate) fn data_format(side: Side, rate: RateHz, dialect: Dialect) -> Vec<u8> {
    let mask = if dialect == Dialect::Extensible { speakers(side.channels) } else { 0 };
    let wave = WaveFormat {
        format: side.format,
        rate,
        channels: side.channels,
        mask,
        is_extensible: dialect != Dialect::Plain,
    };
    let sub = if side.format.is_float() { format::FLOAT } else { format::PCM };
    let word = |count: usize| u32::try_from(count).unwrap_or(0).to_le_bytes();
    let mut bytes = Vec::with_capacity(128);
    bytes.extend(word(FORMAT_BYTES + wave.byte_count()));
    bytes.extend(word(0));
    bytes.extend(word(wave.frame_bytes()));
    bytes.extend(word(0));
    for guid in [format::TYPE_AUDIO, sub, format::WAVEFORMATEX] {
        bytes.extend_from_slice(guid.bytes());
    }
    bytes.extend(wave.to_bytes().into_iter().take(wave.byte_count()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use barewire_device::Layout;

    fn item(flags: u32, sub: Guid, bits: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [84_u32, flags, 0, 0] {
            bytes.extend(word.to_le_bytes());
        }
        for guid in [format::TYPE_AUDIO, sub, format::WAVEFORMATEX] {
            bytes.extend(guid.bytes());
        }
        for word in [2, 16, bits, 44_100, 96_000] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn list(items: &[Vec<u8>]) -> Vec<u8> {
        let body = items.concat();
        let mut bytes = u32::try_from(body.len() + 8).unwrap().to_le_bytes().to_vec();
        bytes.extend(u32::try_from(items.len()).unwrap().to_le_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn attributes_between_ranges_count_as_items_and_are_no_ranges() {
        let mut attributes = vec![24_u8, 0, 0, 0, 1, 0, 0, 0];
        attributes.resize(24, 0x11);
        let bytes =
            list(&[item(HAS_ATTRIBUTES, format::PCM, 24), attributes, item(0, format::FLOAT, 32)]);
        let found = ranges(&bytes);
        assert_eq!(found.len(), 2);
        assert!(found[0].takes(SampleFormat::INT24_IN_32) && !found[0].takes(SampleFormat::INT32));
        assert!(found[1].takes(SampleFormat::FLOAT32) && !found[1].takes(SampleFormat::INT16));
    }

    #[test]
    fn a_damaged_list_ends_where_it_is_damaged() {
        let mut bytes = list(&[item(0, format::PCM, 24), item(0, format::PCM, 16)]);
        bytes.truncate(bytes.len() - 20);
        assert_eq!(ranges(&bytes).len(), 1);
        let no_size = [0_u8; 32];
        assert_eq!(ranges(&no_size), []);
        let claims_much = [0xFF; 64];
        assert_eq!(ranges(&claims_much), []);
    }

    #[test]
    fn sizes_are_counted_not_measured() {
        let side = Side { format: SampleFormat::INT16, channels: 2, layout: Layout::Interleaved };
        let long = data_format(side, RateHz::DAT, Dialect::Extensible);
        let short = data_format(side, RateHz::DAT, Dialect::Plain);
        assert_eq!((long.len(), long[0], short.len(), short[0]), (104, 104, 82, 82));
    }

    #[test]
    fn plain_is_never_tried_for_24_bits() {
        for format in FORMATS {
            let side = Side { format, channels: 2, layout: Layout::Interleaved };
            let is_tried = Dialect::worth_trying(side).contains(&Dialect::Plain);
            assert_eq!(is_tried, format == SampleFormat::INT16);
        }
    }
}
