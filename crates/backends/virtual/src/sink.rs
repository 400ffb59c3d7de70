//! Where played frames go. Files are written by a thread of their own.

use crate::description::{Description, Sink, SinkFunction};
use crate::wav;
use barewire_device::{Shape, Side};
use barewire_rt::{Role, System, Thread};
use barewire_types::{RateHz, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What one opening of a device recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The rate it was opened at.
    pub rate: RateHz,
    /// How samples lie.
    pub side: Side,
    /// Interleaved samples from position 0 on, the prefill's silence included.
    pub bytes: Vec<u8>,
    /// Frames that did not fit.
    pub cut_frames: u64,
}

/// What all openings of a device recorded; a recording is complete once its stream was dropped.
#[derive(Debug, Default)]
pub struct Recordings(Mutex<Vec<Recording>>);

impl Recordings {
    /// Takes out what is complete, in the order of closing.
    pub fn take(&self) -> Vec<Recording> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A sink, ready to be written.
pub(crate) enum OpenSink {
    Null,
    Memory { recording: Option<Recording>, limit_bytes: usize, all: Arc<Recordings> },
    Call(SinkFunction),
    File(FileSink),
}

/// Seconds of sound that a file sink holds until its writer has written them.
const FILE_SECONDS: u32 = 4;

impl OpenSink {
    pub(crate) fn new(
        system: &Arc<dyn System>,
        device: &Description,
        shape: &Shape,
        opening: u32,
    ) -> Result<Self> {
        let Some(side) = shape.playback else { return Ok(Self::Null) };
        let file = |folder: &Path, extension: &str| {
            let name = format!("capture-{opening:03}-{}Hz.{extension}", shape.rate.get());
            FileSink::new(system, folder, &name, shape.rate, side).map(Self::File)
        };
        Ok(match &device.sink {
            Sink::Null => Self::Null,
            Sink::Call(make) => Self::Call(make()),
            Sink::Wav(folder) => file(folder, "wav")?,
            Sink::Raw(folder) => file(folder, "raw")?,
            Sink::Memory(all, limit_frames) => {
                let limit_bytes = limit_frames * side.format.bytes() * usize::from(side.channels);
                let bytes = Vec::with_capacity(limit_bytes);
                let recording = Recording { rate: shape.rate, side, bytes, cut_frames: 0 };
                Self::Memory { recording: Some(recording), limit_bytes, all: all.clone() }
            }
        })
    }

    /// Takes an interleaved piece whose first frame has this position. Device thread.
    pub(crate) fn write(&mut self, position: u64, piece: &[u8]) {
        match self {
            Self::Null => {}
            Self::Call(function) => function(position, piece),
            Self::File(file) => file.write(piece),
            Self::Memory { recording: Some(recording), limit_bytes, .. } => {
                let room = (*limit_bytes - recording.bytes.len()).min(piece.len());
                recording.bytes.extend_from_slice(&piece[..room]);
                let frame_bytes =
                    recording.side.format.bytes() * usize::from(recording.side.channels);
                recording.cut_frames += ((piece.len() - room) / frame_bytes) as u64;
            }
            Self::Memory { recording: None, .. } => {}
        }
    }

