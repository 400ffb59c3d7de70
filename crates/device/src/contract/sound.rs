//! Rules about what is heard and what comes back: every frame where it belongs.

use super::drive::{Drive, frame_bytes, pattern};
use super::{Breach, MakeBench, Verdict, broken, expect};
use crate::stream::Side;
use barewire_types::{Encoding, frames_to_ns};

/// Periods of a run.
const TURNS: u32 = 24;

fn played_side(drive: &Drive) -> Result<Side, Breach> {
    let side = drive.shape.playback.ok_or(Breach::NotTried("the stream does not play"))?;
    if side.format.encoding == Encoding::DsdNer8 {
        return Err(Breach::NotTried("silence of this format is no repeated byte"));
    }
    Ok(side)
}

fn ears(drive: &Drive) -> Result<Side, Breach> {
    if drive.bench.heard.is_none() {
        return Err(Breach::NotTried("nobody hears what the device plays"));
    }
    played_side(drive)
}

fn silence(side: Side, frames: u64) -> Vec<u8> {
    let frames = usize::try_from(frames).unwrap_or(0);
    vec![side.format.silence_byte(); frames * frame_bytes(side)]
}

/// Compares what was heard with what should have been, as far as both go; at least `least` frames must be there.
fn same(side: Side, heard: &[u8], expected: &[u8], least: u64) -> Verdict {
    let bytes = frame_bytes(side);
    let frames = heard.len().min(expected.len()) / bytes;
    expect(frames as u64 >= least, || format!("only {frames} of {least} frames were heard"))?;
    let wrong = (0..frames)
        .find(|n| heard[n * bytes..(n + 1) * bytes] != expected[n * bytes..(n + 1) * bytes]);
    match wrong {
        None => Ok(()),
        Some(frame) => broken(format!(
            "frame {frame} is {:02x?} instead of {:02x?}",
            &heard[frame * bytes..(frame + 1) * bytes],
            &expected[frame * bytes..(frame + 1) * bytes]
        )),
    }
}

pub(super) fn prefill(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    let side = ears(&drive)?;
    drive.turns(TURNS)?;
    let prefill = u64::from(drive.shape.prefill_frames);
    let mut expected = silence(side, prefill);
    expected.extend(pattern(side, 0, 1)?);
    same(side, &drive.heard()?, &expected, prefill + 1)
}

pub(super) fn exactly(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    let side = ears(&drive)?;
    let turns = drive.turns(TURNS)?;
    if turns.iter().any(|turn| turn.period.missed_frames > 0) {
        return Err(Breach::NotTried("frames were missed: the machine is too busy"));
    }
    let last = turns.last().map_or(0, |turn| turn.period.position_frames);
    let mut expected = silence(side, u64::from(drive.shape.prefill_frames));
    expected.extend(pattern(side, 0, drive.sent)?);
    same(side, &drive.heard()?, &expected, last)
}

pub(super) fn unwritten(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    let side = ears(&drive)?;
    let mut expected = silence(side, u64::from(drive.shape.prefill_frames));
    let mut last = 0;
    for n in 0..TURNS {
        let period = drive.wait()?;
        if period.missed_frames > 0 {
            return Err(Breach::NotTried("frames were missed: the machine is too busy"));
        }
        let frames = u64::from(period.playback_frames);
        // A run first that fills the ring with sound, so that old sound would be heard.
        let wanted = if n < TURNS / 2 { frames } else { [0, frames / 2, frames][n as usize % 3] };
        let begin = drive.sent;
        drive.read(u64::MAX)?;
        let written = drive.write(wanted)?;
        expected.extend(pattern(side, begin, written)?);
        expected.extend(silence(side, frames - written));
        last = period.position_frames;
    }
    same(side, &drive.heard()?, &expected, last)
}

pub(super) fn after_xrun(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    let side = ears(&drive)?;
    drive.turns(TURNS / 2)?;
    let away = u64::from(drive.shape.max_period_frames) * 5 + u64::from(drive.shape.prefill_frames);
    drive.pass(frames_to_ns(away, drive.shape.rate));
    // Up to and with the first period that tells what was missed, anything may have been lost.
    for n in 0.. {
        if drive.turn()?.period.missed_frames > 0 {
            break;
        }
        expect(n < TURNS, || "nothing is said of what was missed".to_owned())?;
    }
    let begin = drive.sent;
    drive.turns(TURNS)?;
    // What is still queued at the stop need not be heard.
    let queued = u64::from(drive.shape.prefill_frames + drive.shape.max_period_frames);
    let frames = (drive.sent - begin).saturating_sub(queued);
    let expected = pattern(side, begin, frames)?;
    let heard = drive.heard()?;
    let step = frame_bytes(side);
    let found = heard
        .chunks_exact(step)
        .enumerate()
        .any(|(n, frame)| frame == &expected[..step] && heard[n * step..].starts_with(&expected));
    expect(found, || format!("the {frames} frames after the xrun are not heard in one piece"))
}

fn looped(drive: &Drive) -> Result<Side, Breach> {
    let side = played_side(drive)?;
    let same = drive
        .shape
        .capture
        .is_some_and(|capture| (capture.format, capture.channels) == (side.format, side.channels));
    if !drive.bench.is_looped || !same {
        return Err(Breach::NotTried("outputs do not come back at the inputs"));
    }
    Ok(side)
}

/// Frames from the first frame of a period to the same frame of what was played in it, at the inputs.
fn round_trip(drive: &Drive) -> u64 {
    let latency = drive.shape.latency;
    u64::from(latency.input_frames)
        + u64::from(latency.output_frames)
        + u64::from(drive.shape.period_frames)
}

pub(super) fn latency(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    let side = looped(&drive)?;
    let mut captured = Vec::new();
    let delay = round_trip(&drive);
    let turns = TURNS + u32::try_from(delay / u64::from(drive.shape.period_frames)).unwrap_or(0);
    for turn in drive.turns(turns)? {
        captured.extend(turn.captured);
        if turn.period.missed_frames > 0 {
            return Err(Breach::NotTried("frames were missed: the machine is too busy"));
        }
    }
    let mut expected = silence(side, delay);
    expected.extend(pattern(side, 0, drive.sent)?);
    same(side, &captured, &expected, delay + u64::from(drive.shape.period_frames))
}

pub(super) fn unread(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    let side = looped(&drive)?;
    let delay = round_trip(&drive);
    let mut position = 0_u64;
    for n in 0..4 * TURNS {
        let period = drive.wait()?;
        if period.missed_frames > 0 {
            return Err(Breach::NotTried("frames were missed: the machine is too busy"));
        }
        let frames = u64::from(period.capture_frames);
        let (read, bytes) = drive.read([frames, 0, frames / 2, 1][n as usize % 4])?;
        drive.write(u64::MAX)?;
        // Each frame captured since `position` was played `delay` frames before.
        if let Some(first) = position.checked_sub(delay) {
            same(side, &bytes, &pattern(side, first, read)?, read)?;
        }
        position += frames;
    }
    Ok(())
}
