//! A host with good or bad manners, to be called by a driver.

use barewire_abi::constants::message;
use barewire_abi::{AsioDriver, AsioResult, BufferRequest, Halves, HostCallbacks, TimeInfo};
use barewire_types::Half;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};

/// What a host does inside its callback, given the number of the block.
pub type Hook = Box<dyn FnMut(u64) + Send>;

/// How a host behaves. The default is a host as the field's books have it.
pub struct Manners {
    /// Answers to `asioMessage`: 1 to time info, engine version 2, everything else supported.
    pub wants_time_info: bool,
    /// Leaves `bufferSwitchTimeInfo` out, whatever it answers.
    pub lacks_time_info: bool,
    /// Answers 0 to every question.
    pub answers_nothing: bool,
    /// Calls `outputReady` at the end of the callback.
    pub says_ready: bool,
    /// Does something of its own inside the callback.
    pub in_callback: Option<Hook>,
    /// Does something of its own inside a request, given the selector.
    pub in_message: Option<Box<dyn FnMut(i32) + Send>>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            wants_time_info: true,
            lacks_time_info: false,
            answers_nothing: false,
            says_ready: true,
            in_callback: None,
            in_message: None,
        }
    }
}

/// What a host has heard and seen.
#[derive(Debug, Default)]
pub struct Heard {
    /// Callbacks so far.
    pub blocks: u64,
    /// The half of each, in order.
    pub halves: Vec<usize>,
    /// The time of each, if it was told.
    pub times: Vec<TimeInfo>,
    /// The first channel's input, for 32-bit samples.
    pub input: Vec<i32>,
    /// Requests and questions, in order.
    pub messages: Vec<(i32, i32)>,
    /// Rates that it was told of.
    pub rates: Vec<f64>,
    /// Threads that called for blocks.
    pub threads: Vec<ThreadId>,
    /// What must never happen, in sentences.
    pub faults: Vec<String>,
}

struct Inner {
    heard: Heard,
    next: i32,
}

/// A host that counts in its outputs: the first channel's sample is the number of the frame, from 1; the others' its
/// negative.
pub struct FakeHost {
    manners: Mutex<Manners>,
    has_time_info: bool,
    inner: Mutex<Inner>,
    channels: Mutex<Vec<(bool, [usize; 2])>>,
    frames: usize,
    driver: Mutex<Option<Weak<dyn AsioDriver>>>,
    inside: std::sync::atomic::AtomicBool,
    keeps: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeHost {
    /// A host for buffers of `frames`.
    pub fn new(frames: u32, manners: Manners) -> Arc<Self> {
        Self::make(frames, manners, true)
    }

    /// A host that keeps no record of what it hears, for long runs.
    pub fn forgetful(frames: u32, manners: Manners) -> Arc<Self> {
        Self::make(frames, manners, false)
    }

    fn make(frames: u32, manners: Manners, keeps: bool) -> Arc<Self> {
        Arc::new(Self {
            has_time_info: !manners.lacks_time_info,
            manners: Mutex::new(manners),
            inner: Mutex::new(Inner { heard: Heard::default(), next: 1 }),
            channels: Mutex::new(Vec::new()),
            frames: frames as usize,
            driver: Mutex::new(None),
            inside: false.into(),
            keeps,
        })
    }

    /// Asks `driver` for buffers of these channels, and counts in them from then on.
    ///
    /// # Errors
    /// The driver's refusal.
    pub fn create_buffers(
        self: &Arc<Self>,
        driver: &Arc<dyn AsioDriver>,
        wanted: &[BufferRequest],
    ) -> AsioResult<()> {
        *lock(&self.driver) = Some(Arc::downgrade(driver));
        let frames = i32::try_from(self.frames).unwrap_or(i32::MAX);
        let halves = driver.create_buffers(wanted, frames, self.clone())?;
        let entry = |(request, halves): (&BufferRequest, &Halves)| {
            (request.is_input, halves.map(|half| half.expose_provenance()))
        };
        *lock(&self.channels) = wanted.iter().zip(&halves).map(entry).collect();
        Ok(())
    }

    /// What it has heard.
    pub fn heard<R>(&self, look: impl FnOnce(&Heard) -> R) -> R {
        look(&lock(&self.inner).heard)
    }

    fn fault(&self, text: &str) {
        lock(&self.inner).heard.faults.push(text.to_owned());
    }

    fn block(&self, half: Half, time: Option<&TimeInfo>) {
        if self.inside.swap(true, std::sync::atomic::Ordering::AcqRel) {
            self.fault("called while a callback was under way");
        }
        let number = self.copy(half, time);
        let mut manners = lock(&self.manners);
        let says_ready = manners.says_ready;
        // Taken out, so that what it does may come back to this host.
        let hook = manners.in_callback.take();
        drop(manners);
        if let Some(mut hook) = hook {
            hook(number);
            lock(&self.manners).in_callback.get_or_insert(hook);
        }
        let driver = lock(&self.driver).as_ref().and_then(Weak::upgrade);
        if says_ready && let Some(driver) = driver {
            let _ = driver.output_ready();
        }
        self.inside.store(false, std::sync::atomic::Ordering::Release);
    }

    fn copy(&self, half: Half, time: Option<&TimeInfo>) -> u64 {
        let mut inner = lock(&self.inner);
        let number = inner.heard.blocks;
        inner.heard.blocks += 1;
        if self.keeps {
            inner.heard.halves.push(half.index());
            inner.heard.times.extend(time.copied());
            inner.heard.threads.push(thread::current().id());
        }
        let first = inner.next;
        inner.next = inner.next.wrapping_add(i32::try_from(self.frames).unwrap_or(0));
        let mut is_first = [true; 2];
        for (is_input, halves) in &*lock(&self.channels) {
            let base = std::ptr::with_exposed_provenance_mut::<i32>(halves[half.index()]);
            let is_first = std::mem::take(&mut is_first[usize::from(*is_input)]);
            for n in 0..self.frames {
                let place = base.wrapping_add(n);
                if !is_input {
                    let value = first.wrapping_add(i32::try_from(n).unwrap_or(0));
                    // SAFETY: the driver lent `frames` samples of four bytes.
                    unsafe {
                        place.write_volatile(if is_first { value } else { value.wrapping_neg() })
                    };
                } else if is_first && self.keeps {
                    // SAFETY: as above.
                    inner.heard.input.push(unsafe { place.read_volatile() });
                }
            }
        }
        number
    }
}

impl HostCallbacks for FakeHost {
    fn has_time_info(&self) -> bool {
        self.has_time_info
    }

    fn buffer_switch(&self, half: Half) {
        self.block(half, None);
    }

    fn buffer_switch_time_info(&self, half: Half, time: &TimeInfo) {
        if !self.has_time_info {
            self.fault("called a function that is null");
        }
        self.block(half, Some(time));
    }

    fn sample_rate_did_change(&self, rate_hz: f64) {
        lock(&self.inner).heard.rates.push(rate_hz);
        self.fault("told of a rate that the host had set itself");
    }

    fn message(&self, selector: i32, value: i32) -> i32 {
        lock(&self.inner).heard.messages.push((selector, value));
        let mut manners = lock(&self.manners);
        if manners.answers_nothing {
            return 0;
        }
        let wants_time_info = manners.wants_time_info;
        let hook = manners.in_message.take();
        drop(manners);
        if let Some(mut hook) = hook {
            hook(selector);
            lock(&self.manners).in_message.get_or_insert(hook);
        }
        match selector {
            message::ENGINE_VERSION => 2,
            message::SUPPORTS_TIME_INFO => i32::from(wants_time_info),
            _ => 1,
        }
    }
}
