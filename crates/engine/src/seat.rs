//! A client's seat at the engine: the client, its ways in and out, and what it has shown of itself. Made by a control
//! thread, used on the device thread.

use crate::choice::{Choice, Play};
use crate::client::{BlockTime, Client, Output};
use crate::plan::{ClientPlan, OutputMode};
use barewire_device::{Shape, Side};
use barewire_dsp::{Copier, Cut, Rest, Route, Source, silence};
use barewire_rt::{Area, AreaMut};
use barewire_types::{Error, ErrorKind, Half, Ns, Result, SampleFormat};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A gain goes to a new one over this many frames, so that nobody hears a click: 5 ms at 48 kHz.
const RAMP_FRAMES: u32 = 256;

/// A control thread's hand on a client that is seated.
#[derive(Clone, Debug)]
pub struct SeatControl {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    gain_bits: AtomicU64,
    leaves: AtomicBool,
}

impl SeatControl {
    /// From the next block on the client's outputs go to this gain; 1 is reached exactly and is no arithmetic.
    pub fn set_gain(&self, gain: f64) {
        self.shared.gain_bits.store(gain.to_bits(), Ordering::Relaxed);
    }

    /// Before the next block the client leaves, and waits to be taken by [`Guests::take_left`](crate::Guests::take_left).
    pub fn leave(&self) {
        self.shared.leaves.store(true, Ordering::Release);
    }
}

/// A client with all it needs to be served.
pub struct Seat {
    number: u16,
    client: Box<dyn Client>,
    format: SampleFormat,
    shared: Arc<Shared>,
    output_mode: OutputMode,
    choice: Choice,
    half: Half,
    play: Play,
    is_gone: bool,
    input: Option<Copier>,
    output: Option<Way>,
    gain: f64,
    /// Frames for which the gain is still on its way.
    ramp_frames: u32,
}

/// The way of a client's outputs.
struct Way {
    /// Alone and untouched; `None` if that cannot be.
    copier: Option<Copier>,
    /// Together with others, or at a gain; `None` for one-bit samples.
    source: Option<Source>,
    /// A block of ours, to look whether a half is silent: the half itself is the client's memory.
    scratch: Vec<u8>,
    looker: Copier,
    channels: usize,
    silence_byte: u8,
}

impl Seat {
    /// A seat for `client` at a stream of this shape. Control thread.
    pub(crate) fn new(
        number: u16,
        plan: &ClientPlan,
        client: Box<dyn Client>,
        shape: &Shape,
        block_frames: u32,
    ) -> Result<Self> {
        let input = shape.capture.map(|side| input_way(side, plan)).transpose()?;
        let mut output =
            shape.playback.map(|side| Way::new(side, plan, block_frames)).transpose()?;
        if let Some(source) = output.as_mut().and_then(|way| way.source.as_mut()) {
            source.begin_at(plan.gain);
        }
        let gain_bits = AtomicU64::new(plan.gain.to_bits());
        Ok(Self {
            number,
            client,
            format: plan.format,
            shared: Arc::new(Shared { gain_bits, leaves: AtomicBool::new(false) }),
            output_mode: plan.output_mode,
            choice: Choice::new(plan.output_mode),
            half: Half::Zero,
            play: Play::Silence,
            is_gone: false,
            input,
            output,
            gain: plan.gain,
            ramp_frames: 0,
        })
    }

    /// A hand on it.
    pub fn control(&self) -> SeatControl {
        SeatControl { shared: self.shared.clone() }
    }

    /// The client, out of its seat. Control thread.
    pub fn into_client(self: Box<Self>) -> Box<dyn Client> {
        self.client
    }

    /// As before the first block.
    pub(crate) fn rewind(&mut self) {
        self.choice = Choice::new(self.output_mode);
        self.half = Half::Zero;
        self.play = Play::Silence;
        self.is_gone = false;
    }

    /// The client's number in events.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// Whether a gain other than 1 is in force or on its way.
    pub(crate) fn is_scaled(&self) -> bool {
        self.ramp_frames > 0 || self.gain != 1.0
    }

    pub(crate) fn leaves(&self) -> bool {
        self.shared.leaves.load(Ordering::Acquire)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone
    }

    pub(crate) fn is_direct(&self) -> Option<bool> {
        self.choice.is_direct()
    }

    /// Takes captured frames into the half that is being gathered, from its frame `at` on; gives the set bits that the
    /// client's format could not hold.
    pub(crate) fn gather(&mut self, piece: Area<'_>, at: u32) -> Cut {
        let Some(copier) = &self.input else { return Cut::default() };
        copier.run(piece, self.client.inputs(self.half).part(at, piece.frames()))
    }

    /// Nothing was captured for these frames.
    pub(crate) fn gather_silence(&mut self, at: u32, frames: u32) {
        silence(self.format, self.client.inputs(self.half).part(at, frames));
    }

