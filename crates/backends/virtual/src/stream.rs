//! An open virtual device: its clock, its rings, its faults.

use crate::description::{Description, FaultKind, Remote, Script};
use crate::sink::OpenSink;
use crate::source::OpenSource;
use barewire_device::{Layout, Loss, Note, NoteKind, Period, Shape, Side, Stream, Wake};
use barewire_rt::{Area, AreaMut, Gate, System, Waker, Woken};
use barewire_types::Ns;
use std::sync::Arc;

/// One direction's memory as the device has it: a ring, so that pieces wrap as those of hardware do.
struct Ring {
    side: Side,
    frames: u32,
    memory: Vec<u8>,
    /// One interleaved piece, for what is planar outside.
    scratch: Vec<u8>,
}

impl Ring {
    fn new(side: Side, frames: u32) -> Self {
        let bytes = frames as usize * usize::from(side.channels) * side.format.bytes();
        let memory = vec![side.format.silence_byte(); bytes];
        Self { side, frames, scratch: memory.clone(), memory }
    }

    fn frame_bytes(&self) -> usize {
        usize::from(self.side.channels) * self.side.format.bytes()
    }

    /// Where `position` lies, and how many of `wanted` frames follow without a wrap.
    fn span(&self, position: u64, wanted: u32) -> (u32, u32) {
        let at = u32::try_from(position % u64::from(self.frames)).unwrap_or(0);
        (at, wanted.min(self.frames - at))
    }

    fn area(&self, position: u64, wanted: u32) -> Area<'_> {
        let (at, frames) = self.span(position, wanted);
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let whole = match self.side.layout {
            Layout::Interleaved => Area::from_slice(&self.memory, channels, bytes),
            Layout::Planar => Area::from_planes(&self.memory, channels, bytes),
        };
        whole.part(at, frames)
    }

    fn area_mut(&mut self, position: u64, wanted: u32) -> AreaMut<'_> {
        let (at, frames) = self.span(position, wanted);
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let whole = match self.side.layout {
            Layout::Interleaved => AreaMut::from_slice(&mut self.memory, channels, bytes),
            Layout::Planar => AreaMut::from_planes(&mut self.memory, channels, bytes),
        };
        whole.part(at, frames)
    }

    /// The place of a sample of a planar ring in `memory` and in an interleaved piece.
    fn planar_places(&self, at: u32, frames: u32) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let plane = self.frames as usize * bytes;
        (0..frames as usize).flat_map(move |frame| {
            (0..channels).map(move |channel| {
                let outside = channel * plane + (at as usize + frame) * bytes;
                (outside, (frame * channels + channel) * bytes)
            })
        })
    }

    /// The interleaved bytes of a contiguous piece.
    fn read(&mut self, at: u32, frames: u32) -> &[u8] {
        let (from, length) =
            (at as usize * self.frame_bytes(), frames as usize * self.frame_bytes());
        if self.side.layout == Layout::Interleaved {
            return &self.memory[from..from + length];
        }
        let bytes = self.side.format.bytes();
        for (outside, inside) in self.planar_places(at, frames) {
            self.scratch[inside..inside + bytes]
                .copy_from_slice(&self.memory[outside..outside + bytes]);
        }
        &self.scratch[..length]
    }

    /// Lets `fill` write the interleaved bytes of a contiguous piece.
    fn write(&mut self, at: u32, frames: u32, fill: impl FnOnce(&mut [u8])) {
        let (from, length) =
            (at as usize * self.frame_bytes(), frames as usize * self.frame_bytes());
        if self.side.layout == Layout::Interleaved {
            return fill(&mut self.memory[from..from + length]);
        }
        fill(&mut self.scratch[..length]);
        let bytes = self.side.format.bytes();
        for (outside, inside) in self.planar_places(at, frames) {
            self.memory[outside..outside + bytes]
                .copy_from_slice(&self.scratch[inside..inside + bytes]);
        }
    }
}

/// What was played, for as long as a loop needs it.
struct Loop {
    delay_frames: u64,
    ring: Ring,
}

