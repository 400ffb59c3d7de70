//! What a driver tells us on threads of its own, kept until the owner of the session asks: nothing is answered on the
//! spot, since the call may come on the device thread, inside `createBuffers`, or with the driver's locks held.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Something that the owner of a session should react to, on a thread of its own choice.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The driver wants to be set up anew: [`crate::Session::reset`].
    ResetWanted,
    /// The driver lost its place: a position after this does not continue the one before.
    Resynced,
    /// The latencies have changed: [`crate::Session::latency`].
    LatenciesChanged,
    /// The driver would rather have blocks of this size.
    BlockSizeWanted {
        /// Frames.
        frames: i32,
    },
    /// The rate has changed, and not at our wish; 0 if the clock is lost.
    RateChanged {
        /// Hertz.
        rate_hz: f64,
    },
    /// The player panicked; silence is played since.
    PlayerPanicked,
}

/// What was counted since buffers were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Blocks that the player was asked for.
    pub blocks: u64,
    /// Xruns that the driver reported.
    pub overloads: u64,
    /// Blocks that were asked for within another block, and refused.
    pub reentered: u64,
    /// Blocks that named the same half as the one before.
    pub repeated_halves: u64,
    /// Calls of both kinds for one block; the second was refused.
    pub doubled: u64,
    /// Blocks that were asked for before a start or after a stop, and refused.
    pub outside: u64,
    /// Requests that came while starting, when several drivers ask for a reset by habit; not reported.
    pub ignored_requests: u64,
}

/// Flags that any thread may raise, without waiting.
#[derive(Debug)]
pub(crate) struct Notices {
    epoch: Instant,
    /// Requests before this moment are habit; nanoseconds of `epoch`.
    quiet_until_ns: AtomicU64,
    pub(crate) reset: AtomicBool,
    pub(crate) resync: AtomicBool,
    pub(crate) latencies: AtomicBool,
    pub(crate) panicked: AtomicBool,
    block_size: AtomicI32,
    rate_bits: AtomicU64,
    rate: AtomicBool,
    pub(crate) blocks: AtomicU64,
    pub(crate) overloads: AtomicU64,
    pub(crate) reentered: AtomicU64,
    pub(crate) repeated_halves: AtomicU64,
    pub(crate) doubled: AtomicU64,
    pub(crate) outside: AtomicU64,
    ignored_requests: AtomicU64,
}

impl Notices {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            quiet_until_ns: AtomicU64::new(u64::MAX),
            reset: AtomicBool::new(false),
            resync: AtomicBool::new(false),
            latencies: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            block_size: AtomicI32::new(0),
            rate_bits: AtomicU64::new(0),
            rate: AtomicBool::new(false),
            blocks: AtomicU64::new(0),
            overloads: AtomicU64::new(0),
            reentered: AtomicU64::new(0),
            repeated_halves: AtomicU64::new(0),
            doubled: AtomicU64::new(0),
            outside: AtomicU64::new(0),
            ignored_requests: AtomicU64::new(0),
        }
    }

    /// From now on requests are habit, until [`settle`](Self::settle) says otherwise.
    pub(crate) fn unsettle(&self) {
        self.quiet_until_ns.store(u64::MAX, Ordering::Relaxed);
    }

    /// Requests count again after `length`.
    pub(crate) fn settle(&self, length: Duration) {
        let until = self.now_ns().saturating_add(nanoseconds(length));
        self.quiet_until_ns.store(until, Ordering::Relaxed);
    }

    /// Raises `flag`, unless requests are only habit now.
    pub(crate) fn request(&self, flag: &AtomicBool) {
        if self.now_ns() < self.quiet_until_ns.load(Ordering::Relaxed) {
            self.ignored_requests.fetch_add(1, Ordering::Relaxed);
        } else {
            flag.store(true, Ordering::Release);
        }
    }

    pub(crate) fn want_block_size(&self, frames: i32) {
        self.block_size.store(frames, Ordering::Release);
    }

    pub(crate) fn rate_changed(&self, rate_hz: f64) {
        self.rate_bits.store(rate_hz.to_bits(), Ordering::Relaxed);
        self.rate.store(true, Ordering::Release);
    }

    /// What happened since this was last asked. `known_rate_hz` is the rate that we ourselves set: some drivers tell us
    /// of it (a MOTU 16A, RtAudio #235).
    pub(crate) fn take(&self, known_rate_hz: f64) -> Vec<Event> {
        let mut events = Vec::new();
        let mut flag = |flag: &AtomicBool, event| {
            if flag.swap(false, Ordering::AcqRel) {
                events.push(event);
            }
        };
        flag(&self.reset, Event::ResetWanted);
        flag(&self.resync, Event::Resynced);
        flag(&self.latencies, Event::LatenciesChanged);
        flag(&self.panicked, Event::PlayerPanicked);
        if self.rate.swap(false, Ordering::AcqRel) {
            let rate_hz = f64::from_bits(self.rate_bits.load(Ordering::Relaxed));
            if (rate_hz - known_rate_hz).abs() >= 1.0 {
                events.push(Event::RateChanged { rate_hz });
            }
        }
        match self.block_size.swap(0, Ordering::AcqRel) {
            0 => {}
            frames => events.push(Event::BlockSizeWanted { frames }),
        }
        events
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            blocks: read(&self.blocks),
            overloads: read(&self.overloads),
            reentered: read(&self.reentered),
            repeated_halves: read(&self.repeated_halves),
            doubled: read(&self.doubled),
            outside: read(&self.outside),
            ignored_requests: read(&self.ignored_requests),
        }
    }

    fn now_ns(&self) -> u64 {
        nanoseconds(self.epoch.elapsed())
    }
}

fn nanoseconds(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
