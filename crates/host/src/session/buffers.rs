//! The making of buffers: sizes are tried until the driver takes one, and what it gives is checked before anything of it
//! is touched.

use super::{BlockSize, ChannelShape, Direction, Request, Session, Shape};
use crate::quirks::sizes_to_try;
use crate::refusal::{misbehaved, refusal};
use crate::run::{Memory, Run, Side};
use crate::slots::SlotHandle;
use barewire_abi::{BufferRequest, Code, CreatedBuffers, Native};
use barewire_types::{Error, ErrorKind, Half, Result, SampleFormat};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How many sets of structures are kept for drivers that still look at them: the latest and one before.
const KEEPSAKES: usize = 2;

/// Buffers that are there now.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) slot: SlotHandle,
    pub(super) shape: Shape,
    made: CreatedBuffers<Native>,
}

/// What was passed to `createBuffers`: some drivers keep pointers to it until they are released (the SDK's sample, as
/// CamillaDSP found).
#[derive(Debug, Default)]
pub(super) struct Keepsakes(VecDeque<CreatedBuffers<Native>>);

impl Keepsakes {
    pub(super) fn keep(&mut self, made: CreatedBuffers<Native>) {
        self.0.push_back(made);
        if self.0.len() > KEEPSAKES {
            self.0.pop_front();
        }
    }
}

impl Prepared {
    pub(super) fn make(session: &mut Session, request: &Request) -> Result<Self> {
        let wanted = wanted(session, request)?;
        let mut first_refusal = None;
        for frames in sizes(session, request.size) {
            let run = Run::new(session.loaded()?.clone(), session.manners.time_info);
            let slot = SlotHandle::take(run)?;
            let driver = &session.loaded()?.driver;
            let (code, made) = driver.create_buffers(&wanted, frames, slot.callbacks());
            if code == Code::OK {
                return finish(session, request, slot, made, frames);
            }
            let error = refusal(driver, &session.name, &format!("{frames} frames a block"), code);
            slot.drain(session.manners.come_back);
            session.keepsakes.keep(made);
            first_refusal.get_or_insert(error);
        }
        Err(first_refusal.unwrap_or_else(|| {
            misbehaved(&session.name, "it offers no block size that there could be")
        }))
    }

    /// After `disposeBuffers`: whether all callbacks have come back, and what is to be kept.
    pub(super) fn end(self, come_back: Duration) -> (bool, CreatedBuffers<Native>) {
        (self.slot.drain(come_back), self.made)
    }
}

fn wanted(session: &Session, request: &Request) -> Result<Vec<BufferRequest>> {
    let (inputs, outputs) = session.channels()?;
    let mut wanted = Vec::new();
    for (is_input, channels, count) in
        [(true, &request.inputs, inputs), (false, &request.outputs, outputs)]
    {
        let kind = if is_input { "input" } else { "output" };
        for (n, &channel) in channels.iter().enumerate() {
            if channel >= count || channels[..n].contains(&channel) {
                let problem = if channel >= count { "does not exist" } else { "is named twice" };
                let text = format!("{}: {kind} {channel} {problem}; it has {count}", session.name);
                return Err(Error::new(ErrorKind::InvalidArgument, text)
                    .remedy("`barewire drivers` shows what is there; channels count from 0"));
            }
            let channel = i32::try_from(channel).unwrap_or(i32::MAX);
            wanted.push(BufferRequest { is_input, channel });
        }
    }
    if wanted.is_empty() {
        let text = format!("{}: buffers need at least one channel", session.name);
        return Err(Error::new(ErrorKind::InvalidArgument, text));
    }
    Ok(wanted)
}

fn sizes(session: &Session, size: BlockSize) -> Vec<i32> {
    let number = |frames: u32| i32::try_from(frames).unwrap_or(i32::MAX);
    let told = session.buffer_size().ok();
    match size {
        BlockSize::Exactly(frames) => vec![number(frames)],
        BlockSize::Near(frames) => sizes_to_try(Some(number(frames)), told),
        BlockSize::Preferred => sizes_to_try(None, told),
    }
}

fn finish(
    session: &mut Session,
    request: &Request,
    slot: SlotHandle,
    made: CreatedBuffers<Native>,
    frames: i32,
) -> Result<Prepared> {
    match checked(session, request, &slot, &made, frames) {
        Ok(shape) => Ok(Prepared { slot, shape, made }),
        Err(error) => {
            session.loaded()?.driver.dispose_buffers();
            slot.drain(session.manners.come_back);
            session.keepsakes.keep(made);
            Err(error)
        }
    }
}

fn checked(
    session: &Session,
    request: &Request,
    slot: &SlotHandle,
    made: &CreatedBuffers<Native>,
    frames: i32,
) -> Result<Shape> {
    let (input_format, inputs) = side(session, Direction::Input, &request.inputs)?;
    let (output_format, outputs) = side(session, Direction::Output, &request.outputs)?;
    let frames = u32::try_from(frames).unwrap_or(0);
    let memory = Memory {
        frames,
        inputs: halves(session, made, 0, inputs.len(), input_format)?,
        outputs: halves(session, made, inputs.len(), outputs.len(), output_format)?,
    };
    // Both halves, so that what is not written yet is silent: some drivers hand out old memory.
    memory.silence(Half::Zero);
    memory.silence(Half::One);
    let run = &slot.run;
    if run.memory.set(memory).is_err() {
        return Err(Error::new(ErrorKind::Bug, "a run was given halves twice"));
    }
    let driver = &session.loaded()?.driver;
    // The latencies depend on it, so it is asked before they are.
    let output_ready = session.manners.output_ready && driver.output_ready() == Code::OK;
    run.output_ready.store(output_ready, Ordering::SeqCst);
    run.notices.settle(session.manners.settling);
    Ok(Shape {
        frames,
        rate_hz: session.sample_rate().unwrap_or(0.0),
        input_format: (!inputs.is_empty()).then_some(input_format),
        output_format: (!outputs.is_empty()).then_some(output_format),
        inputs,
        outputs,
        latency: session.latency().ok(),
        output_ready,
    })
}

/// Names and the one format of all `channels`.
fn side(
    session: &Session,
    direction: Direction,
    channels: &[u32],
) -> Result<(SampleFormat, Vec<ChannelShape>)> {
    let mut first = None;
    let mut shapes = Vec::new();
    for &channel in channels {
        let info = session.channel(direction, channel)?;
        let kind = info.sample_type;
        let Some(format) = kind.format() else {
            let what = format_args!("it names {}, which is no sample type", kind.0);
            return Err(misbehaved(&session.name, what));
        };
        if *first.get_or_insert(format) != format {
            let text = format!("{}: its {direction:?}s have different formats", session.name);
            return Err(Error::new(ErrorKind::Unsupported, text)
                .remedy("choose channels that have the same"));
        }
        shapes.push(ChannelShape { channel, name: crate::refusal::one_line(&info.name) });
    }
    Ok((first.unwrap_or(SampleFormat::INT32), shapes))
}

fn halves(
    session: &Session,
    made: &CreatedBuffers<Native>,
    from: usize,
    count: usize,
    format: SampleFormat,
) -> Result<Side> {
    let mut halves = [Vec::with_capacity(count), Vec::with_capacity(count)];
    for n in from..from + count {
        let [zero, one] = made.halves(n);
        if zero.is_null() || one.is_null() || zero == one {
            return Err(misbehaved(&session.name, "it made buffers and left a channel without"));
        }
        halves[0].push(zero.cast_const());
        halves[1].push(one.cast_const());
    }
    Ok(Side { format, halves })
}