    /// Lets what was written so far reach its place. Control thread or end of a run.
    pub(crate) fn remark(&self) -> Option<String> {
        let Self::File(file) = self else { return None };
        let lost = file.shared.dropped_bytes.load(Ordering::Relaxed);
        let path = file.path.display();
        (lost > 0).then(|| format!("{lost} bytes could not be written to {path} in time"))
    }
}

impl Drop for OpenSink {
    fn drop(&mut self) {
        if let Self::Memory { recording, all, .. } = self
            && let Some(recording) = recording.take()
        {
            all.0.lock().unwrap_or_else(PoisonError::into_inner).push(recording);
        }
    }
}

/// A file, and the thread that writes it.
pub(crate) struct FileSink {
    system: Arc<dyn System>,
    ring: rtrb::Producer<u8>,
    shared: Arc<Shared>,
    writer: Option<Thread>,
    path: PathBuf,
}

#[derive(Default)]
struct Shared {
    /// Counts pieces put in, to wake the writer.
    put: AtomicU32,
    /// Counts pieces taken out, to wake a simulated device that waits for room.
    taken: AtomicU32,
    closed: AtomicBool,
    dropped_bytes: AtomicU64,
}

impl FileSink {
    fn new(
        system: &Arc<dyn System>,
        folder: &Path,
        name: &str,
        rate: RateHz,
        side: Side,
    ) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| wav::file_error(folder, error))?;
        let path = folder.join(name);
        let file = File::create(&path).map_err(|error| wav::file_error(&path, error))?;
        let frame_bytes = side.format.bytes() * usize::from(side.channels);
        let capacity = frame_bytes * (FILE_SECONDS * rate.get().min(384_000)) as usize;
        let (ring, consumer) = rtrb::RingBuffer::new(capacity);
        let shared = Arc::new(Shared::default());
        let output: Box<dyn Output> = if name.ends_with(".wav") {
            Box::new(wav::Writer::new(file, rate, side.channels, side.format)?)
        } else {
            Box::new(BufWriter::new(file))
        };
        let (its_system, its_shared) = (system.clone(), shared.clone());
        let body = Box::new(move || write_all(&*its_system, consumer, &its_shared, output));
        let writer = Some(system.spawn("barewire-sink", Role::Helper, body)?);
        Ok(Self { system: system.clone(), ring, shared, writer, path })
    }

    /// With a real clock a full ring means that the disk is too slow: the rest is dropped and counted. A simulated
    /// clock waits for the writer, so that nothing is lost however slow the disk is.
    fn write(&mut self, mut piece: &[u8]) {
        /// A disk that takes nothing for this long takes nothing at all.
        const PATIENCE_NS: u64 = 20_000_000_000;
        while !piece.is_empty() {
            let seen = self.shared.taken.load(Ordering::Acquire);
            let room = self.ring.slots().min(piece.len());
            if room > 0
                && let Ok(mut chunk) = self.ring.write_chunk(room)
            {
                let (first, second) = chunk.as_mut_slices();
                let (head, tail) = piece[..room].split_at(first.len());
                first.copy_from_slice(head);
                second.copy_from_slice(tail);
                chunk.commit_all();
                piece = &piece[room..];
                self.shared.put.fetch_add(1, Ordering::Release);
                self.system.wake(&self.shared.put);
                continue;
            }
            let until = self.system.now_ns().saturating_add(PATIENCE_NS);
            if !self.system.is_simulated()
                || self.system.await_word(&self.shared.taken, seen, until)
                    == barewire_rt::Woken::Time
            {
                self.shared.dropped_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
                return;
            }
        }
    }
}

impl Drop for FileSink {
    /// Waits for the writer: a file is complete once its stream was dropped. Keeper.
    fn drop(&mut self) {
        /// What a slow disk may take for the seconds that the ring holds.
        const PATIENCE_NS: u64 = 30_000_000_000;
        self.shared.closed.store(true, Ordering::Release);
        self.shared.put.fetch_add(1, Ordering::Release);
        self.system.wake(&self.shared.put);
        if let Some(writer) = self.writer.take() {
            writer.join(self.system.join_deadline_ns(PATIENCE_NS));
        }
    }
}

/// A file of either kind.
trait Output: Send {
    fn add(&mut self, bytes: &[u8]) -> std::io::Result<()>;
    fn end(&mut self) -> std::io::Result<()>;
}

impl Output for BufWriter<File> {
    fn add(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write_all(bytes)
    }
    fn end(&mut self) -> std::io::Result<()> {
        self.flush()
    }
}

impl Output for wav::Writer {
    fn add(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write(bytes)
    }
    fn end(&mut self) -> std::io::Result<()> {
        self.finish()
    }
}

fn write_all(
    system: &dyn System,
    mut ring: rtrb::Consumer<u8>,
    shared: &Shared,
    mut output: Box<dyn Output>,
) {
    /// How long the writer sleeps if nothing comes.
    const NAP_NS: u64 = 100_000_000;
    let mut works = true;
    loop {
        let seen = shared.put.load(Ordering::Acquire);
        let closed = shared.closed.load(Ordering::Acquire);
        let there = ring.slots();
        if let Ok(chunk) = ring.read_chunk(there)
            && there > 0
        {
            let (first, second) = chunk.as_slices();
            if works {
                works = output.add(first).and_then(|()| output.add(second)).is_ok();
            }
            if !works {
                shared.dropped_bytes.fetch_add(there as u64, Ordering::Relaxed);
            }
            chunk.commit_all();
            shared.taken.fetch_add(1, Ordering::Release);
            system.wake(&shared.taken);
        } else if closed {
            break;
        } else {
            let until = system.now_ns().saturating_add(NAP_NS);
            system.await_word(&shared.put, seen, until);
        }
    }
    if output.end().is_err() {
        shared.dropped_bytes.fetch_add(1, Ordering::Relaxed);
    }
}
