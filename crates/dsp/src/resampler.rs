//! The resampler: from one rate to another, or from one clock to another, the ratio changing as the clocks drift.
//!
//! One kernel for fixed and for changing ratios. It works on `f64`, takes no memory after its construction, and its
//! delay is known. Measuring the drift is the business of `clock`.

use crate::bus::{BUS_FULL_SCALE, Bus};
use crate::copier::Cut;
use crate::dither::Dither;
use crate::filter::Filter;
use crate::mixer::MixerShape;
use crate::rows::{BLOCK, BLOCK_FRAMES, LoadFloats, LoadInts, Rows, Tier};
use crate::writer::{Rounding, Writer};
use barewire_rt::{Area, AreaMut};
use barewire_types::{Error, ErrorKind, MAX_CHANNELS, MAX_FRAMES, RateHz, SampleFormat};

/// The largest ratio of the two rates, either way: 8 kHz to 192 kHz and a little more.
const MOST_RATIO: f64 = 32.0;
/// The most that a clock may be off: crystals keep within 100 ppm, the worst USB devices within 1000.
pub const MOST_DRIFT_PPM: f64 = 10_000.0;
/// Output frames over which the ratio goes to a new one, so that no frame's frequency jumps.
const GLIDE_FRAMES: u32 = 256;

/// What a resampler converts between.
#[derive(Clone, Copy, Debug)]
pub struct ResamplerShape {
    /// Format of what is fed.
    pub from: SampleFormat,
    /// Rate of what is fed.
    pub from_rate: RateHz,
    /// Format of what is produced.
    pub to: SampleFormat,
    /// Rate of what is produced.
    pub to_rate: RateHz,
    /// Channels of both.
    pub channels: u16,
    /// The most frames that are fed or produced at once.
    pub most_frames: u32,
    /// How what is produced is rounded to integers.
    pub dither: Dither,
    /// Fixes the dither.
    pub seed: u64,
}

/// Takes frames at one rate and gives them at another. For the device thread.
#[derive(Debug)]
pub struct Resampler {
    shape: ResamplerShape,
    filter: Filter,
    load: Load,
    history: History,
    bus: Bus,
    writer: Writer,
    coefficients: Box<[f64]>,
    step: Step,
    /// Where the next output frame lies: 2^-64 frames after the first frame of the history that its filter sees.
    fraction: u64,
    rows: &'static Rows,
}

#[derive(Clone, Copy, Debug)]
enum Load {
    Ints(LoadInts),
    Floats(LoadFloats),
}

/// Input frames from one output frame to the next, in 2^-64, and the way to another step.
#[derive(Clone, Copy, Debug)]
struct Step {
    nominal: f64,
    now: u128,
    goal: u128,
    change: i128,
    left: u32,
}

/// What was fed and is still looked at, a row a channel.
#[derive(Debug)]
struct History {
    samples: Box<[f64]>,
    row_frames: usize,
    start: usize,
    end: usize,
}

