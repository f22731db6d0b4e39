//! Cores that wait for work in a loop: threads of an operating system, or the cores of a board.

use super::executor::Executor;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A task without its lifetime.
type Task = *const (dyn Fn(usize) + Sync);

/// One core runs the session, and the others run [`WorkerPool::work`]. Each begins with its own part of a task's shares, which are
/// the same channels from kernel to kernel and from token to token, so that what it wrote and read is in its own cache. Who has
/// done these takes others', so that a core which isn't there, or which an operating system lets wait, holds nobody up. Handing out
/// a task takes a few stores, and each share two more; nothing is locked or allocated.
///
/// ```
/// use jamlet::kernels::{WorkerPool, Executor};
///
/// let pool = WorkerPool::new(2, |_| core::hint::spin_loop());
/// std::thread::scope(|scope| {
///     scope.spawn(|| pool.work());
///     pool.run(5, &|share| println!("share {share}"));
///     pool.dismiss();
/// });
/// ```
pub struct WorkerPool {
    cores: usize,
    idle: fn(u32),
    wake: fn(),
    min_parallel_bytes: usize,
    task: UnsafeCell<Option<Task>>,
    /// Shares of the task that nobody took, a bit each.
    free: AtomicUsize,
    /// Shares of the task.
    shares: AtomicUsize,
    /// Shares that aren't done.
    left: AtomicUsize,
    /// Whether a task is under way.
    running: AtomicBool,
    dismissed: AtomicBool,
    /// Cores that called [`WorkerPool::work`].
    workers: AtomicUsize,
}

// SAFETY: `task` is written only by the one caller of `run` that set `running`, and only while no share is left; it is read
// by who took a share, before that share is done.
unsafe impl Sync for WorkerPool {}

impl WorkerPool {
    /// A pool of `cores`, the session's included. A core that waits calls `idle` with how often it did so since it last had work;
    /// [`core::hint::spin_loop`] will do, and an operating system's yield after a while is kinder to others.
    pub const fn new(cores: usize, idle: fn(u32)) -> Self {
        Self {
            cores,
            idle,
            wake: || {},
            min_parallel_bytes: 16 << 10,
            task: UnsafeCell::new(None),
            free: AtomicUsize::new(0),
            shares: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            running: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            workers: AtomicUsize::new(0),
        }
    }

    /// Calls `wake` whenever there is something that cores in `idle` may wait for, for those that sleep there.
    pub const fn waking(self, wake: fn()) -> Self {
        Self { wake, ..self }
    }

    /// Leaves kernels that read fewer `bytes` than this, 16 KiB unless told otherwise, to the session's core.
    pub const fn min_parallel_bytes(self, bytes: usize) -> Self {
        Self { min_parallel_bytes: bytes, ..self }
    }

    /// Works until the pool is dismissed. Every core but the session's calls this once.
    pub fn work(&self) {
        // The session's core is number 0.
        let core = self.workers.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mut waits = 0;
        while !self.dismissed.load(Ordering::Relaxed) {
            match self.take(core) {
                Some(share) => {
                    self.work_on(share);
                    waits = 0;
                }
                None => {
                    (self.idle)(waits);
                    waits = waits.saturating_add(1);
                }
            }
        }
    }

    /// A share of the task under way: the first one of core number `core`'s own, or the last one of all.
    fn take(&self, core: usize) -> Option<usize> {
        let mut free = self.free.load(Ordering::Acquire);
        while free != 0 {
            // Those of another task, where it changes just now, are no worse but for the cache.
            let shares = self.shares.load(Ordering::Relaxed);
            let below = |core: usize| ones(core.saturating_mul(shares) / self.cores.max(1));
            let own = free & below(core + 1) & !below(core);
            let share = if own == 0 { free.ilog2() } else { own.trailing_zeros() };
            match self.free.compare_exchange_weak(free, free & !(1 << share), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(share as usize),
                Err(changed) => free = changed,
            }
        }
        None
    }

    /// Does a share that was taken.
    fn work_on(&self, share: usize) {
        let _done = Done(self);
        // SAFETY: the task was written before its shares could be taken, and isn't written again before this one is done.
        if let Some(task) = unsafe { *self.task.get() } {
            // SAFETY: `run` returns, and so what the task borrows ends, only after this share is done.
            unsafe { (*task)(share) };
        }
    }

    /// Lets [`WorkerPool::work`] return on every core. The pool can't work again.
    pub fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Relaxed);
        (self.wake)();
    }
}

/// Says that a share is done, even if it panics.
struct Done<'a>(&'a WorkerPool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        if self.0.left.fetch_sub(1, Ordering::Release) == 1 {
            (self.0.wake)();
        }
    }
}

/// Does what is left, and waits for what others took, even if a share panics.
struct Wait<'a>(&'a WorkerPool);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        while let Some(share) = self.0.take(0) {
            self.0.work_on(share);
        }
        let mut waits = 0;
        while self.0.left.load(Ordering::Acquire) != 0 {
            (self.0.idle)(waits);
            waits = waits.saturating_add(1);
        }
        self.0.running.store(false, Ordering::Release);
    }
}

impl Executor for WorkerPool {
    fn cores(&self) -> usize {
        self.cores
    }

    fn min_parallel_bytes(&self) -> usize {
        self.min_parallel_bytes
    }

    /// More shares than a `usize` has bits are done by the core that calls.
    fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync)) {
        // A second session on the same pool, or a task within a task, does all shares itself.
        if self.cores <= 1 || shares <= 1 || shares > MOST || self.running.swap(true, Ordering::Acquire) {
            (0..shares).for_each(task);
            return;
        }
        // SAFETY: only the lifetime is left out, and `Wait` sees to it that every share is done when it ends.
        let erased = unsafe { core::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task) };
        // SAFETY: `running` was ours to set and no share is left, so nobody else looks at it.
        unsafe { *self.task.get() = Some(erased) };
        self.left.store(shares, Ordering::Relaxed);
        self.shares.store(shares, Ordering::Relaxed);
        self.free.store(ones(shares), Ordering::Release);
        (self.wake)();
        drop(Wait(self));
    }
}

/// Shares that a task can have.
const MOST: usize = usize::BITS as usize;

/// The lowest `count` bits.
const fn ones(count: usize) -> usize {
    match 1usize.checked_shl(count as u32) {
        Some(bit) => bit - 1,
        None => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_takes_its_own_shares_in_order_and_then_the_last_ones() {
        let pool = WorkerPool::new(3, |_| ());
        let start = |shares| {
            pool.shares.store(shares, Ordering::Relaxed);
            pool.free.store(ones(shares), Ordering::Relaxed);
        };
        start(9);
        let took = [1, 1, 0, 1, 1, 2, 2, 0, 0, 1].map(|core| pool.take(core));
        assert_eq!(took, [Some(3), Some(4), Some(0), Some(5), Some(8), Some(6), Some(7), Some(1), Some(2), None]);
        // As many as there are bits, and a worker that the pool wasn't told of.
        start(MOST);
        let took = [2, 3, 0].map(|core| pool.take(core));
        assert_eq!(took, [Some(2 * MOST / 3), Some(MOST - 1), Some(0)]);
    }
}
