//! SwiGLU over several cores: of one MLP, or of experts, each with tokens of its own.
//!
//! A core has some rows of the gate's and of the up matrix, and what these make of a token: it activates and quantizes it while that is in
//! its cache, so that cores wait for each other twice an MLP, or twice for many experts.

use super::cores::{Columns, Shared, Span};
use super::dispatch::{Kernels, STRETCH, STRIP, TILES};
use super::operands::Quantized;
use super::tokens::TokenRows;
use crate::matrix::{QMatrix, TILE_ROWS};
use core::num::NonZeroUsize;

/// An MLP's matrices.
pub(crate) struct Mlp<'m> {
    /// `(intermediate, hidden)`.
    pub gate: QMatrix<'m>,
    /// `(intermediate, hidden)`.
    pub up: QMatrix<'m>,
    /// `(hidden, intermediate)`.
    pub down: QMatrix<'m>,
}

/// MLPs of the same shape.
#[derive(Clone, Copy)]
pub(crate) struct Mlps<'a, 'm> {
    /// One of them.
    pub get: &'a (dyn Fn(usize) -> Mlp<'m> + Sync),
    /// For each, where its tokens end and those of the next one begin: in rising order.
    pub ends: &'a [usize],
}

impl Mlps<'_, '_> {
    /// Tokens of all.
    pub(crate) fn tokens(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The tokens of number `index`.
    fn tokens_of(&self, index: usize) -> Span {
        let end = |index: usize| self.ends.get(index).copied().unwrap_or(0);
        let first = index.checked_sub(1).map_or(0, end);
        Span { first, count: end(index).saturating_sub(first) }
    }
}

/// A part of the work: some tokens of an MLP, and some rows of a matrix.
struct Block<'m> {
    mlp: Mlp<'m>,
    tokens: Span,
    rows: Span,
}

