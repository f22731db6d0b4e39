//! Cores: how a kernel's work is spread over them.

/// Something that can do a task on several cores at once.
///
/// The engine splits rows, channels and attention heads so that every number is computed by one core in one fixed order: the
/// results have the same bits for any number of cores.
pub trait Executor: Sync {
    /// How many cores there are, at least 1. It may not change while a session lives.
    fn cores(&self) -> usize;

    /// Bytes that a kernel must read, once for each token, for the other cores to be worth waking.
    fn min_parallel_bytes(&self) -> usize {
        16 << 10
    }

    /// Calls `task(core)` once for every `core` in `0..cores()`, and returns when all calls have returned.
    fn run(&self, task: &(dyn Fn(usize) + Sync));
}

/// Which shares of a task were taken, a bit each. Without atomic instructions there is one core only.
#[derive(Debug, Default)]
pub(in crate::kernels) struct Taken(#[cfg(target_has_atomic = "ptr")] core::sync::atomic::AtomicUsize);

impl Taken {
    /// Takes `share`; false if it was taken before.
    #[cfg(target_has_atomic = "ptr")]
    pub(in crate::kernels) fn take(&self, share: usize) -> bool {
        let bit = 1usize.checked_shl(share as u32).unwrap_or(0);
        // Relaxed, because the executor orders what the shares write.
        self.0.fetch_or(bit, core::sync::atomic::Ordering::Relaxed) & bit == 0 && bit != 0
    }

    /// Takes `share`; false if it isn't the only one.
    #[cfg(not(target_has_atomic = "ptr"))]
    pub(in crate::kernels) fn take(&self, share: usize) -> bool {
        share == 0
    }
}

/// The core that calls, and no other.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneCore;

impl Executor for OneCore {
    fn cores(&self) -> usize {
        1
    }

    fn run(&self, task: &(dyn Fn(usize) + Sync)) {
        task(0);
    }
}
