//! What DirectSound, drivers and people do wrong ends in the right error or goes on, and is told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

mod fake;

use barewire_device::{Backend, DeviceId, Loss, OpenRequest, Period, SideRequest, Stream, Wake};
use barewire_dsound::DsoundBackend;
use barewire_dsound::sounds::{Direction, code};
use barewire_rt::System;
use barewire_types::ErrorKind;
use fake::{FORMAT, Fault, Model, RATE, World, sung};
use std::sync::Arc;

fn microphone() -> Model {
    Model {
        direction: Direction::Capture,
        endpoint: "{0.0.1.00000000}.{02}",
        step_frames: 1500,
        ..Model::default()
    }
}

fn backend(world: &Arc<World>) -> DsoundBackend {
    DsoundBackend::with_sounds(world.system.clone(), world.sounds())
}

fn request(model: &Model) -> OpenRequest {
    let side = Some(SideRequest { channels: 2, format: Some(FORMAT) });
    let plays = model.direction == Direction::Playback;
    OpenRequest {
        id: DeviceId::new("dsound", model.endpoint),
        rate: RATE,
        capture: side.filter(|_| !plays),
        playback: side.filter(|_| plays),
        period_frames: 480,
    }
}

fn started(model: &Model) -> (Arc<World>, Box<dyn Stream>) {
    let world = World::new(vec![model.clone()]);
    let mut stream = backend(&world).open(&request(model)).unwrap();
    stream.start().unwrap();
    (world, stream)
}

fn next(world: &World, stream: &mut dyn Stream) -> Wake {
    for _ in 0..100 {
        match stream.wait(world.system.now_ns() + 100_000_000) {
            Wake::Idle => {}
            other => return other,
        }
    }
    Wake::Idle
}

fn period(world: &World, stream: &mut dyn Stream) -> Period {
    match next(world, stream) {
        Wake::Due(period) => period,
        other => panic!("{other:?}"),
    }
}

fn read(stream: &mut dyn Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let piece = stream.capture();
        let frames = piece.frames();
        if frames == 0 {
            return bytes;
        }
        let base = piece.interleaved_base().unwrap();
        // SAFETY: four bytes a frame were lent.
        bytes.extend(unsafe { std::slice::from_raw_parts(base, frames as usize * 4) });
        stream.release(frames);
    }
}

#[test]
fn what_is_captured_is_what_the_device_heard_in_steps_of_every_size() {
    for step_frames in [1, 480, 1500, 1501] {
        let (world, mut stream) = started(&Model { step_frames, ..microphone() });
        let mut heard = Vec::new();
        for _ in 0..60 {
            assert_eq!(period(&world, &mut *stream).missed_frames, 0, "{step_frames}");
            heard.extend(read(&mut *stream));
        }
        let expected: Vec<u8> = (0..heard.len() as u64).map(sung).collect();
        assert!(heard == expected, "{step_frames}");
    }
}

#[test]
fn a_ring_that_is_lost_is_restored_and_played_on() {
    for model in [Model::default(), microphone()] {
        let fault = Some(Fault::Lose { at: 9600, restores: 1 });
        let (world, mut stream) = started(&Model { fault, ..model });
        let (mut sum, mut missed) = (0, 0);
        for _ in 0..60 {
            let period = period(&world, &mut *stream);
            missed += period.missed_frames;
            let frames = period.capture_frames.max(period.playback_frames);
            sum += u64::from(frames) + u64::from(period.missed_frames);
            assert_eq!(period.position_frames, sum);
        }
        assert!((1..4800).contains(&missed), "{missed}");
        let old = world.heard(0).contains(&0xEE);
        assert!(!old, "what a restored ring holds is not heard");
    }
}

#[test]
fn a_ring_that_cannot_be_restored_is_lost() {
    let fault = Some(Fault::Lose { at: 9600, restores: 0 });
    let (world, mut stream) = started(&Model { fault, ..Model::default() });
    let lost = (0..100).map(|_| next(&world, &mut *stream));
    let lost = lost.into_iter().find(|wake| !matches!(wake, Wake::Due(_)));
    assert_eq!(lost, Some(Wake::Lost(Loss::Failed)));
}

