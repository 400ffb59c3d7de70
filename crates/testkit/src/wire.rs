//! What a system's mixer plays and captures, bit for bit, for backends whose system is real: the sink is a file that grows,
//! the source sings a known tune. Formats are those of integers and floats that a mixer takes; the wire has 32-bit samples,
//! two channels, 48 kHz.
//!
//! A frame that is missing and a frame that is altered are told apart; neither is excused. What a busy machine does is neither:
//! a stream that comes late says so, and a mixer that is itself not run in time puts silence between frames that all arrive.
//! Such an attempt is made again ([`insist`]).

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "only tests call it")]

use barewire_device::contract::{Finding, Report};
use barewire_device::{Stream, Wake};
use barewire_rt::System;
use barewire_types::{SampleFormat, frames_to_ns};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Frames after which the tune begins anew.
pub const TUNE_FRAMES: u64 = 1 << 16;
/// Bytes of a frame on the wire.
const WIRE_FRAME_BYTES: u64 = 8;
/// What is stated of the latency may be wrong by two periods of the mixer: the sink's file grows in steps of that order.
const LATENCY_FRAMES: u64 = 960;
/// Nobody was run for so long, as long as a mixer's step: it left one out, at least.
pub const STANDSTILL_NS: u64 = 10_000_000;
/// A wait that brings nothing for so long is worth a look at the clock.
const LOOK_NS: u64 = 1_000_000_000;
/// A machine on which not one attempt of so many comes through plays nobody's music.
const MOST_ATTEMPTS: u32 = 12;

/// A frame of the tune: its upper 16 bits tell its place, its lower 16 bits are noise; the second channel is neither equal
/// nor opposite to the first. Never silence.
pub fn tune(frame: u64) -> [u32; 2] {
    let n = u32::try_from(frame % TUNE_FRAMES).unwrap_or(0);
    let high = n.wrapping_mul(40_503) & 0xFFFF;
    let low = n.wrapping_mul(27_061).wrapping_add(12_345) & 0xFFFF | 1;
    [high << 16 | low, (!high & 0xFFFF) << 16 | low]
}

/// The whole tune as the wire carries it.
pub fn tune_bytes() -> Vec<u8> {
    (0..TUNE_FRAMES).flat_map(tune).flat_map(u32::to_le_bytes).collect()
}

/// Writes the tune for whoever feeds the source; the file is whole once it has its name.
///
/// # Panics
/// If it cannot be written.
pub fn write_tune(place: &Path) {
    let part = place.with_extension("part");
    std::fs::write(&part, tune_bytes()).expect("a place for the tune");
    std::fs::rename(&part, place).expect("a place for the tune");
}

/// Where in the tune a frame stands, by its upper bits.
fn place(frame: [u32; 2]) -> u64 {
    /// The inverse of 40503 modulo 2^16.
    const INVERSE: u32 = 30_599;
    u64::from((frame[0] >> 16).wrapping_mul(INVERSE) & 0xFFFF)
}

/// The bits of a sample that a format carries.
fn carried(format: SampleFormat) -> u32 {
    u32::MAX << (32 - u32::from(format.exact_bits()))
}

fn encode(format: SampleFormat, value: u32) -> Vec<u8> {
    let bytes = value.to_le_bytes();
    if format.is_float() {
        #[expect(clippy::cast_precision_loss, reason = "24 bits fit a float")]
        let float = (value.cast_signed() >> 8) as f32 / 8_388_608.0;
        return float.to_le_bytes().to_vec();
    }
    bytes[4 - format.bytes()..].to_vec()
}

fn decode(format: SampleFormat, bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    word[4 - bytes.len()..].copy_from_slice(bytes);
    if !format.is_float() {
        return u32::from_le_bytes(word);
    }
    let scaled = f64::from(f32::from_le_bytes(word)) * 2_147_483_648.0;
    #[expect(clippy::cast_possible_truncation, reason = "a float below 1 scaled to 32 bits")]
    let whole = scaled as i64;
    u32::try_from(whole & 0xFFFF_FFFF).unwrap_or(0)
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every frame, in order, unaltered; before the first of them so many frames of silence.
    Exact {
        /// Frames that were compared.
        frames: u64,
        /// Frames between the first that was on the wire after the start and the first of the tune.
        after_frames: u64,
    },
    /// The stream came late, and told how many frames that cost.
    Missed(u64),
    /// All frames came, in order and unaltered, with so many frames of silence in between that nobody sent.
    Halted(u64),
    /// All frames came as they were sent, the first of them not when it was stated.
    Late(String),
    /// Something was left out: the frame, and what stood there.
    Gap(String),
    /// Something was left out while the machine stood still, by a system that has no word for it.
    Unsaid(String),
    /// A frame came that was never sent.
    Altered(String),
}

