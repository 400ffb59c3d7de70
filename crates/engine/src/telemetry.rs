//! What the device thread tells, without ever waiting: a snapshot for those who ask, a log for those who listen.

use barewire_device::Loss;
use barewire_rt::Seqlock;
use barewire_types::pack::{
    pack_format, pack_integrity, pack_lane, pack_reason, unpack_format, unpack_integrity,
    unpack_lane, unpack_reason,
};
use barewire_types::{Integrity, Lane, Ns, RateHz, Reason, SampleFormat};
use std::sync::atomic::{AtomicU64, Ordering};

/// One thing that happened. Fixed in size, so that the device thread can write it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineEvent {
    /// What happened.
    pub kind: EventKind,
    /// Which client, if it happened to one: the plan's in their order from 0, then those that joined.
    pub client: Option<u16>,
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
    /// A client missed its cycle; one block of silence was played instead.
    Late,
    /// A client's output now goes directly (one block of latency) or queued (two).
    ModeChanged {
        /// Directly.
        is_direct: bool,
    },
    /// A client is gone and is not called any more.
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
    /// Blocks that a client was late for.
    pub lates: u64,
    /// Device frames a second.
    pub rate_hz: u32,
    /// Whether the first client's output goes directly; `None` until its first block has shown it.
    pub is_direct: Option<bool>,
    /// How samples travel.
    pub lane: Lane,
    /// Clients that are there.
    pub clients: u16,
    /// Whether a gain other than 1 is in force for any of them.
    pub is_scaled: bool,
    /// Bits that were set and cut off, in a left-justified 32-bit sample.
    pub cut: u32,
    /// The same of captured samples, which the clients' formats could not hold.
    pub input_cut: u32,
    /// Samples beyond full scale, where they were held.
    pub clipped: u64,
    /// Frames of silence played because the device asked for more than it had told.
    pub starved_frames: u64,
    /// Thousandths of the time between two wake-ups that the latest pass took, the clients' own time included.
    pub load_permille: u32,
    /// The most that any pass took.
    pub peak_load_permille: u32,
    /// Times that silence was played for want of a device.
    pub losses: u64,
}

const WORDS: usize = 11;

impl Snapshot {
    /// Before the first block.
    pub(crate) const NOTHING: Self = Self {
        position_frames: 0,
        at_ns: 0,
        blocks: 0,
        xruns: 0,
        missed_frames: 0,
        lates: 0,
        rate_hz: 0,
        is_direct: None,
        lane: Lane::Exact,
        clients: 0,
        is_scaled: false,
        cut: 0,
        input_cut: 0,
        clipped: 0,
        starved_frames: 0,
        load_permille: 0,
        peak_load_permille: 0,
        losses: 0,
    };

    /// Device frames a second, once a block has happened.
    pub fn rate(&self) -> Option<RateHz> {
        RateHz::new(self.rate_hz)
    }

    /// Takes in how long a pass took, of how long there was.
    pub(crate) fn loaded(&mut self, busy_ns: Ns, there_ns: Ns) {
        let permille = busy_ns.saturating_mul(1000) / there_ns.max(1);
        self.load_permille = u32::try_from(permille).unwrap_or(u32::MAX);
        self.peak_load_permille = self.peak_load_permille.max(self.load_permille);
    }

    fn pack(&self) -> [u64; WORDS] {
        let mode = match self.is_direct {
            None => 0,
            Some(true) => 1,
            Some(false) => 2,
        };
        let flags = mode | u64::from(self.is_scaled) << 2 | pack_lane(self.lane) << 3;
        [
            self.position_frames,
            self.at_ns,
            self.blocks,
            self.xruns,
            self.missed_frames,
            self.lates,
            u64::from(self.rate_hz) | flags << 32 | u64::from(self.clients) << 48,
            u64::from(self.cut) | u64::from(self.input_cut) << 32,
            self.clipped,
            self.starved_frames,
            u64::from(self.load_permille) | u64::from(self.peak_load_permille) << 32,
        ]
    }

    #[expect(clippy::cast_possible_truncation, reason = "taken apart as it was put together")]
    fn unpack(words: [u64; WORDS]) -> Self {
        let [position_frames, at_ns, blocks, xruns, missed_frames, lates, state, ..] = words;
        let [.., cut, clipped, starved_frames, load] = words;
        Self {
            position_frames,
            at_ns,
            blocks,
            xruns,
            missed_frames,
            lates,
            rate_hz: state as u32,
            is_direct: [None, Some(true), Some(false), None][(state >> 32 & 3) as usize],
            lane: unpack_lane(state >> 35 & 3),
            clients: (state >> 48) as u16,
            is_scaled: state >> 34 & 1 == 1,
            cut: cut as u32,
            input_cut: (cut >> 32) as u32,
            clipped,
            starved_frames,
            load_permille: load as u32,
            peak_load_permille: (load >> 32) as u32,
            losses: 0,
        }
    }
}

/// The snapshot, and what stands beside it.
#[derive(Debug, Default)]
pub struct Telemetry {
    latest: Seqlock<WORDS>,
    losses: AtomicU64,
    /// What does not change with each block: client format, device format, and what lies below the stream.
    promise: Seqlock<5>,
}

