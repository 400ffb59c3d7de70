//! The virtual device keeps what it promises: every frame where it belongs, every fault as it was scripted.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

use barewire_device::{Backend, DeviceId, Layout, OpenRequest, Period, SideRequest, Stream, Wake};
use barewire_rt::{Area, AreaMut, SimulatedSystem, System};
use barewire_types::{ErrorKind, RateHz, SampleFormat};
use barewire_virtual::{Description, Fault, FaultKind, Recordings, Sink, Source, VirtualBackend};
use std::sync::Arc;

fn read(area: Area<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in 0..area.frames() as usize {
        for channel in 0..area.channels() {
            let plane = area.plane(channel);
            for byte in 0..area.sample_bytes() {
                // SAFETY: within the piece that was lent.
                out.push(unsafe { *plane.as_ptr().add(frame * plane.step_bytes() + byte) });
            }
        }
    }
    out
}

fn write(mut area: AreaMut<'_>, bytes: &[u8]) {
    let mut bytes = bytes.iter();
    let sample = area.sample_bytes();
    for frame in 0..area.frames() as usize {
        for channel in 0..area.channels() {
            let plane = area.plane(channel);
            for byte in 0..sample {
                // SAFETY: within the piece that was lent.
                unsafe {
                    *plane.as_ptr().add(frame * plane.step_bytes() + byte) = *bytes.next().unwrap()
                };
            }
        }
    }
}

fn open(
    system: &Arc<SimulatedSystem>,
    device: Description,
    period: u32,
) -> (VirtualBackend, Box<dyn Stream>) {
    let side = |channels| (channels > 0).then_some(SideRequest { channels, format: None });
    let request = OpenRequest {
        id: DeviceId::new("virtual", &device.name),
        rate: RateHz::DAT,
        capture: side(device.inputs),
        playback: side(device.outputs),
        period_frames: period,
    };
    let backend = VirtualBackend::new(system.clone(), vec![device]);
    let stream = backend.open(&request).unwrap();
    (backend, stream)
}

/// One period: what was captured; `bytes` is played, as much as is due.
fn turn(
    stream: &mut dyn Stream,
    system: &SimulatedSystem,
    bytes: &mut impl Iterator<Item = u8>,
) -> (Period, Vec<u8>) {
    let Wake::Due(period) = stream.wait(system.now_ns() + 1_000_000_000) else {
        panic!("no period")
    };
    let mut heard = Vec::new();
    loop {
        let piece = stream.capture();
        let frames = piece.frames();
        if frames == 0 {
            break;
        }
        heard.extend(read(piece));
        stream.release(frames);
    }
    loop {
        let piece = stream.playback();
        let frames = piece.frames();
        if frames == 0 {
            break;
        }
        let length = frames as usize * piece.channels() * piece.sample_bytes();
        write(piece, &bytes.take(length).collect::<Vec<u8>>());
        stream.commit(frames);
    }
    (period, heard)
}

fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
}

#[test]
fn what_is_played_comes_back_after_the_latency_in_every_format_and_layout() {
    for format in Description::default().formats {
        for layout in [Layout::Interleaved, Layout::Planar] {
            for delay_frames in [0, 1, 37, 500] {
                let recordings = Arc::new(Recordings::default());
                let device = Description {
                    formats: vec![format],
                    layout,
                    inputs: 3,
                    outputs: 3,
                    source: Source::Loop { delay_frames },
                    sink: Sink::Memory(recordings.clone(), 100_000),
                    ..Description::default()
                };
                let system = SimulatedSystem::new(7);
                let (_, mut stream) = open(&system, device, 48);
                let shape = stream.shape();
                let frame = 3 * format.bytes();
                stream.start().unwrap();
                let mut sent = noise(1);
                let heard: Vec<u8> =
                    (0..60).flat_map(|_| turn(&mut *stream, &system, &mut sent).1).collect();
                // A frame committed when the device is at p sounds at p + output latency, and is read input latency
                // later: counted from the first frame of that same period, one period more.
                let latency =
                    shape.latency.input_frames + shape.latency.output_frames + shape.period_frames;
                let expected: Vec<u8> = noise(1).take(heard.len()).collect();
                let (quiet, loud) = heard.split_at(latency as usize * frame);
                assert!(quiet.iter().all(|&byte| byte == 0), "{format} {layout:?} {delay_frames}");
                assert!(loud == &expected[..loud.len()], "{format} {layout:?} {delay_frames}");
                drop(stream);
                let recorded = recordings.take().remove(0).bytes;
                let prefill = shape.prefill_frames as usize * frame;
                assert!(recorded[prefill..] == expected[..recorded.len() - prefill]);
            }
        }
    }
}

