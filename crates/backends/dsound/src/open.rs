//! From a request to a stopped stream: how long a period is, and how far ahead is written.

use crate::enumerate::{self, Place};
use crate::quirks::{CAPTURE_STEP_US, ENGINE_PERIOD_MS, LEAD_MS, transport_ms};
use crate::sounds::{Code, Direction, SoundFormat, Sounds, code};
use crate::stream::DsoundStream;
use barewire_device::{
    Caps, DeviceInfo, Layout, Note, NoteKind, OpenRequest, Shape, Side, SideRequest, Stream, Way,
};
use barewire_rt::{LentMemory, System};
use barewire_types::{Error, ErrorKind, Latency, RateHz, Result, SampleFormat};
use std::sync::Arc;

/// Longer periods only add latency.
const MOST_PERIOD_MS: u32 = 100;
/// The ring is so much longer than what is in use: room for waking late.
const RING_PARTS: u32 = 4;

/// Frames that last `us` microseconds, rounded up.
fn frames_of_us(us: u64, rate_hz: u32) -> u32 {
    u32::try_from((us * u64::from(rate_hz)).div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

fn frames(ms: u32, rate_hz: u32) -> u32 {
    frames_of_us(u64::from(ms) * 1000, rate_hz)
}

/// The smallest period: what the cursor moves at a time. Anything smaller would come in bursts of it.
pub(crate) fn least_period(direction: Direction, rate_hz: u32) -> u32 {
    match direction {
        Direction::Playback => frames(ENGINE_PERIOD_MS, rate_hz),
        Direction::Capture => frames_of_us(CAPTURE_STEP_US, rate_hz),
    }
}

/// The greatest period.
pub(crate) fn most_period(rate_hz: u32) -> u32 {
    frames(MOST_PERIOD_MS, rate_hz)
}

/// Opens what `request` names.
///
/// # Errors
/// Those of [`barewire_device::Backend::open`].
pub(crate) fn open(
    system: &Arc<dyn System>,
    sounds: &dyn Sounds,
    request: &OpenRequest,
) -> Result<Box<dyn Stream>> {
    let place = enumerate::places(sounds).into_iter().find(|place| place.id == request.id);
    let place = place.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("no DirectSound device goes by {}", request.id))
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
    let caps = enumerate::caps(place.direction);
    let format = format(&place, &caps, request.rate, wanted)?;
    let sizes = Sizes::new(place.direction, &format, request.period_frames);
    let sound = sounds
        .open(place.direction, &place.device.endpoint, &format, sizes.ring_frames)
        .map_err(|code| refusal(&place, code))?;
    let (shape, side) = shape(sounds.is_wine(), place.direction, &format, sizes);
    let mut notes = vec![enumerate::mixer_note()];
    if sizes.period_frames != request.period_frames {
        let text = format!(
            "{name} moves {} frames at a time instead of {}: DirectSound's cursor knows no smaller steps",
            sizes.period_frames, request.period_frames
        );
        notes.push(Note { kind: NoteKind::Adapted, text });
    }
    let bytes = sizes.ring_frames as usize * format.frame_bytes();
    let memory = LentMemory::new(1, bytes)
        .ok_or_else(|| Error::new(ErrorKind::NoMemory, format!("no memory for {name}")))?;
    let (system, direction) = (system.clone(), place.direction);
    let ring = (memory, sizes.ring_frames);
    Ok(Box::new(DsoundStream::new(system, sound, direction, side, ring, shape, notes)))
}

/// What the device gives with the smallest periods, at 48 kHz in stereo.
pub(crate) fn way(is_wine: bool, device: &DeviceInfo) -> Way {
    let direction =
        if device.playback.is_some() { Direction::Playback } else { Direction::Capture };
    let format = SoundFormat { sample: SampleFormat::INT16, channels: 2, rate: RateHz::DAT };
    let sizes = Sizes::new(direction, &format, 0);
    let (shape, _) = shape(is_wine, direction, &format, sizes);
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

fn format(place: &Place, caps: &Caps, rate: RateHz, wanted: SideRequest) -> Result<SoundFormat> {
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
        let message = format!(
            "DirectSound reaches {most} channels of {name}, {} were asked for",
            wanted.channels
        );
        return Err(Error::new(ErrorKind::Unsupported, message)
            .remedy("ask for fewer, or choose the device by wasapi"));
    };
    Ok(SoundFormat { sample, channels, rate })
}

fn refusal(place: &Place, code: Code) -> Error {
    let name = &place.device.name;
    let (kind, what, remedy) = match code {
        code::ALLOCATED | code::PRIOLEVELNEEDED | code::OTHERAPPHASPRIO => (
            ErrorKind::Busy,
            "is held by another program that has exclusive access",
            "end that program, or let it share the device",
        ),
        code::ACCESSDENIED => (
            ErrorKind::Denied,
            "may not be used",
            "let programs use the microphone in the system's privacy settings",
        ),
        code::NODRIVER | code::BUFFERLOST => (ErrorKind::Lost, "has gone", "plug it in again"),
        code::OUTOFMEMORY => (ErrorKind::NoMemory, "cannot have its memory", "end other programs"),
        code::BADFORMAT => (ErrorKind::Unsupported, "refuses the format", "choose another format"),
        _ => (ErrorKind::Malfunction, "does not open", "choose another way to the device"),
    };
    Error::new(kind, format!("{name} {what}")).remedy(remedy).os_code(code.cast_signed())
}

/// How long a period is, how far ahead is written, how long the ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    period_frames: u32,
    prefill_frames: u32,
    ring_frames: u32,
}

impl Sizes {
    fn new(direction: Direction, format: &SoundFormat, wanted_frames: u32) -> Self {
        let rate_hz = format.rate.get();
        let least = least_period(direction, rate_hz);
        let period_frames = wanted_frames.clamp(least, most_period(rate_hz).max(least));
        let ahead = period_frames.max(frames(LEAD_MS, rate_hz));
        let prefill_frames = period_frames + ahead;
        // Whole periods, so that a piece that wraps is the exception.
        let ring_frames = (RING_PARTS * prefill_frames).next_multiple_of(period_frames);
        Self { period_frames, prefill_frames, ring_frames }
    }
}

fn shape(is_wine: bool, direction: Direction, format: &SoundFormat, sizes: Sizes) -> (Shape, Side) {
    let Sizes { period_frames, prefill_frames, ring_frames } = sizes;
    let side =
        Side { format: format.sample, channels: format.channels, layout: Layout::Interleaved };
    let transport = frames(transport_ms(is_wine, direction), format.rate.get());
    let whole = |frames: u32| frames - frames % period_frames;
    let (capture, playback, prefill_frames, max_period_frames, latency) = match direction {
        Direction::Playback => {
            let output_frames = prefill_frames - period_frames + transport;
            let latency = Latency { input_frames: 0, output_frames };
            (None, Some(side), prefill_frames, whole(prefill_frames), latency)
        }
        Direction::Capture => {
            let latency = Latency { input_frames: transport, output_frames: 0 };
            (Some(side), None, 0, whole(ring_frames / 2), latency)
        }
    };
    let shape = Shape {
        rate: format.rate,
        capture,
        playback,
        period_frames,
        max_period_frames,
        steady: true,
        prefill_frames,
        latency,
    };
    (shape, side)
}
