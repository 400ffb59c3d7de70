//! The two halves of each channel, and which channels they belong to.

use crate::offer::Offer;
use barewire_abi::{AsioError, AsioResult, BufferRequest, Code, Halves};
use barewire_rt::LentMemory;
use barewire_types::Half;

/// The memory of one direction: both halves of its channels.
#[derive(Debug)]
pub(crate) struct Bank {
    /// The host's channel numbers, in the order of the planes.
    pub(crate) channels: Vec<u16>,
    pub(crate) halves: [LentMemory; 2],
}

impl Bank {
    pub(crate) fn new(channels: Vec<u16>, plane_bytes: usize) -> AsioResult<Self> {
        let half = || {
            LentMemory::new(channels.len(), plane_bytes).ok_or_else(|| {
                AsioError::new(Code::NO_MEMORY, "the buffers that the host asks for are too large")
            })
        };
        Ok(Self { halves: [half()?, half()?], channels })
    }

    fn pointers(&self, channel: i32) -> Option<Halves> {
        let plane = self.channels.iter().position(|&own| i32::from(own) == channel)?;
        Some([Half::Zero, Half::One].map(|half| self.halves[half.index()].plane(plane)))
    }
}

/// Checks what a host asks for.
pub(crate) fn check(offer: &Offer, wanted: &[BufferRequest], frames: i32) -> AsioResult<u32> {
    let invalid = |text: String| AsioError::new(Code::INVALID_PARAMETER, text);
    let frames = offer.takes(frames).ok_or_else(|| {
        let (min, max) = (offer.block.min_frames, offer.block.max_frames);
        invalid(format!("a buffer of {frames} frames is not offered; choose {min} to {max}"))
    })?;
    for (n, request) in wanted.iter().enumerate() {
        let there = offer.direction(request.is_input).channels.len();
        let word = if request.is_input { "input" } else { "output" };
        if usize::try_from(request.channel).is_ok_and(|channel| channel < there) {
            if wanted[..n].contains(request) {
                return Err(invalid(format!("{word} {} is asked for twice", request.channel)));
            }
        } else {
            return Err(invalid(format!("there is no {word} {}", request.channel)));
        }
    }
    Ok(frames)
}

/// Makes the memory for what was checked: inputs and outputs.
pub(crate) fn make(
    offer: &Offer,
    wanted: &[BufferRequest],
    frames: u32,
) -> AsioResult<(Bank, Bank)> {
    // A half has at least as many bytes as frames: in DSD mode some hosts write a byte for each frame where an eighth
    // would do (Kodi's ASIO sink).
    let plane_bytes = frames as usize * offer.format.bytes().max(1);
    let bank = |is_input| {
        let of_direction = wanted.iter().filter(|request| request.is_input == is_input);
        let channels =
            of_direction.filter_map(|request| u16::try_from(request.channel).ok()).collect();
        Bank::new(channels, plane_bytes)
    };
    Ok((bank(true)?, bank(false)?))
}

/// The pointers for each request, in its order.
pub(crate) fn pointers(wanted: &[BufferRequest], inputs: &Bank, outputs: &Bank) -> Vec<Halves> {
    let of = |request: &BufferRequest| {
        let bank = if request.is_input { inputs } else { outputs };
        bank.pointers(request.channel).unwrap_or([std::ptr::null_mut(); 2])
    };
    wanted.iter().map(of).collect()
}
