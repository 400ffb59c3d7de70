//! Hardware parameters: what a PCM can do, narrowed by the kernel itself, and one configuration chosen from it.

use crate::kernel::{Errno, Pcm};
use crate::uapi::{HwParams, Interval, SwParams, access, interval, mask};
use barewire_types::{Encoding, RateHz, SampleFormat};

/// The first interval's number among the kernel's parameters; masks come before it.
const FIRST_INTERVAL: usize = 8;
/// Flag of [`Interval`]: whole numbers only.
const WHOLE: u32 = 4;
/// Flag of [`Interval`]: nothing is left.
const EMPTY: u32 = 8;

/// The kernel's number of each format that we know, the best for bit-exact playing first. Where the hardware
/// uses fewer bits of a 32-bit container the kernel says so in `msbits`.
const FORMATS: [(u32, SampleFormat); 14] = [
    (10, SampleFormat::INT32),
    (11, SampleFormat::big(Encoding::Int32)),
    (32, SampleFormat::INT24),
    (33, SampleFormat::big(Encoding::Int24)),
    (6, SampleFormat::little(Encoding::Int32Low24)),
    (7, SampleFormat::big(Encoding::Int32Low24)),
    (25, SampleFormat::little(Encoding::Int32Low20)),
    (26, SampleFormat::big(Encoding::Int32Low20)),
    (16, SampleFormat::FLOAT64),
    (14, SampleFormat::FLOAT32),
    (15, SampleFormat::big(Encoding::Float32)),
    (2, SampleFormat::INT16),
    (3, SampleFormat::big(Encoding::Int16)),
    (48, SampleFormat::little(Encoding::Dsd8Msb)),
];

/// Names of DSD formats by the kernel's number; listed, not yet played.
const DSD_NAMES: [(u32, &str); 5] = [
    (48, "DSD_U8"),
    (49, "DSD_U16_LE"),
    (50, "DSD_U32_LE"),
    (51, "DSD_U16_BE"),
    (52, "DSD_U32_BE"),
];

/// The kernel's number for `format`.
pub(crate) fn format_number(format: SampleFormat) -> Option<u32> {
    // 24 bits left-justified in 32 are the kernel's S32 with fewer significant bits.
    let wanted = match format.encoding {
        Encoding::Int24In32 => SampleFormat { encoding: Encoding::Int32, order: format.order },
        _ => format,
    };
    FORMATS.iter().find(|(_, known)| *known == wanted).map(|&(number, _)| number)
}

/// Everything the hardware might do.
pub(crate) fn any() -> HwParams {
    let all = Interval { min: 0, max: u32::MAX, flags: 0 };
    HwParams {
        flags: 0,
        masks: [[u32::MAX; 8]; 3],
        reserved_masks: [[u32::MAX; 8]; 5],
        intervals: [all; 12],
        reserved_intervals: [all; 9],
        requested: u32::MAX,
        changed: 0,
        info: u32::MAX,
        msbits: 0,
        rate_num: 0,
        rate_den: 0,
        fifo_size: 0,
        reserved: [0; 64],
    }
}

/// Leaves only `bit` of a mask.
pub(crate) fn choose(params: &mut HwParams, which: usize, bit: u32) {
    let mut words = [0; 8];
    if let Some(word) = words.get_mut(bit as usize / 32) {
        *word = 1 << (bit % 32);
    }
    params.masks[which] = words;
    params.requested |= 1 << which;
}

/// Leaves only `value` of an interval.
pub(crate) fn fix(params: &mut HwParams, which: usize, value: u32) {
    limit(params, which, value, value);
}

/// Leaves `min..=max` of an interval.
pub(crate) fn limit(params: &mut HwParams, which: usize, min: u32, max: u32) {
    params.intervals[which] = Interval { min, max, flags: WHOLE };
    params.requested |= 1 << (FIRST_INTERVAL + which);
}

/// Whether a mask still holds `bit`.
pub(crate) fn holds(params: &HwParams, which: usize, bit: u32) -> bool {
    params.masks[which].get(bit as usize / 32).is_some_and(|word| word >> (bit % 32) & 1 == 1)
}

/// The whole numbers that an interval still holds, both ends included; `None` if it is empty.
pub(crate) fn range(params: &HwParams, which: usize) -> Option<(u32, u32)> {
    let Interval { min, max, flags } = params.intervals[which];
    let min = min + (flags & 1);
    let max = max.saturating_sub(flags >> 1 & 1);
    (flags & EMPTY == 0 && min <= max).then_some((min, max))
}

