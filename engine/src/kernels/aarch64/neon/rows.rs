//! Rows of numbers: to int8, norms, SwiGLU, softplus and the convolution. Where a row ends with fewer numbers than these take
//! at a time, the portable kernels do the rest.

use super::vector::{Eight, load, map, negative_exp2, silu, splat, store, store_bytes, sum_lanes, zip};
use crate::kernels::math::{LOG2_E, ROUND, SOFTPLUS};
use crate::kernels::operands::Conv;
use crate::kernels::portable::{self, scale_for};
use core::arch::aarch64::*;
use core::arch::asm;

/// `x` where its magnitude is larger than that of `most`, else `most`; NaN is never larger.
#[target_feature(enable = "neon")]
#[inline]
fn larger(most: float32x4_t, x: float32x4_t) -> float32x4_t {
    vbslq_f32(vcagtq_f32(x, most), x, most)
}

/// The largest magnitude, NaN not counting.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn max_abs(x: &[f32]) -> f32 {
    let (blocks, rest) = x.as_chunks::<8>();
    let mut most = splat(0.0);
    for block in blocks {
        most = zip(most, load(block), |most, x| larger(most, x));
    }
    let most = vmaxvq_f32(vabsq_f32(larger(most[0], most[1])));
    rest.iter().fold(most, |most, x| if x.abs() > most { x.abs() } else { most })
}

/// Four numbers times `inverse`, to the nearest integers.
#[target_feature(enable = "neon")]
#[inline]
fn round(x: float32x4_t, inverse: f32) -> int32x4_t {
    let sum = vaddq_f32(vmulq_n_f32(x, inverse), vdupq_n_f32(ROUND));
    vsubq_s32(vreinterpretq_s32_f32(sum), vdupq_n_s32(ROUND.to_bits() as i32))
}

/// Eight numbers to ±32767.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn to_i16(x: Eight, inverse: f32) -> int16x8_t {
    let narrow = vqmovn_high_s32(vqmovn_s32(round(x[0], inverse)), round(x[1], inverse));
    vmaxq_s16(narrow, vdupq_n_s16(-32767))
}

/// Eight numbers to ±127.
#[target_feature(enable = "neon")]
#[inline]
fn to_i8(x: &[f32; 8], inverse: f32, q: &mut [i8; 8]) {
    let narrow = vmax_s8(vqmovn_s16(to_i16(load(x), inverse)), vdup_n_s8(-127));
    // SAFETY: there is room for 8 bytes.
    unsafe {
        asm!("str {narrow:d}, [{q}]", q = in(reg) q, narrow = in(vreg) narrow, options(nostack, preserves_flags))
    };
}