#[test]
fn a_cursor_that_stands_is_a_stall_within_two_seconds_and_is_not_asked_without_end() {
    for model in [Model::default(), microphone()] {
        let fault = Some(Fault::Stall { at: 9000 });
        let (world, mut stream) = started(&Model { fault, ..model });
        let mut last = world.system.now_ns();
        let loss = loop {
            match stream.wait(world.system.now_ns() + 50_000_000) {
                Wake::Due(_) => last = world.system.now_ns(),
                Wake::Idle => {}
                other => break other,
            }
        };
        assert_eq!(loss, Wake::Lost(Loss::Stalled));
        let passed = world.system.now_ns() - last;
        assert!(passed <= 2_200_000_000, "{passed}");
        assert!(world.now().asked < 3000, "a millisecond between two looks");
    }
}

#[test]
fn a_cursor_that_goes_back_a_little_is_not_a_turn_of_the_ring() {
    for model in [Model::default(), microphone()] {
        let fault = Some(Fault::Back { frames: 100 });
        let (world, mut stream) = started(&Model { fault, step_frames: 60, ..model });
        let begin = world.system.now_ns();
        let mut sum = 0;
        for _ in 0..100 {
            let period = period(&world, &mut *stream);
            sum += u64::from(period.capture_frames.max(period.playback_frames));
            assert_eq!((period.missed_frames, period.position_frames), (0, sum));
        }
        let passed = (world.system.now_ns() - begin) * 48 / 1_000_000;
        assert!(sum.abs_diff(passed) < 4800, "{sum} frames in the time of {passed}");
    }
}

#[test]
fn a_reader_that_comes_rounds_later_is_told_what_was_missed() {
    for model in [Model::default(), microphone()] {
        for late_ms in [400, 1000, 7777] {
            let (world, mut stream) = started(&model);
            period(&world, &mut *stream);
            world.system.sleep(
                &std::sync::atomic::AtomicU32::new(0),
                0,
                world.system.now_ns() + late_ms * 1_000_000,
            );
            let period = period(&world, &mut *stream);
            let missed = u64::from(period.missed_frames);
            assert!(missed.abs_diff(late_ms * 48) < 4000, "{missed} in {late_ms} ms");
        }
    }
}

#[test]
fn a_call_that_is_refused_tells_what_became_of_the_device() {
    for (code, loss) in [
        (code::NODRIVER, Loss::Gone),
        (code::ALLOCATED, Loss::Taken),
        (code::OTHERAPPHASPRIO, Loss::Taken),
        (code::FAIL, Loss::Failed),
    ] {
        let fault = Some(Fault::Refuse { from: 4800, code });
        let (world, mut stream) = started(&Model { fault, ..Model::default() });
        let lost = (0..100).map(|_| next(&world, &mut *stream));
        let lost = lost.into_iter().find(|wake| !matches!(wake, Wake::Due(_)));
        assert_eq!(lost, Some(Wake::Lost(loss)));
    }
}

#[test]
fn a_device_that_is_plugged_in_again_opens_by_the_same_id() {
    let world = World::new(vec![Model::default()]);
    let backend = backend(&world);
    let wanted = request(&Model::default());
    let mut stream = backend.open(&wanted).unwrap();
    stream.start().unwrap();
    period(&world, &mut *stream);
    world.unplug(0);
    assert_eq!(next(&world, &mut *stream), Wake::Lost(Loss::Gone));
    drop(stream);
    assert_eq!(backend.open(&wanted).err().unwrap().kind(), ErrorKind::NotFound);
    world.plug(0);
    let mut stream = backend.open(&wanted).unwrap();
    stream.start().unwrap();
    assert_eq!(period(&world, &mut *stream).position_frames, 480);
}

