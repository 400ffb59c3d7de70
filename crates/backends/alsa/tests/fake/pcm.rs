//! One PCM of the fake kernel: the state machine of `sound/core/pcm_native.c` and a ring that hardware moves through.

use super::card::{Hardware, Setup};
use super::{State, World};
use barewire_alsa::kernel::{Errno, Pcm, Ring, errno};
use barewire_alsa::uapi::{HwParams, MmapStatus, PLAYBACK, Status, SwParams, Timespec, state};
use barewire_rt::{LentMemory, System};
use barewire_types::Ns;
use std::sync::Arc;

/// One direction of a card.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) is_open: bool,
    pub(crate) is_linked: bool,
    hardware: Hardware,
    direction: i32,
    offset_ppm: i64,
    state: i32,
    setup: Option<Setup>,
    ring: Option<Arc<LentMemory>>,
    software: Option<SwParams>,
    started_ns: Ns,
    /// The same, gaps not taken into account.
    begun_ns: Ns,
    /// Frames that the hardware has moved since it was prepared.
    moved: u64,
    /// As the kernel tells it.
    hw_ptr: u64,
    hw_ptr_ns: Ns,
    interrupts: u64,
    appl_ptr: u64,
    /// All that was played since the PCM was opened, interleaved.
    pub(crate) heard: Vec<u8>,
    /// Frames in `heard` when the current run began.
    run_begin_frames: u64,
}

impl Line {
    pub(crate) fn opened(hardware: Hardware, direction: i32, offset_ppm: i64) -> Self {
        Self {
            is_open: true,
            hardware,
            direction,
            offset_ppm,
            state: state::OPEN,
            ..Self::default()
        }
    }

    fn is_running(&self) -> bool {
        self.state == state::RUNNING
    }

    fn setup(&self) -> Setup {
        self.setup.unwrap()
    }

    /// Frames a second, in millionths.
    fn speed(&self) -> u128 {
        u128::from(self.setup().rate_hz) * u128::try_from(1_000_000 + self.offset_ppm).unwrap()
    }

    fn frames_at(&self, now: Ns) -> u64 {
        let passed = u128::from(now.saturating_sub(self.started_ns));
        let frames = u64::try_from(passed * self.speed() / 1_000_000_000_000_000).unwrap();
        frames - frames % u64::from(self.hardware.step_frames)
    }

    fn time_of(&self, frames: u64) -> Ns {
        let step = u64::from(self.hardware.step_frames);
        let frames = u128::from(frames.div_ceil(step) * step);
        let ns = (frames * 1_000_000_000_000_000).div_ceil(self.speed());
        self.started_ns + u64::try_from(ns).unwrap()
    }

    pub(crate) fn next_interrupt_ns(&self) -> Option<Ns> {
        let period = || u64::from(self.setup().period_frames);
        self.is_running().then(|| self.time_of((self.interrupts + 1) * period()))
    }

    /// Plays what the ring holds, up to `now`.
    pub(crate) fn play(&mut self, now: Ns) {
        if !self.is_running() {
            return;
        }
        let (setup, mut to) = (self.setup(), self.frames_at(now));
        let ring = self.ring.clone().unwrap();
        let is_short = self.hardware.packs_ahead && to > self.appl_ptr;
        let gap = if is_short { to - self.appl_ptr } else { 0 };
        to -= gap;
        for frame in self.moved..to {
            for channel in 0..setup.channels {
                let sample = ring.plane(0).wrapping_add(setup.place(frame, channel));
                // SAFETY: the place lies within the ring.
                self.heard.extend((0..setup.sample_bytes).map(|n| unsafe { sample.add(n).read() }));
            }
        }
        self.moved = self.moved.max(to);
        if gap > 0 {
            self.heard.extend(vec![0; gap as usize * setup.frame_bytes()]);
            self.started_ns +=
                u64::try_from(u128::from(gap) * 1_000_000_000_000_000 / self.speed()).unwrap();
        }
    }

