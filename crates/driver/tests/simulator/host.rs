//! The simulated host: it numbers what it plays, follows what it hears, and behaves as the scenario says.

use crate::plant::Plant;
use crate::scenario::{Manner, Scenario};
use crate::signal::{self, Follower};
use barewire_abi::constants::message;
use barewire_abi::{AsioDriver, AsioResult, BufferRequest, HostCallbacks, TimeInfo};
use barewire_rt::System;
use barewire_types::{Half, frames_to_ns};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

type Pointers = Vec<(bool, [usize; 2])>;

#[derive(Default)]
struct Inner {
    next: u64,
    expected_half: usize,
    last_time: Option<TimeInfo>,
    pub heard: Follower,
    faults: Vec<String>,
}

pub struct SimHost {
    scenario: Scenario,
    system: Arc<dyn System>,
    driver: Mutex<Option<Weak<dyn AsioDriver>>>,
    pointers: Mutex<Pointers>,
    inner: Mutex<Inner>,
    inside: AtomicBool,
    pub blocks: AtomicU64,
    /// Blocks of the current run.
    run_blocks: AtomicU64,
    pub started: AtomicU32,
    /// Set when no callback may come any more.
    pub silent: AtomicBool,
    pub resets: AtomicU32,
    pub ready_calls: Arc<AtomicU32>,
    plant: Plant,
}

impl SimHost {
    pub fn new(scenario: &Scenario, system: Arc<dyn System>, plant: Plant) -> Arc<Self> {
        Arc::new(Self {
            scenario: scenario.clone(),
            system,
            driver: Mutex::new(None),
            pointers: Mutex::default(),
            inner: Mutex::default(),
            inside: AtomicBool::new(false),
            blocks: AtomicU64::new(0),
            run_blocks: AtomicU64::new(0),
            started: AtomicU32::new(0),
            silent: AtomicBool::new(true),
            resets: AtomicU32::new(0),
            ready_calls: Arc::default(),
            plant,
        })
    }

    pub fn create_buffers(self: &Arc<Self>, driver: &Arc<dyn AsioDriver>) -> AsioResult<()> {
        let channels = i32::from(self.scenario.channels);
        let outputs =
            (0..channels.max(2)).map(|channel| BufferRequest { is_input: false, channel });
        let inputs = (0..channels).map(|channel| BufferRequest { is_input: true, channel });
        let wanted: Vec<BufferRequest> = outputs.chain(inputs).collect();
        *self.driver.lock().unwrap() = Some(Arc::downgrade(driver));
        let halves = driver.create_buffers(&wanted, self.scenario.frames as i32, self.clone())?;
        let entries = wanted.iter().zip(&halves);
        *self.pointers.lock().unwrap() = entries
            .map(|(request, halves)| {
                (request.is_input, halves.map(|half| half.expose_provenance()))
            })
            .collect();
        Ok(())
    }

    /// A run begins.
    pub fn begin(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.expected_half = 0;
        inner.last_time = None;
        inner.heard.forget();
        self.run_blocks.store(0, Ordering::Relaxed);
        self.started.store(0, Ordering::Release);
        self.silent.store(false, Ordering::Release);
    }

    pub fn fault(&self, text: String) {
        self.inner.lock().unwrap().faults.push(text);
    }

    /// What must not have been, and what was heard: (faults, breaks, old, silent).
    pub fn verdict(&self) -> (Vec<String>, u64, u64, u64) {
        let inner = self.inner.lock().unwrap();
        (inner.faults.clone(), inner.heard.breaks, inner.heard.old, inner.heard.silent)
    }

    fn driver(&self) -> Option<Arc<dyn AsioDriver>> {
        self.driver.lock().unwrap().as_ref()?.upgrade()
    }

    fn pass(&self, ns: u64) {
        let until = self.system.now_ns() + ns;
        self.system.sleep(&AtomicU32::new(0), 0, until);
    }

    fn block(&self, half: Half, time: Option<&TimeInfo>) {
        if self.inside.swap(true, Ordering::AcqRel) {
            self.fault("a callback within a callback".to_owned());
        }
        if self.silent.load(Ordering::Acquire) {
            self.fault("a callback after stop, or before start".to_owned());
        }
        self.blocks.fetch_add(1, Ordering::Relaxed);
        let number = self.run_blocks.fetch_add(1, Ordering::Relaxed);
        self.move_samples(half, time);
        self.behave(number);
        self.inside.store(false, Ordering::Release);
    }

