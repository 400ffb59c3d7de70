//! The ports of one connection as a stream.

use crate::client::Client;
use crate::turn::Turn;
use barewire_device::{Clockwork, Loss, Note, Period, Shape, Step, Stream, Wake};
use barewire_rt::{Area, AreaMut, Waker};
use barewire_types::{Ns, Result, frames_to_ns};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// An open connection with its ports.
pub(crate) struct JackStream {
    // Before `turn`: once it is closed, no callback uses `turn` any more.
    pub(crate) _client: Client,
    pub(crate) turn: Arc<Turn>,
    pub(crate) shape: Shape,
    pub(crate) notes: Vec<Note>,
    pub(crate) hands: Hands,
    pub(crate) works: Arc<Works>,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hands {
    running: bool,
    lost: Option<Loss>,
    /// The cycle that is being worked on.
    cycle: Option<u32>,
    missed: u64,
    at_ns: Ns,
    read: u32,
    written: u32,
    frames: u32,
}

impl JackStream {
    fn loss(&mut self) -> Option<Loss> {
        if self.turn.gone.load(Ordering::Acquire) {
            self.hands.lost = self.hands.lost.or(Some(Loss::Gone));
        } else if self.turn.changed.load(Ordering::Acquire) {
            self.hands.lost = self.hands.lost.or(Some(Loss::Changed));
        }
        self.hands.lost
    }

    fn due(&mut self) -> Option<Period> {
        let turn = &self.turn;
        let asked = turn.asked.load(Ordering::Acquire);
        if asked == turn.answered.load(Ordering::Acquire) {
            return None;
        }
        let missed = turn.missed.load(Ordering::Acquire);
        let newly = missed - self.hands.missed;
        let frames = turn.period_frames;
        self.hands.missed = missed;
        self.hands.cycle = Some(asked);
        (self.hands.read, self.hands.written, self.hands.frames) = (0, 0, frames);
        self.hands.at_ns = turn.at_ns.load(Ordering::Relaxed).max(self.hands.at_ns + 1);
        let side = |is_open: bool| if is_open { frames } else { 0 };
        Some(Period {
            capture_frames: side(self.shape.capture.is_some()),
            playback_frames: side(self.shape.playback.is_some()),
            position_frames: turn.position.load(Ordering::Acquire),
            at_ns: self.hands.at_ns,
            commit_by_ns: self.hands.at_ns + frames_to_ns(frames.into(), self.shape.rate),
            missed_frames: u32::try_from(newly).unwrap_or(u32::MAX),
        })
    }

    fn finish(&mut self) {
        if let Some(cycle) = self.hands.cycle.take()
            && self.turn.asked.load(Ordering::Acquire) == cycle
        {
            self.turn.answer(cycle);
        }
        self.hands.frames = 0;
    }
}

impl Stream for JackStream {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn waker(&self) -> Waker {
        self.turn.gate.clone()
    }

    fn notes(&self) -> Vec<Note> {
        self.notes.clone()
    }

    fn start(&mut self) -> std::result::Result<(), Loss> {
        if let Some(loss) = self.loss() {
            return Err(loss);
        }
        // The server's times are told in microseconds, and may so lie before the start.
        self.hands = Hands { running: true, at_ns: self.turn.system.now_ns(), ..Hands::default() };
        self.turn.begin();
        Ok(())
    }

    fn stop(&mut self) {
        self.hands.running = false;
        self.hands.cycle = None;
        self.hands.frames = 0;
        self.turn.end();
    }

    fn wait(&mut self, until: Ns) -> Wake {
        if let Some(loss) = self.hands.lost {
            return Wake::Lost(loss);
        }
        if !self.hands.running {
            return Wake::Stopped;
        }
        self.finish();
        loop {
            if let Some(loss) = self.loss() {
                return Wake::Lost(loss);
            }
            if let Some(period) = self.due() {
                return Wake::Due(period);
            }
            if self.turn.gate.take_pending() {
                // Of a cycle that came meanwhile, or of a waker.
                return self.due().map_or(Wake::Idle, Wake::Due);
            }
            if self.turn.system.now_ns() >= until {
                return Wake::Idle;
            }
            if self.turn.gate.await_wake(until) == barewire_rt::Woken::Word {
                return match (self.loss(), self.due()) {
                    (Some(loss), _) => Wake::Lost(loss),
                    (None, Some(period)) => Wake::Due(period),
                    (None, None) => Wake::Idle,
                };
            }
        }
    }

    fn capture(&mut self) -> Area<'_> {
        if self.shape.capture.is_none() || self.hands.frames == 0 {
            return Area::EMPTY;
        }
        let (read, left) = (self.hands.read, self.hands.frames - self.hands.read);
        self.turn.capture.area(size_of::<f32>(), self.hands.frames).part(read, left)
    }

    fn release(&mut self, frames: u32) {
        self.hands.read += frames.min(self.hands.frames - self.hands.read);
    }

    fn playback(&mut self) -> AreaMut<'_> {
        if self.shape.playback.is_none() || self.hands.frames == 0 {
            return AreaMut::EMPTY;
        }
        let (written, frames) = (self.hands.written, self.hands.frames);
        let memory = &self.turn.playback;
        let step = (memory.plane(1) as usize).saturating_sub(memory.plane(0) as usize);
        let channels = self.turn.playback_ports.len();
        // SAFETY: each plane holds a period of floats, which are this cycle's until it is answered; planes lie equally
        // far apart, and with one channel the distance is not used.
        let all =
            unsafe { AreaMut::planes(memory.plane(0), channels, step, size_of::<f32>(), frames) };
        all.part(written, frames - written)
    }

    fn commit(&mut self, frames: u32) {
        self.hands.written += frames.min(self.hands.frames - self.hands.written);
    }

    fn clockwork(&self) -> Option<Arc<dyn Clockwork>> {
        let works = self.works.clone();
        (self.hands.running && self.hands.lost.is_none()).then_some(works as Arc<dyn Clockwork>)
    }
}

impl Drop for JackStream {
    fn drop(&mut self) {
        self.turn.end();
    }
}

/// libjack's thread as the one that runs the cycle.
pub(crate) struct Works(pub(crate) Arc<Turn>);

impl Clockwork for Works {
    fn run(&self, step: Step) -> Result<()> {
        drop(self.0.exchange_step(Some(step)));
        self.0.step_now();
        Ok(())
    }

    fn end(&self, until: Ns) -> Option<Step> {
        self.0.take_step(until)
    }
}
