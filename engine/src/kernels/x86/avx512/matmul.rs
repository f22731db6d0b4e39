//! Matrix products: how tiles and tokens are walked, and what int8 weights do.
//!
//! VPDPBUSD adds four products of an unsigned and a signed byte to each 32-bit sum. It wants one factor unsigned, so weights
//! are multiplied as w + 128, and `128·Σx` is taken off at the start. One token reads a tile's eight rows 64 bytes at
//! a time, so that weights come from memory as one stream; several tokens share the reading of two tiles.

use super::vector::ask_ahead;
use crate::kernels::x86::avx2;
use crate::kernels::{Columns, Quantized};
use crate::matrix::{Bits, FLIPPED, NIBBLE_GROUP, QMatrix, TILE_ROWS};
use core::arch::x86_64::*;
use core::mem::MaybeUninit;
use core::ops::Range;

/// Tokens that go through a tile together: each has a register of sums and one of results.
const TOKENS: usize = 8;
/// Groups of eight tokens for which factors have room.
const ROOM: usize = 512;

/// What a group of eight tokens is multiplied with.
#[derive(Clone, Copy)]
struct Factors {
    /// What the sums begin with: `−Σx` times [`Weights::MORE`].
    offsets: [i32; TOKENS],
    scales: [f32; TOKENS],
}

type Room = [MaybeUninit<Factors>; ROOM];

/// Columns of a group for which loops are unrolled: the packer's default, and all that weights of 4 bits have.
const WIDTH: usize = NIBBLE_GROUP;

/// What weights of so many bits do differently.
pub(super) trait Weights {
    const BITS: Bits;
    /// What a weight as it is multiplied has more than it says.
    const MORE: i32;
    /// Cache lines of a group of [`WIDTH`] columns that are asked for ahead of one token.
    const LINES: usize;
    /// Bytes of a column of a tile.
    const COLUMN: usize = TILE_ROWS * Self::BITS.count() as usize / 8;

    /// Adds the products of one token and 64 bytes of weights: of the first half of their columns to the lower eight sums, of the
    /// others to the upper ones.
    ///
    /// # Safety
    /// The weights and the activations of so many columns must be there.
    unsafe fn line(weights: *const u8, x: *const i8, sums: &mut __m512i);

    /// Adds the products of `T` tokens and a block of columns of two tiles.
    ///
    /// # Safety
    /// As many of every token's x, `stride` apart, must be there.
    unsafe fn block<const T: usize>(stored: __m512i, x: *const i8, stride: usize, sums: &mut [__m512i; T]);
}

#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(in crate::kernels) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    product::<Q8>(w, x, out);
}

/// Matrix product with weights of `W`'s bits.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn product<W: Weights>(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    let groups = w.groups();
    if !avx2::fits(w, x) || groups > ROOM || (W::BITS == Bits::Four && x.group != NIBBLE_GROUP) {
        return match W::BITS {
            Bits::Eight => avx2::matmul(w, x, out),
            Bits::Four => avx2::matmul_q4(w, x, out),
        };
    }
    let mut room: Room = [const { MaybeUninit::uninit() }; ROOM];
    let most = ROOM / groups * TOKENS;
    let mut first = 0;
    while first < x.tokens() {
        let count = most.min(x.tokens() - first);
        for token in 0..count {
            prepare::<W>(x, first + token, token % TOKENS, &mut room[token / TOKENS * groups..][..groups]);
        }
        // SAFETY: every group of each of these tokens has its factors in the room.
        unsafe {
            match count {
                1 => one_token::<W>(w, x, first, &room, &mut out),
                _ => tokens::<W>(w, x, first..first + count, &room, &mut out),
            }
        }
        first += count;
    }
}

/// Fills in what all groups of a token are multiplied with.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
fn prepare<W: Weights>(x: &Quantized<'_>, token: usize, lane: usize, room: &mut [MaybeUninit<Factors>]) {
    let (row, scales) = x.row(token);
    for ((group, &scale), room) in row.chunks(x.group).zip(scales).zip(room) {
        let offset = -W::MORE * group.iter().map(|&x| i32::from(x)).sum::<i32>();
        let factors = room.as_mut_ptr();
        // SAFETY: inside the place for factors.
        unsafe {
            (&raw mut (*factors).offsets).cast::<i32>().add(lane).write(offset);
            (&raw mut (*factors).scales).cast::<f32>().add(lane).write(scale);
        }
    }
}

