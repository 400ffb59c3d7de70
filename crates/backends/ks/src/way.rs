//! Gets a pin's memory: a ring with events, a ring by the clock, or packets; and asks how long the hardware delays.

use crate::ask;
use crate::enumerate::step_frames;
use crate::kernel::{Code, Event, Kernel, Object, code};
use crate::lane::Way;
use crate::packets::Packets;
use crate::ring::{self, Ring};
use crate::uapi::{Direction, Interface, POINTER, Reply, Request, flag, rtaudio, set};
use barewire_device::{Note, NoteKind, Side};
use barewire_types::RateHz;

/// Halves of a ring about which the driver signals.
const HALVES: u32 = 2;
/// Periods in a ring that the clock looks at: two that play and as much room to come late.
const POLLED_PERIODS: u32 = 4;
/// More than this is no ring of audio but damage.
const MOST_RING_BYTES: u32 = 1 << 26;

/// One way that memory travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// A ring with events.
    Event,
    /// A ring by the clock.
    Polled,
    /// Packets.
    Packets,
}

impl Method {
    /// The interface that a pin is opened with.
    pub(crate) const fn interface(self) -> Interface {
        match self {
            Self::Event | Self::Polled => Interface::Looped,
            Self::Packets => Interface::Streaming,
        }
    }
}

/// Why a pin is not had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It was not opened.
    Pin(Code),
    /// It was, but its memory is not had.
    Memory(Code),
}

impl Refusal {
    /// Whether another format may do.
    pub(crate) const fn is_about_format(self) -> bool {
        matches!(self, Self::Pin(code::NO_MATCH | code::INVALID_PARAMETER))
    }

    /// Whether another program is in the way, whatever the count of instances says.
    pub(crate) const fn is_about_occupation(self) -> bool {
        matches!(
            self,
            Self::Pin(
                code::BAD_COMMAND
                    | code::BUSY
                    | code::NO_SYSTEM_RESOURCES
                    | code::SHARING_VIOLATION
            )
        )
    }
}

/// What is wanted of a pin that was just opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) direction: Direction,
    pub(crate) side: Side,
    pub(crate) rate: RateHz,
    pub(crate) period_frames: u32,
    pub(crate) method: Method,
    pub(crate) kernel_buffers: u32,
}

impl Plan {
    fn frame_bytes(&self) -> u32 {
        let bytes = usize::from(self.side.channels) * self.side.format.bytes();
        u32::try_from(bytes).unwrap_or(1).max(1)
    }
}

/// Memory, the period that it became, and what is to be said of it.
type Prepared = (Way, u32, Vec<Note>);

/// Gets the memory of an open pin.
pub(crate) fn prepare(
    kernel: &dyn Kernel,
    pin: &mut dyn Object,
    plan: &Plan,
) -> Result<Prepared, Code> {
    match plan.method {
        Method::Event => with_events(kernel, pin, plan),
        Method::Polled => polled(pin, plan),
        Method::Packets => packets(kernel, pin, plan),
    }
}

fn note(kind: NoteKind, text: impl Into<String>) -> Note {
    Note { kind, text: text.into() }
}

