//! From a request to a stopped stream: how long packets are, and how many.

use crate::enumerate::{self, Place};
use crate::quirks::{ENGINE_PERIOD_MS, MOST_PACKET_BYTES, QUEUED_MS, TRANSPORT_MS};
use crate::stream::MmeStream;
use crate::waves::{Code, Direction, WaveFormat, Waves, code};
use barewire_device::{
    Caps, DeviceInfo, Layout, Note, NoteKind, OpenRequest, Shape, Side, SideRequest, Stream, Way,
};
use barewire_rt::System;
use barewire_types::{Error, ErrorKind, Latency, RateHz, Result, SampleFormat};
use std::sync::Arc;

/// Longer packets only add latency (PortAudio's own limit).
const MOST_PACKET_MS: u32 = 100;
/// One is heard while the next is made.
const LEAST_PACKETS: u32 = 2;

/// Frames that last `ms`, rounded up.
fn frames(ms: u32, rate_hz: u32) -> u32 {
    (ms * rate_hz).div_ceil(1000)
}

/// The smallest period: the mixer's own. Anything smaller would come in bursts of it.
pub(crate) fn least_period(rate_hz: u32) -> u32 {
    frames(ENGINE_PERIOD_MS, rate_hz)
}

/// The greatest period.
pub(crate) fn most_period(rate_hz: u32) -> u32 {
    frames(MOST_PACKET_MS, rate_hz)
}

/// Opens what `request` names.
///
/// # Errors
/// Those of [`barewire_device::Backend::open`].
pub(crate) fn open(
    system: &Arc<dyn System>,
    waves: &dyn Waves,
    request: &OpenRequest,
) -> Result<Box<dyn Stream>> {
    let place = enumerate::places(waves).into_iter().find(|place| place.id == request.id);
    let place = place.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("no wave device goes by {}", request.id))
            .remedy("plug it in, or choose one that `barewire devices` lists")
    })?;
    let name = &place.device.name;
    let (wanted, other) = match place.direction {
        Direction::Playback => (request.playback, request.capture),
        Direction::Capture => (request.capture, request.playback),
    };
    if other.is_some() {
        let verb = if place.direction == Direction::Playback { "plays" } else { "captures" };
        return Err(Error::new(ErrorKind::Unsupported, format!("{name} only {verb}"))
            .remedy("choose a device of its own for the other direction"));
    }
    let Some(wanted) = wanted else {
        let message = format!("{name}: neither inputs nor outputs were asked for");
        return Err(
            Error::new(ErrorKind::InvalidArgument, message).remedy("ask for what the device has")
        );
    };
    let caps = enumerate::caps(waves, &place).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, format!("{name} takes no format that is known"))
            .remedy("see that it is switched on in the system's sound settings")
    })?;
    let format = format(&place, &caps, request.rate, wanted)?;
    let sizes = Sizes::new(&format, request.period_frames);
    let wave = waves
        .open(place.direction, place.device.number, &format, sizes.packets, sizes.period_frames)
        .map_err(|code| refusal(&place, code))?;
    let (shape, side) = shape(place.direction, &format, sizes);
    let mut notes = vec![enumerate::mixer_note()];
    if sizes.period_frames != request.period_frames {
        let text = format!(
            "{name} moves {} frames at a time instead of {}: the mixer's own period is {ENGINE_PERIOD_MS} ms",
            sizes.period_frames, request.period_frames
        );
        notes.push(Note { kind: NoteKind::Adapted, text });
    }
    let (system, direction) = (system.clone(), place.direction);
    Ok(Box::new(MmeStream::new(system, wave, direction, side, sizes.packets, shape, notes)))
}

/// What the device gives with the smallest packets, at 48 kHz in stereo.
pub(crate) fn way(device: &DeviceInfo) -> Way {
    let direction =
        if device.playback.is_some() { Direction::Playback } else { Direction::Capture };
    let format = WaveFormat { sample: SampleFormat::INT16, channels: 2, rate: RateHz::DAT };
    let sizes = Sizes::new(&format, 0);
    let (shape, _) = shape(direction, &format, sizes);
    let and_period =
        |frames: u32, is_there: bool| if is_there { frames + shape.period_frames } else { 0 };
    Way {
        endpoints: vec![device.id.rest().to_owned()],
        rate: RateHz::DAT,
        period_frames: shape.period_frames,
        latency: Latency {
            input_frames: and_period(shape.latency.input_frames, device.capture.is_some()),
            output_frames: and_period(shape.latency.output_frames, device.playback.is_some()),
        },
        ..Way::of(device)
    }
}

