//! Both directions at once, out of which comes what went in: not a frame may be lost or repeated, the way round must take as
//! long as the stream says, and after an xrun, which is told once, all goes on.

use crate::bench::{Options, open};
use crate::signal::{Ear, Mouth};
use barewire_device::{Period, Shape, Stream, Wake};
use barewire_rt::{RealSystem, Role, System};
use barewire_types::{Ns, frames_to_ns, ns_to_frames};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;

/// Xruns are injected at moments that this fixes.
const SEED: u64 = 0x6261_7265_7769_7265;
/// Frames of the old signal that may be heard behind an xrun: what was on its way when it happened.
const MOST_STRAY: u64 = 4096;

struct Trial {
    system: Arc<dyn System>,
    stream: Box<dyn Stream>,
    shape: Shape,
    mouth: Mouth,
    ear: Ear,
    /// Where the signal began last: its first frame's number and position.
    begun_at: u64,
    told: u64,
    injected: u64,
    sum: u64,
    /// Least and greatest time around, as measured.
    around: Option<(u64, u64)>,
    random: u64,
    begin: Ns,
    first: Option<Period>,
    latest: Period,
    /// How far the position was from the clock's, at most, and may be.
    apart: u64,
    most_apart: u64,
    longest_wait: Ns,
}

/// See the example's head.
pub(crate) fn run(
    device: &str,
    rate: &str,
    period: &str,
    seconds: &str,
    options: &[&str],
) -> Result<String, String> {
    let options = Options::read(options)?;
    let seconds: u64 = seconds.parse().map_err(|_| format!("{seconds} is no length"))?;
    let system: Arc<dyn System> = RealSystem::new();
    let clock = options.clock(&system, rate, period)?;
    let stream = open(&system, device, rate, period, &options)?;
    let shape = stream.shape();
    for note in stream.notes() {
        println!("note: {}", note.text);
    }
    let (Some(played), Some(captured)) = (shape.playback, shape.capture) else {
        return Err("one direction is missing".to_owned());
    };
    let mut ear = Ear::new(captured)?;
    ear.await_frame(1);
    let trial = Trial {
        system: system.clone(),
        stream,
        shape,
        mouth: Mouth::new(played)?,
        ear,
        begun_at: 0,
        told: 0,
        injected: 0,
        sum: 0,
        around: None,
        random: SEED,
        begin: 0,
        first: None,
        latest: Period::default(),
        apart: 0,
        most_apart: options.apart_frames.unwrap_or(u64::MAX),
        longest_wait: 0,
    };
    let (sender, receiver) = mpsc::channel();
    let body = Box::new(move || {
        let mut trial = trial;
        let outcome = trial.go(seconds, options.xruns);
        // The receiver waits for it.
        let _ = sender.send(outcome.map(|()| trial.words()));
    });
    system.spawn("duplex", Role::Device, body).map_err(|error| error.to_string())?;
    let outcome = receiver.recv().map_err(|_| "the trial's thread ended".to_owned())?;
    drop(clock);
    outcome.and_then(|(words, around)| within(&options, &shape, words, around))
}

/// Compares the way round as it was measured with what the stream says.
fn within(
    options: &Options,
    shape: &Shape,
    words: String,
    around: (u64, u64),
) -> Result<String, String> {
    let (latency, period) = (shape.latency, u64::from(shape.period_frames));
    let stated = u64::from(latency.input_frames) + u64::from(latency.output_frames) + period;
    let words = format!(
        "{words}, round in {} to {} frames, stated {stated} (in {}, out {})",
        around.0, around.1, latency.input_frames, latency.output_frames
    );
    let off = around.0.abs_diff(stated).max(around.1.abs_diff(stated));
    if off > options.tolerance_frames {
        return Err(format!("{words}: off by {off} frames"));
    }
    Ok(words)
}

impl Trial {
    fn go(&mut self, seconds: u64, xruns: u64) -> Result<(), String> {
        self.stream.start().map_err(|loss| format!("does not start: {loss:?}"))?;
        self.begin = self.system.now_ns();
        let end = self.begin + seconds * 1_000_000_000;
        let between = (end - self.begin).checked_div(xruns).unwrap_or(u64::MAX);
        let mut next_fault = self.begin.saturating_add(between / 2);
        while self.system.now_ns() < end || self.told < self.injected {
            let asked = self.system.now_ns();
            let period = match self.stream.wait(asked + 1_000_000_000) {
                Wake::Due(period) => period,
                Wake::Idle => continue,
                other => return Err(format!("{other:?} after {} frames", self.sum)),
            };
            self.longest_wait = self.longest_wait.max(self.system.now_ns() - asked);
            self.check(&period)?;
            self.exchange(&period)?;
            let has_settled = self.ear.heard_at.is_some();
            if period.at_ns >= next_fault && has_settled && self.injected < xruns {
                self.oversleep();
                next_fault += between;
            }
        }
        if self.injected < xruns {
            return Err(format!("only {} of {xruns} xruns were injected", self.injected));
        }
        self.stream.stop();
        Ok(())
    }