/// One token through all tiles.
///
/// # Safety
/// Matrix and activations belong together (`fits`), and the factors of all of the token's groups were prepared.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn one_token<W: Weights>(w: &QMatrix<'_>, x: &Quantized<'_>, token: usize, room: &Room, out: &mut Columns<'_>) {
    for tile in 0..w.rows().div_ceil(TILE_ROWS) {
        let mut y = _mm256_setzero_ps();
        // SAFETY: by the caller's promise the matrix has so many tiles of this size, the activations so many tokens of this
        // size, and every group its factors.
        unsafe {
            let mut groups = w.bytes().as_ptr().add(tile * w.tile_bytes());
            let mut x_at = x.values.as_ptr().add(token * x.cols);
            let mut factors: *const Factors = room.as_ptr().cast();
            let mut left = x.cols;
            while left > 0 {
                let width = x.group.min(left);
                let scales = avx2::scales(&*groups.cast());
                let weights = groups.add(2 * TILE_ROWS);
                let mut sums = _mm512_zextsi256_si512(_mm256_set1_epi32((*factors).offsets[0]));
                let line = 64 / W::COLUMN;
                if width == WIDTH {
                    (0..W::LINES).for_each(|line| ask_ahead(groups.wrapping_add(64 * line).cast()));
                    for at in 0..WIDTH / line {
                        W::line(weights.add(64 * at), x_at.add(line * at), &mut sums);
                    }
                } else {
                    for at in 0..width / line {
                        ask_ahead(groups.wrapping_add(64 * at).cast());
                        W::line(weights.add(64 * at), x_at.add(line * at), &mut sums);
                    }
                    // Eight columns are a line of int8.
                    if W::BITS == Bits::Four && !width.is_multiple_of(line) {
                        let whole = width / line;
                        let last = _mm256_loadu_si256(weights.add(64 * whole).cast());
                        let mut half = [sums];
                        W::block(_mm512_zextsi256_si512(last), x_at.add(line * whole), 0, &mut half);
                        [sums] = half;
                    }
                }
                let sum = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps((*factors).scales[0]));
                y = _mm256_add_ps(y, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale));
                groups = weights.add(W::COLUMN * width);
                x_at = x_at.add(width);
                factors = factors.add(1);
                left -= width;
            }
        }
        out.write(token, tile * TILE_ROWS, &avx2::to_array(y));
    }
}

/// Some tokens through all tiles. A pair of tiles stays in the first-level cache for all of them.
///
/// # Safety
/// Matrix and activations belong together (`fits`), and the factors of all groups of these tokens were prepared.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
// A frame of its own leaves its loops more registers.
#[inline(never)]
unsafe fn tokens<W: Weights>(
    w: &QMatrix<'_>,
    x: &Quantized<'_>,
    tokens: Range<usize>,
    room: &Room,
    out: &mut Columns<'_>,
) {
    let (first, count) = (tokens.start, tokens.len());
    let (tiles, size) = (w.rows().div_ceil(TILE_ROWS), w.tile_bytes());
    for tile in (0..tiles).step_by(2) {
        // The last of an odd number of tiles is paired with itself.
        let other = (tile + 1).min(tiles - 1);
        let mut token = 0;
        while token < count {
            let factors = room.as_ptr().wrapping_add(token / TOKENS * w.groups()).cast();
            let lane = token % TOKENS;
            // SAFETY: by the caller's promise both tiles are in the matrix and as many tokens in the activations, and all of
            // these have factors: eight, four, two or one at a time begin at a multiple of as many.
            token += unsafe {
                let tiles = [tile, other].map(|index| Tile { index, bytes: w.bytes().as_ptr().add(index * size) });
                let first = first + token;
                match count - token {
                    8.. => pair::<W, 8>(tiles, x, first, factors, lane, out),
                    4.. => pair::<W, 4>(tiles, x, first, factors, lane, out),
                    2.. => pair::<W, 2>(tiles, x, first, factors, lane, out),
                    _ => pair::<W, 1>(tiles, x, first, factors, lane, out),
                }
            };
        }
    }
}

/// A tile of the matrix.
#[derive(Clone, Copy)]
struct Tile {
    index: usize,
    bytes: *const u8,
}

