//! The driver with hosts of good and bad manners, on the virtual device, in simulated time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test may stop the world"
)]

mod rig;

use barewire_abi::constants::{future, message};
use barewire_abi::{AsioDriver, BufferRequest, Code, FutureCall, IoFormat};
use barewire_driver::{BlockSizes, Config, ConfigSource, FixedConfig, live_threads};
use barewire_rt::System;
use barewire_testkit::{FakeHost, Manners};
use barewire_types::Integrity;
use barewire_virtual::{Description, Fault, FaultKind, Source};
use rig::{HANG, Rig, both, code, comes_back, faultless, rig, rig_named, rig_with, until};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

#[test]
fn what_a_host_plays_comes_back_bit_for_bit_after_the_latency_it_is_told() {
    for frames in [32, 64, 100, 256, 1024, 2048] {
        for fixed in [None, Some(64), Some(480)] {
            for says_ready in [true, false] {
                let rig = rig_with(
                    Description { fixed_period_frames: fixed, ..Description::default() },
                    Arc::new(FixedConfig::default()),
                );
                let host = rig.play(frames, 40, Manners { says_ready, ..Manners::default() });
                faultless(&host);
                let told = rig.driver.latencies().unwrap();
                comes_back(&host, told);
                assert_eq!(rig.observer.report().integrity, Integrity::Exact { bits: 32 });
                rig.release();
            }
        }
    }
}

