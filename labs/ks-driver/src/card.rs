//! What `driver.c` calls. One card, one lock; Wine sends requests one at a time, a thread of ours keeps the clock.

use crate::world::World;
use barewire_ks_device::{Card, Description, Filter, Outcome, Request};
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// `STATUS_PENDING`.
const PENDING: u32 = 0x103;
/// How often the clock moves the card.
const TICK: Duration = Duration::from_micros(500);
/// How far at most: where this thread is kept from running the card stands still, and does not end several packets at once.
const MOST_STEP: Duration = Duration::from_millis(1);

struct Machine {
    card: Card,
    world: World,
}

fn machine() -> Option<MutexGuard<'static, Machine>> {
    MACHINE.get().map(|machine| machine.lock().unwrap_or_else(PoisonError::into_inner))
}

static MACHINE: OnceLock<Mutex<Machine>> = OnceLock::new();

/// Ends a pending request in the driver: request, status, information.
pub type Complete = extern "C" fn(*mut c_void, u32, u64);
/// Shows or hides the card's interfaces.
pub type Plug = extern "C" fn(i32);

/// The driver was loaded.
#[unsafe(no_mangle)]
pub extern "C" fn bwks_start(complete: Complete, plug: Plug) {
    let card = Card::new(Description::default());
    let world = World::new(complete, plug);
    if MACHINE.set(Mutex::new(Machine { card, world })).is_err() {
        return;
    }
    std::thread::spawn(|| {
        let (mut clock, mut seen) = (Duration::ZERO, Instant::now());
        loop {
            std::thread::sleep(TICK);
            clock += seen.elapsed().min(MOST_STEP);
            seen = Instant::now();
            if let Some(mut machine) = machine()
                && !machine.card.is_stepped()
            {
                let machine = &mut *machine;
                let now = u64::try_from(clock.as_nanos()).unwrap_or(u64::MAX);
                machine.card.run_to(now, &mut machine.world);
            }
        }
    });
}

/// A filter was opened.
#[unsafe(no_mangle)]
pub extern "C" fn bwks_open(is_topology: i32) -> u64 {
    let filter = if is_topology != 0 { Filter::Topology } else { Filter::Wave };
    machine().map_or(0, |mut machine| machine.card.open(filter))
}

/// A filter or pin was closed.
#[unsafe(no_mangle)]
pub extern "C" fn bwks_close(object: u64) {
    if let Some(mut machine) = machine() {
        let machine = &mut *machine;
        machine.card.close(object, &mut machine.world);
    }
}

/// A control request.
///
/// # Safety
/// `input` and `output` have so many bytes; those of a request that stays pending live until it is completed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bwks_control(
    object: u64,
    client: u64,
    code: u32,
    irp: *mut c_void,
    input: *const u8,
    input_bytes: u32,
    output: *mut u8,
    output_bytes: u32,
    information: *mut u64,
) -> u32 {
    let Some(mut machine) = machine() else { return 0xC000_00C0 };
    let machine = &mut *machine;
    // SAFETY: the driver's own copy of the client's bytes.
    let input = unsafe { slice(input, input_bytes) }.to_vec();
    // SAFETY: as above.
    let mut answer = unsafe { slice(output.cast_const(), output_bytes) }.to_vec();
    let request = irp.expose_provenance() as u64;
    machine.world.expect(request, output, answer.len());
    let asked = Request {
        object,
        client,
        pointer_bytes: machine.world.pointer_bytes(client),
        code,
        name: request,
        input: &input,
        output: &mut answer,
    };
    match machine.card.control(asked, &mut machine.world) {
        Outcome::Pending => PENDING,
        Outcome::Done(status, length) => {
            machine.world.forget(request);
            // SAFETY: `output` has as many bytes as `answer`; `information` is the driver's.
            unsafe {
                if !output.is_null() {
                    output.copy_from_nonoverlapping(answer.as_ptr(), answer.len());
                }
                *information = length as u64;
            }
            status
        }
    }
}

/// # Safety
/// `bytes` bytes at `place`, or null.
unsafe fn slice<'a>(place: *const u8, bytes: u32) -> &'a [u8] {
    if place.is_null() || bytes == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(place, bytes as usize) }
}

/// A client wants a request to end.
#[unsafe(no_mangle)]
pub extern "C" fn bwks_cancel(irp: *mut c_void) {
    if let Some(mut machine) = machine() {
        let machine = &mut *machine;
        machine.card.cancel(irp.expose_provenance() as u64, &mut machine.world);
    }
}
