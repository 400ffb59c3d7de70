//! Calls that end or begin something from within a callback, or while one stands still, and starts that fail.

use super::Body;
use super::init::{error_of, is_a_code};
use super::stopping::{quiet_after, swiftly};
use crate::case::Case;
use crate::desk::{Check, Desk, End, Rig, Stage, ensure, ensure_code, failed, skipped};
use crate::recorder::Manners;
use barewire_abi::Code;
use barewire_host::bare::Subject;
use barewire_rt::Footprint;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::StopOnBothSides => stop_on_both_sides,
        Case::RestartAfterStopWithin => restart_after_stop_within,
        Case::DisposeWithinCallback => dispose_within_callback,
        Case::ReleaseWithinCallback => release_within_callback,
        Case::StartWhileCallbackBlocked => start_while_callback_blocked,
        Case::BlockedCallbackLeavesNothing => blocked_callback_leaves_nothing,
        Case::StopWhileAwaited => stop_while_awaited,
        Case::FailedStart => failed_start,
        _ => return None,
    })
}

/// The block in which something happens.
const MOMENT: u64 = 5;
/// How long threads that were told to end may take.
const FAREWELL: Duration = Duration::from_secs(3);

/// Starts, makes a call in the sixth block and waits for its answer; the blocks behind it are strays.
fn call_within(
    stage: &Stage<'_>,
    what: &str,
    call: impl FnOnce() -> i32 + Send + 'static,
) -> Check<i32> {
    let answer = Arc::new(AtomicI32::new(i32::MAX));
    let (its, recorder) = (answer.clone(), Arc::downgrade(&stage.recorder));
    let mut call = Some(call);
    // Not before start has returned, which may still be at work on the object.
    let has_started = Arc::new(AtomicBool::new(false));
    let its_start = has_started.clone();
    stage.recorder.on_block(move |number, _| {
        if number >= MOMENT
            && its_start.load(Ordering::SeqCst)
            && let Some(call) = call.take()
        {
            let told = call();
            if let Some(recorder) = recorder.upgrade() {
                recorder.close();
            }
            its.store(told, Ordering::SeqCst);
        }
    });
    stage.start()?;
    has_started.store(true, Ordering::SeqCst);
    let limit = Duration::from_secs(6);
    let came = stage.recorder.wait(limit, || answer.load(Ordering::SeqCst) != i32::MAX);
    ensure(
        came,
        || format!("{what} within a block did not return"),
        "a call that returns at once",
    )?;
    quiet_after(stage.desk, &stage.recorder, what)?;
    Ok(answer.load(Ordering::SeqCst))
}

/// Whether a start brings blocks that begin at the beginning.
fn begins_anew(stage: &Stage<'_>, what: &str) -> Check {
    stage.recorder.reopen();
    stage.recorder.on_block(|_, _| {});
    ensure_code(what, stage.subject()?.start(), &[Code::OK])?;
    let (blocks, came) = stage.blocks_within(4, Duration::from_secs(3));
    ensure(came, || format!("{blocks} blocks after {what}"), "block after block")?;
    let events = stage.recorder.events();
    let Some(first) = events.first() else { return failed("no block", "blocks") };
    let half = first.seen.half;
    ensure(half == 0, || format!("half {half} first after {what}"), "half 0")?;
    let position = first.seen.time.map_or(0, |time| time.position_frames);
    let borne = u64::try_from(stage.frames).unwrap_or(0);
    let is_first = position == 0 || position == borne;
    ensure(is_first, || format!("position {position} first after {what}"), "position 0")
}

