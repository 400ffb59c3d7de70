//! The backend on Windows' own interfaces, over simulated devices below `mmdevapi`. `cargo xtask windows wasapi` sets them up
//! and runs this; alone nothing here can be tried.

#![cfg(windows)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

use barewire_device::{
    Backend, DeviceInfo, Loss, Mode, NoteKind, OpenRequest, Side, SideRequest, Stream, Wake,
};
use barewire_dsp::{Copier, Rest, Route};
use barewire_rt::{Area, AreaMut, RealSystem, System};
use barewire_types::{ErrorKind, RateHz, Result, SampleFormat};
use barewire_wasapi::WasapiBackend;
use std::path::PathBuf;
use std::sync::Arc;

const SECOND: u64 = 48_000;

fn backend(mode: Mode) -> Arc<dyn Backend> {
    let backend = WasapiBackend::new(RealSystem::new());
    backend.in_mode(mode).unwrap()
}

fn device(mode: Mode, name: &str) -> DeviceInfo {
    let devices = backend(mode).devices().unwrap();
    let wanted = format!("Simulated {name}");
    let found = devices.iter().find(|device| device.name == wanted);
    found.unwrap_or_else(|| panic!("{wanted} is not among {devices:#?}")).clone()
}

fn open(
    mode: Mode,
    name: &str,
    sides: &str,
    rate: u32,
    period_frames: u32,
) -> Result<Box<dyn Stream>> {
    let side = |letter| sides.contains(letter).then_some(SideRequest { channels: 1, format: None });
    backend(mode).open(&OpenRequest {
        id: device(mode, name).id,
        rate: RateHz::new(rate).unwrap(),
        capture: side('i'),
        playback: side('o'),
        period_frames,
    })
}

/// Random samples of all bits, the same for the same place. Floats get numbers that are finite.
fn random(side: Side, first_frame: u64, frames: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for n in
        first_frame * u64::from(side.channels)..(first_frame + frames) * u64::from(side.channels)
    {
        let mut z = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = ((z ^ z >> 27) >> 16) as u32;
        match side.format {
            SampleFormat::INT16 => bytes.extend(&z.to_le_bytes()[..2]),
            SampleFormat::INT24 => bytes.extend(&z.to_le_bytes()[..3]),
            SampleFormat::INT24_IN_32 => bytes.extend((z << 8).to_le_bytes()),
            SampleFormat::FLOAT32 => bytes.extend((z as f32 / 4_294_967_296.0).to_le_bytes()),
            _ => bytes.extend(z.to_le_bytes()),
        }
    }
    bytes
}

fn mover(side: Side) -> Copier {
    let routes: Vec<Route> = (0..side.channels).map(|n| Route { from: n, to: n }).collect();
    Copier::new(side.format, side.format, side.channels, side.channels, &routes, Rest::Leave)
        .unwrap()
}

fn write_all(stream: &mut dyn Stream, side: Side, mover: &Copier, sent: &mut u64) {
    loop {
        let piece = stream.playback();
        let frames = piece.frames();
        if frames == 0 {
            return;
        }
        let bytes = random(side, *sent, frames.into());
        let from = Area::from_slice(&bytes, side.channels.into(), side.format.bytes());
        assert_eq!(mover.run(from, piece).frames, frames);
        stream.commit(frames);
        *sent += u64::from(frames);
    }
}

fn read_all(stream: &mut dyn Stream, side: Side, mover: &Copier) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let piece = stream.capture();
        let frames = piece.frames();
        if frames == 0 {
            return all;
        }
        let begin = all.len();
        all.resize(begin + frames as usize * usize::from(side.channels) * side.format.bytes(), 0);
        let to = AreaMut::from_slice(&mut all[begin..], side.channels.into(), side.format.bytes());
        assert_eq!(mover.run(piece, to).frames, frames);
        stream.release(frames);
    }
}

