//! A stream at another rate than the device's: for clients that insist on theirs. Reports the filter's delay as latency;
//! what goes through it is not exact any more, and whoever wraps a stream in it says so in the plan.

use barewire_device::{Layout, Loss, Note, Period, Shape, Side, Stream, Wake};
use barewire_dsp::{Dither, Resampler, ResamplerShape, silence};
use barewire_rt::{Area, AreaMut, Waker};
use barewire_types::{Latency, Ns, RateHz, Result, SampleFormat};

/// A device seen at another rate.
///
/// Periods vary by a frame, since the device's hold no whole number of ours. Integers are passed as `int32`, so that they
/// are narrowed once, with dither, on their way to the device.
pub struct Resampled {
    inner: Box<dyn Stream>,
    shape: Shape,
    ratio: Ratio,
    capture: Option<Captured>,
    playback: Option<Played>,
    /// Frames of the device since the start, without those missed; what they are in ours.
    device_frames: u64,
    frames: u64,
    /// Missed frames of the device since the start; what they are in ours.
    device_missed: u64,
    missed: u64,
}

/// Our frames from the device's: multiplied by `up`, divided by `down`.
#[derive(Clone, Copy, Debug)]
struct Ratio {
    up: u64,
    down: u64,
}

impl Ratio {
    fn floor(self, device_frames: u64) -> u64 {
        let exact = u128::from(device_frames) * u128::from(self.up) / u128::from(self.down);
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    fn ceil(self, device_frames: u64) -> u64 {
        let scaled = u128::from(device_frames) * u128::from(self.up);
        u64::try_from(scaled.div_ceil(u128::from(self.down))).unwrap_or(u64::MAX)
    }

    fn round(self, device_frames: u64) -> u64 {
        let scaled = u128::from(device_frames) * u128::from(self.up);
        let down = u128::from(self.down);
        u64::try_from((scaled + down / 2) / down).unwrap_or(u64::MAX)
    }

    /// What part of our frame the device is past the last whole one, in nanoseconds.
    fn past_ns(self, device_frames: u64) -> Ns {
        let rest = u128::from(device_frames) * u128::from(self.up) % u128::from(self.down);
        // A rest of `down` is a frame of ours, which lasts a second divided by `up`.
        let ns = rest * 1_000_000_000 / (u128::from(self.down) * u128::from(self.up));
        u64::try_from(ns).unwrap_or(0)
    }
}

struct Captured {
    side: Side,
    resampler: Resampler,
    memory: Vec<u8>,
    /// Frames of the period, and how many were released.
    frames: u32,
    released: u32,
}

struct Played {
    side: Side,
    resampler: Resampler,
    memory: Vec<u8>,
    frames: u32,
    committed: u32,
}

impl Resampled {
    /// Lets a stopped stream be seen at `rate`. Control thread.
    ///
    /// # Errors
    /// `Unsupported` for one-bit samples, and for rates more than a factor of 32 apart.
    pub fn new(inner: Box<dyn Stream>, rate: RateHz, seed: u64) -> Result<Self> {
        let device = inner.shape();
        let ratio = Ratio { up: u64::from(rate.get()), down: u64::from(device.rate.get()) };
        let most = u32::try_from(ratio.ceil(u64::from(device.max_period_frames)) + 1);
        let max_period_frames = most.unwrap_or(u32::MAX);
        let most_frames = max_period_frames.max(device.max_period_frames);
        let outer = |side: Side| Side {
            format: if side.format.is_integer() { SampleFormat::INT32 } else { side.format },
            layout: Layout::Interleaved,
            ..side
        };
        let resampler = |from: Side, from_rate, to: Side, to_rate| {
            Resampler::new(ResamplerShape {
                from: from.format,
                from_rate,
                to: to.format,
                to_rate,
                channels: from.channels,
                most_frames,
                dither: Dither::Flat,
                seed,
            })
        };
        let memory = |side: Side| {
            let frame_bytes = usize::from(side.channels) * side.format.bytes();
            vec![side.format.silence_byte(); max_period_frames as usize * frame_bytes]
        };
        let capture = device.capture.map(|side| -> Result<Captured> {
            let (own, memory) = (outer(side), memory(outer(side)));
            let resampler = resampler(side, device.rate, own, rate)?;
            Ok(Captured { side: own, resampler, memory, frames: 0, released: 0 })
        });
        let playback = device.playback.map(|side| -> Result<Played> {
            let (own, memory) = (outer(side), memory(outer(side)));
            let resampler = resampler(own, rate, side, device.rate)?;
            Ok(Played { side: own, resampler, memory, frames: 0, committed: 0 })
        });
        let (capture, playback) = (capture.transpose()?, playback.transpose()?);
        let shape = Shape {
            rate,
            capture: capture.as_ref().map(|way| way.side),
            playback: playback.as_ref().map(|way| way.side),
            max_period_frames,
            steady: false,
            ..outer_times(&device, ratio, capture.as_ref(), playback.as_ref())
        };
        let (device_frames, frames, device_missed, missed) = (0, 0, 0, 0);
        Ok(Self {
            inner,
            shape,
            ratio,
            capture,
            playback,
            device_frames,
            frames,
            device_missed,
            missed,
        })
    }

