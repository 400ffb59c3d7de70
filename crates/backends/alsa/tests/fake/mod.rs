//! A kernel with sound cards that are not there: rings that move with simulated time, interrupts, xruns, suspends and
//! unplugging as Linux does them. What was played is heard; on cards with both directions it is captured too.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod card;
mod pcm;

use barewire_alsa::kernel::{
    Control, Errno, Holder, Kernel, MixerElement, Pcm, Ready, Waiter, errno,
};
use barewire_alsa::uapi::{CAPTURE, CardInfo, PcmInfo};
use barewire_rt::{SimulatedSystem, System, Wake, Waker};
use barewire_types::Ns;
use card::Card;
use pcm::{FakePcm, Line};
use std::mem::zeroed;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// All cards, and what goes on in them.
pub(crate) struct World {
    pub(crate) system: Arc<SimulatedSystem>,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) cards: Vec<(Card, bool)>,
    /// Two lines a card: what is played, what is captured.
    pub(crate) lines: Vec<Line>,
    /// Calls that the device thread may not make often, counted.
    pub(crate) calls: Calls,
}

/// How often the backend asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) opened: u32,
    pub(crate) closed: u32,
    pub(crate) waits: u32,
    pub(crate) xruns: u32,
}

impl World {
    pub(crate) fn new(cards: Vec<Card>) -> Arc<Self> {
        let lines = cards.iter().flat_map(|_| [Line::default(), Line::default()]).collect();
        let cards = cards.into_iter().map(|card| (card, true)).collect();
        let state = Mutex::new(State { cards, lines, calls: Calls::default() });
        Arc::new(Self { system: SimulatedSystem::new(5_000_000_000), state })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The state at this moment.
    pub(crate) fn now(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.run_to(self.system.now_ns());
        state
    }

    pub(crate) fn kernel(self: &Arc<Self>) -> Arc<dyn Kernel> {
        Arc::new(FakeKernel(self.clone()))
    }

    /// What a card has played since its PCM was opened, interleaved.
    pub(crate) fn heard(&self, card: usize) -> Vec<u8> {
        self.now().lines[2 * card].heard.clone()
    }

    /// What a card has played since the last call; for cards that do not capture what they play.
    pub(crate) fn take_heard(&self, card: usize) -> Vec<u8> {
        self.now().lines[2 * card].heard.split_off(0)
    }

    /// Pulls a card out.
    pub(crate) fn unplug(&self, card: usize) {
        let mut state = self.now();
        state.cards[card].1 = false;
        state.lines[2 * card].disconnect();
        state.lines[2 * card + 1].disconnect();
    }

    /// Plugs it in again.
    pub(crate) fn plug(&self, card: usize) {
        self.now().cards[card].1 = true;
    }

    /// The machine sleeps and wakes up: every running PCM is suspended.
    pub(crate) fn suspend(&self) {
        self.now().lines.iter_mut().for_each(Line::suspend);
    }
}

/// The number of a line: two a card.
pub(crate) fn line_of(card: u32, direction: i32) -> usize {
    2 * card as usize + usize::from(direction == CAPTURE)
}

struct FakeKernel(Arc<World>);

impl FakeKernel {
    fn card(&self, card: u32) -> Result<Card, Errno> {
        let state = self.0.now();
        match state.cards.get(card as usize) {
            Some((card, true)) => Ok(card.clone()),
            _ => Err(errno::ENODEV),
        }
    }
}

impl Kernel for FakeKernel {
    fn cards(&self) -> Vec<u32> {
        let state = self.0.now();
        (0_u32..).zip(&state.cards).filter(|(_, (_, there))| *there).map(|(n, _)| n).collect()
    }

    fn open_control(&self, card: u32) -> Result<Box<dyn Control>, Errno> {
        Ok(Box::new(FakeControl { number: card, card: self.card(card)? }))
    }

    fn open_pcm(&self, card: u32, device: u32, direction: i32) -> Result<Box<dyn Pcm>, Errno> {
        let model = self.card(card)?;
        let hardware = model.side(direction).filter(|_| device == 0).ok_or(errno::ENOENT)?;
        if let Some(code) = model.refusal {
            return Err(code);
        }
        let mut state = self.0.now();
        let line = &mut state.lines[line_of(card, direction)];
        if model.holder.is_some() || line.is_open {
            return Err(errno::EBUSY);
        }
        *line = Line::opened(hardware.clone(), direction, model.offset_ppm);
        state.calls.opened += 1;
        Ok(Box::new(FakePcm { world: self.0.clone(), line: line_of(card, direction) }))
    }

