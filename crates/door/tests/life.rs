//! The driver as it is shipped, over the lifetime of libraries and objects: what a thousand objects leave behind, several at
//! once, and hosts that unload it straight after the last release. `cargo xtask windows life` runs this for Windows; here
//! `BAREWIRE_LIBRARY` names the file.

#![cfg(any(windows, target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test may stop the world")]

use barewire_abi::BufferRequest;
use barewire_host::bare::{BufferTable, HostTable, Missing};
use barewire_host::{Block, BlockSize, Request, Session, Source};
use counts::{handles, memory_bytes, threads};
use std::time::{Duration, Instant};

const FRAMES: i32 = 512;
/// Nothing that is right takes a tenth of it.
const HANG: Duration = Duration::from_secs(60);

fn source() -> Source {
    let library = std::env::var_os("BAREWIRE_LIBRARY").unwrap();
    Source::file(library)
}

/// What this process has of the system.
#[cfg(windows)]
mod counts {
    /// `TH32CS_SNAPTHREAD`.
    const THREADS: u32 = 4;

    /// `THREADENTRY32`.
    #[repr(C)]
    #[derive(Default)]
    struct ThreadEntry {
        bytes: u32,
        usage: u32,
        thread: u32,
        process: u32,
        priority: [i32; 2],
        flags: u32,
    }

    /// `PROCESS_MEMORY_COUNTERS`.
    #[repr(C)]
    #[derive(Default)]
    struct Memory {
        bytes: u32,
        faults: u32,
        sizes: [usize; 6],
        page_file: usize,
        page_file_peak: usize,
    }

    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GetCurrentProcess() -> isize;
        fn GetCurrentProcessId() -> u32;
        fn GetProcessHandleCount(process: isize, count: *mut u32) -> i32;
        fn K32GetProcessMemoryInfo(process: isize, memory: *mut Memory, bytes: u32) -> i32;
        fn CreateToolhelp32Snapshot(what: u32, process: u32) -> isize;
        fn Thread32First(all: isize, entry: *mut ThreadEntry) -> i32;
        fn Thread32Next(all: isize, entry: *mut ThreadEntry) -> i32;
        fn CloseHandle(handle: isize) -> i32;
    }

    pub(super) fn handles() -> u32 {
        let mut count = 0;
        // SAFETY: this process, and room for a number.
        let done = unsafe { GetProcessHandleCount(GetCurrentProcess(), &raw mut count) };
        assert_ne!(done, 0);
        count
    }

    pub(super) fn memory_bytes() -> usize {
        let bytes = u32::try_from(size_of::<Memory>()).unwrap();
        let mut memory = Memory { bytes, ..Memory::default() };
        // SAFETY: this process, and a structure that says how long it is.
        let done = unsafe { K32GetProcessMemoryInfo(GetCurrentProcess(), &raw mut memory, bytes) };
        assert_ne!(done, 0);
        memory.page_file
    }

    pub(super) fn threads() -> usize {
        let bytes = u32::try_from(size_of::<ThreadEntry>()).unwrap();
        let mut entry = ThreadEntry { bytes, ..ThreadEntry::default() };
        let mut count = 0;
        // SAFETY: a snapshot that is open; the structure says how long it is.
        unsafe {
            let all = CreateToolhelp32Snapshot(THREADS, 0);
            let mut is_one = Thread32First(all, &raw mut entry);
            while is_one != 0 {
                count += usize::from(entry.process == GetCurrentProcessId());
                is_one = Thread32Next(all, &raw mut entry);
            }
            CloseHandle(all);
        }
        count
    }
}

/// What this process has of the system.
#[cfg(target_os = "linux")]
mod counts {
    fn entries(folder: &str) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    pub(super) fn handles() -> u32 {
        u32::try_from(entries("/proc/self/fd")).unwrap()
    }

    pub(super) fn threads() -> usize {
        entries("/proc/self/task")
    }

    /// Of what is private and was written.
    pub(super) fn memory_bytes() -> usize {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }
}

/// Makes one object and asks it what hosts ask first.
fn meet() -> Duration {
    let subject = source().bare().unwrap();
    let begin = Instant::now();
    assert_eq!(subject.init(0), 1);
    let needed = begin.elapsed();
    assert!(subject.buffer_size([None; 4]).0 != 0, "null places are refused");
    assert_eq!(subject.unload(), 0);
    needed
}

#[test]
#[ignore = "needs the library that `cargo xtask windows` builds"]
fn a_thousand_objects_leave_nothing_behind_and_start_no_thread() {
    // What Windows' libraries keep for good is there after the first ones.
    for _ in 0..20 {
        meet();
    }
    let before = (handles(), threads(), memory_bytes());
    let mut all: Vec<Duration> = (0..1000).map(|_| meet()).collect();
    let after = (handles(), threads(), memory_bytes());
    all.sort();
    println!("init: median {} us, the longest {} us", all[500].as_micros(), all[999].as_micros());
    println!("before and after (handles, threads, bytes): {before:?}, {after:?}");
    assert!(after.0 <= before.0 + 4, "handles: {before:?}, {after:?}");
    assert_eq!(after.1, before.1, "threads");
    assert!(after.2 <= before.2 + 1_000_000, "memory: {before:?}, {after:?}");
    let subject = source().bare().unwrap();
    assert_eq!(subject.init(0), 1);
    assert_eq!(threads(), before.1, "an object that only was initialised has no thread");
    subject.unload();
}

#[test]
#[ignore = "needs the library that `cargo xtask windows` builds"]
fn it_may_be_unloaded_in_the_middle_of_a_run() {
    let wanted = [0, 1].map(|channel| BufferRequest { is_input: false, channel });
    for n in 0..20 {
        let (table, host) =
            (BufferTable::new(&wanted).unwrap(), HostTable::new(0, Missing::Nothing).unwrap());
        let subject = source().bare().unwrap();
        assert_eq!(subject.init(0), 1);
        assert_eq!(subject.create_buffers(Some(&table), 2, FRAMES, Some(&host)).0, 0, "run {n}");
        assert_eq!(subject.start().0, 0, "run {n}");
        std::thread::sleep(Duration::from_millis(3 * n));
        // Neither a stop nor a disposal: the last release, and the code is gone.
        assert_eq!(subject.unload(), 0, "run {n}");
    }
}

#[test]
#[ignore = "needs the library that `cargo xtask windows` builds"]
fn four_that_begin_at_once_do_not_disturb_each_other() {
    let play = |_| {
        let mut session = Session::open(&source()).unwrap();
        let request =
            Request { inputs: vec![0, 1], outputs: vec![0, 1], size: BlockSize::Near(512) };
        session.prepare(&request).unwrap();
        session.start(Box::new(|mut block: Block<'_>| block.silence())).unwrap();
        let end = Instant::now() + HANG;
        while session.statistics().blocks < 20 {
            assert!(Instant::now() < end, "{} blocks", session.statistics().blocks);
            std::thread::sleep(Duration::from_millis(5));
        }
        session.unprepare().unwrap();
    };
    let all: Vec<_> = (0..4).map(|n| std::thread::spawn(move || play(n))).collect();
    all.into_iter().for_each(|thread| thread.join().unwrap());
}