    /// Frames that `other` was moved by when this line began.
    fn behind(&self, other: &Self) -> i64 {
        let later = i128::from(self.begun_ns) - i128::from(other.begun_ns);
        let frames = later * i128::try_from(self.speed()).unwrap();
        i64::try_from(frames.div_euclid(1_000_000_000_000_000)).unwrap()
    }

    /// Captures what `other` played, `fifo` frames of both ago; silence before.
    pub(crate) fn record(&mut self, now: Ns, other: &Self) {
        if !self.is_running() {
            return;
        }
        let (setup, to) = (self.setup(), self.frames_at(now));
        let ring = self.ring.clone().unwrap();
        let delay = |hardware: &Hardware| u64::from(hardware.fifo_frames + hardware.hidden_frames);
        let delay = delay(&self.hardware) + delay(&other.hardware);
        let bytes = setup.frame_bytes();
        let is_looped = other.setup.is_some_and(|other| other.frame_bytes() == bytes);
        let behind = if is_looped { self.behind(other) } else { 0 };
        for frame in self.moved..to {
            let at = frame.checked_add_signed(behind);
            let source = at.and_then(|at| at.checked_sub(delay)).filter(|_| is_looped);
            let heard = source.and_then(|n| {
                let begin = usize::try_from(n + other.run_begin_frames).unwrap() * bytes;
                other.heard.get(begin..begin + bytes)
            });
            for channel in 0..setup.channels {
                for byte in 0..setup.sample_bytes {
                    let value = heard.map_or(0, |frame| frame[channel * setup.sample_bytes + byte]);
                    let place = ring.plane(0).wrapping_add(setup.place(frame, channel) + byte);
                    // SAFETY: the place lies within the ring.
                    unsafe { place.write(value) };
                }
            }
        }
        self.moved = self.moved.max(to);
    }

    /// What the kernel does at an interrupt, if one has come: tells the position, looks for an xrun. True if there is one.
    pub(crate) fn interrupt(&mut self, now: Ns) -> bool {
        if !self.is_running() {
            return false;
        }
        let passed = self.moved / u64::from(self.setup().period_frames);
        if passed == self.interrupts {
            return false;
        }
        self.interrupts = passed;
        self.update(now)
    }

    fn available(&self) -> u64 {
        if self.direction == PLAYBACK {
            (self.hw_ptr + u64::from(self.setup().ring_frames)).saturating_sub(self.appl_ptr)
        } else {
            self.hw_ptr.saturating_sub(self.appl_ptr)
        }
    }

    /// Tells the position as it is; true if that is an xrun. What was played becomes silence, if that was asked for.
    fn update(&mut self, now: Ns) -> bool {
        let setup = self.setup();
        let before = self.hw_ptr;
        self.hw_ptr = if self.hardware.packs_ahead && self.direction == PLAYBACK {
            self.appl_ptr.saturating_sub(1)
        } else if self.hardware.is_batch {
            self.moved - self.moved % u64::from(setup.period_frames)
        } else {
            self.moved
        };
        self.hw_ptr_ns = now;
        let software = self.software.unwrap();
        // What is packed ahead was copied, and may be silenced only once the bus has had it.
        let may_silence = software.silence_size > 0 && !self.hardware.packs_ahead;
        if self.direction == PLAYBACK && may_silence {
            let ring = self.ring.clone().unwrap();
            let from = before.max((self.hw_ptr).saturating_sub(u64::from(setup.ring_frames)));
            for (frame, channel) in
                (from..self.hw_ptr).flat_map(|n| (0..setup.channels).map(move |c| (n, c)))
            {
                let place = ring.plane(0).wrapping_add(setup.place(frame, channel));
                // SAFETY: the place lies within the ring.
                unsafe { place.write_bytes(0, setup.sample_bytes) };
            }
        }
        self.available() >= software.stop_threshold
    }

    pub(crate) fn fail(&mut self) {
        if self.is_running() {
            self.state = state::XRUN;
        }
    }

    pub(crate) fn suspend(&mut self) {
        if self.is_running() {
            self.state = state::SUSPENDED;
        }
    }

