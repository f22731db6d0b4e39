//! Eight numbers at a time: two registers, and the functions that kernels share.

use crate::kernels::StateScalar;
use crate::kernels::math::{EXP2, EXP2_BIAS, LOG2_E};
use core::arch::aarch64::*;
use core::arch::asm;

/// Eight numbers.
pub(in crate::kernels) type Eight = [float32x4_t; 2];

#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn splat(x: f32) -> Eight {
    [vdupq_n_f32(x); 2]
}

// Loads and stores are written out: bare-metal aarch64 is compiled for memory that only takes aligned accesses, which would
// be a byte at a time. The map of memory that `targets/pi` makes allows 16 bytes from any address.

/// Eight numbers from memory.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn load(x: &[f32; 8]) -> Eight {
    let (low, high): (float32x4_t, float32x4_t);
    // SAFETY: 32 bytes are there.
    unsafe {
        asm!(
            "ldp {low:q}, {high:q}, [{x}]",
            x = in(reg) x,
            low = out(vreg) low,
            high = out(vreg) high,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    [low, high]
}

/// Eight numbers to memory.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn store(to: &mut [f32; 8], x: Eight) {
    // SAFETY: there is room for 32 bytes.
    unsafe {
        asm!(
            "stp {low:q}, {high:q}, [{to}]",
            to = in(reg) to,
            low = in(vreg) x[0],
            high = in(vreg) x[1],
            options(nostack, preserves_flags),
        );
    }
}

/// Sixteen bytes from memory.
///
/// # Safety
/// They are there.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) unsafe fn load_bytes<T>(x: *const T) -> uint8x16_t {
    let bytes;
    // SAFETY: by the caller's promise.
    unsafe {
        asm!(
            "ldr {bytes:q}, [{x}]",
            x = in(reg) x,
            bytes = out(vreg) bytes,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    bytes
}

/// Sixteen bytes to memory.
///
/// # Safety
/// There is room for them.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) unsafe fn store_bytes<T>(to: *mut T, bytes: uint8x16_t) {
    // SAFETY: by the caller's promise.
    unsafe {
        asm!(
            "str {bytes:q}, [{to}]",
            to = in(reg) to,
            bytes = in(vreg) bytes,
            options(nostack, preserves_flags),
        );
    }
}

#[inline(always)]
pub(in crate::kernels) fn map(x: Eight, f: impl Fn(float32x4_t) -> float32x4_t) -> Eight {
    [f(x[0]), f(x[1])]
}

#[inline(always)]
pub(in crate::kernels) fn zip(x: Eight, y: Eight, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Eight {
    [f(x[0], y[0]), f(x[1], y[1])]
}

/// [`crate::kernels::portable::sum_lanes`].
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn sum_lanes(x: Eight) -> f32 {
    let four = vaddq_f32(x[0], x[1]);
    let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    vpadds_f32(two)
}

/// Eight numbers of the state.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn load_state<S: StateScalar>(h: &[S; 8]) -> Eight {
    if !S::HALF {
        return load(bytemuck::cast_ref(h));
    }
    // SAFETY: 16 bytes are there.
    widen(unsafe { load_bytes(h.as_ptr()) })
}

#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn store_state<S: StateScalar>(h: &mut [S; 8], value: Eight) {
    if !S::HALF {
        return store(bytemuck::cast_mut(h), value);
    }
    let halves: uint8x16_t;
    // SAFETY: registers in, registers out, and 16 bytes of room. Rounding is to nearest even.
    unsafe {
        asm!(
            "fcvtn {halves:v}.4h, {low:v}.4s",
            "fcvtn2 {halves:v}.8h, {high:v}.4s",
            low = in(vreg) value[0],
            high = in(vreg) value[1],
            halves = out(vreg) halves,
            options(pure, nomem, nostack, preserves_flags),
        );
        store_bytes(h.as_mut_ptr(), halves);
    }
}

/// Eight f16 to f32.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn widen(halves: uint8x16_t) -> Eight {
    let (low, high): (float32x4_t, float32x4_t);
    // SAFETY: registers in, registers out.
    unsafe {
        asm!(
            "fcvtl {low:v}.4s, {halves:v}.4h",
            "fcvtl2 {high:v}.4s, {halves:v}.8h",
            halves = in(vreg) halves,
            low = out(vreg) low,
            high = lateout(vreg) high,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    [low, high]
}

/// [`crate::kernels::math::negative_exp2`] of four numbers. SQDMULH gives twice the upper half of a product, so one factor
/// is halved, which is exact: its lower bits are zeros.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn negative_exp2(t: int32x4_t) -> float32x4_t {
    let w = veorq_s32(vshlq_n_s32::<9>(t), vdupq_n_s32(i32::MIN));
    let half = vshrq_n_s32::<1>(w);
    let g = vaddq_s32(vqdmulhq_s32(half, w), vdupq_n_s32(-(1 << 30)));
    let r = vaddq_s32(vqdmulhq_s32(half, vdupq_n_s32(EXP2[2])), vdupq_n_s32(EXP2[1]));
    let r = vaddq_s32(vqdmulhq_s32(half, r), vdupq_n_s32(EXP2[0]));
    // Here the whole product is halved.
    let log = vsraq_n_s32::<1>(t, vqdmulhq_s32(g, r));
    let bias = vreinterpretq_s16_s32(vdupq_n_s32(i32::from(EXP2_BIAS) << 16));
    vreinterpretq_f32_s16(vqsubq_s16(vreinterpretq_s16_s32(log), bias))
}

/// [`crate::kernels::math::silu`] of four numbers.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) fn silu(x: float32x4_t) -> float32x4_t {
    let t = vcvtq_s32_f32(vmulq_n_f32(vabsq_f32(x), -LOG2_E));
    let negative_e = negative_exp2(t);
    let dividend = vbslq_f32(vcgtzq_f32(x), x, vmulq_f32(x, vnegq_f32(negative_e)));
    vdivq_f32(dividend, vsubq_f32(vdupq_n_f32(1.0), negative_e))
}
