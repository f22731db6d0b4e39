//! Matrix products.
//!
//! Four weights of a row are one word: bytes u₀, q₁, u₂, q₃ with u = q + 128, see [`crate::image`]. VPMADDWD of the words,
//! taken as 16-bit numbers, with x₁ and x₃ gives `256·q₁x₁ + u₀x₁ + 256·q₃x₃ + u₂x₃`; of their low bytes with `256·x₀ − x₁` and
//! `256·x₂ − x₃` it makes of both together `256·(u₀x₀ + q₁x₁ + u₂x₂ + q₃x₃)`. What u has more than q is taken off at the
//! start: `256·128·(x₀ + x₂)`. So 32 products take six instructions, and the sum of a group of up to 512 columns is exact:
//! 256·512·128·127 < 2³¹; what overflows on the way wraps around and comes back.

use super::vector::{load_f32, to_array};
use crate::kernels::portable;
use crate::kernels::{Columns, Quantized};
use crate::matrix::{QMatrix, TILE_COLS, TILE_ROWS, tile_bytes};
use crate::planned::planned;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;
use core::ops::Range;

/// A tile's eight f16 scales.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub(in crate::kernels) fn scales(bytes: &[u8; 2 * TILE_ROWS]) -> __m256 {
    // SAFETY: 16 bytes are there, and an unaligned load asks for no more.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// Whether matrix and activations belong together, so that the kernels below may go by the matrix' shape alone.
pub(in crate::kernels) fn fits(w: &QMatrix<'_>, x: &Quantized<'_>) -> bool {
    x.cols == w.padded_cols()
        && x.group == w.group()
        && x.group.is_multiple_of(8)
        && w.groups() > 0
        && x.scales.len() >= x.tokens() * w.groups()
        && w.bytes().len() >= w.rows().div_ceil(TILE_ROWS) * w.tile_bytes()
}

/// The widest group whose sum is exact.
const WIDEST: usize = 512;
/// Fours of expanded activations for which there is room, of all tokens together: they stay in the first-level cache.
const ROOM: usize = 512;

/// Some whole groups of some tokens, expanded: `(groups, fours, tokens)` and `(groups, tokens)`.
struct Expanded {
    /// What multiplies the words, and what multiplies their low bytes: each eight times, for a tile's rows.
    fours: [MaybeUninit<[__m256i; 2]>; ROOM],
    factors: [MaybeUninit<Factor>; ROOM / 2],
}

#[derive(Clone, Copy)]
struct Factor {
    /// What the sums begin with.
    offset: i32,
    scale: f32,
}

/// Matrix product with as many tokens a pass through a tile as there are registers for.
#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    if !fits(w, x) || x.group > WIDEST {
        return portable::matmul(w, x, out);
    }
    let mut room = Expanded {
        fours: [const { MaybeUninit::uninit() }; ROOM],
        factors: [const { MaybeUninit::uninit() }; ROOM / 2],
    };
    let mut first = 0;
    while first < x.tokens() {
        first += match x.tokens() - first {
            4.. => block::<4>(w, x, first, &mut room, &mut out),
            2.. => block::<2>(w, x, first, &mut room, &mut out),
            _ => block::<1>(w, x, first, &mut room, &mut out),
        };
    }
}

/// `T` tokens from `first` on through all tiles, as many groups at once as there is room for; returns `T`.
#[target_feature(enable = "avx2,f16c")]
fn block<const T: usize>(
    w: &QMatrix<'_>,
    x: &Quantized<'_>,
    first: usize,
    room: &mut Expanded,
    out: &mut Columns<'_>,
) -> usize {
    let most = (ROOM * TILE_COLS / T / x.group).max(1) * x.group;
    let size = tile_bytes(w.cols(), w.group());
    let mut column = 0;
    while column < x.cols {
        let width = most.min(x.cols - column);
        for token in 0..T {
            // SAFETY: `most` is as many columns of T tokens as there is room for, and `column` begins a group.
            unsafe { expand(x, first + token, column..column + width, Interleave { index: token, count: T }, room) };
        }
        for tile in 0..w.rows().div_ceil(TILE_ROWS) {
            let mut y = [_mm256_setzero_ps(); T];
            if column > 0 {
                for (token, y) in y.iter_mut().enumerate() {
                    *y = load_f32(&out.read(first + token, tile * TILE_ROWS));
                }
            }
            // SAFETY: the matrix has so many tiles of this size (`fits`), and in each the groups before `column`, which are
            // whole, lie before those that were expanded.
            unsafe {
                let groups = w.bytes().as_ptr().add(tile * size + tile_bytes(column, x.group));
                add_groups(groups, width, x.group, room, &mut y);
            }
            for (token, y) in y.iter().enumerate() {
                out.write(first + token, tile * TILE_ROWS, &to_array(*y));
            }
        }
        column += width;
    }
    T
}

