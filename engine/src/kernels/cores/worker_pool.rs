//! Cores that wait for work in a loop: threads of an operating system, or the cores of a board.

use super::executor::Executor;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A task without its lifetime.
type Task = *const (dyn Fn(usize) + Sync);

/// One core runs the session, and the others run [`WorkerPool::work`]. Whoever is awake takes the next share of a task, so that a
/// core which isn't there, or which an operating system lets wait, holds nobody up. Handing out a task takes one store, and
/// each share two more; nothing is locked or allocated.
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
    /// The number of the task times 256, and how many of its shares nobody took.
    next: AtomicUsize,
    /// Shares that aren't done.
    left: AtomicUsize,
    /// Whether a task is under way.
    running: AtomicBool,
    dismissed: AtomicBool,
}

// SAFETY: `task` is written only by the one caller of `run` that set `running`, and only while no share is left; it is read
// by who took a share, before that share is done.
unsafe impl Sync for WorkerPool {}

impl WorkerPool {
    /// A pool of `cores`, at most 255, itself included. A core that waits calls `idle` with how often it did so since it last had work;
    /// [`core::hint::spin_loop`] will do, and an operating system's yield after a while is kinder to others.
    pub const fn new(cores: usize, idle: fn(u32)) -> Self {
        assert!(cores < TASK, "a pool has at most 255 cores");
        Self {
            cores,
            idle,
            wake: || {},
            min_parallel_bytes: 16 << 10,
            task: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            running: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
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
        let mut waits = 0;
        while !self.dismissed.load(Ordering::Relaxed) {
            match self.take() {
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

    /// The next share of the task under way: the last one first.
    fn take(&self) -> Option<usize> {
        let mut next = self.next.load(Ordering::Acquire);
        while !next.is_multiple_of(TASK) {
            match self.next.compare_exchange_weak(next, next - 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(next % TASK - 1),
                Err(changed) => next = changed,
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
        while let Some(share) = self.0.take() {
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

    /// More than 255 shares are done by the core that calls.
    fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync)) {
        // A second session on the same pool, or a task within a task, does all shares itself.
        if self.cores <= 1 || shares <= 1 || shares >= TASK || self.running.swap(true, Ordering::Acquire) {
            (0..shares).for_each(task);
            return;
        }
        // SAFETY: only the lifetime is left out, and `Wait` sees to it that every share is done when it ends.
        let erased = unsafe { core::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task) };
        // SAFETY: `running` was ours to set and no share is left, so nobody else looks at it.
        unsafe { *self.task.get() = Some(erased) };
        self.left.store(shares, Ordering::Relaxed);
        let task = self.next.load(Ordering::Relaxed) / TASK;
        self.next.store(task.wrapping_add(1).wrapping_mul(TASK) + shares, Ordering::Release);
        (self.wake)();
        drop(Wait(self));
    }
}

/// Shares that a task can have, and one more.
const TASK: usize = 256;
