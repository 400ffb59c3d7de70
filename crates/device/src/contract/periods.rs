//! Rules about what a wake-up brings: counts, positions, times, and the pieces that are lent.

use super::drive::{Drive, Turn};
use super::{MakeBench, Verdict, broken, expect};
use crate::stream::{Layout, Period, Side};
use barewire_types::{frames_to_ns, ns_to_frames};

/// Periods in a run: enough for every ring to wrap several times.
const TURNS: u32 = 40;

/// A run with a late turn in it, and what it brought.
fn run(make: &MakeBench<'_>) -> Result<(Drive, Vec<Turn>), super::Breach> {
    let mut drive = Drive::started(make)?;
    let mut turns = drive.turns(TURNS / 2)?;
    // Late, but not so late that anything is lost, as far as the stream has room.
    drive.pass(drive.period_ns() * 3 / 2);
    turns.extend(drive.turns(TURNS / 2)?);
    Ok((drive, turns))
}

fn frames(period: &Period) -> u64 {
    u64::from(period.capture_frames.max(period.playback_frames))
}

pub(super) fn positions_sum(make: &MakeBench<'_>) -> Verdict {
    let (_, turns) = run(make)?;
    let mut sum = 0;
    for (n, Turn { period, .. }) in turns.iter().enumerate() {
        sum += frames(period) + u64::from(period.missed_frames);
        expect(period.position_frames == sum, || {
            format!("period {n} is at {} instead of {sum}", period.position_frames)
        })?;
        expect(frames(period) > 0, || format!("period {n} has no frame"))?;
    }
    Ok(())
}

pub(super) fn times_ascend(make: &MakeBench<'_>) -> Verdict {
    let (_, turns) = run(make)?;
    let mut before = 0;
    for (n, Turn { period, now, .. }) in turns.iter().enumerate() {
        expect(period.at_ns > before, || format!("period {n}: {} after {before}", period.at_ns))?;
        expect(period.at_ns <= *now, || {
            format!("period {n} was at {} but it is {now} only", period.at_ns)
        })?;
        before = period.at_ns;
    }
    Ok(())
}

pub(super) fn follows_clock(make: &MakeBench<'_>) -> Verdict {
    let (drive, turns) = run(make)?;
    let rate = drive.shape.rate;
    let (Some(first), Some(last)) = (turns.first(), turns.last()) else {
        return broken("no period");
    };
    let moved = last.period.position_frames - first.period.position_frames;
    let passed = ns_to_frames(last.period.at_ns - first.period.at_ns, rate);
    // Half a percent for the device's own clock, two periods for the steps in which it tells its position.
    let bound = 2 * u64::from(drive.shape.period_frames) + passed / 200 + 1;
    expect(moved.abs_diff(passed) <= bound, || {
        format!("{moved} frames in the time of {passed}, more than {bound} apart")
    })
}

pub(super) fn commit_by(make: &MakeBench<'_>) -> Verdict {
    let (drive, turns) = run(make)?;
    let most = frames_to_ns(u64::from(drive.shape.max_period_frames) * 4, drive.shape.rate);
    for Turn { period, .. } in turns {
        let in_time = period.commit_by_ns >= period.at_ns
            && period.commit_by_ns - period.at_ns <= most + drive.period_ns();
        expect(in_time, || format!("at {}, commit by {}", period.at_ns, period.commit_by_ns))?;
    }
    Ok(())
}

pub(super) fn counts_equal(make: &MakeBench<'_>) -> Verdict {
    let (drive, turns) = run(make)?;
    for Turn { period, .. } in turns {
        let as_shaped = match (drive.shape.capture, drive.shape.playback) {
            (Some(_), Some(_)) => period.capture_frames == period.playback_frames,
            (Some(_), None) => period.playback_frames == 0,
            (None, Some(_)) => period.capture_frames == 0,
            (None, None) => return broken("a stream of no direction"),
        };
        expect(as_shaped, || format!("{period:?}"))?;
    }
    Ok(())
}

pub(super) fn within_max(make: &MakeBench<'_>) -> Verdict {
    let (mut drive, mut turns) = run(make)?;
    let most = u64::from(drive.shape.max_period_frames);
    for late in [2, 3, 5] {
        drive.pass(drive.period_ns() * late);
        turns.extend(drive.turns(3)?);
    }
    for Turn { period, .. } in turns {
        expect(frames(&period) <= most, || format!("{} of {most} frames", frames(&period)))?;
    }
    Ok(())
}

pub(super) fn steady(make: &MakeBench<'_>) -> Verdict {
    let (drive, turns) = run(make)?;
    if !drive.shape.steady {
        return Err(super::Breach::NotTried("the stream is not steady"));
    }
    let step = u64::from(drive.shape.period_frames);
    for Turn { period, .. } in turns {
        expect(frames(&period).is_multiple_of(step), || {
            format!("{} frames are no multiple of {step}", frames(&period))
        })?;
    }
    Ok(())
}

