//! Period, jitter, drift and load, against the system's clock.

use super::Body;
use crate::case::Case;
use crate::desk::{Check, Desk, Rig, ensure, skipped, unjudged};
use crate::plot::Histogram;
use crate::recorder::{Call, Event};
use barewire_abi::constants::message;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(super) fn body(case: Case) -> Option<Body> {
    Some(match case {
        Case::CallbackRate => callback_rate,
        Case::Jitter => jitter,
        Case::ClockDrift => clock_drift,
        Case::LoadedRun => loaded_run,
        _ => return None,
    })
}

struct Run {
    events: Vec<Event>,
    frames: f64,
    rate_hz: f64,
    length: Duration,
    /// From the last block to the end.
    silence: Duration,
}

/// A run of about `length`; nothing to be measured in simulated time.
fn measure(desk: &Desk, length: Duration) -> Check<Run> {
    if desk.options.simulated {
        return skipped("the driver keeps simulated time");
    }
    let mut stage = desk.running()?;
    let rate_hz = stage.ask(Rig::rate)?;
    // A device takes a few blocks to get going.
    stage.await_blocks(8)?;
    std::thread::sleep(length);
    let end = Instant::now();
    // What a device that is gone answers is no matter of time.
    stage.subject()?.stop();
    let events = stage.recorder.events().split_off(8);
    let silence = events.last().map(|event| end.saturating_duration_since(event.at));
    let silence = silence.unwrap_or_default();
    if events.len() < 8 {
        return unjudged(format!("{} blocks in {length:?}", events.len()));
    }
    Ok(Run { events, frames: f64::from(stage.frames), rate_hz, length, silence })
}

impl Run {
    fn period_s(&self) -> f64 {
        self.frames / self.rate_hz
    }

    /// Blocks by the position, lost ones included, or by the count.
    fn blocks(&self) -> f64 {
        let position = |event: Option<&Event>| Some(event?.seen.time?.position_frames);
        let ends = position(self.events.first()).zip(position(self.events.last()));
        #[expect(clippy::cast_precision_loss, reason = "counts of blocks")]
        ends.map_or((self.events.len() - 1) as f64, |(first, last)| {
            last.wrapping_sub(first) as f64 / self.frames
        })
    }

    fn elapsed_s(&self) -> f64 {
        let ends = self.events.first().zip(self.events.last());
        ends.map_or(0.0, |(first, last)| last.at.duration_since(first.at).as_secs_f64())
    }

    /// Between one block and the next, in milliseconds.
    fn intervals_ms(&self) -> Vec<f64> {
        let between = |pair: &[Event]| pair[1].at.duration_since(pair[0].at).as_secs_f64() * 1e3;
        self.events.windows(2).map(between).collect()
    }
}

fn callback_rate(desk: &Desk) -> Check {
    let run = measure(desk, desk.wait(1000, 10_000))?;
    // A busy machine keeps a driver from running for a while.
    let most = run.length.mul_f64(0.2) + Duration::from_secs_f64(8.0 * run.period_s());
    let (silence, length) = (run.silence.as_secs_f64(), run.length.as_secs_f64());
    let seen = || format!("no block in the last {silence:.1} s of {length:.1} s");
    ensure(run.silence < most, seen, "blocks to the end")?;
    let mean = run.elapsed_s() / run.blocks();
    let off = mean / run.period_s() - 1.0;
    desk.note(format!("{:.4} ms a block, {:+.2}% of nominal", mean * 1e3, off * 100.0));
    // A run of a second ends in the middle of a burst, if blocks come in bursts.
    let slack = 0.02 + 4.0 * run.period_s() / run.elapsed_s().max(1e-3);
    let seen = || format!("{:+.1}% off the nominal period", off * 100.0);
    ensure(off.abs() < slack, seen, "within 2%")
}

fn jitter(desk: &Desk) -> Check {
    let run = measure(desk, desk.wait(1000, 10_000))?;
    let histogram = Histogram::of(&run.intervals_ms(), run.period_s() * 1e3);
    for line in histogram.lines() {
        desk.note(line);
    }
    if let Some(folder) = &desk.options.plots {
        let file = folder.join("jitter.svg");
        std::fs::write(&file, histogram.svg()).map_err(barewire_types::Error::from)?;
        desk.note(format!("plotted in {}", file.display()));
    }
    Ok(())
}

