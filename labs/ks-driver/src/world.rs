//! Clients' memory and events, as an ordinary process reaches another one's.

use crate::card::{Complete, Plug};
use barewire_ks_device::{Share, Surroundings};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use windows_sys::Win32::Foundation::{
    CloseHandle, DUPLICATE_SAME_ACCESS, DuplicateHandle, HANDLE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::System::Diagnostics::Debug::{ReadProcessMemory, WriteProcessMemory};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_ALL_ACCESS, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile,
    PAGE_READWRITE, UnmapViewOfFile,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, IsWow64Process, OpenProcess, PROCESS_ALL_ACCESS, SetEvent,
};

#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtMapViewOfSection(
        section: HANDLE,
        process: HANDLE,
        base: *mut *mut c_void,
        zero_bits: usize,
        commit: usize,
        offset: *mut i64,
        size: *mut usize,
        inherit: u32,
        kind: u32,
        protect: u32,
    ) -> i32;
    fn NtUnmapViewOfSection(process: HANDLE, base: *mut c_void) -> i32;
}

/// `ViewShare`.
const VIEW_SHARE: u32 = 1;

fn pointer(address: u64) -> *mut c_void {
    ptr::with_exposed_provenance_mut(usize::try_from(address).unwrap_or(0))
}

struct Mapping {
    section: HANDLE,
    local: *mut u8,
    remote: *mut c_void,
    bytes: usize,
}

/// The world outside of the card.
pub(crate) struct World {
    complete: Complete,
    plug: Plug,
    processes: BTreeMap<u64, HANDLE>,
    mappings: BTreeMap<Share, Mapping>,
    next: Share,
    /// Where the output of pending requests goes.
    outputs: BTreeMap<u64, (*mut u8, usize)>,
}

// SAFETY: handles and pointers that only this value uses.
unsafe impl Send for World {}

impl World {
    pub(crate) fn new(complete: Complete, plug: Plug) -> Self {
        Self {
            complete,
            plug,
            processes: BTreeMap::new(),
            mappings: BTreeMap::new(),
            next: 1,
            outputs: BTreeMap::new(),
        }
    }

    /// A request may stay pending.
    pub(crate) fn expect(&mut self, request: u64, output: *mut u8, bytes: usize) {
        self.outputs.insert(request, (output, bytes));
    }

    /// It did not.
    pub(crate) fn forget(&mut self, request: u64) {
        self.outputs.remove(&request);
    }

    /// How wide a client's pointers are.
    pub(crate) fn pointer_bytes(&mut self, client: u64) -> usize {
        let process = self.process(client);
        let mut is_32_bit = 0;
        // SAFETY: an open process, a place of ours.
        let is_known = unsafe { IsWow64Process(process, &raw mut is_32_bit) };
        if is_known != 0 && is_32_bit != 0 { 4 } else { size_of::<usize>() }
    }

    fn process(&mut self, client: u64) -> HANDLE {
        *self.processes.entry(client).or_insert_with(|| {
            let id = u32::try_from(client).unwrap_or(0);
            // SAFETY: an id only.
            unsafe { OpenProcess(PROCESS_ALL_ACCESS, 0, id) }
        })
    }
}

impl Surroundings for World {
    fn read_memory(&mut self, client: u64, address: u64, bytes: &mut [u8]) -> bool {
        let process = self.process(client);
        // SAFETY: writes `bytes` only; the other process's memory is checked by the system.
        let is_read = unsafe {
            ReadProcessMemory(
                process,
                pointer(address),
                bytes.as_mut_ptr().cast(),
                bytes.len(),
                ptr::null_mut(),
            )
        };
        is_read != 0
    }

    fn write_memory(&mut self, client: u64, address: u64, bytes: &[u8]) -> bool {
        let process = self.process(client);
        // SAFETY: reads `bytes` only; the other process's memory is checked by the system.
        let is_written = unsafe {
            WriteProcessMemory(
                process,
                pointer(address),
                bytes.as_ptr().cast(),
                bytes.len(),
                ptr::null_mut(),
            )
        };
        is_written != 0
    }

