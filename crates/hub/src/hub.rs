//! Letting clients in and out; who leads; what is told of it all. Control threads only.
//!
//! The rules: the first client, or the one that is named, leads. It sets rate and block size, and may change them: everybody
//! is put out with [`Closed::Changed`] then and comes back. Whoever else asks for another rate is refused with the reason;
//! another block size is adapted at the client's end, at the latency that it costs.

use crate::peer::{Peer, PeerShared};
use crate::running::{Chosen, Running, client_format, memory};
use barewire_device::{Backend, Caps, DeviceInfo, NoteKind};
use barewire_engine::{ClientPlan, EventKind, Guests, OutputMode, Seat, SeatControl};
use barewire_rt::{Lock, System};
use barewire_share::layout::SegmentShape;
use barewire_share::message::{Attached, ClientReport, DeviceWords, Report, SideWords, Who, Wish};
use barewire_share::wakes::Ties;
use barewire_share::{Block, Closed, HubControl, MOST_CLIENTS, pack_told, slot};
use barewire_types::{Error, ErrorKind, Integrity, Ns, RateHz, Reason, Result};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// How long a client may take to be seated or to leave: many blocks of any size.
const SEAT_NS: Ns = 2_000_000_000;
/// How often it is looked for.
const LOOK_NS: Ns = 500_000;
/// So long whoever led may be away and still leads: a change of rate is a leaving and a coming.
const LEADER_AWAY_NS: Ns = 2_000_000_000;
/// Events that are kept for people.
const KEPT_EVENTS: usize = 50;

/// What a hub is made of.
#[derive(Clone)]
pub struct Options {
    /// Time, waiting and threads.
    pub system: Arc<dyn System>,
    /// The ways to devices, the best first, without the hub's own.
    pub backends: Vec<Arc<dyn Backend>>,
    /// Whether a device is the one to be shared.
    pub wanted: Arc<dyn Fn(&DeviceInfo) -> bool + Send + Sync>,
    /// Part of the name of the program that leads; the first client if not given.
    pub leader: Option<String>,
    /// Whether what is being played is offered as inputs.
    pub taps: bool,
    /// The most clients, up to [`MOST_CLIENTS`].
    pub most_clients: usize,
}

/// See the module.
pub struct Hub {
    options: Options,
    inner: Lock<Inner>,
    has_served: AtomicBool,
    ends: AtomicBool,
    ends_after_last: AtomicBool,
}

struct Inner {
    clients: BTreeMap<u32, Guest>,
    next: u32,
    running: Option<Running>,
    leader: Option<Who>,
    leader_left_ns: Option<Ns>,
    events: VecDeque<String>,
    /// Events there have been, those forgotten included.
    event_count: usize,
}

/// A client that was let in.
struct Guest {
    who: Who,
    segment: SegmentShape,
    block: Arc<Block>,
    control: HubControl,
    shared: Arc<PeerShared>,
    seat: Option<SeatControl>,
    gain: f64,
    /// Its segment belongs to a run that is over.
    is_stale: bool,
    told_changes: u64,
    _ties: Ties,
}

/// A client's memory: what it is told, and the blocks of page, gate and segment.
pub struct Admission {
    /// What it is told.
    pub attached: Attached,
    /// Page, gate, segment.
    pub blocks: [Arc<Block>; 3],
}

fn run_is_over() -> Error {
    Error::new(ErrorKind::Lost, "the device was opened anew meanwhile")
}

fn busy(text: String) -> Error {
    Error::new(ErrorKind::Busy, text)
}

impl Hub {
    /// A hub that has not opened anything yet.
    ///
    /// # Errors
    /// `NotFound` if the device is not there.
    pub fn new(options: Options) -> Result<Arc<Self>> {
        let inner = Inner {
            clients: BTreeMap::new(),
            next: 1,
            running: None,
            leader: None,
            leader_left_ns: None,
            events: VecDeque::new(),
            event_count: 0,
        };
        let hub = Self {
            inner: Lock::new(options.system.clone(), inner),
            options,
            has_served: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            ends_after_last: AtomicBool::new(false),
        };
        hub.choose()?;
        Ok(Arc::new(hub))
    }

    fn system(&self) -> &Arc<dyn System> {
        &self.options.system
    }

