//! The registered driver with several objects at once, in one process and in two, and with devices that are lost and come back,
//! over the simulated devices of `labs/wine-audio`. `cargo xtask windows devices` sets all of it up and runs this: `in_step`
//! with devices in lock step, whose record of what they were given is compared, `in_time` with devices that go by the clock.

#![cfg(windows)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

use barewire_driver::log_file;
use barewire_host::{Block, BlockSize, Event, Manners, Request, Session, Source, registry};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Where the simulated devices write what they play.
const RECORDS: &str = "BAREWIRE_SIMULATED_FOLDER";
/// Nothing that is right takes a tenth of it.
const HANG: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);
const CHANNELS: usize = 2;
/// Frames that are compared.
const FRAMES: u64 = 5 * 48_000;

/// The entry of the profile that plays through this simulated device.
fn open(device: &str) -> Session {
    let entry = registry::entry(&registry::default_root(), &format!("Barewire {device}")).unwrap();
    // Patient: what is slow on a busy machine is no fault of the driver's.
    let manners = Manners { first_block: HANG, ..Manners::default() };
    Session::open_with(&Source::entry(&entry), manners).unwrap()
}

fn request() -> Request {
    Request { inputs: Vec::new(), outputs: vec![0, 1], size: BlockSize::Near(256) }
}

/// A sample of all bits, never 0.
fn sample(frame: u64, channel: usize) -> i32 {
    let mut z = (frame * 2 + channel as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((z ^ z >> 27) >> 16) as i32 | 1
}

/// Plays as many frames, then silence; says when so much of the latter has been played that all of the former was heard.
fn start(session: &mut Session, frames: u64) -> Arc<AtomicBool> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, mut sent) = (is_over.clone(), 0_u64);
    let mut bytes = Vec::with_capacity(1 << 16);
    let player = move |mut block: Block<'_>| {
        for channel in 0..CHANNELS {
            bytes.clear();
            for frame in sent..sent + u64::from(block.frames()) {
                let value = if frame < frames { sample(frame, channel) } else { 0 };
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            block.write_output(channel, &bytes);
        }
        sent += u64::from(block.frames());
        over.store(sent > frames.saturating_add(48_000), Ordering::Release);
    };
    session.start(Box::new(player)).unwrap();
    is_over
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + HANG;
    while !holds() {
        assert!(Instant::now() < end, "{what}: never");
        std::thread::sleep(LOOK);
    }
}

fn records() -> PathBuf {
    std::env::var(RECORDS).unwrap().into()
}

/// What the device wrote down, a run after the other.
fn runs(folder: &Path, device: &str) -> Vec<Vec<i32>> {
    let begin = format!("Simulated {}.", device.to_lowercase());
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.file_name().unwrap().to_str().unwrap().starts_with(&begin));
    files.sort();
    let read = |file: PathBuf| {
        let bytes = std::fs::read(file).unwrap();
        bytes.chunks_exact(4).map(|word| i32::from_le_bytes(word.try_into().unwrap())).collect()
    };
    files.into_iter().map(read).collect()
}

/// Compares the latest run of a device from its first sample that is not silence.
fn exact(folder: &Path, device: &str) -> Result<(), String> {
    let all = runs(folder, device).pop().unwrap();
    let found: Vec<i32> = all.into_iter().skip_while(|&word| word == 0).collect();
    for n in 0..FRAMES as usize * CHANNELS {
        let expected = sample((n / CHANNELS) as u64, n % CHANNELS);
        if found.get(n) != Some(&expected) {
            return Err(format!("{device}: sample {n} is {:?}, not {expected}", found.get(n)));
        }
    }
    println!("{device}: {FRAMES} frames bit for bit");
    Ok(())
}

/// What the driver has said.
fn log() -> String {
    let state = PathBuf::from(std::env::var("BAREWIRE_STATE").unwrap());
    std::fs::read_to_string(log_file(&state)).unwrap_or_default()
}

