//! Matrix products with 4 bits a weight.
//!
//! VPDPBUSD takes an unsigned factor, which a weight is as it is stored, u = q + 8; `8·Σx` is taken off at the start. Otherwise
//! as with 8 bits: one token reads a tile's eight rows sixteen columns at a time, several tokens share the reading of two tiles.

use super::matmul::{Factors, ROOM, Room, TOKENS, Tile, prepare, write};
use super::vector::ask_ahead;
use crate::kernels::x86::avx2;
use crate::kernels::{Columns, Quantized};
use crate::matrix::{NIBBLE_COLS, NIBBLE_GROUP, QMatrix, TILE_ROWS};
use core::arch::x86_64::*;
use core::mem::MaybeUninit;
use core::ops::Range;

#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(in crate::kernels) fn matmul_q4(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    let groups = w.groups();
    if !avx2::fits(w, x) || x.group != NIBBLE_GROUP || groups > ROOM {
        return avx2::matmul_q4(w, x, out);
    }
    let mut room: Room = [const { MaybeUninit::uninit() }; ROOM];
    let most = ROOM / groups * TOKENS;
    let mut first = 0;
    while first < x.tokens() {
        let count = most.min(x.tokens() - first);
        for token in 0..count {
            prepare::<8>(x, first + token, token % TOKENS, &mut room[token / TOKENS * groups..][..groups]);
        }
        // SAFETY: every group of each of these tokens has its factors in the room.
        unsafe {
            match count {
                1 => one_token(w, x, first, &room, &mut out),
                _ => tokens(w, x, first..first + count, &room, &mut out),
            }
        }
        first += count;
    }
}

/// The lower halves of all bytes, and the upper ones.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn halves(stored: __m512i) -> [__m512i; 2] {
    let half = _mm512_set1_epi8(0xF);
    [_mm512_and_si512(stored, half), _mm512_and_si512(_mm512_srli_epi16::<4>(stored), half)]
}

/// One token through all tiles.
///
/// # Safety
/// Matrix and activations belong together (`fits`), and the factors of all of the token's groups were prepared.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn one_token(w: &QMatrix<'_>, x: &Quantized<'_>, token: usize, room: &Room, out: &mut Columns<'_>) {
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
                let width = NIBBLE_GROUP.min(left);
                let scales = avx2::scales(&*groups.cast());
                let weights = groups.add(2 * TILE_ROWS);
                let offset = _mm256_set1_epi32((*factors).offsets[0]);
                let sum = if width == NIBBLE_GROUP {
                    (0..3).for_each(|line| ask_ahead(groups.wrapping_add(64 * line).cast()));
                    let mut sums = _mm512_zextsi256_si512(offset);
                    sixteen_columns(weights, x_at, &mut sums);
                    sixteen_columns(weights.add(64), x_at.add(16), &mut sums);
                    _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums))
                } else {
                    let mut sums = [_mm512_castsi256_si512(offset)];
                    for at in 0..width / NIBBLE_COLS {
                        let stored = _mm512_castsi256_si512(_mm256_loadu_si256(weights.add(32 * at).cast()));
                        eight_columns(stored, x_at.add(NIBBLE_COLS * at), 0, &mut sums);
                    }
                    _mm512_castsi512_si256(sums[0])
                };
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps((*factors).scales[0]));
                y = _mm256_add_ps(y, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale));
                groups = weights.add(width / NIBBLE_COLS * 32);
                x_at = x_at.add(width);
                factors = factors.add(1);
                left -= width;
            }
        }
        out.write(token, tile * TILE_ROWS, &avx2::to_array(y));
    }
}

