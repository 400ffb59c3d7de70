//! From a request to an open, configured, stopped stream.

use crate::enumerate::{self, Place};
use crate::kernel::{Errno, Kernel, Pcm, errno};
use crate::lane::{Gauge, Lane};
use crate::params::{self, Configured, Wanted};
use crate::quirks;
use crate::stream::{AlsaStream, Run};
use crate::uapi::{CAPTURE, PLAYBACK};
use barewire_device::{Layout, Note, NoteKind, OpenRequest, Shape, Side, SideRequest, Stream};
use barewire_rt::System;
use barewire_types::{Error, ErrorKind, Latency, RateHz, Result, SampleFormat};
use std::sync::Arc;

/// Periods of silence that are played before the first committed frame: one is heard while the next is made. Cards that need
/// more have it from [`quirks::least_ahead_frames`].
const PREFILL_PERIODS: u32 = 2;

struct Opening<'a> {
    system: &'a Arc<dyn System>,
    kernel: &'a Arc<dyn Kernel>,
    place: Place,
    rate: RateHz,
}

struct Opened {
    pcm: Box<dyn Pcm>,
    format: SampleFormat,
    set: Configured,
}

/// Opens what `request` names.
///
/// # Errors
/// Those of [`barewire_device::Backend::open`].
pub(crate) fn open(
    system: &Arc<dyn System>,
    kernel: &Arc<dyn Kernel>,
    request: &OpenRequest,
) -> Result<Box<dyn Stream>> {
    let place = enumerate::find(&**kernel, &request.id).ok_or_else(|| {
        let message = format!("no sound card is there that goes by {}", request.id);
        Error::new(ErrorKind::NotFound, message)
            .remedy("plug it in, or choose one that `barewire devices` lists")
    })?;
    let opening = Opening { system, kernel, place, rate: request.rate };
    if request.capture.is_none() && request.playback.is_none() {
        let message = format!("{}: neither inputs nor outputs were asked for", opening.place.name);
        return Err(Error::new(ErrorKind::InvalidArgument, message)
            .remedy("ask for inputs, outputs or both"));
    }
    let open_side = |side: Option<SideRequest>, direction, period| {
        side.map(|side| opening.side(side, direction, period)).transpose()
    };
    let playback = open_side(request.playback, PLAYBACK, request.period_frames)?;
    // Both directions move together only if their periods are equal: the second is asked for what the first became.
    let period = playback.as_ref().map_or(request.period_frames, |opened| opened.set.period_frames);
    let capture = open_side(request.capture, CAPTURE, period)?;
    opening.assemble(request, playback, capture)
}

