//! A player that plays samples and keeps what comes in meanwhile: what `verify` and `latency` send round.

use anyhow::{Result, anyhow, bail};
use barewire_dsp::{Copier, Rest, Route};
use barewire_host::{Block, BlockSize, Player, Request, Session, Shape};
use barewire_rt::{Area, AreaMut};
use barewire_types::SampleFormat;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What came in, once all was played and the tail has passed.
pub(crate) struct Heard {
    /// Interleaved, left-justified samples, from the first block on.
    pub(crate) samples: Vec<i32>,
    /// Frames of a block.
    pub(crate) block_frames: u32,
    /// Input and output latency as the driver told, added.
    pub(crate) reported_frames: Option<u64>,
    /// The driver's sample format.
    pub(crate) format: SampleFormat,
}

#[derive(Default)]
struct Shared {
    blocks: AtomicU64,
    done: AtomicBool,
    heard: Mutex<Vec<i32>>,
}

struct Exchange {
    channels: usize,
    play: Vec<i32>,
    heard: Vec<i32>,
    wanted: usize,
    at: usize,
    staging: Vec<u8>,
    into: Copier,
    from: Copier,
    shared: Arc<Shared>,
}

/// As many inputs as outputs, prepared with both.
pub(crate) fn prepare(
    session: &mut Session,
    rate_hz: Option<f64>,
    block: Option<u32>,
) -> Result<(Shape, usize)> {
    session.unprepare()?;
    if let Some(rate_hz) = rate_hz {
        session.set_sample_rate(rate_hz)?;
    }
    let (inputs, outputs) = session.channels()?;
    let channels = inputs.min(outputs);
    if channels == 0 {
        bail!("{} has {inputs} inputs and {outputs} outputs; a loop needs both", session.name());
    }
    let all: Vec<u32> = (0..channels).collect();
    let size = block.map_or(BlockSize::Preferred, BlockSize::Exactly);
    let shape = session.prepare(&Request { inputs: all.clone(), outputs: all, size })?.clone();
    Ok((shape, channels as usize))
}

/// Plays interleaved left-justified samples through a prepared session, and `tail` frames of silence behind.
pub(crate) fn run(
    session: &mut Session,
    shape: &Shape,
    play: Vec<i32>,
    tail: usize,
) -> Result<Heard> {
    /// A driver that calls for nothing so long calls for nothing any more.
    const PATIENCE: Duration = Duration::from_secs(10);
    let format = shape.output_format.ok_or_else(|| anyhow!("the driver made no outputs"))?;
    let input = shape.input_format.ok_or_else(|| anyhow!("the driver made no inputs"))?;
    let channels = shape.outputs.len();
    let count = u16::try_from(channels)?;
    let routes: Vec<Route> = (0..count).map(|n| Route { from: n, to: n }).collect();
    let copier = |from, to| Copier::new(from, to, count, count, &routes, Rest::Silence);
    let wanted = play.len() + tail * channels;
    let block = shape.frames as usize * channels;
    let shared = Arc::new(Shared::default());
    let player = Exchange {
        channels,
        play,
        heard: Vec::with_capacity(wanted + 2 * block),
        wanted,
        at: 0,
        staging: vec![0; block * 4],
        into: copier(SampleFormat::INT32, format)?,
        from: copier(input, SampleFormat::INT32)?,
        shared: shared.clone(),
    };
    session.start(Box::new(player))?;
    let reported = session.latency().ok();
    let mut last = (0, Instant::now());
    while !shared.done.load(Ordering::Acquire) {
        let blocks = shared.blocks.load(Ordering::Relaxed);
        if blocks != last.0 {
            last = (blocks, Instant::now());
        } else if last.1.elapsed() > PATIENCE {
            bail!("{} has stopped asking for sound", session.name());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    session.stop()?;
    let samples = std::mem::take(&mut *shared.heard.lock().unwrap_or_else(PoisonError::into_inner));
    let reported_frames =
        reported.map(|latency| u64::from(latency.input_frames) + u64::from(latency.output_frames));
    Ok(Heard { samples, block_frames: shape.frames, reported_frames, format })
}

impl Player for Exchange {
    fn block(&mut self, mut block: Block<'_>) {
        self.shared.blocks.fetch_add(1, Ordering::Relaxed);
        let count = self.staging.len() / 4;
        let (places, _) = self.staging.as_chunks_mut::<4>();
        for (n, place) in places.iter_mut().enumerate() {
            *place = self.play.get(self.at + n).copied().unwrap_or(0).to_le_bytes();
        }
        self.into.run(Area::from_slice(&self.staging, self.channels, 4), block.outputs());
        self.from.run(block.inputs(), AreaMut::from_slice(&mut self.staging, self.channels, 4));
        if self.heard.len() < self.wanted {
            self.heard.extend(
                self.staging.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)),
            );
        } else if !self.shared.done.load(Ordering::Relaxed) {
            // The run is over: nobody else has ever touched the lock, and nobody waits for this block.
            if let Ok(mut place) = self.shared.heard.try_lock() {
                std::mem::swap(&mut *place, &mut self.heard);
                self.wanted = 0;
            }
            self.shared.done.store(true, Ordering::Release);
        }
        self.at += count;
    }
}