    /// Position, time and count of xruns agree with what was done.
    fn check(&mut self, period: &Period) -> Result<(), String> {
        let was_told = period.missed_frames > 0;
        self.told += u64::from(was_told);
        if self.told != self.injected {
            return Err(format!(
                "{} xruns told and {} injected; {} frames missed at {} after {}",
                self.told, self.injected, period.missed_frames, period.position_frames, self.sum
            ));
        }
        self.sum += u64::from(period.capture_frames) + u64::from(period.missed_frames);
        if period.position_frames != self.sum || period.at_ns <= self.latest.at_ns {
            return Err(format!("{period:?} after {:?}", self.latest));
        }
        self.compare_clocks(period)?;
        if was_told {
            self.settle()?;
            self.begun_at = 0;
            self.ear.await_frame(self.mouth.next);
        }
        self.latest = *period;
        Ok(())
    }

    /// Position and time belong together, before and behind every xrun.
    fn compare_clocks(&mut self, period: &Period) -> Result<(), String> {
        let first = self.first.get_or_insert(*period);
        let by_clock = ns_to_frames(period.at_ns - first.at_ns, self.shape.rate);
        let apart = (period.position_frames - first.position_frames).abs_diff(by_clock);
        self.apart = self.apart.max(apart);
        // When a card began anew is known to the frame: so much may be added each time.
        if apart > self.most_apart.saturating_add(self.told) {
            return Err(format!(
                "{apart} frames from the clock's {by_clock} after {} xruns: {period:?}",
                self.told
            ));
        }
        Ok(())
    }

    fn exchange(&mut self, period: &Period) -> Result<(), String> {
        let first = period.position_frames - u64::from(period.capture_frames);
        if self.begun_at == 0 {
            // Positions count from 1 here, so that 0 is "not yet".
            self.begun_at = first + 1;
        }
        self.ear.listen(&mut *self.stream, first)?;
        self.mouth.speak(&mut *self.stream);
        if let Some(at) = self.ear.heard_at {
            let round = at + 1 - self.begun_at;
            let (least, most) = self.around.unwrap_or((round, round));
            self.around = Some((least.min(round), most.max(round)));
        } else if first + 1 > self.begun_at + u64::from(self.shape.rate.get()) / 2 {
            return Err(format!("nothing came back in half a second, {} stray", self.ear.stray));
        }
        Ok(())
    }

    /// What an interruption left behind is bounded.
    fn settle(&mut self) -> Result<(), String> {
        let stray = std::mem::take(&mut self.ear.stray);
        if stray > MOST_STRAY {
            return Err(format!("{stray} frames came from nowhere"));
        }
        Ok(())
    }

    /// Sleeps for longer than the ring lasts.
    fn oversleep(&mut self) {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let ring = u64::from(self.shape.max_period_frames + self.shape.prefill_frames);
        let ring = frames_to_ns(ring, self.shape.rate);
        let until = self.system.now_ns() + ring * 2 + (self.random >> 33) % (3 * ring);
        self.system.sleep(&AtomicU32::new(0), 0, until);
        self.injected += 1;
    }

    fn words(&self) -> (String, (u64, u64)) {
        let words = format!(
            "{:?}, {} frames a period, {} frames good, {} xruns told once each, position {} never more than {} frames from the clock's, longest wait {} us",
            self.shape.playback.map(|side| side.format.name()),
            self.shape.period_frames,
            self.ear.good,
            self.told,
            self.latest.position_frames,
            self.apart,
            self.longest_wait / 1000
        );
        (words, self.around.unwrap_or((0, 0)))
    }
}

/// Plays silence on another card, so that its timer runs: `snd-aloop` takes `snd-dummy`'s as its clock.
pub(crate) struct Clock {
    quit: Arc<AtomicBool>,
    thread: barewire_rt::Thread,
    system: Arc<dyn System>,
}

impl Clock {
    pub(crate) fn start(
        system: &Arc<dyn System>,
        mut stream: Box<dyn Stream>,
    ) -> Result<Self, String> {
        let quit = Arc::new(AtomicBool::new(false));
        let (its, time) = (quit.clone(), system.clone());
        let body = Box::new(move || {
            if stream.start().is_err() {
                println!("BAD clock: it does not start");
            }
            while !its.load(Ordering::Acquire) {
                if let Wake::Lost(loss) = stream.wait(time.now_ns() + 1_000_000_000) {
                    println!("BAD clock: {loss:?}");
                    return;
                }
            }
        });
        let thread =
            system.spawn("clock", Role::Device, body).map_err(|error| error.to_string())?;
        Ok(Self { quit, thread, system: system.clone() })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Release);
        self.thread.join(self.system.join_deadline_ns(2_000_000_000));
    }
}
