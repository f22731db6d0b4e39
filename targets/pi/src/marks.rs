//! Hints that do nothing, but that the counting plugin for QEMU recognises: region 0 is the prefill, 1 a decoded token.

use core::arch::asm;
use jamlet_app::conformance::Marks;

/// The marks.
pub struct Hints;

impl Marks for Hints {
    fn prefill_begins(&mut self) {
        // SAFETY: an unallocated hint is a no-op; here and below it changes nothing.
        unsafe { asm!("hint #96", options(nostack, preserves_flags)) }
    }

    fn prefill_ends(&mut self) {
        // SAFETY: as above.
        unsafe { asm!("hint #104", options(nostack, preserves_flags)) }
    }

    fn token_begins(&mut self) {
        // SAFETY: as above.
        unsafe { asm!("hint #97", options(nostack, preserves_flags)) }
    }

    fn token_ends(&mut self) {
        // SAFETY: as above.
        unsafe { asm!("hint #105", options(nostack, preserves_flags)) }
    }
}
