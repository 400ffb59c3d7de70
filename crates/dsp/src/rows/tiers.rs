//! The tiers: the bodies compiled for each set of vector instructions, in one table each.

use super::bodies;
use super::containers::{Integer, of_format};
use super::{Rows, Tier};
use crate::noise::Noise;

use barewire_rt::{Area, AreaMut};
use barewire_types::{ByteOrder, Encoding};

/// One function that runs a body compiled with a feature, or without one.
macro_rules! one {
    (() $name:ident [$($integer:ident)?] ($($argument:ident: $kind:ty),*) [$($result:ty)?]) => {
        fn $name$(<$integer: Integer>)?($($argument: $kind),*) $(-> $result)? {
            bodies::$name$(::<$integer>)?($($argument),*)
        }
    };
    (($feature:literal) $name:ident [$($integer:ident)?] ($($argument:ident: $kind:ty),*) [$($result:ty)?]) => {
        fn $name$(<$integer: Integer>)?($($argument: $kind),*) $(-> $result)? {
            #[target_feature(enable = $feature)]
            fn with_feature$(<$integer: Integer>)?($($argument: $kind),*) $(-> $result)? {
                bodies::$name$(::<$integer>)?($($argument),*)
            }
            // SAFETY: the only way here is the tier's table, which `Tier::rows` gives out where the feature is there.
            unsafe { with_feature$(::<$integer>)?($($argument),*) }
        }
    };
}

/// All functions of a tier.
macro_rules! compiled {
    ($feature:tt $($name:ident$(<$integer:ident>)?($($argument:ident: $kind:ty),*) $(-> $result:ty)?;)*) => {
        $(one! { $feature $name [$($integer)?] ($($argument: $kind),*) [$($result)?] })*
    };
}

macro_rules! tier {
    ($module:ident, $tier:expr, $feature:tt, $weave:expr, $unweave:expr, $shape:expr) => {
        mod $module {
            use super::*;

            compiled! { $feature
                load<I>(from: Area<'_>, channel: usize, to: &mut [i32]);
                store<I>(from: &[i32], to: &mut AreaMut<'_>, channel: usize) -> u32;
                add<I>(from: Area<'_>, channel: usize, begin: bool, bus: &mut [f64]);
                load_f32_little(from: Area<'_>, channel: usize, to: &mut [f64]) -> u32;
                load_f32_big(from: Area<'_>, channel: usize, to: &mut [f64]) -> u32;
                load_f64_little(from: Area<'_>, channel: usize, to: &mut [f64]) -> u32;
                load_f64_big(from: Area<'_>, channel: usize, to: &mut [f64]) -> u32;
                store_f32_little(from: &[f64], to: &mut AreaMut<'_>, channel: usize) -> u32;
                store_f32_big(from: &[f64], to: &mut AreaMut<'_>, channel: usize) -> u32;
                store_f64_little(from: &[f64], to: &mut AreaMut<'_>, channel: usize) -> u32;
                store_f64_big(from: &[f64], to: &mut AreaMut<'_>, channel: usize) -> u32;
                scale(from: &mut [f64], by: f64);
                ints_to_floats(from: &[i32], to: &mut [f64]);
                floats_to_ints(from: &[f64], bits: u32, to: &mut [i32]);
                lost_in_f32(samples: &[i32]) -> u32;
                add_scaled(from: &[f64], gain: f64, begin: bool, bus: &mut [f64]);
                add_ramped(from: &[f64], gains: &[f64], begin: bool, bus: &mut [f64]);
                saturate(bus: &[f64], to: &mut [i32]) -> u32;
                dither_flat(bus: &[f64], bits: u32, noise: Noise, to: &mut [i32]) -> u32;
                dither_high(bus: &[f64], bits: u32, noise: Noise, to: &mut [i32]) -> u32;
                triangles(noise: Noise, to: &mut [f64]);
                coefficients(rows: &[f64], x: f64, to: &mut [f64]);
                dot(a: &[f64], b: &[f64]) -> f64;
                filter_two(rows: &[f64], x: f64, channels: [&[f64]; 2]) -> [f64; 2];
                round(bus: &[f64], bits: u32, to: &mut [i32]) -> u32;
                count_ends(samples: &[i32], bits: u32) -> u32;
            }

            pub(super) static ROWS: Rows = Rows {
                tier: $tier,
                load_ints: |format| of_format!(format, load),
                store_ints: |format| of_format!(format, store),
                add_ints: |format| of_format!(format, add),
                weave: $weave,
                unweave: $unweave,
                load_floats: |format| {
                    Some(match (format.encoding, format.order) {
                        (Encoding::Float32, ByteOrder::Little) => load_f32_little,
                        (Encoding::Float32, ByteOrder::Big) => load_f32_big,
                        (Encoding::Float64, ByteOrder::Little) => load_f64_little,
                        (Encoding::Float64, ByteOrder::Big) => load_f64_big,
                        _ => return None,
                    })
                },
                store_floats: |format| {
                    Some(match (format.encoding, format.order) {
                        (Encoding::Float32, ByteOrder::Little) => store_f32_little,
                        (Encoding::Float32, ByteOrder::Big) => store_f32_big,
                        (Encoding::Float64, ByteOrder::Little) => store_f64_little,
                        (Encoding::Float64, ByteOrder::Big) => store_f64_big,
                        _ => return None,
                    })
                },
                scale,
                ints_to_floats,
                floats_to_ints,
                lost_in_f32,
                add_scaled,
                add_ramped,
                saturate,
                dither_flat,
                dither_high,
                triangles,
                round,
                coefficients,
                dot,
                filter_two,
                shape: $shape,
                count_ends,
            };
        }
    };
}

tier!(plain, Tier::Plain, (), |_, _, _| None, |_, _, _| None, bodies::shape);
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
tier!(sse41, Tier::Sse41, ("sse4.1"), |_, _, _| None, |_, _, _| None, bodies::shape);
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
tier!(
    avx2,
    Tier::Avx2,
    ("avx2"),
    crate::rows::weave::weave,
    crate::rows::weave::unweave,
    crate::rows::shaped::shape
);

impl Tier {
    /// The best that this processor has.
    pub fn best() -> Self {
        [Self::Avx2, Self::Sse41].into_iter().find(|tier| tier.is_there()).unwrap_or(Self::Plain)
    }

    /// Whether this processor has it.
    pub fn is_there(self) -> bool {
        match self {
            Self::Plain => true,
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Sse41 => is_x86_feature_detected!("sse4.1"),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
            Self::Sse41 | Self::Avx2 => false,
        }
    }

    /// The table of this tier, or the plain one if the processor does not have it.
    pub(crate) fn rows(self) -> &'static Rows {
        match self {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Avx2 if self.is_there() => &avx2::ROWS,
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Sse41 if self.is_there() => &sse41::ROWS,
            _ => &plain::ROWS,
        }
    }
}
