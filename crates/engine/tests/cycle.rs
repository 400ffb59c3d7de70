//! The cycle against the virtual device: every frame in its place, and latency reported is latency measured.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test may stop the world"
)]

use barewire_device::{Backend, DeviceId, Layout, OpenRequest, SideRequest, Stream};
use barewire_engine::{
    BlockTime, Client, ClientPlan, Engine, EventKind, Fallback, Flow, Links, Output, OutputMode,
    Plan, Telemetry, latency,
};
use barewire_rt::{Area, AreaMut, SimulatedSystem, System, events};
use barewire_types::{Half, Integrity, Ns, RateHz, SampleFormat};
use barewire_virtual::{Description, Fault, FaultKind, Recordings, Sink, Source, VirtualBackend};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

const CHANNELS: usize = 2;

#[derive(Default)]
struct Heard {
    blocks: Vec<BlockTime>,
    input: Vec<i32>,
}

/// Counts frames in its outputs (never 0, so that silence is seen) and keeps what it hears.
struct Counter {
    block: usize,
    halves: [Vec<u8>; 4],
    next: i32,
    answers: Box<dyn FnMut(usize) -> Output + Send>,
    heard: Arc<Mutex<Heard>>,
}

impl Counter {
    fn new(
        block: usize,
        answers: impl FnMut(usize) -> Output + Send + 'static,
    ) -> (Self, Arc<Mutex<Heard>>) {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let halves = std::array::from_fn(|_| vec![0; block * CHANNELS * 4]);
        (Self { block, halves, next: 1, answers: Box::new(answers), heard: heard.clone() }, heard)
    }
}

impl Client for Counter {
    fn inputs(&mut self, half: Half) -> AreaMut<'_> {
        AreaMut::from_planes(&mut self.halves[half.index()], CHANNELS, 4)
    }
    fn outputs(&self, half: Half) -> Area<'_> {
        Area::from_planes(&self.halves[2 + half.index()], CHANNELS, 4)
    }
    fn begin(&mut self, half: Half, time: &BlockTime) {
        let mut heard = self.heard.lock().unwrap();
        heard.blocks.push(*time);
        let first = &self.halves[half.index()][..self.block * 4];
        heard
            .input
            .extend(first.as_chunks::<4>().0.iter().map(|&sample| i32::from_le_bytes(sample)));
        for (n, sample) in
            self.halves[2 + half.index()].as_chunks_mut::<4>().0.iter_mut().enumerate()
        {
            let (channel, frame) = (n / self.block, n % self.block);
            let value = self.next + frame as i32;
            *sample = (if channel == 0 { value } else { -value }).to_le_bytes();
        }
        self.next += self.block as i32;
    }
    fn finish(&mut self, _: Ns) -> Output {
        let n = self.heard.lock().unwrap().blocks.len();
        (self.answers)(n - 1)
    }
}

fn open(system: &Arc<SimulatedSystem>, device: Description, period: u32) -> Box<dyn Stream> {
    let side = |there| (there > 0).then_some(SideRequest { channels: there, format: None });
    let request = OpenRequest {
        id: DeviceId::new("virtual", &device.name),
        rate: RateHz::DAT,
        capture: side(device.inputs),
        playback: side(device.outputs),
        period_frames: period,
    };
    VirtualBackend::new(system.clone(), vec![device]).open(&request).unwrap()
}

fn plan(block_frames: u32, mode: OutputMode) -> Plan {
    let all: Vec<Option<u16>> = (0..CHANNELS as u16).map(Some).collect();
    let format = SampleFormat::INT32;
    let client =
        ClientPlan { format, inputs: all.clone(), outputs: all, output_mode: mode, gain: 1.0 };
    Plan::one(block_frames, client)
}

struct Rig {
    system: Arc<SimulatedSystem>,
    engine: Engine,
    telemetry: Arc<Telemetry>,
    events: barewire_rt::EventReader<barewire_engine::EngineEvent>,
}

fn rig(
    system: Arc<SimulatedSystem>,
    stream: Box<dyn Stream>,
    client: Counter,
    mode: OutputMode,
) -> Rig {
    let telemetry = Arc::new(Telemetry::default());
    let (writer, events) = events(1024);
    let links = Links { system: system.clone(), telemetry: telemetry.clone(), events: writer };
    let plan = plan(client.block as u32, mode);
    let mut engine = Engine::compile(&plan, stream, vec![Box::new(client)], links).unwrap();
    engine.start().unwrap();
    Rig { system, engine, telemetry, events }
}

impl Rig {
    fn step(&mut self) -> Flow {
        self.engine.step(self.system.now_ns() + 1_000_000_000)
    }
}

