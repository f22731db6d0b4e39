//! A tile of a `Q8` or `Q4` matrix: eight rows, group after group. [`crate::image`] specifies the formats.

use core::num::NonZeroUsize;

/// Rows of a tile.
pub const TILE_ROWS: usize = 8;
/// Columns that lie together in a `Q8` tile.
pub const TILE_COLS: usize = 4;
/// Columns that lie together in a `Q4` tile.
pub const NIBBLE_COLS: usize = 8;
/// Columns of a `Q4` matrix that share a scale.
pub const NIBBLE_GROUP: usize = 32;

/// Bits of a stored weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bits {
    /// `Q8`.
    #[default]
    Eight,
    /// `Q4`.
    Four,
}

impl Bits {
    /// How many that is.
    pub const fn count(self) -> u8 {
        match self {
            Self::Eight => 8,
            Self::Four => 4,
        }
    }

    /// Columns that a [`Block`] holds.
    pub const fn block_cols(self) -> usize {
        match self {
            Self::Eight => TILE_COLS,
            Self::Four => NIBBLE_COLS,
        }
    }

    /// Bytes of one 8-row tile of a matrix of `cols` columns in groups of `group`.
    pub const fn tile_bytes(self, cols: usize, group: usize) -> usize {
        groups(cols, group) * 2 * TILE_ROWS + padded_cols(cols) / self.block_cols() * size_of::<Block>()
    }
}

/// Columns of a matrix after padding.
pub const fn padded_cols(cols: usize) -> usize {
    cols.next_multiple_of(8)
}

/// Groups in a row of a matrix; none where a group has no columns, which [`crate::image::Header::read`] refuses.
pub const fn groups(cols: usize, group: usize) -> usize {
    match NonZeroUsize::new(group) {
        Some(group) => padded_cols(cols).div_ceil(group.get()),
        None => 0,
    }
}

/// Bytes of one 8-row tile of a `Q8` matrix.
pub const fn tile_bytes(cols: usize, group: usize) -> usize {
    Bits::Eight.tile_bytes(cols, group)
}

/// The four bytes that store weights of columns `4n .. 4n + 4` of a `Q8` matrix.
pub const fn encode(weights: [i8; TILE_COLS]) -> [u8; TILE_COLS] {
    let flipped =
        u32::from_le_bytes([weights[0] as u8, weights[1] as u8, weights[2] as u8, weights[3] as u8]) ^ FLIPPED;
    flipped.to_le_bytes()
}

/// The weights that [`encode`] stored.
pub const fn decode(stored: [u8; TILE_COLS]) -> [i8; TILE_COLS] {
    let [a, b, c, d] = (u32::from_le_bytes(stored) ^ FLIPPED).to_le_bytes();
    [a as i8, b as i8, c as i8, d as i8]
}

/// The bits of four stored weights that are flipped: the top ones of even columns.
pub const FLIPPED: u32 = 0x0080_0080;

/// The four bytes that store weights of columns `8n .. 8n + 8` of a `Q4` matrix, each from −8 to 7.
pub const fn encode_nibbles(weights: [i8; NIBBLE_COLS]) -> [u8; 4] {
    let [a, b, c, d, e, f, g, h] = weights;
    [nibbles(a, e), nibbles(b, f), nibbles(c, g), nibbles(d, h)]
}

/// A weight in the lower half of a byte, and one in the upper.
const fn nibbles(low: i8, high: i8) -> u8 {
    (low as u8).wrapping_add(8) & 0xF | (high as u8).wrapping_add(8) << 4
}

/// The weights that [`encode_nibbles`] stored.
pub const fn decode_nibbles(stored: [u8; 4]) -> [i8; NIBBLE_COLS] {
    let [a, b, c, d] = stored;
    [low(a), low(b), low(c), low(d), low(a >> 4), low(b >> 4), low(c >> 4), low(d >> 4)]
}

const fn low(byte: u8) -> i8 {
    (byte & 0xF) as i8 - 8
}

/// Four columns of a tile's eight rows in `Q8`, eight in `Q4`: four bytes a row.
pub type Block = [u8; TILE_ROWS * 4];

/// One group of a tile: the columns whose weights share a scale in each row.
pub struct Group<'m> {
    /// f16 scale of each row.
    pub scales: &'m [u8; 2 * TILE_ROWS],
    /// The weights, a few columns at a time.
    pub weights: &'m [Block],
}

/// The groups of a tile of padded `cols`.
pub struct Groups<'m> {
    rest: &'m [u8],
    cols: usize,
    group: usize,
    bits: Bits,
}

impl<'m> Groups<'m> {
    /// The groups of the tile at the start of `tile`, of a matrix with `cols` columns (with padding) in groups of `group`.
    #[inline(always)]
    pub fn new(tile: &'m [u8], bits: Bits, cols: usize, group: usize) -> Self {
        Self { rest: tile, cols, group, bits }
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
        let (weights, rest) = rest.split_at_checked(width / self.bits.block_cols() * size_of::<Block>())?;
        self.rest = rest;
        self.cols -= width;
        Some(Group { scales, weights: weights.as_chunks().0 })
    }
}

/// One group of a tile that is written.
pub struct GroupMut<'t> {
    /// f16 scale of each row.
    pub scales: &'t mut [u8; 2 * TILE_ROWS],
    /// The weights, a few columns at a time.
    pub weights: &'t mut [Block],
}

/// The groups of a tile that is written, as [`Groups`] are those of one that is read.
pub fn groups_mut(tile: &mut [u8], bits: Bits, cols: usize, group: usize) -> impl Iterator<Item = GroupMut<'_>> {
    let (mut rest, mut cols) = (tile, cols);
    core::iter::from_fn(move || {
        let width = group.min(cols);
        let (scales, tail) = core::mem::take(&mut rest).split_first_chunk_mut().filter(|_| width > 0)?;
        let (weights, tail) = tail.split_at_mut_checked(width / bits.block_cols() * size_of::<Block>())?;
        (rest, cols) = (tail, cols - width);
        Some(GroupMut { scales, weights: weights.as_chunks_mut().0 })
    })
}

/// A weight's scale, an f16, from its little-endian bytes.
#[inline(always)]
pub fn half_to_f32(bytes: [u8; 2]) -> f32 {
    half::f16::from_le_bytes(bytes).to_f32_const()
}
