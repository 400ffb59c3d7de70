//! The bus: one `f64` row a channel, in units of a left-justified 32-bit integer, which knows how far it has been written.

use barewire_types::MAX_FRAMES;

/// Full scale on the bus: 2^31.
pub(crate) const BUS_FULL_SCALE: f64 = 2_147_483_648.0;

/// Beyond this many times full scale a float sample is held, so that no sum of the bus overflows: 2^31.
pub(crate) const MOST_BUS: f64 = BUS_FULL_SCALE * BUS_FULL_SCALE;

/// Rows of samples; what nobody has written yet in a piece counts as silence and is never read.
#[derive(Debug)]
pub(crate) struct Bus {
    samples: Box<[f64]>,
    begun: Box<[usize]>,
    most_frames: usize,
    frames: usize,
}

impl Bus {
    pub(crate) fn new(channels: u16, most_frames: u32) -> Self {
        let channels = usize::from(channels);
        let most_frames = most_frames.min(MAX_FRAMES) as usize;
        Self {
            samples: vec![0.0; channels * most_frames].into(),
            begun: vec![0; channels].into(),
            most_frames,
            frames: 0,
        }
    }

    /// Forgets what was there and begins a piece.
    pub(crate) fn begin(&mut self, frames: u32) {
        self.frames = self.most_frames.min(frames as usize);
        self.begun.fill(0);
    }

    pub(crate) fn frames(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_FRAMES")]
        let frames = self.frames as u32;
        frames
    }

    pub(crate) fn channels(&self) -> usize {
        self.begun.len()
    }

    /// Whether anything was added to the channel.
    pub(crate) fn is_begun(&self, channel: usize) -> bool {
        self.begun[channel] > 0
    }

    /// The channel's samples from `start` on, `count` of them, to add to; with `true` they hold nothing yet and are to be
    /// written without being read.
    pub(crate) fn place(
        &mut self,
        channel: usize,
        start: usize,
        count: usize,
    ) -> (bool, &mut [f64]) {
        let end = start + count;
        let row = &mut self.samples[channel * self.most_frames..][..self.frames];
        let begun = self.begun[channel];
        self.begun[channel] = begun.max(end);
        let fresh = begun <= start;
        if begun < start {
            row[begun..start].fill(0.0);
        } else if !fresh && begun < end {
            row[begun..end].fill(0.0);
        }
        (fresh, &mut row[start..end])
    }

    /// The channel's samples if they are written to the end of the piece.
    pub(crate) fn begun_row(&self, channel: usize) -> Option<&[f64]> {
        let begun = self.begun.get(channel).is_some_and(|&begun| begun > 0 && begun >= self.frames);
        begun.then(|| &self.samples[channel * self.most_frames..][..self.frames])
    }

    /// The channel's first `frames` samples, silence where nothing was added.
    pub(crate) fn row(&mut self, channel: usize) -> &mut [f64] {
        let row = &mut self.samples[channel * self.most_frames..][..self.frames];
        let begun = std::mem::replace(&mut self.begun[channel], self.frames);
        row[begun..].fill(0.0);
        row
    }

    /// Sets one sample of a channel that is begun.
    pub(crate) fn set(&mut self, channel: usize, frame: usize, sample: f64) {
        self.samples[channel * self.most_frames + frame] = sample;
    }

    /// Ends the piece after fewer frames than were begun.
    pub(crate) fn shorten(&mut self, frames: u32) {
        self.frames = self.frames.min(frames as usize);
        for begun in &mut self.begun {
            *begun = self.frames.min(*begun);
        }
    }
}
