//! Attention over the int8 cache.

use super::rows::{max_abs, to_i16};
use super::vector::{load, load_bytes, map, negative_exp2, splat, store, store_bytes, sum_lanes, zip};
use crate::kernels::math::{LOG2_E, exp2};
use crate::kernels::portable::{self, VALUE_BLOCK, scale_for};
use crate::planned::{planned, there};
use core::arch::aarch64::*;

/// Sixteen int8 as int16.
#[target_feature(enable = "neon")]
#[inline]
fn widen(x: &[i8; 16]) -> [int16x8_t; 2] {
    // SAFETY: 16 bytes are there.
    let x = vreinterpretq_s8_u8(unsafe { load_bytes(x.as_ptr()) });
    [vmovl_s8(vget_low_s8(x)), vmovl_high_s8(x)]
}

/// Adds sixteen products `q·k` to four partial sums of a dot product.
#[target_feature(enable = "neon")]
#[inline]
fn accumulate(sum: int32x4_t, q: [int16x8_t; 2], k: [int16x8_t; 2]) -> int32x4_t {
    let mut sum = sum;
    for (q, k) in q.into_iter().zip(k) {
        sum = vmlal_high_s16(vmlal_s16(sum, vget_low_s16(q), vget_low_s16(k)), q, k);
    }
    sum
}

/// Four keys at a time, sixteen numbers of each.
#[target_feature(enable = "neon")]
pub(in crate::kernels) fn scores(q: &[i16], scale: f32, keys: &[i8], key_scales: &[f32], scores: &mut [f32]) {
    let dim = q.len();
    let (q16, []) = q.as_chunks::<16>() else {
        return portable::scores(q, scale, keys, key_scales, scores);
    };
    let ((scores4, scores_rest), (scales4, scales_rest)) = (scores.as_chunks_mut::<4>(), key_scales.as_chunks::<4>());
    let keys4 = keys.chunks_exact((4 * dim).max(1));
    for ((scores, scales), keys) in scores4.iter_mut().zip(scales4).zip(keys4) {
        let mut sums = [vdupq_n_s32(0); 4];
        let (k0, k1, k2, k3) = quarters(keys.as_chunks::<16>().0, q16.len());
        for ((((q, k0), k1), k2), k3) in q16.iter().zip(k0).zip(k1).zip(k2).zip(k3) {
            // SAFETY: 32 bytes are there.
            let q = unsafe { [load_bytes(q.as_ptr()), load_bytes(q.as_ptr().add(8))] }.map(|q| vreinterpretq_s16_u8(q));
            for (sum, k) in sums.iter_mut().zip([k0, k1, k2, k3]) {
                *sum = accumulate(*sum, q, widen(k));
            }
        }
        let sums = vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3]));
        // SAFETY: 16 bytes are there, and room for as many.
        unsafe {
            let scales = vmulq_n_f32(vreinterpretq_f32_u8(load_bytes(scales.as_ptr())), scale);
            store_bytes(scores.as_mut_ptr(), vreinterpretq_u8_f32(vmulq_f32(vcvtq_f32_s32(sums), scales)));
        }
    }
    let done = 4 * scores4.len().min(scales4.len());
    portable::scores(q, scale, keys.get(done * dim..).unwrap_or(&[]), scales_rest, scores_rest);
}

type Sixteen = [i8; 16];