/// Adds sixteen columns' products: of the first eight to the lower eight sums, of the others to the upper ones.
///
/// # Safety
/// 64 bytes of weights and 16 of x must be there.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn sixteen_columns(weights: *const u8, x: *const i8, sums: &mut __m512i) {
    // Of the sixteen bytes that every lane gets, the first eight are multiplied in the lower two, the others in the upper two.
    const LOWER: i32 = 0x0302_0100;
    const UPPER: i32 = 0x0B0A_0908;
    let low = _mm512_inserti64x4::<1>(_mm512_set1_epi32(LOWER), _mm256_set1_epi32(UPPER));
    let high = _mm512_or_si512(low, _mm512_set1_epi8(4));
    // SAFETY: the caller's promise.
    let (stored, x) = unsafe { (_mm512_loadu_si512(weights.cast()), _mm_loadu_si128(x.cast())) };
    let (halves, x) = (halves(stored), _mm512_broadcast_i32x4(x));
    *sums = _mm512_dpbusd_epi32(*sums, halves[0], _mm512_shuffle_epi8(x, low));
    *sums = _mm512_dpbusd_epi32(*sums, halves[1], _mm512_shuffle_epi8(x, high));
}

/// Some tokens through all tiles. A pair of tiles stays in the first-level cache for all of them.
///
/// # Safety
/// Matrix and activations belong together (`fits`), and the factors of all groups of these tokens were prepared.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tokens(w: &QMatrix<'_>, x: &Quantized<'_>, tokens: Range<usize>, room: &Room, out: &mut Columns<'_>) {
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
                    8.. => pair::<8>(tiles, x, first, factors, lane, out),
                    4.. => pair::<4>(tiles, x, first, factors, lane, out),
                    2.. => pair::<2>(tiles, x, first, factors, lane, out),
                    _ => pair::<1>(tiles, x, first, factors, lane, out),
                }
            };
        }
    }
}

/// `T` tokens from `first` on through two tiles; returns `T`.
///
/// # Safety
/// Two tiles for the activations' columns and groups, `T` tokens from `first` on, and factors of all groups for the lanes
/// `lane .. lane + T` must be there.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
unsafe fn pair<const T: usize>(
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
            let width = NIBBLE_GROUP.min(x.cols - column);
            let scales = _mm512_cvtph_ps(_mm256_set_m128i(_mm_loadu_si128(b.cast()), _mm_loadu_si128(a.cast())));
            (a, b) = (a.add(2 * TILE_ROWS), b.add(2 * TILE_ROWS));
            let (offsets, x_scales) = (&(*factors).offsets, &(*factors).scales);
            let mut sums = [_mm512_setzero_si512(); T];
            for (token, sum) in sums.iter_mut().enumerate() {
                *sum = _mm512_set1_epi32(*offsets.get_unchecked(lane + token));
            }
            if width == NIBBLE_GROUP {
                for at in 0..NIBBLE_GROUP / NIBBLE_COLS {
                    let stored = both(a.add(32 * at), b.add(32 * at));
                    eight_columns(stored, x_at.add(column + NIBBLE_COLS * at), x.cols, &mut sums);
                }
            } else {
                for at in 0..width / NIBBLE_COLS {
                    let stored = both(a.add(32 * at), b.add(32 * at));
                    eight_columns(stored, x_at.add(column + NIBBLE_COLS * at), x.cols, &mut sums);
                }
            }
            for (token, (y, sum)) in y.iter_mut().zip(sums).enumerate() {
                let scale = _mm512_mul_ps(scales, _mm512_set1_ps(*x_scales.get_unchecked(lane + token)));
                *y = _mm512_add_ps(*y, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale));
            }
            let bytes = width / NIBBLE_COLS * 32;
            (a, b) = (a.add(bytes), b.add(bytes));
            factors = factors.add(1);
            column += width;
        }
    }
    write(tiles, first, &y, out);
    T
}

/// Eight columns of two tiles.
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

/// Adds eight columns' products for each token.
///
/// # Safety
/// 8 of every token's x, `stride` apart, must be there.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
unsafe fn eight_columns<const T: usize>(stored: __m512i, x: *const i8, stride: usize, sums: &mut [__m512i; T]) {
    let [low, high] = halves(stored);
    for (token, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let [a, b] = unsafe { x.add(token * stride).cast::<[i32; 2]>().read_unaligned() };
        *sum = _mm512_dpbusd_epi32(*sum, low, _mm512_set1_epi32(a));
        *sum = _mm512_dpbusd_epi32(*sum, high, _mm512_set1_epi32(b));
    }
}
