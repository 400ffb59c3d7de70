//! Threads that run one at a time, in an order that a seed fixes, in time that only passes when all of them wait.
//!
//! The same seed gives the same schedule, told by a hash over every step: who did what at which time. Whoever waits for
//! ever together with all others is a deadlock, which panics and names them.

use barewire_rt::system::Join;
use barewire_rt::{Ns, Role, System, Thread, Woken};
use barewire_types::{Error, ErrorKind, Result};
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

thread_local! {
    static OWN: Cell<usize> = const { Cell::new(0) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Waiting { words: [usize; 2], until: Ns },
    Ended,
}

struct Member {
    name: String,
    state: State,
    turn: Arc<Condvar>,
}

struct Schedule {
    members: Vec<Member>,
    current: usize,
    random: u64,
    hash: u64,
    switches: u64,
    /// Set when a member panicked or all wait for ever: everyone else gives up.
    broken: Option<String>,
}

/// The system of a simulation.
pub struct BatonSystem {
    now_ns: AtomicU64,
    schedule: Mutex<Schedule>,
    /// A wake lets another thread go first once in so many times.
    preempt_once_in: u64,
    /// For threads, which may outlive whoever made the simulation.
    own: Weak<BatonSystem>,
}

impl fmt::Debug for BatonSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatonSystem").field("now_ns", &self.now_ns).finish_non_exhaustive()
    }
}

/// Time beyond which nobody waits in earnest.
const FOR_EVER: Ns = u64::MAX / 2;

impl BatonSystem {
    /// A simulation in which the calling thread has the baton.
    pub fn new(seed: u64) -> Arc<Self> {
        OWN.set(0);
        let first = Member { name: "test".to_owned(), state: State::Ready, turn: Arc::default() };
        Arc::new_cyclic(|own| Self {
            own: own.clone(),
            now_ns: AtomicU64::new(1_000_000),
            schedule: Mutex::new(Schedule {
                members: vec![first],
                current: 0,
                random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
                hash: 0xCBF2_9CE4_8422_2325,
                switches: 0,
                broken: None,
            }),
            preempt_once_in: 4,
        })
    }

    /// A hash over all steps so far.
    pub fn hash(&self) -> u64 {
        self.lock().hash
    }

    /// How often the baton changed hands.
    pub fn switches(&self) -> u64 {
        self.lock().switches
    }

