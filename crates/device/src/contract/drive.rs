//! Drives a stream for the rules: opens it, waits, reads and writes a pattern that tells frames and channels apart.

use super::{Bench, Breach, MakeBench, broken};
use crate::stream::{Period, Shape, Side, Stream, Wake};
use barewire_dsp::{Copier, Rest, Route};
use barewire_rt::{Area, AreaMut, System};
use barewire_types::{Ns, SampleFormat, frames_to_ns};
use std::sync::atomic::AtomicU32;

/// How long a period is waited for, beyond its own length.
const PATIENCE_NS: Ns = 2_000_000_000;
/// How many wake-ups without a period are borne.
const MOST_IDLE: u32 = 200;

/// An open stream in the hands of a rule.
pub(super) struct Drive {
    // Before `bench`: the stream goes first.
    pub(super) stream: Box<dyn Stream>,
    pub(super) bench: Bench,
    pub(super) shape: Shape,
    reader: Option<Copier>,
    writer: Option<Copier>,
    /// Frames of the pattern that were committed.
    pub(super) sent: u64,
}

/// What happened in one period.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn {
    pub(super) period: Period,
    /// When `wait` returned.
    pub(super) now: Ns,
    /// Interleaved bytes that were captured.
    pub(super) captured: Vec<u8>,
    /// Frames of all pieces, used up to the end.
    pub(super) read_frames: u64,
    pub(super) written_frames: u64,
}

/// A copier of all channels that changes nothing.
fn mover(side: Side) -> Result<Copier, Breach> {
    let routes: Vec<Route> = (0..side.channels).map(|n| Route { from: n, to: n }).collect();
    Copier::new(side.format, side.format, side.channels, side.channels, &routes, Rest::Leave)
        .or_else(|error| broken(format!("the shape is unusable: {error}")))
}

pub(super) fn frame_bytes(side: Side) -> usize {
    usize::from(side.channels) * side.format.bytes()
}

/// Lets time pass.
pub(super) fn pass(system: &dyn System, ns: Ns) {
    let until = system.now_ns() + ns;
    while system.now_ns() < until {
        system.sleep(&AtomicU32::new(0), 0, until);
    }
}

impl Drive {
    /// Opens the device as the bench says.
    pub(super) fn open(make: &MakeBench<'_>) -> Result<Self, Breach> {
        let bench = make();
        let stream = bench
            .backend
            .open(&bench.request)
            .or_else(|error| broken(format!("the device does not open: {error}")))?;
        let shape = stream.shape();
        let reader = shape.capture.map(mover).transpose()?;
        let writer = shape.playback.map(mover).transpose()?;
        Ok(Self { stream, bench, shape, reader, writer, sent: 0 })
    }

    /// Opens the device and starts it.
    pub(super) fn started(make: &MakeBench<'_>) -> Result<Self, Breach> {
        let mut drive = Self::open(make)?;
        drive.start()?;
        Ok(drive)
    }

    pub(super) fn start(&mut self) -> Result<(), Breach> {
        self.stream.start().or_else(|loss| broken(format!("does not start: {loss:?}")))
    }

    pub(super) fn now(&self) -> Ns {
        self.bench.system.now_ns()
    }

    /// The length of a period in time.
    pub(super) fn period_ns(&self) -> Ns {
        frames_to_ns(u64::from(self.shape.period_frames), self.shape.rate)
    }

    pub(super) fn pass(&self, ns: Ns) {
        pass(&*self.bench.system, ns);
    }

    /// Waits for the next period, however many idle wake-ups there are.
    pub(super) fn wait(&mut self) -> Result<Period, Breach> {
        for _ in 0..MOST_IDLE {
            match self.stream.wait(self.now() + self.period_ns() + PATIENCE_NS) {
                Wake::Due(period) => return Ok(period),
                Wake::Idle => {}
                other => return broken(format!("no period but {other:?}")),
            }
        }
        broken(format!("no period in {MOST_IDLE} waits"))
    }

    /// Reads up to `limit` frames in pieces of changing size.
    pub(super) fn read(&mut self, limit: u64) -> Result<(u64, Vec<u8>), Breach> {
        let (Some(side), Some(copier)) = (self.shape.capture, &self.reader) else {
            return Ok((0, Vec::new()));
        };
        let (mut done, mut bytes) = (0, Vec::new());
        while done < limit {
            let piece = self.stream.capture();
            let frames = portion(piece.frames(), done, limit);
            if frames == 0 {
                break;
            }
            let begin = bytes.len();
            bytes.resize(begin + frames as usize * frame_bytes(side), 0);
            let to = AreaMut::from_slice(
                &mut bytes[begin..],
                usize::from(side.channels),
                side.format.bytes(),
            );
            if copier.run(piece.part(0, frames), to).frames != frames {
                return broken("a captured piece does not have the shape's form");
            }
            self.stream.release(frames);
            done += u64::from(frames);
            self.no_runaway(done)?;
        }
        Ok((done, bytes))
    }