/// The next period, or the loss. Nothing may be missed: the devices move in lock step.
fn next(system: &RealSystem, stream: &mut dyn Stream) -> std::result::Result<u64, Loss> {
    loop {
        match stream.wait(system.now_ns() + 1_000_000_000) {
            Wake::Due(period) => {
                assert_eq!(period.missed_frames, 0, "at {}", period.position_frames);
                return Ok(period.position_frames);
            }
            Wake::Idle => {}
            Wake::Lost(loss) => return Err(loss),
            Wake::Stopped => panic!("stopped"),
        }
    }
}

/// What the device wrote down of its latest run.
fn recorded(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(std::env::var("BAREWIRE_SIMULATED_FOLDER").unwrap());
    let begin = format!("Simulated {name}.");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&begin);
    std::fs::read(files.filter(named).max().expect("a record")).unwrap()
}

/// Plays random samples, and compares what arrived.
fn plays_exactly(mode: Mode, name: &str, rate: u32, period_frames: u32, frames: u64) {
    let system = RealSystem::new();
    let mut stream =
        open(mode, name, "o", rate, period_frames).unwrap_or_else(|e| panic!("{name}: {e}"));
    let shape = stream.shape();
    let side = shape.playback.unwrap();
    let (mover, mut sent) = (mover(side), 0);
    stream.start().unwrap();
    while sent < frames {
        next(&system, &mut *stream).unwrap();
        write_all(&mut *stream, side, &mover, &mut sent);
    }
    stream.stop();
    drop(stream);
    let heard = recorded(name);
    let frame = usize::from(side.channels) * side.format.bytes();
    let begin = shape.prefill_frames as usize * frame;
    assert!(heard[..begin].iter().all(|&byte| byte == 0), "{name}: the prefill is silence");
    // What is queued at the stop need not sound.
    let queued = 4 * u64::from(shape.max_period_frames);
    let most = heard[begin..].len().min((sent - queued) as usize * frame);
    assert!(most >= (frames.saturating_sub(2 * queued)) as usize * frame, "{name}: {most} bytes");
    let expected = random(side, 0, (most / frame) as u64);
    let wrong = (0..most / frame)
        .find(|n| heard[begin + n * frame..][..frame] != expected[n * frame..][..frame]);
    assert_eq!(wrong, None, "{name} in {} at {rate} Hz", side.format);
    println!(
        "{name}: {} frames at {rate} Hz, {}, {} channels, bit for bit",
        most / frame,
        side.format,
        side.channels
    );
}

#[test]
#[ignore = "needs the simulated devices of `cargo xtask windows`"]
fn a_minute_of_random_samples_arrives_bit_for_bit() {
    plays_exactly(Mode::Exclusive, "usual", 48_000, 256, 60 * SECOND);
    plays_exactly(Mode::Exclusive, "wide", 48_000, 256, 60 * SECOND);
}

#[test]
#[ignore = "needs the simulated devices of `cargo xtask windows`"]
fn every_format_rate_and_oddity_arrives_bit_for_bit() {
    for name in ["packed", "sixteen", "float", "liar", "eight", "jitter", "fast", "bytes"] {
        plays_exactly(Mode::Auto, name, 48_000, 160, 2 * SECOND);
    }
    for rate in [44_100, 48_000, 96_000, 192_000] {
        plays_exactly(Mode::Exclusive, "wide", rate, 300, 2 * SECOND);
    }
    plays_exactly(Mode::ExclusivePolled, "wide", 48_000, 480, SECOND);
    plays_exactly(Mode::Shared, "wide", 48_000, 480, SECOND);
    plays_exactly(Mode::Auto, "engine", 48_000, 128, SECOND);
    assert_eq!(open(Mode::Auto, "engine", "o", 48_000, 128).unwrap().shape().period_frames, 128);
}

