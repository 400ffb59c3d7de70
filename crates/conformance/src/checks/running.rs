//! While blocks come.

use super::Body;
use super::init::is_a_code;
use super::queries::named;
use super::rates::offered;
use crate::case::Case;
use crate::desk::{Check, Desk, Rig, Stage, ensure, ensure_code, failed, skipped, unjudged};
use crate::recorder::{Event, Manners, Recorder};
use barewire_abi::constants::{future, time_flag};
use barewire_abi::{Code, Samples};
use barewire_host::bare::{BufferTable, L, Place, Returned, S, TimeSeen};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::StartWithoutBuffers => start_without_buffers,
        Case::Start => start,
        Case::SilentOutputs => silent_outputs,
        Case::StartDoesNotWait => start_does_not_wait,
        Case::CallbackThread => callback_thread,
        Case::HalvesAlternate => halves_alternate,
        Case::OneBlockAtATime => one_block_at_a_time,
        Case::DirectProcess => direct_process,
        Case::TimeInfoAsNegotiated => time_info_as_negotiated,
        Case::NoNullTimeInfo => no_null_time_info,
        Case::TimeInfoContent => time_info_content,
        Case::PositionSteps => position_steps,
        Case::WordOrder => word_order,
        Case::TimeIsMonotone => time_is_monotone,
        Case::TimeBase => time_base,
        Case::QueriesInCallback => queries_in_callback,
        Case::PositionAgrees => position_agrees,
        Case::TimeInfoReturnIgnored => time_info_return_ignored,
        Case::OutputReadyManners => output_ready_manners,
        Case::OutputReadyNotPresent => output_ready_not_present,
        Case::StartWhileRunning => start_while_running,
        Case::CreateWhileRunning => create_while_running,
        Case::ParallelCalls => parallel_calls,
        Case::ThreadsOfAnyKind => threads_of_any_kind,
        Case::RateChangeWhileRunning => rate_change_while_running,
        Case::QuietRun => quiet_run,
        Case::LongPosition => long_position,
        Case::CallbackPriority => callback_priority,
        _ => return None,
    })
}

/// So many blocks say whether a stream is regular.
fn enough(desk: &Desk) -> u64 {
    if desk.options.long { 2000 } else { 200 }
}

/// Runs for a while; what came.
fn record(desk: &Desk, manners: Manners) -> Check<(Stage<'_>, Vec<Event>)> {
    let stage = desk.running_with(manners)?;
    stage.await_blocks(enough(desk))?;
    stage.stop()?;
    let events = stage.recorder.events();
    Ok((stage, events))
}

fn start_without_buffers(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let recorder = Recorder::new(Manners::default());
    barewire_host::bare::listen(0, Some(recorder.clone()));
    let code = rig.subject.start();
    let refused = code != Code::OK && is_a_code(code);
    ensure(refused, || format!("{code} from start without buffers"), "InvalidMode")?;
    std::thread::sleep(desk.wait(30, 500));
    ensure(recorder.blocks() == 0, || "a block".to_owned(), "no block")
}

fn start(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let begin = Instant::now();
    ensure_code("start", stage.subject()?.start(), &[Code::OK])?;
    let (_, came) = stage.blocks_within(1, Duration::from_secs(3));
    ensure(came, || "no block within 3 s".to_owned(), "the first block within 3 s")?;
    desk.note(format!("the first block after {:.1} ms", begin.elapsed().as_secs_f64() * 1000.0));
    let (blocks, came) = stage.blocks_within(10, Duration::from_secs(5));
    ensure(came, || format!("{blocks} more blocks within 5 s"), "block after block")?;
    ensure_code("stop", stage.subject()?.stop(), &[Code::OK])
}

/// Whether a half holds nothing that could be heard. One-bit samples are silent as 0x69.
fn is_silent(bytes: &[u8]) -> bool {
    let silence = if bytes.first() == Some(&0x69) { 0x69 } else { 0 };
    bytes.iter().all(|byte| *byte == silence)
}

