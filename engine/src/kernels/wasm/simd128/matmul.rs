//! Matrix products.
//!
//! Four weights of a row are one word: bytes u₀, q₁, u₂, q₃ with u = q + 128, see [`crate::image`]. `i32x4.dot_i16x8_s` of the words,
//! taken as 16-bit numbers, with x₁ and x₃ gives `256·q₁x₁ + u₀x₁ + 256·q₃x₃ + u₂x₃`; of their low bytes with `256·x₀ − x₁` and
//! `256·x₂ − x₃` it makes of both together `256·(u₀x₀ + q₁x₁ + u₂x₂ + q₃x₃)`. What u has more than q is taken off at the start:
//! `256·128·(x₀ + x₂)`. So 16 products take 2 dot products and 2 additions, beside what tokens share. The sum of a group of up to 512 columns is exact, since
//! 256·512·128·127 < 2³¹; what overflows on the way wraps around and comes back.

use super::vector::{Eight, add, load_bytes, map, mul, splat, to_array};
use crate::kernels::{Columns, Quantized, portable};
use crate::matrix::{Bits, Groups, QMatrix, TILE_COLS, TILE_ROWS};
use core::arch::wasm32::*;
use heapless::Vec;

/// The widest group whose sum is exact.
const WIDEST: usize = 512;
/// Fours of activations for which there is room, of all tokens together.
const ROOM: usize = 4096;
/// Groups likewise.
const GROUPS: usize = 512;

/// The activations of some tokens, as the loops take them: `(fours, tokens)` and `(groups, tokens)`.
struct Expanded {
    /// What multiplies the words, and what multiplies their low bytes, as pairs of 16-bit numbers.
    fours: Vec<[i32; 2], ROOM>,
    factors: Vec<Factor, GROUPS>,
}

#[derive(Clone, Copy)]
struct Factor {
    /// What the sums begin with.
    offset: i32,
    scale: f32,
}

/// Matrix product with as many tokens a pass through a tile as there are registers and room for.
pub(in crate::kernels) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    let groups = x.cols.div_ceil(x.group.max(1));
    let fits = (x.cols, x.group) == (w.padded_cols(), w.group())
        && x.group.is_multiple_of(8)
        && x.group <= WIDEST
        && x.cols / TILE_COLS <= ROOM
        && groups <= GROUPS
        && x.scales.len() >= x.tokens() * groups;
    if !fits {
        return portable::matmul(w, x, out);
    }
    let room = (ROOM * TILE_COLS / x.cols.max(1)).min(GROUPS / groups.max(1));
    let mut expanded = Expanded { fours: Vec::new(), factors: Vec::new() };
    let mut first = 0;
    while first < x.tokens() {
        first += match room.min(x.tokens() - first) {
            4.. => block::<4>(w, x, first, &mut expanded, &mut out),
            2.. => block::<2>(w, x, first, &mut expanded, &mut out),
            _ => block::<1>(w, x, first, &mut expanded, &mut out),
        };
    }
}

/// `T` tokens from `first` on through all tiles; returns `T`.
fn block<const T: usize>(
    w: &QMatrix<'_>,
    x: &Quantized<'_>,
    first: usize,
    expanded: &mut Expanded,
    out: &mut Columns<'_>,
) -> usize {
    expand::<T>(x, first, expanded);
    let fours = expanded.fours.as_chunks::<T>().0;
    let factors = expanded.factors.as_chunks::<T>().0;
    for (index, tile) in w.tiles().enumerate() {
        let y = tile_products(Groups::new(tile, Bits::Eight, x.cols, x.group), fours, factors);
        for (token, y) in y.into_iter().enumerate() {
            out.write(first + token, index * TILE_ROWS, &to_array(y));
        }
    }
    T
}

