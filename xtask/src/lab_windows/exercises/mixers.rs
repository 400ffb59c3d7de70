//! The backends that go through the system's mixer, on Wine's winmm and DirectSound: the contract in both directions; what is
//! played arrives at the sink bit for bit, after the latency that is stated; what the source sings is captured bit for bit.
//! The programs are the backends' own tests (`tests/on_windows.rs`), which say what they found.

use crate::lab_windows::build;
use crate::lab_windows::lab::Lab;
use crate::lab_windows::pulse::{FRAME_BYTES, RATE_HZ};
use anyhow::{Result, bail};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A quiet machine needs half a minute; attempts on a busy one many times that.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often the source is given something to say.
const STEP: Duration = Duration::from_millis(5);
/// Frames that it is given at once at most, twice what a step needs. PulseAudio throws away what finds a recording client's
/// queue full, and tells nobody: who was late must not make up for it in one breath.
const MOST_AT_ONCE: usize = 480;
/// How long the source may take to fall silent.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) fn mme(lab: &Lab) -> Result<String> {
    run(lab, "barewire-mme")
}

pub(super) fn dsound(lab: &Lab) -> Result<String> {
    run(lab, "barewire-dsound")
}

fn run(lab: &Lab, package: &str) -> Result<String> {
    let program = build::tests(lab, package, "on_windows")?;
    let folder = lab.prefix.path.join("drive_c");
    let (sink, tune) = (folder.join("sink.raw"), folder.join("tune.raw"));
    lab.pulse.keep_in(File::create(&sink)?);
    let places = (lab.windows_path(&sink), lab.windows_path(&tune));
    let environment = [("BAREWIRE_SINK", places.0.as_str()), ("BAREWIRE_TUNE", places.1.as_str())];
    let singer = Singer::new(lab.pulse.mouth()?, tune);
    let said = lab.run_well(&program, &["--test-threads=1", "--nocapture"], &environment, PATIENCE);
    let sung = singer.end();
    let said = said?;
    sung?;
    let count = |words: &str| said.lines().filter(|line| line.contains(words)).count();
    let exact = count("frames exact");
    // See `testkit::wire`.
    let (halted, late) = (count("whole, but not played"), count("and told"));
    if exact == 0 || said.contains("SKIPPED") {
        bail!("nothing was compared:\n{said}");
    }
    Ok(format!(
        "the contract in both directions, {exact} comparisons bit for bit; made again because the mixer halted: {halted}, because somebody was late and told so: {late}"
    ))
}

/// Says the tune over and over, at the rate of the wire, as soon as the program has written it down.
pub(super) struct Singer {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Singer {
    pub(super) fn new(mouth: File, tune: PathBuf) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = is_over.clone();
        let thread = std::thread::spawn(move || sing(mouth, &tune, &told));
        Self { is_over, thread }
    }

    /// Ends it, and says whether it went wrong. A full pipe that nobody reads any more holds it until the server ends.
    pub(super) fn end(self) -> Result<()> {
        self.is_over.store(true, Ordering::Release);
        let end = Instant::now() + FAREWELL;
        while !self.thread.is_finished() {
            if Instant::now() >= end {
                return Ok(());
            }
            std::thread::sleep(STEP);
        }
        self.thread.join().unwrap_or_else(|_| bail!("the source's thread panicked"))
    }
}

fn sing(mut mouth: File, tune: &Path, is_over: &AtomicBool) -> Result<()> {
    let mut frames = Vec::new();
    while frames.is_empty() && !is_over.load(Ordering::Acquire) {
        std::thread::sleep(STEP);
        // The program renames it when it is whole.
        frames = fs::read(tune).unwrap_or_default();
    }
    let begin = Instant::now();
    let mut sung = 0;
    while !is_over.load(Ordering::Acquire) {
        let due = begin.elapsed().as_nanos() * u128::from(RATE_HZ) / 1_000_000_000;
        let due = usize::try_from(due)?;
        let at = sung % (frames.len() / FRAME_BYTES).max(1);
        let count = (due - sung).min(frames.len() / FRAME_BYTES - at).min(MOST_AT_ONCE);
        mouth.write_all(&frames[at * FRAME_BYTES..(at + count) * FRAME_BYTES])?;
        sung += count;
        std::thread::sleep(STEP);
    }
    Ok(())
}
