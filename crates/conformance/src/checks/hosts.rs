//! Whole hosts: their order of calls, as their sources or reports tell it. Nothing of them but the order is here.

use super::Body;
use super::init::{error_of, name_of};
use crate::case::Case;
use crate::desk::{Check, Desk, Rig, ensure, ensure_code, input, output, skipped, unjudged};
use crate::recorder::Manners;
use barewire_abi::constants::future;
use barewire_abi::layout::IoFormat;
use barewire_abi::{BufferRequest, Code, Long, Native};
use barewire_host::bare::{L, Place, Returned};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::HostPortAudio => portaudio,
        Case::HostJuce => juce,
        Case::HostRtAudio => rtaudio,
        Case::HostNAudio => naudio,
        Case::HostRsAsio => rs_asio,
        Case::HostRoon => roon,
        Case::HostKodi => kodi,
        Case::HostRew => rew,
        Case::HostCpal => cpal,
        _ => return None,
    })
}

/// What PortAudio, Roon and JUCE ask for.
const RATES: [f64; 14] = [
    8_000.0, 11_025.0, 16_000.0, 22_050.0, 32_000.0, 44_100.0, 48_000.0, 88_200.0, 96_000.0,
    176_400.0, 192_000.0, 352_800.0, 384_000.0, 768_000.0,
];

fn ask_rates(rig: &Rig<'_>) {
    for rate_hz in RATES {
        rig.subject.can_sample_rate(rate_hz);
    }
}

/// Makes buffers, tries the preferred size if the host's own is refused, plays, stops and disposes.
fn play<'a>(
    rig: Rig<'a>,
    wanted: &[BufferRequest],
    own_frames: Option<i32>,
    manners: Manners,
    blocks: u64,
) -> Check<Rig<'a>> {
    let preferred = rig.sizes()?.preferred;
    let (code, mut stage) = rig.try_stage(wanted, own_frames.unwrap_or(preferred), manners)?;
    if code != Code::OK && own_frames.is_some() {
        let Some(subject) = stage.subject.take() else { return unjudged("the driver is gone") };
        let desk = stage.desk;
        drop(stage);
        let (code, retried) = Rig { desk, subject }.try_stage(wanted, preferred, manners)?;
        ensure_code("createBuffers at the preferred size", code, &[Code::OK])?;
        stage = retried;
    } else {
        ensure_code("createBuffers", code, &[Code::OK])?;
    }
    ensure_code("start", stage.subject()?.start(), &[Code::OK])?;
    let (came, all) = stage.blocks_within(blocks, Duration::from_secs(5));
    ensure(all, || format!("{came} of {blocks} blocks"), "blocks")?;
    ensure_code("stop", stage.subject()?.stop(), &[Code::OK])?;
    stage.dispose()
}

fn outputs(rig: &Rig<'_>) -> Check<Vec<BufferRequest>> {
    let (_, outputs) = rig.channels()?;
    if outputs == 0 {
        return skipped("the driver has no outputs");
    }
    Ok((0..outputs).map(output).collect())
}

fn portaudio(desk: &Desk) -> Check {
    for _ in 0..2 {
        let subject = desk.subject()?;
        name_of(&subject)?;
        let rig = desk.rig(subject, 0x1_0001)?;
        rig.sizes()?;
        rig.latencies()?;
        ask_rates(&rig);
        for request in rig.all()? {
            ensure_code("getChannelInfo", rig.ask_channel(request)?.0, &[Code::OK])?;
        }
        rig.subject.end();
    }
    let rig = desk.ready()?;
    let rate_hz = rig.rate()?;
    ensure_code("setSampleRate", rig.subject.set_sample_rate(rate_hz), &[Code::OK])?;
    let mut wanted = rig.all()?;
    wanted.truncate(2);
    // A size of its own: what fits 10 ms.
    play(rig, &wanted, Some(441), Manners { supports: 0, ..Manners::default() }, 8)?.subject.end();
    Ok(())
}

fn juce(desk: &Desk) -> Check {
    let manners = Manners { time_info: 0, ..Manners::default() };
    let subject = desk.subject()?;
    let rig = desk.rig(subject, 0x2_0002)?;
    error_of(&rig.subject)?;
    name_of(&rig.subject)?;
    rig.channels()?;
    let frames = rig.sizes()?.preferred;
    let rate_hz = rig.rate()?;
    rig.subject.output_ready();
    ask_rates(&rig);
    rig.latencies()?;
    let (inputs, outs) = rig.channels()?;
    let few: Vec<_> = (0..inputs.min(2)).map(input).chain((0..outs.min(2)).map(output)).collect();
    // The dummy run, whose buffers it does not dispose of.
    let (code, mut stage) = rig.try_stage(&few, frames, manners)?;
    ensure_code("createBuffers of the dummy run", code, &[Code::OK])?;
    stage.ask(Rig::channels)?;
    stage.ask(Rig::latencies)?;
    ensure_code("start of the dummy run", stage.subject()?.start(), &[Code::OK])?;
    std::thread::sleep(Duration::from_millis(80));
    stage.subject()?.stop();
    let rig = stage.dispose()?;
    rig.subject.dispose_buffers();
    rig.subject.set_sample_rate(rate_hz);
    let all = rig.all()?;
    let stage = rig.stage(&all, frames, manners)?;
    stage.recorder.reopen();
    stage.start()?;
    let (blocks, came) = stage.blocks_within(8, Duration::from_secs(3));
    ensure(came, || format!("{blocks} blocks within 3 s"), "blocks")?;
    let told = stage.recorder.disturbances();
    ensure(told.is_empty(), || told.join(", "), "no request: each would open the driver anew")
}

