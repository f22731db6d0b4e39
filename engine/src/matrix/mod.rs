//! An int8 matrix in the order in which kernels read it: a `Q8` section of an image.

mod tile;

pub use tile::{
    FLIPPED, Fours, Group, GroupMut, Groups, TILE_COLS, TILE_ROWS, decode, encode, groups, groups_mut, half_to_f32,
    padded_cols, tile_bytes,
};

/// A `Q8` matrix: see [`crate::image`] for its layout.
#[derive(Clone, Copy, Debug)]
pub struct QMatrix<'m> {
    bytes: &'m [u8],
    rows: usize,
    cols: usize,
    group: usize,
}

impl<'m> QMatrix<'m> {
    /// No rows and no columns.
    pub const EMPTY: Self = Self { bytes: &[], rows: 0, cols: 0, group: 8 };

    /// A matrix of `rows × cols` in `bytes`; rows for which the bytes don't suffice are not there.
    pub fn new(bytes: &'m [u8], rows: usize, cols: usize, group: usize) -> Self {
        let whole = bytes.len() / tile_bytes(cols, group).max(1) * TILE_ROWS;
        Self { bytes, rows: rows.min(whole), cols, group }
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

    /// The tiles' bytes.
    pub const fn bytes(&self) -> &'m [u8] {
        self.bytes
    }

    /// The tiles of 8 rows each; the last one may have rows of padding.
    pub fn tiles(&self) -> impl ExactSizeIterator<Item = &'m [u8]> + use<'m> {
        self.bytes.chunks_exact(tile_bytes(self.cols, self.group).max(1))
    }

    /// The rows `first .. first + count` as a matrix; `first` must be a multiple of 8, and what lies outside is left out.
    pub fn slice_rows(&self, first: usize, count: usize) -> Self {
        let start = first / TILE_ROWS * tile_bytes(self.cols, self.group);
        let rows = count.min(self.rows.saturating_sub(first));
        let bytes = self.bytes.get(start..).unwrap_or(&[]);
        let length = rows.div_ceil(TILE_ROWS) * tile_bytes(self.cols, self.group);
        Self { bytes: bytes.get(..length).unwrap_or(bytes), rows, ..*self }
    }

    /// Row `row` as f32 into `out`; zeros for a row that isn't there.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        out.fill(0.0);
        let Some(tile) = self.tiles().nth(row / TILE_ROWS) else { return };
        let lane = row % TILE_ROWS;
        let groups = Groups::new(tile, self.padded_cols(), self.group);
        for (out, Group { scales, weights }) in out.chunks_mut(self.group.max(1)).zip(groups) {
            let scale = scales.as_chunks::<2>().0.get(lane).map_or(0.0, |s| half_to_f32(*s));
            let fours = weights.iter().filter_map(|fours| fours.as_chunks::<TILE_COLS>().0.get(lane));
            for (out, w) in out.chunks_mut(TILE_COLS).zip(fours) {
                for (out, w) in out.iter_mut().zip(decode(*w)) {
                    *out = f32::from(w) * scale;
                }
            }
        }
    }

    /// Groups in a row.
    pub const fn groups(&self) -> usize {
        groups(self.cols, self.group)
    }
}
