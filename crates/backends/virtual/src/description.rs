//! What a virtual device is like.

use crate::sink::Recordings;
use barewire_device::Layout;
use barewire_types::{ErrorKind, Ns, RateHz, SampleFormat};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Where played frames go.
#[derive(Clone, Default)]
pub enum Sink {
    /// Nowhere.
    #[default]
    Null,
    /// WAV files in this directory, one for each opening: `capture-001-44100Hz.wav`.
    Wav(PathBuf),
    /// Files of bare interleaved samples in this directory, one for each opening.
    Raw(PathBuf),
    /// Memory, up to this many frames an opening; what does not fit is counted.
    Memory(Arc<Recordings>, usize),
    /// A function that is made at each opening and then called with each interleaved piece and the position of its
    /// first frame, on the device thread.
    Call(MakeSink),
}

/// Takes interleaved pieces: the position of the first frame, the bytes.
pub type SinkFunction = Box<dyn FnMut(u64, &[u8]) + Send>;

/// Fills interleaved pieces: the position of the first frame, the bytes.
pub type SourceFunction = Box<dyn FnMut(u64, &mut [u8]) + Send>;

/// Makes the function of [`Sink::Call`] at each opening.
pub type MakeSink = Arc<dyn Fn() -> SinkFunction + Send + Sync>;

/// Makes the function of [`Source::Call`] at each opening.
pub type MakeSource = Arc<dyn Fn() -> SourceFunction + Send + Sync>;

/// Where captured frames come from.
#[derive(Clone, Default)]
pub enum Source {
    /// Silence.
    #[default]
    Silence,
    /// What was played this many frames ago.
    Loop {
        /// Frames from an output to the input of the same number.
        delay_frames: u32,
    },
    /// Each sample tells its frame and channel: the low 24 bits of the frame number in the high bits, the channel in
    /// the low byte, of a left-justified 32-bit sample.
    Counter,
    /// A WAV file, then silence. Its samples are converted by shifting only.
    Wav(PathBuf),
    /// A file of bare interleaved samples in the device's format, then silence.
    Raw(PathBuf),
    /// Interleaved samples in the device's format, then silence.
    Memory(Arc<Vec<u8>>),
    /// A function that is made at each opening and fills each interleaved piece, given the position of its first
    /// frame, on the device thread.
    Call(MakeSource),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The wake-up comes late by this much.
    LateWake(Ns),
    /// This many frames are lost, as if nobody had been there in time.
    Miss(u32),
    /// The device does not move for this long.
    Stall(Ns),
    /// A wake-up without a period.
    SpuriousWake,
    /// The device is pulled out; it is back after this long, if it is given.
    Unplug(Option<Ns>),
}

/// A fault and the position at which it happens, counted from the start of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// At the first wake-up at or after this position.
    pub at_frames: u64,
    /// What happens.
    pub kind: FaultKind,
}

/// What does not go as it should, all of it repeatable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// The seed of the jitter.
    pub seed: u64,
    /// Wake-ups come late by up to this much, drawn evenly.
    pub jitter_ns: Ns,
    /// Times of positions are told too late by up to this much, drawn evenly.
    pub reading_jitter_ns: Ns,
    /// Faults in ascending order. They happen once, in the first run that reaches them.
    pub faults: Vec<Fault>,
}

/// Takes one off a count; false if it is at 0.
fn take(count: &AtomicU32) -> bool {
    let less = |n: u32| n.checked_sub(1);
    count.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
}

/// A hand on a virtual device.
#[derive(Debug, Default)]
pub struct Remote {
    unplugged: AtomicBool,
    /// Nanoseconds of the system's clock at which the device comes back by itself, 0 for never.
    back_at_ns: std::sync::atomic::AtomicU64,
    refuse: AtomicU32,
    refuse_starts: AtomicU32,
    /// Streams that are open now.
    open: AtomicU32,
    opened: AtomicU32,
    fault: AtomicU32,
}

impl Remote {
    /// Pulls the device out: running streams are lost, opening fails.
    pub fn unplug(&self) {
        self.unplugged.store(true, Ordering::Release);
    }

