//! The specimen's device: a clock, a delay of two blocks from outputs to inputs, and the thread that calls the host.

use crate::faults::{Kind, chosen, has};
use barewire_abi::constants::time_flag;
use barewire_abi::layout::{Callbacks, Time, TimeCode, TimeInfo};
use barewire_abi::{Dialect, Long, Native, Samples};
use barewire_rt::{LentMemory, RealSystem, System};
use std::collections::VecDeque;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

pub(crate) type L = <Native as Dialect>::Long;
pub(crate) type S = <Native as Dialect>::Samples;

pub(crate) const CHANNELS: usize = 4;

/// One channel that the host has buffers for.
#[derive(Clone, Copy)]
pub(crate) struct Plane {
    pub(crate) is_input: bool,
    pub(crate) channel: usize,
    /// Its first half in the memory; the second is behind.
    pub(crate) first: usize,
}

/// What a run and those who ask about it share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) stop: AtomicBool,
    pub(crate) ended: AtomicBool,
    pub(crate) first_done: AtomicBool,
    pub(crate) position: AtomicU64,
    pub(crate) time_ns: AtomicU64,
    pub(crate) ready_calls: AtomicU32,
    pub(crate) ready_seen: AtomicU32,
    /// Held over each callback by a specimen that knows no better.
    pub(crate) held: AtomicBool,
    /// A stop has not waited for the callback's end.
    pub(crate) abandoned: AtomicBool,
    /// The object was released within a callback.
    pub(crate) released: AtomicBool,
}

pub(crate) struct Device {
    pub(crate) planes: Vec<Plane>,
    pub(crate) memory: Arc<LentMemory>,
    pub(crate) frames: usize,
    pub(crate) rate_hz: Arc<AtomicU64>,
    pub(crate) callbacks: Callbacks<Native>,
    pub(crate) wants_time: bool,
    pub(crate) direct: bool,
    pub(crate) shared: Arc<Shared>,
    pub(crate) begin_position: u64,
    /// The loop: blocks of all channels, interleaved.
    pub(crate) line: VecDeque<Vec<i32>>,
    pub(crate) past: Vec<i32>,
    pub(crate) pending: Vec<i32>,
    /// The rate of the block before, bits.
    pub(crate) last_rate: AtomicU64,
    /// outputReady's calls before this block, and blocks since the last one.
    pub(crate) ready_before: u32,
    pub(crate) unanswered: u32,
}

impl Device {
    fn taken(&self, half: usize) -> Vec<i32> {
        let mut block = vec![0; self.frames * CHANNELS];
        for plane in self.planes.iter().filter(|plane| !plane.is_input) {
            let data: *const i32 = self.memory.plane(plane.first + half).cast();
            for frame in 0..self.frames {
                // SAFETY: inside of the half, which the host may write meanwhile: each word is read once.
                block[frame * CHANNELS + plane.channel] =
                    unsafe { data.add(frame).read_volatile() };
            }
        }
        block
    }

    fn give(&self, half: usize, block: &[i32]) {
        for plane in self.planes.iter().filter(|plane| plane.is_input) {
            let data: *mut i32 = self.memory.plane(plane.first + half).cast();
            for frame in 0..self.frames {
                let sample = block.get(frame * CHANNELS + plane.channel).copied().unwrap_or(0);
                // SAFETY: inside of the half.
                unsafe { data.add(frame).write_volatile(sample) };
            }
        }
    }

