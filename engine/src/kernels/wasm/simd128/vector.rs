//! Eight numbers at a time: loads, stores, and the scalar functions of [`math`](crate::kernels::math).

use crate::kernels::StateScalar;
use crate::kernels::math::{EXP2, EXP2_BIAS, LOG2_E, ROUND, SOFTPLUS};
use core::arch::wasm32::*;

/// Eight f32, in two vectors.
pub(super) type Eight = [v128; 2];

/// Sixteen bytes.
#[inline(always)]
pub(super) fn load_bytes(x: &[u8; 16]) -> v128 {
    // SAFETY: 16 bytes are there, and a load asks for no alignment.
    unsafe { v128_load(x.as_ptr().cast()) }
}

/// Sixteen int8.
#[inline(always)]
pub(super) fn load_i8(x: &[i8; 16]) -> v128 {
    // SAFETY: as in `load_bytes`.
    unsafe { v128_load(x.as_ptr().cast()) }
}

/// Sixteen int16.
#[inline(always)]
pub(super) fn load_i16(x: &[i16; 16]) -> [v128; 2] {
    // SAFETY: 32 bytes are there, and loads ask for no alignment.
    unsafe { [v128_load(x.as_ptr().cast()), v128_load(x.as_ptr().add(8).cast())] }
}

/// Four f32.
#[inline(always)]
pub(super) fn load_four(x: &[f32; 4]) -> v128 {
    // SAFETY: as in `load_bytes`.
    unsafe { v128_load(x.as_ptr().cast()) }
}

#[inline(always)]
pub(super) fn store_four(x: &mut [f32; 4], value: v128) {
    // SAFETY: there is room for 16 bytes, and a store asks for no alignment.
    unsafe { v128_store(x.as_mut_ptr().cast(), value) }
}

#[inline(always)]
pub(super) fn store_i16(x: &mut [i16; 8], value: v128) {
    // SAFETY: as in `store_four`.
    unsafe { v128_store(x.as_mut_ptr().cast(), value) }
}

#[inline(always)]
pub(super) fn load(x: &[f32; 8]) -> Eight {
    // SAFETY: 32 bytes are there, and loads ask for no alignment.
    unsafe { [v128_load(x.as_ptr().cast()), v128_load(x.as_ptr().add(4).cast())] }
}

#[inline(always)]
pub(super) fn store(x: &mut [f32; 8], value: Eight) {
    for (four, value) in x.as_chunks_mut::<4>().0.iter_mut().zip(value) {
        store_four(four, value);
    }
}

#[inline(always)]
pub(super) fn to_array(x: Eight) -> [f32; 8] {
    let mut array = [0.0; 8];
    store(&mut array, x);
    array
}

/// The same of both vectors.
#[inline(always)]
pub(super) fn map(x: Eight, f: impl Fn(v128) -> v128) -> Eight {
    [f(x[0]), f(x[1])]
}

#[inline(always)]
pub(super) fn splat(x: f32) -> Eight {
    [f32x4_splat(x); 2]
}

#[inline(always)]
pub(super) fn add(x: Eight, y: Eight) -> Eight {
    [f32x4_add(x[0], y[0]), f32x4_add(x[1], y[1])]
}

#[inline(always)]
pub(super) fn sub(x: Eight, y: Eight) -> Eight {
    [f32x4_sub(x[0], y[0]), f32x4_sub(x[1], y[1])]
}

#[inline(always)]
pub(super) fn mul(x: Eight, y: Eight) -> Eight {
    [f32x4_mul(x[0], y[0]), f32x4_mul(x[1], y[1])]
}

/// `x as i32`: towards zero, saturating, NaN becomes 0.
#[inline(always)]
pub(super) fn to_int(x: Eight) -> Eight {
    map(x, |x| i32x4_trunc_sat_f32x4(x))
}

/// The upper halves of four products: [`crate::kernels::math::high`].
#[inline(always)]
fn high(a: v128, b: v128) -> v128 {
    i32x4_shuffle::<1, 3, 5, 7>(i64x2_extmul_low_i32x4(a, b), i64x2_extmul_high_i32x4(a, b))
}

