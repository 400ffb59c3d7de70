//! The engine against a model that moves one frame at a time: every block and period, steady or not, pieces split anywhere,
//! frames missed, clients late, queued, joining and leaving.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test may stop the world"
)]

mod rig;

use barewire_device::Layout;
use barewire_engine::{Client, EventKind, Flow, Output, Plan, SeatControl, latency};
use barewire_rt::SimulatedSystem;
use barewire_types::{Integrity, Lane, SampleFormat};
use proptest::prelude::*;
use rig::{Heard, Player, Random, Rig, Scripted, WakeUp, shape, side, straight};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

const CHANNELS: usize = 2;

/// What a client does in its block `n`: from one seed, for the client and for the model alike.
#[derive(Clone, Copy)]
struct Manners {
    seed: u64,
    queued: bool,
    late_in: u32,
    loud: bool,
}

impl Manners {
    fn is_late(self, block: usize) -> bool {
        self.late_in > 0 && block > 0 && Random(self.seed ^ block as u64).from(0, self.late_in) == 0
    }

    fn answer(self, block: usize) -> Output {
        match (self.is_late(block), self.queued) {
            (true, _) => Output::Late,
            (false, true) => Output::Previous,
            (false, false) => Output::This,
        }
    }

    /// Never 0; loud ones reach full scale, so that sums saturate.
    fn sample(self, frame: u64, output: usize) -> i32 {
        let mut random = Random(self.seed ^ frame << 3 ^ output as u64);
        let sample = random.next() as i32;
        if self.loud { sample | 1 } else { (sample >> 8) | 1 }
    }

    /// What is played for block `n`, frame by frame.
    fn played(self, n: usize, block: u32, frame: u32, output: usize) -> i32 {
        if self.is_late(n) || (self.queued && n == 0) {
            return 0;
        }
        let n = n as u64 - u64::from(self.queued);
        self.sample(n * u64::from(block) + u64::from(frame), output)
    }

    fn player(self, block: u32) -> Player {
        Player::new(
            block,
            CHANNELS,
            CHANNELS,
            move |frame, output| self.sample(frame, output),
            move |n| self.answer(n),
        )
    }
}

/// The engine, one frame at a time.
struct Model {
    block: u32,
    waiting: VecDeque<[i32; CHANNELS]>,
    gathered: Vec<[i32; CHANNELS]>,
    /// Manners and blocks begun of the clients that are there.
    clients: Vec<(Manners, usize)>,
    joining: VecDeque<Manners>,
    leaving: VecDeque<u64>,
    played: Vec<[i32; CHANNELS]>,
    heard: Vec<[i32; CHANNELS]>,
    missed: u64,
    positions: Vec<u64>,
    /// Clients of the latest block.
    present: usize,
}

impl Model {
    fn new(block: u32, extra: u32, prefill: u32, clients: &[Manners]) -> Self {
        Self {
            block,
            waiting: vec![[0; CHANNELS]; extra as usize].into(),
            gathered: Vec::new(),
            clients: clients.iter().map(|&manners| (manners, 0)).collect(),
            joining: VecDeque::new(),
            leaving: VecDeque::new(),
            played: vec![[0; CHANNELS]; prefill as usize],
            heard: Vec::new(),
            missed: 0,
            positions: Vec::new(),
            present: 0,
        }
    }

    fn wake(&mut self, up: WakeUp) {
        self.missed += u64::from(up.missed);
        self.played.extend(vec![[0; CHANNELS]; up.missed as usize]);
        let first = self.heard.len() + self.gathered.len() + self.missed as usize;
        for n in 0..up.frames as usize {
            if self.gathered.is_empty() {
                self.let_in_and_out();
            }
            self.gathered.push(self.played.get(first + n).copied().unwrap_or_default());
            if self.gathered.len() == self.block as usize {
                self.exchange();
            }
        }
        for _ in 0..up.frames {
            self.played.push(self.waiting.pop_front().expect("the engine never runs dry"));
        }
    }

    fn let_in_and_out(&mut self) {
        if let Some(seed) = self.leaving.pop_front() {
            self.clients.retain(|(manners, _)| manners.seed != seed);
        }
        if let Some(manners) = self.joining.pop_front() {
            self.clients.push((manners, 0));
        }
    }