fn stop_on_both_sides(desk: &Desk) -> Check {
    const LIMIT: Duration = Duration::from_secs(1);
    let stage = desk.stage()?;
    let subject = stage.subject()?.clone();
    let inside = Arc::new(AtomicBool::new(false));
    let (its, own) = (inside.clone(), subject.clone());
    let (tell, told) = channel::<Duration>();
    stage.recorder.on_block(move |number, _| {
        if number == MOMENT {
            its.store(true, Ordering::SeqCst);
            // Until the other thread is in its own stop, and waits for this block's end.
            std::thread::sleep(Duration::from_millis(100));
            let begin = Instant::now();
            own.stop();
            // Nobody may be listening any more.
            let _ = tell.send(begin.elapsed());
        }
    });
    stage.start()?;
    let came = stage.recorder.wait(Duration::from_secs(5), || inside.load(Ordering::SeqCst));
    ensure(came, || "too few blocks".to_owned(), "a sixth block")?;
    let begin = Instant::now();
    swiftly("stop", &[Code::OK, Code::INVALID_MODE], || subject.stop())?;
    let took = begin.elapsed();
    let within = told.recv_timeout(FAREWELL).unwrap_or(FAREWELL);
    let seconds = |took: Duration| took.as_secs_f64();
    let seen = || format!("{:.1} s outside, {:.1} s within", seconds(took), seconds(within));
    ensure(took < LIMIT && within < LIMIT, seen, "both within a second")?;
    quiet_after(desk, &stage.recorder, "both stops")
}

fn restart_after_stop_within(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let subject = stage.subject()?.clone();
    call_within(&stage, "stop", move || subject.stop().0)?;
    begins_anew(&stage, "start after a stop within a block")
}

fn dispose_within_callback(desk: &Desk) -> Check {
    let mut stage = desk.stage()?;
    let subject = stage.subject()?.clone();
    let answer = call_within(&stage, "disposeBuffers", move || subject.dispose_buffers().0)?;
    ensure_code("disposeBuffers within a block", Code(answer), &[Code::OK])?;
    let (wanted, frames) = (stage.table.wanted().to_vec(), stage.frames);
    let Some(subject) = stage.subject.take() else { return skipped("the driver is gone") };
    let (code, again) = Rig { desk, subject }.try_stage(&wanted, frames, Manners::default())?;
    ensure_code("createBuffers after disposeBuffers within a block", code, &[Code::OK])?;
    begins_anew(&again, "start with new buffers")
}

/// As many threads as there were when nothing of the driver was left.
fn threads_at_rest(desk: &Desk) -> Check<usize> {
    // The first opening starts what the system itself keeps.
    drop(desk.running()?);
    std::thread::sleep(desk.wait(20, 200));
    Footprint::now().map_or_else(
        || skipped("this system does not tell how many threads a process has"),
        |footprint| Ok(footprint.threads),
    )
}

fn no_thread_left(had: usize, what: &str) -> Check {
    let until = Instant::now() + FAREWELL;
    let more = || Footprint::now().map_or(0, |now| now.threads.saturating_sub(had));
    while more() > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    let left = more();
    let seen = || format!("{left} threads more than before, three seconds after {what}");
    ensure(left == 0, seen, "no thread of the driver")
}

fn release_within_callback(desk: &Desk) -> Check {
    let had = threads_at_rest(desk)?;
    let mut stage = desk.stage()?;
    let subject = stage.subject()?.clone();
    let outcome = call_within(&stage, "Release", move || subject.end());
    // It is released: whatever came of it, nobody may call it any more.
    stage.subject = None;
    let answer = outcome?;
    ensure(answer == 0, || format!("a count of {answer} from Release"), "0")?;
    no_thread_left(had, "a Release within a block")
}

/// A run whose sixth callback stands still until told to go on, after a stop.
struct Blocked<'a> {
    stage: Stage<'a>,
    go_on: Sender<()>,
}

fn blocked(desk: &Desk) -> Check<Blocked<'_>> {
    let stage = desk.stage()?;
    let (go_on, told) = channel::<()>();
    let told = Mutex::new(told);
    let stands = Arc::new(AtomicBool::new(false));
    let its = stands.clone();
    stage.recorder.on_block(move |number, _| {
        if number == MOMENT {
            its.store(true, Ordering::SeqCst);
            // As a lock would, that the stopping thread holds. Who waits may have given up.
            let told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = told.recv_timeout(Duration::from_secs(15));
        }
    });
    stage.start()?;
    let came = stage.recorder.wait(Duration::from_secs(5), || stands.load(Ordering::SeqCst));
    ensure(came, || "too few blocks".to_owned(), "a sixth block")?;
    let allowed = [Code::OK, Code::INVALID_MODE, Code::HW_MALFUNCTION];
    ensure_code("stop while a callback stands still", stage.subject()?.stop(), &allowed)?;
    Ok(Blocked { stage, go_on })
}

