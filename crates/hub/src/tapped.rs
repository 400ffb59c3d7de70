//! The tap: what is being played as further inputs, so that a recorder can have the mix.
//!
//! The frames played in one period are captured in the next, in order and untouched. To know them they are kept in memory of
//! our own on their way to the device, which costs a copy; without a tap none of this is there.

use barewire_device::{Clockwork, Layout, Loss, Note, Shape, Side, Stream, Wake};
use barewire_dsp::{Copier, Rest, Route, silence};
use barewire_rt::{Area, AreaMut, Waker};
use barewire_types::{Error, ErrorKind, Ns, Result, SampleFormat};
use std::sync::Arc;

/// A stream whose inputs are those of the stream within, then what it plays.
pub(crate) struct Tapped {
    inner: Box<dyn Stream>,
    shape: Shape,
    /// The period's inputs, planar.
    inputs: Vec<u8>,
    /// What is being played, planar, and what was in the period before.
    playing: Vec<u8>,
    played: Vec<u8>,
    filled: u32,
    played_frames: u32,
    from_device: Option<Copier>,
    to_device: Copier,
    from_played: Copier,
    capture_left: u32,
    playback_left: u32,
    capture_frames: u32,
    most: u32,
}

fn all(count: u16, offset: u16) -> Vec<Route> {
    (0..count).map(|n| Route { from: n, to: n + offset }).collect()
}

impl Tapped {
    /// Wraps a stopped stream. Control thread.
    ///
    /// # Errors
    /// `Unsupported` if the stream does not play.
    pub(crate) fn new(inner: Box<dyn Stream>) -> Result<Self> {
        let shape = inner.shape();
        let Some(side) = shape.playback else {
            let text = "a device that plays nothing has no tap";
            return Err(Error::new(ErrorKind::Unsupported, text));
        };
        let own = Shape::channels(shape.capture);
        let format = shape.capture.map_or(side.format, |capture| capture.format);
        let channels = own + side.channels;
        let (most, width) = (shape.max_period_frames, side.channels);
        let bytes = |format: SampleFormat, channels: u16| {
            vec![format.silence_byte(); most as usize * usize::from(channels) * format.bytes()]
        };
        let every = all(width, 0);
        let capture = Side { format, channels, layout: Layout::Planar };
        Ok(Self {
            inputs: bytes(format, channels),
            playing: bytes(side.format, width),
            played: bytes(side.format, width),
            filled: 0,
            played_frames: 0,
            from_device: shape
                .capture
                .map(|from| {
                    let routes = all(own, 0);
                    Copier::new(from.format, format, own, channels, &routes, Rest::Leave)
                })
                .transpose()?,
            to_device: Copier::new(side.format, side.format, width, width, &every, Rest::Leave)?,
            from_played: Copier::new(
                side.format,
                format,
                width,
                channels,
                &all(width, own),
                Rest::Leave,
            )?,
            shape: Shape {
                capture: Some(capture),
                playback: Some(Side { layout: Layout::Planar, ..side }),
                ..shape
            },
            inner,
            capture_left: 0,
            playback_left: 0,
            capture_frames: 0,
            most,
        })
    }

    fn side(&self) -> (usize, usize) {
        let channels = usize::from(Shape::channels(self.shape.playback));
        (channels, self.shape.playback.map_or(1, |side| side.format.bytes()))
    }

    fn input_area(&mut self) -> AreaMut<'_> {
        let channels = usize::from(Shape::channels(self.shape.capture));
        let bytes = self.shape.capture.map_or(1, |side| side.format.bytes());
        AreaMut::from_planes(&mut self.inputs, channels, bytes)
    }

    /// Gathers the inputs of a period: the device's, then what was played in the period before.
    fn gather(&mut self, frames: u32) {
        let format = self.shape.capture.map_or(SampleFormat::INT32, |side| side.format);
        let (channels, bytes) = self.side();
        silence(format, self.input_area().part(0, frames));
        let mut done = 0;
        while let (Some(copier), true) = (&self.from_device, done < frames) {
            let piece = self.inner.capture();
            let taken = piece.frames().min(frames - done);
            if taken == 0 {
                break;
            }
            let width = usize::from(Shape::channels(self.shape.capture));
            let place = AreaMut::from_planes(&mut self.inputs, width, format.bytes());
            copier.run(piece.part(0, taken), place.part(done, taken));
            self.inner.release(taken);
            done += taken;
        }
        let width = usize::from(Shape::channels(self.shape.capture));
        let played = Area::from_planes(&self.played, channels, bytes);
        let heard = self.played_frames.min(frames);
        let place = AreaMut::from_planes(&mut self.inputs, width, format.bytes());
        self.from_played.run(played.part(0, heard), place.part(0, heard));
        self.played_frames = 0;
    }
}

impl Stream for Tapped {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }

    fn notes(&self) -> Vec<Note> {
        self.inner.notes()
    }

    fn start(&mut self) -> Result<(), Loss> {
        (self.capture_left, self.playback_left, self.filled) = (0, 0, 0);
        self.played_frames = 0;
        self.inner.start()
    }

    fn stop(&mut self) {
        self.inner.stop();
    }

    fn wait(&mut self, until: Ns) -> Wake {
        let wake = self.inner.wait(until);
        let Wake::Due(mut period) = wake else { return wake };
        // What was filled in the last period is what was played since.
        std::mem::swap(&mut self.playing, &mut self.played);
        self.played_frames = std::mem::take(&mut self.filled);
        let frames = period.playback_frames.max(period.capture_frames).min(self.most);
        self.gather(frames);
        period.capture_frames = frames;
        (self.capture_left, self.capture_frames) = (frames, frames);
        self.playback_left = period.playback_frames;
        Wake::Due(period)
    }

    fn capture(&mut self) -> Area<'_> {
        let channels = usize::from(Shape::channels(self.shape.capture));
        let bytes = self.shape.capture.map_or(1, |side| side.format.bytes());
        let at = self.capture_frames - self.capture_left;
        Area::from_planes(&self.inputs, channels, bytes).part(at, self.capture_left)
    }

    fn release(&mut self, frames: u32) {
        self.capture_left -= frames.min(self.capture_left);
    }

    fn playback(&mut self) -> AreaMut<'_> {
        let (channels, bytes) = self.side();
        let (at, left) = (self.filled, self.playback_left.min(self.most - self.filled));
        AreaMut::from_planes(&mut self.playing, channels, bytes).part(at, left)
    }

    fn commit(&mut self, frames: u32) {
        let frames = frames.min(self.playback_left);
        let (channels, bytes) = self.side();
        let mut done = 0;
        while done < frames {
            let place = self.inner.playback();
            let taken = place.frames().min(frames - done);
            if taken == 0 {
                break;
            }
            let source = Area::from_planes(&self.playing, channels, bytes);
            self.to_device.run(source.part(self.filled + done, taken), place.part(0, taken));
            self.inner.commit(taken);
            done += taken;
        }
        self.filled += frames;
        self.playback_left -= frames;
    }

    fn clockwork(&self) -> Option<Arc<dyn Clockwork>> {
        self.inner.clockwork()
    }
}