/// Tries until all is exact. A machine that does not run a simulated device in time makes the driver go on without it, which it
/// tells: such an attempt is made again. What is wrong and was not told of is a failure at once.
fn insist(mut attempt: impl FnMut() -> Result<(), String>) {
    const MOST: usize = 8;
    for _ in 0..MOST {
        let told = log().len();
        let Err(what) = attempt() else { return };
        let said = log();
        let is_told =
            said.get(told..).is_some_and(|said| said.contains("the device does not move"));
        assert!(is_told, "{what}, and the driver does not tell");
        println!("made again, for a device was not run in time: {what}");
    }
    panic!("not once in {MOST} attempts");
}

mod in_step {
    use super::*;
    use barewire_types::ErrorKind;
    use std::sync::Barrier;

    /// Names the part of a test that runs in a process of its own.
    const PART: &str = "BAREWIRE_PART";

    #[test]
    #[ignore = "needs the simulated devices of `cargo xtask windows`"]
    fn four_that_begin_at_once_on_four_devices_play_bit_for_bit() {
        let (devices, barrier) = (["Wide", "Jitter", "Begins-late", "Fast"], Barrier::new(4));
        let play = |device| {
            barrier.wait();
            let mut session = open(device);
            barrier.wait();
            session.prepare(&request()).unwrap();
            barrier.wait();
            let is_over = start(&mut session, FRAMES);
            wait(device, || is_over.load(Ordering::Acquire));
        };
        insist(|| {
            std::thread::scope(|scope| {
                for device in devices {
                    scope.spawn(move || play(device));
                }
            });
            devices.iter().try_for_each(|device| exact(&records(), device))
        });
    }

    /// What a second one is told of a device that is held.
    fn refused(device: &str) -> String {
        let error = open(device).prepare(&request()).map(|_| ()).unwrap_err();
        // The interface has no code for a device that is held.
        assert_eq!(error.kind(), ErrorKind::Malfunction, "{error}");
        error.to_string()
    }

    #[test]
    #[ignore = "needs the simulated devices of `cargo xtask windows`"]
    fn who_wants_what_this_program_itself_holds_is_told_so_and_the_holder_hears_nothing_of_it() {
        insist(|| {
            let mut first = open("Wide");
            first.prepare(&request()).unwrap();
            let is_over = start(&mut first, FRAMES);
            let all: Vec<_> = (0..3).map(|_| std::thread::spawn(|| refused("Wide"))).collect();
            for thread in all {
                let text = thread.join().unwrap();
                assert!(text.contains("this program itself, through \"Barewire Wide\""), "{text}");
            }
            wait("the first", || is_over.load(Ordering::Acquire));
            first.unprepare().unwrap();
            exact(&records(), "Wide")
        });
        // It is free now.
        open("Wide").prepare(&request()).unwrap();
    }

    #[test]
    #[ignore = "needs the simulated devices of `cargo xtask windows`"]
    fn of_two_that_want_a_device_at_the_same_moment_one_has_it_and_the_other_is_told_so() {
        /// A second is waited for the name; a busy machine may take longer to open the device.
        const LEAST_NAMED: usize = 7;
        let mut named = 0;
        for _ in 0..10 {
            let barrier = Barrier::new(2);
            let want = || {
                let mut session = open("Wide");
                barrier.wait();
                let refusal = session.prepare(&request()).map(|_| ()).err();
                // Whoever has it keeps it until the other was refused.
                barrier.wait();
                refusal.map(|error| error.to_string())
            };
            let both = std::thread::scope(|scope| {
                let threads = [scope.spawn(want), scope.spawn(want)];
                threads.map(|thread| thread.join().unwrap())
            });
            let refused: Vec<String> = both.into_iter().flatten().collect();
            let [text] = &refused[..] else { panic!("one is refused: {refused:?}") };
            named += usize::from(text.contains("this program itself, through \"Barewire Wide\""));
        }
        assert!(named >= LEAST_NAMED, "{named} of 10 were told who has it");
    }

    /// The second process: holds a device and plays until it is told to end.
    #[test]
    #[ignore = "a part of the test below"]
    fn holds_a_device() {
        let Ok(folder) = std::env::var(PART) else { return };
        let mut session = open("Wide");
        session.prepare(&request()).unwrap();
        let is_over = start(&mut session, FRAMES);
        std::fs::write(Path::new(&folder).join("holds"), "").unwrap();
        wait("all is played", || is_over.load(Ordering::Acquire));
        wait("the end", || Path::new(&folder).join("end").exists());
    }

