//! The handing over between libjack's thread and whoever runs the cycle.
//!
//! libjack's thread copies what was captured into memory of ours, *asks*, waits for the *answer* within a bound, and
//! copies what is to be played out. The cycle is either a step that libjack's own thread calls, or our device thread, which is
//! woken for it. The server's memory is touched by libjack's thread alone, so that a late cycle harms nobody.

use crate::client::Client;
use crate::library::RawPort;
use barewire_device::Step;
use barewire_rt::{Gate, LentMemory, System, Wake as _};
use barewire_types::{Ns, RateHz, frames_to_ns, ns_to_frames};
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// How long a cycle is waited for, in periods; the server gives its clients half a second before it drops them.
const PATIENCE_PERIODS: u64 = 2;
const LONGEST_PATIENCE_NS: Ns = 200_000_000;

/// What both threads see. Samples lie in `capture` and `playback`, one plane a channel; they belong to the cycle from
/// `asked` to `answered`, and to libjack's thread otherwise.
pub(crate) struct Turn {
    pub(crate) system: Arc<dyn System>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) rate: RateHz,
    pub(crate) period_frames: u32,
    pub(crate) capture: LentMemory,
    pub(crate) playback: LentMemory,
    pub(crate) capture_ports: Vec<Port>,
    pub(crate) playback_ports: Vec<Port>,
    pub(crate) running: AtomicBool,
    pub(crate) gone: AtomicBool,
    pub(crate) changed: AtomicBool,
    pub(crate) asked: AtomicU32,
    pub(crate) answered: AtomicU32,
    /// Frames of all cycles since the start, the one asked included.
    pub(crate) position: AtomicU64,
    /// Frames lost since the start, before the cycle asked.
    pub(crate) missed: AtomicU64,
    pub(crate) at_ns: AtomicU64,
    /// What the server's count of frames says when the next cycle begins, if nothing is lost.
    next_frame: AtomicU32,
    /// The earliest moment at which the last cycle could have been called.
    schedule_ns: AtomicU64,
    /// Xruns that the server told of and that were not looked into yet.
    pub(crate) notices: AtomicU32,
    /// Frames told as lost which the server's count has not jumped over yet.
    owed: AtomicU32,
    restart: AtomicBool,
    /// `System::now_ns` minus libjack's time.
    pub(crate) clock_offset_ns: AtomicI64,
    /// The step that libjack's thread calls; null if our own thread runs the cycle.
    step: AtomicPtr<Step>,
    in_step: AtomicBool,
    client: AtomicPtr<c_void>,
    cycle_times: CycleTimes,
    port_buffer: unsafe extern "C" fn(RawPort, u32) -> *mut c_void,
}

type CycleTimes =
    unsafe extern "C" fn(*mut c_void, *mut u32, *mut u64, *mut u64, *mut f32) -> c_int;

/// A port of ours.
#[derive(Clone, Copy)]
pub(crate) struct Port(pub(crate) RawPort);

// SAFETY: a handle that libjack lets every thread use.
unsafe impl Send for Port {}
// SAFETY: as above.
unsafe impl Sync for Port {}

impl Turn {
    pub(crate) fn new(
        system: &Arc<dyn System>,
        client: &Client,
        rate: RateHz,
        memory: (LentMemory, LentMemory),
        ports: (Vec<Port>, Vec<Port>),
    ) -> Self {
        Self {
            system: system.clone(),
            gate: Gate::new(system.clone()),
            rate,
            period_frames: client.period_frames(),
            capture: memory.0,
            playback: memory.1,
            capture_ports: ports.0,
            playback_ports: ports.1,
            running: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            asked: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            position: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            at_ns: AtomicU64::new(0),
            next_frame: AtomicU32::new(0),
            schedule_ns: AtomicU64::new(0),
            notices: AtomicU32::new(0),
            owed: AtomicU32::new(0),
            restart: AtomicBool::new(true),
            clock_offset_ns: AtomicI64::new(0),
            step: AtomicPtr::new(ptr::null_mut()),
            in_step: AtomicBool::new(false),
            client: AtomicPtr::new(client.raw),
            cycle_times: client.jack.cycle_times,
            port_buffer: client.jack.port_buffer,
        }
    }

    /// Begins a run at position 0. Control thread, while nothing runs.
    pub(crate) fn begin(&self) {
        self.position.store(0, Ordering::Relaxed);
        self.missed.store(0, Ordering::Relaxed);
        self.answered.store(self.asked.load(Ordering::Acquire), Ordering::Release);
        self.restart.store(true, Ordering::Release);
        self.running.store(true, Ordering::Release);
    }

