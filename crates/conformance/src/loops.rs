//! A pattern sent through a driver's outputs, and what its inputs bring meanwhile.

use crate::desk::{Check, Desk, Rig, Stage, unjudged};
use barewire_dsp::{Copier, Rest, Route};
use barewire_host::bare::HalfView;
use barewire_rt::{Area, AreaMut};
use barewire_types::SampleFormat;
use barewire_verify::{Analysis, Pattern, analyse};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// When a host has written its outputs, and how the driver hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    /// Within its callback, without a word.
    Within,
    /// Within its callback, and calls outputReady there.
    WithinAndSays,
    /// On a thread of its own once the callback has returned, without a word: it has time until the next block.
    Later,
    /// As that, and calls outputReady then.
    LaterAndSays,
    /// As that for every second block, the first one included, and as [`WithinAndSays`](Self::WithinAndSays) for the others.
    LaterAndWithin,
    /// As [`LaterAndSays`](Self::LaterAndSays) for some blocks, then as [`Within`](Self::Within).
    LaterThenWithin,
}

/// Blocks that a host of the last kind answers from its own thread.
const ANSWERED: u64 = 8;

impl Writes {
    fn says(self, block: u64) -> bool {
        match self {
            Self::Within | Self::Later => false,
            Self::WithinAndSays | Self::LaterAndSays | Self::LaterAndWithin => true,
            Self::LaterThenWithin => block < ANSWERED,
        }
    }

    fn is_later(self, block: u64) -> bool {
        match self {
            Self::Within | Self::WithinAndSays => false,
            Self::Later | Self::LaterAndSays => true,
            Self::LaterAndWithin => block.is_multiple_of(2),
            Self::LaterThenWithin => block < ANSWERED,
        }
    }
}

/// What is sent, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Send {
    pub(crate) pattern: Pattern,
    pub(crate) bits: u8,
    pub(crate) frames: usize,
    /// The block size; the preferred one if none.
    pub(crate) block: Option<i32>,
    /// When outputs are written.
    pub(crate) writes: Writes,
    /// Blocks of silence before the pattern.
    pub(crate) lead_blocks: usize,
    /// Behind the pattern the host leaves its outputs as they are, instead of writing silence.
    pub(crate) leaves_unwritten: bool,
    /// The pattern begins in the very first block, not in the second.
    pub(crate) at_once: bool,
}

impl Default for Send {
    fn default() -> Self {
        Self {
            pattern: Pattern::Random,
            bits: 16,
            frames: 3000,
            block: None,
            writes: Writes::Within,
            lead_blocks: 0,
            leaves_unwritten: false,
            at_once: false,
        }
    }
}

impl Desk {
    /// How long a pattern is.
    pub(crate) fn pattern_frames(&self) -> usize {
        if self.options.long { 480_000 } else { 12_000 }
    }
}

/// Frames over which likeness is judged; of noise that has nothing to do with each other it stays far below [`ALIKE`].
const WINDOW: usize = 96;
const ALIKE: f64 = 0.6;
/// Frames in which a channel's sound is recognised.
const SYNC: usize = 48;
/// What a way round may take, besides a few blocks.
const MOST_DELAY: usize = 12_000;
/// How often the host's thread looks whether the run is over.
const LOOK: Duration = Duration::from_millis(20);

/// What came back.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) channels: usize,
    pub(crate) frames: usize,
    pub(crate) block_frames: i32,
    pub(crate) format: SampleFormat,
    /// Both latencies, as told at the end of the run.
    pub(crate) told_frames: i64,
    /// The host was too late for a block, or the device for it: what came back says nothing of the driver.
    pub(crate) is_void: bool,
    sent: Send,
    received: Vec<i32>,
}

/// One channel's halves.
type Halves = [HalfView; 2];

/// The host in this test: what it writes and reads in each block.
struct Exchange {
    inputs: Vec<Halves>,
    outputs: Vec<Halves>,
    into: Copier,
    from: Copier,
    plane: Vec<u8>,
    words: Vec<u8>,
    block: usize,
    at: usize,
    /// Frames of silence before the pattern.
    lead: usize,
    send: Send,
    heard: Arc<Mutex<Vec<i32>>>,
    wanted: usize,
    /// The first block is another rule's matter, and still to come.
    is_early: bool,
}

fn one_channel(from: SampleFormat, to: SampleFormat) -> Check<Copier> {
    Ok(Copier::new(from, to, 1, 1, &[Route { from: 0, to: 0 }], Rest::Silence)?)
}

impl Exchange {
    /// Silence in all outputs.
    fn wipe(&mut self, half: usize) {
        self.plane.fill(0);
        for output in &self.outputs {
            output[half].write(&self.plane);
        }
    }

