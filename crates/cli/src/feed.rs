//! The player that the driver calls: decoded frames into its halves.

use crate::decode::Feed;
use barewire_dsp::{Copier, Rest, Route};
use barewire_host::{Block, Player};
use barewire_rt::Area;
use barewire_types::{Result, SampleFormat};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// What the player tells while it runs.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Frames of music handed over.
    pub(crate) frames: AtomicU64,
    /// Frames of silence handed over since the music ended.
    pub(crate) after: AtomicU64,
    /// Frames for which nothing was decoded yet: silence in the middle.
    pub(crate) starved: AtomicU64,
    /// OR of bits that the driver's format cut off.
    pub(crate) cut: AtomicU32,
    /// No more music: play silence.
    pub(crate) stop: AtomicBool,
}

/// Plays what is decoded.
pub(crate) struct FilePlayer {
    feed: Feed,
    channels: usize,
    block: Vec<i32>,
    bytes: Vec<u8>,
    copier: Copier,
    progress: Arc<Progress>,
    /// Wait for the decoder rather than play silence: only where time stands still meanwhile.
    is_patient: bool,
    ended: bool,
}

impl FilePlayer {
    /// A player for blocks of `frames` in `format`.
    ///
    /// # Errors
    /// If the driver's format is none that integers can be put in.
    pub(crate) fn new(
        feed: Feed,
        channels: usize,
        frames: u32,
        format: SampleFormat,
        progress: Arc<Progress>,
        is_patient: bool,
    ) -> Result<Self> {
        let count = u16::try_from(channels).unwrap_or(u16::MAX);
        let routes: Vec<Route> = (0..count).map(|n| Route { from: n, to: n }).collect();
        let copier =
            Copier::new(SampleFormat::INT32, format, count, count, &routes, Rest::Silence)?;
        let samples = frames as usize * channels;
        let (block, bytes) = (vec![0; samples], vec![0; samples * 4]);
        Ok(Self { feed, channels, block, bytes, copier, progress, is_patient, ended: false })
    }

    /// Fills `self.block`; how many frames of it are music.
    fn fill(&mut self) -> usize {
        let mut filled = 0;
        while filled < self.block.len()
            && !self.ended
            && !self.progress.stop.load(Ordering::Relaxed)
        {
            let (taken, ended) = self.feed.take(&mut self.block[filled..]);
            filled += taken;
            self.ended = ended;
            if taken == 0 && !ended {
                if !self.is_patient {
                    break;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        self.block[filled..].fill(0);
        filled / self.channels
    }
}

impl Player for FilePlayer {
    fn block(&mut self, mut block: Block<'_>) {
        let music = self.fill();
        let silence = (self.block.len() / self.channels - music) as u64;
        let (samples, _) = self.bytes.as_chunks_mut::<4>();
        for (place, sample) in samples.iter_mut().zip(&self.block) {
            *place = sample.to_le_bytes();
        }
        let source = Area::from_slice(&self.bytes, self.channels, 4);
        let cut = self.copier.run(source, block.outputs());
        self.progress.cut.fetch_or(cut.bits, Ordering::Relaxed);
        self.progress.frames.fetch_add(music as u64, Ordering::Relaxed);
        if self.ended || self.progress.stop.load(Ordering::Relaxed) {
            self.progress.after.fetch_add(silence, Ordering::Relaxed);
        } else {
            self.progress.starved.fetch_add(silence, Ordering::Relaxed);
        }
    }
}
