//! Attention over the int8 cache: scores, softmax and weighted values.

use super::vector::{ask_ahead, load, negative_exp2, store, to_int};
use crate::kernels::WeightedHead;
use crate::kernels::math::{self, LOG2_E};
use crate::kernels::portable::{self, VALUE_BLOCK, block_weights};
use crate::kernels::x86::avx2;
use core::arch::x86_64::*;

#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl")]
pub(in crate::kernels) fn softmax(x: &mut [f32]) -> f32 {
    let mut max = _mm512_set1_ps(f32::MIN);
    let (blocks, rest) = x.as_chunks_mut::<16>();
    for block in &*blocks {
        // VMAXPS gives its second operand where the first isn't larger or is NaN.
        max = _mm512_max_ps(load(block), max);
    }
    let mut lanes = [0.0; 16];
    store(&mut lanes, max);
    let max = lanes.iter().chain(&*rest).fold(f32::MIN, |max, &x| if x > max { x } else { max });
    let mut sums = _mm256_setzero_ps();
    for block in blocks {
        let t = _mm512_mul_ps(_mm512_sub_ps(load(block), _mm512_set1_ps(max)), _mm512_set1_ps(LOG2_E));
        let e = _mm512_castsi512_ps(_mm512_xor_si512(
            _mm512_castps_si512(negative_exp2(to_int(t))),
            _mm512_set1_epi32(i32::MIN),
        ));
        store(block, e);
        // Eight sums, to which the lower eight are added before the upper eight.
        sums = _mm256_add_ps(sums, _mm512_castps512_ps256(e));
        sums = _mm256_add_ps(sums, _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(e))));
    }
    let mut sums = avx2::to_array(sums);
    for block in rest.chunks_mut(8) {
        for (sum, x) in sums.iter_mut().zip(block) {
            *x = math::exp2(((*x - max) * LOG2_E) as i32);
            *sum += *x;
        }
    }
    portable::sum_lanes(sums)
}

/// The bytes of a query of `64·N` numbers apart: each number is `256·high + low`, and a key's bytes are multiplied with both as
/// they are. VPDPBUSD wants one factor unsigned. That is the low byte; where the high byte is the signed one, it is the key,
/// as key + 128.
struct Query<const N: usize> {
    high: [__m512i; N],
    low: [__m512i; N],
    /// `−128·Σhigh` of what each sum is made of.
    offsets: __m512i,
}

impl<const N: usize> Query<N> {
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    fn new(numbers: &[i16]) -> Self {
        let zero = _mm512_setzero_si512();
        let mut query = Self { high: [zero; N], low: [zero; N], offsets: zero };
        let mut sums = zero;
        let parts = query.high.iter_mut().zip(&mut query.low);
        for ((high, low), numbers) in parts.zip(numbers.as_chunks::<64>().0) {
            // SAFETY: 128 bytes are there, and unaligned loads ask for no more.
            let [first, second] = [0, 32].map(|at| unsafe { _mm512_loadu_si512(numbers.as_ptr().add(at).cast()) });
            let join = |a, b| _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b);
            let high_byte = |x| _mm512_cvtepi16_epi8(_mm512_srai_epi16::<8>(x));
            *high = join(high_byte(first), high_byte(second));
            *low = join(_mm512_cvtepi16_epi8(first), _mm512_cvtepi16_epi8(second));
            sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(i8::MIN), *high);
        }
        query.offsets = _mm512_sub_epi32(zero, sums);
        query
    }

    /// Sixteen sums that make up the product with a key.
    ///
    /// # Safety
    /// `64·N` bytes must be there.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    unsafe fn times(&self, key: *const i8) -> __m512i {
        let mut keys = [_mm512_setzero_si512(); N];
        let mut sums = self.offsets;
        for ((at, high), key_at) in self.high.iter().enumerate().zip(&mut keys) {
            // SAFETY: the caller's promise.
            *key_at = unsafe { _mm512_loadu_si512(key.add(64 * at).cast()) };
            sums = _mm512_dpbusd_epi32(sums, _mm512_xor_si512(*key_at, _mm512_set1_epi8(i8::MIN)), *high);
        }
        sums = _mm512_slli_epi32::<8>(sums);
        for (key, low) in keys.iter().zip(&self.low) {
            sums = _mm512_dpbusd_epi32(sums, *low, *key);
        }
        sums
    }
}

/// Halves of two keys' sums, added crosswise by one shuffle: `[a0 + a1, b0 + b1]`.
#[target_feature(enable = "avx512f")]
#[inline]
fn halves(a: __m512i, b: __m512i) -> __m512i {
    let straight = _mm512_mask_mov_epi64(a, 0b1111_0000, b);
    _mm512_add_epi32(straight, _mm512_shuffle_i64x2::<0b01_00_11_10>(a, b))
}

