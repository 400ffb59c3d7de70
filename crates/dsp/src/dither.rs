//! Dither: rounding what was computed so that the error does not depend on the signal. What is not computed is never
//! dithered; that is for the mixer to tell.

use crate::bus::Bus;
use crate::noise::NoiseSource;
use crate::rows::{BLOCK_FRAMES, Round, Rows};
use crate::shape::{Frame, LANES, Shape};
use barewire_types::{Error, RateHz};

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
            clipped: 0,
        })
    }

    /// Rounds what the bus holds and gives each block to `write` with its channel and first frame.
    pub(crate) fn run(
        &mut self,
        bus: &mut Bus,
        bits: u32,
        mut write: impl FnMut(&[i32], usize, u32),
    ) {
        if let Some(round) = self.round {
            self.run_flat(round, bus, bits, &mut write);
        } else {
            for group in 0..self.shapes.len() {
                self.run_shaped(group, bus, bits, &mut write);
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
        bus: &mut Bus,
        bits: u32,
        write: &mut impl FnMut(&[i32], usize, u32),
    ) {
        let mut ints = [0; BLOCK_FRAMES];
        for (index, channel) in self.channels.iter_mut().enumerate() {
            if !bus.is_begun(index) {
                continue;
            }
            let mut start = 0;
            for part in bus.row(index).chunks(BLOCK_FRAMES) {
                let ints = &mut ints[..part.len()];
                if channel.rests(part) {
                    ints.fill(0);
                } else {
                    let mut done = 0;
                    while done < part.len() {
                        let (noise, frames) = channel.noise.take(part.len() - done);
                        let end = done + frames;
                        self.clipped += round(&part[done..end], bits, noise, &mut ints[done..end]);
                        done = end;
                    }
                }
                write(ints, index, start);
                start += frames_of(part);
            }
        }
    }

    fn run_shaped(
        &mut self,
        group: usize,
        bus: &mut Bus,
        bits: u32,
        write: &mut impl FnMut(&[i32], usize, u32),
    ) {
        let first = group * LANES;
        let lanes = LANES.min(self.channels.len() - first);
        let mut ints = [0; BLOCK_FRAMES];
        let (mut frames, mut noises) = ([[0.0; LANES]; BLOCK_FRAMES], [[0.0; LANES]; BLOCK_FRAMES]);
        let total = bus.frames() as usize;
        let mut start = 0;
        while start < total {
            let count = (total - start).min(BLOCK_FRAMES);
            let mut rests = [true; LANES];
            for lane in 0..lanes {
                if !bus.is_begun(first + lane) {
                    continue;
                }
                let part = &bus.row(first + lane)[start..start + count];
                rests[lane] = self.channels[first + lane].rests(part);
                if !rests[lane] {
                    self.noise_of(first + lane, &mut noises[..count], lane);
                    frames.iter_mut().zip(part).for_each(|(frame, &sample)| frame[lane] = sample);
                }
            }
            (self.rows.shape)(
                &mut frames[..count],
                &noises[..count],
                &mut self.shapes[group],
                bits,
            );
            for (lane, rests) in rests.into_iter().enumerate().take(lanes) {
                if !bus.is_begun(first + lane) {
                    continue;
                }
                let ints = &mut ints[..count];
                if rests {
                    self.shapes[group].reset(lane);
                    ints.fill(0);
                } else {
                    self.clipped += (self.rows.take_lane)(&frames[..count], lane, bits, ints);
                }
                #[expect(clippy::cast_possible_truncation, reason = "below the bus's u32 frames")]
                write(ints, first + lane, start as u32);
            }
            start += count;
        }
    }

    fn noise_of(&mut self, channel: usize, to: &mut [Frame], lane: usize) {
        let mut row = [0.0; BLOCK_FRAMES];
        let mut done = 0;
        while done < to.len() {
            let (noise, frames) = self.channels[channel].noise.take(to.len() - done);
            (self.rows.triangles)(noise, &mut row[done..done + frames]);
            done += frames;
        }
        to.iter_mut().zip(row).for_each(|(to, sample)| to[lane] = sample);
    }
}

fn frames_of(part: &[f64]) -> u32 {
    u32::try_from(part.len()).unwrap_or(u32::MAX)
}