/// Plays `frames` frames of the tune and compares what arrived at `sink`, and when, with what was stated.
///
/// # Panics
/// If the stream does not do what a stream does, or the sink cannot be read.
pub fn play(system: &dyn System, stream: Box<dyn Stream>, sink: &Path, frames: u64) -> Outcome {
    let shape = stream.shape();
    let stated = u64::from(shape.period_frames + shape.latency.output_frames);
    match arrive(system, stream, sink, frames).0 {
        Outcome::Exact { after_frames, .. } if after_frames.abs_diff(stated) > LATENCY_FRAMES => {
            Outcome::Late(format!(
                "the first frame came after {after_frames}, stated were {stated}"
            ))
        }
        other => other,
    }
}

/// As [`play`], for streams whose clock does not know how long the sound server below keeps what it was given. The stream was
/// in time if it was never longer left alone than what was queued lasts.
///
/// # Panics
/// As `play`.
pub fn arrive(
    system: &dyn System,
    mut stream: Box<dyn Stream>,
    sink: &Path,
    frames: u64,
) -> Attempt {
    let shape = stream.shape();
    let queued = u64::from(shape.period_frames + shape.latency.output_frames);
    let mut fed_ns = None;
    let mut in_time = true;
    let format = shape.playback.expect("it plays").format;
    let begin = end_of(sink);
    stream.start().expect("it starts");
    let mut sent = 0;
    let mut missed = 0;
    while sent < frames {
        match stream.wait(system.now_ns() + LOOK_NS) {
            Wake::Due(period) => missed += u64::from(period.missed_frames),
            Wake::Idle => continue,
            other => panic!("{other:?}"),
        }
        sent += write(&mut *stream, format, sent, frames);
        let now_ns = system.now_ns();
        let alone_ns = fed_ns.map_or(0, |fed_ns| now_ns - fed_ns);
        in_time &= alone_ns < frames_to_ns(queued, shape.rate);
        fed_ns = Some(now_ns);
    }
    // What is on its way, in silence.
    let until = system.now_ns() + LOOK_NS;
    while system.now_ns() < until {
        stream.wait(until);
    }
    drop(stream);
    if missed > 0 {
        return (Outcome::Missed(missed), in_time);
    }
    (arrived(sink, begin, format, frames), in_time)
}

/// Where the sink's file ends now, in whole frames: what is played from now on comes behind.
///
/// # Panics
/// If the sink cannot be read.
pub fn end_of(sink: &Path) -> u64 {
    let end = File::open(sink).and_then(|file| file.metadata()).expect("a sink").len();
    end / WIRE_FRAME_BYTES * WIRE_FRAME_BYTES
}

/// The first `frames` frames of the tune beside what arrived at `sink` behind `begin`, in the bits that `format` carries.
///
/// # Panics
/// If the sink cannot be read.
pub fn arrived(sink: &Path, begin: u64, format: SampleFormat, frames: u64) -> Outcome {
    let mut file = File::open(sink).expect("a sink");
    file.seek(SeekFrom::Start(begin)).expect("a sink that grows");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("a sink that can be read");
    let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let heard: Vec<[u32; 2]> =
        bytes.chunks_exact(8).map(|frame| [word(&frame[..4]), word(&frame[4..])]).collect();
    compare(&heard, carried(format), 0, frames)
}

/// The frames of one period, those beyond `frames` in silence; how many of the tune were written.
fn write(stream: &mut dyn Stream, format: SampleFormat, sent: u64, frames: u64) -> u64 {
    let mut done = 0;
    loop {
        let mut piece = stream.playback();
        let count = piece.frames();
        if count == 0 {
            return done;
        }
        for channel in 0..2 {
            let plane = piece.plane(channel);
            for n in 0..count {
                let frame = sent + done + u64::from(n);
                let value = if frame < frames { tune(frame)[channel] } else { 0 };
                let sample = plane.as_ptr().wrapping_add(n as usize * plane.step_bytes());
                for (at, byte) in encode(format, value).into_iter().enumerate() {
                    // SAFETY: within a sample of the piece that was lent for writing.
                    unsafe { sample.wrapping_add(at).write(byte) };
                }
            }
        }
        stream.commit(count);
        done += u64::from(count);
    }
}

