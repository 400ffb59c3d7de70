//! A stream that does not die: when the device is late, lost or being exchanged, silence goes on from the timer.
//!
//! The old stream goes through a mailbox to the keeper, to be closed there; a new one of the same shape takes over.
//! Its rate may be another: that is how the rate is changed while a client plays.

use crate::telemetry::{EngineEvent, EventKind, Telemetry};
use barewire_device::{Clockwork, Loss, Note, Period, Shape, Side, Stream, Wake};
use barewire_rt::{Area, AreaMut, Gate, Mailbox, System, Wake as _, Waker};
use barewire_types::{Ns, RateHz, frames_to_ns};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A stream that came from the keeper or goes there. Boxed twice: a mailbox passes thin pointers.
type Parcel = Box<Box<dyn Stream>>;

/// How late a period may be before the timer takes over, in periods.
const PATIENCE_PERIODS: u64 = 2;

struct Shared {
    fresh: Mailbox<Box<dyn Stream>>,
    dead: Mailbox<Box<dyn Stream>>,
    swap: AtomicBool,
    /// The rate of the stream in use or, while there is none, of the timer.
    rate_hz: AtomicU32,
    lost: AtomicBool,
    /// A stop puts the stream away, so that other programs can have the device.
    lets_go: AtomicBool,
    keeper: Arc<Gate>,
    own: Arc<Gate>,
    /// The wakers of the stream in use and of those offered. Control threads alone touch it; a waker outlives its stream
    /// and is harmless then.
    wakers: Mutex<Vec<Waker>>,
}

/// The keeper's end.
#[derive(Clone)]
pub struct FallbackControl {
    shared: Arc<Shared>,
    shape: Shape,
}

fn fits(own: &Shape, other: &Shape) -> bool {
    Shape { rate: own.rate, latency: own.latency, ..*other } == *own
}

impl FallbackControl {
    /// Waits until the device is lost or handed out, at most until `until`; true if there may be something to do.
    pub fn await_news(&self, until: Ns) -> bool {
        self.shared.keeper.await_wake(until) == barewire_rt::Woken::Word
    }

    /// Ends the current or next [`await_news`](Self::await_news).
    pub fn wake_keeper(&self) {
        self.shared.keeper.wake();
    }

    /// The stream that is out of use, to be closed.
    pub fn take_dead(&self) -> Option<Box<dyn Stream>> {
        self.shared.dead.take().map(|parcel| *parcel)
    }

    /// Whether the device is lost and nothing has taken over yet.
    pub fn is_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Acquire)
    }

    /// Asks for the stream in use to be handed out, so that the device can be opened at `rate`; silence goes on at that
    /// rate meanwhile.
    pub fn request_swap(&self, rate: RateHz) {
        self.shared.rate_hz.store(rate.get(), Ordering::Release);
        self.shared.swap.store(true, Ordering::Release);
        self.wake_stream();
    }

    /// Whether a stop puts the stream away, to be closed; before the next start another one has to be offered.
    pub fn let_go_on_stop(&self, lets_go: bool) {
        self.shared.lets_go.store(lets_go, Ordering::Release);
    }

    /// Lets `stream`, which is stopped and has the same shape but perhaps another rate, take over.
    ///
    /// # Errors
    /// Gives it back if another one is waiting already.
    pub fn offer(&self, stream: Box<dyn Stream>) -> Result<(), Box<dyn Stream>> {
        /// The stream in use, the one before it that may not have left yet, and the one offered.
        const KEPT: usize = 3;
        let waker = stream.waker();
        self.shared.fresh.offer(Box::new(stream)).map_err(|parcel| *parcel)?;
        let mut wakers = self.shared.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.push(waker);
        let surplus = wakers.len().saturating_sub(KEPT);
        wakers.drain(..surplus);
        drop(wakers);
        self.wake_stream();
        Ok(())
    }

    /// Whether a stream waits to be taken over.
    pub fn has_offer(&self) -> bool {
        !self.shared.fresh.is_empty()
    }

    /// Whether a stream of this shape could take over: everything but rate and latency is the same.
    pub fn fits(&self, shape: &Shape) -> bool {
        fits(&self.shape, shape)
    }

    /// Takes back what was offered and not taken.
    pub fn take_back(&self) -> Option<Box<dyn Stream>> {
        self.shared.fresh.take().map(|parcel| *parcel)
    }

    fn wake_stream(&self) {
        Relay(self.shared.clone()).wake();
    }
}