    pub(crate) fn disconnect(&mut self) {
        if self.is_open {
            self.state = state::DISCONNECTED;
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        match self.state {
            state::RUNNING => self.available() >= self.software.unwrap().avail_min,
            state::PREPARED => false,
            _ => true,
        }
    }

    fn prepare(&mut self) -> Result<(), Errno> {
        match self.state {
            state::OPEN => Err(errno::EBADFD),
            state::DISCONNECTED => Err(errno::ENODEV),
            state::RUNNING => Err(errno::EBUSY),
            _ => {
                self.state = state::PREPARED;
                (self.moved, self.hw_ptr, self.appl_ptr, self.interrupts) = (0, 0, 0, 0);
                Ok(())
            }
        }
    }

    fn may_start(&self) -> Result<(), Errno> {
        match self.state {
            state::DISCONNECTED => Err(errno::ENODEV),
            state::PREPARED if self.direction == PLAYBACK && self.appl_ptr == 0 => {
                Err(errno::EPIPE)
            }
            state::PREPARED => Ok(()),
            _ => Err(errno::EBADFD),
        }
    }

    fn start(&mut self, now: Ns) {
        self.state = state::RUNNING;
        let begin = now + self.hardware.start_lag_ns;
        (self.started_ns, self.begun_ns, self.hw_ptr_ns) = (begin, begin, now);
        self.run_begin_frames = (self.heard.len() / self.setup().frame_bytes()) as u64;
    }

    /// Frames until what was written last sounds.
    fn delay(&self) -> i64 {
        let moved = self.moved - self.moved % u64::from(self.hardware.step_frames);
        let ahead = i64::try_from(self.appl_ptr).unwrap() - i64::try_from(moved).unwrap();
        if self.direction == PLAYBACK { ahead } else { -ahead }
    }

    fn fully_told(&self) -> Status {
        let told = self.told();
        Status {
            state: told.state,
            tstamp: told.tstamp,
            appl_ptr: self.appl_ptr,
            hw_ptr: told.hw_ptr,
            delay: self.delay(),
            ..Status::default()
        }
    }

    fn told(&self) -> MmapStatus {
        let time = if self.hardware.has_time { self.hw_ptr_ns } else { 0 };
        MmapStatus {
            state: self.state,
            hw_ptr: self.hw_ptr % self.software.map_or(u64::MAX, |software| software.boundary),
            tstamp: Timespec {
                seconds: i64::try_from(time / 1_000_000_000).unwrap(),
                nanoseconds: i64::try_from(time % 1_000_000_000).unwrap(),
            },
            ..MmapStatus::default()
        }
    }
}

pub(crate) struct FakePcm {
    pub(crate) world: Arc<World>,
    pub(crate) line: usize,
}

struct FakeRing(Arc<LentMemory>);

impl Ring for FakeRing {
    fn base(&self) -> *mut u8 {
        self.0.plane(0)
    }
}

impl FakePcm {
    fn with<T>(&self, body: impl FnOnce(&mut Line, Ns) -> T) -> T {
        let mut state = self.world.now();
        body(&mut state.lines[self.line], self.world.system.now_ns())
    }

    fn hardware(&self) -> Result<Hardware, Errno> {
        self.with(|line, _| match line.state {
            state::DISCONNECTED => Err(errno::ENODEV),
            _ => Ok(line.hardware.clone()),
        })
    }
}

impl Pcm for FakePcm {
    fn refine(&self, params: &mut HwParams) -> Result<(), Errno> {
        self.hardware()?.refine(params)
    }

    fn set_hardware(&self, params: &mut HwParams) -> Result<(), Errno> {
        let setup = self.hardware()?.set(params)?;
        self.with(|line, _| {
            line.setup = Some(setup);
            line.state = state::SETUP;
        });
        Ok(())
    }

    fn set_software(&self, params: &mut SwParams) -> Result<(), Errno> {
        let params = *params;
        self.with(|line, _| line.software = Some(params));
        if params.avail_min == 0 { Err(errno::EINVAL) } else { Ok(()) }
    }

    fn use_monotonic_time(&self) -> Result<(), Errno> {
        if self.hardware()?.has_time { Ok(()) } else { Err(errno::EINVAL) }
    }

