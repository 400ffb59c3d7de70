//! Windows as far as the backend sees it, without Windows: handles, events, requests, mapped memory. It watches what the
//! real one would punish: memory that is freed while a request is on its way, and rings that are touched after their pin
//! was closed (the page is gone: the test dies).

use super::Hand;
use barewire_ks::kernel::{
    Code, Event, Failure, Kernel, Listed, Object, Pages, RawHandle, Ready, Ticket, Waiter, code,
};
use barewire_ks::uapi::{Guid, category};
use barewire_ks_device::{
    Card, Description, Filter, Outcome, Request, Share, Surroundings, lab_code, status,
};
use barewire_rt::{Wake, Waker};
use barewire_types::Ns;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

const WAVE: &str = r"\wave";
const TOPOLOGY: &str = r"\topology";
/// How wide pointers are here.
const WIDTH: usize = size_of::<usize>();
/// The one client there is.
const CLIENT: u64 = 1;

fn path(category: &str, reference: &str) -> String {
    format!(r"\\?\root#barewire#0000#{{{category}}}{reference}")
}

/// A machine that was just started.
pub(super) struct Start {
    pub(super) hand: Arc<dyn Hand>,
    pub(super) kernel: Arc<dyn Kernel>,
    pub(super) begin_ns: Ns,
    pub(super) topology_link: String,
}

pub(super) fn start() -> Start {
    let card = Card::new(Description::default());
    let machine = Arc::new(Machine(Mutex::new(State { card, world: World::default() })));
    Start {
        hand: machine.clone(),
        kernel: Arc::new(FakeKernel(machine)),
        begin_ns: 5_000_000_000,
        topology_link: path("dda54a40-1e4c-11d1-a050-405705c10000", TOPOLOGY),
    }
}

struct Machine(Mutex<State>);

struct State {
    card: Card,
    world: World,
}

