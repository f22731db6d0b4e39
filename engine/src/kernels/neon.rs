//! aarch64's baseline (Cortex-A53, A72: Raspberry Pi 3, 4 and Zero 2 W).

use super::math::{EXP2, EXP2_BIAS, LOG_SCALE, LOG2_E};
use super::portable::{self, Step};
use super::tile::{Fours, Groups, activations, four};
use super::{Columns, Quantized, Scan, StateScalar, dotprod};
use crate::image::{FLIPPED, TILE_COLS, TILE_ROWS};
use crate::model::QMatrix;
use core::arch::aarch64::*;

compiled! { "neon":
    fn quantize(x: &[f32], group: usize, values: &mut [i8], scales: &mut [f32]);
    fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]);
    fn rms_norm_in_place(x: &mut [f32], weight: &[f32], eps: f32);
    fn softplus_bias(dt: &mut [f32], bias: &[f32]);
    fn quantize_query(q: &[f32], out: &mut [i16]) -> f32;
    fn quantize_head(x: &[f32], out: &mut [i8]) -> f32;
    fn scores(q: &[i16], scale: f32, keys: &[i8], key_scales: &[f32], scores: &mut [f32]);
    fn softmax(x: &mut [f32]) -> f32;
    fn weighted_values(weights: &mut [f32], sum: f32, values: &[i8], value_scales: &[f32], out: &mut [f32]);
    fn dot(a: &[f32], b: &[f32]) -> f32;
}

/// Sums of rows 0 to 3 and of rows 4 to 7.
pub(super) type Sums = [int32x4_t; 2];

/// Matrix product with as many tokens a pass through a tile as there are registers for.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn product<const SDOT: bool>(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    let mut first = 0;
    while first < x.tokens() {
        first += match (x.tokens() - first).min(if SDOT { 8 } else { 4 }) {
            8.. => block::<SDOT, 8>(w, x, first, &mut out),
            4.. => block::<SDOT, 4>(w, x, first, &mut out),
            2.. => block::<SDOT, 2>(w, x, first, &mut out),
            _ => block::<SDOT, 1>(w, x, first, &mut out),
        };
    }
}

/// `T` tokens from `first` on through all tiles; returns `T`.
#[target_feature(enable = "neon")]
#[inline]
fn block<const SDOT: bool, const T: usize>(
    w: &QMatrix<'_>,
    x: &Quantized<'_>,
    first: usize,
    out: &mut Columns<'_>,
) -> usize {
    let mut rows = [(&[][..], &[][..]); T];
    for (token, row) in rows.iter_mut().zip(x.rows().skip(first)) {
        *token = row;
    }
    for (index, tile) in w.tiles().enumerate() {
        let mut y = [[vdupq_n_f32(0.0); 2]; T];
        for (at, group) in Groups::new(tile, x).enumerate() {
            let mut values: [&[[i8; TILE_COLS]]; T] = [&[]; T];
            for (values, row) in values.iter_mut().zip(&rows) {
                *values = activations(row.0, at, x.group, group.weights);
            }
            let sums = match SDOT {
                true => dotprod::products(group.weights, &values),
                false => products(group.weights, &values),
            };
            let scales = scales(group.scales);
            for ((y, sums), row) in y.iter_mut().zip(sums).zip(&rows) {
                let x_scale = row.1.get(at).copied().unwrap_or(0.0);
                for ((y, sum), scale) in y.iter_mut().zip(sums).zip(scales) {
                    *y = vaddq_f32(*y, vmulq_f32(vcvtq_f32_s32(sum), vmulq_n_f32(scale, x_scale)));
                }
            }
        }
        for (token, y) in y.iter().enumerate() {
            out.write(first + token, index * TILE_ROWS, &to_array(*y));
        }
    }
    T
}

/// Sixteen bytes: four columns of four rows, with the flipped bits flipped back.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn weights(bytes: &[u8; 16]) -> int8x16_t {
    // SAFETY: 16 bytes are there.
    let stored = unsafe { vld1q_u8(bytes.as_ptr()) };
    vreinterpretq_s8_u8(veorq_u8(stored, vreinterpretq_u8_u32(vdupq_n_u32(FLIPPED))))
}

