//! A stream that tells the star when a pass is over, so that it knows what mixing costs.

use crate::star::Star;
use barewire_device::{Clockwork, Loss, Note, Shape, Stream, Wake};
use barewire_rt::{Area, AreaMut, Waker};
use barewire_types::Ns;
use std::sync::Arc;

/// Passes everything on.
pub(crate) struct Measured {
    inner: Box<dyn Stream>,
    star: Arc<Star>,
}

impl Measured {
    pub(crate) fn new(inner: Box<dyn Stream>, star: Arc<Star>) -> Self {
        Self { inner, star }
    }
}

impl Stream for Measured {
    fn shape(&self) -> Shape {
        self.inner.shape()
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }

    fn notes(&self) -> Vec<Note> {
        self.inner.notes()
    }

    fn start(&mut self) -> Result<(), Loss> {
        self.inner.start()
    }

    fn stop(&mut self) {
        self.inner.stop();
    }

    fn wait(&mut self, until: Ns) -> Wake {
        self.star.mixed();
        self.inner.wait(until)
    }

    fn capture(&mut self) -> Area<'_> {
        self.inner.capture()
    }

    fn release(&mut self, frames: u32) {
        self.inner.release(frames);
    }

    fn playback(&mut self) -> AreaMut<'_> {
        self.inner.playback()
    }

    fn commit(&mut self, frames: u32) {
        self.inner.commit(frames);
    }

    fn clockwork(&self) -> Option<Arc<dyn Clockwork>> {
        self.inner.clockwork()
    }
}