    fn exchange(&mut self) {
        let done = self.positions.len() as u64 * u64::from(self.block);
        let block = u64::from(self.block);
        self.positions.push(done + self.missed / block * block);
        self.heard.append(&mut self.gathered);
        for frame in 0..self.block {
            self.waiting.push_back(std::array::from_fn(|output| {
                let each = self
                    .clients
                    .iter()
                    .map(|&(manners, n)| i64::from(manners.played(n, self.block, frame, output)));
                each.sum::<i64>().clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
            }));
        }
        self.clients.iter_mut().for_each(|(_, n)| *n += 1);
        self.present = self.clients.len();
    }
}

#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    block: u32,
    period: u32,
    steady: bool,
    planar: bool,
    miss: bool,
    clients: usize,
    guests: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let size = prop_oneof![1_u32..600, Just(64), Just(128), Just(256), 1_u32..20];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (any::<u64>(), size.clone(), size, flags, 1_usize..4).prop_map(
        |(seed, block, period, (steady, planar, miss, guests), clients)| Case {
            seed,
            block,
            period,
            steady,
            planar,
            miss,
            clients,
            guests,
        },
    )
}

fn wake_ups(case: &Case) -> impl FnMut() -> WakeUp + use<> {
    let case = case.clone();
    let mut random = Random(case.seed);
    move || {
        let frames = match (case.steady, random.from(0, 9)) {
            (true, 0) => 2 * case.period,
            (true, _) => case.period,
            (false, _) => random.from(1, 2 * case.period),
        };
        let missed = if case.miss && random.from(0, 9) == 0 { random.from(1, 3000) } else { 0 };
        WakeUp { frames, missed, withheld: 0 }
    }
}

fn frames_of(bytes: &[u8]) -> Vec<[i32; CHANNELS]> {
    let samples: Vec<i32> =
        bytes.as_chunks::<4>().0.iter().map(|&sample| i32::from_le_bytes(sample)).collect();
    samples.as_chunks::<CHANNELS>().0.to_vec()
}

fn run(case: &Case) -> Result<(), TestCaseError> {
    let mut random = Random(case.seed ^ 1);
    let mut manners = {
        let mut random = random.clone();
        move || Manners {
            seed: random.next(),
            queued: random.from(0, 2) == 0,
            late_in: [0, 3, 20][random.from(0, 2) as usize],
            loud: random.from(0, 1) == 0,
        }
    };
    let layout = if case.planar { Layout::Planar } else { Layout::Interleaved };
    let io = side(SampleFormat::INT32, CHANNELS as u16, layout);
    let mut shape = shape(io, io, case.period);
    shape.steady = case.steady;
    let (stream, tape) = Scripted::new(shape, case.seed ^ 2, wake_ups(case));
    let all: Vec<Manners> = (0..case.clients).map(|_| manners()).collect();
    let players: Vec<Player> = all.iter().map(|each| each.player(case.block)).collect();
    let first = players[0].heard.clone();
    let mut plan = Plan::one(case.block, straight(2, 2));
    plan.clients = vec![straight(2, 2); case.clients];
    let clients = players.into_iter().map(|each| Box::new(each) as Box<dyn Client>).collect();
    let mut rig = Rig::new(SimulatedSystem::new(0), Box::new(stream), &plan, clients);
    let told = latency(&shape, case.block, true);
    let extra = told.input_frames + told.output_frames - 2 * case.period;
    let mut model = Model::new(case.block, extra, shape.prefill_frames, &all);
    let mut script = wake_ups(case);
    let guests = rig.engine.guests();
    let mut seated: Vec<(u64, SeatControl)> = Vec::new();
    let steps = 60 + 6 * case.block / case.period;
    for _ in 0..steps {
        if case.guests && random.from(0, 5) == 0 {
            let guest = manners();
            let seat = guests.seat(&straight(2, 2), Box::new(guest.player(case.block))).unwrap();
            let control = seat.control();
            if guests.join(seat).is_ok() {
                model.joining.push_back(guest);
                seated.push((guest.seed, control));
            }
        }
        // Only one that is seated leaves; the mailbox has room for it.
        let is_seated = |seed| model.clients.iter().any(|(manners, _)| manners.seed == seed);
        if random.from(0, 6) == 0
            && model.leaving.is_empty()
            && let Some(place) = seated.iter().position(|&(seed, _)| is_seated(seed))
        {
            let (seed, control) = seated.remove(place);
            control.leave();
            model.leaving.push_back(seed);
        }
        drop(guests.take_left());
        prop_assert_eq!(rig.step(), Flow::Continue);
        model.wake(script());
    }
    let played = frames_of(&tape.lock().unwrap().played);
    let heard = first.lock().unwrap();
    compare(&rig, &model, played, &heard)
}

