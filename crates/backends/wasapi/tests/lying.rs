//! Devices that lie or refuse: none of them may make the backend crash, play something else than was written, or fail
//! without saying what to do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

mod fake;

use barewire_device::{
    Backend, DeviceEvent, Loss, Mode, NoteKind, OpenRequest, SideRequest, Stream, Wake,
};
use barewire_rt::System;
use barewire_types::{Error, ErrorKind, RateHz, Result, SampleFormat};
use barewire_wasapi::service::{Notice, Volume};
use barewire_wine_audio::model::spec::Spec;
use barewire_wine_audio::model::{self, Fault};
use fake::Machine;
use std::sync::{Arc, Mutex};

fn open(machine: &Arc<Machine>, mode: Mode, period_frames: u32) -> Result<Box<dyn Stream>> {
    machine.backend().in_mode(mode).unwrap().open(&OpenRequest {
        id: machine.id(0),
        rate: RateHz::DAT,
        capture: None,
        playback: Some(SideRequest { channels: 1, format: None }),
        period_frames,
    })
}

fn refused(spec: Spec, mode: Mode) -> Error {
    let machine = Machine::new(vec![spec]);
    let error = open(&machine, mode, 256).err().expect("the opening fails");
    assert!(machine.world().is_closed(), "what was opened is closed again");
    assert!(error.remedy_text().is_some(), "{error}");
    error
}

fn next(machine: &Machine, stream: &mut dyn Stream) -> Wake {
    for _ in 0..100 {
        match stream.wait(machine.system.now_ns() + 1_000_000_000) {
            Wake::Idle => {}
            other => return other,
        }
    }
    panic!("a hundred wake-ups and no period");
}

fn plays(machine: &Machine, stream: &mut dyn Stream) {
    stream.start().unwrap();
    for _ in 0..10 {
        let Wake::Due(period) = next(machine, stream) else { panic!("no period") };
        assert_eq!(period.missed_frames, 0);
    }
}

#[test]
fn the_dance_of_alignment_ends_at_what_the_device_has() {
    for bytes in [128, 256, 192] {
        let machine = Machine::new(vec![Spec { align_bytes: bytes, ..Spec::default() }]);
        let mut stream = open(&machine, Mode::Exclusive, 150).unwrap();
        let frame = 8;
        assert_eq!(stream.shape().period_frames * frame % bytes, 0, "{:?}", stream.shape());
        assert!(stream.notes().iter().any(|note| note.kind == NoteKind::Adapted));
        plays(&machine, &mut *stream);
    }
}

#[test]
fn a_device_that_says_yes_and_fails_and_one_that_says_no_and_works_are_both_played() {
    let spec = Spec {
        formats: vec![(false, 24, 24)],
        boasted: vec![(false, 32, 32), (false, 32, 24)],
        denied: vec![(false, 24, 24)],
        ..Spec::default()
    };
    let machine = Machine::new(vec![spec]);
    let mut stream = open(&machine, Mode::Exclusive, 256).unwrap();
    assert_eq!(stream.shape().playback.unwrap().format, SampleFormat::INT24);
    plays(&machine, &mut *stream);
}

#[test]
fn more_channels_than_asked_are_opened_where_the_device_has_one_count_alone() {
    for (channels, masks) in [(8, vec![0x63F]), (6, vec![0x60F]), (18, vec![0])] {
        let spec = Spec { channels: vec![channels], masks, ..Spec::default() };
        let machine = Machine::new(vec![spec]);
        let mut stream = open(&machine, Mode::Exclusive, 256).unwrap();
        assert_eq!(stream.shape().playback.unwrap().channels, channels);
        plays(&machine, &mut *stream);
    }
}

#[test]
fn refusals_say_what_to_do() {
    let spec = |exclusive, shared| Spec { exclusive, shared, ..Spec::default() };
    let forbidden = refused(spec(model::EXCLUSIVE_MODE_NOT_ALLOWED, 0), Mode::Exclusive);
    assert_eq!(forbidden.kind(), ErrorKind::Denied);
    assert!(forbidden.to_string().contains("exclusive control"), "{forbidden}");
    let busy = refused(spec(model::DEVICE_IN_USE, model::DEVICE_IN_USE), Mode::Auto);
    assert_eq!(busy.kind(), ErrorKind::Busy);
    let denied = refused(spec(model::E_ACCESSDENIED, model::E_ACCESSDENIED), Mode::Auto);
    assert!(denied.to_string().contains("Privacy"), "{denied}");
    let mute = refused(Spec { is_mute: true, ..Spec::default() }, Mode::Exclusive);
    assert!(mute.to_string().contains("exclusive-polled"), "{mute}");
}