/// Plays and captures at once; what comes back has to come when it is said to.
fn comes_back(mode: Mode, name: &str, period_frames: u32, frames: u64) {
    let system = RealSystem::new();
    let mut stream =
        open(mode, name, "io", 48_000, period_frames).unwrap_or_else(|e| panic!("{name}: {e}"));
    let shape = stream.shape();
    let (side, ears) = (shape.playback.unwrap(), shape.capture.unwrap());
    assert_eq!((side.format, side.channels), (ears.format, ears.channels));
    let frame = usize::from(side.channels) * side.format.bytes();
    let stated =
        u64::from(shape.latency.input_frames + shape.latency.output_frames + shape.period_frames);
    let (to, from, mut sent, mut captured) = (mover(side), mover(ears), 0, 0_u64);
    let mut measured = None;
    stream.start().unwrap();
    while sent < frames {
        next(&system, &mut *stream).unwrap();
        let bytes = read_all(&mut *stream, ears, &from);
        write_all(&mut *stream, side, &to, &mut sent);
        if measured.is_none()
            && let Some(at) =
                bytes.chunks(frame).position(|sample| sample == &random(side, 0, 1)[..])
        {
            measured = Some(captured + at as u64);
        }
        if let Some(measured) = measured
            && captured >= measured
        {
            let expected = random(side, captured - measured, (bytes.len() / frame) as u64);
            assert!(bytes == expected, "{name}: a frame was lost or changed after {captured}");
        }
        captured += (bytes.len() / frame) as u64;
    }
    let measured = measured.expect("something comes back");
    println!("{name}: round trip {measured} frames, stated {stated}, over {captured} frames");
    assert!(measured.abs_diff(stated) <= 1, "{name}: {measured} frames, stated {stated}");
}

#[test]
#[ignore = "needs the simulated devices of `cargo xtask windows`"]
fn minutes_of_both_directions_with_events_a_millisecond_off_lose_no_frame() {
    let minutes = std::env::var("BAREWIRE_MINUTES").map_or(1, |text| text.parse().unwrap());
    comes_back(Mode::Exclusive, "jitter", 144, minutes * 60 * SECOND);
}

#[test]
#[ignore = "needs the simulated devices of `cargo xtask windows`"]
fn what_is_stated_is_measured_in_every_mode() {
    for period in [144, 256, 480, 1024] {
        comes_back(Mode::Exclusive, "wide", period, SECOND);
    }
    comes_back(Mode::Exclusive, "begins-late", 256, SECOND);
    comes_back(Mode::Exclusive, "usual", 256, SECOND);
    comes_back(Mode::Shared, "wide", 480, SECOND);
    comes_back(Mode::ExclusivePolled, "wide", 480, SECOND);
}

#[test]
#[ignore = "needs the simulated devices of `cargo xtask windows`"]
fn each_refusal_ends_in_the_sentence_that_says_what_to_do() {
    let refused = |mode, name: &str| open(mode, name, "o", 48_000, 256).err().expect("refused");
    let forbidden = refused(Mode::Exclusive, "forbidden");
    assert_eq!(forbidden.kind(), ErrorKind::Denied);
    assert!(
        forbidden.to_string().contains("Allow applications to take exclusive control"),
        "{forbidden}"
    );
    let busy = refused(Mode::Auto, "busy");
    assert_eq!(busy.kind(), ErrorKind::Busy, "{busy}");
    let denied = refused(Mode::Auto, "denied");
    assert_eq!(denied.kind(), ErrorKind::Denied);
    assert!(denied.to_string().contains("Privacy"), "{denied}");
    let rate = open(Mode::Shared, "wide", "o", 44_100, 480).err().expect("refused");
    assert_eq!(rate.kind(), ErrorKind::UnsupportedRate, "{rate}");
    assert!(rate.to_string().contains("48000"), "{rate}");
    let mute = refused(Mode::Exclusive, "mute");
    assert!(mute.to_string().contains("exclusive-polled"), "{mute}");
    // Two at once: the second is told that the first has it.
    let first = open(Mode::Exclusive, "wide", "o", 48_000, 256).unwrap();
    assert_eq!(refused(Mode::Exclusive, "wide").kind(), ErrorKind::Busy);
    drop(first);
}

