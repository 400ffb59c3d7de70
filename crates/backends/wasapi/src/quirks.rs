//! What single systems or drivers need that the rule does not cover, each with its source.

use barewire_types::SampleFormat;

/// Whether a format must not be used in shared mode. Wine 8's PulseAudio driver takes 24 bits in 32 for right-justified,
/// which is 48 dB too quiet.
pub(crate) fn is_spoilt_when_shared(is_wine: bool, format: SampleFormat) -> bool {
    is_wine && format == SampleFormat::INT24_IN_32
}

/// The periods that an exclusive stream looked at by the clock has at least, in units of 100 ns: Wine's ALSA driver moves
/// in steps of 10 ms whatever it is asked for.
pub(crate) const WINE_STEP_HNS: i64 = 100_000;

/// Whether a captured stream loses packets without a word: once its queue is full, and its oldest packet was dropped and this
/// was said, Wine 8's PulseAudio driver puts each new packet in the place of the newest (`pulse_read`), and its positions
/// count what was read alone. Only the newest packet's time tells how many those were.
pub(crate) fn overflows_unsaid(is_wine: bool, is_shared: bool) -> bool {
    is_wine && is_shared
}

/// As many whole packets as come nearest to `frames`: nothing else is dropped, and times waver by some milliseconds.
pub(crate) fn whole_packets(frames: u64, packet_frames: u32) -> u64 {
    let packet = u64::from(packet_frames).max(1);
    (frames + packet / 2) / packet * packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_counted_in_whole_packets() {
        assert_eq!(whole_packets(7300, 480), 7200);
        assert_eq!(whole_packets(200, 480), 0);
        assert_eq!(whole_packets(250, 480), 480);
    }
}
