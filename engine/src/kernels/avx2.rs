//! x86-64 with AVX2 and F16C (Haswell, Zen).

use super::tile::{Fours, Groups, activations};
use super::{Columns, Quantized, Scan};
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
    fn conv_silu(u: &mut [f32], weight: &[f32], bias: &[f32], history: &mut [f32]);
    fn softplus_bias(dt: &mut [f32], bias: &[f32]);
    fn swiglu(gate: &mut [f32], up: &[f32]);
    fn quantize_query(q: &[f32], out: &mut [i16]) -> f32;
    fn quantize_head(x: &[f32], out: &mut [i8]) -> f32;
    fn scan<S>(scan: Scan<'_, S>);
    fn scores(q: &[i16], scale: f32, keys: &[i8], key_scales: &[f32], scores: &mut [f32]);
    fn softmax(x: &mut [f32]) -> f32;
    fn weighted_values(weights: &mut [f32], sum: f32, values: &[i8], value_scales: &[f32], out: &mut [f32]);
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
            let values = rows.map(|row| activations(row.0, at, x.group, group.weights));
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
    let flip = _mm256_set1_epi32(FLIPPED as i32);
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_si256(); T];
    if values.iter().any(|values| values.len() != weights.len()) {
        return sums;
    }
    for (at, w) in weights.iter().enumerate() {
        let w = _mm256_xor_si256(load(w), flip);
        let size = _mm256_abs_epi8(w);
        for (sum, values) in sums.iter_mut().zip(values) {
            let x = _mm256_set1_epi32(i32::from_le_bytes(values[at].map(|x| x as u8)));
            let pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, w));
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
        }
    }
    sums
}