/// What was played, heard and told, against the model.
fn compare(
    rig: &Rig,
    model: &Model,
    mut played: Vec<[i32; CHANNELS]>,
    heard: &Heard,
) -> Result<(), TestCaseError> {
    played.truncate(model.played.len());
    let wrong = played.iter().zip(&model.played).position(|(a, b)| a != b);
    prop_assert_eq!(wrong, None, "first wrong frame of {}", played.len());
    prop_assert_eq!(played.len(), model.played.len());
    let inputs = heard.inputs[0].iter().zip(&heard.inputs[1]).map(|(&a, &b)| [a, b]);
    prop_assert!(inputs.eq(model.heard.iter().copied()));
    let positions: Vec<u64> = heard.blocks.iter().map(|time| time.position_frames).collect();
    prop_assert_eq!(&positions, &model.positions);
    prop_assert!(heard.blocks.windows(2).all(|pair| pair[1].at_ns > pair[0].at_ns));
    let snapshot = rig.telemetry.snapshot();
    prop_assert_eq!(snapshot.missed_frames, model.missed);
    prop_assert_eq!(usize::from(snapshot.clients), model.present);
    prop_assert_eq!(snapshot.starved_frames, 0);
    let is_sum = model.present > 1;
    prop_assert_eq!(snapshot.lane, if is_sum { Lane::Sum } else { Lane::Exact });
    let expected = if is_sum { Integrity::Sum { bits: 32 } } else { Integrity::Exact { bits: 32 } };
    prop_assert_eq!(rig.telemetry.integrity().0, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn the_engine_does_what_the_model_does(case in case()) {
        run(&case)?;
    }
}

#[test]
fn a_stream_that_only_plays_and_one_that_only_captures_run_as_well() {
    let io = side(SampleFormat::INT32, 2, Layout::Interleaved);
    for (capture, playback) in [(io, None), (None, io)] {
        for (block, period) in [(64, 64), (48, 64), (100, 64), (512, 64)] {
            let shape = shape(capture, playback, period);
            let up = WakeUp { frames: period, ..WakeUp::default() };
            let (stream, tape) = Scripted::new(shape, 1, move || up);
            let player = Player::new(block, 2, 2, |n, _| n as i32 + 1, |_| Output::This);
            let heard = player.heard.clone();
            let plan = Plan::one(
                block,
                straight(2 * capture.is_some() as u16, 2 * playback.is_some() as u16),
            );
            let mut rig = Rig::new(
                SimulatedSystem::new(0),
                Box::new(stream),
                &plan,
                vec![Box::new(Sized2(player, capture.is_some(), playback.is_some()))],
            );
            (0..100).for_each(|_| assert_eq!(rig.step(), Flow::Continue));
            let heard = heard.lock().unwrap();
            assert_eq!(heard.blocks.len() as u32, 100 * period / block);
            if playback.is_some() {
                let played = frames_of(&tape.lock().unwrap().played);
                let first = played.iter().position(|frame| frame[0] != 0).unwrap();
                assert!(
                    played[first..].iter().zip(1..).all(|(frame, n)| *frame == [n, n]),
                    "{block} {period}"
                );
            } else {
                assert!(heard.inputs[0].iter().all(|&sample| sample == 0));
            }
        }
    }
}

/// A player of which only one direction is there.
struct Sized2(Player, bool, bool);

impl Client for Sized2 {
    fn inputs(&mut self, half: barewire_types::Half) -> barewire_rt::AreaMut<'_> {
        if self.1 { self.0.inputs(half) } else { barewire_rt::AreaMut::EMPTY }
    }
    fn outputs(&self, half: barewire_types::Half) -> barewire_rt::Area<'_> {
        if self.2 { self.0.outputs(half) } else { barewire_rt::Area::EMPTY }
    }
    fn begin(&mut self, half: barewire_types::Half, time: &barewire_engine::BlockTime) {
        self.0.begin(half, time);
    }
    fn finish(&mut self, until: barewire_types::Ns) -> Output {
        self.0.finish(until)
    }
}

