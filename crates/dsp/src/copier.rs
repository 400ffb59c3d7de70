//! The exact lane: one client's samples copied, shifted between containers and (de)interleaved; never computed where both
//! sides are integers. What is added or dithered lives elsewhere.

use crate::groups::Groups;
use crate::rows::{
    BLOCK_FRAMES, LoadFloats, LoadInts, MoveBytes, PickWeave, Rows, StoreFloats, StoreInts, Tier,
    bytes,
};
use crate::silence::silence_channel;
use barewire_rt::{Area, AreaMut};
use barewire_types::{Encoding, Error, ErrorKind, MAX_CHANNELS, SampleFormat};

/// One channel's way: a channel of the source area to a channel of the destination area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Channel of the source area.
    pub from: u16,
    /// Channel of the destination area.
    pub to: u16,
}

/// What becomes of destination channels that no route reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rest {
    /// They get silence.
    Silence,
    /// They are not touched.
    Leave,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cut {
    /// The OR, over all samples, of the set bits that were lost, in a left-justified 32-bit sample. From integers to 32-bit
    /// floats: of the distances by which samples were rounded. The rounding of floats is not counted here.
    pub bits: u32,
    /// Samples that were not finite and became silence.
    pub bad: u32,
    /// Frames moved; 0 if the areas do not have the shape that the copier was made for.
    pub frames: u32,
}

impl Cut {
    /// Both together; the frames are those of the last.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        Self {
            bits: self.bits | next.bits,
            bad: self.bad.saturating_add(next.bad),
            frames: next.frames,
        }
    }
}

/// Copies samples from one area to another along routes, converting the format on the way.
#[derive(Clone, Debug)]
pub struct Copier {
    from: SampleFormat,
    to: SampleFormat,
    from_channels: u16,
    to_channels: u16,
    routes: Box<[Route]>,
    silenced: Box<[u16]>,
    way: Way,
    rows: &'static Rows,
    woven: Groups,
    unwoven: Groups,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Shift { load: LoadInts, store: StoreInts },
    IntoFloats { load: LoadInts, store: StoreFloats, narrow: bool },
    IntoInts { load: LoadFloats, store: StoreInts, bits: u32 },
    Floats { load: LoadFloats, store: StoreFloats },
    Bytes { run: MoveBytes },
}

impl Copier {
    /// A copier between areas of these formats and channel counts.
    ///
    /// # Errors
    /// `InvalidArgument` if there are more than [`MAX_CHANNELS`] channels, or a route names a channel that is not there or
    /// reaches one twice; `Unsupported` between DSD and PCM, and between DSD with one and with eight samples a byte.
    pub fn new(
        from: SampleFormat,
        to: SampleFormat,
        from_channels: u16,
        to_channels: u16,
        routes: &[Route],
        rest: Rest,
    ) -> Result<Self, Error> {
        let rows = Tier::best().rows();
        let way = Way::between(from, to, rows)?;
        let reached = reached_channels(from_channels, to_channels, routes)?;
        let silenced = match rest {
            Rest::Leave => Box::default(),
            Rest::Silence => {
                (0..to_channels).filter(|&channel| !reached[usize::from(channel)]).collect()
            }
        };
        let [woven, unwoven] = groups(from, to, from_channels, to_channels, routes, rows);
        Ok(Self {
            woven,
            unwoven,
            from,
            to,
            from_channels,
            to_channels,
            routes: routes.into(),
            silenced,
            way,
            rows,
        })
    }

