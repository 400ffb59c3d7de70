//! The one simulated machine of a process, and how its time passes: as the clock does, or *in lock step*, where it goes on
//! when the client above has done what it has to, so that no load on the machine is seen in what is played.

use crate::model::stream::Sink;
use crate::model::wave::Wave;
use crate::model::{Hresult, Ns, World};
use crate::scenarios;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Duration;
use windows::Win32::Foundation::HANDLE;
use windows::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};
use windows::Win32::System::Threading::SetEvent;

/// Which devices: names with commas.
const DEVICES: &str = "BAREWIRE_SIMULATED";
/// `lock` or `real`.
const PACE: &str = "BAREWIRE_SIMULATED_PACE";
/// The folder for what is played: `NAME.NUMBER.RATE.CHANNELS.BITS.VALID.raw`, one file for each start.
const FOLDER: &str = "BAREWIRE_SIMULATED_FOLDER";

/// In lock step the device's time lies so far ahead, that the client never takes itself for late.
const AHEAD_NS: Ns = 1_000_000_000_000;
/// In lock step, how long a client may do nothing before time goes on as far as nothing is lost.
const IDLE: Duration = Duration::from_millis(4);

/// The machine.
pub(crate) struct Machine {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    world: World,
    is_locked: bool,
    /// The time in lock step.
    now: Ns,
    /// Counts calls, so that the watch knows whether anybody does anything.
    calls: u64,
    has_watch: bool,
}

fn counter_ns() -> Ns {
    let (mut count, mut frequency) = (0, 0);
    // SAFETY: both write one integer of ours.
    unsafe {
        let _ = QueryPerformanceCounter(&raw mut count);
        let _ = QueryPerformanceFrequency(&raw mut frequency);
    }
    let (count, frequency) = (count.unsigned_abs(), frequency.unsigned_abs().max(1));
    count / frequency * 1_000_000_000 + count % frequency * 1_000_000_000 / frequency
}

/// The machine of this process, made from the environment at the first call.
pub(crate) fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let devices = std::env::var(DEVICES).unwrap_or_default();
        let mut world = World::new(scenarios::endpoints(&devices).expect("names of devices"));
        if let Ok(folder) = std::env::var(FOLDER) {
            let mut number = 0;
            world.sink = Some(Box::new(move |spec, wave| {
                number += 1;
                Some(sink(&folder, &spec.name, number, wave))
            }));
        }
        let is_locked = std::env::var(PACE).is_ok_and(|pace| pace == "lock");
        let now = counter_ns() + AHEAD_NS;
        let state = State { world, is_locked, now, calls: 0, has_watch: false };
        Machine { state: Mutex::new(state), changed: Condvar::new() }
    })
}

fn sink(folder: &str, name: &str, number: u32, wave: &Wave) -> Sink {
    let Wave { rate, channels, container, valid, .. } = wave;
    let path = format!("{folder}\\{name}.{number:05}.{rate}.{channels}.{container}.{valid}.raw");
    let mut file = BufWriter::new(File::create(path).expect("a file for what is played"));
    Box::new(move |bytes| file.write_all(bytes).expect("room for what is played"))
}

impl State {
    fn time(&self) -> Ns {
        if self.is_locked { self.now } else { counter_ns() }
    }

    /// Tells the client of events.
    fn tell(&mut self) {
        for event in self.world.set.drain(..) {
            let handle = HANDLE(std::ptr::with_exposed_provenance_mut(event));
            // SAFETY: a handle that the client gave. Nothing can be done if it was closed.
            let _ = unsafe { SetEvent(handle) };
        }
    }

    /// In lock step: goes on until somebody is told something, who plays first, or somebody has to do something first.
    fn step(&mut self) {
        while self.is_locked
            && (self.world.set.is_empty() || self.world.is_about_to_ask())
            && let Some(next) = self.world.next_safe_ns()
        {
            self.now = self.now.max(next);
            self.world.advance(self.now);
        }
    }
}

impl Machine {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Does something with the machine at its present time.
    pub(crate) fn with<T>(&'static self, body: impl FnOnce(&mut World, Ns) -> T) -> T {
        let mut state = self.state();
        let now = state.time();
        let result = body(&mut state.world, now);
        state.calls += 1;
        state.tell();
        result
    }

    /// As [`with`](Self::with); afterwards, in lock step, time goes on.
    pub(crate) fn go_on<T>(
        &'static self,
        body: impl FnOnce(&mut World, Ns) -> Result<T, Hresult>,
    ) -> Result<T, Hresult> {
        let mut state = self.state();
        let now = state.time();
        let result = body(&mut state.world, now);
        state.calls += 1;
        state.step();
        state.tell();
        if !state.has_watch {
            state.has_watch = true;
            std::thread::spawn(|| self.watch());
        }
        drop(state);
        self.changed.notify_all();
        result
    }

    /// A client that looks by the clock looked in vain: in lock step time goes on until `is_there`, as far as nothing is lost.
    pub(crate) fn look(&'static self, is_there: impl Fn(&mut World) -> bool) {
        /// Longer than any buffer.
        const MOST_STEPS: u32 = 4000;
        let mut state = self.state();
        if !state.is_locked || state.world.next_ns().is_some() {
            return;
        }
        for _ in 0..MOST_STEPS {
            if is_there(&mut state.world) || !state.nudge() {
                return;
            }
        }
    }

    /// A thread of its own: sets events as the clock goes, or in lock step where the client waits for something that no call
    /// shows.
    fn watch(&self) {
        let mut state = self.state();
        loop {
            let calls = state.calls;
            let length = match state.world.next_ns() {
                _ if state.is_locked => IDLE,
                Some(next) => Duration::from_nanos(next.saturating_sub(counter_ns()).max(50_000)),
                None => Duration::from_millis(100),
            };
            state = self.changed.wait_timeout(state, length).unwrap().0;
            if !state.is_locked {
                let now = state.time();
                state.world.advance(now);
            } else if state.calls == calls && state.world.is_answered() {
                // A client that has yet to answer an event is not made late by its being slow.
                state.step();
                if state.world.set.is_empty() {
                    let _ = state.nudge();
                }
            }
            state.tell();
        }
    }
}

impl State {
    /// A client that looks by the clock sets no event: time goes on in small steps. False where something would be lost.
    fn nudge(&mut self) -> bool {
        const STEP_NS: Ns = 250_000;
        let then = self.now + STEP_NS;
        let is_safe = self.world.is_safe_at(then);
        if is_safe {
            self.now = then;
            self.world.advance(then);
        }
        is_safe
    }
}
