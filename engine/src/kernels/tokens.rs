//! What is computed token by token, on several cores: each has tokens of its own, or columns.

use super::cores::Shared;
use super::dispatch::Kernels;
use core::num::NonZeroUsize;

/// What [`Kernels::tokens`] writes: a token's row of each buffer.
pub(crate) struct TokenRows<'a> {
    /// `(tokens, width)`: numbers.
    pub x: &'a mut [f32],
    /// Numbers of a row.
    pub width: usize,
    /// `(tokens, cols)`: for quantized numbers, or nothing.
    pub values: &'a mut [i8],
    /// `(tokens, groups)`: for their scales, or nothing.
    pub scales: &'a mut [f32],
}

/// A token's row of each buffer.
pub(crate) struct TokenRow<'r> {
    /// `(width)`.
    pub x: &'r mut [f32],
    /// `(cols)`, or nothing.
    pub values: &'r mut [i8],
    /// `(groups)`, or nothing.
    pub scales: &'r mut [f32],
}

impl Kernels<'_> {
    /// Calls `one(token, row)` for every token; on several cores where a number takes as long as multiplying `bytes` of weights
    /// and that is worth it. Rows end where the buffers do.
    pub(crate) fn tokens(
        &self,
        tokens: usize,
        bytes: usize,
        rows: TokenRows<'_>,
        one: &(dyn Fn(usize, TokenRow<'_>) + Sync),
    ) {
        let TokenRows { x, width, values, scales } = rows;
        let (cols, groups) = (values.len() / tokens.max(1), scales.len() / tokens.max(1));
        let (x, values, scales) = (Shared::new(x), Shared::new(values), Shared::new(scales));
        self.cores.share(tokens, tokens * width * bytes, &|first, count| {
            for token in first..first + count {
                // SAFETY: no two shares have a token in common, and its rows are lent to one call at a time.
                let row = unsafe {
                    TokenRow {
                        x: x.part(token * width, width),
                        values: values.part(token * cols, cols),
                        scales: scales.part(token * groups, groups),
                    }
                };
                one(token, row);
            }
        });
    }

    /// Calls `one(token, first, row)` for parts of every token's row, which begin at number `first`. They are cut where a multiple of
    /// `group` numbers ends, so that each core has the columns that it also has in products, convolutions and scans; rows of
    /// too few groups stay whole. A number takes as long as multiplying `bytes` of weights.
    pub(crate) fn columns(
        &self,
        tokens: usize,
        bytes: usize,
        rows: TokenRows<'_>,
        group: NonZeroUsize,
        one: &(dyn Fn(usize, usize, TokenRow<'_>) + Sync),
    ) {
        let of_row = rows.width.div_ceil(group.get());
        if self.on_one_core() || of_row < self.cores.count() {
            return self.tokens(tokens, bytes, rows, &|token, row| one(token, 0, row));
        }
        let TokenRows { x, width, values, scales } = rows;
        let (cols, groups) = (values.len() / tokens.max(1), scales.len() / tokens.max(1));
        let (x, values, scales) = (Shared::new(x), Shared::new(values), Shared::new(scales));
        self.cores.share(of_row, tokens * width * bytes, &|first, count| {
            // The last part has the padding.
            let here = |length: usize| {
                let begin = (first * group.get()).min(length);
                let end = if first + count == of_row { length } else { ((first + count) * group.get()).min(length) };
                (begin, end - begin)
            };
            let ((begin, numbers), (values_begin, quantized)) = (here(width), here(cols));
            for token in 0..tokens {
                // SAFETY: no two shares have a column in common, and a token's are lent to one call at a time.
                let row = unsafe {
                    TokenRow {
                        x: x.part(token * width + begin, numbers),
                        values: values.part(token * cols + values_begin, quantized),
                        scales: scales.part(token * groups + first.min(groups), count.min(groups)),
                    }
                };
                one(token, begin, row);
            }
        });
    }
}