    /// The same copier kept to a tier of vector instructions, or to the plain rows if the processor does not have it. For
    /// tests and benchmarks: the best tier is taken anyway.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn on_tier(self, tier: Tier) -> Result<Self, Error> {
        let rows = tier.rows();
        let (from, to, routes) = (self.from, self.to, &self.routes);
        let [woven, unwoven] = groups(from, to, self.from_channels, self.to_channels, routes, rows);
        Ok(Self { way: Way::between(from, to, rows)?, rows, woven, unwoven, ..self })
    }

    /// Copies as many frames as both areas have. For the device thread.
    pub fn run(&self, from: Area<'_>, mut to: AreaMut<'_>) -> Cut {
        if !self.fits(from, &to) {
            return Cut::default();
        }
        let frames = from.frames().min(to.frames());
        let mut to = to.reborrow().part(0, frames);
        let from = from.part(0, frames);
        let mut cut = Cut { frames, ..Cut::default() };
        let groups = match (from.interleaved_base(), to.interleaved_base()) {
            (None, Some(_)) => Some(&self.woven),
            (Some(_), None) => Some(&self.unwoven),
            _ => None,
        };
        for group in groups.into_iter().flat_map(|groups| &groups.groups) {
            let (done, set) = (group.weave)(from, &mut to, group.first, &group.planes);
            cut.bits |= set & self.lost();
            for &route in &group.routes {
                cut = self.route(from, route, &mut to, done, cut);
            }
        }
        for &route in groups.map_or(&self.routes, |groups| &groups.rest) {
            cut = self.route(from, route, &mut to, 0, cut);
        }
        for &channel in &self.silenced {
            silence_channel(self.to, &mut to, usize::from(channel));
        }
        cut
    }

    /// One route's frames from `start` on.
    fn route(
        &self,
        from: Area<'_>,
        route: Route,
        to: &mut AreaMut<'_>,
        start: u32,
        cut: Cut,
    ) -> Cut {
        let frames = cut.frames - start;
        if frames == 0 {
            return cut;
        }
        let mut to = to.reborrow().part(start, frames);
        let done = self.way.run(
            self.rows,
            from.part(start, frames),
            route,
            &mut to,
            Cut { frames, ..cut },
        );
        Cut { frames: cut.frames, ..done }
    }

    /// The bits of a left-justified sample that the destination does not hold.
    fn lost(&self) -> u32 {
        u32::MAX.checked_shr(u32::from(self.to.exact_bits())).unwrap_or(0)
    }

    fn fits(&self, from: Area<'_>, to: &AreaMut<'_>) -> bool {
        from.channels() == usize::from(self.from_channels)
            && to.channels() == usize::from(self.to_channels)
            && from.sample_bytes() == self.from.bytes()
            && to.sample_bytes() == self.to.bytes()
    }
}

/// The routes that travel together into interleaved memory, and out of it.
fn groups(
    from: SampleFormat,
    to: SampleFormat,
    from_channels: u16,
    to_channels: u16,
    routes: &[Route],
    rows: &Rows,
) -> [Groups; 2] {
    let pick = |pick: PickWeave, channels| pick(from, to, channels);
    let (two, eight) = (pick(rows.weave, 2), pick(rows.weave, 8));
    let woven = Groups::new(two, eight, to_channels, routes, |r| (r.to, r.from));
    let (two, eight) = (pick(rows.unweave, 2), pick(rows.unweave, 8));
    [woven, Groups::new(two, eight, from_channels, routes, |r| (r.from, r.to))]
}

