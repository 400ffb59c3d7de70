//! From a request to a stopped stream.

use crate::NAME;
use crate::description::{Description, Remote};
use crate::sink::OpenSink;
use crate::source::OpenSource;
use crate::stream::VirtualStream;
use barewire_device::{OpenRequest, Shape, Side, SideRequest, Stream};
use barewire_rt::System;
use barewire_types::{Error, ErrorKind, Latency, RateHz, Result, SampleFormat};
use std::sync::Arc;

pub(crate) fn open(
    system: &Arc<dyn System>,
    devices: &[(Description, Arc<Remote>)],
    request: &OpenRequest,
) -> Result<Box<dyn Stream>> {
    let found = devices
        .iter()
        .find(|(device, _)| request.id.backend() == NAME && request.id.rest() == device.name);
    let Some((device, remote)) = found else {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no device {}", request.id))
            .remedy("choose one that `barewire devices` lists"));
    };
    if !remote.is_plugged(system.now_ns()) {
        return Err(Error::new(ErrorKind::NotFound, format!("{} is not plugged in", device.title))
            .remedy("plug it in again"));
    }
    let held = (device.is_exclusive && remote.is_open()).then_some(ErrorKind::Busy);
    if let Some(kind) = held.or_else(|| remote.take_refusal()) {
        return Err(Error::new(kind, format!("{} is held by another program", device.title))
            .remedy("end that program"));
    }
    if !device.rates.contains(&request.rate) {
        let message = format!("{} does not run at {}", device.title, request.rate);
        return Err(Error::new(ErrorKind::UnsupportedRate, message)
            .remedy(format!("choose one of {}", list_rates(&device.rates))));
    }
    let capture = side(device, request.capture, device.inputs, "inputs")?;
    let playback = side(device, request.playback, device.outputs, "outputs")?;
    if capture.is_none() && playback.is_none() {
        let message = format!("{}: neither inputs nor outputs were asked for", device.title);
        return Err(Error::new(ErrorKind::InvalidArgument, message)
            .remedy("ask for inputs, outputs or both"));
    }
    let shape = shape(device, request, capture, playback);
    let opening = remote.count_opening();
    let parts = OpenSink::new(system, device, &shape, opening)
        .and_then(|sink| Ok((sink, OpenSource::new(device, &shape)?)))
        .inspect_err(|_| remote.count_closing());
    let (sink, source) = parts?;
    Ok(Box::new(VirtualStream::new(system.clone(), device, remote.clone(), shape, sink, source)))
}

fn list_rates(rates: &[RateHz]) -> String {
    let list: Vec<String> = rates.iter().map(|rate| rate.get().to_string()).collect();
    format!("{} Hz", list.join(", "))
}

fn side(
    device: &Description,
    wanted: Option<SideRequest>,
    there: u16,
    word: &str,
) -> Result<Option<Side>> {
    let Some(wanted) = wanted else { return Ok(None) };
    if wanted.channels > there || there == 0 {
        let message =
            format!("{} has {there} {word}, {} were asked for", device.title, wanted.channels);
        return Err(Error::new(ErrorKind::Unsupported, message).remedy("ask for fewer"));
    }
    let format = match wanted.format {
        None => device.formats.first().copied(),
        Some(format) => device.formats.iter().copied().find(|&known| known == format),
    };
    let Some(format) = format else {
        let names: Vec<&str> = device.formats.iter().map(|format| format.name()).collect();
        let asked = wanted.format.map_or("any format", SampleFormat::name);
        let message = format!("{} does not take {asked}", device.title);
        return Err(Error::new(ErrorKind::Unsupported, message)
            .remedy(format!("choose one of {}", names.join(", "))));
    };
    Ok(Some(Side { format, channels: there, layout: device.layout }))
}

fn shape(
    device: &Description,
    request: &OpenRequest,
    capture: Option<Side>,
    playback: Option<Side>,
) -> Shape {
    let (min, max) = device.period_frames;
    let period_frames = device
        .fixed_period_frames
        .unwrap_or_else(|| request.period_frames.clamp(min.max(1), max.max(1)));
    let prefill_frames = period_frames * device.prefill_periods.max(2);
    Shape {
        rate: request.rate,
        capture,
        playback,
        period_frames,
        max_period_frames: prefill_frames,
        steady: true,
        prefill_frames,
        latency: Latency {
            input_frames: device.source.delay_frames(),
            output_frames: prefill_frames - period_frames,
        },
    }
}
