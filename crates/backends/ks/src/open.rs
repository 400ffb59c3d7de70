//! From a request to an open, configured, stopped stream.

use crate::ask;
use crate::enumerate::{self, Pin, Place};
use crate::formats::{self, Dialect};
use crate::kernel::{Kernel, Object, code};
use crate::lane::{Lane, Way};
use crate::options::Options;
use crate::stream::{KsStream, Run};
use crate::topology::{self, MuxGuard};
use crate::uapi::{Direction, pin_connect};
use crate::way::{self, Delay, Method, Plan, Refusal};
use barewire_device::{Layout, Note, NoteKind, OpenRequest, Shape, Side, SideRequest, Stream};
use barewire_rt::System;
use barewire_types::{Error, ErrorKind, Latency, RateHz, Result, SampleFormat, ns_to_frames};
use std::sync::Arc;

struct Opening<'a> {
    system: &'a Arc<dyn System>,
    kernel: &'a Arc<dyn Kernel>,
    options: &'a Options,
    place: Place,
    filter: Box<dyn Object>,
    rate: RateHz,
}

/// One direction, opened.
struct Opened {
    lane: Lane,
    method: Method,
    period_frames: u32,
    delay: Delay,
    notes: Vec<Note>,
}

/// Opens what `request` names.
///
/// # Errors
/// Those of [`barewire_device::Backend::open`].
pub(crate) fn open(
    system: &Arc<dyn System>,
    kernel: &Arc<dyn Kernel>,
    options: &Options,
    request: &OpenRequest,
) -> Result<Box<dyn Stream>> {
    let place = enumerate::places(&**kernel).into_iter().find(|place| place.id == request.id);
    let place = place.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("no audio filter is there that goes by {}", request.id),
        )
        .remedy("plug it in, or choose one that `barewire devices` lists")
    })?;
    if request.capture.is_none() && request.playback.is_none() {
        let message = format!("{}: neither inputs nor outputs were asked for", place.name);
        return Err(Error::new(ErrorKind::InvalidArgument, message)
            .remedy("ask for inputs, outputs or both"));
    }
    let filter = kernel.open_filter(&place.path).map_err(|error| {
        let message = format!("{}: its filter does not open", place.name);
        let kind = if code::is_gone(error) { ErrorKind::Lost } else { ErrorKind::Denied };
        Error::new(kind, message)
            .os_code(error.cast_signed())
            .remedy("plug the device in again, or end the program that holds it")
    })?;
    let mut opening = Opening { system, kernel, options, place, filter, rate: request.rate };
    let sides = [(Direction::Play, request.playback), (Direction::Capture, request.capture)];
    let mut period = request.period_frames.max(1);
    for (direction, side) in sides {
        if side.is_some() {
            opening.can(direction)?;
        }
    }
    // Both directions move by the same period: where the second can only do less, both are opened once more.
    for _ in 0..2 {
        let playback = opening.side(Direction::Play, request.playback, period)?;
        let leader = playback.as_ref().map_or(period, |opened| opened.period_frames);
        let capture = opening.side(Direction::Capture, request.capture, leader)?;
        let follower = capture.as_ref().map_or(leader, Opened::most_frames);
        if follower >= leader || playback.is_none() {
            return opening.assemble(request, playback, capture);
        }
        period = follower;
    }
    let message = format!("{}: its outputs and inputs agree on no period", opening.place.name);
    Err(Error::new(ErrorKind::Unsupported, message)
        .remedy("choose a smaller block, or another device for one direction"))
}

impl Opened {
    /// The longest period that this direction's memory holds twice.
    fn most_frames(&self) -> u32 {
        match self.lane.way {
            Way::Ring(_) => self.lane.room_frames() / 2,
            Way::Packets(_) => u32::MAX,
        }
    }
}

