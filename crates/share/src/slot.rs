//! A client's slot: the words by which hub and client hand halves to each other.
//!
//! The hub writes the inputs of a half, then `begun`; the client writes the outputs of that half, then `answered` with what
//! `begun` was. The hub believes nothing but that word, and copies samples out once; everything else that it needs to know
//! it keeps for itself.

use crate::atomic::{AtomicU32, Ordering, fence};
use crate::layout::HeadWords;
#[cfg(not(loom))]
use crate::layout::{MAGIC, SegmentShape};
#[cfg(not(loom))]
use crate::memory::Planes;
#[cfg(not(loom))]
use crate::memory::Shared;
#[cfg(not(loom))]
use crate::{Block, Gate, PROTOCOL};
#[cfg(not(loom))]
use barewire_rt::{Area, AreaMut, System};
#[cfg(not(loom))]
use barewire_types::{Error, ErrorKind, Half, Result};
#[cfg(not(loom))]
use std::sync::Arc;

/// Why a segment or page is out of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The hub has ended.
    Gone,
    /// Rate or block size are others now: attach again.
    Changed,
    /// The client was put out.
    PutOut,
}

impl Closed {
    /// As it stands in the memory.
    pub const fn code(self) -> u32 {
        match self {
            Self::Gone => 1,
            Self::Changed => 2,
            Self::PutOut => 3,
        }
    }

    /// Back from [`code`](Self::code); whatever is unknown means that there is no more.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => None,
            2 => Some(Self::Changed),
            3 => Some(Self::PutOut),
            _ => Some(Self::Gone),
        }
    }
}

/// How a client's outputs are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// In the cycle that asked for them.
    InTime,
    /// One block later.
    Later,
}

/// What becomes of a client's samples, in the words of whoever publishes it.
pub type Told = [u32; 6];

/// `begun` and `answered`: a cycle and a half.
pub const fn turn(cycle: u32, half: u32) -> u32 {
    cycle << 1 | half & 1
}

impl HeadWords {
    /// All words 0.
    #[cfg(any(loom, test))]
    pub fn zeroed() -> Self {
        use std::array::from_fn;
        let zero = || AtomicU32::new(0);
        Self {
            magic: zero(),
            version: zero(),
            client: zero(),
            reserved: from_fn(|_| zero()),
            begun: zero(),
            closed: zero(),
            waits: zero(),
            served: zero(),
            lates: zero(),
            told_writes: zero(),
            told: from_fn(|_| zero()),
            reserved_too: from_fn(|_| zero()),
            answered: zero(),
            answered_at: zero(),
            wakes: zero(),
            reserved_last: from_fn(|_| zero()),
        }
    }

    /// The inputs of this turn are complete.
    pub fn begin(&self, turn: u32) {
        self.begun.store(turn, Ordering::Release);
    }

    /// The turn that has begun last.
    pub fn begun(&self) -> u32 {
        self.begun.load(Ordering::Acquire)
    }

    /// The outputs of this turn are complete; whether the hub waits to be woken on `answered`.
    pub fn answer(&self, turn: u32, at: u32) -> bool {
        self.answered_at.store(at, Ordering::Relaxed);
        self.answered.store(turn, Ordering::Release);
        // Against the fence in `wait_for`: one of the two sees the other's word.
        fence(Ordering::SeqCst);
        self.waits.load(Ordering::Relaxed) != 0
    }

    /// The turn that was answered last.
    pub fn answered(&self) -> u32 {
        self.answered.load(Ordering::Acquire)
    }

    /// From here on the client wakes the hub; what was answered until now.
    pub fn wait_for(&self) -> u32 {
        self.waits.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.answered.load(Ordering::Acquire)
    }

    /// The client need not wake the hub any more.
    pub fn wait_no_more(&self) {
        self.waits.store(0, Ordering::Relaxed);
    }

    /// Publishes what becomes of the client's samples. One control thread at a time.
    pub fn tell(&self, told: Told) {
        let writes = self.told_writes.load(Ordering::Relaxed);
        self.told_writes.store(writes.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (place, word) in self.told.iter().zip(told) {
            place.store(word, Ordering::Relaxed);
        }
        self.told_writes.store(writes.wrapping_add(2), Ordering::Release);
    }

    /// What was published last; `None` while it is being written.
    pub fn told(&self) -> Option<Told> {
        let writes = self.told_writes.load(Ordering::Acquire);
        if writes & 1 == 1 {
            return None;
        }
        let mut told = [0; 6];
        for (word, place) in told.iter_mut().zip(&self.told) {
            *word = place.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        (self.told_writes.load(Ordering::Relaxed) == writes).then_some(told)
    }
}

#[cfg(not(loom))]
type Head = Shared<HeadWords>;

/// The hub's end on its device thread.
#[cfg(not(loom))]
#[derive(Debug)]
pub struct HubEnd {
    head: Head,
    shape: SegmentShape,
}

/// The hub's hand on a slot from its control threads.
#[cfg(not(loom))]
#[derive(Clone, Debug)]
pub struct HubControl {
    head: Head,
}

/// Makes a new slot in `block`, which the hub has made for it.
///
/// # Errors
/// If the shape is none, or the block too short for it.
#[cfg(not(loom))]
pub fn slot(block: Arc<Block>, shape: SegmentShape, client: u32) -> Result<(HubEnd, HubControl)> {
    check(&block, &shape)?;
    let head = Head::new(block)?;
    let words = head.words();
    words.magic.store(MAGIC, Ordering::Relaxed);
    words.client.store(client, Ordering::Relaxed);
    words.version.store(PROTOCOL, Ordering::Release);
    let control = HubControl { head: head.clone() };
    Ok((HubEnd { head, shape }, control))
}

#[cfg(not(loom))]
fn check(block: &Block, shape: &SegmentShape) -> Result<()> {
    shape.check()?;
    if block.bytes() < shape.bytes() {
        return Err(Error::new(ErrorKind::Malfunction, "a client's memory is too short"));
    }
    Ok(())
}

#[cfg(not(loom))]
fn inputs(shape: &SegmentShape, half: Half) -> Planes {
    Planes {
        offset: shape.input_offset(half.index()),
        channels: shape.inputs,
        plane_bytes: shape.plane_bytes(),
        sample_bytes: shape.format.bytes(),
        frames: shape.block_frames,
    }
}

#[cfg(not(loom))]
fn outputs(shape: &SegmentShape, half: Half) -> Planes {
    Planes {
        offset: shape.output_offset(half.index()),
        channels: shape.outputs,
        ..inputs(shape, half)
    }
}

#[cfg(not(loom))]
impl HubEnd {
    /// What the segment holds.
    pub fn shape(&self) -> &SegmentShape {
        &self.shape
    }

    /// Where the client's inputs go.
    pub fn inputs(&mut self, half: Half) -> AreaMut<'_> {
        self.head.block().area_mut(&inputs(&self.shape, half))
    }

    /// Where the client's outputs lie; the client may write them at any time.
    pub fn outputs(&self, half: Half) -> Area<'_> {
        self.head.block().area(&outputs(&self.shape, half))
    }

