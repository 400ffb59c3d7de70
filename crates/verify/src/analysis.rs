//! What came back, compared with what was sent.
//!
//! First the delay is found, then the signal is walked along: where it breaks, the analysis looks for the place at which
//! it goes on (frames dropped or repeated); what differs without a break is explained by the simplest alteration that
//! explains *every* differing sample.

use crate::damage::DamageKind;
use crate::pattern::Pattern;

/// What was found, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// What.
    pub kind: DamageKind,
    /// The first frame it touches, counted in what was sent.
    pub at_frame: usize,
}

/// The whole of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// Frames from sent to received; `None` if the signal was not found at all.
    pub delay_frames: Option<usize>,
    /// Frames that were compared.
    pub compared_frames: usize,
    /// Samples of those that differ.
    pub wrong_samples: usize,
    /// The OR of all differing bits, in left-justified 32-bit samples.
    pub wrong_bits: u32,
    /// What happened, in order of place. Empty: nothing; the path is exact.
    pub findings: Vec<Finding>,
}

impl Analysis {
    /// Whether every sample that was compared arrived unchanged, and there were some.
    pub fn is_exact(&self) -> bool {
        self.delay_frames.is_some() && self.compared_frames > 0 && self.findings.is_empty()
    }
}

/// Frames that have to agree for a place to count as found. Walking patterns repeat after 32 frames at most, and are
/// therefore found at the nearest place.
const SYNC_FRAMES: usize = 48;
/// How far a signal is searched for when it breaks.
const SEARCH_FRAMES: usize = 8192;

struct Comparison<'a> {
    pattern: Pattern,
    channels: usize,
    bits: u8,
    sent_frames: usize,
    received: &'a [i32],
}

/// Compares `received`, interleaved, with `sent_frames` frames of `pattern`, which begin somewhere within the first
/// `most_delay` frames of it.
pub fn analyse(
    pattern: Pattern,
    channels: usize,
    bits: u8,
    sent_frames: usize,
    received: &[i32],
    most_delay: usize,
) -> Analysis {
    let comparison = Comparison { pattern, channels, bits, sent_frames, received };
    comparison.run(most_delay)
}

