//! A source: what one client gives to the mixer, with its format, its routes and its gain.

use crate::bus::{BUS_FULL_SCALE, Bus, MOST_BUS};
use crate::copier::Route;
use crate::gain::Gain;
use crate::rows::{AddInts, BLOCK, BLOCK_FRAMES, LoadFloats, LoadInts, Rows, Tier};
use barewire_rt::Area;
use barewire_types::{Error, ErrorKind, MAX_CHANNELS, SampleFormat};

/// One client's way into the mixer. Made by a control thread, used and changed on the device thread.
#[derive(Clone, Debug)]
pub struct Source {
    from: SampleFormat,
    from_channels: u16,
    to_channels: u16,
    routes: Box<[Route]>,
    gain: Gain,
    load: Load,
    rows: &'static Rows,
}

#[derive(Clone, Copy, Debug)]
enum Load {
    Ints { load: LoadInts, add: AddInts },
    Floats { load: LoadFloats },
}

/// How exact what a source added is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exactness {
    /// Whether integers were added untouched.
    pub(crate) untouched: bool,
    /// The bits that hold each sample exactly; more than 32 if none do.
    pub(crate) bits: i32,
    /// Samples that were not finite.
    pub(crate) bad: u32,
}

impl Source {
    /// A source of this format that leads its channels to those of a mixer with `to_channels`. Several routes may reach one
    /// channel: they are added. A change of gain takes `ramp_frames` (at most [`MAX_FRAMES`](barewire_types::MAX_FRAMES)).
    ///
    /// # Errors
    /// `InvalidArgument` if there are too many channels, if a route names a channel that is not there, or the ramp is too
    /// long; `Unsupported` for DSD, which cannot be added.
    pub fn new(
        from: SampleFormat,
        from_channels: u16,
        to_channels: u16,
        routes: &[Route],
        ramp_frames: u32,
    ) -> Result<Self, Error> {
        let wrong = |message: String| Err(Error::new(ErrorKind::InvalidArgument, message));
        if usize::from(from_channels.max(to_channels)) > MAX_CHANNELS {
            return wrong(format!("a source may have {MAX_CHANNELS} channels at the most"));
        }
        if ramp_frames > barewire_types::MAX_FRAMES {
            return wrong(format!("a ramp of {ramp_frames} frames is too long"));
        }
        for route in routes {
            if route.from >= from_channels || route.to >= to_channels {
                return wrong(format!(
                    "a route leads from channel {} of {from_channels} to {} of {to_channels}",
                    route.from, route.to
                ));
            }
        }
        let rows = Tier::best().rows();
        let load = Load::of(from, rows)?;
        let (routes, gain) = (routes.into(), Gain::unity(ramp_frames));
        Ok(Self { from, from_channels, to_channels, routes, gain, load, rows })
    }