    /// The words.
    pub fn words(&self) -> &HeadWords {
        self.head.words()
    }

    /// The word to wait on for this client alone.
    pub fn answered_word(&self) -> &AtomicU32 {
        &self.head.words().answered
    }

    /// When the last answer was given, as the client says, modulo 2^32.
    pub fn answered_at(&self) -> u32 {
        self.head.words().answered_at.load(Ordering::Relaxed)
    }

    /// Tells the client how it is served, and how often it was late.
    pub fn publish(&self, served: Served, lates: u32) {
        self.head.words().served.store(u32::from(served == Served::Later), Ordering::Relaxed);
        self.head.words().lates.store(lates, Ordering::Relaxed);
    }
}

#[cfg(not(loom))]
impl HubControl {
    /// The segment is out of use.
    pub fn close(&self, why: Closed) {
        self.head.words().closed.store(why.code(), Ordering::Release);
    }

    /// Publishes what becomes of the client's samples.
    pub fn tell(&self, told: Told) {
        self.head.words().tell(told);
    }

    /// The memory to be given to the client.
    pub fn block(&self) -> &Arc<Block> {
        self.head.block()
    }
}

/// The client's end.
#[cfg(not(loom))]
#[derive(Clone, Debug)]
pub struct ClientEnd {
    head: Head,
    shape: SegmentShape,
}

#[cfg(not(loom))]
impl ClientEnd {
    /// Checks what the hub has given.
    ///
    /// # Errors
    /// `Malfunction` if it is not what the hub told, or of another version.
    pub fn new(block: Arc<Block>, shape: SegmentShape) -> Result<Self> {
        check(&block, &shape)?;
        let head = Head::new(block)?;
        let words = head.words();
        let version = words.version.load(Ordering::Acquire);
        if words.magic.load(Ordering::Relaxed) != MAGIC || version != PROTOCOL {
            let text = "the segment that the hub gave is none of this version of Barewire";
            return Err(Error::new(ErrorKind::Malfunction, text)
                .remedy("end the hub and start it from the same version"));
        }
        Ok(Self { head, shape })
    }

    /// What the segment holds.
    pub fn shape(&self) -> &SegmentShape {
        &self.shape
    }

    /// The turn that has begun last: its cycle and half.
    pub fn begun(&self) -> (u32, Half) {
        let turn = self.head.words().begun();
        (turn >> 1, if turn & 1 == 0 { Half::Zero } else { Half::One })
    }

    /// What the hub has captured for this half.
    pub fn inputs(&self, half: Half) -> Area<'_> {
        self.head.block().area(&inputs(&self.shape, half))
    }

    /// Where this half's outputs go.
    pub fn outputs(&mut self, half: Half) -> AreaMut<'_> {
        self.head.block().area_mut(&outputs(&self.shape, half))
    }

    /// The outputs of `half` in `cycle` are complete.
    pub fn answer(&self, cycle: u32, half: Half, gate: &Gate, system: &dyn System) {
        let half = u32::from(half == Half::One);
        let [at, _] = {
            let [a, b, c, d, e, f, g, h] = system.now_ns().to_le_bytes();
            [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
        };
        if self.head.words().answer(turn(cycle, half), at) {
            system.wake_shared(&self.head.words().answered);
        }
        gate.answer(cycle, system);
    }

    /// Why the segment is out of use, if it is.
    pub fn closed(&self) -> Option<Closed> {
        Closed::from_code(self.head.words().closed.load(Ordering::Acquire))
    }

    /// How the client is served, and how often it was late.
    pub fn served(&self) -> (Served, u32) {
        let words = self.head.words();
        let later = words.served.load(Ordering::Relaxed) != 0;
        let served = if later { Served::Later } else { Served::InTime };
        (served, words.lates.load(Ordering::Relaxed))
    }

    /// What becomes of the client's samples; `None` if it cannot be read just now.
    pub fn told(&self) -> Option<Told> {
        self.head.words().told()
    }

    /// The client's own word: whoever changes it ends the client's wait.
    pub fn wakes(&self) -> &AtomicU32 {
        &self.head.words().wakes
    }
}
