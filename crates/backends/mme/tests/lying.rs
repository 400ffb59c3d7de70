//! What winmm, drivers and people do wrong ends in the right error or goes on, and is told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

mod fake;

use barewire_device::{
    Backend, DeviceId, Loss, NoteKind, OpenRequest, Period, SideRequest, Stream, Wake,
};
use barewire_mme::MmeBackend;
use barewire_mme::waves::{Direction, code};
use barewire_rt::System;
use barewire_types::{ErrorKind, SampleFormat};
use fake::{Fault, Model, RATE, World, sung};
use std::sync::Arc;

const CAPTURED: &str = "{0.0.1.00000000}.{02}";

fn microphone() -> Model {
    Model {
        direction: Direction::Capture,
        name: "Microphone",
        endpoint: Some(CAPTURED),
        ..Model::default()
    }
}

fn backend(world: &Arc<World>) -> MmeBackend {
    MmeBackend::with_waves(world.system.clone(), world.waves())
}

fn request(model: &Model) -> OpenRequest {
    let side = Some(SideRequest { channels: 2, format: Some(SampleFormat::INT16) });
    let plays = model.direction == Direction::Playback;
    OpenRequest {
        id: DeviceId::new("mme", model.endpoint.unwrap()),
        rate: RATE,
        capture: side.filter(|_| !plays),
        playback: side.filter(|_| plays),
        period_frames: 480,
    }
}

/// A world with one device, opened and started.
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

/// All that is captured in one period.
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
fn what_is_captured_is_what_the_device_heard_however_packets_come_back() {
    for quantum_frames in [1, 480, 700, 1440] {
        let (world, mut stream) = started(&Model { quantum_frames, ..microphone() });
        let mut heard = Vec::new();
        for _ in 0..100 {
            assert_eq!(period(&world, &mut *stream).missed_frames, 0, "{quantum_frames}");
            heard.extend(read(&mut *stream));
        }
        let expected: Vec<u8> = (0..heard.len() as u64).map(sung).collect();
        assert!(heard == expected, "{quantum_frames}");
    }
}

#[test]
fn frames_that_get_lost_while_a_packet_is_queued_are_counted() {
    // The queue lasts 40 ms: what is shorter loses nothing, what is longer runs dry.
    for ns in [5_000_000, 45_000_000, 100_000_000] {
        let fault = Some(Fault::Slow { from: 9600, ns });
        let (world, mut stream) = started(&Model { fault, ..microphone() });
        let (mut place, mut missed) = (0, 0);
        for _ in 0..100 {
            let frames = u64::from(period(&world, &mut *stream).missed_frames);
            let bytes = read(&mut *stream);
            let expected: Vec<u8> = (place..place + bytes.len() as u64).map(sung).collect();
            assert!(missed + frames > 0 || bytes == expected, "{ns}: lost and not told");
            (place, missed) = (place + bytes.len() as u64, missed + frames);
        }
        assert_eq!(missed > 0, ns > 40_000_000, "{ns}: {missed} missed");
    }
}

#[test]
fn a_queued_packet_is_never_touched() {
    let (world, mut stream) = started(&Model { quantum_frames: 1, ..Model::default() });
    for n in 0..200_u32 {
        period(&world, &mut *stream);
        let frames = stream.playback().frames();
        stream.commit(frames * (n % 3) / 2);
    }
    assert_eq!(world.now().touched, 0);
}

#[test]
fn packets_that_come_back_short_are_frames_missed_and_not_old_sound() {
    for bytes in [0, 4, 1919] {
        let fault = Some(Fault::Short { from: 2400, packets: 3, bytes });
        let (world, mut stream) = started(&Model { fault, ..microphone() });
        let mut sum = 0;
        let mut missed = 0;
        for _ in 0..60 {
            let period = period(&world, &mut *stream);
            read(&mut *stream);
            missed += u64::from(period.missed_frames);
            sum += u64::from(period.capture_frames) + u64::from(period.missed_frames);
            assert_eq!(period.position_frames, sum);
        }
        assert!((1..6000).contains(&missed), "{missed} frames missed");
    }
}

#[test]
fn a_device_that_only_brings_empty_packets_is_lost_and_does_not_spin() {
    let fault = Some(Fault::Short { from: 0, packets: u32::MAX, bytes: 0 });
    let (world, mut stream) = started(&Model { fault, ..microphone() });
    assert_eq!(next(&world, &mut *stream), Wake::Lost(Loss::Failed));
    assert!(world.now().waits < 100);
    assert_eq!(stream.start(), Err(Loss::Failed));
}

#[test]
fn a_device_that_stops_moving_is_lost_within_two_seconds() {
    for model in [Model::default(), microphone()] {
        let (world, mut stream) =
            started(&Model { fault: Some(Fault::Stall { at: 9600 }), ..model });
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
        assert!(passed <= 2_100_000_000, "{passed}");
    }
}

#[test]
fn events_without_a_packet_bring_no_period() {
    let (world, mut stream) = started(&Model { fault: Some(Fault::Spurious), ..Model::default() });
    let mut sum = 0;
    for _ in 0..100 {
        let period = period(&world, &mut *stream);
        sum += u64::from(period.playback_frames);
        assert_eq!((period.missed_frames, period.position_frames), (0, sum));
    }
}

