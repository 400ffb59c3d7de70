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
