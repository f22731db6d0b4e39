//! Core 1 shares the engine's work with core 0, which runs everything else.
//!
//! The HAL starts it with an FPU, a limit below its stack, and exclusive accesses that the other core sees, which the pool's
//! atomics need.

use cortex_m::asm;
use embassy_rp::multicore::{Stack, spawn_core1};
use embassy_rp::{Peri, peripherals::CORE1};
use jamlet::kernels::{Kernels, WorkerPool};

/// Core 1 runs kernels and nothing else: the deepest of them takes less than 3 KiB.
pub const STACK: usize = 4096;

/// Core 0 and core 1.
pub const CORES: usize = 2;

/// Both. One that has nothing to do sleeps until the other one's event.
static POOL: WorkerPool = WorkerPool::new(CORES, |_| asm::wfe()).waking(wake);

/// Starts core 1. Returns this processor's kernels on both.
pub fn start(core: Peri<'static, CORE1>, stack: &'static mut Stack<STACK>) -> Kernels<'static> {
    spawn_core1(core, stack, || {
        POOL.work();
        // Nobody dismisses the pool.
        loop {
            asm::wfe();
        }
    });
    Kernels::detect().on_cores(&POOL)
}

/// An event for the other core, after everything written so far.
fn wake() {
    asm::dsb();
    asm::sev();
}
