//! What the device tells the host that it is: USB Audio Class 2.0, section 4. One function with a clock, an output with a
//! volume, an input, and two streaming interfaces with an alternate setting for each format.

/// One alternate setting of a streaming interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) channels: usize,
    /// Bytes and bits of a sample.
    pub(crate) bytes: usize,
    pub(crate) bits: usize,
    pub(crate) is_dsd: bool,
}

const fn pcm(channels: usize, bytes: usize) -> Setting {
    Setting { channels, bytes, bits: 8 * bytes, is_dsd: false }
}

/// What can be played; alternate setting 0 has no endpoint, so these begin with 1.
pub(crate) const PLAYED: [Setting; 7] = [
    pcm(2, 2),
    pcm(2, 3),
    pcm(2, 4),
    pcm(8, 2),
    pcm(8, 3),
    pcm(8, 4),
    Setting { channels: 2, bytes: 4, bits: 32, is_dsd: true },
];
/// What can be captured.
pub(crate) const CAPTURED: [Setting; 6] =
    [PLAYED[0], PLAYED[1], PLAYED[2], PLAYED[3], PLAYED[4], PLAYED[5]];

/// Rates of the clock.
pub(crate) const RATES_HZ: [u32; 8] =
    [44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 352_800, 384_000];

/// Units of the function.
pub(crate) const CLOCK: u8 = 0x10;
pub(crate) const VOLUME: u8 = 2;
const OUTPUT_FROM_HOST: u8 = 1;
const SPEAKERS: u8 = 3;
const LINE_IN: u8 = 4;
const INPUT_TO_HOST: u8 = 5;

/// Interfaces.
pub(crate) const PLAYBACK: u8 = 1;
pub(crate) const CAPTURE: u8 = 2;

/// Endpoint numbers, without their direction.
pub(crate) const DATA_OUT: u32 = 1;
pub(crate) const FEEDBACK: u32 = 1;
pub(crate) const DATA_IN: u32 = 2;

/// Channels of the widest setting.
const MOST_CHANNELS: u8 = 8;
/// Microframes a second.
pub(crate) const MICROFRAMES_A_SECOND: u32 = 8000;
/// Microframes between two words of feedback: 2^(`bInterval` - 1).
pub(crate) const FEEDBACK_MICROFRAMES: u64 = 8;
const FEEDBACK_INTERVAL: u8 = 4;

/// The device descriptor: high speed, a composite device; the vendor is pid.codes, the product its test number.
pub(crate) const DEVICE: [u8; 18] =
    [18, 1, 0x00, 0x02, 0xEF, 2, 1, 64, 0x09, 0x12, 0x01, 0x00, 0x00, 0x01, 1, 2, 3, 1];

/// Strings 1 to 3.
const STRINGS: [&str; 3] = ["Barewire", "Lab Interface", "0001"];

/// String descriptor `index`; 0 lists the languages.
pub(crate) fn string(index: u8) -> Option<Vec<u8>> {
    const ENGLISH: [u8; 4] = [4, 3, 0x09, 0x04];
    let Some(index) = index.checked_sub(1) else { return Some(ENGLISH.to_vec()) };
    let text = STRINGS.get(usize::from(index))?;
    let mut bytes = vec![0, 3];
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes[0] = u8::try_from(bytes.len()).ok()?;
    Some(bytes)
}

/// `bLength` in front, whatever follows.
fn sized(body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len() + 1).unwrap_or(u8::MAX);
    [&[length], body].concat()
}

fn little(value: usize) -> [u8; 2] {
    u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes()
}

fn clock() -> Vec<u8> {
    // Internal and programmable; frequency may be set, validity read.
    sized(&[0x24, 0x0A, CLOCK, 3, 0b0111, 0, 0])
}

