//! Eight numbers at a time: loads, stores, and the scalar functions of [`math`](crate::kernels::math).

use crate::kernels::StateScalar;
use crate::kernels::math::{EXP2, EXP2_BIAS, LOG2_E, SOFTPLUS};
use core::arch::x86_64::*;

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn to_array(x: __m256) -> [f32; 8] {
    // SAFETY: both are 32 bytes of plain numbers.
    unsafe { core::mem::transmute(x) }
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn load_f32(x: &[f32; 8]) -> __m256 {
    // SAFETY: 32 bytes are there, and an unaligned load asks for no more.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}

/// `x as i32`: towards zero, saturating, NaN becomes 0.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn to_int(x: __m256) -> __m256i {
    // What is out of range becomes the smallest number, which is right for negative ones.
    let t = _mm256_cvttps_epi32(x);
    let high = _mm256_cmp_ps::<_CMP_GE_OQ>(x, _mm256_set1_ps(2_147_483_648.0));
    let number = _mm256_cmp_ps::<_CMP_ORD_Q>(x, x);
    _mm256_and_si256(_mm256_xor_si256(t, _mm256_castps_si256(high)), _mm256_castps_si256(number))
}

/// [`math::negative_exp2`] of eight numbers. Products of 32 bits exist for even lanes only, so odd ones go beside them.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn negative_exp2(t: __m256i) -> __m256 {
    let set = |x: i32| _mm256_set1_epi32(x);
    let high = |a, b| _mm256_srli_epi64::<32>(_mm256_mul_epi32(a, b));
    let even = _mm256_xor_si256(_mm256_slli_epi32::<9>(t), set(i32::MIN));
    let odd = _mm256_srli_epi64::<32>(even);
    let correction = |w| {
        let g = _mm256_sub_epi32(high(w, w), set(1 << 30));
        let r = _mm256_add_epi32(set(EXP2[1]), high(w, set(EXP2[2])));
        let r = _mm256_add_epi32(set(EXP2[0]), high(w, r));
        _mm256_mul_epi32(g, r)
    };
    let even = _mm256_srli_epi64::<32>(correction(even));
    let log = _mm256_add_epi32(t, _mm256_blend_epi32::<0b1010_1010>(even, correction(odd)));
    _mm256_castsi256_ps(_mm256_subs_epi16(log, set(i32::from(EXP2_BIAS) << 16)))
}

/// `−e^−|x|`.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn negative_exp_of_minus(x: __m256) -> __m256 {
    let size = _mm256_andnot_ps(_mm256_set1_ps(-0.0), x);
    negative_exp2(to_int(_mm256_mul_ps(size, _mm256_set1_ps(-LOG2_E))))
}

/// [`math::silu`] of eight numbers.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn silu(x: __m256) -> __m256 {
    let negative_e = negative_exp_of_minus(x);
    let e = _mm256_xor_ps(negative_e, _mm256_set1_ps(-0.0));
    let positive = _mm256_cmp_ps::<_CMP_GT_OQ>(x, _mm256_setzero_ps());
    let dividend = _mm256_blendv_ps(_mm256_mul_ps(x, e), x, positive);
    _mm256_div_ps(dividend, _mm256_sub_ps(_mm256_set1_ps(1.0), negative_e))
}

/// [`math::softplus`] of eight numbers.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn softplus(x: __m256) -> __m256 {
    let u = _mm256_xor_ps(negative_exp_of_minus(x), _mm256_set1_ps(-0.0));
    let s = _mm256_div_ps(u, _mm256_add_ps(_mm256_set1_ps(2.0), u));
    let t = _mm256_mul_ps(s, s);
    let mut q = _mm256_set1_ps(SOFTPLUS[0]);
    for coefficient in &SOFTPLUS[1..] {
        q = _mm256_add_ps(_mm256_mul_ps(q, t), _mm256_set1_ps(*coefficient));
    }
    // VMAXPS gives its second operand where the first isn't larger or is NaN.
    let positive = _mm256_max_ps(x, _mm256_setzero_ps());
    _mm256_add_ps(positive, _mm256_mul_ps(s, q))
}

/// Eight numbers of the state.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub(in crate::kernels) fn load_state<S: StateScalar>(h: &[S; 8]) -> __m256 {
    // SAFETY: `StateScalar` is f32, or 16 bits where it says `HALF`; so many bytes are there.
    unsafe {
        match S::HALF {
            true => _mm256_cvtph_ps(_mm_loadu_si128(h.as_ptr().cast())),
            false => _mm256_loadu_ps(h.as_ptr().cast()),
        }
    }
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
pub(in crate::kernels) fn store_state<S: StateScalar>(h: &mut [S; 8], value: __m256) {
    // SAFETY: as in `load_state`.
    unsafe {
        match S::HALF {
            true => _mm_storeu_si128(h.as_mut_ptr().cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)),
            false => _mm256_storeu_ps(h.as_mut_ptr().cast(), value),
        }
    }
}
