//! What a driver's callbacks run: one player, block after block, on the driver's own thread. No allocation, no lock, no
//! wait here. Made and taken apart by `session`; reached through `slots`.

use crate::events::Notices;
use crate::source::Loaded;
use barewire_abi::constants::{message, time_flag};
use barewire_abi::layout::TimeInfo;
use barewire_abi::{Code, Long, Native, Samples};
use barewire_rt::{Area, AreaMut, float_state};
use barewire_types::{Half, SampleFormat};
use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Makes the sound, and takes it: called with every block on the driver's thread, which must not be kept waiting.
pub trait Player: Send {
    /// Reads the block's inputs and writes all of its outputs.
    fn block(&mut self, block: Block<'_>);
}

impl<F: FnMut(Block<'_>) + Send> Player for F {
    fn block(&mut self, block: Block<'_>) {
        self(block);
    }
}

/// When a block happens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BlockTime {
    /// Frames from the first block of the run to this one, as the driver counts them; lost blocks are counted. Our own
    /// count if the driver has none.
    pub position_frames: u64,
    /// The driver's own number for it, if it has one.
    pub told_frames: Option<u64>,
    /// Nanoseconds of the system's clock, if the driver tells.
    pub time_ns: Option<u64>,
    /// Hertz, if the driver tells.
    pub rate_hz: Option<f64>,
}

/// One block: its inputs to be read, its outputs to be written. Channels are in the order in which they were asked for.
#[derive(Debug)]
pub struct Block<'a> {
    /// Which half it is.
    pub half: Half,
    /// How many blocks of this run came before.
    pub number: u64,
    /// When it happens.
    pub time: BlockTime,
    memory: &'a Memory,
}

impl Block<'_> {
    /// Frames of this block.
    pub fn frames(&self) -> u32 {
        self.memory.frames
    }

    /// The inputs: planar, a plane for each input asked for.
    pub fn inputs(&self) -> Area<'_> {
        let planes = &self.memory.inputs.halves[self.half.index()];
        let (bytes, units) = self.memory.inputs.extent(self.memory.frames);
        // SAFETY: the driver gave these halves, of that many samples, and leaves this one to us while it calls.
        unsafe { Area::planar(planes, bytes, units) }
    }

    /// The outputs: planar, a plane for each output asked for.
    pub fn outputs(&mut self) -> AreaMut<'_> {
        self.memory.outputs_of(self.half)
    }

    /// Copies the bytes of one input, in the driver's format, to `bytes`; as many as fit. Returns how many.
    pub fn read_input(&self, input: usize, bytes: &mut [u8]) -> usize {
        let Some(plane) = self.memory.inputs.halves[self.half.index()].get(input) else { return 0 };
        let count = self.memory.inputs.half_bytes(self.memory.frames).min(bytes.len());
        // SAFETY: as for `inputs`; `bytes` is ours alone, so they do not overlap.
        unsafe { ptr::copy_nonoverlapping(*plane, bytes.as_mut_ptr(), count) };
        count
    }

    /// Copies `bytes`, in the driver's format, to one output; as many as fit. Returns how many.
    pub fn write_output(&mut self, output: usize, bytes: &[u8]) -> usize {
        let halves = &self.memory.outputs.halves[self.half.index()];
        let Some(plane) = halves.get(output) else { return 0 };
        let count = self.memory.outputs.half_bytes(self.memory.frames).min(bytes.len());
        // SAFETY: as for `outputs`; `bytes` is ours, so they do not overlap.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), plane.cast_mut(), count) };
        count
    }

    /// Writes silence to all outputs.
    pub fn silence(&mut self) {
        self.memory.silence(self.half);
    }
}

/// The halves that the driver made.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) frames: u32,
    pub(crate) inputs: Side,
    pub(crate) outputs: Side,
}

/// The halves of one direction: a pointer for each channel.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) format: SampleFormat,
    pub(crate) halves: [Vec<*const u8>; 2],
}

// SAFETY: the pointers are to memory of the driver's, which any thread may use by the interface's rules.
unsafe impl Send for Memory {}
// SAFETY: as above; the vectors are not changed once they are shared.
unsafe impl Sync for Memory {}