fn silent_outputs(desk: &Desk) -> Check {
    let mut stage = desk.stage()?;
    let mut outputs = stage.halves()?;
    outputs.retain(|(request, _, _)| !request.is_input);
    if let Some((request, half, _)) = outputs.iter().find(|(_, _, view)| !is_silent(&view.read())) {
        desk.warn(format!("sound in half {half} of {} in fresh buffers", named(*request)));
    }
    let found = Arc::new(Mutex::new(None));
    let its = found.clone();
    stage.recorder.on_block(move |number, seen| {
        // The host writes nothing: both halves are as the driver gives them.
        let due = outputs.iter().filter(|it| it.1 == usize::from(seen.half != 0) && number < 2);
        if let Some((request, half, _)) = due.into_iter().find(|it| !is_silent(&it.2.read())) {
            let seen = format!("sound in half {half} of {} at block {number}", named(*request));
            its.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(seen);
        }
    });
    stage.start()?;
    stage.await_blocks(3)?;
    stage.stop()?;
    let found = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    found.map_or(Ok(()), |seen| failed(seen, "silence until the host writes"))
}

fn start_does_not_wait(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let (tell, told) = channel::<()>();
    // A host's patience.
    let cap = Duration::from_secs(2);
    stage.recorder.on_block(move |number, _| {
        if number == 0 {
            // Start returned, or it never does.
            let _ = told.recv_timeout(cap);
        }
    });
    let begin = Instant::now();
    ensure_code("start", stage.subject()?.start(), &[Code::OK])?;
    let took = begin.elapsed();
    // The callback may have given up.
    let _ = tell.send(());
    let seen =
        || format!("start returned after {:.2} s, when the callback gave up", took.as_secs_f64());
    ensure(took < cap, seen, "start returns while the first callback waits for it")?;
    stage.await_blocks(3)
}

fn callback_thread(desk: &Desk) -> Check {
    let (_stage, events) = record(desk, Manners::default())?;
    let own = std::thread::current().id();
    let here = events.iter().filter(|event| event.thread == own).count();
    let seen = || format!("{here} of {} blocks on the thread that called start", events.len());
    ensure(here == 0, seen, "another thread")?;
    let mut threads: Vec<_> = events.iter().map(|event| event.thread).collect();
    threads.dedup();
    desk.note(format!("{} changes of thread", threads.len() - 1));
    Ok(())
}

fn halves_alternate(desk: &Desk) -> Check {
    let (_stage, events) = record(desk, Manners::default())?;
    for (n, event) in events.iter().enumerate() {
        let wanted = i32::from(n % 2 == 1);
        let half = event.seen.half;
        ensure(half == wanted, || format!("half {half} for block {n}"), &format!("half {wanted}"))?;
    }
    Ok(())
}

