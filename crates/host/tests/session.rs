//! A session over drivers of good and bad manners. Each rule is tried with a driver that breaks what the rule bears.

#![allow(clippy::unwrap_used, reason = "part of a test")]

mod fake;

use barewire_abi::constants::message;
use barewire_abi::{BufferSize, TimeInfo};
use barewire_host::{
    Block, BlockSize, Direction, Event, Manners as HostManners, Request, SLOTS, Session, Source,
    probe,
};
use barewire_types::{ErrorKind, Half, SampleFormat};
use fake::{BYTES, Manners, Seen, source};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Nothing that is right takes a tenth of it.
const HANG: Duration = Duration::from_secs(20);

fn both() -> Request {
    Request { inputs: vec![0], outputs: vec![0, 1], size: BlockSize::Preferred }
}

fn quick() -> HostManners {
    HostManners { settling: Duration::ZERO, ..HostManners::default() }
}

fn open(manners: Manners) -> (Session, Arc<Seen>) {
    let (source, seen) = source(manners);
    (Session::open_with(&source, quick()).unwrap(), seen)
}

/// What the player saw of a block: half, number, position relative and told.
type Saw = (Half, u64, u64, Option<u64>);

fn watcher() -> (Box<dyn barewire_host::Player>, Receiver<Saw>) {
    let (sender, receiver) = channel();
    let player = move |mut block: Block<'_>| {
        let bytes =
            vec![u8::try_from(block.number + 1).unwrap_or(255); block.frames() as usize * BYTES];
        assert_eq!(block.write_output(0, &bytes), bytes.len());
        assert_eq!(block.write_output(2, &bytes), 0, "there is no third output");
        let time = block.time;
        // The test may have seen enough.
        let _ = sender.send((block.half, block.number, time.position_frames, time.told_frames));
    };
    (Box::new(player), receiver)
}

fn some(receiver: &Receiver<Saw>, count: usize) -> Vec<Saw> {
    (0..count).map(|_| receiver.recv_timeout(HANG).unwrap()).collect()
}

#[test]
fn halves_alternate_and_positions_begin_at_zero_whatever_the_driver_counts_from() {
    for (timed, first_position) in [(true, 0), (true, 64), (false, 1 << 40)] {
        let (mut session, seen) = open(Manners { timed, first_position, ..Manners::default() });
        let shape = session.prepare(&both()).unwrap();
        assert_eq!((shape.frames, shape.output_format), (64, Some(SampleFormat::INT32)));
        assert_eq!((shape.outputs[1].name.as_str(), shape.latency), ("out 1", None));
        for _run in 0..2 {
            let (player, blocks) = watcher();
            session.start(player).unwrap();
            for (n, saw) in (0_u64..).zip(some(&blocks, 6)) {
                let half = if n % 2 == 0 { Half::Zero } else { Half::One };
                assert_eq!(saw, (half, n, n * 64, Some(first_position + n * 64)));
            }
            session.stop().unwrap();
        }
        session.unprepare().unwrap();
        let played = seen.played.lock().unwrap();
        assert_eq!(played[..6], [1, 2, 3, 4, 5, 6], "what was written is what the driver plays");
    }
}

#[test]
fn a_first_block_on_the_thread_of_start_is_played() {
    let (mut session, _) = open(Manners { block_inside_start: true, ..Manners::default() });
    session.prepare(&both()).unwrap();
    let (player, blocks) = watcher();
    session.start(player).unwrap();
    assert_eq!(some(&blocks, 3)[2].1, 2);
}

#[test]
fn outputs_are_silent_in_both_halves_before_the_first_block() {
    let (mut session, _) = open(Manners::default());
    session
        .prepare(&Request { inputs: vec![], outputs: vec![0], size: BlockSize::Exactly(32) })
        .unwrap();
    let (sender, receiver) = channel();
    let player = move |mut block: Block<'_>| {
        let mut outputs = block.outputs();
        let plane = outputs.plane(0);
        // SAFETY: the first sample of a half that is lent to this block.
        let _ =
            sender.send((plane.frames(), unsafe { plane.as_ptr().cast::<u32>().read_unaligned() }));
    };
    session.start(Box::new(player)).unwrap();
    for _ in 0..2 {
        assert_eq!(receiver.recv_timeout(HANG).unwrap(), (32, 0), "the fake fills with 0xEE");
    }
}

