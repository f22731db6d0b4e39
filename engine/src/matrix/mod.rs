//! A quantized matrix in the order in which kernels read it: a `Q8` or `Q4` section of an image.

mod tile;

pub use tile::{
    Bits, Block, FLIPPED, Group, GroupMut, Groups, NIBBLE_COLS, NIBBLE_GROUP, TILE_COLS, TILE_ROWS, decode,
    decode_nibbles, encode, encode_nibbles, groups, groups_mut, half_to_f32, padded_cols, tile_bytes,
};

/// A `Q8` or `Q4` matrix: see [`crate::image`] for its layout.
#[derive(Clone, Copy, Debug)]
pub struct QMatrix<'m> {
    bytes: &'m [u8],
    rows: usize,
    cols: usize,
    group: usize,
    bits: Bits,
}

impl<'m> QMatrix<'m> {
    /// No rows and no columns.
    pub const EMPTY: Self = Self { bytes: &[], rows: 0, cols: 0, group: 8, bits: Bits::Eight };

    /// A matrix of `rows × cols` in `bytes`; rows for which the bytes don't suffice are not there.
    pub fn new(bytes: &'m [u8], bits: Bits, rows: usize, cols: usize, group: usize) -> Self {
        let whole = bytes.len() / bits.tile_bytes(cols, group).max(1) * TILE_ROWS;
        Self { bytes, rows: rows.min(whole), cols, group, bits }
    }

    /// Output numbers.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Input numbers, without padding.
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// Input numbers after padding with zeros to a multiple of 8.
    pub const fn padded_cols(&self) -> usize {
        padded_cols(self.cols)
    }

    /// Columns that share a scale.
    pub const fn group(&self) -> usize {
        self.group
    }

    /// Bits of a weight.
    pub const fn bits(&self) -> Bits {
        self.bits
    }

    /// Bytes of a tile.
    pub const fn tile_bytes(&self) -> usize {
        self.bits.tile_bytes(self.cols, self.group)
    }

    /// The tiles' bytes.
    pub const fn bytes(&self) -> &'m [u8] {
        self.bytes
    }

    /// The tiles of 8 rows each; the last one may have rows of padding.
    pub fn tiles(&self) -> impl ExactSizeIterator<Item = &'m [u8]> + use<'m> {
        self.bytes.chunks_exact(self.tile_bytes().max(1))
    }

    /// The rows `first .. first + count` as a matrix; `first` must be a multiple of 8, and what lies outside is left out.
    pub fn slice_rows(&self, first: usize, count: usize) -> Self {
        let start = first / TILE_ROWS * self.tile_bytes();
        let rows = count.min(self.rows.saturating_sub(first));
        let bytes = self.bytes.get(start..).unwrap_or(&[]);
        let length = rows.div_ceil(TILE_ROWS) * self.tile_bytes();
        Self { bytes: bytes.get(..length).unwrap_or(bytes), rows, ..*self }
    }

    /// Row `row` as f32 into `out`; zeros for a row that isn't there.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        out.fill(0.0);
        let Some(tile) = self.tiles().nth(row / TILE_ROWS) else { return };
        let lane = row % TILE_ROWS;
        let groups = Groups::new(tile, self.bits, self.padded_cols(), self.group);
        for (out, Group { scales, weights }) in out.chunks_mut(self.group.max(1)).zip(groups) {
            let scale = scales.as_chunks::<2>().0.get(lane).map_or(0.0, |s| half_to_f32(*s));
            let stored = weights.iter().filter_map(|block| block.as_chunks::<4>().0.get(lane));
            for (out, stored) in out.chunks_mut(self.bits.block_cols()).zip(stored) {
                match self.bits {
                    Bits::Eight => scale_into(out, decode(*stored), scale),
                    Bits::Four => scale_into(out, decode_nibbles(*stored), scale),
                }
            }
        }
    }

    /// Groups in a row.
    pub const fn groups(&self) -> usize {
        groups(self.cols, self.group)
    }
}

/// Weights of a group with this scale as f32.
#[inline(always)]
fn scale_into<const N: usize>(out: &mut [f32], weights: [i8; N], scale: f32) {
    for (out, w) in out.iter_mut().zip(weights) {
        *out = f32::from(w) * scale;
    }
}
