//! Silence in every format.

use crate::rows::bytes;
use barewire_rt::AreaMut;
use barewire_types::{Encoding, SampleFormat};

/// Fills `area` with the silence of `format`. An area whose samples have another width is left alone.
pub fn silence(format: SampleFormat, mut area: AreaMut<'_>) {
    for channel in 0..area.channels() {
        silence_channel(format, &mut area, channel);
    }
}

/// Fills one channel with the silence of `format`.
pub(crate) fn silence_channel(format: SampleFormat, area: &mut AreaMut<'_>, channel: usize) {
    if format.encoding == Encoding::DsdNer8 {
        // 0x69, oldest bit first, one bit a byte: as many ones as zeros.
        bytes::fill(area, channel, 1, |n| 0x69 >> (7 - n % 8) & 1);
    } else {
        let byte = format.silence_byte();
        bytes::fill(area, channel, format.bytes(), |_| byte);
    }
}