#[test]
fn a_period_is_where_the_clock_says_whatever_the_jitter() {
    let system = SimulatedSystem::new(1_000);
    let mut device = Description { offset_ppm: 100.0, ..Description::default() };
    device.script.jitter_ns = 400_000;
    let (_, mut stream) = open(&system, device, 64);
    stream.start().unwrap();
    for n in 1..=10_000_u64 {
        let (period, _) = turn(&mut *stream, &system, &mut noise(1));
        assert_eq!((period.position_frames, period.missed_frames), (64 * n, 0));
        let exact = 1_000.0 + 64.0 * n as f64 * 1e9 / (48_000.0 * 1.0001);
        assert!((period.at_ns as f64 - exact).abs() <= 1.0);
        assert!(system.now_ns() >= period.at_ns && period.commit_by_ns > period.at_ns);
    }
}

#[test]
fn missed_frames_are_silence_at_the_device_and_everything_after_is_in_its_place() {
    let recordings = Arc::new(Recordings::default());
    let system = SimulatedSystem::new(0);
    let mut device = Description {
        inputs: 0,
        outputs: 1,
        formats: vec![SampleFormat::INT16],
        sink: Sink::Memory(recordings.clone(), 100_000),
        ..Description::default()
    };
    device.script.faults = vec![
        Fault { at_frames: 256, kind: FaultKind::Miss(100) },
        Fault { at_frames: 1024, kind: FaultKind::LateWake(50_000_000) },
        Fault { at_frames: 9000, kind: FaultKind::SpuriousWake },
    ];
    let (_, mut stream) = open(&system, device, 64);
    stream.start().unwrap();
    let (mut sent, mut missed) = (noise(3), Vec::new());
    while missed.len() < 2 {
        let (period, _) = turn(&mut *stream, &system, &mut sent);
        if period.missed_frames > 0 {
            missed.push((period.position_frames, period.missed_frames));
        }
    }
    drop(stream);
    assert_eq!(missed[0].1, 128, "whole periods");
    let bytes = recordings.take().remove(0).bytes;
    let mut expected = vec![0; 2 * 128];
    let mut source = noise(3);
    let gap = missed[0].0 - 128 - 64;
    expected.extend(source.by_ref().take(2 * gap as usize));
    expected.extend([0; 2 * 128]);
    expected.extend(source.by_ref().take(64));
    assert_eq!(bytes[..expected.len()], expected[..]);
    assert_eq!(bytes.len() as u64, 2 * (128 + missed[1].0));
}

#[test]
fn what_nobody_wrote_is_silence_and_what_nobody_read_is_dropped() {
    let system = SimulatedSystem::new(0);
    let device = Description { source: Source::Counter, ..Description::default() };
    let (_, mut stream) = open(&system, device, 32);
    stream.start().unwrap();
    for n in 0..50_u32 {
        assert!(matches!(stream.wait(u64::MAX), Wake::Due(_)));
        let heard = read(stream.capture());
        assert_eq!(u32::from_le_bytes(heard[..4].try_into().unwrap()), (32 * n) << 8);
    }
}