/// Four keys of `length` blocks.
#[inline(always)]
fn quarters(keys: &[Sixteen], length: usize) -> (&[Sixteen], &[Sixteen], &[Sixteen], &[Sixteen]) {
    let cut = |keys: &'_ [Sixteen]| keys.len().min(length);
    let (k0, rest) = keys.split_at(cut(keys));
    let (k1, rest) = rest.split_at(cut(rest));
    let (k2, k3) = rest.split_at(cut(rest));
    (k0, k1, k2, k3)
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn softmax(x: &mut [f32]) -> f32 {
    let (blocks, rest) = x.as_chunks_mut::<8>();
    let mut most = splat(f32::MIN);
    for block in blocks.iter() {
        most = zip(most, load(block), |most, x| vbslq_f32(vcgtq_f32(x, most), x, most));
    }
    let max = vmaxvq_f32(vbslq_f32(vcgtq_f32(most[0], most[1]), most[0], most[1]));
    let max = rest.iter().fold(max, |max, &x| if x > max { x } else { max });
    let mut sums = splat(0.0);
    for block in blocks {
        let e = map(load(block), |x| {
            let t = vmulq_n_f32(vsubq_f32(x, vdupq_n_f32(max)), LOG2_E);
            vnegq_f32(negative_exp2(vcvtq_s32_f32(t)))
        });
        store(block, e);
        sums = zip(sums, e, |sum, e| vaddq_f32(sum, e));
    }
    if rest.is_empty() {
        return sum_lanes(sums);
    }
    let mut lanes = [0.0; 8];
    store(&mut lanes, sums);
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *x = exp2(((*x - max) * LOG2_E) as i32);
        *lane += *x;
    }
    portable::sum_lanes(lanes)
}

/// The weighted sum over tokens of numbers `first .. first + 16·N` of each value.
#[target_feature(enable = "neon")]
#[inline]
fn strip<const N: usize>(p: &[i16], values: &[i8], dim: usize, first: usize, scale: f32, out: &mut [f32]) {
    let mut sums = [[vdupq_n_s32(0); 4]; N];
    for (&p, value) in p.iter().zip(values.chunks_exact(dim.max(1))) {
        let value = planned(value.get(first..)).as_chunks::<16>().0;
        let Some(value) = there(value.first_chunk::<N>()) else { return };
        for (sums, value) in sums.iter_mut().zip(value) {
            let [low, high] = widen(value);
            sums[0] = vmlal_n_s16(sums[0], vget_low_s16(low), p);
            sums[1] = vmlal_high_n_s16(sums[1], low, p);
            sums[2] = vmlal_n_s16(sums[2], vget_low_s16(high), p);
            sums[3] = vmlal_high_n_s16(sums[3], high, p);
        }
    }
    let out = planned(out.get_mut(first..)).as_chunks_mut::<4>().0;
    for (out, &sum) in out.iter_mut().zip(sums.as_flattened()) {
        // SAFETY: 16 bytes are there, and room for as many.
        unsafe {
            let scaled = vmulq_n_f32(vcvtq_f32_s32(sum), scale);
            let sum = vaddq_f32(vreinterpretq_f32_u8(load_bytes(out.as_ptr())), scaled);
            store_bytes(out.as_mut_ptr(), vreinterpretq_u8_f32(sum));
        }
    }
}

#[target_feature(enable = "neon")]
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
    for ((w, scales), values) in blocks.zip(values.chunks((VALUE_BLOCK * dim).max(1))) {
        for (w, scale) in w.iter_mut().zip(scales) {
            *w *= scale;
        }
        let (scale, inverse) = scale_for(max_abs(w), 32767.0);
        let mut p = [0i16; VALUE_BLOCK];
        let (w8, w_rest) = w.as_chunks::<8>();
        for (p, w) in p.as_chunks_mut::<8>().0.iter_mut().zip(w8) {
            // SAFETY: there is room for 16 bytes.
            unsafe { store_bytes(p.as_mut_ptr(), vreinterpretq_u8_s16(to_i16(load(w), inverse))) };
        }
        for (p, w) in p.iter_mut().skip(8 * w8.len()).zip(w_rest) {
            *p = portable::to_i16(w * inverse);
        }
        let p = planned(p.get(..w.len()));
        let mut first = 0;
        while first + 32 <= dim {
            strip::<2>(p, values, dim, first, scale, out);
            first += 32;
        }
        if first < dim {
            strip::<1>(p, values, dim, first, scale, out);
        }
    }
    let inverse = 1.0 / sum;
    for out in out.as_chunks_mut::<8>().0 {
        store(out, map(load(out), |x| vmulq_n_f32(x, inverse)));
    }
}