/// Wakes the stream in use and the timer, whichever is waited on.
struct Relay(Arc<Shared>);

impl barewire_rt::Wake for Relay {
    fn wake(&self) {
        self.0.own.wake();
        // Copied out: nothing is held while others are woken.
        let wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        wakers.iter().for_each(|waker| waker.wake());
    }
}

/// See the module.
pub struct Fallback {
    system: Arc<dyn System>,
    telemetry: Arc<Telemetry>,
    events: Option<barewire_rt::EventWriter<EngineEvent>>,
    shared: Arc<Shared>,
    inner: Option<Parcel>,
    /// A dead stream that the keeper has not made room for yet.
    leaving: Option<Parcel>,
    shape: Shape,
    running: bool,
    /// The timer's own memory: silence to be captured, and where played frames vanish.
    silence: Vec<u8>,
    void: Vec<u8>,
    /// Frames of the timer's current period.
    capture_left: u32,
    playback_left: u32,
    ticking: bool,
    /// What the timer has stood in for since the device's latest period.
    ticked_frames: u64,
    position: u64,
    /// When the device, or the timer, was at `position`.
    at_ns: Ns,
}

impl Fallback {
    /// Wraps a stopped stream. Control thread.
    pub fn new(
        stream: Box<dyn Stream>,
        system: Arc<dyn System>,
        telemetry: Arc<Telemetry>,
        events: barewire_rt::EventWriter<EngineEvent>,
    ) -> (Self, FallbackControl) {
        let shape = stream.shape();
        let shared = Arc::new(Shared {
            fresh: Mailbox::new(),
            dead: Mailbox::new(),
            swap: AtomicBool::new(false),
            rate_hz: AtomicU32::new(shape.rate.get()),
            lost: AtomicBool::new(false),
            lets_go: AtomicBool::new(false),
            keeper: Gate::new(system.clone()),
            own: Gate::new(system.clone()),
            wakers: Mutex::new(vec![stream.waker()]),
        });
        let bytes = |side: Option<Side>| {
            side.map_or(0, |side| {
                usize::from(side.channels) * side.format.bytes() * shape.max_period_frames as usize
            })
        };
        let byte = shape.capture.map_or(0, |side| side.format.silence_byte());
        let fallback = Self {
            system,
            telemetry,
            events: Some(events),
            shared: shared.clone(),
            inner: Some(Box::new(stream)),
            leaving: None,
            shape,
            running: false,
            silence: vec![byte; bytes(shape.capture)],
            void: vec![0; bytes(shape.playback)],
            capture_left: 0,
            playback_left: 0,
            ticking: false,
            ticked_frames: 0,
            position: 0,
            at_ns: 0,
        };
        (fallback, FallbackControl { shared, shape })
    }

    fn period_ns(&self) -> Ns {
        frames_to_ns(u64::from(self.shape.period_frames), self.shape.rate)
    }

    fn tell(&mut self, kind: EventKind) {
        let event =
            EngineEvent { kind, client: None, position_frames: self.position, at_ns: self.at_ns };
        if let Some(events) = &mut self.events {
            events.push(event);
        }
    }

    /// Puts the stream in use away. The keeper closes it.
    fn retire(&mut self) {
        if let Some(mut stream) = self.inner.take() {
            stream.stop();
            // `leaving` is empty: a stream is only taken in when it is.
            self.leaving = Some(stream);
        }
        self.capture_left = 0;
        self.playback_left = 0;
        self.send_away();
    }

