//! Matrix products with 4 bits a weight.
//!
//! VPDPBUSD takes an unsigned factor, which a weight is as it is stored, u = q + 8; `8·Σx` is taken off at the start. Otherwise as
//! with 8 bits.

use super::matmul::{Weights, product};
use crate::kernels::{Columns, Quantized};
use crate::matrix::{Bits, QMatrix};
use core::arch::x86_64::*;

#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(in crate::kernels) fn matmul_q4(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    product::<Q4>(w, x, out);
}

/// The lower halves of all bytes, and the upper ones.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn halves(stored: __m512i) -> [__m512i; 2] {
    let half = _mm512_set1_epi8(0xF);
    [_mm512_and_si512(stored, half), _mm512_and_si512(_mm512_srli_epi16::<4>(stored), half)]
}

/// Weights of 4 bits.
struct Q4;

impl Weights for Q4 {
    const BITS: Bits = Bits::Four;
    const MORE: i32 = 8;
    const LINES: usize = 3;

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn line(weights: *const u8, x: *const i8, sums: &mut __m512i) {
        // Of the sixteen bytes that every lane gets, the first eight are multiplied in the lower two, the others in the upper two.
        const LOWER: i32 = 0x0302_0100;
        const UPPER: i32 = 0x0B0A_0908;
        let low = _mm512_inserti64x4::<1>(_mm512_set1_epi32(LOWER), _mm256_set1_epi32(UPPER));
        let high = _mm512_or_si512(low, _mm512_set1_epi8(4));
        // SAFETY: the caller's promise.
        let (stored, x) = unsafe { (_mm512_loadu_si512(weights.cast()), _mm_loadu_si128(x.cast())) };
        let (halves, x) = (halves(stored), _mm512_broadcast_i32x4(x));
        *sums = _mm512_dpbusd_epi32(*sums, halves[0], _mm512_shuffle_epi8(x, low));
        *sums = _mm512_dpbusd_epi32(*sums, halves[1], _mm512_shuffle_epi8(x, high));
    }

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn block<const T: usize>(stored: __m512i, x: *const i8, stride: usize, sums: &mut [__m512i; T]) {
        let [low, high] = halves(stored);
        for (token, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let [a, b] = unsafe { x.add(token * stride).cast::<[i32; 2]>().read_unaligned() };
            *sum = _mm512_dpbusd_epi32(*sum, low, _mm512_set1_epi32(a));
            *sum = _mm512_dpbusd_epi32(*sum, high, _mm512_set1_epi32(b));
        }
    }
}
