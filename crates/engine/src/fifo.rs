//! Frames on their way from the client's blocks to the device's periods, in the device's own format.

use barewire_device::Side;
use barewire_rt::{Area, AreaMut};

/// A ring of interleaved frames.
pub(crate) struct Fifo {
    memory: Vec<u8>,
    channels: usize,
    sample_bytes: usize,
    frames: u32,
    /// Where the oldest frame lies.
    head: u32,
    /// How many frames there are.
    filled: u32,
}

impl Fifo {
    /// Room for `frames` frames of `side`. Control thread.
    pub(crate) fn new(side: Side, frames: u32) -> Self {
        let (channels, sample_bytes) = (usize::from(side.channels), side.format.bytes());
        let bytes = frames as usize * channels * sample_bytes;
        let memory = vec![side.format.silence_byte(); bytes];
        Self { memory, channels, sample_bytes, frames, head: 0, filled: 0 }
    }

    pub(crate) fn filled(&self) -> u32 {
        self.filled
    }

    pub(crate) fn clear(&mut self) {
        (self.head, self.filled) = (0, 0);
    }

    /// Up to `wanted` contiguous frames to be filled, behind the last one.
    pub(crate) fn room(&mut self, wanted: u32) -> AreaMut<'_> {
        let tail = (self.head + self.filled) % self.frames.max(1);
        let frames = wanted.min(self.frames - self.filled).min(self.frames - tail);
        AreaMut::from_slice(&mut self.memory, self.channels, self.sample_bytes).part(tail, frames)
    }

    /// Counts frames that were filled in.
    pub(crate) fn push(&mut self, frames: u32) {
        self.filled = (self.filled + frames).min(self.frames);
    }

    /// Up to `wanted` contiguous frames, the oldest first.
    pub(crate) fn oldest(&self, wanted: u32) -> Area<'_> {
        let frames = wanted.min(self.filled).min(self.frames - self.head);
        Area::from_slice(&self.memory, self.channels, self.sample_bytes).part(self.head, frames)
    }

    /// Forgets the oldest frames.
    pub(crate) fn pop(&mut self, frames: u32) {
        let frames = frames.min(self.filled);
        self.head = (self.head + frames) % self.frames.max(1);
        self.filled -= frames;
    }
}
