//! What a process holds is seen: alone in this program, for other tests have threads and files too.

#![allow(clippy::unwrap_used, reason = "a test may stop the world")]

use barewire_rt::Footprint;
use std::sync::mpsc::channel;

#[test]
fn threads_files_and_memory_are_seen_while_they_are_there() {
    let before = Footprint::now().unwrap();
    let (end, ended) = channel::<()>();
    let thread = std::thread::spawn(move || ended.recv());
    let own = std::env::current_exe().unwrap();
    let files: Vec<_> = (0..8).map(|_| std::fs::File::open(&own).unwrap()).collect();
    let memory = vec![1_u8; 32 << 20];
    let during = Footprint::now().unwrap();
    assert_eq!(during.threads, before.threads + 1);
    let is_counted = before.handles > 0;
    // Wine 8 alone does not.
    assert!(is_counted || cfg!(windows), "{before:?}");
    assert!(!is_counted || during.handles >= before.handles + 8, "{before:?}, {during:?}");
    assert!(during.memory_kib >= before.memory_kib + (32 << 10), "{before:?}, {during:?}");
    drop((end, files, memory));
    thread.join().unwrap().unwrap_err();
    let after = Footprint::now().unwrap();
    assert!(!is_counted || after.handles < during.handles, "{during:?}, {after:?}");
    assert!(after.memory_kib < during.memory_kib, "{during:?}, {after:?}");
}