    /// The device, as it can be seen now.
    fn choose(&self) -> Result<Chosen> {
        for backend in &self.options.backends {
            let Ok(devices) = backend.devices() else { continue };
            if let Some(info) = devices.into_iter().find(|device| (self.options.wanted)(device)) {
                return Ok(Chosen { backend: backend.clone(), info });
            }
        }
        Err(Error::new(ErrorKind::NotFound, "the device that is to be shared was not found")
            .remedy("see `barewire devices`"))
    }

    /// The device as `who` is to see it.
    ///
    /// # Errors
    /// If it is not there any more.
    pub fn describe(&self, who: &Who) -> Result<DeviceWords> {
        let chosen = self.choose()?;
        let inner = self.inner.lock();
        let pinned = inner.pinned(who, self);
        let tap = |caps: &Option<Caps>| {
            let outputs = caps.as_ref().filter(|_| self.options.taps);
            outputs.and_then(|caps| caps.channels.counts.last().copied()).unwrap_or(0)
        };
        let taps = tap(&chosen.info.playback);
        let side = |caps: &Option<Caps>, taps: u16| {
            let own = caps.as_ref().map(|caps| side_words(caps, pinned));
            let tap_name = |n: u16| format!("Tap {}", n + 1);
            match (own, taps) {
                (None, 0) => None,
                (own, taps) => {
                    let other = || chosen.info.playback.as_ref().map(|c| side_words(c, pinned));
                    let mut side = own.unwrap_or_else(|| {
                        let rates_hz = other().unwrap_or_default().rates_hz;
                        SideWords { rates_hz, ..SideWords::default() }
                    });
                    side.names.resize_with(usize::from(side.channels), String::new);
                    side.names.extend((0..taps).map(tap_name));
                    side.channels += taps;
                    Some(side)
                }
            }
        };
        let formats = |caps: &Option<Caps>| caps.as_ref().and_then(|c| c.formats.first().copied());
        let format = inner.running.as_ref().map_or_else(
            || client_format(formats(&chosen.info.capture), formats(&chosen.info.playback)),
            Running::format,
        );
        let periods = chosen.info.playback.as_ref().or(chosen.info.capture.as_ref());
        let mut periods = periods.map_or([1, 8192, 256, 1], |caps| {
            let p = caps.periods;
            [p.min_frames, p.max_frames, p.preferred_frames, p.step_frames]
        });
        if let (Some(running), Some(_)) = (&inner.running, pinned) {
            let block = running.shape.period_frames;
            periods = [block, block, block, 1];
        }
        Ok(DeviceWords {
            id: chosen.info.id.to_string(),
            name: chosen.info.name.clone(),
            format: format.name().to_owned(),
            capture: side(&chosen.info.capture, taps),
            playback: side(&chosen.info.playback, 0),
            periods,
            leader: inner.leader.clone(),
            notes: device_notes(&chosen),
        })
    }

    /// Lets a client in. It is heard once it has [started](Self::start).
    ///
    /// # Errors
    /// With the reason, in a sentence for its user.
    pub fn attach(&self, who: &Who, wish: &Wish) -> Result<Admission> {
        let rate = RateHz::new(wish.rate_hz).ok_or_else(|| {
            let text = format!("{} is no sample rate", wish.rate_hz);
            Error::new(ErrorKind::InvalidArgument, text)
        })?;
        let mut inner = self.inner.lock();
        let present = inner.clients.values().filter(|guest| !guest.is_stale).count();
        let most = self.options.most_clients.min(MOST_CLIENTS);
        if inner.clients.len() >= most {
            return Err(busy(format!("the hub serves {most} clients, and there are as many"))
                .remedy("close another program"));
        }
        let leads = inner.leads(who, present, self);
        let period = inner.period(wish, leads);
        let fits = inner
            .running
            .as_ref()
            .is_some_and(|running| running.rate() == rate && (!leads || running.wished(period)));
        if !fits {
            if !leads && inner.running.is_some() {
                return Err(inner.refuse_rate(rate));
            }
            self.open(&mut inner, rate, period)?;
        }
        if leads {
            inner.leader = Some(who.clone());
            inner.leader_left_ns = None;
        }
        self.has_served.store(true, Relaxed);
        inner.admit(who, wish, &**self.system())
    }

