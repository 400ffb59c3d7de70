//! Decoding ahead, in a thread of its own, into a ring that the player's callback empties.

use super::{FileError, Track};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Seconds that are decoded ahead.
const AHEAD_SECONDS: usize = 2;

/// The decoding thread.
pub(crate) struct Ahead {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// All frames were put in the ring, or none will come any more.
    ended: AtomicBool,
    quit: AtomicBool,
    error: Mutex<Option<FileError>>,
}

/// The callback's end of the ring.
pub(crate) struct Feed {
    ring: rtrb::Consumer<i32>,
    shared: Arc<Shared>,
}

impl Ahead {
    /// Decodes `tracks` one after another, which have one rate, as frames of `channels`: missing channels are silent,
    /// surplus ones left out, a single one goes to the first two.
    pub(crate) fn start(tracks: Vec<Track>, channels: usize) -> std::io::Result<(Self, Feed)> {
        let rate = tracks.first().map_or(48_000, |track| track.info.rate.get());
        let capacity = rate as usize * AHEAD_SECONDS * channels;
        let (producer, ring) = rtrb::RingBuffer::new(capacity.max(1));
        let shared = Arc::new(Shared::default());
        let its = shared.clone();
        let thread = thread::Builder::new()
            .name("decode".to_owned())
            .spawn(move || its.decode(tracks, channels, producer))?;
        Ok((Self { shared: shared.clone(), thread: Some(thread) }, Feed { ring, shared }))
    }

    /// What was wrong with a file, if something was.
    pub(crate) fn error(&self) -> Option<FileError> {
        self.shared.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.quit.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Its panic, if any, was printed already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn decode(&self, tracks: Vec<Track>, channels: usize, mut ring: rtrb::Producer<i32>) {
        for mut track in tracks {
            loop {
                match track.next_frames() {
                    Ok(Some(frames)) => {
                        let mapped = map(&frames, track.info.channels, channels);
                        if !self.put(&mut ring, &mapped) {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        self.ended.store(true, Ordering::Release);
                        return;
                    }
                }
            }
        }
        self.ended.store(true, Ordering::Release);
    }

    fn put(&self, ring: &mut rtrb::Producer<i32>, mut samples: &[i32]) -> bool {
        while !samples.is_empty() {
            if self.quit.load(Ordering::Acquire) {
                return false;
            }
            let room = ring.slots().min(samples.len());
            let Ok(mut chunk) = ring.write_chunk(room) else { return false };
            if room == 0 {
                thread::park_timeout(Duration::from_millis(5));
                continue;
            }
            let (first, second) = chunk.as_mut_slices();
            let (head, tail) = samples[..room].split_at(first.len());
            first.copy_from_slice(head);
            second.copy_from_slice(tail);
            chunk.commit_all();
            samples = &samples[room..];
        }
        true
    }
}

fn map(frames: &[i32], from: usize, to: usize) -> Vec<i32> {
    if from == to {
        return frames.to_vec();
    }
    let mut out = vec![0; frames.len() / from.max(1) * to];
    for (source, place) in frames.chunks_exact(from).zip(out.chunks_exact_mut(to)) {
        if from == 1 {
            place.iter_mut().take(2).for_each(|sample| *sample = source[0]);
        } else {
            let both = from.min(to);
            place[..both].copy_from_slice(&source[..both]);
        }
    }
    out
}

impl Feed {
    /// Waits until enough is decoded to begin with, or all of it.
    pub(crate) fn prime(&self) {
        let enough = self.ring.buffer().capacity() / 4;
        while self.ring.slots() < enough && !self.shared.ended.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Fills `samples` as far as there is something; how many were filled, and whether that was the end of all.
    pub(crate) fn take(&mut self, samples: &mut [i32]) -> (usize, bool) {
        // Read before the ring: what was put in before the end is seen.
        let ended = self.shared.ended.load(Ordering::Acquire);
        let there = self.ring.slots().min(samples.len());
        if let Ok(chunk) = self.ring.read_chunk(there) {
            let (first, second) = chunk.as_slices();
            samples[..first.len()].copy_from_slice(first);
            samples[first.len()..there].copy_from_slice(second);
            chunk.commit_all();
        }
        (there, ended && self.ring.is_empty())
    }
}