#[test]
fn a_stream_that_gives_less_than_it_told_gives_silence_and_nothing_old() {
    let io = side(SampleFormat::INT32, 2, Layout::Planar);
    let shape = shape(io, io, 64);
    let mut random = Random(7);
    let (stream, _) = Scripted::new(shape, 1, move || WakeUp {
        frames: 64,
        missed: 0,
        withheld: random.from(0, 64),
    });
    let player = Player::new(96, 2, 2, |n, _| n as i32 + 1, |_| Output::This);
    let heard = player.heard.clone();
    let plan = Plan::one(96, straight(2, 2));
    let mut rig =
        Rig::new(SimulatedSystem::new(0), Box::new(stream), &plan, vec![Box::new(player)]);
    (0..500).for_each(|_| assert_eq!(rig.step(), Flow::Continue));
    let heard = heard.lock().unwrap();
    let mut last = 0;
    for &sample in &heard.inputs[0] {
        assert!(sample == 0 || sample > last, "{sample} after {last}");
        last = last.max(sample);
    }
    assert!(last > 0);
}

#[test]
fn channels_are_mapped_and_those_that_nobody_uses_are_silent() {
    let io = side(SampleFormat::INT24, 4, Layout::Interleaved);
    let shape = shape(io, io, 32);
    let up = WakeUp { frames: 32, ..WakeUp::default() };
    let (stream, tape) = Scripted::new(shape, 1, move || up);
    let player = Player::new(
        32,
        3,
        2,
        |n, output| ((n as i32 + 1) << 8) * [1, -1][output],
        |_| Output::This,
    );
    let heard = player.heard.clone();
    let mut client = straight(0, 0);
    client.inputs = vec![Some(3), None, Some(1)];
    client.outputs = vec![Some(3), Some(1)];
    let plan = Plan::one(32, client);
    let mut rig =
        Rig::new(SimulatedSystem::new(0), Box::new(stream), &plan, vec![Box::new(player)]);
    (0..50).for_each(|_| assert_eq!(rig.step(), Flow::Continue));
    let tape = tape.lock().unwrap();
    let frames = tape.played.chunks_exact(12).skip(64);
    for (n, frame) in (1_i32..).zip(frames) {
        let sample = |channel: usize| {
            let b = &frame[3 * channel..3 * channel + 3];
            i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8
        };
        assert_eq!([sample(0), sample(1), sample(2), sample(3)], [0, -n, 0, n]);
    }
    let heard = heard.lock().unwrap();
    let first = heard.inputs[0].iter().position(|&sample| sample != 0).unwrap();
    assert_eq!(first, 64, "two periods");
    for (n, at) in (1..).zip(first..heard.inputs[0].len()) {
        let each: Vec<i32> = heard.inputs.iter().map(|input| input[at] >> 8).collect();
        assert_eq!(each, [n, 0, -n]);
    }
    assert_eq!(rig.telemetry.integrity().0, Integrity::Exact { bits: 24 });
}

#[test]
fn a_client_that_is_gone_is_not_called_and_the_others_play_on() {
    let io = side(SampleFormat::INT32, 2, Layout::Interleaved);
    let up = WakeUp { frames: 32, ..WakeUp::default() };
    let (stream, tape) = Scripted::new(shape(io, io, 32), 1, move || up);
    let mut plan = Plan::one(32, straight(2, 2));
    plan.clients = vec![straight(2, 2); 2];
    let leaver =
        Player::new(32, 2, 2, |_, _| 1000, |n| [Output::This, Output::Gone][(n > 4) as usize]);
    let stayer = Player::new(32, 2, 2, |_, _| 1, |_| Output::This);
    let heard = leaver.heard.clone();
    let mut rig = Rig::new(
        SimulatedSystem::new(0),
        Box::new(stream),
        &plan,
        vec![Box::new(leaver), Box::new(stayer)],
    );
    (0..20).for_each(|_| assert_eq!(rig.step(), Flow::Continue));
    assert_eq!(heard.lock().unwrap().blocks.len(), 6);
    let event = rig.events.pop().unwrap();
    assert_eq!((event.kind, event.client), (EventKind::ClientGone, Some(0)));
    assert_eq!(rig.events.pop(), None);
    let played = frames_of(&tape.lock().unwrap().played);
    assert_eq!(rig.telemetry.snapshot().lane, Lane::Exact);
    let expected = |n: usize| [0, 1001, 1][(n >= 64) as usize + (n >= 64 + 5 * 32) as usize];
    assert!(played.iter().enumerate().all(|(n, frame)| frame[0] == expected(n)));
}