fn one_block_at_a_time(desk: &Desk) -> Check {
    let stage = desk.running()?;
    // Long enough that a second one would come.
    stage.recorder.on_block(|number, _| {
        if number % 16 == 5 {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    stage.await_blocks(64)?;
    stage.stop()?;
    let overlaps = stage.recorder.overlaps.load(Ordering::SeqCst);
    ensure(overlaps == 0, || format!("{overlaps} blocks within a block"), "one after the other")
}

fn direct_process(desk: &Desk) -> Check {
    let (_stage, events) = record(desk, Manners::default())?;
    let other = events.iter().find(|event| event.seen.direct != 1);
    match other {
        None => Ok(()),
        Some(event) => failed(format!("directProcess {}", event.seen.direct), "1"),
    }
}

fn time_info_as_negotiated(desk: &Desk) -> Check {
    let plain = Manners { time_info: 0, ..Manners::default() };
    let hosts = [("wants time info", Manners::default()), ("does not want time info", plain)];
    for (words, manners) in hosts {
        let wants = manners.time_info != 0;
        let (_stage, events) = record(desk, manners)?;
        let with = events.iter().filter(|event| event.seen.with_time).count();
        let plain = events.len() - with;
        let seen =
            || format!("{with} blocks with time info and {plain} without, for a host that {words}");
        if wants {
            if with == 0 {
                desk.warn("it never uses bufferSwitchTimeInfo");
                continue;
            }
            ensure(plain == 0, seen, "every block with time info")?;
            let null = events.iter().any(|event| event.seen.time.is_none());
            ensure(!null, || "a null pointer for the time".to_owned(), "time info")?;
        } else {
            ensure(with == 0, seen, "every block without")?;
        }
    }
    Ok(())
}

fn no_null_time_info(desk: &Desk) -> Check {
    let (_stage, events) =
        record(desk, Manners { has_time_function: false, ..Manners::default() })?;
    let with = events.iter().filter(|event| event.seen.with_time).count();
    ensure(with == 0, || format!("{with} blocks with time info"), "every block without")
}

/// Time info of a run, block by block.
pub(super) fn times(desk: &Desk) -> Check<(Stage<'_>, Vec<(Event, TimeSeen)>)> {
    let (stage, events) = record(desk, Manners::default())?;
    let times: Vec<_> =
        events.into_iter().filter_map(|event| Some((event, event.seen.time?))).collect();
    if times.is_empty() {
        return skipped("the driver gives no time info");
    }
    Ok((stage, times))
}

fn time_info_content(desk: &Desk) -> Check {
    let (mut stage, times) = times(desk)?;
    let rate_hz = stage.ask(Rig::rate)?;
    for (n, (_, time)) in times.iter().enumerate() {
        let flags = time.flags.cast_unsigned();
        let both = time_flag::SYSTEM_TIME_VALID | time_flag::SAMPLE_POSITION_VALID;
        let seen = || format!("flags {flags:#x} in block {n}");
        ensure(flags & both == both, seen, "position and time valid")?;
        let seen = || format!("reserved words that are not zero in block {n}");
        ensure(time.reserved_zero, seen, "zeros where it is reserved")?;
        if flags & time_flag::SAMPLE_RATE_VALID != 0 {
            let same = (time.rate_hz - rate_hz).abs() < 1.0;
            ensure(same, || format!("{} Hz in block {n}", time.rate_hz), &format!("{rate_hz} Hz"))?;
        }
        let speed_valid = flags & time_flag::SPEED_VALID != 0;
        let right = !speed_valid || (time.speed - 1.0).abs() < 1e-3;
        ensure(right, || format!("speed {} in block {n}", time.speed), "1.0")?;
        let seen = || format!("time code flags {:#x} in block {n}", time.code_flags);
        ensure(time.code_flags & 1 == 0, seen, "no time code that nobody asked for")?;
    }
    Ok(())
}

fn position_steps(desk: &Desk) -> Check {
    let (stage, times) = times(desk)?;
    let frames = u64::try_from(stage.frames).unwrap_or(1).max(1);
    let first = times[0].1.position_frames;
    ensure(first == 0 || first == frames, || format!("{first} at the first block"), "0")?;
    if first == frames {
        desk.warn("the position begins with one block; the header says 0");
    }
    let mut lost = 0;
    for (n, pair) in times.windows(2).enumerate() {
        let (was, now) = (pair[0].1.position_frames, pair[1].1.position_frames);
        let step = now.wrapping_sub(was);
        let seen = || format!("from {was} to {now} at block {}", n + 1);
        ensure(step > 0 && step % frames == 0 && step < 1 << 24, seen, "steps of whole blocks")?;
        lost += step / frames - 1;
    }
    if lost > 0 {
        desk.note(format!("{lost} blocks were lost"));
        let count = u64::try_from(times.len()).unwrap_or(u64::MAX);
        let seen = || format!("{lost} blocks lost in {count}");
        ensure(desk.options.simulated || lost * 4 < count, seen, "a step of one block as a rule")?;
    }
    Ok(())
}

fn word_order(desk: &Desk) -> Check {
    let (stage, times) = times(desk)?;
    let far = times.iter().find(|(_, time)| time.position_frames >> 32 != 0);
    if let Some((_, time)) = far {
        let position = time.position_frames;
        return failed(format!("position {position:#x} at the start"), "a high word of 0");
    }
    let moves =
        times.first().map(|it| it.1.position_frames) != times.last().map(|it| it.1.position_frames);
    ensure(moves, || "a position that stands still".to_owned(), "a low word that moves")?;
    stage.recorder.reopen();
    stage.start()?;
    stage.await_blocks(4)?;
    let place = Place::<S>::dirty()?;
    let time = Place::<S>::dirty()?;
    let code = stage.subject()?.sample_position(Some(&place), Some(&time));
    ensure_code("getSamplePosition", code, &[Code::OK])?;
    let position = place.get().to_u64();
    ensure(
        position >> 32 == 0,
        || format!("{position:#x} from getSamplePosition"),
        "a high word of 0",
    )
}

fn time_is_monotone(desk: &Desk) -> Check {
    let (_stage, times) = times(desk)?;
    for (n, pair) in times.windows(2).enumerate() {
        let (was, now) = (pair[0].1.time_ns, pair[1].1.time_ns);
        let seen = || format!("{was} ns, then {now} ns at block {}", n + 1);
        ensure(now > was, seen, "a time that grows")?;
    }
    Ok(())
}

fn time_base(desk: &Desk) -> Check {
    if desk.options.simulated {
        return skipped("the driver keeps simulated time");
    }
    let (_stage, times) = times(desk)?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
    let mut off: Vec<f64> = times
        .iter()
        .map(|(event, time)| (event.system_ns as f64 - time.time_ns as f64) / 1e6)
        .collect();
    off.sort_by(f64::total_cmp);
    let middle = off[off.len() / 2];
    desk.note(format!("the time told is {middle:.2} ms before the callback"));
    // The first blocks of a run, and those behind a hiccup of the machine, may come late.
    ensure(
        middle.abs() < 20.0,
        || format!("{middle:.1} ms off"),
        "within 20 ms of the system's clock",
    )
}

/// What queries answered within a block.
#[derive(Default)]
struct Asked {
    codes: Vec<(&'static str, Code)>,
    slowest: Duration,
    positions: Vec<(TimeSeen, u64, u64)>,
    rates: Vec<f64>,
}

fn ask_in_callbacks(desk: &Desk) -> Check<(Stage<'_>, Asked)> {
    let stage = desk.stage()?;
    let subject = stage.subject()?.clone();
    let asked = Arc::new(Mutex::new(Asked::default()));
    let theirs = asked.clone();
    let (position, time) = (Place::<S>::dirty()?, Place::<S>::dirty()?);
    let (rate, input, output) =
        (Place::<f64>::dirty()?, Place::<L>::dirty()?, Place::<L>::dirty()?);
    let recorder = Arc::downgrade(&stage.recorder);
    stage.recorder.on_block(move |_, seen| {
        let begin = Instant::now();
        let code = subject.sample_position(Some(&position), Some(&time));
        let mut codes = vec![("getSamplePosition", code)];
        codes.push(("getSampleRate", subject.sample_rate(Some(&rate))));
        codes.push(("getLatencies", subject.latencies(Some(&input), Some(&output))));
        codes.push(("canSampleRate", subject.can_sample_rate(rate.get())));
        codes.push(("future", subject.future(future::CAN_REPORT_OVERLOAD, None)));
        codes.push(("outputReady", subject.output_ready()));
        let took = begin.elapsed();
        // While the run is being stopped both answers are right.
        if recorder.upgrade().is_none_or(|recorder| recorder.is_closed()) {
            return;
        }
        let mut asked = theirs.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.codes.len() < 2000 {
            asked.codes.extend(codes);
            asked.rates.push(rate.get());
            if let Some(seen) = seen.time {
                asked.positions.push((seen, position.get().to_u64(), time.get().to_u64()));
            }
        }
        // A busy machine takes the processor away now and then: the typical call counts.
        if asked.slowest.is_zero() || took < asked.slowest {
            asked.slowest = took;
        }
    });
    stage.start()?;
    let (blocks, came) = stage.blocks_within(64, Duration::from_secs(5));
    let seen = || format!("{blocks} of 64 blocks once the host asked within them");
    ensure(came, seen, "answers that do not wait for the block's end")?;
    stage.recorder.close();
    stage.stop()?;
    let asked = std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((stage, asked))
}

fn queries_in_callback(desk: &Desk) -> Check {
    let (mut stage, asked) = ask_in_callbacks(desk)?;
    for (call, code) in &asked.codes {
        let allowed: &[Code] = match *call {
            "future" => &[Code::SUCCESS, Code::NOT_PRESENT, Code::INVALID_PARAMETER],
            "outputReady" => &[Code::OK, Code::NOT_PRESENT],
            _ => &[Code::OK],
        };
        ensure_code(&format!("{call} within a block"), *code, allowed)?;
    }
    let rate_hz = stage.ask(Rig::rate)?;
    let wrong = asked.rates.iter().find(|told| (**told - rate_hz).abs() >= 1.0);
    if let Some(wrong) = wrong {
        return failed(format!("{wrong} Hz within a block"), format!("{rate_hz} Hz"));
    }
    let quickest = asked.slowest;
    desk.note(format!("six queries take {:.1} µs", quickest.as_secs_f64() * 1e6));
    let limit = Duration::from_micros(600);
    let seen = || format!("{quickest:?} for six queries at best");
    ensure(quickest < limit, seen, "100 µs each at most")
}

fn position_agrees(desk: &Desk) -> Check {
    let (_stage, asked) = ask_in_callbacks(desk)?;
    if asked.positions.is_empty() {
        return skipped("the driver gives no time info");
    }
    for (seen, position, time) in asked.positions {
        let told = seen.position_frames;
        let words = || format!("{position} from getSamplePosition in the block at {told}");
        ensure(position == told, words, "the block's own position")?;
        let apart = seen.time_ns.abs_diff(time);
        let words =
            || format!("{time} ns from getSamplePosition in the block at {} ns", seen.time_ns);
        ensure(apart < 1_000_000, words, "the block's own time")?;
    }
    Ok(())
}

fn time_info_return_ignored(desk: &Desk) -> Check {
    for returned in [Returned::Null, Returned::Given, Returned::Own, Returned::Garbage] {
        let stage = desk.running_with(Manners { returned, ..Manners::default() })?;
        let (blocks, came) = stage.blocks_within(20, Duration::from_secs(5));
        let seen = || format!("{blocks} blocks after {returned:?} was returned");
        ensure(came, seen, "block after block")?;
        stage.stop()?;
    }
    Ok(())
}

/// How fast blocks come, in blocks a second; 0 if they cease.
fn pace(stage: &Stage<'_>, blocks: u64) -> f64 {
    let begin = Instant::now();
    let (seen, came) = stage.blocks_within(blocks, Duration::from_secs(5));
    #[expect(clippy::cast_precision_loss, reason = "a count of some hundreds")]
    let pace = seen as f64 / begin.elapsed().as_secs_f64();
    if came { pace } else { 0.0 }
}

fn output_ready_manners(desk: &Desk) -> Check {
    let probe = desk.ready()?.subject.output_ready();
    let usual = pace(&desk.running()?, 64);
    if usual <= 0.0 {
        return unjudged("blocks cease anyway");
    }
    let manners = ["within each block", "twice", "in every second block", "never"];
    for manner in manners {
        let stage = desk.stage()?;
        // All of these hosts ask first.
        stage.subject()?.output_ready();
        let subject = stage.subject()?.clone();
        stage.recorder.on_block(move |number, _| match manner {
            "twice" => {
                subject.output_ready();
                subject.output_ready();
            }
            "within each block" => {
                subject.output_ready();
            }
            "in every second block" if number % 2 == 0 => {
                subject.output_ready();
            }
            _ => {}
        });
        stage.start()?;
        keeps_pace(desk, &stage, usual, &format!("outputReady {manner}"))?;
        stage.stop()?;
    }
    let stage = desk.stage()?;
    let over = Arc::new(AtomicBool::new(false));
    let (subject, its, recorder) = (stage.subject()?.clone(), over.clone(), stage.recorder.clone());
    let caller = std::thread::spawn(move || {
        let mut last = 0;
        while !its.load(Ordering::SeqCst) {
            if recorder.done() != last {
                last = recorder.done();
                subject.output_ready();
            }
            std::thread::yield_now();
        }
    });
    let started = stage.start();
    let kept =
        started.and_then(|()| keeps_pace(desk, &stage, usual, "outputReady from another thread"));
    let stopped = stage.stop();
    over.store(true, Ordering::SeqCst);
    // The thread ends by itself.
    let _ = caller.join();
    desk.note(format!("outputReady answers {probe}"));
    kept.and(stopped)
}

fn keeps_pace(desk: &Desk, stage: &Stage<'_>, usual: f64, what: &str) -> Check {
    let pace = pace(stage, 64);
    // In simulated time every wait for the host takes its real length.
    let least = if desk.options.simulated { 0.0 } else { usual * 0.5 };
    let seen = || format!("{pace:.0} blocks a second with {what}");
    ensure(pace > least, seen, &format!("{usual:.0} as always"))
}

fn output_ready_not_present(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    if stage.subject()?.output_ready() == Code::OK {
        return skipped("outputReady is present");
    }
    let subject = stage.subject()?.clone();
    let other = Arc::new(Mutex::new(None));
    let its = other.clone();
    stage.recorder.on_block(move |_, _| {
        let code = subject.output_ready();
        if code != Code::NOT_PRESENT {
            *its.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
        }
    });
    stage.start()?;
    stage.await_blocks(32)?;
    stage.stop()?;
    let other = *other.lock().unwrap_or_else(PoisonError::into_inner);
    match other {
        None => Ok(()),
        Some(code) => failed(format!("{code} from outputReady while running"), "NotPresent"),
    }
}

fn start_while_running(desk: &Desk) -> Check {
    let stage = desk.running()?;
    let code = stage.subject()?.start();
    desk.expect_refusal("start while running", code)?;
    let (blocks, came) = stage.blocks_within(8, Duration::from_secs(3));
    ensure(came, || format!("{blocks} blocks afterwards"), "blocks as before")?;
    let overlaps = stage.recorder.overlaps.load(Ordering::SeqCst);
    ensure(overlaps == 0, || format!("{overlaps} blocks within a block"), "one stream")
}

fn create_while_running(desk: &Desk) -> Check {
    let stage = desk.running()?;
    let again = BufferTable::new(stage.table.wanted())?;
    let (count, frames) = (again.count(), stage.frames);
    let code = stage.subject()?.create_buffers(Some(&again), count, frames, stage.host.as_ref());
    let refused = code != Code::OK && is_a_code(code);
    ensure(refused, || format!("{code} from createBuffers while running"), "InvalidMode")?;
    let (blocks, came) = stage.blocks_within(8, Duration::from_secs(3));
    ensure(came, || format!("{blocks} blocks afterwards"), "blocks as before")
}

fn parallel_calls(desk: &Desk) -> Check {
    let stage = desk.running()?;
    let until = Instant::now() + desk.wait(200, 3000);
    std::thread::scope(|scope| -> Check {
        for _ in 0..4 {
            let subject = stage.subject()?.clone();
            scope.spawn(move || -> Check {
                let (a, b) = (Place::<L>::dirty()?, Place::<L>::dirty()?);
                let (position, time) = (Place::<S>::dirty()?, Place::<S>::dirty()?);
                let rate = Place::<f64>::dirty()?;
                while Instant::now() < until {
                    subject.channels(Some(&a), Some(&b));
                    subject.latencies(Some(&a), Some(&b));
                    subject.sample_position(Some(&position), Some(&time));
                    subject.sample_rate(Some(&rate));
                    subject.can_sample_rate(48_000.0);
                }
                Ok(())
            });
        }
        Ok(())
    })?;
    let (blocks, came) = stage.blocks_within(8, Duration::from_secs(3));
    ensure(came, || format!("{blocks} blocks afterwards"), "blocks as before")
}

fn threads_of_any_kind(desk: &Desk) -> Check {
    let subject = Arc::new(desk.subject()?);
    let answer = subject.init(0);
    if answer != 1 {
        return unjudged(format!("init answered {answer}"));
    }
    let rig = Rig { desk, subject: subject.clone() };
    let (all, frames) = (rig.all()?, rig.sizes()?.preferred);
    let stage = rig.stage(&all, frames, Manners::default())?;
    let on = |call: fn(&barewire_host::bare::Subject) -> Code| {
        let subject = subject.clone();
        std::thread::spawn(move || call(&subject)).join().unwrap_or(Code::HW_MALFUNCTION)
    };
    ensure_code("start on another thread", on(|subject| subject.start()), &[Code::OK])?;
    let (blocks, came) = stage.blocks_within(8, Duration::from_secs(3));
    ensure(came, || format!("{blocks} blocks"), "block after block")?;
    ensure_code("stop on a third thread", on(|subject| subject.stop()), &[Code::OK])?;
    ensure_code("disposeBuffers on a fourth", on(|subject| subject.dispose_buffers()), &[Code::OK])
}

fn rate_change_while_running(desk: &Desk) -> Check {
    let rates = offered(&desk.ready()?);
    let mut stage = desk.running()?;
    let before = stage.ask(Rig::rate)?;
    let Some(other) = rates.into_iter().find(|rate_hz| (rate_hz - before).abs() > 1.0) else {
        return skipped("it offers one rate only");
    };
    let code = stage.subject()?.set_sample_rate(other);
    ensure_code("setSampleRate while running", code, &[Code::OK, Code::INVALID_MODE])?;
    let (blocks, came) = stage.blocks_within(8, Duration::from_secs(5));
    ensure(came, || format!("{blocks} blocks afterwards"), "blocks go on")?;
    let told = stage.ask(Rig::rate)?;
    let wanted = if code == Code::OK { other } else { before };
    let pace = pace_told(&stage)?;
    stage.subject()?.set_sample_rate(before);
    let resets = stage.recorder.disturbances();
    desk.note(format!(
        "{code}; {}",
        if resets.is_empty() { "no request".to_owned() } else { resets.join(", ") }
    ));
    ensure((told - wanted).abs() < 1.0, || format!("{told} Hz"), &format!("{wanted} Hz"))?;
    let Some(pace) = pace.filter(|_| resets.is_empty()) else { return Ok(()) };
    let seen = || format!("{pace:.0} frames a second by position and time of the blocks");
    ensure((pace / wanted - 1.0).abs() < 0.04, seen, &format!("blocks at {wanted} Hz"))
}

/// Frames a second as positions and times of blocks tell, once a change has had time to show.
fn pace_told(stage: &Stage<'_>) -> Check<Option<f64>> {
    stage.blocks_within(64, Duration::from_secs(3));
    stage.recorder.reopen();
    stage.await_blocks(64)?;
    let events = stage.recorder.events();
    let times: Vec<TimeSeen> = events.into_iter().filter_map(|event| event.seen.time).collect();
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return Ok(None) };
    let moved = last.position_frames.wrapping_sub(first.position_frames);
    let passed_ns = last.time_ns.wrapping_sub(first.time_ns);
    #[expect(clippy::cast_precision_loss, reason = "seconds at most")]
    let pace = moved as f64 * 1e9 / passed_ns.max(1) as f64;
    Ok(Some(pace))
}

fn quiet_run(desk: &Desk) -> Check {
    let stage = desk.running()?;
    std::thread::sleep(desk.wait(700, 10_000));
    let told = stage.recorder.disturbances();
    ensure(told.is_empty(), || told.join(", "), "no request in a steady run")?;
    // A run that has ceased is quiet, too.
    stage.await_blocks(2)
}

fn long_position(desk: &Desk) -> Check {
    if !desk.options.simulated {
        return skipped("25 hours pass only in simulated time");
    }
    let rig = desk.ready()?;
    let (all, sizes) = (rig.all()?, rig.sizes()?);
    let stage = rig.stage(&all, sizes.max, Manners::default())?;
    stage.start()?;
    let beyond = || {
        let (position, time) = (Place::<S>::dirty().ok()?, Place::<S>::dirty().ok()?);
        let code = stage.subject().ok()?.sample_position(Some(&position), Some(&time));
        (code == Code::OK).then(|| position.get().to_u64())
    };
    let limit = Duration::from_secs(600);
    let came = stage.recorder.wait(limit, || beyond().is_some_and(|at| at > 1 << 32));
    let at = beyond();
    ensure(came, || format!("{at:?} after {limit:?}"), "a position beyond 2³²")
}

fn callback_priority(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let found = Arc::new(Mutex::new(None));
    let its = found.clone();
    stage.recorder.on_block(move |number, _| {
        if number == 4 {
            // Under Wine the file is there too, and tells of another process' thread, which opens files.
            let is_own = !cfg!(windows);
            let policy = is_own.then(|| std::fs::read_to_string("/proc/thread-self/stat"));
            let policy = policy.and_then(Result::ok);
            // Field 41 is the policy, field 40 the priority; the second field is a name in parentheses.
            let fields = policy.as_deref().and_then(|text| text.rsplit_once(')'));
            let fields: Option<Vec<String>> =
                fields.map(|(_, rest)| rest.split_whitespace().map(str::to_owned).collect());
            *its.lock().unwrap_or_else(PoisonError::into_inner) = fields;
        }
    });
    stage.start()?;
    stage.await_blocks(8)?;
    let fields = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    match fields.as_deref().and_then(|fields| Some((fields.get(38)?, fields.get(37)?))) {
        None => desk.note("this system does not tell the priority of a thread"),
        Some((policy, priority)) if policy == "1" || policy == "2" => {
            desk.note(format!("real-time priority {priority}"));
        }
        Some(_) => desk.warn("no real-time priority"),
    }
    Ok(())
}
