//! From outputs round to inputs: what is sent, and what comes back.

use super::Body;
use super::rates::offered;
use crate::case::Case;
use crate::desk::{Check, Desk, Rig, Stage, ensure, failed, input, output, skipped, unjudged};
use crate::loops::{Round, Send, Writes};
use crate::recorder::Manners;
use barewire_abi::Code;
use barewire_verify::{Analysis, DamageKind, Pattern};

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::PathOrder => path_order,
        Case::PathBegins => path_begins,
        Case::PathChannels => path_channels,
        Case::PathExact => path_exact,
        Case::PathLatency => path_latency,
        Case::PathConstant => path_constant,
        Case::PathSizes => path_sizes,
        Case::PathAfterRestart => path_after_restart,
        Case::OutputReadySaves => output_ready_saves,
        Case::PathLaterWrites => path_later_writes,
        Case::PathLaterAnswers => path_later_answers,
        Case::OutputReadyCeases => output_ready_ceases,
        Case::UnwrittenOutputs => unwritten_outputs,
        _ => return None,
    })
}

/// Width that passes through every device.
const SAFE_BITS: u8 = 16;

/// Sends a pattern round, or says why that cannot be.
fn round(desk: &Desk, send: Send) -> Check<Round> {
    let rig = desk.ready()?;
    round_of(rig, send)
}

fn round_of(rig: Rig<'_>, send: Send) -> Check<Round> {
    let desk = rig.desk;
    let stage = stage(rig, send.block)?;
    heard(desk, Round::send(stage, send)?)
}