impl Comparison<'_> {
    fn sent(&self, frame: usize, channel: usize) -> i32 {
        self.pattern.sample(frame as u64, channel, self.bits)
    }

    fn received_frames(&self) -> usize {
        self.received.len() / self.channels
    }

    fn got(&self, frame: usize) -> &[i32] {
        &self.received[frame * self.channels..(frame + 1) * self.channels]
    }

    fn frame_agrees(&self, sent: usize, got: usize) -> bool {
        self.got(got)
            .iter()
            .enumerate()
            .all(|(channel, &sample)| sample == self.sent(sent, channel))
    }

    /// How many of `SYNC_FRAMES` frames look like the pattern from `sent` on, altered or not: by the signs and the order
    /// of magnitude of their samples, on whichever channel.
    fn likeness(&self, sent: usize, got: usize) -> f64 {
        let frames = SYNC_FRAMES
            .min(self.received_frames().saturating_sub(got))
            .min(self.sent_frames - sent);
        let (mut product, mut sent_power, mut got_power) = (0.0, 0.0, 0.0);
        for n in 0..frames {
            for (channel, &sample) in self.got(got + n).iter().enumerate() {
                let (a, b) = (f64::from(self.sent(sent + n, channel)), f64::from(sample));
                product += a * b;
                sent_power += a * a;
                got_power += b * b;
            }
        }
        if frames < SYNC_FRAMES || sent_power == 0.0 || got_power == 0.0 {
            return 0.0;
        }
        (product / (sent_power * got_power).sqrt()).abs()
    }

    fn most_delay(&self, most: usize) -> usize {
        most.min(self.received_frames().saturating_sub(SYNC_FRAMES))
    }

    /// The delay at which the signal begins, if it begins intact.
    fn find_exactly(&self, most: usize) -> Option<usize> {
        let intact = |delay: &usize| (0..SYNC_FRAMES).all(|n| self.frame_agrees(n, delay + n));
        (0..=self.most_delay(most)).find(intact)
    }

    fn is_silent(&self, got: usize) -> bool {
        self.got(got).iter().all(|&sample| sample == 0)
    }

    /// Where the signal comes out of silence later than at its beginning: which frame was sent, and where it is.
    fn find_late(&self, most: usize) -> Option<(usize, usize)> {
        let first = (0..=self.most_delay(most)).find(|&got| !self.is_silent(got))?;
        // A pattern has zeros of its own: what is behind the first sound is surely the signal.
        let got = first + SYNC_FRAMES;
        let found = (SYNC_FRAMES..SEARCH_FRAMES).find(|&sent| self.goes_on(sent, got))?;
        let back = (0..=found.min(got)).take_while(|n| self.frame_agrees(found - n, got - n));
        let back = back.last()?;
        let (sent, got) = (found - back, got - back);
        let is_edge = got.checked_sub(1).is_none_or(|before| self.is_silent(before));
        (sent > 0 && is_edge).then_some((sent, got))
    }

    /// As [`find_late`](Self::find_late), written down as what is missing.
    fn begin_late(&self, analysis: &mut Analysis, most: usize) -> Option<(usize, usize)> {
        let (sent, got) = self.find_late(most)?;
        let kind = match got.checked_sub(sent) {
            Some(_) => DamageKind::Silenced { frames: sent },
            None => DamageKind::Dropped { frames: sent - got },
        };
        analysis.findings.push(Finding { kind, at_frame: 0 });
        analysis.compared_frames = sent.min(got);
        Some((sent, got))
    }

    /// The delay by likeness, of a signal that is nowhere intact.
    fn find_alike(&self, most: usize) -> Option<usize> {
        let most = self.most_delay(most);
        let best = (0..=most).map(|delay| (delay, self.swapless_likeness(delay)));
        let (delay, likeness) = best.max_by(|a, b| a.1.total_cmp(&b.1))?;
        (likeness > 0.5).then_some(delay)
    }

    /// Likeness, also if channels changed places: the best over each received channel against each sent one.
    fn swapless_likeness(&self, delay: usize) -> f64 {
        let straight = self.likeness(0, delay);
        if straight > 0.5 || self.channels < 2 {
            return straight;
        }
        let order = self.order(0, delay);
        order.map_or(straight, |_| 1.0)
    }

    /// For each received channel the sent one whose samples it bears, if that is clear and not all are in place.
    fn order(&self, sent: usize, got: usize) -> Option<Vec<usize>> {
        let frames = SYNC_FRAMES.min(self.received_frames() - got).min(self.sent_frames - sent);
        let bears = |place: usize, channel: usize| {
            (0..frames).all(|n| self.got(got + n)[place] == self.sent(sent + n, channel))
        };
        let find = |place: usize| (0..self.channels).find(|&channel| bears(place, channel));
        let order: Vec<usize> = (0..self.channels).map(find).collect::<Option<_>>()?;
        let moved = order.iter().enumerate().any(|(place, &channel)| place != channel);
        (frames == SYNC_FRAMES && moved).then_some(order)
    }

    fn run(&self, most_delay: usize) -> Analysis {
        let mut analysis = Analysis {
            delay_frames: self.find_exactly(most_delay),
            compared_frames: 0,
            wrong_samples: 0,
            wrong_bits: 0,
            findings: Vec::new(),
        };
        let begin = analysis.delay_frames.map(|delay| (0, delay));
        let begin = begin.or_else(|| self.begin_late(&mut analysis, most_delay));
        let begin = begin.or_else(|| Some((0, self.find_alike(most_delay)?)));
        let Some((mut sent, mut got)) = begin else { return analysis };
        analysis.delay_frames = Some(got.saturating_sub(sent));
        while sent < self.sent_frames && got < self.received_frames() {
            if self.frame_agrees(sent, got) {
                (sent, got) = (sent + 1, got + 1);
                analysis.compared_frames += 1;
                continue;
            }
            match self.explain(sent, got) {
                Break::Moved(finding, next_sent, next_got) => {
                    analysis.findings.push(finding);
                    analysis.compared_frames +=
                        next_sent.abs_diff(sent).min(next_got.abs_diff(got));
                    (sent, got) = (next_sent, next_got);
                }
                Break::Altered => {
                    let end = self.alteration(&mut analysis, sent, got);
                    (sent, got) = (sent + end, got + end);
                }
            }
        }
        analysis
    }

    /// Whether the signal is intact from `sent` on at `got`.
    fn goes_on(&self, sent: usize, got: usize) -> bool {
        let frames = SYNC_FRAMES.min(self.sent_frames.saturating_sub(sent));
        frames > 0
            && got + frames <= self.received_frames()
            && (0..frames).all(|n| self.frame_agrees(sent + n, got + n))
    }

    /// What happened at a frame that does not agree: does the signal go on elsewhere, or is it altered from here?
    fn explain(&self, sent: usize, got: usize) -> Break {
        let goes_on = |sent, got| self.goes_on(sent, got);
        let room = self.received_frames() - got;
        let quiet = (0..room).take_while(|&n| self.is_silent(got + n)).count();
        for skip in 1..SEARCH_FRAMES {
            if goes_on(sent + skip, got) {
                let kind = DamageKind::Dropped { frames: skip };
                return Break::Moved(Finding { kind, at_frame: sent }, sent + skip, got);
            }
            if skip <= sent && goes_on(sent - skip, got) {
                let kind = DamageKind::Repeated { frames: skip };
                // The frames before `sent` come again: from where they were first.
                return Break::Moved(Finding { kind, at_frame: sent - skip }, sent, got + skip);
            }
            if quiet >= skip && quiet < skip + 2 && goes_on(sent + quiet, got + quiet) {
                let frames = quiet;
                let kind = DamageKind::Silenced { frames };
                return Break::Moved(Finding { kind, at_frame: sent }, sent + frames, got + frames);
            }
        }
        Break::Altered
    }

    /// Names the alteration from here on, as far as it goes.
    fn alteration(&self, analysis: &mut Analysis, sent: usize, got: usize) -> usize {
        let frames = (self.sent_frames - sent).min(self.received_frames() - got);
        let mut pairs = Vec::with_capacity(frames * self.channels);
        for n in 0..frames {
            for (channel, &sample) in self.got(got + n).iter().enumerate() {
                pairs.push((self.sent(sent + n, channel), sample));
            }
        }
        let wrong = pairs.iter().filter(|(a, b)| a != b);
        analysis.wrong_samples += wrong.clone().count();
        analysis.wrong_bits |= wrong.fold(0, |bits, (a, b)| bits | (a ^ b).cast_unsigned());
        analysis.compared_frames += frames;
        let kinds = match self.order(sent, got) {
            _ if (0..frames).all(|n| self.is_silent(got + n)) => {
                vec![DamageKind::Silenced { frames }]
            }
            Some(order) => swaps(&order),
            None => vec![alteration(&pairs, self.bits)],
        };
        analysis.findings.extend(kinds.into_iter().map(|kind| Finding { kind, at_frame: sent }));
        frames
    }
}

