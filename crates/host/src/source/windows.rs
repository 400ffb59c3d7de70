//! Windows: a registered driver is made by COM, its class id being the interface's too; a file is loaded directly and asked
//! for its class factory, as some hosts do (rs_asio), without COM.

use super::{Apartment, Loaded, owned, unloadable, whole};
use crate::registry::{self, Entry, OWN_CLASS};
use barewire_abi::Guid;
use barewire_types::{Error, ErrorKind, Result};
use libloading::Library;
use libloading::os::windows as native;
use std::cell::Cell;
use std::ffi::c_void;
use std::path::Path;
use std::ptr;
use windows_sys::Win32::Foundation::{
    CLASS_E_CLASSNOTAVAILABLE, E_NOINTERFACE, REGDB_E_CLASSNOTREG, RPC_E_CHANGED_MODE, S_OK,
};
use windows_sys::Win32::System::Com::{
    CLSCTX_INPROC_SERVER, COINIT_APARTMENTTHREADED, COINIT_MULTITHREADED, CoCreateInstance,
    CoInitializeEx, CoUninitialize,
};
use windows_sys::Win32::System::LibraryLoader::LOAD_WITH_ALTERED_SEARCH_PATH;
use windows_sys::Win32::UI::WindowsAndMessaging::GetDesktopWindow;
use windows_sys::core::{GUID, HRESULT};

static ICLASS_FACTORY: Guid = Guid { data1: 1, ..Guid::IUNKNOWN };

/// What drivers get as the handle of a window: the desktop's, as from PortAudio. Some want one that is there.
pub(super) fn window() -> *mut c_void {
    // SAFETY: takes nothing.
    unsafe { GetDesktopWindow() }
}

/// Has this thread use COM. Drivers are written for single-threaded apartments; a thread that is in another one already
/// stays there. It is never taken back: a session may end on any thread, and the end of a thread is no place to call COM.
fn enter_apartment() -> Result<()> {
    thread_local! {
        static ENTERED: Cell<bool> = const { Cell::new(false) };
    }
    if ENTERED.get() {
        return Ok(());
    }
    // SAFETY: the reserved pointer is null.
    let answer = unsafe { CoInitializeEx(ptr::null(), COINIT_APARTMENTTHREADED.cast_unsigned()) };
    if answer >= 0 || answer == RPC_E_CHANGED_MODE {
        ENTERED.set(true);
        return Ok(());
    }
    let text = "Windows does not let this thread use COM";
    Err(Error::new(ErrorKind::Malfunction, text).os_code(answer))
}

/// Runs `body` on a new thread that is in this apartment.
pub(super) fn inside<T: Send>(kind: Apartment, body: impl FnOnce() -> T + Send) -> Result<T> {
    let kind = match kind {
        Apartment::Single => COINIT_APARTMENTTHREADED,
        Apartment::Multi => COINIT_MULTITHREADED,
    };
    let enter = || {
        // SAFETY: the reserved pointer is null.
        let answer = unsafe { CoInitializeEx(ptr::null(), kind.cast_unsigned()) };
        if answer < 0 {
            let text = "Windows does not let a thread use COM";
            return Err(Error::new(ErrorKind::Malfunction, text).os_code(answer));
        }
        let done = body();
        // SAFETY: entered above, on this thread.
        unsafe { CoUninitialize() };
        Ok(done)
    };
    let ended = std::thread::scope(|scope| scope.spawn(enter).join());
    let panicked = |_| Error::new(ErrorKind::Malfunction, "a thread of the tester panicked");
    ended.map_err(panicked)?
}

fn guid(id: Guid) -> GUID {
    let Guid { data1, data2, data3, data4 } = id;
    GUID { data1, data2, data3, data4 }
}

pub(super) fn load_entry(entry: &Entry) -> Result<Loaded> {
    if entry.bits != usize::BITS {
        return Err(registry::other_kind(&format!("the driver \"{}\"", entry.name), entry.bits));
    }
    let Some(class) = entry.class else { return load_file(&entry.file(), None) };
    enter_apartment()?;
    let (id, mut object) = (guid(class), ptr::null_mut());
    // SAFETY: ids and place live over the call; the interface's id is the class's own.
    let answer = unsafe {
        CoCreateInstance(
            &raw const id,
            ptr::null_mut(),
            CLSCTX_INPROC_SERVER,
            &raw const id,
            &raw mut object,
        )
    };
    // COM made it in an apartment of its own and cannot pass it on: this thread is in the other kind (NAudio issue 843).
    if answer == E_NOINTERFACE {
        return load_file(&entry.file(), Some(class));
    }
    if answer != S_OK {
        return Err(not_made(&entry.name, &entry.driver, answer));
    }
    Ok(Loaded { driver: owned(&entry.name, object)?, library: None })
}

fn not_made(name: &str, file: &Path, answer: HRESULT) -> Error {
    let why = match answer {
        REGDB_E_CLASSNOTREG => "its class is not registered".to_owned(),
        CLASS_E_CLASSNOTAVAILABLE => "its file does not know its class".to_owned(),
        _ => Error::from(std::io::Error::from_raw_os_error(answer)).message().to_owned(),
    };
    let text = format!("the driver \"{name}\" ({}) cannot be made: {why}", file.display());
    Error::new(ErrorKind::Unsupported, text).os_code(answer).remedy("install the driver again")
}

