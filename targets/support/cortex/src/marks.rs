//! Instructions that do nothing, but that the counting plugin for QEMU recognises (see `xtask/src/setup/insncount.c`).

use core::arch::asm;
use jamlet_app::conformance::Marks;

/// Region 0 is the prefill, region 1 a decoded token.
pub struct Dbg;

impl Marks for Dbg {
    fn prefill_begins(&mut self) {
        // SAFETY: DBG is a hint; here and below it changes nothing.
        unsafe { asm!("dbg #0", options(nostack, preserves_flags)) }
    }

    fn prefill_ends(&mut self) {
        // SAFETY: as above.
        unsafe { asm!("dbg #8", options(nostack, preserves_flags)) }
    }

    fn token_begins(&mut self) {
        // SAFETY: as above.
        unsafe { asm!("dbg #1", options(nostack, preserves_flags)) }
    }

    fn token_ends(&mut self) {
        // SAFETY: as above.
        unsafe { asm!("dbg #9", options(nostack, preserves_flags)) }
    }

    fn stack(&self) -> Option<usize> {
        Some(crate::stack::high_water())
    }
}
