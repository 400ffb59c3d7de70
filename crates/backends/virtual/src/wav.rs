//! WAV files: written so that they are valid whenever the program ends, without a limit of 4 GiB; read as far as
//! integers and floats go.
//!
//! A library would do but for two things: `hound` neither writes RF64 nor keeps the header valid while writing.
//! Sources: Microsoft's "Multiple channel audio data and WAVE files" (2007), EBU Tech 3306 (RF64).

use barewire_types::{ByteOrder, Encoding, Error, ErrorKind, RateHz, Result, SampleFormat};
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// What went wrong with a file, in a sentence.
pub fn file_error(path: &Path, error: io::Error) -> Error {
    Error::from(error).context(path.display())
}

/// Bytes before the samples: RIFF, a JUNK or ds64 chunk, an extensible format chunk, the data chunk's head.
const HEADER_BYTES: usize = 12 + 36 + 48 + 8;
/// Bytes after which the header is brought up to date.
const REFRESH_BYTES: u64 = 1 << 20;

/// Writes a WAV file of interleaved little-endian samples.
pub struct Writer {
    file: BufWriter<File>,
    rate: RateHz,
    channels: u16,
    format: SampleFormat,
    written: u64,
    in_header: u64,
}

impl Writer {
    /// Begins a file. Big-endian and right-justified formats have no place in a WAV file.
    ///
    /// # Errors
    /// `Unsupported` for those, `Io` if the header cannot be written.
    pub fn new(file: File, rate: RateHz, channels: u16, format: SampleFormat) -> Result<Self> {
        let fits = matches!(
            format.encoding,
            Encoding::Int16
                | Encoding::Int24
                | Encoding::Int24In32
                | Encoding::Int32
                | Encoding::Float32
                | Encoding::Float64
        );
        if !fits || format.order == ByteOrder::Big {
            let message = format!("a WAV file cannot hold {format}");
            return Err(Error::new(ErrorKind::Unsupported, message).remedy("write a raw file"));
        }
        let mut writer =
            Self { file: BufWriter::new(file), rate, channels, format, written: 0, in_header: 0 };
        let header = writer.header();
        writer.file.write_all(&header)?;
        Ok(writer)
    }

    /// Adds interleaved samples.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&mut self, samples: &[u8]) -> io::Result<()> {
        self.file.write_all(samples)?;
        self.written += samples.len() as u64;
        if self.written - self.in_header >= REFRESH_BYTES {
            self.refresh()?;
        }
        Ok(())
    }

    /// Bytes of samples so far.
    pub fn written_bytes(&self) -> u64 {
        self.written
    }

    /// Brings the header up to date and everything to the disk.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.written % 2 == 1 && self.in_header != self.written {
            // Chunks are even; the pad byte is not counted.
            self.file.write_all(&[0])?;
        }
        self.refresh()?;
        self.file.flush()
    }

    fn refresh(&mut self) -> io::Result<()> {
        let header = self.header();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)?;
        self.file.seek(SeekFrom::End(0))?;
        self.in_header = self.written;
        Ok(())
    }

    fn header(&self) -> [u8; HEADER_BYTES] {
        let riff_bytes = HEADER_BYTES as u64 - 8 + self.written + self.written % 2;
        let is_large = riff_bytes > u64::from(u32::MAX);
        let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        let frame_bytes = u16::try_from(self.format.bytes()).unwrap_or(0) * self.channels;
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(if is_large { b"RF64" } else { b"RIFF" });
        out.extend_from_slice(&narrow(riff_bytes));
        out.extend_from_slice(b"WAVE");
        out.extend_from_slice(if is_large { b"ds64" } else { b"JUNK" });
        out.extend_from_slice(&28_u32.to_le_bytes());
        let frames = self.written / u64::from(frame_bytes.max(1));
        let sizes = if is_large { [riff_bytes, self.written, frames] } else { [0; 3] };
        sizes.iter().for_each(|size| out.extend_from_slice(&size.to_le_bytes()));
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.extend_from_slice(b"fmt ");
        out.extend_from_slice(&40_u32.to_le_bytes());
        let bits = u16::try_from(self.format.bytes() * 8).unwrap_or(0);
        let valid_bits = if self.format.encoding == Encoding::Int24In32 { 24 } else { bits };
        out.extend_from_slice(&0xFFFE_u16.to_le_bytes());
        out.extend_from_slice(&self.channels.to_le_bytes());
        out.extend_from_slice(&self.rate.get().to_le_bytes());
        let rate_bytes = u64::from(self.rate.get()) * u64::from(frame_bytes);
        out.extend_from_slice(&narrow(rate_bytes));
        out.extend_from_slice(&frame_bytes.to_le_bytes());
        out.extend_from_slice(&bits.to_le_bytes());
        out.extend_from_slice(&22_u16.to_le_bytes());
        out.extend_from_slice(&valid_bits.to_le_bytes());
        // Speaker positions: not known.
        out.extend_from_slice(&0_u32.to_le_bytes());
        let kind: u16 = if self.format.is_float() { 3 } else { 1 };
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&GUID_TAIL);
        out.extend_from_slice(b"data");
        out.extend_from_slice(&narrow(self.written));
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&out);
        header
    }
}

