//! What the device thread tells, without ever waiting: a snapshot for those who ask, a log for those who listen.

use barewire_device::Loss;
use barewire_rt::Seqlock;
use barewire_types::{Integrity, Ns, RateHz, Reason, SampleFormat};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One thing that happened. Fixed in size, so that the device thread can write it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineEvent {
    /// What happened.
    pub kind: EventKind,
    /// Position of the block at which it happened.
    pub position_frames: u64,
    /// When it happened, on the stream's clock.
    pub at_ns: Ns,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The device lost this many frames.
    Xrun {
        /// Frames lost in each direction.
        missed_frames: u32,
    },
    /// The client missed its cycle; one block of silence was played instead.
    Late,
    /// The client's output now goes directly (one block of latency) or queued (two).
    ModeChanged {
        /// Directly.
        is_direct: bool,
    },
    /// The client is gone.
    ClientGone,
    /// The device is lost; silence goes on from the timer.
    Lost(Loss),
    /// The device does not move; silence goes on from the timer.
    Stalled,
    /// The device, or another in its place, has taken over from the timer.
    TakenOver,
}

/// What is known at the latest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Position of the latest block's first frame.
    pub position_frames: u64,
    /// Its time.
    pub at_ns: Ns,
    /// Blocks since the start; 0: none yet.
    pub blocks: u64,
    /// Xruns since the start.
    pub xruns: u64,
    /// Frames lost in xruns.
    pub missed_frames: u64,
    /// Blocks that the client was late for.
    pub lates: u64,
    /// Device frames a second.
    pub rate_hz: u32,
    /// Whether output goes directly; `None` until the first block has shown it.
    pub is_direct: Option<bool>,
    /// Bits that were set and cut off, in a left-justified 32-bit sample.
    pub cut: u32,
    /// Times that silence was played for want of a device.
    pub losses: u64,
}

/// The snapshot, and what stands beside it.
#[derive(Debug, Default)]
pub struct Telemetry {
    latest: Seqlock<8>,
    losses: AtomicU64,
    /// What does not change while an engine runs: (client format, device format, flags), set when it is compiled.
    promise: Seqlock<3>,
    generation: AtomicU32,
}

impl Telemetry {
    pub(crate) fn publish(&self, snapshot: &Snapshot) {
        let mode = match snapshot.is_direct {
            None => 0,
            Some(true) => 1,
            Some(false) => 2,
        };
        self.latest.write([
            snapshot.position_frames,
            snapshot.at_ns,
            snapshot.blocks,
            snapshot.xruns,
            snapshot.missed_frames,
            snapshot.lates,
            u64::from(snapshot.rate_hz) | mode << 32,
            u64::from(snapshot.cut),
        ]);
    }

    pub(crate) fn count_loss(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    /// The latest block. Any thread, never waits.
    pub fn snapshot(&self) -> Snapshot {
        let [position_frames, at_ns, blocks, xruns, missed_frames, lates, rate, cut] =
            self.latest.read();
        #[expect(clippy::cast_possible_truncation, reason = "32 bits were put there")]
        Snapshot {
            position_frames,
            at_ns,
            blocks,
            xruns,
            missed_frames,
            lates,
            rate_hz: rate as u32,
            is_direct: [None, Some(true), Some(false)][(rate >> 32) as usize % 3],
            cut: cut as u32,
            losses: self.losses.load(Ordering::Relaxed),
        }
    }

    /// Forgets the run before: to be called before a new one starts.
    pub fn clear(&self) {
        self.latest.write([0; 8]);
        self.losses.store(0, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn promise(&self, promise: Promise) {
        let place = |format: Option<SampleFormat>| format.map_or(0, |format| index_of(format) + 1);
        let flags = u64::from(promise.is_shared);
        self.promise.write([place(promise.client), place(promise.device), flags]);
    }

    /// What arrives of what the client gives, and why. Any thread.
    pub fn integrity(&self) -> (Integrity, Reason) {
        let [client, device, flags] = self.promise.read();
        let promise = Promise {
            client: format_at(client),
            device: format_at(device),
            is_shared: flags & 1 == 1,
        };
        promise.integrity(&self.snapshot())
    }
}

const FORMATS: usize = SampleFormat::ALL_LITTLE.len();

fn index_of(format: SampleFormat) -> u64 {
    let place = SampleFormat::ALL_LITTLE.iter().position(|known| known.encoding == format.encoding);
    let big = if format.order == barewire_types::ByteOrder::Big { FORMATS } else { 0 };
    (place.unwrap_or(0) + big) as u64
}

fn format_at(word: u64) -> Option<SampleFormat> {
    let place = usize::try_from(word.checked_sub(1)?).ok()?;
    let format = *SampleFormat::ALL_LITTLE.get(place % FORMATS)?;
    Some(if place >= FORMATS { SampleFormat::big(format.encoding) } else { format })
}

/// What the path does to samples, known when it is compiled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    pub(crate) client: Option<SampleFormat>,
    pub(crate) device: Option<SampleFormat>,
    pub(crate) is_shared: bool,
}

impl Promise {
    fn integrity(self, seen: &Snapshot) -> (Integrity, Reason) {
        let (Some(client), Some(device)) = (self.client, self.device) else {
            return (Integrity::Exact { bits: 0 }, Reason::NoOutput);
        };
        if self.is_shared {
            return (Integrity::Shared, Reason::SystemMixer);
        }
        if client.is_float() && !device.is_float() {
            return (Integrity::Mixed, Reason::FloatPath { format: client });
        }
        let bits = client.exact_bits().min(device.exact_bits());
        if seen.cut != 0 {
            let reason = if device.is_float() {
                Reason::FloatPath { format: device }
            } else {
                Reason::NarrowDevice { device, cut: seen.cut }
            };
            return (Integrity::Truncated { bits }, reason);
        }
        let reason = if seen.blocks == 0 {
            Reason::NotYetPlayed
        } else if seen.losses > 0 {
            Reason::DeviceLost
        } else {
            Reason::OneClient
        };
        (Integrity::Exact { bits }, reason)
    }
}

/// The rate of a snapshot, if there is one.
impl Snapshot {
    /// Device frames a second, once a block has happened.
    pub fn rate(&self) -> Option<RateHz> {
        RateHz::new(self.rate_hz)
    }
}