#[test]
fn a_gain_makes_it_mixed_and_unity_makes_it_exact_again() {
    let io = side(SampleFormat::INT24_IN_32, 2, Layout::Interleaved);
    let up = WakeUp { frames: 64, ..WakeUp::default() };
    let (stream, tape) = Scripted::new(shape(io, io, 64), 1, move || up);
    let voice = Arc::new(Mutex::new(Random(3)));
    let spoken = Arc::new(Mutex::new(Vec::new()));
    let said = spoken.clone();
    let player = Player::new(
        64,
        2,
        2,
        move |_, _| {
            let sample = (voice.lock().unwrap().next() as i32) & !0xff;
            said.lock().unwrap().push(sample);
            sample
        },
        |_| Output::This,
    );
    let plan = Plan::one(64, straight(2, 2));
    let mut rig =
        Rig::new(SimulatedSystem::new(0), Box::new(stream), &plan, vec![Box::new(player)]);
    let control = rig.engine.control(0).unwrap();
    let mut lanes = Vec::new();
    for n in 0..60 {
        match n {
            20 => control.set_gain(0.7),
            40 => control.set_gain(1.0),
            _ => {}
        }
        assert_eq!(rig.step(), Flow::Continue);
        lanes.push((rig.telemetry.snapshot().lane, rig.telemetry.integrity().0));
    }
    let exact = (Lane::Exact, Integrity::Exact { bits: 24 });
    assert!(lanes[..20].iter().chain(&lanes[50..]).all(|&lane| lane == exact));
    assert!(lanes[20..40].iter().all(|&lane| lane == (Lane::Mixed, Integrity::Mixed)));
    let spoken = spoken.lock().unwrap();
    let played = frames_of(&tape.lock().unwrap().played);
    for (n, block) in spoken.chunks_exact(128).enumerate() {
        let is_exact = (0..64).all(|k| played[128 + n * 64 + k] == [block[k], block[64 + k]]);
        assert_eq!(is_exact, !(20..44).contains(&n), "block {n}");
    }
}

#[test]
fn a_wider_client_that_joins_widens_what_is_told() {
    let io = side(SampleFormat::INT32, 2, Layout::Interleaved);
    let up = WakeUp { frames: 32, ..WakeUp::default() };
    let (stream, _) = Scripted::new(shape(io, io, 32), 1, move || up);
    let mut narrow = straight(0, 0);
    narrow.format = SampleFormat::INT16;
    let quiet = || Player::new(32, 0, 0, |_, _| 0, |_| Output::This);
    let plan = Plan::one(32, narrow);
    let mut rig =
        Rig::new(SimulatedSystem::new(0), Box::new(stream), &plan, vec![Box::new(quiet())]);
    assert_eq!(rig.step(), Flow::Continue);
    assert_eq!(rig.telemetry.integrity().0, Integrity::Exact { bits: 16 });
    let guests = rig.engine.guests();
    let seat = guests.seat(&straight(0, 0), Box::new(quiet())).unwrap();
    let control = seat.control();
    assert!(guests.join(seat).is_ok());
    assert_eq!(rig.step(), Flow::Continue);
    assert_eq!(rig.telemetry.integrity().0, Integrity::Sum { bits: 32 });
    control.leave();
    assert_eq!(rig.step(), Flow::Continue);
    assert_eq!(rig.telemetry.integrity().0, Integrity::Exact { bits: 16 });
    assert!(guests.take_left().is_some());
}