#[test]
#[ignore = "needs the simulated devices of `cargo xtask windows`"]
fn what_cannot_be_had_is_had_in_the_next_best_way_with_the_reason() {
    let shared = open(Mode::Auto, "forbidden", "o", 48_000, 480).unwrap();
    let notes = shared.notes();
    let why = notes.iter().find(|note| note.kind == NoteKind::SystemMixer).expect("a note");
    assert!(why.text.contains("exclusive"), "{why:?}");
    let polled = open(Mode::Auto, "mute", "o", 48_000, 480).unwrap();
    assert!(
        polled.notes().iter().any(|note| note.kind == NoteKind::Degraded),
        "{:?}",
        polled.notes()
    );
}

#[test]
#[ignore = "needs the simulated devices of `cargo xtask windows`"]
fn what_happens_in_mid_stream_is_told_as_what_it_is() {
    let expected = [
        ("unplugged", Loss::Gone),
        ("changed", Loss::Changed),
        ("taken", Loss::Taken),
        ("stalled", Loss::Stalled),
    ];
    let system = RealSystem::new();
    for (name, loss) in expected {
        let mut stream = open(Mode::Exclusive, name, "o", 48_000, 256).unwrap();
        let side = stream.shape().playback.unwrap();
        let (mover, mut sent) = (mover(side), 0);
        stream.start().unwrap();
        let seen = loop {
            match next(&system, &mut *stream) {
                Ok(_) => write_all(&mut *stream, side, &mover, &mut sent),
                Err(loss) => break loss,
            }
            assert!(sent < 10 * SECOND, "{name}: never lost");
        };
        assert_eq!(seen, loss, "{name}");
        println!("{name}: {seen:?} after {sent} frames");
    }
}

#[test]
#[ignore = "needs the simulated devices of `cargo xtask windows`"]
fn what_an_output_plays_can_be_captured() {
    let id = device(Mode::Auto, "wide").id;
    let devices = backend(Mode::Auto).devices().unwrap();
    let wanted = format!("{id}/loopback");
    let tap = devices.iter().find(|device| device.id.as_str() == wanted).expect("the tap");
    assert!(tap.capture.is_some() && tap.playback.is_none());
    let mut ears = backend(Mode::Auto)
        .open(&OpenRequest {
            id: tap.id.clone(),
            rate: RateHz::DAT,
            capture: Some(SideRequest { channels: 2, format: None }),
            playback: None,
            period_frames: 480,
        })
        .unwrap();
    let mut mouth = open(Mode::Shared, "wide", "o", 48_000, 480).unwrap();
    let system = RealSystem::new();
    let (side, from) = (mouth.shape().playback.unwrap(), ears.shape().capture.unwrap());
    assert_eq!(side.format, from.format);
    let (to, of, mut sent, mut heard) = (mover(side), mover(from), 0, Vec::new());
    mouth.start().unwrap();
    ears.start().unwrap();
    while sent < SECOND {
        next(&system, &mut *mouth).unwrap();
        write_all(&mut *mouth, side, &to, &mut sent);
        while let Wake::Due(_) = ears.wait(0) {
            heard.extend(read_all(&mut *ears, from, &of));
        }
    }
    let piece = random(side, SECOND / 4, SECOND / 4);
    let frame = usize::from(side.channels) * side.format.bytes();
    let begins = heard.chunks(frame).enumerate().filter(|(_, sample)| *sample == &piece[..frame]);
    let is_whole = begins.map(|(at, _)| at * frame).any(|at| heard[at..].starts_with(&piece));
    assert!(is_whole, "a quarter of a second in one piece, of {} bytes heard", heard.len());
}
