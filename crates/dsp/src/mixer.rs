//! The sum and the mixed lane: several sources on one bus, and from there into the device's area.
//!
//! The bus is `f64` in units of a left-justified 32-bit integer. Integers at unity gain are added there as exactly as in
//! 64-bit integers (53 bits hold 2^21 full-scale sources), so that sum and mixed lane are one piece of code and going from one
//! client to two and back alters no sample. Only what was computed is dithered.

use crate::bus::Bus;
use crate::copier::Cut;
use crate::dither::Dither;
use crate::rows::Tier;
use crate::source::Source;
use crate::writer::{Rounding, Writer};
use barewire_rt::{Area, AreaMut};
use barewire_types::{Error, ErrorKind, Lane, MAX_CHANNELS, MAX_FRAMES, RateHz, SampleFormat};

/// What a mixer mixes for.
#[derive(Clone, Copy, Debug)]
pub struct MixerShape {
    /// The device's format.
    pub to: SampleFormat,
    /// The device's channels.
    pub to_channels: u16,
    /// The device's rate; shaped dither is there for some rates only.
    pub rate: RateHz,
    /// The most frames of a piece.
    pub most_frames: u32,
    /// How computed samples are rounded to integers.
    pub dither: Dither,
    /// Fixes the dither: the same seed gives the same samples.
    pub seed: u64,
}

/// What a piece became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was lost: bits cut off where nothing was computed, samples that were not finite.
    pub cut: Cut,
    /// How the samples travelled.
    pub lane: Lane,
    /// Sources that were added.
    pub sources: u16,
    /// Samples that were beyond full scale and were held there.
    pub clipped: u32,
    /// Whether dither was called for.
    pub dithered: bool,
}

/// Adds sources and writes their sum: `begin`, `add` for each source, `finish`. For the device thread.
#[derive(Debug)]
pub struct Mixer {
    shape: MixerShape,
    bus: Bus,
    writer: Writer,
    sources: u16,
    untouched: bool,
    bits: i32,
    bad: u32,
}

impl Mixer {
    /// A mixer with its bus; the only place where memory is taken.
    ///
    /// # Errors
    /// `InvalidArgument` if there are too many channels or frames; `Unsupported` for DSD, and for shaped dither at a rate that
    /// it is not made for.
    pub fn new(shape: MixerShape) -> Result<Self, Error> {
        if usize::from(shape.to_channels) > MAX_CHANNELS || shape.most_frames > MAX_FRAMES {
            let message = format!(
                "{} channels of {} frames are too many to mix",
                shape.to_channels, shape.most_frames
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self {
            shape,
            bus: Bus::new(shape.to_channels, shape.most_frames),
            writer: Writer::new(&shape, Tier::best())?,
            sources: 0,
            untouched: true,
            bits: 0,
            bad: 0,
        })
    }

    /// The same mixer kept to a tier of vector instructions.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn on_tier(self, tier: Tier) -> Result<Self, Error> {
        Ok(Self { writer: Writer::new(&self.shape, tier)?, ..self })
    }

    /// Begins a piece of `frames`, or of as many as the mixer was made for.
    pub fn begin(&mut self, frames: u32) {
        self.bus.begin(frames);
        (self.sources, self.untouched, self.bits, self.bad) = (0, true, 0, 0);
    }

    /// Adds a source's frames and returns how many were; 0 if the area does not have the source's shape, or the source not
    /// the mixer's channels. Frames that the area lacks are silence.
    pub fn add(&mut self, source: &mut Source, area: Area<'_>) -> u32 {
        if !source.fits(area, self.shape.to_channels) {
            return 0;
        }
        let frames = self.bus.frames().min(area.frames());
        let exact = source.add(area, frames, &mut self.bus);
        self.untouched &= exact.untouched;
        self.bits = self.bits.max(exact.bits);
        self.bad = self.bad.saturating_add(exact.bad);
        self.sources = self.sources.saturating_add(1);
        frames
    }

    /// Writes the sum of what was added into the device's area; channels that no source reached get silence.
    pub fn finish(&mut self, mut area: AreaMut<'_>) -> Outcome {
        let computed = !self.untouched;
        let integers = self.shape.to.is_integer();
        let narrows = self.bits > i32::from(self.shape.to.exact_bits());
        let dithered = computed && integers && narrows && self.shape.dither != Dither::Off;
        let mut outcome = Outcome {
            cut: Cut { bits: 0, bad: self.bad, frames: 0 },
            lane: match (computed, self.sources) {
                (true, _) => Lane::Mixed,
                (false, 0 | 1) => Lane::Exact,
                (false, _) => Lane::Sum,
            },
            sources: self.sources,
            clipped: 0,
            dithered,
        };
        let fits = area.channels() == usize::from(self.shape.to_channels)
            && area.sample_bytes() == self.shape.to.bytes();
        if !fits {
            return outcome;
        }
        outcome.cut.frames = self.bus.frames().min(area.frames());
        let mut area = area.reborrow().part(0, outcome.cut.frames);
        let way = match (computed, dithered) {
            (false, _) => Rounding::Exact,
            (true, false) => Rounding::Even,
            (true, true) => Rounding::Dithered,
        };
        let written = self.writer.run(&mut self.bus, way, &mut area);
        outcome.cut.bits = written.bits;
        outcome.cut.bad = outcome.cut.bad.saturating_add(written.bad);
        outcome.clipped = written.clipped;
        outcome
    }
}
