//! Memory that several cores write at once, each its own part.

use super::shares::Span;
use crate::matrix::TILE_ROWS;
use core::marker::PhantomData;

/// A slice that is cut into parts from several cores.
pub(in crate::kernels) struct Shared<'a, T> {
    start: *mut T,
    length: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: as for `&mut [T]`; the caller of `part` sees to it that parts don't overlap.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(in crate::kernels) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), lifetime: PhantomData }
    }

    /// The elements `first .. first + count`, as far as there are any.
    ///
    /// # Safety
    /// As long as the part lives, no other part has any of its elements.
    #[expect(clippy::mut_from_ref, reason = "that is what the caller promises")]
    pub(in crate::kernels) unsafe fn part(&self, first: usize, count: usize) -> &mut [T] {
        let first = first.min(self.length);
        let count = count.min(self.length - first);
        // SAFETY: inside the slice that was borrowed, and by the caller's promise nobody else's.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(first), count) }
    }
}

/// Some columns of a `(tokens, stride)` matrix.
pub struct Columns<'a> {
    start: *mut f32,
    tokens: usize,
    stride: usize,
    count: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: as for `&mut [f32]`; the caller of `part` sees to it that parts don't overlap.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    /// All columns of `matrix (tokens, stride)`.
    pub fn new(matrix: &'a mut [f32], stride: usize) -> Self {
        let tokens = matrix.len() / stride.max(1);
        Self { start: matrix.as_mut_ptr(), tokens, stride, count: stride, lifetime: PhantomData }
    }

    /// Rows of the matrix.
    pub const fn tokens(&self) -> usize {
        self.tokens
    }

    /// The columns `first .. first + count` of these, as far as there are any.
    ///
    /// # Safety
    /// As long as the part lives, no other part has any of its columns, and nothing is done with `self`.
    pub(in crate::kernels) unsafe fn part(&self, first: usize, count: usize) -> Columns<'_> {
        let first = first.min(self.count);
        let count = count.min(self.count - first);
        // `wrapping`, because a part of no columns may begin past the end.
        Columns { start: self.start.wrapping_add(first), count, ..*self }
    }

    /// Some columns of some tokens, as far as there are any.
    ///
    /// # Safety
    /// As long as the block lives, no other part has any of its columns of these tokens, and nothing is done with `self`.
    pub(in crate::kernels) unsafe fn block_of(&self, tokens: Span, columns: Span) -> Columns<'_> {
        let first = tokens.first.min(self.tokens);
        let tokens = tokens.count.min(self.tokens - first);
        // SAFETY: the caller's promise.
        let columns = unsafe { self.part(columns.first, columns.count) };
        Columns { start: columns.start.wrapping_add(first * self.stride), tokens, ..columns }
    }

    /// Eight columns from `first` on of one token, as far as there are any.
    #[cfg(feature = "narrow-state")]
    pub(in crate::kernels) fn eight(&mut self, token: usize, first: usize) -> Columns<'_> {
        let inside = token < self.tokens && first < self.count;
        let start = if inside { self.start.wrapping_add(token * self.stride + first) } else { self.start };
        let count = if inside { (self.count - first).min(8) } else { 0 };
        Columns { start, tokens: usize::from(inside), count, lifetime: PhantomData, ..*self }
    }

    /// Writes a tile's eight numbers for one token from column `first` on, as far as there are columns.
    #[inline(always)]
    pub fn write(&mut self, token: usize, first: usize, y: &[f32; TILE_ROWS]) {
        if token >= self.tokens || first >= self.count {
            return;
        }
        let count = (self.count - first).min(TILE_ROWS);
        // SAFETY: token and columns are inside the matrix that was borrowed, and by the promise to `part` ours alone.
        unsafe {
            let to = self.start.add(token * self.stride + first);
            if count == TILE_ROWS {
                to.cast::<[f32; TILE_ROWS]>().write(*y);
            } else {
                to.copy_from_nonoverlapping(y.as_ptr(), count);
            }
        }
    }

    /// What [`Columns::write`] wrote; zeros where there are no columns.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(in crate::kernels) fn read(&self, token: usize, first: usize) -> [f32; TILE_ROWS] {
        let mut y = [0.0; TILE_ROWS];
        if token < self.tokens && first < self.count {
            let count = (self.count - first).min(TILE_ROWS);
            // SAFETY: as in `write`; it has no more than eight numbers.
            unsafe { y.as_mut_ptr().copy_from_nonoverlapping(self.start.add(token * self.stride + first), count) };
        }
        y
    }

    /// All of these columns, as long as nothing else is done with them.
    pub(in crate::kernels) fn all(&mut self) -> Columns<'_> {
        Columns { lifetime: PhantomData, ..*self }
    }

    /// Some columns of one token, as far as there are any.
    ///
    /// # Safety
    /// As long as they live, nobody else has any of them.
    #[expect(clippy::mut_from_ref, reason = "that is what the caller promises")]
    pub(in crate::kernels) unsafe fn row_of(&self, token: usize, columns: Span) -> &mut [f32] {
        if token >= self.tokens || columns.first >= self.count {
            return &mut [];
        }
        let count = columns.count.min(self.count - columns.first);
        // SAFETY: token and columns are inside the matrix that was borrowed, and by the caller's promise nobody else's.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(token * self.stride + columns.first), count) }
    }

    /// The columns `first .. first + count` of one token, as far as there are any.
    #[cfg(dsp)]
    pub(in crate::kernels) fn row(&mut self, token: usize, first: usize, count: usize) -> &mut [f32] {
        // SAFETY: by the promise to `part` these columns are ours alone, and they are borrowed as long as the row lives.
        unsafe { self.row_of(token, Span { first, count }) }
    }

    /// Where the columns `first .. first + count` of some tokens begin, the next token's lying [`Columns::stride`] further;
    /// `None` where not all of them are there.
    #[cfg(any(dsp, target_arch = "aarch64"))]
    pub(in crate::kernels) fn pointer(
        &mut self,
        tokens: core::ops::Range<usize>,
        first: usize,
        count: usize,
    ) -> Option<*mut f32> {
        let inside = tokens.end <= self.tokens && first + count <= self.count;
        inside.then(|| self.start.wrapping_add(tokens.start * self.stride + first))
    }

    /// Numbers from a token's row to the next one's.
    #[cfg(any(dsp, target_arch = "aarch64"))]
    pub(in crate::kernels) const fn stride(&self) -> usize {
        self.stride
    }

    /// `N` columns of one token from column `first` on; `None` where there aren't so many.
    #[inline(always)]
    pub fn block<const N: usize>(&mut self, token: usize, first: usize) -> Option<&mut [f32; N]> {
        if token >= self.tokens || first + N > self.count {
            return None;
        }
        // SAFETY: as in `write`; f32 arrays are aligned as f32 is.
        Some(unsafe { &mut *self.start.add(token * self.stride + first).cast() })
    }
}
