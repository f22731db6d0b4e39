//! aarch64's baseline (Cortex-A53, A72: Raspberry Pi 3, 4 and Zero 2 W).

use super::tile::{Fours, Groups, activations};
use super::{Columns, Quantized, Scan, dotprod};
use crate::image::{FLIPPED, TILE_COLS, TILE_ROWS};
use crate::model::QMatrix;
use core::arch::aarch64::*;

compiled! { "neon":
    fn quantize(x: &[f32], group: usize, values: &mut [i8], scales: &mut [f32]);
    fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]);
    fn rms_norm_in_place(x: &mut [f32], weight: &[f32], eps: f32);
    fn conv_silu(u: &mut [f32], weight: &[f32], bias: &[f32], history: &mut [f32]);
    fn softplus_bias(dt: &mut [f32], bias: &[f32]);
    fn swiglu(gate: &mut [f32], up: &[f32]);
    fn quantize_query(q: &[f32], out: &mut [i16]) -> f32;
    fn quantize_head(x: &[f32], out: &mut [i8]) -> f32;
    fn scan<S>(scan: Scan<'_, S>);
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
            let values = rows.map(|row| activations(row.0, at, x.group, group.weights));
            if values.iter().any(|values| values.len() != group.weights.len()) {
                continue;
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
    for (at, pair) in fours.as_chunks::<2>().0.iter().enumerate() {
        let w = pair.map(|four| {
            let halves = four.as_chunks::<16>().0;
            [weights(&halves[0]), weights(&halves[1])]
        });
        for (sums, values) in sums.iter_mut().zip(values) {
            let x = [values[2 * at], values[2 * at + 1]];
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
