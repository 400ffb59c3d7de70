//! Doors for the benchmarks to kernels that otherwise run only inside others. Not for other crates.

use crate::bus::Bus;
use crate::dither::{Dither, Ditherer};
use crate::rows::Tier;
use barewire_types::RateHz;

/// Frames that one call of [`rounding`]'s run rounds on each channel.
pub const ROUNDING_FRAMES: usize = 256;

/// Gives `time` a run of the rounding from the bus to 16 bits.
pub fn rounding(
    tier: Tier,
    channels: u16,
    dither: Dither,
    time: &mut dyn FnMut(&mut dyn FnMut()) -> f64,
) -> f64 {
    let rows = tier.rows();
    let mut bus = Bus::new(channels, 256);
    bus.begin(256);
    for channel in 0..bus.channels() {
        bus.place(channel, 0, 256).1.fill(1e8);
    }
    let Ok(mut ditherer) = Ditherer::new(dither, RateHz::CD, channels, 1, rows) else { return 0.0 };
    let mut ints = vec![0; bus.channels() * 256];
    let mut seen = 0;
    time(&mut || {
        if dither == Dither::Off {
            for channel in 0..bus.channels() {
                seen ^= (rows.round)(bus.row(channel), 16, &mut ints[..256]);
            }
        } else {
            ditherer.run(&mut bus, 0..256, 16, &mut ints);
            seen ^= ints[7].cast_unsigned();
        }
        std::hint::black_box(&mut seen);
    })
}
