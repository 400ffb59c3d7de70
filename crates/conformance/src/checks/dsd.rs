//! One-bit samples.

use super::Body;
use super::queries::named;
use crate::case::Case;
use crate::desk::{Check, Desk, Rig, ensure, ensure_clean, ensure_code, failed, skipped};
use crate::recorder::Manners;
use barewire_abi::constants::{SampleType, future};
use barewire_abi::layout::IoFormat;
use barewire_abi::{Code, Long, Native};
use barewire_host::bare::{L, Place};

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::IoFormatQuestion => io_format_question,
        Case::IoFormatPcm => io_format_pcm,
        Case::IoFormatWithBuffers => io_format_with_buffers,
        Case::DsdRun => dsd_run,
        Case::PcmAgain => pcm_again,
        _ => return None,
    })
}

const PCM: i32 = 0;
const DSD: i32 = 1;
const NO_DSD: &str = "the driver has no one-bit samples";

/// The answer, and what was left in the structure.
fn io_format(rig: &Rig<'_>, selector: i32, format: i32) -> Check<(Code, i32)> {
    // 512 bytes by the interface, of which only the first number is used.
    let place = Place::<[u8; 512]>::dirty()?;
    let small = Place::<IoFormat<Native>>::with(IoFormat { format: L::from_i32(format) })?;
    let code = rig.subject.future_with(selector, &small);
    ensure_clean("future with an IoFormat", small.stain().or(place.stain()))?;
    Ok((code, small.get().format.to_i32()))
}

fn io_format_question(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let (can, _) = io_format(&rig, future::CAN_DO_IO_FORMAT, DSD)?;
    let answers = [Code::SUCCESS, Code::INVALID_PARAMETER, Code::NOT_PRESENT];
    ensure_code("CanDoIoFormat", can, &answers)?;
    let (set, left) = io_format(&rig, future::SET_IO_FORMAT, DSD)?;
    ensure_code("SetIoFormat", set, &answers)?;
    let agree = (can == Code::SUCCESS) == (set == Code::SUCCESS);
    ensure(agree, || format!("{can} from CanDoIoFormat, {set} from SetIoFormat"), "one answer")?;
    if set != Code::SUCCESS && left != -1 {
        desk.warn(format!("a refused SetIoFormat leaves {left} in the structure; −1 says it"));
    }
    desk.note(if set == Code::SUCCESS { "one-bit samples" } else { NO_DSD });
    io_format(&rig, future::SET_IO_FORMAT, PCM).map(|_| ())
}

fn io_format_pcm(desk: &Desk) -> Check {
    let rig = desk.ready()?;
    let (get, now) = io_format(&rig, future::GET_IO_FORMAT, -7)?;
    let (can, _) = io_format(&rig, future::CAN_DO_IO_FORMAT, PCM)?;
    let (set, _) = io_format(&rig, future::SET_IO_FORMAT, PCM)?;
    let answers = [("GetIoFormat", get), ("CanDoIoFormat(PCM)", can), ("SetIoFormat(PCM)", set)];
    if answers.iter().all(|(_, code)| *code != Code::SUCCESS) {
        return skipped("the driver does not know the questions");
    }
    for (call, code) in answers {
        ensure_code(call, code, &[Code::SUCCESS])?;
    }
    ensure(now == PCM, || format!("{now} from GetIoFormat"), "0, PCM")
}

fn io_format_with_buffers(desk: &Desk) -> Check {
    let mut stage = desk.stage()?;
    let (code, _) = stage.ask(|rig| io_format(rig, future::SET_IO_FORMAT, DSD))?;
    let refusals = [Code::INVALID_MODE, Code::INVALID_PARAMETER, Code::NOT_PRESENT];
    ensure_code("SetIoFormat with buffers", code, &refusals)
}

fn with_dsd(desk: &Desk) -> Check<Rig<'_>> {
    let rig = desk.ready()?;
    let (code, _) = io_format(&rig, future::SET_IO_FORMAT, DSD)?;
    if code == Code::SUCCESS { Ok(rig) } else { skipped(NO_DSD) }
}

fn dsd_run(desk: &Desk) -> Check {
    let rig = with_dsd(desk)?;
    for request in rig.all()? {
        let number = rig.channel(request)?.sample_type.to_i32();
        let one_bit = matches!(number, 32 | 33 | 40);
        let seen = || format!("{} for {}", SampleType(number).name(), named(request));
        ensure(one_bit, seen, "a type of one-bit samples")?;
    }
    let rates = [64.0, 128.0, 256.0, 512.0].map(|factor| factor * 44_100.0);
    let rate_hz = rates.into_iter().find(|hz| rig.subject.can_sample_rate(*hz) == Code::OK);
    let Some(rate_hz) = rate_hz else { return failed("no rate of one-bit samples", "DSD64") };
    ensure_code("setSampleRate", rig.subject.set_sample_rate(rate_hz), &[Code::OK])?;
    let (all, sizes) = (rig.all()?, rig.sizes()?);
    let frames = sizes.preferred;
    ensure(frames % 8 == 0, || format!("blocks of {frames} samples"), "a multiple of 8")?;
    let (code, mut stage) = rig.try_stage(&all, frames, Manners::default())?;
    ensure_code("createBuffers", code, &[Code::OK])?;
    let bytes = usize::try_from(frames).unwrap_or(0);
    for entry in 0..all.len() {
        for half in 0..2 {
            let Some(view) = stage.table.half(entry, half, bytes) else { continue };
            // As Kodi does: as many bytes as a block has samples.
            let before = view.read();
            view.write(&before);
        }
    }
    stage.start()?;
    stage.await_blocks(8)?;
    stage.stop()?;
    stage.ask(Rig::rate).map(|_| ())
}

fn pcm_again(desk: &Desk) -> Check {
    let types = |rig: &Rig<'_>| -> Check<Vec<i32>> {
        let all = rig.all()?;
        all.into_iter().map(|one| Ok(rig.channel(one)?.sample_type.to_i32())).collect()
    };
    let before = types(&desk.ready()?)?;
    let rig = with_dsd(desk)?;
    let (code, _) = io_format(&rig, future::SET_IO_FORMAT, PCM)?;
    ensure_code("SetIoFormat back to PCM", code, &[Code::SUCCESS])?;
    let after = types(&rig)?;
    ensure(before == after, || format!("types {after:?}"), &format!("{before:?} as before"))?;
    let (code, left) = io_format(&rig, future::GET_IO_FORMAT, -7)?;
    if code == Code::SUCCESS {
        ensure(left == PCM, || format!("{left} from GetIoFormat"), "0, PCM")?;
    }
    io_format(&rig, future::SET_IO_FORMAT, DSD)?;
    drop(rig);
    let fresh = types(&desk.ready()?)?;
    ensure(before == fresh, || format!("types {fresh:?} of a new object"), "PCM")
}