#[test]
fn an_unplugged_device_is_lost_for_good_and_opens_again_under_its_id() {
    let system = SimulatedSystem::new(0);
    let mut device = Description::default();
    device.script.faults = vec![Fault { at_frames: 640, kind: FaultKind::Unplug(Some(5_000_000)) }];
    let (backend, mut stream) = open(&system, device, 64);
    stream.start().unwrap();
    let lost = (0..100).find(|_| matches!(stream.wait(u64::MAX), Wake::Lost(_)));
    assert_eq!(lost, Some(10));
    assert!(matches!(stream.wait(u64::MAX), Wake::Lost(_)) && stream.start().is_err());
    let request = OpenRequest {
        id: backend.devices().unwrap()[0].id.clone(),
        rate: RateHz::CD,
        capture: None,
        playback: Some(SideRequest { channels: 2, format: None }),
        period_frames: 64,
    };
    assert_eq!(backend.open(&request).err().unwrap().kind(), ErrorKind::NotFound);
    system.sleep(&std::sync::atomic::AtomicU32::new(0), 0, system.now_ns() + 5_000_000);
    assert!(backend.open(&request).unwrap().start().is_ok());
    assert_eq!(backend.remote("loop").unwrap().openings(), 2);
}

#[test]
fn files_hold_every_frame_however_fast_time_passes() {
    let folder = tempfile::tempdir().unwrap();
    let system = SimulatedSystem::new(0);
    let device = Description {
        sink: Sink::Wav(folder.path().to_owned()),
        inputs: 0,
        ..Description::default()
    };
    let (_, mut stream) = open(&system, device, 512);
    stream.start().unwrap();
    let mut sent = noise(9);
    for _ in 0..4_000 {
        turn(&mut *stream, &system, &mut sent);
    }
    assert_eq!(stream.notes(), []);
    drop(stream);
    let file = barewire_virtual::wav::read(&folder.path().join("capture-001-48000Hz.wav")).unwrap();
    assert_eq!((file.rate_hz, file.channels, file.frames()), (48_000, 2, 512 * 4_002));
    assert!(file.bytes[512 * 2 * 8..].iter().copied().eq(noise(9).take(512 * 4_000 * 8)));
}

#[test]
fn told_times_jitter_and_the_clock_does_not() {
    let system = SimulatedSystem::new(0);
    let mut device = Description::default();
    device.script.reading_jitter_ns = 500_000;
    let (_, mut stream) = open(&system, device, 48);
    stream.start().unwrap();
    let mut off = std::collections::BTreeSet::new();
    for n in 1..=100_u64 {
        let (period, _) = turn(&mut *stream, &system, &mut noise(1));
        assert_eq!(system.now_ns(), n * 1_000_000);
        off.insert(period.at_ns - n * 1_000_000);
    }
    assert!(off.len() > 90 && off.last().is_some_and(|most| *most < 500_000), "{off:?}");
}

#[test]
fn starts_that_are_to_fail_fail_and_the_next_one_does_not() {
    let system = SimulatedSystem::new(0);
    let device = Description { refuse_starts: 2, ..Description::default() };
    let (_, mut stream) = open(&system, device, 48);
    let started: Vec<bool> = (0..3).map(|_| stream.start().is_ok()).collect();
    assert_eq!(started, [false, false, true]);
}

#[test]
fn a_device_that_is_exclusive_is_open_once_at_a_time() {
    let system = SimulatedSystem::new(0);
    let device = Description { is_exclusive: true, ..Description::default() };
    let backend = VirtualBackend::new(system, vec![device]);
    let side = Some(SideRequest { channels: 2, format: None });
    let request = OpenRequest {
        id: backend.devices().unwrap()[0].id.clone(),
        rate: RateHz::DAT,
        capture: side,
        playback: side,
        period_frames: 64,
    };
    let first = backend.open(&request).unwrap();
    assert_eq!(backend.open(&request).err().map(|error| error.kind()), Some(ErrorKind::Busy));
    drop(first);
    assert!(backend.open(&request).is_ok());
}