impl Resampler {
    /// A resampler with its filter and memory.
    ///
    /// # Errors
    /// `InvalidArgument` if there are too many channels or frames; `Unsupported` for DSD, for rates more than a factor of 32
    /// apart, and for shaped dither at a rate that it is not made for.
    pub fn new(shape: ResamplerShape) -> Result<Self, Error> {
        let ratio = shape.from_rate.as_f64() / shape.to_rate.as_f64();
        if !(1.0 / MOST_RATIO..=MOST_RATIO).contains(&ratio) {
            let message = format!("{} cannot be converted to {}", shape.from_rate, shape.to_rate);
            return Err(Error::new(ErrorKind::Unsupported, message)
                .remedy("choose rates that lie closer together"));
        }
        if usize::from(shape.channels) > MAX_CHANNELS || shape.most_frames > MAX_FRAMES {
            let message = format!(
                "{} channels of {} frames are too many to resample",
                shape.channels, shape.most_frames
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let rows = Tier::best().rows();
        let filter = Filter::new(ratio);
        let taps = filter.taps();
        let mut resampler = Self {
            load: Load::of(shape.from, rows)?,
            history: History::new(shape.channels, taps, shape.most_frames),
            bus: Bus::new(shape.channels, shape.most_frames),
            writer: Writer::new(&shape.output(), Tier::best())?,
            coefficients: vec![0.0; taps].into(),
            step: Step::new(ratio),
            fraction: 0,
            filter,
            shape,
            rows,
        };
        resampler.reset();
        Ok(resampler)
    }

    /// The same resampler kept to a tier of vector instructions.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn on_tier(self, tier: Tier) -> Result<Self, Error> {
        let rows = tier.rows();
        let load = Load::of(self.shape.from, rows)?;
        Ok(Self { load, writer: Writer::new(&self.shape.output(), tier)?, rows, ..self })
    }

    /// How long a frame takes from input to output beyond the rate's own: in input frames, exactly.
    pub fn delay_frames(&self) -> u32 {
        u32::try_from(self.filter.taps() / 2).unwrap_or(u32::MAX)
    }

    /// Forgets what was fed; silence lies before the next frame.
    pub fn reset(&mut self) {
        self.history.reset(self.filter.taps() - 1);
        self.fraction = 0;
    }

    /// Sets by how much the input's clock is faster than its nominal rate, measured by the output's clock; the ratio glides
    /// there over the next output frames. Beyond [`MOST_DRIFT_PPM`] it is held there; what is not a number is ignored.
    pub fn set_drift_ppm(&mut self, ppm: f64) {
        if !ppm.is_nan() {
            self.step.glide_to(ppm.clamp(-MOST_DRIFT_PPM, MOST_DRIFT_PPM));
        }
    }

    /// How many more frames must be fed before `frames` can be produced.
    pub fn needed_frames(&self, frames: u32) -> u32 {
        if frames == 0 {
            return 0;
        }
        let last = self.step.clone_after(frames - 1, self.fraction);
        let needed = (last >> 64) + self.filter.taps() as u128;
        u32::try_from(needed.saturating_sub(self.history.len() as u128)).unwrap_or(u32::MAX)
    }

    /// Takes frames and returns how many were taken, 0 if the area does not have the shape; fewer than it has if too few were
    /// produced meanwhile. In the cut: samples that were not finite.
    pub fn feed(&mut self, area: Area<'_>) -> Cut {
        let fits = area.channels() == usize::from(self.shape.channels)
            && area.sample_bytes() == self.shape.from.bytes();
        if !fits {
            return Cut::default();
        }
        let room = u32::try_from(self.history.make_room()).unwrap_or(u32::MAX);
        let frames = area.frames().min(room);
        let mut cut = Cut { frames, ..Cut::default() };
        for channel in 0..area.channels() {
            let mut done = 0;
            while done < frames {
                let part = area.part(done, BLOCK.min(frames - done));
                let to = self.history.fresh(channel, done as usize, part.frames() as usize);
                cut.bad = cut.bad.saturating_add(self.load.run(self.rows, part, channel, to));
                done += BLOCK;
            }
        }
        self.history.end += frames as usize;
        cut
    }

    /// Gives as many frames as the area has room for and what was fed allows, and returns how many.
    pub fn produce(&mut self, mut area: AreaMut<'_>) -> u32 {
        let fits = area.channels() == usize::from(self.shape.channels)
            && area.sample_bytes() == self.shape.to.bytes();
        if !fits {
            return 0;
        }
        let most = area.frames().min(self.shape.most_frames);
        self.bus.begin(most);
        for channel in 0..self.bus.channels() {
            self.bus.place(channel, 0, most as usize);
        }
        let mut frames = 0;
        while frames < most && self.history.len() >= self.filter.taps() {
            self.frame(frames as usize);
            let position = u128::from(self.fraction) + self.step.next();
            #[expect(clippy::cast_possible_truncation, reason = "the low half is the fraction")]
            let fraction = position as u64;
            self.fraction = fraction;
            self.history.skip(usize::try_from(position >> 64).unwrap_or(usize::MAX));
            frames += 1;
        }
        self.bus.shorten(frames);
        let rounding = match self.shape.dither {
            Dither::Off => Rounding::Even,
            _ => Rounding::Dithered,
        };
        self.writer.run(&mut self.bus, rounding, &mut area.reborrow().part(0, frames));
        frames
    }

    /// Computes output frame `n` of the piece.
    fn frame(&mut self, n: usize) {
        let (rows, x) = self.filter.at(self.fraction);
        let taps = self.filter.taps();
        let channels = self.bus.channels();
        if channels == 2 {
            let [left, right] = (self.rows.filter_two)(
                rows,
                x,
                [self.history.view(0, taps), self.history.view(1, taps)],
            );
            self.bus.set(0, n, left);
            self.bus.set(1, n, right);
            return;
        }
        (self.rows.coefficients)(rows, x, &mut self.coefficients);
        for channel in 0..channels {
            let sample = (self.rows.dot)(&self.coefficients, self.history.view(channel, taps));
            self.bus.set(channel, n, sample);
        }
    }
}

impl ResamplerShape {
    fn output(&self) -> MixerShape {
        MixerShape {
            to: self.to,
            to_channels: self.channels,
            rate: self.to_rate,
            most_frames: self.most_frames,
            dither: self.dither,
            seed: self.seed,
        }
    }
}

impl Load {
    fn of(from: SampleFormat, rows: &Rows) -> Result<Self, Error> {
        match ((rows.load_ints)(from), (rows.load_floats)(from)) {
            (Some(load), _) => Ok(Self::Ints(load)),
            (_, Some(load)) => Ok(Self::Floats(load)),
            _ => Err(Error::new(ErrorKind::Unsupported, format!("{from} cannot be resampled"))
                .remedy("play one-bit samples at the device's rate")),
        }
    }