/// A tile's eight f16 scales.
#[target_feature(enable = "neon")]
#[inline]
fn scales(bytes: &[u8; 2 * TILE_ROWS]) -> [float32x4_t; 2] {
    let (low, high): (float32x4_t, float32x4_t);
    // SAFETY: registers in, registers out.
    unsafe {
        core::arch::asm!(
            "fcvtl {low:v}.4s, {halves:v}.4h",
            "fcvtl2 {high:v}.4s, {halves:v}.8h",
            halves = in(vreg) vld1q_u8(bytes.as_ptr()),
            low = out(vreg) low,
            high = lateout(vreg) high,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    [low, high]
}

#[target_feature(enable = "neon")]
#[inline]
fn to_array(y: [float32x4_t; 2]) -> [f32; TILE_ROWS] {
    // SAFETY: both are 32 bytes of plain numbers.
    unsafe { core::mem::transmute(y) }
}

/// The baseline's products: SMULL and SMLAL give 16-bit sums of two products, which always fit (2·128·127 < 2¹⁵), and
/// SADALP adds them in pairs to 32 bits.
#[target_feature(enable = "neon")]
#[inline]
fn products<const T: usize>(fours: &[Fours], values: &[&[[i8; TILE_COLS]]; T]) -> [Sums; T] {
    let zero = vdupq_n_s32(0);
    // Two sums of each row side by side.
    let mut sums = [[zero; 4]; T];
    if values.iter().any(|values| values.len() != fours.len()) {
        return [[zero; 2]; T];
    }
    for (at, pair) in fours.as_chunks::<2>().0.iter().enumerate() {
        let w = pair.map(|four| {
            let halves = four.as_chunks::<16>().0;
            [weights(&halves[0]), weights(&halves[1])]
        });
        for (sums, values) in sums.iter_mut().zip(values) {
            // SAFETY: there are as many fours of values as of weights.
            let x = unsafe { [*four(values, 2 * at), *four(values, 2 * at + 1)] };
            let x = x.map(|x| vreinterpretq_s8_u32(vdupq_n_u32(u32::from_le_bytes(x.map(|x| x as u8)))));
            for half in 0..2 {
                let low = vmull_s8(vget_low_s8(w[0][half]), vget_low_s8(x[0]));
                let low = vmlal_s8(low, vget_low_s8(w[1][half]), vget_low_s8(x[1]));
                let high = vmull_high_s8(w[0][half], x[0]);
                let high = vmlal_high_s8(high, w[1][half], x[1]);
                sums[2 * half] = vpadalq_s16(sums[2 * half], low);
                sums[2 * half + 1] = vpadalq_s16(sums[2 * half + 1], high);
            }
        }
    }
    sums.map(|s| [vpaddq_s32(s[0], s[1]), vpaddq_s32(s[2], s[3])])
}

#[target_feature(enable = "neon")]
pub(super) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    product::<false>(w, x, out);
}

#[target_feature(enable = "neon")]
#[inline]
fn load_f32(x: &[f32; 8]) -> [float32x4_t; 2] {
    // SAFETY: 32 bytes are there.
    unsafe { [vld1q_f32(x.as_ptr()), vld1q_f32(x.as_ptr().add(4))] }
}

/// [`super::math::negative_exp2`] of four numbers. SQDMULH gives twice the upper half of a product; SHADD halves it again
/// while it adds a coefficient, of which it therefore gets the double.
#[target_feature(enable = "neon")]
#[inline]
fn negative_exp2(t: int32x4_t) -> float32x4_t {
    let w = veorq_s32(vshlq_n_s32::<9>(t), vdupq_n_s32(i32::MIN));
    // At w = −2³¹ the double saturates to one too little, and so does its half.
    let missing = vreinterpretq_s32_u32(vceqq_s32(w, vdupq_n_s32(i32::MIN)));
    let g = vsubq_s32(vsubq_s32(vshrq_n_s32::<1>(vqdmulhq_s32(w, w)), vdupq_n_s32(1 << 30)), missing);
    let r = vhaddq_s32(vdupq_n_s32(2 * EXP2[1]), vqdmulhq_s32(w, vdupq_n_s32(EXP2[2])));
    let r = vhaddq_s32(vdupq_n_s32(2 * EXP2[0]), vqdmulhq_s32(w, r));
    let log = vsraq_n_s32::<1>(t, vqdmulhq_s32(g, r));
    let bias = vreinterpretq_s16_s32(vdupq_n_s32(i32::from(EXP2_BIAS) << 16));
    vreinterpretq_f32_s16(vqsubq_s16(vreinterpretq_s16_s32(log), bias))
}

/// [`super::math::silu`] of four numbers.
#[target_feature(enable = "neon")]
#[inline]
fn silu(x: float32x4_t) -> float32x4_t {
    let t = vcvtq_s32_f32(vmulq_n_f32(vabsq_f32(x), -LOG2_E));
    let negative_e = negative_exp2(t);
    let dividend = vbslq_f32(vcgtzq_f32(x), x, vmulq_f32(x, vnegq_f32(negative_e)));
    vdivq_f32(dividend, vsubq_f32(vdupq_n_f32(1.0), negative_e))
}

#[target_feature(enable = "neon")]
pub(super) fn conv_silu(u: &mut [f32], weight: &[f32], bias: &[f32], history: &mut [f32]) {
    portable::conv_with(u, weight, bias, history, |sum| {
        let [low, high] = load_f32(&sum);
        to_array([silu(low), silu(high)])
    });
}

#[target_feature(enable = "neon")]
pub(super) fn swiglu(gate: &mut [f32], up: &[f32]) {
    let (blocks, rest) = gate.as_chunks_mut::<8>();
    let (ups, up_rest) = up.as_chunks::<8>();
    for (gate, up) in blocks.iter_mut().zip(ups) {
        let ([low, high], [up_low, up_high]) = (load_f32(gate), load_f32(up));
        *gate = to_array([vmulq_f32(silu(low), up_low), vmulq_f32(silu(high), up_high)]);
    }
    portable::swiglu(rest, up_rest);
}

/// Eight numbers of the state.
#[target_feature(enable = "neon")]
#[inline]
fn load_state<S: StateScalar>(h: &[S; 8]) -> [float32x4_t; 2] {
    if S::HALF { load_f32(&h.map(S::load)) } else { load_f32(bytemuck::cast_ref(h)) }
}

#[target_feature(enable = "neon")]
#[inline]
fn store_state<S: StateScalar>(h: &mut [S; 8], value: [float32x4_t; 2]) {
    let value = to_array(value);
    match S::HALF {
        true => *h = value.map(S::store),
        false => *bytemuck::cast_mut(h) = value,
    }
}

#[target_feature(enable = "neon")]
pub(super) fn scan<S: StateScalar>(scan: Scan<'_, S>) {
    portable::scan_with(scan, |state, step| {
        let Step { a, b, c, dt, z, d, u } = step;
        let (x, dt) = (load_f32(u), load_f32(dt));
        let (d, z) = (load_f32(d), load_f32(z));
        let mut y = [vdupq_n_f32(0.0); 2];
        let mut dx = y;
        let mut scaled = y;
        for half in 0..2 {
            dx[half] = vmulq_f32(dt[half], x[half]);
            scaled[half] = vmulq_n_f32(dt[half], LOG_SCALE);
        }
        for (((h, a), &b), &c) in state.iter_mut().zip(a).zip(b).zip(c) {
            let (a, mut next) = (load_f32(a), load_state(h));
            for half in 0..2 {
                let negative_decay = negative_exp2(vcvtq_s32_f32(vmulq_f32(scaled[half], a[half])));
                next[half] = vsubq_f32(vmulq_n_f32(dx[half], b), vmulq_f32(negative_decay, next[half]));
                y[half] = vaddq_f32(y[half], vmulq_n_f32(next[half], c));
            }
            store_state(h, next);
        }
        for half in 0..2 {
            y[half] = vmulq_f32(vaddq_f32(y[half], vmulq_f32(d[half], x[half])), silu(z[half]));
        }
        *u = to_array(y);
    });
}
