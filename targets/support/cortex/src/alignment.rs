//! Has accesses that aren't aligned fault (CCR.UNALIGN_TRP), in programs that `cargo xtask memory-safety` compiles to need
//! none: by `-Ctarget-feature=+strict-align --cfg jamlet_strict_alignment`.

use cortex_m::asm;

/// Turns the trap on or off.
pub fn trap(on: bool) {
    const CCR: *mut u32 = core::ptr::without_provenance_mut(0xE000_ED14);
    const UNALIGN_TRP: u32 = 1 << 3;
    // SAFETY: a register of the processor, in which nothing else is ever changed.
    let others = unsafe { CCR.read_volatile() } & !UNALIGN_TRP;
    // SAFETY: as above.
    unsafe { CCR.write_volatile(others | if on { UNALIGN_TRP } else { 0 }) };
    asm::dsb();
    asm::isb();
}
