//! Minutes of random 24-bit sound arrive at the card bit for bit, and come back at its inputs, by every way there is. The
//! card fills what it has played with a poison and waits until that is gone: lock step, so that no clock decides.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod lab;

use barewire_device::{Stream, Wake};
use barewire_ks::{Options, Transport};
use barewire_ks_device::Description;
use barewire_rt::System;
use barewire_types::{RateHz, SampleFormat, ns_to_frames};
use lab::Lab;

/// Everyday tests make do with so many; the lab says in `BAREWIRE_SECONDS` how many it has time for.
const SECONDS: u64 = 120;
/// Long ones: each costs a dozen calls, of which Wine makes a few thousand a second.
const PERIOD_FRAMES: u32 = if cfg!(windows) { 8192 } else { 2048 };
const SEED: u64 = 0xBA5E_0F24_B175;

/// Random samples of 24 bits, two to a word: packed, or in the high bits of 32.
struct Sound {
    state: u64,
    is_packed: bool,
    rest: Vec<u8>,
}

impl Sound {
    fn new(format: SampleFormat) -> Self {
        Self { state: SEED, is_packed: format == SampleFormat::INT24, rest: Vec::new() }
    }

    /// The next `length` bytes.
    fn next(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.rest);
        while bytes.len() < length {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            let word = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D);
            let word = if self.is_packed { word } else { word & 0xFFFF_FF00_FFFF_FF00 };
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        self.rest = bytes.split_off(length);
        bytes
    }
}

/// What is expected after `silence` bytes of silence.
struct Ear {
    sound: Sound,
    silence: usize,
    heard: u64,
}

impl Ear {
    fn hear(&mut self, mut bytes: &[u8], name: &str) {
        let silent = self.silence.min(bytes.len());
        assert!(
            bytes[..silent].iter().all(|&byte| byte == 0),
            "{name}: sound before it was played"
        );
        self.silence -= silent;
        bytes = &bytes[silent..];
        let expected = self.sound.next(bytes.len());
        if expected != bytes {
            let at = expected.iter().zip(bytes).position(|(a, b)| a != b).unwrap();
            panic!("{name}: byte {} differs, seed {SEED:#x}", self.heard as usize + at);
        }
        self.heard += bytes.len() as u64;
    }
}

fn put(stream: &mut dyn Stream, sound: &mut Sound, frame_bytes: usize) {
    loop {
        let piece = stream.playback();
        let frames = piece.frames();
        if frames == 0 {
            return;
        }
        let bytes = sound.next(frames as usize * frame_bytes);
        let base = piece.interleaved_base().unwrap();
        // SAFETY: the piece has room for `frames` frames.
        unsafe { base.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        stream.commit(frames);
    }
}

fn get(stream: &mut dyn Stream, frame_bytes: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let piece = stream.capture();
        let frames = piece.frames();
        if frames == 0 {
            return all;
        }
        let length = frames as usize * frame_bytes;
        let base = piece.interleaved_base().unwrap();
        // SAFETY: the piece has `frames` frames; nobody writes them meanwhile.
        all.extend_from_slice(unsafe { std::slice::from_raw_parts(base, length) });
        stream.release(frames);
    }
}

fn seconds() -> u64 {
    let told = std::env::var("BAREWIRE_SECONDS").ok();
    told.map_or(SECONDS, |told| told.parse().expect("BAREWIRE_SECONDS is a number"))
}

fn in_lock_step(name: &str, card: Description, options: Options, period_frames: u32) {
    let lab = Lab::new(Description { waits_for_data: true, ..card });
    let mut stream = lab.open(options, &lab.request(period_frames));
    let shape = stream.shape();
    let side = shape.playback.unwrap();
    assert_eq!(side.format.exact_bits(), 24, "{name}");
    let frame_bytes = usize::from(side.channels) * side.format.bytes();
    let delay = shape.latency.input_frames + shape.latency.output_frames + shape.period_frames;
    let ear = |frames: u32| Ear {
        sound: Sound::new(side.format),
        silence: frames as usize * frame_bytes,
        heard: 0,
    };
    let (mut at_card, mut at_inputs) = (ear(shape.prefill_frames), ear(delay));
    let mut sound = Sound::new(side.format);
    let end = seconds() * u64::from(shape.rate.get());
    stream.start().unwrap();
    let mut position = 0;
    while position < end {
        match stream.wait(lab.system.now_ns() + 1_000_000_000) {
            Wake::Due(period) => {
                assert_eq!(period.missed_frames, 0, "{name}: at {position}");
                position = period.position_frames;
                at_inputs.hear(&get(&mut *stream, frame_bytes), name);
                put(&mut *stream, &mut sound, frame_bytes);
                if position % (1 << 17) < u64::from(period_frames) {
                    at_card.hear(&lab.take(), name);
                }
            }
            other => panic!("{name}: {other:?} at {position}"),
        }
    }
    at_card.hear(&lab.take(), name);
    drop(stream);
    let least = (end - u64::from(delay) - u64::from(shape.max_period_frames)) * frame_bytes as u64;
    assert!(at_card.heard >= least && at_inputs.heard >= least, "{name}: {least} bytes at least");
    assert_eq!((lab.stat("stale"), lab.stat("starved"), lab.stat("dropped")), (0, 0, 0), "{name}");
    assert_eq!(lab.violations(), Vec::<String>::new(), "{name}");
    println!("{name}: {end} frames at the card, as many at its inputs, bit for bit");
}