    /// No cycle is asked any more.
    pub(crate) fn end(&self) {
        self.running.store(false, Ordering::Release);
        self.answer(self.asked.load(Ordering::Acquire));
    }

    /// The cycle is done: what lies in `playback` may go out.
    pub(crate) fn answer(&self, cycle: u32) {
        self.answered.store(cycle, Ordering::Release);
        self.system.wake(&self.answered);
    }

    /// Lets libjack's thread call `step`; gives back what it was before.
    pub(crate) fn exchange_step(&self, step: Option<Step>) -> Option<Step> {
        let fresh = step.map_or(ptr::null_mut(), |step| Box::into_raw(Box::new(step)));
        let old = self.step.swap(fresh, Ordering::AcqRel);
        // SAFETY: made by `Box::into_raw` above, and taken out of the only place that had it.
        (!old.is_null()).then(|| *unsafe { Box::from_raw(old) })
    }

    /// Takes the step back once libjack's thread has left it; `None` if it does not before `until`.
    pub(crate) fn take_step(&self, until: Ns) -> Option<Step> {
        let nobody = AtomicU32::new(0);
        loop {
            // Whoever sets `in_step` first owns the step for that moment.
            if !self.in_step.swap(true, Ordering::AcqRel) {
                let step = self.exchange_step(None);
                self.in_step.store(false, Ordering::Release);
                return step;
            }
            let now = self.system.now_ns();
            if now >= until {
                return None;
            }
            self.system.sleep(&nobody, 0, (now + 200_000).min(until));
        }
    }

    fn silence(&self, frames: u32) {
        for port in &self.playback_ports {
            // SAFETY: asked within the process callback, for as many frames as it was called with.
            let to = unsafe { (self.port_buffer)(port.0, frames) }.cast::<f32>();
            if !to.is_null() {
                // SAFETY: the server lends `frames` floats for this cycle.
                unsafe { to.write_bytes(0, frames as usize) };
            }
        }
    }

    fn fetch(&self, frames: u32) {
        for (n, port) in self.capture_ports.iter().enumerate() {
            // SAFETY: asked within the process callback, for as many frames as it was called with.
            let from = unsafe { (self.port_buffer)(port.0, frames) }.cast::<f32>();
            let to = self.capture.plane(n).cast::<f32>();
            if !from.is_null() {
                // SAFETY: both hold `frames` floats, which nobody else uses in this cycle.
                unsafe { ptr::copy_nonoverlapping(from, to, frames as usize) };
            }
        }
    }

    fn deliver(&self, frames: u32) {
        for (n, port) in self.playback_ports.iter().enumerate() {
            // SAFETY: asked within the process callback, for as many frames as it was called with.
            let to = unsafe { (self.port_buffer)(port.0, frames) }.cast::<f32>();
            let from = self.playback.plane(n).cast::<f32>();
            if !to.is_null() {
                // SAFETY: both hold `frames` floats, which nobody else uses in this cycle.
                unsafe { ptr::copy_nonoverlapping(from, to, frames as usize) };
            }
        }
    }

    /// When this cycle began, and what was lost before it.
    ///
    /// What the server skips of its own accord it adds to its count of frames, exactly, in the cycle after. It does not when it
    /// was itself kept from running (JACK2 1.9.21, dummy driver, suspended for 120 ms): then only the notice of an xrun comes,
    /// some cycles later and on another thread, and the clock tells how long it was. Notices come also where the server was
    /// late by less than a period, which costs nothing.
    fn observe(&self, frames: u32) {
        let (mut frame, mut now_us, mut next_us, mut period_us) = (0, 0, 0, 0.0);
        let client = self.client.load(Ordering::Relaxed);
        // SAFETY: within the process callback of this client; all places are ours.
        let told = unsafe {
            (self.cycle_times)(
                client,
                &raw mut frame,
                &raw mut now_us,
                &raw mut next_us,
                &raw mut period_us,
            )
        };
        let is_told = told == 0 && now_us > 0;
        let offset = self.clock_offset_ns.load(Ordering::Relaxed);
        let now = self.system.now_ns();
        // The server's time is filtered, and may so lie some microseconds ahead.
        let at = (now_us * 1000).saturating_add_signed(offset).min(now);
        self.at_ns.store(if is_told { at } else { now }, Ordering::Relaxed);
        let expected = self.next_frame.swap(frame.wrapping_add(frames), Ordering::Relaxed);
        // More than half the range is a step back: a server that counts anew.
        let jump =
            Some(frame.wrapping_sub(expected)).filter(|&jump| is_told && jump <= u32::MAX / 2);
        if self.restart.swap(false, Ordering::AcqRel) {
            self.owed.store(0, Ordering::Relaxed);
            self.schedule_ns.store(now, Ordering::Relaxed);
            self.notices.store(0, Ordering::Relaxed);
            return;
        }
        let jump = jump.unwrap_or(0);
        // A cycle that we gave up was told as lost then.
        let owed = self.owed.load(Ordering::Relaxed).min(jump);
        self.owed.fetch_sub(owed, Ordering::Relaxed);
        let late = self.behind(now, frames + jump);
        self.lose(u64::from(jump - owed) + late);
    }