#[test]
fn what_cannot_be_had_exclusively_is_shared_and_the_reason_is_said() {
    let spec = Spec { exclusive: model::EXCLUSIVE_MODE_NOT_ALLOWED, ..Spec::default() };
    let machine = Machine::new(vec![spec]);
    let mut stream = open(&machine, Mode::Auto, 256).unwrap();
    let notes = stream.notes();
    let why = notes.iter().find(|note| note.kind == NoteKind::SystemMixer).expect("a note");
    assert!(why.text.contains("exclusive use was refused"), "{why:?}");
    plays(&machine, &mut *stream);
}

#[test]
fn a_device_whose_events_fail_is_looked_at_by_the_clock() {
    let machine = Machine::new(vec![Spec { is_mute: true, ..Spec::default() }]);
    let mut stream = open(&machine, Mode::Auto, 480).unwrap();
    assert!(stream.notes().iter().any(|note| note.kind == NoteKind::Degraded));
    plays(&machine, &mut *stream);
}

#[test]
fn shared_sound_at_another_rate_is_refused_and_names_the_mixers() {
    let machine = Machine::new(vec![Spec::default()]);
    let request = OpenRequest {
        id: machine.id(0),
        rate: RateHz::CD,
        capture: None,
        playback: Some(SideRequest { channels: 2, format: None }),
        period_frames: 480,
    };
    let backend = machine.backend().in_mode(Mode::Shared).unwrap();
    let error = backend.open(&request).err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::UnsupportedRate);
    assert!(
        error.to_string().contains("48000") && error.to_string().contains("convert"),
        "{error}"
    );
}

#[test]
fn losses_in_mid_stream_are_told_apart_and_the_device_is_found_again() {
    let losses = [
        (Fault::Unplugged, Loss::Gone),
        (Fault::FormatChanged, Loss::Changed),
        (Fault::Taken, Loss::Taken),
        (Fault::Stalled, Loss::Stalled),
    ];
    for mode in [Mode::Exclusive, Mode::ExclusivePolled, Mode::Shared] {
        for (fault, loss) in losses {
            let machine = Machine::new(vec![Spec::default()]);
            let mut stream = open(&machine, mode, 480).unwrap();
            plays(&machine, &mut *stream);
            machine.fail(fault);
            let seen = loop {
                match next(&machine, &mut *stream) {
                    Wake::Due(_) => {}
                    other => break other,
                }
            };
            assert_eq!(seen, Wake::Lost(loss), "{mode:?}");
            drop(stream);
            machine.world().faults[0] = None;
            let mut stream = open(&machine, mode, 480).unwrap();
            plays(&machine, &mut *stream);
        }
    }
}

#[test]
fn a_machine_that_slept_is_a_loss_and_not_a_hang() {
    let machine = Machine::new(vec![Spec::default()]);
    let mut stream = open(&machine, Mode::Exclusive, 256).unwrap();
    plays(&machine, &mut *stream);
    machine.fail(Fault::Stalled);
    let begin = machine.system.now_ns();
    assert_eq!(next(&machine, &mut *stream), Wake::Lost(Loss::Stalled));
    let passed = machine.system.now_ns() - begin;
    assert!((1_900_000_000..2_500_000_000).contains(&passed), "{passed} ns");
}

#[test]
fn only_a_volume_that_acts_is_noted() {
    let volume = |level_db, is_muted, is_hardware| Volume { level_db, is_muted, is_hardware };
    let noted = |volume, mode| {
        let machine = Machine::new(vec![Spec::default()]);
        *machine.volume.lock().unwrap() = Some(volume);
        let notes = open(&machine, mode, 480).unwrap().notes();
        notes.iter().any(|note| note.kind == NoteKind::Volume)
    };
    assert!(noted(volume(-6.0, false, true), Mode::Exclusive));
    assert!(noted(volume(0.0, true, true), Mode::Exclusive));
    assert!(!noted(volume(-6.0, false, false), Mode::Exclusive), "Windows' own does not act here");
    assert!(noted(volume(-6.0, false, false), Mode::Shared));
    assert!(!noted(volume(0.0, false, true), Mode::Exclusive));
}

#[test]
fn notices_of_windows_reach_the_listener() {
    let machine = Machine::new(vec![Spec::default()]);
    let told: Arc<Mutex<Vec<DeviceEvent>>> = Arc::default();
    let its = told.clone();
    machine.backend().watch(Box::new(move |event| its.lock().unwrap().push(event)));
    let listener = machine.listener.lock().unwrap();
    let tell = listener.as_ref().expect("a listener");
    tell(Notice::DefaultChanged);
    tell(Notice::Left("{0.0.0}".into()));
    let expected = [DeviceEvent::DefaultChanged, DeviceEvent::Left(machine.id(0))];
    assert_eq!(*told.lock().unwrap(), expected);
}
