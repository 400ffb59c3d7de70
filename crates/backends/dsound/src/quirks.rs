//! What single systems need that the rule does not cover, each with its source.

use crate::sounds::Direction;

/// The system's mixer moves so many milliseconds at a time: its default period on Windows, and in Wine 8 as well.
pub(crate) const ENGINE_PERIOD_MS: u32 = 10;

/// What is written must last so long beyond the period that is being filled: the write cursor, before which nothing may
/// be changed any more, leads the play cursor by 10 to 30 ms since Windows Vista.
pub(crate) const LEAD_MS: u32 = 30;

/// The read cursor of a capturing device moves in steps of 31.25 ms on Windows, whatever the format (FlexASIO issue 29,
/// PortAudio issue 775).
pub(crate) const CAPTURE_STEP_US: u64 = 31_250;

/// Milliseconds between the cursor and the converter.
///
/// Windows: one period of the mixer each way, which DirectSound does not tell of (FlexASIO, BACKENDS.md).
/// Wine 8: the cursor is where its mixer is, which keeps 60 ms in stock ahead of what is heard; measured at the sink.
pub(crate) fn transport_ms(is_wine: bool, direction: Direction) -> u32 {
    match (is_wine, direction) {
        (false, _) => ENGINE_PERIOD_MS,
        (true, Direction::Playback) => 6 * ENGINE_PERIOD_MS,
        (true, Direction::Capture) => ENGINE_PERIOD_MS,
    }
}
