//! Texts and blocks that cross the border: ours as Windows wants them, Windows' own freed when we are done with them.

use windows::Win32::System::Com::CoTaskMemFree;
use windows::core::PWSTR;

/// A terminated UTF-16 text.
pub(super) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// A text that Windows made and we free.
pub(super) struct Text(pub(super) PWSTR);

impl Text {
    pub(super) fn read(&self) -> Option<String> {
        // SAFETY: not null, and terminated as all texts of Windows are.
        (!self.0.is_null()).then(|| unsafe { self.0.to_string() }.ok()).flatten()
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        free(self.0.0.cast());
    }
}

/// Frees what Windows made. Null is nothing.
pub(super) fn free(block: *const u8) {
    // SAFETY: made with `CoTaskMemAlloc` by whoever gave it to us, and freed once.
    unsafe { CoTaskMemFree(Some(block.cast())) };
}
