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
const SHARES_OF_A_CORE: usize = 8;

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

    /// How so many shares of products are cut. There are as few stretches of rows as cores where more would be shorter than
    /// `stretches`, and no more strips of tokens than `strips`.
    #[inline]
    pub(in crate::kernels) fn grid(&self, shares: usize, stretches: usize, strips: usize) -> Grid {
        if strips <= 1 {
            return Grid { by_rows: shares, by_tokens: NonZeroUsize::MIN };
        }
        let by_rows = stretches.max(self.count()).min(shares);
        let by_tokens = (shares / by_rows.max(1)).min(strips);
        Grid { by_rows, by_tokens: NonZeroUsize::new(by_tokens).unwrap_or(NonZeroUsize::MIN) }
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

/// How products are cut: into stretches of rows, and these into strips of tokens. Cells with the same rows are neighbours.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Grid {
    by_rows: usize,
    by_tokens: NonZeroUsize,
}

impl Grid {
    /// How many cells it has.
    pub(in crate::kernels) fn cells(self) -> usize {
        self.by_rows * self.by_tokens.get()
    }

    /// Which of so many rows cell number `cell` has, cut between units of `unit`.
    pub(in crate::kernels) fn rows(self, cell: usize, rows: usize, unit: usize) -> Span {
        cut(rows, unit, cell / self.by_tokens, self.by_rows)
    }

    /// Which of so many tokens it has.
    pub(in crate::kernels) fn tokens(self, cell: usize, tokens: usize, unit: usize) -> Span {
        cut(tokens, unit, cell % self.by_tokens, self.by_tokens.get())
    }
}

/// First and count of part number `part` of `parts` into which so many items are cut, between units of `unit`.
fn cut(items: usize, unit: usize, part: usize, parts: usize) -> Span {
    let units = items.div_ceil(unit.max(1));
    let end = |part: usize| (unit * (units * part / parts.max(1))).min(items);
    Span { first: end(part), count: end(part + 1) - end(part) }
}

/// Rows, tokens or columns that follow each other.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Span {
    pub first: usize,
    pub count: usize,
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