    fn block(&mut self, half: usize) {
        if std::mem::take(&mut self.is_early) {
            self.wipe(half);
            return;
        }
        let bytes = self.plane.len();
        let mut frames = vec![0_i32; self.block * self.outputs.len()];
        let channels = self.outputs.len();
        for channel in 0..channels {
            for n in 0..self.block {
                let frame = (self.at + n).checked_sub(self.lead);
                let sample = match frame.filter(|frame| *frame < self.send.frames) {
                    Some(frame) => self.send.pattern.sample(frame as u64, channel, self.send.bits),
                    None => 0,
                };
                self.words[n * 4..n * 4 + 4].copy_from_slice(&sample.to_le_bytes());
            }
            let leave = self.send.leaves_unwritten && self.at >= self.lead + self.send.frames;
            if !leave {
                let to = AreaMut::from_slice(&mut self.plane, 1, bytes / self.block);
                self.into.run(Area::from_slice(&self.words, 1, 4), to);
                self.outputs[channel][half].write(&self.plane);
            }
            self.inputs[channel][half].read_into(&mut self.plane);
            let to = AreaMut::from_slice(&mut self.words, 1, 4);
            self.from.run(Area::from_slice(&self.plane, 1, bytes / self.block), to);
            for (n, word) in self.words.as_chunks::<4>().0.iter().enumerate() {
                frames[n * channels + channel] = i32::from_le_bytes(*word);
            }
        }
        self.at += self.block;
        if self.at <= self.lead {
            return;
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() < self.wanted {
            heard.extend(frames);
        }
    }
}

/// Who fills the outputs: the callback itself, or a thread of the host's.
struct Worker {
    thread: Option<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
    was_late: Arc<AtomicBool>,
}

impl Worker {
    /// Has `exchange` done in each block of `stage`.
    fn begin(stage: &Stage<'_>, exchange: Exchange, writes: Writes) -> Check<Self> {
        let subject = stage.subject()?.clone();
        if writes.says(0) {
            // Hosts ask first whether it is there.
            subject.output_ready();
        }
        let (is_over, was_late) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let exchange = Arc::new(Mutex::new(exchange));
        let (tell, told) = channel::<(u64, usize)>();
        let thread = writes.is_later(0).then(|| {
            let recorder = stage.recorder.clone();
            let (subject, exchange) = (subject.clone(), exchange.clone());
            let (is_over, was_late) = (is_over.clone(), was_late.clone());
            std::thread::spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let Ok((number, half)) = told.recv_timeout(LOOK) else { continue };
                    while recorder.done() <= number && !is_over.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    exchange.lock().unwrap_or_else(PoisonError::into_inner).block(half);
                    if recorder.blocks() > number + 1 {
                        was_late.store(true, Ordering::SeqCst);
                    }
                    if writes.says(number) {
                        subject.output_ready();
                    }
                }
            })
        });
        stage.recorder.on_block(move |number, seen| {
            let half = usize::from(seen.half != 0);
            if writes.is_later(number) {
                // Who reads before the thread has written finds nothing, instead of a block of before.
                exchange.lock().unwrap_or_else(PoisonError::into_inner).wipe(half);
                // The thread may have ended.
                let _ = tell.send((number, half));
                return;
            }
            exchange.lock().unwrap_or_else(PoisonError::into_inner).block(half);
            if writes.says(number) {
                subject.output_ready();
            }
        });
        Ok(Self { thread, is_over, was_late })
    }

    /// Ends the host's thread; whether it was ever too late.
    fn end(self) -> bool {
        self.was_late.load(Ordering::SeqCst)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic of its own is the case's end already.
            let _ = thread.join();
        }
    }
}

/// Whether blocks were lost in the run.
fn has_jumped(stage: &Stage<'_>) -> bool {
    let frames = u64::try_from(stage.frames).unwrap_or(0);
    let events = stage.recorder.events();
    let positions: Vec<u64> =
        events.iter().filter_map(|event| Some(event.seen.time?.position_frames)).collect();
    positions.windows(2).any(|pair| pair[1].wrapping_sub(pair[0]) != frames)
}

