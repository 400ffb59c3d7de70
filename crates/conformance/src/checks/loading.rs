//! Registration, loading, references, unloading.

use super::Body;
use super::footprint::left_by_each;
use super::init::name_of;
use crate::case::Case;
use crate::desk::{Check, Desk, ensure, failed, output, skipped};
use barewire_abi::{Guid, Long};
use barewire_host::bare::{L, Place, imbalances};
use barewire_rt::Footprint;
use std::sync::Arc;

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::Registration => registration,
        Case::RegisteredName => registered_name,
        Case::Instantiation => instantiation,
        Case::ReleaseBeforeInit => release_before_init,
        Case::QueryInterface => query_interface,
        Case::ReferenceCounts => reference_counts,
        Case::InstancesLeaveNothing => instances_leave_nothing,
        Case::UnloadAfterRelease => unload_after_release,
        Case::StackBalance => stack_balance,
        _ => return None,
    })
}

/// A selector that the interface does not know.
const UNKNOWN_SELECTOR: i32 = 0x0BAD_CA11;

pub(super) const BY_PATH: &str = "the driver was named by its path, not by a registered name";

fn registration(desk: &Desk) -> Check {
    let Some(entry) = &desk.options.registered else { return skipped(BY_PATH) };
    let (named, file) = (&entry.driver, entry.file());
    if *named != file {
        let (named, file) = (named.display(), file.display());
        desk.warn(format!("{named} without a folder; Windows finds {file}, and each host has to"));
    }
    ensure(file.is_absolute(), || format!("the path {}", file.display()), "an absolute path")?;
    ensure(file.is_file(), || format!("no file at {}", file.display()), "the driver's file")
}

fn registered_name(desk: &Desk) -> Check {
    let Some(entry) = &desk.options.registered else { return skipped(BY_PATH) };
    let length = entry.name.chars().count();
    ensure(length <= 31, || format!("{length} characters"), "at most 31 characters")?;
    match &entry.description {
        Some(text) if *text != entry.name => {
            desk.warn(format!("hosts show {:?} or {text:?}", entry.name));
        }
        _ => {}
    }
    let own = name_of(&desk.subject()?)?;
    if own != entry.name {
        desk.warn(format!("hosts show {:?} or {own:?}", entry.name));
    }
    Ok(())
}

fn instantiation(desk: &Desk) -> Check {
    match desk.source.bare() {
        // Not released: that is the next rule's matter.
        Ok(subject) => {
            std::mem::forget(subject);
            Ok(())
        }
        Err(error) => failed(error.to_string(), "an object"),
    }
}

fn release_before_init(desk: &Desk) -> Check {
    for _ in 0..4 {
        desk.subject()?.end();
        // What it leaves in memory is where the next one is made, which must not believe it.
        let used = desk.subject()?;
        used.init(0);
        used.end();
    }
    Ok(())
}

fn query_interface(desk: &Desk) -> Check {
    const NO_INTERFACE: i32 = 0x8000_4002_u32.cast_signed();
    let subject = desk.kept_subject()?;
    let mut identity = None;
    for _ in 0..2 {
        let (code, object) = subject.query_interface(Guid::IUNKNOWN);
        let seen = || format!("0x{code:08X} and {object:#x}");
        ensure(code == 0 && object != 0, seen, "S_OK and an object for IUnknown")?;
        subject.release();
        let before = *identity.get_or_insert(object);
        ensure(before == object, || format!("{before:#x}, then {object:#x}"), "one identity")?;
    }
    let unknown = Guid::from_u128(0x5AFE_0000_0000_4000_8000_00DE_AD00_BEEF);
    let (code, object) = subject.query_interface(unknown);
    if code == 0 {
        subject.release();
        desk.warn("an id that nobody knows is answered with S_OK");
        return Ok(());
    }
    // A `long` of 64 bits bears the code with or without its sign.
    let is_refusal = code == NO_INTERFACE || code == i32::MAX;
    ensure(is_refusal, || format!("0x{code:08X}"), "E_NOINTERFACE for an id that nobody knows")?;
    ensure(object == 0, || format!("the pointer {object:#x}"), "a null pointer with a refusal")
}

fn reference_counts(desk: &Desk) -> Check {
    let subject = desk.subject()?;
    // The count is the same before and after; the end of an object that was never initialised is another rule's matter.
    subject.init(0);
    for (wanted, is_more) in [(2, true), (3, true), (2, false), (1, false)] {
        let count = if is_more { subject.add_ref() } else { subject.release() };
        ensure(count == wanted, || format!("a count of {count}"), &format!("{wanted}"))?;
    }
    let last = subject.end();
    ensure(last == 0, || format!("{last} from the last Release"), "0")
}