#[derive(Clone, Copy, Debug, Default)]
struct Run {
    running: bool,
    lost: Option<Loss>,
    start_ns: Ns,
    stalled_ns: Ns,
    late_ns: Ns,
    miss_frames: u32,
    wakes: u64,
    /// Frames handed out and missed.
    handed: u64,
    /// Position of the next captured frame to be lent.
    captured: u64,
    /// Frames committed, the prefill included.
    committed: u64,
    capture_left: u32,
    playback_left: u32,
}

pub(crate) struct VirtualStream {
    system: Arc<dyn System>,
    gate: Arc<Gate>,
    remote: Arc<Remote>,
    script: Script,
    shape: Shape,
    frames_per_ns: f64,
    sink: OpenSink,
    source: OpenSource,
    capture: Option<Ring>,
    playback: Option<Ring>,
    looped: Option<Loop>,
    run: Run,
}

impl VirtualStream {
    pub(crate) fn new(
        system: Arc<dyn System>,
        device: &Description,
        remote: Arc<Remote>,
        shape: Shape,
        sink: OpenSink,
        source: OpenSource,
    ) -> Self {
        // Odd on purpose: pieces wrap at places that are no multiple of the period.
        let ring_frames = shape.max_period_frames * 2 + shape.period_frames / 2 + 1;
        let delay_frames = u64::from(device.source.delay_frames());
        let looped = match (&source, shape.playback) {
            (OpenSource::Loop, Some(side)) => {
                let frames = device.source.delay_frames() + shape.prefill_frames + 2 * ring_frames;
                let side = Side { layout: Layout::Interleaved, ..side };
                Some(Loop { delay_frames, ring: Ring::new(side, frames) })
            }
            _ => None,
        };
        let ring = |side: Option<Side>| side.map(|side| Ring::new(side, ring_frames));
        Self {
            gate: Gate::new(system.clone()),
            system,
            remote,
            script: device.script.clone(),
            frames_per_ns: shape.rate.as_f64() * (1.0 + device.offset_ppm * 1e-6) / 1e9,
            sink,
            source,
            capture: ring(shape.capture),
            playback: ring(shape.playback),
            looped,
            shape,
            run: Run::default(),
        }
    }