    /// Reads a block of one channel in the bus's unit.
    fn run(self, rows: &Rows, part: Area<'_>, channel: usize, to: &mut [f64]) -> u32 {
        match self {
            Self::Ints(load) => {
                let mut ints = [0; BLOCK_FRAMES];
                let ints = &mut ints[..to.len()];
                load(part, channel, ints);
                (rows.ints_to_floats)(ints, to);
                (rows.scale)(to, BUS_FULL_SCALE);
                0
            }
            Self::Floats(load) => {
                let bad = load(part, channel, to);
                (rows.scale)(to, BUS_FULL_SCALE);
                for sample in to {
                    *sample = sample.clamp(-crate::bus::MOST_BUS, crate::bus::MOST_BUS);
                }
                bad
            }
        }
    }
}

impl Step {
    fn new(nominal: f64) -> Self {
        let now = fixed(nominal);
        Self { nominal, now, goal: now, change: 0, left: 0 }
    }

    fn glide_to(&mut self, ppm: f64) {
        let goal = fixed(self.nominal * (1.0 + ppm * 1e-6));
        if goal == self.goal {
            return;
        }
        self.goal = goal;
        self.left = GLIDE_FRAMES;
        self.change = (self.goal.cast_signed() - self.now.cast_signed()) / i128::from(GLIDE_FRAMES);
    }

    /// The step from this output frame to the next.
    fn next(&mut self) -> u128 {
        if self.left > 0 {
            self.left -= 1;
            self.now =
                if self.left == 0 { self.goal } else { self.now.wrapping_add_signed(self.change) };
        }
        self.now
    }

    /// Where `frames` steps lead from `fraction`.
    fn clone_after(mut self, frames: u32, fraction: u64) -> u128 {
        let gliding = frames.min(self.left);
        let mut position = u128::from(fraction);
        for _ in 0..gliding {
            position += self.next();
        }
        position + self.now * u128::from(frames - gliding)
    }
}

/// A ratio in 2^-64, to the 53 bits that a float has.
fn fixed(ratio: f64) -> u128 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ratios are positive and at most 33"
    )]
    let fixed = (ratio * 18_446_744_073_709_551_616.0) as u128;
    fixed
}

impl History {
    fn new(channels: u16, taps: usize, most_frames: u32) -> Self {
        // Room for what the filter sees and for four pieces, so that rows are moved to the front only now and then.
        let row_frames = 2 * taps + 4 * (most_frames as usize).max(BLOCK_FRAMES);
        let samples = vec![0.0; usize::from(channels) * row_frames].into();
        Self { samples, row_frames, start: 0, end: 0 }
    }

    fn reset(&mut self, silent_frames: usize) {
        self.samples.fill(0.0);
        (self.start, self.end) = (0, silent_frames);
    }

    fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Passes over frames, also over such as have not been fed yet.
    fn skip(&mut self, frames: usize) {
        self.start += frames;
    }

    /// Moves what is left to the front if little room is left behind it; returns the room.
    fn make_room(&mut self) -> usize {
        if self.end * 2 > self.row_frames && self.start > 0 {
            let kept = self.start.min(self.end);
            for row in self.samples.chunks_exact_mut(self.row_frames.max(1)) {
                row.copy_within(kept..self.end, 0);
            }
            self.start -= kept;
            self.end -= kept;
        }
        self.row_frames - self.end
    }

    fn fresh(&mut self, channel: usize, start: usize, count: usize) -> &mut [f64] {
        &mut self.samples[channel * self.row_frames + self.end + start..][..count]
    }

    fn view(&self, channel: usize, taps: usize) -> &[f64] {
        &self.samples[channel * self.row_frames + self.start..][..taps]
    }
}
