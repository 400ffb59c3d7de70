//! Sample rates.

use super::Body;
use crate::case::Case;
use crate::desk::{Check, Desk, Rig, ensure, ensure_clean, ensure_code, failed, skipped};
use crate::recorder::{Manners, Recorder};
use barewire_abi::Code;
use barewire_host::bare::Place;
use std::sync::Arc;

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::CanSampleRate => can_sample_rate,
        Case::AbsurdRates => absurd_rates,
        Case::SampleRate => sample_rate,
        Case::RateFollowsSet => rate_follows_set,
        Case::RefusedRate => refused_rate,
        Case::ExternalClockRate => external_clock_rate,
        Case::SameRateIsQuiet => same_rate_is_quiet,
        Case::RateIsRemembered => rate_is_remembered,
        _ => return None,
    })
}

/// What hosts have in their menus, and the rates of one-bit samples.
const USUAL: [f64; 20] = [
    8_000.0,
    11_025.0,
    16_000.0,
    22_050.0,
    32_000.0,
    44_100.0,
    48_000.0,
    64_000.0,
    88_200.0,
    96_000.0,
    176_400.0,
    192_000.0,
    352_800.0,
    384_000.0,
    705_600.0,
    768_000.0,
    2_822_400.0,
    5_644_800.0,
    11_289_600.0,
    22_579_200.0,
];
const ABSURD: [f64; 9] = [
    0.0,
    -1.0,
    1.0,
    1.0e9,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MAX,
    f64::from_bits(1),
];
const ANSWERS: [Code; 3] = [Code::OK, Code::NO_CLOCK, Code::NOT_PRESENT];

/// A driver with a recorder to whom it could complain: with buffers, at rest.
fn with_ear(desk: &Desk) -> Check<(Rig<'_>, Arc<Recorder>)> {
    let rig = desk.ready()?;
    let recorder = Recorder::new(Manners::default());
    barewire_host::bare::listen(0, Some(recorder.clone()));
    Ok((rig, recorder))
}

/// The usual rates that the driver says it can do.
pub(super) fn offered(rig: &Rig<'_>) -> Vec<f64> {
    let pcm = USUAL.into_iter().filter(|rate_hz| *rate_hz < 1.0e6);
    pcm.filter(|&rate_hz| rig.subject.can_sample_rate(rate_hz) == Code::OK).collect()
}

fn can_sample_rate(desk: &Desk) -> Check {
    let (rig, recorder) = with_ear(desk)?;
    let before = rig.rate()?;
    let mut can = Vec::new();
    for rate_hz in USUAL {
        let code = rig.subject.can_sample_rate(rate_hz);
        ensure_code(&format!("canSampleRate({rate_hz})"), code, &ANSWERS)?;
        if code == Code::OK {
            can.push(rate_hz.to_string());
        }
    }
    desk.note(format!("{} Hz", can.join(", ")));
    let after = rig.rate()?;
    ensure(same(before, after), || format!("{before}, then {after} Hz"), "the rate unchanged")?;
    let told = recorder.disturbances();
    ensure(told.is_empty(), || told.join(", "), "nobody told of a mere question")?;
    let own = rig.subject.can_sample_rate(before);
    if own != Code::OK {
        return failed(format!("{own} for the rate in force, {before} Hz"), "OK");
    }
    // Max asks again when it has buffers.
    let mut stage = desk.stage()?;
    let own = stage.ask(|rig| Ok(rig.subject.can_sample_rate(rig.rate()?)))?;
    ensure_code("canSampleRate of the rate in force, with buffers", own, &[Code::OK])
}

fn absurd_rates(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    for rate_hz in ABSURD {
        let code = rig.subject.can_sample_rate(rate_hz);
        let call = format!("canSampleRate({rate_hz:e})");
        ensure_code(&call, code, &[Code::NO_CLOCK, Code::NOT_PRESENT, Code::INVALID_PARAMETER])?;
        if code == Code::INVALID_PARAMETER {
            desk.warn(format!("{call} is answered with {code}; NoClock is the word for it"));
        }
    }
    Ok(())
}