/// The fixed part of a sub-format's id.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

impl Drop for Writer {
    fn drop(&mut self) {
        if self.in_header != self.written {
            // Nobody is left to tell; the file is valid up to the last refresh.
            let _ = self.finish();
        }
    }
}

/// The samples of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples {
    /// Frames a second.
    pub rate_hz: u32,
    /// How many channels.
    pub channels: usize,
    /// How a sample lies.
    pub format: SampleFormat,
    /// Interleaved samples, as they lie in the file.
    pub bytes: Vec<u8>,
}

impl Samples {
    /// Whole frames.
    pub fn frames(&self) -> usize {
        self.bytes.len() / (self.channels * self.format.bytes()).max(1)
    }

    /// A sample, left-justified in 32 bits; floats are rounded. `None` beyond the end.
    pub fn sample(&self, frame: usize, channel: usize) -> Option<i32> {
        let bytes = self.format.bytes();
        if channel >= self.channels {
            return None;
        }
        let at = (frame * self.channels + channel) * bytes;
        let raw = self.bytes.get(at..at + bytes)?;
        Some(crate::source::decode(self.format, raw))
    }
}

/// Reads a whole WAV or RF64 file of 16, 24 or 32-bit integers or of floats.
///
/// # Errors
/// `Io` with a sentence that says what is wrong with the file.
pub fn read(path: &Path) -> Result<Samples> {
    let bytes = std::fs::read(path).map_err(|error| file_error(path, error))?;
    parse(&bytes).map_err(|what| {
        Error::new(ErrorKind::Io, format!("{}: {what}", path.display()))
            .remedy("give a WAV file of 16, 24 or 32 bits")
    })
}

fn parse(bytes: &[u8]) -> std::result::Result<Samples, &'static str> {
    let head = bytes.get(..12).ok_or("too short to be a WAV file")?;
    if !matches!(&head[..4], b"RIFF" | b"RF64") || &head[8..] != b"WAVE" {
        return Err("not a WAV file");
    }
    let mut format = None;
    let mut large_data = None;
    let mut at = 12;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        let body = &bytes[at + 8..];
        match &chunk[..4] {
            b"ds64" => large_data = body.get(8..16).map(little),
            b"fmt " => {
                format =
                    Some(parse_format(body.get(..length as usize).ok_or("cut off in its header")?)?)
            }
            b"data" => {
                let (rate_hz, channels, format) = format.ok_or("samples come before the format")?;
                let told = if length == u32::MAX { large_data } else { Some(u64::from(length)) };
                let length = told.and_then(|told| usize::try_from(told).ok()).unwrap_or(usize::MAX);
                let frame_bytes = channels * format.bytes();
                let there = length.min(body.len());
                let bytes = body[..there - there % frame_bytes].to_vec();
                return Ok(Samples { rate_hz, channels, format, bytes });
            }
            _ => {}
        }
        at = at.saturating_add(8 + length as usize + length as usize % 2);
    }
    Err("without samples")
}

fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn parse_format(chunk: &[u8]) -> std::result::Result<(u32, usize, SampleFormat), &'static str> {
    let field = |at: usize, bytes: usize| {
        chunk.get(at..at + bytes).map(little).ok_or("cut off in its header")
    };
    let mut kind = field(0, 2)?;
    let bits = field(14, 2)?;
    let mut valid = bits;
    if kind == 0xFFFE {
        valid = field(18, 2)?;
        kind = field(24, 2)?;
    }
    let format = match (kind, bits, valid) {
        (1, 16, _) => SampleFormat::INT16,
        (1, 24, _) => SampleFormat::INT24,
        (1, 32, 24) => SampleFormat::INT24_IN_32,
        (1, 32, _) => SampleFormat::INT32,
        (3, 32, _) => SampleFormat::FLOAT32,
        (3, 64, _) => SampleFormat::FLOAT64,
        _ => return Err("of a kind that is not known"),
    };
    let channels = usize::try_from(field(2, 2)?).unwrap_or(0);
    let rate_hz = u32::try_from(field(4, 4)?).unwrap_or(0);
    if channels == 0 || rate_hz == 0 {
        return Err("without channels or rate");
    }
    Ok((rate_hz, channels, format))
}
