//! Whether something was left behind: what this process holds, before and after.

use crate::desk::Check;
use barewire_rt::Footprint;
use std::time::{Duration, Instant};

/// An allocator's own pages come and go; this much more, each time that something is done a hundred times, is a leak.
const SLACK_KIB: usize = 2048;
/// A leak grows each time; what an allocator keeps for later (an arena for a new thread, a pool) grows once or twice.
const SERIES: usize = 4;
/// Threads that were told to end need a moment.
const SETTLE: Duration = Duration::from_millis(300);

/// What there is more of than before.
fn growth(now: Footprint, before: Footprint) -> Vec<String> {
    let mut grown = Vec::new();
    if now.threads > before.threads {
        grown.push(format!("{} threads more", now.threads - before.threads));
    }
    if now.handles > before.handles {
        grown.push(format!("{} handles more", now.handles - before.handles));
    }
    if now.memory_kib > before.memory_kib + SLACK_KIB {
        grown.push(format!("{} KiB more", now.memory_kib - before.memory_kib));
    }
    grown
}

/// What several equal series of something leave behind, each of them: what one series of them did not leave is no leak.
/// `None` where the system does not tell what a process holds.
pub(super) fn left_by_each(mut series: impl FnMut() -> Check) -> Check<Option<Vec<String>>> {
    let mut grown = Vec::new();
    for _ in 0..SERIES {
        let before = Footprint::now();
        series()?;
        let Some(before) = before else { return Ok(None) };
        let growth = || Footprint::now().map(|now| growth(now, before)).unwrap_or_default();
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
