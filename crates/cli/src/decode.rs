//! Files of music as frames of left-justified 32-bit samples.
//!
//! 16 and 24-bit samples are shifted to the top of 32 bits, never computed. Floats (MP3, Vorbis, float WAV) are rounded
//! to 32 bits: times 2^31, half to even, clamped.
//!
//! Decoders panic on some hostile files: that is an error of the file, not of ours.

mod ahead;
mod caught;

pub(crate) use ahead::{Ahead, Feed};

use crate::quirks;
use barewire_types::RateHz;
use std::fs::File;
use std::path::{Path, PathBuf};
use symphonia::core::audio::{AudioBuffer, AudioBufferRef, Signal};
use symphonia::core::codecs::{CODEC_TYPE_NULL, Decoder, DecoderOptions};
use symphonia::core::errors::Error as MediaError;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::probe::Hint;
use symphonia::core::sample::Sample;

/// More channels than this no file of music has; a header that claims more is damaged or hostile.
const MOST_CHANNELS: usize = 64;
/// Packets that may fail to decode one after another before a file counts as damaged beyond playing.
const MOST_BAD_PACKETS: u32 = 0;

/// What is known of a file before it is decoded.
#[derive(Clone, Debug)]
pub(crate) struct TrackInfo {
    pub(crate) path: PathBuf,
    pub(crate) rate: RateHz,
    pub(crate) channels: usize,
    /// Bits of a sample, if the file has integers.
    pub(crate) bits: Option<u32>,
    /// How many, if the file tells.
    pub(crate) frames: Option<u64>,
    pub(crate) codec: &'static str,
}

/// An open file.
pub(crate) struct Track {
    pub(crate) info: TrackInfo,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn Decoder>,
    id: u32,
    bad_packets: u32,
    frames: u64,
    pending: Option<Vec<i32>>,
}

/// A sentence about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileError(pub(crate) String);

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FileError {}

fn error(path: &Path, what: &str, remedy: &str) -> FileError {
    FileError(format!("{}: {what}; {remedy}", path.display()))
}

/// A decoder has panicked.
const GAVE_UP: &str = "the decoder cannot make anything of it";
const UNDAMAGED: &str = "give an undamaged copy";
const KINDS: &str = "give a FLAC, WAV, AIFF, ALAC, MP3 or Ogg Vorbis file";