    /// When the device reaches `position`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positions stay far below 2^53, times are not negative"
    )]
    fn time_of(&self, position: u64) -> Ns {
        let since = (position as f64 / self.frames_per_ns).ceil() as Ns;
        self.run.start_ns + self.run.stalled_ns + since
    }

    /// Where the device is at `now`. The small sum makes up for the rounding of `time_of`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as in `time_of`"
    )]
    fn position_at(&self, now: Ns) -> u64 {
        let since = now.saturating_sub(self.run.start_ns + self.run.stalled_ns);
        (since as f64 * self.frames_per_ns + 1e-6) as u64
    }

    /// A draw below `most_ns` for the wake that comes next.
    fn drawn_ns(&self, most_ns: Ns) -> Ns {
        if most_ns == 0 {
            return 0;
        }
        // splitmix64: every wake has its own draw, whatever happened before.
        let mut z =
            self.script.seed.wrapping_add((self.run.wakes + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % most_ns
    }

    /// Lets one scripted fault happen whose time has come; what the wait is to return at once, if anything.
    fn next_fault(&mut self, now: Ns) -> Option<Wake> {
        let fault = *self.script.faults.get(self.remote.next_fault())?;
        if fault.at_frames > self.run.handed {
            return None;
        }
        self.remote.fault_happened();
        match fault.kind {
            FaultKind::LateWake(ns) => self.run.late_ns = ns,
            FaultKind::Miss(frames) => self.run.miss_frames = frames,
            FaultKind::Stall(ns) => self.run.stalled_ns += ns,
            FaultKind::SpuriousWake => return Some(Wake::Idle),
            FaultKind::Unplug(back_after) => {
                self.remote.unplug_until(back_after.map(|ns| now + ns))
            }
        }
        None
    }

    /// Hands `frames` frames from our position in the ring on to the sink and to the loop.
    fn hand_on(&mut self, frames: u32) {
        let Some(ring) = &mut self.playback else { return };
        let mut left = frames;
        while left > 0 {
            let position = self.run.committed;
            let (at, piece) = ring.span(position, left);
            let bytes = ring.read(at, piece);
            self.sink.write(position, bytes);
            if let Some(looped) = &mut self.looped {
                remember(&mut looped.ring, position, bytes);
            }
            self.run.committed += u64::from(piece);
            left -= piece;
        }
    }

    fn silence(&mut self, frames: u32) {
        let mut left = frames;
        while left > 0 {
            let Some(ring) = &mut self.playback else { return };
            let (at, piece) = ring.span(self.run.committed, left);
            let byte = ring.side.format.silence_byte();
            ring.write(at, piece, |bytes| bytes.fill(byte));
            self.hand_on(piece);
            left -= piece;
        }
    }

    /// Captures `frames` frames that end at the position handed out.
    fn record(&mut self, frames: u32) {
        let Some(ring) = &mut self.capture else { return };
        let mut position = self.run.handed - u64::from(frames);
        self.run.captured = position;
        let mut left = frames;
        while left > 0 {
            let (at, piece) = ring.span(position, left);
            let side = ring.side;
            let (source, looped) = (&mut self.source, &mut self.looped);
            ring.write(at, piece, |bytes| match looped {
                Some(looped) => recall(looped, side, position, bytes),
                None => source.fill(side, position, bytes),
            });
            position += u64::from(piece);
            left -= piece;
        }
    }

    /// Lets the time of `frames` pass, as if nobody had come: afterwards the device is further by so much.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as in `time_of`"
    )]
    fn sleep_frames(&self, now: Ns, frames: u64) {
        let until = now + (frames as f64 / self.frames_per_ns) as Ns;
        while self.system.now_ns() < until {
            self.gate.sleep(until);
        }
    }

    fn deliver(&mut self, now: Ns) -> Wake {
        let period = u64::from(self.shape.period_frames);
        let moved = self.position_at(now).max(self.run.handed + period);
        let mut frames = moved - self.run.handed;
        frames -= frames % period;
        let mut missed = u64::from(std::mem::take(&mut self.run.miss_frames));
        if missed > 0 {
            missed = missed.div_ceil(period) * period;
            self.sleep_frames(now, missed);
        }
        if frames > u64::from(self.shape.max_period_frames) {
            missed += frames - period;
            frames = period;
        }
        let (frames, missed) =
            (u32::try_from(frames).unwrap_or(0), u32::try_from(missed).unwrap_or(u32::MAX));
        self.run.late_ns = 0;
        self.run.wakes += 1;
        self.run.handed += u64::from(frames) + u64::from(missed);
        self.silence(missed);
        self.record(frames);
        self.run.capture_left = if self.capture.is_some() { frames } else { 0 };
        self.run.playback_left = if self.playback.is_some() { frames } else { 0 };
        let position = self.run.handed;
        let ahead = u64::from(self.shape.prefill_frames - self.shape.period_frames);
        Wake::Due(Period {
            capture_frames: self.run.capture_left,
            playback_frames: self.run.playback_left,
            position_frames: position,
            at_ns: self.time_of(position) + self.drawn_ns(self.script.reading_jitter_ns),
            commit_by_ns: self.time_of(position + ahead),
            missed_frames: missed,
        })
    }
}

/// Keeps what was played.
fn remember(ring: &mut Ring, mut position: u64, mut bytes: &[u8]) {
    let frame_bytes = ring.frame_bytes();
    while !bytes.is_empty() {
        let wanted = u32::try_from(bytes.len() / frame_bytes).unwrap_or(u32::MAX);
        let (at, piece) = ring.span(position, wanted);
        let (head, tail) = bytes.split_at(piece as usize * frame_bytes);
        ring.write(at, piece, |place| place.copy_from_slice(head));
        position += u64::from(piece);
        bytes = tail;
    }
}

