//! What Wine's `mmdevapi` asks a driver for: four functions, and one more for properties (Wine 8, `mmdevdrv.h`).

use crate::client::SimulatedClient;
use crate::pace::machine;
use std::ffi::c_void;
use std::ptr;
use windows::Win32::Foundation::{E_NOTIMPL, PROPERTYKEY, S_OK};
use windows::Win32::Media::Audio::IAudioClient3;
use windows::Win32::System::Com::CoTaskMemAlloc;
use windows::Win32::System::Com::StructuredStorage::PROPVARIANT;
use windows::Win32::System::Memory::{GetProcessHeap, HEAP_FLAGS, HeapAlloc};
use windows::Win32::System::Variant::VT_LPWSTR;
use windows::core::{GUID, HRESULT, Interface, PWSTR};

/// `eRender`.
const RENDER: u32 = 0;
/// The device instance of an endpoint.
const HARDWARE: PROPERTYKEY =
    PROPERTYKEY { fmtid: GUID::from_u128(0xb3f8fa53_0004_438e_9003_51a46e139bfc), pid: 2 };

/// Preferred over every other driver.
#[unsafe(no_mangle)]
extern "system" fn GetPriority() -> i32 {
    3
}

/// The same device has the same id in every process.
fn guid(endpoint: usize, name: &str) -> GUID {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    GUID::from_u128(0x6261_7265_7769_7265 << 64 | u128::from(hash) << 1 | (endpoint as u128 & 1))
}

fn endpoint(wanted: &GUID) -> Option<usize> {
    machine().with(|world, _| {
        (0..world.specs.len()).find(|&at| guid(at, &world.specs[at].name) == *wanted)
    })
}

/// An array on the process's heap, as the caller frees it.
fn on_heap<T: Copy>(items: &[T]) -> *mut T {
    // SAFETY: the heap is the process's own.
    let block =
        unsafe { HeapAlloc(GetProcessHeap().unwrap(), HEAP_FLAGS(0), size_of_val(items).max(1)) };
    assert!(!block.is_null(), "memory");
    // SAFETY: the block has room for all items.
    unsafe { ptr::copy_nonoverlapping(items.as_ptr(), block.cast(), items.len()) };
    block.cast()
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// # Safety
/// All pointers are the caller's, and valid.
#[unsafe(no_mangle)]
unsafe extern "system" fn GetEndpointIDs(
    flow: u32,
    names: *mut *mut PWSTR,
    guids: *mut *mut GUID,
    count: *mut u32,
    default: *mut u32,
) -> HRESULT {
    let found: Vec<(PWSTR, GUID)> = machine().with(|world, _| {
        let specs = world.specs.iter().enumerate();
        specs
            .filter(|(_, spec)| spec.is_render == (flow == RENDER))
            .map(|(at, spec)| (PWSTR(on_heap(&wide(&spec.name))), guid(at, &spec.name)))
            .collect()
    });
    let (all_names, all_guids): (Vec<PWSTR>, Vec<GUID>) = found.into_iter().unzip();
    // SAFETY: as the caller promised.
    unsafe {
        *names = on_heap(&all_names);
        *guids = on_heap(&all_guids);
        *count = u32::try_from(all_names.len()).unwrap();
        *default = 0;
    }
    S_OK
}

/// # Safety
/// All pointers are the caller's, and valid.
#[unsafe(no_mangle)]
unsafe extern "system" fn GetAudioEndpoint(
    id: *const GUID,
    _device: *mut c_void,
    client: *mut *mut c_void,
) -> HRESULT {
    // SAFETY: as the caller promised.
    let Some(endpoint) = endpoint(unsafe { &*id }) else {
        return HRESULT(crate::model::E_NOTFOUND);
    };
    match SimulatedClient::new(endpoint) {
        Ok(made) => {
            let made: IAudioClient3 = made.into();
            // SAFETY: as the caller promised; an `IAudioClient3` is an `IAudioClient`.
            unsafe { *client = made.into_raw() };
            S_OK
        }
        Err(code) => HRESULT(code),
    }
}

#[unsafe(no_mangle)]
extern "system" fn GetAudioSessionManager(_device: *mut c_void, _out: *mut *mut c_void) -> HRESULT {
    E_NOTIMPL
}

/// # Safety
/// All pointers are the caller's, and valid.
#[unsafe(no_mangle)]
unsafe extern "system" fn GetPropValue(
    id: *const GUID,
    key: *const PROPERTYKEY,
    out: *mut PROPVARIANT,
) -> HRESULT {
    // SAFETY: as the caller promised.
    let (id, key) = unsafe { (&*id, &*key) };
    let hardware =
        endpoint(id).and_then(|at| machine().with(|world, _| world.specs[at].hardware.clone()));
    let Some(hardware) = hardware.filter(|_| *key == HARDWARE) else { return E_NOTIMPL };
    let text = wide(&hardware);
    // SAFETY: freed by the caller with `PropVariantClear`.
    let block = unsafe { CoTaskMemAlloc(size_of_val(text.as_slice())) }.cast::<u16>();
    // SAFETY: room for the text; the variant is the caller's.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), block, text.len());
        let variant = &mut (*out).Anonymous.Anonymous;
        variant.vt = VT_LPWSTR;
        variant.Anonymous.pwszVal = PWSTR(block);
    }
    S_OK
}
