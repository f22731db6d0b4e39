//! Sixteen numbers at a time: loads, stores, and the exponential of [`math`](crate::kernels::math).

use crate::kernels::StateScalar;
use crate::kernels::math::{EXP2, EXP2_BIAS};
use core::arch::x86_64::*;

/// `x as i32`: towards zero, saturating, NaN becomes 0.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn to_int(x: __m512) -> __m512i {
    // What is out of range becomes the smallest number, which is right for negative ones.
    let t = _mm512_maskz_cvttps_epi32(_mm512_cmp_ps_mask::<_CMP_ORD_Q>(x, x), x);
    let high = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(x, _mm512_set1_ps(2_147_483_648.0));
    _mm512_mask_mov_epi32(t, high, _mm512_set1_epi32(i32::MAX))
}

/// [`crate::kernels::math::negative_exp2`] of sixteen numbers, as `avx2` has it.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
pub(super) fn negative_exp2(t: __m512i) -> __m512 {
    let set = |x: i32| _mm512_set1_epi32(x);
    let high = |a, b| _mm512_srli_epi64::<32>(_mm512_mul_epi32(a, b));
    let even = _mm512_xor_si512(_mm512_slli_epi32::<9>(t), set(i32::MIN));
    let odd = _mm512_srli_epi64::<32>(even);
    let correction = |w| {
        let g = _mm512_sub_epi32(high(w, w), set(1 << 30));
        let r = _mm512_add_epi32(set(EXP2[1]), high(w, set(EXP2[2])));
        let r = _mm512_add_epi32(set(EXP2[0]), high(w, r));
        _mm512_mul_epi32(g, r)
    };
    let even = _mm512_srli_epi64::<32>(correction(even));
    let log = _mm512_add_epi32(t, _mm512_mask_mov_epi32(even, 0b1010_1010_1010_1010, correction(odd)));
    _mm512_castsi512_ps(_mm512_subs_epi16(log, set(i32::from(EXP2_BIAS) << 16)))
}

/// Eight numbers, twice.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn twice(x: __m256) -> __m512 {
    _mm512_castpd_ps(_mm512_broadcast_f64x4(_mm256_castps_pd(x)))
}

/// Sixteen numbers of their halves.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn join(low: __m256, high: __m256) -> __m512 {
    let high = _mm256_castps_pd(high);
    _mm512_castpd_ps(_mm512_insertf64x4::<1>(_mm512_castps_pd(_mm512_castps256_ps512(low)), high))
}

/// Their halves.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn split(x: __m512) -> [__m256; 2] {
    [_mm512_castps512_ps256(x), _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x)))]
}

/// Two numbers, each eight times.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn eight_times(x: &[f32; 2]) -> __m512 {
    // SAFETY: 8 bytes are there, and this load asks for no more.
    let two = _mm_castsi128_ps(unsafe { _mm_loadl_epi64(x.as_ptr().cast()) });
    let index = _mm512_inserti64x4::<1>(_mm512_setzero_si512(), _mm256_set1_epi32(1));
    _mm512_permutexvar_ps(index, _mm512_castps128_ps512(two))
}

/// Two states of eight channels.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn load_two<S: StateScalar>(h: &[[S; 8]; 2]) -> __m512 {
    // SAFETY: `StateScalar` is f32, or 16 bits where it says `HALF`; so many bytes are there.
    unsafe {
        match S::HALF {
            true => _mm512_cvtph_ps(_mm256_loadu_si256(h.as_ptr().cast())),
            false => _mm512_loadu_ps(h.as_ptr().cast()),
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn store_two<S: StateScalar>(h: &mut [[S; 8]; 2], value: __m512) {
    // SAFETY: as in `load_two`.
    unsafe {
        match S::HALF {
            true => _mm256_storeu_si256(h.as_mut_ptr().cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)),
            false => _mm512_storeu_ps(h.as_mut_ptr().cast(), value),
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn load(x: &[f32; 16]) -> __m512 {
    // SAFETY: 64 bytes are there, and unaligned loads ask for no more.
    unsafe { _mm512_loadu_ps(x.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn store(x: &mut [f32; 16], value: __m512) {
    // SAFETY: as in `load`.
    unsafe { _mm512_storeu_ps(x.as_mut_ptr(), value) }
}

/// Bytes that are asked for before one token needs them: enough for memory to answer in time, and for the next page to be found
/// where pages are small (with 4 KiB, half as much reads 6 % slower).
const AHEAD: usize = 8192;

/// Asks for the line that lies [`AHEAD`] of `at`, wherever that is: it is but a hint.
#[inline]
pub(super) fn ask_ahead(at: *const i8) {
    // SAFETY: nothing is read, and every x86-64 processor has this instruction.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD)) };
}
