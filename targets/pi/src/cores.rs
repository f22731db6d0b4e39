//! Cores 1 to 3 share the engine's work with core 0, which runs everything else.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use jamlet::kernels::{Kernels, WorkerPool};

/// All that there are.
pub const CORES: usize = 4;

/// The four cores. One that has nothing to do sleeps until an event.
static POOL: WorkerPool = WorkerPool::new(CORES, sleep).waking(wake);

/// Where cores 1 to 3 go on, once that isn't 0: boot.rs lets those wait for it that started with core 0.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data")]
static RELEASED: AtomicU64 = AtomicU64::new(0);

/// Where the boot firmware lets the others wait for an address: 8 bytes a core, core 0's included.
const SPIN_TABLE: usize = 0xD8;

// SAFETY: boot.rs defines it; only its address is used.
unsafe extern "C" {
    fn released();
}

/// This processor's kernels on all cores, which this starts. Call it once, when the MMU is on.
pub fn start() -> Kernels<'static> {
    let entry = (released as *const ()).addr() as u64;
    RELEASED.store(entry, Ordering::Release);
    clean((&raw const RELEASED).addr());
    for core in 1..CORES {
        let place = SPIN_TABLE + 8 * core;
        // SAFETY: the firmware keeps these words, in memory that is nothing else's, for this.
        unsafe { core::ptr::without_provenance_mut::<u64>(place).write_volatile(entry) };
        clean(place);
    }
    wake();
    Kernels::detect().on_cores(&POOL)
}

/// Writes a line of the cache back: the other cores' caches aren't on yet.
fn clean(address: usize) {
    // SAFETY: changes nothing that this core sees.
    unsafe { asm!("dc civac, {}", "dsb sy", in(reg) address, options(nostack, preserves_flags)) };
}

/// Where boot.rs leads cores 1 to 3, each with the MMU on and a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn work() {
    POOL.work();
}

fn sleep(_waits: u32) {
    // SAFETY: waits for an event; one that came since the last wait counts.
    unsafe { asm!("wfe", options(nostack, preserves_flags)) };
}

fn wake() {
    // SAFETY: an event to all cores, after everything written so far.
    unsafe { asm!("dsb ish", "sev", options(nostack, preserves_flags)) };
}