impl Track {
    /// Opens a file and decodes its first packet, so that what cannot be played is known before anything sounds.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        caught::caught(|| Self::open_unguarded(path))
            .unwrap_or_else(|| Err(error(path, GAVE_UP, UNDAMAGED)))
    }

    fn open_unguarded(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path)
            .map_err(|e| error(path, &e.to_string(), "give a file that can be read"))?;
        let metadata = file
            .metadata()
            .map_err(|e| error(path, &e.to_string(), "give a file that can be read"))?;
        if metadata.is_dir() {
            return Err(error(path, "is a directory", KINDS));
        }
        if metadata.is_file() && metadata.len() == 0 {
            return Err(error(path, "the file is empty", KINDS));
        }
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
            hint.with_extension(extension);
        }
        let stream = MediaSourceStream::new(Box::new(file), Default::default());
        let options = FormatOptions { enable_gapless: true, ..FormatOptions::default() };
        let probed = symphonia::default::get_probe()
            .format(&hint, stream, &options, &MetadataOptions::default())
            .map_err(|e| error(path, &format!("is no music that is known ({e})"), KINDS))?;
        let mut track = Self::of(path, probed.format)?;
        let first = track.next_packet()?;
        if first.is_none() {
            return Err(error(path, "holds no sound", KINDS));
        }
        track.pending = first;
        Ok(track)
    }

    fn of(path: &Path, format: Box<dyn FormatReader>) -> Result<Self, FileError> {
        let found =
            format.tracks().iter().find(|track| track.codec_params.codec != CODEC_TYPE_NULL);
        let found = found.ok_or_else(|| error(path, "holds no sound", KINDS))?;
        let parameters = found.codec_params.clone();
        let id = found.id;
        let rate_hz = parameters.sample_rate.unwrap_or(0);
        let rate = RateHz::new(rate_hz).ok_or_else(|| {
            error(path, &format!("claims a sample rate of {rate_hz} Hz"), "it is damaged")
        })?;
        let channels = parameters.channels.map_or(0, |channels| channels.count());
        if channels > MOST_CHANNELS {
            return Err(error(path, &format!("claims {channels} channels"), "it is damaged"));
        }
        let decoder = symphonia::default::get_codecs()
            .make(&parameters, &DecoderOptions { verify: true })
            .map_err(|e| error(path, &format!("cannot be decoded ({e})"), KINDS))?;
        let codec = symphonia::default::get_codecs()
            .get_codec(parameters.codec)
            .map_or("unknown", |descriptor| descriptor.short_name);
        let frames = match (parameters.n_frames, parameters.bits_per_sample) {
            (Some(promised), Some(bits)) if quirks::is_aiff(path) => {
                Some(quirks::aiff_frames(promised, channels, bits))
            }
            (promised, _) => promised,
        };
        let info = TrackInfo {
            path: path.to_owned(),
            rate,
            channels,
            bits: parameters.bits_per_sample,
            frames,
            codec,
        };
        Ok(Self { info, format, decoder, id, bad_packets: 0, frames: 0, pending: None })
    }

    /// The next frames, interleaved; `None` at the end.
    pub(crate) fn next_frames(&mut self) -> Result<Option<Vec<i32>>, FileError> {
        match self.pending.take() {
            Some(frames) => Ok(Some(frames)),
            None => {
                caught::caught(|| self.next_packet()).unwrap_or_else(|| Err(self.damaged(GAVE_UP)))
            }
        }
    }

    fn next_packet(&mut self) -> Result<Option<Vec<i32>>, FileError> {
        loop {
            let packet = match self.format.next_packet() {
                Ok(packet) => packet,
                Err(MediaError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return self.at_end();
                }
                Err(MediaError::ResetRequired) => return self.at_end(),
                Err(e) => return Err(self.damaged(&e.to_string())),
            };
            if packet.track_id() != self.id {
                continue;
            }
            match self.decoder.decode(&packet) {
                Ok(buffer) if buffer.frames() == 0 => {}
                Ok(buffer) => {
                    let channels = buffer.spec().channels.count();
                    let rate_hz = buffer.spec().rate;
                    let mut frames = Vec::new();
                    interleave(&buffer, &mut frames);
                    self.cut_to_promise(&mut frames, channels);
                    if self.info.channels == 0 && (1..=MOST_CHANNELS).contains(&channels) {
                        self.info.channels = channels;
                    }
                    if channels != self.info.channels || rate_hz != self.info.rate.get() {
                        return Err(self.damaged("its channels or rate change in the middle"));
                    }
                    self.frames += (frames.len() / channels) as u64;
                    return Ok(Some(frames));
                }
                Err(MediaError::DecodeError(e)) => {
                    self.bad_packets += 1;
                    if self.bad_packets > MOST_BAD_PACKETS {
                        return Err(self.damaged(e));
                    }
                }
                Err(e) => return Err(self.damaged(&e.to_string())),
            }
        }
    }

    /// What lies behind the promised end is no sound, whatever it decodes to.
    fn cut_to_promise(&self, samples: &mut Vec<i32>, channels: usize) {
        let Some(promised) = self.info.frames.filter(|_| self.info.bits.is_some()) else { return };
        let left = promised.saturating_sub(self.frames);
        let left = usize::try_from(left).unwrap_or(usize::MAX).saturating_mul(channels);
        samples.truncate(left);
    }

    /// The reader has no more packets: is that the end that the header promised, and does the checksum agree?
    fn at_end(&mut self) -> Result<Option<Vec<i32>>, FileError> {
        let verification = self.decoder.finalize();
        if let Some(promised) = self.info.frames
            && self.frames < promised
        {
            return Err(self.damaged("it is cut off"));
        }
        if verification.verify_ok == Some(false) {
            return Err(self.damaged("its checksum does not agree with its samples"));
        }
        Ok(None)
    }

    fn damaged(&self, what: &str) -> FileError {
        let rate = f64::from(self.info.rate.get());
        #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
        let seconds = self.frames as f64 / rate;
        let text = format!("is damaged at {seconds:.2} s: {what}");
        error(&self.info.path, &text, UNDAMAGED)
    }
}

fn interleave(buffer: &AudioBufferRef<'_>, out: &mut Vec<i32>) {
    fn each<S: Sample>(
        buffer: &AudioBuffer<S>,
        out: &mut Vec<i32>,
        left_justified: impl Fn(S) -> i32,
    ) {
        let channels = buffer.spec().channels.count();
        out.resize(buffer.frames() * channels, 0);
        for channel in 0..channels {
            let places = out[channel..].iter_mut().step_by(channels);
            for (place, &sample) in places.zip(buffer.chan(channel)) {
                *place = left_justified(sample);
            }
        }
    }
    match buffer {
        AudioBufferRef::U8(b) => each(b, out, |s| (i32::from(s) - 0x80) << 24),
        AudioBufferRef::U16(b) => each(b, out, |s| (i32::from(s) - 0x8000) << 16),
        AudioBufferRef::U24(b) => each(b, out, |s| ((s.inner() << 8) ^ 0x8000_0000).cast_signed()),
        AudioBufferRef::U32(b) => each(b, out, |s| (s ^ 0x8000_0000).cast_signed()),
        AudioBufferRef::S8(b) => each(b, out, |s| i32::from(s) << 24),
        AudioBufferRef::S16(b) => each(b, out, |s| i32::from(s) << 16),
        AudioBufferRef::S24(b) => each(b, out, |s| s.inner() << 8),
        AudioBufferRef::S32(b) => each(b, out, |s| s),
        AudioBufferRef::F32(b) => each(b, out, |s| from_float(f64::from(s))),
        AudioBufferRef::F64(b) => each(b, out, from_float),
    }
}

/// Saturates, and makes silence of what is not a number.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is meant")]
fn from_float(sample: f64) -> i32 {
    (sample * 2_147_483_648.0).round_ties_even() as i32
}
