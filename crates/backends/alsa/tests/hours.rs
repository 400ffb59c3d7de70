//! Four hours on a fake card with hundreds of xruns: each is counted once, position and data agree after each.

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
use fake::card::{Card, Hardware, S16};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Slow, so that four hours are a few seconds of work.
const RATE: u32 = 8_000;
const PERIOD_FRAMES: u32 = 256;
const HOURS: u64 = 4;
const XRUNS: u64 = 700;
const SEED: u64 = 0x6261_7265_7769_7265;

/// Hears what was played: ascending numbers from 1 on, zeros between them only where an xrun was.
#[derive(Default)]
struct Ear {
    last: u16,
    /// Places where the numbers do not go on by one.
    breaks: u64,
    in_silence: bool,
}

fn follows(number: u16) -> u16 {
    if number == u16::MAX { 1 } else { number + 1 }
}

impl Ear {
    fn hear(&mut self, bytes: &[u8]) {
        for sample in bytes.as_chunks::<2>().0 {
            let number = u16::from_le_bytes(*sample);
            if number == 0 {
                self.in_silence = true;
                continue;
            }
            let goes_on = number == follows(self.last);
            assert!(goes_on || self.in_silence, "{} and then {number}", self.last);
            if self.last != 0 && self.in_silence {
                self.breaks += 1;
            }
            self.in_silence = false;
            self.last = number;
        }
    }
}

fn oversleep(world: &World, ns: Ns) {
    let until = world.system.now_ns() + ns;
    world.system.sleep(&AtomicU32::new(0), 0, until);
}

/// Writes ascending numbers into all that the period takes.
fn write(stream: &mut dyn Stream, last: &mut u16) {
    loop {
        let mut area = stream.playback();
        let frames = area.frames();
        if frames == 0 {
            return;
        }
        let plane = area.plane(0);
        for n in 0..frames as usize {
            *last = follows(*last);
            let place = plane.as_ptr().wrapping_add(n * plane.step_bytes()).cast::<u16>();
            // SAFETY: the sample lies within the piece that was lent.
            unsafe { place.write_unaligned(last.to_le()) };
        }
        stream.commit(frames);
    }
}

#[test]
fn in_four_hours_every_xrun_is_counted_once_and_data_go_on_after_it() {
    let hardware = Hardware {
        formats: vec![S16],
        rates: vec![RATE],
        channels: vec![1],
        periods: (2, 8),
        // As snd-aloop and USB, it begins some frames after it is told to.
        start_lag_ns: 1_700_000,
        ..Hardware::default()
    };
    let world =
        World::new(vec![Card { playback: Some(hardware), capture: None, ..Card::default() }]);
    let rate = RateHz::new(RATE).unwrap();
    let request = OpenRequest {
        id: DeviceId::new("alsa", "Fake,0"),
        rate,
        capture: None,
        playback: Some(SideRequest { channels: 1, format: None }),
        period_frames: PERIOD_FRAMES,
    };
    let system: Arc<dyn System> = world.system.clone();
    let mut stream = AlsaBackend::with_kernel(system, world.kernel()).open(&request).unwrap();
    let ring_ns = frames_to_ns(stream.shape().max_period_frames.into(), rate);
    stream.start().unwrap();
    let begin = world.system.now_ns();
    let end = begin + HOURS * 3_600_000_000_000;
    let between = (end - begin) / XRUNS;
    let (mut random, mut next_fault) = (SEED, begin + between / 2);
    let (mut injected, mut told, mut sum, mut last, mut position) = (0_u64, 0, 0_u64, 0, 0);
    let (mut ear, mut first) = (Ear::default(), None);
    while world.system.now_ns() < end {
        let period = match stream.wait(world.system.now_ns() + 1_000_000_000) {
            Wake::Due(period) => period,
            Wake::Idle => continue,
            other => panic!("{other:?}"),
        };
        told += u64::from(period.missed_frames > 0);
        assert_eq!(told, injected, "xruns told and injected, seed {SEED:#x}");
        sum += u64::from(period.playback_frames) + u64::from(period.missed_frames);
        assert_eq!(period.position_frames, sum, "seed {SEED:#x}");
        assert!(period.position_frames > position);
        position = period.position_frames;
        // The position is the clock's, but for what is rounded at each new beginning: of 700 halves of a frame, to either
        // side, hardly more than the square root adds up.
        let (first_frames, first_ns) = *first.get_or_insert((position, period.at_ns));
        let by_clock = (period.at_ns - first_ns) as f64 * f64::from(RATE) / 1e9;
        let allowed = 2.0 + 2.0 * (injected as f64).sqrt();
        let passed = (position - first_frames) as f64;
        assert!((passed - by_clock).abs() <= allowed, "{passed} of {by_clock}, {injected} xruns");
        write(&mut *stream, &mut last);
        if period.at_ns >= next_fault && injected < XRUNS {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            oversleep(&world, ring_ns + (random >> 33) % (3 * ring_ns));
            injected += 1;
            next_fault += between;
        }
        ear.hear(&world.take_heard(0));
    }
    stream.stop();
    ear.hear(&world.take_heard(0));
    assert_eq!(injected, XRUNS);
    assert_eq!(ear.breaks, XRUNS, "breaks heard, seed {SEED:#x}");
    assert_eq!(u64::from(world.state().calls.xruns), XRUNS, "as the kernel counts");
}
