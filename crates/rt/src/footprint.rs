//! What a process holds: to see whether something was left behind. Control thread.

/// Counts of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Threads.
    pub threads: usize,
    /// File descriptors, or handles; 0 where they are not counted (Wine 8).
    pub handles: usize,
    /// Memory of its own: pages of files come and go as the system likes.
    pub memory_kib: usize,
}

impl Footprint {
    /// What this process holds now; `None` where the system does not tell.
    pub fn now() -> Option<Self> {
        system::now()
    }
}

#[cfg(not(windows))]
mod system {
    use super::Footprint;
    use std::fs;

    pub(super) fn now() -> Option<Footprint> {
        let count = |folder: &str| fs::read_dir(folder).map(Iterator::count).ok();
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        Some(Footprint {
            threads: count("/proc/self/task")?,
            handles: count("/proc/self/fd")?,
            memory_kib: memory.trim().trim_end_matches("kB").trim().parse().ok()?,
        })
    }
}

#[cfg(windows)]
mod system {
    use super::Footprint;
    use std::ffi::c_void;

    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GetCurrentProcess() -> *mut c_void;
        fn GetCurrentProcessId() -> u32;
        fn GetProcessHandleCount(process: *mut c_void, count: *mut u32) -> i32;
        fn K32GetProcessMemoryInfo(process: *mut c_void, place: *mut Memory, bytes: u32) -> i32;
        fn CreateToolhelp32Snapshot(what: u32, process: u32) -> *mut c_void;
        fn Thread32First(snapshot: *mut c_void, entry: *mut ThreadEntry) -> i32;
        fn Thread32Next(snapshot: *mut c_void, entry: *mut ThreadEntry) -> i32;
        fn CloseHandle(handle: *mut c_void) -> i32;
    }

    const THREADS: u32 = 4;

    /// `PROCESS_MEMORY_COUNTERS_EX`.
    #[repr(C)]
    #[derive(Default)]
    struct Memory {
        bytes: u32,
        faults: u32,
        sizes: [usize; 6],
        /// As `private`, which Wine 8 does not tell; Windows 7 does not tell this one.
        page_file: usize,
        page_file_peak: usize,
        private: usize,
    }

    /// `THREADENTRY32`.
    #[repr(C)]
    #[derive(Default)]
    struct ThreadEntry {
        bytes: u32,
        usage: u32,
        thread: u32,
        process: u32,
        priorities: [i32; 2],
        flags: u32,
    }

    fn bytes_of<T>() -> u32 {
        u32::try_from(size_of::<T>()).unwrap_or(0)
    }

    pub(super) fn now() -> Option<Footprint> {
        let threads = threads()?;
        let mut handles = 0;
        let mut memory = Memory { bytes: bytes_of::<Memory>(), ..Memory::default() };
        // SAFETY: this process, and places of ours for what is told.
        let told = unsafe {
            let own = GetCurrentProcess();
            GetProcessHandleCount(own, &raw mut handles) != 0
                && K32GetProcessMemoryInfo(own, &raw mut memory, memory.bytes) != 0
        };
        let handles = usize::try_from(handles).ok()?;
        let memory_kib = memory.private.max(memory.page_file) / 1024;
        told.then_some(Footprint { threads, handles, memory_kib })
    }

    fn threads() -> Option<usize> {
        // SAFETY: takes no pointers.
        let (own, snapshot) =
            unsafe { (GetCurrentProcessId(), CreateToolhelp32Snapshot(THREADS, 0)) };
        if snapshot.addr() == usize::MAX {
            return None;
        }
        let mut entry = ThreadEntry { bytes: bytes_of::<ThreadEntry>(), ..ThreadEntry::default() };
        let mut count = 0;
        // SAFETY: the snapshot is open until below, and the entry is ours.
        let mut more = unsafe { Thread32First(snapshot, &raw mut entry) };
        while more != 0 {
            count += usize::from(entry.process == own);
            // SAFETY: as above.
            more = unsafe { Thread32Next(snapshot, &raw mut entry) };
        }
        // SAFETY: a handle of ours, used no more.
        unsafe { CloseHandle(snapshot) };
        Some(count)
    }
}