pub(super) fn pieces_sum(make: &MakeBench<'_>) -> Verdict {
    let (mut drive, turns) = run(make)?;
    for Turn { period, read_frames, written_frames, .. } in turns {
        let (captured, played) =
            (u64::from(period.capture_frames), u64::from(period.playback_frames));
        expect((read_frames, written_frames) == (captured, played), || {
            format!("{read_frames} frames to read, {written_frames} to write in {period:?}")
        })?;
    }
    let left = (drive.stream.capture().frames(), drive.stream.playback().frames());
    expect(left == (0, 0), || format!("{left:?} frames are lent after the period was used up"))
}

/// Where every sample of a piece lies, channel by channel, and what of its form is wrong.
fn samples(
    side: Side,
    channels: usize,
    sample_bytes: usize,
    is_interleaved: bool,
    plane: &mut dyn FnMut(usize) -> (usize, usize, u32),
    frames: u32,
) -> Result<Vec<usize>, super::Breach> {
    expect(channels == usize::from(side.channels), || {
        format!("{channels} channels instead of {}", side.channels)
    })?;
    expect(sample_bytes == side.format.bytes(), || {
        format!("samples of {sample_bytes} bytes for {}", side.format)
    })?;
    // One channel is both.
    let wanted = side.layout == Layout::Interleaved;
    expect(side.channels == 1 || wanted == is_interleaved, || {
        format!("not {:?} as the shape says", side.layout)
    })?;
    let mut places = Vec::new();
    for channel in 0..channels {
        let (base, step, count) = plane(channel);
        expect(count == frames, || format!("channel {channel} has {count} of {frames} frames"))?;
        places.extend((0..count as usize).map(|frame| base.wrapping_add(frame * step)));
    }
    Ok(places)
}

/// The places of all samples that are lent in one period, by direction; all pieces are used up.
fn all_samples(drive: &mut Drive) -> Result<[Vec<usize>; 2], super::Breach> {
    let (mut captured, mut played) = (Vec::new(), Vec::new());
    drive.wait()?;
    while let Some(side) = drive.shape.capture {
        let piece = drive.stream.capture();
        let frames = piece.frames();
        if frames == 0 || captured.len() > (1 << 22) {
            break;
        }
        let mut plane = |channel| {
            let plane = piece.plane(channel);
            (plane.as_ptr() as usize, plane.step_bytes(), plane.frames())
        };
        let (channels, bytes) = (piece.channels(), piece.sample_bytes());
        let woven = piece.interleaved_base().is_some();
        captured.extend(samples(side, channels, bytes, woven, &mut plane, frames)?);
        drive.stream.release(frames);
    }
    while let Some(side) = drive.shape.playback {
        let mut piece = drive.stream.playback();
        let frames = piece.frames();
        if frames == 0 || played.len() > (1 << 22) {
            break;
        }
        let (channels, bytes) = (piece.channels(), piece.sample_bytes());
        let woven = piece.interleaved_base().is_some();
        let mut plane = |channel| {
            let plane = piece.plane(channel);
            (plane.as_ptr() as usize, plane.step_bytes(), plane.frames())
        };
        played.extend(samples(side, channels, bytes, woven, &mut plane, frames)?);
        // Something is written, so that nothing but places is tried here.
        barewire_dsp::silence(side.format, drive.stream.playback());
        drive.stream.commit(frames);
    }
    Ok([captured, played])
}

pub(super) fn areas_have_shape(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    for _ in 0..TURNS {
        all_samples(&mut drive)?;
    }
    Ok(())
}

pub(super) fn no_alias(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    let bytes = |side: Option<Side>| side.map_or(1, |side| side.format.bytes());
    let sizes = [bytes(drive.shape.capture), bytes(drive.shape.playback)];
    // A ring wraps within so many periods.
    for turn in 0..8 {
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for (places, size) in all_samples(&mut drive)?.iter().zip(sizes) {
            taken.extend(places.iter().map(|&place| (place, place + size)));
        }
        taken.sort_unstable();
        expect(taken.windows(2).all(|pair| pair[0].1 <= pair[1].0), || {
            format!("in period {turn} a byte belongs to two samples")
        })?;
    }
    Ok(())
}

pub(super) fn xrun_counted(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    let rate = drive.shape.rate;
    let begin = drive.turns(8)?;
    let away = u64::from(drive.shape.max_period_frames) * 5 + u64::from(drive.shape.prefill_frames);
    let mut sum = begin.last().map_or(0, |turn| turn.period.position_frames);
    let mut missed = 0;
    let mut last = Period::default();
    drive.pass(frames_to_ns(away, rate));
    for turn in drive.turns(12)? {
        last = turn.period;
        missed += u64::from(last.missed_frames);
        sum += frames(&last) + u64::from(last.missed_frames);
        expect(last.position_frames == sum, || {
            format!("at {} instead of {sum} after an xrun: {last:?}", last.position_frames)
        })?;
    }
    expect(missed > 0, || format!("away for {away} frames, and none was missed"))?;
    let Some(first) = begin.first() else { return broken("no period") };
    let moved = last.position_frames - first.period.position_frames;
    let passed = ns_to_frames(last.at_ns.saturating_sub(first.period.at_ns), rate);
    let bound = 3 * u64::from(drive.shape.period_frames) + passed / 200 + 1;
    expect(moved.abs_diff(passed) <= bound, || {
        format!("after an xrun {moved} frames in the time of {passed}")
    })
}