    /// Opens the device anew; clients of the run before are put out.
    fn open(&self, inner: &mut Inner, rate: RateHz, period_frames: u32) -> Result<()> {
        inner.end_run(&**self.system(), Closed::Changed);
        let chosen = self.choose()?;
        let running =
            Running::open(self.system(), chosen.clone(), rate, period_frames, self.options.taps)?;
        inner.say(format!(
            "{} runs at {rate} with blocks of {} frames",
            chosen.info.name, running.shape.period_frames
        ));
        inner.running = Some(running);
        Ok(())
    }

    /// From the next block on the client is begun.
    ///
    /// # Errors
    /// `Lost` if its run is over; `Timeout` if the device does not move.
    pub fn start(&self, client: u32) -> Result<()> {
        self.stop(client);
        let (mut seat, guests) = self.seat(client)?;
        let control = seat.control();
        let until = self.system().now_ns().saturating_add(SEAT_NS);
        // Nothing is held while the device thread is waited for: others come and go meanwhile.
        while let Err(again) = guests.join(seat) {
            if self.system().now_ns() >= until {
                return Err(Error::new(ErrorKind::Timeout, "the device does not move")
                    .remedy("unplug it and plug it in again"));
            }
            seat = again;
            self.nap();
        }
        let mut inner = self.inner.lock();
        match inner.clients.get_mut(&client).filter(|guest| !guest.is_stale) {
            Some(guest) => {
                guest.seat = Some(control);
                Ok(())
            }
            None => {
                control.leave();
                Err(run_is_over())
            }
        }
    }

    /// A seat for a client that was let in.
    fn seat(&self, client: u32) -> Result<(Box<Seat>, Guests)> {
        let mut inner = self.inner.lock();
        let Inner { clients, running, .. } = &mut *inner;
        let guest = clients.get_mut(&client).filter(|guest| !guest.is_stale);
        let guest = guest.ok_or_else(run_is_over)?;
        let running = running.as_ref().ok_or_else(run_is_over)?;
        let (end, _) = slot(guest.block.clone(), guest.segment, client)?;
        let (star, system) = (running.star.clone(), self.system().clone());
        let peer = Peer::new(end, star, system, guest.shared.clone())?;
        let all = |count: u16| (0..count).map(Some).collect();
        let plan = ClientPlan {
            format: guest.segment.format,
            inputs: all(guest.segment.inputs),
            outputs: all(guest.segment.outputs),
            output_mode: OutputMode::Direct,
            gain: guest.gain,
        };
        let guests = running.guests.clone();
        Ok((guests.seat(&plan, Box::new(peer))?, guests))
    }

    fn nap(&self) {
        let until = self.system().now_ns().saturating_add(LOOK_NS);
        self.system().await_word(&AtomicU32::new(0), 0, until);
    }

    /// The client is not begun any more; returns when the device thread has left its memory.
    pub fn stop(&self, client: u32) {
        let mut inner = self.inner.lock();
        let Inner { clients, running, .. } = &mut *inner;
        let Some(guest) = clients.get_mut(&client) else { return };
        let Some(seat) = guest.seat.take() else { return };
        guest.shared.is_leaving.store(true, Relaxed);
        seat.leave();
        let shared = guest.shared.clone();
        let Some(running) = running else { return };
        running.star.excuse();
        let guests = running.guests.clone();
        drop(inner);
        let until = self.system().now_ns().saturating_add(SEAT_NS);
        while shared.is_seated.load(Relaxed) && self.system().now_ns() < until {
            match guests.take_left() {
                Some(left) => drop(left),
                None => self.nap(),
            }
        }
    }

    /// Lets a client out. The device is closed after the last one.
    pub fn detach(&self, client: u32) {
        self.stop(client);
        let mut inner = self.inner.lock();
        let Some(guest) = inner.clients.remove(&client) else { return };
        inner.say(format!("{} (process {}) has left", guest.who.program, guest.who.process));
        let same = |other: &Guest| other.who == guest.who && !other.is_stale;
        if inner.leader.as_ref() == Some(&guest.who) && !inner.clients.values().any(same) {
            inner.leader_left_ns = Some(self.system().now_ns());
        }
        if inner.clients.values().all(|guest| guest.is_stale) {
            inner.end_run(&**self.system(), Closed::Gone);
        }
    }

