//! A client of the hub as the engine has it: its halves lie in shared memory.
//!
//! What it plays is copied out once, when it has said that it is complete; only that copy is ever used. A late client is
//! silence. After three blocks in a row it is served *later*: the block before is played, nobody waits. Once it has kept
//! time for 256 blocks it is served in time again, if possible while it plays silence, since a block falls out then.

use crate::meter::Peak;
use crate::star::Star;
use barewire_dsp::{Copier, Rest, Route, silence};
use barewire_engine::{BlockTime, Client, Output};
use barewire_rt::{Area, AreaMut, System};
use barewire_share::layout::SegmentShape;
use barewire_share::slot::turn;
use barewire_share::{HubEnd, Served};
use barewire_types::{Half, Ns, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Blocks in a row that a client may be late for before nobody waits for it any more.
pub(crate) const LATES_IN_A_ROW: u32 = 3;
/// Blocks in a row that it has to answer in time before it is waited for again.
pub(crate) const TIMELY_BLOCKS: u32 = 256;
/// So many more it may take until its output is silence; then the block falls out all the same.
const SILENCE_WAIT_BLOCKS: u32 = 2048;

/// What control threads see of a peer, and what they tell it.
#[derive(Debug)]
pub(crate) struct PeerShared {
    pub(crate) blocks: AtomicU64,
    pub(crate) lates: AtomicU64,
    pub(crate) changes: AtomicU64,
    pub(crate) is_later: AtomicBool,
    pub(crate) answer_ns: AtomicU64,
    pub(crate) longest_answer_ns: AtomicU64,
    pub(crate) is_muted: AtomicBool,
    /// The client has said that it stops: it is silence from now on, and nobody waits for it.
    pub(crate) is_leaving: AtomicBool,
    /// Whether the engine has it, or may still have it.
    pub(crate) is_seated: AtomicBool,
    pub(crate) peaks: Vec<Peak>,
}

impl PeerShared {
    pub(crate) fn new(outputs: u16) -> Arc<Self> {
        Arc::new(Self {
            blocks: AtomicU64::new(0),
            lates: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            is_later: AtomicBool::new(false),
            answer_ns: AtomicU64::new(0),
            longest_answer_ns: AtomicU64::new(0),
            is_muted: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            is_seated: AtomicBool::new(false),
            peaks: (0..outputs).map(|_| Peak::default()).collect(),
        })
    }
}

/// See the module.
pub(crate) struct Peer {
    end: HubEnd,
    star: Arc<Star>,
    system: Arc<dyn System>,
    shared: Arc<PeerShared>,
    shape: SegmentShape,
    /// The one copy of what the client plays, planar.
    copy: Vec<u8>,
    mover: Option<Copier>,
    half: Half,
    /// The turns that were begun last and before; `None` before there were any.
    turn: Option<u32>,
    before: Option<u32>,
    /// Whether `before` was answered when `turn` was begun.
    before_is_there: bool,
    served: Served,
    lates_in_a_row: u32,
    timely: u32,
    deadline_ns: Ns,
}

impl Peer {
    /// Control thread.
    pub(crate) fn new(
        end: HubEnd,
        star: Arc<Star>,
        system: Arc<dyn System>,
        shared: Arc<PeerShared>,
    ) -> Result<Self> {
        let shape = *end.shape();
        let every: Vec<Route> = (0..shape.outputs).map(|n| Route { from: n, to: n }).collect();
        let (format, outputs) = (shape.format, shape.outputs);
        let mover = (outputs > 0)
            .then(|| Copier::new(format, format, outputs, outputs, &every, Rest::Leave))
            .transpose()?;
        let bytes = shape.block_frames as usize * usize::from(outputs) * format.bytes();
        shared.is_seated.store(true, Relaxed);
        shared.is_leaving.store(false, Relaxed);
        shared.is_later.store(false, Relaxed);
        end.publish(Served::InTime, 0);
        Ok(Self {
            end,
            star,
            system,
            shared,
            shape,
            copy: vec![format.silence_byte(); bytes],
            mover,
            half: Half::Zero,
            turn: None,
            before: None,
            before_is_there: false,
            served: Served::InTime,
            lates_in_a_row: 0,
            timely: 0,
            deadline_ns: 0,
        })
    }

    fn channels(&self) -> usize {
        usize::from(self.shape.outputs)
    }

    /// The one reading of a half that the client has said is complete.
    fn copy_out(&mut self, half: Half) {
        let (channels, bytes) = (self.channels(), self.shape.format.bytes());
        if let Some(mover) = &self.mover {
            let place = AreaMut::from_planes(&mut self.copy, channels, bytes);
            mover.run(self.end.outputs(half), place);
        }
    }

    fn fall_silent(&mut self) {
        let (channels, bytes) = (self.channels(), self.shape.format.bytes());
        silence(self.shape.format, AreaMut::from_planes(&mut self.copy, channels, bytes));
    }

    fn is_silent(&self) -> bool {
        let silence = self.shape.format.silence_byte();
        self.copy.iter().all(|&byte| byte == silence)
    }

    fn serve(&mut self, served: Served) {
        self.served = served;
        self.timely = 0;
        self.lates_in_a_row = 0;
        self.shared.changes.fetch_add(1, Relaxed);
        self.shared.is_later.store(served == Served::Later, Relaxed);
        self.publish();
    }

    fn publish(&self) {
        let lates = self.shared.lates.load(Relaxed).min(u64::from(u32::MAX));
        self.end.publish(self.served, u32::try_from(lates).unwrap_or(u32::MAX));
    }

    /// Whether the client had answered its last block in time, as it says itself: one that lies is late again soon.
    fn was_timely(&self) -> bool {
        let Some(last) = self.turn else { return false };
        if self.end.words().answered() != last {
            return false;
        }
        // The client's time and the deadline both modulo 2^32 ns: 4.3 s, much longer than a block may be late.
        let [low, _] = split(self.deadline_ns);
        let early = low.wrapping_sub(self.end.answered_at());
        early < u32::MAX / 2
    }

    /// One that is served later: whether it may be waited for again.
    fn consider_return(&mut self) {
        self.timely = if self.was_timely() { self.timely.saturating_add(1) } else { 0 };
        if self.timely < TIMELY_BLOCKS {
            return;
        }
        // The block that falls out is the one that was begun last.
        self.copy_out(self.half);
        if self.is_silent() || self.timely >= TIMELY_BLOCKS + SILENCE_WAIT_BLOCKS {
            self.serve(Served::InTime);
        }
    }

    /// Waits for this client alone, if the gate has said too early that all are there.
    fn wait_alone(&self, turn: u32) -> u32 {
        let until = self.star.deadline_ns();
        let mut answered = self.end.words().answered();
        if answered == turn || self.is_leaving() || self.system.now_ns() >= until {
            return answered;
        }
        answered = self.end.words().wait_for();
        while answered != turn && !self.is_leaving() && self.system.now_ns() < until {
            self.system.await_shared(&[(self.end.answered_word(), answered)], until);
            answered = self.end.words().answered();
        }
        self.end.words().wait_no_more();
        answered
    }

    fn is_leaving(&self) -> bool {
        self.shared.is_leaving.load(Relaxed)
    }

    fn late(&mut self) -> Output {
        self.fall_silent();
        if self.is_leaving() {
            return Output::This;
        }
        self.shared.lates.fetch_add(1, Relaxed);
        self.lates_in_a_row += 1;
        if self.served == Served::InTime && self.lates_in_a_row == LATES_IN_A_ROW {
            self.serve(Served::Later);
        }
        self.publish();
        Output::Late
    }

    fn in_time(&mut self) {
        self.lates_in_a_row = 0;
        if self.star.is_watched.load(Relaxed) {
            let plane = self.shape.block_frames as usize * self.shape.format.bytes();
            for (peak, samples) in self.shared.peaks.iter().zip(self.copy.chunks_exact(plane)) {
                peak.add(self.shape.format, samples);
            }
        }
        if self.shared.is_muted.load(Relaxed) {
            self.fall_silent();
        }
    }

    fn measure(&self) {
        let [low, _] = split(self.star.published_ns());
        let took = u64::from(self.end.answered_at().wrapping_sub(low));
        // What a client says of itself is shown, nothing more; nonsense is not.
        if took < 1_000_000_000 {
            self.shared.answer_ns.store(took, Relaxed);
            self.shared.longest_answer_ns.fetch_max(took, Relaxed);
        }
    }
}

fn split(value: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

impl Client for Peer {
    fn inputs(&mut self, half: Half) -> AreaMut<'_> {
        self.end.inputs(half)
    }

    fn outputs(&self, _: Half) -> Area<'_> {
        Area::from_planes(&self.copy, self.channels(), self.shape.format.bytes())
    }

    fn begin(&mut self, half: Half, time: &BlockTime) {
        if self.served == Served::Later {
            self.consider_return();
        }
        let is_expected = self.served == Served::InTime && !self.is_leaving();
        let cycle = self.star.enter(time, is_expected);
        let next = turn(cycle, u32::from(half == Half::One));
        // Looked at before the next turn: one that was left out is not to be taken for answered once the next one is.
        let answered = self.end.words().answered();
        self.before = self.turn.replace(next);
        self.before_is_there = self.before == Some(answered);
        self.half = half;
        self.shared.blocks.fetch_add(1, Relaxed);
        self.end.words().begin(next);
    }

    fn finish(&mut self, _: Ns) -> Output {
        self.star.publish();
        self.deadline_ns = self.star.deadline_ns();
        let Some(turn) = self.turn else { return Output::Late };
        match self.served {
            Served::InTime => {
                self.star.gather();
                let has_answered = self.wait_alone(turn) == turn;
                self.star.leave(has_answered);
                if !has_answered {
                    return self.late();
                }
                self.measure();
                self.copy_out(self.half);
            }
            Served::Later => {
                let answered = self.end.words().answered();
                self.star.leave(false);
                if !(self.before_is_there || self.before == Some(answered)) {
                    return self.late();
                }
                self.copy_out(self.half.other());
            }
        }
        self.in_time();
        Output::This
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.is_seated.store(false, Relaxed);
    }
}
