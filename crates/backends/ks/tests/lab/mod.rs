//! A simulated card below the unmodified backend, in time that only we let pass. On Linux the whole of Windows is a fake;
//! under Wine the card is a driver, and everything above it is the product as it is shipped.

#![allow(dead_code, reason = "each test uses a part of it")]

#[cfg(not(windows))]
mod fake;
#[cfg(windows)]
mod wine;

#[cfg(not(windows))]
use fake as machine;
#[cfg(windows)]
use wine as machine;

use barewire_device::contract::Bench;
use barewire_device::{Backend, DeviceId, OpenRequest, SideRequest, Stream};
use barewire_ks::kernel::{
    Code, Event, Holder, Kernel, Listed, Object, Pages, RawHandle, Ready, Waiter, Wired,
};
use barewire_ks::uapi::Guid;
use barewire_ks::{KsBackend, Options};
use barewire_ks_device::Description;
use barewire_rt::system::Thread;
use barewire_rt::{Role, SimulatedSystem, System, Waker, Woken};
use barewire_types::{Ns, RateHz, Result};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

/// Speaks to the card.
pub(crate) trait Hand: Send + Sync {
    /// Does what `text` says; the bytes of the answer.
    fn command(&self, text: &str, answer: &mut [u8]) -> usize;
    /// What the client did wrong with its own memory, as far as the machine can see it.
    fn faults(&self) -> Vec<String>;
}

/// The card, the time, and Windows.
pub(crate) struct Lab {
    pub(crate) hand: Arc<dyn Hand>,
    pub(crate) system: Arc<LabSystem>,
    pub(crate) kernel: Arc<dyn Kernel>,
    pub(crate) id: DeviceId,
    pub(crate) wired: Endpoints,
    /// How the filter with the jacks is opened.
    pub(crate) topology_link: String,
}

/// Time that passes for us and for the card at once.
#[derive(Debug)]
pub(crate) struct LabSystem {
    inner: Arc<SimulatedSystem>,
    hand: Handle,
}

struct Handle(Arc<dyn Hand>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hand")
    }
}

impl LabSystem {
    /// Brings the card to now; when something happens next.
    fn sync(&self) -> Ns {
        let mut answer = [0; 8];
        self.hand.0.command(&format!("run {}", self.inner.now_ns()), &mut answer);
        u64::from_le_bytes(answer)
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, ns: Ns) {
        self.sleep(&AtomicU32::new(0), 0, self.now_ns() + ns);
    }
}

impl System for LabSystem {
    fn now_ns(&self) -> Ns {
        self.inner.now_ns()
    }

