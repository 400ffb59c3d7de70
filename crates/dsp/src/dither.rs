//! Dither: rounding what was computed so that the error does not depend on the signal. What is not computed is never
//! dithered; that is for the mixer to tell.

use crate::bus::Bus;
use crate::noise::NoiseSource;
use crate::rows::{BLOCK_FRAMES, Block, Round, Rows};
use crate::shape::{LANES, Shape};
use barewire_types::{Error, RateHz};
use std::ops::Range;

/// How long a channel must be digital silence until it is written as digital silence: dither that comes and goes with each
/// zero of a quiet signal would be heard.
const HOLD_FRAMES: usize = 4096;

/// How computed samples are rounded to integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dither {
    /// Rounded half to even.
    Off,
    /// Triangular, ±1 LSB, white: mean and power of the error do not depend on the signal.
    #[default]
    Flat,
    /// Triangular, ±1 LSB, rising with frequency: each sample's noise less the one before it.
    HighPass,
    /// Flat dither with the whole error shaped to what the ear hears least; at 44.1 and 48 kHz only.
    Shaped,
}

/// The dither of a mixer's channels.
#[derive(Debug)]
pub(crate) struct Ditherer {
    rows: &'static Rows,
    round: Option<Round>,
    channels: Box<[Channel]>,
    shapes: Box<[Shape]>,
    noise: Box<Block<f64>>,
    rounded: Box<Block<i32>>,
    clipped: u32,
}

#[derive(Debug)]
struct Channel {
    noise: NoiseSource,
    hold_frames: usize,
}

impl Channel {
    /// Whether this part is to be written as digital silence.
    fn rests(&mut self, part: &[f64]) -> bool {
        if part.iter().any(|&sample| sample != 0.0) {
            self.hold_frames = HOLD_FRAMES;
            return false;
        }
        let rests = self.hold_frames == 0;
        self.hold_frames = self.hold_frames.saturating_sub(part.len());
        rests
    }
}

impl Ditherer {
    /// Dither for these channels; `seed` fixes it.
    ///
    /// # Errors
    /// `Unsupported` for shaped dither at a rate that it is not made for.
    pub(crate) fn new(
        dither: Dither,
        rate: RateHz,
        channels: u16,
        seed: u64,
        rows: &'static Rows,
    ) -> Result<Self, Error> {
        let groups = usize::from(channels).div_ceil(LANES);
        let shapes = match dither {
            Dither::Shaped => vec![Shape::new(rate)?; groups],
            _ => Vec::new(),
        };
        Ok(Self {
            rows,
            round: match dither {
                Dither::Shaped => None,
                Dither::HighPass => Some(rows.dither_high),
                Dither::Flat | Dither::Off => Some(rows.dither_flat),
            },
            channels: (0..channels)
                .map(|channel| Channel { noise: NoiseSource::new(seed, channel), hold_frames: 0 })
                .collect(),
            shapes: shapes.into(),
            noise: Box::new([[0.0; BLOCK_FRAMES]; LANES]),
            rounded: Box::new([[0; BLOCK_FRAMES]; LANES]),
            clipped: 0,
        })
    }

    /// Rounds a block of the bus into rows of [`BLOCK_FRAMES`] integers, one a channel; channels that nobody has begun stay as
    /// they are.
    pub(crate) fn run(&mut self, bus: &mut Bus, block: Range<usize>, bits: u32, ints: &mut [i32]) {
        if let Some(round) = self.round {
            for (channel, ints) in ints.chunks_exact_mut(BLOCK_FRAMES).enumerate() {
                if bus.is_begun(channel) {
                    let part = &bus.row(channel)[block.clone()];
                    self.run_flat(round, channel, part, bits, ints);
                }
            }
        } else {
            for (group, ints) in ints.chunks_mut(LANES * BLOCK_FRAMES).enumerate() {
                self.run_shaped(group, bus, block.clone(), bits, ints);
            }
        }
    }

    /// How many samples were clamped since the last question.
    pub(crate) fn take_clipped(&mut self) -> u32 {
        std::mem::take(&mut self.clipped)
    }

    fn run_flat(
        &mut self,
        round: Round,
        channel: usize,
        part: &[f64],
        bits: u32,
        ints: &mut [i32],
    ) {
        let channel = &mut self.channels[channel];
        let ints = &mut ints[..part.len()];
        if channel.rests(part) {
            ints.fill(0);
            return;
        }
        let mut done = 0;
        while done < part.len() {
            let (noise, frames) = channel.noise.take(part.len() - done);
            let end = done + frames;
            self.clipped += round(&part[done..end], bits, noise, &mut ints[done..end]);
            done = end;
        }
    }

    /// A group of channels side by side.
    fn run_shaped(
        &mut self,
        group: usize,
        bus: &mut Bus,
        block: Range<usize>,
        bits: u32,
        ints: &mut [i32],
    ) {
        let first = group * LANES;
        let count = block.len().min(BLOCK_FRAMES);
        let lanes = ints.len() / BLOCK_FRAMES;
        let mut rests = [true; LANES];
        for (lane, rests) in rests.iter_mut().enumerate().take(lanes) {
            if bus.is_begun(first + lane) {
                let part = &bus.row(first + lane)[block.clone()];
                *rests = self.channels[first + lane].rests(part);
                if !*rests {
                    self.fill_noise(first + lane, lane, count);
                }
            }
        }
        let zeros = [0.0; BLOCK_FRAMES];
        let rows = std::array::from_fn(|lane| match bus.begun_row(first + lane) {
            Some(row) if !rests[lane] => &row[block.clone()],
            _ => &zeros[..count],
        });
        let shape = &mut self.shapes[group];
        let clamped = (self.rows.shape)(rows, &self.noise, bits, shape, &mut self.rounded);
        for (lane, ints) in ints.chunks_exact_mut(BLOCK_FRAMES).enumerate() {
            let ints = &mut ints[..count];
            if rests[lane] {
                shape.reset(lane);
                ints.fill(0);
                continue;
            }
            ints.copy_from_slice(&self.rounded[lane][..count]);
            if clamped != 0 {
                self.clipped += (self.rows.count_ends)(ints, bits);
            }
        }
    }

    fn fill_noise(&mut self, channel: usize, lane: usize, count: usize) {
        let mut done = 0;
        while done < count {
            let (noise, frames) = self.channels[channel].noise.take(count - done);
            (self.rows.triangles)(noise, &mut self.noise[lane][done..done + frames]);
            done += frames;
        }
    }
}