impl Opening<'_> {
    fn pin(&self, direction: Direction) -> Result<&Pin> {
        self.place.pin(direction).ok_or_else(|| {
            let what = if direction == Direction::Play { "outputs" } else { "inputs" };
            Error::new(ErrorKind::Unsupported, format!("{} has no {what}", self.place.name))
                .remedy("choose another device for that direction")
        })
    }

    /// Whether a direction exists and runs at the rate.
    fn can(&self, direction: Direction) -> Result<()> {
        let caps = &self.pin(direction)?.caps;
        if caps.rates.contains(&self.rate) {
            return Ok(());
        }
        let list = caps.rates.iter().map(|rate| rate.get().to_string()).collect::<Vec<_>>();
        let message = format!("{} does not run at {}", self.place.name, self.rate);
        Err(Error::new(ErrorKind::UnsupportedRate, message)
            .remedy(format!("choose one of {} Hz", list.join(", "))))
    }

    /// Formats to be tried, the best first.
    fn formats(&self, pin: &Pin, wanted: Option<SampleFormat>) -> Result<Vec<SampleFormat>> {
        let known = &pin.caps.formats;
        match wanted {
            None => Ok(known.clone()),
            Some(format) if known.contains(&format) => Ok(vec![format]),
            Some(format) => {
                let list = known.iter().map(|f| f.name()).collect::<Vec<_>>().join(", ");
                Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("{} does not take {format}", self.place.name),
                )
                .remedy(format!("choose one of {list}")))
            }
        }
    }

    /// Channel counts to be tried, the smallest that does first.
    fn counts(&self, pin: &Pin, wanted: u16) -> Result<Vec<u16>> {
        let counts = &pin.caps.channels.counts;
        let enough: Vec<u16> = counts.iter().copied().filter(|&count| count >= wanted).collect();
        if enough.is_empty() {
            let most = counts.last().copied().unwrap_or(0);
            let name = &self.place.name;
            let message = format!("{name} has {most} channels, {wanted} were asked for");
            return Err(
                Error::new(ErrorKind::Unsupported, message).remedy("ask for fewer channels")
            );
        }
        Ok(enough)
    }

    fn side(
        &mut self,
        direction: Direction,
        wanted: Option<SideRequest>,
        period_frames: u32,
    ) -> Result<Option<Opened>> {
        let Some(wanted) = wanted else { return Ok(None) };
        let pin = self.pin(direction)?.clone();
        let formats = self.formats(&pin, wanted.format)?;
        let counts = self.counts(&pin, wanted.channels)?;
        let mut last = None;
        for method in self.options.methods(&pin.interfaces) {
            for &format in &formats {
                for &channels in &counts {
                    let side = Side { format, channels, layout: Layout::Interleaved };
                    match self.attempt(&pin, side, method, period_frames) {
                        Ok(opened) => return Ok(Some(opened)),
                        Err(refusal @ Refusal::Pin(_)) if !refusal.is_about_format() => {
                            return Err(self.refused(&pin, refusal));
                        }
                        Err(refusal) => last = Some(refusal),
                    }
                }
            }
        }
        match last {
            Some(refusal) => Err(self.refused(&pin, refusal)),
            None => {
                let message =
                    format!("{} cannot be opened in the way that is set", self.place.name);
                Err(Error::new(ErrorKind::Unsupported, message)
                    .remedy("set `ks.transport` to \"auto\""))
            }
        }
    }

    /// Opens a pin in one format and one way.
    fn attempt(
        &mut self,
        pin: &Pin,
        side: Side,
        method: Method,
        period_frames: u32,
    ) -> std::result::Result<Opened, Refusal> {
        let mut refused = Refusal::Pin(code::NO_MATCH);
        for dialect in Dialect::worth_trying(side) {
            let format = formats::data_format(side, self.rate, dialect);
            let connect = pin_connect(pin.id, method.interface(), &format);
            match self.kernel.create_pin(&*self.filter, &connect) {
                Ok(object) => return self.prepare(object, pin, side, method, period_frames),
                Err(error) => refused = Refusal::Pin(error),
            }
            if !refused.is_about_format() {
                break;
            }
        }
        Err(refused)
    }

    fn prepare(
        &self,
        mut object: Box<dyn Object>,
        pin: &Pin,
        side: Side,
        method: Method,
        period_frames: u32,
    ) -> std::result::Result<Opened, Refusal> {
        let wanted = Plan {
            direction: pin.direction,
            side,
            rate: self.rate,
            period_frames,
            method,
            kernel_buffers: self.options.kernel_buffers,
        };
        let (way, period_frames, mut notes) =
            way::prepare(&**self.kernel, &mut *object, &wanted).map_err(Refusal::Memory)?;
        let delay = way::delay(&mut *object, side, self.rate);
        if matches!(way, Way::Packets(_)) && delay.is_unknown {
            let text =
                "the device does not tell its own delay: `barewire latency --store` measures it";
            notes.push(Note { kind: NoteKind::Hint, text: text.to_owned() });
        }
        let lane = Lane::new(way, object, pin.direction, side, self.rate);
        Ok(Opened { lane, method, period_frames, delay, notes })
    }

    /// What it means that a pin was not opened.
    fn refused(&mut self, pin: &Pin, refusal: Refusal) -> Error {
        let name = self.place.name.clone();
        let what = if pin.direction == Direction::Play { "outputs" } else { "inputs" };
        // Drivers answer this and that when they are occupied; the count of instances tells.
        let is_occupied = ask::is_occupied(&mut *self.filter, pin.id);
        let (error, code) = match refusal {
            Refusal::Memory(code) => {
                let message = format!("{name}: its {what} open, but their memory cannot be had");
                let kind =
                    if code::is_gone(code) { ErrorKind::Lost } else { ErrorKind::Malfunction };
                let error = Error::new(kind, message);
                (
                    error.remedy("set `ks.transport` to another way, or choose another block size"),
                    code,
                )
            }
            Refusal::Pin(code) if is_occupied || refusal.is_about_occupation() => {
                let holders = enumerate::holders(&**self.kernel, &self.place, pin.direction);
                let who = enumerate::name_holders(&holders);
                let message = format!("{name}: its {what} are held by {who}");
                let remedy = "close what plays or records, make another device the default, or use the backend `wasapi` in exclusive mode, which takes the device from the engine";
                (Error::new(ErrorKind::Busy, message).remedy(remedy), code)
            }
            Refusal::Pin(code @ code::ACCESS_DENIED) => {
                let error =
                    Error::new(ErrorKind::Denied, format!("{name}: Windows denies its {what}"));
                (
                    error.remedy(
                        "allow desktop programs the microphone in Windows' privacy settings",
                    ),
                    code,
                )
            }
            Refusal::Pin(code) if code::is_gone(code) => {
                let error = Error::new(ErrorKind::Lost, format!("{name} is gone"));
                (error.remedy("plug the device in again"), code)
            }
            Refusal::Pin(code) => {
                let message =
                    format!("{name}: its {what} do not open in any format that they list");
                let error = Error::new(ErrorKind::Unsupported, message);
                (error.remedy("choose another rate or sample format, or another backend"), code)
            }
        };
        error.os_code(code.cast_signed())
    }

    fn assemble(
        mut self,
        request: &OpenRequest,
        playback: Option<Opened>,
        capture: Option<Opened>,
    ) -> Result<Box<dyn Stream>> {
        let leader = playback.as_ref().or(capture.as_ref());
        let period_frames = leader.map_or(request.period_frames, |opened| opened.period_frames);
        let guard_frames = playback.as_ref().map_or(0, |opened| self.guard(opened, period_frames));
        let prefill_frames =
            playback.as_ref().map_or(0, |opened| self.prefill(opened, period_frames, guard_frames));
        let latency = Latency {
            input_frames: capture.as_ref().map_or(0, |opened| opened.delay.frames),
            output_frames: playback.as_ref().map_or(0, |opened| {
                (prefill_frames + opened.delay.frames).saturating_sub(period_frames)
            }),
        };
        let notes = self.notes(request, period_frames, playback.as_ref(), capture.as_ref());
        let fifo = playback.as_ref().map_or(0, |opened| opened.delay.fifo_frames);
        let (playback, capture) = (playback.map(|o| o.lane), capture.map(|o| o.lane));
        let room = playback.iter().chain(&capture).map(Lane::room_frames).min().unwrap_or(0);
        let max_period_frames = (room - room % period_frames.max(1)).max(period_frames);
        let shape = Shape {
            rate: self.rate,
            capture: capture.as_ref().map(|lane| lane.side),
            playback: playback.as_ref().map(|lane| lane.side),
            period_frames,
            max_period_frames,
            steady: true,
            prefill_frames,
            latency,
        };
        let waiter = self.kernel.waiter().map_err(|code| {
            let message = format!("{}: Windows gives no events to wait on", self.place.name);
            Error::new(ErrorKind::NoMemory, message).os_code(code.cast_signed())
        })?;
        let _mux = self.set_mux(capture.is_some())?;
        let (system, run) = (self.system.clone(), Run::default());
        let guard_frames = guard_frames.max(fifo);
        let mut stream =
            KsStream { system, waiter, capture, playback, _mux, shape, guard_frames, notes, run };
        if !stream.make_room() {
            return Err(Error::new(ErrorKind::NoMemory, "no memory for the samples of a period"));
        }
        Ok(Box::new(stream))
    }

    /// Sets the multiplexer, once the pin is open, to the jack that was chosen.
    fn set_mux(&self, captures: bool) -> Result<Option<MuxGuard>> {
        let Some(jack) = self.place.jack.as_ref().filter(|_| captures) else { return Ok(None) };
        MuxGuard::set(self.kernel, jack).map(Some).map_err(|code| {
            let message = format!("{}: {} cannot be chosen", self.place.name, jack.name);
            Error::new(ErrorKind::Malfunction, message)
                .os_code(code.cast_signed())
                .remedy("choose the input in Windows' sound settings")
        })
    }

    /// Frames between the hardware and us beyond a period, where the clock wakes us.
    fn guard(&self, opened: &Opened, period_frames: u32) -> u32 {
        if opened.method != Method::Polled {
            return 0;
        }
        let offset_ns = u64::from(self.options.buffer_offset_us.unwrap_or(1000)) * 1000;
        let offset = u32::try_from(ns_to_frames(offset_ns, self.rate)).unwrap_or(u32::MAX);
        let auto = self.options.buffer_offset_us.is_none();
        let offset = if auto { offset.max(opened.delay.fifo_frames) } else { offset };
        offset.min(opened.lane.room_frames().saturating_sub(2 * period_frames))
    }

    /// Frames of silence before the first committed one.
    fn prefill(&self, opened: &Opened, period_frames: u32, guard_frames: u32) -> u32 {
        match &opened.lane.way {
            Way::Ring(_) => 2 * period_frames + guard_frames,
            Way::Packets(_) => opened.lane.room_frames(),
        }
    }

    fn notes(
        &mut self,
        request: &OpenRequest,
        period_frames: u32,
        playback: Option<&Opened>,
        capture: Option<&Opened>,
    ) -> Vec<Note> {
        let mut notes = Vec::new();
        for opened in playback.into_iter().chain(capture) {
            notes.extend(opened.notes.iter().cloned());
        }
        if period_frames != request.period_frames {
            let text = format!(
                "{} moves {period_frames} frames at a time instead of {}",
                self.place.name, request.period_frames
            );
            notes.push(Note { kind: NoteKind::Adapted, text });
        }
        if let (Some(_), Some(pin)) = (playback, self.place.playback.as_ref()) {
            notes.extend(topology::volume_notes(&**self.kernel, &mut *self.filter, pin.id));
        }
        notes
    }
}