enum Break {
    Moved(Finding, usize, usize),
    Altered,
}

fn swaps(order: &[usize]) -> Vec<DamageKind> {
    let moved = order.iter().enumerate().filter(|&(place, &channel)| place < channel);
    moved.map(|(first, &second)| DamageKind::Swapped { first, second }).collect()
}

fn all(pairs: &[(i32, i32)], rule: impl Fn(i32) -> i32) -> bool {
    pairs.iter().all(|&(sent, got)| rule(sent) == got)
}

/// The simplest rule that explains every pair.
fn alteration(pairs: &[(i32, i32)], bits: u8) -> DamageKind {
    if all(pairs, i32::saturating_neg) || all(pairs, i32::wrapping_neg) {
        return DamageKind::Inverted;
    }
    let truncated = (1..bits)
        .rev()
        .find(|&bits| all(pairs, |sample| sample & (-1_i32 << (32 - u32::from(bits)))));
    if let Some(kind) = stuck_bit(pairs) {
        return kind;
    }
    if let Some(bits) = truncated {
        return DamageKind::Truncated { bits };
    }
    if all(pairs, float_rounded) {
        return DamageKind::FloatRounded;
    }
    if let Some(kind) = dithered(pairs) {
        return kind;
    }
    if let Some(gain) = scaled(pairs) {
        return DamageKind::Scaled { gain };
    }
    let samples = pairs.iter().filter(|(a, b)| a != b).count();
    DamageKind::Altered { samples }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to 32-bit floats is what is looked for"
)]
fn float_rounded(sample: i32) -> i32 {
    (f64::from((f64::from(sample) / 2_147_483_648.0) as f32) * 2_147_483_648.0) as i32
}

