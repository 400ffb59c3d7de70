//! From a request to an open, stopped stream: which way it can be had, in which format, with which period.

use crate::enumerate::{self, Place};
use crate::hresult;
use crate::lines::{CaptureLine, Overflow, PlayLine};
use crate::quirks;
use crate::service::{Answer, Client, Endpoint, Flow, Hresult, Service, Setup, Waiter};
use crate::stream::{Manner, WasapiStream};
use crate::wave::{
    self, EXCLUSIVE_FORMATS, WaveFormat, aligned_step, frames_to_hns, hns_to_frames,
};
use barewire_device::{
    Layout, Mode, Note, NoteKind, OpenRequest, Shape, Side, SideRequest, Stream,
};
use barewire_rt::System;
use barewire_types::{Error, ErrorKind, Latency, RateHz, Result, frames_to_ns};
use std::sync::Arc;

/// One way to have a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Exclusive,
    ExclusivePolled,
    Shared,
}

impl Way {
    fn of(mode: Mode) -> &'static [Self] {
        match mode {
            Mode::Auto => &[Self::Exclusive, Self::ExclusivePolled, Self::Shared],
            Mode::Exclusive => &[Self::Exclusive],
            Mode::ExclusivePolled => &[Self::ExclusivePolled],
            Mode::Shared => &[Self::Shared],
        }
    }
}

struct Opening<'a> {
    system: &'a Arc<dyn System>,
    service: &'a Arc<dyn Service>,
    place: Place,
    request: OpenRequest,
}

/// One direction, open.
struct Opened {
    client: Box<dyn Client>,
    format: WaveFormat,
    period_frames: u32,
    buffer_frames: u32,
}

/// Opens what `request` names.
///
/// # Errors
/// Those of [`barewire_device::Backend::open`].
pub(crate) fn open(
    system: &Arc<dyn System>,
    service: &Arc<dyn Service>,
    mode: Mode,
    request: &OpenRequest,
) -> Result<Box<dyn Stream>> {
    let place = enumerate::find(&**service, &request.id)?.ok_or_else(|| {
        let message = format!("no sound device is there that goes by {}", request.id);
        Error::new(ErrorKind::NotFound, message)
            .remedy("plug it in, or choose one that `barewire devices` lists")
    })?;
    let opening = Opening { system, service, place, request: request.clone() };
    opening.check_sides()?;
    let mode = if opening.place.is_loopback { Mode::Shared } else { mode };
    let mut refused: Option<Error> = None;
    for &way in Way::of(mode) {
        match opening.by(way, refused.as_ref()) {
            Ok(stream) => return Ok(Box::new(stream)),
            Err(error) => {
                // A rate or a format that was asked for is not to be had by the back door.
                let is_final = match error.kind() {
                    ErrorKind::NotFound | ErrorKind::NoMemory | ErrorKind::UnsupportedRate => true,
                    ErrorKind::Unsupported => opening.is_format_forced(),
                    _ => false,
                };
                // Why the best way failed says most.
                refused.get_or_insert(error);
                if is_final {
                    break;
                }
            }
        }
    }
    Err(refused.unwrap_or_else(|| Error::new(ErrorKind::Bug, "no way to a device was tried")))
}