/// As many inputs as outputs, with blocks of `block`, or of the preferred size.
fn stage(rig: Rig<'_>, block: Option<i32>) -> Check<Stage<'_>> {
    let (inputs, outputs) = rig.channels()?;
    let channels = inputs.min(outputs);
    if channels == 0 {
        return skipped(format!("{inputs} inputs and {outputs} outputs make no loop"));
    }
    let wanted: Vec<_> = (0..channels).map(input).chain((0..channels).map(output)).collect();
    let frames = block.map_or_else(|| rig.sizes().map(|sizes| sizes.preferred), Ok)?;
    rig.stage(&wanted, frames, Manners::default())
}

/// The round, unless nothing came back although all were in time.
fn heard(desk: &Desk, round: Round) -> Check<Round> {
    if round.is_silent() && !round.is_void {
        let text = "nothing came back from the outputs";
        return if desk.options.looped {
            failed(text, "what was sent, through the loop that is there")
        } else {
            skipped(format!("{text}: there is no loop (with one, say --loop)"))
        };
    }
    Ok(round)
}

/// What a path must never do, whatever it does to single bits.
fn disorder(analysis: &Analysis) -> Option<String> {
    const SHOWN: usize = 3;
    let found = || analysis.findings.iter().filter(|finding| !is_alteration(finding.kind));
    let mut words: Vec<String> = found()
        .take(SHOWN)
        .map(|finding| format!("{} from frame {} on", finding.kind, finding.at_frame))
        .collect();
    let more = found().count().saturating_sub(SHOWN);
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

/// Bits changed, but in place.
fn is_alteration(kind: DamageKind) -> bool {
    use DamageKind::{Altered, Dithered, FloatRounded, Inverted, Scaled, StuckBit, Truncated};
    match kind {
        Scaled { .. } | Inverted | Truncated { .. } | Dithered { .. } | FloatRounded => true,
        StuckBit { .. } => true,
        // What no rule explains is disorder.
        Altered { .. } => false,
        _ => false,
    }
}

fn path_order(desk: &Desk) -> Check {
    let send = Send { bits: SAFE_BITS, frames: desk.pattern_frames(), ..Send::default() };
    let round = round(desk, send)?;
    in_order(desk, &round)
}

/// Every channel is itself all along, whatever was done to single bits.
fn in_order(desk: &Desk, round: &Round) -> Check {
    let analysis = round.analyse();
    let words = match (analysis.delay_frames, disorder(&analysis)) {
        (Some(delay), None) => {
            desk.note(format!("back after {delay} frames, {} compared", analysis.compared_frames));
            let whole = analysis.compared_frames >= round.frames;
            let seen = || format!("{} of {} frames", analysis.compared_frames, round.frames);
            return ensure(whole, seen, "all frames");
        }
        (Some(_), Some(words)) => words,
        (None, _) => "something else than what was sent".to_owned(),
    };
    if moved(&analysis) {
        return failed(words, "every frame once and in order");
    }
    // Altered, delayed or exchanged channels are other rules' matter, as long as each goes its way in order.
    for channel in 0..round.channels {
        if let Some(frame) = round.out_of_place(channel) {
            let seen = format!("channel {channel} lost its way at frame {frame}: {words}");
            return failed(seen, "every frame once and in order");
        }
    }
    Ok(())
}

/// Frames were left out, came twice or are missing.
fn moved(analysis: &Analysis) -> bool {
    use DamageKind::{Dropped, Repeated, Silenced};
    let moved = |kind| matches!(kind, Dropped { .. } | Repeated { .. } | Silenced { .. });
    analysis.findings.iter().any(|finding| moved(finding.kind))
}

fn path_begins(desk: &Desk) -> Check {
    for writes in [Writes::Within, Writes::WithinAndSays] {
        let send = Send { bits: SAFE_BITS, at_once: true, writes, ..Send::default() };
        in_order(desk, &round(desk, send)?)?;
    }
    Ok(())
}

fn path_channels(desk: &Desk) -> Check {
    let round = round(desk, Send { bits: SAFE_BITS, ..Send::default() })?;
    let mut delays = Vec::new();
    for channel in 0..round.channels {
        match round.find(channel) {
            None => return failed(format!("channel {channel} does not come back"), "all channels"),
            Some((bears, _)) if bears != channel => {
                let seen = format!("channel {bears} comes back on channel {channel}");
                return failed(seen, "each on its own number");
            }
            Some((_, delay)) => delays.push(delay),
        }
    }
    let even = delays.windows(2).all(|pair| pair[0] == pair[1]);
    ensure(even, || format!("delays of {delays:?} frames"), "all at the same time")
}

fn path_exact(desk: &Desk) -> Check {
    let probe = round(desk, Send { bits: SAFE_BITS, ..Send::default() })?;
    let bits = probe.format.exact_bits();
    for pattern in Pattern::ALL {
        let round = round(desk, Send { pattern, bits, ..Send::default() })?;
        let analysis = round.analyse();
        if analysis.is_exact() {
            continue;
        }
        let words: Vec<String> =
            analysis.findings.iter().map(|finding| finding.kind.to_string()).collect();
        let narrower = [24, 20, 16].into_iter().filter(|width| *width < bits);
        for width in narrower {
            let round = self::round(desk, Send { pattern, bits: width, ..Send::default() })?;
            if round.analyse().is_exact() && words.iter().all(|word| word.contains("bits")) {
                desk.warn(format!("exact to {width} bits of {bits}; {}", words.join("; ")));
                return Ok(());
            }
        }
        let seen =
            if words.is_empty() { "nothing that was sent".to_owned() } else { words.join("; ") };
        return failed(format!("{seen}, with {pattern}"), format!("all {bits} bits"));
    }
    desk.note(format!("{bits} bits, {} patterns", Pattern::ALL.len()));
    Ok(())
}

fn delay(round: &Round) -> Check<i64> {
    let Some((_, delay)) = round.find(0) else { return unjudged("channel 0 does not come back") };
    Ok(i64::try_from(delay).unwrap_or(i64::MAX))
}

fn path_latency(desk: &Desk) -> Check {
    for writes in [Writes::Within, Writes::WithinAndSays] {
        let round = round(desk, Send { bits: SAFE_BITS, writes, ..Send::default() })?;
        let (measured, told) = (delay(&round)?, round.told_frames);
        let off = measured - told;
        let ready = writes == Writes::WithinAndSays;
        let words = if ready { "with outputReady" } else { "without outputReady" };
        desk.note(format!("{words}: measured {measured} frames, told {told}"));
        let block = i64::from(round.block_frames);
        let seen = || format!("{measured} frames {words}, told {told}");
        ensure(off.abs() <= block, seen, "what getLatencies tells")?;
        if off.abs() > 1 {
            desk.warn(format!("{off:+} frames to what is told, {words}"));
        }
    }
    Ok(())
}

fn path_constant(desk: &Desk) -> Check {
    let mut delays = Vec::new();
    for _ in 0..3 {
        delays.push(delay(&round(desk, Send { bits: SAFE_BITS, ..Send::default() })?)?);
    }
    let even = delays.windows(2).all(|pair| pair[0] == pair[1]);
    ensure(even, || format!("{delays:?} frames"), "the same at each start")
}

fn path_sizes(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let (sizes, before) = (rig.sizes()?, rig.rate()?);
    let other = offered(&rig).into_iter().find(|rate_hz| (rate_hz - before).abs() > 1.0);
    drop(rig);
    let most = if desk.options.simulated { sizes.max } else { sizes.max.min(2048) };
    let mut ways = vec![(sizes.min, None), (sizes.preferred, None)];
    if sizes.min <= most && super::buffers::promised(sizes).contains(&most) {
        ways.push((most, None));
    }
    ways.extend(other.map(|rate_hz| (sizes.preferred, Some(rate_hz))));
    // Each way is judged by itself.
    for (block, rate_hz) in ways {
        let rig = desk.ready()?;
        if let Some(rate_hz) = rate_hz {
            rig.subject.set_sample_rate(rate_hz);
        }
        let words = rate_hz.map_or_else(|| format!("blocks of {block}"), |hz| format!("{hz} Hz"));
        let send = Send { bits: SAFE_BITS, block: Some(block), ..Send::default() };
        let analysis = round_of(rig, send)?.analyse();
        let seen = || {
            let found = disorder(&analysis).unwrap_or_else(|| "altered samples".to_owned());
            format!("{found}, with {words}")
        };
        ensure(analysis.is_exact(), seen, "every frame as it was sent")?;
    }
    if other.is_some() {
        desk.ready()?.subject.set_sample_rate(before);
    }
    Ok(())
}

fn path_after_restart(desk: &Desk) -> Check {
    let send = Send { bits: SAFE_BITS, ..Send::default() };
    let fresh = delay(&round(desk, send)?)?;
    let stage = stage(desk.ready()?, None)?;
    stage.start()?;
    stage.await_blocks(4)?;
    stage.stop()?;
    stage.recorder.reopen();
    let again = heard(desk, Round::send(stage, send)?)?;
    in_order(desk, &again)?;
    let after = delay(&again)?;
    let seen = || format!("{after} frames after a second start");
    ensure(after == fresh, seen, &format!("{fresh} frames, as after the first"))
}

const NO_OUTPUT_READY: &str = "outputReady is not present";

/// The way round of a host, once everything has settled.
fn settled(desk: &Desk, writes: Writes) -> Check<Round> {
    const LEAD_BLOCKS: usize = 16;
    timely(desk, Send { bits: SAFE_BITS, writes, lead_blocks: LEAD_BLOCKS, ..Send::default() })
}

fn output_ready_saves(desk: &Desk) -> Check {
    if desk.ready()?.subject.output_ready() != Code::OK {
        return skipped(NO_OUTPUT_READY);
    }
    let without = delay(&settled(desk, Writes::Within)?)?;
    let with = delay(&settled(desk, Writes::WithinAndSays)?)?;
    desk.note(format!("{without} frames without outputReady, {with} with it"));
    let seen = || format!("{with} frames with outputReady, {without} without");
    ensure(with < without, seen, "a shorter way")
}

/// Sends a pattern round in real time until host and device were in time for every block, in blocks that leave a host's
/// thread the time to be so.
fn timely(desk: &Desk, send: Send) -> Check<Round> {
    const TRIES: usize = 8;
    const MOST_FRAMES: i32 = 4096;
    for _ in 0..TRIES {
        let rig = desk.ready()?;
        let sizes = rig.sizes()?;
        let longest =
            super::buffers::promised(sizes).into_iter().rfind(|size| *size <= MOST_FRAMES);
        let round = round_of(rig, Send { block: longest, ..send })?;
        if !round.is_void {
            return Ok(round);
        }
    }
    skipped("the machine is too busy to be in time for every block")
}

/// A pattern that a host with a thread of its own has sent.
fn by_a_thread(desk: &Desk, writes: Writes, lead_blocks: usize) -> Check<Round> {
    if desk.options.simulated {
        return skipped("in simulated time there is none between two blocks");
    }
    let send = Send { bits: SAFE_BITS, writes, lead_blocks, at_once: true, ..Send::default() };
    timely(desk, send)
}

fn path_later_writes(desk: &Desk) -> Check {
    in_order(desk, &by_a_thread(desk, Writes::Later, 0)?)
}

fn path_later_answers(desk: &Desk) -> Check {
    if desk.ready()?.subject.output_ready() != Code::OK {
        return skipped(NO_OUTPUT_READY);
    }
    in_order(desk, &by_a_thread(desk, Writes::LaterAndSays, 0)?)?;
    in_order(desk, &by_a_thread(desk, Writes::LaterAndWithin, 0)?)?;
    let round = settled(desk, Writes::LaterAndSays)?;
    let (measured, told) = (delay(&round)?, round.told_frames);
    let silent = delay(&settled(desk, Writes::Later)?)?;
    desk.note(format!("measured {measured} frames, told {told}; {silent} without outputReady"));
    let off = measured - told;
    let seen = || format!("{measured} frames, told {told}");
    ensure(off.abs() <= i64::from(round.block_frames), seen, "what getLatencies tells")?;
    if off.abs() > 1 {
        desk.warn(format!("{off:+} frames to what is told"));
    }
    let seen = || format!("{measured} frames with outputReady, {silent} without");
    ensure(measured < silent, seen, "a shorter way")
}

fn output_ready_ceases(desk: &Desk) -> Check {
    const BLOCKS: usize = 24;
    in_order(desk, &by_a_thread(desk, Writes::LaterThenWithin, BLOCKS)?)
}

fn unwritten_outputs(desk: &Desk) -> Check {
    let round = round(desk, Send { bits: SAFE_BITS, leaves_unwritten: true, ..Send::default() })?;
    let foreign = round.foreign_samples();
    if foreign > 0 {
        desk.warn(format!("{foreign} samples that the host never wrote"));
    }
    Ok(())
}
