//! Rows of numbers, one a token, and their quantization.

use crate::kernels::{Kernels, Quantized, TokenRows};
use crate::matrix::{groups, padded_cols};
use crate::planned::planned;
use crate::state::QuantBuffer;
use core::num::NonZeroUsize;

/// The first `count` elements of a buffer that the plan made large enough.
pub(crate) fn take_prefix<T>(buffer: &mut [T], count: usize) -> &mut [T] {
    planned(buffer.get_mut(..count))
}

/// Row `index` of `rows (tokens, width)`.
pub(super) fn row<T>(rows: &[T], index: usize, width: usize) -> &[T] {
    planned(rows.get(index * width..(index + 1) * width))
}

/// The rows of each sequence, which are `length` numbers.
pub(super) fn sequences(rows: &[f32], length: usize) -> impl Iterator<Item = &[f32]> {
    rows.chunks_exact(length.max(1))
}

/// The rows of each sequence, which are `length` numbers.
pub(super) fn sequences_mut(rows: &mut [f32], length: usize) -> impl Iterator<Item = &mut [f32]> {
    rows.chunks_exact_mut(length.max(1))
}

/// Room for `tokens` quantized rows of `cols` numbers, and what it takes to fill it.
pub(super) struct Rows<'q> {
    values: &'q mut [i8],
    scales: &'q mut [f32],
    cols: usize,
    group: usize,
}

impl<'q> Rows<'q> {
    pub(super) fn new(tokens: usize, cols: usize, group: usize, buffer: &'q mut QuantBuffer<'_>) -> Self {
        // At least one group, so that rows without columns do no harm.
        let (cols, groups) = (padded_cols(cols).max(8), groups(cols, group).max(1));
        let (values, scales) = (take_prefix(buffer.values, tokens * cols), take_prefix(buffer.scales, tokens * groups));
        Self { values, scales, cols, group }
    }

    /// The rows as cores write them, beside rows `x (tokens, width)`.
    pub(super) fn beside<'a>(&'a mut self, x: &'a mut [f32], width: usize) -> TokenRows<'a> {
        TokenRows { x, width, values: self.values, scales: self.scales }
    }

    /// Every row's place for values and scales.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&mut [i8], &mut [f32])> {
        let groups = groups(self.cols, self.group).max(1);
        self.values.chunks_exact_mut(self.cols).zip(self.scales.chunks_exact_mut(groups))
    }

    /// The first `tokens` rows.
    pub(super) fn into_first(self, tokens: usize) -> Quantized<'q> {
        let groups = groups(self.cols, self.group).max(1);
        let (values, scales) =
            (take_prefix(self.values, tokens * self.cols), take_prefix(self.scales, tokens * groups));
        Quantized { values, scales, cols: self.cols, group: self.group }
    }

    /// All rows.
    pub(super) fn into_all(self) -> Quantized<'q> {
        Quantized { values: self.values, scales: self.scales, cols: self.cols, group: self.group }
    }
}

/// Bytes of weights that a core multiplies while it rounds or adds a number.
pub(super) const NUMBER: usize = 4;

/// Rows of `x (tokens, width)` that the cores change, `before(token, row)`, and of which they then quantize the first `cols` numbers
/// into `buffer`. A number takes them as long as multiplying `bytes` of weights.
pub(super) fn change_and_quantize<'q>(
    kernels: Kernels<'_>,
    (x, width, cols): (&mut [f32], usize, usize),
    group: usize,
    buffer: &'q mut QuantBuffer<'_>,
    bytes: usize,
    before: &(dyn Fn(usize, &mut [f32]) + Sync),
) -> Quantized<'q> {
    let tokens = x.len() / width.max(1);
    let mut rows = Rows::new(tokens, cols, group, buffer);
    kernels.tokens(tokens, bytes, rows.beside(x, width), &|token, row| {
        before(token, row.x);
        kernels.quantize(planned(row.x.get(..cols)), group, row.values, row.scales);
    });
    rows.into_all()
}

/// Quantizes every row of `x (tokens, width)` into `buffer`.
///
/// Not part of the blocks, whose matrix products take the most of the stack.
#[inline(never)]
pub(super) fn quantize_rows<'q>(
    kernels: Kernels<'_>,
    x: &mut [f32],
    width: usize,
    group: usize,
    buffer: &'q mut QuantBuffer<'_>,
) -> Quantized<'q> {
    if kernels.on_one_core() {
        return change_and_quantize(kernels, (x, width, width), group, buffer, NUMBER, &|_, _| ());
    }
    let tokens = x.len() / width.max(1);
    let mut rows = Rows::new(tokens, width, group, buffer);
    let columns = NonZeroUsize::new(group).unwrap_or(NonZeroUsize::MAX);
    kernels.columns(tokens, NUMBER, rows.beside(x, width), columns, &|_, _, row| {
        kernels.quantize(row.x, group, row.values, row.scales);
    });
    rows.into_all()
}

/// `x += y + bias`, added in this order, for rows of `x` and `y (tokens, width)`; there may be no bias.
pub(super) fn add_to(kernels: Kernels<'_>, x: &mut [f32], y: &[f32], bias: &[f32], width: usize) {
    let tokens = x.len() / width.max(1);
    let rows = TokenRows { x, width, values: &mut [], scales: &mut [] };
    kernels.tokens(tokens, NUMBER, rows, &|token, to| {
        add_rows(to.x, row(y, token, width));
        add_rows(to.x, bias);
    });
}

/// `rows += bias`.
pub(super) fn add_bias(kernels: Kernels<'_>, rows: &mut [f32], bias: &[f32]) {
    let width = bias.len();
    let tokens = rows.len() / width.max(1);
    let rows = TokenRows { x: rows, width, values: &mut [], scales: &mut [] };
    kernels.tokens(tokens, NUMBER, rows, &|_, row| add_rows(row.x, bias));
}

/// `x += y`.
pub(super) fn add_rows(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
