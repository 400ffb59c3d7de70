//! An open device, pulled by the loop.

use crate::info::Note;
use barewire_rt::{Area, AreaMut, Waker};
use barewire_types::{Integrity, Latency, Ns, RateHz, Reason, Result, SampleFormat};
use std::sync::Arc;

/// How the channels of one direction lie in the device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Frame after frame, in each one sample of every channel.
    Interleaved,
    /// Each channel in memory of its own.
    Planar,
}

/// One direction of an open device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Side {
    /// How a sample lies in memory.
    pub format: SampleFormat,
    /// How many channels.
    pub channels: u16,
    /// How the channels lie in memory.
    pub layout: Layout,
}

/// What a device was opened with. Does not change while the stream lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The rate that the device runs at.
    pub rate: RateHz,
    /// The captured side, if the stream captures.
    pub capture: Option<Side>,
    /// The played side, if the stream plays.
    pub playback: Option<Side>,
    /// Frames that a wake-up brings as a rule.
    pub period_frames: u32,
    /// Frames that a wake-up brings at most, a late one included.
    pub max_period_frames: u32,
    /// Whether every wake-up brings whole multiples of `period_frames`.
    pub steady: bool,
    /// Frames of silence that the stream plays before the first committed frame, counted from the start of the
    /// run. The stream writes them itself in [`Stream::start`].
    pub prefill_frames: u32,
    /// The device's own part of the latency.
    ///
    /// `input_frames`: from the converter until [`Period::position_frames`] counts the frame.
    /// `output_frames`: from `position_frames` until the first frame committed in that period sounds; frames
    /// queued ahead of it and the converter included. For a ring that is prefilled with `prefill_frames` this
    /// is `prefill_frames - period_frames` plus converter and transport.
    pub latency: Latency,
}

impl Shape {
    /// Channels of a side, 0 if there is none.
    pub fn channels(side: Option<Side>) -> u16 {
        side.map_or(0, |side| side.channels)
    }
}

/// What a wait brought. Plain data, so that a stream made of streams may decide before it borrows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A period is due.
    Due(Period),
    /// The deadline has passed, or the waker fired: look again.
    Idle,
    /// The stream is not running.
    Stopped,
    /// The device is lost; every later wait says so too.
    Lost(Loss),
}

/// One period. `position_frames` and `at_ns` together are one observation of the device's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// Frames that can be read now. 0 for a stream that does not capture.
    pub capture_frames: u32,
    /// Frames that must be committed before `commit_by_ns`. 0 for a stream that does not play. If both
    /// directions are open the two counts are equal.
    pub playback_frames: u32,
    /// Frames that the device has moved since its start, this period and all missed ones included. The first
    /// captured frame of this period has the position `position_frames - capture_frames`.
    pub position_frames: u64,
    /// When the device reached `position_frames`, as exactly as it is known: not the time of the wake-up.
    pub at_ns: Ns,
    /// The latest moment at which `commit` still reaches the hardware in time.
    pub commit_by_ns: Ns,
    /// Frames lost immediately before this period, in both directions: an xrun if not 0.
    pub missed_frames: u32,
}

/// Why a device is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// It was unplugged or switched off.
    Gone,
    /// Its format or rate was changed by someone else.
    Changed,
    /// It no longer moves.
    Stalled,
    /// Another program took it.
    Taken,
    /// It failed otherwise.
    Failed,
}

/// An open device.
///
/// Life: opened stopped; `start`, then per wake-up `wait`, the capture pieces, the playback pieces; `stop`;
/// `start` again or drop. Dropping closes the device and may block: only the keeper drops streams.
/// `wait`, `capture`, `release`, `playback` and `commit` are real-time safe; the rest belongs to control threads.
pub trait Stream: Send {
    /// What the device was opened with.
    fn shape(&self) -> Shape;

    /// Makes a wait in progress, or the next one, return [`Wake::Idle`]. Taken before the stream moves to its
    /// thread; valid for the stream's whole life and harmless after it.
    fn waker(&self) -> Waker;

    /// What is not as one would wish (mapping refused, volume not at unity …). Control thread.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }

    /// Plays the prefill and starts the hardware; position 0 is now. Repeatable after `stop`. Called on the
    /// thread that will run the loop, before its first wait.
    ///
    /// # Errors
    /// The loss, if the device does not start.
    fn start(&mut self) -> Result<(), Loss>;

    /// Stops the hardware without closing it. Idempotent. What was committed last need not sound.
    fn stop(&mut self);

    /// Waits until a period is due, `until` has passed or the waker fired. `until` in the past makes it a
    /// poll. What the previous period left unread or unwritten is dropped, or played as silence.
    fn wait(&mut self, until: Ns) -> Wake;

    /// The next contiguous piece captured; its frame count is 0 when the period is used up.
    fn capture(&mut self) -> Area<'_>;

    /// Gives back the first `frames` frames of the piece that `capture` lent.
    fn release(&mut self, frames: u32);

    /// The next contiguous piece to be filled; its frame count is 0 when the period is full. Write-only.
    fn playback(&mut self) -> AreaMut<'_>;

    /// Hands the first `frames` frames of the piece that `playback` lent to the hardware.
    fn commit(&mut self, frames: u32);

    /// What lies below the stream and changes while it runs; `None` (the rule) if nothing does. Control thread.
    fn below(&self) -> Option<Arc<dyn Below>> {
        None
    }

    /// A stream whose thread belongs to a foreign library says how to be driven; `None` (the rule) means that
    /// our own device thread runs the loop.
    fn clockwork(&self) -> Option<Arc<dyn Clockwork>> {
        None
    }
}

/// What lies below a stream and changes while it runs: a device that is shared with others. Outlives the stream. Any thread,
/// never waits.
pub trait Below: Send + Sync {
    /// What becomes of samples there, and why; `None` if nothing is known of it now.
    fn integrity(&self) -> Option<(Integrity, Reason)>;

    /// Latency that is to be added to the shape's, for now.
    fn added_latency(&self) -> Latency;
}

/// One pass of the cycle; returns whether it wants to be called again.
pub type Step = Box<dyn FnMut() -> bool + Send>;

/// A foreign thread that calls the cycle (libjack's process callback).
pub trait Clockwork: Send + Sync {
    /// From now on calls `step` once a period. Control thread.
    ///
    /// # Errors
    /// If the foreign library refuses.
    fn run(&self, step: Step) -> Result<()>;

    /// Takes the step back; it is not called any more once this has returned. `None` if there is none, or if
    /// the foreign thread does not leave it before `until`.
    fn end(&self, until: Ns) -> Option<Step>;
}
