//! What one cycle costs outside the client's own code, beside the memcpy of the same bytes and a read of the clock, all in
//! the same run: `cargo bench -p barewire-engine`. Prints the table of docs/benchmarks.md; gates nothing.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a measurement may stop when something is wrong"
)]

use barewire_device::{Layout, Loss, Period, Shape, Side, Stream, Wake};
use barewire_engine::{
    BlockTime, Client, ClientPlan, Engine, Flow, Links, Output, OutputMode, Plan, Telemetry,
};
use barewire_rt::{Area, AreaMut, Gate, RealSystem, System, Waker, events};
use barewire_types::{Half, Latency, Ns, RateHz, SampleFormat};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// A device whose next period is always due, with memory for one period of each direction.
struct Always {
    shape: Shape,
    captured: Vec<u8>,
    playing: Vec<u8>,
    left: [u32; 2],
    position: u64,
    waker: Waker,
}

impl Always {
    fn area_of(side: Option<Side>) -> (usize, usize, bool) {
        side.map_or((1, 1, false), |side| {
            (side.channels.into(), side.format.bytes(), side.layout == Layout::Planar)
        })
    }
}

impl Stream for Always {
    fn shape(&self) -> Shape {
        self.shape
    }
    fn waker(&self) -> Waker {
        self.waker.clone()
    }
    fn start(&mut self) -> Result<(), Loss> {
        Ok(())
    }
    fn stop(&mut self) {}
    fn wait(&mut self, _: Ns) -> Wake {
        let frames = self.shape.period_frames;
        self.left = [frames, frames];
        self.position += u64::from(frames);
        Wake::Due(Period {
            capture_frames: frames,
            playback_frames: frames,
            position_frames: self.position,
            at_ns: self.position * 62_500 / 3,
            commit_by_ns: Ns::MAX,
            missed_frames: 0,
        })
    }
    fn capture(&mut self) -> Area<'_> {
        let (channels, bytes, is_planar) = Self::area_of(self.shape.capture);
        let make = if is_planar { Area::from_planes } else { Area::from_slice };
        make(&self.captured, channels, bytes).part(0, self.left[0])
    }
    fn release(&mut self, frames: u32) {
        self.left[0] -= frames;
    }
    fn playback(&mut self) -> AreaMut<'_> {
        let (channels, bytes, is_planar) = Self::area_of(self.shape.playback);
        let make = if is_planar { AreaMut::from_planes } else { AreaMut::from_slice };
        make(&mut self.playing, channels, bytes).part(0, self.left[1])
    }
    fn commit(&mut self, frames: u32) {
        self.left[1] -= frames;
    }
}

/// A client that does nothing.
struct Idle {
    channels: usize,
    halves: [Vec<u8>; 4],
}

impl Client for Idle {
    fn inputs(&mut self, half: Half) -> AreaMut<'_> {
        AreaMut::from_planes(&mut self.halves[half.index()], self.channels, 4)
    }
    fn outputs(&self, half: Half) -> Area<'_> {
        Area::from_planes(&self.halves[2 + half.index()], self.channels, 4)
    }
    fn begin(&mut self, _: Half, time: &BlockTime) {
        black_box(time);
    }
    fn finish(&mut self, _: Ns) -> Output {
        Output::This
    }
}

fn engine(frames: u32, channels: u16, layout: Layout) -> Engine {
    let system: Arc<dyn System> = Arc::new(RealSystem::default());
    let side = Some(Side { format: SampleFormat::INT32, channels, layout });
    let shape = Shape {
        rate: RateHz::DAT,
        capture: side,
        playback: side,
        period_frames: frames,
        max_period_frames: frames,
        steady: true,
        prefill_frames: 2 * frames,
        latency: Latency { input_frames: 0, output_frames: frames },
    };
    let bytes = frames as usize * usize::from(channels) * 4;
    let waker = Gate::new(system.clone());
    let (captured, playing) = (vec![1; bytes], vec![0; bytes]);
    let stream = Always { shape, captured, playing, left: [0, 0], position: 0, waker };
    let all: Vec<Option<u16>> = (0..channels).map(Some).collect();
    let client = ClientPlan {
        format: SampleFormat::INT32,
        inputs: all.clone(),
        outputs: all,
        output_mode: OutputMode::Auto,
        gain: 1.0,
    };
    let halves = std::array::from_fn(|_| vec![2; bytes]);
    let idle = Box::new(Idle { channels: channels.into(), halves });
    let (writer, _) = events(8);
    let links = Links { system, telemetry: Arc::new(Telemetry::default()), events: writer };
    let plan = Plan::one(frames, client);
    let mut engine = Engine::compile(&plan, Box::new(stream), vec![idle], links).unwrap();
    engine.start().unwrap();
    engine
}

/// Median and 99th percentile of single calls in nanoseconds, the read of the clock included.
fn percentiles(count: usize, mut call: impl FnMut()) -> (u64, u64) {
    (0..count / 10).for_each(|_| call());
    let mut times: Vec<u64> = (0..count)
        .map(|_| {
            let begin = Instant::now();
            call();
            begin.elapsed().as_nanos() as u64
        })
        .collect();
    times.sort_unstable();
    (times[count / 2], times[count * 99 / 100])
}

fn row(frames: u32, channels: u16, layout: Layout) {
    let bytes = frames as usize * usize::from(channels) * 4;
    let count = (400_000_000 / bytes).clamp(500, 20_000);
    let mut engine = engine(frames, channels, layout);
    let cycle = percentiles(count, || assert_eq!(engine.step(0), Flow::Continue));
    // As much as the cycle reads and writes: a period in, a period out.
    let sources = [vec![1_u8; bytes], vec![2_u8; bytes]];
    let mut places = [vec![0_u8; bytes], vec![0_u8; bytes]];
    let copies = percentiles(count, || {
        for (source, place) in sources.iter().zip(&mut places) {
            place.copy_from_slice(black_box(source));
            black_box(place);
        }
    });
    let name = if layout == Layout::Planar { "planar" } else { "interleaved" };
    let ratio = cycle.0 as f64 / copies.0.max(1) as f64;
    println!(
        "| {frames} | {channels} | {name} | {} | {} | {} | {} | {ratio:.1} |",
        cycle.0, cycle.1, copies.0, copies.1
    );
}

fn main() {
    // `cargo test --benches` runs benches too, with this flag; there is nothing to test.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let clock = percentiles(20_000, || {
        black_box(Instant::now());
    });
    println!("A read of the clock, timed the same way: p50 {} ns, p99 {} ns\n", clock.0, clock.1);
    println!(
        "| frames | channels | device | cycle p50 | cycle p99 | memcpy p50 | memcpy p99 | ratio of p50 |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for layout in [Layout::Planar, Layout::Interleaved] {
        for frames in [32, 64, 256, 1024] {
            for channels in [2, 8, 64] {
                row(frames, channels, layout);
            }
        }
    }
}
