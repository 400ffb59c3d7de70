//! Making and disposing of buffers.

use super::Body;
use super::footprint::left_by_each;
use super::init::is_a_code;
use super::queries::named;
use crate::case::Case;
use crate::desk::{
    Check, Desk, Rig, Sizes, Stage, ensure, ensure_clean, ensure_code, failed, input, output,
    unjudged,
};
use crate::recorder::{Call, Manners, Recorder};
use barewire_abi::constants::{future, message};
use barewire_abi::layout::InternalBufferInfo;
use barewire_abi::{BufferRequest, Code, Long, Native};
use barewire_host::bare::{BufferTable, DIRTY, HostTable, L, Missing, Place, S, listen};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::CreateBuffers => create_buffers,
        Case::BufferAlignment => buffer_alignment,
        Case::ChannelSubsets => channel_subsets,
        Case::BlockSizes => block_sizes,
        Case::BadRequests => bad_requests,
        Case::NoTimeInfoFunction => no_time_info_function,
        Case::CreateTwice => create_twice,
        Case::CreateAfterFailure => create_after_failure,
        Case::DisposeWithoutBuffers => dispose_without_buffers,
        Case::NoGrowth => no_growth,
        Case::MessagesWhilePreparing => messages_while_preparing,
        Case::Latencies => latencies,
        Case::LatenciesHold => latencies_hold,
        Case::PositionAtRest => position_at_rest,
        _ => return None,
    })
}

/// Whether the halves are what the interface promises; fails if not.
fn good_halves(stage: &mut Stage<'_>) -> Check {
    ensure_clean("createBuffers", stage.table.stain())?;
    let host = stage.host.as_ref().and_then(HostTable::stain);
    ensure(host.is_none(), || "the host's functions written beside".to_owned(), "nothing")?;
    let mut regions: Vec<(usize, usize, String)> = Vec::new();
    for (entry, request) in stage.table.wanted().to_vec().into_iter().enumerate() {
        let frames = stage.frames;
        let bytes = stage.ask(|rig| rig.half_bytes(request, frames))?;
        let seen = || format!("entry {entry} changed");
        ensure(stage.table.is_unchanged(entry), seen, "the host's own words left alone")?;
        for (half, address) in stage.table.addresses(entry).into_iter().enumerate() {
            let what = format!("half {half} of {}", named(request));
            let unwritten = address == usize::from_ne_bytes([DIRTY; size_of::<usize>()]);
            ensure(!unwritten, || format!("no pointer written for {what}"), "a pointer")?;
            ensure(address != 0, || format!("a null pointer for {what}"), "a pointer")?;
            ensure(address % 4 == 0, || format!("{address:#x} for {what}"), "4-byte alignment")?;
            let shared =
                regions.iter().find(|(begin, end, _)| address < *end && *begin < address + bytes);
            if let Some((_, _, other)) = shared {
                return failed(format!("{what} and {other} share memory"), "memory of their own");
            }
            regions.push((address, address + bytes, what));
        }
    }
    for (request, half, view) in stage.halves()? {
        let bytes = view.read();
        // Both ends can be written; what was there is put back.
        view.fill(0x5A);
        let back = view.read().iter().all(|byte| *byte == 0x5A);
        ensure(
            back,
            || format!("half {half} of {} does not keep bytes", named(request)),
            "memory",
        )?;
        view.write(&bytes);
    }
    Ok(())
}

fn create_buffers(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let (all, frames) = (rig.all()?, rig.sizes()?.preferred);
    let (code, mut stage) = rig.try_stage(&all, frames, Manners::default())?;
    ensure_code("createBuffers", code, &[Code::OK])?;
    good_halves(&mut stage)?;
    let code = stage.subject()?.dispose_buffers();
    ensure_code("disposeBuffers", code, &[Code::OK])
}

fn buffer_alignment(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    for entry in 0..stage.table.wanted().len() {
        for address in stage.table.addresses(entry) {
            let zeros = address.trailing_zeros();
            ensure(zeros >= 4, || format!("{address:#x}"), "alignment to 16 bytes")?;
        }
    }
    Ok(())
}

