//! From the bus into an area: the end of the mixer and of the resampler.

use crate::bus::{BUS_FULL_SCALE, Bus};
use crate::copier::{Copier, Rest, Route};
use crate::dither::Ditherer;
use crate::mixer::MixerShape;
use crate::rows::{BLOCK, BLOCK_FRAMES, Rows, StoreFloats, Tier, with_ints};
use crate::silence::silence_channel;
use barewire_rt::AreaMut;
use barewire_types::{Error, ErrorKind, SampleFormat};
use std::ops::Range;

/// How the bus becomes integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// It holds integers: they are saturated, and what a narrower format cannot hold is cut off and told.
    Exact,
    /// Rounded half to even.
    Even,
    /// Dithered.
    Dithered,
}

/// What was lost on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) bits: u32,
    pub(crate) bad: u32,
    pub(crate) clipped: u32,
}

/// Writes the bus in a format.
#[derive(Debug)]
pub(crate) struct Writer {
    to: SampleFormat,
    store: Store,
    ints: Box<[i32]>,
    ditherer: Ditherer,
    rows: &'static Rows,
}

#[derive(Clone, Debug)]
enum Store {
    /// From rows of 32-bit integers: shifted and interleaved as the exact lane does.
    Ints(Copier),
    Floats(StoreFloats),
}

impl Writer {
    /// # Errors
    /// `Unsupported` for DSD, and for shaped dither at a rate that it is not made for.
    pub(crate) fn new(shape: &MixerShape, tier: Tier) -> Result<Self, Error> {
        let rows = tier.rows();
        let to = shape.to;
        let channels = shape.to_channels;
        let store = if let Some(store) = (rows.store_floats)(to) {
            Store::Floats(store)
        } else if to.is_integer() {
            let routes: Vec<Route> = (0..channels).map(|n| Route { from: n, to: n }).collect();
            let copier =
                Copier::new(SampleFormat::INT32, to, channels, channels, &routes, Rest::Leave)?;
            Store::Ints(copier.on_tier(tier)?)
        } else {
            let message = format!("nothing can be computed into {to}");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .remedy("let one client alone play one-bit samples, at the device's rate"));
        };
        let ditherer =
            Ditherer::new(shape.dither, shape.rate, shape.to_channels, shape.seed, rows)?;
        let ints = vec![0; usize::from(channels) * BLOCK_FRAMES].into();
        Ok(Self { to, store, ints, ditherer, rows })
    }

    /// Writes the bus's frames into `area`, which has the writer's format and no more frames than the bus; channels that
    /// nobody has begun get silence.
    pub(crate) fn run(
        &mut self,
        bus: &mut Bus,
        rounding: Rounding,
        area: &mut AreaMut<'_>,
    ) -> Written {
        match &self.store {
            Store::Floats(store) => self.write_floats(*store, bus, area),
            Store::Ints(_) => self.write_ints(bus, rounding, area),
        }
    }

    fn write_floats(&self, store: StoreFloats, bus: &mut Bus, area: &mut AreaMut<'_>) -> Written {
        let mut written = Written::default();
        for channel in 0..bus.channels() {
            if !bus.is_begun(channel) {
                silence_channel(self.to, area, channel);
            } else {
                let row = bus.row(channel);
                (self.rows.scale)(row, 1.0 / BUS_FULL_SCALE);
                written.bad = written.bad.saturating_add(store(row, area, channel));
            }
        }
        written
    }

    fn write_ints(&mut self, bus: &mut Bus, rounding: Rounding, area: &mut AreaMut<'_>) -> Written {
        let bits = u32::from(self.to.exact_bits());
        let mut written = Written::default();
        let frames = bus.frames().min(area.frames()) as usize;
        for (channel, ints) in self.ints.chunks_exact_mut(BLOCK_FRAMES).enumerate() {
            if !bus.is_begun(channel) {
                ints.fill(0);
            }
        }
        let mut start = 0;
        let mut first = 0;
        while start < frames {
            let block = start..frames.min(start + BLOCK_FRAMES);
            start = block.end;
            written.clipped += self.round(bus, block, rounding, bits);
            let Store::Ints(copier) = &self.store else { break };
            let part = area.reborrow().part(first, BLOCK);
            written.bits |= with_ints(&self.ints, BLOCK, |ints| copier.run(ints, part)).bits;
            first += BLOCK;
        }
        written
    }

    /// Rounds a block into the rows of integers; returns how many samples were clamped.
    fn round(&mut self, bus: &mut Bus, block: Range<usize>, rounding: Rounding, bits: u32) -> u32 {
        if rounding == Rounding::Dithered {
            self.ditherer.run(bus, block, bits, &mut self.ints);
            return self.ditherer.take_clipped();
        }
        let mut clipped = 0;
        for (channel, ints) in self.ints.chunks_exact_mut(BLOCK_FRAMES).enumerate() {
            if bus.is_begun(channel) {
                let part = &bus.row(channel)[block.clone()];
                let ints = &mut ints[..part.len()];
                clipped += match rounding {
                    Rounding::Exact => (self.rows.saturate)(part, ints),
                    Rounding::Even | Rounding::Dithered => (self.rows.round)(part, bits, ints),
                };
            }
        }
        clipped
    }
}
