//! The blocks of a Jamba, each readable beside its paper. Every block reads the residual stream through a norm and adds
//! its output to it.

mod attention;
mod mamba;
mod mlp;
mod moe;
mod norm;

pub(crate) use attention::attention;
pub(crate) use mamba::mamba;
pub(crate) use mlp::mlp;
pub(crate) use moe::moe;
pub(crate) use norm::normalize;

use crate::kernels::{Kernels, Quantized};
use crate::matrix::{groups, padded_cols};
use crate::model::Header;
use crate::state::Buffers;

/// One chunk on its way through the layers.
pub(crate) struct Pass<'a, 'w> {
    pub kernels: Kernels<'a>,
    pub header: &'a Header,
    pub buffers: &'a mut Buffers<'w>,
    /// Tokens in this chunk.
    pub tokens: usize,
    /// Tokens before it.
    #[cfg_attr(not(any(feature = "narrow-state", feature = "heavy-hitters")), expect(dead_code))]
    pub position: u64,
}

/// The first `count` elements; shorter only if the plan were wrong.
pub(crate) fn take_prefix<T>(buffer: &mut [T], count: usize) -> &mut [T] {
    let count = count.min(buffer.len());
    buffer.split_at_mut_checked(count).map_or(&mut [], |(head, _)| head)
}

/// Room for `tokens` quantized rows of `cols` numbers, and what it takes to fill it.
pub(crate) struct Rows<'q> {
    values: &'q mut [i8],
    scales: &'q mut [f32],
    cols: usize,
    group: usize,
}

impl<'q> Rows<'q> {
    pub(crate) fn new(
        tokens: usize,
        cols: usize,
        group: usize,
        (values, scales): (&'q mut [i8], &'q mut [f32]),
    ) -> Self {
        // At least one group, so that rows without columns do no harm.
        let (cols, groups) = (padded_cols(cols).max(8), groups(cols, group).max(1));
        Self { values: take_prefix(values, tokens * cols), scales: take_prefix(scales, tokens * groups), cols, group }
    }

    /// Every row's place for values and scales.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&mut [i8], &mut [f32])> {
        let groups = groups(self.cols, self.group).max(1);
        self.values.chunks_exact_mut(self.cols).zip(self.scales.chunks_exact_mut(groups))
    }

    /// The first `tokens` rows.
    pub(crate) fn take_prefix(self, tokens: usize) -> Quantized<'q> {
        let groups = groups(self.cols, self.group).max(1);
        Self {
            values: take_prefix(self.values, tokens * self.cols),
            scales: take_prefix(self.scales, tokens * groups),
            ..self
        }
        .done()
    }

    /// All rows.
    pub(crate) fn done(self) -> Quantized<'q> {
        Quantized { values: self.values, scales: self.scales, cols: self.cols, group: self.group }
    }
}

/// Quantizes the first `cols` numbers of every row of `x (tokens, row)` into `buffer`.
pub(crate) fn quantize_rows<'q>(
    kernels: Kernels<'_>,
    x: &[f32],
    row: usize,
    cols: usize,
    group: usize,
    buffer: (&'q mut [i8], &'q mut [f32]),
) -> Quantized<'q> {
    let mut rows = Rows::new(x.len() / row.max(1), cols, group, buffer);
    for (x, (values, scales)) in x.chunks_exact(row.max(1)).zip(rows.iter_mut()) {
        kernels.quantize(x.get(..cols).unwrap_or(&[]), group, values, scales);
    }
    rows.done()
}

/// `rows += bias`.
pub(crate) fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len().max(1)) {
        add_rows(row, bias);
    }
}

/// `x += y`.
pub(crate) fn add_rows(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