/// The frames between the first non-zero output and its return at the input.
fn measured(input: &[i32]) -> usize {
    let first = input.iter().position(|&sample| sample != 0).unwrap();
    // The client's frame 1 is the first of its block 0, whose input began at frame 0.
    first - (input[first] - 1) as usize
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn reported_latency_is_measured_latency_and_no_frame_is_lost(
        block in 1_u32..700, period in 8_u32..700, delay in 0_u32..100, planar in any::<bool>(),
        queued in any::<bool>(), format in 0_usize..3,
    ) {
        let system = SimulatedSystem::new(0);
        let device = Description {
            formats: vec![[SampleFormat::INT32, SampleFormat::INT24, SampleFormat::INT16][format]],
            layout: if planar { Layout::Planar } else { Layout::Interleaved },
            source: Source::Loop { delay_frames: delay },
            ..Description::default()
        };
        let shift = [0, 8, 16][format];
        let stream = open(&system, device, period);
        let shape = stream.shape();
        let answer = if queued { Output::Previous } else { Output::This };
        let (mut client, heard) = Counter::new(block as usize, move |_| answer);
        client.next = 1;
        // Values that narrower devices can hold: the counter is shifted up.
        let mut rig = rig(system, stream, client, OutputMode::Auto);
        let steps = 4 + 4 * (block.max(period) * 4 + delay) / period.min(block);
        for _ in 0..steps.max(40) {
            prop_assert_eq!(rig.step(), Flow::Continue);
        }
        let heard = heard.lock().unwrap();
        let told = latency(&shape, block, !queued);
        if shift == 0 {
            let first = heard.input.iter().position(|&sample| sample != 0);
            if let Some(first) = first {
                let reported = (told.input_frames + told.output_frames) as usize;
                prop_assert_eq!(measured(&heard.input), reported);
                for (n, &sample) in heard.input[first..].iter().enumerate() {
                    prop_assert_eq!(sample, heard.input[first] + n as i32);
                }
            } else {
                prop_assert!(heard.input.len() < (told.input_frames + told.output_frames + block) as usize);
            }
            prop_assert_eq!(rig.telemetry.integrity().0, Integrity::Exact { bits: 32 });
        } else if heard.blocks.len() > 1 {
            let bits = 32 - shift as u8;
            prop_assert_eq!(rig.telemetry.integrity().0, Integrity::Truncated { bits });
        }
        for (n, time) in heard.blocks.iter().enumerate() {
            prop_assert_eq!(time.position_frames, n as u64 * u64::from(block));
            prop_assert!(n == 0 || time.at_ns > heard.blocks[n - 1].at_ns);
        }
        prop_assert_eq!(rig.events.pop(), None);
    }
}

fn record(device: Description) -> (Arc<Recordings>, Description) {
    let recordings = Arc::new(Recordings::default());
    let sink = Sink::Memory(recordings.clone(), 1 << 20);
    (recordings, Description { sink, ..device })
}

fn samples(recordings: &Recordings) -> Vec<i32> {
    let bytes = recordings.take().remove(0).bytes;
    bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|f| i32::from_le_bytes(f[..4].try_into().unwrap()))
        .collect()
}

#[test]
fn a_late_client_gets_silence_and_never_old_data() {
    let (recordings, device) = record(Description::default());
    let system = SimulatedSystem::new(0);
    let stream = open(&system, device, 64);
    let (client, _) = Counter::new(64, |n| if n % 5 == 3 { Output::Late } else { Output::This });
    let mut rig = rig(system, stream, client, OutputMode::Auto);
    (0..50).for_each(|_| assert_eq!(rig.step(), Flow::Continue));
    assert_eq!(rig.telemetry.snapshot().lates, 10);
    drop(rig.engine);
    let got = samples(&recordings);
    for n in 0..50 {
        let block = &got[128 + 64 * n..][..64];
        let first = if n % 5 == 3 { 0 } else { 1 + 64 * n as i32 };
        assert!(
            block
                .iter()
                .enumerate()
                .all(|(k, &s)| s == if first == 0 { 0 } else { first + k as i32 })
        );
    }
}

#[test]
fn a_change_from_direct_to_queued_puts_in_one_block_of_silence_and_loses_nothing() {
    let (recordings, device) = record(Description::default());
    let system = SimulatedSystem::new(0);
    let stream = open(&system, device, 32);
    let (client, _) =
        Counter::new(32, |n| if !(10..20).contains(&n) { Output::This } else { Output::Previous });
    let mut rig = rig(system, stream, client, OutputMode::Auto);
    (0..40).for_each(|_| assert_eq!(rig.step(), Flow::Continue));
    assert!(matches!(rig.events.pop().unwrap().kind, EventKind::ModeChanged { is_direct: false }));
    assert_eq!(rig.events.pop(), None, "back to direct only where nobody can hear it");
    drop(rig.engine);
    let mut expected = vec![0; 64];
    expected.extend(1..=320);
    expected.extend([0; 32]);
    expected.extend(321..=32 * 39);
    assert_eq!(samples(&recordings), expected);
}