fn rtaudio(desk: &Desk) -> Check {
    let manners =
        Manners { has_time_function: false, time_info: 0, supports: 0, ..Manners::default() };
    let rig = desk.ready()?;
    let outs = outputs(&rig)?;
    let (inputs, _) = rig.channels()?;
    let frames = rig.sizes()?.preferred;
    let rig = rig.stage(&outs, frames, manners)?.dispose()?;
    let both: Vec<_> = outs.into_iter().chain((0..inputs).map(input)).collect();
    let stage = rig.stage(&both, frames, manners)?;
    let subject = stage.subject()?.clone();
    // Without ever having asked whether it is there.
    stage.recorder.on_block(move |_, _| {
        subject.output_ready();
    });
    stage.start()?;
    stage.await_blocks(8)?;
    stage.stop()
}

fn naudio(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    rig.latencies()?;
    let (all, frames) = (rig.all()?, rig.sizes()?.preferred);
    let mut stage = rig.stage(&all, frames, Manners { time_info: 0, ..Manners::default() })?;
    stage.start()?;
    stage.await_blocks(8)?;
    stage.stop()?;
    ensure_code("disposeBuffers", stage.subject()?.dispose_buffers(), &[Code::OK])?;
    // Its structure is freed here, while the driver lives on.
    stage.host = None;
    std::thread::sleep(desk.wait(30, 500));
    Ok(())
}

fn rs_asio(desk: &Desk) -> Check {
    let manners = Manners { version: 1, supports: 0, request: 0, ..Manners::default() };
    let subject = desk.subject()?;
    let rig = desk.rig(subject, 0x40_0000)?;
    let before = rig.rate()?;
    rig.subject.set_sample_rate(48_000.0);
    let (inputs, outs) = rig.channels()?;
    let all: Vec<_> = (0..outs).map(output).chain((0..inputs).map(input)).collect();
    let rig = play(rig, &all, None, manners, 8)?;
    rig.subject.set_sample_rate(before);
    let Rig { subject, .. } = rig;
    if let Some(subject) = Arc::into_inner(subject) {
        subject.unload();
    }
    std::thread::sleep(desk.wait(50, 500));
    Ok(())
}

fn set_format(rig: &Rig<'_>, format: i32) -> Check<Code> {
    let place = Place::<IoFormat<Native>>::with(IoFormat { format: L::from_i32(format) })?;
    Ok(rig.subject.future_with(future::SET_IO_FORMAT, &place))
}

fn roon(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let outs = outputs(&rig)?;
    rig.sizes()?;
    rig.subject.output_ready();
    set_format(&rig, 1)?;
    for factor in [64.0, 128.0, 256.0, 512.0, 1024.0] {
        rig.subject.can_sample_rate(factor * 44_100.0);
    }
    set_format(&rig, 0)?;
    ask_rates(&rig);
    let rate_hz = rig.rate()?;
    ensure_code("setSampleRate", rig.subject.set_sample_rate(rate_hz), &[Code::OK])?;
    let frames = rig.sizes()?.preferred;
    let mut stage = rig.stage(&outs, frames, Manners::default())?;
    for request in outs {
        stage.ask(|rig| rig.channel(request))?;
    }
    stage.ask(Rig::latencies)?;
    let subject = stage.subject()?.clone();
    stage.recorder.on_block(move |_, _| {
        subject.output_ready();
    });
    stage.start()?;
    stage.await_blocks(8)?;
    stage.subject()?.stop();
    stage.subject()?.dispose_buffers();
    Ok(())
}

fn kodi(desk: &Desk) -> Check {
    let manners = Manners {
        supports: 0,
        version: 0,
        time_info: 0,
        request: 0,
        returned: Returned::Own,
        ..Manners::default()
    };
    let scan = desk.ready()?;
    set_format(&scan, 1)?;
    for power in 0..5_i32 {
        for base in [64.0 * 44_100.0, 64.0 * 48_000.0] {
            scan.subject.can_sample_rate(base * 2.0_f64.powi(power));
        }
    }
    set_format(&scan, 0)?;
    ask_rates(&scan);
    scan.channel(output(0))?;
    scan.subject.end();
    let rig = desk.ready()?;
    let outs = outputs(&rig)?;
    let rig = play(rig, &outs, None, manners, 8)?;
    rig.subject.stop();
    rig.subject.dispose_buffers();
    let count = rig.subject.end();
    ensure(count == 0, || format!("{count} from Release"), "0")
}

fn rew(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let before = rig.rate()?;
    let other = RATES
        .into_iter()
        .find(|&hz| (hz - before).abs() > 1.0 && rig.subject.can_sample_rate(hz) == Code::OK);
    let Some(other) = other else { return skipped("it offers one rate only") };
    rig.subject.set_sample_rate(other);
    rig.subject.end();
    let rig = desk.ready()?;
    let told = rig.rate()?;
    ensure((told - other).abs() < 1.0, || format!("{told} Hz"), &format!("{other} Hz"))?;
    let all = rig.all()?;
    let rig = play(rig, &all, None, Manners::default(), 8)?;
    rig.subject.set_sample_rate(before);
    Ok(())
}

fn cpal(desk: &Desk) -> Check {
    let subject = desk.subject()?;
    let rig = desk.rig(subject, 0xDEAD_BEEF_usize)?;
    let rate_hz = rig.rate()?;
    if rig.subject.can_sample_rate(rate_hz) == Code::OK {
        rig.subject.set_sample_rate(rate_hz);
    }
    let outs = outputs(&rig)?;
    // The dummy run, less than the least size if that is what was asked for.
    let rig = play(rig, &outs, Some(16), Manners::default(), 3)?;
    let all = rig.all()?;
    play(rig, &all, None, Manners::default(), 8)?.subject.end();
    Ok(())
}