/// The scores of eight keys: each vector has the sums of two, in its halves.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl")]
#[inline]
fn scaled([ab, cd, ef, gh]: [__m512i; 4], scale: f32, key_scales: &[f32; 8]) -> [f32; 8] {
    // As `halves`, within halves and then within quarters.
    let quarters = |x, y| {
        let straight = _mm512_mask_mov_epi64(x, 0b1100_1100, y);
        let crossed = _mm512_permutex2var_epi64(x, _mm512_setr_epi64(2, 3, 8, 9, 6, 7, 12, 13), y);
        _mm512_add_epi32(straight, crossed)
    };
    let eighths = |x, y| {
        let straight = _mm512_mask_mov_epi64(x, 0b1010_1010, y);
        let crossed = _mm512_shuffle_pd::<0b0101_0101>(_mm512_castsi512_pd(x), _mm512_castsi512_pd(y));
        _mm512_add_epi32(straight, _mm512_castpd_si512(crossed))
    };
    // Quarters are of a, c, b, d and e, g, f, h; eighths of a, e, c, g, b, f, d, h.
    let sums = eighths(quarters(ab, cd), quarters(ef, gh));
    let sums = _mm512_add_epi32(sums, _mm512_shuffle_epi32::<0b10_11_00_01>(sums));
    let order = _mm512_setr_epi32(0, 8, 4, 12, 2, 10, 6, 14, 0, 8, 4, 12, 2, 10, 6, 14);
    let sums = _mm256_cvtepi32_ps(_mm512_castsi512_si256(_mm512_permutexvar_epi32(order, sums)));
    let scales = _mm256_mul_ps(_mm256_set1_ps(scale), avx2::load_f32(key_scales));
    avx2::to_array(_mm256_mul_ps(sums, scales))
}

#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(in crate::kernels) fn scores(q: &[i16], scale: f32, keys: &[i8], key_scales: &[f32], scores: &mut [f32]) {
    let slots = scores.len().min(key_scales.len()).min(keys.len() / q.len().max(1));
    let whole = slots / 8 * 8;
    let (blocks, rest) = scores.split_at_mut(whole);
    let (block_scales, rest_scales) = key_scales.split_at(whole);
    let (block_keys, rest_keys) = keys.split_at(whole * q.len());
    let outputs = blocks.as_chunks_mut::<8>().0.iter_mut().zip(block_scales.as_chunks::<8>().0);
    let blocks = outputs.zip(block_keys.chunks_exact((8 * q.len()).max(1)));
    match q.len() {
        32 => {
            // The query stands twice, beside two keys.
            let mut twice = [0; 64];
            twice.iter_mut().zip(q.iter().chain(q)).for_each(|(to, q)| *to = *q);
            let query = Query::<1>::new(&twice);
            for ((scores, key_scales), keys) in blocks {
                // SAFETY: eight keys of 32 bytes are there.
                let pair = |at| unsafe { query.times(keys.as_ptr().add(at)) };
                *scores = scaled([pair(0), pair(64), pair(128), pair(192)], scale, key_scales);
            }
        }
        64 => wide_scores::<1>(q, scale, blocks),
        128 => wide_scores::<2>(q, scale, blocks),
        256 => wide_scores::<4>(q, scale, blocks),
        _ => return avx2::scores(q, scale, keys, key_scales, scores),
    }
    portable::scores(q, scale, rest_keys, rest_scales, rest);
}

/// Scores of a query of `64·N` numbers, eight keys at a time: places for them, the keys' scales, and the keys.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn wide_scores<'b, const N: usize>(
    q: &[i16],
    scale: f32,
    blocks: impl Iterator<Item = ((&'b mut [f32; 8], &'b [f32; 8]), &'b [i8])>,
) {
    let query = Query::<N>::new(q);
    for ((scores, key_scales), keys) in blocks {
        let mut sums = [_mm512_setzero_si512(); 4];
        for line in 0..8 * N {
            ask_ahead(keys.as_ptr().wrapping_add(64 * line));
        }
        for (pair, sums) in sums.iter_mut().enumerate() {
            // SAFETY: eight keys of `64·N` bytes are there.
            *sums = unsafe {
                let key = keys.as_ptr().add(128 * N * pair);
                halves(query.times(key), query.times(key.add(64 * N)))
            };
        }
        *scores = scaled(sums, scale, key_scales);
    }
}

