//! The device's own side: its sample clock, which may be off by some ppm, what it plays, and the loop from there back to
//! its inputs. Knows no USB but that samples come and go in packets.

use crate::descriptors::{MICROFRAMES_A_SECOND, Setting};

/// Nanoseconds of the machine's monotonic clock since the device was attached.
pub(crate) type Ns = u64;

/// Frames that the loop remembers: the longest way from an arriving packet to a packet that leaves, and much more.
const RING_FRAMES: usize = 1 << 16;
const CHANNELS: usize = 8;
/// Frames beyond this that wait to be played or fetched are lost, as in hardware: 16 ms.
const MOST_WAITING_PARTS: u64 = 60;

/// What went wrong with the flow of samples; each is what a listener would hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// So many frames of silence, since nothing had arrived in time.
    Gap(u64),
    /// So many frames more waited to be played than there is room for.
    Flood(u64),
    /// The host did not fetch so many captured frames in time.
    Unfetched(u64),
}

/// The sample clock: frames since the rate was set.
#[derive(Clone, Copy, Debug)]
struct Clock {
    rate_hz: u32,
    ppm: i64,
    since: Ns,
    before: u64,
}

impl Clock {
    fn frames_at(&self, now: Ns) -> u64 {
        let millionths = u128::try_from(1_000_000 + self.ppm).unwrap_or(0);
        let passed = u128::from(now.saturating_sub(self.since));
        let frames = passed * u128::from(self.rate_hz) * millionths / 1_000_000_000_000_000;
        self.before + u64::try_from(frames).unwrap_or(0)
    }
}

#[derive(Clone, Copy)]
struct Slot {
    frame: u64,
    samples: [i32; CHANNELS],
}

/// See the module.
pub(crate) struct Converter {
    clock: Clock,
    ring: Vec<Slot>,
    /// The frame of the clock at which the next frame that arrives is played; `None` between runs.
    next_played: Option<u64>,
    /// The next frame that the host has not fetched yet; `None` between runs.
    next_fetched: Option<u64>,
    /// What is heard of each sample.
    gain: f64,
}

impl Converter {
    pub(crate) fn new(rate_hz: u32, ppm: i64) -> Self {
        let empty = Slot { frame: u64::MAX, samples: [0; CHANNELS] };
        Self {
            clock: Clock { rate_hz, ppm, since: 0, before: 0 },
            ring: vec![empty; RING_FRAMES],
            next_played: None,
            next_fetched: None,
            gain: 1.0,
        }
    }

    pub(crate) fn rate_hz(&self) -> u32 {
        self.clock.rate_hz
    }

    pub(crate) fn set_rate(&mut self, rate_hz: u32, now: Ns) {
        let before = self.clock.frames_at(now);
        self.clock = Clock { rate_hz, since: now, before, ..self.clock };
    }

    /// 1 leaves samples as they are, to the bit.
    pub(crate) fn set_gain(&mut self, gain: f64) {
        self.gain = gain;
    }

    /// Frames of a packet, rounded up: what waits before it is played, so that packets of uneven size do no harm.
    fn cushion(&self) -> u64 {
        u64::from(self.clock.rate_hz.div_ceil(MICROFRAMES_A_SECOND))
    }

    fn most_waiting(&self) -> u64 {
        u64::from(self.clock.rate_hz) / MOST_WAITING_PARTS
    }

    /// A packet has arrived at `now`.
    pub(crate) fn play(&mut self, setting: Setting, packet: &[u8], now: Ns) -> Option<Trouble> {
        let at = self.clock.frames_at(now);
        let mut trouble = None;
        let mut next = self.next_played.unwrap_or(at + self.cushion());
        if next < at {
            trouble = Some(Trouble::Gap(at - next));
            next = at + self.cushion();
        }
        if next > at + self.most_waiting() {
            trouble = Some(Trouble::Flood(next - at - self.most_waiting()));
            next = at + self.most_waiting();
        }
        for bytes in packet.chunks_exact(setting.channels * setting.bytes) {
            let mut samples = [0; CHANNELS];
            for (sample, bytes) in samples.iter_mut().zip(bytes.chunks_exact(setting.bytes)) {
                *sample = self.heard(left_justified(bytes));
            }
            if let Some(slot) = self.ring.get_mut(place(next)) {
                *slot = Slot { frame: next, samples };
            }
            next += 1;
        }
        self.next_played = Some(next);
        trouble
    }

    #[expect(clippy::cast_possible_truncation, reason = "it saturates, as converters do")]
    #[expect(clippy::float_cmp, reason = "1 is exact, and then nothing is multiplied")]
    fn heard(&self, sample: i32) -> i32 {
        if self.gain == 1.0 { sample } else { (f64::from(sample) * self.gain) as i32 }
    }

    /// Nothing is played any more until the next packet.
    pub(crate) fn stop_playing(&mut self) {
        self.next_played = None;
    }

    /// Nothing is fetched any more until the next packet.
    pub(crate) fn stop_capturing(&mut self) {
        self.next_fetched = None;
    }

