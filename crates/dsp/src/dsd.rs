//! DSD over PCM (DoP 1.1): one-bit samples packed into 24-bit words under alternating markers, found there, and unpacked.
//! Copies between DSD formats are the copier's business.

use crate::rows::{BLOCK_FRAMES, LoadInts, StoreInts, Tier, bytes};
use barewire_rt::{Area, AreaMut};
use barewire_types::{Encoding, Error, ErrorKind, MAX_CHANNELS, SampleFormat};

/// The markers in a word's top byte, by turns (DoP 1.1, §2).
const MARKERS: [u8; 2] = [0x05, 0xfa];
/// Frames that must bear markers by turns before the stream is taken for DoP: by chance, 2^-256 for one channel.
pub const DOP_LOCK_FRAMES: u32 = 32;
/// 8 one-bit samples of silence, oldest in the top bit.
const SILENCE: u8 = 0x69;

/// Packs DSD bytes into DoP words and back. For the device thread; keeps the markers' turn across pieces.
#[derive(Clone, Debug)]
pub struct Dop {
    dsd: SampleFormat,
    pcm: SampleFormat,
    channels: u16,
    load: LoadInts,
    store: StoreInts,
    turn: usize,
}

impl Dop {
    /// A packer between DSD bytes (eight samples a byte) and integers of at least 24 bits.
    ///
    /// # Errors
    /// `Unsupported` if the formats are others, `InvalidArgument` if there are too many channels.
    pub fn new(dsd: SampleFormat, pcm: SampleFormat, channels: u16) -> Result<Self, Error> {
        if usize::from(channels) > MAX_CHANNELS {
            let message = format!("{channels} channels are too many");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let eight = matches!(dsd.encoding, Encoding::Dsd8Lsb | Encoding::Dsd8Msb);
        let rows = Tier::best().rows();
        match ((rows.load_ints)(pcm), (rows.store_ints)(pcm)) {
            (Some(load), Some(store)) if eight && pcm.exact_bits() >= 24 => {
                Ok(Self { dsd, pcm, channels, load, store, turn: 0 })
            }
            _ => Err(Error::new(ErrorKind::Unsupported, format!("{dsd} does not go over {pcm}"))
                .remedy("DoP needs eight samples a byte and integers of at least 24 bits")),
        }
    }

    /// Packs two bytes a channel into each word and returns the frames of words written: half as many as there are bytes.
    pub fn pack(&mut self, dsd: Area<'_>, mut pcm: AreaMut<'_>) -> u32 {
        if !self.fits(dsd.channels(), dsd.sample_bytes(), pcm.channels(), pcm.sample_bytes()) {
            return 0;
        }
        let frames = (dsd.frames() / 2).min(pcm.frames());
        let mut pairs = [0; 2 * BLOCK_FRAMES];
        let mut words = [0; BLOCK_FRAMES];
        self.each_block(frames, |this, start, count, turn| {
            for channel in 0..usize::from(this.channels) {
                let pairs = &mut pairs[..2 * count as usize];
                bytes::load(dsd.part(2 * start, 2 * count), channel, pairs);
                let words = &mut words[..count as usize];
                for (n, (word, pair)) in words.iter_mut().zip(pairs.chunks_exact(2)).enumerate() {
                    let [older, newer] = [pair[0], pair[1]].map(|byte| this.oldest_first(byte));
                    *word = i32::from_be_bytes([MARKERS[(turn + n) % 2], older, newer, 0]);
                }
                (this.store)(words, &mut pcm.reborrow().part(start, count), channel);
            }
        });
        frames
    }

    /// Writes words of DSD silence, markers in turn: what an xrun is bridged with so that the receiver keeps its lock.
    pub fn silence(&mut self, mut pcm: AreaMut<'_>) {
        if !self.fits(usize::from(self.channels), 1, pcm.channels(), pcm.sample_bytes()) {
            return;
        }
        let mut words = [0; BLOCK_FRAMES];
        self.each_block(pcm.frames(), |this, start, count, turn| {
            let words = &mut words[..count as usize];
            for (n, word) in words.iter_mut().enumerate() {
                *word = i32::from_be_bytes([MARKERS[(turn + n) % 2], SILENCE, SILENCE, 0]);
            }
            for channel in 0..usize::from(this.channels) {
                (this.store)(words, &mut pcm.reborrow().part(start, count), channel);
            }
        });
    }

    /// Takes the bytes out of words, two a channel and frame, and returns the frames of words read.
    pub fn unpack(&self, pcm: Area<'_>, mut dsd: AreaMut<'_>) -> u32 {
        if !self.fits(dsd.channels(), dsd.sample_bytes(), pcm.channels(), pcm.sample_bytes()) {
            return 0;
        }
        let frames = (dsd.frames() / 2).min(pcm.frames());
        let mut pairs = [0; 2 * BLOCK_FRAMES];
        let mut words = [0; BLOCK_FRAMES];
        self.clone().each_block(frames, |this, start, count, _| {
            for channel in 0..usize::from(this.channels) {
                let words = &mut words[..count as usize];
                (this.load)(pcm.part(start, count), channel, words);
                let pairs = &mut pairs[..2 * count as usize];
                for (pair, word) in pairs.chunks_exact_mut(2).zip(words) {
                    let [_, older, newer, _] = word.to_be_bytes();
                    pair.copy_from_slice(&[older, newer].map(|byte| this.oldest_first(byte)));
                }
                bytes::store(pairs, &mut dsd.reborrow().part(2 * start, 2 * count), channel);
            }
        });
        frames
    }

    fn fits(&self, dsd: usize, dsd_bytes: usize, pcm: usize, pcm_bytes: usize) -> bool {
        let channels = usize::from(self.channels);
        dsd == channels && pcm == channels && dsd_bytes == 1 && pcm_bytes == self.pcm.bytes()
    }

    /// Turns a byte so that its oldest sample is the top bit, or back.
    fn oldest_first(&self, byte: u8) -> u8 {
        if self.dsd.encoding == Encoding::Dsd8Lsb { byte.reverse_bits() } else { byte }
    }

    fn each_block(&mut self, frames: u32, mut run: impl FnMut(&Self, u32, u32, usize)) {
        let mut start = 0;
        while start < frames {
            let count = (frames - start).min(crate::rows::BLOCK);
            run(self, start, count, self.turn);
            self.turn = (self.turn + count as usize) % 2;
            start += count;
        }
    }
}

/// Finds DoP in PCM: markers by turns over [`DOP_LOCK_FRAMES`] frames, the same on all channels. For the device thread.
#[derive(Clone, Debug)]
pub struct DopDetector {
    pcm: SampleFormat,
    channels: u16,
    load: LoadInts,
    last: u8,
    run_frames: u32,
}

impl DopDetector {
    /// A detector for integers of at least 24 bits.
    ///
    /// # Errors
    /// `Unsupported` for other formats.
    pub fn new(pcm: SampleFormat, channels: u16) -> Result<Self, Error> {
        match (Tier::best().rows().load_ints)(pcm) {
            Some(load) if pcm.exact_bits() >= 24 && usize::from(channels) <= MAX_CHANNELS => {
                Ok(Self { pcm, channels, load, last: 0, run_frames: 0 })
            }
            _ => Err(Error::new(ErrorKind::Unsupported, format!("{pcm} cannot carry DoP"))
                .remedy("DoP needs integers of at least 24 bits")),
        }
    }