    fn sleep(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken {
        let woken = self.inner.sleep(word, expected, until);
        self.sync();
        woken
    }

    fn await_word(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken {
        self.inner.await_word(word, expected, until)
    }

    fn wake(&self, word: &AtomicU32) {
        self.inner.wake(word);
    }

    fn await_shared(&self, words: &[(&AtomicU32, u32)], until: Ns) -> Woken {
        self.inner.await_shared(words, until)
    }

    fn wake_shared(&self, word: &AtomicU32) {
        self.inner.wake_shared(word);
    }

    fn spawn(&self, name: &str, role: Role, body: Box<dyn FnOnce() + Send>) -> Result<Thread> {
        self.inner.spawn(name, role, body)
    }

    fn is_simulated(&self) -> bool {
        true
    }

    fn join_deadline_ns(&self, length_ns: Ns) -> Ns {
        self.inner.join_deadline_ns(length_ns)
    }
}

/// What the system makes of the card's jacks, and which programs it plays for there.
pub(crate) type Endpoints = Arc<Mutex<Vec<(Wired, Vec<Holder>)>>>;

/// The machine's own kernel, but for waits, which let simulated time pass, and for endpoints, which a test makes up.
struct LabKernel {
    inner: Arc<dyn Kernel>,
    wired: Endpoints,
    system: Arc<LabSystem>,
}

impl Kernel for LabKernel {
    fn filters(&self, category: &Guid) -> std::result::Result<Vec<Listed>, Code> {
        self.inner.filters(category)
    }

    fn open_filter(&self, path: &str) -> std::result::Result<Box<dyn Object>, Code> {
        self.inner.open_filter(path)
    }

    fn create_pin(
        &self,
        filter: &dyn Object,
        connect: &[u8],
    ) -> std::result::Result<Box<dyn Object>, Code> {
        self.inner.create_pin(filter, connect)
    }

    fn event(&self) -> std::result::Result<Box<dyn Event>, Code> {
        self.inner.event()
    }

    fn waiter(&self) -> std::result::Result<Box<dyn Waiter>, Code> {
        let (inner, system) = (self.inner.waiter()?, self.system.clone());
        Ok(Box::new(LabWaiter { inner, system }))
    }

    fn pages(&self, bytes: usize) -> std::result::Result<Box<dyn Pages>, Code> {
        self.inner.pages(bytes)
    }

    fn endpoints(&self) -> Vec<Wired> {
        self.wired.lock().unwrap().iter().map(|(wired, _)| wired.clone()).collect()
    }

    fn holders(&self, endpoint: &str) -> Vec<Holder> {
        let wired = self.wired.lock().unwrap();
        let its = wired.iter().filter(|(wired, _)| wired.endpoint == endpoint);
        its.flat_map(|(_, holders)| holders.clone()).collect()
    }
}

struct LabWaiter {
    inner: Box<dyn Waiter>,
    system: Arc<LabSystem>,
}

impl Waiter for LabWaiter {
    fn waker(&self) -> Waker {
        self.inner.waker()
    }

    fn wait(&mut self, events: &[RawHandle], until: Ns) -> Ready {
        /// The card moves by frames, none of which is shorter.
        const LEAST_STEP_NS: Ns = 1_000;
        loop {
            // The real wait, as a poll.
            let ready = self.inner.wait(events, 0);
            let now = self.system.now_ns();
            if ready != Ready::Time || now >= until {
                return ready;
            }
            let next = self.system.sync().max(now + LEAST_STEP_NS);
            self.system.sleep(&AtomicU32::new(0), 0, next.min(until));
        }
    }
}

impl Lab {
    /// A machine with that card.
    pub(crate) fn new(mut description: Description) -> Self {
        let machine::Start { hand, kernel: inner, begin_ns, topology_link } = machine::start();
        if description.topology_link.is_empty() {
            description.topology_link = topology_link;
        }
        let topology_link = description.topology_link.clone();
        let text = format!("describe\n{}", description.to_text());
        hand.command(&text, &mut []);
        let inner_system = SimulatedSystem::new(begin_ns);
        let system = Arc::new(LabSystem { inner: inner_system, hand: Handle(hand.clone()) });
        system.sync();
        let wired = Endpoints::default();
        let kernel = Arc::new(LabKernel { inner, wired: wired.clone(), system: system.clone() });
        let id = DeviceId::new("ks", "none");
        let mut lab = Self { hand, system, kernel, id, wired, topology_link };
        if let Some(first) = lab.backend(Options::default()).devices().unwrap_or_default().first() {
            lab.id = first.id.clone();
        }
        lab
    }

    pub(crate) fn backend(&self, options: Options) -> KsBackend {
        KsBackend::with_kernel(self.system.clone(), self.kernel.clone(), options)
    }

    /// What was played and not yet taken.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut bytes = vec![0; 1 << 18];
            let length = self.hand.command("take", &mut bytes);
            if length == 0 {
                return all;
            }
            all.extend_from_slice(&bytes[..length]);
        }
    }

    pub(crate) fn stats(&self) -> String {
        let mut bytes = vec![0; 1 << 16];
        let length = self.hand.command("stats", &mut bytes);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    pub(crate) fn stat(&self, key: &str) -> u64 {
        let stats = self.stats();
        let line = stats.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{key} in {stats}"))
    }

    /// Everything that no driver likes.
    pub(crate) fn violations(&self) -> Vec<String> {
        let stats = self.stats();
        let told = stats.lines().filter_map(|line| line.strip_prefix("violation="));
        told.map(str::to_owned).chain(self.hand.faults()).collect()
    }

    /// Makes an endpoint of the pin of a jack, on which the system plays for these programs.
    pub(crate) fn wire(&self, endpoint: &str, pin: u32, holders: &[Holder]) {
        let filter = format!("{{2}}.{}", self.topology_link);
        let wired = Wired { endpoint: endpoint.to_owned(), filter, pin };
        self.wired.lock().unwrap().push((wired, holders.to_vec()));
    }

    pub(crate) fn plug(&self, is_there: bool) {
        self.hand.command(&format!("plug {}", u8::from(is_there)), &mut []);
    }

    /// A request for both directions at 48 kHz.
    pub(crate) fn request(&self, period_frames: u32) -> OpenRequest {
        let side = Some(SideRequest { channels: 1, format: None });
        let id = self.id.clone();
        OpenRequest { id, rate: RateHz::DAT, capture: side, playback: side, period_frames }
    }

    pub(crate) fn open(&self, options: Options, request: &OpenRequest) -> Box<dyn Stream> {
        self.backend(options).open(request).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A card for the contract.
pub(crate) fn bench(description: &Description, options: Options, period_frames: u32) -> Bench {
    let lab = Arc::new(Lab::new(description.clone()));
    let mut request = lab.request(period_frames);
    request.capture = request.capture.filter(|_| description.captures);
    request.playback = request.playback.filter(|_| description.plays);
    let is_looped = description.captures && description.plays;
    let (ears, hand) = (lab.clone(), lab.clone());
    Bench {
        system: lab.system.clone(),
        backend: Box::new(lab.backend(options)),
        request,
        heard: Some(Box::new(move || ears.take())),
        is_looped,
        unplug: Some(Box::new(move || hand.plug(false))),
    }
}