#[test]
fn each_refusal_to_open_has_its_kind_and_a_remedy() {
    for (code, kind) in [
        (code::ALLOCATED, ErrorKind::Busy),
        (code::OTHERAPPHASPRIO, ErrorKind::Busy),
        (code::ACCESSDENIED, ErrorKind::Denied),
        (code::NODRIVER, ErrorKind::Lost),
        (code::OUTOFMEMORY, ErrorKind::NoMemory),
        (code::BADFORMAT, ErrorKind::Unsupported),
        (code::FAIL, ErrorKind::Malfunction),
    ] {
        let model = Model { refusal: Some(code), ..microphone() };
        let world = World::new(vec![model.clone()]);
        let error = backend(&world).open(&request(&model)).err().unwrap();
        assert_eq!((error.kind(), error.code()), (kind, Some(code.cast_signed())));
        assert!(error.remedy_text().is_some(), "{error}");
    }
}

#[test]
fn written_is_as_little_ahead_as_holds_and_the_latency_has_the_mixers_period() {
    let world = World::new(vec![Model::default(), microphone()]);
    for (wanted, period, prefill) in [(480, 480, 1920), (64, 480, 1920), (2048, 2048, 4096)] {
        let mut request = request(&Model::default());
        request.period_frames = wanted;
        let shape = backend(&world).open(&request).unwrap().shape();
        assert_eq!((shape.period_frames, shape.prefill_frames), (period, prefill));
        assert_eq!(shape.latency.output_frames, prefill - period + 480);
    }
    // 31.25 ms: a smaller period would come in bursts.
    let shape = backend(&world).open(&request(&microphone())).unwrap().shape();
    assert_eq!((shape.period_frames, shape.latency.input_frames), (1500, 480));
}

#[test]
fn what_is_put_behind_the_cursor_is_told_as_missed_and_nothing_else_is() {
    const SOUND: u8 = 0x55;
    let (mut in_time, mut late) = (0, 0);
    for ms in (0..60).step_by(3) {
        let model = Model { step_frames: 1, lead_frames: 0, ..Model::default() };
        let (world, mut stream) = started(&model);
        period(&world, &mut *stream);
        let until = world.system.now_ns() + ms * 1_000_000;
        world.system.sleep(&std::sync::atomic::AtomicU32::new(0), 0, until);
        let mut put = 0;
        loop {
            let piece = stream.playback();
            let frames = piece.frames();
            if frames == 0 {
                break;
            }
            let base = piece.interleaved_base().unwrap();
            // SAFETY: four bytes a frame were lent.
            unsafe { base.write_bytes(SOUND, frames as usize * 4) };
            stream.commit(frames);
            put += frames as usize * 4;
        }
        let is_told = period(&world, &mut *stream).missed_frames > 0;
        for _ in 0..5 {
            period(&world, &mut *stream);
        }
        let heard = world.heard(0).iter().filter(|&&byte| byte == SOUND).count();
        assert_eq!(is_told, heard != put, "{ms} ms: {heard} of {put} bytes heard");
        *if is_told { &mut late } else { &mut in_time } += 1;
    }
    assert!(in_time > 5 && late > 5, "{in_time} in time, {late} late");
}

#[test]
fn what_is_overtaken_while_it_is_read_is_told_as_missed() {
    let (mut whole, mut told) = (0, 0);
    for ms in (0..400).step_by(10) {
        let fault = Some(Fault::Slow { from: 9600, ns: ms * 1_000_000 });
        let (world, mut stream) = started(&Model { fault, ..microphone() });
        let (mut place, mut missed) = (0, 0);
        for _ in 0..40 {
            missed += period(&world, &mut *stream).missed_frames;
            let bytes = read(&mut *stream);
            let expected: Vec<u8> = (place..place + bytes.len() as u64).map(sung).collect();
            assert!(missed > 0 || bytes == expected, "{ms} ms: lost and not told");
            place += bytes.len() as u64;
        }
        *if missed > 0 { &mut told } else { &mut whole } += 1;
    }
    assert!(whole > 3 && told > 3, "{whole} whole, {told} told");
}
