//! Work that is cut into shares for the cores, or left whole where there is one core.

#[cfg(feature = "cores")]
use super::executor::{Executor, OneCore};
#[cfg(not(feature = "cores"))]
use core::marker::PhantomData;
use core::num::NonZeroUsize;

/// The cores that kernels are spread over. Without the feature `cores` that is one, and the compiler leaves out all that cuts.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Cores<'e> {
    #[cfg(feature = "cores")]
    executor: &'e dyn Executor,
    #[cfg(not(feature = "cores"))]
    lifetime: PhantomData<&'e ()>,
}

#[cfg(feature = "cores")]
impl<'e> Cores<'e> {
    /// The core that calls.
    pub(in crate::kernels) const ONE: Self = Self { executor: &OneCore };

    pub(in crate::kernels) const fn of(executor: &'e dyn Executor) -> Self {
        Self { executor }
    }

    /// How many there are.
    pub(in crate::kernels) fn count(&self) -> usize {
        self.executor.cores()
    }

    /// Bytes that a kernel must read for the others to be worth waking.
    fn min_parallel_bytes(&self) -> usize {
        self.executor.min_parallel_bytes().max(1)
    }

    fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync)) {
        self.executor.run(shares, task);
    }
}

#[cfg(not(feature = "cores"))]
impl Cores<'_> {
    /// The core that calls.
    pub(in crate::kernels) const ONE: Self = Self { lifetime: PhantomData };

    /// How many there are.
    pub(in crate::kernels) const fn count(&self) -> usize {
        1
    }

    /// Bytes that a kernel must read for others to be worth waking, of which there are none.
    const fn min_parallel_bytes(&self) -> usize {
        usize::MAX
    }

    fn run(&self, shares: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..shares).for_each(task);
    }
}

/// The most shares of a core.
const SHARES_OF_A_CORE: usize = 4;

impl Cores<'_> {
    /// Calls `part(first, count)` on all cores for shares of `0..items`, or once for all where that isn't worth it. `bytes` is
    /// what all items read, or the bytes of weights that a core would multiply in the time that they take.
    ///
    /// Not generic, because what it calls is: there is one of it in flash, or none.
    #[cfg_attr(feature = "cores", inline(never))]
    #[cfg_attr(not(feature = "cores"), inline(always))]
    pub(in crate::kernels) fn share(&self, items: usize, bytes: usize, part: &(dyn Fn(usize, usize) + Sync)) {
        let shares = self.shares(usize::MAX, items, bytes);
        self.each(shares.get(), &|share| {
            let (start, end) = (items * share / shares, items * (share + 1) / shares);
            part(start, end - start);
        });
    }

    /// Into how many shares `items` are cut that read so many bytes: one where more aren't worth it, and no more than `most`.
    #[inline]
    pub(in crate::kernels) fn shares(&self, most: usize, items: usize, bytes: usize) -> NonZeroUsize {
        let (cores, least) = (self.count(), self.min_parallel_bytes());
        let most = most.min(items).min(usize::BITS as usize);
        if cores <= 1 || bytes < least || cfg!(not(target_has_atomic = "ptr")) {
            return NonZeroUsize::MIN;
        }
        // Several a core where each is worth it: one that begins late or computes slowly holds the others up for less.
        let worth = bytes.checked_div(least.saturating_mul(cores)).unwrap_or(0);
        let each = worth.clamp(1, SHARES_OF_A_CORE).min((most / cores).max(1));
        NonZeroUsize::new((each * cores).min(most)).unwrap_or(NonZeroUsize::MIN)
    }

    /// Calls `one(share)` once for each of `0..shares`, at most as many as a usize has bits.
    #[inline]
    pub(in crate::kernels) fn each(&self, shares: usize, one: &(dyn Fn(usize) + Sync)) {
        if shares <= 1 {
            return one(0);
        }
        // An executor is safe code, and may be wrong: a share that two had at once would be undefined behaviour.
        let taken = Taken::default();
        self.run(shares, &|share| {
            if share < shares && taken.take(share) {
                one(share);
            }
        });
    }
}

/// Which shares of a task were taken, a bit each. Without atomic instructions there is one core only.
#[derive(Debug, Default)]
struct Taken(#[cfg(target_has_atomic = "ptr")] core::sync::atomic::AtomicUsize);

impl Taken {
    /// Takes `share`; false if it was taken before.
    #[cfg(target_has_atomic = "ptr")]
    fn take(&self, share: usize) -> bool {
        let bit = 1usize.checked_shl(share as u32).unwrap_or(0);
        // Relaxed, because the executor orders what the shares write.
        self.0.fetch_or(bit, core::sync::atomic::Ordering::Relaxed) & bit == 0 && bit != 0
    }

    /// Takes `share`; false if it isn't the only one.
    #[cfg(not(target_has_atomic = "ptr"))]
    fn take(&self, share: usize) -> bool {
        share == 0
    }
}
