//! Rules about starting, stopping, losing and dropping.

use super::drive::Drive;
use super::{Breach, MakeBench, Verdict, broken, expect};
use crate::stream::Wake;

/// Waits after which an unplugged device must be known to be lost.
const WAITS_UNTIL_LOST: u32 = 200;

fn expect_wake(drive: &mut Drive, expected: Wake, when: &str) -> Verdict {
    let until = drive.now() + drive.period_ns();
    let wake = drive.stream.wait(until);
    expect(wake == expected, || format!("{wake:?} instead of {expected:?} {when}"))
}

pub(super) fn stopped_until_started(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::open(make)?;
    expect_wake(&mut drive, Wake::Stopped, "before the start")?;
    let lent = (drive.stream.capture().frames(), drive.stream.playback().frames());
    expect(lent == (0, 0), || format!("lends {lent:?} frames before the start"))
}

pub(super) fn stop_idempotent(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::open(make)?;
    drive.stream.stop();
    expect_wake(&mut drive, Wake::Stopped, "after a stop before the start")?;
    drive.start()?;
    drive.turns(3)?;
    for n in 1..=3 {
        drive.stream.stop();
        expect_wake(&mut drive, Wake::Stopped, &format!("after {n} stops"))?;
    }
    Ok(())
}

pub(super) fn restart_at_zero(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::open(make)?;
    for run in 0..4_u32 {
        let begin = drive.now();
        drive.start()?;
        let first = drive.turn()?;
        let frames = first.read_frames.max(first.written_frames);
        expect(first.period.position_frames == frames, || {
            format!("run {run} begins with {:?}", first.period)
        })?;
        expect(first.period.at_ns >= begin, || {
            format!("run {run} was started at {begin}, its first period is {:?}", first.period)
        })?;
        drive.turns(5)?;
        // Amid a period, too.
        drive.wait()?;
        drive.read(3)?;
        drive.stream.stop();
        drive.pass(drive.period_ns() * 3);
    }
    Ok(())
}

pub(super) fn lost_for_good(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    drive.turns(4)?;
    match &drive.bench.unplug {
        Some(unplug) => unplug(),
        None => return Err(Breach::NotTried("the device cannot be unplugged")),
    }
    let mut loss = None;
    for _ in 0..WAITS_UNTIL_LOST {
        match drive.stream.wait(drive.now() + drive.period_ns() * 8) {
            Wake::Lost(what) => {
                loss = Some(what);
                break;
            }
            Wake::Due(_) | Wake::Idle => {
                drive.read(u64::MAX)?;
                drive.write(u64::MAX)?;
            }
            Wake::Stopped => return broken("stopped instead of lost"),
        }
    }
    let Some(loss) = loss else { return broken("unplugged, and never lost") };
    for _ in 0..3 {
        expect_wake(&mut drive, Wake::Lost(loss), "after the loss")?;
    }
    drive.stream.stop();
    expect_wake(&mut drive, Wake::Lost(loss), "after the loss and a stop")?;
    expect(drive.stream.start().is_err(), || "starts although it is lost".to_owned())?;
    expect_wake(&mut drive, Wake::Lost(loss), "after the loss and a start")
}

pub(super) fn drop_after_anything(make: &MakeBench<'_>) -> Verdict {
    drop(Drive::open(make)?);
    drop(Drive::started(make)?);
    let mut drive = Drive::started(make)?;
    drive.turns(2)?;
    drive.wait()?;
    drive.read(3)?;
    drive.write(2)?;
    drop(drive);
    let mut drive = Drive::started(make)?;
    drive.turns(2)?;
    drive.stream.stop();
    drop(drive);
    let mut drive = Drive::started(make)?;
    if let Some(unplug) = &drive.bench.unplug {
        unplug();
        for _ in 0..3 {
            drive.stream.wait(drive.now() + drive.period_ns());
        }
    }
    Ok(())
}

pub(super) fn waker_outlives(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::started(make)?;
    let waker = drive.stream.waker();
    drive.turns(2)?;
    drop(drive);
    (0..3).for_each(|_| waker.wake());
    Ok(())
}