/// What one direction of a PCM can do, asked without setting anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Formats, the best first, with the significant bits taken into account.
    pub(crate) formats: Vec<SampleFormat>,
    /// Names of the DSD formats that the hardware lists.
    pub(crate) dsd: Vec<&'static str>,
    /// Rates, ascending.
    pub(crate) rates: Vec<RateHz>,
    /// Channel counts, ascending.
    pub(crate) channels: Vec<u16>,
    /// Least and greatest period in frames.
    pub(crate) period_frames: (u32, u32),
}

fn narrowed(pcm: &dyn Pcm, change: impl Fn(&mut HwParams)) -> Result<HwParams, Errno> {
    let mut params = any();
    change(&mut params);
    pcm.refine(&mut params)?;
    Ok(params)
}

/// The greatest channel count that is asked for one by one.
const MOST_CHANNELS: u32 = 64;

/// Asks what `pcm` can do.
///
/// # Errors
/// The kernel's error number.
pub(crate) fn abilities(pcm: &dyn Pcm) -> Result<Abilities, Errno> {
    let all = narrowed(pcm, |_| {})?;
    let formats = FORMATS
        .iter()
        .filter(|(number, _)| holds(&all, mask::FORMAT, *number))
        .map(|&(number, format)| significant(pcm, number, format))
        .collect();
    let dsd = DSD_NAMES
        .iter()
        .filter(|(number, _)| holds(&all, mask::FORMAT, *number))
        .map(|&(_, name)| name)
        .collect();
    let possible = |which: usize, value: u32| {
        range(&all, which).is_some_and(|(min, max)| (min..=max).contains(&value))
            && narrowed(pcm, |params| fix(params, which, value)).is_ok()
    };
    let rates =
        RateHz::COMMON.into_iter().filter(|rate| possible(interval::RATE, rate.get())).collect();
    let channels = (1..=MOST_CHANNELS)
        .filter(|&count| possible(interval::CHANNELS, count))
        .filter_map(|count| u16::try_from(count).ok())
        .collect();
    let period_frames = range(&all, interval::PERIOD_FRAMES).unwrap_or((1, 1));
    Ok(Abilities { formats, dsd, rates, channels, period_frames })
}

/// A 32-bit container of which the hardware uses no more than 24 bits is named for what it carries.
fn significant(pcm: &dyn Pcm, number: u32, format: SampleFormat) -> SampleFormat {
    if format.encoding != Encoding::Int32 {
        return format;
    }
    match narrowed(pcm, |params| choose(params, mask::FORMAT, number)) {
        Ok(params) if (1..=24).contains(&params.msbits) => {
            SampleFormat { encoding: Encoding::Int24In32, order: format.order }
        }
        _ => format,
    }
}

/// One configuration, as it is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) format: SampleFormat,
    pub(crate) channels: u16,
    pub(crate) rate: RateHz,
    pub(crate) period_frames: u32,
    pub(crate) least_periods: u32,
}

/// One configuration, as it became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Configured {
    pub(crate) channels: u16,
    pub(crate) planar: bool,
    pub(crate) period_frames: u32,
    pub(crate) buffer_frames: u32,
    pub(crate) msbits: u32,
    pub(crate) info: u32,
    pub(crate) fifo_frames: u32,
}

/// How many periods the ring is made to hold if the hardware allows: two that are queued, and room for waking late.
const PERIODS: u32 = 4;

/// Sets the configuration nearest to `wanted`. Format, rate and channels are exact.
///
/// # Errors
/// The kernel's error number.
pub(crate) fn configure(pcm: &dyn Pcm, wanted: &Wanted) -> Result<Configured, Errno> {
    let number = format_number(wanted.format).ok_or(crate::kernel::errno::EINVAL)?;
    let mut params = narrowed(pcm, |params| {
        // Non-interleaved first where the hardware is planar by nature; most is interleaved.
        choose(params, mask::FORMAT, number);
        fix(params, interval::CHANNELS, u32::from(wanted.channels));
        fix(params, interval::RATE, wanted.rate.get());
    })?;
    let planar = !holds(&params, mask::ACCESS, access::MMAP_INTERLEAVED);
    let chosen = if planar { access::MMAP_NONINTERLEAVED } else { access::MMAP_INTERLEAVED };
    choose(&mut params, mask::ACCESS, chosen);
    pcm.refine(&mut params)?;
    narrow_near(pcm, &mut params, interval::PERIOD_FRAMES, wanted.period_frames)?;
    let period = range(&params, interval::PERIOD_FRAMES).map_or(wanted.period_frames, |r| r.0);
    let periods = PERIODS.max(wanted.least_periods);
    narrow_near(pcm, &mut params, interval::BUFFER_FRAMES, period.saturating_mul(periods))?;
    pcm.set_hardware(&mut params)?;
    let one = |which| range(&params, which).map_or(0, |range| range.0);
    Ok(Configured {
        channels: u16::try_from(one(interval::CHANNELS)).unwrap_or(0),
        planar,
        period_frames: one(interval::PERIOD_FRAMES),
        buffer_frames: one(interval::BUFFER_FRAMES),
        msbits: params.msbits,
        info: params.info,
        fifo_frames: u32::try_from(params.fifo_size).unwrap_or(0),
    })
}

