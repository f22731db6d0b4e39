//! Cores that wait for work in a loop: threads of an operating system, or the cores of a board.

use super::Executor;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A task without its lifetime.
type Task = *const (dyn Fn(usize) + Sync);

/// Core 0 runs the session, and the others run [`Crew::work`] from before its first token on. Handing out a task takes one
/// store, and its end one more by each core; nothing is locked or allocated.
///
/// ```
/// use jamlet::kernels::{Crew, Executor};
///
/// let crew = Crew::new(2, |_| core::hint::spin_loop());
/// std::thread::scope(|scope| {
///     scope.spawn(|| crew.work(1));
///     crew.run(&|core| println!("core {core}"));
///     crew.dismiss();
/// });
/// ```
pub struct Crew {
    cores: usize,
    idle: fn(u32),
    task: UnsafeCell<Option<Task>>,
    /// Tasks that were handed out.
    issued: AtomicUsize,
    /// Cores that still work on the last one.
    busy: AtomicUsize,
    /// Whether a task is under way.
    running: AtomicBool,
    dismissed: AtomicBool,
}

// SAFETY: `task` is written only by the one caller of `run` that set `running`, and only while no core is busy; the others
// read it between seeing `issued` change and leaving `busy`.
unsafe impl Sync for Crew {}

impl Crew {
    /// A crew of `cores`, itself included. A core that waits calls `idle` with how often it did so since it last had work;
    /// [`core::hint::spin_loop`] will do, and an operating system's yield after a while is kinder to others.
    pub const fn new(cores: usize, idle: fn(u32)) -> Self {
        Self {
            cores,
            idle,
            task: UnsafeCell::new(None),
            issued: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            running: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
        }
    }

    /// Works as core `core`, 1 to `cores − 1`, each once, until the crew is dismissed.
    pub fn work(&self, core: usize) {
        let mut seen = 0;
        let mut waits = 0;
        while !self.dismissed.load(Ordering::Relaxed) {
            let issued = self.issued.load(Ordering::Acquire);
            if issued == seen {
                (self.idle)(waits);
                waits = waits.saturating_add(1);
                continue;
            }
            (seen, waits) = (issued, 0);
            let _done = Done(&self.busy);
            // SAFETY: the task was written before `issued` changed, and isn't written again before this core is done.
            if let Some(task) = unsafe { *self.task.get() } {
                // SAFETY: `run` returns, and so what the task borrows ends, only after this core is done.
                unsafe { (*task)(core) };
            }
        }
    }

    /// Lets [`Crew::work`] return on every core. The crew can't work again.
    pub fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Relaxed);
    }
}

/// Says that a core is done, even if its task panics.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Waits for the other cores, even if core 0's share of the task panics.
struct Wait<'a>(&'a Crew);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waits = 0;
        while self.0.busy.load(Ordering::Acquire) != 0 {
            (self.0.idle)(waits);
            waits = waits.saturating_add(1);
        }
        self.0.running.store(false, Ordering::Release);
    }
}

impl Executor for Crew {
    fn cores(&self) -> usize {
        self.cores
    }

    fn run(&self, task: &(dyn Fn(usize) + Sync)) {
        // A second session on the same crew, or a task within a task, does all shares itself.
        if self.cores <= 1 || self.running.swap(true, Ordering::Acquire) {
            (0..self.cores).for_each(task);
            return;
        }
        // SAFETY: only the lifetime is left out, and `Wait` sees to it that no core has the task when it ends.
        let erased = unsafe { core::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task) };
        // SAFETY: `running` was ours to set and no core is busy, so nobody else looks at it.
        unsafe { *self.task.get() = Some(erased) };
        self.busy.store(self.cores - 1, Ordering::Relaxed);
        self.issued.fetch_add(1, Ordering::Release);
        let _wait = Wait(self);
        task(0);
    }
}