/// Captures at least `frames` frames of the tune, from wherever in it the source is.
///
/// # Panics
/// If the stream does not do what a stream does.
pub fn capture(system: &dyn System, mut stream: Box<dyn Stream>, frames: u64) -> Outcome {
    let format = stream.shape().capture.expect("it captures").format;
    stream.start().expect("it starts");
    let mut heard = Vec::new();
    let mut missed = 0;
    // What was captured before the source sang into this stream is silence.
    while (heard.iter().filter(|frame| **frame != [0, 0]).count() as u64) < frames {
        match stream.wait(system.now_ns() + LOOK_NS) {
            Wake::Due(period) => missed += u64::from(period.missed_frames),
            Wake::Idle => continue,
            other => panic!("{other:?}"),
        }
        read(&mut *stream, format, &mut heard);
    }
    if missed > 0 {
        return Outcome::Missed(missed);
    }
    let first = heard.iter().find(|frame| **frame != [0, 0]).copied().unwrap_or_default();
    compare(&heard, carried(format), place(first), frames)
}

fn read(stream: &mut dyn Stream, format: SampleFormat, heard: &mut Vec<[u32; 2]>) {
    loop {
        let piece = stream.capture();
        let count = piece.frames();
        if count == 0 {
            return;
        }
        let sample = |channel, n: u32| {
            let plane = piece.plane(channel);
            let base = plane.as_ptr().wrapping_add(n as usize * plane.step_bytes());
            // SAFETY: within a sample of the piece that was lent for reading.
            let bytes = unsafe { std::slice::from_raw_parts(base, format.bytes()) };
            decode(format, bytes)
        };
        heard.extend((0..count).map(|n| [sample(0, n), sample(1, n)]));
        stream.release(count);
    }
}

/// What was heard beside the tune from `place` on, in the bits that `mask` has.
fn compare(heard: &[[u32; 2]], mask: u32, place_of_first: u64, frames: u64) -> Outcome {
    let cut = |frame: [u32; 2]| frame.map(|sample| sample & mask);
    let Some(first) = heard.iter().position(|frame| *frame != [0, 0]) else {
        return Outcome::Gap("nothing but silence was heard".to_owned());
    };
    for n in 0..frames {
        let expected = cut(tune(place_of_first + n));
        let at = first + usize::try_from(n).unwrap_or(usize::MAX);
        let Some(&found) = heard.get(at) else {
            return Outcome::Gap(format!("only {n} of {frames} frames were heard"));
        };
        if found == expected {
            continue;
        }
        if let Some(silence) = silence_between(&heard[first..], mask, place_of_first, frames) {
            return Outcome::Halted(silence);
        }
        let there = place(found);
        // A frame of the tune that stands elsewhere is whole: something before it is missing.
        if found == [0, 0] || found == cut(tune(there)) {
            return Outcome::Gap(format!(
                "frame {n} is {found:08x?}, place {there} of the tune instead of {}",
                (place_of_first + n) % TUNE_FRAMES
            ));
        }
        return Outcome::Altered(format!("frame {n} is {found:08x?} instead of {expected:08x?}"));
    }
    Outcome::Exact { frames, after_frames: first as u64 }
}

/// How much silence stands between frames that are all there; `None` if one is not.
fn silence_between(heard: &[[u32; 2]], mask: u32, place_of_first: u64, frames: u64) -> Option<u64> {
    let (mut sent, mut silence) = (0, 0);
    for frame in heard {
        if sent == frames {
            break;
        }
        if *frame == [0, 0] {
            silence += 1;
        } else if *frame == tune(place_of_first + sent).map(|sample| sample & mask) {
            sent += 1;
        } else {
            return None;
        }
    }
    (sent == frames).then_some(silence)
}

