//! Makes the sample of music in `music/`: plucked strings over four chords, the same piece at any rate.
//!
//! `cargo run --release -p barewire-cli --example compose -- FOLDER` writes WAV files there; `flac -8` made the files in
//! the repository from them. Deterministic: the same samples every time.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a program that makes music, not a part of the driver"
)]

use barewire_types::{RateHz, SampleFormat};
use barewire_virtual::wav;
use std::fs::File;
use std::path::Path;

/// Seconds of the whole piece, at a leisurely pace.
const SECONDS: f64 = 12.0;
/// Seconds of its beginning that are enough in high resolution, whose lowest bits no encoder can shrink.
const HIGH_SECONDS: f64 = 4.5;

/// A plucked string after Karplus and Strong (1983): noise that runs round a delay line and loses its highs.
struct Pluck {
    line: Vec<f64>,
    at: usize,
    damping: f64,
}

impl Pluck {
    fn new(frequency_hz: f64, rate_hz: f64, seed: u64, damping: f64) -> Self {
        let length = (rate_hz / frequency_hz).round().max(2.0);
        let mut state = seed;
        let mut noise = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from((state >> 33) as i32) / 1_073_741_824.0 - 1.0
        };
        let raw: Vec<f64> = (0..length as usize).map(|_| noise()).collect();
        // A softer pick: each sample averaged with its neighbours.
        let count = raw.len();
        let line = (0..count)
            .map(|n| (raw[n] + raw[(n + 1) % count] + raw[(n + 2) % count]) / 3.0)
            .collect();
        Self { line, at: 0, damping }
    }

    fn next(&mut self) -> f64 {
        let next = (self.at + 1) % self.line.len();
        let out = self.line[self.at];
        self.line[self.at] = self.damping * 0.5 * (out + self.line[next]);
        self.at = next;
        out
    }
}

/// Notes as semitones from A (220 Hz), by chord: A minor 9, F major 7, C major, G 6.
const CHORDS: [[i32; 6]; 4] = [
    [-12, -5, 0, 3, 7, 14],
    [-16, -9, -4, 0, 3, 8],
    [-21, -9, -5, 3, 7, 10],
    [-14, -7, -2, 2, 5, 9],
];
/// The order in which a chord's notes are plucked.
const ORDER: [usize; 8] = [0, 3, 2, 4, 1, 5, 3, 4];

fn compose(rate_hz: f64, seconds: f64) -> Vec<[f64; 2]> {
    let frames = (seconds * rate_hz) as usize;
    let mut out = vec![[0.0; 2]; frames];
    let step = SECONDS / 36.0;
    for n in 0..32_usize {
        let note = CHORDS[n / 8][ORDER[n % 8]];
        let frequency_hz = 220.0 * 2.0_f64.powf(f64::from(note) / 12.0);
        let mut string =
            Pluck::new(frequency_hz, rate_hz, 77 + n as u64, 0.9965_f64.powf(48_000.0 / rate_hz));
        let first = (n as f64 * step * rate_hz) as usize;
        let pan = 0.5 + 0.35 * ((n * 5 % 8) as f64 / 7.0 * 2.0 - 1.0);
        let loudness = if n % 8 == 0 { 0.34 } else { 0.22 };
        if first >= frames {
            break;
        }
        let length = frames.saturating_sub(first).min((2.6 * rate_hz) as usize);
        for k in 0..length {
            let left = 1.0 - (k as f64 / length as f64).powi(4);
            let sample = string.next() * loudness * left;
            out[first + k][0] += sample * (1.0 - pan).sqrt();
            out[first + k][1] += sample * pan.sqrt();
        }
    }
    room(&mut out, rate_hz);
    let end = (1.5 * rate_hz) as usize;
    for k in 0..end {
        let gain = k as f64 / end as f64;
        out[frames - 1 - k].iter_mut().for_each(|sample| *sample *= gain * gain);
    }
    out
}

/// A small room: four echoes that feed back, crosswise.
fn room(out: &mut [[f64; 2]], rate_hz: f64) {
    for (delay_seconds, gain) in [(0.0297, 0.22), (0.0411, 0.19), (0.0533, 0.16), (0.0671, 0.14)] {
        let delay = (delay_seconds * rate_hz) as usize;
        for n in delay..out.len() {
            let [left, right] = out[n - delay];
            out[n][0] += gain * right;
            out[n][1] += gain * left;
        }
    }
}

fn write(
    folder: &Path,
    name: &str,
    rate: RateHz,
    seconds: f64,
    format: SampleFormat,
) -> Result<(), Box<dyn std::error::Error>> {
    let piece = compose(rate.as_f64(), seconds);
    let peak = piece.iter().flatten().fold(0.0_f64, |peak, sample| peak.max(sample.abs()));
    let bytes = format.bytes();
    let scale = 0.7 / peak * 2.0_f64.powi(bytes as i32 * 8 - 1);
    let mut data = Vec::new();
    for sample in piece.iter().flatten() {
        data.extend_from_slice(&((sample * scale).round() as i32).to_le_bytes()[..bytes]);
    }
    let mut writer = wav::Writer::new(File::create(folder.join(name))?, rate, 2, format)?;
    writer.write(&data)?;
    writer.finish()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("give a folder")?;
    let folder = Path::new(&folder);
    write(folder, "strings-44100Hz-16bit.wav", RateHz::CD, SECONDS, SampleFormat::INT16)?;
    let high = RateHz::new(96_000).ok_or("no such rate")?;
    write(folder, "strings-96000Hz-24bit.wav", high, HIGH_SECONDS, SampleFormat::INT24)
}