impl Side {
    /// Bytes of a sample, and how many of them a half has: with eight one-bit samples a byte, an eighth.
    fn extent(&self, frames: u32) -> (usize, u32) {
        use barewire_types::Encoding::{Dsd8Lsb, Dsd8Msb};
        let packed = matches!(self.format.encoding, Dsd8Lsb | Dsd8Msb);
        (self.format.bytes(), if packed { frames / 8 } else { frames })
    }

    fn half_bytes(&self, frames: u32) -> usize {
        let (bytes, units) = self.extent(frames);
        bytes * units as usize
    }
}

impl Memory {
    fn outputs_of(&self, half: Half) -> AreaMut<'_> {
        let (bytes, units) = self.outputs.extent(self.frames);
        // SAFETY: the driver gave these halves, of that many samples; it reads this one only after the callback.
        unsafe { AreaMut::planar(&self.outputs.halves[half.index()], bytes, units) }
    }

    pub(crate) fn silence(&self, half: Half) {
        let count = self.outputs.half_bytes(self.frames);
        for plane in &self.outputs.halves[half.index()] {
            // SAFETY: as above. `DsdNer8` has no silence that is one byte repeated; zeros are no louder than it.
            unsafe {
                ptr::write_bytes(plane.cast_mut(), self.outputs.format.silence_byte(), count);
            }
        }
    }
}

/// What the callbacks of one set of buffers run.
pub(crate) struct Run {
    loaded: Arc<Loaded>,
    time_info: bool,
    pub(crate) output_ready: AtomicBool,
    pub(crate) notices: Notices,
    pub(crate) memory: OnceLock<Memory>,
    /// Whether blocks are wanted: from `start` until `stop` has returned.
    pub(crate) wanted: AtomicBool,
    /// Whether somebody uses `playing` now.
    busy: AtomicBool,
    playing: UnsafeCell<Playing>,
}

// SAFETY: `playing` is used only by whoever has set `busy`.
unsafe impl Sync for Run {}
// SAFETY: all parts may move between threads; the driver's reference may be given up on any.
unsafe impl Send for Run {}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("notices", &self.notices).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Playing {
    player: Option<Box<dyn Player>>,
    number: u64,
    first_frames: Option<u64>,
    last: Option<(Half, Option<u64>)>,
    timed: bool,
}

/// What the driver says of a block's time.
#[derive(Clone, Copy, Default)]
struct Told {
    frames: Option<u64>,
    time_ns: Option<u64>,
    rate_hz: Option<f64>,
}

impl Run {
    pub(crate) fn new(loaded: Arc<Loaded>, time_info: bool) -> Self {
        Self {
            loaded,
            time_info,
            output_ready: AtomicBool::new(false),
            notices: Notices::new(),
            memory: OnceLock::new(),
            wanted: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            playing: UnsafeCell::default(),
        }
    }

    /// Puts in the player of the next run and drops the last one's; false if a callback is still at it. Control thread.
    pub(crate) fn put(&self, player: Option<Box<dyn Player>>) -> bool {
        if self.busy.swap(true, Ordering::Acquire) {
            return false;
        }
        // SAFETY: `busy` was free and is ours now.
        let playing = unsafe { &mut *self.playing.get() };
        let before = std::mem::replace(playing, Playing { player, ..Playing::default() });
        self.busy.store(false, Ordering::Release);
        drop(before);
        true
    }

