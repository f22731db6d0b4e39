//! x86-64 with AVX2 and F16C (Haswell, Zen).
//!
//! Four weights of a row are one word: bytes u₀, q₁, u₂, q₃ with u = q + 128, see [`crate::image`]. VPMADDWD of the words,
//! taken as 16-bit numbers, with x₁ and x₃ gives `256·q₁x₁ + u₀x₁ + 256·q₃x₃ + u₂x₃`; of their low bytes with `256·x₀ − x₁` and
//! `256·x₂ − x₃` it makes of both together `256·(u₀x₀ + q₁x₁ + u₂x₂ + q₃x₃)`. What u has more than q is taken off at the
//! start: `256·128·(x₀ + x₂)`. So 32 products take six instructions, and the sum of a group of up to 512 columns is exact:
//! 256·512·128·127 < 2³¹; what overflows on the way wraps around and comes back.

use super::math::{self, EXP2, EXP2_BIAS, LOG_SCALE, LOG2_E, SOFTPLUS};
use super::portable::{self, Step, VALUE_BLOCK, block_weights};
use super::{Columns, Quantized, S4dScan, Scan, StateScalar};
use crate::image::{TILE_COLS, TILE_ROWS, tile_bytes};
use crate::model::QMatrix;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

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
    fn s4d_scan<S>(scan: S4dScan<'_, S>);
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

/// Whether matrix and activations belong together, so that the kernels below may go by the matrix' shape alone.
pub(super) fn fits(w: &QMatrix<'_>, x: &Quantized<'_>) -> bool {
    x.cols == w.padded_cols()
        && x.group == w.group()
        && x.group.is_multiple_of(8)
        && w.groups() > 0
        && x.scales.len() >= x.tokens() * w.groups()
        && w.bytes().len() >= w.rows().div_ceil(TILE_ROWS) * tile_bytes(w.cols(), w.group())
}

/// The widest group whose sum is exact.
const WIDEST: usize = 512;
/// Fours of expanded activations for which there is room, of all tokens together: they stay in the first-level cache.
const ROOM: usize = 512;

/// Some whole groups of some tokens, expanded: `(groups, fours, tokens)` and `(groups, tokens)`.
struct Expanded {
    /// What multiplies the words, and what multiplies their low bytes: each eight times, for a tile's rows.
    fours: [MaybeUninit<[__m256i; 2]>; ROOM],
    factors: [MaybeUninit<Factor>; ROOM / 2],
}

#[derive(Clone, Copy)]
struct Factor {
    /// What the sums begin with.
    offset: i32,
    scale: f32,
}

/// Matrix product with as many tokens a pass through a tile as there are registers for.
#[target_feature(enable = "avx2,f16c")]
pub(super) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    if !fits(w, x) || x.group > WIDEST {
        return portable::matmul(w, x, out);
    }
    let mut room = Expanded {
        fours: [const { MaybeUninit::uninit() }; ROOM],
        factors: [const { MaybeUninit::uninit() }; ROOM / 2],
    };
    let mut first = 0;
    while first < x.tokens() {
        first += match x.tokens() - first {
            4.. => block::<4>(w, x, first, &mut room, &mut out),
            2.. => block::<2>(w, x, first, &mut room, &mut out),
            _ => block::<1>(w, x, first, &mut room, &mut out),
        };
    }
}

/// `T` tokens from `first` on through all tiles, as many groups at once as there is room for; returns `T`.
#[target_feature(enable = "avx2,f16c")]
fn block<const T: usize>(
    w: &QMatrix<'_>,
    x: &Quantized<'_>,
    first: usize,
    room: &mut Expanded,
    out: &mut Columns<'_>,
) -> usize {
    let most = (ROOM * TILE_COLS / T / x.group).max(1) * x.group;
    let size = tile_bytes(w.cols(), w.group());
    let mut column = 0;
    while column < x.cols {
        let width = most.min(x.cols - column);
        for token in 0..T {
            // SAFETY: `most` is as many columns of T tokens as there is room for, and `column` begins a group.
            unsafe { expand(x, first + token, column, width, (token, T), room) };
        }
        for tile in 0..w.rows().div_ceil(TILE_ROWS) {
            let mut y = [_mm256_setzero_ps(); T];
            if column > 0 {
                for (token, y) in y.iter_mut().enumerate() {
                    *y = load_f32(&out.read(first + token, tile * TILE_ROWS));
                }
            }
            // SAFETY: the matrix has so many tiles of this size (`fits`), and in each the groups before `column`, which are
            // whole, lie before those that were expanded.
            unsafe {
                let groups = w.bytes().as_ptr().add(tile * size + tile_bytes(column, x.group));
                add_groups(groups, width, x.group, room, &mut y);
            }
            for (token, y) in y.iter().enumerate() {
                out.write(first + token, tile * TILE_ROWS, &to_array(*y));
            }
        }
        column += width;
    }
    T
}