impl Round {
    /// Runs `stage`, which has as many inputs as outputs, until the pattern must have come back.
    pub(crate) fn send(mut stage: Stage<'_>, send: Send) -> Check<Self> {
        let wanted = stage.table.wanted().to_vec();
        let first = wanted[0];
        let number = stage.ask(|rig| rig.channel(first))?.sample_type;
        let number = barewire_abi::Long::to_i32(number);
        let Some(format) = barewire_abi::SampleType(number).format() else {
            return unjudged(format!("sample type {number} is unknown"));
        };
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        let halves = stage.halves()?;
        for pair in halves.chunks_exact(2) {
            let both = [pair[0].2, pair[1].2];
            if pair[0].0.is_input { inputs.push(both) } else { outputs.push(both) }
        }
        let block = usize::try_from(stage.frames).unwrap_or(0);
        let channels = outputs.len();
        let tail = MOST_DELAY + 4 * block;
        let wanted = (send.frames + tail) * channels;
        let heard = Arc::new(Mutex::new(Vec::with_capacity(wanted + block * channels)));
        let exchange = Exchange {
            inputs,
            outputs,
            into: one_channel(SampleFormat::INT32, format)?,
            from: one_channel(format, SampleFormat::INT32)?,
            plane: vec![0; block * format.bytes()],
            words: vec![0; block * 4],
            block,
            at: 0,
            lead: send.lead_blocks * block,
            send,
            heard: heard.clone(),
            wanted,
            is_early: !send.at_once,
        };
        let worker = Worker::begin(&stage, exchange, send.writes)?;
        stage.start()?;
        let length = || heard.lock().unwrap_or_else(PoisonError::into_inner).len();
        // As long as blocks come it is worth waiting.
        while length() < wanted {
            let (_, came) = stage.blocks_within(1, Duration::from_secs(3));
            if !came {
                return unjudged("blocks have ceased");
            }
        }
        let (input, output) = stage.ask(Rig::latencies)?;
        stage.stop()?;
        let is_void = worker.end() || has_jumped(&stage);
        let received = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        let block_frames = stage.frames;
        let told_frames = i64::from(input) + i64::from(output);
        Ok(Self {
            channels,
            frames: send.frames,
            block_frames,
            format,
            told_frames,
            is_void,
            sent: send,
            received,
        })
    }

    /// Whether nothing came back at all.
    pub(crate) fn is_silent(&self) -> bool {
        self.received.iter().all(|sample| *sample == 0)
    }

    fn most_delay(&self) -> usize {
        MOST_DELAY + 2 * usize::try_from(self.block_frames).unwrap_or(0)
    }

    /// What became of the pattern.
    pub(crate) fn analyse(&self) -> Analysis {
        let Send { pattern, bits, frames, .. } = self.sent;
        analyse(pattern, self.channels, bits, frames, &self.received, self.most_delay())
    }

    /// How alike a received and a sent channel are over some frames, from 0 to 1, whatever was done to single bits.
    fn likeness(&self, received: usize, got: usize, sent: usize, from: usize) -> f64 {
        let Send { pattern, bits, frames, .. } = self.sent;
        let (mut product, mut ours, mut theirs) = (0.0, 0.0, 0.0);
        for n in 0..WINDOW.min(frames - from) {
            let place = (got + n) * self.channels + received;
            let b = f64::from(self.received.get(place).copied().unwrap_or(0));
            let a = f64::from(pattern.sample((from + n) as u64, sent, bits));
            product += a * b;
            ours += a * a;
            theirs += b * b;
        }
        if ours > 0.0 && theirs > 0.0 { (product / (ours * theirs).sqrt()).abs() } else { 0.0 }
    }

    /// Where a received channel is out of order or not itself: the first frame, or nowhere.
    pub(crate) fn out_of_place(&self, channel: usize) -> Option<usize> {
        let Some((bears, delay)) = self.find(channel) else { return Some(0) };
        let windows = (0..self.sent.frames.saturating_sub(WINDOW)).step_by(WINDOW);
        windows.into_iter().find(|from| self.likeness(channel, delay + from, bears, *from) < ALIKE)
    }

    /// Which sent channel a received one bears, and its delay: exactly if it is anywhere intact, else by likeness.
    pub(crate) fn find(&self, channel: usize) -> Option<(usize, usize)> {
        self.find_exactly(channel).or_else(|| {
            let pairs = (0..self.channels)
                .flat_map(|sent| (0..self.most_delay()).map(move |at| (sent, at)));
            let alike = pairs.map(|(sent, at)| ((sent, at), self.likeness(channel, at, sent, 0)));
            let (found, likeness) = alike.max_by(|a, b| a.1.total_cmp(&b.1))?;
            (likeness >= ALIKE).then_some(found)
        })
    }

    fn find_exactly(&self, channel: usize) -> Option<(usize, usize)> {
        let received = |frame: usize| self.received.get(frame * self.channels + channel).copied();
        let Send { pattern, bits, .. } = self.sent;
        let own_first =
            std::iter::once(channel).chain((0..self.channels).filter(|c| *c != channel));
        for sent in own_first {
            let at = (0..self.most_delay()).find(|delay| {
                (0..SYNC).all(|n| received(delay + n) == Some(pattern.sample(n as u64, sent, bits)))
            });
            if let Some(delay) = at {
                return Some((sent, delay));
            }
        }
        None
    }

    /// Samples that came back and were never sent.
    pub(crate) fn foreign_samples(&self) -> usize {
        let Send { pattern, bits, frames, .. } = self.sent;
        let mut sent: HashSet<i32> = HashSet::from([0]);
        for channel in 0..self.channels {
            sent.extend((0..frames).map(|frame| pattern.sample(frame as u64, channel, bits)));
        }
        self.received.iter().filter(|sample| !sent.contains(sample)).count()
    }
}