    /// Looks at a piece; returns whether its end lies in DoP.
    pub fn look(&mut self, pcm: Area<'_>) -> bool {
        let channels = usize::from(self.channels);
        if channels == 0 || pcm.channels() != channels || pcm.sample_bytes() != self.pcm.bytes() {
            return false;
        }
        let (mut first, mut other) = ([0; BLOCK_FRAMES], [0; BLOCK_FRAMES]);
        let mut done = 0;
        while done < pcm.frames() {
            let part = pcm.part(done, crate::rows::BLOCK);
            let count = part.frames() as usize;
            let first = &mut first[..count];
            (self.load)(part, 0, first);
            for channel in 1..channels {
                let other = &mut other[..count];
                (self.load)(part, channel, other);
                for (first, other) in first.iter_mut().zip(other) {
                    // A marker that is not on all channels is none.
                    if (*first ^ *other) >> 24 != 0 {
                        *first = 0;
                    }
                }
            }
            for word in first {
                self.frame(word.to_be_bytes()[0]);
            }
            done += crate::rows::BLOCK;
        }
        self.is_locked()
    }

    /// Whether the last frame lay in DoP.
    pub fn is_locked(&self) -> bool {
        self.run_frames >= DOP_LOCK_FRAMES
    }

    fn frame(&mut self, marker: u8) {
        let is_marker = MARKERS.contains(&marker);
        self.run_frames = match (is_marker, marker != self.last) {
            (true, true) => self.run_frames.saturating_add(1),
            (true, false) => 1,
            (false, _) => 0,
        };
        self.last = marker;
    }
}