    /// Takes what the device captured, counts what that is in our frames, and makes as many.
    fn due(&mut self, period: Period) -> Option<Period> {
        let device = period.capture_frames.max(period.playback_frames);
        let device = device.min(self.inner.shape().max_period_frames);
        self.device_frames += u64::from(device);
        self.device_missed += u64::from(period.missed_frames);
        let frames = self.ratio.floor(self.device_frames) - self.frames;
        self.frames += frames;
        let frames = u32::try_from(frames).unwrap_or(0).min(self.shape.max_period_frames);
        if let Some(way) = &mut self.capture {
            way.record(&mut *self.inner, frames);
        }
        if let Some(way) = &mut self.playback {
            (way.frames, way.committed) = (frames, 0);
        }
        if frames == 0 {
            self.pass_on();
            return None;
        }
        let missed = self.ratio.ceil(self.device_missed) - self.missed;
        self.missed += missed;
        Some(Period {
            capture_frames: if self.capture.is_some() { frames } else { 0 },
            playback_frames: if self.playback.is_some() { frames } else { 0 },
            position_frames: self.frames + self.missed,
            at_ns: period.at_ns.saturating_sub(self.ratio.past_ns(self.device_frames)),
            commit_by_ns: period.commit_by_ns,
            missed_frames: u32::try_from(missed).unwrap_or(u32::MAX),
        })
    }

    /// Our period is complete: the device gets its frames.
    fn pass_on(&mut self) {
        if let Some(way) = &mut self.playback {
            way.play(&mut *self.inner);
        }
    }
}

/// Frames of silence that the playing resampler is given ahead: our frames are rounded down, so that up to one is lacking.
const AHEAD_FRAMES: u32 = 1;

/// Period, prefill and latency in our frames. A frame is rounded once, for the whole loop, not once for each part.
fn outer_times(
    device: &Shape,
    ratio: Ratio,
    capture: Option<&Captured>,
    playback: Option<&Played>,
) -> Shape {
    let own = |frames: u64| u32::try_from(ratio.round(frames)).unwrap_or(u32::MAX);
    let before = capture.map_or(0, |way| u64::from(way.resampler.delay_frames()));
    let behind = playback.map_or(0, |way| way.resampler.delay_frames() + AHEAD_FRAMES);
    let input = before + u64::from(device.latency.input_frames);
    let output = u64::from(device.period_frames) + u64::from(device.latency.output_frames);
    let period_frames = own(u64::from(device.period_frames)).max(1);
    let input_frames = own(input);
    let whole = own(input + output) + behind;
    Shape {
        period_frames,
        prefill_frames: own(u64::from(device.prefill_frames)),
        latency: Latency {
            input_frames,
            output_frames: whole.saturating_sub(input_frames).saturating_sub(period_frames),
        },
        ..*device
    }
}

impl Captured {
    fn record(&mut self, inner: &mut dyn Stream, frames: u32) {
        loop {
            let piece = inner.capture();
            if piece.frames() == 0 {
                break;
            }
            let taken = self.resampler.feed(piece).frames;
            if taken == 0 {
                break;
            }
            inner.release(taken);
        }
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let place = AreaMut::from_slice(&mut self.memory, channels, bytes);
        let made = self.resampler.produce(place.part(0, frames));
        if made < frames {
            // A stream that gives less than it told.
            let place = AreaMut::from_slice(&mut self.memory, channels, bytes);
            silence(self.side.format, place.part(made, frames - made));
        }
        (self.frames, self.released) = (frames, 0);
    }
}

impl Played {
    fn place(&mut self) -> AreaMut<'_> {
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let left = self.frames - self.committed;
        AreaMut::from_slice(&mut self.memory, channels, bytes).part(self.committed, left)
    }