fn packed() -> Description {
    Description { formats: vec![24, 24, 0], ..Description::default() }
}

fn polled() -> Options {
    Options { transport: Transport::Polled, ..Options::default() }
}

#[test]
fn long_runs_by_events() {
    in_lock_step("WaveRT with events", Description::default(), Options::default(), PERIOD_FRAMES);
}

#[test]
fn long_runs_by_the_clock() {
    in_lock_step("WaveRT by the clock", Description::default(), polled(), PERIOD_FRAMES);
}

#[test]
fn long_runs_by_packets() {
    let card = Description { looped: false, streaming: true, ..Description::default() };
    in_lock_step("packets", card, Options::default(), PERIOD_FRAMES);
}

#[test]
fn long_runs_of_6_byte_frames_by_events() {
    in_lock_step("6-byte frames, events", packed(), Options::default(), PERIOD_FRAMES);
}

#[test]
fn long_runs_of_6_byte_frames_by_the_clock_in_pages() {
    // Pages hold no whole number of such frames.
    let card = Description { ring_rounding_bytes: 4096, ..packed() };
    in_lock_step("6-byte frames, pages", card, polled(), PERIOD_FRAMES - 24);
}

#[test]
fn long_runs_of_6_byte_frames_by_packets() {
    let card = Description { looped: false, streaming: true, ..packed() };
    in_lock_step("6-byte frames, packets", card, Options::default(), PERIOD_FRAMES - 24);
}

/// Frames from the beginning of the run until the first frame that was committed leaves the card's ring.
fn first_heard(lab: &Lab, stream: &mut dyn Stream, frame_bytes: usize) -> (u64, u64) {
    let (mut sound, mut captured) = (Sound::new(SampleFormat::INT24), Vec::new());
    stream.start().unwrap();
    for _ in 0..40 {
        match stream.wait(lab.system.now_ns() + 1_000_000_000) {
            Wake::Due(_) => {
                captured.extend(get(stream, frame_bytes));
                put(stream, &mut sound, frame_bytes);
            }
            other => panic!("{other:?}"),
        }
    }
    let heard = lab.take();
    let first = Sound::new(SampleFormat::INT24).next(frame_bytes);
    let find = |bytes: &[u8]| {
        let found = bytes.chunks_exact(frame_bytes).position(|frame| frame == first);
        found.expect("the first frame is heard") as u64
    };
    (find(&heard), find(&captured))
}

/// In units of 100 ns, as drivers tell it.
fn frames_of(hns: u32) -> u64 {
    ns_to_frames(u64::from(hns) * 100 + 10_416, RateHz::DAT)
}

#[test]
fn the_latency_that_is_told_is_the_one_that_is_measured() {
    let packets = Description { looped: false, streaming: true, ..packed() };
    let lagging = Description { capture_lag_frames: 37, ..packed() };
    let early = Description { start_lag_frames: 60, ..packed() };
    let told = vec![(0, 0, 0), (192, 0, 2083), (48, 7000, 13_000)];
    // Drivers of packets have no way to tell what the hardware delays: what is less than a packet is within the tolerance.
    let untold = vec![(0, 0, 0), (48, 0, 4000)];
    for (name, card, options, delays, tolerance) in [
        ("events", packed(), Options::default(), &told, 1),
        ("polled", packed(), polled(), &told, 1),
        ("capture starts later, events", lagging.clone(), Options::default(), &told, 1),
        ("capture starts later, polled", lagging.clone(), polled(), &told, 1),
        ("the hardware starts later", early, Options::default(), &told, 1),
        ("packets", packets.clone(), Options::default(), &untold, 64),
        ("four packets", packets, Options { kernel_buffers: 4, ..Options::default() }, &untold, 64),
    ] {
        for &(fifo_bytes, chipset_hns, codec_hns) in delays {
            let card = Description { fifo_bytes, chipset_hns, codec_hns, ..card.clone() };
            let lab = Lab::new(card);
            let mut stream = lab.open(options, &lab.request(64));
            let shape = stream.shape();
            let (left_ring, came_back) = first_heard(&lab, &mut *stream, 6);
            let own = u64::from(fifo_bytes) / 6 + frames_of(chipset_hns + codec_hns);
            let period = u64::from(shape.period_frames);
            let told = u64::from(shape.latency.output_frames);
            let measured = left_ring + own - period;
            assert!(
                told.abs_diff(measured) <= tolerance,
                "{name}: {told} told, {measured} measured"
            );
            let told = told + u64::from(shape.latency.input_frames);
            let measured = came_back - period;
            assert!(
                told.abs_diff(measured) <= tolerance,
                "{name}, there and back: {told} told, {measured} measured"
            );
        }
    }
}