    /// What the path does to a block that goes round, which begins at `at`.
    fn spoil(&mut self, at: u64, mut block: Vec<i32>) -> Option<Vec<i32>> {
        let Some(fault) = chosen() else { return Some(block) };
        let frames = self.frames as u64;
        let here = (at..at + frames).contains(&fault.moment);
        let from = usize::try_from(fault.moment.saturating_sub(at)).unwrap_or(0);
        let size = (fault.size as usize).clamp(1, 30);
        let channel = fault.channel % CHANNELS;
        let other = (channel + 1) % CHANNELS;
        let each = |block: &mut Vec<i32>, rule: &dyn Fn(i32) -> i32| {
            block.iter_mut().skip(channel).step_by(CHANNELS).for_each(|word| *word = rule(*word));
        };
        match fault.kind {
            Kind::LosesFirstBlock if at == 0 => block.fill(0),
            Kind::DropsBlock if here => return None,
            Kind::RepeatsBlock if here => self.line.push_back(block.clone()),
            Kind::DropsFrames if here => drop(
                block.drain(from * CHANNELS..(from * CHANNELS + size * CHANNELS).min(block.len())),
            ),
            Kind::RepeatsFrames if here => {
                let end = (from + 1) * CHANNELS;
                let piece = block[from * CHANNELS..end].repeat(size);
                block.splice(end..end, piece);
            }
            Kind::SilencesFrames if here => {
                let end = ((from + size) * CHANNELS).min(block.len());
                block[from * CHANNELS..end].fill(0);
            }
            Kind::SwapsBlocks if here => {
                std::mem::swap(&mut block, &mut self.pending);
                block.resize(self.frames * CHANNELS, 0);
            }
            Kind::SwapsBlocks if !self.pending.is_empty() => {
                self.line.push_back(block);
                return Some(std::mem::take(&mut self.pending));
            }
            Kind::SwapsChannels => {
                block.chunks_exact_mut(CHANNELS).for_each(|frame| frame.swap(channel, other))
            }
            Kind::LateChannel | Kind::DropsChannelFrames => {
                let lasting = fault.kind == Kind::LateChannel;
                if lasting || at + frames > fault.moment {
                    self.delay_channel(&mut block, channel, size);
                }
            }
            Kind::DeadChannel => each(&mut block, &|_| 0),
            Kind::Clicks if here => {
                let place = from * CHANNELS + channel;
                if let Some(word) = block.get_mut(place) {
                    *word ^= 0x4000_0000;
                }
            }
            Kind::StuckBit => each(&mut block, &|word| word | 1 << (16 + size % 14)),
            Kind::Truncates => each(&mut block, &|word| word & (-1 << (17 + size % 7))),
            Kind::Scales => each(&mut block, &|word| word / 4 * 3),
            Kind::Inverts => each(&mut block, &|word| word.wrapping_neg()),
            #[expect(clippy::cast_possible_truncation, reason = "what the fault is")]
            Kind::FloatRounds => each(&mut block, &|word| (f64::from(word as f32)) as i32),
            Kind::Dithers => {
                let mut state = u32::try_from(at & 0xFFFF).unwrap_or(0) | 1;
                for word in block.iter_mut().skip(channel).step_by(CHANNELS) {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    *word = word.wrapping_add((state >> 28).cast_signed() - 8);
                }
            }
            Kind::ShiftsBits => each(&mut block, &|word| word >> 1),
            _ => {}
        }
        Some(block)
    }

    fn delay_channel(&mut self, block: &mut [i32], channel: usize, size: usize) {
        self.past.resize(size, 0);
        let mut words: VecDeque<i32> = self.past.iter().copied().collect();
        for word in block.iter_mut().skip(channel).step_by(CHANNELS) {
            words.push_back(*word);
            *word = words.pop_front().unwrap_or(0);
        }
        self.past = words.into();
    }

    fn call(&self, half: usize, position: u64, time_ns: u64) {
        let index = L::from_i32(i32::from(half == 1));
        let direct = L::from_i32(i32::from(!has(Kind::NotDirect)));
        if self.wants_time {
            let mut time = self.time_info(position, time_ns);
            let Some(function) = self.callbacks.buffer_switch_time_info else {
                if has(Kind::CallsNullTimeInfo) || has(Kind::BelievesInTimeInfo) {
                    crash();
                }
                return;
            };
            // SAFETY: the host's function; the structure lives over the call.
            let returned = unsafe { function(&raw mut time, index, direct) };
            if has(Kind::FollowsReturn) && !returned.is_null() {
                // SAFETY: none; this is what the fault is.
                std::hint::black_box(unsafe { returned.cast::<u8>().read_volatile() });
            }
            if !has(Kind::CallsBoth) {
                return;
            }
        }
        if let Some(function) = self.callbacks.buffer_switch {
            // SAFETY: the host's function.
            unsafe { function(index, direct) };
        }
    }