impl Opening<'_> {
    fn check_sides(&self) -> Result<()> {
        let Self { place, request, .. } = self;
        if request.capture.is_none() && request.playback.is_none() {
            let message = format!("{}: neither inputs nor outputs were asked for", place.name);
            return Err(Error::new(ErrorKind::InvalidArgument, message)
                .remedy("ask for inputs, outputs or both"));
        }
        let lacks = |wanted: bool, endpoint: &Option<Endpoint>, what: &str| {
            if !wanted || endpoint.is_some() {
                return Ok(());
            }
            let message = format!("{} has no {what}", place.name);
            Err(Error::new(ErrorKind::Unsupported, message)
                .remedy("choose a device that `barewire devices` lists with them"))
        };
        lacks(request.playback.is_some(), &place.play, "outputs")?;
        lacks(request.capture.is_some(), &place.capture, "inputs")
    }

    fn is_format_forced(&self) -> bool {
        let sides = [self.request.capture, self.request.playback];
        sides.into_iter().flatten().any(|side| side.format.is_some())
    }

    fn error(&self, doing: &str, code: Hresult) -> Error {
        hresult::error(&self.place.name, doing, code)
    }

    fn activate(&self, endpoint: &Endpoint) -> Result<Box<dyn Client>> {
        self.service.activate(&endpoint.id).map_err(|code| self.error("reaching it", code))
    }

    /// The whole device in one way; `instead_of` is why a better one was refused.
    fn by(&self, way: Way, instead_of: Option<&Error>) -> Result<WasapiStream> {
        let waiter =
            self.service.waiter().map_err(|code| self.error("preparing to wait for it", code))?;
        let side = |endpoint: &Option<Endpoint>, side: Option<SideRequest>, flow, period| {
            let (Some(endpoint), Some(side)) = (endpoint, side) else { return Ok(None) };
            let opened = match way {
                Way::Shared => self.shared(endpoint, side, period),
                _ => self.exclusive(endpoint, side, way, period),
            }?;
            self.prepare(opened, flow, way, &*waiter).map(Some)
        };
        let Self { place, request, .. } = self;
        let capture = side(&place.capture, request.capture, Flow::Capture, request.period_frames)?;
        // Both directions move together only if their periods are equal.
        let period = capture.as_ref().map_or(request.period_frames, |opened| opened.period_frames);
        let play = side(&place.play, request.playback, Flow::Render, period)?;
        if let (Some(play), Some(capture)) = (&play, &capture)
            && play.period_frames != capture.period_frames
        {
            let message = format!(
                "{}: outputs move by {} frames and inputs by {}",
                place.name, play.period_frames, capture.period_frames
            );
            return Err(Error::new(ErrorKind::Unsupported, message)
                .remedy("choose a block size that both directions take"));
        }
        let companion = match (&place.capture, place.is_loopback) {
            (Some(endpoint), true) => Some(self.companion(endpoint, &*waiter)?),
            _ => None,
        };
        self.assemble(way, waiter, play, capture, companion, instead_of)
    }

    /// Everything an open client needs to run.
    fn prepare(
        &self,
        mut opened: Opened,
        flow: Flow,
        way: Way,
        waiter: &dyn Waiter,
    ) -> Result<Opened> {
        // A loop-back gives no events of its own: those of its companion are waited for.
        if way != Way::ExclusivePolled && !(self.place.is_loopback && flow == Flow::Capture) {
            let event = waiter.event(flow);
            opened
                .client
                .set_event(event)
                .map_err(|code| self.error("giving it an event", code))?;
        }
        opened.client.prepare(flow).map_err(|code| self.error("preparing it", code))?;
        Ok(opened)
    }

    /// The rate that was asked for is one that the device cannot do.
    fn wrong_rate(&self, rates: &[RateHz], why: &str) -> Error {
        let list = rates.iter().map(|rate| rate.get().to_string()).collect::<Vec<_>>().join(", ");
        let message = format!("{} does not run at {}{why}", self.place.name, self.request.rate);
        Error::new(ErrorKind::UnsupportedRate, message)
            .remedy(format!("choose one of {list} Hz, or set driver.rate_policy to \"convert\""))
    }

    fn too_many_channels(&self, most: u16, asked: u16) -> Error {
        let message = format!("{} has {most} channels, {asked} were asked for", self.place.name);
        Error::new(ErrorKind::Unsupported, message).remedy("ask for fewer channels")
    }

    /// Exclusive: what the driver says it takes is the order of trying, the opening is the verdict.
    fn exclusive(
        &self,
        endpoint: &Endpoint,
        side: SideRequest,
        way: Way,
        period_frames: u32,
    ) -> Result<Opened> {
        let client = self.activate(endpoint)?;
        let rate = self.request.rate;
        let taken = enumerate::taken(&*client, endpoint);
        let mut formats = EXCLUSIVE_FORMATS.to_vec();
        let mut counts = vec![side.channels.max(1), 2, 4, 6, 8];
        if let Some(taken) = &taken {
            if !taken.rates.contains(&rate) {
                return Err(self.wrong_rate(&taken.rates, " exclusively"));
            }
            formats.sort_by_key(|format| !taken.formats.contains(format));
            counts.clone_from(&taken.counts);
        }
        counts.retain(|&count| count >= side.channels);
        if counts.is_empty() {
            let most = taken.and_then(|taken| taken.counts.last().copied()).unwrap_or(0);
            return Err(self.too_many_channels(most, side.channels));
        }
        if let Some(format) = side.format {
            if !EXCLUSIVE_FORMATS.contains(&format) {
                let message = format!("{} does not take {format}", self.place.name);
                let list = EXCLUSIVE_FORMATS.map(|f| f.name()).join(", ");
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .remedy(format!("choose one of {list}")));
            }
            formats = vec![format];
        }
        let mut code = hresult::UNSUPPORTED_FORMAT;
        for &format in &formats {
            for &count in &counts {
                // Those that are said to be taken first; the rest, since some drivers say no and then open.
                let mut waves = wave::descriptions(format, rate, count);
                waves.sort_by_key(|wave| !client.supports(true, wave));
                for wave in waves {
                    match self.initialize(endpoint, wave, way, period_frames) {
                        Ok(opened) => return Ok(opened),
                        Err(hresult::UNSUPPORTED_FORMAT) => {}
                        Err(other) => {
                            code = other;
                            if !is_about_format(other) {
                                return Err(self.error("opening it exclusively", other));
                            }
                        }
                    }
                }
            }
        }
        Err(self.error("opening it exclusively", code))
    }

    /// One format, with as many attempts at the length of the buffer as Windows may ask for. Each attempt uses a client up.
    fn initialize(
        &self,
        endpoint: &Endpoint,
        format: WaveFormat,
        way: Way,
        period_frames: u32,
    ) -> Answer<Opened> {
        /// Aligning, lengthening, shortening: one each, and one in reserve.
        const ATTEMPTS: u32 = 5;
        const POLLED_PERIODS: i64 = 4;
        let is_polled = way == Way::ExclusivePolled;
        let mut client = self.service.activate(&endpoint.id)?;
        let (usual_hns, mut min_hns) = client.device_period()?;
        if is_polled && self.service.is_wine() {
            min_hns = min_hns.max(quirks::WINE_STEP_HNS);
        }
        let step = if is_polled { 1 } else { aligned_step(format.frame_bytes()) };
        let least = least_frames(min_hns, format.rate);
        let mut frames = period_frames.max(least).next_multiple_of(step);
        let mut code = hresult::BUFFER_SIZE_ERROR;
        for _ in 0..ATTEMPTS {
            let period_hns = frames_to_hns(frames, format.rate);
            let duration_hns = if is_polled { period_hns * POLLED_PERIODS } else { period_hns };
            let setup = Setup {
                is_exclusive: true,
                has_event: !is_polled,
                is_loopback: false,
                duration_hns,
                period_hns,
                format,
            };
            code = match client.initialize(&setup) {
                Ok(()) => {
                    let buffer_frames = client.buffer_frames()?;
                    let period_frames = if is_polled { frames } else { buffer_frames };
                    return Ok(Opened { client, format, period_frames, buffer_frames });
                }
                Err(code) => code,
            };
            frames = match code {
                hresult::BUFFER_SIZE_NOT_ALIGNED => client.buffer_frames()?,
                hresult::INVALID_DEVICE_PERIOD => {
                    hns_to_frames(usual_hns, format.rate).max(frames * 2).next_multiple_of(step)
                }
                hresult::BUFFER_SIZE_ERROR | hresult::E_OUTOFMEMORY if frames / 2 >= least => {
                    (frames / 2).next_multiple_of(step)
                }
                _ => return Err(code),
            };
            client = self.service.activate(&endpoint.id)?;
        }
        Err(code)
    }

    /// Through the system's mixer, at its rate alone: Windows' own conversion is never asked for.
    fn shared(&self, endpoint: &Endpoint, side: SideRequest, period_frames: u32) -> Result<Opened> {
        let failed = |code| self.error("opening it shared", code);
        let mut client = self.activate(endpoint)?;
        if client.be_raw().is_err() {
            // Not every endpoint offers it; a client that refused is not to be trusted with more.
            client = self.activate(endpoint)?;
        }
        let mix = client.mix_format().map_err(failed)?;
        if mix.rate != self.request.rate {
            return Err(self.wrong_rate(&[mix.rate], " while it is shared"));
        }
        if mix.channels < side.channels {
            return Err(self.too_many_channels(mix.channels, side.channels));
        }
        let formats = enumerate::shared_formats(&**self.service, &*client, &mix);
        let wanted = |wave: &&WaveFormat| side.format.is_none_or(|format| format == wave.format);
        let Some(&format) = formats.iter().find(wanted) else {
            let list = formats.iter().map(|wave| wave.format.name()).collect::<Vec<_>>();
            let asked =
                side.format.map_or_else(|| "any known format".to_owned(), |f| f.to_string());
            let message = format!("{} does not take {asked} while it is shared", self.place.name);
            return Err(Error::new(ErrorKind::Unsupported, message)
                .remedy(format!("choose one of {}", list.join(", "))));
        };
        if !self.place.is_loopback
            && let Some(opened) = self.low_latency(endpoint, &mut client, &format, period_frames)
        {
            return Ok(opened);
        }
        let (usual_hns, _) = client.device_period().map_err(failed)?;
        let setup = Setup {
            is_exclusive: false,
            has_event: !self.place.is_loopback,
            is_loopback: self.place.is_loopback,
            // A loop-back without events is looked at as often as its companion is woken, and then some.
            duration_hns: if self.place.is_loopback { usual_hns * 8 } else { 0 },
            period_hns: 0,
            format,
        };
        client.initialize(&setup).map_err(failed)?;
        let buffer_frames = client.buffer_frames().map_err(failed)?;
        let period_frames = hns_to_frames(usual_hns, format.rate).clamp(1, buffer_frames.max(1));
        Ok(Opened { client, format, period_frames, buffer_frames })
    }

    /// A shared stream with a period of its own, where the endpoint declares shorter ones (Windows 10 and its drivers). A
    /// client that refused is replaced.
    fn low_latency(
        &self,
        endpoint: &Endpoint,
        client: &mut Box<dyn Client>,
        format: &WaveFormat,
        wished: u32,
    ) -> Option<Opened> {
        let engine = client.engine_periods(format).ok()?;
        let step = engine.step_frames.max(1);
        if engine.min_frames == 0 || engine.min_frames >= engine.default_frames {
            return None;
        }
        let period = wished.max(engine.min_frames).next_multiple_of(step).min(engine.max_frames);
        let mut own = self.service.activate(&endpoint.id).ok()?;
        if own.be_raw().is_err() {
            own = self.service.activate(&endpoint.id).ok()?;
        }
        own.initialize_shared(period, format).ok()?;
        let buffer_frames = own.buffer_frames().ok()?;
        Some(Opened { client: own, format: *format, period_frames: period, buffer_frames })
    }

    /// Silence that keeps the mixer of an endpoint running while its sound is captured.
    fn companion(&self, endpoint: &Endpoint, waiter: &dyn Waiter) -> Result<Opened> {
        let failed = |code| self.error("playing silence to it", code);
        let mut client = self.activate(endpoint)?;
        let mix = client.mix_format().map_err(failed)?;
        let (usual_hns, _) = client.device_period().map_err(failed)?;
        let setup = Setup {
            is_exclusive: false,
            has_event: true,
            is_loopback: false,
            duration_hns: 0,
            period_hns: 0,
            format: mix,
        };
        client.initialize(&setup).map_err(failed)?;
        let buffer_frames = client.buffer_frames().map_err(failed)?;
        client.set_event(waiter.event(Flow::Render)).map_err(failed)?;
        client.prepare(Flow::Render).map_err(failed)?;
        let period_frames = hns_to_frames(usual_hns, mix.rate).clamp(1, buffer_frames.max(1));
        Ok(Opened { client, format: mix, period_frames, buffer_frames })
    }

    fn assemble(
        &self,
        way: Way,
        waiter: Box<dyn Waiter>,
        play: Option<Opened>,
        capture: Option<Opened>,
        companion: Option<Opened>,
        instead_of: Option<&Error>,
    ) -> Result<WasapiStream> {
        let one = play.as_ref().or(capture.as_ref());
        let period = one.map_or(0, |opened| opened.period_frames).max(1);
        let manner = self.manner(way, play.as_ref().or(companion.as_ref()), period);
        let is_duplex = play.is_some() && capture.is_some();
        let rate = self.request.rate;
        let rehearsed = Manner::rehearsed(frames_to_ns(u64::from(period), rate)) * period;
        let queued = if manner.is_whole { period } else { manner.level_frames - period };
        let side = |opened: &Opened| Side {
            format: opened.format.format,
            channels: opened.format.channels,
            layout: Layout::Interleaved,
        };
        let most = if manner.is_whole || play.is_some() { manner.level_frames } else { 4 * period };
        let shape = Shape {
            rate,
            capture: capture.as_ref().map(side),
            playback: play.as_ref().map(side),
            period_frames: period,
            max_period_frames: most.max(period),
            steady: true,
            prefill_frames: play.as_ref().map_or(0, |_| manner.level_frames + rehearsed),
            latency: Latency {
                input_frames: if is_duplex { manner.hold_frames } else { 0 },
                output_frames: play.as_ref().map_or(0, |_| queued),
            },
        };
        let notes = self.notes(way, period, instead_of);
        let line = |opened: Opened| {
            let side = side(&opened);
            PlayLine::new(opened.client, side)
        };
        let capture = capture.map(|opened| {
            let ring = opened.buffer_frames.saturating_mul(2) + 8 * period + manner.level_frames;
            let side = side(&opened);
            let is_unsaid = quirks::overflows_unsaid(self.service.is_wine(), way == Way::Shared);
            let queue_frames = opened.buffer_frames;
            let overflow = is_unsaid.then_some(Overflow { rate, queue_frames });
            CaptureLine::new(opened.client, side, ring, overflow)
        });
        let (play, companion, system) = (play.map(line), companion.map(line), self.system.clone());
        let mut stream =
            WasapiStream::new(system, waiter, play, capture, companion, shape, manner, notes);
        stream.rehearse().map_err(|code| self.error("starting it", code))?;
        Ok(stream)
    }

    fn manner(&self, way: Way, play: Option<&Opened>, period: u32) -> Manner {
        let is_whole = way == Way::Exclusive;
        let room = play.map_or(2 * period, |opened| opened.buffer_frames);
        // One period is heard while the next is made. A buffer of one period alone leaves no time for that.
        let level_frames = if is_whole { period } else { (2 * period).min(room).max(period) };
        Manner {
            is_whole,
            has_events: way != Way::ExclusivePolled,
            level_frames,
            hold_frames: period,
        }
    }

    fn notes(&self, way: Way, period: u32, instead_of: Option<&Error>) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut note = |kind, text: String| notes.push(Note { kind, text });
        let name = &self.place.name;
        match (way, instead_of) {
            (Way::Shared, Some(error)) => note(
                NoteKind::SystemMixer,
                format!("shared through Windows' mixer, since exclusive use was refused: {error}"),
            ),
            (Way::Shared, None) => note(
                NoteKind::SystemMixer,
                format!("{name} is shared through Windows' mixer, as it is set"),
            ),
            (Way::ExclusivePolled, Some(error)) => note(
                NoteKind::Degraded,
                format!("looked at by the clock, since its events do not work: {error}"),
            ),
            _ => {}
        }
        if period != self.request.period_frames {
            let wished = self.request.period_frames;
            note(
                NoteKind::Adapted,
                format!("{name} moves {period} frames at a time instead of {wished}"),
            );
        }
        if let (Some(endpoint), Some(_)) = (&self.place.play, self.request.playback) {
            let volume = self.service.volume(&endpoint.id);
            notes.extend(volume.and_then(|v| enumerate::volume_note(&v, way == Way::Shared)));
        }
        notes
    }
}

/// Whether another format may fare better.
fn is_about_format(code: Hresult) -> bool {
    matches!(
        code,
        hresult::UNSUPPORTED_FORMAT | hresult::E_INVALIDARG | hresult::ENDPOINT_CREATE_FAILED
    )
}

/// The frames of the shortest period, rounded up: a frame less would be refused.
fn least_frames(min_hns: i64, rate: RateHz) -> u32 {
    let frames = hns_to_frames(min_hns, rate);
    if frames_to_hns(frames, rate) < min_hns { frames + 1 } else { frames.max(1) }
}
