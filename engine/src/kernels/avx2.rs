//! x86-64 with AVX2 and F16C (Haswell, Zen).

use super::math::{self, EXP2, EXP2_BIAS, LOG_SCALE, LOG2_E, SOFTPLUS};
use super::portable::{self, Step, VALUE_BLOCK};
use super::tile::{Fours, Groups, activations, four};
use super::{Columns, Quantized, Scan, StateScalar};
use crate::image::{FLIPPED, TILE_COLS, TILE_ROWS};
use crate::model::QMatrix;
use core::arch::x86_64::*;

/// Whether processor and operating system have both.
pub(super) fn available() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const AVX: u32 = 1 << 28;
    const F16C: u32 = 1 << 29;
    const AVX2: u32 = 1 << 5;
    // SSE and AVX registers are saved.
    const STATE: u64 = 0b110;
    let leaf = __cpuid(1);
    leaf.ecx & (OSXSAVE | AVX | F16C) == OSXSAVE | AVX | F16C
        && __cpuid_count(7, 0).ebx & AVX2 == AVX2
        // SAFETY: OSXSAVE says that XGETBV may be used.
        && unsafe { enabled_state() } & STATE == STATE
}

/// The register states that the operating system saves.
///
/// # Safety
/// CPUID must say OSXSAVE.
#[target_feature(enable = "xsave")]
pub(super) unsafe fn enabled_state() -> u64 {
    // SAFETY: the caller's promise.
    unsafe { _xgetbv(0) }
}

compiled! { "avx2,f16c":
    fn quantize(x: &[f32], group: usize, values: &mut [i8], scales: &mut [f32]);
    fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]);
    fn rms_norm_in_place(x: &mut [f32], weight: &[f32], eps: f32);
    fn quantize_query(q: &[f32], out: &mut [i16]) -> f32;
    fn quantize_head(x: &[f32], out: &mut [i8]) -> f32;
    fn dot(a: &[f32], b: &[f32]) -> f32;
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are there, and an unaligned load asks for no more.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn to_array(x: __m256) -> [f32; 8] {
    // SAFETY: both are 32 bytes of plain numbers.
    unsafe { core::mem::transmute(x) }
}

/// A tile's eight f16 scales.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub(super) fn scales(bytes: &[u8; 2 * TILE_ROWS]) -> __m256 {
    // SAFETY: 16 bytes are there, and an unaligned load asks for no more.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// Matrix product with as many tokens a pass through a tile as there are registers for.
#[target_feature(enable = "avx2,f16c")]
pub(super) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    let mut first = 0;
    while first < x.tokens() {
        first += match x.tokens() - first {
            4.. => block::<4>(w, x, first, &mut out),
            2.. => block::<2>(w, x, first, &mut out),
            _ => block::<1>(w, x, first, &mut out),
        };
    }
}

/// `T` tokens from `first` on through all tiles; returns `T`.
#[target_feature(enable = "avx2,f16c")]
fn block<const T: usize>(w: &QMatrix<'_>, x: &Quantized<'_>, first: usize, out: &mut Columns<'_>) -> usize {
    let mut rows = [(&[][..], &[][..]); T];
    for (token, row) in rows.iter_mut().zip(x.rows().skip(first)) {
        *token = row;
    }
    for (index, tile) in w.tiles().enumerate() {
        let mut y = [_mm256_setzero_ps(); T];
        for (at, group) in Groups::new(tile, x).enumerate() {
            let mut values: [&[[i8; TILE_COLS]]; T] = [&[]; T];
            for (values, row) in values.iter_mut().zip(&rows) {
                *values = activations(row.0, at, x.group, group.weights);
            }
            let scales = scales(group.scales);
            for ((y, sum), row) in y.iter_mut().zip(products(group.weights, &values)).zip(&rows) {
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps(row.1.get(at).copied().unwrap_or(0.0)));
                *y = _mm256_add_ps(*y, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale));
            }
        }
        for (token, y) in y.iter().enumerate() {
            out.write(first + token, index * TILE_ROWS, &to_array(*y));
        }
    }
    T
}

/// Sums of a group's products: eight rows' for each of `T` tokens.
///
/// VPMADDUBSW multiplies unsigned by signed, so |w| is multiplied by x with w's sign: |w| ≤ 128 and |x| ≤ 127, so a pair's
/// sum stays below 2¹⁵ and nothing saturates.
#[target_feature(enable = "avx2")]
#[inline]
fn products<const T: usize>(weights: &[Fours], values: &[&[[i8; TILE_COLS]]; T]) -> [__m256i; T] {
    let mut sums = [_mm256_setzero_si256(); T];
    if values.iter().any(|values| values.len() != weights.len()) {
        return sums;
    }
    let (blocks, rest) = weights.as_chunks::<4>();
    for (block, at) in blocks.iter().zip((0..).step_by(4)) {
        for (w, at) in block.iter().zip(at..) {
            // SAFETY: there are as many fours of values as of weights.
            unsafe { multiply(w, values, at, &mut sums) };
        }
    }
    for (w, at) in rest.iter().zip(4 * blocks.len()..) {
        // SAFETY: as above.
        unsafe { multiply(w, values, at, &mut sums) };
    }
    sums
}

