//! Time by the core's generic timer.

use core::arch::asm;

/// Microseconds since the start; wraps.
pub fn micros() -> u32 {
    let (count, hertz): (u64, u64);
    // SAFETY: reads the counter and its frequency, as boot.rs allowed.
    unsafe {
        asm!("mrs {}, cntpct_el0", "mrs {}, cntfrq_el0", out(reg) count, out(reg) hertz, options(nomem, nostack));
    }
    let (seconds, rest) = (count.checked_div(hertz).unwrap_or(0), count.checked_rem(hertz).unwrap_or(0));
    (seconds * 1_000_000 + (rest * 1_000_000).checked_div(hertz).unwrap_or(0)) as u32
}
