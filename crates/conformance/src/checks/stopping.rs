//! Late hosts, the end of a run in all its forms, and requests to reset.

use super::Body;
use crate::case::Case;
use crate::desk::{Check, Desk, Stage, ensure, ensure_code, failed, skipped};
use crate::recorder::{Call, Recorder};
use barewire_abi::Code;
use barewire_abi::constants::{future, message};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::SlowHost => slow_host,
        Case::SilenceAfterStop => silence_after_stop,
        Case::StopWhileCallbackBlocked => stop_while_callback_blocked,
        Case::StopWithinCallback => stop_within_callback,
        Case::StopWithoutOutputReady => stop_without_output_ready,
        Case::StopTwice => stop_twice,
        Case::Restart => restart,
        Case::DisposeWhileRunning => dispose_while_running,
        Case::ReleaseWhileRunning => release_while_running,
        Case::HostFreesCallbacks => host_frees_callbacks,
        Case::CallbacksAreCopied => callbacks_are_copied,
        Case::ResetIsIgnored => reset_is_ignored,
        Case::ResetWithin => reset_within,
        _ => return None,
    })
}

/// How long a call that ends something may take.
const END: Duration = Duration::from_secs(2);
/// What a busy machine adds to it.
const GRACE: Duration = Duration::from_secs(1);

fn slow_host(desk: &Desk) -> Check {
    let mut stage = desk.stage()?;
    let rate_hz = stage.ask(crate::desk::Rig::rate)?;
    let period = Duration::from_secs_f64(f64::from(stage.frames) / rate_hz.max(1.0));
    let reports = stage.subject()?.future(future::CAN_REPORT_OVERLOAD, None) == Code::SUCCESS;
    stage.recorder.on_block(move |number, _| {
        let factor = match number {
            10 => 0.5,
            20 => 2.0,
            30 => 20.0,
            _ => return,
        };
        std::thread::sleep(period.mul_f64(factor).min(Duration::from_secs(2)));
    });
    stage.start()?;
    let (blocks, came) = stage.blocks_within(50, Duration::from_secs(10));
    ensure(came, || format!("{blocks} of 50 blocks"), "blocks after the host was late")?;
    stage.stop()?;
    let events = stage.recorder.events();
    for (n, pair) in events.windows(2).enumerate() {
        let (was, now) = (pair[0].seen.half, pair[1].seen.half);
        ensure(was != now, || format!("half {now} twice at block {}", n + 1), "halves alternate")?;
    }
    let overlaps = stage.recorder.overlaps.load(Ordering::SeqCst);
    ensure(overlaps == 0, || format!("{overlaps} blocks within a block"), "one after the other")?;
    account_for_loss(desk, &stage, reports)
}

/// The pause of twenty blocks must show: in the position, in a burst of blocks that makes up for it, or in a message.
fn account_for_loss(desk: &Desk, stage: &Stage<'_>, reports: bool) -> Check {
    if desk.options.simulated {
        desk.note("the driver keeps simulated time, in which the host is never late");
        return Ok(());
    }
    let events = stage.recorder.events();
    let (Some(before), Some(last)) = (events.get(30), events.last()) else { return Ok(()) };
    let (Some(first), Some(end)) = (before.seen.time, last.seen.time) else { return Ok(()) };
    let frames = u64::try_from(stage.frames).unwrap_or(1).max(1);
    let counted = u64::try_from(events.len().saturating_sub(31)).unwrap_or(0);
    let moved = end.position_frames.wrapping_sub(first.position_frames) / frames;
    let told = |wanted: i32| {
        let is =
            |call: &Call| matches!(call, Call::Message { selector, .. } if *selector == wanted);
        stage.recorder.calls().iter().any(is)
    };
    let burst = events
        .windows(2)
        .skip(31)
        .take(18)
        .filter(|pair| pair[1].at.duration_since(pair[0].at) < Duration::from_micros(500));
    let burst = burst.count();
    let overload = told(message::OVERLOAD);
    desk.note(format!(
        "after a pause of 20 blocks the position moved {moved} blocks in {counted}; {burst} came at once"
    ));
    let accounted = moved > counted || burst > 3 || told(message::RESYNC_REQUEST) || overload;
    let seen = || format!("{moved} blocks of position in {counted} callbacks, and no word of it");
    ensure(accounted, seen, "the pause in the position, in a burst, or told")?;
    if reports && moved > counted && !overload {
        desk.warn("it says that it reports overloads, and did not report this one");
    }
    Ok(())
}

/// After something that ends a run: nothing is called any more.
pub(super) fn quiet_after(desk: &Desk, recorder: &Arc<Recorder>, what: &str) -> Check {
    recorder.close();
    std::thread::sleep(desk.wait(150, 2000));
    let strays = recorder.strays();
    ensure(strays == 0, || format!("{strays} blocks after {what}"), "no block afterwards")
}

