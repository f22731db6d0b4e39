//! How a tile of a `Q8` matrix is cut, for all matrix kernels.

use super::Quantized;
use crate::image::{TILE_COLS, TILE_ROWS};

/// Four columns of a tile's eight rows.
pub type Fours = [u8; TILE_ROWS * TILE_COLS];

/// The part of a tile that shares scales.
pub struct Group<'m> {
    /// f16 scale of each row.
    pub scales: &'m [u8; 2 * TILE_ROWS],
    /// The weights, four columns at a time.
    pub weights: &'m [Fours],
}

/// The groups of a tile of padded `cols`.
pub struct Groups<'m> {
    rest: &'m [u8],
    cols: usize,
    group: usize,
}

impl<'m> Groups<'m> {
    /// Of the tile that begins `tile`.
    #[inline(always)]
    pub fn new(tile: &'m [u8], x: &Quantized<'_>) -> Self {
        Self { rest: tile, cols: x.cols, group: x.group }
    }
}

impl<'m> Iterator for Groups<'m> {
    type Item = Group<'m>;

    #[inline(always)]
    fn next(&mut self) -> Option<Group<'m>> {
        let width = self.group.min(self.cols);
        if width == 0 {
            return None;
        }
        let (scales, rest) = self.rest.split_first_chunk()?;
        let (weights, rest) = rest.split_at_checked(TILE_ROWS * width)?;
        self.rest = rest;
        self.cols -= width;
        Some(Group { scales, weights: weights.as_chunks().0 })
    }
}

/// Fours of activations of group `index`; as many as `like` has, or none.
#[inline(always)]
pub fn activations<'a>(row: &'a [i8], index: usize, group: usize, like: &[Fours]) -> &'a [[i8; TILE_COLS]] {
    let start = index * group;
    row.get(start..start + TILE_COLS * like.len()).unwrap_or(&[]).as_chunks().0
}