    fn move_samples(&self, half: Half, time: Option<&TimeInfo>) {
        let mut inner = self.inner.lock().unwrap();
        let expected = inner.expected_half;
        if half.index() != expected {
            inner.faults.push(format!("half {} instead of {expected}", half.index()));
        }
        inner.expected_half = 1 - half.index();
        if let Some(time) = time {
            let frames = u64::from(self.scenario.frames);
            if let Some(last) = inner.last_time.replace(*time) {
                let step = time.position_frames.wrapping_sub(last.position_frames);
                if step == 0 || step % frames != 0 || time.time_ns <= last.time_ns {
                    inner.faults.push(format!("time goes from {last:?} to {time:?}"));
                }
                if step != frames && !self.scenario.is_disturbed() {
                    inner.faults.push(format!("the position jumps by {step}"));
                }
            } else if time.position_frames != 0 {
                inner.faults.push(format!("the first position is {}", time.position_frames));
            }
        }
        let frames = self.scenario.frames as usize;
        let first = inner.next;
        inner.next += frames as u64;
        let mut seen = [0_usize; 2];
        for (is_input, halves) in &*self.pointers.lock().unwrap() {
            let base = std::ptr::with_exposed_provenance_mut::<i32>(halves[half.index()]);
            let place = &mut seen[usize::from(*is_input)];
            for n in 0..frames {
                // SAFETY: the driver lent `frames` samples of four bytes for this.
                let sample = unsafe { &mut *base.add(n) };
                if !is_input {
                    let value = signal::sample(first + n as u64);
                    *sample = if *place == 0 { value } else { value.wrapping_neg() };
                } else if *place == 0 {
                    inner.heard.hear(*sample);
                }
            }
            *place += 1;
        }
    }

    fn behave(&self, number: u64) {
        let Some(driver) = self.driver() else { return };
        let period_ns = frames_to_ns(self.scenario.frames.into(), self.scenario.rate);
        match self.scenario.manner {
            Manner::Slow if number % 7 == 3 => {
                self.pass(period_ns * [1, 3, 12][number as usize % 3] / 2)
            }
            Manner::WaitsForStart => {
                self.system.await_word(&self.started, 0, u64::MAX / 4);
            }
            Manner::StopsInside if number == 9 => {
                let _ = driver.stop();
                self.silent.store(true, Ordering::Release);
            }
            Manner::DisposesInside if number == 9 => {
                let _ = driver.dispose_buffers();
                self.silent.store(true, Ordering::Release);
            }
            _ => {}
        }
        match self.scenario.manner {
            Manner::NeverReady => {}
            Manner::ReadyElsewhere => {
                self.ready_calls.fetch_add(1, Ordering::AcqRel);
                self.system.wake(&self.ready_calls);
            }
            Manner::ReadyTwice => (0..2).for_each(|_| drop(driver.output_ready())),
            Manner::ReadyEverySecond if number % 2 == 1 => {}
            _ => drop(driver.output_ready()),
        }
        let _ = (driver.sample_position(), driver.latencies(), driver.sample_rate());
    }
}

impl HostCallbacks for SimHost {
    fn has_time_info(&self) -> bool {
        self.scenario.manner != Manner::NullTimeInfo
    }

    fn buffer_switch(&self, half: Half) {
        self.plant.call(half, None, |half, time| self.block(half, time));
    }

    fn buffer_switch_time_info(&self, half: Half, time: &TimeInfo) {
        if !self.has_time_info() {
            self.fault("called a null function".to_owned());
        }
        self.plant.call(half, Some(time), |half, time| self.block(half, time));
    }

    fn sample_rate_did_change(&self, _: f64) {
        self.fault("told of a rate that the host had set".to_owned());
    }

    fn message(&self, selector: i32, _: i32) -> i32 {
        if self.scenario.manner == Manner::AnswersNothing {
            return 0;
        }
        if selector == message::RESET_REQUEST {
            self.resets.fetch_add(1, Ordering::AcqRel);
            if self.scenario.manner == Manner::TearsDownInMessage
                && let Some(driver) = self.driver()
            {
                let _ = driver.stop();
                let _ = driver.dispose_buffers();
                self.silent.store(true, Ordering::Release);
            }
        }
        if selector == message::ENGINE_VERSION { 2 } else { 1 }
    }
}
