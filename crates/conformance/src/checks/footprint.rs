//! What a process holds: to see whether something was left behind.

use std::fs;

/// Counts of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footprint {
    pub(super) threads: usize,
    pub(super) handles: usize,
    pub(super) memory_kib: usize,
}

/// A resident page may come and go; this much more is a leak when something was done a hundred times.
const SLACK_KIB: usize = 4096;

impl Footprint {
    /// `None` on systems without `/proc`.
    pub(super) fn now() -> Option<Self> {
        let count = |folder: &str| fs::read_dir(folder).map(Iterator::count).ok();
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let memory_kib = memory.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(Self {
            threads: count("/proc/self/task")?,
            handles: count("/proc/self/fd")?,
            memory_kib,
        })
    }

    /// What there is more of than before.
    pub(super) fn growth(self, before: Self) -> Vec<String> {
        let mut grown = Vec::new();
        if self.threads > before.threads {
            grown.push(format!("{} threads more", self.threads - before.threads));
        }
        if self.handles > before.handles {
            grown.push(format!("{} handles more", self.handles - before.handles));
        }
        if self.memory_kib > before.memory_kib + SLACK_KIB {
            grown.push(format!("{} KiB more", self.memory_kib - before.memory_kib));
        }
        grown
    }
}
