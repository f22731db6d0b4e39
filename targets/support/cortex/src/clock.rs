//! Time by SysTick, which every Cortex-M has.

use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;

static MILLIS: AtomicU32 = AtomicU32::new(0);
static CYCLES_A_MICRO: AtomicU32 = AtomicU32::new(1);

/// Starts counting. A core runs at a whole number of megahertz.
pub fn start(mut timer: SYST, core_hertz: u32) {
    CYCLES_A_MICRO.store(core_hertz / 1_000_000, Ordering::Relaxed);
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(core_hertz / 1000 - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
    // It stands at 0, as at a millisecond's end, until its first tick loads the reload value.
    while SYST::get_current() == 0 {}
}

/// Microseconds since [`start`]; wraps after 71 minutes.
pub fn micros() -> u32 {
    loop {
        let millis = MILLIS.load(Ordering::Relaxed);
        let left = SYST::get_current();
        // A millisecond that ended in between belongs to one or the other: read again.
        if MILLIS.load(Ordering::Relaxed) == millis {
            let cycles = SYST::get_reload() - left;
            let within = cycles.checked_div(CYCLES_A_MICRO.load(Ordering::Relaxed)).unwrap_or(0);
            return millis.wrapping_mul(1000).wrapping_add(within);
        }
    }
}

#[exception]
fn SysTick() {
    // Nothing else writes it.
    MILLIS.store(MILLIS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

defmt::timestamp!("{=u32:ms}", MILLIS.load(Ordering::Relaxed));
