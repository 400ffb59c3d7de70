//! From the clients' blocks to the device: the lanes, and the frames that wait where a block is no period.

use crate::fifo::Fifo;
use crate::latency::adaption_frames;
use crate::plan::Plan;
use crate::seat::Seat;
use barewire_device::{Shape, Side, Stream};
use barewire_dsp::{Copier, Cut, Mixer, MixerShape, Rest, Route, silence};
use barewire_rt::AreaMut;
use barewire_types::{Error, ErrorKind, Lane, Result, SampleFormat};

/// What became of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Played {
    pub(crate) lane: Lane,
    pub(crate) cut: Cut,
    pub(crate) clipped: u32,
}

/// The way from all clients to the device.
pub(crate) struct Outputs {
    format: SampleFormat,
    /// Adds clients; `None` for one-bit samples, of which there is one client alone.
    mixer: Option<Mixer>,
    /// Only if a block is not a period.
    fifo: Option<Fifo>,
    adaption_frames: u32,
    /// From the frames that wait to the device, unchanged.
    mover: Copier,
}

impl Outputs {
    pub(crate) fn new(side: Side, shape: &Shape, plan: &Plan) -> Result<Self> {
        let every: Vec<Route> = (0..side.channels).map(|n| Route { from: n, to: n }).collect();
        let (format, width) = (side.format, side.channels);
        let mover = Copier::new(format, format, width, width, &every, Rest::Leave)?;
        let adaption_frames = adaption_frames(plan.block_frames, shape);
        let is_direct = shape.steady && plan.block_frames == shape.period_frames;
        let room = adaption_frames + plan.block_frames + shape.max_period_frames;
        let mixer = MixerShape {
            to: format,
            to_channels: width,
            rate: shape.rate,
            most_frames: plan.block_frames,
            dither: plan.dither,
            seed: plan.seed,
        };
        let mixer = if format.is_dsd() { None } else { Some(Mixer::new(mixer)?) };
        if mixer.is_none() && plan.clients.len() > 1 {
            let message = format!("{format} samples of several clients cannot be added");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .remedy("let one client alone play one-bit samples"));
        }
        let fifo = (!is_direct).then(|| Fifo::new(side, room));
        let mut outputs = Self { format, mixer, fifo, adaption_frames, mover };
        outputs.rewind();
        Ok(outputs)
    }

    /// As at the start: the frames of silence that adaption needs, and nothing else.
    pub(crate) fn rewind(&mut self) {
        let Some(fifo) = &mut self.fifo else { return };
        fifo.clear();
        while fifo.filled() < self.adaption_frames {
            let place = fifo.room(self.adaption_frames - fifo.filled());
            let frames = place.frames();
            silence(self.format, place);
            fifo.push(frames);
        }
    }

    /// Brings a block of all clients to the device, or to the frames that wait for it.
    pub(crate) fn put_out(
        &mut self,
        seats: &mut [Box<Seat>],
        stream: &mut dyn Stream,
        block_frames: u32,
    ) -> Played {
        let mut done = 0;
        let mut played = Played { lane: Lane::Exact, cut: Cut::default(), clipped: 0 };
        while done < block_frames {
            let left = block_frames - done;
            let place = match &mut self.fifo {
                Some(fifo) => fifo.room(left),
                None => stream.playback(),
            };
            let frames = place.frames().min(left);
            if frames == 0 {
                // The device takes no more: the rest has no place to go. It is an xrun, and is told as one by the device.
                break;
            }
            let piece = join(&mut self.mixer, seats, self.format, done, place.part(0, frames));
            played.lane = piece.lane;
            played.cut = played.cut.and(piece.cut);
            played.clipped = played.clipped.saturating_add(piece.clipped);
            match &mut self.fifo {
                Some(fifo) => fifo.push(frames),
                None => stream.commit(frames),
            }
            done += frames;
        }
        played
    }

    /// Fills the period from the frames that wait, then with silence; gives how many of those. If no frames ever wait there
    /// is nothing to do: blocks were put out as they came.
    pub(crate) fn play_waiting(&mut self, stream: &mut dyn Stream) -> u32 {
        let Some(fifo) = &mut self.fifo else { return 0 };
        let mut starved = 0;
        loop {
            let place = stream.playback();
            if place.frames() == 0 {
                return starved;
            }
            let source = fifo.oldest(place.frames());
            let frames = source.frames();
            if frames == 0 {
                // Cannot happen with a stream that keeps its word: see `adaption_frames`.
                let frames = place.frames();
                silence(self.format, place);
                stream.commit(frames);
                starved += frames;
                continue;
            }
            self.mover.run(source, place.part(0, frames));
            stream.commit(frames);
            fifo.pop(frames);
        }
    }
}

/// One client alone and untouched is copied; whatever else there is goes over the mixer, which adds integers at unity gain
/// as exactly as it copies them. So the lane may change from block to block and no sample shows it.
fn join(
    mixer: &mut Option<Mixer>,
    seats: &mut [Box<Seat>],
    format: SampleFormat,
    at: u32,
    place: AreaMut<'_>,
) -> Played {
    let mut present = seats.iter().filter(|seat| !seat.is_gone());
    let (first, clients) = (present.next(), 1 + present.count());
    match (first, mixer) {
        (None, _) => {
            silence(format, place);
            Played { lane: Lane::Exact, cut: Cut::default(), clipped: 0 }
        }
        (Some(seat), mixer) if mixer.is_none() || clients == 1 && seat.is_exact() => {
            let is_computed = seat.format().is_float() && format.is_integer();
            let lane = if is_computed { Lane::Mixed } else { Lane::Exact };
            Played { lane, cut: seat.copy(at, place, format), clipped: 0 }
        }
        (_, None) => Played { lane: Lane::Exact, cut: Cut::default(), clipped: 0 },
        (Some(_), Some(mixer)) => {
            mixer.begin(place.frames());
            for seat in seats.iter_mut().filter(|seat| !seat.is_gone()) {
                if let Some((source, area)) = seat.source(at, place.frames()) {
                    mixer.add(source, area);
                }
            }
            let outcome = mixer.finish(place);
            let lane = match outcome.lane {
                Lane::Mixed => Lane::Mixed,
                // A client that is late adds nothing, but is there.
                _ if clients > 1 => Lane::Sum,
                lane => lane,
            };
            Played { lane, cut: outcome.cut, clipped: outcome.clipped }
        }
    }
}