    fn time_info(&self, position: u64, time_ns: u64) -> Time<Native> {
        let told = told_position(position);
        let garbage = if has(Kind::ReservedGarbage) { 1 } else { 0 };
        let mut flags = time_flag::SYSTEM_TIME_VALID
            | time_flag::SAMPLE_POSITION_VALID
            | time_flag::SAMPLE_RATE_VALID;
        let rate = self.rate_hz.load(Ordering::Relaxed);
        let last = self.last_rate.swap(rate, Ordering::Relaxed);
        if (last != 0 && last != rate) || has(Kind::FlagsRateChange) {
            flags |= time_flag::SAMPLE_RATE_CHANGED;
        }
        Time {
            reserved: [L::from_i32(garbage); 4],
            info: TimeInfo {
                speed: 1.0,
                system_time: S::from_u64(time_ns),
                sample_position: S::from_u64(told),
                sample_rate: f64::from_bits(rate),
                flags: L::from_flags(if has(Kind::NoFlags) { 0 } else { flags }),
                reserved: [0; 12],
            },
            code: TimeCode {
                speed: 0.0,
                samples: S::default(),
                flags: L::default(),
                future: [0; 64],
            },
        }
    }

    /// One block.
    pub(crate) fn block(&mut self, number: u64, position: u64, time_ns: u64) {
        let mut half = usize::from(number % 2 == 1);
        if has(Kind::BeginsWithHalfOne) {
            half = 1 - half;
        }
        if has(Kind::RepeatsHalf) && number % 50 >= 30 {
            half = 0;
        }
        // A host may write until the next block begins: what it left in the other half is taken now.
        let at_once = has(Kind::TakesAtOnce) && !self.direct;
        let at_once = at_once || has(Kind::IgnoresLaterAnswers) && self.direct;
        if number == 0 && !self.direct {
            self.send(0, vec![0; self.frames * CHANNELS]);
        }
        if number > 0 && !at_once {
            let mut block = self.taken(1 - half);
            if has(Kind::LosesTurnedHost) && self.is_unanswered() {
                block.fill(0);
            }
            self.send(position.saturating_sub(self.frames as u64), block);
        }
        let block = self.line.pop_front().unwrap_or_default();
        let block = self.regular(block);
        self.give(if has(Kind::OtherHalf) && number % 16 == 9 { 1 - half } else { half }, &block);
        self.shared.position.store(position, Ordering::SeqCst);
        self.shared.time_ns.store(time_ns, Ordering::SeqCst);
        self.shared.held.store(true, Ordering::SeqCst);
        self.call(half, position, time_ns);
        self.shared.held.store(false, Ordering::SeqCst);
        self.shared.first_done.store(true, Ordering::SeqCst);
        if at_once {
            let block = self.taken(half);
            self.send(position, block);
        }
    }

    /// Whether a host that has called outputReady does so no more.
    fn is_unanswered(&mut self) -> bool {
        let calls = self.shared.ready_calls.load(Ordering::SeqCst);
        let is_news = calls != self.ready_before;
        self.ready_before = calls;
        self.unanswered = if is_news { 0 } else { self.unanswered + 1 };
        self.direct && self.unanswered > 3
    }

    fn send(&mut self, at: u64, block: Vec<i32>) {
        if let Some(block) = self.spoil(at, block) {
            self.line.push_back(block);
        }
    }

    /// A block that is as long as blocks are: frames that were left out come from the next one.
    fn regular(&mut self, mut block: Vec<i32>) -> Vec<i32> {
        let wanted = self.frames * CHANNELS;
        while block.len() < wanted {
            let Some(next) = self.line.pop_front() else { break };
            block.extend(next);
        }
        if block.len() > wanted {
            let rest = block.split_off(wanted);
            self.line.push_front(rest);
        }
        block.resize(wanted, 0);
        block
    }