    fn send_away(&mut self) {
        if let Some(parcel) = self.leaving.take() {
            match self.shared.dead.offer(parcel) {
                Ok(()) => self.shared.keeper.wake(),
                Err(parcel) => self.leaving = Some(parcel),
            }
        }
    }

    fn lose(&mut self, loss: Loss) {
        self.telemetry.count_loss();
        self.tell(EventKind::Lost(loss));
        self.shared.lost.store(true, Ordering::Release);
        self.ticking = true;
        self.retire();
        self.shared.keeper.wake();
    }

    /// Takes in a stream that the keeper has opened.
    fn take_over(&mut self) {
        if self.inner.is_some() || self.leaving.is_some() {
            return;
        }
        let Some(mut stream) = self.shared.fresh.take() else { return };
        let shape = stream.shape();
        if !fits(&self.shape, &shape) || stream.start().is_err() {
            self.leaving = Some(stream);
            self.send_away();
            self.shared.keeper.wake();
            return;
        }
        self.shape = shape;
        self.shared.rate_hz.store(shape.rate.get(), Ordering::Release);
        self.inner = Some(stream);
        self.shared.lost.store(false, Ordering::Release);
        self.ticking = false;
        self.ticked_frames = 0;
        self.at_ns = self.system.now_ns();
        self.tell(EventKind::TakenOver);
    }

    /// What was opened since the last stop put the stream away: it is at the rate that was wanted last.
    fn take_in_before_start(&mut self) {
        self.send_away();
        if self.inner.is_some() || self.leaving.is_some() {
            return;
        }
        let Some(stream) = self.shared.fresh.take() else { return };
        self.shape =
            Shape { rate: stream.shape().rate, latency: stream.shape().latency, ..self.shape };
        self.shared.rate_hz.store(self.shape.rate.get(), Ordering::Release);
        self.shared.swap.store(false, Ordering::Release);
        self.shared.lost.store(false, Ordering::Release);
        self.inner = Some(stream);
    }

    /// Hands a period of the device on, with positions that go on from the timer's.
    fn pass_on(&mut self, mut period: Period) -> Wake {
        let frames = period.capture_frames.max(period.playback_frames);
        // What the device missed while the timer stood in has been counted.
        let ticked = u32::try_from(std::mem::take(&mut self.ticked_frames)).unwrap_or(u32::MAX);
        period.missed_frames = period.missed_frames.saturating_sub(ticked);
        self.position += u64::from(frames) + u64::from(period.missed_frames);
        self.at_ns = period.at_ns.max(self.at_ns + 1);
        if self.ticking {
            self.ticking = false;
            self.tell(EventKind::TakenOver);
        }
        period.position_frames = self.position;
        period.at_ns = self.at_ns;
        Wake::Due(period)
    }

    /// When the timer's next period is due: at once after the last one, but `PATIENCE_PERIODS` later while the device
    /// still has a chance.
    fn tick_due(&self) -> Ns {
        let patience = if self.ticking { 0 } else { PATIENCE_PERIODS };
        self.at_ns + self.period_ns() * (1 + patience)
    }

    fn tick(&mut self) -> Wake {
        if !self.ticking {
            self.ticking = true;
            self.telemetry.count_loss();
            self.tell(EventKind::Stalled);
        }
        let frames = self.shape.period_frames;
        let now = self.system.now_ns();
        self.position += u64::from(frames);
        self.ticked_frames += u64::from(frames);
        // After a stall the timer does not hurry to make up for it.
        self.at_ns = (self.at_ns + self.period_ns()).max(now.saturating_sub(self.period_ns()));
        self.capture_left = if self.shape.capture.is_some() { frames } else { 0 };
        self.playback_left = if self.shape.playback.is_some() { frames } else { 0 };
        Wake::Due(Period {
            capture_frames: self.capture_left,
            playback_frames: self.playback_left,
            position_frames: self.position,
            at_ns: self.at_ns,
            commit_by_ns: self.at_ns + self.period_ns(),
            missed_frames: 0,
        })
    }