    fn map(&mut self, bytes: usize) -> Result<Box<dyn Ring>, Errno> {
        if self.hardware()?.refuses_map {
            return Err(errno::ENXIO);
        }
        self.with(|line, _| {
            let setup = line.setup();
            assert_eq!(bytes, setup.ring_frames as usize * setup.frame_bytes(), "the ring's size");
            let memory = Arc::new(LentMemory::new(1, bytes).unwrap());
            line.ring = Some(memory.clone());
            Ok(Box::new(FakeRing(memory)) as Box<dyn Ring>)
        })
    }

    fn channel_offset(&self, channel: u32) -> Result<usize, Errno> {
        Ok(self.with(|line, _| line.setup().place(0, channel as usize)))
    }

    fn link(&self, other: &dyn Pcm) -> Result<(), Errno> {
        let mut state = self.world.now();
        let other = usize::try_from(other.descriptor()).unwrap();
        assert_eq!(other, self.line ^ 1, "the other direction of the card");
        if !state.cards[self.line / 2].0.can_link {
            return Err(errno::EINVAL);
        }
        state.lines[self.line].is_linked = true;
        state.lines[other].is_linked = true;
        Ok(())
    }

    fn prepare(&self) -> Result<(), Errno> {
        let mut state = self.world.now();
        for line in state.group(self.line) {
            state.lines[line].prepare()?;
        }
        Ok(())
    }

    fn start(&self) -> Result<(), Errno> {
        let mut state = self.world.now();
        let group = state.group(self.line);
        for &line in &group {
            state.lines[line].may_start()?;
        }
        for line in group {
            state.lines[line].start(self.world.system.now_ns());
        }
        Ok(())
    }

    fn halt(&self) -> Result<(), Errno> {
        let mut state = self.world.now();
        for line in state.group(self.line) {
            match state.lines[line].state {
                state::OPEN => return Err(errno::EBADFD),
                state::DISCONNECTED => return Err(errno::ENODEV),
                _ => state.lines[line].state = state::SETUP,
            }
        }
        Ok(())
    }

    fn status(&self, fresh: bool) -> Result<MmapStatus, Errno> {
        let mut state = self.world.now();
        let (line, now) = (self.line, self.world.system.now_ns());
        let has_pages = state.lines[line].hardware.has_pages;
        if fresh || !has_pages {
            let at = state.lines[line].state;
            match at {
                state::DISCONNECTED if has_pages => return Err(errno::ENODEV),
                state::DISCONNECTED => return Err(errno::EBADFD),
                state::XRUN if fresh => return Err(errno::EPIPE),
                state::SUSPENDED if fresh => return Err(errno::ESTRPIPE),
                state::RUNNING if fresh && state.lines[line].update(now) => {
                    state.calls.xruns += 1;
                    for line in state.group(line) {
                        state.lines[line].fail();
                    }
                    return Err(errno::EPIPE);
                }
                _ => {}
            }
        }
        Ok(state.lines[line].told())
    }

    fn full_status(&self) -> Result<Status, Errno> {
        // The kernel's STATUS tells an xrun or a suspend in the state, and is no error.
        match self.status(true) {
            Ok(_) | Err(errno::EPIPE | errno::ESTRPIPE) => {}
            Err(code) => return Err(code),
        }
        Ok(self.with(|line, _| line.fully_told()))
    }

    fn publish(&self, appl_ptr: u64) -> Result<(), Errno> {
        self.with(|line, _| {
            if line.state == state::DISCONNECTED && !line.hardware.has_pages {
                return Err(errno::EBADFD);
            }
            let boundary = line.software.unwrap().boundary;
            assert!(appl_ptr < boundary, "beyond the boundary");
            // Positions of tests never wrap at the boundary.
            line.appl_ptr = appl_ptr;
            Ok(())
        })
    }

    fn descriptor(&self) -> i32 {
        i32::try_from(self.line).unwrap()
    }
}

impl Drop for FakePcm {
    fn drop(&mut self) {
        let mut state: std::sync::MutexGuard<'_, State> = self.world.now();
        let line = &mut state.lines[self.line];
        line.is_open = false;
        line.is_linked = false;
        line.state = state::OPEN;
        state.calls.closed += 1;
    }
}