fn channel_subsets(desk: &Desk) -> Check {
    let (inputs, outputs) = desk.ready()?.channels()?;
    let ins: Vec<BufferRequest> = (0..inputs).map(input).collect();
    let outs: Vec<BufferRequest> = (0..outputs).map(output).collect();
    let last: Vec<BufferRequest> = ins.last().into_iter().chain(outs.last()).copied().collect();
    let turned: Vec<BufferRequest> = ins.iter().chain(&outs).rev().copied().collect();
    let mixed: Vec<BufferRequest> = (0..inputs.max(outputs))
        .flat_map(|n| [(n < outputs).then(|| output(n)), (n < inputs).then(|| input(n))])
        .flatten()
        .collect();
    let first_outs: Vec<BufferRequest> = outs.iter().chain(&ins).copied().collect();
    for wanted in [ins, outs, last, turned, mixed, first_outs] {
        if wanted.is_empty() {
            continue;
        }
        let words: Vec<String> = wanted.iter().map(|request| named(*request)).collect();
        let rig = desk.ready()?;
        let (all, frames) = (rig.all()?, rig.sizes()?.preferred);
        let (code, mut stage) = rig.try_stage(&wanted, frames, Manners::default())?;
        ensure_code(&format!("createBuffers for {}", words.join(", ")), code, &[Code::OK])?;
        good_halves(&mut stage)?;
        for request in all {
            let active = stage.ask(|rig| rig.channel(request))?.is_active.to_i32() != 0;
            let asked = wanted.contains(&request);
            let seen = || format!("isActive {active} for {}", named(request));
            ensure(
                active == asked,
                seen,
                &format!("{asked} after asking for {}", words.join(", ")),
            )?;
        }
        stage.start()?;
        stage.await_blocks(3)?;
        stage.stop()?;
    }
    Ok(())
}

/// Sizes that the driver promises: the ends, the preferred one, and up to 16 of those between.
pub(super) fn promised(sizes: Sizes) -> Vec<i32> {
    let Sizes { min, max, preferred, granularity } = sizes;
    let mut found = vec![min, preferred, max];
    match granularity {
        -1 => found.extend((0..30).map(|bit| 1 << bit).filter(|size| (min..=max).contains(size))),
        step if step > 0 => {
            let count = (max - min) / step;
            found.extend((0..16).map(|n| min + count * n / 16 * step));
        }
        _ => {}
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn try_size(desk: &Desk, frames: i32) -> Check<(Code, bool)> {
    let rig = desk.ready()?;
    let all = rig.all()?;
    let (code, mut stage) = rig.try_stage(&all, frames, Manners::default())?;
    if code != Code::OK {
        return Ok((code, false));
    }
    good_halves(&mut stage)?;
    stage.start()?;
    stage.await_blocks(4)?;
    stage.stop()?;
    let positions: Vec<u64> = stage
        .recorder
        .events()
        .iter()
        .filter_map(|event| Some(event.seen.time?.position_frames))
        .collect();
    let step = u64::try_from(frames).unwrap_or(0);
    let used = positions.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) % step.max(1) == 0);
    Ok((code, used))
}

fn block_sizes(desk: &Desk) -> Check {
    let sizes = desk.ready()?.sizes()?;
    let promised = promised(sizes);
    // Great blocks take long in real time.
    let most = if desk.options.simulated || desk.options.long { i32::MAX } else { 4096 };
    let (tried, left): (Vec<i32>, Vec<i32>) = promised.iter().partition(|size| **size <= most);
    if !left.is_empty() {
        desk.note(format!("{left:?} only with --long"));
    }
    for frames in tried {
        let (code, used) = try_size(desk, frames)?;
        ensure_code(&format!("createBuffers at {frames}"), code, &[Code::OK])?;
        ensure(used, || format!("other positions than those of {frames} frames"), "that size")?;
    }
    for frames in [0, -1, i32::MIN] {
        let (code, _) = try_size(desk, frames)?;
        let refused = code != Code::OK && is_a_code(code);
        ensure(refused, || format!("{code} from createBuffers at {frames}"), "a refusal")?;
    }
    for frames in [sizes.min - 1, sizes.preferred + 1, sizes.max.saturating_add(1), 1 << 30] {
        if frames < 1 || promised.contains(&frames) {
            continue;
        }
        let (code, used) = try_size(desk, frames)?;
        ensure(is_a_code(code), || format!("{code} at {frames}"), "a code of the interface")?;
        let seen = || format!("{frames} frames accepted and not used");
        ensure(code != Code::OK || used, seen, "a refusal, or blocks of that size")?;
    }
    Ok(())
}

