//! What single systems need that the rule does not cover, each with its source.

/// The system's mixer moves so many milliseconds at a time: its default period on Windows, and in Wine 8 as well.
pub(crate) const ENGINE_PERIOD_MS: u32 = 10;

/// What is queued must last so long beyond the packet that is being filled: packets come back unevenly, since winmm feeds
/// the mixer in quanta of 10 ms and returns what was played late (FlexASIO issue 30: 10 to 40 ms).
pub(crate) const QUEUED_MS: u32 = 30;

/// winmm has no opinion on packets, but beyond 32 KiB some drivers crash (PortAudio, `pa_win_wmme.c`).
pub(crate) const MOST_PACKET_BYTES: u32 = 32 * 1024;

/// Milliseconds between a packet's coming back and the converter, beyond what is queued.
///
/// Windows: one period of the mixer each way, which winmm does not tell of (FlexASIO, BACKENDS.md).
/// Wine 8: a packet comes back when the sink's clock has passed it; what comes after is about a period of its own,
/// measured at the sink.
pub(crate) const TRANSPORT_MS: u32 = ENGINE_PERIOD_MS;
