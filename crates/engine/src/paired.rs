//! Two devices as one: the leader plays and gives the time, the follower captures.
//!
//! The loop waits on the leader alone. The follower is polled and what it captured goes through a FIFO of a stated fill, so
//! that its wake-ups may lie anywhere between the leader's. If the two have clocks of their own, what is taken from the
//! FIFO is resampled; the ratio follows both clocks as they are fitted, not the fill, which jumps by whole periods.

use crate::fifo::Fifo;
use barewire_device::{Layout, Loss, Note, Period, Shape, Side, Stream, Wake};
use barewire_dsp::{
    ClockEstimator, Copier, Dither, FillServo, MOST_DRIFT_PPM, Resampler, ResamplerShape, Rest,
    Route, drift_ppm, silence,
};
use barewire_rt::{Area, AreaMut, System, Waker};
use barewire_types::{Error, ErrorKind, Latency, Ns, RateHz, Result, SampleFormat, frames_to_ns};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

/// How the clocks of two devices are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clocks {
    /// One clock drives both (one device, a word clock): frames are passed unchanged.
    Same,
    /// Each has its own: the follower is resampled to the leader.
    Own,
}

/// How a pair does. Read by anyone, at any time.
#[derive(Debug, Default)]
pub struct PairMeter {
    drift_ppb: AtomicI64,
    fill_frames: AtomicU32,
    starved_frames: AtomicU64,
    dropped_frames: AtomicU64,
}

impl PairMeter {
    /// By how much the follower runs faster than the leader, in parts per billion.
    pub fn drift_ppb(&self) -> i64 {
        self.drift_ppb.load(Ordering::Relaxed)
    }

    /// Frames of the follower that wait, as of the leader's latest period.
    pub fn fill_frames(&self) -> u32 {
        self.fill_frames.load(Ordering::Relaxed)
    }

    /// Frames of silence captured because the follower had not come in time, or had lost them.
    pub fn starved_frames(&self) -> u64 {
        self.starved_frames.load(Ordering::Relaxed)
    }

    /// Frames of the follower dropped because nobody had taken them in time.
    pub fn dropped_frames(&self) -> u64 {
        self.dropped_frames.load(Ordering::Relaxed)
    }
}

/// A leader that plays and a follower that captures. See the module.
pub struct Paired {
    system: Arc<dyn System>,
    leader: Box<dyn Stream>,
    follower: Box<dyn Stream>,
    shape: Shape,
    side: Side,
    meter: Arc<PairMeter>,
    fifo: Fifo,
    target_frames: u32,
    /// A follower with periods shorter than the leader's is looked after in between, lest its memory overflow.
    poll_ns: Ns,
    /// From the follower's pieces into the FIFO, unchanged.
    mover: Copier,
    resampling: Option<Resampling>,
    /// A leader's period of captured frames, interleaved.
    memory: Vec<u8>,
    frames: u32,
    released: u32,
}

/// What joins two clocks.
struct Resampling {
    resampler: Resampler,
    servo: FillServo,
    leader: ClockEstimator,
    follower: ClockEstimator,
    /// Frames that went through the FIFO though the follower did not capture them, the target's silence at first, less
    /// those that it captured and that did not.
    given: i64,
    /// The follower's frame that the next frame made lies at, by the ratios set until now: the FIFO itself only knows
    /// whole frames, and a ratio that followed those would tremble.
    consumed: f64,
    nominal: f64,
    ppm: f64,
}

/// Clocks are believed once their rates are fitted to this: less than the servo takes back in passing.
const UNSURE_PPM: f64 = 20.0;

impl Paired {
    /// Joins two stopped streams; `system` is the clock that both tell the time of. Control thread.
    ///
    /// # Errors
    /// `Unsupported` if the leader does not play, the follower does not capture, or its samples cannot be resampled though
    /// clocks or rates differ.
    pub fn new(
        leader: Box<dyn Stream>,
        follower: Box<dyn Stream>,
        clocks: Clocks,
        system: Arc<dyn System>,
        seed: u64,
    ) -> Result<(Self, Arc<PairMeter>)> {
        let (lead, follow) = (leader.shape(), follower.shape());
        let Some(from) = follow.capture else { return Err(missing("the follower captures")) };
        if lead.playback.is_none() {
            return Err(missing("the leader plays"));
        }
        let is_resampled = clocks == Clocks::Own || lead.rate != follow.rate;
        let format = match is_resampled && from.format.is_integer() {
            true => SampleFormat::INT32,
            false => from.format,
        };
        let side = Side { format, layout: Layout::Interleaved, ..from };
        // A follower's period may be just about to come; half a period's time of each more, since wake-ups are late.
        let late_frames =
            follow.period_frames / 2 + in_frames_of(&follow, &lead, lead.period_frames) / 2;
        let target_frames = follow.period_frames + late_frames.max(1);
        let most_taken = in_frames_of(&follow, &lead, lead.max_period_frames) + 2;
        let capacity = 2 * target_frames + 4 * follow.max_period_frames + 2 * most_taken;
        let every: Vec<Route> = (0..from.channels).map(|n| Route { from: n, to: n }).collect();
        let (channels, width) = (from.channels, from.format);
        let resampling = is_resampled
            .then(|| Resampling::new(from, format, &lead, &follow, target_frames, capacity, seed))
            .transpose()?;
        let waits = match &resampling {
            Some(own) => u64::from(target_frames) + u64::from(own.resampler.delay_frames()),
            None => u64::from(target_frames),
        };
        let waits = u32::try_from(waits + u64::from(follow.latency.input_frames));
        let input_frames = in_frames_of(&lead, &follow, waits.unwrap_or(u32::MAX));
        let shape = Shape {
            capture: Some(side),
            latency: Latency { input_frames, ..lead.latency },
            ..lead
        };
        let bytes = usize::from(channels) * format.bytes() * lead.max_period_frames as usize;
        let meter = Arc::new(PairMeter::default());
        let pair = Self {
            system,
            leader,
            follower,
            shape,
            side,
            meter: meter.clone(),
            fifo: Fifo::new(from, capacity),
            target_frames,
            poll_ns: frames_to_ns(u64::from(follow.period_frames), follow.rate),
            mover: Copier::new(width, width, channels, channels, &every, Rest::Leave)?,
            resampling,
            memory: vec![format.silence_byte(); bytes],
            frames: 0,
            released: 0,
        };
        Ok((pair, meter))
    }

