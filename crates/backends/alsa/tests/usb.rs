//! Cards as `snd-usb-audio` shows them: what is written is packed ahead of the wire, what is not there in time is a gap of which
//! the kernel says nothing, and the two directions never begin at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

mod fake;

use barewire_alsa::AlsaBackend;
use barewire_device::{Backend, DeviceId, OpenRequest, SideRequest, Stream, Wake};
use barewire_rt::System;
use barewire_types::{Ns, RateHz, frames_to_ns};
use fake::World;
use fake::card::{Card, Hardware, S32};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Frames that the device holds back each way, as a USB device does: a packet.
const PACKET_FRAMES: u32 = 7;

fn hardware(start_lag_ns: Ns, packs_ahead: bool) -> Hardware {
    Hardware {
        formats: vec![S32],
        msbits: 32,
        rates: vec![48_000],
        periods_frames: (6..=4096).collect(),
        periods: (2, 1024),
        step_frames: 6,
        has_pages: false,
        packs_ahead,
        start_lag_ns,
        hidden_frames: PACKET_FRAMES,
        ..Hardware::default()
    }
}

fn world(playback_lag_ns: Ns, capture_lag_ns: Ns) -> Arc<World> {
    World::new(vec![Card {
        driver: "USB-Audio",
        playback: Some(hardware(playback_lag_ns, true)),
        capture: Some(hardware(capture_lag_ns, false)),
        ..Card::default()
    }])
}

fn open(world: &Arc<World>, period_frames: u32) -> Box<dyn Stream> {
    let side = SideRequest { channels: 2, format: None };
    let request = OpenRequest {
        id: DeviceId::new("alsa", "Fake,0"),
        rate: RateHz::DAT,
        capture: Some(side),
        playback: Some(side),
        period_frames,
    };
    AlsaBackend::with_kernel(world.system.clone(), world.kernel()).open(&request).unwrap()
}

fn next(world: &World, stream: &mut dyn Stream) -> barewire_device::Period {
    for _ in 0..100 {
        match stream.wait(world.system.now_ns() + 1_000_000_000) {
            Wake::Due(period) => return period,
            Wake::Idle => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("no period");
}

/// Writes ascending numbers into the first channel of all that the period takes.
fn write(stream: &mut dyn Stream, last: &mut u32) {
    loop {
        let mut area = stream.playback();
        let frames = area.frames();
        if frames == 0 {
            return;
        }
        let plane = area.plane(0);
        for n in 0..frames as usize {
            *last += 1;
            let place = plane.as_ptr().wrapping_add(n * plane.step_bytes()).cast::<u32>();
            // SAFETY: the sample lies within the piece that was lent.
            unsafe { place.write_unaligned(last.to_le()) };
        }
        stream.commit(frames);
    }
}

/// The first channel of all that the period has.
fn read(stream: &mut dyn Stream) -> Vec<u32> {
    let mut heard = Vec::new();
    loop {
        let area = stream.capture();
        let frames = area.frames();
        if frames == 0 {
            return heard;
        }
        let plane = area.plane(0);
        for n in 0..frames as usize {
            let place = plane.as_ptr().wrapping_add(n * plane.step_bytes()).cast::<u32>();
            // SAFETY: the sample lies within the piece that was lent.
            heard.push(u32::from_le(unsafe { place.read_unaligned() }));
        }
        stream.release(frames);
    }
}

#[test]
fn the_way_round_is_as_stated_to_a_frame_however_the_directions_begin() {
    let lags = [(0, 0), (250_000, 900_000), (1_000_000, 100_000), (333_333, 334_444), (0, 777_777)];
    for period_frames in [32, 64, 256] {
        for (playback_lag, capture_lag) in lags {
            let world = world(playback_lag, capture_lag);
            let mut stream = open(&world, period_frames);
            let shape = stream.shape();
            let stated =
                shape.latency.input_frames + shape.latency.output_frames + shape.period_frames;
            // Twice, since no start is like the other.
            for _ in 0..2 {
                stream.start().unwrap();
                let (mut last, mut heard) = (0, Vec::new());
                while heard.len() < 4 * stated as usize {
                    let period = next(&world, &mut *stream);
                    assert_eq!(period.missed_frames, 0);
                    heard.extend(read(&mut *stream));
                    write(&mut *stream, &mut last);
                }
                stream.stop();
                let first = heard.iter().position(|&frame| frame == 1).expect("it comes back");
                let off = first.abs_diff(stated as usize);
                assert!(off <= 1, "{first} frames, {stated} stated; {playback_lag} {capture_lag}");
                assert!(heard[first..].iter().zip(1..).all(|(&heard, frame)| heard == frame));
            }
        }
    }
}

#[test]
fn a_gap_of_which_the_kernel_says_nothing_is_an_xrun_told_once() {
    let world = world(250_000, 900_000);
    let mut stream = open(&world, 64);
    let prefill_ns = frames_to_ns(u64::from(stream.shape().prefill_frames), RateHz::DAT);
    stream.start().unwrap();
    let (mut last, mut told) = (0, 0);
    for n in 0..2000 {
        let period = next(&world, &mut *stream);
        told += u32::from(period.missed_frames > 0);
        read(&mut *stream);
        write(&mut *stream, &mut last);
        if n % 100 == 50 {
            // Just long enough for the wire to run dry.
            let until = world.system.now_ns() + prefill_ns + 1_000_000;
            world.system.sleep(&AtomicU32::new(0), 0, until);
        }
    }
    assert_eq!(told, 20);
}