/// Checks the contract until it is kept, and says what was found. Rules about the clock are tried again with all the others:
/// when a mixer halts, so does its position. What was lost is tried again if the machine stood still meanwhile, for the times
/// that tell how much it was stood still as well. Every other rule has to be kept at once.
///
/// # Panics
/// If another rule is broken, or one about the clock each time.
pub fn keeps_the_contract(what: &str, mut check: impl FnMut() -> Report) {
    const ABOUT_THE_CLOCK: [&str; 2] = ["position-follows-clock", "deadline-kept"];
    const ABOUT_LOSSES: &str = "xrun-counted";
    for _ in 0..MOST_ATTEMPTS {
        let watch = Watch::begin();
        let report = check();
        println!("{report}");
        let still_ns = watch.longest_ns();
        let is_excused = |finding: &Finding| {
            let stood_still = finding.rule == ABOUT_LOSSES && still_ns >= STANDSTILL_NS;
            stood_still || ABOUT_THE_CLOCK.contains(&finding.rule)
        };
        assert!(report.broken.iter().all(is_excused), "{what}: {report}");
        if report.broken.is_empty() {
            return;
        }
        println!("{what}: made again; nobody was run for {} us at the longest", still_ns / 1_000);
    }
    panic!("{what}: not once in {MOST_ATTEMPTS} attempts");
}