fn input_terminal(id: u8, kind: u16) -> Vec<u8> {
    let [low, high] = kind.to_le_bytes();
    sized(&[0x24, 2, id, low, high, 0, CLOCK, MOST_CHANNELS, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn output_terminal(id: u8, kind: u16, source: u8) -> Vec<u8> {
    let [low, high] = kind.to_le_bytes();
    sized(&[0x24, 3, id, low, high, 0, source, CLOCK, 0, 0, 0])
}

fn volume() -> Vec<u8> {
    // Mute and volume of all channels together, to be read and set; none of single channels.
    let mut body = vec![0x24, 6, VOLUME, OUTPUT_FROM_HOST, 0b1111, 0, 0, 0];
    body.extend(vec![0; 4 * usize::from(MOST_CHANNELS)]);
    body.push(0);
    sized(&body)
}

fn control_interface() -> Vec<u8> {
    const USB_STREAM: u16 = 0x0101;
    const SPEAKER: u16 = 0x0301;
    const LINE: u16 = 0x0603;
    let units = [
        clock(),
        input_terminal(OUTPUT_FROM_HOST, USB_STREAM),
        volume(),
        output_terminal(SPEAKERS, SPEAKER, VOLUME),
        input_terminal(LINE_IN, LINE),
        output_terminal(INPUT_TO_HOST, USB_STREAM, LINE_IN),
    ]
    .concat();
    let [low, high] = little(units.len() + 9);
    let header = sized(&[0x24, 1, 0x00, 0x02, 8, low, high, 0]);
    [sized(&[4, 0, 0, 0, 1, 1, 0x20, 0]), header, units].concat()
}

/// Bytes of the largest packet: a frame more than nominal at the highest rate.
pub(crate) fn most_packet_bytes(setting: Setting) -> usize {
    let highest = RATES_HZ.iter().max().copied().unwrap_or(0);
    (highest / MICROFRAMES_A_SECOND + 1) as usize * setting.channels * setting.bytes
}

/// `wMaxPacketSize`: up to three transactions of 1024 bytes a microframe (USB 2.0, table 9-13).
fn packet_size(setting: Setting) -> [u8; 2] {
    let bytes = most_packet_bytes(setting);
    let transactions = bytes.div_ceil(1024);
    little(bytes.div_ceil(transactions) | (transactions - 1) << 11)
}

fn streaming_interface(number: u8, terminal: u8, settings: &[Setting]) -> Vec<u8> {
    let is_played = number == PLAYBACK;
    let endpoints = if is_played { 2 } else { 1 };
    let mut bytes = sized(&[4, number, 0, 0, 1, 2, 0x20, 0]);
    for (alternate, setting) in (1..).zip(settings) {
        let (channels, width) = (little(setting.channels)[0], little(setting.bytes)[0]);
        let format = if setting.is_dsd { 0x80 } else { 0 };
        let pcm = u8::from(!setting.is_dsd);
        let [low, high] = packet_size(*setting);
        let address = if is_played { little(DATA_OUT as usize)[0] } else { 0x82 };
        bytes.extend(sized(&[4, number, alternate, endpoints, 1, 2, 0x20, 0]));
        bytes.extend(sized(&[0x24, 1, terminal, 0, 1, pcm, 0, 0, format, channels, 0, 0, 0, 0, 0]));
        bytes.extend(sized(&[0x24, 2, 1, width, little(setting.bits)[0]]));
        // Isochronous, asynchronous, one packet each microframe.
        bytes.extend(sized(&[5, address, 5, low, high, 1]));
        bytes.extend(sized(&[0x25, 1, 0, 0, 0, 0, 0]));
        if is_played {
            bytes.extend(sized(&[5, 0x81, 0x11, 4, 0, FEEDBACK_INTERVAL]));
        }
    }
    bytes
}

/// The configuration descriptor with all that belongs to it.
pub(crate) fn configuration() -> Vec<u8> {
    let association = sized(&[0x0B, 0, 3, 1, 0, 0x20, 0]);
    let body = [
        association,
        control_interface(),
        streaming_interface(PLAYBACK, OUTPUT_FROM_HOST, &PLAYED),
        streaming_interface(CAPTURE, INPUT_TO_HOST, &CAPTURED),
    ]
    .concat();
    let [low, high] = little(body.len() + 9);
    [sized(&[2, low, high, 3, 1, 0, 0x80, 50]), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_descriptor_ends_where_the_next_begins() {
        let all = configuration();
        assert_eq!(usize::from(u16::from_le_bytes([all[2], all[3]])), all.len());
        let (mut at, mut settings) = (0, 0);
        while at < all.len() {
            assert!(all[at] >= 2, "at {at}");
            settings += usize::from(all[at + 1] == 4 && all[at + 3] > 0);
            at += usize::from(all[at]);
        }
        assert_eq!(at, all.len());
        assert_eq!(settings, PLAYED.len() + CAPTURED.len());
    }

    #[test]
    fn a_packet_holds_a_frame_more_than_nominal_at_the_highest_rate() {
        for setting in PLAYED {
            let size = usize::from(u16::from_le_bytes(packet_size(setting)));
            let (bytes, transactions) = (size & 0x7FF, (size >> 11) + 1);
            assert!(bytes <= 1024 && transactions <= 3);
            assert!(bytes * transactions >= 49 * setting.channels * setting.bytes);
        }
    }
}