    fn period(&self) -> Duration {
        let rate_hz = f64::from_bits(self.rate_hz.load(Ordering::Relaxed)).max(1000.0);
        #[expect(clippy::cast_precision_loss, reason = "some hundred frames")]
        let nominal = self.frames as f64 / rate_hz;
        Duration::from_secs_f64(if has(Kind::WrongRate) { nominal * 1.1 } else { nominal })
    }

    /// The loop of the device thread.
    pub(crate) fn run(&mut self, first: u64) {
        let clock = RealSystem::new();
        let free = std::env::var_os(crate::FREE_RUNNING).is_some();
        let mut next = Instant::now();
        let mut position = self.begin_position + first * self.frames as u64;
        let mut number = first;
        let begin_ns = clock.now_ns();
        // As fast as it can: a time of its own, in which every block takes what it should.
        let mut own_ns = begin_ns;
        while !self.shared.stop.load(Ordering::SeqCst) {
            let period = self.period();
            next += period;
            if free {
                thread::sleep(Duration::from_micros(30));
                next = Instant::now();
            } else {
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            own_ns += u64::try_from(period.as_nanos()).unwrap_or(0);
            let late = Instant::now().saturating_duration_since(next);
            let missed = u64::try_from(late.as_nanos() / period.as_nanos().max(1)).unwrap_or(0);
            // Blocks that cannot be made up for are lost, in the position too.
            if missed > 3 && number > first {
                next += period * u32::try_from(missed).unwrap_or(0);
                if !has(Kind::LosesCountWhenLate) {
                    position += missed * self.frames as u64;
                }
            }
            if self.shared.stop.load(Ordering::SeqCst) && !has(Kind::CallsAfterStop) {
                break;
            }
            let now_ns = if free { own_ns } else { clock.now_ns() };
            let time_ns = match chosen().map(|fault| fault.kind) {
                Some(Kind::TimeStandsStill) => begin_ns,
                Some(Kind::TimeFarOff) => now_ns + 3_000_000_000,
                // As a clock that is read every eighth block only.
                Some(Kind::TimeJitters) => {
                    let held = u64::try_from(period.as_nanos()).unwrap_or(0) * (number % 8);
                    now_ns - held + number % 8
                }
                _ => now_ns,
            };
            self.block(number, position, time_ns);
            match chosen().map(|fault| fault.kind) {
                Some(Kind::PositionDrifts) if number % 8 == 7 => position += self.frames as u64,
                Some(Kind::LosesSilently) if number % 50 == 49 => {
                    position += self.frames as u64;
                    own_ns += u64::try_from(period.as_nanos()).unwrap_or(0);
                }
                _ => {}
            }
            if !self.go_on(number) {
                return;
            }
            number += 1;
            position += self.frames as u64;
        }
        self.after_the_end(number, position);
    }

    /// What a faulty specimen does after a block; false if the thread ends there.
    fn go_on(&mut self, number: u64) -> bool {
        match chosen().map(|fault| fault.kind) {
            Some(Kind::CallsAgainMeanwhile) if number == 4 => {
                let (callbacks, shared) = (self.callbacks, self.shared.clone());
                thread::spawn(move || call_beside(callbacks, &shared));
            }
            Some(Kind::WaitsForOutputReady) if self.direct => {
                let seen = &self.shared.ready_seen;
                while !self.shared.stop.load(Ordering::SeqCst)
                    && self.shared.ready_calls.load(Ordering::SeqCst) == seen.load(Ordering::SeqCst)
                {
                    thread::sleep(Duration::from_micros(100));
                }
                seen.store(self.shared.ready_calls.load(Ordering::SeqCst), Ordering::SeqCst);
            }
            // Two thirds of a second, and more than any rule wants that does not go by the clock.
            Some(Kind::Ceases) if number == 500 => {
                while !self.shared.stop.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            Some(Kind::AsksResets) if number % 100 == 99 => {
                if let Some(function) = self.callbacks.message {
                    let reset = L::from_i32(barewire_abi::constants::message::RESET_REQUEST);
                    // SAFETY: the host's function.
                    unsafe { function(reset, L::default(), ptr::null_mut(), ptr::null_mut()) };
                }
            }
            _ => {}
        }
        true
    }

    fn after_the_end(&mut self, number: u64, position: u64) {
        let lingers = match chosen().map(|fault| fault.kind) {
            Some(Kind::LingersWhenBlocked) => self.shared.abandoned.load(Ordering::SeqCst),
            Some(Kind::LingersWhenReleasedWithin) => self.shared.released.load(Ordering::SeqCst),
            _ => false,
        };
        if lingers {
            thread::sleep(Duration::from_secs(3600));
        }
        if has(Kind::CallsAfterStop) {
            thread::sleep(Duration::from_millis(20));
            self.shared.ended.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
            self.call(usize::from(number % 2 == 1), position, 1);
            // Its code is unloaded meanwhile; a busy machine needs long to count threads.
            thread::sleep(Duration::from_millis(1_500));
        }
        if has(Kind::ThreadOutlivesRelease) {
            self.shared.ended.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1_500));
        }
    }
}