/// Sees whether the machine runs anything at all: a thread that sleeps two milliseconds at a time, and how much longer than that
/// it slept at the longest. Where nobody was run, nobody could be in time.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<(AtomicBool, AtomicU64)>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// From now on.
    pub fn begin() -> Self {
        const NAP: Duration = Duration::from_millis(2);
        let shared = Arc::new((AtomicBool::new(false), AtomicU64::new(0)));
        let its = shared.clone();
        let thread = std::thread::spawn(move || {
            let (is_over, longest_ns) = &*its;
            while !is_over.load(Ordering::Acquire) {
                let begin = Instant::now();
                std::thread::sleep(NAP);
                let more = begin.elapsed().saturating_sub(NAP).as_nanos();
                longest_ns.fetch_max(u64::try_from(more).unwrap_or(u64::MAX), Ordering::AcqRel);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// The longest time, in nanoseconds, that nobody was run until now.
    pub fn longest_ns(&self) -> u64 {
        self.shared.1.load(Ordering::Acquire)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.0.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

/// What an attempt came to, and whether the stream was in time all along as someone else saw it: that there was always
/// something of ours to play or to fill.
pub type Attempt = (Outcome, bool);

/// Tries until everything arrives, and says it. Made again are attempts at which the stream was late and told so, and those at
/// which it never was, and whoever plays for it halted in between all the same, or nobody at all was run. Silence after a stream that
/// was late by itself and did not tell is no excuse, nor is anything else.
///
/// # Panics
/// If something was altered or is missing, or if it never comes through.
pub fn insist(what: &str, mut attempt: impl FnMut() -> Attempt) {
    for _ in 0..MOST_ATTEMPTS {
        let watch = Watch::begin();
        let tried = attempt();
        let still_ns = watch.longest_ns();
        if let (Outcome::Exact { frames, after_frames }, _) = tried {
            println!("{what}: {frames} frames exact, the first after {after_frames}");
            return;
        }
        match excuse(&tried, still_ns) {
            Some(excuse) => println!("{what}: {excuse}"),
            None => panic!("{what}: {tried:?}; nobody was run for {} us", still_ns / 1_000),
        }
    }
    panic!("{what}: not once in {MOST_ATTEMPTS} attempts");
}

/// Why an attempt may be made again, if nobody at all was run for `still_ns` at the longest.
fn excuse((outcome, in_time): &Attempt, still_ns: u64) -> Option<String> {
    let stood_still = still_ns >= STANDSTILL_NS;
    match outcome {
        Outcome::Missed(frames) => Some(format!("late by {frames} frames, and told")),
        Outcome::Halted(frames) if *in_time => {
            Some(format!("whole, but not played for {frames} frames while there was more"))
        }
        Outcome::Halted(frames) if stood_still => Some(format!(
            "whole, but not played for {frames} frames; nobody was run for {} us",
            still_ns / 1_000
        )),
        Outcome::Unsaid(how) if stood_still => {
            Some(format!("{how}; nobody was run for {} us", still_ns / 1_000))
        }
        Outcome::Late(how) if *in_time => Some(how.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_of_the_tune_tells_its_place() {
        assert!((0..TUNE_FRAMES).all(|n| place(tune(n)) == n && tune(n) != [0, 0]));
        assert_eq!(tune_bytes().len() as u64, TUNE_FRAMES * WIRE_FRAME_BYTES);
    }

    #[test]
    fn samples_are_carried_as_far_as_their_format_reaches() {
        let formats =
            [SampleFormat::INT16, SampleFormat::INT24, SampleFormat::INT32, SampleFormat::FLOAT32];
        for format in formats {
            for value in (0..999).map(|n| tune(n)[0]) {
                let back = decode(format, &encode(format, value));
                assert_eq!(back, value & carried(format), "{format}");
            }
        }
    }

    #[test]
    fn gaps_and_alterations_are_told_apart() {
        let sent: Vec<[u32; 2]> = (0..100).map(tune).collect();
        let with = |change: &dyn Fn(&mut Vec<[u32; 2]>)| {
            let mut heard = vec![[0, 0]; 7];
            heard.extend(&sent);
            change(&mut heard);
            compare(&heard, u32::MAX, 0, 100)
        };
        assert_eq!(with(&|_| {}), Outcome::Exact { frames: 100, after_frames: 7 });
        let is_gap = |outcome| matches!(outcome, Outcome::Gap(_));
        let silence = |heard: &mut Vec<[u32; 2]>| {
            heard.splice(40..40, [[0, 0]; 9]);
            heard.insert(60, [0, 0]);
        };
        assert_eq!(with(&silence), Outcome::Halted(10));
        // Not if a frame fell out, or was altered, behind it.
        let and_lost = |heard: &mut Vec<[u32; 2]>| {
            silence(heard);
            heard.remove(80);
        };
        assert!(is_gap(with(&and_lost)));
        let and_altered = |heard: &mut Vec<[u32; 2]>| {
            silence(heard);
            heard[80][0] ^= 1 << 31;
        };
        assert!(is_gap(with(&and_altered)));
        assert!(is_gap(with(&|heard| heard.truncate(50))));
        assert!(is_gap(with(&|heard| drop(heard.drain(20..30)))));
        assert!(is_gap(with(&|heard| heard.fill([0, 0]))));
        let is_altered = |outcome| matches!(outcome, Outcome::Altered(_));
        assert!(is_altered(with(&|heard| heard[50][1] ^= 1)));
        assert!(is_altered(with(&|heard| heard[50].reverse())));
    }

    #[test]
    fn of_the_contract_only_the_clock_is_tried_again() {
        let tries = |rule: &'static str, times: u32| {
            let mut count = 0;
            keeps_the_contract("x", || {
                count += 1;
                let finding = Finding { rule, what: String::new() };
                let broken = if count <= times { vec![finding] } else { Vec::new() };
                Report { broken, ..Report::default() }
            });
            count
        };
        assert_eq!((tries("", 0), tries("position-follows-clock", 1)), (1, 2));
        assert!(std::panic::catch_unwind(|| tries("position-follows-clock", 99)).is_err());
        assert!(std::panic::catch_unwind(|| tries("xrun-counted", 1)).is_err());
    }

    #[test]
    fn only_what_a_busy_machine_does_is_tried_again() {
        let exact = Outcome::Exact { frames: 1, after_frames: 0 };
        let tries = |first: Attempt| {
            let mut count = 0;
            insist("x", || {
                count += 1;
                if count == 1 { first.clone() } else { (exact.clone(), true) }
            });
            count
        };
        assert_eq!(tries((exact.clone(), true)), 1);
        assert_eq!(tries((Outcome::Missed(5), false)), 2);
        assert_eq!(tries((Outcome::Halted(5), true)), 2);
        assert_eq!(tries((Outcome::Late(String::new()), true)), 2);
        for bad in [
            (Outcome::Halted(5), false),
            (Outcome::Late(String::new()), false),
            (Outcome::Gap(String::new()), true),
            (Outcome::Altered(String::new()), true),
        ] {
            assert!(std::panic::catch_unwind(|| tries(bad.clone())).is_err(), "{bad:?}");
        }
        assert!(std::panic::catch_unwind(|| insist("x", || (Outcome::Missed(5), true))).is_err());
    }

    #[test]
    fn a_machine_that_stands_still_excuses_silence_and_what_nobody_tells_but_no_gap() {
        let is_excused = |outcome: Outcome, ns| excuse(&(outcome, false), ns).is_some();
        let text = String::new;
        for outcome in [Outcome::Halted(5), Outcome::Unsaid(text())] {
            assert!(is_excused(outcome.clone(), STANDSTILL_NS));
            assert!(!is_excused(outcome, STANDSTILL_NS - 1));
        }
        for outcome in [Outcome::Gap(text()), Outcome::Altered(text()), Outcome::Late(text())] {
            assert!(!is_excused(outcome, u64::MAX));
        }
    }
}
