//! Fixed-size records from the device thread to a reader: dropped and counted when full, never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The writing end. Real-time safe.
#[derive(Debug)]
pub struct EventWriter<T> {
    ring: rtrb::Producer<T>,
    dropped: Arc<AtomicU64>,
}

/// The reading end.
#[derive(Debug)]
pub struct EventReader<T> {
    ring: rtrb::Consumer<T>,
    dropped: Arc<AtomicU64>,
    reported: u64,
}

/// A log for `capacity` records that wait to be read. Control thread.
pub fn events<T: Copy + Send>(capacity: usize) -> (EventWriter<T>, EventReader<T>) {
    let (producer, consumer) = rtrb::RingBuffer::new(capacity);
    let dropped = Arc::new(AtomicU64::new(0));
    (
        EventWriter { ring: producer, dropped: dropped.clone() },
        EventReader { ring: consumer, dropped, reported: 0 },
    )
}

impl<T: Copy + Send> EventWriter<T> {
    /// Adds a record, or counts it as dropped if the reader is too far behind.
    pub fn push(&mut self, record: T) {
        if self.ring.push(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<T: Copy + Send> EventReader<T> {
    /// The oldest record that was not read yet.
    pub fn pop(&mut self) -> Option<T> {
        self.ring.pop().ok()
    }

    /// How many records were dropped since this was last asked.
    pub fn newly_dropped(&mut self) -> u64 {
        let all = self.dropped.load(Ordering::Relaxed);
        all - std::mem::replace(&mut self.reported, all)
    }
}

#[cfg(test)]
mod tests {
    use super::events;

    #[test]
    fn what_does_not_fit_is_counted_and_nothing_is_overwritten() {
        let (mut writer, mut reader) = events(2);
        for n in 0..5 {
            writer.push(n);
        }
        assert_eq!((reader.pop(), reader.pop(), reader.pop()), (Some(0), Some(1), None));
        assert_eq!((reader.newly_dropped(), reader.newly_dropped()), (3, 0));
    }
}