    /// The same source kept to a tier of vector instructions.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn on_tier(self, tier: Tier) -> Result<Self, Error> {
        let rows = tier.rows();
        Ok(Self { load: Load::of(self.from, rows)?, rows, ..self })
    }

    /// Starts the way to another gain; 1 is reached exactly and is then no multiplication. Above 60 dB it is held there; what
    /// is not a number is taken for 0. For the device thread.
    pub fn set_gain(&mut self, gain: f64) {
        self.gain.set(gain);
    }

    /// Puts the gain in force at once: before the first frame there is nothing that could click.
    pub fn begin_at(&mut self, gain: f64) {
        self.gain.begin_at(gain);
    }

    /// The gain last set.
    pub fn gain(&self) -> f64 {
        self.gain.goal()
    }

    /// Whether samples are added untouched: integers at a gain that has come to exactly 1.
    pub fn is_untouched(&self) -> bool {
        self.gain.steady() == Some(1.0) && self.from.is_integer()
    }

    pub(crate) fn fits(&self, area: Area<'_>, to_channels: u16) -> bool {
        self.to_channels == to_channels
            && area.channels() == usize::from(self.from_channels)
            && area.sample_bytes() == self.from.bytes()
    }

    /// Adds the first `frames` frames to the bus.
    pub(crate) fn add(&mut self, area: Area<'_>, frames: u32, bus: &mut Bus) -> Exactness {
        if let (Load::Ints { add, .. }, true) = (self.load, self.is_untouched()) {
            for route in &self.routes {
                let (begin, row) = bus.place(usize::from(route.to), 0, frames as usize);
                add(area, usize::from(route.from), begin, row);
            }
            return Exactness { untouched: true, bits: i32::from(self.from.exact_bits()), bad: 0 };
        }
        self.add_computed(area, frames, bus)
    }

    /// A function of its own, so that its blocks of memory cost the exact way nothing.
    #[inline(never)]
    fn add_computed(&mut self, area: Area<'_>, frames: u32, bus: &mut Bus) -> Exactness {
        let mut exact = Exactness { untouched: false, bits: 0, bad: 0 };
        let mut gains = [0.0; BLOCK_FRAMES];
        let mut done = 0;
        while done < frames {
            let part = area.part(done, BLOCK.min(frames - done));
            let gains = &mut gains[..part.frames() as usize];
            let steady = self.gain.steady();
            exact.bits = exact.bits.max(self.exact_bits(steady));
            let start = done as usize;
            exact.bad = exact.bad.saturating_add(if let Some(gain) = steady {
                let add = self.rows.add_scaled;
                self.compute(part, bus, start, |floats, begin, row| add(floats, gain, begin, row))
            } else {
                self.gain.ramp(gains);
                let add = self.rows.add_ramped;
                self.compute(part, bus, start, |floats, begin, row| add(floats, gains, begin, row))
            });
            done += BLOCK;
        }
        exact
    }

    /// Adds what is to be multiplied; returns how many samples were not finite.
    fn compute(
        &self,
        part: Area<'_>,
        bus: &mut Bus,
        start: usize,
        add: impl Fn(&[f64], bool, &mut [f64]),
    ) -> u32 {
        let mut floats = [0.0; BLOCK_FRAMES];
        let floats = &mut floats[..(part.frames() as usize).min(BLOCK_FRAMES)];
        let mut bad = 0_u32;
        for route in &self.routes {
            bad = bad.saturating_add(self.load.floats(
                self.rows,
                part,
                usize::from(route.from),
                floats,
            ));
            let (begin, row) = bus.place(usize::from(route.to), start, floats.len());
            add(floats, begin, row);
        }
        bad
    }

    /// The bits that hold what is added exactly: a gain of a power of two moves a sample's bits, any other computes new ones.
    fn exact_bits(&self, steady: Option<f64>) -> i32 {
        let Some(gain) = steady.filter(|_| self.from.is_integer()) else { return i32::MAX };
        if gain == 0.0 {
            return 0;
        }
        // A power of two has no fraction bits in its float (IEEE 754, 3.4).
        let bits = gain.abs().to_bits();
        let exponent = i32::try_from(bits >> 52).unwrap_or(0) - 1023;
        let is_power = bits << 12 == 0;
        if is_power { i32::from(self.from.exact_bits()) - exponent } else { i32::MAX }
    }
}

impl Load {
    fn of(from: SampleFormat, rows: &Rows) -> Result<Self, Error> {
        match ((rows.load_ints)(from), (rows.add_ints)(from), (rows.load_floats)(from)) {
            (Some(load), Some(add), _) => Ok(Self::Ints { load, add }),
            (_, _, Some(load)) => Ok(Self::Floats { load }),
            _ => Err(Error::new(ErrorKind::Unsupported, format!("{from} samples cannot be added"))
                .remedy("let one client alone play one-bit samples")),
        }
    }

    /// One channel in the bus's unit.
    fn floats(self, rows: &Rows, part: Area<'_>, channel: usize, to: &mut [f64]) -> u32 {
        match self {
            Self::Ints { load, .. } => {
                let mut ints = [0; BLOCK_FRAMES];
                let ints = &mut ints[..to.len()];
                load(part, channel, ints);
                (rows.ints_to_floats)(ints, to);
                (rows.scale)(to, BUS_FULL_SCALE);
                0
            }
            Self::Floats { load } => {
                let bad = load(part, channel, to);
                for sample in to {
                    *sample = (*sample * BUS_FULL_SCALE).clamp(-MOST_BUS, MOST_BUS);
                }
                bad
            }
        }
    }
}
