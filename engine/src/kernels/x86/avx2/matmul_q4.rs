//! Matrix products with 4 bits a weight.
//!
//! VPMADDUBSW multiplies an unsigned byte by a signed one and adds two neighbouring products: a weight as the u = q + 8 that is
//! stored by an activation. The sums of a group's 32 columns fit 16 bits: 2·8·15·128 < 2¹⁵. So 32 products take two
//! instructions, a broadcast and, once for all tokens, what cuts a byte in halves; `8·Σx` is taken off at a group's end.

use super::matmul::{fits, scales};
use super::vector::to_array;
use crate::kernels::{Columns, Quantized, portable};
use crate::matrix::{NIBBLE_COLS, NIBBLE_GROUP, QMatrix, TILE_ROWS};
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

/// Groups of all tokens together for which factors have room.
const ROOM: usize = 4096;

/// What a token's group is multiplied with.
#[derive(Clone, Copy)]
struct Factor {
    /// `−8·Σx`.
    offset: i32,
    scale: f32,
}

/// Matrix product, a tile through all tokens, as many at a time as there are registers for.
#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn matmul_q4(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    let groups = w.groups();
    if !fits(w, x) || x.group != NIBBLE_GROUP || groups > ROOM {
        return portable::matmul_q4(w, x, out);
    }
    let mut room = [const { MaybeUninit::<Factor>::uninit() }; ROOM];
    let most = ROOM / groups;
    let mut first = 0;
    while first < x.tokens() {
        let count = most.min(x.tokens() - first);
        for (token, room) in (first..first + count).zip(room.chunks_exact_mut(groups)) {
            prepare(x, token, room);
        }
        for index in 0..w.rows().div_ceil(TILE_ROWS) {
            let mut token = 0;
            while token < count {
                // SAFETY: the matrix has so many tiles of this size and the activations so many tokens (`fits`), of which
                // `count` from `first` on have factors.
                token += unsafe {
                    let tile = w.bytes().as_ptr().add(index * w.tile_bytes());
                    let factors = room.as_ptr().cast::<Factor>().add(token * groups);
                    let at = Place { tile, row: index * TILE_ROWS, token: first + token, factors, groups };
                    match count - token {
                        4.. => tokens::<4>(at, x, &mut out),
                        2.. => tokens::<2>(at, x, &mut out),
                        _ => tokens::<1>(at, x, &mut out),
                    }
                };
            }
        }
        first += count;
    }
}

/// Fills in what all groups of a token are multiplied with.
#[target_feature(enable = "avx2")]
fn prepare(x: &Quantized<'_>, token: usize, room: &mut [MaybeUninit<Factor>]) {
    let (row, scales) = x.row(token);
    for ((group, &scale), room) in row.chunks(NIBBLE_GROUP).zip(scales).zip(room) {
        room.write(Factor { offset: -8 * group.iter().map(|&x| i32::from(x)).sum::<i32>(), scale });
    }
}

/// A tile and the first of some tokens.
#[derive(Clone, Copy)]
struct Place {
    tile: *const u8,
    /// The tile's first row.
    row: usize,
    token: usize,
    /// `(tokens, groups)`, from that token on.
    factors: *const Factor,
    groups: usize,
}

/// `T` tokens through a tile; returns `T`.
///
/// # Safety
/// The tile must be one of a matrix for the activations' columns, and so many tokens and their factors must be there.
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn tokens<const T: usize>(at: Place, x: &Quantized<'_>, out: &mut Columns<'_>) -> usize {
    let mut y = [_mm256_setzero_ps(); T];
    let (mut groups, mut factors, mut left) = (at.tile, at.factors, x.cols);
    let mut values = x.values.as_ptr().wrapping_add(at.token * x.cols);
    while left > 0 {
        let width = NIBBLE_GROUP.min(left);
        // SAFETY: by the caller's promise there are 16 bytes of scales, a vector of weights for every eight columns, and of
        // every token so many activations and a factor.
        unsafe {
            let scales = scales(&*groups.cast());
            let weights: *const __m256i = groups.add(2 * TILE_ROWS).cast();
            let mut sums = [_mm256_setzero_si256(); T];
            if width == NIBBLE_GROUP {
                for at in 0..NIBBLE_GROUP / NIBBLE_COLS {
                    eight_columns(weights.add(at), values.add(NIBBLE_COLS * at), x.cols, &mut sums);
                }
            } else {
                for at in 0..width / NIBBLE_COLS {
                    eight_columns(weights.add(at), values.add(NIBBLE_COLS * at), x.cols, &mut sums);
                }
            }
            for (token, (y, sum)) in y.iter_mut().zip(sums).enumerate() {
                let factor = &*factors.add(token * at.groups);
                let sum = _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
                let sum = _mm256_cvtepi32_ps(_mm256_add_epi32(sum, _mm256_set1_epi32(factor.offset)));
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps(factor.scale));
                *y = _mm256_add_ps(*y, _mm256_mul_ps(sum, scale));
            }
            groups = weights.add(width / NIBBLE_COLS).cast();
            values = values.add(width);
            factors = factors.add(1);
        }
        left -= width;
    }
    for (token, y) in y.iter().enumerate() {
        out.write(at.token + token, at.row, &to_array(*y));
    }
    T
}

/// Adds eight columns' products, of two neighbouring ones together, to 16-bit sums.
///
/// # Safety
/// There must be a vector of weights, and eight activations of each of `T` tokens, `stride` apart.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn eight_columns<const T: usize>(weights: *const __m256i, x: *const i8, stride: usize, sums: &mut [__m256i; T]) {
    let half = _mm256_set1_epi8(0xF);
    // SAFETY: the caller's promise.
    let stored = unsafe { _mm256_loadu_si256(weights) };
    let low = _mm256_and_si256(stored, half);
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(stored), half);
    for (token, sum) in sums.iter_mut().enumerate() {
        // SAFETY: as above.
        let [a, b] = unsafe { x.add(token * stride).cast::<[i32; 2]>().read_unaligned() };
        let a = _mm256_maddubs_epi16(low, _mm256_set1_epi32(a));
        let b = _mm256_maddubs_epi16(high, _mm256_set1_epi32(b));
        *sum = _mm256_add_epi16(*sum, _mm256_add_epi16(a, b));
    }
}
