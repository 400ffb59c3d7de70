//! A card that others were asked for: held as long as its stream is open, and given back after the card is closed.

use barewire_device::{Clockwork, Loss, Note, Shape, Stream, Wake};
use barewire_rt::{Area, AreaMut, Waker};
use barewire_types::{Ns, Result};
use std::any::Any;
use std::sync::Arc;

/// What keeps a card reserved until it is dropped.
pub(crate) type Hold = Box<dyn Any + Send>;

/// Asks others for the card of this number; `None` if nobody can be asked.
pub(crate) type Reserve = fn(card: u32) -> Result<Option<Hold>>;

/// Sound servers on the session bus.
#[cfg(target_os = "linux")]
pub(crate) fn on_the_bus(card: u32) -> Result<Option<Hold>> {
    let hold = barewire_desktop::reserve(card)?;
    Ok(hold.map(|hold| Box::new(hold) as Hold))
}

/// Nobody: for kernels that tests make.
#[expect(clippy::unnecessary_wraps, reason = "one of two that do the same")]
pub(crate) fn of_nobody(_: u32) -> Result<Option<Hold>> {
    Ok(None)
}

/// Ties the hold to the stream.
pub(crate) fn with(stream: Box<dyn Stream>, hold: Option<Hold>) -> Box<dyn Stream> {
    match hold {
        Some(hold) => Box::new(Reserved { stream, _hold: hold }),
        None => stream,
    }
}

struct Reserved {
    // Before the hold: the card is closed before it is given back.
    stream: Box<dyn Stream>,
    _hold: Hold,
}

impl Stream for Reserved {
    fn shape(&self) -> Shape {
        self.stream.shape()
    }

    fn waker(&self) -> Waker {
        self.stream.waker()
    }

    fn notes(&self) -> Vec<Note> {
        self.stream.notes()
    }

    fn start(&mut self) -> Result<(), Loss> {
        self.stream.start()
    }

    fn stop(&mut self) {
        self.stream.stop();
    }

    fn wait(&mut self, until: Ns) -> Wake {
        self.stream.wait(until)
    }

    fn capture(&mut self) -> Area<'_> {
        self.stream.capture()
    }

    fn release(&mut self, frames: u32) {
        self.stream.release(frames);
    }

    fn playback(&mut self) -> AreaMut<'_> {
        self.stream.playback()
    }

    fn commit(&mut self, frames: u32) {
        self.stream.commit(frames);
    }

    fn clockwork(&self) -> Option<Arc<dyn Clockwork>> {
        self.stream.clockwork()
    }
}