type Call = (&'static str, fn(&Rig) -> Code, [Code; 4]);

/// Each method, and what it answers when loaded, initialised, prepared and running.
fn calls() -> [Call; 17] {
    use Code as C;
    let (ok, gone, wrong) = (C::OK, C::NOT_PRESENT, C::INVALID_MODE);
    [
        ("init", |r| code(r.driver.init(std::ptr::null_mut())), [ok; 4]),
        ("getChannels", |r| code(r.driver.channels()), [gone, ok, ok, ok]),
        ("getBufferSize", |r| code(r.driver.buffer_size()), [gone, ok, ok, ok]),
        ("getLatencies", |r| code(r.driver.latencies()), [gone, ok, ok, ok]),
        ("canSampleRate", |r| code(r.driver.can_sample_rate(48_000.0)), [gone, ok, ok, ok]),
        ("getSampleRate", |r| code(r.driver.sample_rate()), [gone, ok, ok, ok]),
        ("setSampleRate", |r| code(r.driver.set_sample_rate(48_000.0)), [gone, ok, ok, ok]),
        ("getClockSources", |r| code(r.driver.clock_sources()), [gone, ok, ok, ok]),
        ("getChannelInfo", |r| code(r.driver.channel_info(0, true)), [gone, ok, ok, ok]),
        (
            "getSamplePosition",
            |r| code(r.driver.sample_position()),
            [gone, C::SP_NOT_ADVANCING, C::SP_NOT_ADVANCING, ok],
        ),
        ("outputReady", |r| code(r.driver.output_ready()), [ok; 4]),
        ("controlPanel", |r| code(r.driver.control_panel()), [gone; 4]),
        (
            "future(CanTimeInfo)",
            |r| code(r.driver.future(FutureCall::Can(future::CAN_TIME_INFO))),
            [ok; 4],
        ),
        (
            "future(SetIoFormat)",
            |r| code(r.driver.future(FutureCall::SetIoFormat(IoFormat::Pcm))),
            [ok, ok, wrong, wrong],
        ),
        (
            "createBuffers",
            |r| {
                let host = FakeHost::new(64, Manners::default());
                let result = code(host.create_buffers(&r.driver, &both()));
                if result == Code::OK {
                    r.driver.dispose_buffers().unwrap()
                }
                result
            },
            [gone, ok, wrong, wrong],
        ),
        ("start", |r| code(r.driver.start()), [wrong, wrong, ok, ok]),
        ("stop", |r| code(r.driver.stop()), [ok; 4]),
    ]
}

#[test]
fn the_legality_of_each_call_is_that_of_the_table() {
    let (ok, wrong) = (Code::OK, Code::INVALID_MODE);
    for (name, call, expected) in calls() {
        for (n, expected) in expected.into_iter().enumerate() {
            let rig = rig();
            let (manners, called) = until(3, Manners::default());
            if n >= 1 {
                rig.driver.init(std::ptr::null_mut()).unwrap();
            }
            let host = FakeHost::new(64, manners);
            if n >= 2 {
                host.create_buffers(&rig.driver, &both()).unwrap();
            }
            if n == 3 {
                rig.driver.start().unwrap();
                called.recv_timeout(HANG).unwrap();
            }
            let state = rig.observer.report().state;
            assert_eq!(state, ["loaded", "initialized", "prepared", "running"][n]);
            assert_eq!(call(&rig), expected, "{name} in the state {state}");
            let disposed = code(rig.driver.dispose_buffers());
            assert_eq!(
                disposed,
                if n >= 2 { ok } else { wrong },
                "disposeBuffers after {name} in {state}"
            );
            rig.release();
        }
    }
}

/// The table of the documentation, as the test has it.
fn table() -> String {
    let word = |code: Code| match code {
        Code::OK => "OK",
        Code::NOT_PRESENT => "NotPresent",
        Code::INVALID_MODE => "InvalidMode",
        Code::SP_NOT_ADVANCING => "SPNotAdvancing",
        other => panic!("{other:?} has no word"),
    };
    let row =
        |name: &str, codes: [Code; 4]| format!("| {name} | {} |\n", codes.map(word).join(" | "));
    let mut text =
        "| call | Loaded | Initialized | Prepared | Running |\n|---|---|---|---|---|\n".to_owned();
    calls().iter().for_each(|(name, _, codes)| text.push_str(&row(name, *codes)));
    let (ok, wrong) = (Code::OK, Code::INVALID_MODE);
    text.push_str(&row("disposeBuffers", [wrong, wrong, ok, ok]));
    text
}

#[test]
fn the_documentation_has_the_table_that_is_tested() {
    let page = include_str!("../../../docs/states.md");
    assert!(page.contains(&table()), "docs/states.md should have:\n{}", table());
}

#[test]
fn absurd_arguments_are_refused_and_change_nothing() {
    let rig = rig();
    rig.driver.init(std::ptr::dangling_mut()).unwrap();
    for rate in [0.0, -1.0, 1.0, 1e7, f64::NAN, f64::INFINITY, f64::MAX, 5e-324, 44_101.0] {
        assert_eq!(code(rig.driver.can_sample_rate(rate)), Code::NO_CLOCK, "{rate}");
        assert_eq!(code(rig.driver.set_sample_rate(rate)), Code::NO_CLOCK, "{rate}");
    }
    assert_eq!(rig.driver.sample_rate().unwrap(), 48_000.0);
    for channel in [-1, 2, i32::MAX, i32::MIN] {
        assert_eq!(code(rig.driver.channel_info(channel, true)), Code::INVALID_PARAMETER);
    }
    let request = |is_input, channel| BufferRequest { is_input, channel };
    let cases = [
        (64, vec![request(true, -1)]),
        (64, vec![request(false, 2)]),
        (64, vec![request(true, 0), request(true, 0)]),
        (0, both()),
        (-1, both()),
        (31, both()),
        (2049, both()),
        (i32::MAX, both()),
    ];
    for (frames, wanted) in cases {
        let host = FakeHost::new(64, Manners::default());
        assert_eq!(code(rig.driver.create_buffers(&wanted, frames, host)), Code::INVALID_PARAMETER);
        assert_eq!(rig.observer.report().state, "initialized");
    }
    assert_eq!(rig.remote.openings(), 0, "no device is opened before buffers are made");
    assert_eq!(code(rig.driver.set_clock_source(1)), Code::INVALID_PARAMETER);
    assert_eq!(code(rig.driver.future(FutureCall::Unknown(18))), Code::INVALID_PARAMETER);
    rig.release();
}

#[test]
fn buffers_of_any_channels_in_any_order_are_distinct_and_silent() {
    let rig = rig_with(
        Description { inputs: 5, outputs: 7, ..Description::default() },
        Arc::new(FixedConfig::default()),
    );
    rig.driver.init(std::ptr::null_mut()).unwrap();
    let request = |is_input, channel| BufferRequest { is_input, channel };
    let wanted = [request(false, 6), request(true, 3), request(false, 0), request(true, 0)];
    let host = FakeHost::new(128, Manners::default());
    let halves = rig.driver.create_buffers(&wanted, 128, host).unwrap();
    let mut all: Vec<usize> = halves.iter().flatten().map(|half| *half as usize).collect();
    all.sort_unstable();
    assert!(
        all.windows(2).all(|pair| pair[1] - pair[0] >= 512)
            && all.iter().all(|half| half % 64 == 0)
    );
    for half in halves.iter().flatten() {
        // SAFETY: the driver lent 128 samples of four bytes.
        assert!((0..512).all(|n| unsafe { half.add(n).read() } == 0));
    }
    for is_input in [true, false] {
        for channel in 0..if is_input { 5 } else { 7 } {
            let active = rig.driver.channel_info(channel, is_input).unwrap().is_active;
            assert_eq!(active, wanted.contains(&request(is_input, channel)));
        }
    }
    rig.release();
}

#[test]
fn start_and_stop_repeat_without_new_buffers_and_each_run_begins_at_zero() {
    let rig = rig();
    let (sender, reached) = channel();
    let hook = move |_| {
        let _ = sender.send(());
    };
    let host = rig.ready(64, Manners { in_callback: Some(Box::new(hook)), ..Manners::default() });
    for _ in 0..50 {
        rig.driver.start().unwrap();
        (0..4).for_each(|_| reached.recv_timeout(HANG).unwrap());
        rig.driver.stop().unwrap();
        let after = host.heard(|heard| heard.blocks);
        std::thread::yield_now();
        assert_eq!(host.heard(|heard| heard.blocks), after, "no callback after stop");
        reached.try_iter().count();
    }
    host.heard(|heard| {
        assert!(heard.faults.is_empty());
        let starts = heard.times.iter().filter(|time| time.position_frames == 0).count();
        assert_eq!(starts, 50);
        for (n, time) in heard.times.iter().enumerate() {
            let block = time.position_frames / 64;
            assert_eq!(heard.halves[n] as u64, block % 2);
        }
    });
    assert_eq!(rig.remote.openings(), 1);
    rig.release();
}

#[test]
fn start_does_not_wait_for_a_host_that_waits_for_start() {
    let rig = rig();
    let returned = Arc::new(AtomicBool::new(false));
    let seen = returned.clone();
    let hook = move |_| {
        while !seen.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    };
    let (manners, reached) =
        until(5, Manners { in_callback: Some(Box::new(hook)), ..Manners::default() });
    let host = rig.ready(64, manners);
    rig.driver.start().unwrap();
    returned.store(true, Ordering::Release);
    reached.recv_timeout(HANG).unwrap();
    rig.driver.stop().unwrap();
    faultless(&host);
    rig.release();
}

#[test]
fn a_host_may_stop_and_dispose_inside_its_callback() {
    for disposes in [false, true] {
        let rig = rig();
        let (driver, stopped) = (rig.driver.clone(), AtomicBool::new(false));
        let hook = move |number| {
            assert!(!stopped.load(Ordering::Acquire), "called after stop had returned");
            if number == 7 {
                assert_eq!(
                    code(if disposes { driver.dispose_buffers() } else { driver.stop() }),
                    Code::OK
                );
                stopped.store(true, Ordering::Release);
            }
        };
        let (manners, reached) =
            until(7, Manners { in_callback: Some(Box::new(hook)), ..Manners::default() });
        let host = rig.ready(64, manners);
        rig.driver.start().unwrap();
        reached.recv_timeout(HANG).unwrap();
        let expected = if disposes { Code::INVALID_MODE } else { Code::OK };
        assert_eq!(code(rig.driver.dispose_buffers()), expected);
        assert_eq!(host.heard(|heard| heard.blocks), 8);
        assert_eq!(rig.observer.report().state, "initialized");
        drop(host);
        // The hook held a hand on the driver.
        let Rig { driver, own, .. } = rig;
        drop(driver);
        let end = std::time::Instant::now() + HANG;
        let mut own = own;
        let own = loop {
            match Arc::try_unwrap(own) {
                Ok(own) => break own,
                Err(again) => own = again,
            }
            assert!(std::time::Instant::now() < end);
        };
        AsioDriver::released(Box::new(own));
    }
}

#[test]
fn output_ready_is_understood_however_a_host_calls_it() {
    // Twice, and from a thread of its own after the callback has returned.
    for (twice, elsewhere) in [(true, false), (false, true), (true, true)] {
        let rig = rig();
        let (driver, wants) = (rig.driver.clone(), channel::<()>());
        let (sender, receiver) = wants;
        let helper = std::thread::spawn(move || {
            while receiver.recv().is_ok() {
                (0..if twice { 2 } else { 1 }).for_each(|_| drop(driver.output_ready()));
            }
        });
        let driver = rig.driver.clone();
        let hook = move |_| {
            if elsewhere {
                let _ = sender.send(());
            } else {
                (0..if twice { 2 } else { 1 }).for_each(|_| drop(driver.output_ready()));
            }
        };
        let manners =
            Manners { says_ready: false, in_callback: Some(Box::new(hook)), ..Manners::default() };
        let host = rig.play(64, 300, manners);
        faultless(&host);
        rig.driver.dispose_buffers().unwrap();
        assert_eq!(rig.observer.report().lates, 0, "{twice} {elsewhere}");
        drop(host);
        let Rig { driver, .. } = rig;
        drop(driver);
        helper.join().unwrap();
    }
}

#[test]
fn a_host_that_asks_for_output_ready_and_never_calls_it_is_served() {
    let rig = rig();
    for _ in 0..10 {
        assert_eq!(code(rig.driver.output_ready()), Code::OK);
    }
    let host = rig.play(64, 500, Manners { says_ready: false, ..Manners::default() });
    faultless(&host);
    comes_back(&host, (64, 128));
    let report = rig.observer.report();
    assert_eq!((report.lates, report.xruns), (0, 0));
    rig.release();
}

#[test]
fn time_info_only_where_it_was_asked_for_and_can_be_taken() {
    for (wants, lacks, nothing) in [(false, false, false), (true, true, false), (true, false, true)]
    {
        let rig = rig();
        let manners = Manners {
            wants_time_info: wants,
            lacks_time_info: lacks,
            answers_nothing: nothing,
            ..Manners::default()
        };
        let host = rig.play(64, 20, manners);
        host.heard(|heard| {
            assert!(heard.faults.is_empty() && heard.times.is_empty() && heard.blocks > 20);
        });
        rig.release();
    }
}

#[test]
fn queries_from_within_a_callback_answer_at_once_and_agree_with_the_time_info() {
    let rig = rig();
    let driver = rig.driver.clone();
    let positions = Arc::new(Mutex::new(Vec::new()));
    let seen = positions.clone();
    let hook = move |_| {
        let position = driver.sample_position().unwrap();
        seen.lock().unwrap().push((position.position_frames, position.time_ns));
        assert_eq!(driver.sample_rate().unwrap(), 48_000.0);
        assert!(driver.latencies().is_ok() && driver.can_sample_rate(96_000.0).is_ok());
        assert!(
            driver.channels().is_ok()
                && driver.future(FutureCall::Can(future::CAN_TIME_INFO)).is_ok()
        );
        assert!(driver.output_ready().is_ok() && driver.buffer_size().is_ok());
        assert_eq!(code(driver.start()), Code::OK);
    };
    let host =
        rig.play(64, 100, Manners { in_callback: Some(Box::new(hook)), ..Manners::default() });
    host.heard(|heard| {
        let times: Vec<(u64, u64)> =
            heard.times.iter().map(|time| (time.position_frames, time.time_ns)).collect();
        assert_eq!(*positions.lock().unwrap(), times);
    });
}

#[test]
fn the_rate_is_new_at_once_and_the_device_follows_while_the_host_plays_on() {
    let rig = rig();
    let (sender, reached) = channel();
    let hook = move |_| {
        let _ = sender.send(());
    };
    let host = rig.ready(64, Manners { in_callback: Some(Box::new(hook)), ..Manners::default() });
    rig.driver.start().unwrap();
    reached.recv_timeout(HANG).unwrap();
    rig.driver.set_sample_rate(96_000.0).unwrap();
    assert_eq!(rig.driver.sample_rate().unwrap(), 96_000.0);
    let end = std::time::Instant::now() + HANG;
    while rig.remote.openings() < 2 {
        assert!(std::time::Instant::now() < end, "the device is not opened at the new rate");
        let _ = reached.recv_timeout(HANG);
    }
    rig.driver.stop().unwrap();
    host.heard(|heard| {
        assert!(heard.faults.is_empty(), "{:?}", heard.faults);
        assert!(
            heard
                .times
                .windows(2)
                .all(|pair| pair[1].position_frames == pair[0].position_frames + 64)
        );
        assert!(!heard.messages.iter().any(|(selector, _)| *selector == message::RESET_REQUEST));
    });
    let recordings = rig.release();
    let rates: Vec<u32> = recordings.take().iter().map(|recording| recording.rate.get()).collect();
    assert_eq!(rates, [48_000, 96_000]);
}

#[test]
fn a_new_instance_begins_with_the_rate_of_the_last_one() {
    let device = || Description { name: "remembered".to_owned(), ..Description::default() };
    let first = rig_named(device(), Arc::new(FixedConfig::default()));
    first.driver.init(std::ptr::null_mut()).unwrap();
    first.driver.set_sample_rate(88_200.0).unwrap();
    first.release();
    let second = rig_named(device(), Arc::new(FixedConfig::default()));
    second.driver.init(std::ptr::null_mut()).unwrap();
    let rate = second.driver.sample_rate().unwrap();
    second.driver.set_sample_rate(48_000.0).unwrap();
    second.release();
    assert_eq!(rate, 88_200.0);
}

#[test]
fn a_host_that_changes_the_rate_again_and_again_is_not_asked_for_a_reset() {
    let rig = rig();
    let (sender, reached) = channel();
    let hook = move |_| {
        let _ = sender.send(());
    };
    let host = rig.ready(64, Manners { in_callback: Some(Box::new(hook)), ..Manners::default() });
    let begin_ns = rig.system.now_ns();
    rig.driver.start().unwrap();
    let mut changes = 0;
    // Longer than a device may be away.
    while rig.system.now_ns() - begin_ns < 30_000_000_000 || changes < 30 {
        changes += 1;
        rig.driver.set_sample_rate(if changes % 2 == 0 { 48_000.0 } else { 96_000.0 }).unwrap();
        let end = std::time::Instant::now() + HANG;
        while rig.remote.openings() <= changes {
            assert!(std::time::Instant::now() < end, "change {changes} is not followed");
            let _ = reached.recv_timeout(HANG);
        }
        // Until the device plays again.
        let blocks = host.heard(|heard| heard.blocks);
        while host.heard(|heard| heard.blocks) < blocks + 500 {
            reached.recv_timeout(HANG).unwrap();
        }
    }
    rig.driver.stop().unwrap();
    let is_reset = |heard: &barewire_testkit::Heard| {
        heard.messages.iter().any(|(selector, _)| *selector == message::RESET_REQUEST)
    };
    assert!(!host.heard(is_reset));
    rig.release();
}

#[test]
fn a_device_that_is_pulled_out_costs_silence_and_comes_back() {
    let mut device = Description { source: Source::Counter, ..Description::default() };
    device.script.faults =
        vec![Fault { at_frames: 64_000, kind: FaultKind::Unplug(Some(300_000_000)) }];
    let rig = rig_with(device, Arc::new(FixedConfig::default()));
    let (sender, reached) = channel();
    let hook = move |_| {
        let _ = sender.send(());
    };
    let host = rig.ready(64, Manners { in_callback: Some(Box::new(hook)), ..Manners::default() });
    rig.driver.start().unwrap();
    let end = std::time::Instant::now() + HANG;
    while rig.remote.openings() < 2 {
        assert!(std::time::Instant::now() < end, "the device is not opened again");
        let _ = reached.recv_timeout(HANG);
    }
    rig.driver.stop().unwrap();
    faultless(&host);
    let texts: Vec<String> =
        rig.observer.report().records.into_iter().map(|record| record.text).collect();
    assert!(texts.iter().any(|text| text.contains("lost")), "{texts:?}");
    rig.release();
}

#[test]
fn a_host_is_asked_for_one_reset_if_its_device_stays_away() {
    let mut device = Description { source: Source::Counter, ..Description::default() };
    device.script.faults = vec![Fault { at_frames: 4_800, kind: FaultKind::Unplug(None) }];
    let rig = rig_with(device, Arc::new(FixedConfig::default()));
    let (sender, asked) = channel();
    let in_message = move |selector| {
        if selector == message::RESET_REQUEST {
            let _ = sender.send(());
        }
    };
    let host =
        rig.ready(64, Manners { in_message: Some(Box::new(in_message)), ..Manners::default() });
    rig.driver.start().unwrap();
    asked.recv_timeout(HANG).expect("the host is not asked for a reset");
    rig.driver.stop().unwrap();
    faultless(&host);
    rig.release();
    assert!(asked.try_recv().is_err());
}

#[test]
fn a_refused_device_is_an_error_with_a_sentence_and_the_next_try_works() {
    let rig = rig();
    rig.remote.refuse(1);
    rig.driver.init(std::ptr::null_mut()).unwrap();
    let host = FakeHost::new(64, Manners::default());
    let error = host.create_buffers(&rig.driver, &both()).unwrap_err();
    assert_eq!(error.code, Code::HW_MALFUNCTION);
    assert!(error.text.contains("held by another program"), "{}", error.text);
    host.create_buffers(&rig.driver, &both()).unwrap();
    rig.release();
}

struct Changing(AtomicBool);

impl ConfigSource for Changing {
    fn load(&self) -> (Config, Vec<String>) {
        (Config::default(), Vec::new())
    }
    fn has_changed(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
    fn place(&self) -> String {
        "nowhere".to_owned()
    }
}

#[test]
fn changed_settings_ask_for_one_reset_and_a_host_may_tear_down_inside_of_it() {
    let source = Arc::new(Changing(AtomicBool::new(false)));
    let rig = rig_with(Description::default(), source.clone());
    let (sender, reset) = channel();
    let driver = rig.driver.clone();
    let in_message = move |selector| {
        if selector == message::RESET_REQUEST {
            assert_eq!(code(driver.stop()), Code::OK);
            assert_eq!(code(driver.dispose_buffers()), Code::OK);
            let _ = sender.send(());
        }
    };
    let host =
        rig.ready(64, Manners { in_message: Some(Box::new(in_message)), ..Manners::default() });
    rig.driver.start().unwrap();
    source.0.store(true, Ordering::Release);
    reset.recv_timeout(HANG).expect("the host is not asked for a reset");
    assert_eq!(rig.observer.report().state, "initialized");
    let resets =
        host.heard(|heard| heard.messages.iter().filter(|m| m.0 == message::RESET_REQUEST).count());
    assert_eq!(resets, 1);
}

#[test]
fn control_calls_from_many_threads_at_once_do_no_harm() {
    let rig = rig();
    let _host = rig.ready(64, Manners::default());
    std::thread::scope(|scope| {
        for n in 0..4 {
            let driver = rig.driver.clone();
            scope.spawn(move || {
                for k in 0..100 {
                    let _ = match (n + k) % 5 {
                        0 => driver.start(),
                        1 => driver.stop(),
                        2 => driver.set_sample_rate(if k % 2 == 0 { 44_100.0 } else { 48_000.0 }),
                        3 => driver.latencies().map(|_| ()),
                        _ => driver.output_ready(),
                    };
                }
            });
        }
    });
    rig.driver.stop().unwrap();
    rig.release();
}

#[test]
fn nothing_is_left_behind() {
    for _ in 0..200 {
        let rig = rig();
        rig.driver.init(std::ptr::null_mut()).unwrap();
        assert_eq!(rig.remote.openings(), 0);
        rig.release();
    }
    let config = Config {
        block: BlockSizes { min_frames: 16, ..BlockSizes::default() },
        ..Config::default()
    };
    let rig = rig_with(Description::default(), Arc::new(FixedConfig(config)));
    let host = rig.play(16, 10, Manners::default());
    let weak = Arc::downgrade(&host);
    drop(host);
    let now = rig.system.now_ns();
    rig.release();
    assert!(weak.upgrade().is_none(), "the host's callbacks are let go");
    assert!(now > 1_000_000);
    let _ = live_threads();
}
