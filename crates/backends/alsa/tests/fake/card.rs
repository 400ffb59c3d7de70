//! What a fake sound card is like, and how its kernel driver narrows hardware parameters: masks and intervals until
//! nothing changes any more, as `snd_pcm_hw_refine` does.

use barewire_alsa::kernel::{Errno, Holder, MixerElement, errno};
use barewire_alsa::uapi::{HwParams, Interval, interval, mask};
use barewire_types::Ns;

/// The kernel's numbers of formats.
pub(crate) const S16: u32 = 2;
pub(crate) const S24_LOW: u32 = 6;
pub(crate) const S32: u32 = 10;
pub(crate) const FLOAT: u32 = 14;
pub(crate) const S24_3: u32 = 32;

/// Bytes and significant bits of a sample.
pub(crate) fn sample(format: u32) -> (usize, u32) {
    match format {
        S16 => (2, 16),
        S24_3 => (3, 24),
        S24_LOW => (4, 24),
        _ => (4, 32),
    }
}

/// A PCM's hardware, one direction of it.
#[derive(Clone, Debug)]
pub(crate) struct Hardware {
    pub(crate) formats: Vec<u32>,
    /// `SNDRV_PCM_ACCESS_*` that are possible.
    pub(crate) access: Vec<u32>,
    pub(crate) rates: Vec<u32>,
    pub(crate) channels: Vec<u32>,
    /// Every period that is possible, ascending.
    pub(crate) periods_frames: Vec<u32>,
    pub(crate) periods: (u32, u32),
    /// Significant bits of 32-bit samples.
    pub(crate) msbits: u32,
    /// Frames between the ring and the wire.
    pub(crate) fifo_frames: u32,
    /// The position is told in multiples of this.
    pub(crate) step_frames: u32,
    /// Whether the position is told only at the end of a period.
    pub(crate) is_batch: bool,
    /// Whether status and control pages can be mapped; else each publishing is a call that may fail.
    pub(crate) has_pages: bool,
    /// Refuses to map the samples although it said that it would.
    pub(crate) refuses_map: bool,
    /// Sets this period whatever it agreed to before.
    pub(crate) lies_about_period: Option<u32>,
    /// Time stamps: none on old kernels.
    pub(crate) has_time: bool,
    /// As USB: what was written is packed at once, all but a frame, and the position says so; what is not there in time is
    /// a gap of which the kernel says nothing.
    pub(crate) packs_ahead: bool,
    /// From the start until the first frame moves.
    pub(crate) start_lag_ns: Ns,
    /// Frames between the wire and the converter, of which nobody tells.
    pub(crate) hidden_frames: u32,
}

impl Default for Hardware {
    /// Like Intel HDA: interleaved, 24 of 32 bits, periods in multiples of 8.
    fn default() -> Self {
        Self {
            formats: vec![S16, S32],
            access: vec![0, 3],
            rates: vec![44_100, 48_000, 96_000],
            channels: vec![2],
            periods_frames: (2..=1024).map(|n| n * 8).collect(),
            periods: (2, 32),
            msbits: 24,
            fifo_frames: 0,
            step_frames: 1,
            is_batch: false,
            has_pages: true,
            refuses_map: false,
            lies_about_period: None,
            has_time: true,
            packs_ahead: false,
            start_lag_ns: 0,
            hidden_frames: 0,
        }
    }
}

/// A fake sound card with one PCM device.
#[derive(Clone, Debug)]
pub(crate) struct Card {
    pub(crate) id: &'static str,
    pub(crate) driver: &'static str,
    pub(crate) playback: Option<Hardware>,
    pub(crate) capture: Option<Hardware>,
    /// Whether both directions start at once.
    pub(crate) can_link: bool,
    pub(crate) mixer: Vec<MixerElement>,
    /// Another program that has it open.
    pub(crate) holder: Option<Holder>,
    /// What opening a PCM answers.
    pub(crate) refusal: Option<Errno>,
    /// The device's clock is faster by this much.
    pub(crate) offset_ppm: i64,
}

impl Default for Card {
    fn default() -> Self {
        Self {
            id: "Fake",
            driver: "HDA-Intel",
            playback: Some(Hardware::default()),
            capture: Some(Hardware::default()),
            can_link: true,
            mixer: Vec::new(),
            holder: None,
            refusal: None,
            offset_ppm: 0,
        }
    }
}

impl Card {
    pub(crate) fn side(&self, direction: i32) -> Option<&Hardware> {
        if direction == barewire_alsa::uapi::PLAYBACK {
            self.playback.as_ref()
        } else {
            self.capture.as_ref()
        }
    }

    /// The same hardware in both directions.
    pub(crate) fn both(hardware: Hardware) -> Self {
        Self { playback: Some(hardware.clone()), capture: Some(hardware), ..Self::default() }
    }
}

fn narrow_mask(words: &mut [u32; 8], allowed: &[u32]) -> Result<(), Errno> {
    let mut possible = [0_u32; 8];
    for &bit in allowed {
        possible[bit as usize / 32] |= 1 << (bit % 32);
    }
    words.iter_mut().zip(possible).for_each(|(word, possible)| *word &= possible);
    if words.iter().all(|&word| word == 0) { Err(errno::EINVAL) } else { Ok(()) }
}

/// Both ends included, as whole numbers.
fn ends(interval: &Interval) -> (u32, u32) {
    (interval.min + (interval.flags & 1), interval.max.saturating_sub(interval.flags >> 1 & 1))
}