/// Expands the activations of `T` tokens from `first` on; there is room for them.
fn expand<const T: usize>(x: &Quantized<'_>, first: usize, expanded: &mut Expanded) {
    let groups = x.cols.div_ceil(x.group.max(1));
    let mut values = [0; T].map(|_: i32| [].as_slice());
    let mut scales = [0; T].map(|_: i32| [].as_slice());
    for ((token, values), scales) in (first..).zip(&mut values).zip(&mut scales) {
        *values = x.values.get(token * x.cols..(token + 1) * x.cols).unwrap_or(&[]).as_chunks::<8>().0;
        *scales = x.scales.get(token * groups..(token + 1) * groups).unwrap_or(&[]);
    }
    let Expanded { fours, factors } = expanded;
    fours.clear();
    factors.clear();
    for group in 0..groups {
        let eights = x.group / 8 * group..(x.group / 8 * (group + 1)).min(x.cols / 8);
        let mut offsets = [0i32; T];
        for eight in eights {
            let mut halves = [[[0; 2]; 2]; T];
            for ((values, offset), halves) in values.iter().zip(&mut offsets).zip(&mut halves) {
                let bytes = values.get(eight).copied().unwrap_or_default().map(|x| x as u8);
                let words = i64x2(i64::from_le_bytes(bytes), 0);
                let (odd, even) = (i16x8_shr(words, 8), i16x8_shl(words, 8));
                let low = i16x8_sub(even, odd);
                let share = i32x4_dot_i16x8(even, i16x8_splat(-128));
                *offset += i32x4_extract_lane::<0>(share) + i32x4_extract_lane::<1>(share);
                *halves = [
                    [i32x4_extract_lane::<0>(odd), i32x4_extract_lane::<0>(low)],
                    [i32x4_extract_lane::<1>(odd), i32x4_extract_lane::<1>(low)],
                ];
            }
            for half in 0..2 {
                for halves in &halves {
                    let _ = fours.push(halves[half]);
                }
            }
        }
        for (scales, offset) in scales.iter().zip(offsets) {
            let _ = factors.push(Factor { offset, scale: scales.get(group).copied().unwrap_or_default() });
        }
    }
}

/// The products of a tile's eight rows with `T` tokens.
#[inline(always)]
fn tile_products<const T: usize>(
    groups: Groups<'_>,
    mut fours: &[[[i32; 2]; T]],
    factors: &[[Factor; T]],
) -> [Eight; T] {
    let mut y = [splat(0.0); T];
    for (group, factors) in groups.zip(factors) {
        let Some((x, rest)) = fours.split_at_checked(group.weights.len()) else { break };
        fours = rest;
        let mut sums = factors.map(|factor| [i32x4_splat(factor.offset); 2]);
        for (w, x) in group.weights.iter().zip(x) {
            multiply(w, x, &mut sums);
        }
        let scales = half_to_f32(group.scales);
        for ((y, sum), factor) in y.iter_mut().zip(sums).zip(factors) {
            let sum = map(sum, |sum| f32x4_convert_i32x4(i32x4_shr(sum, 8)));
            *y = add(*y, mul(sum, mul(scales, splat(factor.scale))));
        }
    }
    y
}

/// Adds four columns' products.
#[inline(always)]
fn multiply<const T: usize>(w: &[u8; TILE_ROWS * TILE_COLS], x: &[[i32; 2]; T], sums: &mut [Eight; T]) {
    let ([low_rows, high_rows], []) = w.as_chunks::<16>() else { return };
    let words = [load_bytes(low_rows), load_bytes(high_rows)];
    let low = map(words, |words| v128_and(words, i32x4_splat(0x00FF_00FF)));
    for (sum, x) in sums.iter_mut().zip(x) {
        let [for_words, for_low] = x.map(|x| i32x4_splat(x));
        for ((sum, words), low) in sum.iter_mut().zip(words).zip(low) {
            let products = i32x4_add(i32x4_dot_i16x8(words, for_words), i32x4_dot_i16x8(low, for_low));
            *sum = i32x4_add(*sum, products);
        }
    }
}

/// A tile's eight scales, f16.
///
/// A half's bits moved to where f32 has exponent and mantissa are the number times 2⁻¹¹², also where it is subnormal. What is
/// infinite or no number has the largest exponent in both.
#[inline(always)]
fn half_to_f32(bytes: &[u8; 2 * TILE_ROWS]) -> Eight {
    const TWO_TO_112: f32 = f32::from_bits((127 + 112) << 23);
    let halves = load_bytes(bytes);
    map([u32x4_extend_low_u16x8(halves), u32x4_extend_high_u16x8(halves)], |half| {
        let size = i32x4_shl(v128_and(half, i32x4_splat(0x7FFF)), 13);
        let sign = i32x4_shl(v128_and(half, i32x4_splat(0x8000)), 16);
        let infinite = v128_and(i32x4_ge(size, i32x4_splat(0x1F << 23)), i32x4_splat(0xFF << 23));
        v128_or(v128_or(f32x4_mul(size, f32x4_splat(TWO_TO_112)), infinite), sign)
    })
}