fn instances_leave_nothing(desk: &Desk) -> Check {
    let round = |init: bool| -> Check {
        let subject = desk.subject()?;
        if init {
            subject.init(0);
        }
        subject.end();
        Ok(())
    };
    let rounds = |count: usize| (0..count).try_for_each(|n| round(n % 2 == 0));
    // What a first one sets up for good is nobody's leak.
    rounds(20)?;
    let Some(grown) = left_by_each(|| rounds(100))? else {
        desk.note("this system does not tell what a process holds; only crashes are seen");
        return Ok(());
    };
    let allowed = "as many threads and handles as before, and as much memory";
    ensure(grown.is_empty(), || grown.join(", "), allowed)
}

fn unload_after_release(desk: &Desk) -> Check {
    // The first opening starts what the system itself keeps.
    drop(desk.running()?);
    std::thread::sleep(desk.wait(20, 200));
    let before = Footprint::now();
    let mut stage = desk.running()?;
    stage.await_blocks(4)?;
    if let Some(subject) = stage.subject.take().and_then(Arc::into_inner) {
        subject.unload();
    }
    let threads = |footprint: Option<Footprint>| footprint.map(|found| found.threads);
    let (left, had) = (threads(Footprint::now()), threads(before));
    if let (Some(left), Some(had)) = (left, had) {
        let seen = || format!("{} threads more than before", left - had);
        ensure(left <= had, seen, "no thread of the driver after the last Release")?;
    }
    // A thread in code that is gone crashes now.
    std::thread::sleep(desk.wait(50, 2000));
    Ok(())
}

fn stack_balance(desk: &Desk) -> Check {
    if imbalances().is_none() {
        return skipped("only on 32-bit Windows do methods take their arguments off the stack");
    }
    let outcome = every_method(desk);
    let found = imbalances().unwrap_or_default();
    ensure(found.is_empty(), || found.join(", "), "arguments taken, EBX, ESI and EDI kept")?;
    outcome
}

/// Calls every method, in an order in which each has something to do.
fn every_method(desk: &Desk) -> Check {
    let mut stage = desk.running()?;
    stage.await_blocks(2)?;
    stage.ask(|rig| {
        let subject = &rig.subject;
        if subject.query_interface(Guid::IUNKNOWN).0 == 0 {
            subject.release();
        }
        subject.add_ref();
        subject.release();
        subject.driver_name(Some(&Place::dirty()?));
        subject.driver_version();
        subject.error_message(Some(&Place::dirty()?));
        rig.latencies()?;
        let rate_hz = rig.rate()?;
        subject.can_sample_rate(rate_hz);
        subject.set_sample_rate(rate_hz);
        subject.clock_sources(Some(&Place::dirty()?), Some(&Place::with(L::from_i32(32))?));
        subject.set_clock_source(0);
        subject.sample_position(Some(&Place::dirty()?), Some(&Place::dirty()?));
        rig.channel(rig.all()?.first().copied().unwrap_or(output(0)))?;
        subject.future(UNKNOWN_SELECTOR, Some(&Place::dirty()?));
        subject.output_ready();
        if desk.options.interactive {
            subject.control_panel();
        } else {
            desk.note("controlPanel was left out: a panel would open");
        }
        Ok(())
    })?;
    stage.stop()?;
    stage.dispose()?.subject.end();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::{End, Options};
    use crate::outcome::Status;
    use barewire_host::{Source, registry::Entry};
    use std::path::PathBuf;

    fn verdict(driver: &str) -> Status {
        let (name, driver) = ("Specimen".to_owned(), PathBuf::from(driver));
        let (description, class, threading) = (None, None, None);
        let entry = Entry { name, driver, description, class, bits: usize::BITS, threading };
        let options = Options { registered: Some(entry), ..Options::default() };
        let desk = Desk::new(Source::file("none"), options);
        let result = registration(&desk);
        assert!(!matches!(result, Err(End::NotJudged(_))), "{result:?}");
        desk.verdict(result)
    }

    #[test]
    fn a_registered_file_is_there_by_an_absolute_path() {
        let own = std::env::current_exe().expect("a test has a file");
        assert_eq!(verdict(&own.display().to_string()), Status::Passed);
        for gone in ["nowhere.dll", r"folder\nowhere.dll", "folder/nowhere.dll", ""] {
            assert!(verdict(gone).is_failure(), "{gone}");
        }
        let beside = own.with_file_name("nowhere.dll");
        assert!(verdict(&beside.display().to_string()).is_failure());
    }

    #[test]
    fn a_registered_name_without_a_folder_is_looked_for_where_windows_does() {
        let is_found = matches!(verdict("kernel32.dll"), Status::Warned { .. });
        assert_eq!(is_found, cfg!(windows));
    }
}