    fn holders(&self, card: u32, _: u32, _: i32) -> Vec<Holder> {
        self.card(card).ok().and_then(|card| card.holder).into_iter().collect()
    }

    fn waiter(&self) -> Result<Box<dyn Waiter>, Errno> {
        Ok(Box::new(FakeWaiter { world: self.0.clone(), flag: Arc::default() }))
    }
}

struct FakeControl {
    number: u32,
    card: Card,
}

fn put(text: &str, place: &mut [u8]) {
    place[..text.len()].copy_from_slice(text.as_bytes());
}

impl Control for FakeControl {
    fn card_info(&self) -> Result<CardInfo, Errno> {
        // SAFETY: a structure of integers.
        let mut info: CardInfo = unsafe { zeroed() };
        info.card = i32::try_from(self.number).unwrap();
        put(self.card.id, &mut info.id);
        put(self.card.driver, &mut info.driver);
        put("Fake Sound", &mut info.name);
        Ok(info)
    }

    fn next_device(&self, after: i32) -> Result<Option<u32>, Errno> {
        Ok((after < 0).then_some(0))
    }

    fn pcm_info(&self, device: u32, direction: i32) -> Result<PcmInfo, Errno> {
        if device != 0 || self.card.side(direction).is_none() {
            return Err(errno::ENOENT);
        }
        // SAFETY: a structure of integers.
        let mut info: PcmInfo = unsafe { zeroed() };
        put("Analog", &mut info.name);
        Ok(info)
    }

    fn mixer(&self) -> Result<Vec<MixerElement>, Errno> {
        Ok(self.card.mixer.clone())
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(&self) {
        self.0.store(true, Ordering::Release);
    }
}

struct FakeWaiter {
    world: Arc<World>,
    flag: Arc<Flag>,
}

impl Waiter for FakeWaiter {
    fn waker(&self) -> Waker {
        self.flag.clone()
    }

    fn wait(&mut self, descriptor: i32, until: Ns) -> Ready {
        loop {
            let next = {
                let mut state = self.world.now();
                state.calls.waits += 1;
                // No descriptor: only the waker and the time end the wait.
                let line = usize::try_from(descriptor).ok().map(|n| &state.lines[n]);
                if self.flag.0.swap(false, Ordering::AcqRel) {
                    return Ready::Woken;
                }
                if line.is_some_and(Line::is_ready) {
                    return Ready::Pcm;
                }
                line.and_then(Line::next_interrupt_ns)
            };
            if self.world.system.now_ns() >= until {
                return Ready::Time;
            }
            let until = next.map_or(until, |next| next.min(until));
            self.world.system.sleep(&AtomicU32::new(0), 0, until);
        }
    }
}

impl State {
    /// Lets all hardware move up to `now`, interrupt by interrupt.
    pub(crate) fn run_to(&mut self, now: Ns) {
        loop {
            let next = self.lines.iter().filter_map(Line::next_interrupt_ns).min();
            let at = next.map_or(now, |next| next.min(now));
            self.move_to(at);
            if next.is_none_or(|next| next > now) {
                return;
            }
        }
    }

    fn move_to(&mut self, now: Ns) {
        for card in 0..self.cards.len() {
            // Playback first: what is played now may be captured now.
            let [playback, capture] = &mut self.lines[2 * card..2 * card + 2] else { return };
            playback.play(now);
            capture.record(now, playback);
            let failed = [playback.interrupt(now), capture.interrupt(now)];
            for (n, _) in failed.iter().enumerate().filter(|(_, failed)| **failed) {
                self.calls.xruns += 1;
                let is_linked = self.lines[2 * card + n].is_linked;
                self.lines[2 * card + n].fail();
                if is_linked {
                    self.lines[2 * card + 1 - n].fail();
                }
            }
        }
    }

    /// The line and, if it is linked, the other direction of its card.
    pub(crate) fn group(&self, line: usize) -> Vec<usize> {
        if self.lines[line].is_linked { vec![line & !1, line | 1] } else { vec![line] }
    }
}