    /// `bufferSwitch`.
    pub(crate) fn block(&self, index: i32) {
        self.enter(|playing, memory| {
            if playing.timed {
                // Both calls for one block: whoever negotiated time info gets that.
                self.notices.doubled.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let (code, now) = self.loaded.driver.sample_position();
            let told = if code == Code::OK {
                Told {
                    frames: Some(now.position_frames),
                    time_ns: Some(now.time_ns),
                    rate_hz: None,
                }
            } else {
                Told::default()
            };
            self.play(playing, memory, index, told);
        });
    }

    /// `bufferSwitchTimeInfo`: some drivers call it unasked (Steinberg's Generic Low Latency driver, RtAudio #485).
    pub(crate) fn block_with_time(&self, index: i32, info: Option<TimeInfo<Native>>) {
        self.enter(|playing, memory| {
            playing.timed = true;
            let told = info.map_or_else(Told::default, |info| {
                let flags = info.flags.to_i32().cast_unsigned();
                let valid = |flag: u32| flags & flag != 0;
                Told {
                    frames: valid(time_flag::SAMPLE_POSITION_VALID)
                        .then(|| info.sample_position.to_u64()),
                    time_ns: valid(time_flag::SYSTEM_TIME_VALID).then(|| info.system_time.to_u64()),
                    rate_hz: valid(time_flag::SAMPLE_RATE_VALID).then_some(info.sample_rate),
                }
            });
            self.play(playing, memory, index, told);
        });
    }

    /// `asioMessage`. Requests are noted; nothing is done here.
    pub(crate) fn message(&self, selector: i32, value: i32) -> i32 {
        let notices = &self.notices;
        match selector {
            message::RESET_REQUEST => notices.request(&notices.reset),
            message::RESYNC_REQUEST => notices.request(&notices.resync),
            message::LATENCIES_CHANGED => notices.request(&notices.latencies),
            message::OVERLOAD => {
                notices.overloads.fetch_add(1, Ordering::Relaxed);
            }
            message::BUFFER_SIZE_CHANGE => notices.want_block_size(value),
            _ => {}
        }
        answer(selector, value, self.time_info)
    }

    fn enter(&self, block: impl FnOnce(&mut Playing, &Memory)) {
        let Some(memory) = self.memory.get().filter(|_| self.wanted.load(Ordering::Acquire)) else {
            self.notices.outside.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if self.busy.swap(true, Ordering::Acquire) {
            self.notices.reentered.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // SAFETY: `busy` was free and is ours now.
        let playing = unsafe { &mut *self.playing.get() };
        // Some drivers leave odd rounding modes behind; and what a player sets is not to reach the driver.
        float_state::preserved(|| block(playing, memory));
        self.busy.store(false, Ordering::Release);
    }

    fn play(&self, playing: &mut Playing, memory: &Memory, index: i32, told: Told) {
        let half = if index & 1 == 0 { Half::Zero } else { Half::One };
        if let Some((last_half, last_frames)) = playing.last
            && last_half == half
        {
            self.notices.repeated_halves.fetch_add(1, Ordering::Relaxed);
            // Focusrite and ReaRoute repeat a block; FL Studio's driver names half 0 for ever, and moves on.
            if told.frames.is_some() && told.frames == last_frames {
                return;
            }
        }
        playing.last = Some((half, told.frames));
        let own_frames = playing.number * u64::from(memory.frames);
        if playing.first_frames.is_none() {
            playing.first_frames = told.frames;
        }
        let since = |frames: u64| frames.wrapping_sub(playing.first_frames.unwrap_or(frames));
        let time = BlockTime {
            position_frames: told.frames.map_or(own_frames, since),
            told_frames: told.frames,
            time_ns: told.time_ns,
            rate_hz: told.rate_hz,
        };
        let mut block = Block { half, number: playing.number, time, memory };
        match &mut playing.player {
            Some(player) if !self.notices.panicked.load(Ordering::Relaxed) => {
                if catch_unwind(AssertUnwindSafe(|| player.block(block))).is_err() {
                    memory.silence(half);
                    self.notices.panicked.store(true, Ordering::Release);
                }
            }
            _ => block.silence(),
        }
        playing.number += 1;
        self.notices.blocks.fetch_add(1, Ordering::Release);
        if self.output_ready.load(Ordering::Relaxed) {
            self.loaded.driver.output_ready();
        }
    }
}

/// What a host of ours says to questions, also where no run is there to note a request.
pub(crate) fn answer(selector: i32, value: i32, time_info: bool) -> i32 {
    let known = [
        message::SELECTOR_SUPPORTED,
        message::ENGINE_VERSION,
        message::RESET_REQUEST,
        message::RESYNC_REQUEST,
        message::LATENCIES_CHANGED,
        message::OVERLOAD,
    ];
    match selector {
        message::SELECTOR_SUPPORTED => {
            let timed = value == message::SUPPORTS_TIME_INFO && time_info;
            i32::from(timed || known.contains(&value))
        }
        message::ENGINE_VERSION => 2,
        message::SUPPORTS_TIME_INFO => i32::from(time_info),
        message::RESET_REQUEST
        | message::RESYNC_REQUEST
        | message::LATENCIES_CHANGED
        | message::OVERLOAD => 1,
        // A new block size has to come as a reset: buffers are not made within a callback.
        _ => 0,
    }
}
