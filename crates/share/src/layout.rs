//! How the memory between hub and client is laid out. Words of 32 bits at fixed places, asserted for every width of machine;
//! longer numbers are two words, since a load of eight bytes may be a write on 32-bit machines, and a client reads pages
//! that it may not write.

use crate::atomic::AtomicU32;
use barewire_types::{Error, ErrorKind, MAX_CHANNELS, MAX_FRAMES, Result, SampleFormat};

/// "BWHB", so that memory of another kind is not taken for ours.
pub const MAGIC: u32 = u32::from_le_bytes(*b"BWHB");

/// A line of cache: what different processes write lies in different ones.
pub const LINE: usize = 64;

/// The most bytes of one client's segment.
pub const MOST_SEGMENT_BYTES: usize = 256 << 20;

/// Words of one cycle's record.
pub const RECORD_WORDS: usize = 16;

/// The page that all clients read and only the hub writes.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct PageWords {
    pub(crate) magic: AtomicU32,
    pub(crate) version: AtomicU32,
    /// Cycles begun; the word that clients wait on.
    pub(crate) cycle: AtomicU32,
    /// Why there will be no more, or 0.
    pub(crate) closed: AtomicU32,
    pub(crate) reserved: [AtomicU32; 12],
    /// Of cycle n in record n modulo 2.
    pub(crate) records: [[AtomicU32; RECORD_WORDS]; 2],
}

/// The page on which clients count down the answers that are still missing.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct GateWords {
    /// The cycle in the upper 24 bits, the count in the lower 8; the word that the hub waits on.
    pub(crate) left: AtomicU32,
    pub(crate) reserved: [AtomicU32; 15],
}

/// The beginning of a client's segment. Behind it lie two halves of inputs, then two of outputs, all planar.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct HeadWords {
    // Written once by the hub.
    pub(crate) magic: AtomicU32,
    pub(crate) version: AtomicU32,
    pub(crate) client: AtomicU32,
    pub(crate) reserved: [AtomicU32; 13],
    // Written by the hub. It never believes what it reads here, since the client could have written it.
    /// The cycle (upper 31 bits) and half (lowest bit) whose inputs are complete.
    pub(crate) begun: AtomicU32,
    /// Why the segment is out of use, or 0.
    pub(crate) closed: AtomicU32,
    /// The hub waits on `answered`.
    pub(crate) waits: AtomicU32,
    /// 1 while the client is served one block later.
    pub(crate) served: AtomicU32,
    /// Blocks that the client was late for.
    pub(crate) lates: AtomicU32,
    /// Odd while `told` is being written.
    pub(crate) told_writes: AtomicU32,
    /// What becomes of the client's samples.
    pub(crate) told: [AtomicU32; 6],
    pub(crate) reserved_too: [AtomicU32; 4],
    // Written by the client.
    /// What `begun` was, once the outputs of that half are complete.
    pub(crate) answered: AtomicU32,
    /// When, in nanoseconds of the hub's clock, modulo 2^32.
    pub(crate) answered_at: AtomicU32,
    /// The client's own word to wait on, beside the page's.
    pub(crate) wakes: AtomicU32,
    pub(crate) reserved_last: [AtomicU32; 13],
}

#[cfg(not(loom))]
const _: () = {
    use std::mem::{align_of, offset_of, size_of};
    assert!(size_of::<PageWords>() == 192 && align_of::<PageWords>() == LINE);
    assert!(offset_of!(PageWords, cycle) == 8 && offset_of!(PageWords, closed) == 12);
    assert!(offset_of!(PageWords, records) == 64);
    assert!(size_of::<GateWords>() == 64 && offset_of!(GateWords, left) == 0);
    assert!(size_of::<HeadWords>() == 192 && align_of::<HeadWords>() == LINE);
    assert!(offset_of!(HeadWords, client) == 8 && offset_of!(HeadWords, begun) == 64);
    assert!(offset_of!(HeadWords, closed) == 68 && offset_of!(HeadWords, waits) == 72);
    assert!(offset_of!(HeadWords, served) == 76 && offset_of!(HeadWords, lates) == 80);
    assert!(offset_of!(HeadWords, told_writes) == 84 && offset_of!(HeadWords, told) == 88);
    assert!(offset_of!(HeadWords, answered) == 128 && offset_of!(HeadWords, answered_at) == 132);
    assert!(offset_of!(HeadWords, wakes) == 136);
};

/// What a client's segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentShape {
    /// Channels from the hub to the client.
    pub inputs: u16,
    /// Channels from the client to the hub.
    pub outputs: u16,
    /// Frames of a block.
    pub block_frames: u32,
    /// How a sample lies in memory, both directions.
    pub format: SampleFormat,
}

impl SegmentShape {
    /// Bytes from one plane to the next: whole lines.
    pub fn plane_bytes(&self) -> usize {
        (self.block_frames as usize * self.format.bytes()).next_multiple_of(LINE)
    }

    /// Where half 0 or 1 of the inputs begins.
    pub fn input_offset(&self, half: usize) -> usize {
        size_of::<HeadWords>() + half * usize::from(self.inputs) * self.plane_bytes()
    }

    /// Where half 0 or 1 of the outputs begins.
    pub fn output_offset(&self, half: usize) -> usize {
        self.input_offset(2) + half * usize::from(self.outputs) * self.plane_bytes()
    }

    /// All of the segment.
    pub fn bytes(&self) -> usize {
        self.output_offset(2)
    }

    /// Whether such a segment may be.
    ///
    /// # Errors
    /// `InvalidArgument` with what is too much.
    pub fn check(&self) -> Result<()> {
        let wrong = |text: String| Err(Error::new(ErrorKind::InvalidArgument, text));
        if usize::from(self.inputs.max(self.outputs)) > MAX_CHANNELS {
            return wrong(format!("more than {MAX_CHANNELS} channels cannot be shared"));
        }
        if !(1..=MAX_FRAMES).contains(&self.block_frames) {
            return wrong(format!("a block of {} frames cannot be shared", self.block_frames));
        }
        let channels = 2 * (u64::from(self.inputs) + u64::from(self.outputs));
        let bytes = channels * self.plane_bytes() as u64;
        if bytes > MOST_SEGMENT_BYTES as u64 {
            return wrong(format!("{bytes} bytes are more than a client's memory may have"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_lie_apart_in_whole_lines_and_nothing_overlaps() {
        let format = SampleFormat::INT24;
        let shape = SegmentShape { inputs: 3, outputs: 2, block_frames: 65, format };
        assert_eq!(shape.plane_bytes(), 256);
        assert_eq!(shape.input_offset(0), 192);
        assert_eq!(shape.output_offset(0), 192 + 2 * 3 * 256);
        assert_eq!(shape.bytes(), 192 + 2 * 3 * 256 + 2 * 2 * 256);
        assert!(shape.check().is_ok());
        let huge = SegmentShape { inputs: 256, outputs: 256, block_frames: MAX_FRAMES, format };
        assert!(huge.check().is_err());
        assert!(SegmentShape { block_frames: 0, ..shape }.check().is_err());
        assert!(SegmentShape { inputs: 257, ..shape }.check().is_err());
    }
}