fn bad_requests(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let ((inputs, outputs), frames) = (rig.channels()?, rig.sizes()?.preferred);
    let good = if outputs > 0 { output(0) } else { input(0) };
    let host = HostTable::new(0, Missing::Nothing)?;
    listen(0, Some(Recorder::new(Manners::default())));
    let refused =
        |what: &str, table: Option<&BufferTable>, count: i32, host: Option<&HostTable>| {
            let code = rig.subject.create_buffers(table, count, frames, host);
            if code == Code::OK {
                rig.subject.dispose_buffers();
            }
            ensure(
                code != Code::OK && is_a_code(code),
                || format!("{code} from createBuffers for {what}"),
                "InvalidParameter or InvalidMode",
            )
        };
    for wrong in [output(-1), output(outputs), input(inputs), input(i32::MAX)] {
        let table = BufferTable::new(&[good, wrong])?;
        refused(&named(wrong), Some(&table), 2, Some(&host))?;
        ensure_clean("createBuffers", table.stain())?;
    }
    let table = BufferTable::new(&[good])?;
    refused("0 channels", Some(&table), 0, Some(&host))?;
    refused("-1 channels", Some(&table), -1, Some(&host))?;
    refused("no entries", None, 1, Some(&host))?;
    refused("a host without functions", Some(&table), 1, None)?;
    let twice = BufferTable::new(&[good, good])?;
    let code = rig.subject.create_buffers(Some(&twice), 2, frames, Some(&host));
    if code == Code::OK {
        desk.warn("the same channel twice is accepted");
        rig.subject.dispose_buffers();
    }
    let active = rig.channel(good)?.is_active.to_i32();
    ensure(active == 0, || format!("isActive {active} after refusals"), "0: nothing was made")?;
    let code = rig.subject.start();
    ensure(code != Code::OK, || "OK from start after refusals".to_owned(), "a refusal")
}

fn no_time_info_function(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let (all, frames) = (rig.all()?, rig.sizes()?.preferred);
    let manners = Manners { has_time_function: false, time_info: 0, ..Manners::default() };
    let (code, stage) = rig.try_stage(&all, frames, manners)?;
    ensure_code("createBuffers without bufferSwitchTimeInfo", code, &[Code::OK])?;
    stage.start()?;
    stage.await_blocks(3)
}

fn create_twice(desk: &Desk) -> Check {
    let mut stage = desk.stage()?;
    let again = BufferTable::new(stage.table.wanted())?;
    let (count, frames) = (again.count(), stage.frames);
    let host = stage.host.as_ref();
    let code = stage.subject()?.create_buffers(Some(&again), count, frames, host);
    ensure(is_a_code(code), || format!("{code} from createBuffers"), "InvalidMode")?;
    if code == Code::OK {
        desk.warn("a second createBuffers is accepted");
        for entry in 0..again.wanted().len() {
            let (old, new) = (stage.table.addresses(entry), again.addresses(entry));
            ensure(old == new, || format!("{new:?} instead of {old:?}"), "the buffers as before")?;
        }
    }
    for (_, _, view) in stage.halves()? {
        view.fill(0);
    }
    stage.start()?;
    stage.await_blocks(3)
}