/// Which destination channels the routes reach, once all is checked.
pub(crate) fn reached_channels(
    from_channels: u16,
    to_channels: u16,
    routes: &[Route],
) -> Result<Vec<bool>, Error> {
    for channels in [from_channels, to_channels] {
        if usize::from(channels) > MAX_CHANNELS {
            let message =
                format!("{channels} channels are more than the {MAX_CHANNELS} there may be");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
    }
    let mut reached = vec![false; usize::from(to_channels)];
    for route in routes {
        let Some(place) = reached.get_mut(usize::from(route.to)) else {
            return Err(no_channel(route.to, to_channels, "destination"));
        };
        if route.from >= from_channels {
            return Err(no_channel(route.from, from_channels, "source"));
        }
        if std::mem::replace(place, true) {
            let message = format!("two routes reach channel {} of the destination", route.to);
            return Err(Error::new(ErrorKind::InvalidArgument, message)
                .remedy("let one route reach a channel; several sources are added by the mixer"));
        }
    }
    Ok(reached)
}

fn no_channel(channel: u16, channels: u16, side: &str) -> Error {
    let message = format!("a route names channel {channel} of a {side} with {channels} channels");
    Error::new(ErrorKind::InvalidArgument, message)
}

fn no_way(from: SampleFormat, to: SampleFormat) -> Error {
    Error::new(ErrorKind::Unsupported, format!("no copy is possible from {from} to {to}"))
        .remedy("choose a format of the same kind on both sides")
}

impl Way {
    fn between(from: SampleFormat, to: SampleFormat, rows: &Rows) -> Result<Self, Error> {
        if from.is_dsd() || to.is_dsd() {
            let run = match (from.encoding, to.encoding) {
                (Encoding::Dsd8Lsb, Encoding::Dsd8Msb) | (Encoding::Dsd8Msb, Encoding::Dsd8Lsb) => {
                    bytes::move_bytes::<true>
                }
                (a, b) if a == b => bytes::move_bytes::<false>,
                _ => return Err(no_way(from, to)),
            };
            return Ok(Self::Bytes { run });
        }
        let ints = ((rows.load_ints)(from), (rows.store_ints)(to));
        let floats = ((rows.load_floats)(from), (rows.store_floats)(to));
        match (ints, floats) {
            ((Some(load), Some(store)), _) => Ok(Self::Shift { load, store }),
            ((Some(load), _), (_, Some(store))) => {
                Ok(Self::IntoFloats { load, store, narrow: to.encoding == Encoding::Float32 })
            }
            ((_, Some(store)), (Some(load), _)) => {
                Ok(Self::IntoInts { load, store, bits: u32::from(to.exact_bits()) })
            }
            (_, (Some(load), Some(store))) => Ok(Self::Floats { load, store }),
            _ => Err(no_way(from, to)),
        }
    }

    fn run(
        self,
        rows: &Rows,
        from: Area<'_>,
        route: Route,
        to: &mut AreaMut<'_>,
        mut cut: Cut,
    ) -> Cut {
        let (source, target) = (usize::from(route.from), usize::from(route.to));
        if let Self::Bytes { run } = self {
            run(from, source, to, target);
            return cut;
        }
        let mut ints = [0_i32; BLOCK_FRAMES];
        let mut floats = [0_f64; BLOCK_FRAMES];
        let mut done = 0;
        while done < cut.frames {
            #[expect(clippy::cast_possible_truncation, reason = "BLOCK_FRAMES is a small constant")]
            let frames = (cut.frames - done).min(BLOCK_FRAMES as u32);
            let (ints, floats) = (&mut ints[..frames as usize], &mut floats[..frames as usize]);
            let part = from.part(done, frames);
            let mut goal = to.reborrow().part(done, frames);
            match self {
                Self::Shift { load, store } => {
                    load(part, source, ints);
                    cut.bits |= store(ints, &mut goal, target);
                }
                Self::IntoFloats { load, store, narrow } => {
                    load(part, source, ints);
                    (rows.ints_to_floats)(ints, floats);
                    store(floats, &mut goal, target);
                    if narrow {
                        cut.bits |= (rows.lost_in_f32)(ints);
                    }
                }
                Self::IntoInts { load, store, bits } => {
                    cut.bad = cut.bad.saturating_add(load(part, source, floats));
                    (rows.floats_to_ints)(floats, bits, ints);
                    store(ints, &mut goal, target);
                }
                Self::Floats { load, store } => {
                    let bad =
                        load(part, source, floats).saturating_add(store(floats, &mut goal, target));
                    cut.bad = cut.bad.saturating_add(bad);
                }
                Self::Bytes { .. } => {}
            }
            done += frames;
        }
        cut
    }
}
