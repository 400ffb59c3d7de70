//! How methods are called. On 32-bit Windows a method takes its own arguments off the stack and keeps three registers; one
//! that does not destroys what its caller keeps there. There each is called through a few instructions that bear that, and
//! what was wrong is remembered. Elsewhere the caller clears the stack, and the compiler's call is all that is needed.

#[cfg(not(all(windows, target_arch = "x86")))]
macro_rules! invoke {
    ($table:ident . $slot:ident, $this:expr $(, $argument:expr)*) => {
        ($table.$slot)($this $(, $argument)*)
    };
}

#[cfg(all(windows, target_arch = "x86"))]
macro_rules! invoke {
    ($table:ident . $slot:ident, $this:expr $(, $argument:expr)*) => {{
        let words = balance::Words::default() $( .and($argument) )*;
        balance::call(stringify!($slot), $table.$slot as *const std::ffi::c_void, $this, words)
    }};
}

pub(super) use invoke;

/// What methods did to the stack and to registers so far, in words, once for each; `None` where they have nothing to keep.
pub fn imbalances() -> Option<Vec<String>> {
    #[cfg(all(windows, target_arch = "x86"))]
    return Some(x86::imbalances());
    #[cfg(not(all(windows, target_arch = "x86")))]
    None
}

#[cfg(all(windows, target_arch = "x86"))]
pub(super) use x86::{Words, call};

#[cfg(all(windows, target_arch = "x86"))]
mod x86 {
    use std::arch::naked_asm;
    use std::ffi::c_void;
    use std::sync::{Mutex, PoisonError};

    static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

    /// These have the convention of COM, the object being the first argument; all others have it in ECX.
    const UNKNOWN: [&str; 3] = ["query_interface", "add_ref", "release"];

    /// What registers hold before the call.
    const KEPT: [u32; 3] = [0xB0B0_0001, 0xB0B0_0002, 0xB0B0_0003];

    pub(super) fn imbalances() -> Vec<String> {
        FOUND.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Arguments as they lie on the stack.
    #[derive(Default)]
    pub(in super::super) struct Words(Vec<u32>);

    impl Words {
        pub(in super::super) fn and(mut self, argument: impl Argument) -> Self {
            argument.push(&mut self);
            self
        }
    }

    /// What methods take.
    pub(in super::super) trait Argument {
        fn push(self, words: &mut Words);
    }

    impl Argument for i32 {
        fn push(self, words: &mut Words) {
            words.0.push(self.cast_unsigned());
        }
    }

    impl Argument for f64 {
        fn push(self, words: &mut Words) {
            let bits = self.to_bits().to_le_bytes();
            let [a, b, c, d, e, f, g, h] = bits;
            words.0.extend([u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]);
        }
    }

    impl<T> Argument for *mut T {
        fn push(self, words: &mut Words) {
            self.cast_const().push(words);
        }
    }

    impl<T> Argument for *const T {
        fn push(self, words: &mut Words) {
            words.0.push(u32::from_ne_bytes(self.expose_provenance().to_ne_bytes()));
        }
    }

    /// What a call left behind.
    #[repr(C)]
    #[derive(Default)]
    struct Left {
        answer: i32,
        /// Bytes that the method took off the stack.
        taken: i32,
        ebx: u32,
        esi: u32,
        edi: u32,
    }

    /// Calls a method; what it answers. For one without an answer that is whatever there was.
    ///
    /// # Safety
    /// As for the call of `method` with these arguments, except for its convention.
    pub(in super::super) unsafe fn call(
        name: &'static str,
        method: *const c_void,
        this: *mut c_void,
        mut words: Words,
    ) -> i32 {
        if UNKNOWN.contains(&name) {
            let mut all = Words::default();
            this.push(&mut all);
            all.0.append(&mut words.0);
            words = all;
        }
        let words = words.0;
        let mut left = Left::default();
        // SAFETY: as the caller promised; the instructions restore the stack and the registers, whatever became of them.
        unsafe { through(method, this, words.as_ptr(), words.len(), &raw mut left) };
        judge(name, words.len() * size_of::<u32>(), &left);
        left.answer
    }

    fn judge(name: &str, wanted: usize, left: &Left) {
        let mut found = Vec::new();
        if usize::try_from(left.taken) != Ok(wanted) {
            found.push(format!("{name} took {} bytes off the stack, not {wanted}", left.taken));
        }
        let registers = [("EBX", left.ebx), ("ESI", left.esi), ("EDI", left.edi)];
        for ((register, is), was) in registers.into_iter().zip(KEPT) {
            if is != was {
                found.push(format!("{name} destroyed {register}"));
            }
        }
        if found.is_empty() {
            return;
        }
        let mut all = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        found.retain(|text| !all.contains(text));
        all.extend(found);
    }

    /// Pushes the words, the last one first, calls the method with ECX being the object, and tells what it left. Whatever it
    /// does to ESP is borne: EBP, without which no debugger could follow it either, leads back.
    #[unsafe(naked)]
    unsafe extern "C" fn through(
        method: *const c_void,
        this: *mut c_void,
        words: *const u32,
        count: usize,
        left: *mut Left,
    ) {
        naked_asm!(
            "push ebp",
            "mov ebp, esp",
            "push ebx",
            "push esi",
            "push edi",
            // Room for the height of the stack, and so much more that a method which takes too much leaves it alone.
            "sub esp, 256",
            "mov ecx, [ebp + 20]",
            "mov edx, [ebp + 16]",
            "2:",
            "test ecx, ecx",
            "jz 3f",
            "push dword ptr [edx + ecx * 4 - 4]",
            "dec ecx",
            "jmp 2b",
            "3:",
            "mov [ebp - 16], esp",
            "mov ebx, {ebx}",
            "mov esi, {esi}",
            "mov edi, {edi}",
            "mov ecx, [ebp + 12]",
            "call dword ptr [ebp + 8]",
            "mov edx, esp",
            "sub edx, [ebp - 16]",
            "mov ecx, [ebp + 24]",
            "mov [ecx], eax",
            "mov [ecx + 4], edx",
            "mov [ecx + 8], ebx",
            "mov [ecx + 12], esi",
            "mov [ecx + 16], edi",
            "lea esp, [ebp - 12]",
            "pop edi",
            "pop esi",
            "pop ebx",
            "pop ebp",
            "ret",
            ebx = const KEPT[0],
            esi = const KEPT[1],
            edi = const KEPT[2],
        )
    }
}
