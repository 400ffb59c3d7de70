//! The processor's floating-point control state: saved before and restored after each call of a host, since some
//! hosts change it (facts of the field: plug-ins that set flush-to-zero, old compilers' x87 precision).

/// Rounding, exception masks and denormal handling of the current thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloatState {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    mxcsr: u32,
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    x87: u16,
    #[cfg(target_arch = "aarch64")]
    fpcr: u64,
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
impl FloatState {
    /// Flush-to-zero and denormals-are-zero of MXCSR.
    const FLUSH: u32 = 0x8040;
    /// The sticky exception flags of MXCSR: results, not settings.
    const FLAGS: u32 = 0x3F;

    /// The state now.
    pub fn save() -> Self {
        let (mut mxcsr, mut x87) = (0_u32, 0_u16);
        // SAFETY: stores 4 bytes to `mxcsr`; SSE is part of every target that std supports with these intrinsics.
        unsafe {
            core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags))
        };
        // SAFETY: stores 2 bytes to `x87`.
        unsafe {
            core::arch::asm!("fnstcw [{}]", in(reg) &raw mut x87, options(nostack, preserves_flags))
        };
        Self { mxcsr: mxcsr & !Self::FLAGS, x87 }
    }

    /// Puts this state in force.
    pub fn restore(self) {
        // SAFETY: loads a value that `save` found in force, without pending exception flags.
        unsafe {
            core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const self.mxcsr, options(nostack, readonly))
        };
        // SAFETY: loads a control word that `save` found in force.
        unsafe {
            core::arch::asm!("fldcw [{}]", in(reg) &raw const self.x87, options(nostack, readonly))
        };
    }

    /// The same state with denormals treated as zero: they cost a hundred cycles each, and are below all hearing.
    #[must_use]
    pub fn flushing(mut self) -> Self {
        self.mxcsr |= Self::FLUSH;
        self
    }
}

#[cfg(target_arch = "aarch64")]
impl FloatState {
    /// Flush-to-zero of FPCR.
    const FLUSH: u64 = 1 << 24;

    /// The state now.
    pub fn save() -> Self {
        let fpcr: u64;
        // SAFETY: reads a register that is readable at every privilege level.
        unsafe { core::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack)) };
        Self { fpcr }
    }

    /// Puts this state in force.
    pub fn restore(self) {
        // SAFETY: writes a value that `save` found in force.
        unsafe { core::arch::asm!("msr fpcr, {}", in(reg) self.fpcr, options(nomem, nostack)) };
    }

    /// The same state with denormals treated as zero.
    #[must_use]
    pub fn flushing(mut self) -> Self {
        self.fpcr |= Self::FLUSH;
        self
    }
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
impl FloatState {
    /// The state now: nothing is known of this processor.
    pub fn save() -> Self {
        Self {}
    }

    /// Puts this state in force.
    pub fn restore(self) {}

    /// The same state.
    #[must_use]
    pub fn flushing(self) -> Self {
        self
    }
}

/// Runs foreign code and puts the floating-point state back as it was.
pub fn preserved<R>(foreign: impl FnOnce() -> R) -> R {
    let state = FloatState::save();
    let result = foreign();
    state.restore();
    result
}

#[cfg(test)]
mod tests {
    use super::{FloatState, preserved};

    #[test]
    fn what_foreign_code_sets_does_not_outlive_its_call() {
        let before = FloatState::save();
        let inside = preserved(|| {
            FloatState::save().flushing().restore();
            FloatState::save()
        });
        assert_ne!(inside, before);
        assert_eq!(FloatState::save(), before);
    }
}