fn create_after_failure(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let (all, frames) = (rig.all()?, rig.sizes()?.preferred);
    let table = BufferTable::new(&all)?;
    let host = HostTable::new(0, Missing::Nothing)?;
    let code = rig.subject.create_buffers(Some(&table), table.count(), -5, Some(&host));
    if code == Code::OK {
        return unjudged("a size of -5 is accepted");
    }
    let (code, mut stage) = rig.try_stage(&all, frames, Manners::default())?;
    ensure_code("createBuffers after a refused one", code, &[Code::OK])?;
    good_halves(&mut stage)?;
    stage.start()?;
    stage.await_blocks(2)
}

fn dispose_without_buffers(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    desk.expect_refusal("disposeBuffers", rig.subject.dispose_buffers())?;
    let (all, frames) = (rig.all()?, rig.sizes()?.preferred);
    let rig = rig.stage(&all, frames, Manners::default())?.dispose()?;
    desk.expect_refusal("the second disposeBuffers", rig.subject.dispose_buffers())?;
    let stage = rig.stage(&all, frames, Manners::default())?;
    stage.start()?;
    stage.await_blocks(2)
}

fn no_growth(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let (all, sizes) = (rig.all()?, rig.sizes()?);
    let mut kept = Some(rig);
    let mut first = None;
    let mut rounds = |count: usize| -> Check {
        for n in 0..count {
            let Some(rig) = kept.take() else { return unjudged("the driver is released") };
            let frames = if n % 3 == 1 { sizes.min } else { sizes.preferred };
            let mut stage = rig.stage(&all, frames, Manners::default())?;
            let told = stage.ask(Rig::latencies)?;
            if n % 3 == 0 {
                let was = *first.get_or_insert(told);
                let seen = || format!("latencies {was:?}, then {told:?} in round {n}");
                ensure(was == told, seen, "the same latencies for the same size")?;
            }
            kept = Some(stage.dispose()?);
        }
        Ok(())
    };
    rounds(12)?;
    let grown = left_by_each(|| rounds(if desk.options.long { 200 } else { 40 }))?;
    let after = kept.map_or_else(|| unjudged("the driver is released"), |rig| rig.sizes())?;
    ensure(after == sizes, || format!("{after:?}"), &format!("{sizes:?} as before"))?;
    let grown = grown.unwrap_or_default();
    ensure(grown.is_empty(), || grown.join(", "), "no growth")
}

/// What was asked in an order that a host cannot bear.
fn check_order(recorder: &Arc<Recorder>, desk: &Desk) -> Check {
    let mut asked = Vec::new();
    let mut told = Vec::new();
    for call in recorder.calls() {
        let Call::Message { selector, value, .. } = call else { continue };
        if selector == message::SELECTOR_SUPPORTED {
            asked.push(value);
        } else if selector > 2 && !asked.contains(&selector) {
            told.push(selector);
        }
    }
    if !told.is_empty() {
        desk.note(format!("selectors {told:?} come without SelectorSupported"));
    }
    Ok(())
}

fn messages_while_preparing(desk: &Desk) -> Check {
    let hosts = [
        (
            "0 to everything",
            Manners { supports: 0, version: 0, time_info: 0, request: 0, ..Manners::default() },
        ),
        (
            "1 to everything",
            Manners { supports: 1, version: 1, time_info: 1, request: 1, ..Manners::default() },
        ),
        ("version 2", Manners::default()),
        ("version 3", Manners { version: 3, ..Manners::default() }),
    ];
    for (words, manners) in hosts {
        let rig = desk.ready()?;
        let (all, frames) = (rig.all()?, rig.sizes()?.preferred);
        let (code, stage) = rig.try_stage(&all, frames, manners)?;
        ensure_code(&format!("createBuffers of a host that answers {words}"), code, &[Code::OK])?;
        std::thread::sleep(desk.wait(30, 500));
        let blocks = stage.recorder.blocks();
        ensure(blocks == 0, || format!("{blocks} blocks before start"), "none")?;
        check_order(&stage.recorder, desk)?;
        let code = stage.subject()?.start();
        ensure_code(&format!("start of a host that answers {words}"), code, &[Code::OK])?;
        stage.await_blocks(3)?;
    }
    Ok(())
}