    /// Puts frames of silence into the FIFO, or as many as there is room for.
    fn put_silence(&mut self, frames: u32) -> u32 {
        let format = self.follower.shape().capture.map_or(self.side.format, |side| side.format);
        let mut left = frames;
        while left > 0 {
            let place = self.fifo.room(left);
            let done = place.frames();
            if done == 0 {
                break;
            }
            silence(format, place);
            self.fifo.push(done);
            left -= done;
        }
        frames - left
    }

    /// Takes in what the follower has captured until now.
    fn poll(&mut self) -> std::result::Result<(), Loss> {
        loop {
            match self.follower.wait(self.system.now_ns()) {
                Wake::Due(period) => self.take_in(&period),
                Wake::Lost(loss) => return Err(loss),
                Wake::Idle | Wake::Stopped => return Ok(()),
            }
        }
    }

    fn take_in(&mut self, period: &Period) {
        if let Some(own) = &mut self.resampling {
            own.follower.update(period.position_frames, period.at_ns);
        }
        // What the follower has lost is silence, so that what comes after it keeps its time.
        let missed = self.put_silence(period.missed_frames);
        if let Some(own) = &mut self.resampling {
            own.given -= i64::from(period.missed_frames - missed);
        }
        self.meter.starved_frames.fetch_add(u64::from(missed), Ordering::Relaxed);
        loop {
            let piece = self.follower.capture();
            let frames = piece.frames();
            if frames == 0 {
                return;
            }
            let place = self.fifo.room(frames);
            let taken = place.frames();
            if taken == 0 {
                // Full: the oldest frames give way, since the newest are the ones that are in time.
                let dropped = frames.min(self.fifo.filled());
                self.fifo.pop(dropped);
                self.meter.dropped_frames.fetch_add(u64::from(dropped), Ordering::Relaxed);
                if let Some(own) = &mut self.resampling {
                    own.given -= i64::from(dropped);
                }
                continue;
            }
            self.mover.run(piece.part(0, taken), place);
            self.fifo.push(taken);
            self.follower.release(taken);
        }
    }

    /// Makes the captured frames of a leader's period.
    fn make(&mut self, frames: u32) {
        let needed =
            self.resampling.as_ref().map_or(frames, |own| own.resampler.needed_frames(frames));
        let lacking = needed.saturating_sub(self.fifo.filled());
        if lacking > 0 {
            let given = self.put_silence(lacking);
            self.meter.starved_frames.fetch_add(u64::from(given), Ordering::Relaxed);
            if let Some(own) = &mut self.resampling {
                own.given += i64::from(given);
            }
        }
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let mut left = needed;
        let mut made = 0;
        while left > 0 {
            let source = self.fifo.oldest(left);
            let taken = match &mut self.resampling {
                Some(own) => own.resampler.feed(source).frames,
                None => {
                    let place = AreaMut::from_slice(&mut self.memory, channels, bytes);
                    self.mover.run(source, place.part(made, source.frames())).frames
                }
            };
            if taken == 0 {
                break;
            }
            self.fifo.pop(taken);
            (made, left) = (made + taken, left - taken);
        }
        if let Some(own) = &mut self.resampling {
            let place = AreaMut::from_slice(&mut self.memory, channels, bytes);
            made = own.resampler.produce(place.part(0, frames));
        }
        if made < frames {
            let place = AreaMut::from_slice(&mut self.memory, channels, bytes);
            silence(self.side.format, place.part(made, frames - made));
        }
        (self.frames, self.released) = (frames, 0);
    }

    fn due(&mut self, period: Period) -> std::result::Result<Period, Loss> {
        self.poll()?;
        let frames = period.playback_frames.min(self.shape.max_period_frames);
        self.make(frames);
        if let Some(own) = &mut self.resampling {
            own.steer(&period, frames, &self.meter);
        }
        self.meter.fill_frames.store(self.fifo.filled(), Ordering::Relaxed);
        Ok(Period { capture_frames: frames, playback_frames: frames, ..period })
    }
}