/// How much faster than nominal positions grow against `system_ns`, by least squares, in millionths.
fn drift_ppm(points: &[(f64, f64)], rate_hz: f64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a count of blocks")]
    let count = points.len() as f64;
    let mean = |part: fn(&(f64, f64)) -> f64| points.iter().map(part).sum::<f64>() / count;
    let (mean_t, mean_p) = (mean(|point| point.0), mean(|point| point.1));
    let (mut product, mut square) = (0.0, 0.0);
    for (t, p) in points {
        product += (t - mean_t) * (p - mean_p);
        square += (t - mean_t) * (t - mean_t);
    }
    (square > 0.0).then(|| (product / square / rate_hz - 1.0) * 1e6)
}

fn clock_drift(desk: &Desk) -> Check {
    let run = measure(desk, desk.wait(2000, 60_000))?;
    let Some(begin) = run.events.first().map(|event| event.at) else { return Ok(()) };
    let mut points = Vec::new();
    for (n, event) in run.events.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "frames of a minute")]
        let position = match event.seen.time {
            Some(time) => time.position_frames as f64,
            None => n as f64 * run.frames,
        };
        points.push((event.at.duration_since(begin).as_secs_f64(), position));
    }
    let Some(ppm) = drift_ppm(&points, run.rate_hz) else { return Ok(()) };
    // The ends of the line are known to a period or so.
    let doubt = run.period_s() / run.elapsed_s() * 1e6 / 4.0;
    desk.note(format!("{ppm:+.1} ppm, give or take {doubt:.0}, over {:.1} s", run.elapsed_s()));
    Ok(())
}

fn loaded_run(desk: &Desk) -> Check {
    if desk.options.simulated {
        return skipped("the driver keeps simulated time");
    }
    let mut stage = desk.stage()?;
    let rate_hz = stage.ask(Rig::rate)?;
    let half = Duration::from_secs_f64(f64::from(stage.frames) / rate_hz.max(1.0) / 2.0);
    stage.recorder.on_block(move |_, _| {
        let until = Instant::now() + half;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    });
    let over = Arc::new(AtomicBool::new(false));
    let count = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let busy: Vec<_> = (0..count)
        .map(|_| {
            let over = over.clone();
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let ran = stage.start().and_then(|()| {
        std::thread::sleep(desk.wait(1000, 10_000));
        stage.stop()
    });
    over.store(true, Ordering::Relaxed);
    for thread in busy {
        // It spins, and ends.
        let _ = thread.join();
    }
    ran?;
    let frames = u64::try_from(stage.frames).unwrap_or(1).max(1);
    let events = stage.recorder.events();
    let gaps = events.windows(2).filter_map(|pair| {
        let step =
            pair[1].seen.time?.position_frames.wrapping_sub(pair[0].seen.time?.position_frames);
        Some(step / frames).filter(|blocks| *blocks > 1)
    });
    let lost: u64 = gaps.map(|blocks| blocks - 1).sum();
    let period = half * 2;
    let late =
        events.windows(2).filter(|pair| pair[1].at.duration_since(pair[0].at) > period + half);
    let late = late.count();
    let is_overload =
        |call: &&Call| matches!(call, Call::Message { selector: message::OVERLOAD, .. });
    let told = stage.recorder.calls().iter().filter(is_overload).count();
    desk.note(format!(
        "{lost} of {} blocks lost, {late} late, {told} overloads told",
        events.len()
    ));
    if lost > 0 {
        desk.warn(format!("{lost} blocks lost with {count} busy threads beside"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::drift_ppm;

    #[test]
    fn a_clock_that_is_fast_by_a_hundred_millionths_is_called_so() {
        let points: Vec<(f64, f64)> =
            (0..1000).map(|n| f64::from(n) * 0.01).map(|t| (t, t * 48_000.0 * 1.000_1)).collect();
        let ppm = drift_ppm(&points, 48_000.0).unwrap();
        assert!((ppm - 100.0).abs() < 0.01, "{ppm}");
    }
}