fn format(place: &Place, caps: &Caps, rate: RateHz, wanted: SideRequest) -> Result<WaveFormat> {
    let name = &place.device.name;
    if !caps.rates.contains(&rate) {
        let list: Vec<String> = caps.rates.iter().map(|rate| rate.get().to_string()).collect();
        let message = format!("{name} does not run at {rate}");
        return Err(Error::new(ErrorKind::UnsupportedRate, message)
            .remedy(format!("choose one of {} Hz", list.join(", "))));
    }
    let sample = wanted.format.or_else(|| caps.formats.first().copied());
    let Some(sample) = sample.filter(|format| caps.formats.contains(format)) else {
        let list: Vec<&str> = caps.formats.iter().map(|format| format.name()).collect();
        let asked = wanted.format.map_or("that format", |format| format.name());
        return Err(Error::new(ErrorKind::Unsupported, format!("{name} does not take {asked}"))
            .remedy(format!("choose one of {}", list.join(", "))));
    };
    let enough = caps.channels.counts.iter().find(|&&count| count >= wanted.channels.max(1));
    let Some(&channels) = enough else {
        let most = caps.channels.counts.last().copied().unwrap_or(0);
        let message = format!("{name} has {most} channels, {} were asked for", wanted.channels);
        return Err(Error::new(ErrorKind::Unsupported, message).remedy("ask for fewer channels"));
    };
    Ok(WaveFormat { sample, channels, rate })
}

fn refusal(place: &Place, code: Code) -> Error {
    let name = &place.device.name;
    let (kind, what, remedy) = match code {
        code::ALLOCATED => (
            ErrorKind::Busy,
            "is held by another program that has exclusive access",
            "end that program, or let it share the device",
        ),
        code::NOTENABLED | code::BADDEVICEID | code::NODRIVER => (
            ErrorKind::Lost,
            "has gone, or may not be used",
            match place.direction {
                Direction::Playback => "plug it in again",
                Direction::Capture => {
                    "plug it in again, and see that programs may use the microphone in the system's privacy settings"
                }
            },
        ),
        code::NOMEM => (ErrorKind::NoMemory, "cannot have its memory", "end other programs"),
        code::BADFORMAT => {
            (ErrorKind::Unsupported, "took the format and refuses it now", "choose another format")
        }
        _ => (ErrorKind::Malfunction, "does not open", "choose another way to the device"),
    };
    Error::new(kind, format!("{name} {what}"))
        .remedy(remedy)
        .os_code(i32::try_from(code).unwrap_or(i32::MAX))
}

/// How long packets are, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    period_frames: u32,
    packets: u32,
}

impl Sizes {
    /// A packet is a period. So many are queued that those behind the first last for [`QUEUED_MS`].
    fn new(format: &WaveFormat, wanted_frames: u32) -> Self {
        let rate_hz = format.rate.get();
        let frame_bytes = u32::try_from(format.frame_bytes()).unwrap_or(u32::MAX).max(1);
        let least = least_period(rate_hz);
        let most = most_period(rate_hz).min(MOST_PACKET_BYTES / frame_bytes).max(least);
        let period_frames = wanted_frames.clamp(least, most);
        let behind = frames(QUEUED_MS, rate_hz).div_ceil(period_frames);
        Self { period_frames, packets: (behind + 1).max(LEAST_PACKETS) }
    }
}

fn shape(direction: Direction, format: &WaveFormat, sizes: Sizes) -> (Shape, Side) {
    let Sizes { period_frames, packets } = sizes;
    let side =
        Side { format: format.sample, channels: format.channels, layout: Layout::Interleaved };
    let transport = frames(TRANSPORT_MS, format.rate.get());
    let (capture, playback, prefill_frames, latency) = match direction {
        Direction::Playback => {
            let queued = (packets - 1) * period_frames;
            let latency = Latency { input_frames: 0, output_frames: queued + transport };
            (None, Some(side), packets * period_frames, latency)
        }
        Direction::Capture => {
            (Some(side), None, 0, Latency { input_frames: transport, output_frames: 0 })
        }
    };
    let shape = Shape {
        rate: format.rate,
        capture,
        playback,
        period_frames,
        // One packet at least is still queued, else the device has run dry.
        max_period_frames: (packets - 1).max(1) * period_frames,
        steady: true,
        prefill_frames,
        latency,
    };
    (shape, side)
}