/// One bit that never changes, while all others arrive. The lowest bit of the width, clear, is a truncation.
fn stuck_bit(pairs: &[(i32, i32)]) -> Option<DamageKind> {
    let wrong = pairs.iter().fold(0, |bits, (a, b)| bits | (a ^ b).cast_unsigned());
    if wrong.count_ones() != 1 {
        return None;
    }
    let set = pairs.iter().all(|(_, got)| got.cast_unsigned() & wrong != 0);
    let clear = pairs.iter().all(|(_, got)| got.cast_unsigned() & wrong == 0);
    let used = pairs.iter().fold(0, |bits, (sent, _)| bits | sent.cast_unsigned());
    let is_lowest = used & wrong != 0 && used & (wrong - 1) == 0;
    let bit = u8::try_from(wrong.trailing_zeros()).ok()?;
    ((set || clear) && !(clear && is_lowest)).then_some(DamageKind::StuckBit { bit, set })
}

/// Fewer bits than sent, and errors of up to one and a half steps on either side: triangular noise was added before.
fn dithered(pairs: &[(i32, i32)]) -> Option<DamageKind> {
    let used = pairs.iter().fold(0, |bits, (_, got)| bits | got.cast_unsigned());
    // Saturation sets all bits: the ends of the range do not count.
    let inner = pairs.iter().filter(|(_, got)| *got != i32::MAX && *got != i32::MIN);
    let used_inside = inner.fold(0, |bits, (_, got)| bits | got.cast_unsigned());
    let low = if used_inside == 0 { used } else { used_inside }.trailing_zeros();
    let step = 2.0_f64.powi(i32::try_from(low).ok()?);
    let errors = pairs.iter().map(|&(sent, got)| f64::from(got) - f64::from(sent));
    let (mut least, mut most) = (0.0_f64, 0.0_f64);
    for error in errors {
        (least, most) = (least.min(error), most.max(error));
    }
    let bounded = least >= -1.5 * step - 1.0 && most <= 1.5 * step + 1.0;
    let spread = most > 0.5 * step && least < -0.5 * step;
    let bits = u8::try_from(32 - low).ok()?;
    (bounded && spread && low > 0).then_some(DamageKind::Dithered { bits })
}

/// One factor for all, up to rounding and saturation.
fn scaled(pairs: &[(i32, i32)]) -> Option<f64> {
    let inner = || pairs.iter().filter(|(_, got)| *got != i32::MAX && *got != i32::MIN);
    let (mut product, mut power) = (0.0, 0.0);
    for &(sent, got) in inner() {
        product += f64::from(sent) * f64::from(got);
        power += f64::from(sent) * f64::from(sent);
    }
    if power == 0.0 {
        return None;
    }
    let gain = product / power;
    let fits = inner().all(|&(sent, got)| (f64::from(sent) * gain - f64::from(got)).abs() <= 1.5);
    fits.then_some(gain)
}
