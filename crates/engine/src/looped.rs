//! A stream that captures what it plays: the loop without a cable, for recording what a person hears.

use barewire_device::{Layout, Loss, Note, Period, Shape, Side, Stream, Wake};
use barewire_dsp::{Copier, Rest, Route, silence};
use barewire_rt::{Area, AreaMut, Waker};
use barewire_types::{Error, ErrorKind, Latency, Ns, Result};

/// Plays on the stream within and captures each frame at the moment at which it sounds, as that stream's shape tells it.
/// What the stream within captures itself is not read.
pub struct Looped {
    inner: Box<dyn Stream>,
    shape: Shape,
    side: Side,
    /// What was played, interleaved, until it sounds. The frame committed as number n lies at n modulo its length.
    memory: Vec<u8>,
    ring_frames: u64,
    mover: Copier,
    /// Frames from a commit until the frame sounds, counted from the position at which the run started.
    ahead_frames: u64,
    committed: u64,
    captured: u64,
    capture_left: u32,
    playback_left: u32,
}

impl Looped {
    /// Wraps a stopped stream. Control thread.
    ///
    /// # Errors
    /// `Unsupported` if the stream does not play.
    pub fn new(inner: Box<dyn Stream>) -> Result<Self> {
        let shape = inner.shape();
        let Some(side) = shape.playback else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a stream that plays nothing has no loop",
            )
            .remedy("choose a device with outputs"));
        };
        let side = Side { layout: Layout::Interleaved, ..side };
        let every: Vec<Route> = (0..side.channels).map(|n| Route { from: n, to: n }).collect();
        let (format, channels) = (side.format, side.channels);
        let mover = Copier::new(format, format, channels, channels, &every, Rest::Leave)?;
        let ahead_frames = u64::from(shape.period_frames) + u64::from(shape.latency.output_frames);
        let ring_frames = ahead_frames + 2 * u64::from(shape.max_period_frames);
        let bytes = usize::try_from(ring_frames).unwrap_or(usize::MAX);
        let bytes = bytes.saturating_mul(usize::from(channels) * format.bytes());
        let latency = Latency { input_frames: 0, ..shape.latency };
        let shape = Shape { capture: Some(side), playback: Some(side), latency, ..shape };
        Ok(Self {
            inner,
            shape,
            side,
            memory: vec![format.silence_byte(); bytes],
            ring_frames,
            mover,
            ahead_frames,
            committed: 0,
            captured: 0,
            capture_left: 0,
            playback_left: 0,
        })
    }

    /// Where frame `number` lies, and how many of `wanted` follow without a wrap.
    fn span(&self, number: u64, wanted: u32) -> (u32, u32) {
        let at = number % self.ring_frames;
        let left = u32::try_from(self.ring_frames - at).unwrap_or(u32::MAX);
        (u32::try_from(at).unwrap_or(0), wanted.min(left))
    }

    /// What the previous period left unwritten is played as silence by the stream within.
    fn skip(&mut self, frames: u32) {
        let mut left = frames;
        while left > 0 {
            let (at, piece) = self.span(self.committed, left);
            let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
            let whole = AreaMut::from_slice(&mut self.memory, channels, bytes);
            silence(self.side.format, whole.part(at, piece));
            self.committed += u64::from(piece);
            left -= piece;
        }
    }

    fn due(&mut self, period: Period) -> Period {
        // While the device missed frames, silence sounded; nothing of it is captured.
        let frames = period.playback_frames.min(self.shape.max_period_frames);
        (self.capture_left, self.playback_left) = (frames, frames);
        Period { capture_frames: frames, playback_frames: frames, ..period }
    }
}

impl Stream for Looped {
    fn shape(&self) -> Shape {
        Shape { rate: self.inner.shape().rate, ..self.shape }
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }

    fn notes(&self) -> Vec<Note> {
        self.inner.notes()
    }

    fn start(&mut self) -> std::result::Result<(), Loss> {
        (self.capture_left, self.playback_left) = (0, 0);
        // Before frame 0 lie the frames of silence that sound before it.
        self.captured = 0;
        self.committed = self.ahead_frames;
        self.memory.fill(self.side.format.silence_byte());
        self.inner.start()
    }

    fn stop(&mut self) {
        self.inner.stop();
    }

    fn wait(&mut self, until: Ns) -> Wake {
        self.captured += u64::from(std::mem::take(&mut self.capture_left));
        let left = std::mem::take(&mut self.playback_left);
        self.skip(left);
        match self.inner.wait(until) {
            Wake::Due(period) => Wake::Due(self.due(period)),
            other => other,
        }
    }

    fn capture(&mut self) -> Area<'_> {
        let (at, frames) = self.span(self.captured, self.capture_left);
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        Area::from_slice(&self.memory, channels, bytes).part(at, frames)
    }

    fn release(&mut self, frames: u32) {
        let frames = frames.min(self.capture_left);
        self.captured += u64::from(frames);
        self.capture_left -= frames;
    }

    fn playback(&mut self) -> AreaMut<'_> {
        let (at, frames) = self.span(self.committed, self.playback_left);
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        AreaMut::from_slice(&mut self.memory, channels, bytes).part(at, frames)
    }

    fn commit(&mut self, frames: u32) {
        let (at, frames) = self.span(self.committed, frames.min(self.playback_left));
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let source = Area::from_slice(&self.memory, channels, bytes).part(at, frames);
        crate::pieces::pour(&mut *self.inner, &self.mover, source);
        self.committed += u64::from(frames);
        self.playback_left -= frames;
    }
}