impl Machine {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Hand for Machine {
    fn command(&self, text: &str, answer: &mut [u8]) -> usize {
        let state = &mut *self.state();
        let (card, world) = (&mut state.card, &mut state.world);
        let (object, client, code, name) = (0, CLIENT, lab_code::COMMAND, 0);
        let input = text.as_bytes();
        match card.control(
            Request { object, client, pointer_bytes: WIDTH, code, name, input, output: answer },
            world,
        ) {
            Outcome::Done(status::SUCCESS, length) => length,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn faults(&self) -> Vec<String> {
        self.state().world.faults.clone()
    }
}

/// A request on its way: its header, and how it ended.
struct Pending {
    header: usize,
    bytes: usize,
    /// Where the samples are.
    data: (usize, usize),
    event: RawHandle,
    outcome: Option<u32>,
}

#[derive(Default)]
struct World {
    shares: BTreeMap<Share, (usize, usize)>,
    next: u64,
    /// Events that are signalled, and whether a wait resets them.
    events: BTreeMap<RawHandle, (bool, bool)>,
    pending: BTreeMap<u64, Pending>,
    /// Pages that clients have: base and length.
    pages: BTreeMap<usize, usize>,
    faults: Vec<String>,
    is_there: Option<bool>,
}

impl World {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn new_event(&mut self, resets: bool) -> RawHandle {
        // As Windows' handles are.
        let handle = usize::try_from(self.number()).unwrap() * 4;
        self.events.insert(handle, (false, resets));
        handle
    }

    fn is_in_pages(&self, address: usize, length: usize) -> bool {
        let page = self.pages.range(..=address).next_back();
        page.is_some_and(|(base, bytes)| address + length <= base + bytes)
    }

    fn free(&mut self, base: usize) -> bool {
        let bytes = self.pages.get(&base).copied().unwrap_or(0);
        let touches =
            |(address, length): (usize, usize)| address < base + bytes && base < address + length;
        let unfinished = self.pending.values().filter(|pending| pending.outcome.is_none());
        let count = unfinished
            .filter(|pending| touches((pending.header, pending.bytes)) || touches(pending.data))
            .count();
        if count > 0 {
            self.faults.push(format!("memory was freed under {count} pending requests"));
            return false;
        }
        self.pages.remove(&base);
        true
    }
}

impl Surroundings for World {
    fn read_memory(&mut self, _: u64, address: u64, bytes: &mut [u8]) -> bool {
        let address = usize::try_from(address).unwrap();
        if !self.is_in_pages(address, bytes.len()) {
            self.faults.push("the driver read what is no memory of the client's".to_owned());
            return false;
        }
        let from = std::ptr::with_exposed_provenance::<u8>(address);
        // SAFETY: the range lies in pages that the client has not freed.
        unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        true
    }

    fn write_memory(&mut self, _: u64, address: u64, bytes: &[u8]) -> bool {
        let address = usize::try_from(address).unwrap();
        if !self.is_in_pages(address, bytes.len()) {
            self.faults.push("the driver wrote what is no memory of the client's".to_owned());
            return false;
        }
        let to = std::ptr::with_exposed_provenance_mut::<u8>(address);
        // SAFETY: as in `read_memory`.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        true
    }

    fn map(&mut self, _: u64, bytes: usize) -> Option<(Share, u64)> {
        let length = bytes.next_multiple_of(4096);
        // SAFETY: a new anonymous mapping.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(base, libc::MAP_FAILED);
        let base = base.expose_provenance();
        let share = self.number();
        self.shares.insert(share, (base, length));
        Some((share, base as u64))
    }

    fn unmap(&mut self, _: u64, share: Share) {
        let (base, length) = self.shares.remove(&share).unwrap();
        let base = std::ptr::with_exposed_provenance_mut(base);
        // Stays reserved, so that nothing else comes to lie there: whoever touches it dies.
        // SAFETY: a mapping of ours.
        unsafe { libc::mprotect(base, length, libc::PROT_NONE) };
    }

    fn get(&mut self, share: Share, offset: usize, bytes: &mut [u8]) {
        let (base, length) = self.shares[&share];
        assert!(offset + bytes.len() <= length);
        let from = std::ptr::with_exposed_provenance::<u8>(base + offset);
        // SAFETY: the range lies in a mapping of ours.
        unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
    }

    fn put(&mut self, share: Share, offset: usize, bytes: &[u8]) {
        let (base, length) = self.shares[&share];
        assert!(offset + bytes.len() <= length);
        let to = std::ptr::with_exposed_provenance_mut::<u8>(base + offset);
        // SAFETY: the range lies in a mapping of ours.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    fn adopt_event(&mut self, _: u64, handle: u64) -> Option<u64> {
        self.events.contains_key(&usize::try_from(handle).ok()?).then_some(handle)
    }

    fn signal(&mut self, event: u64) {
        if let Some(event) = self.events.get_mut(&usize::try_from(event).unwrap()) {
            event.0 = true;
        }
    }

    fn release_event(&mut self, _: u64) {}

    fn complete(&mut self, request: u64, status: u32, output: &[u8]) {
        let pending = self.pending.get_mut(&request).unwrap();
        assert_eq!(pending.outcome, None, "a request ends once");
        pending.outcome = Some(status);
        let (header, length) = (pending.header, pending.bytes.min(output.len()));
        let event = pending.event;
        if let Some(event) = self.events.get_mut(&event) {
            event.0 = true;
        }
        // The system copies the whole output back.
        self.write_memory(CLIENT, header as u64, &output[..length]);
    }

    fn plugged(&mut self, is_there: bool) {
        self.is_there = Some(is_there);
    }
}

/// What `RtlNtStatusToDosError` makes of a status.
fn code_of(status: u32) -> Code {
    match status {
        status::SUCCESS => 0,
        status::BUFFER_OVERFLOW => code::MORE_DATA,
        status::NOT_IMPLEMENTED | status::INVALID_DEVICE_REQUEST => 1,
        status::INVALID_HANDLE => code::INVALID_HANDLE,
        status::INVALID_PARAMETER => code::INVALID_PARAMETER,
        status::BUFFER_TOO_SMALL => code::INSUFFICIENT_BUFFER,
        status::INSUFFICIENT_RESOURCES => code::NO_SYSTEM_RESOURCES,
        status::DEVICE_DOES_NOT_EXIST => code::DEV_NOT_EXIST,
        status::CANCELLED => code::OPERATION_ABORTED,
        status::INVALID_DEVICE_STATE => code::BAD_COMMAND,
        status::NOT_FOUND => 1168,
        status::NO_MATCH => code::NO_MATCH,
        0xC000_0022 => code::ACCESS_DENIED,
        other => panic!("{other:#x} is no status of the card's"),
    }
}

struct FakeKernel(Arc<Machine>);

impl Kernel for FakeKernel {
    fn filters(&self, category: &Guid) -> Result<Vec<Listed>, Code> {
        let state = self.0.state();
        let d = Description::from_text(&state.card.description_text()).unwrap();
        if state.world.is_there == Some(false) {
            return Ok(Vec::new());
        }
        let listed = |category, reference| Listed {
            path: path(category, reference),
            name: Some("Simulated card".to_owned()),
        };
        Ok(match *category {
            category::AUDIO => {
                let category = "6994ad04-93ef-11d0-a3cc-00a0c9223196";
                vec![listed(category, TOPOLOGY), listed(category, WAVE)]
            }
            category::RENDER if d.plays => {
                vec![listed("65e8773e-8f56-11d0-a3b9-00a0c9223196", WAVE)]
            }
            category::CAPTURE if d.captures => {
                vec![listed("65e8773d-8f56-11d0-a3b9-00a0c9223196", WAVE)]
            }
            _ => Vec::new(),
        })
    }

    fn open_filter(&self, path: &str) -> Result<Box<dyn Object>, Code> {
        let mut state = self.0.state();
        if state.world.is_there == Some(false) {
            return Err(code::FILE_NOT_FOUND);
        }
        let filter = match path.rsplit_once('\\') {
            Some((_, "wave")) => Filter::Wave,
            Some((_, "topology")) => Filter::Topology,
            _ => return Err(code::FILE_NOT_FOUND),
        };
        let id = state.card.open(filter);
        Ok(Box::new(FakeObject { machine: self.0.clone(), id }))
    }

    fn create_pin(&self, filter: &dyn Object, connect: &[u8]) -> Result<Box<dyn Object>, Code> {
        let mut state = self.0.state();
        assert!(state.card.is_wave(filter.handle() as u64), "pins belong to the wave filter");
        let id = state.card.open(Filter::Wave);
        let state = &mut *state;
        match state.card.make_pin(id, CLIENT, WIDTH, connect) {
            status::SUCCESS => Ok(Box::new(FakeObject { machine: self.0.clone(), id })),
            refusal => {
                state.card.close(id, &mut state.world);
                Err(code_of(refusal))
            }
        }
    }

    fn event(&self) -> Result<Box<dyn Event>, Code> {
        let handle = self.0.state().world.new_event(true);
        Ok(Box::new(FakeEvent { machine: self.0.clone(), handle }))
    }

    fn waiter(&self) -> Result<Box<dyn Waiter>, Code> {
        Ok(Box::new(FakeWaiter { machine: self.0.clone(), flag: Arc::default() }))
    }

    fn pages(&self, bytes: usize) -> Result<Box<dyn Pages>, Code> {
        let layout = Layout::from_size_align(bytes, 4096).unwrap();
        // SAFETY: the size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        assert!(!base.is_null());
        self.0.state().world.pages.insert(base.expose_provenance(), bytes);
        Ok(Box::new(FakePages { machine: self.0.clone(), base, layout }))
    }
}

struct FakeEvent {
    machine: Arc<Machine>,
    handle: RawHandle,
}

impl Event for FakeEvent {
    fn handle(&self) -> RawHandle {
        self.handle
    }
}

impl Drop for FakeEvent {
    fn drop(&mut self) {
        self.machine.state().world.events.remove(&self.handle);
    }
}

struct FakePages {
    machine: Arc<Machine>,
    base: *mut u8,
    layout: Layout,
}

// SAFETY: memory of its own.
unsafe impl Send for FakePages {}

impl Pages for FakePages {
    fn base(&self) -> *mut u8 {
        self.base
    }
}

impl Drop for FakePages {
    fn drop(&mut self) {
        if self.machine.state().world.free(self.base.addr()) {
            // SAFETY: allocated in `pages` with this layout; no request has it.
            unsafe { dealloc(self.base, self.layout) };
        }
    }
}

struct FakeObject {
    machine: Arc<Machine>,
    id: u64,
}

impl Object for FakeObject {
    fn control(&mut self, code: u32, input: &[u8], output: &mut [u8]) -> Result<usize, Failure> {
        let state = &mut *self.machine.state();
        let world = &mut state.world;
        let asked = Request {
            object: self.id,
            client: CLIENT,
            pointer_bytes: WIDTH,
            code,
            name: 0,
            input,
            output,
        };
        match state.card.control(asked, world) {
            Outcome::Done(status::SUCCESS, length) => Ok(length),
            Outcome::Done(status, needed) => Err(Failure { code: code_of(status), needed }),
            Outcome::Pending => panic!("a control call stays pending"),
        }
    }

    fn ticket(&self) -> Result<Box<dyn Ticket>, Code> {
        let event = self.machine.state().world.new_event(false);
        Ok(Box::new(FakeTicket {
            machine: self.machine.clone(),
            pin: self.id,
            event,
            request: None,
        }))
    }

    fn handle(&self) -> RawHandle {
        usize::try_from(self.id).unwrap()
    }
}

impl Drop for FakeObject {
    fn drop(&mut self) {
        let state = &mut *self.machine.state();
        state.card.close(self.id, &mut state.world);
    }
}

struct FakeTicket {
    machine: Arc<Machine>,
    pin: u64,
    event: RawHandle,
    request: Option<u64>,
}

impl Ticket for FakeTicket {
    unsafe fn submit(&mut self, code: u32, header: *mut u8, bytes: usize) -> Result<(), Code> {
        let state = &mut *self.machine.state();
        assert!(self.request.is_none(), "one request a ticket");
        let request = state.world.number();
        // SAFETY: the caller's header.
        let mut copy = unsafe { std::slice::from_raw_parts(header, bytes) }.to_vec();
        let word = |at: usize| u32::from_le_bytes(copy[at..at + 4].try_into().unwrap()) as usize;
        let pointer = usize::from_le_bytes(copy[40..40 + size_of::<usize>()].try_into().unwrap());
        let data = (pointer, word(32));
        let (header, outcome, event) = (header.expose_provenance(), None, self.event);
        state.world.pending.insert(request, Pending { header, bytes, data, event, outcome });
        state.world.events.insert(self.event, (false, false));
        let world = &mut state.world;
        let (object, client, name) = (self.pin, CLIENT, request);
        let asked = Request {
            object,
            client,
            pointer_bytes: WIDTH,
            code,
            name,
            input: &[],
            output: &mut copy,
        };
        match state.card.control(asked, world) {
            Outcome::Pending => {
                self.request = Some(request);
                Ok(())
            }
            Outcome::Done(status, _) => {
                state.world.pending.remove(&request);
                Err(code_of(status))
            }
        }
    }

    fn poll(&mut self) -> Option<Result<(), Code>> {
        let state = &mut *self.machine.state();
        let request = self.request?;
        let outcome = state.world.pending.get(&request)?.outcome?;
        state.world.pending.remove(&request);
        self.request = None;
        Some(match outcome {
            status::SUCCESS => Ok(()),
            status => Err(code_of(status)),
        })
    }

    fn cancel(&mut self) {
        let state = &mut *self.machine.state();
        if let Some(request) = self.request {
            state.card.cancel(request, &mut state.world);
        }
    }

    fn event(&self) -> RawHandle {
        self.event
    }
}

impl Drop for FakeTicket {
    fn drop(&mut self) {
        let state = &mut *self.machine.state();
        if self.request.is_some() {
            state.world.faults.push("a ticket was dropped with its request pending".to_owned());
        }
        state.world.events.remove(&self.event);
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Polls: simulated time is the lab's.
struct FakeWaiter {
    machine: Arc<Machine>,
    flag: Arc<Flag>,
}

impl Waiter for FakeWaiter {
    fn waker(&self) -> Waker {
        self.flag.clone()
    }

    fn wait(&mut self, events: &[RawHandle], _: Ns) -> Ready {
        if self.flag.0.swap(false, Ordering::AcqRel) {
            return Ready::Woken;
        }
        let world = &mut self.machine.state().world;
        for handle in events {
            let (is_signalled, resets) = world.events.get_mut(handle).expect("an event that lives");
            if *is_signalled {
                *is_signalled = !*resets;
                return Ready::Event;
            }
        }
        Ready::Time
    }
}