fn narrow(which: &mut Interval, min: u32, max: u32) -> Result<bool, Errno> {
    let (low, high) = ends(which);
    let (low, high) = (low.max(min), high.min(max));
    if low > high {
        return Err(errno::EINVAL);
    }
    let before = *which;
    *which = Interval { min: low, max: high, flags: 4 };
    Ok(*which != before)
}

fn narrow_list(which: &mut Interval, list: &[u32]) -> Result<bool, Errno> {
    let (low, high) = ends(which);
    let within = || list.iter().copied().filter(|value| (low..=high).contains(value));
    let (Some(min), Some(max)) = (within().min(), within().max()) else {
        return Err(errno::EINVAL);
    };
    narrow(which, min, max)
}

/// The only format that is left.
fn single(words: &[u32; 8]) -> Option<u32> {
    let mut bits = (0..256).filter(|&bit: &u32| words[bit as usize / 32] >> (bit % 32) & 1 == 1);
    let first = bits.next()?;
    bits.next().is_none().then_some(first)
}

impl Hardware {
    pub(crate) fn refine(&self, params: &mut HwParams) -> Result<(), Errno> {
        narrow_mask(&mut params.masks[mask::ACCESS], &self.access)?;
        narrow_mask(&mut params.masks[mask::FORMAT], &self.formats)?;
        narrow_mask(&mut params.masks[mask::SUBFORMAT], &[0])?;
        let intervals = &mut params.intervals;
        narrow_list(&mut intervals[interval::CHANNELS], &self.channels)?;
        narrow_list(&mut intervals[interval::RATE], &self.rates)?;
        loop {
            let mut changed =
                narrow_list(&mut intervals[interval::PERIOD_FRAMES], &self.periods_frames)?;
            changed |= narrow(&mut intervals[interval::PERIODS], self.periods.0, self.periods.1)?;
            let period = ends(&intervals[interval::PERIOD_FRAMES]);
            let periods = ends(&intervals[interval::PERIODS]);
            let buffer = &mut intervals[interval::BUFFER_FRAMES];
            changed |= narrow(buffer, period.0 * periods.0, period.1.saturating_mul(periods.1))?;
            let buffer = ends(buffer);
            if period.0 == period.1 {
                // A whole number of periods.
                let whole =
                    (buffer.0.div_ceil(period.0) * period.0, buffer.1 / period.0 * period.0);
                changed |= narrow(&mut intervals[interval::BUFFER_FRAMES], whole.0, whole.1)?;
            }
            let (least, most) = (buffer.0.div_ceil(periods.1), buffer.1 / periods.0.max(1));
            changed |= narrow(&mut intervals[interval::PERIOD_FRAMES], least, most)?;
            let (least, most) = (buffer.0.div_ceil(period.1), buffer.1 / period.0.max(1));
            changed |= narrow(&mut intervals[interval::PERIODS], least, most)?;
            if !changed {
                break;
            }
        }
        params.info = 0x1;
        params.fifo_size = self.fifo_frames.into();
        params.msbits = match single(&params.masks[mask::FORMAT]) {
            Some(S32) => self.msbits,
            Some(format) => sample(format).1,
            None => 0,
        };
        params.requested = 0;
        Ok(())
    }

    /// Narrows to one configuration, the kernel's way: least access, format, channels, rate and period, greatest ring.
    pub(crate) fn set(&self, params: &mut HwParams) -> Result<Setup, Errno> {
        self.refine(params)?;
        for which in [mask::ACCESS, mask::FORMAT] {
            let first = (0..256)
                .find(|&bit: &u32| params.masks[which][bit as usize / 32] >> (bit % 32) & 1 == 1);
            let mut words = [0; 8];
            let bit = first.ok_or(errno::EINVAL)?;
            words[bit as usize / 32] = 1 << (bit % 32);
            params.masks[which] = words;
            self.refine(params)?;
        }
        let least = [interval::CHANNELS, interval::RATE, interval::PERIOD_FRAMES];
        for which in least {
            let low = ends(&params.intervals[which]).0;
            params.intervals[which] = Interval { min: low, max: low, flags: 4 };
            self.refine(params)?;
        }
        let high = ends(&params.intervals[interval::BUFFER_FRAMES]).1;
        params.intervals[interval::BUFFER_FRAMES] = Interval { min: high, max: high, flags: 4 };
        self.refine(params)?;
        if let Some(period) = self.lies_about_period {
            params.intervals[interval::PERIOD_FRAMES] =
                Interval { min: period, max: period, flags: 4 };
        }
        let value = |which: usize| params.intervals[which].min;
        let format = single(&params.masks[mask::FORMAT]).ok_or(errno::EINVAL)?;
        Ok(Setup {
            sample_bytes: sample(format).0,
            channels: value(interval::CHANNELS) as usize,
            rate_hz: value(interval::RATE),
            period_frames: value(interval::PERIOD_FRAMES),
            ring_frames: value(interval::BUFFER_FRAMES),
            is_planar: single(&params.masks[mask::ACCESS]) == Some(1),
        })
    }
}

/// One configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) sample_bytes: usize,
    pub(crate) channels: usize,
    pub(crate) rate_hz: u32,
    pub(crate) period_frames: u32,
    pub(crate) ring_frames: u32,
    pub(crate) is_planar: bool,
}

impl Setup {
    pub(crate) fn frame_bytes(&self) -> usize {
        self.sample_bytes * self.channels
    }

    /// Where a sample lies in the ring.
    pub(crate) fn place(&self, frame: u64, channel: usize) -> usize {
        let at = (frame % u64::from(self.ring_frames)) as usize;
        if self.is_planar {
            (channel * self.ring_frames as usize + at) * self.sample_bytes
        } else {
            (at * self.channels + channel) * self.sample_bytes
        }
    }
}