fn latencies(desk: &Desk) -> Check {
    for ready in [false, true] {
        let mut stage = desk.stage()?;
        if ready && stage.subject()?.output_ready() != Code::OK {
            break;
        }
        let (input, output) = (Place::<L>::dirty()?, Place::<L>::dirty()?);
        let code = stage.subject()?.latencies(Some(&input), Some(&output));
        ensure_code("getLatencies", code, &[Code::OK])?;
        ensure_clean("getLatencies", input.stain().or(output.stain()))?;
        let told = (input.get().to_i32(), output.get().to_i32());
        let words = if ready { "with outputReady" } else { "without outputReady" };
        desk.note(format!("{words}: in {}, out {} at {} frames", told.0, told.1, stage.frames));
        let (inputs, outputs) = stage.ask(Rig::channels)?;
        let frames = stage.frames;
        let fits =
            |count: i32, told: i32, least: i32| count == 0 || (least..1 << 24).contains(&told);
        let seen = || format!("in {}, out {} {words}", told.0, told.1);
        ensure(fits(inputs, told.0, frames), seen, "at least one block for inputs")?;
        let least = if ready { 1 } else { frames };
        ensure(fits(outputs, told.1, least), seen, &format!("at least {least} for outputs"))?;
        let internal = Place::<InternalBufferInfo<Native>>::dirty()?;
        let selector = future::GET_INTERNAL_BUFFER_SAMPLES;
        if stage.subject()?.future_with(selector, &internal) == Code::SUCCESS {
            let inner = internal.get();
            let inner = (inner.input.to_i32(), inner.output.to_i32());
            let fits =
                (0..=told.0.max(0)).contains(&inner.0) && (0..=told.1.max(0)).contains(&inner.1);
            ensure(fits, || format!("internal buffers of {inner:?}"), "a part of the latencies")?;
            let beyond = |told: i32| (told - frames).max(0);
            if inner.0 > beyond(told.0) || inner.1 > beyond(told.1) {
                desk.warn(format!("internal buffers of {inner:?} within latencies of {told:?}"));
            }
        }
    }
    Ok(())
}

fn latencies_hold(desk: &Desk) -> Check {
    for ready in [false, true] {
        let mut stage = desk.stage()?;
        let subject = stage.subject()?.clone();
        if ready {
            if subject.output_ready() != Code::OK {
                return Ok(());
            }
            stage.recorder.on_block(move |_, _| {
                subject.output_ready();
            });
        }
        let before = stage.ask(Rig::latencies)?;
        stage.start()?;
        stage.await_blocks(8)?;
        let meanwhile = stage.ask(Rig::latencies)?;
        let is_word = |call: &Call| {
            matches!(call, Call::Message { selector, .. }
                if matches!(*selector, message::LATENCIES_CHANGED | message::RESET_REQUEST))
        };
        let is_told = || stage.recorder.calls().iter().any(is_word);
        let holds = before == meanwhile || stage.recorder.wait(Duration::from_millis(500), is_told);
        let words = if ready { "with outputReady" } else { "without outputReady" };
        let seen = || format!("{before:?} before the start, {meanwhile:?} while running, {words}");
        // The object must not go while a block is calling it.
        stage.stop()?;
        ensure(holds, seen, "the same, or LatenciesChanged")?;
    }
    Ok(())
}

fn position_at_rest(desk: &Desk) -> Check {
    let stage = desk.stage()?;
    let ask = || -> Check<Code> {
        let (position, time) = (Place::<S>::dirty()?, Place::<S>::dirty()?);
        Ok(stage.subject()?.sample_position(Some(&position), Some(&time)))
    };
    let allowed = [Code::SP_NOT_ADVANCING, Code::NOT_PRESENT];
    ensure_code("getSamplePosition before start", ask()?, &allowed)?;
    stage.start()?;
    stage.await_blocks(2)?;
    stage.stop()?;
    ensure_code("getSamplePosition after stop", ask()?, &allowed)
}