/// Adds four columns' products.
///
/// # Safety
/// There must be more than `at` fours of each token's values.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn multiply<const T: usize>(w: &Fours, values: &[&[[i8; TILE_COLS]]; T], at: usize, sums: &mut [__m256i; T]) {
    let w = _mm256_xor_si256(load(w), _mm256_set1_epi32(FLIPPED as i32));
    let size = _mm256_abs_epi8(w);
    for (sum, values) in sums.iter_mut().zip(values) {
        // SAFETY: the caller's promise.
        let x = broadcast(unsafe { four(values, at) });
        let pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, w));
        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
}

/// Four activations, eight times.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn broadcast(x: &[i8; TILE_COLS]) -> __m256i {
    // SAFETY: 4 bytes are there, and an unaligned read asks for no more.
    _mm256_set1_epi32(unsafe { x.as_ptr().cast::<i32>().read_unaligned() })
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_f32(x: &[f32; 8]) -> __m256 {
    // SAFETY: 32 bytes are there, and an unaligned load asks for no more.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}

/// `x as i32`: towards zero, saturating, NaN becomes 0.
#[target_feature(enable = "avx2")]
#[inline]
fn to_int(x: __m256) -> __m256i {
    // What is out of range becomes the smallest number, which is right for negative ones.
    let t = _mm256_cvttps_epi32(x);
    let high = _mm256_cmp_ps::<_CMP_GE_OQ>(x, _mm256_set1_ps(2_147_483_648.0));
    let number = _mm256_cmp_ps::<_CMP_ORD_Q>(x, x);
    _mm256_and_si256(_mm256_xor_si256(t, _mm256_castps_si256(high)), _mm256_castps_si256(number))
}

/// [`math::negative_exp2`] of eight numbers. Products of 32 bits exist for even lanes only, so odd ones go beside them.
#[target_feature(enable = "avx2")]
#[inline]
fn negative_exp2(t: __m256i) -> __m256 {
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
fn negative_exp_of_minus(x: __m256) -> __m256 {
    let size = _mm256_andnot_ps(_mm256_set1_ps(-0.0), x);
    negative_exp2(to_int(_mm256_mul_ps(size, _mm256_set1_ps(-LOG2_E))))
}

/// [`math::silu`] of eight numbers.
#[target_feature(enable = "avx2")]
#[inline]
fn silu(x: __m256) -> __m256 {
    let negative_e = negative_exp_of_minus(x);
    let e = _mm256_xor_ps(negative_e, _mm256_set1_ps(-0.0));
    let positive = _mm256_cmp_ps::<_CMP_GT_OQ>(x, _mm256_setzero_ps());
    let dividend = _mm256_blendv_ps(_mm256_mul_ps(x, e), x, positive);
    _mm256_div_ps(dividend, _mm256_sub_ps(_mm256_set1_ps(1.0), negative_e))
}

/// [`math::softplus`] of eight numbers.
#[target_feature(enable = "avx2")]
#[inline]
fn softplus(x: __m256) -> __m256 {
    let u = _mm256_xor_ps(negative_exp_of_minus(x), _mm256_set1_ps(-0.0));
    let s = _mm256_div_ps(u, _mm256_add_ps(_mm256_set1_ps(2.0), u));
    let t = _mm256_mul_ps(s, s);
    let mut q = _mm256_set1_ps(SOFTPLUS[0]);
    for coefficient in &SOFTPLUS[1..] {
        q = _mm256_add_ps(_mm256_mul_ps(q, t), _mm256_set1_ps(*coefficient));
    }
    // The second one where the first isn't larger, or no number.
    let positive = _mm256_max_ps(x, _mm256_setzero_ps());
    _mm256_add_ps(positive, _mm256_mul_ps(s, q))
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn conv_silu(u: &mut [f32], weight: &[f32], bias: &[f32], history: &mut [f32]) {
    portable::conv_with(u, weight, bias, history, |sum| to_array(silu(load_f32(&sum))));
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn softplus_bias(dt: &mut [f32], bias: &[f32]) {
    for row in dt.chunks_exact_mut(bias.len().max(1)) {
        let (blocks, rest) = row.as_chunks_mut::<8>();
        let (biases, bias_rest) = bias.as_chunks::<8>();
        for (dt, bias) in blocks.iter_mut().zip(biases) {
            *dt = to_array(softplus(_mm256_add_ps(load_f32(dt), load_f32(bias))));
        }
        for (dt, bias) in rest.iter_mut().zip(bias_rest) {
            *dt = math::softplus(*dt + bias);
        }
    }
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn swiglu(gate: &mut [f32], up: &[f32]) {
    let (blocks, rest) = gate.as_chunks_mut::<8>();
    let (ups, up_rest) = up.as_chunks::<8>();
    for (gate, up) in blocks.iter_mut().zip(ups) {
        *gate = to_array(_mm256_mul_ps(silu(load_f32(gate)), load_f32(up)));
    }
    portable::swiglu(rest, up_rest);
}

/// Eight numbers of the state.
#[target_feature(enable = "avx2,f16c")]
#[inline]
fn load_state<S: StateScalar>(h: &[S; 8]) -> __m256 {
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
fn store_state<S: StateScalar>(h: &mut [S; 8], value: __m256) {
    // SAFETY: as in `load_state`.
    unsafe {
        match S::HALF {
            true => _mm_storeu_si128(h.as_mut_ptr().cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)),
            false => _mm256_storeu_ps(h.as_mut_ptr().cast(), value),
        }
    }
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn scan<S: StateScalar>(scan: Scan<'_, S>) {
    portable::scan_with(scan, |state, step| {
        let Step { a, b, c, dt, z, d, u } = step;
        let (x, dt) = (load_f32(u), load_f32(dt));
        let dx = _mm256_mul_ps(dt, x);
        let dt = _mm256_mul_ps(dt, _mm256_set1_ps(LOG_SCALE));
        let mut y = _mm256_setzero_ps();
        for (((h, a), b), c) in state.iter_mut().zip(a).zip(b).zip(c) {
            let negative_decay = negative_exp2(to_int(_mm256_mul_ps(dt, load_f32(a))));
            let input = _mm256_mul_ps(dx, _mm256_set1_ps(*b));
            let next = _mm256_sub_ps(input, _mm256_mul_ps(negative_decay, load_state(h)));
            store_state(h, next);
            y = _mm256_add_ps(y, _mm256_mul_ps(next, _mm256_set1_ps(*c)));
        }
        let y = _mm256_add_ps(y, _mm256_mul_ps(load_f32(d), x));
        *u = to_array(_mm256_mul_ps(y, silu(load_f32(z))));
    });
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn softmax(x: &mut [f32]) -> f32 {
    let mut max = _mm256_set1_ps(f32::MIN);
    let (blocks, rest) = x.as_chunks_mut::<8>();
    for block in &*blocks {
        // The second one where the first isn't larger, or no number.
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
pub(super) fn scores(q: &[i16], scale: f32, keys: &[i8], key_scales: &[f32], scores: &mut [f32]) {
    let (blocks, rest) = q.as_chunks::<16>();
    for ((score, key), key_scale) in scores.iter_mut().zip(keys.chunks_exact(q.len().max(1))).zip(key_scales) {
        let (key_blocks, key_rest) = key.as_chunks::<16>();
        let mut sums = _mm256_setzero_si256();
        for (q, key) in blocks.iter().zip(key_blocks) {
            // SAFETY: 16 bytes of the key and 32 of the query are there, and unaligned loads ask for no more.
            let (key, q) = unsafe { (_mm_loadu_si128(key.as_ptr().cast()), _mm256_loadu_si256(q.as_ptr().cast())) };
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_cvtepi8_epi16(key), q));
        }
        let half = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let pair = _mm_add_epi32(half, _mm_unpackhi_epi64(half, half));
        let sum = _mm_cvtsi128_si32(_mm_add_epi32(pair, _mm_shuffle_epi32::<1>(pair)));
        let tail: i32 = rest.iter().zip(key_rest).map(|(&q, &k)| i32::from(q) * i32::from(k)).sum();
        *score = sum.wrapping_add(tail) as f32 * (scale * key_scale);
    }
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn weighted_values(weights: &mut [f32], sum: f32, values: &[i8], value_scales: &[f32], out: &mut [f32]) {
    portable::values_with(weights, sum, values, value_scales, out, |p, values, dim, first| {
        let mut sums = _mm256_setzero_si256();
        // Two tokens' numbers side by side, and their weights likewise: one instruction multiplies and adds both.
        for (pair, p) in p.as_chunks::<2>().0.iter().enumerate() {
            let at = 2 * pair * dim + first;
            let (Some(a), b) = (eight(values, at), eight(values, at + dim)) else { break };
            let both = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b.unwrap_or(_mm_setzero_si128())));
            let p = _mm256_set1_epi32(p[0] & 0xFFFF | p[1] << 16);
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(both, p));
        }
        // SAFETY: both are 32 bytes of plain numbers.
        unsafe { core::mem::transmute::<__m256i, [i32; 8]>(sums) }
    });
}

/// Eight bytes from `at` on.
#[target_feature(enable = "avx2")]
#[inline]
fn eight(values: &[i8], at: usize) -> Option<__m128i> {
    let bytes = values.get(at..)?.first_chunk::<8>()?;
    // SAFETY: 8 bytes are there, and this load asks for no more.
    Some(unsafe { _mm_loadl_epi64(bytes.as_ptr().cast()) })
}

/// The blocks of [`weighted_values`] are whole pairs.
const _: () = assert!(VALUE_BLOCK.is_multiple_of(2));