    fn map(&mut self, client: u64, bytes: usize) -> Option<(Share, u64)> {
        let process = self.process(client);
        let length = u32::try_from(bytes.next_multiple_of(4096)).ok()?;
        // SAFETY: no attributes, no name.
        let section = unsafe {
            CreateFileMappingW(
                INVALID_HANDLE_VALUE,
                ptr::null(),
                PAGE_READWRITE,
                0,
                length,
                ptr::null(),
            )
        };
        if section.is_null() {
            return None;
        }
        // SAFETY: the section is ours.
        let local = unsafe { MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, 0) };
        let (mut remote, mut size) = (ptr::null_mut(), 0);
        // A mask of the addresses that such a process can hold.
        let within = if self.pointer_bytes(client) == 4 { 0x7FFF_FFFF } else { 0 };
        // SAFETY: the section is ours, the process is open.
        let status = unsafe {
            NtMapViewOfSection(
                section,
                process,
                &raw mut remote,
                within,
                0,
                ptr::null_mut(),
                &raw mut size,
                VIEW_SHARE,
                0,
                PAGE_READWRITE,
            )
        };
        if local.Value.is_null() || status != 0 {
            return None;
        }
        let share = self.next;
        self.next += 1;
        let mapping =
            Mapping { section, local: local.Value.cast(), remote, bytes: length as usize };
        self.mappings.insert(share, mapping);
        Some((share, remote.expose_provenance() as u64))
    }

    fn unmap(&mut self, client: u64, share: Share) {
        let process = self.process(client);
        if let Some(mapping) = self.mappings.remove(&share) {
            let local = MEMORY_MAPPED_VIEW_ADDRESS { Value: mapping.local.cast() };
            // SAFETY: mapped by `map`, unmapped once.
            unsafe {
                NtUnmapViewOfSection(process, mapping.remote);
                UnmapViewOfFile(local);
                CloseHandle(mapping.section);
            }
        }
    }

    fn get(&mut self, share: Share, offset: usize, bytes: &mut [u8]) {
        let Some(mapping) = self.mappings.get(&share) else { return };
        if offset + bytes.len() <= mapping.bytes {
            // SAFETY: the range lies in the mapping.
            unsafe { bytes.as_mut_ptr().copy_from(mapping.local.add(offset), bytes.len()) };
        }
    }

    fn put(&mut self, share: Share, offset: usize, bytes: &[u8]) {
        let Some(mapping) = self.mappings.get(&share) else { return };
        if offset + bytes.len() <= mapping.bytes {
            // SAFETY: the range lies in the mapping.
            unsafe { mapping.local.add(offset).copy_from(bytes.as_ptr(), bytes.len()) };
        }
    }

    fn adopt_event(&mut self, client: u64, handle: u64) -> Option<u64> {
        let process = self.process(client);
        let mut ours = ptr::null_mut();
        // SAFETY: an open process, a handle that the system checks, a place of ours.
        let is_ours = unsafe {
            let own = GetCurrentProcess();
            let same = DUPLICATE_SAME_ACCESS;
            DuplicateHandle(process, pointer(handle), own, &raw mut ours, 0, 0, same)
        };
        (is_ours != 0).then(|| ours.expose_provenance() as u64)
    }

    fn signal(&mut self, event: u64) {
        // SAFETY: an event that was adopted.
        unsafe { SetEvent(pointer(event)) };
    }

    fn release_event(&mut self, event: u64) {
        // SAFETY: as above, released once.
        unsafe { CloseHandle(pointer(event)) };
    }

    fn complete(&mut self, request: u64, status: u32, output: &[u8]) {
        let Some((place, bytes)) = self.outputs.remove(&request) else { return };
        let length = bytes.min(output.len());
        if !place.is_null() {
            // SAFETY: the driver's copy of the client's output, which lives until the request is completed.
            unsafe { place.copy_from(output.as_ptr(), length) };
        }
        (self.complete)(pointer(request), status, length as u64);
    }

    fn plugged(&mut self, is_there: bool) {
        (self.plug)(i32::from(is_there));
    }
}
