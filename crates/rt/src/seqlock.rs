//! A snapshot that one thread publishes and any thread reads. The writer never waits, and a reader does not wait for
//! a writer that was stopped in the middle: there are two copies, of which only the older one is ever being written.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// `N` words that are read together as they were written together.
///
/// The words are atomics, so a torn read is a repeated read, never a data race. The fences are those of Hans Boehm,
/// "Can seqlocks get along with programming language memory models?" (2012).
#[derive(Debug)]
pub struct Seqlock<const N: usize> {
    /// Completed writes; the last one lies in copy `writes % 2`.
    writes: AtomicU64,
    copies: [[AtomicU64; N]; 2],
}

impl<const N: usize> Default for Seqlock<N> {
    fn default() -> Self {
        let copy = |_| array::from_fn(|_| AtomicU64::new(0));
        Self { writes: AtomicU64::new(0), copies: array::from_fn(copy) }
    }
}

impl<const N: usize> Seqlock<N> {
    /// All words 0.
    pub fn new() -> Self {
        Self::default()
    }

    fn copy(&self, write: u64) -> &[AtomicU64; N] {
        &self.copies[usize::from(write & 1 == 1)]
    }

    /// Publishes `words`. Only one thread at a time may write.
    pub fn write(&self, words: [u64; N]) {
        let next = self.writes.load(Ordering::Relaxed).wrapping_add(1);
        // Whoever sees a word of this write also sees that the write before it was completed.
        fence(Ordering::Release);
        for (place, word) in self.copy(next).iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        self.writes.store(next, Ordering::Release);
    }

    /// The words of the last completed write. Repeats only if a whole write was completed meanwhile.
    pub fn read(&self) -> [u64; N] {
        let mut words = [0; N];
        loop {
            let write = self.writes.load(Ordering::Acquire);
            for (word, place) in words.iter_mut().zip(self.copy(write)) {
                *word = place.load(Ordering::Relaxed);
            }
            fence(Ordering::Acquire);
            if self.writes.load(Ordering::Relaxed) == write {
                return words;
            }
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Seqlock;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_reader_never_sees_half_a_write() {
        let lock = Seqlock::<8>::new();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..200_000_u64 {
                    lock.write([n; 8]);
                }
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                let words = lock.read();
                assert!(words.iter().all(|&word| word == words[0]), "{words:?}");
            }
        });
        assert_eq!(lock.read(), [199_999; 8]);
    }
}