/// A second caller, who does not wait until a host that is slow has come back.
fn call_beside(callbacks: Callbacks<Native>, shared: &Shared) {
    const IMPATIENCE: Duration = Duration::from_millis(5);
    let mut since = Instant::now();
    while !shared.stop.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(1));
        if !shared.held.load(Ordering::SeqCst) {
            since = Instant::now();
        }
        let impatient = since.elapsed() > IMPATIENCE;
        if let Some(function) = callbacks.buffer_switch.filter(|_| impatient) {
            // SAFETY: the host's function.
            unsafe { function(L::default(), L::from_i32(1)) };
        }
    }
}

/// The position as a specimen tells it.
pub(crate) fn told_position(position: u64) -> u64 {
    match chosen().map(|fault| fault.kind) {
        Some(Kind::PositionHalfSteps) => position / 2,
        Some(Kind::PositionBeginsLate) => position + 1000,
        Some(Kind::WordsSwapped) => position.rotate_left(32),
        _ => position,
    }
}

/// What a careless driver does.
pub(crate) fn crash() {
    let nowhere: *const u8 = ptr::without_provenance(8);
    // SAFETY: none; this is what the fault is.
    std::hint::black_box(unsafe { nowhere.read_volatile() });
}

/// A run: its thread, and what is shared with it.
pub(crate) struct Run {
    pub(crate) shared: Arc<Shared>,
    pub(crate) thread: Option<thread::JoinHandle<()>>,
    pub(crate) id: Option<ThreadId>,
}

impl Run {
    pub(crate) fn begin(mut device: Device, first: u64) -> Option<Self> {
        let shared = device.shared.clone();
        let its = shared.clone();
        let thread = thread::Builder::new()
            .name("specimen".to_owned())
            .spawn(move || {
                device.run(first);
                its.ended.store(true, Ordering::SeqCst);
            })
            .ok()?;
        let id = Some(thread.thread().id());
        Some(Self { shared, thread: Some(thread), id })
    }

    /// Waits until the thread has left, for a second at most; a thread that is blocked in the host is left behind, with all
    /// that belongs to it.
    pub(crate) fn end(&mut self, limit: Duration) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if self.id == Some(thread::current().id()) {
            return;
        }
        let until = Instant::now() + limit;
        while !self.shared.ended.load(Ordering::SeqCst) && Instant::now() < until {
            thread::sleep(Duration::from_micros(200));
        }
        if !self.shared.ended.load(Ordering::SeqCst) {
            self.shared.abandoned.store(true, Ordering::SeqCst);
        }
        let outlives = has(Kind::ThreadOutlivesRelease) || has(Kind::CallsAfterStop);
        if self.shared.ended.load(Ordering::SeqCst) && !outlives {
            // It has nothing more to do: the join is short.
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
        }
    }
}
