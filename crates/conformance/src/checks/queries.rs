//! What may be asked without buffers, but for rates.

use super::Body;
use super::init::is_a_code;
use crate::case::Case;
use crate::desk::{
    Check, Desk, Rig, ensure, ensure_clean, ensure_code, failed, input, output, terminated,
};
use barewire_abi::constants::{SampleType, future};
use barewire_abi::layout::{ClockSource, InternalBufferInfo};
use barewire_abi::{BufferRequest, Code, Long, Native};
use barewire_host::bare::{L, Place};

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::Channels => channels,
        Case::BufferSizes => buffer_sizes,
        Case::SizesHostsLike => sizes_hosts_like,
        Case::ClockSources => clock_sources,
        Case::ClockSourceCapacity => clock_source_capacity,
        Case::SetClockSource => set_clock_source,
        Case::ChannelInfo => channel_info,
        Case::ChannelOutOfRange => channel_out_of_range,
        Case::OneSampleType => one_sample_type,
        Case::EarlyLatencies => early_latencies,
        Case::UnknownSelectors => unknown_selectors,
        Case::YesOfFuture => yes_of_future,
        Case::OutputReadyIsSteady => output_ready_is_steady,
        Case::NullPointers => null_pointers,
        _ => return None,
    })
}

fn channels(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let (inputs, outputs) = (Place::<L>::dirty()?, Place::<L>::dirty()?);
    let code = rig.subject.channels(Some(&inputs), Some(&outputs));
    ensure_clean("getChannels", inputs.stain().or(outputs.stain()))?;
    ensure_code("getChannels", code, &[Code::OK])?;
    let unwritten = inputs.is_dirty() || outputs.is_dirty();
    ensure(!unwritten, || "a number left unwritten".to_owned(), "both numbers")?;
    let (inputs, outputs) = (inputs.get().to_i32(), outputs.get().to_i32());
    desk.note(format!("{inputs} inputs, {outputs} outputs"));
    let sane = inputs >= 0 && outputs >= 0 && inputs + outputs > 0;
    ensure(sane, || format!("{inputs} inputs and {outputs} outputs"), "at least one channel")?;
    if outputs == 1 {
        desk.warn("one output; FL Studio and Roon want two");
    }
    Ok(())
}

fn buffer_sizes(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let places: [Place<L>; 4] =
        [Place::dirty()?, Place::dirty()?, Place::dirty()?, Place::dirty()?];
    let code = rig.subject.buffer_size(places.each_ref().map(Some));
    for place in &places {
        ensure_clean("getBufferSize", place.stain())?;
    }
    ensure_code("getBufferSize", code, &[Code::OK])?;
    let unwritten = places.iter().any(Place::is_dirty);
    ensure(!unwritten, || "a number left unwritten".to_owned(), "all four numbers")?;
    let [min, max, preferred, granularity] = places.map(|place| place.get().to_i32());
    let told = format!("min {min}, preferred {preferred}, max {max}, granularity {granularity}");
    desk.note(told.clone());
    let ordered = 1 <= min && min <= preferred && preferred <= max;
    ensure(ordered, || told.clone(), "1 ≤ min ≤ preferred ≤ max")?;
    let step_fits = match granularity {
        -1 => [min, max, preferred].iter().all(|size| size.count_ones() == 1),
        0 => min == max,
        step if step > 0 => (max - min) % step == 0 && (preferred - min) % step == 0,
        _ => false,
    };
    ensure(step_fits, || told, "a granularity that leads from min to preferred and max")?;
    if min == max && granularity != 0 {
        desk.warn(format!("one size, and granularity {granularity}"));
    }
    Ok(())
}

fn sizes_hosts_like(desk: &Desk) -> Check {
    let sizes = desk.ready()?.sizes()?;
    if sizes.min < 32 {
        desk.warn(format!("the least size is {}; Max/MSP crashes below 32", sizes.min));
    }
    if sizes.preferred.count_ones() != 1 {
        let size = sizes.preferred;
        desk.warn(format!("{size} is no power of two; Pro Tools takes nothing else"));
    }
    if sizes.max > 2048 {
        desk.warn(format!("the greatest size is {}; Pro Tools struggles from 2048 on", sizes.max));
    }
    Ok(())
}

fn sources(rig: &Rig<'_>) -> Check<Vec<ClockSource<Native>>> {
    let place = Place::<[ClockSource<Native>; 32]>::dirty()?;
    let count = Place::<L>::with(L::from_i32(32))?;
    let code = rig.subject.clock_sources(Some(&place), Some(&count));
    ensure_clean("getClockSources", place.stain().or(count.stain()))?;
    ensure_code("getClockSources", code, &[Code::OK])?;
    let told = count.get().to_i32();
    let sane = (1..=1024).contains(&told);
    ensure(sane, || format!("{told} sources"), "at least one")?;
    Ok(place.get()[..usize::try_from(told.min(32)).unwrap_or(0)].to_vec())
}

