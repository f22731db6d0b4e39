//! Attention over the int8 cache: scores, softmax and weighted values.

use super::vector::{
    add, larger, load, load_four, load_i8, load_i16, map, max_of, mul, negative_exp2, splat, store, store_four, sub,
    to_array, to_int,
};
use crate::kernels::math::{self, LOG2_E};
use crate::kernels::portable::{self, VALUE_BLOCK, block_weights};
use core::arch::wasm32::*;

pub(in crate::kernels) fn softmax(x: &mut [f32]) -> f32 {
    let (blocks, rest) = x.as_chunks_mut::<8>();
    let most = blocks.iter().fold(splat(f32::MIN), |most, block| larger(most, load(block)));
    let max = rest.iter().fold(max_of(most), |max, &x| if x > max { x } else { max });
    let mut sums = splat(0.0);
    for block in blocks {
        let t = to_int(mul(sub(load(block), splat(max)), splat(LOG2_E)));
        let e = map(t, |t| f32x4_neg(negative_exp2(t)));
        store(block, e);
        sums = add(sums, e);
    }
    let mut sums = to_array(sums);
    for (sum, x) in sums.iter_mut().zip(rest) {
        *x = math::exp2(((*x - max) * LOG2_E) as i32);
        *sum += *x;
    }
    portable::sum_lanes(sums)
}

/// Four keys at a time, sixteen numbers of each.
pub(in crate::kernels) fn scores(q: &[i16], scale: f32, keys: &[i8], key_scales: &[f32], scores: &mut [f32]) {
    let dim = q.len();
    let (q16, []) = q.as_chunks::<16>() else {
        return portable::scores(q, scale, keys, key_scales, scores);
    };
    let slots = scores.len().min(key_scales.len()).min(keys.len() / dim.max(1));
    let whole = slots / 4 * 4;
    let ((scores, scores_rest), (keys, keys_rest)) = (scores.split_at_mut(whole), keys.split_at(whole * dim));
    let (key_scales, scales_rest) = key_scales.split_at(whole);
    let outputs = scores.as_chunks_mut::<4>().0.iter_mut().zip(key_scales.as_chunks::<4>().0);
    for ((scores, key_scales), keys) in outputs.zip(keys.chunks_exact((4 * dim).max(1))) {
        let mut sums = [i32x4_splat(0); 4];
        for (sum, key) in sums.iter_mut().zip(keys.chunks_exact(dim.max(1))) {
            for (q, key) in q16.iter().zip(key.as_chunks::<16>().0) {
                let ([q_low, q_high], key) = (load_i16(q), load_i8(key));
                let low = i32x4_dot_i16x8(q_low, i16x8_extend_low_i8x16(key));
                let high = i32x4_dot_i16x8(q_high, i16x8_extend_high_i8x16(key));
                *sum = i32x4_add(*sum, i32x4_add(low, high));
            }
        }
        let scales = f32x4_mul(f32x4_splat(scale), load_four(key_scales));
        store_four(scores, f32x4_mul(f32x4_convert_i32x4(totals(sums)), scales));
    }
    portable::scores(q, scale, keys_rest, scales_rest, scores_rest);
}

/// The total of each of four vectors.
#[inline(always)]
fn totals([a, b, c, d]: [v128; 4]) -> v128 {
    let halves = |a, b| i32x4_add(i32x4_shuffle::<0, 1, 4, 5>(a, b), i32x4_shuffle::<2, 3, 6, 7>(a, b));
    let (ab, cd) = (halves(a, b), halves(c, d));
    i32x4_add(i32x4_shuffle::<0, 2, 4, 6>(ab, cd), i32x4_shuffle::<1, 3, 5, 7>(ab, cd))
}

pub(in crate::kernels) fn weighted_values(
    weights: &mut [f32],
    sum: f32,
    values: &[i8],
    value_scales: &[f32],
    out: &mut [f32],
) {
    let dim = out.len();
    if !dim.is_multiple_of(16) || dim == 0 {
        return portable::weighted_values(weights, sum, values, value_scales, out);
    }
    out.fill(0.0);
    let blocks = weights.chunks_mut(VALUE_BLOCK).zip(value_scales.chunks(VALUE_BLOCK));
    for ((weights, scales), values) in blocks.zip(values.chunks(VALUE_BLOCK * dim)) {
        let (p, scale) = block_weights(weights, scales);
        for (index, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let sums = strip(&p, values, dim, 16 * index);
            for (out, sum) in out.as_chunks_mut::<4>().0.iter_mut().zip(sums) {
                let scaled = f32x4_mul(f32x4_convert_i32x4(sum), f32x4_splat(scale));
                store_four(out, f32x4_add(load_four(out), scaled));
            }
        }
    }
    let inverse = 1.0 / sum;
    for out in out {
        *out *= inverse;
    }
}

/// The sums of sixteen numbers from `first` on, two tokens at a time: one instruction multiplies and adds both.
#[inline(always)]
fn strip(p: &[i32; VALUE_BLOCK], values: &[i8], dim: usize, first: usize) -> [v128; 4] {
    let sixteen = |token: &'_ [i8]| token.get(first..).and_then(|x| x.first_chunk::<16>()).map(load_i8);
    let mut sums = [i32x4_splat(0); 4];
    for (&[p, q], pair) in p.as_chunks::<2>().0.iter().zip(values.chunks(2 * dim)) {
        let (token, other) = pair.split_at(dim.min(pair.len()));
        let Some(a) = sixteen(token) else { break };
        // A last token without another has zeros beside it.
        let b = sixteen(other).unwrap_or(i32x4_splat(0));
        let weights = i32x4_splat(p & 0xFFFF | q << 16);
        let pairs = [
            (i16x8_extend_low_i8x16(a), i16x8_extend_low_i8x16(b)),
            (i16x8_extend_high_i8x16(a), i16x8_extend_high_i8x16(b)),
        ];
        for (half, (a, b)) in pairs.into_iter().enumerate() {
            let low = i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(a, b);
            let high = i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(a, b);
            sums[2 * half] = i32x4_add(sums[2 * half], i32x4_dot_i16x8(low, weights));
            sums[2 * half + 1] = i32x4_add(sums[2 * half + 1], i32x4_dot_i16x8(high, weights));
        }
    }
    sums
}

/// A block of [`weighted_values`] is whole pairs.
const _: () = assert!(VALUE_BLOCK.is_multiple_of(2));
