//! How integers lie in their containers: one type a format, which the rows are compiled for.

/// Applies `$run` to the integer type that describes `$format`.
macro_rules! of_format {
    ($format:expr, $run:ident) => {{
        use crate::rows::containers::Int;
        use barewire_types::{ByteOrder, Encoding};
        match ($format.encoding, $format.order) {
            (Encoding::Int16, ByteOrder::Little) => Some($run::<Int<2, 16, false, false>>),
            (Encoding::Int16, ByteOrder::Big) => Some($run::<Int<2, 16, false, true>>),
            (Encoding::Int24, ByteOrder::Little) => Some($run::<Int<3, 24, false, false>>),
            (Encoding::Int24, ByteOrder::Big) => Some($run::<Int<3, 24, false, true>>),
            (Encoding::Int24In32, ByteOrder::Little) => Some($run::<Int<4, 24, false, false>>),
            (Encoding::Int24In32, ByteOrder::Big) => Some($run::<Int<4, 24, false, true>>),
            (Encoding::Int32, ByteOrder::Little) => Some($run::<Int<4, 32, false, false>>),
            (Encoding::Int32, ByteOrder::Big) => Some($run::<Int<4, 32, false, true>>),
            (Encoding::Int32Low16, ByteOrder::Little) => Some($run::<Int<4, 16, true, false>>),
            (Encoding::Int32Low16, ByteOrder::Big) => Some($run::<Int<4, 16, true, true>>),
            (Encoding::Int32Low18, ByteOrder::Little) => Some($run::<Int<4, 18, true, false>>),
            (Encoding::Int32Low18, ByteOrder::Big) => Some($run::<Int<4, 18, true, true>>),
            (Encoding::Int32Low20, ByteOrder::Little) => Some($run::<Int<4, 20, true, false>>),
            (Encoding::Int32Low20, ByteOrder::Big) => Some($run::<Int<4, 20, true, true>>),
            (Encoding::Int32Low24, ByteOrder::Little) => Some($run::<Int<4, 24, true, false>>),
            (Encoding::Int32Low24, ByteOrder::Big) => Some($run::<Int<4, 24, true, true>>),
            _ => None,
        }
    }};
}

pub(super) use of_format;

/// An integer format: bytes of its container, bits of its value, whether the value stands in the low bits, byte order.
pub(super) struct Int<const BYTES: usize, const BITS: u32, const LOW: bool, const BIG: bool>;

pub(super) trait Integer {
    const BYTES: usize;
    /// The bits of a left-justified sample that the format does not hold.
    const LOST: u32;
    /// # Safety
    /// `BYTES` bytes at `from` must be readable.
    unsafe fn load(from: *const u8) -> i32;
    /// # Safety
    /// `BYTES` bytes at `to` must be writable.
    unsafe fn store(sample: i32, to: *mut u8);
}

impl<const BYTES: usize, const BITS: u32, const LOW: bool, const BIG: bool> Integer
    for Int<BYTES, BITS, LOW, BIG>
{
    const BYTES: usize = BYTES;
    const LOST: u32 = if BITS == 32 { 0 } else { u32::MAX >> BITS };

    #[inline(always)]
    unsafe fn load(from: *const u8) -> i32 {
        // SAFETY: promised by the caller.
        let bytes = unsafe { from.cast::<[u8; BYTES]>().read_unaligned() };
        let mut wide = [0_u8; 4];
        // The container fills the high bytes: little-endian ones from the end, big-endian ones from the start.
        let raw = if BIG {
            wide[..BYTES].copy_from_slice(&bytes);
            u32::from_be_bytes(wide)
        } else {
            wide[4 - BYTES..].copy_from_slice(&bytes);
            u32::from_le_bytes(wide)
        };
        (if LOW { raw << (32 - BITS) } else { raw & !Self::LOST }).cast_signed()
    }

    #[inline(always)]
    unsafe fn store(sample: i32, to: *mut u8) {
        let raw = if LOW {
            (sample >> (32 - BITS)).cast_unsigned()
        } else {
            sample.cast_unsigned() & !Self::LOST
        };
        let mut bytes = [0_u8; BYTES];
        if BIG {
            bytes.copy_from_slice(&raw.to_be_bytes()[..BYTES]);
        } else {
            bytes.copy_from_slice(&raw.to_le_bytes()[4 - BYTES..]);
        }
        // SAFETY: promised by the caller.
        unsafe { to.cast::<[u8; BYTES]>().write_unaligned(bytes) };
    }
}