/// Loads the file and asks its factory for `class`: the one that it is registered with if none is given, else ours.
pub(super) fn load_file(path: &Path, class: Option<Guid>) -> Result<Loaded> {
    let (library, factory, class) = factory(path, class)?;
    let (_, object) = from_factory(factory, class, ptr::null_mut());
    let driver = owned(&path.display().to_string(), object)?;
    Ok(Loaded { driver, library: Some(library) })
}

/// The file, its factory, and the class that the factory makes.
fn factory(path: &Path, class: Option<Guid>) -> Result<(Library, *mut *const FactoryTable, Guid)> {
    let path = whole(path)?;
    if let Some(bits) = registry::bits_of(&path).filter(|bits| *bits != usize::BITS) {
        return Err(registry::other_kind(&path.display().to_string(), bits));
    }
    let known = class.or_else(|| registered(&path));
    let class = known.unwrap_or(OWN_CLASS);
    // SAFETY: loading runs the file's initialisers; it was named as a driver by the user or the registry. What it needs
    // lies beside it.
    let library = unsafe { native::Library::load_with_flags(&path, LOAD_WITH_ALTERED_SEARCH_PATH) };
    let library = Library::from(library.map_err(|error| {
        unloadable(&path, error).remedy("a driver is a library for this kind of processor")
    })?);
    type GetClassObject =
        unsafe extern "system" fn(*const Guid, *const Guid, *mut *mut c_void) -> HRESULT;
    // SAFETY: the function of that name has this type.
    let get = unsafe { library.get::<GetClassObject>(c"DllGetClassObject") };
    let Ok(get) = get else {
        let why = "it is no driver, since it has no function DllGetClassObject";
        return Err(unloadable(&path, why));
    };
    let mut factory = ptr::null_mut();
    // SAFETY: ids and place live over the call.
    let answer = unsafe { get(&raw const class, &raw const ICLASS_FACTORY, &raw mut factory) };
    if answer == CLASS_E_CLASSNOTAVAILABLE && known.is_none() {
        let why = "it is registered nowhere, and a file alone does not tell its class";
        let remedy = "register it (`regsvr32 FILE`), and name it as it is registered";
        return Err(unloadable(&path, why).remedy(remedy));
    }
    if answer != S_OK || factory.is_null() {
        return Err(not_made(&class.to_string(), &path, answer));
    }
    Ok((library, factory.cast(), class))
}

/// The head of `IClassFactory`'s table.
#[repr(C)]
struct FactoryTable {
    query_interface: *const c_void,
    add_ref: *const c_void,
    release: unsafe extern "system" fn(*mut c_void) -> u32,
    create: unsafe extern "system" fn(
        *mut c_void,
        *mut c_void,
        *const Guid,
        *mut *mut c_void,
    ) -> HRESULT,
}

/// An object of the factory, whose reference is given up, and what it answered; null if it makes none.
fn from_factory(
    factory: *mut *const FactoryTable,
    class: Guid,
    outer: *mut c_void,
) -> (HRESULT, *mut c_void) {
    let mut object = ptr::null_mut();
    // SAFETY: a factory that was answered with success begins with the pointer to its table.
    let table = unsafe { &**factory };
    // SAFETY: the interface's function; id, place and the outer object live over the call.
    let answer =
        unsafe { (table.create)(factory.cast(), outer, &raw const class, &raw mut object) };
    // SAFETY: the reference that came with the factory.
    unsafe { (table.release)(factory.cast()) };
    (answer, if answer == S_OK { object } else { ptr::null_mut() })
}

/// Asks the file's factory for an object that is to be a part of another one. What it answers, and whether it made one; that
/// is left to itself, for nobody knows whose references count.
pub(super) fn aggregate(path: &Path, class: Option<Guid>) -> Result<(HRESULT, bool)> {
    let (library, factory, class) = factory(path, class)?;
    let outer = Outer { table: &OUTER };
    let (answer, object) = from_factory(factory, class, (&raw const outer).cast_mut().cast());
    if !object.is_null() {
        std::mem::forget(library);
    }
    Ok((answer, !object.is_null()))
}

/// An object with nothing but an identity, on the stack.
#[repr(C)]
struct Outer {
    table: &'static OuterTable,
}

#[repr(C)]
struct OuterTable {
    query_interface: extern "system" fn(*mut c_void, *const Guid, *mut *mut c_void) -> HRESULT,
    add_ref: extern "system" fn(*mut c_void) -> u32,
    release: extern "system" fn(*mut c_void) -> u32,
}

static OUTER: OuterTable =
    OuterTable { query_interface: has_nothing, add_ref: is_counted, release: is_counted };

extern "system" fn has_nothing(_: *mut c_void, _: *const Guid, place: *mut *mut c_void) -> HRESULT {
    if !place.is_null() {
        // SAFETY: the caller's place for a pointer.
        unsafe { place.write(ptr::null_mut()) };
    }
    E_NOINTERFACE
}

extern "system" fn is_counted(_: *mut c_void) -> u32 {
    1
}

/// The class that the file is registered with, for programs of this kind.
fn registered(path: &Path) -> Option<Guid> {
    let is_it = |entry: &Entry| {
        entry.bits == usize::BITS
            && std::fs::canonicalize(entry.file()).is_ok_and(|driver| driver == path)
    };
    let listing = registry::entries(&registry::default_root()).ok()?;
    listing.entries.into_iter().find(is_it)?.class
}