/// Makes a call that ends something, and sees to it that it does not take long.
pub(super) fn swiftly(what: &str, allowed: &[Code], call: impl FnOnce() -> Code) -> Check {
    let begin = Instant::now();
    ensure_code(what, call(), allowed)?;
    let took = begin.elapsed();
    let seen = || format!("{what} took {:.1} s", took.as_secs_f64());
    ensure(took < END + GRACE, seen, "two seconds at most")
}

fn silence_after_stop(desk: &Desk) -> Check {
    for round in 0..if desk.options.long { 10 } else { 3 } {
        // The first time upon a block that is under way.
        let mut stage = if round == 0 { busy_run(desk)? } else { desk.running()? };
        stage.await_blocks(round + 3)?;
        let subject = stage.subject()?.clone();
        swiftly("stop", &[Code::OK], || subject.stop())?;
        none_under_way(&stage.recorder, "stop")?;
        quiet_after(desk, &stage.recorder, "stop")?;
        for (_, _, view) in stage.halves()? {
            view.read();
        }
    }
    Ok(())
}

fn stop_while_callback_blocked(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let (tell, told) = channel::<()>();
    let blocked = Arc::new(AtomicBool::new(false));
    let its = blocked.clone();
    stage.recorder.on_block(move |number, _| {
        if number == 5 {
            its.store(true, Ordering::SeqCst);
            // As a lock would, that the stopping thread holds.
            let _ = told.recv_timeout(Duration::from_secs(8));
        }
    });
    stage.start()?;
    let came = stage.recorder.wait(Duration::from_secs(5), || blocked.load(Ordering::SeqCst));
    ensure(came, || "too few blocks".to_owned(), "a sixth block")?;
    let subject = stage.subject()?.clone();
    let allowed = [Code::OK, Code::INVALID_MODE, Code::HW_MALFUNCTION];
    let begin = Instant::now();
    let code = subject.stop();
    let took = begin.elapsed();
    stage.recorder.close();
    // The callback may have given up.
    let _ = tell.send(());
    let limit = Duration::from_secs(5);
    let seen = || format!("stop took {:.1} s while a callback was blocked", took.as_secs_f64());
    ensure(took < limit, seen, "stop returns in bounded time")?;
    ensure_code("stop while a callback is blocked", code, &allowed)?;
    desk.note(format!("stop returned after {:.2} s", took.as_secs_f64()));
    quiet_after(desk, &stage.recorder, "stop")?;
    swiftly("disposeBuffers", &[Code::OK], || subject.dispose_buffers())
}

fn stop_within_callback(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let subject = stage.subject()?.clone();
    let answer = Arc::new(AtomicI32::new(i32::MAX));
    let (its, recorder) = (answer.clone(), Arc::downgrade(&stage.recorder));
    stage.recorder.on_block(move |number, _| {
        if number == 5 {
            its.store(subject.stop().0, Ordering::SeqCst);
            if let Some(recorder) = recorder.upgrade() {
                recorder.close();
            }
        }
    });
    stage.start()?;
    let limit = Duration::from_secs(6);
    let came = stage.recorder.wait(limit, || answer.load(Ordering::SeqCst) != i32::MAX);
    ensure(came, || "stop within a block did not return".to_owned(), "stop returns at once")?;
    let code = Code(answer.load(Ordering::SeqCst));
    ensure_code("stop within a block", code, &[Code::OK])?;
    quiet_after(desk, &stage.recorder, "stop within a block")?;
    let subject = stage.subject()?.clone();
    swiftly("disposeBuffers", &[Code::OK], || subject.dispose_buffers())
}

fn stop_without_output_ready(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let subject = stage.subject()?.clone();
    if subject.output_ready() != Code::OK {
        return skipped("outputReady is not present");
    }
    let caller = subject.clone();
    stage.recorder.on_block(move |number, _| {
        if number < 5 {
            caller.output_ready();
        }
    });
    stage.start()?;
    // Beyond the sixth block, if the driver goes on by itself.
    stage.blocks_within(8, Duration::from_millis(300));
    swiftly("stop without the last outputReady", &[Code::OK], || subject.stop())?;
    quiet_after(desk, &stage.recorder, "stop")
}

fn stop_twice(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    desk.expect_refusal("stop without start", stage.subject()?.stop())?;
    stage.start()?;
    stage.stop()?;
    desk.expect_refusal("the second stop", stage.subject()?.stop())?;
    stage.recorder.reopen();
    stage.start()?;
    stage.await_blocks(3)
}

fn restart(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let rounds = if desk.options.long { 50 } else { 12 };
    for round in 0..rounds {
        stage.recorder.reopen();
        let from = stage.recorder.blocks();
        ensure_code("start", stage.subject()?.start(), &[Code::OK])?;
        let (blocks, came) = stage.blocks_within(4, Duration::from_secs(5));
        ensure(came, || format!("{blocks} blocks after start {round}"), "blocks at each start")?;
        ensure_code("stop", stage.subject()?.stop(), &[Code::OK])?;
        stage.recorder.wait(Duration::from_millis(200), || stage.recorder.done() > from);
        let events = stage.recorder.events();
        let Some(first) = events.first() else { return failed("no block", "blocks at each start") };
        let half = first.seen.half;
        ensure(half == 0, || format!("half {half} first at start {round}"), "half 0 first")?;
        if let Some(time) = first.seen.time {
            let at = time.position_frames;
            let frames = u64::try_from(stage.frames).unwrap_or(0);
            let seen = || format!("position {at} first at start {round}");
            ensure(at == 0 || at == frames, seen, "position 0 first")?;
        }
    }
    Ok(())
}

