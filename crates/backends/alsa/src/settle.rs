//! The beginning of both directions of a card that does not start them at once. On USB each endpoint begins when its first
//! packet is on the bus, up to a millisecond apart and never twice alike (`sound/usb/endpoint.c`), so that the way round
//! would change with each start. Once both run, their distance stays: one clock moves them. It is measured while silence is
//! played, and made up for by silence, so that the latency is what the shape states.

use crate::kernel::Errno;
use crate::lane::Lane;
use crate::stream::AlsaStream;
use barewire_types::{Ns, RateHz};
use std::sync::atomic::AtomicU32;

/// How long is measured: several of the packs of packets, of up to a millisecond, in which positions move.
const MEASURE_NS: Ns = 12_000_000;
/// How long all of it may take.
const PATIENCE_NS: Ns = 500_000_000;
/// How often it is looked: a frame at 48 kHz, far less than a packet's 125 µs, so that each position is seen soon after it has
/// changed.
const LOOK_NS: Ns = 20_000;
/// How often it is looked when only the first period is waited for: playback is fed meanwhile.
const PAUSE_NS: Ns = 250_000;

/// The line on which a lane moves, from positions that are seen late but never early: the highest of them.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// Frames at the beginning of the measurement, in 10^-9.
    highest: Option<i128>,
}

impl Line {
    fn see(&mut self, frames: u64, passed_ns: Ns, rate: RateHz) {
        if frames > 0 {
            let moved = i128::from(passed_ns) * i128::from(rate.get());
            let at_begin = i128::from(frames) * 1_000_000_000 - moved;
            self.highest = Some(self.highest.map_or(at_begin, |highest| highest.max(at_begin)));
        }
    }
}

/// Frames by which `playback` is ahead of `capture`.
fn ahead(playback: Line, capture: Line) -> Option<i64> {
    let nano_frames = playback.highest? - capture.highest?;
    i64::try_from((nano_frames + 500_000_000).div_euclid(1_000_000_000)).ok()
}

fn offset(frames: u64, by: i64) -> u64 {
    frames.saturating_add_signed(by)
}

impl AlsaStream {
    /// Measures, and leaves both lanes where the first period begins. Both have been started. Device thread; takes
    /// [`MEASURE_NS`] and the time until both move.
    pub(crate) fn settle(&mut self) -> Result<(), Errno> {
        let (rate, prefill) = (self.shape.rate, u64::from(self.shape.prefill_frames));
        let kept = prefill - u64::from(self.shape.period_frames);
        let system = self.system.clone();
        let (Some(capture), Some(playback)) = (&mut self.capture, &mut self.playback) else {
            return Ok(());
        };
        let (mut captured, mut played) = (Line::default(), Line::default());
        let begin = system.now_ns();
        let period = u64::from(self.shape.period_frames);
        let (mut both_since, mut first) = (None, u64::MAX);
        // The kernel wakes at multiples of its own count of a period: there the first of ours begins.
        while capture.moved < first {
            // There, as with every later period, the interrupt's position is taken, whose time is exact.
            let is_measuring = first == u64::MAX;
            capture.look(is_measuring)?;
            captured.see(capture.moved, system.now_ns() - begin, rate);
            playback.look(true)?;
            let now = system.now_ns();
            played.see(playback.moved, now - begin, rate);
            // A period less than the prefill, so that silence can still be put in, never out.
            feed(playback, playback.moved + kept)?;
            capture.ours = capture.moved.min(first);
            capture.publish()?;
            if capture.moved > 0 && playback.moved > 0 {
                let since = *both_since.get_or_insert(now);
                if now >= since + MEASURE_NS && is_measuring {
                    first = (capture.moved + 1).next_multiple_of(period);
                }
            }
            if now >= begin + PATIENCE_NS {
                return Err(crate::kernel::errno::EIO);
            }
            // Who looks all the time holds up the interrupt whose time counts.
            let pause = if first == u64::MAX { LOOK_NS } else { PAUSE_NS };
            system.sleep(&AtomicU32::new(0), 0, now + pause);
        }
        let ahead = ahead(played, captured).unwrap_or(0);
        feed(playback, offset(capture.ours + prefill, ahead))
    }
}

/// Silence up to position `to`.
fn feed(playback: &mut Lane, to: u64) -> Result<(), Errno> {
    if to > playback.ours {
        playback.advance_in_silence(to - playback.ours);
        playback.publish()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_found_from_positions_that_are_seen_late() {
        let rate = RateHz::DAT;
        let (mut played, mut captured) = (Line::default(), Line::default());
        // Both at 48 frames a millisecond, told in steps of 30 and 24; playback began 37 frames before.
        for look in 0..600_u64 {
            let ns = look * LOOK_NS;
            let frames = ns * 48 / 1_000_000;
            played.see((frames + 37) / 30 * 30, ns, rate);
            captured.see(frames / 24 * 24, ns, rate);
        }
        let found = ahead(played, captured).unwrap();
        assert!((36..=38).contains(&found), "{found}");
    }
}
