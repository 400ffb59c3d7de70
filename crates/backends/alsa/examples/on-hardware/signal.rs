//! A signal that tells its frames, and an ear that follows it.

use barewire_device::{Side, Stream};
use barewire_dsp::{Copier, Rest, Route};
use barewire_rt::{Area, AreaMut};
use barewire_types::SampleFormat;
use barewire_verify::Pattern;

fn copier(from: SampleFormat, to: SampleFormat, channels: u16) -> Result<Copier, String> {
    let routes: Vec<Route> = (0..channels).map(|n| Route { from: n, to: n }).collect();
    Copier::new(from, to, channels, channels, &routes, Rest::Leave).map_err(|e| e.to_string())
}

/// Plays the signal, frame after frame, from number 1 on: 0 is silence.
pub(crate) struct Mouth {
    channels: usize,
    bits: u8,
    copier: Copier,
    /// The frame that is played next.
    pub(crate) next: u64,
}

/// A sample of the signal; never silence in the first channel.
fn sample(frame: u64, channel: usize, bits: u8) -> i32 {
    let word = Pattern::Random.sample(frame, channel, bits);
    if word == 0 { i32::MIN } else { word }
}

impl Mouth {
    pub(crate) fn new(side: Side) -> Result<Self, String> {
        let copier = copier(SampleFormat::INT32, side.format, side.channels)?;
        Ok(Self { channels: side.channels.into(), bits: side.format.exact_bits(), copier, next: 1 })
    }

    /// Fills all that the period takes.
    pub(crate) fn speak(&mut self, stream: &mut dyn Stream) {
        loop {
            let area = stream.playback();
            let frames = area.frames();
            if frames == 0 {
                return;
            }
            let end = self.next + u64::from(frames);
            let samples = (self.next..end)
                .flat_map(|frame| (0..self.channels).map(move |channel| (frame, channel)));
            let bits = self.bits;
            let bytes: Vec<u8> = samples
                .flat_map(|(frame, channel)| sample(frame, channel, bits).to_le_bytes())
                .collect();
            self.copier.run(Area::from_slice(&bytes, self.channels, 4), area);
            stream.commit(frames);
            self.next = end;
        }
    }
}

/// What an ear heard that it should not have.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    channels: usize,
    bits: u8,
    copier: Option<Copier>,
    bytes: Vec<u8>,
    /// The frame that has to come next; `None` while there is silence.
    expected: Option<u64>,
    /// The frame with which the signal begins again, and the position from which on it is told of.
    awaited: u64,
    /// Position at which the awaited frame was heard.
    pub(crate) heard_at: Option<u64>,
    /// Frames heard in order, since the beginning.
    pub(crate) good: u64,
    /// Frames heard between an interruption and the frame that was awaited.
    pub(crate) stray: u64,
}

impl Ear {
    pub(crate) fn new(side: Side) -> Result<Self, String> {
        let copier = copier(side.format, SampleFormat::INT32, side.channels)?;
        Ok(Self {
            channels: side.channels.into(),
            bits: side.format.exact_bits(),
            copier: Some(copier),
            ..Self::default()
        })
    }

    /// The signal was interrupted: it begins again with `frame`.
    pub(crate) fn await_frame(&mut self, frame: u64) {
        self.awaited = frame;
        self.expected = None;
        self.heard_at = None;
    }

    /// Listens to all that the period has, the first frame of which is at `position`.
    pub(crate) fn listen(&mut self, stream: &mut dyn Stream, position: u64) -> Result<(), String> {
        let mut at = position;
        loop {
            let area = stream.capture();
            let frames = area.frames();
            if frames == 0 {
                return Ok(());
            }
            self.bytes.resize(frames as usize * self.channels * 4, 0);
            if let Some(copier) = &self.copier {
                copier.run(area, AreaMut::from_slice(&mut self.bytes, self.channels, 4));
            }
            stream.release(frames);
            let bytes = std::mem::take(&mut self.bytes);
            for frame in bytes.chunks_exact(self.channels * 4) {
                self.hear(frame, at)?;
                at += 1;
            }
            self.bytes = bytes;
        }
    }

    fn is(&self, bytes: &[u8], frame: u64) -> bool {
        let (words, _) = bytes.as_chunks::<4>();
        let mut words = words.iter().enumerate();
        words.all(|(channel, word)| i32::from_le_bytes(*word) == sample(frame, channel, self.bits))
    }

    fn hear(&mut self, bytes: &[u8], at: u64) -> Result<(), String> {
        if let Some(expected) = self.expected {
            if !self.is(bytes, expected) {
                return Err(format!(
                    "at {at}: {bytes:02x?} instead of frame {expected}, after {} good ones",
                    self.good
                ));
            }
            self.expected = Some(expected + 1);
            self.good += 1;
        } else if self.is(bytes, self.awaited) {
            self.expected = Some(self.awaited + 1);
            self.heard_at = Some(at);
            self.good += 1;
        } else if bytes.iter().any(|&byte| byte != 0) {
            self.stray += 1;
        }
        Ok(())
    }
}