    /// Feeds the whole period, and lets the device have what becomes of it.
    fn play(&mut self, inner: &mut dyn Stream) {
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let whole = Area::from_slice(&self.memory, channels, bytes).part(0, self.frames);
        self.resampler.feed(whole);
        self.frames = 0;
        self.committed = 0;
        loop {
            let place = inner.playback();
            if place.frames() == 0 {
                return;
            }
            let made = self.resampler.produce(place);
            if made == 0 {
                return;
            }
            inner.commit(made);
        }
    }

    /// What was not committed is silence.
    fn finish(&mut self) {
        if self.frames > self.committed {
            let format = self.side.format;
            silence(format, self.place());
            self.committed = self.frames;
        }
    }

    fn rewind(&mut self) {
        self.resampler.reset();
        (self.frames, self.committed) = (AHEAD_FRAMES, 0);
        self.finish();
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let ahead = Area::from_slice(&self.memory, channels, bytes).part(0, AHEAD_FRAMES);
        self.resampler.feed(ahead);
        (self.frames, self.committed) = (0, 0);
    }
}

impl Stream for Resampled {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }

    fn notes(&self) -> Vec<Note> {
        self.inner.notes()
    }

    fn start(&mut self) -> std::result::Result<(), Loss> {
        (self.device_frames, self.frames, self.device_missed, self.missed) = (0, 0, 0, 0);
        if let Some(way) = &mut self.capture {
            way.resampler.reset();
            (way.frames, way.released) = (0, 0);
        }
        if let Some(way) = &mut self.playback {
            way.rewind();
        }
        self.inner.start()
    }

    fn stop(&mut self) {
        self.inner.stop();
    }

    fn wait(&mut self, until: Ns) -> Wake {
        if let Some(way) = &mut self.playback
            && way.frames > 0
        {
            way.finish();
            way.play(&mut *self.inner);
        }
        match self.inner.wait(until) {
            Wake::Due(period) => self.due(period).map_or(Wake::Idle, Wake::Due),
            other => other,
        }
    }

    fn capture(&mut self) -> Area<'_> {
        self.capture.as_ref().map_or(Area::EMPTY, |way| {
            let (channels, bytes) = (usize::from(way.side.channels), way.side.format.bytes());
            let left = way.frames - way.released;
            Area::from_slice(&way.memory, channels, bytes).part(way.released, left)
        })
    }

    fn release(&mut self, frames: u32) {
        if let Some(way) = &mut self.capture {
            way.released = way.frames.min(way.released + frames);
        }
    }

    fn playback(&mut self) -> AreaMut<'_> {
        self.playback.as_mut().map_or(AreaMut::EMPTY, Played::place)
    }

    fn commit(&mut self, frames: u32) {
        let Some(way) = &mut self.playback else { return };
        way.committed = way.frames.min(way.committed + frames);
        if way.frames > 0 && way.committed == way.frames {
            way.play(&mut *self.inner);
        }
    }
}
