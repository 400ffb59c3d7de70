//! Timing by turns: the best of many short runs.

use std::hint::black_box;
use std::time::Instant;

/// Turns; the best one counts, so that others' work on the machine does not.
const TURNS: usize = 60;
/// What a turn should take.
const TURN_NS: f64 = 100_000.0;

/// Gsamples/s.
pub(crate) fn giga(samples: usize, ns: f64) -> f64 {
    samples as f64 / ns
}

/// Nanoseconds of one run, as the mean over a turn.
fn turn(runs: usize, run: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..runs {
        run();
    }
    start.elapsed().as_secs_f64() * 1e9 / runs as f64
}

fn runs_for(run: &mut dyn FnMut()) -> usize {
    turn(50, run);
    let ns = turn(50, run).max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, small")]
    let runs = (TURN_NS / ns) as usize;
    runs.clamp(1, 100_000)
}

/// Best nanoseconds of one run.
pub(crate) fn best(run: &mut dyn FnMut()) -> f64 {
    let runs = runs_for(run);
    (0..TURNS).map(|_| turn(runs, run)).fold(f64::INFINITY, f64::min)
}

/// Best nanoseconds of two things that take turns.
pub(crate) fn by_turns(mut one: impl FnMut(), mut other: impl FnMut()) -> (f64, f64) {
    let (one_runs, other_runs) = (runs_for(&mut one), runs_for(&mut other));
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..TURNS {
        best.0 = best.0.min(turn(one_runs, &mut one));
        best.1 = best.1.min(turn(other_runs, &mut other));
    }
    best
}

/// A memcpy of that many bytes, at its best: were the two a multiple of 4096 bytes apart or nearly so, the processor would take
/// its loads for ones that wait for the stores, and memcpy would run at half its speed.
pub(crate) fn copy_ns(bytes: usize) -> impl FnMut() {
    let from = vec![1_u8; bytes];
    let mut arena = vec![0_u8; bytes + 8192];
    let apart = (arena.as_ptr() as usize).wrapping_sub(from.as_ptr() as usize) % 4096;
    let start = (2048 + 4096 - apart) % 4096;
    move || {
        black_box(&mut arena[start..start + bytes]).copy_from_slice(black_box(&from[..]));
    }
}

/// Planes that lie `skew` bytes more than a multiple of 4096 apart, so that no two are taken for one another.
pub(crate) struct Planes {
    memory: Vec<u8>,
    starts: Vec<usize>,
}

impl Planes {
    pub(crate) fn new(count: usize, bytes: usize) -> Self {
        let skew = 4096 / (count + 1) / 64 * 64;
        let stride = bytes.next_multiple_of(4096) + skew;
        let memory = vec![0x11; count * stride + 4096];
        let first = memory.as_ptr().align_offset(4096);
        Self { memory, starts: (0..count).map(|n| first + n * stride + skew).collect() }
    }

    pub(crate) fn pointers(&mut self) -> Vec<*const u8> {
        let base = self.memory.as_mut_ptr();
        self.starts.iter().map(|&start| base.wrapping_add(start).cast_const()).collect()
    }
}
