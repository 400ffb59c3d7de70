//! What lives from createBuffers to disposeBuffers: the keeper with its open device, and the notifier.

use crate::config::ConfigSource;
use crate::events::Journal;
use crate::keeper::{Keeper, KeeperHand};
use crate::notifier::{Notifier, Request, Requests};
use crate::opening::{Opened, Opening};
use crate::rate::Rates;
use barewire_abi::HostCallbacks;
use barewire_device::Below;
use barewire_engine::{EngineEvent, EventKind, FallbackControl, PairMeter};
use barewire_rt::{EventReader, Lock, System};
use barewire_settings::LogLevel;
use barewire_types::{Error, ErrorKind, Latency, Ns, RateHz, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// How long a thread that ends may take.
pub(crate) const JOIN_NS: Ns = 2_000_000_000;
/// How long a device may take to open.
const OPEN_NS: Ns = 10_000_000_000;
/// How long a device may be away before the host is asked for a reset: who only moves a plug is not disturbed.
const AWAY_NS: Ns = 10_000_000_000;
/// A device that is lost again before this has passed was not back.
const BACK_NS: Ns = 10_000_000_000;

/// What the driver and the keeper know of the device together.
pub(crate) struct Known {
    /// What lies below the device and changes while it runs.
    pub(crate) below: Lock<Option<Arc<dyn Below>>>,
    /// Rates that can be set; looked at from within callbacks too, held for a copy only.
    pub(crate) rates: Lock<Arc<Rates>>,
    /// The rate in force, for every query at any time.
    pub(crate) rate_hz: Arc<AtomicU32>,
}

impl Known {
    pub(crate) fn new(system: &Arc<dyn System>) -> Arc<Self> {
        Arc::new(Self {
            below: Lock::new(system.clone(), None),
            rates: Lock::new(system.clone(), Arc::default()),
            rate_hz: Arc::default(),
        })
    }

    /// Latency that the device has for now, beside what it was opened with.
    pub(crate) fn added_latency(&self) -> Latency {
        let below = self.below.lock().clone();
        below.map_or_else(Latency::default, |below| below.added_latency())
    }
}

/// Opens devices for a run, on the keeper's thread.
pub(crate) struct Reopener {
    pub(crate) opening: Opening,
    pub(crate) rate: Lock<RateHz>,
    /// Whether the stream in use is at another rate than its device, since the engine counts on that.
    is_converted: AtomicBool,
    /// How two joined devices get along.
    pub(crate) meter: Lock<Option<Arc<PairMeter>>>,
    pub(crate) control: Lock<Option<FallbackControl>>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) journal: Arc<Lock<Journal>>,
    pub(crate) system: Arc<dyn System>,
    /// The device was handed out on purpose, to be opened at another rate.
    pub(crate) swapping: AtomicBool,
    /// The last opening failed.
    has_failed: AtomicBool,
    trouble: Lock<Trouble>,
    known: Arc<Known>,
    /// What the host was told last.
    added_latency: Lock<Latency>,
}

/// How long a device has been away.
#[derive(Debug, Default)]
struct Trouble {
    /// Since when, with short returns in between.
    since_ns: Option<Ns>,
    /// When it was last seen to be away.
    latest_ns: Ns,
}

impl Trouble {
    /// Whether it has been away for too long, now that it is away or not.
    fn is_lasting(&mut self, is_away: bool, now_ns: Ns) -> bool {
        if is_away {
            self.latest_ns = now_ns;
            let since_ns = *self.since_ns.get_or_insert(now_ns);
            return now_ns.saturating_sub(since_ns) >= AWAY_NS;
        }
        if now_ns.saturating_sub(self.latest_ns) >= BACK_NS {
            self.since_ns = None;
        }
        false
    }
}

/// The threads of a prepared driver.
pub(crate) struct Crew {
    keeper: Keeper,
    notifier: Notifier,
    pub(crate) reopener: Arc<Reopener>,
}

/// What the notifier reads.
pub(crate) struct Ears {
    pub(crate) events: [EventReader<EngineEvent>; 2],
    pub(crate) journal: Arc<Lock<Journal>>,
    /// The host has asked whether xruns are reported.
    pub(crate) reports_overload: Arc<AtomicBool>,
}

impl Ears {
    fn listen(&mut self, requests: &Requests) {
        for reader in &mut self.events {
            while let Some(event) = reader.pop() {
                match event.kind {
                    EventKind::Xrun { .. } | EventKind::Late
                        if self.reports_overload.load(Ordering::Relaxed) =>
                    {
                        requests.ask(Request::Overload);
                    }
                    EventKind::ModeChanged { .. } => requests.ask(Request::LatenciesChanged),
                    _ => {}
                }
                self.journal.lock().add(event);
            }
            let dropped = reader.newly_dropped();
            self.journal.lock().dropped += dropped;
        }
    }
}

