//! What a process holds: to see whether something was left behind.

use crate::desk::Check;
use std::fs;
use std::time::{Duration, Instant};

/// Counts of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footprint {
    pub(super) threads: usize,
    pub(super) handles: usize,
    pub(super) memory_kib: usize,
}

/// An allocator's own pages come and go; this much more, each time that something is done a hundred times, is a leak.
const SLACK_KIB: usize = 2048;
/// A leak grows each time; what an allocator keeps for later (an arena for a new thread, a pool) grows once or twice.
const SERIES: usize = 4;
/// Threads that were told to end need a moment.
const SETTLE: Duration = Duration::from_millis(300);

impl Footprint {
    /// `None` on systems without `/proc`.
    pub(super) fn now() -> Option<Self> {
        let count = |folder: &str| fs::read_dir(folder).map(Iterator::count).ok();
        let status = fs::read_to_string("/proc/self/status").ok()?;
        // Memory of this process's own: pages of files come and go as the system likes.
        let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
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

/// What several equal series of something leave behind, each of them: what one series of them did not leave is no leak.
/// `None` where the system does not tell what a process holds.
pub(super) fn left_by_each(mut series: impl FnMut() -> Check) -> Check<Option<Vec<String>>> {
    let mut grown = Vec::new();
    for _ in 0..SERIES {
        let before = Footprint::now();
        series()?;
        let Some(before) = before else { return Ok(None) };
        let growth = || Footprint::now().map(|now| now.growth(before)).unwrap_or_default();
        grown = growth();
        let until = Instant::now() + SETTLE;
        while !grown.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
            grown = growth();
        }
        if grown.is_empty() {
            break;
        }
    }
    Ok(Some(grown))
}