    #[test]
    #[ignore = "needs the simulated devices of `cargo xtask windows`"]
    fn two_processes_play_at_once_and_who_wants_what_the_other_holds_is_told_its_name() {
        let mut attempts = 0;
        insist(|| {
            attempts += 1;
            play_beside_another(&records().join(format!("other{attempts}")))
        });
        open("Wide").prepare(&request()).unwrap();
    }

    fn play_beside_another(folder: &Path) -> Result<(), String> {
        std::fs::create_dir_all(folder).unwrap();
        let mut other = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "in_step::holds_a_device"])
            .env(PART, folder)
            .env(RECORDS, folder)
            .spawn()
            .unwrap();
        wait("the other process", || folder.join("holds").exists());
        let mut own = open("Jitter");
        own.prepare(&request()).unwrap();
        let is_over = start(&mut own, FRAMES);
        let text = refused("Wide");
        assert!(text.contains(&format!("(process {}) through Barewire", other.id())), "{text}");
        println!("{text}");
        wait("our own", || is_over.load(Ordering::Acquire));
        drop(own);
        std::fs::write(folder.join("end"), "").unwrap();
        assert!(other.wait().unwrap().success());
        exact(&records(), "Jitter")?;
        exact(folder, "Wide")
    }
}

mod in_time {
    use super::*;
    /// A host that gets no block for so long has every right to think it hung, on a busy machine too.
    const SILENCE: Duration = Duration::from_secs(5);

    /// Plays through a device until `holds` of what the driver says meanwhile; fails if blocks do not go on, whatever happens
    /// to the device.
    fn play(device: &str, mut holds: impl FnMut(&str, &Session) -> bool) -> Session {
        let told = log().len();
        let mut session = open(device);
        session.prepare(&request()).unwrap();
        start(&mut session, u64::MAX / 2);
        let (mut before, mut since) = (0, Instant::now());
        let end = Instant::now() + HANG;
        while !holds(log().get(told..).unwrap_or_default(), &session) {
            let blocks = session.statistics().blocks;
            if blocks != before {
                (before, since) = (blocks, Instant::now());
            }
            assert!(since.elapsed() < SILENCE, "{device}: no block after {blocks}");
            assert!(Instant::now() < end, "{device}: never; {}", log());
            std::thread::sleep(LOOK);
        }
        session
    }

    /// The runs of a device in which it was heard: the driver tries it silently, too.
    fn heard(device: &str) -> usize {
        let sounds = |run: &Vec<i32>| run.iter().filter(|&&word| word != 0).count() > 24_000;
        runs(&records(), device).iter().filter(|run| sounds(run)).count()
    }

    #[test]
    #[ignore = "needs the simulated devices of `cargo xtask windows`"]
    fn what_is_lost_and_comes_back_plays_again_and_blocks_go_on_meanwhile() {
        for device in ["Slept", "Replugged", "Reformatted", "Given-back"] {
            let begin = Instant::now();
            let is_back =
                |said: &str, _: &Session| said.contains("the device is lost") && heard(device) >= 2;
            let session = play(device, is_back);
            let seconds = begin.elapsed().as_secs_f64();
            println!("{device}: plays again after {seconds:.1} s; events {:?}", session.poll());
        }
    }

    #[test]
    #[ignore = "needs the simulated devices of `cargo xtask windows`"]
    fn what_is_lost_for_good_leaves_silence_and_the_reason_and_the_host_is_asked_for_a_reset() {
        let devices = [
            ("Unplugged", "there is no such device any more"),
            ("Changed", "its format was changed"),
            ("Taken", "another program holds it for itself alone"),
            ("Stalled", "its driver gives no sign of life"),
        ];
        let is_lost = |device, reason| {
            let mut is_asked = false;
            play(device, |said, session| {
                is_asked |= session.poll().contains(&Event::ResetWanted);
                is_asked && said.contains("the device is lost") && said.contains(reason)
            });
            println!("{device}: blocks went on, and a reset was asked for");
        };
        std::thread::scope(|scope| {
            for (device, reason) in devices {
                scope.spawn(move || is_lost(device, reason));
            }
        });
    }
}