/// Where a token's expanded activations go: they lie interleaved with those of `count` tokens, this being number `index`.
#[derive(Clone, Copy)]
struct Interleave {
    index: usize,
    count: usize,
}

/// Expands some columns of one token, the first of which begins a group.
///
/// # Safety
/// There must be room for so many columns of `at.count` tokens.
#[target_feature(enable = "avx2")]
unsafe fn expand(x: &Quantized<'_>, token: usize, columns: Range<usize>, at: Interleave, room: &mut Expanded) {
    let (row, scales) = x.row(token);
    let scales = planned(scales.get(columns.start / x.group..));
    let mut fours: *mut [__m256i; 2] = room.fours.as_mut_ptr().wrapping_add(at.index).cast();
    let factors = room.factors.iter_mut().skip(at.index).step_by(at.count);
    let groups = planned(row.get(columns)).chunks(x.group);
    for ((group, &scale), factor) in groups.zip(scales).zip(factors) {
        let mut offset = _mm_setzero_si128();
        for eight in group.as_chunks::<8>().0 {
            // SAFETY: 8 bytes are there, and this load asks for no more.
            let words = unsafe { _mm_loadl_epi64(eight.as_ptr().cast()) };
            let (odd, even) = (_mm_srai_epi16::<8>(words), _mm_slli_epi16::<8>(words));
            let low = _mm_sub_epi16(even, odd);
            offset = _mm_add_epi32(offset, _mm_madd_epi16(even, _mm_set1_epi16(-128)));
            let (next_odd, next_low) = (_mm_shuffle_epi32::<1>(odd), _mm_shuffle_epi32::<1>(low));
            // SAFETY: the caller's promise.
            unsafe {
                fours.write([_mm256_broadcastd_epi32(odd), _mm256_broadcastd_epi32(low)]);
                fours.add(at.count).write([_mm256_broadcastd_epi32(next_odd), _mm256_broadcastd_epi32(next_low)]);
            }
            fours = fours.wrapping_add(2 * at.count);
        }
        let offset = _mm_cvtsi128_si32(_mm_add_epi32(offset, _mm_shuffle_epi32::<1>(offset)));
        factor.write(Factor { offset, scale });
    }
}

/// Adds the products of some groups of a tile's eight rows to `y`, for `T` tokens.
///
/// # Safety
/// `groups` points to groups of `width` columns, for which activations of as many tokens were expanded.
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn add_groups<const T: usize>(
    mut groups: *const u8,
    width: usize,
    group: usize,
    room: &Expanded,
    y: &mut [__m256; T],
) {
    let mut x: *const [__m256i; 2] = room.fours.as_ptr().cast();
    let mut factors: *const Factor = room.factors.as_ptr().cast();
    let mut left = width;
    while left > 0 {
        let width = group.min(left);
        // SAFETY: by the caller's promise there are 16 bytes of scales, a vector of weights for every four columns, and of
        // every token an expanded four for each of these and a factor.
        unsafe {
            let scales = scales(&*groups.cast());
            let weights: *const __m256i = groups.add(2 * TILE_ROWS).cast();
            let mut sums = [_mm256_setzero_si256(); T];
            for (token, sum) in sums.iter_mut().enumerate() {
                *sum = _mm256_set1_epi32((*factors.add(token)).offset);
            }
            if width == 32 {
                for at in 0..8 {
                    multiply(weights.add(at), x.add(at * T), &mut sums);
                }
            } else {
                for at in 0..width / TILE_COLS {
                    multiply(weights.add(at), x.add(at * T), &mut sums);
                }
            }
            for (token, (y, sum)) in y.iter_mut().zip(sums).enumerate() {
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps((*factors.add(token)).scale));
                let sum = _mm256_cvtepi32_ps(_mm256_srai_epi32::<8>(sum));
                *y = _mm256_add_ps(*y, _mm256_mul_ps(sum, scale));
            }
            groups = groups.add(2 * TILE_ROWS + TILE_ROWS * width);
            x = x.add(width / TILE_COLS * T);
            factors = factors.add(T);
        }
        left -= width;
    }
}

/// Adds four columns' products.
///
/// # Safety
/// There must be a vector of weights and `T` expanded fours.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn multiply<const T: usize>(weights: *const __m256i, x: *const [__m256i; 2], sums: &mut [__m256i; T]) {
    // SAFETY: the caller's promise.
    let words = unsafe { _mm256_loadu_si256(weights) };
    let low = _mm256_and_si256(words, _mm256_set1_epi32(0x00FF_00FF));
    for (token, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let [for_words, for_low] = unsafe { *x.add(token) };
        let products = _mm256_add_epi32(_mm256_madd_epi16(words, for_words), _mm256_madd_epi16(low, for_low));
        *sum = _mm256_add_epi32(*sum, products);
    }
}
