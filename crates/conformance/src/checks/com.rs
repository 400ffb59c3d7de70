//! COM, which only Windows has: apartments, aggregation, and what the registry says of both widths.

use super::Body;
use crate::case::Case;
use crate::desk::{Check, Desk, End, ensure, failed, skipped};
use barewire_host::{Apartment, Source};

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::ThreadingModel => threading_model,
        Case::BothWidths => both_widths,
        Case::Apartments => apartments,
        Case::Aggregation => aggregation,
        _ => return None,
    })
}

/// CLASS_E_NOAGGREGATION.
const NO_AGGREGATION: i32 = 0x8004_0110_u32.cast_signed();
const ONLY_WINDOWS: &str = "only Windows has COM";

fn threading_model(desk: &Desk) -> Check {
    if !cfg!(windows) {
        return skipped(ONLY_WINDOWS);
    }
    let Some(entry) = &desk.options.registered else { return skipped(super::loading::BY_PATH) };
    judge_model(entry.threading.as_deref())
}

fn judge_model(model: Option<&str>) -> Check {
    let is_usual = model.is_some_and(|model| {
        ["Apartment", "Both"].iter().any(|usual| usual.eq_ignore_ascii_case(model))
    });
    if is_usual {
        return Ok(());
    }
    let seen = model.map_or("none".to_owned(), |model| format!("{model:?}"));
    failed(seen, "\"Apartment\" or \"Both\"")
}

fn both_widths(desk: &Desk) -> Check {
    if !cfg!(windows) {
        return skipped(ONLY_WINDOWS);
    }
    let Some(entry) = &desk.options.registered else { return skipped(super::loading::BY_PATH) };
    let listing = barewire_host::registry::entries(&barewire_host::registry::default_root())?;
    let is_there = |bits| listing.entries.iter().any(|it| it.name == entry.name && it.bits == bits);
    for bits in [32, 64].into_iter().filter(|bits| !is_there(*bits)) {
        desk.warn(format!("hosts of {bits} bits do not see it"));
    }
    Ok(())
}

fn apartments(desk: &Desk) -> Check {
    if !cfg!(windows) {
        return skipped(ONLY_WINDOWS);
    }
    // Without COM a host loads the file itself.
    let file = desk.options.registered.as_ref().map(|entry| Source::file(entry.file()));
    let source = &desk.source;
    let bare = file.unwrap_or_else(|| source.clone());
    let usual = Apartment::Single.inside(|| channels(source))?.map_err(End::NotJudged)?;
    let multi = Apartment::Multi.inside(|| channels(source))?;
    let alone = std::thread::scope(|scope| scope.spawn(|| channels(&bare)).join());
    let alone = alone.unwrap_or_else(|_| Err("a thread of the tester panicked".to_owned()));
    for (place, seen) in [("in the multithreaded apartment", multi), ("without COM", alone)] {
        match seen {
            Err(why) => {
                return failed(format!("{why} {place}"), "what an apartment of its own has");
            }
            Ok(seen) => ensure(
                seen == usual,
                || format!("{} and {} channels {place}", seen.0, seen.1),
                &format!("{} and {}", usual.0, usual.1),
            )?,
        }
    }
    Ok(())
}

/// What an object that is made on this thread tells.
fn channels(source: &Source) -> Result<(i32, i32), String> {
    let desk = Desk::new(source.clone(), crate::Options::default());
    let rig = desk.ready();
    rig.and_then(|rig| rig.channels()).map_err(|end| match end {
        End::Failed { seen, .. } => seen,
        End::Skipped(why) | End::NotJudged(why) => why,
    })
}

fn aggregation(desk: &Desk) -> Check {
    if !cfg!(windows) {
        return skipped(ONLY_WINDOWS);
    }
    let (answer, is_made) = desk.source.aggregate()?;
    let seen = || format!("0x{answer:08X}{}", if is_made { " and an object" } else { "" });
    ensure(answer < 0 && !is_made, seen, "CLASS_E_NOAGGREGATION (0x80040110)")?;
    if answer != NO_AGGREGATION {
        desk.warn(format!("refused with 0x{answer:08X} and not CLASS_E_NOAGGREGATION"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_expect_one_of_two_threading_models() {
        assert!(judge_model(Some("Both")).is_ok() && judge_model(Some("apartment")).is_ok());
        for other in [None, Some("Free"), Some("Neutral"), Some("")] {
            assert!(judge_model(other).is_err(), "{other:?}");
        }
    }
}
