//! Marks for whoever counts instructions.

use jamlet_app::conformance::Marks;

/// Hints that do nothing, but that the counting plugin for QEMU recognises: region 0 is the prefill, 1 a decoded token.
pub struct Hints;

#[cfg(target_arch = "aarch64")]
impl Marks for Hints {
    fn prefill_begins(&mut self) {
        // SAFETY: an unallocated hint is a no-op; here and below it changes nothing.
        unsafe { std::arch::asm!("hint #96", options(nostack, preserves_flags)) }
    }

    fn prefill_ends(&mut self) {
        // SAFETY: as above.
        unsafe { std::arch::asm!("hint #104", options(nostack, preserves_flags)) }
    }

    fn token_begins(&mut self) {
        // SAFETY: as above.
        unsafe { std::arch::asm!("hint #97", options(nostack, preserves_flags)) }
    }

    fn token_ends(&mut self) {
        // SAFETY: as above.
        unsafe { std::arch::asm!("hint #105", options(nostack, preserves_flags)) }
    }
}

#[cfg(not(target_arch = "aarch64"))]
impl Marks for Hints {}

/// Region 2 is a core's share of a task.
pub fn share_begins() {
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("hint #98", options(nostack, preserves_flags));
    }
}

/// The end of what [`share_begins`] begins.
pub fn share_ends() {
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("hint #106", options(nostack, preserves_flags));
    }
}