/// Narrows an interval to the possible value nearest to `wish`: hardware often knows only multiples or powers of
/// two, so the kernel is asked for the nearest above and the nearest below.
fn narrow_near(pcm: &dyn Pcm, params: &mut HwParams, which: usize, wish: u32) -> Result<(), Errno> {
    let (min, max) = range(params, which).ok_or(crate::kernel::errno::EINVAL)?;
    let wish = wish.clamp(min, max);
    let attempt = |low: u32, high: u32, take_low: bool| -> Option<u32> {
        let mut trial = *params;
        limit(&mut trial, which, low, high);
        pcm.refine(&mut trial).ok()?;
        range(&trial, which).map(|(low, high)| if take_low { low } else { high })
    };
    let above = attempt(wish, max, true);
    let below = attempt(min, wish, false);
    let nearest = match (above, below) {
        (Some(above), Some(below)) if above - wish > wish - below => below,
        (Some(above), _) => above,
        (None, Some(below)) => below,
        (None, None) => return Err(crate::kernel::errno::EINVAL),
    };
    fix(params, which, nearest);
    pcm.refine(params)
}

/// Software parameters for a loop that starts the PCM itself, never lets the kernel stop it but at an xrun, and has
/// what nobody wrote played as silence.
pub(crate) fn software(configured: &Configured, avail_min: u32) -> SwParams {
    const TSTAMP_ENABLE: i32 = 1;
    /// Interface 2.0.13 or newer: `tstamp_type` is read.
    const PROTO: u32 = 0x0002_000D;
    let boundary = boundary(configured.buffer_frames);
    SwParams {
        tstamp_mode: TSTAMP_ENABLE,
        period_step: 1,
        sleep_min: 0,
        avail_min: avail_min.into(),
        xfer_align: 1,
        start_threshold: std::ffi::c_ulong::try_from(boundary).unwrap_or(std::ffi::c_ulong::MAX),
        stop_threshold: configured.buffer_frames.into(),
        silence_threshold: 0,
        silence_size: std::ffi::c_ulong::try_from(boundary).unwrap_or(std::ffi::c_ulong::MAX),
        boundary: std::ffi::c_ulong::try_from(boundary).unwrap_or(std::ffi::c_ulong::MAX),
        proto: PROTO,
        tstamp_type: crate::uapi::TSTAMP_MONOTONIC.unsigned_abs(),
        reserved: [0; 56],
    }
}

/// Where the kernel's positions wrap: the greatest power-of-two multiple of the ring that a `long` holds.
pub(crate) fn boundary(buffer_frames: u32) -> u64 {
    let limit = (std::ffi::c_long::MAX as u64).saturating_sub(u64::from(buffer_frames));
    let mut boundary = u64::from(buffer_frames.max(1));
    while boundary * 2 <= limit {
        boundary *= 2;
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::*;
    use barewire_types::ByteOrder;

    #[test]
    fn byte_order_is_kept_when_a_container_is_named_for_what_it_carries() {
        let big = SampleFormat { encoding: Encoding::Int24In32, order: ByteOrder::Big };
        assert_eq!(format_number(big), Some(11));
        assert_eq!(format_number(SampleFormat::INT24_IN_32), Some(10));
    }

    #[test]
    fn the_boundary_is_a_multiple_of_the_ring_and_fits_a_long() {
        for frames in [1_u32, 3, 48, 256, 1000, 65_536] {
            let boundary = boundary(frames);
            assert_eq!(boundary % u64::from(frames), 0);
            assert!(i64::try_from(boundary).is_ok());
        }
    }
}