    /// Changes how clients are heard; how many it concerned.
    ///
    /// # Errors
    /// `NotFound` if there is no such client.
    pub fn tune(&self, client: &str, gain: Option<f64>, muted: Option<bool>) -> Result<usize> {
        let mut inner = self.inner.lock();
        let name = client.to_lowercase();
        let mut count = 0;
        for guest in inner.clients.values_mut() {
            let is_meant = guest.who.program.to_lowercase().contains(&name)
                || guest.who.process.to_string() == name;
            if !is_meant {
                continue;
            }
            count += 1;
            if let Some(muted) = muted {
                guest.shared.is_muted.store(muted, Relaxed);
            }
            if let Some(gain) = gain {
                guest.gain = gain;
                if let Some(seat) = &guest.seat {
                    seat.set_gain(gain);
                }
            }
        }
        if count > 0 {
            return Ok(count);
        }
        Err(Error::new(ErrorKind::NotFound, format!("there is no client \"{client}\""))
            .remedy("see `barewire top`"))
    }

    /// Looks after everything: to be called a few times a second.
    pub fn round(&self) {
        let mut inner = self.inner.lock();
        let now = self.system().now_ns();
        let away = inner.leader_left_ns.is_some_and(|left| now > left + LEADER_AWAY_NS);
        if away {
            inner.leader_left_ns = None;
            // The one that has been there longest leads next.
            let next = inner.clients.values().find(|guest| !guest.is_stale);
            let next = next.map(|guest| guest.who.clone());
            inner.leader = next;
        }
        let mut sentences = Vec::new();
        if let Some(running) = &mut inner.running {
            while let Some(event) = running.next_event() {
                sentences.extend(sentence(event.kind));
            }
            if let Some(error) = running.look_after() {
                sentences.push(format!("the device cannot be opened again yet: {error}"));
            }
        }
        sentences.into_iter().for_each(|text| inner.say(text));
        inner.tell_clients();
    }

    /// What everybody does.
    pub fn report(&self) -> Report {
        self.round();
        let held = self.inner.lock().running.as_ref().map(|running| running.device().clone());
        // Looked for with nothing held: that may take as long as the hardware likes.
        let device = held.or_else(|| self.choose().ok().map(|chosen| chosen.info));
        self.inner.lock().report(device)
    }

    /// Everybody is put out and the device closed.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.end_run(&**self.system(), Closed::Gone);
        self.ends.store(true, Relaxed);
    }

    /// What has happened since `told` events were told, which it counts up.
    pub fn news(&self, told: &mut usize) -> Vec<String> {
        let inner = self.inner.lock();
        let fresh = inner.event_count.saturating_sub(std::mem::replace(told, inner.event_count));
        let known = inner.events.len().saturating_sub(fresh);
        inner.events.iter().skip(known).cloned().collect()
    }

    /// Id and name of the device that is open, if one is.
    pub fn held(&self) -> Option<(String, String)> {
        let inner = self.inner.lock();
        let info = inner.running.as_ref()?.device();
        Some((info.id.to_string(), info.name.clone()))
    }

    /// The hub is to end after its last client, or now if it has none.
    pub fn end_after_last(&self) {
        self.has_served.store(true, Relaxed);
        self.ends_after_last.store(true, Relaxed);
    }

    /// Whether it was told to end after its last client.
    pub fn ends_after_last(&self) -> bool {
        self.ends_after_last.load(Relaxed)
    }

    /// Whether there was a client and is none any more.
    pub fn is_done(&self) -> bool {
        self.has_served.load(Relaxed) && self.inner.lock().clients.is_empty()
    }

    /// Whether it was [closed](Self::close).
    pub fn has_ended(&self) -> bool {
        self.ends.load(Relaxed)
    }
}

fn side_words(caps: &Caps, pinned: Option<RateHz>) -> SideWords {
    let rates = caps.rates.iter().filter(|&&rate| pinned.is_none_or(|pinned| rate == pinned));
    SideWords {
        channels: caps.channels.counts.last().copied().unwrap_or(0),
        names: caps.channels.names.clone(),
        rates_hz: rates.map(|rate| rate.get()).collect(),
    }
}

