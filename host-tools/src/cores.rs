//! Threads as the engine's cores.

use jamlet::kernels::{Kernels, WorkerPool};
use std::thread;
use std::time::Duration;

/// Waits that only spin: about as long as the single-core work between two tasks of a token takes.
const SPIN: u32 = 20_000;
/// Waits after which decoding has probably stopped: a thread that still waits then sleeps. Before that, it yields.
const YIELD: u32 = 40_000;

/// Bytes of a kernel that are worth another thread. A PC's core multiplies some 60 KB from its cache in the microsecond in which
/// another one takes notice; a Raspberry Pi's takes ten times as long for them.
const MIN_PARALLEL_BYTES: usize = if cfg!(target_arch = "x86_64") { 160 << 10 } else { 16 << 10 };

fn idle(waits: u32) {
    match waits {
        0..SPIN => std::hint::spin_loop(),
        SPIN..YIELD => thread::yield_now(),
        _ => thread::sleep(Duration::from_micros(200)),
    }
}

/// Dismisses the pool, even if the work panics.
struct Dismiss<'a>(&'a WorkerPool);

impl Drop for Dismiss<'_> {
    fn drop(&mut self) {
        self.0.dismiss();
    }
}

/// Attention heads that are worth room at the same time: two for each thread.
pub const fn heads_at_once(threads: usize) -> u32 {
    2 * threads as u32
}

/// Calls `work` with `kernels` on as many threads, the caller's included.
pub fn on_threads<R>(threads: usize, kernels: Kernels<'static>, work: impl FnOnce(Kernels<'_>) -> R) -> R {
    let pool = WorkerPool::new(threads.max(1), idle).min_parallel_bytes(MIN_PARALLEL_BYTES);
    thread::scope(|scope| {
        let pool = &pool;
        let _dismiss = Dismiss(pool);
        for _ in 1..threads {
            scope.spawn(|| pool.work());
        }
        work(kernels.on_cores(pool))
    })
}