    /// Lets the other threads run until all have ended, at most for `length_ns`; whether they have.
    pub fn finish(&self, length_ns: Ns) -> bool {
        let until = self.now() + length_ns;
        let all_ended = || {
            let schedule = self.lock();
            let own = OWN.get();
            let mut others = schedule.members.iter().enumerate().filter(|(n, _)| *n != own);
            others.all(|(_, member)| member.state == State::Ended)
        };
        while !all_ended() {
            if self.now() >= until {
                return false;
            }
            let nap = self.now() + 10_000_000;
            self.wait(&AtomicU32::new(0), 0, nap);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Ns {
        self.now_ns.load(Ordering::Relaxed)
    }

    /// Gives the baton to whoever the seed chooses among those that can run, letting time pass if nobody can; returns
    /// when the caller has it again.
    fn pass_on<'a>(&'a self, mut schedule: MutexGuard<'a, Schedule>) {
        let own = OWN.get();
        let next = self.choose(&mut schedule);
        if next != own {
            schedule.switches += 1;
            schedule.current = next;
            schedule.members[next].turn.notify_one();
            let turn = schedule.members[own].turn.clone();
            while schedule.current != own && schedule.broken.is_none() {
                schedule = turn.wait(schedule).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if let Some(why) = &schedule.broken
            && !std::thread::panicking()
        {
            let why = why.clone();
            drop(schedule);
            #[expect(clippy::panic, reason = "a simulation that cannot go on has failed")]
            {
                panic!("{why}");
            }
        }
    }

    fn choose(&self, schedule: &mut Schedule) -> usize {
        loop {
            let now = self.now();
            let mut earliest = FOR_EVER;
            for member in &mut schedule.members {
                if let State::Waiting { until, .. } = member.state {
                    if until <= now {
                        member.state = State::Ready;
                    } else {
                        earliest = earliest.min(until);
                    }
                }
            }
            let ready = |schedule: &Schedule| -> Vec<usize> {
                let is_ready = |n: &usize| schedule.members[*n].state == State::Ready;
                (0..schedule.members.len()).filter(is_ready).collect()
            };
            // Nearly always there is nobody or one: no list is made for it.
            let count =
                schedule.members.iter().filter(|member| member.state == State::Ready).count();
            if count == 1 {
                let one = schedule.members.iter().position(|member| member.state == State::Ready);
                return self.note(schedule, one.unwrap_or(0));
            }
            if count > 1 {
                let all = ready(schedule);
                let chosen = all[schedule.draw(all.len() as u64)];
                return self.note(schedule, chosen);
            }
            if earliest >= FOR_EVER {
                let names: Vec<&str> = schedule
                    .members
                    .iter()
                    .filter(|member| member.state != State::Ended)
                    .map(|member| member.name.as_str())
                    .collect();
                schedule.broken = Some(format!("deadlock: {} wait for ever", names.join(", ")));
                schedule.members.iter().for_each(|member| member.turn.notify_one());
                return OWN.get();
            }
            self.now_ns.store(earliest, Ordering::Relaxed);
        }
    }

    fn note(&self, schedule: &mut Schedule, chosen: usize) -> usize {
        schedule.mix(chosen as u64);
        schedule.mix(self.now());
        chosen
    }

    fn wait(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken {
        self.wait_any(&[(word, expected)], until)
    }

    fn wait_any(&self, words: &[(&AtomicU32, u32)], until: Ns) -> Woken {
        let mut addresses = [0; 2];
        for (address, (word, _)) in addresses.iter_mut().zip(words) {
            *address = std::ptr::from_ref(*word).addr();
        }
        while words.iter().all(|(word, expected)| word.load(Ordering::Acquire) == *expected) {
            if until <= self.now() {
                return Woken::Time;
            }
            let mut schedule = self.lock();
            schedule.members[OWN.get()].state = State::Waiting { words: addresses, until };
            self.pass_on(schedule);
        }
        Woken::Word
    }
}

impl Schedule {
    fn draw(&mut self, below: u64) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.random >> 33) % below.max(1)).unwrap_or(0)
    }

    fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01B3);
    }
}

impl System for BatonSystem {
    fn now_ns(&self) -> Ns {
        self.now()
    }

    fn sleep(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken {
        self.wait(word, expected, until)
    }

    fn await_word(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken {
        self.wait(word, expected, until)
    }

    fn await_shared(&self, words: &[(&AtomicU32, u32)], until: Ns) -> Woken {
        self.wait_any(words, until)
    }

    fn wake_shared(&self, word: &AtomicU32) {
        self.wake(word);
    }

    fn wake(&self, word: &AtomicU32) {
        let mut schedule = self.lock();
        let address = std::ptr::from_ref(word).addr();
        let mut woken = false;
        for member in &mut schedule.members {
            if matches!(member.state, State::Waiting { words, .. } if words.contains(&address)) {
                member.state = State::Ready;
                woken = true;
            }
        }
        let preempt = woken && schedule.draw(self.preempt_once_in) == 0;
        if preempt {
            self.pass_on(schedule);
        }
    }

    fn spawn(&self, name: &str, _: Role, body: Box<dyn FnOnce() + Send>) -> Result<Thread> {
        let mut schedule = self.lock();
        let own = schedule.members.len();
        let turn: Arc<Condvar> = Arc::default();
        schedule.members.push(Member {
            name: name.to_owned(),
            state: State::Ready,
            turn: turn.clone(),
        });
        drop(schedule);
        let Some(system) = self.own.upgrade() else {
            return Err(Error::new(ErrorKind::WrongState, "the simulation is over"));
        };
        let done = Arc::new(AtomicU32::new(0));
        let its = done.clone();
        let handle = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                OWN.set(own);
                let mut schedule = system.lock();
                while schedule.current != own && schedule.broken.is_none() {
                    schedule = turn.wait(schedule).unwrap_or_else(PoisonError::into_inner);
                }
                drop(schedule);
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
                its.store(1, Ordering::Release);
                system.leave(own, &its, result.is_err());
                drop(system);
            })
            .map_err(Error::from)?;
        let joiner =
            BatonJoin { system: self.own.clone(), done, own, handle: Mutex::new(Some(handle)) };
        Ok(Thread::new(Box::new(joiner)))
    }