impl Kernels<'_> {
    /// `gate = silu(gate(x)) · up(x)`, quantized. `gate` has room for all tokens and for the quantized rows, `up` for as many numbers.
    pub(crate) fn gated(&self, mlps: Mlps<'_, '_>, x: &Quantized<'_>, gate: TokenRows<'_>, up: &mut [f32]) {
        let TokenRows { x: gate, width, values, scales } = gate;
        let groups_of = NonZeroUsize::new(x.group).unwrap_or(NonZeroUsize::MIN);
        let group = groups_of.get();
        let of_row = |length: usize| length / mlps.tokens().max(1);
        let (cols, groups) = (of_row(values.len()), of_row(scales.len()));
        let (gate, up) = (Columns::new(gate, width), Columns::new(up, width));
        let (values, scales) = (Shared::new(values), Shared::new(scales));
        // Whole groups, and whole tiles as kernels take them.
        let tiles = TILES * TILE_ROWS;
        let unit =
            if tiles.is_multiple_of(group) || group.is_multiple_of(tiles) { tiles.max(group) } else { TILES * group };
        let bytes = |mlp: &Mlp<'_>| mlp.gate.bytes().len() + mlp.up.bytes().len();
        let one = |Block { mlp, tokens, rows }: Block<'_>| {
            let Mlp { gate: gate_weights, up: up_weights, .. } = &mlp;
            // SAFETY: no two blocks have a row of a matrix, which is a column here, for the same token (`blocks`); here and below.
            unsafe {
                self.multiply_block(gate_weights, x, &gate, tokens, rows);
                self.multiply_block(up_weights, x, &up, tokens, rows);
            }
            // The last rows have the padding.
            let end = rows.first + rows.count;
            let quantized = if end == width { cols.saturating_sub(rows.first) } else { rows.count };
            let first_group = rows.first / groups_of;
            let group_count = (end + group - 1) / groups_of - first_group;
            for token in tokens.first..tokens.first + tokens.count {
                // SAFETY: as above.
                unsafe {
                    let numbers = gate.row_of(token, rows);
                    self.swiglu(numbers, up.row_of(token, rows));
                    let values = values.part(token * cols + rows.first, quantized);
                    self.quantize(numbers, group, values, scales.part(token * groups + first_group, group_count));
                }
            }
        };
        self.blocks(mlps, (width, unit), &bytes, one);
    }

    /// `out (tokens, hidden) = down(x)`.
    pub(crate) fn down(&self, mlps: Mlps<'_, '_>, x: &Quantized<'_>, out: &mut [f32]) {
        let width = out.len() / mlps.tokens().max(1);
        let out = Columns::new(out, width);
        let bytes = |mlp: &Mlp<'_>| mlp.down.bytes().len();
        let one = |Block { mlp, tokens, rows }: Block<'_>| {
            // SAFETY: no two blocks have a row of a matrix, which is a column here, for the same token (`blocks`).
            unsafe { self.multiply_block(&mlp.down, x, &out, tokens, rows) };
        };
        self.blocks(mlps, (width, TILES * TILE_ROWS), &bytes, one);
    }

    /// Calls `one` for blocks that make up all tokens of every MLP and all of a matrix' rows, which are cut between units of `unit`.
    /// `bytes` are those of an MLP's weights that are read.
    #[inline(always)]
    fn blocks(
        &self,
        mlps: Mlps<'_, '_>,
        (rows, unit): (usize, usize),
        bytes: &dyn Fn(&Mlp<'_>) -> usize,
        one: impl Fn(Block<'_>) + Sync,
    ) {
        // What follows cuts tokens between ends that rise, so that no two blocks have both a token and a row in common.
        if mlps.ends.iter().zip(mlps.ends.iter().skip(1)).any(|(end, next)| end > next) {
            return;
        }
        #[cfg(test)]
        super::counted::add(mlps.ends.len() * bytes(&(mlps.get)(0)));
        if self.on_one_core() {
            for index in 0..mlps.ends.len() {
                one(Block {
                    mlp: (mlps.get)(index),
                    tokens: mlps.tokens_of(index),
                    rows: Span { first: 0, count: rows },
                });
            }
        } else {
            self.share_blocks(mlps, (rows, unit), bytes, &one);
        }
    }

    /// The same on several cores.
    fn share_blocks(
        &self,
        mlps: Mlps<'_, '_>,
        (rows, unit): (usize, usize),
        bytes: &dyn Fn(&Mlp<'_>) -> usize,
        one: &(dyn Fn(Block<'_>) + Sync),
    ) {
        let Some(count) = NonZeroUsize::new(mlps.ends.len()) else { return };
        let of_first = bytes(&(mlps.get)(0));
        let tiles = rows.div_ceil(TILE_ROWS);
        let shares = self.cores.shares(usize::MAX, count.get() * tiles, of_first * mlps.tokens()).get();
        let strips = mlps.tokens() / count / STRIP;
        // Some experts have more tokens than others, so their blocks are smaller than a share of equal ones would be.
        let of_one = if count.get() > 1 && shares > 1 && strips > 0 { 2 * shares } else { shares } / count;
        let grid = self.cores.grid(of_one.max(1), tiles / STRETCH, strips);
        let of_one = NonZeroUsize::new(grid.cells()).unwrap_or(NonZeroUsize::MIN);
        let blocks = count.get() * of_one.get();
        let shares = NonZeroUsize::new(blocks.min(usize::BITS as usize)).filter(|_| shares > 1);
        let shares = shares.unwrap_or(NonZeroUsize::MIN);
        self.cores.each(shares.get(), &|share| {
            for block in blocks * share / shares..blocks * (share + 1) / shares {
                let (index, cell) = (block / of_one, block % of_one);
                let (all, rows) = (mlps.tokens_of(index), grid.rows(cell, rows, unit));
                let part = grid.tokens(cell, all.count, STRIP);
                let tokens = Span { first: all.first + part.first, ..part };
                one(Block { mlp: (mlps.get)(index), tokens, rows });
            }
        });
    }
}
