//! Cores: how a kernel's work is spread over them.

/// Something that can do a task on several cores at once.
///
/// The engine splits rows and channels so that every number is computed by one core in one fixed order: the results have
/// the same bits for any number of cores.
pub trait Executor: Sync {
    /// How many cores there are, at least 1. It may not change while a session lives.
    fn cores(&self) -> usize;

    /// Calls `task(core)` once for every `core` in `0..cores()`, and returns when all calls have returned.
    fn run(&self, task: &(dyn Fn(usize) + Sync));
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