fn device_notes(chosen: &Chosen) -> Vec<String> {
    // That the device is held is our own doing.
    let notes = chosen.info.notes.iter().filter(|note| note.kind != NoteKind::Held);
    notes.map(|note| note.text.clone()).collect()
}

/// What happened, for people; clients' lateness is told by their own figures.
fn sentence(kind: EventKind) -> Option<String> {
    match kind {
        EventKind::Xrun { missed_frames } => {
            Some(format!("xrun: the device lost {missed_frames} frames"))
        }
        EventKind::Lost(loss) => {
            Some(format!("the device is lost ({loss:?}); clients have silence until it is back"))
        }
        EventKind::Stalled => Some("the device does not move".to_owned()),
        EventKind::TakenOver => Some("the device runs again".to_owned()),
        _ => None,
    }
}

impl Inner {
    fn say(&mut self, text: String) {
        if self.events.len() == KEPT_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(text);
        self.event_count += 1;
    }

    /// Whether `who` sets rate and block.
    fn leads(&self, who: &Who, present: usize, hub: &Hub) -> bool {
        if let Some(name) = &hub.options.leader {
            return present == 0 || who.program.to_lowercase().contains(&name.to_lowercase());
        }
        let is_leader = self.leader.as_ref() == Some(who);
        is_leader || present == 0 || self.leader.is_none()
    }

    /// The rate that `who` has to keep to.
    fn pinned(&self, who: &Who, hub: &Hub) -> Option<RateHz> {
        let present = self.clients.values().filter(|guest| !guest.is_stale).count();
        let running = self.running.as_ref().filter(|_| !self.leads(who, present, hub))?;
        Some(running.rate())
    }

    fn period(&self, wish: &Wish, leads: bool) -> u32 {
        match &self.running {
            Some(running) if !leads => running.shape.period_frames,
            _ => wish.period_frames.max(1),
        }
    }

    fn refuse_rate(&self, rate: RateHz) -> Error {
        let own = self.running.as_ref().map_or(rate, Running::rate);
        let leader = self.leader.as_ref().map_or_else(
            || "the client that leads".to_owned(),
            |who| format!("{} (process {}), which leads", who.program, who.process),
        );
        let text = format!("the hub runs at {own} for {leader}, so {rate} cannot be had");
        Error::new(ErrorKind::UnsupportedRate, text)
            .remedy(format!("use {own} in this program, or end the one that leads"))
    }

    /// Ends the run; clients that were let in for it are to come back.
    fn end_run(&mut self, system: &dyn System, why: Closed) {
        for guest in self.clients.values_mut() {
            guest.control.close(why);
            guest.is_stale = true;
            guest.seat = None;
        }
        if let Some(running) = self.running.take() {
            running.end(system, why);
        }
    }

    fn admit(&mut self, who: &Who, wish: &Wish, system: &dyn System) -> Result<Admission> {
        let gone = || Error::new(ErrorKind::Lost, "the device is not open");
        let running = self.running.as_ref().ok_or_else(gone)?;
        let channels = barewire_device::Shape::channels;
        let segment = SegmentShape {
            inputs: if wish.captures { channels(running.shape.capture) } else { 0 },
            outputs: if wish.plays { channels(running.shape.playback) } else { 0 },
            block_frames: running.shape.period_frames,
            format: running.format(),
        };
        segment.check()?;
        let block = memory(system, segment.bytes(), false)?;
        let client = self.next;
        let (_, control) = slot(block.clone(), segment, client)?;
        let latency = running.latency();
        let attached = Attached {
            client,
            rate_hz: running.rate().get(),
            block_frames: segment.block_frames,
            inputs: segment.inputs,
            outputs: segment.outputs,
            format: segment.format.name().to_owned(),
            input_latency_frames: latency.input_frames,
            output_latency_frames: latency.output_frames,
            segment_bytes: segment.bytes() as u64,
            notes: running.notes.clone(),
        };
        let blocks = [running.page.clone(), running.gate.clone(), block.clone()];
        let guest = Guest {
            who: who.clone(),
            segment,
            block,
            control,
            shared: PeerShared::new(segment.outputs),
            seat: None,
            gain: 1.0,
            is_stale: false,
            told_changes: 0,
            _ties: Ties::of_hub(&blocks)?,
        };
        self.next = self.next.wrapping_add(1).max(1);
        self.clients.insert(client, guest);
        self.say(format!("{} (process {}) is let in", who.program, who.process));
        Ok(Admission { attached, blocks })
    }