    /// Plugs it in again. Streams that were lost stay lost.
    pub fn replug(&self) {
        self.back_at_ns.store(0, Ordering::Release);
        self.unplugged.store(false, Ordering::Release);
    }

    /// The next `times` openings are refused as if another program held the device.
    pub fn refuse(&self, times: u32) {
        self.refuse.store(times, Ordering::Release);
    }

    /// How often the device was opened with success.
    pub fn openings(&self) -> u32 {
        self.opened.load(Ordering::Acquire)
    }

    pub(crate) fn is_plugged(&self, now_ns: Ns) -> bool {
        let back_at = self.back_at_ns.load(Ordering::Acquire);
        if back_at != 0 && now_ns >= back_at {
            self.replug();
        }
        !self.unplugged.load(Ordering::Acquire)
    }

    pub(crate) fn unplug_until(&self, back_at_ns: Option<Ns>) {
        self.back_at_ns.store(back_at_ns.unwrap_or(0), Ordering::Release);
        self.unplug();
    }

    /// The next `times` starts fail as if the device were gone.
    pub fn refuse_starts(&self, times: u32) {
        self.refuse_starts.store(times, Ordering::Release);
    }

    pub(crate) fn take_refusal(&self) -> Option<ErrorKind> {
        take(&self.refuse).then_some(ErrorKind::Busy)
    }

    /// Whether the start that is asked for now fails.
    pub(crate) fn refuses_start(&self) -> bool {
        take(&self.refuse_starts)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    pub(crate) fn count_closing(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn count_opening(&self) -> u32 {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.opened.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The scripted faults that have happened, over all openings.
    pub(crate) fn next_fault(&self) -> usize {
        self.fault.load(Ordering::Acquire) as usize
    }

    pub(crate) fn fault_happened(&self) {
        self.fault.fetch_add(1, Ordering::AcqRel);
    }
}

/// What a virtual device is like.
#[derive(Clone)]
pub struct Description {
    /// The part of the id behind `virtual:`.
    pub name: String,
    /// The name for people.
    pub title: String,
    /// Formats, the best first.
    pub formats: Vec<SampleFormat>,
    /// How channels lie in memory.
    pub layout: Layout,
    /// Rates, ascending.
    pub rates: Vec<RateHz>,
    /// Capture channels; 0 for none.
    pub inputs: u16,
    /// Playback channels; 0 for none.
    pub outputs: u16,
    /// Smallest and greatest period.
    pub period_frames: (u32, u32),
    /// Exactly this period whatever is asked for.
    pub fixed_period_frames: Option<u32>,
    /// Periods of silence before the first committed frame, at least 2 to be playable.
    pub prefill_periods: u32,
    /// The clock is faster than nominal by this much; it says nothing of it.
    pub offset_ppm: f64,
    /// That many openings are refused before one succeeds.
    pub refuse_openings: u32,
    /// That many starts fail before one succeeds.
    pub refuse_starts: u32,
    /// It can be opened once at a time.
    pub is_exclusive: bool,
    /// Where played frames go.
    pub sink: Sink,
    /// Where captured frames come from.
    pub source: Source,
    /// What goes wrong.
    pub script: Script,
}

impl Default for Description {
    /// Two inputs and two outputs, every common rate, 32-bit interleaved integers, loop-back without delay.
    fn default() -> Self {
        Self {
            name: "loop".to_owned(),
            title: "Virtual device".to_owned(),
            formats: vec![
                SampleFormat::INT32,
                SampleFormat::INT24_IN_32,
                SampleFormat::INT24,
                SampleFormat::INT16,
                SampleFormat::FLOAT64,
                SampleFormat::FLOAT32,
            ],
            layout: Layout::Interleaved,
            rates: RateHz::COMMON.to_vec(),
            inputs: 2,
            outputs: 2,
            period_frames: (8, 8192),
            fixed_period_frames: None,
            prefill_periods: 2,
            offset_ppm: 0.0,
            refuse_openings: 0,
            refuse_starts: 0,
            is_exclusive: false,
            sink: Sink::Null,
            source: Source::Loop { delay_frames: 0 },
            script: Script::default(),
        }
    }
}
