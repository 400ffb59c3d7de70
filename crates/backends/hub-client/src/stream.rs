//! The client's end of a cycle: woken with all others, its halves in memory that the hub shares.
//!
//! The hub's clock leads; this end has none. What the hub writes is checked against what it told when it let the client in,
//! and a hub that contradicts itself is a lost device.

use barewire_device::{Below, Layout, Loss, Note, NoteKind, Period, Shape, Side, Stream, Wake};
use barewire_dsp::silence;
use barewire_rt::{Area, AreaMut, System, Wake as _, Waker};
use barewire_share::message::Attached;
use barewire_share::{
    Block, ClientEnd, Closed, Cycle, Gate, Page, PageReader, Served, unpack_told,
};
use barewire_types::{Error, ErrorKind, Half, Integrity, Latency, Ns, RateHz, Reason, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Kept back from the hub's deadline: the way of the answer.
const ANSWER_NS: Ns = 10_000;

/// The way to the hub beside the memory. Dropping it takes leave. Control threads, and `start` before the first wait.
pub trait Link: Send {
    /// Asks for cycles.
    ///
    /// # Errors
    /// The loss, if the hub gives none.
    fn start(&self) -> std::result::Result<(), Loss>;

    /// Asks for no more; returns when the hub has left the memory.
    fn stop(&self);
}

/// What a stream is made of.
pub struct Parts {
    /// What the hub has told.
    pub attached: Attached,
    /// Page, gate and segment.
    pub blocks: [Arc<Block>; 3],
    /// The device's name, for notes.
    pub device: String,
}

/// What others may do to a stream while it waits.
#[derive(Debug)]
pub struct Hand {
    end: ClientEnd,
    system: Arc<dyn System>,
    is_woken: AtomicBool,
    /// The hub does not answer any more.
    is_gone: AtomicBool,
    block_frames: u32,
}

impl Hand {
    fn ring(&self) {
        self.end.wakes().fetch_add(1, Ordering::Release);
        self.system.wake_shared(self.end.wakes());
    }

    /// The hub has gone.
    pub fn lose(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.ring();
    }
}

impl barewire_rt::Wake for Hand {
    fn wake(&self) {
        self.is_woken.store(true, Ordering::Release);
        self.ring();
    }
}

impl Below for Hand {
    fn integrity(&self) -> Option<(Integrity, Reason)> {
        if self.is_gone.load(Ordering::Acquire) || self.end.closed().is_some() {
            return None;
        }
        let told = self.end.told().filter(|told| *told != [0; 6])?;
        Some(unpack_told(told))
    }

    fn added_latency(&self) -> Latency {
        let is_later = self.end.served().0 == Served::Later;
        Latency { input_frames: 0, output_frames: if is_later { self.block_frames } else { 0 } }
    }
}

/// See the module.
pub struct HubStream {
    system: Arc<dyn System>,
    page: PageReader,
    gate: Gate,
    end: ClientEnd,
    hand: Arc<Hand>,
    link: Box<dyn Link>,
    shape: Shape,
    notes: Vec<Note>,
    running: bool,
    lost: Option<Loss>,
    /// The cycle that was looked at last.
    seen: u32,
    half: Half,
    /// Position of the hub's run at which this one began; `None` before its first block.
    base_frames: Option<u64>,
    expected_frames: u64,
    capture_left: u32,
    playback_left: u32,
}

impl HubStream {
    /// A stopped stream. Control thread.
    ///
    /// # Errors
    /// `Malfunction` if the hub contradicts itself or is of another version.
    pub fn new(
        parts: Parts,
        system: Arc<dyn System>,
        link: impl FnOnce(Arc<Hand>) -> Result<Box<dyn Link>>,
    ) -> Result<Self> {
        let Parts { attached, blocks: [page, gate, segment], device } = parts;
        let segment_shape = attached.shape()?;
        let wrong = || Error::new(ErrorKind::Malfunction, "the hub contradicts itself");
        let rate = RateHz::new(attached.rate_hz).ok_or_else(wrong)?;
        let end = ClientEnd::new(segment, segment_shape)?;
        let block_frames = segment_shape.block_frames;
        let side = |channels: u16| {
            let (format, layout) = (segment_shape.format, Layout::Planar);
            (channels > 0).then_some(Side { format, channels, layout })
        };
        let latency = Latency {
            input_frames: attached.input_latency_frames,
            output_frames: attached.output_latency_frames,
        };
        let shape = Shape {
            rate,
            capture: side(segment_shape.inputs),
            playback: side(segment_shape.outputs),
            period_frames: block_frames,
            max_period_frames: block_frames,
            steady: true,
            prefill_frames: latency.output_frames.saturating_add(block_frames),
            latency,
        };
        let hand = Arc::new(Hand {
            end: end.clone(),
            system: system.clone(),
            is_woken: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            block_frames,
        });
        let text = format!("{device} is shared by a hub");
        let mut notes = vec![Note { kind: NoteKind::Hint, text }];
        let further = |text| Note { kind: NoteKind::Hint, text };
        notes.extend(attached.notes.into_iter().map(further));
        Ok(Self {
            page: PageReader::new(Page::new(page)?)?,
            gate: Gate::new(gate)?,
            link: link(hand.clone())?,
            end,
            hand,
            system,
            shape,
            notes,
            running: false,
            lost: None,
            seen: 0,
            half: Half::Zero,
            base_frames: None,
            expected_frames: 0,
            capture_left: 0,
            playback_left: 0,
        })
    }

    fn lose(&mut self, loss: Loss) -> Wake {
        self.lost = Some(loss);
        self.running = false;
        Wake::Lost(loss)
    }

    /// Why there will be no more cycles, if so.
    fn loss(&self) -> Option<Loss> {
        if self.hand.is_gone.load(Ordering::Acquire) {
            return Some(Loss::Gone);
        }
        let closed = self.end.closed().or_else(|| self.page.closed())?;
        Some(match closed {
            Closed::Gone => Loss::Gone,
            Closed::Changed => Loss::Changed,
            Closed::PutOut => Loss::Taken,
        })
    }

    /// The cycle that this client was begun in and has not looked at yet.
    fn fresh(&self, number: u32) -> Option<(Cycle, Half)> {
        let (cycle, half) = self.end.begun();
        if cycle == self.seen || cycle != number {
            return None;
        }
        let told = self.page.read()?;
        (told.number == number).then_some((told, half))
    }

    fn take(&mut self, told: Cycle, half: Half) -> Wake {
        let block = self.shape.period_frames;
        if told.rate_hz != self.shape.rate.get() || told.block_frames != block {
            return self.lose(Loss::Changed);
        }
        let base = *self.base_frames.get_or_insert(told.position_frames);
        let expected = if base == told.position_frames { base } else { self.expected_frames };
        let (Some(missed), Some(end)) = (
            told.position_frames.checked_sub(expected),
            told.position_frames.checked_add(u64::from(block)),
        ) else {
            return self.lose(Loss::Failed);
        };
        self.seen = told.number;
        self.half = half;
        self.expected_frames = end;
        let has = |side: Option<Side>| if side.is_some() { block } else { 0 };
        self.capture_left = has(self.shape.capture);
        self.playback_left = has(self.shape.playback);
        if self.playback_left == 0 {
            self.answer();
        }
        Wake::Due(Period {
            capture_frames: self.capture_left,
            playback_frames: self.playback_left,
            position_frames: end - base,
            at_ns: told.at_ns,
            commit_by_ns: told.answer_by_ns.saturating_sub(ANSWER_NS).max(told.at_ns),
            missed_frames: u32::try_from(missed).unwrap_or(u32::MAX),
        })
    }

    fn answer(&self) {
        self.end.answer(self.seen, self.half, &self.gate, &*self.system);
    }

    /// What was not written is silence.
    fn complete(&mut self) {
        let left = std::mem::take(&mut self.playback_left);
        if left > 0 {
            let format = self.end.shape().format;
            let at = self.shape.period_frames - left;
            silence(format, self.end.outputs(self.half).part(at, left));
            self.answer();
        }
    }
}

impl Stream for HubStream {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn waker(&self) -> Waker {
        self.hand.clone()
    }

    fn notes(&self) -> Vec<Note> {
        self.notes.clone()
    }

    fn start(&mut self) -> std::result::Result<(), Loss> {
        if let Some(loss) = self.lost.or_else(|| self.loss()) {
            self.lost = Some(loss);
            return Err(loss);
        }
        self.seen = self.end.begun().0;
        self.base_frames = None;
        (self.capture_left, self.playback_left) = (0, 0);
        self.link.start().inspect_err(|&loss| self.lost = Some(loss))?;
        self.running = true;
        Ok(())
    }

    fn stop(&mut self) {
        if std::mem::take(&mut self.running) {
            self.complete();
            self.link.stop();
        }
    }

    fn wait(&mut self, until: Ns) -> Wake {
        if let Some(loss) = self.lost {
            return Wake::Lost(loss);
        }
        if !self.running {
            return Wake::Stopped;
        }
        self.complete();
        self.capture_left = 0;
        loop {
            if let Some(loss) = self.loss() {
                return self.lose(loss);
            }
            let wakes = self.end.wakes().load(Ordering::Acquire);
            if self.hand.is_woken.swap(false, Ordering::AcqRel) {
                return Wake::Idle;
            }
            let number = self.page.number();
            if let Some((told, half)) = self.fresh(number) {
                return self.take(told, half);
            }
            if self.system.now_ns() >= until {
                return Wake::Idle;
            }
            let words: [(&AtomicU32, u32); 2] =
                [(self.page.word(), number), (self.end.wakes(), wakes)];
            self.system.await_shared(&words, until);
        }
    }

    fn capture(&mut self) -> Area<'_> {
        let at = self.shape.period_frames - self.capture_left;
        if self.capture_left == 0 {
            return Area::EMPTY;
        }
        self.end.inputs(self.half).part(at, self.capture_left)
    }

    fn release(&mut self, frames: u32) {
        self.capture_left -= frames.min(self.capture_left);
    }

    fn playback(&mut self) -> AreaMut<'_> {
        let (left, at) = (self.playback_left, self.shape.period_frames - self.playback_left);
        if left == 0 {
            return AreaMut::EMPTY;
        }
        self.end.outputs(self.half).part(at, left)
    }

    fn commit(&mut self, frames: u32) {
        let frames = frames.min(self.playback_left);
        self.playback_left -= frames;
        if frames > 0 && self.playback_left == 0 {
            self.answer();
        }
    }

    fn below(&self) -> Option<Arc<dyn Below>> {
        Some(self.hand.clone())
    }
}

impl Drop for HubStream {
    fn drop(&mut self) {
        self.stop();
        self.hand.wake();
    }
}