impl Resampling {
    fn new(
        from: Side,
        to: SampleFormat,
        lead: &Shape,
        follow: &Shape,
        target_frames: u32,
        capacity: u32,
        seed: u64,
    ) -> Result<Self> {
        let resampler = Resampler::new(ResamplerShape {
            from: from.format,
            from_rate: follow.rate,
            to,
            to_rate: lead.rate,
            channels: from.channels,
            most_frames: capacity.max(lead.max_period_frames),
            dither: Dither::Flat,
            seed,
        })?;
        Ok(Self {
            resampler,
            servo: FillServo::new(follow.rate, target_frames),
            leader: ClockEstimator::new(lead.rate),
            follower: ClockEstimator::new(follow.rate),
            given: 0,
            consumed: 0.0,
            nominal: follow.rate.as_f64() / lead.rate.as_f64(),
            ppm: 0.0,
        })
    }

    fn rewind(&mut self, lead: RateHz, follow: RateHz, given: u32) {
        self.resampler.reset();
        self.resampler.set_drift_ppm(0.0);
        (self.leader, self.follower) = (ClockEstimator::new(lead), ClockEstimator::new(follow));
        (self.given, self.consumed, self.ppm) = (i64::from(given), 0.0, 0.0);
    }

    /// Follows the clocks: where the follower is when the leader is at its period's end, less what was consumed, is the
    /// fill as if frames came one by one.
    fn steer(&mut self, period: &Period, frames: u32, meter: &PairMeter) {
        self.consumed += f64::from(frames) * self.nominal * (1.0 + self.ppm * 1e-6);
        self.leader.update(period.position_frames, period.at_ns);
        let Some(now) = self.leader.ns_at(period.position_frames) else { return };
        let Some((whole, part)) = self.follower.position_at(now) else { return };
        if self.leader.uncertainty_ppm() + self.follower.uncertainty_ppm() > UNSURE_PPM {
            return;
        }
        let drift = drift_ppm(&self.follower, &self.leader);
        #[expect(clippy::cast_precision_loss, reason = "frames are counted far below 2^53")]
        let fill = (whole as f64 - self.consumed) + part + self.given as f64;
        self.ppm = self.servo.ppm(drift, fill).clamp(-MOST_DRIFT_PPM, MOST_DRIFT_PPM);
        self.resampler.set_drift_ppm(self.ppm);
        #[expect(clippy::cast_possible_truncation, reason = "float casts saturate")]
        meter.drift_ppb.store((drift * 1000.0) as i64, Ordering::Relaxed);
    }
}

/// `frames` of `from` as frames of `to`, rounded.
fn in_frames_of(to: &Shape, from: &Shape, frames: u32) -> u32 {
    let scaled = u64::from(frames) * u64::from(to.rate.get()) + u64::from(from.rate.get()) / 2;
    u32::try_from(scaled / u64::from(from.rate.get())).unwrap_or(u32::MAX)
}

fn missing(what: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("a pair needs that {what}"))
        .remedy("choose an output device that plays and an input device that captures")
}

impl Stream for Paired {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn waker(&self) -> Waker {
        self.leader.waker()
    }

    fn notes(&self) -> Vec<Note> {
        let mut notes = self.leader.notes();
        notes.extend(self.follower.notes());
        notes
    }

    fn start(&mut self) -> std::result::Result<(), Loss> {
        self.fifo.clear();
        (self.frames, self.released) = (0, 0);
        let given = self.put_silence(self.target_frames);
        let (lead, follow) = (self.shape.rate, self.follower.shape().rate);
        if let Some(own) = &mut self.resampling {
            own.rewind(lead, follow, given);
        }
        // The follower first, so that it has moved when the leader's first period is due.
        self.follower.start()?;
        self.leader.start().inspect_err(|_| self.follower.stop())
    }

    fn stop(&mut self) {
        self.leader.stop();
        self.follower.stop();
    }

    fn wait(&mut self, until: Ns) -> Wake {
        (self.frames, self.released) = (0, 0);
        loop {
            let look_ns = until.min(self.system.now_ns().saturating_add(self.poll_ns));
            match self.leader.wait(look_ns) {
                Wake::Due(period) => return self.due(period).map_or_else(Wake::Lost, Wake::Due),
                // Only the time to look after the follower has passed: nobody called.
                Wake::Idle if look_ns < until && self.system.now_ns() >= look_ns => {}
                other => return other,
            }
            if let Err(loss) = self.poll() {
                return Wake::Lost(loss);
            }
        }
    }

    fn capture(&mut self) -> Area<'_> {
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let left = self.frames - self.released;
        Area::from_slice(&self.memory, channels, bytes).part(self.released, left)
    }

    fn release(&mut self, frames: u32) {
        self.released = self.frames.min(self.released + frames);
    }

    fn playback(&mut self) -> AreaMut<'_> {
        self.leader.playback()
    }

    fn commit(&mut self, frames: u32) {
        self.leader.commit(frames);
    }
}
