//! How much stack was used: the free part is painted at the start, and what is still painted later was never touched.

const PAINT: u64 = 0xA5A5_5A5A_A5A5_5A5A;
/// Left unpainted below the caller's frame.
const MARGIN: usize = 256;

// SAFETY: the linker script defines both; only their addresses are used.
unsafe extern "C" {
    static mut __stack_bottom: u64;
    static mut __stack_top: u64;
}

/// Paints the free stack. Call it first.
#[inline(never)]
pub fn paint() {
    let here: usize;
    // SAFETY: reads the stack pointer.
    unsafe { core::arch::asm!("mov {}, sp", out(reg) here, options(nomem, nostack, preserves_flags)) };
    let mut address = (&raw const __stack_bottom).addr();
    while address < here - MARGIN {
        // SAFETY: the stack's free part.
        unsafe { (address as *mut u64).write_volatile(PAINT) };
        address += 8;
    }
}

/// The most bytes of stack in use since [`paint`].
pub fn high_water() -> usize {
    let top = (&raw const __stack_top).addr();
    let mut address = (&raw const __stack_bottom).addr();
    // SAFETY: reads the stack, as `paint` wrote it.
    while address < top && unsafe { (address as *const u64).read_volatile() } == PAINT {
        address += 8;
    }
    top - address
}