    fn is_simulated(&self) -> bool {
        true
    }
}

impl BatonSystem {
    /// A member has ended: it wakes who joins it and passes the baton on for good.
    fn leave(&self, own: usize, done: &AtomicU32, panicked: bool) {
        let mut schedule = self.lock();
        schedule.members[own].state = State::Ended;
        let address = std::ptr::from_ref(done).addr();
        for member in &mut schedule.members {
            if matches!(member.state, State::Waiting { words, .. } if words.contains(&address)) {
                member.state = State::Ready;
            }
        }
        if panicked {
            schedule.broken = Some(format!("the thread {} panicked", schedule.members[own].name));
            schedule.members.iter().for_each(|member| member.turn.notify_one());
            return;
        }
        if schedule.broken.is_none() {
            let next = self.choose(&mut schedule);
            schedule.switches += 1;
            schedule.current = next;
            schedule.members[next].turn.notify_one();
        }
    }
}

struct BatonJoin {
    system: Weak<BatonSystem>,
    done: Arc<AtomicU32>,
    own: usize,
    handle: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Join for BatonJoin {
    fn join(&self, until: Ns) -> bool {
        if let Some(system) = self.system.upgrade() {
            system.wait(&self.done, 0, until);
        }
        if self.done.load(Ordering::Acquire) == 0 {
            return false;
        }
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            // It has passed the baton on and only returns from its function now.
            let _ = handle.join();
        }
        true
    }

    fn is_current(&self) -> bool {
        OWN.get() == self.own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64) -> (Vec<u32>, u64) {
        let system = BatonSystem::new(seed);
        let order = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<Thread> = (0..4)
            .map(|n| {
                let (its, order) = (system.clone(), order.clone());
                let body = move || {
                    for k in 0..5 {
                        order.lock().unwrap().push(n * 10 + k);
                        its.sleep(&AtomicU32::new(0), 0, its.now_ns() + 100);
                    }
                };
                system.spawn(&format!("t{n}"), Role::Helper, Box::new(body)).unwrap()
            })
            .collect();
        assert!(threads.iter().all(|thread| thread.join(u64::MAX)));
        let order = order.lock().unwrap().clone();
        (order, system.hash())
    }

    #[test]
    fn a_seed_fixes_the_schedule_and_another_seed_gives_another_one() {
        let orders: Vec<(Vec<u32>, u64)> = (0..20).map(run).collect();
        for (seed, first) in orders.iter().enumerate() {
            assert_eq!(*first, run(seed as u64), "seed {seed}");
        }
        let mut distinct: Vec<&Vec<u32>> = orders.iter().map(|(order, _)| order).collect();
        distinct.sort();
        distinct.dedup();
        assert!(distinct.len() > 15);
    }

    #[test]
    fn who_waits_for_ever_is_found_out() {
        let system = BatonSystem::new(1);
        let result =
            std::panic::catch_unwind(|| system.await_word(&AtomicU32::new(0), 0, u64::MAX));
        assert!(result.is_err());
    }
}
