//! Random numbers for std's hash maps, without `bcryptprimitives.dll`.
//!
//! std imports `ProcessPrng` from it at load time, and no Windows before 10 nor any Wine before 9 has the file: neither the
//! driver nor the command would even load there. The linker takes a symbol that it knows before the one of an import
//! library, so these two stand in; the numbers come from `RtlGenRandom`, which every Windows has, under the name it is
//! exported by. The lab checks the import tables of everything that is shipped.

use super::procedure;
use std::arch::global_asm;
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

/// `RtlGenRandom`.
type Generate = unsafe extern "system" fn(buffer: *mut u8, bytes: u32) -> u8;

/// # Safety
/// `buffer` must hold `bytes` bytes.
unsafe extern "system" fn process_prng(buffer: *mut u8, bytes: usize) -> i32 {
    static FOUND: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    let mut function = FOUND.load(Ordering::Acquire);
    if function.is_null() {
        function = procedure("advapi32.dll", c"SystemFunction036").cast_mut();
        FOUND.store(function, Ordering::Release);
    }
    let Ok(bytes) = u32::try_from(bytes) else { return 0 };
    if function.is_null() {
        return 0;
    }
    // SAFETY: the function of that name has this type.
    let function: Generate = unsafe { std::mem::transmute(function) };
    // SAFETY: the caller's promise.
    i32::from(unsafe { function(buffer, bytes) })
}

// Both names of the import library's: the function, and its place in the import table. In assembly, since Rust would
// export names that it was told of from the driver.
#[cfg(target_pointer_width = "64")]
macro_rules! pointer {
    () => {
        ".quad"
    };
}
#[cfg(target_pointer_width = "32")]
macro_rules! pointer {
    () => {
        ".long"
    };
}
global_asm!(
    ".text",
    ".globl ProcessPrng",
    "ProcessPrng:",
    "jmp {own}",
    ".section .rdata,\"dr\"",
    ".p2align 3",
    ".globl __imp_ProcessPrng",
    "__imp_ProcessPrng:",
    concat!(pointer!(), " {own}"),
    ".text",
    own = sym process_prng,
);

/// Has the linker take this file in before it looks at std's.
#[used]
static TAKEN_IN: unsafe extern "system" fn(*mut u8, usize) -> i32 = process_prng;

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_differ() {
        let mut drawn = [[0_u8; 16]; 8];
        for place in &mut drawn {
            // SAFETY: 16 bytes of ours.
            assert_eq!(unsafe { super::process_prng(place.as_mut_ptr(), 16) }, 1);
        }
        drawn.sort_unstable();
        assert!(drawn.windows(2).all(|pair| pair[0] != pair[1]), "{drawn:?}");
    }
}
