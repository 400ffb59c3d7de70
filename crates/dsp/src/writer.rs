//! From the bus into an area: the end of the mixer and of the resampler.

use crate::bus::{BUS_FULL_SCALE, Bus};
use crate::dither::Ditherer;
use crate::mixer::MixerShape;
use crate::rows::{BLOCK, BLOCK_FRAMES, Rows, StoreFloats, StoreInts, Tier};
use crate::silence::silence_channel;
use barewire_rt::AreaMut;
use barewire_types::{Error, ErrorKind, SampleFormat};

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
    ditherer: Ditherer,
    rows: &'static Rows,
}

#[derive(Clone, Copy, Debug)]
enum Store {
    Ints(StoreInts),
    Floats(StoreFloats),
}

impl Writer {
    /// # Errors
    /// `Unsupported` for DSD, and for shaped dither at a rate that it is not made for.
    pub(crate) fn new(shape: &MixerShape, tier: Tier) -> Result<Self, Error> {
        let rows = tier.rows();
        let to = shape.to;
        let store = match ((rows.store_ints)(to), (rows.store_floats)(to)) {
            (Some(store), _) => Store::Ints(store),
            (_, Some(store)) => Store::Floats(store),
            _ => {
                let message = format!("nothing can be computed into {to}");
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .remedy("let one client alone play one-bit samples, at the device's rate"));
            }
        };
        let ditherer =
            Ditherer::new(shape.dither, shape.rate, shape.to_channels, shape.seed, rows)?;
        Ok(Self { to, store, ditherer, rows })
    }

    /// Writes the bus's frames into `area`, which has the writer's format and no more frames than the bus; channels that
    /// nobody has begun get silence.
    pub(crate) fn run(
        &mut self,
        bus: &mut Bus,
        rounding: Rounding,
        area: &mut AreaMut<'_>,
    ) -> Written {
        for channel in 0..bus.channels() {
            if !bus.is_begun(channel) {
                silence_channel(self.to, area, channel);
            }
        }
        match (self.store, rounding) {
            (Store::Floats(store), _) => self.write_floats(store, bus, area),
            (Store::Ints(store), Rounding::Dithered) => self.write_dithered(store, bus, area),
            (Store::Ints(store), _) => self.write_ints(store, bus, rounding, area),
        }
    }

    fn write_floats(&self, store: StoreFloats, bus: &mut Bus, area: &mut AreaMut<'_>) -> Written {
        let mut written = Written::default();
        for channel in 0..bus.channels() {
            if bus.is_begun(channel) {
                let row = bus.row(channel);
                (self.rows.scale)(row, 1.0 / BUS_FULL_SCALE);
                written.bad = written.bad.saturating_add(store(row, area, channel));
            }
        }
        written
    }

    fn write_ints(
        &self,
        store: StoreInts,
        bus: &mut Bus,
        rounding: Rounding,
        area: &mut AreaMut<'_>,
    ) -> Written {
        let bits = u32::from(self.to.exact_bits());
        let mut written = Written::default();
        let mut ints = [0; BLOCK_FRAMES];
        for channel in 0..bus.channels() {
            if !bus.is_begun(channel) {
                continue;
            }
            let mut done = 0;
            for part in bus.row(channel).chunks(BLOCK_FRAMES) {
                let ints = &mut ints[..part.len()];
                written.clipped += match rounding {
                    Rounding::Exact => (self.rows.saturate)(part, ints),
                    Rounding::Even | Rounding::Dithered => (self.rows.round)(part, bits, ints),
                };
                written.bits |= store(ints, &mut area.reborrow().part(done, BLOCK), channel);
                done += BLOCK;
            }
        }
        written
    }

    fn write_dithered(
        &mut self,
        store: StoreInts,
        bus: &mut Bus,
        area: &mut AreaMut<'_>,
    ) -> Written {
        let bits = u32::from(self.to.exact_bits());
        self.ditherer.run(bus, bits, |ints, channel, start| {
            store(ints, &mut area.reborrow().part(start, BLOCK), channel);
        });
        Written { clipped: self.ditherer.take_clipped(), ..Written::default() }
    }
}