/// What was played `delay_frames` before `position`, as the capturing side has it: the same channel, the same bytes if
/// both sides have one format, else shifted.
fn recall(looped: &mut Loop, side: Side, position: u64, bytes: &mut [u8]) {
    let frame_bytes = side.format.bytes() * usize::from(side.channels);
    let played = looped.ring.side;
    let same = played.format == side.format && played.channels == side.channels;
    for (n, frame) in (position..).zip(bytes.chunks_exact_mut(frame_bytes)) {
        let Some(source) = n.checked_sub(looped.delay_frames) else {
            frame.fill(side.format.silence_byte());
            continue;
        };
        let (at, _) = looped.ring.span(source, 1);
        let heard = looped.ring.read(at, 1);
        if same {
            frame.copy_from_slice(heard);
        } else {
            convert(heard, played, frame, side);
        }
    }
}

fn convert(heard: &[u8], played: Side, frame: &mut [u8], side: Side) {
    frame.fill(side.format.silence_byte());
    let from = heard.chunks_exact(played.format.bytes());
    for (source, place) in from.zip(frame.chunks_exact_mut(side.format.bytes())) {
        crate::source::encode(side.format, crate::source::decode(played.format, source), place);
    }
}

impl Drop for VirtualStream {
    fn drop(&mut self) {
        self.remote.count_closing();
    }
}

impl Stream for VirtualStream {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn waker(&self) -> Waker {
        self.gate.clone()
    }

    fn notes(&self) -> Vec<Note> {
        let note = |text| Note { kind: NoteKind::Degraded, text };
        self.sink.remark().map(note).into_iter().collect()
    }

    fn start(&mut self) -> Result<(), Loss> {
        if self.remote.refuses_start() {
            return Err(Loss::Gone);
        }
        if !self.remote.is_plugged(self.system.now_ns()) {
            self.run.lost = Some(Loss::Gone);
        }
        if let Some(loss) = self.run.lost {
            return Err(loss);
        }
        self.run = Run { running: true, start_ns: self.system.now_ns(), ..Run::default() };
        self.silence(self.shape.prefill_frames);
        Ok(())
    }

    fn stop(&mut self) {
        self.run.running = false;
    }

    fn wait(&mut self, until: Ns) -> Wake {
        if let Some(loss) = self.run.lost {
            return Wake::Lost(loss);
        }
        if !self.run.running {
            return Wake::Stopped;
        }
        self.run.captured += u64::from(std::mem::take(&mut self.run.capture_left));
        let left = std::mem::take(&mut self.run.playback_left);
        self.silence(left);
        loop {
            let now = self.system.now_ns();
            if let Some(wake) = self.next_fault(now) {
                return wake;
            }
            if !self.remote.is_plugged(now) {
                self.run.lost = Some(Loss::Gone);
                return Wake::Lost(Loss::Gone);
            }
            let target = self.run.handed + u64::from(self.shape.period_frames);
            let due =
                self.time_of(target) + self.drawn_ns(self.script.jitter_ns) + self.run.late_ns;
            if now >= due {
                return self.deliver(now);
            }
            if self.gate.sleep(due.min(until)) == Woken::Word || until < due {
                return Wake::Idle;
            }
        }
    }

    fn capture(&mut self) -> Area<'_> {
        let (position, left) = (self.run.captured, self.run.capture_left);
        self.capture.as_ref().map_or(Area::EMPTY, |ring| ring.area(position, left))
    }

    fn release(&mut self, frames: u32) {
        let frames = frames.min(self.run.capture_left);
        self.run.captured += u64::from(frames);
        self.run.capture_left -= frames;
    }

    fn playback(&mut self) -> AreaMut<'_> {
        let (position, left) = (self.run.committed, self.run.playback_left);
        self.playback.as_mut().map_or(AreaMut::EMPTY, |ring| ring.area_mut(position, left))
    }

    fn commit(&mut self, frames: u32) {
        let frames = frames.min(self.run.playback_left);
        self.run.playback_left -= frames;
        self.hand_on(frames);
    }
}
