//! x86-64 with AVX-512 F, BW, VL and VNNI (Ice Lake, Zen 4), in vectors of 256 bits: they don't lower the clock, and an
//! 8-row tile fills them.

use super::tile::{Fours, Groups, activations, four};
use super::{Columns, Quantized, avx2};
use crate::image::{FLIPPED, TILE_COLS, TILE_ROWS};
use crate::model::QMatrix;
use core::arch::x86_64::*;

/// Whether processor and operating system have them all.
pub(super) fn available() -> bool {
    const F: u32 = 1 << 16;
    const BW: u32 = 1 << 30;
    const VL: u32 = 1 << 31;
    const VNNI: u32 = 1 << 11;
    // Opmask registers and the upper halves of the vectors.
    const STATE: u64 = 0b1110_0000;
    let leaf = __cpuid_count(7, 0);
    avx2::available()
        && leaf.ebx & (F | BW | VL) == F | BW | VL
        && leaf.ecx & VNNI == VNNI
        // SAFETY: `avx2::available` saw that the operating system allows XGETBV.
        && unsafe { avx2::enabled_state() } & STATE == STATE
}

pub(super) use super::avx2::{
    conv_silu, dot, quantize, quantize_head, quantize_query, rms_norm, rms_norm_in_place, scan, scores, softmax,
    softplus_bias, swiglu, weighted_values,
};

/// Tokens that go through a tile together: each has a register of sums and one of results.
const TOKENS: usize = 8;
/// Groups of a row for which `OFFSETS` has room.
const GROUPS: usize = 256;

/// `−128 · Σx` of every group of some tokens: VPDPBUSD wants one factor unsigned, so weights are multiplied as w + 128.
type Offsets = [[i32; TOKENS]; GROUPS];

#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    if x.cols.div_ceil(x.group.max(1)) > GROUPS {
        return avx2::matmul(w, x, out);
    }
    let groups = x.cols.div_ceil(x.group.max(1));
    let mut offsets: Offsets = [[0; TOKENS]; GROUPS];
    let mut first = 0;
    while first < x.tokens() {
        let tokens = (x.tokens() - first).min(TOKENS);
        let mut rows = [(&[][..], &[][..]); TOKENS];
        for (token, row) in rows.iter_mut().zip(x.rows().skip(first)) {
            *token = row;
        }
        for (offsets, index) in offsets.iter_mut().zip(0..groups) {
            for (offset, (values, _)) in offsets.iter_mut().zip(&rows[..tokens]) {
                let group = values.chunks(x.group.max(1)).nth(index).unwrap_or(&[]);
                *offset = -128 * group.iter().map(|&x| i32::from(x)).sum::<i32>();
            }
        }
        match tokens {
            8.. => block::<8>(w, x, &rows, &offsets, first, &mut out),
            4.. => {
                block::<4>(w, x, &rows, &offsets, first, &mut out);
                first += 4;
                continue;
            }
            2.. => {
                block::<2>(w, x, &rows, &offsets, first, &mut out);
                first += 2;
                continue;
            }
            _ => block::<1>(w, x, &rows, &offsets, first, &mut out),
        }
        first += tokens;
    }
}

type Rows<'a> = [(&'a [i8], &'a [f32]); TOKENS];

/// `T` tokens through all tiles.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn block<const T: usize>(
    w: &QMatrix<'_>,
    x: &Quantized<'_>,
    rows: &Rows<'_>,
    offsets: &Offsets,
    first: usize,
    out: &mut Columns<'_>,
) {
    for (index, tile) in w.tiles().enumerate() {
        let mut y = [_mm256_setzero_ps(); T];
        for (at, (group, offsets)) in Groups::new(tile, x).zip(offsets).enumerate() {
            let mut values: [&[[i8; TILE_COLS]]; T] = [&[]; T];
            for (values, row) in values.iter_mut().zip(rows) {
                *values = activations(row.0, at, x.group, group.weights);
            }
            let sums = products(group.weights, &values, offsets);
            let scales = avx2::scales(group.scales);
            for ((y, sum), row) in y.iter_mut().zip(sums).zip(rows) {
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps(row.1.get(at).copied().unwrap_or(0.0)));
                *y = _mm256_add_ps(*y, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale));
            }
        }
        for (token, y) in y.iter().enumerate() {
            out.write(first + token, index * TILE_ROWS, &avx2::to_array(*y));
        }
    }
}

/// Sums of a group's products: eight rows' for each of `T` tokens.
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vnni")]
#[inline]
fn products<const T: usize>(
    weights: &[Fours],
    values: &[&[[i8; TILE_COLS]]; T],
    offsets: &[i32; TOKENS],
) -> [__m256i; T] {
    let mut sums = [_mm256_setzero_si256(); T];
    for (sum, offset) in sums.iter_mut().zip(offsets) {
        *sum = _mm256_set1_epi32(*offset);
    }
    if values.iter().any(|values| values.len() != weights.len()) {
        return sums;
    }
    let (blocks, rest) = weights.as_chunks::<4>();
    for (block, at) in blocks.iter().zip((0..).step_by(4)) {
        for (w, at) in block.iter().zip(at..) {
            // SAFETY: there are as many fours of values as of weights.
            unsafe { multiply(w, values, at, &mut sums) };
        }
    }
    for (w, at) in rest.iter().zip(4 * blocks.len()..) {
        // SAFETY: as above.
        unsafe { multiply(w, values, at, &mut sums) };
    }
    sums
}

/// Adds four columns' products.
///
/// # Safety
/// There must be more than `at` fours of each token's values.
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vnni")]
#[inline]
unsafe fn multiply<const T: usize>(w: &Fours, values: &[&[[i8; TILE_COLS]]; T], at: usize, sums: &mut [__m256i; T]) {
    // What is flipped in even columns is flipped in odd ones too: then all are q + 128.
    let w = _mm256_xor_si256(avx2::load(w), _mm256_set1_epi32((FLIPPED ^ 0x8080_8080) as i32));
    for (sum, values) in sums.iter_mut().zip(values) {
        // SAFETY: the caller's promise.
        *sum = _mm256_dpbusd_epi32(*sum, w, avx2::broadcast(unsafe { four(values, at) }));
    }
}
