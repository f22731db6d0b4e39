//! Rounding a state to int8.

use super::vector::{load_f32, to_array};
use crate::kernels::int8_state::{CHANNEL, STATE};
use crate::kernels::math::ROUND;
use core::arch::x86_64::*;

/// Multiples of [`CHANNEL`].
const CHANNELS: [u32; 8] = {
    let mut multiples = [0u32; 8];
    let mut lane = 1;
    while lane < 8 {
        multiples[lane] = CHANNEL.wrapping_mul(lane as u32);
        lane += 1;
    }
    multiples
};

/// [`crate::kernels::int8_state::round`].
#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn round_state(h: &mut [[f32; 8]], exponents: &mut [i8; 8], q: &mut [[i8; 8]], phase: u32) {
    let set = |x: i32| _mm256_set1_epi32(x);
    let mut max = _mm256_setzero_ps();
    for row in &*h {
        // VMAXPS gives its second operand where the first isn't larger or is NaN. VMINPS below likewise.
        max = _mm256_max_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0), load_f32(row)), max);
    }
    let exponent = _mm256_sub_epi32(_mm256_srli_epi32::<23>(_mm256_castps_si256(max)), set(127 + 6));
    let exponent = _mm256_min_epi32(_mm256_max_epi32(exponent, set(-100)), set(121));
    *exponents = narrow(exponent);
    let power = |exponent| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(exponent, set(127))));
    let (step, inverse) = (power(exponent), power(_mm256_sub_epi32(_mm256_setzero_si256(), exponent)));
    // SAFETY: both are 32 bytes of plain numbers.
    let channels: __m256i = unsafe { core::mem::transmute(CHANNELS) };
    let mut phases = _mm256_add_epi32(set(phase as i32), channels);
    for (h, q) in h.iter_mut().zip(q) {
        let fraction = _mm256_or_si256(_mm256_srli_epi32::<9>(phases), set(0x3F80_0000));
        let dither = _mm256_sub_ps(_mm256_castsi256_ps(fraction), _mm256_set1_ps(1.5));
        let x = _mm256_add_ps(_mm256_mul_ps(load_f32(h), inverse), dither);
        let x = _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(127.0)), _mm256_set1_ps(-127.0));
        let whole = _mm256_castps_si256(_mm256_add_ps(x, _mm256_set1_ps(ROUND)));
        let whole = _mm256_sub_epi32(whole, set(ROUND.to_bits() as i32));
        *q = narrow(whole);
        *h = to_array(_mm256_mul_ps(_mm256_cvtepi32_ps(whole), step));
        phases = _mm256_add_epi32(phases, set(STATE as i32));
    }
}

/// Eight integers of 8 bits.
#[target_feature(enable = "avx2")]
#[inline]
fn narrow(x: __m256i) -> [i8; 8] {
    let words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    _mm_cvtsi128_si64(_mm_packs_epi16(words, words)).to_le_bytes().map(|byte| byte as i8)
}