    /// Publishes to each client what becomes of its samples.
    fn tell_clients(&mut self) {
        let mut sentences = Vec::new();
        for guest in self.clients.values_mut() {
            let changes = guest.shared.changes.load(Relaxed);
            if std::mem::replace(&mut guest.told_changes, changes) != changes {
                let is_later = guest.shared.is_later.load(Relaxed);
                let how = if is_later {
                    "was late three times in a row and is served one block later"
                } else {
                    "keeps time again and is served in time"
                };
                sentences
                    .push(format!("{} (process {}) {how}", guest.who.program, guest.who.process));
            }
        }
        sentences.into_iter().for_each(|text| self.say(text));
        let Some(running) = &self.running else { return };
        let (integrity, reason) = running.telemetry.integrity();
        for guest in self.clients.values().filter(|guest| !guest.is_stale) {
            let (integrity, reason) = guest.integrity(integrity, reason);
            guest.control.tell(pack_told(integrity, reason));
        }
    }

    fn report(&self, chosen: Option<DeviceInfo>) -> Report {
        let name = |format: Option<barewire_device::Side>| {
            format.map(|side| side.format.name().to_owned())
        };
        let mut report = Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            device: chosen.as_ref().map_or_else(String::new, |info| info.id.to_string()),
            device_name: chosen.map_or_else(String::new, |info| info.name),
            state: "waiting".to_owned(),
            events: self.events.iter().cloned().collect(),
            ..Report::default()
        };
        let mut told = (Integrity::Exact { bits: 0 }, Reason::NotYetPlayed);
        if let Some(running) = &self.running {
            running.star.is_watched.store(true, Relaxed);
            let snapshot = running.telemetry.snapshot();
            told = running.telemetry.integrity();
            let (budget_ns, mixing_ns, longest_overstay_ns) = running.star.figures();
            report = Report {
                state: if running.is_lost() { "lost" } else { "running" }.to_owned(),
                rate_hz: running.rate().get(),
                block_frames: running.shape.period_frames,
                capture_format: name(running.shape.capture),
                playback_format: name(running.shape.playback),
                blocks: snapshot.blocks,
                xruns: snapshot.xruns,
                missed_frames: snapshot.missed_frames,
                lates: snapshot.lates,
                load_permille: snapshot.load_permille,
                peak_load_permille: snapshot.peak_load_permille,
                budget_ns,
                mixing_ns,
                longest_overstay_ns,
                integrity: told.0.to_string(),
                reason: told.1.to_string(),
                notes: running.notes.clone(),
                ..report
            };
        }
        report.clients = self
            .clients
            .iter()
            .map(|(&number, guest)| guest.report(number, self.leader.as_ref(), told))
            .collect();
        report
    }
}

impl Guest {
    /// What becomes of this client's samples, given what becomes of everybody's.
    fn integrity(&self, integrity: Integrity, reason: Reason) -> (Integrity, Reason) {
        if self.gain.to_bits() == 1_f64.to_bits() {
            return (integrity, reason);
        }
        (Integrity::Mixed, Reason::Gain)
    }

    fn report(&self, client: u32, leader: Option<&Who>, told: (Integrity, Reason)) -> ClientReport {
        let (integrity, reason) = self.integrity(told.0, told.1);
        let shared = &self.shared;
        ClientReport {
            client,
            who: self.who.clone(),
            leads: leader == Some(&self.who),
            runs: self.seat.is_some(),
            later: shared.is_later.load(Relaxed),
            blocks: shared.blocks.load(Relaxed),
            lates: shared.lates.load(Relaxed),
            changes: shared.changes.load(Relaxed),
            answer_ns: shared.answer_ns.load(Relaxed),
            longest_answer_ns: shared.longest_answer_ns.swap(0, Relaxed),
            inputs: self.segment.inputs,
            outputs: self.segment.outputs,
            gain: self.gain,
            muted: shared.is_muted.load(Relaxed),
            peaks: shared.peaks.iter().map(crate::meter::Peak::take).collect(),
            integrity: integrity.to_string(),
            reason: reason.to_string(),
        }
    }
}