#[test]
fn a_stuttering_driver_is_played_once_and_one_that_always_says_half_zero_is_played_on() {
    let (mut session, _) = open(Manners { stutters: true, ..Manners::default() });
    session.prepare(&both()).unwrap();
    let (player, blocks) = watcher();
    session.start(player).unwrap();
    let numbers: Vec<_> = some(&blocks, 4).iter().map(|saw| saw.2).collect();
    assert_eq!(numbers, [0, 64, 128, 192]);
    session.stop().unwrap();
    assert!(session.statistics().repeated_halves > 0);

    let (mut session, _) = open(Manners { always_zero: true, ..Manners::default() });
    session.prepare(&both()).unwrap();
    let (player, blocks) = watcher();
    session.start(player).unwrap();
    assert_eq!(some(&blocks, 4)[3].2, 192);
}

#[test]
fn a_size_that_is_refused_falls_back_to_one_that_is_taken() {
    let told = BufferSize { min_frames: 0, max_frames: 0, preferred_frames: -3, granularity: -9 };
    let (mut session, seen) = open(Manners { only_size: Some(512), told, ..Manners::default() });
    let near = Request { size: BlockSize::Near(100), ..both() };
    assert_eq!(session.prepare(&near).unwrap().frames, 512);
    assert!(seen.has("create 100"), "what was wanted is tried first");
    session.unprepare().unwrap();
    let exactly = Request { size: BlockSize::Exactly(100), ..both() };
    let error = session.prepare(&exactly).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(
        error.to_string(),
        "Fake: 100 frames a block was refused: the fake says no [InvalidParameter (-998)]"
    );
    let huge = Request { size: BlockSize::Exactly(u32::MAX), ..both() };
    assert!(session.prepare(&huge).is_err());
}

