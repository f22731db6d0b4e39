//! Attention over the int8 cache: scores, softmax and weighted values.

use super::vector::{load_f32, negative_exp2, to_array, to_int};
use crate::kernels::math::{self, LOG2_E};
use crate::kernels::portable::{self, VALUE_BLOCK, block_weights};
use crate::planned::planned;
use core::arch::x86_64::*;

#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn softmax(x: &mut [f32]) -> f32 {
    let mut max = _mm256_set1_ps(f32::MIN);
    let (blocks, rest) = x.as_chunks_mut::<8>();
    for block in &*blocks {
        // VMAXPS gives its second operand where the first isn't larger or is NaN.
        max = _mm256_max_ps(load_f32(block), max);
    }
    let max = to_array(max).iter().chain(&*rest).fold(f32::MIN, |max, &x| if x > max { x } else { max });
    let mut sums = _mm256_setzero_ps();
    for block in blocks {
        let t = _mm256_mul_ps(_mm256_sub_ps(load_f32(block), _mm256_set1_ps(max)), _mm256_set1_ps(LOG2_E));
        let e = _mm256_xor_ps(negative_exp2(to_int(t)), _mm256_set1_ps(-0.0));
        *block = to_array(e);
        sums = _mm256_add_ps(sums, e);
    }
    let mut sums = to_array(sums);
    for (sum, x) in sums.iter_mut().zip(rest) {
        *x = math::exp2(((*x - max) * LOG2_E) as i32);
        *sum += *x;
    }
    portable::sum_lanes(sums)
}

#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn scores(q: &[i16], scale: f32, keys: &[i8], key_scales: &[f32], scores: &mut [f32]) {
    let dim = q.len();
    let slots = scores.len().min(key_scales.len()).min(keys.len() / dim.max(1));
    let whole = if dim > 0 && dim.is_multiple_of(16) { slots / 8 * 8 } else { 0 };
    let (blocks, rest) = scores.split_at_mut(whole);
    let (block_scales, rest_scales) = key_scales.split_at(whole);
    let (block_keys, rest_keys) = keys.split_at(whole * dim);
    let outputs = blocks.as_chunks_mut::<8>().0.iter_mut().zip(block_scales.as_chunks::<8>().0);
    for ((scores, key_scales), keys) in outputs.zip(block_keys.chunks_exact(8 * dim.max(1))) {
        let mut sums = [_mm256_setzero_si256(); 8];
        for (at, q) in q.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: 32 bytes of the query and 16 of each of eight keys are there, and unaligned loads ask for no more.
            unsafe {
                let q = _mm256_loadu_si256(q.as_ptr().cast());
                for (key, sum) in sums.iter_mut().enumerate() {
                    let key = _mm_loadu_si128(keys.as_ptr().add(key * dim + 16 * at).cast());
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_cvtepi8_epi16(key), q));
                }
            }
        }
        *scores = scaled(sums, scale, key_scales);
    }
    portable::scores(q, scale, rest_keys, rest_scales, rest);
}

/// Scores from the lanes' sums of eight keys.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn scaled(sums: [__m256i; 8], scale: f32, key_scales: &[f32; 8]) -> [f32; 8] {
    let [a, b, c, d, e, f, g, h] = sums;
    let four = |a, b, c, d| _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let (first, second) = (four(a, b, c, d), four(e, f, g, h));
    let low = _mm256_permute2x128_si256::<0x20>(first, second);
    let high = _mm256_permute2x128_si256::<0x31>(first, second);
    let scales = _mm256_mul_ps(_mm256_set1_ps(scale), load_f32(key_scales));
    to_array(_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(low, high)), scales))
}