/// Expands the columns `column .. column + width` of one token, the first of which begins a group, into place `place.0` of
/// `place.1`.
///
/// # Safety
/// There must be room for `place.1` tokens.
#[target_feature(enable = "avx2")]
unsafe fn expand(
    x: &Quantized<'_>,
    token: usize,
    column: usize,
    width: usize,
    place: (usize, usize),
    room: &mut Expanded,
) {
    let row = x.values.get(token * x.cols..(token + 1) * x.cols).unwrap_or(&[]);
    let scales = x.scales.get(token * x.cols.div_ceil(x.group) + column / x.group..).unwrap_or(&[]);
    let mut fours: *mut [__m256i; 2] = room.fours.as_mut_ptr().wrapping_add(place.0).cast();
    let factors = room.factors.iter_mut().skip(place.0).step_by(place.1);
    let groups = row.get(column..column + width).unwrap_or(&[]).chunks(x.group);
    for ((group, &scale), factor) in groups.zip(scales).zip(factors) {
        let mut offset = _mm_setzero_si128();
        for eight in group.as_chunks::<8>().0 {
            // SAFETY: 8 bytes are there, and this load asks for no more.
            let words = unsafe { _mm_loadl_epi64(eight.as_ptr().cast()) };
            let (odd, even) = (_mm_srai_epi16::<8>(words), _mm_slli_epi16::<8>(words));
            let low = _mm_sub_epi16(even, odd);
            offset = _mm_add_epi32(offset, _mm_madd_epi16(even, _mm_set1_epi16(-128)));
            let (next_odd, next_low) = (_mm_shuffle_epi32::<1>(odd), _mm_shuffle_epi32::<1>(low));
            // SAFETY: the caller's promise.
            unsafe {
                fours.write([_mm256_broadcastd_epi32(odd), _mm256_broadcastd_epi32(low)]);
                fours.add(place.1).write([_mm256_broadcastd_epi32(next_odd), _mm256_broadcastd_epi32(next_low)]);
            }
            fours = fours.wrapping_add(2 * place.1);
        }
        let offset = _mm_cvtsi128_si32(_mm_add_epi32(offset, _mm_shuffle_epi32::<1>(offset)));
        factor.write(Factor { offset, scale });
    }
}

/// Adds the products of some groups of a tile's eight rows to `y`, for `T` tokens.
///
/// # Safety
/// `groups` points to groups of `width` columns, for which activations of as many tokens were expanded.
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn add_groups<const T: usize>(
    mut groups: *const u8,
    width: usize,
    group: usize,
    room: &Expanded,
    y: &mut [__m256; T],
) {
    let mut x: *const [__m256i; 2] = room.fours.as_ptr().cast();
    let mut factors: *const Factor = room.factors.as_ptr().cast();
    let mut left = width;
    while left > 0 {
        let width = group.min(left);
        // SAFETY: by the caller's promise there are 16 bytes of scales, a vector of weights for every four columns, and of
        // every token an expanded four for each of these and a factor.
        unsafe {
            let scales = scales(&*groups.cast());
            let weights: *const __m256i = groups.add(2 * TILE_ROWS).cast();
            let mut sums = [_mm256_setzero_si256(); T];
            for (token, sum) in sums.iter_mut().enumerate() {
                *sum = _mm256_set1_epi32((*factors.add(token)).offset);
            }
            if width == 32 {
                for at in 0..8 {
                    multiply(weights.add(at), x.add(at * T), &mut sums);
                }
            } else {
                for at in 0..width / TILE_COLS {
                    multiply(weights.add(at), x.add(at * T), &mut sums);
                }
            }
            for (token, (y, sum)) in y.iter_mut().zip(sums).enumerate() {
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps((*factors.add(token)).scale));
                let sum = _mm256_cvtepi32_ps(_mm256_srai_epi32::<8>(sum));
                *y = _mm256_add_ps(*y, _mm256_mul_ps(sum, scale));
            }
            groups = groups.add(2 * TILE_ROWS + TILE_ROWS * width);
            x = x.add(width / TILE_COLS * T);
            factors = factors.add(T);
        }
        left -= width;
    }
}