    /// Whether the current period is the timer's, so that its own memory is lent.
    fn is_own(&self) -> bool {
        self.capture_left > 0 || self.playback_left > 0 || self.inner.is_none()
    }
}

impl Stream for Fallback {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn waker(&self) -> Waker {
        Arc::new(Relay(self.shared.clone()))
    }

    fn notes(&self) -> Vec<Note> {
        self.inner.as_ref().map_or_else(Vec::new, |stream| stream.notes())
    }

    fn start(&mut self) -> Result<(), Loss> {
        self.position = 0;
        self.ticking = false;
        self.ticked_frames = 0;
        self.running = true;
        self.capture_left = 0;
        self.playback_left = 0;
        self.take_in_before_start();
        if let Some(stream) = &mut self.inner {
            let started = stream.start();
            self.at_ns = self.system.now_ns();
            return started.inspect_err(|_| self.running = false);
        }
        self.at_ns = self.system.now_ns();
        self.ticking = true;
        Ok(())
    }

    fn stop(&mut self) {
        self.running = false;
        if self.shared.lets_go.load(Ordering::Acquire) {
            self.retire();
        } else if let Some(stream) = &mut self.inner {
            stream.stop();
        }
    }

    fn wait(&mut self, until: Ns) -> Wake {
        if !self.running {
            return Wake::Stopped;
        }
        self.capture_left = 0;
        self.playback_left = 0;
        self.send_away();
        if self.shared.swap.swap(false, Ordering::AcqRel) {
            self.shape.rate =
                RateHz::new(self.shared.rate_hz.load(Ordering::Acquire)).unwrap_or(self.shape.rate);
            self.ticking = true;
            self.retire();
        }
        self.take_over();
        let due = self.tick_due();
        let Some(stream) = &mut self.inner else {
            if self.system.now_ns() < due {
                let woken = self.shared.own.sleep(due.min(until));
                if woken == barewire_rt::Woken::Word || until < due {
                    return Wake::Idle;
                }
            }
            return self.tick();
        };
        match stream.wait(due.min(until)) {
            Wake::Due(period) => self.pass_on(period),
            Wake::Lost(loss) => {
                self.lose(loss);
                Wake::Idle
            }
            Wake::Stopped => Wake::Stopped,
            Wake::Idle if self.system.now_ns() >= due => self.tick(),
            Wake::Idle => Wake::Idle,
        }
    }

    fn capture(&mut self) -> Area<'_> {
        if self.is_own() {
            let left = self.capture_left;
            return self.shape.capture.map_or(Area::EMPTY, |side| {
                Area::from_slice(&self.silence, usize::from(side.channels), side.format.bytes())
                    .part(0, left)
            });
        }
        self.inner.as_mut().map_or(Area::EMPTY, |stream| stream.capture())
    }

    fn release(&mut self, frames: u32) {
        if self.is_own() {
            self.capture_left -= frames.min(self.capture_left);
        } else if let Some(stream) = &mut self.inner {
            stream.release(frames);
        }
    }

    fn playback(&mut self) -> AreaMut<'_> {
        if self.is_own() {
            let left = self.playback_left;
            return match self.shape.playback {
                None => AreaMut::EMPTY,
                Some(side) => {
                    let channels = usize::from(side.channels);
                    AreaMut::from_slice(&mut self.void, channels, side.format.bytes()).part(0, left)
                }
            };
        }
        self.inner.as_mut().map_or(AreaMut::EMPTY, |stream| stream.playback())
    }

    fn commit(&mut self, frames: u32) {
        if self.is_own() {
            self.playback_left -= frames.min(self.playback_left);
        } else if let Some(stream) = &mut self.inner {
            stream.commit(frames);
        }
    }

    /// Only while the device is there and in time: the timer needs a thread of our own.
    fn clockwork(&self) -> Option<Arc<dyn Clockwork>> {
        let stream = self.inner.as_ref().filter(|_| self.running && !self.ticking)?;
        stream.clockwork()
    }
}
