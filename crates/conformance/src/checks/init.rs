//! Before `init`, and with it.

use super::Body;
use crate::case::Case;
use crate::desk::{
    Check, Desk, Rig, ensure, ensure_clean, failed, input, output, skipped, terminated, unjudged,
};
use crate::recorder::{Manners, Recorder};
use barewire_abi::constants::future;
use barewire_abi::layout::{ChannelInfo, ClockSource};
use barewire_abi::{Code, Long, Native, write_text};
use barewire_host::bare::{BufferTable, HostTable, L, Missing, Place, S, Subject, listen};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::NameBeforeInit => name_before_init,
        Case::ErrorMessageBeforeError => error_message_before_error,
        Case::VersionIsStable => version_is_stable,
        Case::InstanceName => instance_name,
        Case::InitAnswersABoolean => init_answers_a_boolean,
        Case::Init => init,
        Case::CallsBeforeInit => calls_before_init,
        Case::PanelBeforeInit => panel_before_init,
        Case::AnyWindowHandle => any_window_handle,
        Case::InitTwice => init_twice,
        Case::FailedInit => failed_init,
        Case::TwoInstances => two_instances,
        Case::TwoProcesses => two_processes,
        Case::InitTime => init_time,
        Case::InitIsQuiet => init_is_quiet,
        _ => return None,
    })
}

pub(super) fn name_of(subject: &Subject) -> Check<String> {
    let name = Place::<[u8; 32]>::dirty()?;
    subject.driver_name(Some(&name));
    ensure_clean("getDriverName", name.stain())?;
    let text = terminated(&name.get());
    text.map_or_else(|| failed("no zero in 32 bytes of the name", "a terminated name"), Ok)
}

fn name_before_init(desk: &Desk) -> Check {
    let subject = desk.kept_subject()?;
    let name = name_of(&subject)?;
    desk.note(format!("it calls itself {name:?}"));
    ensure(!name.is_empty(), || "an empty name".to_owned(), "a name")
}

pub(super) fn error_of(subject: &Subject) -> Check<String> {
    let text = Place::<[u8; 124]>::dirty()?;
    subject.error_message(Some(&text));
    ensure_clean("getErrorMessage", text.stain())?;
    let words = terminated(&text.get());
    words.map_or_else(|| failed("no zero in 124 bytes of the text", "a terminated text"), Ok)
}

fn error_message_before_error(desk: &Desk) -> Check {
    let subject = desk.kept_subject()?;
    error_of(&subject).map(|_| ())
}

fn version_is_stable(desk: &Desk) -> Check {
    let subject = desk.subject()?;
    let before = subject.driver_version();
    let rig = desk.rig(subject, 0)?;
    let after = rig.subject.driver_version();
    ensure(before == after, || format!("{before}, then {after}"), "one version")?;
    ensure(before > 0, || format!("version {before}"), "a number above 0")
}

fn tell_name(subject: &Subject, name: &str) -> Check<Code> {
    let mut text = [0; 512];
    write_text(&mut text, name);
    Ok(subject.future(future::SET_INSTANCE_NAME, Some(&Place::with(text)?)))
}

fn instance_name(desk: &Desk) -> Check {
    const NOBODY: &str = "No entry of this name";
    let is_yes = |code: Code| matches!(code, Code::OK | Code::SUCCESS);
    let subject = desk.subject()?;
    let own = name_of(&subject)?;
    let question = subject.future(future::SET_INSTANCE_NAME, None);
    let taken = tell_name(&subject, &own)?;
    if !is_yes(question) && !is_yes(taken) {
        return skipped("the driver does not know the selector");
    }
    ensure(is_yes(question), || format!("{question} without a name"), "yes")?;
    ensure(is_yes(taken), || format!("{taken} for its own name {own:?}"), "yes")?;
    let other = tell_name(&subject, NOBODY)?;
    ensure(!is_yes(other), || format!("{other} for {NOBODY:?}"), "a refusal")?;
    let rig = desk.rig(subject, 0)?;
    let again = tell_name(&rig.subject, &own)?;
    if !is_yes(again) {
        desk.warn(format!("{again} for the name that it has, after init"));
    }
    let other = tell_name(&rig.subject, NOBODY)?;
    ensure(!is_yes(other), || format!("{other} for {NOBODY:?} after init"), "a refusal")?;
    let name = name_of(&rig.subject)?;
    ensure(name == own, || format!("{name:?} from getDriverName"), &format!("{own:?}"))
}