#[test]
fn channels_that_are_not_there_are_refused_before_the_driver_hears_of_them() {
    let (mut session, seen) = open(Manners::default());
    for (request, words) in [
        (Request { outputs: vec![2], ..Request::default() }, "output 2 does not exist; it has 2"),
        (Request { inputs: vec![0, 0], ..Request::default() }, "input 0 is named twice; it has 1"),
        (Request::default(), "buffers need at least one channel"),
    ] {
        let error = session.prepare(&request).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(*seen.calls.lock().unwrap(), ["init"]);
}

#[test]
fn nonsense_from_create_buffers_is_disposed_of_and_said() {
    let mixed = Manners { second_type: 16, ..Manners::default() };
    let unknown = Manners { second_type: 99, ..Manners::default() };
    let forgets = Manners { forgets: true, ..Manners::default() };
    for (manners, words) in [
        (mixed, "its Outputs have different formats"),
        (unknown, "it names 99, which is no sample type"),
        (forgets, "it made buffers and left a channel without"),
    ] {
        let (mut session, seen) = open(manners);
        let error = session.prepare(&both()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(seen.has("dispose"));
        assert_eq!(session.start(watcher().0).unwrap_err().kind(), ErrorKind::WrongState);
    }
}

#[test]
fn a_driver_that_never_calls_is_stopped_and_said_to_be_silent() {
    let (source, seen) = source(Manners { mute: true, ..Manners::default() });
    let manners = HostManners { first_block: Duration::from_millis(20), ..quick() };
    let mut session = Session::open_with(&source, manners).unwrap();
    session.prepare(&both()).unwrap();
    let error = session.start(watcher().0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().starts_with("Fake started, but asked for no block within 20ms"));
    assert!(seen.has("stop"));
}

#[test]
fn no_block_reaches_the_player_after_stop_even_if_the_driver_goes_on() {
    let (mut session, _) = open(Manners { restless: true, ..Manners::default() });
    session.prepare(&both()).unwrap();
    let (player, blocks) = watcher();
    session.start(player).unwrap();
    some(&blocks, 2);
    session.stop().unwrap();
    // The player is gone, and with it the sending end: else this would not end.
    blocks.iter().for_each(drop);
    let before = session.statistics();
    let until = Instant::now() + HANG;
    while session.statistics().outside == before.outside {
        assert!(Instant::now() < until, "the driver stopped calling");
        std::thread::yield_now();
    }
    assert_eq!(session.statistics().blocks, before.blocks);
}

#[test]
fn a_block_within_a_block_and_a_second_call_for_one_block_are_refused() {
    let (mut session, seen) = open(Manners::default());
    session.prepare(&both()).unwrap();
    let host = seen.host.lock().unwrap().clone().unwrap();
    let (sender, blocks) = channel();
    let player = move |block: Block<'_>| {
        // Both come back at once, and neither reaches this player again.
        host.buffer_switch_time_info(block.half, &TimeInfo::default());
        host.buffer_switch(block.half.other());
        let _ = sender.send(block.number);
    };
    session.start(Box::new(player)).unwrap();
    assert_eq!((0..3).map(|_| blocks.recv_timeout(HANG).unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    session.stop().unwrap();
    let counted = session.statistics();
    assert_eq!(counted.reentered, 2 * counted.blocks);

    // Out of turn, while a driver with time info runs.
    let host = seen.host.lock().unwrap().clone().unwrap();
    session.start(watcher().0).unwrap();
    let until = Instant::now() + HANG;
    while session.statistics().doubled == 0 {
        assert!(Instant::now() < until);
        host.buffer_switch(Half::Zero);
    }
}

/// A player that stands in its first block until the sender is dropped.
fn stuck() -> (Box<dyn barewire_host::Player>, std::sync::mpsc::Sender<()>) {
    let (let_go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let player = move |_: Block<'_>| {
        // An error is what is waited for.
        let _ = wait.lock().unwrap().recv_timeout(HANG);
    };
    (Box::new(player), let_go)
}

#[test]
fn a_callback_that_does_not_come_back_holds_nothing_up() {
    for leaves in [false, true] {
        let manners = Manners { restless: true, leaves, ..Manners::default() };
        let (source, seen) = source(manners);
        let limit = Duration::from_millis(20);
        let manners = HostManners { first_block: limit, come_back: limit, ..quick() };
        let mut session = Session::open_with(&source, manners).unwrap();
        session.prepare(&both()).unwrap();
        let (player, let_go) = stuck();
        assert_eq!(session.start(player).unwrap_err().kind(), ErrorKind::Timeout, "no first block");
        assert!(session.start(watcher().0).is_err(), "the last run is not over");
        if leaves {
            assert_eq!(session.unprepare().unwrap_err().kind(), ErrorKind::Timeout);
            drop(session);
            assert_eq!(seen.alive.load(Ordering::SeqCst), 1, "the driver runs, so it stays");
            drop(let_go);
        } else {
            drop(let_go);
            session.unprepare().unwrap();
            drop(session);
            assert_eq!(seen.alive.load(Ordering::SeqCst), 0);
        }
    }
}

#[test]
fn requests_wait_until_they_are_asked_for_and_habitual_ones_are_only_counted() {
    let manners = Manners { reset_at_start: true, reset_after: Some(5), ..Manners::default() };
    let (mut session, _) = open(manners);
    session.prepare(&both()).unwrap();
    let (player, blocks) = watcher();
    session.start(player).unwrap();
    some(&blocks, 8);
    let events = session.poll();
    assert_eq!(events, [Event::ResetWanted, Event::RateChanged { rate_hz: 44_100.0 }]);
    assert_eq!(session.poll(), []);
    let counted = session.statistics();
    assert_eq!((counted.ignored_requests, counted.overloads), (1, 1));
}

#[test]
fn a_request_at_each_start_is_habit_and_one_between_is_meant() {
    let (mut session, seen) = open(Manners { reset_at_start: true, ..Manners::default() });
    session.prepare(&both()).unwrap();
    for _ in 0..2 {
        session.start(watcher().0).unwrap();
        session.stop().unwrap();
    }
    assert_eq!((session.poll(), session.statistics().ignored_requests), (vec![], 2));
    seen.host.lock().unwrap().as_ref().unwrap().message(message::RESET_REQUEST, 0);
    assert_eq!(session.poll(), [Event::ResetWanted]);
}

#[test]
fn a_reset_makes_a_new_driver_and_lets_the_old_one_go() {
    let (mut session, seen) = open(Manners::default());
    session.prepare(&both()).unwrap();
    session.start(watcher().0).unwrap();
    session.reset().unwrap();
    assert_eq!(seen.alive.load(Ordering::SeqCst), 1);
    assert!(session.shape().is_none());
    session.prepare(&both()).unwrap();
    session.start(watcher().0).unwrap();
    drop(session);
    assert_eq!(seen.alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_rate_that_is_taken_only_anew_is_taken_anew() {
    let (mut session, seen) = open(Manners { slow_rate: true, ..Manners::default() });
    session.set_sample_rate(96_000.0).unwrap();
    assert_eq!(session.sample_rate(), Ok(96_000.0));
    session.prepare(&both()).unwrap();
    let error = session.set_sample_rate(44_100.0).unwrap_err();
    assert!(error.to_string().contains("says it took 44100 Hz, and stays at 96000"), "{error}");
    assert_eq!(seen.alive.load(Ordering::SeqCst), 1);
}

#[test]
fn output_ready_is_called_once_a_block_if_the_driver_profits_and_else_only_asked() {
    for (output_ready, wanted) in [(true, true), (true, false), (false, true)] {
        let (source, seen) = source(Manners { output_ready, ..Manners::default() });
        let manners = HostManners { output_ready: wanted, ..quick() };
        let mut session = Session::open_with(&source, manners).unwrap();
        assert_eq!(session.prepare(&both()).unwrap().output_ready, output_ready && wanted);
        session.start(watcher().0).unwrap();
        session.stop().unwrap();
        let blocks = session.statistics().blocks;
        let readies = seen.readies.load(Ordering::SeqCst) as u64;
        let asked = u64::from(wanted);
        assert_eq!(readies, if output_ready && wanted { asked + blocks } else { asked });
    }
}

#[test]
fn a_player_that_panics_is_silenced_and_told_of() {
    let (mut session, seen) = open(Manners::default());
    session.prepare(&both()).unwrap();
    let player = |mut block: Block<'_>| {
        block.write_output(0, &[9; 64 * BYTES]);
        assert!(block.number < 3, "planted");
    };
    session.start(Box::new(player)).unwrap();
    let until = Instant::now() + HANG;
    while session.statistics().blocks < 8 {
        assert!(Instant::now() < until);
        std::thread::yield_now();
    }
    session.stop().unwrap();
    assert_eq!(session.poll(), [Event::PlayerPanicked]);
    assert_eq!(seen.played.lock().unwrap()[..6], [9, 9, 9, 0, 0, 0]);
}

#[test]
fn many_drivers_play_at_once_each_to_its_own_player() {
    let counts: Vec<_> = (0..SLOTS / 2).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let mut sessions = Vec::new();
    for (n, count) in (1..).zip(&counts) {
        let (mut session, _) = open(Manners { first_position: n << 32, ..Manners::default() });
        session.prepare(&both()).unwrap();
        let count = count.clone();
        let player = move |block: Block<'_>| {
            assert_eq!(block.time.told_frames.unwrap() >> 32, n, "another driver's block");
            count.fetch_add(1, Ordering::SeqCst);
        };
        session.start(Box::new(player)).unwrap();
        sessions.push(session);
    }
    for (session, count) in sessions.iter_mut().zip(&counts) {
        session.stop().unwrap();
        assert_eq!(session.poll(), []);
        assert_eq!(count.load(Ordering::SeqCst), session.statistics().blocks);
    }
}

#[test]
fn what_a_driver_lacks_is_said_in_its_own_words() {
    let words = "no device is connected";
    let (source, seen) = source(Manners { no_device: Some(words), ..Manners::default() });
    let error = Session::open(&source).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("fake: init was refused: no device is connected"));
    assert_eq!(seen.alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_probe_tells_what_can_be_known_and_remarks_what_cannot() {
    let (source, seen) = source(Manners::default());
    let probe = probe(&source).unwrap();
    assert_eq!((probe.name.as_str(), probe.version), ("Fake", 7));
    assert_eq!((probe.inputs.len(), probe.outputs.len()), (1, 2));
    assert_eq!(probe.outputs[0].sample_type, "Int32LSB");
    assert_eq!((probe.rates_hz, probe.rate_hz), (vec![48_000.0], Some(48_000.0)));
    assert!(probe.reports_overload && probe.output_ready && !probe.dsd);
    assert!(probe.clocks[0].is_current);
    assert_eq!(probe.remarks.len(), 1, "latencies: {:?}", probe.remarks);
    assert_eq!(seen.alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_source_that_makes_nothing_is_said_to() {
    // SAFETY: null is allowed.
    let source = unsafe { Source::object("nothing", std::ptr::null_mut) };
    let error = Session::open(&source).unwrap_err();
    assert!(error.to_string().contains("nothing misbehaves: its factory gave no driver"));
}

#[test]
fn an_input_is_read_as_the_driver_left_it() {
    let (mut session, _) = open(Manners::default());
    session.prepare(&both()).unwrap();
    let read = Arc::new(Mutex::new(Vec::new()));
    let theirs = read.clone();
    let player = move |block: Block<'_>| {
        let mut bytes = [0; 300];
        let count = block.read_input(0, &mut bytes);
        assert_eq!(block.inputs().frames(), 64);
        *theirs.lock().unwrap() = bytes[..count].to_vec();
    };
    session.start(Box::new(player)).unwrap();
    session.stop().unwrap();
    assert_eq!(*read.lock().unwrap(), [0xEE; 256]);
    assert_eq!(session.channel(Direction::Input, 0).unwrap().name, "in 0");
}
