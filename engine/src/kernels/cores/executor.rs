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

    /// Calls `task(share)` once for every `share` in `0..shares`, on any cores and in any order, and returns when all calls have
    /// returned. There may be a few times as many shares as cores, so that a core which is late or slow does fewer of them.
    fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync));
}

/// The core that calls, and no other.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneCore;

impl Executor for OneCore {
    fn cores(&self) -> usize {
        1
    }

    fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..shares).for_each(task);
    }
}