    pub(crate) fn begin(&mut self, time: &BlockTime) {
        if !self.is_gone {
            self.client.begin(self.half, time);
        }
    }

    /// Ends the block that was begun and settles what is played of it.
    pub(crate) fn finish(&mut self, commit_by_ns: Ns) -> Output {
        self.take_gain();
        if self.is_gone {
            self.play = Play::Silence;
            return Output::Gone;
        }
        let output = self.client.finish(commit_by_ns);
        let (client, way) = (&*self.client, &mut self.output);
        let other = self.half.other();
        let is_silent = || way.as_mut().is_none_or(|way| way.is_silent(client.outputs(other)));
        self.play = self.choice.next(self.half, output, is_silent);
        self.is_gone = output == Output::Gone;
        self.half = other;
        output
    }

    fn take_gain(&mut self) {
        let gain = f64::from_bits(self.shared.gain_bits.load(Ordering::Relaxed));
        let source = self.output.as_mut().and_then(|way| way.source.as_mut());
        if let (true, Some(source)) = (gain.to_bits() != self.gain.to_bits(), source) {
            self.gain = gain;
            self.ramp_frames = RAMP_FRAMES;
            source.set_gain(gain);
        }
    }

    /// Whether the client's samples, if nobody else plays, can be copied.
    pub(crate) fn is_exact(&self) -> bool {
        !self.is_scaled() && self.output.as_ref().is_some_and(|way| way.copier.is_some())
    }

    /// Copies `place`'s worth of the block that is played, from its frame `at` on.
    pub(crate) fn copy(&self, at: u32, place: AreaMut<'_>, device: SampleFormat) -> Cut {
        match (self.play, self.output.as_ref().and_then(|way| way.copier.as_ref())) {
            (Play::Half(half), Some(copier)) => {
                copier.run(self.client.outputs(half).part(at, place.frames()), place)
            }
            _ => {
                silence(device, place);
                Cut::default()
            }
        }
    }

    /// What is played and the way into the mixer, or nothing.
    pub(crate) fn source(&mut self, at: u32, frames: u32) -> Option<(&mut Source, Area<'_>)> {
        self.ramp_frames = self.ramp_frames.saturating_sub(frames);
        let Play::Half(half) = self.play else { return None };
        let source = self.output.as_mut()?.source.as_mut()?;
        Some((source, self.client.outputs(half).part(at, frames)))
    }

    pub(crate) fn format(&self) -> SampleFormat {
        self.format
    }
}

impl Way {
    fn new(side: Side, plan: &ClientPlan, block_frames: u32) -> Result<Self> {
        let routes = routes(&plan.outputs, |device, client| Route { from: client, to: device });
        let channels = count(&plan.outputs)?;
        let (from, to) = (plan.format, side.format);
        let copier = Copier::new(from, to, channels, side.channels, &routes, Rest::Silence);
        let source = Source::new(from, channels, side.channels, &routes, RAMP_FRAMES);
        // Floats that carry more than the device takes are narrowed, and so dithered, by the mixer.
        let narrows = from.is_float() && to.is_integer() && from.exact_bits() > to.exact_bits();
        let (copier, source) = match (copier, source) {
            (Err(error), Err(_)) => return Err(error.context("outputs")),
            (copier, Ok(source)) if narrows || copier.is_err() => (None, Some(source)),
            (copier, source) => (copier.ok(), source.ok()),
        };
        let all: Vec<Route> = (0..channels).map(|n| Route { from: n, to: n }).collect();
        let looker = Copier::new(from, from, channels, channels, &all, Rest::Leave)?;
        let channels = usize::from(channels);
        let scratch = vec![0; block_frames as usize * channels * from.bytes()];
        let silence_byte = from.silence_byte();
        Ok(Self { copier, source, scratch, looker, channels, silence_byte })
    }

    /// Whether every sample of a half is silence.
    fn is_silent(&mut self, half: Area<'_>) -> bool {
        let bytes = half.sample_bytes();
        self.looker.run(half, AreaMut::from_planes(&mut self.scratch, self.channels, bytes));
        self.scratch.iter().all(|&byte| byte == self.silence_byte)
    }
}

fn input_way(side: Side, plan: &ClientPlan) -> Result<Copier> {
    let routes = routes(&plan.inputs, |device, client| Route { from: device, to: client });
    let channels = count(&plan.inputs)?;
    Copier::new(side.format, plan.format, side.channels, channels, &routes, Rest::Silence)
        .map_err(|error| error.context("inputs"))
}

fn routes(channels: &[Option<u16>], route: impl Fn(u16, u16) -> Route) -> Vec<Route> {
    (0..)
        .zip(channels)
        .filter_map(|(client, device)| device.map(|device| route(device, client)))
        .collect()
}

fn count(channels: &[Option<u16>]) -> Result<u16> {
    u16::try_from(channels.len()).map_err(|_| {
        let message = format!("{} channels are more than there can be", channels.len());
        Error::new(ErrorKind::InvalidArgument, message)
    })
}