fn init_answers_a_boolean(desk: &Desk) -> Check {
    let answer = desk.subject()?.init(0);
    ensure(matches!(answer, 0 | 1), || format!("{answer} from init"), "1 or 0")
}

fn init(desk: &Desk) -> Check {
    let subject = desk.subject()?;
    let answer = subject.init(0);
    if answer == 1 {
        return Ok(());
    }
    // Whether the text is well formed is another rule's matter.
    let words = error_of(&subject).unwrap_or_else(|_| "without an end".to_owned());
    failed(format!("{answer} from init, and the text {words:?}"), "1")
}

/// Every method that answers with a code, on an object in whichever state; what each answered.
fn call_everything(subject: &Subject) -> Check<Vec<(&'static str, Code)>> {
    let longs = || -> Check<[Place<L>; 4]> {
        Ok([Place::dirty()?, Place::dirty()?, Place::dirty()?, Place::dirty()?])
    };
    let [a, b, c, d] = &longs()?;
    let rate = Place::<f64>::dirty()?;
    let (position, time) = (Place::<S>::dirty()?, Place::<S>::dirty()?);
    let info = Place::<ChannelInfo<Native>>::with(channel_zero())?;
    let sources = Place::<[ClockSource<Native>; 32]>::dirty()?;
    let count = Place::<L>::with(L::from_i32(32))?;
    let table = BufferTable::new(&[output(0)])?;
    let host = HostTable::new(0, Missing::Nothing)?;
    let answers = vec![
        ("getChannels", subject.channels(Some(a), Some(b))),
        ("getLatencies", subject.latencies(Some(a), Some(b))),
        ("getBufferSize", subject.buffer_size([Some(a), Some(b), Some(c), Some(d)])),
        ("canSampleRate", subject.can_sample_rate(44_100.0)),
        ("getSampleRate", subject.sample_rate(Some(&rate))),
        ("getClockSources", subject.clock_sources(Some(&sources), Some(&count))),
        ("setClockSource", subject.set_clock_source(0)),
        ("getSamplePosition", subject.sample_position(Some(&position), Some(&time))),
        ("getChannelInfo", subject.channel_info(Some(&info))),
        ("createBuffers", subject.create_buffers(Some(&table), 1, 64, Some(&host))),
        ("start", subject.start()),
        ("outputReady", subject.output_ready()),
        ("stop", subject.stop()),
        ("disposeBuffers", subject.dispose_buffers()),
    ];
    let stains = [a.stain(), b.stain(), c.stain(), d.stain(), rate.stain(), info.stain()];
    for stain in stains.into_iter().chain([sources.stain(), table.stain()]) {
        ensure_clean("a method before init", stain)?;
    }
    Ok(answers)
}

pub(super) fn channel_zero() -> ChannelInfo<Native> {
    let zero = L::default();
    ChannelInfo {
        channel: zero,
        is_input: zero,
        is_active: zero,
        group: zero,
        sample_type: zero,
        name: [0xDB; 32],
    }
}

/// The codes that the interface defines for methods.
pub(crate) fn is_a_code(code: Code) -> bool {
    code == Code::OK || (-1000..=-994).contains(&code.0)
}

fn calls_before_init(desk: &Desk) -> Check {
    refuses_before_init(desk)?;
    // And in memory that an object left behind which was initialised.
    desk.ready()?.subject.end();
    refuses_before_init(desk)
}

fn refuses_before_init(desk: &Desk) -> Check {
    let subject = desk.subject()?;
    listen(0, Some(Recorder::new(Manners::default())));
    let answers = call_everything(&subject)?;
    for (call, code) in answers {
        ensure(is_a_code(code), || format!("{code} from {call}"), "a code of the interface")?;
        if call == "start" && code == Code::OK {
            return failed("OK from start before init", "a refusal");
        }
    }
    let answer = subject.future(future::CAN_TIME_INFO, None);
    ensure(answer != Code::OK, || format!("{answer} from future"), "SUCCESS or a refusal")?;
    // It must still be of use.
    desk.rig(subject, 0).map(|_| ())
}