#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(in crate::kernels) fn weighted_values(
    weights: &mut [f32],
    sum: f32,
    values: &[i8],
    value_scales: &[f32],
    out: &mut [f32],
) {
    weighted_values_of([WeightedHead { weights, sum, out }], values, value_scales);
}

/// [`weighted_values`] of heads that share their values: these are read and widened once.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(in crate::kernels) fn weighted_values_of<const H: usize>(
    mut heads: [WeightedHead<'_>; H],
    values: &[i8],
    value_scales: &[f32],
) {
    let dim = heads.iter().map(|head| head.out.len()).min().unwrap_or(0);
    if !dim.is_multiple_of(32) || heads.iter().any(|head| head.out.len() != dim) {
        for WeightedHead { weights, sum, out } in heads {
            avx2::weighted_values(weights, sum, values, value_scales, out);
        }
        return;
    }
    for head in &mut heads {
        head.out.fill(0.0);
    }
    let blocks = value_scales.chunks(VALUE_BLOCK).zip(values.chunks(VALUE_BLOCK * dim.max(1)));
    for (block, (scales, values)) in blocks.enumerate() {
        let rounded = heads
            .each_mut()
            .map(|head| block_weights(head.weights.chunks_mut(VALUE_BLOCK).nth(block).unwrap_or(&mut []), scales));
        let pairs = rounded.each_ref().map(|(p, _)| avx2::Pairs::new(p, values, dim));
        for first in (0..dim / 64 * 64).step_by(64) {
            let sums = strip::<2, H>(&pairs, first);
            for ((head, sums), (_, scale)) in heads.iter_mut().zip(&sums).zip(&rounded) {
                add_scaled(sums.as_flattened(), *scale, &mut head.out[first..first + 64]);
            }
        }
        if !dim.is_multiple_of(64) {
            let sums = strip::<1, H>(&pairs, dim - 32);
            for ((head, sums), (_, scale)) in heads.iter_mut().zip(&sums).zip(&rounded) {
                add_scaled(sums.as_flattened(), *scale, &mut head.out[dim - 32..]);
            }
        }
    }
    for WeightedHead { sum, out, .. } in heads {
        let inverse = 1.0 / sum;
        out.iter_mut().for_each(|out| *out *= inverse);
    }
}

/// `out += sums · scale`, sixteen numbers a vector.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn add_scaled(sums: &[__m512i], scale: f32, out: &mut [f32]) {
    for (out, sum) in out.as_chunks_mut::<16>().0.iter_mut().zip(sums) {
        // SAFETY: `out` has 16 numbers.
        unsafe {
            let sum = _mm512_mul_ps(_mm512_cvtepi32_ps(*sum), _mm512_set1_ps(scale));
            _mm512_storeu_ps(out.as_mut_ptr(), _mm512_add_ps(_mm512_loadu_ps(out.as_ptr()), sum));
        }
    }
}

/// The sums of `32·N` numbers from `first` on, for each head; values must have as many, and be the same for all heads.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
#[inline]
fn strip<const N: usize, const H: usize>(pairs: &[avx2::Pairs<'_>; H], first: usize) -> [[[__m512i; 2]; N]; H] {
    let mut sums = [[[_mm512_setzero_si512(); 2]; N]; H];
    for pair in 0..pairs[0].count {
        let [a, b] = pairs[0].at(pair, first);
        ask_ahead(a);
        ask_ahead(b);
        let weights = pairs.each_ref().map(|pairs| _mm512_set1_epi32(pairs.weights[pair]));
        for at in 0..N {
            // SAFETY: both tokens have 32 bytes there, and unaligned loads ask for no more.
            let (a, b) =
                unsafe { (_mm256_loadu_si256(a.add(32 * at).cast()), _mm256_loadu_si256(b.add(32 * at).cast())) };
            let (a, b) = (_mm512_cvtepi8_epi16(a), _mm512_cvtepi8_epi16(b));
            let (low, high) = (_mm512_unpacklo_epi16(a, b), _mm512_unpackhi_epi16(a, b));
            for (sums, weights) in sums.iter_mut().zip(weights) {
                sums[at][0] = _mm512_dpwssd_epi32(sums[at][0], low, weights);
                sums[at][1] = _mm512_dpwssd_epi32(sums[at][1], high, weights);
            }
        }
    }
    // Quarters of one are numbers 0 to 3, 8 to 11, …, of the other those between.
    let first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    let second = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    for sums in sums.as_flattened_mut() {
        let [low, high] = *sums;
        *sums = [_mm512_permutex2var_epi32(low, first, high), _mm512_permutex2var_epi32(low, second, high)];
    }
    sums
}