#[test]
fn a_packet_that_is_refused_tells_what_became_of_the_device() {
    for (code, loss) in [
        (code::NODRIVER, Loss::Gone),
        (code::INVALHANDLE, Loss::Gone),
        (code::ALLOCATED, Loss::Taken),
        (code::ERROR, Loss::Failed),
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
    let world = World::new(vec![
        Model::default(),
        Model { name: "Other", endpoint: Some("{9}"), ..Model::default() },
    ]);
    let backend = backend(&world);
    let wanted = request(&Model { endpoint: Some("{9}"), ..Model::default() });
    let mut stream = backend.open(&wanted).unwrap();
    stream.start().unwrap();
    period(&world, &mut *stream);
    world.unplug(1);
    assert_eq!(next(&world, &mut *stream), Wake::Lost(Loss::Gone));
    drop(stream);
    assert_eq!(backend.open(&wanted).err().unwrap().kind(), ErrorKind::NotFound);
    world.plug(1);
    // Another one is gone, so that winmm's numbers have moved.
    world.unplug(0);
    let mut stream = backend.open(&wanted).unwrap();
    stream.start().unwrap();
    assert_eq!(period(&world, &mut *stream).position_frames, 480);
}

#[test]
fn each_refusal_to_open_has_its_kind_and_a_remedy() {
    for (code, kind) in [
        (code::ALLOCATED, ErrorKind::Busy),
        (code::NODRIVER, ErrorKind::Lost),
        (code::NOTENABLED, ErrorKind::Lost),
        (code::NOMEM, ErrorKind::NoMemory),
        (code::BADFORMAT, ErrorKind::Unsupported),
        (77, ErrorKind::Malfunction),
    ] {
        for model in [Model::default(), microphone()] {
            let world = World::new(vec![Model { refusal: Some(code), ..model.clone() }]);
            let error = backend(&world).open(&request(&model)).err().unwrap();
            assert_eq!((error.kind(), error.code()), (kind, Some(code.cast_signed())));
            assert!(error.remedy_text().is_some(), "{error}");
        }
    }
    let world = World::new(vec![Model { refusal: Some(code::NOTENABLED), ..microphone() }]);
    let error = backend(&world).open(&request(&microphone())).err().unwrap();
    assert!(error.to_string().contains("privacy"), "{error}");
}

#[test]
fn devices_of_one_name_have_ids_of_their_own_even_without_endpoints() {
    let nameless = Model { endpoint: None, ..Model::default() };
    let world = World::new(vec![nameless.clone(), nameless.clone(), nameless]);
    let ids: Vec<String> =
        backend(&world).devices().unwrap().iter().map(|device| device.id.to_string()).collect();
    let name = "mme:out,Speakers (Fake High Definition ";
    assert_eq!(ids, [name.to_owned(), format!("{name},2"), format!("{name},3")]);
}

#[test]
fn a_device_that_takes_nothing_that_is_known_is_not_listed() {
    let world = World::new(vec![Model { formats: vec![], ..Model::default() }]);
    assert!(backend(&world).devices().unwrap().is_empty());
}

#[test]
fn packets_are_as_few_as_hold_and_never_longer_than_drivers_bear() {
    let model = Model { rates_hz: vec![48_000, 192_000], channels: 8, ..Model::default() };
    let world = World::new(vec![model.clone()]);
    for (rate, channels, wanted, period, prefill) in [
        (48_000, 2, 480, 480, 1920),
        (48_000, 2, 64, 480, 1920),
        (48_000, 2, 1024, 1024, 3072),
        (48_000, 2, 4096, 4096, 8192),
        (192_000, 8, 19_200, 1920, 7680),
    ] {
        let mut request = request(&model);
        request.rate = barewire_types::RateHz::new(rate).unwrap();
        request.period_frames = wanted;
        request.playback = Some(SideRequest { channels, format: None });
        let stream = backend(&world).open(&request).unwrap();
        let shape = stream.shape();
        assert_eq!((shape.period_frames, shape.prefill_frames), (period, prefill), "{wanted}");
        let adapted = stream.notes().iter().any(|note| note.kind == NoteKind::Adapted);
        assert_eq!(adapted, wanted != period);
        let mixer = rate / 100;
        assert_eq!(shape.latency.output_frames, prefill - period + mixer, "the mixer's period too");
    }
}

#[test]
fn a_device_that_runs_dry_while_a_period_is_in_hand_has_missed_frames() {
    for model in [Model::default(), microphone()] {
        let (world, mut stream) = started(&model);
        period(&world, &mut *stream);
        // All other packets come back before this one is given to the device again.
        let until = world.system.now_ns() + 45_000_000;
        world.system.sleep(&std::sync::atomic::AtomicU32::new(0), 0, until);
        let frames = stream.playback().frames();
        stream.commit(frames);
        read(&mut *stream);
        let period = period(&world, &mut *stream);
        assert!((1000..4000).contains(&period.missed_frames), "{period:?}");
    }
}

#[test]
fn a_run_begins_at_zero_although_old_sound_fills_all_packets_at_once() {
    let fault = Some(Fault::Old { frames: 3000 });
    let (world, mut stream) = started(&Model { fault, ..microphone() });
    for n in 1..50 {
        let period = period(&world, &mut *stream);
        assert_eq!((period.position_frames, period.missed_frames), (n * 480, 0));
        read(&mut *stream);
    }
}