/// Asks for a ring: as wished, or rounded to what hardware likes.
fn ask_ring(
    pin: &mut dyn Object,
    plan: &Plan,
    id: u32,
    period_frames: u32,
    periods: u32,
) -> Result<Ring, Code> {
    let frame = plan.frame_bytes();
    let mut last = code::INVALID_PARAMETER;
    let rounded = period_frames.next_multiple_of(step_frames(frame));
    let tries = [period_frames, rounded];
    for &frames in if rounded == period_frames { &tries[..1] } else { &tries[..] } {
        // Never 0, and a multiple of the number of notifications (PortAudio#761).
        let bytes = frames.saturating_mul(periods).saturating_mul(frame);
        let notifications = (id == rtaudio::BUFFER_WITH_NOTIFICATION).then_some(HALVES);
        let mut output = [0; POINTER + 8];
        match ask::property(pin, &Request::rt_buffer(id, bytes, notifications), &mut output) {
            Ok(_) => {
                let reply = Reply(&output);
                let base = reply.pointer(0).unwrap_or(0);
                let actual = reply.word(POINTER).unwrap_or(0);
                if base == 0 || actual < 2 * frame || actual > MOST_RING_BYTES {
                    return Err(code::GEN_FAILURE);
                }
                let needs_barrier = reply.word(POINTER + 4).unwrap_or(1) != 0;
                let base = std::ptr::with_exposed_provenance_mut(base);
                let mut ring = Ring::new(base, actual, needs_barrier, plan.direction);
                ring.bytes_per_second = u64::from(plan.rate.get()) * u64::from(frame);
                return Ok(ring);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn with_events(kernel: &dyn Kernel, pin: &mut dyn Object, plan: &Plan) -> Result<Prepared, Code> {
    // To be asked of an open pin, never of the filter (PortAudio asks too early). Only a clear no is one.
    let query = Request::property(&set::RTAUDIO, rtaudio::QUERY_NOTIFICATION_SUPPORT, flag::GET);
    if ask::word(pin, &query) == Ok(0) {
        return Err(code::NOT_SUPPORTED);
    }
    let id = rtaudio::BUFFER_WITH_NOTIFICATION;
    let mut ring = ask_ring(pin, plan, id, plan.period_frames, HALVES)?;
    let event = kernel.event()?;
    register(pin, &*event)?;
    ring.event = Some(event);
    let (frame, mut notes) = (plan.frame_bytes(), Vec::new());
    let half = ring.bytes / HALVES;
    let period_frames = if ring.bytes.is_multiple_of(HALVES * frame) {
        half / frame
    } else {
        notes.push(note(
            NoteKind::Degraded,
            "the driver's buffer holds no whole number of frames: positions are followed instead of events",
        ));
        plan.period_frames.min(half / frame).max(1)
    };
    find_position(pin, &mut ring);
    Ok((Way::Ring(ring), period_frames, notes))
}

fn register(pin: &mut dyn Object, event: &dyn Event) -> Result<(), Code> {
    let id = rtaudio::REGISTER_NOTIFICATION_EVENT;
    ask::property(pin, &Request::with_pointer(id, event.handle()), &mut []).map(drop)
}

fn find_position(pin: &mut dyn Object, ring: &mut Ring) {
    if let Some(source) = ring::position_register(pin) {
        ring.source = source;
    }
}

fn polled(pin: &mut dyn Object, plan: &Plan) -> Result<Prepared, Code> {
    let mut ring = ask_ring(pin, plan, rtaudio::BUFFER, plan.period_frames, POLLED_PERIODS)?;
    find_position(pin, &mut ring);
    let period_frames = plan.period_frames.min(ring.bytes / plan.frame_bytes() / 2).max(1);
    Ok((Way::Ring(ring), period_frames, Vec::new()))
}

fn packets(kernel: &dyn Kernel, pin: &mut dyn Object, plan: &Plan) -> Result<Prepared, Code> {
    let frame = plan.frame_bytes();
    // What the driver hands on at once is the floor; whole multiples of it are taken.
    let own = ask::framing_bytes(pin).map_or(1, |bytes| (bytes / frame).max(1));
    let frames = plan.period_frames.next_multiple_of(own);
    let count = plan.kernel_buffers.clamp(2, 8);
    let list = Packets::new(kernel, pin, plan.direction, count, frames.saturating_mul(frame))?;
    Ok((Way::Packets(list), frames, Vec::new()))
}

/// How long the hardware takes between its position and the jack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) frames: u32,
    /// The part that it has fetched, or not yet stored.
    pub(crate) fifo_frames: u32,
    /// The driver says nothing.
    pub(crate) is_unknown: bool,
}

/// Asks for `KSPROPERTY_RTAUDIO_HWLATENCY`, which drivers know once there is a buffer.
pub(crate) fn delay(pin: &mut dyn Object, side: Side, rate: RateHz) -> Delay {
    let request = Request::property(&set::RTAUDIO, rtaudio::HWLATENCY, flag::GET);
    let mut bytes = [0; 12];
    if ask::property(pin, &request, &mut bytes).is_err() {
        return Delay { is_unknown: true, ..Delay::default() };
    }
    let reply = Reply(&bytes);
    let frame = u64::try_from(usize::from(side.channels) * side.format.bytes()).unwrap_or(1).max(1);
    let fifo = u64::from(reply.word(0).unwrap_or(0)) / frame;
    // In units of 100 ns.
    let units = u64::from(reply.word(4).unwrap_or(0)) + u64::from(reply.word(8).unwrap_or(0));
    let frames = fifo + (units * u64::from(rate.get()) + 5_000_000) / 10_000_000;
    let bounded = |frames: u64| u32::try_from(frames).unwrap_or(0).min(rate.get());
    Delay { frames: bounded(frames), fifo_frames: bounded(fifo), is_unknown: false }
}