/// Adds four columns' products.
///
/// # Safety
/// There must be a vector of weights and `T` expanded fours.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn multiply<const T: usize>(weights: *const __m256i, x: *const [__m256i; 2], sums: &mut [__m256i; T]) {
    // SAFETY: the caller's promise.
    let words = unsafe { _mm256_loadu_si256(weights) };
    let low = _mm256_and_si256(words, _mm256_set1_epi32(0x00FF_00FF));
    for (token, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let [for_words, for_low] = unsafe { *x.add(token) };
        let products = _mm256_add_epi32(_mm256_madd_epi16(words, for_words), _mm256_madd_epi16(low, for_low));
        *sum = _mm256_add_epi32(*sum, products);
    }
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn load_f32(x: &[f32; 8]) -> __m256 {
    // SAFETY: 32 bytes are there, and an unaligned load asks for no more.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}

/// `x as i32`: towards zero, saturating, NaN becomes 0.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn to_int(x: __m256) -> __m256i {
    // What is out of range becomes the smallest number, which is right for negative ones.
    let t = _mm256_cvttps_epi32(x);
    let high = _mm256_cmp_ps::<_CMP_GE_OQ>(x, _mm256_set1_ps(2_147_483_648.0));
    let number = _mm256_cmp_ps::<_CMP_ORD_Q>(x, x);
    _mm256_and_si256(_mm256_xor_si256(t, _mm256_castps_si256(high)), _mm256_castps_si256(number))
}

/// [`math::negative_exp2`] of eight numbers. Products of 32 bits exist for even lanes only, so odd ones go beside them.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn negative_exp2(t: __m256i) -> __m256 {
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
pub(super) fn silu(x: __m256) -> __m256 {
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
pub(super) fn load_state<S: StateScalar>(h: &[S; 8]) -> __m256 {
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
pub(super) fn store_state<S: StateScalar>(h: &mut [S; 8], value: __m256) {
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
pub(super) fn scaled(sums: [__m256i; 8], scale: f32, key_scales: &[f32; 8]) -> [f32; 8] {
    let [a, b, c, d, e, f, g, h] = sums;
    let four = |a, b, c, d| _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let (first, second) = (four(a, b, c, d), four(e, f, g, h));
    let low = _mm256_permute2x128_si256::<0x20>(first, second);
    let high = _mm256_permute2x128_si256::<0x31>(first, second);
    let scales = _mm256_mul_ps(_mm256_set1_ps(scale), load_f32(key_scales));
    to_array(_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(low, high)), scales))
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn weighted_values(weights: &mut [f32], sum: f32, values: &[i8], value_scales: &[f32], out: &mut [f32]) {
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
fn add_scaled(sums: &[__m256i], scale: f32, out: &mut [f32]) {
    for (out, sum) in out.as_chunks_mut::<8>().0.iter_mut().zip(sums) {
        let sum = _mm256_mul_ps(_mm256_cvtepi32_ps(*sum), _mm256_set1_ps(scale));
        *out = to_array(_mm256_add_ps(load_f32(out), sum));
    }
}

/// Values of a block, two tokens at a time, and their weights likewise: one instruction multiplies and adds both.
pub(super) struct Pairs<'v> {
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
        Self { weights, values: values.get(..tokens * dim).unwrap_or(&[]), dim, count: tokens.div_ceil(2) }
    }

    /// Where the numbers from `first` on of both tokens of a pair are. A last token without another is its own: the
    /// other's weight is zero.
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
