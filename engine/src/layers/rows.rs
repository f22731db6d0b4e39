//! Rows of numbers, one a token, and their quantization.

use crate::kernels::{Kernels, Quantized};
use crate::matrix::{groups, padded_cols};
use crate::planned::planned;
use crate::state::QuantBuffer;

/// The first `count` elements of a buffer that the plan made large enough.
pub(crate) fn take_prefix<T>(buffer: &mut [T], count: usize) -> &mut [T] {
    planned(buffer.get_mut(..count))
}

/// Row `index` of `rows (tokens, width)`.
pub(super) fn row<T>(rows: &[T], index: usize, width: usize) -> &[T] {
    planned(rows.get(index * width..(index + 1) * width))
}

/// Row `index` of `rows (tokens, width)`.
pub(super) fn row_mut<T>(rows: &mut [T], index: usize, width: usize) -> &mut [T] {
    planned(rows.get_mut(index * width..(index + 1) * width))
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

/// Quantizes the first `cols` numbers of every row of `x (tokens, width)` into `buffer`.
pub(super) fn quantize_rows<'q>(
    kernels: Kernels<'_>,
    x: &[f32],
    width: usize,
    cols: usize,
    group: usize,
    buffer: &'q mut QuantBuffer<'_>,
) -> Quantized<'q> {
    let mut rows = Rows::new(x.len() / width.max(1), cols, group, buffer);
    for (x, (values, scales)) in x.chunks_exact(width.max(1)).zip(rows.iter_mut()) {
        kernels.quantize(planned(x.get(..cols)), group, values, scales);
    }
    rows.into_all()
}

/// `rows += bias`.
pub(super) fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len().max(1)) {
        add_rows(row, bias);
    }
}

/// `x += y`.
pub(super) fn add_rows(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
