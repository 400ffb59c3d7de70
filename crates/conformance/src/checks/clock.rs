//! Positions and times of blocks: whether they go together, and what is said where they do not go on as before.

use super::Body;
use super::rates::offered;
use super::running::times;
use crate::case::Case;
use crate::desk::{Check, Desk, Rig, Stage, ensure, ensure_code, skipped};
use crate::recorder::{Call, Event, Manners};
use barewire_abi::Code;
use barewire_abi::constants::{future, message, time_flag};
use barewire_host::bare::TimeSeen;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::CanTimeInfo => can_time_info,
        Case::RateChangedFlag => rate_changed_flag,
        Case::TimeSteps => time_steps,
        Case::PositionKeepsTime => position_keeps_time,
        Case::LossesAreTold => losses_are_told,
        _ => return None,
    })
}

fn can_time_info(desk: &Desk) -> Check {
    let stage = desk.running()?;
    let answer = stage.subject()?.future(future::CAN_TIME_INFO, None);
    stage.await_blocks(4)?;
    stage.stop()?;
    let comes = stage.recorder.events().iter().any(|event| event.seen.with_time);
    let words = if comes { "blocks with time info" } else { "blocks without time info" };
    let seen = || format!("{answer} from CanTimeInfo, and {words}");
    ensure((answer == Code::SUCCESS) == comes, seen, "an answer that fits the blocks")
}

/// A difference of unsigned values as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "differences within a run of seconds")]
fn difference(later: u64, earlier: u64) -> f64 {
    later.wrapping_sub(earlier).cast_signed() as f64
}

/// By how many seconds a step from block to block is off, if no block was lost there.
fn step_off(pair: &[(Event, TimeSeen)], frames: i32, rate_hz: f64) -> Option<f64> {
    let (was, now) = (pair[0].1, pair[1].1);
    let moved = difference(now.position_frames, was.position_frames);
    let block = f64::from(frames);
    let is_next = (moved - block).abs() < 0.5;
    is_next.then(|| difference(now.time_ns, was.time_ns) / 1e9 - block / rate_hz)
}

/// At the end of a run, when a clock that had to be found has been.
fn settled(times: &[(Event, TimeSeen)]) -> &[(Event, TimeSeen)] {
    &times[times.len() / 2..]
}

fn time_steps(desk: &Desk) -> Check {
    /// A clock that is read in milliseconds.
    const LEAST_S: f64 = 0.002;
    let (mut stage, times) = times(desk)?;
    let rate_hz = stage.ask(Rig::rate)?.max(1.0);
    let limit = (f64::from(stage.frames) / rate_hz / 4.0).max(LEAST_S);
    let pairs = settled(&times).windows(2);
    let off: Vec<f64> =
        pairs.filter_map(|pair| step_off(pair, stage.frames, rate_hz)).map(f64::abs).collect();
    let wrong = off.iter().filter(|off| **off >= limit).count();
    let worst = off.iter().copied().fold(0.0, f64::max) * 1000.0;
    desk.note(format!("the worst step is {worst:.2} ms off"));
    let seen = || format!("{wrong} of {} steps off by up to {worst:.1} ms", off.len());
    let allowed = format!("less than {:.1} ms, but for a twentieth of them", limit * 1000.0);
    ensure(wrong * 20 <= off.len(), seen, &allowed)
}

fn position_keeps_time(desk: &Desk) -> Check {
    const GRACE_S: f64 = 0.02;
    let (mut stage, times) = times(desk)?;
    let rate_hz = stage.ask(Rig::rate)?.max(1.0);
    let first = times[0].1;
    let limit = f64::from(stage.frames) + GRACE_S * rate_hz;
    for (n, (_, time)) in times.iter().enumerate() {
        let moved = difference(time.position_frames, first.position_frames);
        let passed = difference(time.time_ns, first.time_ns) / 1e9 * rate_hz;
        let seen = || format!("{moved:.0} frames by position and {passed:.0} by time at block {n}");
        ensure((moved - passed).abs() <= limit, seen, "the same within a block and 20 ms")?;
    }
    Ok(())
}

fn losses_are_told(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let answer = stage.subject()?.future(future::CAN_REPORT_OVERLOAD, None);
    stage.start()?;
    stage.await_blocks(200)?;
    let told = || {
        let is_word = |call: &Call| {
            matches!(call, Call::Message { selector, .. }
                if matches!(*selector, message::OVERLOAD | message::RESYNC_REQUEST))
        };
        stage.recorder.calls().iter().any(is_word)
    };
    // What is told comes from another thread.
    stage.recorder.wait(Duration::from_millis(500), || lost(&stage) == 0 || told());
    stage.stop()?;
    let lost = lost(&stage);
    if lost == 0 {
        return skipped("no block was lost");
    }
    let seen = || format!("{lost} blocks lost, no word of it, and {answer} from CanReportOverload");
    ensure(told(), seen, "Overload, or a request to resynchronise")
}

/// Blocks that the position leaves out.
fn lost(stage: &Stage<'_>) -> u64 {
    let frames = u64::try_from(stage.frames).unwrap_or(1).max(1);
    let events = stage.recorder.events();
    let positions: Vec<u64> =
        events.iter().filter_map(|event| Some(event.seen.time?.position_frames)).collect();
    let step = |pair: &[u64]| (pair[1].saturating_sub(pair[0]) / frames).saturating_sub(1);
    positions.windows(2).map(step).sum()
}

fn rate_changed_flag(desk: &Desk) -> Check {
    const CHANGES: u32 = time_flag::SAMPLE_RATE_CHANGED | time_flag::CLOCK_SOURCE_CHANGED;
    let flag = |time: &TimeSeen| time.flags.cast_unsigned() & CHANGES;
    let (_stage, times) = times(desk)?;
    for (n, (_, time)) in times.iter().enumerate() {
        let seen = || format!("flags {:#x} in block {n} of a steady run", time.flags);
        ensure(flag(time) == 0, seen, "no word of a change")?;
    }
    let rates = offered(&desk.ready()?);
    let mut stage = desk.running_with(Manners::default())?;
    let before = stage.ask(Rig::rate)?;
    let Some(other) = rates.into_iter().find(|rate_hz| (rate_hz - before).abs() > 1.0) else {
        return Ok(());
    };
    // Seen in the block itself: of what is written down there may be enough before the change.
    let flagged = Arc::new(AtomicBool::new(false));
    let its = flagged.clone();
    stage.recorder.on_block(move |_, seen| {
        if seen.time.is_some_and(|time| flag(&time) != 0) {
            its.store(true, Ordering::Release);
        }
    });
    let code = stage.subject()?.set_sample_rate(other);
    ensure_code("setSampleRate while running", code, &[Code::OK, Code::INVALID_MODE])?;
    if code != Code::OK {
        return Ok(());
    }
    let is_told = || flagged.load(Ordering::Acquire) || !stage.recorder.disturbances().is_empty();
    let came = stage.recorder.wait(Duration::from_secs(3), is_told);
    stage.subject()?.set_sample_rate(before);
    ensure(came, || format!("no word of the change to {other} Hz"), "a word of it")
}