/// A group to int8; its length is a multiple of eight.
#[target_feature(enable = "neon")]
#[inline]
fn quantize_blocks(x: &[[f32; 8]], q: &mut [[i8; 8]]) -> f32 {
    let (scale, inverse) = scale_for(max_abs(x.as_flattened()), 127.0);
    for (x, q) in x.iter().zip(q) {
        to_i8(x, inverse, q);
    }
    scale
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn quantize(x: &[f32], group: usize, values: &mut [i8], scales: &mut [f32]) {
    let (x8, q8) = (x.as_chunks::<8>(), values.as_chunks_mut::<8>());
    if !x8.1.is_empty() || !q8.1.is_empty() || x8.0.len() != q8.0.len() || !group.is_multiple_of(8) || group == 0 {
        return portable::quantize(x, group, values, scales);
    }
    if group == 32 {
        // Unrolled, so that a group stays in registers.
        let ((x, x_rest), (q, q_rest)) = (x8.0.as_chunks::<4>(), q8.0.as_chunks_mut::<4>());
        let (whole, rest) = scales.split_at_mut(x.len().min(scales.len()));
        for ((x, q), scale) in x.iter().zip(q).zip(whole) {
            *scale = quantize_blocks(x, q);
        }
        if let Some(scale) = rest.first_mut()
            && !x_rest.is_empty()
        {
            *scale = quantize_blocks(x_rest, q_rest);
        }
        return;
    }
    for ((x, q), scale) in x8.0.chunks(group / 8).zip(q8.0.chunks_mut(group / 8)).zip(scales) {
        *scale = quantize_blocks(x, q);
    }
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn quantize_head(x: &[f32], out: &mut [i8]) -> f32 {
    match (x.as_chunks::<8>(), out.as_chunks_mut::<8>()) {
        ((x, []), (q, [])) if x.len() == q.len() => quantize_blocks(x, q),
        _ => portable::quantize_head(x, out),
    }
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn quantize_query(x: &[f32], out: &mut [i16]) -> f32 {
    let ((blocks, []), (q, [])) = (x.as_chunks::<8>(), out.as_chunks_mut::<8>()) else {
        return portable::quantize_query(x, out);
    };
    let (scale, inverse) = scale_for(max_abs(x), 32767.0);
    for (x, q) in blocks.iter().zip(q) {
        // SAFETY: there is room for 16 bytes.
        unsafe { store_bytes(q.as_mut_ptr(), vreinterpretq_u8_s16(to_i16(load(x), inverse))) };
    }
    scale
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a8, a_rest), (b8, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = splat(0.0);
    for (a, b) in a8.iter().zip(b8) {
        let products = zip(load(a), load(b), |a, b| vmulq_f32(a, b));
        sums = zip(sums, products, |sum, product| vaddq_f32(sum, product));
    }
    if a_rest.is_empty() || b_rest.is_empty() {
        return sum_lanes(sums);
    }
    let mut lanes = [0.0; 8];
    store(&mut lanes, sums);
    for ((lane, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += a * b;
    }
    portable::sum_lanes(lanes)
}

/// `1 / sqrt(mean of squares + ε)`.
#[target_feature(enable = "neon")]
#[inline]
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / libm::sqrtf(dot(x, x) / x.len() as f32 + eps)
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let inverse = inverse_rms(x, eps);
    let ((x, x_rest), (w, w_rest), (out, out_rest)) =
        (x.as_chunks::<8>(), weight.as_chunks::<8>(), out.as_chunks_mut::<8>());
    for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
        store(out, zip(load(x), load(w), |x, w| vmulq_f32(vmulq_n_f32(x, inverse), w)));
    }
    for ((out, x), w) in out_rest.iter_mut().zip(x_rest).zip(w_rest) {
        *out = (x * inverse) * w;
    }
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn rms_norm_in_place(x: &mut [f32], weight: &[f32], eps: f32) {
    let inverse = inverse_rms(x, eps);
    let ((x, x_rest), (w, w_rest)) = (x.as_chunks_mut::<8>(), weight.as_chunks::<8>());
    for (x, w) in x.iter_mut().zip(w) {
        store(x, zip(load(x), load(w), |x, w| vmulq_f32(vmulq_n_f32(x, inverse), w)));
    }
    for (x, w) in x_rest.iter_mut().zip(w_rest) {
        *x = (*x * inverse) * w;
    }
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn swiglu(gate: &mut [f32], up: &[f32]) {
    let ((gate, gate_rest), (up, up_rest)) = (gate.as_chunks_mut::<8>(), up.as_chunks::<8>());
    for (gate, up) in gate.iter_mut().zip(up) {
        store(gate, zip(load(gate), load(up), |gate, up| vmulq_f32(silu(gate), up)));
    }
    portable::swiglu(gate_rest, up_rest);
}

/// [`crate::kernels::math::softplus`] of four numbers.
#[target_feature(enable = "neon")]
#[inline]
fn softplus(x: float32x4_t) -> float32x4_t {
    let negative_u = negative_exp2(vcvtq_s32_f32(vmulq_n_f32(vabsq_f32(x), -LOG2_E)));
    let s = vdivq_f32(vnegq_f32(negative_u), vsubq_f32(vdupq_n_f32(2.0), negative_u));
    let t = vmulq_f32(s, s);
    let [first, rest @ ..] = SOFTPLUS;
    let q = rest.iter().fold(vdupq_n_f32(first), |q, &c| vaddq_f32(vmulq_f32(q, t), vdupq_n_f32(c)));
    let positive = vreinterpretq_f32_u32(vandq_u32(vcgtzq_f32(x), vreinterpretq_u32_f32(x)));
    vaddq_f32(positive, vmulq_f32(s, q))
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn softplus_bias(dt: &mut [f32], bias: &[f32]) {
    let (bias8, []) = bias.as_chunks::<8>() else {
        return portable::softplus_bias(dt, bias);
    };
    for row in dt.chunks_exact_mut(bias.len().max(1)) {
        for (dt, bias) in row.as_chunks_mut::<8>().0.iter_mut().zip(bias8) {
            store(dt, zip(load(dt), load(bias), |dt, bias| softplus(vaddq_f32(dt, bias))));
        }
    }
}

/// The convolution of four taps, eight channels through all tokens at a time: weights and history stay in registers.
#[target_feature(enable = "neon")]
pub(in crate::kernels) fn conv_silu(mut conv: Conv<'_>) {
    let Conv { u, history, weight, stride, first, bias } = &mut conv;
    let (channels, tokens, apart) = (bias.len(), u.tokens(), history.stride());
    // The first of each, where all are there.
    let (Some(u_row), Some(history), Some(weight), true) = (
        u.pointer(0..tokens, 0, channels),
        (history.tokens() == 3).then(|| history.pointer(0..3, 0, channels)).flatten(),
        weight.get(*first..).filter(|weight| weight.len() >= 3 * *stride + channels),
        channels.is_multiple_of(8),
    ) else {
        return portable::conv_with(conv, |sum| {
            let mut out = [0.0; 8];
            store(&mut out, map(load(&sum), |sum| silu(sum)));
            out
        });
    };
    let (stride, u_stride) = (*stride, u.stride());
    for first in (0..channels).step_by(8) {
        // SAFETY: all rows have `channels` numbers, a multiple of eight, and so there are eight from `first` on.
        unsafe {
            let eight = |row: *const f32, at: usize| &*row.add(at + first).cast::<[f32; 8]>();
            let taps = [0, 1, 2, 3].map(|tap| load(eight(weight.as_ptr(), tap * stride)));
            let bias = load(eight(bias.as_ptr(), 0));
            let mut past = [0, 1, 2].map(|age| load(eight(history, age * apart)));
            for token in 0..tokens {
                let place = u_row.add(token * u_stride + first).cast::<[f32; 8]>();
                let x = load(&*place);
                let mut sum = bias;
                for (x, tap) in [past[0], past[1], past[2], x].into_iter().zip(taps) {
                    let product = zip(x, tap, |x, tap| vmulq_f32(x, tap));
                    sum = zip(sum, product, |sum, product| vaddq_f32(sum, product));
                }
                store(&mut *place, map(sum, |sum| silu(sum)));
                past = [past[1], past[2], x];
            }
            for (age, past) in past.into_iter().enumerate() {
                store(&mut *history.add(age * apart + first).cast::<[f32; 8]>(), past);
            }
        }
    }
}