impl Reopener {
    pub(crate) fn new(
        opening: Opening,
        rate: RateHz,
        requests: Arc<Requests>,
        journal: Arc<Lock<Journal>>,
        known: Arc<Known>,
    ) -> Arc<Self> {
        let system = opening.system.clone();
        Arc::new(Self {
            opening,
            rate: Lock::new(system.clone(), rate),
            is_converted: AtomicBool::new(false),
            meter: Lock::new(system.clone(), None),
            control: Lock::new(system.clone(), None),
            requests,
            journal,
            swapping: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            trouble: Lock::new(system.clone(), Trouble::default()),
            known,
            added_latency: Lock::new(system.clone(), Latency::default()),
            system,
        })
    }

    fn open(&self) -> Result<Opened> {
        let rate = *self.rate.lock();
        let opened = self.opening.open(rate)?;
        *self.meter.lock() = opened.meter.clone();
        *self.known.below.lock() = opened.changing.clone();
        Ok(opened)
    }

    /// Whoever shares the device with others may be served later than it was: the host is told.
    fn look_at_latency(&self) {
        let added = self.known.added_latency();
        if std::mem::replace(&mut *self.added_latency.lock(), added) != added {
            let frames = added.output_frames;
            self.say(
                LogLevel::Info,
                &format!("outputs now take {frames} frames more than at first"),
            );
            self.requests.ask(Request::LatenciesChanged);
        }
    }

    /// Whoever leads has changed the rate of a device that is shared: the host is told, and asked to follow.
    fn follow(&self) {
        let id = &self.opening.first.leader.request.id;
        let devices = self.opening.first.leader.backend.devices().unwrap_or_default();
        let device = devices.into_iter().find(|device| device.id == *id);
        let caps = device.and_then(|device| device.playback.or(device.capture));
        let Some([rate]) = caps.as_ref().map(|caps| caps.rates.as_slice()) else { return };
        *self.known.rates.lock() = Arc::new(Rates { device: vec![*rate], converts: false });
        *self.rate.lock() = *rate;
        self.known.rate_hz.store(rate.get(), Ordering::Release);
        self.say(
            LogLevel::Warn,
            &format!("the device that is shared now runs at {rate}; the host is asked to follow"),
        );
        self.requests.ask(Request::RateChanged);
        self.requests.ask(Request::Reset);
    }

    /// Closes what is out of use, and opens the device anew if it is lost or was handed out. Keeper.
    fn look_after(&self) {
        self.look_at_latency();
        let Some(control) = self.control.lock().clone() else { return };
        let dead = control.take_dead();
        let closed = dead.is_some();
        drop(dead);
        let handed_out = closed && self.swapping.load(Ordering::Acquire);
        // One that was handed out for another rate is not away, however often that happens.
        let is_away = control.is_lost() || self.has_failed.load(Ordering::Acquire);
        if self.trouble.lock().is_lasting(is_away, self.system.now_ns()) {
            self.requests.ask(Request::Reset);
        }
        if !(is_away || handed_out) || control.has_offer() {
            return;
        }
        match self.open() {
            Ok(opened) => self.put_in(&control, opened),
            Err(error) => self.tell_failure(&error),
        }
    }

    /// Offers what was opened to the stream that waits for it.
    fn put_in(&self, control: &FallbackControl, Opened { stream, below, .. }: Opened) {
        self.has_failed.store(false, Ordering::Release);
        self.swapping.store(false, Ordering::Release);
        let was_converted = self.is_converted.load(Ordering::Relaxed);
        if below.is_some() != was_converted || !control.fits(&stream.shape()) {
            let text = "the device came back with another shape; the host is asked for a reset";
            self.say(LogLevel::Warn, text);
            self.requests.ask(Request::Reset);
        } else if let Err(stream) = control.offer(stream) {
            drop(stream);
        }
    }

    fn tell_failure(&self, error: &Error) {
        if self.has_failed.swap(true, Ordering::AcqRel) {
            return;
        }
        if error.kind() == ErrorKind::UnsupportedRate {
            self.follow();
        }
        self.say(LogLevel::Warn, &format!("the device cannot be opened again yet: {error}"));
    }

    /// Opens the device for a stream that has put it away.
    fn open_again(&self) -> Result<()> {
        let Some(control) = self.control.lock().clone() else { return Ok(()) };
        drop(control.take_dead());
        self.swapping.store(false, Ordering::Release);
        if control.has_offer() {
            return Ok(());
        }
        let opened = self.open()?;
        if !control.fits(&opened.stream.shape()) {
            let text = "the device is not what it was when it was let go";
            return Err(
                Error::new(ErrorKind::Lost, text).remedy("let the program make its buffers anew")
            );
        }
        drop(control.offer(opened.stream).err());
        Ok(())
    }

