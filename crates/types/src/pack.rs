//! Integrity and its reason as words, so that they can be published without a lock.

use crate::{ByteOrder, Integrity, Lane, RateHz, Reason, SampleFormat};

/// As one word.
pub fn pack_lane(lane: Lane) -> u64 {
    match lane {
        Lane::Exact => 0,
        Lane::Sum => 1,
        Lane::Mixed => 2,
    }
}

/// Back from [`pack_lane`].
pub fn unpack_lane(word: u64) -> Lane {
    match word {
        0 => Lane::Exact,
        1 => Lane::Sum,
        _ => Lane::Mixed,
    }
}

/// As one word.
pub fn pack_integrity(integrity: Integrity) -> u64 {
    let (tag, bits) = match integrity {
        Integrity::Exact { bits } => (0, bits),
        Integrity::Sum { bits } => (1, bits),
        Integrity::Mixed => (2, 0),
        Integrity::Resampled => (3, 0),
        Integrity::Truncated { bits } => (4, bits),
        Integrity::Shared => (5, 0),
        Integrity::Interrupted { bits } => (6, bits),
    };
    tag | u64::from(bits) << 8
}

/// Back from [`pack_integrity`].
pub fn unpack_integrity(word: u64) -> Integrity {
    let [tag, bits, ..] = word.to_le_bytes();
    match tag {
        0 => Integrity::Exact { bits },
        1 => Integrity::Sum { bits },
        2 => Integrity::Mixed,
        3 => Integrity::Resampled,
        4 => Integrity::Truncated { bits },
        6 => Integrity::Interrupted { bits },
        _ => Integrity::Shared,
    }
}

/// As two words.
pub fn pack_reason(reason: Reason) -> [u64; 2] {
    match reason {
        Reason::OneClient => [0, 0],
        Reason::SeveralClients { clients } => [1, u64::from(clients)],
        Reason::NarrowDevice { device, cut } => [2 | pack_format(device) << 8, u64::from(cut)],
        Reason::FloatPath { format } => [3 | pack_format(format) << 8, 0],
        Reason::Gain => [4, 0],
        Reason::RateConverted { client, device } => {
            [5, u64::from(client.get()) | u64::from(device.get()) << 32]
        }
        Reason::ClocksJoined => [6, 0],
        Reason::SystemMixer => [7, 0],
        Reason::Volume => [8, 0],
        Reason::NotYetPlayed => [9, 0],
        Reason::DeviceLost => [10, 0],
        Reason::NoOutput => [11, 0],
    }
}

/// Back from [`pack_reason`].
pub fn unpack_reason([first, second]: [u64; 2]) -> Reason {
    let [tag, format, ..] = first.to_le_bytes();
    let format = unpack_format(u64::from(format));
    let [low, high] = halves(second);
    match tag {
        0 => Reason::OneClient,
        1 => Reason::SeveralClients { clients: u16::try_from(second).unwrap_or(u16::MAX) },
        2 => Reason::NarrowDevice { device: format, cut: low },
        3 => Reason::FloatPath { format },
        4 => Reason::Gain,
        5 => Reason::RateConverted { client: rate(low), device: rate(high) },
        6 => Reason::ClocksJoined,
        7 => Reason::SystemMixer,
        8 => Reason::Volume,
        10 => Reason::DeviceLost,
        11 => Reason::NoOutput,
        _ => Reason::NotYetPlayed,
    }
}

fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

fn rate(hz: u32) -> RateHz {
    RateHz::new(hz).unwrap_or(RateHz::DAT)
}

/// As one small word.
pub fn pack_format(format: SampleFormat) -> u64 {
    let little = SampleFormat::little(format.encoding);
    let place = SampleFormat::ALL_LITTLE.iter().position(|&f| f == little).unwrap_or(0);
    let big = u64::from(format.order == ByteOrder::Big);
    u64::try_from(place).unwrap_or(0) << 1 | big
}

/// Back from [`pack_format`].
pub fn unpack_format(word: u64) -> SampleFormat {
    let place = usize::try_from(word >> 1).unwrap_or(usize::MAX);
    let little = SampleFormat::ALL_LITTLE.get(place).copied().unwrap_or(SampleFormat::INT32);
    if word & 1 == 1 { SampleFormat::big(little.encoding) } else { little }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integrity_comes_back() {
        for integrity in [
            Integrity::Exact { bits: 24 },
            Integrity::Sum { bits: 32 },
            Integrity::Mixed,
            Integrity::Resampled,
            Integrity::Truncated { bits: 16 },
            Integrity::Interrupted { bits: 24 },
            Integrity::Shared,
        ] {
            assert_eq!(unpack_integrity(pack_integrity(integrity)), integrity);
        }
        for lane in [Lane::Exact, Lane::Sum, Lane::Mixed] {
            assert_eq!(unpack_lane(pack_lane(lane)), lane);
        }
    }

    #[test]
    fn every_reason_comes_back() {
        let formats = SampleFormat::ALL_LITTLE
            .into_iter()
            .flat_map(|f| [f, SampleFormat::big(f.encoding)])
            .flat_map(|f| {
                [
                    Reason::NarrowDevice { device: f, cut: 0x8000_00ff },
                    Reason::FloatPath { format: f },
                ]
            });
        let others = [
            Reason::OneClient,
            Reason::SeveralClients { clients: 31 },
            Reason::Gain,
            Reason::RateConverted { client: RateHz::CD, device: RateHz::MAX },
            Reason::ClocksJoined,
            Reason::SystemMixer,
            Reason::Volume,
            Reason::NotYetPlayed,
            Reason::DeviceLost,
            Reason::NoOutput,
        ];
        for reason in formats.chain(others) {
            assert_eq!(unpack_reason(pack_reason(reason)), reason);
        }
    }
}