/// Blocks that take the host a while, so that what is called meanwhile comes upon one that is under way.
fn busy_run(desk: &Desk) -> Check<Stage<'_>> {
    let stage = desk.stage()?;
    stage.recorder.on_block(|_, _| std::thread::sleep(Duration::from_millis(20)));
    stage.start()?;
    stage.await_blocks(3)?;
    Ok(stage)
}

fn none_under_way(recorder: &Arc<Recorder>, what: &str) -> Check {
    let seen = || format!("a block still under way after {what}");
    ensure(!recorder.is_inside(), seen, "no block under way")
}

fn dispose_while_running(desk: &Desk) -> Check {
    let stage = busy_run(desk)?;
    let subject = stage.subject()?.clone();
    swiftly("disposeBuffers while running", &[Code::OK], || subject.dispose_buffers())?;
    none_under_way(&stage.recorder, "disposeBuffers")?;
    quiet_after(desk, &stage.recorder, "disposeBuffers")?;
    let code = subject.start();
    ensure(code != Code::OK, || "OK from start after disposeBuffers".to_owned(), "a refusal")
}

fn release_while_running(desk: &Desk) -> Check {
    let mut stage = busy_run(desk)?;
    let Some(subject) = stage.subject.take() else { return Ok(()) };
    let begin = Instant::now();
    let count = subject.end();
    let took = begin.elapsed();
    ensure(count == 0, || format!("a count of {count} from Release"), "0")?;
    let seen = || format!("Release took {:.1} s", took.as_secs_f64());
    ensure(took < END + GRACE, seen, "two seconds at most")?;
    none_under_way(&stage.recorder, "Release")?;
    quiet_after(desk, &stage.recorder, "Release")
}

fn host_frees_callbacks(desk: &Desk) -> Check {
    let mut stage = desk.running()?;
    stage.await_blocks(3)?;
    stage.stop()?;
    ensure_code("disposeBuffers", stage.subject()?.dispose_buffers(), &[Code::OK])?;
    // Its pages are gone: whoever reads them now crashes.
    stage.host = None;
    std::thread::sleep(desk.wait(50, 1000));
    let subject = stage.subject()?.clone();
    subject.stop();
    subject.output_ready();
    subject.set_sample_rate(stage.ask(crate::desk::Rig::rate)?);
    std::thread::sleep(desk.wait(30, 1000));
    Ok(())
}

fn callbacks_are_copied(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    if let Some(host) = &stage.host {
        host.scribble();
    }
    stage.start()?;
    let (blocks, came) = stage.blocks_within(8, Duration::from_secs(3));
    stage.stop()?;
    if !came {
        let text = format!("{blocks} blocks after the host's structure was overwritten");
        return failed(text, "the four functions copied in createBuffers");
    }
    Ok(())
}

const NO_RESET: &str =
    "nothing makes the driver ask for a reset by itself; change a setting with --interactive";

/// Waits until a person has made the driver ask for a reset.
fn await_reset(desk: &Desk, stage: &Stage<'_>) -> Check {
    if !desk.options.interactive {
        return skipped(NO_RESET);
    }
    let is_reset =
        |call: &Call| matches!(call, Call::Message { selector: message::RESET_REQUEST, .. });
    let asked = || stage.recorder.calls().iter().any(is_reset);
    // A person looks for the panel first.
    let came = stage.recorder.wait(Duration::from_secs(15), asked);
    if came { Ok(()) } else { skipped("no request to reset came within 15 s") }
}

fn reset_is_ignored(desk: &Desk) -> Check {
    let stage = desk.running()?;
    await_reset(desk, &stage)?;
    let wait = desk.wait(1000, 5000);
    let before = stage.recorder.calls().len();
    std::thread::sleep(wait);
    let (blocks, came) = stage.blocks_within(8, Duration::from_secs(2));
    ensure(came, || format!("{blocks} blocks after the request"), "blocks go on")?;
    let again = stage.recorder.calls().len() - before;
    let most = usize::try_from(wait.as_secs()).unwrap_or(1) + 1;
    ensure(again <= most, || format!("{again} requests in {wait:?}"), "one a second at most")
}

fn reset_within(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let subject = Arc::new(Mutex::new(Some(stage.subject()?.clone())));
    let its = subject.clone();
    stage.recorder.on_message(move |selector| {
        if selector == message::RESET_REQUEST
            && let Some(subject) = its.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            subject.stop();
            subject.dispose_buffers();
            subject.end();
        }
    });
    stage.start()?;
    await_reset(desk, &stage)?;
    std::thread::sleep(Duration::from_secs(1));
    Ok(())
}
