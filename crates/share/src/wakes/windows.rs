//! Windows: an event for the hub, named after the gate, and one for each client, named after its segment.

use crate::Block;
use crate::layout::{GateWords, HeadWords, PageWords};
use crate::memory::{Handle, Shared};
use crate::security::{Descriptor, failed, rights, wide};
use barewire_rt::Tie;
use barewire_types::Result;
use std::os::windows::io::{FromRawHandle, OwnedHandle};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use windows_sys::Win32::System::Threading::{CreateEventW, OpenEventW};

#[derive(Debug)]
pub(super) struct Ties {
    _ties: Vec<Tie>,
}

/// Page, gate and segment.
struct Words {
    page: Shared<PageWords>,
    gate: Shared<GateWords>,
    head: Shared<HeadWords>,
}

impl Words {
    fn new(blocks: &[Arc<Block>; 3]) -> Result<Self> {
        let [page, gate, segment] = blocks.clone();
        Ok(Self { page: Shared::new(page)?, gate: Shared::new(gate)?, head: Shared::new(segment)? })
    }
}

fn name(handle: &Handle) -> Vec<u16> {
    wide(&format!("{}-bell", handle.name()))
}

/// The event of this name; made if it is not there yet.
fn create(handle: &Handle) -> Result<OwnedHandle> {
    let descriptor = Descriptor::own(rights::EVENT)?;
    let attributes = descriptor.attributes();
    // SAFETY: descriptor and terminated name live over the call. Reset by whoever it wakes, and not set at first.
    let raw = unsafe { CreateEventW(&raw const attributes, 0, 0, name(handle).as_ptr()) };
    own(raw)
}

fn open(handle: &Handle) -> Result<OwnedHandle> {
    // SAFETY: a terminated name.
    own(unsafe { OpenEventW(rights::EVENT_USE, 0, name(handle).as_ptr()) })
}

fn own(raw: *mut std::ffi::c_void) -> Result<OwnedHandle> {
    if raw.is_null() {
        return Err(failed("what wakes the other end"));
    }
    // SAFETY: just made or opened, and ours alone.
    Ok(unsafe { OwnedHandle::from_raw_handle(raw) })
}

fn tie(pairs: [(&AtomicU32, Result<OwnedHandle>); 4]) -> Result<Ties> {
    let mut ties = Vec::new();
    for (word, event) in pairs {
        ties.push(Tie::new(word, event?)?);
    }
    Ok(Ties { _ties: ties })
}

impl Ties {
    pub(super) fn of_hub(
        blocks: &[Arc<Block>; 3],
        gate: &Handle,
        segment: &Handle,
    ) -> Result<Self> {
        Self::with(&Words::new(blocks)?, || create(gate), || create(segment))
    }

    pub(super) fn of_client(
        blocks: &[Arc<Block>; 3],
        gate: &Handle,
        segment: &Handle,
    ) -> Result<Self> {
        Self::with(&Words::new(blocks)?, || open(gate), || open(segment))
    }

    fn with(
        words: &Words,
        hub: impl Fn() -> Result<OwnedHandle>,
        client: impl Fn() -> Result<OwnedHandle>,
    ) -> Result<Self> {
        let head = words.head.words();
        tie([
            (&words.page.words().cycle, client()),
            (&head.wakes, client()),
            (&words.gate.words().left, hub()),
            (&head.answered, hub()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use crate::layout::{GateWords, HeadWords, PageWords};
    use crate::wakes::Ties;
    use crate::{Block, Page};
    use barewire_rt::{RealSystem, System, Woken};
    use std::sync::atomic::Ordering;

    #[test]
    fn both_ends_of_two_clients_are_tied_and_a_cycle_wakes_a_client_that_waits_for_it() {
        let bytes = [size_of::<PageWords>(), size_of::<GateWords>(), size_of::<HeadWords>()];
        let [page, gate, head] = bytes.map(|bytes| Block::shared(bytes, false).unwrap());
        let other = Block::shared(bytes[2], false).unwrap();
        let hub = [page.clone(), gate.clone(), head.clone()];
        let _hub = Ties::of_hub(&hub).unwrap();
        let _further = Ties::of_hub(&[page.clone(), gate.clone(), other]).unwrap();
        let names = [&page, &gate, &head].map(|block| block.handle().unwrap());
        let mapped = [0, 1, 2].map(|n| Block::given(names[n], bytes[n], true).unwrap());
        let _client = Ties::of_client(&mapped, names[1], names[2]).unwrap();
        let system = RealSystem::new();
        let (its, theirs) = (Page::new(mapped[0].clone()).unwrap(), Page::new(page).unwrap());
        let wakes = crate::memory::Shared::<HeadWords>::new(mapped[2].clone()).unwrap();
        let (waiting, until) = (system.clone(), system.now_ns() + 20_000_000_000);
        let waiter = std::thread::spawn(move || {
            let words = [(&its.words().cycle, 0), (&wakes.words().wakes, 0)];
            let woken = waiting.await_shared(&words, until);
            (woken, waiting.now_ns() < until)
        });
        std::thread::sleep(std::time::Duration::from_millis(20));
        theirs.words().cycle.store(1, Ordering::Release);
        system.wake_shared(&theirs.words().cycle);
        // Without the event it would lie until its deadline: the memory is mapped at another address.
        assert_eq!(waiter.join().unwrap(), (Woken::Word, true));
    }
}