impl Opening<'_> {
    fn error(&self, code: Errno, direction: i32, doing: &str) -> Error {
        let (name, side) =
            (&self.place.name, if direction == PLAYBACK { "outputs" } else { "inputs" });
        let what = format!("{name}: {doing} its {side} failed");
        let error = match code {
            errno::EBUSY => {
                let holders = self.kernel.holders(self.place.card, self.place.device, direction);
                let who = enumerate::name_holders(&holders);
                Error::new(ErrorKind::Busy, format!("{name}: its {side} are held by {who}"))
                    .remedy("end that program, or let it release the device")
            }
            errno::EACCES => Error::new(ErrorKind::Denied, what).remedy(
                "the user needs access to /dev/snd: join the group \"audio\" and log in anew",
            ),
            errno::ENODEV | errno::ENXIO | errno::ENOENT => {
                Error::new(ErrorKind::Lost, what).remedy("plug the device in again")
            }
            errno::ENOMEM => Error::new(ErrorKind::NoMemory, what),
            errno::EINVAL => Error::new(ErrorKind::Unsupported, what),
            _ => Error::new(ErrorKind::Malfunction, what),
        };
        error.os_code(code)
    }

    fn side(&self, side: SideRequest, direction: i32, period_frames: u32) -> Result<Opened> {
        let pcm = self
            .kernel
            .open_pcm(self.place.card, self.place.device, direction)
            .map_err(|code| self.error(code, direction, "opening"))?;
        let able = params::abilities(&*pcm)
            .map_err(|code| self.error(code, direction, "asking for the abilities of"))?;
        if !able.rates.contains(&self.rate) {
            let list = able.rates.iter().map(|rate| rate.get().to_string()).collect::<Vec<_>>();
            let message = format!("{} does not run at {}", self.place.name, self.rate);
            return Err(Error::new(ErrorKind::UnsupportedRate, message)
                .remedy(format!("choose one of {} Hz", list.join(", "))));
        }
        let format = match side.format {
            Some(format) if able.formats.contains(&format) => format,
            Some(format) => {
                let list = able.formats.iter().map(|f| f.name()).collect::<Vec<_>>().join(", ");
                let message = format!("{} does not take {format}", self.place.name);
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .remedy(format!("choose one of {list}")));
            }
            None => *able.formats.first().ok_or_else(|| {
                let message = format!("{} offers no sample format that is known", self.place.name);
                Error::new(ErrorKind::Unsupported, message)
            })?,
        };
        let channels =
            *able.channels.iter().find(|&&count| count >= side.channels).ok_or_else(|| {
                let most = able.channels.last().copied().unwrap_or(0);
                let message = format!(
                    "{} has {most} channels, {} were asked for",
                    self.place.name, side.channels
                );
                Error::new(ErrorKind::Unsupported, message).remedy("ask for fewer channels")
            })?;
        // Room for the prefill, for the period that is being filled, and for waking late.
        let prefill = self.prefill(period_frames.max(1));
        let least_periods = prefill.div_ceil(period_frames.max(1)) + 1;
        let wanted = Wanted { format, channels, rate: self.rate, period_frames, least_periods };
        let set = params::configure(&*pcm, &wanted)
            .map_err(|code| self.error(code, direction, "configuring"))?;
        self.check(&set, &wanted)?;
        Ok(Opened { pcm, format, set })
    }

    /// Frames of silence before the first committed one.
    fn prefill(&self, period_frames: u32) -> u32 {
        let ahead = quirks::least_ahead_frames(&self.place.driver, period_frames, self.rate);
        period_frames + ahead.max((PREFILL_PERIODS - 1) * period_frames)
    }

    /// A card may give other than it promised.
    fn check(&self, set: &Configured, wanted: &Wanted) -> Result<()> {
        let has_room =
            set.period_frames > 0 && set.buffer_frames >= self.prefill(set.period_frames);
        if set.channels != wanted.channels || !has_room {
            let message = format!(
                "{} accepted {} channels and {} frames a period, and then set {} channels, {} frames and a ring of {}",
                self.place.name,
                wanted.channels,
                wanted.period_frames,
                set.channels,
                set.period_frames,
                set.buffer_frames
            );
            return Err(
                Error::new(ErrorKind::Malfunction, message).remedy("choose another period size")
            );
        }
        Ok(())
    }

    fn assemble(
        &self,
        request: &OpenRequest,
        playback: Option<Opened>,
        capture: Option<Opened>,
    ) -> Result<Box<dyn Stream>> {
        let period_frames = match (&playback, &capture) {
            (Some(playback), Some(capture))
                if playback.set.period_frames != capture.set.period_frames =>
            {
                let message = format!(
                    "{}: outputs move by {} frames and inputs by {}",
                    self.place.name, playback.set.period_frames, capture.set.period_frames
                );
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .remedy("choose a block size that both directions take"));
            }
            (Some(one), _) | (None, Some(one)) => one.set.period_frames,
            (None, None) => return Err(Error::new(ErrorKind::Bug, "nothing was opened")),
        };
        let mut notes = self.notes(request, period_frames);
        let prefill = if playback.is_some() { self.prefill(period_frames) } else { 0 };
        let latency = self.latency(playback.as_ref(), capture.as_ref(), period_frames);
        let is_duplex = playback.is_some() && capture.is_some();
        let lane = |opened: Option<Opened>, direction| {
            opened.map(|opened| self.lane(opened, direction, prefill, is_duplex)).transpose()
        };
        let (playback, capture) = (lane(playback, PLAYBACK)?, lane(capture, CAPTURE)?);
        let mut linked = false;
        if let (Some(playback), Some(capture)) = (&playback, &capture) {
            linked = capture.pcm.link(&*playback.pcm).is_ok();
            if !linked && !quirks::starts_apart(&self.place.driver) {
                let text = "the hardware does not start both directions at once: they may lie some frames apart";
                notes.push(Note { kind: NoteKind::Degraded, text: text.to_owned() });
            }
        }
        let ring = playback.iter().chain(&capture).map(|lane| lane.ring_frames).min().unwrap_or(0);
        let shape = Shape {
            rate: self.rate,
            capture: capture.as_ref().map(|lane| lane.side),
            playback: playback.as_ref().map(|lane| lane.side),
            period_frames,
            max_period_frames: ring - ring % period_frames,
            steady: true,
            prefill_frames: prefill,
            latency,
        };
        let waiter = self
            .kernel
            .waiter()
            .map_err(|code| self.error(code, PLAYBACK, "preparing to wait for"))?;
        let (system, run) = (self.system.clone(), Run::default());
        Ok(Box::new(AlsaStream { system, waiter, capture, playback, linked, shape, notes, run }))
    }

    fn latency(&self, playback: Option<&Opened>, capture: Option<&Opened>, period: u32) -> Latency {
        let transport = quirks::transport_frames(&self.place.driver, self.rate);
        let fifo = |opened: Option<&Opened>| opened.map_or(0, |opened| opened.set.fifo_frames);
        let queued = self.prefill(period) - period;
        Latency {
            input_frames: capture.map_or(0, |_| transport + fifo(capture)),
            output_frames: playback.map_or(0, |_| queued + transport + fifo(playback)),
        }
    }

    fn lane(
        &self,
        mut opened: Opened,
        direction: i32,
        prefill: u32,
        is_duplex: bool,
    ) -> Result<Lane> {
        let set = opened.set;
        let fail = |doing| move |code| self.error(code, direction, doing);
        let frame = usize::from(set.channels) * opened.format.bytes();
        let avail_min = if direction == PLAYBACK {
            // Ready once the ring has room for a period beyond the prefill that is kept ahead.
            (set.buffer_frames + set.period_frames).saturating_sub(prefill)
        } else {
            set.period_frames
        };
        let mut software = params::software(&set, avail_min.max(1));
        opened.pcm.set_software(&mut software).map_err(fail("setting up"))?;
        // Old kernels know only the time of day; positions then are told by our own clock.
        let _ = opened.pcm.use_monotonic_time();
        let bytes = frame * set.buffer_frames as usize;
        let ring = opened.pcm.map(bytes).map_err(fail("mapping the samples of"))?;
        let planes = if set.planar {
            (0..u32::from(set.channels))
                .map(|channel| opened.pcm.channel_offset(channel))
                .collect::<std::result::Result<Vec<_>, _>>()
                .map_err(fail("finding the channels of"))?
        } else {
            Vec::new()
        };
        let layout = if set.planar { Layout::Planar } else { Layout::Interleaved };
        let side = Side { format: opened.format, channels: set.channels, layout };
        let boundary = params::boundary(set.buffer_frames);
        let gauge = if direction == PLAYBACK
            && is_duplex
            && quirks::starts_apart(&self.place.driver)
        {
            Gauge::Delay { packet_frames: quirks::transport_frames(&self.place.driver, self.rate) }
        } else {
            Gauge::Position
        };
        Ok(Lane::new(opened.pcm, ring, planes, side, set.buffer_frames, boundary, gauge))
    }

    fn notes(&self, request: &OpenRequest, period_frames: u32) -> Vec<Note> {
        let mut notes = Vec::new();
        if period_frames != request.period_frames {
            let text = format!(
                "{} moves {period_frames} frames at a time instead of {}",
                self.place.name, request.period_frames
            );
            notes.push(Note { kind: NoteKind::Adapted, text });
        }
        if request.playback.is_some()
            && let Ok(control) = self.kernel.open_control(self.place.card)
        {
            notes.extend(enumerate::volume_notes(&*control));
        }
        notes
    }
}