    /// A packet that leaves at `now`, of at most `most` bytes.
    pub(crate) fn capture(
        &mut self,
        setting: Setting,
        most: usize,
        now: Ns,
        packet: &mut Vec<u8>,
    ) -> Option<Trouble> {
        let at = self.clock.frames_at(now);
        let frame_bytes = setting.channels * setting.bytes;
        let room = (most / frame_bytes) as u64;
        let mut next = self.next_fetched.unwrap_or(at.saturating_sub(self.cushion() - 1));
        let mut trouble = None;
        if at > next + self.most_waiting() {
            trouble = Some(Trouble::Unfetched(at - next - self.most_waiting()));
            next = at - self.most_waiting();
        }
        let end = at.min(next + room);
        for frame in next..end {
            let slot = self.ring.get(place(frame)).filter(|slot| slot.frame == frame);
            let samples = slot.map_or([0; CHANNELS], |slot| slot.samples);
            for sample in samples.iter().take(setting.channels) {
                packet.extend_from_slice(&sample.to_le_bytes()[4 - setting.bytes..]);
            }
        }
        self.next_fetched = Some(end);
        trouble
    }

    /// What the host is told of the clock: frames a microframe, in 1/65536. A little more while less waits than should.
    pub(crate) fn feedback(&self, now: Ns) -> u32 {
        /// Of a frame a microframe, for each frame that is missing: makes it up within a quarter of a second.
        const PULL: i64 = 32;
        let millionths = u64::try_from(1_000_000 + self.clock.ppm).unwrap_or(0);
        let frames = u64::from(self.clock.rate_hz) * millionths * 65_536;
        let nominal = frames / u64::from(MICROFRAMES_A_SECOND) / 1_000_000;
        let Some(next) = self.next_played else { return u32::try_from(nominal).unwrap_or(0) };
        // Between two packets a cushion and the latest packet wait, or what is left of it.
        let wanted = self.clock.frames_at(now) + self.cushion() + self.cushion() / 2;
        let missing = i64::try_from(wanted).unwrap_or(0) - i64::try_from(next).unwrap_or(0);
        let most = i64::try_from(nominal / 100).unwrap_or(0);
        let told = i64::try_from(nominal).unwrap_or(0) + (missing * PULL).clamp(-most, most);
        u32::try_from(told).unwrap_or(0)
    }
}

fn place(frame: u64) -> usize {
    usize::try_from(frame).unwrap_or(0) % RING_FRAMES
}

fn left_justified(bytes: &[u8]) -> i32 {
    let mut word = [0; 4];
    word[4 - bytes.len()..].copy_from_slice(bytes);
    i32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptors::PLAYED;

    const PACKET_NS: Ns = 125_000;

    /// Packets of 6 frames at 48 kHz, each sample telling its frame.
    fn packet(setting: Setting, from: u32) -> Vec<u8> {
        let frames = from..from + 6;
        let sample = |frame: u32| frame.to_le_bytes()[..setting.bytes].to_vec();
        frames.flat_map(|frame| (0..setting.channels).flat_map(move |_| sample(frame))).collect()
    }

    fn numbers(bytes: &[u8]) -> Vec<u32> {
        bytes
            .chunks_exact(8)
            .map(|frame| u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]))
            .collect()
    }

    #[test]
    fn what_is_played_comes_back_in_order_and_whole() {
        let setting = PLAYED[2];
        let mut converter = Converter::new(48_000, 0);
        let mut heard = Vec::new();
        for n in 1..1000_u32 {
            let now = u64::from(n) * PACKET_NS;
            assert_eq!(converter.play(setting, &packet(setting, 6 * n), now), None);
            assert_eq!(converter.capture(setting, 400, now, &mut heard), None);
        }
        let heard = numbers(&heard);
        let begin = heard.iter().position(|&frame| frame == 6).unwrap();
        assert!(heard[begin..].iter().zip(6..).all(|(&heard, frame)| heard == frame));
        assert!(heard.len() - begin > 5900);
    }

    #[test]
    fn a_packet_that_is_missing_is_a_gap_and_one_too_many_a_flood() {
        let setting = PLAYED[0];
        let mut converter = Converter::new(48_000, 0);
        assert_eq!(converter.play(setting, &packet(setting, 0), PACKET_NS), None);
        assert_eq!(converter.play(setting, &packet(setting, 6), 2 * PACKET_NS), None);
        let late = converter.play(setting, &packet(setting, 12), 20 * PACKET_NS);
        assert!(matches!(late, Some(Trouble::Gap(_))), "{late:?}");
        let flood = (0..200)
            .filter_map(|_| converter.play(setting, &packet(setting, 0), 20 * PACKET_NS))
            .next();
        assert!(matches!(flood, Some(Trouble::Flood(_))), "{flood:?}");
    }

    #[test]
    fn the_host_is_told_the_clocks_own_rate() {
        let converter = Converter::new(48_000, 500);
        let exact = 48_000.0 * 1.0005 / 8000.0 * 65_536.0;
        assert!((f64::from(converter.feedback(0)) - exact).abs() < 2.0);
    }
}
