//! The library as our own host library meets it: found in the registration folder, loaded with `dlopen`, played through,
//! reset, unloaded.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "part of a test")]

use barewire_host::registry::{entries, register};
use barewire_host::{Block, BlockSize, Request, Session, Source, probe};
use std::path::PathBuf;
use std::sync::Once;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Nothing that is right takes a tenth of it.
const HANG: Duration = Duration::from_secs(30);

/// The library, told to let the machine's own devices alone.
fn library() -> PathBuf {
    static TOLD: Once = Once::new();
    // SAFETY: each test comes through here before it does anything else, so nobody reads the environment meanwhile.
    TOLD.call_once(|| unsafe {
        std::env::set_var("BAREWIRE_SET", "driver.backend = \"virtual\"");
    });
    let path = std::env::current_exe().unwrap().parent().unwrap().join("libbarewire.so");
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

fn sample(frame: u32, channel: u32) -> u32 {
    (frame + 1).wrapping_mul(0x9E37_79B9) ^ channel | 1
}

/// Plays numbers that do not repeat, and sends what comes back.
fn player(heard: Sender<[u32; 2]>) -> impl FnMut(Block<'_>) + Send {
    let mut count = 0;
    move |mut block: Block<'_>| {
        let frames = block.frames();
        let mut bytes = vec![0; frames as usize * 4];
        let mut inputs = [vec![0; bytes.len()], vec![0; bytes.len()]];
        for channel in 0..2 {
            for (n, place) in (count..).zip(bytes.chunks_exact_mut(4)) {
                place.copy_from_slice(&sample(n, channel).to_le_bytes());
            }
            block.write_output(channel as usize, &bytes);
            block.read_input(channel as usize, &mut inputs[channel as usize]);
        }
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
        for (left, right) in inputs[0].chunks_exact(4).zip(inputs[1].chunks_exact(4)) {
            // The test may have heard enough.
            let _ = heard.send([word(left), word(right)]);
        }
        count += frames;
    }
}

fn plays_exactly(session: &mut Session, rate_hz: f64) {
    session.set_sample_rate(rate_hz).unwrap();
    let request = Request { inputs: vec![0, 1], outputs: vec![0, 1], size: BlockSize::Near(1024) };
    let shape = session.prepare(&request).unwrap();
    assert_eq!((shape.frames, shape.rate_hz.to_bits()), (1024, rate_hz.to_bits()));
    let (sender, heard) = channel();
    session.start(Box::new(player(sender))).unwrap();
    let next = || heard.recv_timeout(HANG).unwrap();
    let first = std::iter::repeat_with(next).take(1 << 20).find(|frame| frame[0] != 0).unwrap();
    // What is heard first is what was played first, and the channels are not swapped.
    assert_eq!(first, [sample(0, 0), sample(0, 1)], "at {rate_hz} Hz");
    for n in 1..4096 {
        let frame = next();
        // A busy machine may miss a block; then silence ends what can be compared.
        if frame == [0, 0] {
            break;
        }
        assert_eq!(frame, [sample(n, 0), sample(n, 1)], "frame {n} at {rate_hz} Hz");
    }
    session.unprepare().unwrap();
}

#[test]
fn a_registered_driver_is_found_loaded_and_played_at_one_rate_after_another() {
    let library = library();
    let root = tempfile::tempdir().unwrap();
    register(root.path(), "Barewire", &library, "words").unwrap();
    let found = entries(root.path()).unwrap();
    assert_eq!(found.problems, []);
    let source = Source::entry(&found.entries[0]);
    let told = probe(&source).unwrap();
    assert_eq!((told.name.as_str(), told.inputs.len(), told.outputs.len()), ("Barewire", 2, 2));
    assert!(told.rates_hz.contains(&44_100.0) && told.output_ready, "{told:#?}");
    let mut session = Session::open(&source).unwrap();
    for rate_hz in [44_100.0, 192_000.0, 96_000.0] {
        plays_exactly(&mut session, rate_hz);
    }
    session.reset().unwrap();
    plays_exactly(&mut session, 48_000.0);
}

#[test]
fn two_instances_play_at_once_and_one_may_go_while_the_other_plays() {
    let mut one = Session::open(&Source::file(library())).unwrap();
    let mut other = Session::open(&Source::file(library())).unwrap();
    let request = Request { inputs: vec![], outputs: vec![1], size: BlockSize::Near(1024) };
    one.prepare(&request).unwrap();
    one.start(Box::new(|mut block: Block<'_>| block.silence())).unwrap();
    plays_exactly(&mut other, 88_200.0);
    drop(other);
    let before = one.statistics().blocks;
    while one.statistics().blocks < before + 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    one.unprepare().unwrap();
}