#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn weighted_values(
    weights: &mut [f32],
    sum: f32,
    values: &[i8],
    value_scales: &[f32],
    out: &mut [f32],
) {
    let dim = out.len();
    if !dim.is_multiple_of(16) {
        return portable::weighted_values(weights, sum, values, value_scales, out);
    }
    out.fill(0.0);
    let blocks = weights.chunks_mut(VALUE_BLOCK).zip(value_scales.chunks(VALUE_BLOCK));
    for ((weights, scales), values) in blocks.zip(values.chunks(VALUE_BLOCK * dim.max(1))) {
        let (p, scale) = block_weights(weights, scales);
        let pairs = Pairs::new(&p, values, dim);
        let (wide, rest) = out.as_chunks_mut::<32>();
        for (index, out) in wide.iter_mut().enumerate() {
            add_scaled(pairs.strip::<2>(32 * index).as_flattened(), scale, out);
        }
        let first = 32 * wide.len();
        if !rest.is_empty() {
            add_scaled(pairs.strip::<1>(first).as_flattened(), scale, rest);
        }
    }
    let inverse = 1.0 / sum;
    for out in out {
        *out *= inverse;
    }
}

/// `out += sums · scale`, eight numbers a vector.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn add_scaled(sums: &[__m256i], scale: f32, out: &mut [f32]) {
    for (out, sum) in out.as_chunks_mut::<8>().0.iter_mut().zip(sums) {
        let sum = _mm256_mul_ps(_mm256_cvtepi32_ps(*sum), _mm256_set1_ps(scale));
        *out = to_array(_mm256_add_ps(load_f32(out), sum));
    }
}

/// Values of a block, two tokens at a time, and their weights likewise: one instruction multiplies and adds both.
pub(in crate::kernels) struct Pairs<'v> {
    /// Both weights, in 16 bits each.
    pub weights: [i32; VALUE_BLOCK / 2],
    pub values: &'v [i8],
    pub dim: usize,
    pub count: usize,
}

impl<'v> Pairs<'v> {
    pub fn new(p: &[i32; VALUE_BLOCK], values: &'v [i8], dim: usize) -> Self {
        let mut weights = [0; VALUE_BLOCK / 2];
        for (weight, [first, second]) in weights.iter_mut().zip(p.as_chunks::<2>().0) {
            *weight = first & 0xFFFF | second << 16;
        }
        let tokens = (values.len() / dim.max(1)).min(VALUE_BLOCK);
        if let (1, Some(last)) = (tokens % 2, weights.get_mut(tokens / 2)) {
            *last &= 0xFFFF;
        }
        Self { weights, values: planned(values.get(..tokens * dim)), dim, count: tokens.div_ceil(2) }
    }

    /// Where the numbers from `first` on of both tokens of a pair are. The last of an odd number of tokens is paired with
    /// itself, with a weight of zero.
    #[inline(always)]
    pub fn at(&self, pair: usize, first: usize) -> [*const i8; 2] {
        let at = 2 * pair * self.dim + first;
        let other = if at + self.dim < self.values.len() { at + self.dim } else { at };
        [self.values.as_ptr().wrapping_add(at), self.values.as_ptr().wrapping_add(other)]
    }

    /// The sums of `16·N` numbers from `first` on; values must have as many.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn strip<const N: usize>(&self, first: usize) -> [[__m256i; 2]; N] {
        let mut sums = [[_mm256_setzero_si256(); 2]; N];
        for (pair, weights) in self.weights.iter().take(self.count).enumerate() {
            let [a, b] = self.at(pair, first);
            let weights = _mm256_set1_epi32(*weights);
            for (at, sums) in sums.iter_mut().enumerate() {
                // SAFETY: both tokens have 16 bytes there, and unaligned loads ask for no more.
                let (a, b) =
                    unsafe { (_mm_loadu_si128(a.add(16 * at).cast()), _mm_loadu_si128(b.add(16 * at).cast())) };
                let (a, b) = (_mm256_cvtepi8_epi16(a), _mm256_cvtepi8_epi16(b));
                let (low, high) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
                sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(low, weights));
                sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(high, weights));
            }
        }
        // The halves of one are numbers 0 to 3 and 8 to 11, of the other those between.
        for sums in &mut sums {
            let [low, high] = *sums;
            *sums = [_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high)];
        }
        sums
    }
}

/// A block of [`weighted_values`] is whole pairs.
const _: () = assert!(VALUE_BLOCK.is_multiple_of(2));