/// [`crate::kernels::math::negative_exp2`] of four numbers.
#[inline(always)]
pub(super) fn negative_exp2(t: v128) -> v128 {
    let w = v128_xor(i32x4_shl(t, 9), i32x4_splat(i32::MIN));
    let g = i32x4_sub(high(w, w), i32x4_splat(1 << 30));
    let r = i32x4_add(i32x4_splat(EXP2[1]), high(w, i32x4_splat(EXP2[2])));
    let r = i32x4_add(i32x4_splat(EXP2[0]), high(w, r));
    let log = i32x4_add(t, high(g, r));
    // The lower halves are zeros and stay.
    i16x8_sub_sat(log, i32x4_splat(i32::from(EXP2_BIAS) << 16))
}

/// `−e^−|x|`.
#[inline(always)]
fn negative_exp_of_minus(x: v128) -> v128 {
    negative_exp2(i32x4_trunc_sat_f32x4(f32x4_mul(f32x4_abs(x), f32x4_splat(-LOG2_E))))
}

/// [`crate::kernels::math::silu`] of four numbers.
#[inline(always)]
pub(super) fn silu(x: v128) -> v128 {
    let negative_e = negative_exp_of_minus(x);
    let positive = f32x4_gt(x, f32x4_splat(0.0));
    let dividend = v128_bitselect(x, f32x4_mul(x, f32x4_neg(negative_e)), positive);
    f32x4_div(dividend, f32x4_sub(f32x4_splat(1.0), negative_e))
}

/// [`crate::kernels::math::softplus`] of four numbers.
#[inline(always)]
pub(super) fn softplus(x: v128) -> v128 {
    let u = f32x4_neg(negative_exp_of_minus(x));
    let s = f32x4_div(u, f32x4_add(f32x4_splat(2.0), u));
    let t = f32x4_mul(s, s);
    let [first, rest @ ..] = SOFTPLUS;
    let q = rest.iter().fold(f32x4_splat(first), |q, &c| f32x4_add(f32x4_mul(q, t), f32x4_splat(c)));
    // The second one only where it is larger: of NaN, 0.
    let positive = f32x4_pmax(f32x4_splat(0.0), x);
    f32x4_add(positive, f32x4_mul(s, q))
}

/// Keeps what is larger of `most` and `x`; NaN isn't.
#[inline(always)]
pub(super) fn larger(most: Eight, x: Eight) -> Eight {
    [f32x4_pmax(most[0], x[0]), f32x4_pmax(most[1], x[1])]
}

/// The largest of eight numbers, none of which is NaN.
#[inline(always)]
pub(super) fn max_of(x: Eight) -> f32 {
    to_array(x).into_iter().fold(f32::MIN, |max, x| if x > max { x } else { max })
}

/// The largest magnitude, NaN not counting.
#[inline(always)]
pub(super) fn max_abs(x: &[f32]) -> f32 {
    let (blocks, rest) = x.as_chunks::<8>();
    let most = blocks.iter().fold(splat(0.0), |most, block| larger(most, map(load(block), |x| f32x4_abs(x))));
    rest.iter().fold(max_of(most), |most, x| if x.abs() > most { x.abs() } else { most })
}

/// Four numbers times `inverse`, to the nearest integers.
#[inline(always)]
fn round(x: v128, inverse: f32) -> v128 {
    let sum = f32x4_add(f32x4_mul(x, f32x4_splat(inverse)), f32x4_splat(ROUND));
    i32x4_sub(sum, i32x4_splat(ROUND.to_bits() as i32))
}

/// Eight numbers to ±32767.
#[inline(always)]
pub(super) fn to_i16(x: Eight, inverse: f32) -> v128 {
    i16x8_max(i16x8_narrow_i32x4(round(x[0], inverse), round(x[1], inverse)), i16x8_splat(-32767))
}

/// Eight numbers to ±127.
#[inline(always)]
pub(super) fn to_i8(x: Eight, inverse: f32) -> [i8; 8] {
    let narrow = to_i16(x, inverse);
    let narrow = i8x16_max(i8x16_narrow_i16x8(narrow, narrow), i8x16_splat(-127));
    i64x2_extract_lane::<0>(narrow).to_le_bytes().map(|byte| byte as i8)
}

/// Eight numbers of the state.
#[inline(always)]
pub(super) fn load_state<S: StateScalar>(h: &[S; 8]) -> Eight {
    load(&h.map(S::load))
}

#[inline(always)]
pub(super) fn store_state<S: StateScalar>(h: &mut [S; 8], value: Eight) {
    *h = to_array(value).map(S::store);
}
