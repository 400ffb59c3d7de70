//! The messages that `vhci-hcd` and a device exchange on their socket: Documentation/usb/usbip_protocol.rst of Linux, its
//! URB part. Numbers are big-endian.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};

const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;
const HEADER_BYTES: usize = 48;
/// What an unlinked URB ends with: ECONNRESET.
const UNLINKED: i32 = -104;
/// What a request that is not known ends with: EPIPE, a stall.
pub(crate) const STALL: i32 = -32;

/// One packet of an isochronous URB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) actual: u32,
}

/// A transfer that the host asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Urb {
    pub(crate) number: u32,
    pub(crate) endpoint: u32,
    pub(crate) is_in: bool,
    /// Bytes that the host sends, or room for those it wants.
    pub(crate) length: u32,
    pub(crate) setup: [u8; 8],
    pub(crate) data: Vec<u8>,
    pub(crate) packets: Vec<Packet>,
}

/// What the host says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Submit(Urb),
    /// Takes back the URB `target`.
    Unlink {
        number: u32,
        target: u32,
    },
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(bytes.get(at..at + 4).unwrap_or(&[0; 4]));
    u32::from_be_bytes(word)
}

/// The next message; `None` once the host has hung up.
pub(crate) fn read(from: &mut impl Read) -> Result<Option<Message>> {
    let mut header = [0; HEADER_BYTES];
    if from.read_exact(&mut header).is_err() {
        return Ok(None);
    }
    let number = word(&header, 4);
    match word(&header, 0) {
        CMD_UNLINK => return Ok(Some(Message::Unlink { number, target: word(&header, 20) })),
        CMD_SUBMIT => {}
        other => bail!("the host sent a message of kind {other}"),
    }
    let mut urb = Urb {
        number,
        is_in: word(&header, 12) == 1,
        endpoint: word(&header, 16),
        length: word(&header, 24),
        ..Urb::default()
    };
    urb.setup.copy_from_slice(&header[40..48]);
    if !urb.is_in {
        urb.data = vec![0; urb.length as usize];
        from.read_exact(&mut urb.data).context("the data of an URB")?;
    }
    // Anything but isochronous has none; newer kernels say so with all ones.
    let count = word(&header, 32);
    let mut packets = vec![0; if count == u32::MAX { 0 } else { 16 * count as usize }];
    from.read_exact(&mut packets).context("the packets of an URB")?;
    let packet =
        |bytes: &[u8]| Packet { offset: word(bytes, 0), length: word(bytes, 4), actual: 0 };
    urb.packets = packets.chunks_exact(16).map(packet).collect();
    Ok(Some(Message::Submit(urb)))
}

/// Answers `urb`: with `data` if it goes to the host, and `packets` filled in if it is isochronous.
pub(crate) fn done(to: &mut impl Write, urb: &Urb, status: i32, data: &[u8]) -> Result<()> {
    let actual = match urb.packets.is_empty() {
        true if urb.is_in => u32::try_from(data.len())?,
        true => urb.length,
        false => urb.packets.iter().map(|packet| packet.actual).sum(),
    };
    let mut message = vec![0; HEADER_BYTES];
    let mut put = |at: usize, value: u32| {
        message[at..at + 4].copy_from_slice(&value.to_be_bytes());
    };
    put(0, RET_SUBMIT);
    put(4, urb.number);
    put(20, status.cast_unsigned());
    put(24, if status == 0 { actual } else { 0 });
    put(32, u32::try_from(urb.packets.len())?);
    if urb.is_in && status == 0 {
        message.extend_from_slice(data);
    }
    for packet in &urb.packets {
        for value in [packet.offset, packet.length, packet.actual, 0] {
            message.extend_from_slice(&value.to_be_bytes());
        }
    }
    to.write_all(&message).context("the host does not take an answer")
}

/// Answers an unlink; `was_there` if the URB had not been answered yet.
pub(crate) fn unlinked(to: &mut impl Write, number: u32, was_there: bool) -> Result<()> {
    let mut message = [0; HEADER_BYTES];
    message[0..4].copy_from_slice(&RET_UNLINK.to_be_bytes());
    message[4..8].copy_from_slice(&number.to_be_bytes());
    let status = if was_there { UNLINKED } else { 0 };
    message[20..24].copy_from_slice(&status.to_be_bytes());
    to.write_all(&message).context("the host does not take an answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_urb_is_read_as_it_was_sent_and_what_is_cut_off_is_an_error() {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[3] = 1;
        bytes[7] = 9;
        bytes[19] = 1;
        bytes[27] = 4;
        bytes[35] = 2;
        bytes.extend([1, 2, 3, 4]);
        for (offset, length) in [(0_u32, 1_u32), (1, 3)] {
            for value in [offset, length, 0, 0] {
                bytes.extend(value.to_be_bytes());
            }
        }
        let Some(Message::Submit(urb)) = read(&mut &bytes[..]).unwrap() else { panic!() };
        assert_eq!((urb.number, urb.endpoint, urb.is_in), (9, 1, false));
        assert_eq!(urb.data, [1, 2, 3, 4]);
        assert_eq!(urb.packets[1], Packet { offset: 1, length: 3, actual: 0 });
        assert!(read(&mut &bytes[..bytes.len() - 1]).is_err());
        assert_eq!(read(&mut &bytes[..20]).unwrap(), None);
    }
}
