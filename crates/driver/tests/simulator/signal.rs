//! Samples that tell their number, in the device's bytes and in the host's, and who checks their order.

use barewire_types::{Encoding, SampleFormat};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Numbers run from 1 to this and begin again; 0 is silence. 23 bits fit every format that is simulated.
pub const CYCLE: u64 = (1 << 23) - 1;

/// The left-justified sample of a number counted from 0.
pub fn sample(number: u64) -> i32 {
    ((number % CYCLE + 1) as i32) << 8
}

/// The number in a sample, counted from 0; `None` for silence.
pub fn number(sample: i32) -> Option<u64> {
    (sample >> 8 > 0).then(|| (sample >> 8) as u64 - 1)
}

/// Writes and reads samples as the device has them.
pub fn encode(format: SampleFormat, sample: i32, place: &mut [u8]) {
    let bytes = sample.to_le_bytes();
    match format.encoding {
        Encoding::Int24 => place.copy_from_slice(&bytes[1..]),
        _ => place.copy_from_slice(&bytes),
    }
}

pub fn decode(format: SampleFormat, place: &[u8]) -> i32 {
    match format.encoding {
        Encoding::Int24 => i32::from_le_bytes([0, place[0], place[1], place[2]]),
        _ => i32::from_le_bytes([place[0], place[1], place[2], place[3]]),
    }
}

/// Follows numbered samples: each is the next one, or follows silence and is a later one.
#[derive(Debug, Default)]
pub struct Follower {
    last: Option<u64>,
    after_silence: bool,
    /// Samples that followed another than their predecessor.
    pub breaks: u64,
    /// Samples that were heard before.
    pub old: u64,
    /// Numbers left out across silence.
    pub skipped: u64,
    /// Silent samples after the first number.
    pub silent: u64,
    pub heard: u64,
}

impl Follower {
    pub fn hear(&mut self, sample: i32) {
        let Some(number) = number(sample) else {
            if self.last.is_some() {
                self.silent += 1;
                self.after_silence = true;
            }
            return;
        };
        self.heard += 1;
        if let Some(last) = self.last {
            let ahead = (number + CYCLE - last) % CYCLE;
            if ahead == 0 || ahead > CYCLE / 2 {
                self.old += 1;
            } else if ahead > 1 && self.after_silence {
                self.skipped += ahead - 1;
            } else if ahead > 1 {
                self.breaks += 1;
            }
        }
        self.after_silence = false;
        self.last = Some(number);
    }

    /// What comes next is another run: its numbers begin anew.
    pub fn forget(&mut self) {
        self.last = None;
        self.after_silence = false;
    }
}

/// What the device received, over all openings.
#[derive(Debug, Default)]
pub struct DeviceEar {
    pub follower: Mutex<Follower>,
    pub frames: AtomicU64,
    pub swapped: AtomicU64,
}

impl DeviceEar {
    pub fn listen(
        self: &Arc<Self>,
        format: SampleFormat,
        channels: usize,
    ) -> barewire_virtual::SinkFunction {
        let own = self.clone();
        Box::new(move |_, bytes| {
            let mut follower = own.follower.lock().unwrap();
            let size = format.bytes();
            for frame in bytes.chunks_exact(size * channels) {
                let first = decode(format, &frame[..size]);
                follower.hear(first);
                own.frames.fetch_add(1, Ordering::Relaxed);
                if channels > 1 && decode(format, &frame[size..2 * size]) != first.wrapping_neg() {
                    own.swapped.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    }
}

/// What the device captures: its own position.
pub fn source(format: SampleFormat, channels: usize) -> barewire_virtual::SourceFunction {
    Box::new(move |position, bytes| {
        let size = format.bytes();
        for (n, frame) in (position..).zip(bytes.chunks_exact_mut(size * channels)) {
            let first = sample(n);
            for (channel, place) in frame.chunks_exact_mut(size).enumerate() {
                encode(format, if channel == 0 { first } else { first.wrapping_neg() }, place);
            }
        }
    })
}
