//! What a simulated card is like, as lines of `key=value`, so that a test can send it to a driver in another process.

use std::fmt::Write;

/// A value of a description.
trait Value: Sized {
    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

macro_rules! plain {
    ($($type:ty),+) => { $(
        impl Value for $type {
            fn write(&self) -> String { self.to_string() }
            fn read(text: &str) -> Option<Self> { text.parse().ok() }
        }
    )+ };
}
plain!(u32, u64, i64, bool, String);

impl Value for Vec<u32> {
    fn write(&self) -> String {
        self.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
    }

    fn read(text: &str) -> Option<Self> {
        text.split_whitespace().map(|word| word.parse().ok()).collect()
    }
}

macro_rules! description {
    ($( $(#[doc = $doc:literal])+ $field:ident : $type:ty = $default:expr ; )+) => {
        /// What a card is like.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Description { $( $(#[doc = $doc])+ pub $field: $type, )+ }

        impl Default for Description {
            fn default() -> Self { Self { $( $field: $default, )+ } }
        }

        impl Description {
            /// As lines.
            pub fn to_text(&self) -> String {
                let mut text = String::new();
                $( let _ = writeln!(text, "{}={}", stringify!($field), Value::write(&self.$field)); )+
                text
            }

            /// From lines; `None` if one is not understood.
            pub fn from_text(text: &str) -> Option<Self> {
                let mut description = Self::default();
                for line in text.lines().filter(|line| !line.is_empty()) {
                    let (key, value) = line.split_once('=')?;
                    match key {
                        $( stringify!($field) => description.$field = Value::read(value)?, )+
                        _ => return None,
                    }
                }
                Some(description)
            }
        }
    };
}

description! {
    /// Whether it plays.
    plays: bool = true;
    /// Whether it captures.
    captures: bool = true;
    /// Whether pins take rings: WaveRT.
    looped: bool = true;
    /// Whether pins take packets: WaveCyclic, WavePci.
    streaming: bool = false;
    /// Formats in triples: bits of the container, bits that count, 1 for floats.
    formats: Vec<u32> = vec![32, 24, 0, 16, 16, 0];
    /// Bits that it lists but does not take; 0 for none.
    listed_bits: u32 = 0;
    /// Rates.
    rates: Vec<u32> = vec![44_100, 48_000, 96_000];
    /// Channel counts, ascending.
    channels: Vec<u32> = vec![2];
    /// Whether it says beforehand which formats it takes.
    answers_proposals: bool = true;
    /// Instances of each pin.
    instances: u32 = 1;
    /// How many of them another program holds.
    held: u32 = 0;
    /// What an occupied pin answers.
    busy_status: u32 = 0xC000_0184;
    /// What every opening of a pin answers; 0 for none.
    refusal: u32 = 0;
    /// Rings whose size is no multiple of this many bytes a half are refused; 0 for none.
    half_multiple_bytes: u32 = 0;
    /// Rings have this size whatever was asked for; 0 for as asked.
    ring_bytes: u32 = 0;
    /// Rings are rounded up to this many bytes.
    ring_rounding_bytes: u32 = 1;
    /// Whether rings come with events.
    has_events: bool = true;
    /// Whether it answers whether rings come with events.
    answers_event_query: bool = true;
    /// Whether there is a position register.
    has_register: bool = true;
    /// Its width in bits.
    register_bits: u32 = 32;
    /// Whether there is `KSPROPERTY_AUDIO_POSITION`.
    has_position: bool = true;
    /// Whether there is `KSPROPERTY_RTAUDIO_PACKETCOUNT`.
    has_packet_count: bool = false;
    /// Positions are told in multiples of this.
    step_frames: u32 = 1;
    /// Whether the mapping wants barriers.
    wants_barriers: bool = true;
    /// What the hardware holds of its own.
    fifo_bytes: u32 = 0;
    /// Delays, in 100 ns.
    chipset_hns: u32 = 0;
    /// Delays, in 100 ns.
    codec_hns: u32 = 0;
    /// Events come so many frames late; early if negative.
    event_late_frames: i64 = 0;
    /// Every so many frames an event comes for nothing; 0 for never.
    spurious_frames: u32 = 0;
    /// Whether events come at all.
    sends_events: bool = true;
    /// Frames that a driver of packets likes to get at once; 0 if it does not say.
    packet_frames: u32 = 0;
    /// So many requests to read end at once without data after each start.
    empty_reads: u32 = 0;
    /// Requests to read end when they are half full.
    half_reads: bool = false;
    /// Whether packets that are handed over with flags from before end at once.
    minds_flags: bool = true;
    /// How long after RUN the hardware moves.
    start_lag_frames: u32 = 0;
    /// The same, for the captured side alone, on top.
    capture_lag_frames: u32 = 0;
    /// Its clock is faster by so much.
    offset_ppm: i64 = 0;
    /// Stands still for good at this frame; 0 for never.
    stalls_at_frames: u64 = 0;
    /// Requests are given back only when they are cancelled, not at a reset or stop.
    keeps_packets: bool = false;
    /// Requests are never given back but by playing them.
    swallows_packets: bool = false;
    /// Jacks behind a multiplexer; 0 for no multiplexer.
    jacks: u32 = 0;
    /// The input of the multiplexer that stands when nobody has set it.
    mux: u32 = 1;
    /// The input that what is played comes back on.
    looped_jack: u32 = 1;
    /// Volume in 1/65536 dB.
    volume: i64 = 0;
    /// Whether the nodes are wired in a circle, with ends that lead nowhere.
    is_tangled: bool = false;
    /// Plays nothing that was not written: waits until the poison of the last round is gone.
    waits_for_data: bool = false;
    /// How the topology filter is opened.
    topology_link: String = String::new();
}

#[cfg(test)]
mod tests {
    use super::Description;

    #[test]
    fn what_is_sent_is_what_arrives() {
        let sent = Description {
            formats: vec![24, 24, 0],
            event_late_frames: -5,
            topology_link: r"\\?\ROOT#X".to_owned(),
            plays: false,
            ..Description::default()
        };
        assert_eq!(Description::from_text(&sent.to_text()), Some(sent));
        assert_eq!(Description::from_text("nonsense=1"), None);
    }
}