fn start_while_callback_blocked(desk: &Desk) -> Check {
    let Blocked { stage, go_on } = blocked(desk)?;
    let before = stage.recorder.blocks();
    let code = stage.subject()?.start();
    ensure(is_a_code(code), || format!("{code} from start"), "a code of the interface")?;
    // The callback may have given up.
    let _ = go_on.send(());
    if code == Code::OK {
        let limit = Duration::from_secs(3);
        let came = stage.recorder.wait(limit, || stage.recorder.blocks() > before);
        let seen = || "no block after start answered OK and the callback had returned".to_owned();
        ensure(came, seen, "a refusal, or blocks")?;
        return Ok(());
    }
    stage.recorder.wait(Duration::from_secs(1), || !stage.recorder.is_inside());
    std::thread::sleep(Duration::from_millis(50));
    begins_anew(&stage, "start once the callback had returned")
}

fn blocked_callback_leaves_nothing(desk: &Desk) -> Check {
    let had = threads_at_rest(desk)?;
    let Blocked { mut stage, go_on } = blocked(desk)?;
    if let Some(subject) = stage.subject.take() {
        subject.end();
    }
    // As above.
    let _ = go_on.send(());
    no_thread_left(had, "the callback had returned")
}

/// The host's thread that calls outputReady a little after each block, for some time.
fn answer_later(
    subject: Arc<Subject>,
    stage: &Stage<'_>,
    is_over: Arc<AtomicBool>,
) -> std::thread::JoinHandle<()> {
    let recorder = stage.recorder.clone();
    std::thread::spawn(move || {
        let mut last = 0;
        while !is_over.load(Ordering::SeqCst) {
            if recorder.done() != last {
                last = recorder.done();
                std::thread::sleep(Duration::from_millis(1));
                subject.output_ready();
            }
            std::thread::yield_now();
        }
    })
}

fn stop_while_awaited(desk: &Desk) -> Check {
    const LIMIT: Duration = Duration::from_millis(500);
    let stage = desk.stage()?;
    let subject = stage.subject()?.clone();
    if subject.output_ready() != Code::OK {
        return skipped("outputReady is not present");
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let caller = answer_later(subject.clone(), &stage, is_over.clone());
    let ran = stage.start().and_then(|()| stage.await_blocks(100));
    is_over.store(true, Ordering::SeqCst);
    // It ends by itself.
    let _ = caller.join();
    ran?;
    std::thread::sleep(Duration::from_millis(20));
    let begin = Instant::now();
    swiftly("stop while outputReady is awaited", &[Code::OK], || subject.stop())?;
    let took = begin.elapsed();
    let seen = || format!("stop took {:.2} s", took.as_secs_f64());
    ensure(took < LIMIT, seen, "half a second at most")?;
    quiet_after(desk, &stage.recorder, "stop")
}

fn failed_start(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let subject = stage.subject()?.clone();
    let code = subject.start();
    if code == Code::OK {
        let (_, came) = stage.blocks_within(1, Duration::from_secs(3));
        ensure(came, || "no block after start answered OK".to_owned(), "blocks, or an error")?;
        return Err(End::Skipped("start does not fail".to_owned()));
    }
    ensure(is_a_code(code), || format!("{code} from start"), "an error of the interface")?;
    let text = error_of(&subject)?;
    ensure(!text.is_empty(), || format!("{code} from start without a text"), "a text")?;
    std::thread::sleep(desk.wait(30, 500));
    let blocks = stage.recorder.blocks();
    ensure(blocks == 0, || format!("{blocks} blocks after a start that failed"), "none")?;
    // Whatever was wrong may take a moment to go away.
    let mut code = subject.start();
    for _ in 0..10 {
        if code == Code::OK {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
        code = subject.start();
    }
    if code != Code::OK {
        desk.note(format!("start goes on to fail with {code}: {text}"));
        return Ok(());
    }
    stage.await_blocks(4)
}