fn clock_sources(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let found = sources(&rig)?;
    let mut indices = Vec::new();
    for source in &found {
        let Some(name) = terminated(&source.name) else {
            return failed("no zero in 32 bytes of a clock's name", "a terminated name");
        };
        let index = source.index.to_i32();
        ensure(!indices.contains(&index), || format!("{index} twice"), "numbers of their own")?;
        desk.note(format!("{index}: {name:?}"));
        indices.push(index);
    }
    let current = found.iter().filter(|source| source.is_current.to_i32() != 0).count();
    ensure(current == 1, || format!("{current} of {} in force", found.len()), "exactly one")
}

fn clock_source_capacity(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    for capacity in [1, 0] {
        let place = Place::<ClockSource<Native>>::dirty()?;
        let count = Place::<L>::with(L::from_i32(capacity))?;
        let code = rig.subject.clock_source(Some(&place), Some(&count));
        ensure_clean(&format!("getClockSources with room for {capacity}"), place.stain())?;
        ensure(
            capacity > 0 || place.is_dirty(),
            || "a source written with room for none".to_owned(),
            "nothing written",
        )?;
        let fine = code == Code::OK || (capacity == 0 && code == Code::INVALID_PARAMETER);
        ensure(
            fine,
            || format!("{code} with room for {capacity}"),
            "OK, or InvalidParameter for 0",
        )?;
    }
    Ok(())
}

fn current(rig: &Rig<'_>) -> Check<i32> {
    let found = sources(rig)?;
    let current = found.iter().find(|source| source.is_current.to_i32() != 0);
    current.map_or_else(|| crate::desk::unjudged("no source in force"), |it| Ok(it.index.to_i32()))
}

fn set_clock_source(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let before = current(&rig)?;
    let code = rig.subject.set_clock_source(before);
    ensure_code("setClockSource of the one in force", code, &[Code::OK])?;
    let known: Vec<i32> = sources(&rig)?.iter().map(|source| source.index.to_i32()).collect();
    for wrong in [-1, 1000] {
        if known.contains(&wrong) {
            continue;
        }
        let code = rig.subject.set_clock_source(wrong);
        let refused = is_a_code(code) && code != Code::OK;
        ensure(refused, || format!("{code} from setClockSource({wrong})"), "a refusal")?;
    }
    let after = current(&rig)?;
    ensure(before == after, || format!("source {after}"), &format!("source {before} as before"))
}

fn channel_info(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    for request in rig.all()? {
        let (code, place) = rig.ask_channel(request)?;
        let call = format!("getChannelInfo({})", named(request));
        ensure_clean(&call, place.stain())?;
        ensure_code(&call, code, &[Code::OK])?;
        let info = place.get();
        let number = info.sample_type.to_i32();
        let known = SampleType(number).format().is_some();
        ensure(known, || format!("sample type {number} from {call}"), "a type of the interface")?;
        let active = info.is_active.to_i32();
        ensure(active == 0, || format!("isActive {active} from {call}"), "0 without buffers")?;
        let name = terminated(&info.name);
        let seen = || format!("no zero in 32 bytes of the name from {call}");
        ensure(name.is_some(), seen, "a terminated name")?;
        if name.is_some_and(|name| name.is_empty()) {
            desk.warn(format!("{} has no name", named(request)));
        }
    }
    Ok(())
}

pub(super) fn named(request: BufferRequest) -> String {
    format!("{} {}", if request.is_input { "input" } else { "output" }, request.channel)
}

fn channel_out_of_range(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let (inputs, outputs) = rig.channels()?;
    let beyond = [input(inputs), output(outputs), input(-1), output(-1), output(i32::MAX)];
    for request in beyond {
        let (code, place) = rig.ask_channel(request)?;
        let call = format!("getChannelInfo({})", named(request));
        ensure_clean(&call, place.stain())?;
        ensure(code != Code::OK, || format!("OK from {call}"), "InvalidParameter")?;
        ensure(is_a_code(code), || format!("{code} from {call}"), "InvalidParameter")?;
        if code != Code::INVALID_PARAMETER {
            desk.warn(format!("{code} from {call}; InvalidParameter is the word for it"));
        }
    }
    Ok(())
}