#[test]
fn positions_count_what_was_missed_and_the_data_after_is_right() {
    let (recordings, mut device) =
        record(Description { source: Source::Counter, ..Description::default() });
    device.script.faults = (1..20)
        .map(|n| Fault { at_frames: n * 3000, kind: FaultKind::Miss(n as u32 * 17) })
        .collect();
    let system = SimulatedSystem::new(0);
    let stream = open(&system, device, 64);
    let (client, heard) = Counter::new(64, |_| Output::This);
    let mut rig = rig(system, stream, client, OutputMode::Auto);
    let mut played = vec![0; 128];
    for n in 0..2000 {
        let missed = rig.telemetry.snapshot().missed_frames;
        assert_eq!(rig.step(), Flow::Continue);
        let missed = rig.telemetry.snapshot().missed_frames - missed;
        played.extend(vec![0; missed as usize]);
        played.extend(1 + 64 * n..=64 * (n + 1));
    }
    assert_eq!(rig.telemetry.snapshot().xruns, 19);
    let heard = heard.lock().unwrap();
    for (time, block) in heard.blocks.iter().zip(heard.input.as_chunks::<64>().0) {
        let expected: Vec<i32> = (0..64).map(|k| (time.position_frames as i32 + k) << 8).collect();
        assert_eq!(block[..], expected[..]);
    }
    drop(rig.engine);
    assert_eq!(samples(&recordings), played);
}

#[test]
fn a_lost_device_is_replaced_and_the_client_never_notices_but_by_the_silence() {
    let system = SimulatedSystem::new(0);
    let mut device = Description { source: Source::Counter, ..Description::default() };
    device.script.faults =
        vec![Fault { at_frames: 6400, kind: FaultKind::Unplug(Some(20_000_000)) }];
    let backend = VirtualBackend::new(system.clone(), vec![device]);
    let side = Some(SideRequest { channels: 2, format: None });
    let mut request = OpenRequest {
        id: DeviceId::new("virtual", "loop"),
        rate: RateHz::DAT,
        capture: side,
        playback: side,
        period_frames: 64,
    };
    let telemetry = Arc::new(Telemetry::default());
    let (fallback_events, mut lost) = events(64);
    let stream = backend.open(&request).unwrap();
    let (fallback, control) =
        Fallback::new(stream, system.clone(), telemetry.clone(), fallback_events);
    let (client, heard) = Counter::new(64, |_| Output::This);
    let mut rig = rig(system.clone(), Box::new(fallback), client, OutputMode::Auto);
    for n in 0..2000 {
        assert_eq!(rig.step(), Flow::Continue);
        if control.is_lost() {
            drop(control.take_dead());
            if let Ok(stream) = backend.open(&request) {
                // Another rate: nothing else differs.
                assert!(control.offer(stream).is_ok());
            }
        }
        if n == 1000 {
            control.request_swap(RateHz::CD);
            assert_eq!(rig.step(), Flow::Continue);
            drop(control.take_dead().unwrap());
            request.rate = RateHz::CD;
            assert!(control.offer(backend.open(&request).unwrap()).is_ok());
        }
    }
    let heard = heard.lock().unwrap();
    assert!(heard.blocks.len() > 1900);
    let late = heard.blocks.windows(2).filter(|w| w[1].at_ns - w[0].at_ns > 6_000_000).count();
    assert_eq!(late, 0, "the timer takes over within two periods and the time of one");
    assert!(heard.blocks.windows(2).all(|w| w[1].position_frames == w[0].position_frames + 64));
    let kinds: Vec<EventKind> = std::iter::from_fn(|| lost.pop()).map(|event| event.kind).collect();
    assert!(
        matches!(kinds[..], [EventKind::Lost(_), EventKind::TakenOver, EventKind::TakenOver]),
        "{kinds:?}"
    );
    assert_eq!(rig.telemetry.snapshot().rate_hz, 44_100);
    // The device's own counter starts anew with each opening, and is whole within it.
    let breaks =
        heard.input.windows(2).filter(|w| w[0] != 0 && w[1] != 0 && w[1] != w[0] + 256).count();
    assert_eq!(breaks, 0);
    let silent = heard.input.iter().filter(|&&sample| sample == 0).count();
    assert!(
        (960..1300).contains(&silent),
        "{silent}: 20 ms without the device, and the timer's patience"
    );
}
