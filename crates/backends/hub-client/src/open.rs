//! Being let in: what is wanted is checked against what the hub tells, then memory is mapped.

use crate::connect::{HubLink, call, unexpected};
use crate::enumerate::info;
use crate::stream::{HubStream, Link, Parts};
use crate::{NAME, Starter};
use barewire_device::{Caps, OpenRequest, SideRequest, Stream};
use barewire_rt::System;
use barewire_share::layout::{GateWords, PageWords};
use barewire_share::message::{Answer, Ask, Wish};
use barewire_share::wakes::Ties;
use barewire_share::{Block, socket};
use barewire_types::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

pub(crate) fn open(
    system: &Arc<dyn System>,
    address: &Path,
    starter: Option<&Starter>,
    request: &OpenRequest,
) -> Result<Box<dyn Stream>> {
    if request.capture.is_none() && request.playback.is_none() {
        let text = "neither inputs nor outputs are wanted";
        return Err(Error::new(ErrorKind::InvalidArgument, text).remedy("ask for one of them"));
    }
    let line = call(address, starter)?;
    let Answer::Device { device } = socket::ask(&line, &Ask::Describe {})? else {
        return Err(unexpected());
    };
    let device = info(*device)?;
    if request.id.backend() != NAME || request.id.rest() != device.id.rest() {
        let text = format!("{} is not what the hub shares: that is {}", request.id, device.id);
        return Err(Error::new(ErrorKind::NotFound, text).remedy("see `barewire devices`"));
    }
    check(request.capture, device.capture.as_ref(), "inputs")?;
    check(request.playback, device.playback.as_ref(), "outputs")?;
    let wish = Wish {
        rate_hz: request.rate.get(),
        period_frames: request.period_frames,
        captures: request.capture.is_some(),
        plays: request.playback.is_some(),
    };
    let Answer::Attached { attached } = socket::ask(&line, &Ask::Attach { wish })? else {
        return Err(unexpected());
    };
    let handles = line.take_handles();
    let [page, gate, segment] = &handles[..] else { return Err(unexpected()) };
    let bytes = attached.shape()?.bytes();
    let blocks = [
        Block::given(page, size_of::<PageWords>(), false)?,
        Block::given(gate, size_of::<GateWords>(), true)?,
        Block::given(segment, bytes, true)?,
    ];
    let ties = Ties::of_client(&blocks, gate, segment)?;
    let parts = Parts { attached, blocks, device: device.name };
    let stream = HubStream::new(parts, system.clone(), |hand| {
        Ok(Box::new(HubLink::new(line, hand, system, ties)?) as Box<dyn Link>)
    })?;
    Ok(Box::new(stream))
}

fn check(wanted: Option<SideRequest>, caps: Option<&Caps>, word: &str) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let there = caps.and_then(|caps| caps.channels.counts.last()).copied().unwrap_or(0);
    let refuse = |text: String| {
        Err(Error::new(ErrorKind::Unsupported, text).remedy("see `barewire devices`"))
    };
    if wanted.channels > there {
        return refuse(format!("{} {word} are wanted, and the hub has {there}", wanted.channels));
    }
    let formats = caps.map(|caps| caps.formats.as_slice()).unwrap_or_default();
    if let Some(format) = wanted.format.filter(|format| !formats.contains(format)) {
        return refuse(format!("the hub's {word} are not {format}"));
    }
    Ok(())
}