fn panel_before_init(desk: &Desk) -> Check {
    if !desk.options.interactive {
        return skipped("a panel would open; run with --interactive");
    }
    let subject = desk.subject()?;
    let code = subject.control_panel();
    crate::desk::ensure_code("controlPanel", code, &[Code::OK, Code::NOT_PRESENT])?;
    subject.end();
    std::thread::sleep(Duration::from_secs(2));
    Ok(())
}

fn any_window_handle(desk: &Desk) -> Check {
    for handle in [0, 0xDEAD_BEEF, 1, usize::MAX] {
        let subject = desk.subject()?;
        let answer = subject.init(handle);
        let seen = || format!("{answer} from init({handle:#x}), 1 from init(0)");
        ensure(answer == 1, seen, "1 whatever the handle")?;
    }
    Ok(())
}

fn init_twice(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let before = (rig.channels()?, rig.sizes()?);
    let again = rig.subject.init(0);
    ensure(matches!(again, 0 | 1), || format!("{again} from the second init"), "1")?;
    if again == 0 {
        desk.warn("the second init answers 0");
    }
    let after = (rig.channels()?, rig.sizes()?);
    ensure(before == after, || format!("{before:?}, then {after:?}"), "no change")
}

fn failed_init(desk: &Desk) -> Check {
    let subject = desk.subject()?;
    if subject.init(0) == 1 {
        return skipped("init succeeds here");
    }
    let words = error_of(&subject)?;
    ensure(!words.is_empty(), || "an empty text after a failed init".to_owned(), "the reason")?;
    for (call, code) in call_everything(&subject)? {
        ensure(is_a_code(code), || format!("{code} from {call}"), "a code of the interface")?;
    }
    subject.end();
    Ok(())
}

fn two_instances(desk: &Desk) -> Check {
    let subjects = [desk.subject()?, desk.subject()?];
    let answers: Vec<(i32, Check<String>)> = std::thread::scope(|scope| {
        let threads = subjects
            .each_ref()
            .map(|subject| scope.spawn(move || (subject.init(0), error_of(subject))));
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let good = answers.iter().filter(|(answer, _)| *answer == 1).count();
    ensure(good > 0, || "both refused".to_owned(), "at least one that is initialised")?;
    for (answer, words) in answers {
        if answer != 1 {
            let words = words?;
            ensure(!words.is_empty(), || "a refusal without a text".to_owned(), "the reason")?;
            desk.warn(format!("the second is refused: {words}"));
        }
    }
    let [first, second] = subjects;
    let first = Rig { desk, subject: Arc::new(first) };
    let before = first.sizes();
    second.end();
    if let (Ok(before), Ok(after)) = (before, first.sizes()) {
        ensure(before == after, || format!("{before:?}, then {after:?}"), "no change")?;
    }
    Ok(())
}

fn two_processes(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let before = rig.sizes()?;
    let Some(mut other) = crate::child::second_process() else {
        return unjudged("the second process cannot be started");
    };
    let status = other.wait().map_err(barewire_types::Error::from)?;
    ensure(status.success(), || format!("the second process ended with {status}"), "1 from init")?;
    let after = rig.sizes()?;
    ensure(before == after, || format!("{before:?}, then {after:?}"), "no change in the first")
}

fn init_time(desk: &Desk) -> Check {
    let begin = Instant::now();
    let rig = desk.ready()?;
    let took = begin.elapsed();
    drop(rig);
    desk.note(format!("{:.1} ms", took.as_secs_f64() * 1000.0));
    if took > Duration::from_secs(2) {
        desk.warn(format!("loading and init take {:.1} s", took.as_secs_f64()));
    }
    Ok(())
}

fn init_is_quiet(desk: &Desk) -> Check {
    let rate = desk.ready()?.rate()?;
    let recorder = Recorder::new(Manners::default());
    listen(0, Some(recorder.clone()));
    let rig = desk.ready()?;
    std::thread::sleep(desk.wait(50, 500));
    let blocks = recorder.blocks();
    ensure(blocks == 0, || format!("{blocks} blocks"), "no callback")?;
    let seen = rig.rate()?;
    ensure(rate.to_bits() == seen.to_bits(), || format!("{rate} Hz, then {seen} Hz"), "one rate")?;
    // Without buffers there is nobody whom it could call; channels are there to be seen.
    let _ = rig.ask_channel(input(0))?;
    Ok(())
}
