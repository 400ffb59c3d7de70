//! What tests on real servers share: streams driven by hand, and an engine that runs on one. Not for anyone else.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of this")]

pub mod engine;

use barewire_device::{DeviceId, OpenRequest, SideRequest, Stream, Wake};
use barewire_jack::{DEVICE, NAME};
use barewire_rt::System;
use barewire_types::RateHz;
use std::path::Path;
use std::process::{Command, Stdio};

pub const PERIOD_FRAMES: u32 = 256;
pub const SECOND_NS: u64 = 1_000_000_000;

/// Runs the ignored tests of this program again, with an environment of their own.
pub fn run_ignored(environment: &[(&str, &Path)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--test-threads=1", "--nocapture"]).stdin(Stdio::null());
    command.envs(environment.iter().copied());
    assert!(command.status().unwrap().success(), "see above");
}

pub fn request() -> OpenRequest {
    let side = Some(SideRequest { channels: 2, format: None });
    OpenRequest {
        id: DeviceId::new(NAME, DEVICE),
        rate: RateHz::DAT,
        capture: side,
        playback: side,
        period_frames: PERIOD_FRAMES,
    }
}

/// The n-th number of a sequence that tells its place and needs all 24 bits; never 0.
pub fn number(n: u32) -> f32 {
    let bits = n.wrapping_mul(0x9E_37_79) & 0xFF_FF_FF;
    let value = if bits == 0x80_00_00 { 1 } else { bits.cast_signed() - 0x80_00_00 };
    value as f32 / 8_388_608.0
}

/// Writes numbers from `next` on to the first channel; gives what the first channel captured.
pub fn exchange(stream: &mut dyn Stream, next: &mut u32) -> Vec<f32> {
    let area = stream.capture();
    let plane = area.plane(0);
    let frames = area.frames();
    let at = |n: u32| plane.as_ptr().wrapping_add(n as usize * plane.step_bytes()).cast::<f32>();
    // SAFETY: the sample lies within the piece that was lent.
    let captured = (0..frames).map(|n| unsafe { at(n).read() }).collect();
    stream.release(frames);
    let mut area = stream.playback();
    let frames = area.frames();
    let plane = area.plane(0);
    for n in 0..frames {
        let place = plane.as_ptr().wrapping_add(n as usize * plane.step_bytes()).cast::<f32>();
        // SAFETY: the sample lies within the piece that was lent.
        unsafe { place.write(number(*next)) };
        *next += 1;
    }
    stream.commit(frames);
    captured
}

/// The next period, idle wake-ups aside.
pub fn next(system: &dyn System, stream: &mut dyn Stream) -> Wake {
    let end = system.now_ns() + 5 * SECOND_NS;
    loop {
        match stream.wait(system.now_ns() + SECOND_NS) {
            Wake::Idle if system.now_ns() < end => {}
            other => return other,
        }
    }
}

/// Sends `frames` numbers round and compares: all of them bit for bit, in order. Returns
/// the gaps and the xruns told.
pub fn send_round(system: &dyn System, stream: &mut dyn Stream, frames: usize) -> (u32, u32) {
    stream.start().unwrap();
    let (mut sent, mut heard, mut misses) = (0, Vec::new(), 0);
    while heard.len() < frames {
        let Wake::Due(period) = next(system, stream) else { panic!("no period") };
        misses += u32::from(period.missed_frames > 0);
        heard.extend(exchange(stream, &mut sent));
    }
    stream.stop();
    let mut expected = 0;
    let (mut gaps, mut silent, mut whole) = (0, 0, 0);
    let mut rest = &heard[..];
    while !rest.is_empty() {
        if rest[0] == 0.0 {
            silent += 1;
            rest = &rest[1..];
            continue;
        }
        let begin = (expected..sent).find(|&n| number(n) == rest[0]);
        let begin =
            begin.unwrap_or_else(|| panic!("{} was never sent, or before {expected}", rest[0]));
        gaps += u32::from(begin != expected);
        let run =
            (begin..).zip(rest).take_while(|(n, sample)| number(*n).to_bits() == sample.to_bits());
        let length = run.count();
        whole += length;
        rest = &rest[length..];
        expected = begin + u32::try_from(length).unwrap();
    }
    println!("{whole} samples exact, {silent} silent, {gaps} gaps, {misses} xruns told");
    assert!(whole > frames / 2, "{whole} of {frames} samples came back");
    (gaps, misses)
}