impl Telemetry {
    pub(crate) fn publish(&self, snapshot: &Snapshot) {
        self.latest.write(snapshot.pack());
    }

    pub(crate) fn count_loss(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    /// The latest block. Any thread, never waits.
    pub fn snapshot(&self) -> Snapshot {
        let losses = self.losses.load(Ordering::Relaxed);
        Snapshot { losses, ..Snapshot::unpack(self.latest.read()) }
    }

    /// Forgets the run before: to be called before a new one starts.
    pub fn clear(&self) {
        self.latest.write(Snapshot::NOTHING.pack());
        self.losses.store(0, Ordering::Relaxed);
    }

    pub(crate) fn promise(&self, promise: &Promise) {
        let place =
            |format: Option<SampleFormat>| format.map_or(0, |format| pack_format(format) + 1);
        let (integrity, [why, detail]) =
            promise.below.map_or((0, [0, 0]), |(integrity, reason)| {
                (pack_integrity(integrity) + 1, pack_reason(reason))
            });
        self.promise.write([place(promise.client), place(promise.device), integrity, why, detail]);
    }

    /// What arrives of what the clients give, and why. Any thread.
    pub fn integrity(&self) -> (Integrity, Reason) {
        let [client, device, integrity, why, detail] = self.promise.read();
        let format = |word: u64| word.checked_sub(1).map(unpack_format);
        let below = integrity
            .checked_sub(1)
            .map(|word| (unpack_integrity(word), unpack_reason([why, detail])));
        let promise = Promise { client: format(client), device: format(device), below };
        promise.integrity(&self.snapshot())
    }
}

/// What the path does to samples as long as the clients are the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    /// The format of the client that decides.
    pub(crate) client: Option<SampleFormat>,
    pub(crate) device: Option<SampleFormat>,
    pub(crate) below: Option<(Integrity, Reason)>,
}

impl Promise {
    fn integrity(self, seen: &Snapshot) -> (Integrity, Reason) {
        let (Some(client), Some(device)) = (self.client, self.device) else {
            let reason =
                if self.device.is_none() { Reason::NoOutput } else { Reason::NotYetPlayed };
            return (Integrity::Exact { bits: 0 }, reason);
        };
        if let Some(below) = self.below {
            return below;
        }
        if seen.is_scaled {
            return (Integrity::Mixed, Reason::Gain);
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
        let reason = match seen.clients {
            _ if seen.blocks == 0 => Reason::NotYetPlayed,
            _ if seen.losses > 0 => Reason::DeviceLost,
            0 | 1 => Reason::OneClient,
            clients => Reason::SeveralClients { clients },
        };
        match seen.lane {
            Lane::Exact | Lane::Sum if seen.losses > 0 => (Integrity::Interrupted { bits }, reason),
            Lane::Exact => (Integrity::Exact { bits }, reason),
            Lane::Sum => (Integrity::Sum { bits }, reason),
            Lane::Mixed => (Integrity::Mixed, Reason::FloatPath { format: client }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_what_is_read() {
        let telemetry = Telemetry::default();
        assert_eq!(telemetry.snapshot(), Snapshot::NOTHING);
        for lane in [Lane::Exact, Lane::Sum, Lane::Mixed] {
            for is_direct in [None, Some(true), Some(false)] {
                let snapshot = Snapshot {
                    position_frames: 1 << 40,
                    at_ns: 2,
                    blocks: 3,
                    xruns: 4,
                    missed_frames: 5,
                    lates: 6,
                    rate_hz: u32::MAX,
                    is_direct,
                    lane,
                    clients: u16::MAX,
                    is_scaled: is_direct.is_none(),
                    cut: u32::MAX - 1,
                    input_cut: u32::MAX,
                    clipped: 7,
                    starved_frames: 8,
                    load_permille: 9,
                    peak_load_permille: u32::MAX,
                    losses: 0,
                };
                telemetry.publish(&snapshot);
                assert_eq!(telemetry.snapshot(), snapshot);
            }
        }
    }

    #[test]
    fn a_run_in_which_the_device_was_lost_is_not_exact() {
        let telemetry = Telemetry::default();
        let format = Some(SampleFormat::INT24);
        telemetry.promise(&Promise { client: format, device: format, below: None });
        telemetry.publish(&Snapshot { blocks: 1, clients: 1, ..Snapshot::NOTHING });
        assert_eq!(telemetry.integrity(), (Integrity::Exact { bits: 24 }, Reason::OneClient));
        telemetry.count_loss();
        let expected = (Integrity::Interrupted { bits: 24 }, Reason::DeviceLost);
        assert_eq!(telemetry.integrity(), expected);
    }

    #[test]
    fn what_lies_below_is_published_instead_of_the_lane() {
        let telemetry = Telemetry::default();
        let below = (Integrity::Shared, Reason::SystemMixer);
        let format = Some(SampleFormat::INT32);
        telemetry.promise(&Promise { client: format, device: format, below: Some(below) });
        assert_eq!(telemetry.integrity(), below);
        telemetry.promise(&Promise { client: format, device: format, below: None });
        assert_eq!(telemetry.integrity(), (Integrity::Exact { bits: 32 }, Reason::NotYetPlayed));
    }
}