/// `T` tokens from `first` on through two tiles; returns `T`.
///
/// # Safety
/// Two tiles for the activations' columns and groups, `T` tokens from `first` on, and factors of all groups for the lanes
/// `lane .. lane + T` must be there.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
unsafe fn pair<W: Weights, const T: usize>(
    tiles: [Tile; 2],
    x: &Quantized<'_>,
    first: usize,
    mut factors: *const Factors,
    lane: usize,
    out: &mut Columns<'_>,
) -> usize {
    let [mut a, mut b] = tiles.map(|tile| tile.bytes);
    let mut y = [_mm512_setzero_ps(); T];
    let mut column = 0;
    // SAFETY: by the caller's promise.
    unsafe {
        let x_at = x.values.as_ptr().add(first * x.cols);
        while column < x.cols {
            let width = x.group.min(x.cols - column);
            let halves = [a, b].map(|tile| _mm_loadu_si128(tile.cast()));
            let scales = _mm512_cvtph_ps(_mm256_set_m128i(halves[1], halves[0]));
            (a, b) = (a.add(2 * TILE_ROWS), b.add(2 * TILE_ROWS));
            let (offsets, x_scales) = (&(*factors).offsets, &(*factors).scales);
            let mut sums = [_mm512_setzero_si512(); T];
            for (token, sum) in sums.iter_mut().enumerate() {
                *sum = _mm512_set1_epi32(*offsets.get_unchecked(lane + token));
            }
            let block = 32 / W::COLUMN;
            if width == WIDTH {
                for at in 0..WIDTH / block {
                    let stored = both(a.add(32 * at), b.add(32 * at));
                    W::block(stored, x_at.add(column + block * at), x.cols, &mut sums);
                }
            } else {
                for at in 0..width / block {
                    let stored = both(a.add(32 * at), b.add(32 * at));
                    W::block(stored, x_at.add(column + block * at), x.cols, &mut sums);
                }
            }
            for (token, (y, sum)) in y.iter_mut().zip(sums).enumerate() {
                let scale = _mm512_mul_ps(scales, _mm512_set1_ps(*x_scales.get_unchecked(lane + token)));
                *y = _mm512_add_ps(*y, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale));
            }
            (a, b) = (a.add(W::COLUMN * width), b.add(W::COLUMN * width));
            factors = factors.add(1);
            column += width;
        }
    }
    write(tiles, first, &y, out);
    T
}

/// Writes the results of two tiles for tokens from `first` on.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
#[inline]
fn write(tiles: [Tile; 2], first: usize, y: &[__m512], out: &mut Columns<'_>) {
    for (token, &y) in y.iter().enumerate() {
        let upper = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(y)));
        out.write(first + token, tiles[0].index * TILE_ROWS, &avx2::to_array(_mm512_castps512_ps256(y)));
        if tiles[1].index > tiles[0].index {
            out.write(first + token, tiles[1].index * TILE_ROWS, &avx2::to_array(upper));
        }
    }
}

/// A block of columns of two tiles.
///
/// # Safety
/// 32 bytes of both must be there.
#[target_feature(enable = "avx2,avx512f")]
#[inline]
unsafe fn both(a: *const u8, b: *const u8) -> __m512i {
    // SAFETY: the caller's promise.
    let (a, b) = unsafe { (_mm256_loadu_si256(a.cast()), _mm256_loadu_si256(b.cast())) };
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b)
}

/// What makes w + 128 of stored weights: those of even columns are stored so.
#[target_feature(enable = "avx512f")]
#[inline]
fn flip() -> __m512i {
    _mm512_set1_epi32((FLIPPED ^ 0x8080_8080) as i32)
}

/// Weights of 8 bits.
struct Q8;

impl Weights for Q8 {
    const BITS: Bits = Bits::Eight;
    const MORE: i32 = 128;
    const LINES: usize = 4;

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn line(weights: *const u8, x: *const i8, sums: &mut __m512i) {
        // Of the eight bytes that every lane gets, the first four in the lower two, the others in the upper two.
        const LOWER: i32 = 0x0302_0100;
        const UPPER: i32 = 0x0706_0504;
        let spread = _mm512_inserti64x4::<1>(_mm512_set1_epi32(LOWER), _mm256_set1_epi32(UPPER));
        // SAFETY: the caller's promise.
        let (weights, x) = unsafe { (_mm512_loadu_si512(weights.cast()), x.cast::<i64>().read_unaligned()) };
        let x = _mm512_shuffle_epi8(_mm512_set1_epi64(x), spread);
        *sums = _mm512_dpbusd_epi32(*sums, _mm512_xor_si512(weights, flip()), x);
    }

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn block<const T: usize>(stored: __m512i, x: *const i8, stride: usize, sums: &mut [__m512i; T]) {
        let weights = _mm512_xor_si512(stored, flip());
        for (token, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let x = unsafe { x.add(token * stride).cast::<i32>().read_unaligned() };
            *sum = _mm512_dpbusd_epi32(*sum, weights, _mm512_set1_epi32(x));
        }
    }
}