    fn say(&self, level: LogLevel, text: &str) {
        self.journal.lock().say(level, self.system.now_ns(), text.to_owned());
    }
}

impl Crew {
    /// Starts both threads.
    pub(crate) fn start(
        driver: usize,
        reopener: Arc<Reopener>,
        host: Arc<dyn HostCallbacks>,
        config: Arc<dyn ConfigSource>,
        mut ears: Ears,
        mut write_down: impl FnMut() + Send + 'static,
    ) -> Result<Self> {
        let (requests, its) = (reopener.requests.clone(), reopener.clone());
        let mut told = false;
        let round = move || {
            its.look_after();
            write_down();
            if !told && config.has_changed() {
                told = true;
                its.say(LogLevel::Info, "the settings have changed; the host is asked for a reset");
                its.requests.ask(Request::Reset);
            }
        };
        let keeper = Keeper::start(&reopener.system, driver, round)?;
        let rate_hz = reopener.known.rate_hz.clone();
        let listen = move |requests: &Requests| ears.listen(requests);
        let notifier = Notifier::start(&reopener.system, driver, host, requests, rate_hz, listen);
        match notifier {
            Ok(notifier) => Ok(Self { keeper, notifier, reopener }),
            Err(error) => {
                keeper.end(JOIN_NS);
                Err(error)
            }
        }
    }

    /// Opens the device on the keeper's thread.
    pub(crate) fn open(&self) -> Result<Opened> {
        let reopener = self.reopener.clone();
        let opened = self.keeper.hand().ask(OPEN_NS, move || reopener.open())??;
        self.reopener.is_converted.store(opened.below.is_some(), Ordering::Relaxed);
        Ok(opened)
    }

    /// Has the device closed that the stream has put away.
    pub(crate) fn close_what_was_put_away(&self) {
        let reopener = self.reopener.clone();
        // Late is as good: the keeper does it all the same.
        let _ = self.keeper.hand().ask(JOIN_NS, move || reopener.look_after());
    }

    /// Opens the device again that was put away, for a stream that is about to start.
    pub(crate) fn open_again(&self) -> Result<()> {
        let reopener = self.reopener.clone();
        self.keeper.hand().ask(OPEN_NS, move || reopener.open_again())?
    }

    pub(crate) fn hand(&self) -> KeeperHand {
        self.keeper.hand()
    }

    pub(crate) fn requests(&self) -> &Requests {
        &self.notifier.requests
    }

    pub(crate) fn requests_shared(&self) -> Arc<Requests> {
        self.notifier.requests.clone()
    }

    /// Changes the rate of the device while it plays: silence goes on meanwhile.
    pub(crate) fn change_rate(&self, rate: RateHz) {
        *self.reopener.rate.lock() = rate;
        self.reopener.swapping.store(true, Ordering::Release);
        if let Some(control) = &*self.reopener.control.lock() {
            control.request_swap(rate);
        }
    }

    /// Closes everything: `rest` is dropped on the keeper's thread, which then ends.
    pub(crate) fn end<T: Send + 'static>(self, rest: T) {
        let Self { keeper, notifier, reopener } = self;
        notifier.end(JOIN_NS);
        keeper.hand().give(move || {
            drop(rest);
            let control = reopener.control.lock().take();
            drop(control);
        });
        keeper.end(JOIN_NS);
    }

    /// Closes everything once `farewell` has returned, however long that takes, on the keeper's thread.
    pub(crate) fn leave_to_keeper(self, farewell: impl FnOnce() + Send + 'static) {
        let Self { keeper, notifier, reopener } = self;
        keeper.hand().give(move || {
            farewell();
            notifier.end(JOIN_NS);
            drop(reopener.control.lock().take());
        });
        keeper.end(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_NS: Ns = 250_000_000;

    /// When it is seen to last, if the device is away in the rounds that `is_away` names.
    fn lasts_at(rounds: u64, is_away: impl Fn(u64) -> bool) -> Option<Ns> {
        let mut trouble = Trouble::default();
        let first = (0..rounds).find(|&n| trouble.is_lasting(is_away(n), ROUND_NS * (n + 1)));
        first.map(|n| ROUND_NS * n)
    }

    #[test]
    fn a_device_that_stays_away_does_so_after_ten_seconds() {
        assert_eq!(lasts_at(400, |_| true), Some(AWAY_NS));
    }

    #[test]
    fn a_device_that_is_back_only_to_be_lost_again_stays_away() {
        // Away for a round, there for two seconds.
        assert!(lasts_at(400, |n| n % 9 == 0).is_some());
    }

    #[test]
    fn a_device_that_is_lost_now_and_then_does_not_stay_away() {
        // Away for five seconds, there for eleven.
        assert_eq!(lasts_at(4_000, |n| n % 64 < 20), None);
    }
}