fn sample_rate(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let place = Place::<f64>::dirty()?;
    let code = rig.subject.sample_rate(Some(&place));
    ensure_clean("getSampleRate", place.stain())?;
    let rate_hz = place.get();
    desk.note(format!("{rate_hz} Hz"));
    match code {
        Code::OK => {
            let sane = rate_hz.is_finite() && rate_hz >= 1.0 && !place.is_dirty();
            ensure(sane, || format!("OK with {rate_hz} Hz"), "a rate above 0")
        }
        Code::NO_CLOCK => {
            let zero = rate_hz.abs() < f64::EPSILON;
            ensure(zero, || format!("NoClock with {rate_hz} Hz"), "NoClock with 0")
        }
        code => failed(format!("{code} from getSampleRate"), "OK or NoClock"),
    }
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 1.0
}

fn rate_follows_set(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let before = rig.rate()?;
    let rates = offered(&rig);
    ensure(!rates.is_empty(), || "no usual rate offered".to_owned(), "at least one")?;
    for &rate_hz in rates.iter().chain(rates.iter().rev()) {
        let code = rig.subject.set_sample_rate(rate_hz);
        ensure_code(&format!("setSampleRate({rate_hz})"), code, &[Code::OK])?;
        let told = rig.rate()?;
        let seen = || format!("{told} Hz after setSampleRate({rate_hz})");
        ensure(same(told, rate_hz), seen, "the rate that was set")?;
    }
    rig.subject.set_sample_rate(before);
    Ok(())
}

fn refused_rate(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let before = rig.rate()?;
    for rate_hz in [1.0, -44_100.0, f64::NAN, f64::INFINITY, 1.0e9] {
        let code = rig.subject.set_sample_rate(rate_hz);
        let call = format!("setSampleRate({rate_hz})");
        let refusals =
            [Code::NO_CLOCK, Code::INVALID_MODE, Code::NOT_PRESENT, Code::INVALID_PARAMETER];
        ensure_code(&call, code, &refusals)?;
        if code == Code::INVALID_PARAMETER || code == Code::NOT_PRESENT {
            desk.warn(format!("{call} is answered with {code}; NoClock is the word for it"));
        }
        let after = rig.rate()?;
        let seen = || format!("{after} Hz after {call} was refused");
        ensure(same(before, after), seen, &format!("{before} Hz as before"))?;
    }
    Ok(())
}

fn external_clock_rate(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let before = rig.rate()?;
    let code = rig.subject.set_sample_rate(0.0);
    ensure_code("setSampleRate(0)", code, &[Code::OK, Code::NO_CLOCK, Code::INVALID_MODE])?;
    if code == Code::OK {
        desk.note("it has an external clock");
        rig.subject.set_sample_rate(before);
        return Ok(());
    }
    let after = rig.rate()?;
    ensure(same(before, after), || format!("{after} Hz"), &format!("{before} Hz as before"))
}

fn same_rate_is_quiet(desk: &Desk) -> Check {
    let mut stage = desk.stage()?;
    let rate_hz = stage.ask(Rig::rate)?;
    let code = stage.subject()?.set_sample_rate(rate_hz);
    ensure_code("setSampleRate of the rate in force", code, &[Code::OK])?;
    std::thread::sleep(desk.wait(50, 1000));
    let told = stage.recorder.disturbances();
    ensure(told.is_empty(), || told.join(", "), "nobody told of a change that is none")
}

fn rate_is_remembered(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let before = rig.rate()?;
    let Some(other) = offered(&rig).into_iter().find(|rate_hz| !same(*rate_hz, before)) else {
        return skipped("it offers one rate only");
    };
    rig.subject.set_sample_rate(other);
    rig.subject.end();
    let rig = desk.ready()?;
    let told = rig.rate()?;
    rig.subject.set_sample_rate(before);
    ensure(same(told, other), || format!("{told} Hz"), &format!("{other} Hz, as the last one set"))
}