fn one_sample_type(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let mut names = Vec::new();
    for request in rig.all()? {
        let name = SampleType(rig.channel(request)?.sample_type.to_i32()).name();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    desk.note(names.join(", "));
    if names.len() > 1 {
        desk.warn(format!("channels have {}; some hosts look at one only", names.join(" and ")));
    }
    Ok(())
}

fn early_latencies(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let preferred = rig.sizes()?.preferred;
    let (inputs, outputs) = rig.channels()?;
    let (input, output) = (Place::<L>::dirty()?, Place::<L>::dirty()?);
    let code = rig.subject.latencies(Some(&input), Some(&output));
    ensure_code("getLatencies", code, &[Code::OK, Code::NOT_PRESENT])?;
    if code == Code::NOT_PRESENT {
        desk.warn("getLatencies answers NotPresent before there are buffers; JUCE asks then");
        return Ok(());
    }
    let told = (input.get().to_i32(), output.get().to_i32());
    let fits = |count: i32, told: i32| count == 0 || (preferred..1 << 24).contains(&told);
    let sane = fits(inputs, told.0) && fits(outputs, told.1);
    ensure(sane, || format!("{} and {} frames", told.0, told.1), &format!("{preferred} at least"))
}

fn refuses(call: &str, code: Code) -> Check {
    ensure_code(call, code, &[Code::INVALID_PARAMETER, Code::NOT_PRESENT])
}

fn unknown_selectors(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    for selector in [0, 18, 0x7FFF_FFFF, 0x2609_2017, -1] {
        let call = format!("future({selector:#x})");
        let code = rig.subject.future(selector, None);
        refuses(&format!("{call} without an argument"), code)?;
        if code != Code::INVALID_PARAMETER {
            desk.warn(format!("{code} from {call}; InvalidParameter is the word for it"));
        }
        let place = Place::<[u8; 512]>::dirty()?;
        refuses(&call, rig.subject.future(selector, Some(&place)))?;
        ensure_clean(&call, place.stain())?;
    }
    Ok(())
}

fn yes_of_future(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let answers = [Code::SUCCESS, Code::INVALID_PARAMETER, Code::NOT_PRESENT];
    let questions =
        (future::CAN_INPUT_MONITOR..=future::CAN_OUTPUT_METER).chain([future::CAN_REPORT_OVERLOAD]);
    for selector in questions {
        let call = format!("future({selector:#x})");
        ensure_code(&call, rig.subject.future(selector, None), &answers)?;
        // OpenMPT passes an argument where none is due.
        let place = Place::<[u8; 512]>::dirty()?;
        ensure_code(&call, rig.subject.future(selector, Some(&place)), &answers)?;
        ensure(place.is_dirty(), || format!("{call} wrote to its argument"), "nothing written")?;
    }
    let internal = Place::<InternalBufferInfo<Native>>::dirty()?;
    let selector = future::GET_INTERNAL_BUFFER_SAMPLES;
    let code = rig.subject.future_with(selector, &internal);
    ensure_code("GetInternalBufferSamples", code, &answers)?;
    ensure_clean("GetInternalBufferSamples", internal.stain())?;
    let code = rig.subject.future(selector, None);
    refuses("GetInternalBufferSamples without an argument", code)
}

fn output_ready_is_steady(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let first = rig.subject.output_ready();
    ensure_code("outputReady", first, &[Code::OK, Code::NOT_PRESENT])?;
    desk.note(format!("{first}"));
    for _ in 0..9 {
        let code = rig.subject.output_ready();
        ensure(code == first, || format!("{first}, then {code}"), "one answer")?;
    }
    Ok(())
}

fn null_pointers(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let subject = &rig.subject;
    let long = Place::<L>::dirty()?;
    let room = Place::<L>::with(L::from_i32(32))?;
    let answers = [
        ("getChannels", subject.channels(None, Some(&long))),
        ("getChannels", subject.channels(Some(&long), None)),
        ("getLatencies", subject.latencies(None, None)),
        ("getBufferSize", subject.buffer_size([Some(&long), None, None, Some(&long)])),
        ("getSampleRate", subject.sample_rate(None)),
        ("getClockSources", subject.clock_sources(None, Some(&room))),
        ("getClockSources", subject.clock_sources(None, None)),
        ("getSamplePosition", subject.sample_position(None, None)),
        ("getChannelInfo", subject.channel_info(None)),
        ("SetIoFormat", subject.future(future::SET_IO_FORMAT, None)),
        ("SetInputMonitor", subject.future(future::SET_INPUT_MONITOR, None)),
    ];
    subject.driver_name(None);
    subject.error_message(None);
    for (call, code) in answers {
        let seen = || format!("{code} from {call} with null");
        ensure(is_a_code(code) && code != Code::OK, seen, "InvalidParameter")?;
    }
    Ok(())
}
