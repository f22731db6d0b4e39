//! Matrix products with 4 bits a weight.
//!
//! VPMADDUBSW multiplies an unsigned byte by a signed one and adds two neighbouring products: a weight as the u = q + 8 that is
//! stored by an activation. The sums of a group's 32 columns fit 16 bits: 2·8·15·128 < 2¹⁵. So 64 products take eight instructions,
//! three of which cut bytes in halves, once for all tokens; `8·Σx` is taken off at a group's end. Otherwise as with 8 bits.

use super::matmul::{Block, Weights, product, repeat};
use crate::kernels::{Columns, Quantized};
use crate::matrix::{Bits, QMatrix};
use core::arch::x86_64::*;

#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn matmul_q4(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    product::<Q4>(w, x, out);
}

/// Weights of 4 bits: of a block's words, the first multiplies the lower halves of bytes, the other one the upper halves.
struct Q4;

impl Weights for Q4 {
    const BITS: Bits = Bits::Four;

    #[target_feature(enable = "avx2")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn expand(eight: &[i8; 8], to: *mut Block, _step: usize) -> __m128i {
        // SAFETY: 8 bytes are there, and this load asks for no more.
        let eight = unsafe { _mm_loadl_epi64(eight.as_ptr().cast()) };
        // SAFETY: the caller's promise.
        unsafe { _mm_storel_epi64(to.cast(), eight) };
        _mm_madd_epi16(_mm_cvtepi8_epi16(eight), _mm_set1_epi16(-8))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    // SAFETY: as above.
    unsafe fn begin(_offset: i32) -> __m256i {
        _mm256_setzero_si256()
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    // SAFETY: as above.
    unsafe fn multiply<const T: usize>(weights: *const __m256i, x: *const Block, sums: &mut [__m256i; T]) {
        let half = _mm256_set1_epi8(0xF);
        // SAFETY: the caller's promise.
        let stored = unsafe { _mm256_loadu_si256(weights) };
        let low = _mm256_and_si256(stored, half);
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(stored), half);
        for (token, sum) in sums.iter_mut().enumerate() {
            // SAFETY: as above.
            let [for_low, for_high] = unsafe { repeat(x.add(token)) };
            let products = _mm256_add_epi16(_mm256_maddubs_epi16(low, for_low), _mm256_maddubs_epi16(high, for_high));
            *sum = _mm256_add_epi16(*sum, products);
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    // SAFETY: as above.
    unsafe fn add(sums: __m256i, others: __m256i) -> __m256i {
        _mm256_add_epi16(sums, others)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    // SAFETY: as above.
    unsafe fn end(sums: __m256i, offset: i32) -> __m256i {
        _mm256_add_epi32(_mm256_madd_epi16(sums, _mm256_set1_epi16(1)), _mm256_set1_epi32(offset))
    }
}