    /// Frames by which the cycle that begins `now`, `frames` after the one before, lies behind the earliest moment at which it
    /// could have come, if the server has told of an xrun; 0 if that is less than a cycle, or without a word of the server's:
    /// a thread that merely was woken late makes up for it.
    fn behind(&self, now: Ns, frames: u32) -> u64 {
        /// How fast the earliest moment follows a server whose clock is slower than ours.
        const LEAK: u64 = 256;
        let period_ns = frames_to_ns(self.period_frames.into(), self.rate);
        let due = self.schedule_ns.load(Ordering::Relaxed) + frames_to_ns(frames.into(), self.rate);
        let late_ns = now.saturating_sub(due);
        if late_ns < period_ns {
            self.schedule_ns.store(due.min(now) + late_ns / LEAK, Ordering::Relaxed);
            self.notices.store(0, Ordering::Relaxed);
            return 0;
        }
        if self.notices.swap(0, Ordering::AcqRel) == 0 {
            self.schedule_ns.store(due, Ordering::Relaxed);
            return 0;
        }
        let late = ns_to_frames(late_ns, self.rate);
        self.schedule_ns.store(due + frames_to_ns(late, self.rate), Ordering::Relaxed);
        late
    }

    fn lose(&self, frames: u64) {
        if frames == 0 {
            return;
        }
        self.position.fetch_add(frames, Ordering::Relaxed);
        self.missed.fetch_add(frames, Ordering::Release);
    }

    /// One cycle, on libjack's thread.
    pub(crate) fn process(&self, frames: u32) {
        self.observe(frames);
        if !self.running.load(Ordering::Acquire)
            || frames != self.period_frames
            || self.changed.load(Ordering::Acquire)
        {
            self.silence(frames);
            return;
        }
        let asked = self.asked.load(Ordering::Relaxed);
        if self.answered.load(Ordering::Acquire) != asked {
            // The cycle before is still being worked on, and has the memory.
            self.silence(frames);
            self.lose(frames.into());
            return;
        }
        self.fetch(frames);
        for n in 0..self.playback_ports.len() {
            // SAFETY: the plane holds `frames` floats, and no cycle has it.
            unsafe { self.playback.plane(n).cast::<f32>().write_bytes(0, frames as usize) };
        }
        self.position.fetch_add(frames.into(), Ordering::Relaxed);
        let cycle = asked.wrapping_add(1);
        self.asked.store(cycle, Ordering::Release);
        if !self.call_step(cycle) {
            self.gate.wake();
            let period_ns = frames_to_ns(frames.into(), self.rate);
            let patience = (period_ns * PATIENCE_PERIODS).min(LONGEST_PATIENCE_NS);
            let until = self.system.now_ns() + patience;
            while self.answered.load(Ordering::Acquire) == asked && self.system.now_ns() < until {
                self.system.await_word(&self.answered, asked, until);
            }
        }
        if self.answered.load(Ordering::Acquire) == cycle {
            self.deliver(frames);
        } else {
            // Whatever is written now will not be heard.
            self.silence(frames);
            self.owed.fetch_add(frames, Ordering::Relaxed);
            self.lose(frames.into());
        }
    }

    /// Lets the step work on a cycle that was asked before it was there, so that libjack's thread does not wait for anybody
    /// else. Control thread.
    pub(crate) fn step_now(&self) {
        let asked = self.asked.load(Ordering::Acquire);
        if asked != self.answered.load(Ordering::Acquire) {
            self.call_step(asked);
        }
    }

    /// Runs the step, if there is one.
    fn call_step(&self, cycle: u32) -> bool {
        if self.step.load(Ordering::Acquire).is_null() || self.in_step.swap(true, Ordering::AcqRel)
        {
            return false;
        }
        let step = self.step.load(Ordering::Acquire);
        let ran = !step.is_null();
        if ran {
            // SAFETY: not null, and `in_step` keeps everybody else from it.
            let again = catch_unwind(AssertUnwindSafe(|| unsafe { (*step)() })).unwrap_or(false);
            if !again {
                self.running.store(false, Ordering::Release);
            }
            self.answer(cycle);
        }
        self.in_step.store(false, Ordering::Release);
        ran
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.exchange_step(None));
    }
}
