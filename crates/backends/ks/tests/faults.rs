//! Every lie and every accident ends in the right error or in recovery, never in a hang, and memory is never freed while the
//! driver has it. Time is simulated: what would hang runs into a limit of waits.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod lab;

use barewire_device::{Backend, Loss, NoteKind, Period, Stream, Wake};
use barewire_ks::kernel::Holder;
use barewire_ks::{Options, Transport};
use barewire_ks_device::Description;
use barewire_rt::System;
use barewire_types::ErrorKind;
use lab::Lab;

/// More waits than any recovery takes.
const MOST_WAITS: u32 = 400;
/// A byte that is no silence, and no poison of the card's.
const SOUND: u8 = 0x55;
/// Pins of the card's filter with the jacks.
const SPEAKER_PIN: u32 = 1;
const FIRST_JACK_PIN: u32 = 3;

fn packets() -> Description {
    Description { looped: false, streaming: true, ..Description::default() }
}

fn set(transport: Transport) -> Options {
    Options { transport, ..Options::default() }
}

/// The ways there are: a name, a card, what is set.
fn ways() -> [(&'static str, Description, Options); 3] {
    [
        ("events", Description::default(), Options::default()),
        ("polled", Description::default(), set(Transport::Polled)),
        ("packets", packets(), Options::default()),
    ]
}

/// Plays and captures `count` periods.
fn periods(lab: &Lab, stream: &mut dyn Stream, count: u32) -> u64 {
    let (mut done, mut missed) = (0, 0);
    for _ in 0..MOST_WAITS {
        match stream.wait(lab.system.now_ns() + 100_000_000) {
            Wake::Due(period) => {
                done += 1;
                missed += u64::from(period.missed_frames);
                write_all(stream);
                if done == count {
                    return missed;
                }
            }
            Wake::Idle => {}
            other => panic!("{other:?} after {done} periods"),
        }
    }
    panic!("{done} of {count} periods in {MOST_WAITS} waits");
}

fn write_all(stream: &mut dyn Stream) {
    loop {
        let area = stream.playback();
        let frames = area.frames();
        if frames == 0 {
            return;
        }
        barewire_dsp::silence(stream.shape().playback.unwrap().format, stream.playback());
        stream.commit(frames);
    }
}

fn next_due(lab: &Lab, stream: &mut dyn Stream) -> Period {
    for _ in 0..MOST_WAITS {
        match stream.wait(lab.system.now_ns() + 100_000_000) {
            Wake::Due(period) => return period,
            Wake::Idle => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("nothing due in {MOST_WAITS} waits");
}

/// Fills all of a period with a sound.
fn put_sound(stream: &mut dyn Stream) {
    let side = stream.shape().playback.unwrap();
    loop {
        let piece = stream.playback();
        let frames = piece.frames();
        if frames == 0 {
            return;
        }
        let bytes = frames as usize * usize::from(side.channels) * side.format.bytes();
        let base = piece.interleaved_base().unwrap();
        // SAFETY: the piece has room for `frames` frames.
        unsafe { base.write_bytes(SOUND, bytes) };
        stream.commit(frames);
    }
}

fn is_clean(lab: &Lab, name: &str) {
    let violations = lab.violations();
    assert!(violations.is_empty(), "{name}: {violations:?}");
}

#[test]
fn an_occupied_pin_is_busy_whatever_its_driver_answers() {
    // Bad command, busy, no resources; and what means a wrong format elsewhere: the count of instances tells.
    for busy_status in [0xC000_0184, 0xC000_009A, 0xC000_0272, 0xC000_000D] {
        let lab = Lab::new(Description { held: 1, busy_status, ..Description::default() });
        let error = lab.backend(Options::default()).open(&lab.request(64)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Busy, "{busy_status:#x}: {error}");
        assert!(error.message().contains("engine"), "who holds it: {error}");
        assert!(error.remedy_text().is_some_and(|text| text.contains("wasapi")), "{error}");
        let info = &lab.backend(Options::default()).devices().unwrap()[0];
        assert!(info.notes.iter().any(|note| note.kind == NoteKind::Held), "{:?}", info.notes);
        is_clean(&lab, "busy");
    }
}

#[test]
fn whoever_the_system_plays_for_on_an_occupied_pin_is_named() {
    let holder = |process, name: Option<&str>| Holder { process, name: name.map(str::to_owned) };
    let lab = Lab::new(Description { held: 1, ..Description::default() });
    lab.wire("{out}", SPEAKER_PIN, &[holder(4711, Some("music.exe")), holder(12, None)]);
    lab.wire("{elsewhere}", 77, &[holder(1, Some("innocent.exe"))]);
    let error = lab.backend(Options::default()).open(&lab.request(64)).err().unwrap();
    assert!(error.message().contains("music.exe (process 4711) and process 12"), "{error}");
    assert!(!error.message().contains("innocent"), "{error}");
}

#[test]
fn a_device_is_the_endpoints_at_its_jacks() {
    let lab = Lab::new(Description::default());
    let backend = lab.backend(Options::default());
    let info = &backend.devices().unwrap()[0];
    assert_eq!(backend.way(info).endpoints, [info.id.to_string()], "nobody tells of endpoints");
    lab.wire("{other}", SPEAKER_PIN + 1, &[]);
    lab.wire("{in}", FIRST_JACK_PIN, &[]);
    lab.wire("{out}", SPEAKER_PIN, &[]);
    assert_eq!(backend.way(info).endpoints, ["{out}", "{in}"]);
    assert!(backend.way(info).goes_below_the_system, "WASAPI's way to the same jack comes first");
    // Behind a multiplexer each jack is an endpoint and a device.
    let lab = Lab::new(Description { jacks: 2, ..Description::default() });
    let backend = lab.backend(Options::default());
    lab.wire("{microphone}", FIRST_JACK_PIN, &[]);
    lab.wire("{line}", FIRST_JACK_PIN + 1, &[]);
    let ways = backend.devices().unwrap().iter().map(|info| backend.way(info).endpoints).collect();
    let ways: Vec<Vec<String>> = ways;
    assert_eq!(ways, [["{microphone}"], ["{line}"]]);
}

#[test]
fn a_pin_with_several_instances_is_shared_with_the_engine() {
    let lab = Lab::new(Description { held: 1, instances: 4, ..Description::default() });
    let mut stream = lab.open(Options::default(), &lab.request(64));
    stream.start().unwrap();
    periods(&lab, &mut *stream, 4);
}

#[test]
fn a_format_that_is_refused_is_not_called_busy() {
    for (refusal, kind) in [
        (0xC000_0272, ErrorKind::Unsupported),
        (0xC000_000D, ErrorKind::Unsupported),
        (0xC000_0022, ErrorKind::Denied),
        (0xC000_00C0, ErrorKind::Lost),
    ] {
        let lab = Lab::new(Description { refusal, ..Description::default() });
        let error = lab.backend(Options::default()).open(&lab.request(64)).err().unwrap();
        assert_eq!(error.kind(), kind, "{refusal:#x}: {error}");
        assert!(error.remedy_text().is_some(), "{error}");
    }
}

#[test]
fn a_format_that_is_listed_and_then_refused_gives_way_to_the_next() {
    // It answers no proposals and lists 32 bits, but its hardware has 16 only.
    let lab = Lab::new(Description {
        formats: vec![16, 16, 0],
        listed_bits: 32,
        answers_proposals: false,
        ..Description::default()
    });
    let stream = lab.open(Options::default(), &lab.request(64));
    assert_eq!(stream.shape().playback.unwrap().format.name(), "int16");
    is_clean(&lab, "formats");
}

#[test]
fn a_size_that_is_no_multiple_of_128_is_rounded_for_hardware_that_wants_it() {
    let lab = Lab::new(Description { half_multiple_bytes: 128, ..Description::default() });
    let mut stream = lab.open(Options::default(), &lab.request(100));
    assert_eq!(stream.shape().period_frames, 112, "112 frames of 8 bytes are 7 times 128");
    assert!(stream.notes().iter().any(|note| note.kind == NoteKind::Adapted));
    stream.start().unwrap();
    periods(&lab, &mut *stream, 8);
    drop(stream);
    is_clean(&lab, "rounded");
}

#[test]
fn the_actual_size_is_the_one_that_counts() {
    // Larger, smaller, and no whole number of frames.
    for (ring_bytes, period_frames) in [(4096, 256), (512, 32), (1000, 62), (1004, 62)] {
        let lab = Lab::new(Description { ring_bytes, ..Description::default() });
        let mut stream = lab.open(Options::default(), &lab.request(64));
        assert_eq!(stream.shape().period_frames, period_frames, "a ring of {ring_bytes} bytes");
        stream.start().unwrap();
        assert_eq!(periods(&lab, &mut *stream, 20), 0, "a ring of {ring_bytes} bytes");
        assert_eq!(lab.stat("stale"), 0, "a ring of {ring_bytes} bytes");
        drop(stream);
        is_clean(&lab, "actual size");
    }
}

#[test]
fn without_any_position_the_device_is_lost_not_followed_blindly() {
    let lab = Lab::new(Description {
        has_register: false,
        has_position: false,
        ..Description::default()
    });
    let mut stream = lab.open(Options::default(), &lab.request(64));
    stream.start().unwrap();
    let wake = stream.wait(lab.system.now_ns() + 100_000_000);
    assert_eq!(wake, Wake::Lost(Loss::Failed));
}

#[test]
fn late_early_and_spurious_events_cost_no_frame() {
    let base = Description::default;
    for card in [
        Description { event_late_frames: 40, ..base() },
        Description { event_late_frames: -40, ..base() },
        Description { spurious_frames: 5, ..base() },
        Description { sends_events: false, ..base() },
        Description { step_frames: 48, ..base() },
    ] {
        let lab = Lab::new(card.clone());
        let mut stream = lab.open(Options::default(), &lab.request(64));
        stream.start().unwrap();
        assert_eq!(periods(&lab, &mut *stream, 200), 0, "{card:?}");
        assert_eq!(lab.stat("stale"), 0, "{card:?}");
    }
}

#[test]
fn packets_that_come_back_empty_are_handed_over_again() {
    let lab = Lab::new(Description { empty_reads: 25, plays: false, ..packets() });
    let mut request = lab.request(64);
    request.playback = None;
    let mut stream = lab.open(Options::default(), &request);
    stream.start().unwrap();
    let begin = lab.system.now_ns();
    periods(&lab, &mut *stream, 50);
    let passed = lab.system.now_ns() - begin;
    assert!(passed < 200_000_000, "50 periods of 1.3 ms took {passed} ns");
    drop(stream);
    is_clean(&lab, "empty packets");
}

#[test]
fn hardware_that_stands_still_is_lost() {
    for (name, card, options) in ways() {
        let lab = Lab::new(Description { stalls_at_frames: 1000, ..card });
        let mut stream = lab.open(options, &lab.request(64));
        stream.start().unwrap();
        let begin = lab.system.now_ns();
        let loss = (0..MOST_WAITS).find_map(|_| {
            let wake = stream.wait(lab.system.now_ns() + 100_000_000);
            write_all(&mut *stream);
            if let Wake::Lost(loss) = wake { Some(loss) } else { None }
        });
        assert_eq!(loss, Some(Loss::Stalled), "{name}");
        assert!(lab.system.now_ns() - begin < 2_000_000_000, "{name}");
        drop(stream);
        is_clean(&lab, name);
    }
}

/// Pulls the card out at the moment that `at` names, and goes on as a driver would that does not know.
fn unplug_at(at: &str, card: &Description, options: Options) -> Lab {
    let lab = Lab::new(card.clone());
    let request = lab.request(64);
    if at == "listed" {
        lab.plug(false);
        let error = lab.backend(options).open(&request).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        return lab;
    }
    let mut stream = lab.open(options, &request);
    if at == "opened" {
        lab.plug(false);
        assert_eq!(stream.start(), Err(Loss::Gone));
        return lab;
    }
    stream.start().unwrap();
    if at == "stopped" {
        periods(&lab, &mut *stream, 3);
        stream.stop();
        lab.plug(false);
        assert_eq!(stream.start(), Err(Loss::Gone));
        return lab;
    }
    periods(&lab, &mut *stream, 3);
    if at == "within a period" {
        while !matches!(stream.wait(lab.system.now_ns() + 100_000_000), Wake::Due(_)) {}
        stream.playback();
    }
    lab.plug(false);
    let loss = (0..MOST_WAITS).find_map(|_| {
        let wake = stream.wait(lab.system.now_ns() + 10_000_000);
        write_all(&mut *stream);
        if let Wake::Lost(loss) = wake { Some(loss) } else { None }
    });
    assert_eq!(loss, Some(Loss::Gone), "{at}");
    stream.stop();
    assert_eq!(stream.start(), Err(Loss::Gone), "{at}");
    drop(stream);
    // Plugged in again it is the same device.
    lab.plug(true);
    let mut stream = lab.open(options, &request);
    stream.start().unwrap();
    periods(&lab, &mut *stream, 3);
    drop(stream);
    lab
}

#[test]
fn a_card_that_is_pulled_out_is_lost_in_every_state() {
    for (name, card, options) in ways() {
        for at in ["listed", "opened", "stopped", "running", "within a period"] {
            let lab = unplug_at(at, &card, options);
            is_clean(&lab, &format!("{name}, {at}"));
        }
    }
}

#[test]
fn packets_that_only_a_cancel_brings_back_are_waited_for() {
    let lab = Lab::new(Description { keeps_packets: true, ..packets() });
    let mut stream = lab.open(Options::default(), &lab.request(64));
    stream.start().unwrap();
    periods(&lab, &mut *stream, 3);
    stream.stop();
    stream.start().unwrap();
    periods(&lab, &mut *stream, 3);
    drop(stream);
    is_clean(&lab, "kept packets");
}

#[test]
fn an_xrun_starts_anew_and_loses_no_packet() {
    for (name, card, options) in ways() {
        let lab = Lab::new(card);
        let mut stream = lab.open(options, &lab.request(64));
        stream.start().unwrap();
        for _ in 0..20 {
            periods(&lab, &mut *stream, 5);
            lab.system.pass(37_000_000);
            assert!(periods(&lab, &mut *stream, 2) > 0, "{name}: away, and nothing missed");
        }
        drop(stream);
        is_clean(&lab, name);
    }
}

#[test]
fn what_is_put_where_the_hardware_has_been_is_told_as_missed_and_nothing_else_is() {
    for (name, card, options) in ways() {
        let (mut in_time, mut late) = (0, 0);
        // A period is 1.3 ms, two of them or one and a guard are ahead.
        for us in (0..5_000).step_by(150) {
            let lab = Lab::new(card.clone());
            let mut stream = lab.open(options, &lab.request(64));
            stream.start().unwrap();
            periods(&lab, &mut *stream, 20);
            next_due(&lab, &mut *stream);
            lab.system.pass(us * 1_000);
            lab.take();
            put_sound(&mut *stream);
            let is_told = next_due(&lab, &mut *stream).missed_frames > 0;
            periods(&lab, &mut *stream, 10);
            let heard = lab.take().iter().filter(|&&byte| byte == SOUND).count();
            let whole = 64 * 2 * stream.shape().playback.unwrap().format.bytes();
            assert_eq!(is_told, heard != whole, "{name}, {us} us: {heard} of {whole} bytes");
            *if is_told { &mut late } else { &mut in_time } += 1;
        }
        assert!(in_time > 3 && late > 3, "{name}: {in_time} in time, {late} late");
    }
}

#[test]
fn the_jack_that_was_chosen_is_heard_and_the_multiplexer_set_back() {
    let card = || Description { jacks: 3, mux: 3, looped_jack: 2, ..Description::default() };
    let lab = Lab::new(card());
    let devices = lab.backend(Options::default()).devices().unwrap();
    let names: Vec<&str> = devices.iter().map(|info| info.name.as_str()).collect();
    assert!(names[0].ends_with("Microphone") && names[1].ends_with("Line In"), "{names:?}");
    let mut request = lab.request(64);
    request.id = devices[1].id.clone();
    let mut stream = lab.open(Options::default(), &request);
    assert_eq!(lab.stat("mux"), 2, "set while the device is open");
    stream.start().unwrap();
    periods(&lab, &mut *stream, 3);
    drop(stream);
    assert_eq!(lab.stat("mux"), 3, "and set back");
    is_clean(&lab, "multiplexer");
}

#[test]
fn wires_in_a_circle_are_not_followed_for_ever() {
    let lab = Lab::new(Description { jacks: 2, is_tangled: true, ..Description::default() });
    let devices = lab.backend(Options::default()).devices().unwrap();
    assert_eq!(devices.len(), 2);
}

#[test]
fn a_volume_below_full_is_told() {
    let lab = Lab::new(Description { volume: -6 * 65_536, ..Description::default() });
    let stream = lab.open(Options::default(), &lab.request(64));
    let notes = stream.notes();
    let text = &notes.iter().find(|note| note.kind == NoteKind::Volume).unwrap().text;
    assert!(text.contains("-6.0 dB"), "{text}");
}

#[test]
fn the_way_is_chosen_or_forced() {
    let both = || Description { streaming: true, ..Description::default() };
    // WaveRT before packets, whatever category it is registered under.
    for (options, prefill) in [
        (Options::default(), 128),
        (set(Transport::Polled), 128 + 48),
        (Options { buffer_offset_us: Some(0), ..set(Transport::Polled) }, 128),
        (Options { buffer_offset_us: Some(4000), ..set(Transport::Polled) }, 128 + 128),
        (set(Transport::Packets), 128),
        (Options { kernel_buffers: 4, ..set(Transport::Packets) }, 256),
    ] {
        let lab = Lab::new(both());
        let mut stream = lab.open(options, &lab.request(64));
        assert_eq!(stream.shape().prefill_frames, prefill, "{options:?}");
        stream.start().unwrap();
        periods(&lab, &mut *stream, 4);
    }
    let lab = Lab::new(packets());
    let error = lab.backend(set(Transport::Event)).open(&lab.request(64)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.remedy_text().is_some_and(|text| text.contains("ks.transport")), "{error}");
}
