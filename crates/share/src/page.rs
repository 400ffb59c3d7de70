//! The cycle page: what every client is told of the cycle that has begun. One writer, the hub's device thread; any number
//! of readers, who cannot write it.
//!
//! A record is written before its cycle's number. It is written again two cycles later, so a reader who finds the number
//! unchanged afterwards has read it whole (Hans Boehm, "Can seqlocks get along with programming language memory models?",
//! 2012).

#[cfg(not(loom))]
use crate::PROTOCOL;
use crate::atomic::{AtomicU32, Ordering, fence};
#[cfg(not(loom))]
use crate::layout::MAGIC;
use crate::layout::{PageWords, RECORD_WORDS};
#[cfg(not(loom))]
use crate::memory::Shared;
#[cfg(not(loom))]
use crate::slot::Closed;
use barewire_types::Ns;
#[cfg(not(loom))]
use barewire_types::{Error, ErrorKind, Result};

/// One cycle as clients are told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cycle {
    /// Its number; numbers begin anew at 2^31.
    pub number: u32,
    /// Position of the block's first frame in the hub's run.
    pub position_frames: u64,
    /// When the block's last input frame was complete.
    pub at_ns: Ns,
    /// When a client's answer has to be there.
    pub answer_by_ns: Ns,
    /// The rate in force.
    pub rate_hz: u32,
    /// Frames of a block.
    pub block_frames: u32,
}

#[cfg(not(loom))]
/// The page, wherever it lies.
pub type Page = Shared<PageWords>;

fn split(value: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

fn join(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// Numbers of cycles have 31 bits: the lowest bit of a slot's word is the half.
pub const CYCLE_MASK: u32 = u32::MAX >> 1;

impl PageWords {
    /// All words 0.
    #[cfg(any(loom, test))]
    pub fn zeroed() -> Self {
        use std::array::from_fn;
        let zero = |_| AtomicU32::new(0);
        Self {
            magic: AtomicU32::new(0),
            version: AtomicU32::new(0),
            cycle: AtomicU32::new(0),
            closed: AtomicU32::new(0),
            reserved: from_fn(zero),
            records: from_fn(|_| from_fn(zero)),
        }
    }

    fn record(&self, number: u32) -> &[AtomicU32; RECORD_WORDS] {
        &self.records[usize::from(number & 1 == 1)]
    }

    /// Publishes a cycle, whose number follows the last one.
    pub fn publish(&self, cycle: &Cycle) {
        let [position_low, position_high] = split(cycle.position_frames);
        let [at_low, at_high] = split(cycle.at_ns);
        let [by_low, by_high] = split(cycle.answer_by_ns);
        let words = [
            cycle.number,
            position_low,
            position_high,
            at_low,
            at_high,
            by_low,
            by_high,
            cycle.rate_hz,
            cycle.block_frames,
        ];
        // Whoever sees a word of this record sees that the cycle before has begun.
        fence(Ordering::Release);
        for (place, word) in self.record(cycle.number).iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        self.cycle.store(cycle.number, Ordering::Release);
    }

    /// The cycle that has begun last; `None` if it cannot be read in a few attempts, which no honest hub makes happen.
    pub fn read(&self) -> Option<Cycle> {
        /// A cycle lasts longer than a reading; a hub that spins through its page is not waited for.
        const ATTEMPTS: usize = 4;
        for _ in 0..ATTEMPTS {
            let number = self.cycle.load(Ordering::Acquire);
            let record = self.record(number);
            let word = |n: usize| record.get(n).map_or(0, |word| word.load(Ordering::Relaxed));
            let cycle = Cycle {
                number: word(0),
                position_frames: join(word(1), word(2)),
                at_ns: join(word(3), word(4)),
                answer_by_ns: join(word(5), word(6)),
                rate_hz: word(7),
                block_frames: word(8),
            };
            fence(Ordering::Acquire);
            if self.cycle.load(Ordering::Relaxed) == number && cycle.number == number {
                return Some(cycle);
            }
        }
        None
    }
}

#[cfg(not(loom))]
/// The hub's end.
#[derive(Debug)]
pub struct PageWriter(Page);

#[cfg(not(loom))]
impl PageWriter {
    /// Writes the page's head.
    pub fn new(page: Page) -> Self {
        let words = page.words();
        words.magic.store(MAGIC, Ordering::Relaxed);
        words.version.store(PROTOCOL, Ordering::Release);
        Self(page)
    }

    /// Publishes a cycle. Who waits is to be woken on [`word`](Self::word).
    pub fn publish(&self, cycle: &Cycle) {
        self.0.words().publish(cycle);
    }

    /// There will be no more cycles.
    pub fn close(&self, why: Closed) {
        self.0.words().closed.store(why.code(), Ordering::Release);
    }

    /// The word that clients wait on.
    pub fn word(&self) -> &AtomicU32 {
        &self.0.words().cycle
    }
}

#[cfg(not(loom))]
/// A client's end.
#[derive(Clone, Debug)]
pub struct PageReader(Page);

#[cfg(not(loom))]
impl PageReader {
    /// Checks the page's head.
    ///
    /// # Errors
    /// `Malfunction` if it is no page of this version.
    pub fn new(page: Page) -> Result<Self> {
        let words = page.words();
        let (version, magic) =
            (words.version.load(Ordering::Acquire), words.magic.load(Ordering::Relaxed));
        if (magic, version) != (MAGIC, PROTOCOL) {
            let text = "the hub's memory is none of this version of Barewire";
            return Err(Error::new(ErrorKind::Malfunction, text)
                .remedy("end the hub and start it from the same version"));
        }
        Ok(Self(page))
    }

    /// The number of the cycle that has begun last: the value to wait on.
    pub fn number(&self) -> u32 {
        self.0.words().cycle.load(Ordering::Acquire)
    }

    /// What is told of it.
    pub fn read(&self) -> Option<Cycle> {
        self.0.words().read()
    }

    /// Why there will be no more, if so.
    pub fn closed(&self) -> Option<Closed> {
        Closed::from_code(self.0.words().closed.load(Ordering::Acquire))
    }

    /// The word to wait on.
    pub fn word(&self) -> &AtomicU32 {
        &self.0.words().cycle
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::memory::Block;

    #[test]
    fn what_is_published_is_read_and_a_page_of_another_kind_is_refused() {
        let block = Block::heap(192).unwrap();
        assert!(PageReader::new(Page::new(block.clone()).unwrap()).is_err());
        let writer = PageWriter::new(Page::new(block.clone()).unwrap());
        let reader = PageReader::new(Page::new(block).unwrap()).unwrap();
        for number in 1..5 {
            let cycle = Cycle {
                number,
                position_frames: u64::MAX - u64::from(number),
                at_ns: 1 << 40,
                answer_by_ns: 1 << 41,
                rate_hz: 48_000,
                block_frames: 64,
            };
            writer.publish(&cycle);
            assert_eq!(reader.read(), Some(cycle));
        }
        assert_eq!(reader.closed(), None);
        writer.close(Closed::Changed);
        assert_eq!(reader.closed(), Some(Closed::Changed));
    }

    #[test]
    fn a_page_of_garbage_ends_the_attempt() {
        let words = PageWords::zeroed();
        words.cycle.store(7, Ordering::Relaxed);
        assert_eq!(words.read(), None);
    }
}