    /// Writes up to `limit` frames of the pattern in pieces of changing size.
    pub(super) fn write(&mut self, limit: u64) -> Result<u64, Breach> {
        let (Some(side), Some(copier)) = (self.shape.playback, &self.writer) else {
            return Ok(0);
        };
        let mut done = 0;
        while done < limit {
            let piece = self.stream.playback();
            let frames = portion(piece.frames(), done, limit);
            if frames == 0 {
                break;
            }
            let bytes = pattern(side, self.sent, u64::from(frames))?;
            let from = Area::from_slice(&bytes, usize::from(side.channels), side.format.bytes());
            if copier.run(from, piece.part(0, frames)).frames != frames {
                return broken("a piece to be played does not have the shape's form");
            }
            self.stream.commit(frames);
            self.sent += u64::from(frames);
            done += u64::from(frames);
            self.no_runaway(done)?;
        }
        Ok(done)
    }

    /// A stream that lends without end must not keep the suite.
    fn no_runaway(&self, frames: u64) -> Result<(), Breach> {
        if frames > 2 * u64::from(self.shape.max_period_frames) {
            return broken(format!("{frames} frames were lent in one period, and more would be"));
        }
        Ok(())
    }

    /// One whole period: reads all, writes all.
    pub(super) fn turn(&mut self) -> Result<Turn, Breach> {
        let period = self.wait()?;
        let now = self.now();
        let (read_frames, captured) = self.read(u64::MAX)?;
        let written_frames = self.write(u64::MAX)?;
        Ok(Turn { period, now, captured, read_frames, written_frames })
    }

    /// So many whole periods.
    pub(super) fn turns(&mut self, count: u32) -> Result<Vec<Turn>, Breach> {
        (0..count).map(|_| self.turn()).collect()
    }

    /// Stops, closes, and tells what was heard.
    pub(super) fn heard(mut self) -> Result<Vec<u8>, Breach> {
        self.stream.stop();
        let Self { stream, bench, .. } = self;
        drop(stream);
        let heard = bench.heard.ok_or(Breach::NotTried("nobody hears what the device plays"))?;
        Ok(heard())
    }
}

/// How much of a piece is used at once: a frame first, then a few, then all of the rest.
fn portion(piece: u32, done: u64, limit: u64) -> u32 {
    let wish = match done {
        0 => 1,
        1 => 7,
        _ => u32::MAX,
    };
    let left = u32::try_from(limit - done).unwrap_or(u32::MAX);
    piece.min(wish).min(left)
}

/// Interleaved samples of the pattern from frame `from` on: exact in every format, never silence, and different for each
/// frame and channel as far as the format's bits reach.
pub(super) fn pattern(side: Side, from: u64, frames: u64) -> Result<Vec<u8>, Breach> {
    let channels = u64::from(side.channels);
    let places = (from..from + frames).flat_map(|n| (0..channels).map(move |c| n * channels + c));
    if side.format.is_dsd() {
        return Ok(places.map(one_bit(side.format)).collect());
    }
    // Floats carry 24 bits, and no test needs more to tell frames apart.
    let low_bits = 32 - u32::from(side.format.exact_bits().min(24));
    let sample = |place| (mix(place) | 1).checked_shl(low_bits).unwrap_or(0).to_le_bytes();
    let codes: Vec<u8> = places.flat_map(sample).collect();
    let mut bytes = vec![0; codes.len() / 4 * side.format.bytes()];
    let routes: Vec<Route> = (0..side.channels).map(|n| Route { from: n, to: n }).collect();
    let int32 = SampleFormat::INT32;
    Copier::new(int32, side.format, side.channels, side.channels, &routes, Rest::Leave)
        .or_else(|error| broken(format!("no pattern for {}: {error}", side.format)))?
        .run(
            Area::from_slice(&codes, usize::from(side.channels), 4),
            AreaMut::from_slice(&mut bytes, usize::from(side.channels), side.format.bytes()),
        );
    Ok(bytes)
}

fn one_bit(format: SampleFormat) -> impl Fn(u64) -> u8 {
    // One sample a byte is 0 or 1; eight a byte may be anything but silence.
    let mask =
        if format == SampleFormat::little(barewire_types::Encoding::DsdNer8) { 1 } else { 0xFF };
    move |place| {
        let byte = mix(place).to_le_bytes()[0] & mask;
        if byte == format.silence_byte() && mask != 1 { !byte } else { byte }
    }
}

/// The low half of splitmix64's output.
fn mix(place: u64) -> u32 {
    let mut z = place.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    u32::try_from((z ^ z >> 31) & 0xFFFF_FFFF).unwrap_or(0)
}
