//! x86-64 with AVX-512 F, BW, VL and VNNI (Ice Lake, Zen 4).
//!
//! VPDPBUSD adds four products of an unsigned and a signed byte to each 32-bit sum. It wants one factor unsigned, so weights
//! are multiplied as w + 128, and `128·Σx` is taken off at the start. One token reads a tile's eight rows eight columns at
//! a time, so that weights come from memory as one stream; several tokens share the reading of two tiles.

use super::math::{self, EXP2, EXP2_BIAS, LOG_SCALE, LOG2_E};
use super::portable::{self, Step, VALUE_BLOCK, block_weights};
use super::{Columns, Quantized, Scan, StateScalar, avx2};
use crate::image::{FLIPPED, TILE_COLS, TILE_ROWS, tile_bytes};
use crate::model::QMatrix;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

/// Whether processor and operating system have them all.
pub(super) fn available() -> bool {
    const F: u32 = 1 << 16;
    const BW: u32 = 1 << 30;
    const VL: u32 = 1 << 31;
    const VNNI: u32 = 1 << 11;
    // Opmask registers and the upper halves of the vectors.
    const STATE: u64 = 0b1110_0000;
    let leaf = __cpuid_count(7, 0);
    avx2::available()
        && leaf.ebx & (F | BW | VL) == F | BW | VL
        && leaf.ecx & VNNI == VNNI
        // SAFETY: `avx2::available` saw that the operating system allows XGETBV.
        && unsafe { avx2::enabled_state() } & STATE == STATE
}

pub(super) use super::avx2::{
    conv_silu, dot, quantize, quantize_head, quantize_query, rms_norm, rms_norm_in_place, s4d_scan, softplus_bias,
    swiglu,
};

/// Tokens that go through a tile together: each has a register of sums and one of results.
const TOKENS: usize = 8;
/// Groups of eight tokens for which factors have room.
const ROOM: usize = 512;
/// Bytes that are asked for before one token needs them: enough for memory to answer in time, and for the next page to be found
/// where pages are small (with 4 KiB, half as much reads 6 % slower).
const AHEAD: usize = 8192;

/// Asks for the line that lies [`AHEAD`] of `at`, wherever that is: it is but a hint.
#[inline]
fn ask_ahead(at: *const i8) {
    // SAFETY: nothing is read, and every x86-64 processor has this instruction.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD)) };
}

/// What a group of eight tokens is multiplied with.
#[derive(Clone, Copy)]
struct Factors {
    /// `−128·Σx`: what the sums begin with.
    offsets: [i32; TOKENS],
    scales: [f32; TOKENS],
}

type Room = [MaybeUninit<Factors>; ROOM];

#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    let groups = w.groups();
    if !avx2::fits(w, x) || groups > ROOM {
        return avx2::matmul(w, x, out);
    }
    let mut room: Room = [const { MaybeUninit::uninit() }; ROOM];
    let most = ROOM / groups * TOKENS;
    let mut first = 0;
    while first < x.tokens() {
        let count = most.min(x.tokens() - first);
        for token in 0..count {
            prepare(x, first + token, token % TOKENS, &mut room[token / TOKENS * groups..][..groups]);
        }
        match count {
            1 => one_token(w, x, first, &room, &mut out),
            _ => tokens(w, x, (first, count), &room, &mut out),
        }
        first += count;
    }
}

/// Fills in what all groups of a token are multiplied with.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
fn prepare(x: &Quantized<'_>, token: usize, lane: usize, room: &mut [MaybeUninit<Factors>]) {
    let row = x.values.get(token * x.cols..(token + 1) * x.cols).unwrap_or(&[]);
    let scales = x.scales.get(token * room.len()..).unwrap_or(&[]);
    for ((group, &scale), room) in row.chunks(x.group).zip(scales).zip(room) {
        let offset = -128 * group.iter().map(|&x| i32::from(x)).sum::<i32>();
        let factors = room.as_mut_ptr();
        // SAFETY: inside the place for factors.
        unsafe {
            (&raw mut (*factors).offsets).cast::<i32>().add(lane).write(offset);
            (&raw mut (*factors).scales).cast::<f32>().add(lane).write(scale);
        }
    }
}

/// What makes w + 128 of stored weights: those of even columns are stored so.
#[target_feature(enable = "avx512f")]
#[inline]
fn flip() -> __m512i {
    _mm512_set1_epi32((FLIPPED ^ 0x8080_8080) as i32)
}

/// One token through all tiles.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn one_token(w: &QMatrix<'_>, x: &Quantized<'_>, token: usize, room: &Room, out: &mut Columns<'_>) {
    let size = tile_bytes(w.cols(), w.group());
    for tile in 0..w.rows().div_ceil(TILE_ROWS) {
        let mut y = _mm256_setzero_ps();
        // SAFETY: the matrix has so many tiles of this size, the activations so many tokens of this size (`fits`), and the
        // factors of all groups were prepared.
        unsafe {
            let mut groups = w.bytes().as_ptr().add(tile * size);
            let mut x_at = x.values.as_ptr().add(token * x.cols);
            let mut factors: *const Factors = room.as_ptr().cast();
            let mut left = x.cols;
            while left > 0 {
                let width = x.group.min(left);
                let scales = avx2::scales(&*groups.cast());
                let weights = groups.add(2 * TILE_ROWS);
                let mut sums = _mm512_zextsi256_si512(_mm256_set1_epi32((*factors).offsets[0]));
                if width == 32 {
                    for line in 0..4 {
                        ask_ahead(groups.wrapping_add(64 * line).cast());
                    }
                    for at in 0..4 {
                        eight_columns(weights.add(64 * at), x_at.add(8 * at), &mut sums);
                    }
                } else {
                    for at in 0..width / 8 {
                        ask_ahead(groups.wrapping_add(64 * at).cast());
                        eight_columns(weights.add(64 * at), x_at.add(8 * at), &mut sums);
                    }
                }
                let sum = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps((*factors).scales[0]));
                y = _mm256_add_ps(y, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale));
                groups = weights.add(TILE_ROWS * width);
                x_at = x_at.add(width);
                factors = factors.add(1);
                left -= width;
            }
        }
        out.write(token, tile * TILE_ROWS, &avx2::to_array(y));
    }
}

/// Adds eight columns' products: of the first four to the lower eight sums, of the others to the upper ones.
///
/// # Safety
/// 64 bytes of weights and 8 of x must be there.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn eight_columns(weights: *const u8, x: *const i8, sums: &mut __m512i) {
    // Of the eight bytes that every lane gets, the first four in the lower two, the others in the upper two.
    const LOWER: i32 = 0x0302_0100;
    const UPPER: i32 = 0x0706_0504;
    let spread = _mm512_inserti64x4::<1>(_mm512_set1_epi32(LOWER), _mm256_set1_epi32(UPPER));
    // SAFETY: the caller's promise.
    let (weights, x) = unsafe { (_mm512_loadu_si512(weights.cast()), x.cast::<i64>().read_unaligned()) };
    let x = _mm512_shuffle_epi8(_mm512_set1_epi64(x), spread);
    *sums = _mm512_dpbusd_epi32(*sums, _mm512_xor_si512(weights, flip()), x);
}

/// `count` tokens from `first` on through all tiles. A pair of tiles stays in the first-level cache for all of them.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn tokens(w: &QMatrix<'_>, x: &Quantized<'_>, (first, count): (usize, usize), room: &Room, out: &mut Columns<'_>) {
    let (tiles, size) = (w.rows().div_ceil(TILE_ROWS), tile_bytes(w.cols(), w.group()));
    for tile in (0..tiles).step_by(2) {
        // A last tile without another is its own.
        let other = (tile + 1).min(tiles - 1);
        let mut token = 0;
        while token < count {
            let factors = room.as_ptr().wrapping_add(token / TOKENS * w.groups()).cast();
            let lane = token % TOKENS;
            // SAFETY: both tiles are in the matrix and as many tokens in the activations (`fits`), and factors were prepared
            // for all of these: eight, four, two or one at a time begin at a multiple of as many.
            token += unsafe {
                let tiles = [tile, other].map(|tile| w.bytes().as_ptr().add(tile * size));
                let out = (&mut *out, [tile, other], first + token);
                match count - token {
                    8.. => pair::<8>(tiles, x, factors, lane, out),
                    4.. => pair::<4>(tiles, x, factors, lane, out),
                    2.. => pair::<2>(tiles, x, factors, lane, out),
                    _ => pair::<1>(tiles, x, factors, lane, out),
                }
            };
        }
    }
}

/// `T` tokens through two tiles; returns `T`.
///
/// # Safety
/// Two tiles for the activations' columns and groups, `T` tokens from `out.2` on, and factors of all groups for the lanes
/// `lane .. lane + T` must be there.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
unsafe fn pair<const T: usize>(
    [mut a, mut b]: [*const u8; 2],
    x: &Quantized<'_>,
    mut factors: *const Factors,
    lane: usize,
    (out, tiles, first): (&mut Columns<'_>, [usize; 2], usize),
) -> usize {
    let mut y = [_mm512_setzero_ps(); T];
    let mut column = 0;
    // SAFETY: by the caller's promise.
    unsafe {
        let x_at = x.values.as_ptr().add(first * x.cols);
        while column < x.cols {
            let width = x.group.min(x.cols - column);
            let halves = [a, b].map(|tile| _mm_loadu_si128(tile.cast()));
            let scales = _mm512_cvtph_ps(_mm256_set_m128i(halves[1], halves[0]));
            (a, b) = (a.add(2 * TILE_ROWS), b.add(2 * TILE_ROWS));
            let (offsets, x_scales) = (&(*factors).offsets, &(*factors).scales);
            let mut sums = [_mm512_setzero_si512(); T];
            for (token, sum) in sums.iter_mut().enumerate() {
                *sum = _mm512_set1_epi32(*offsets.get_unchecked(lane + token));
            }
            if width == 32 {
                for at in 0..8 {
                    four_columns([a.add(32 * at), b.add(32 * at)], x_at.add(column + 4 * at), x.cols, &mut sums);
                }
            } else {
                for at in 0..width / TILE_COLS {
                    four_columns([a.add(32 * at), b.add(32 * at)], x_at.add(column + 4 * at), x.cols, &mut sums);
                }
            }
            for (token, (y, sum)) in y.iter_mut().zip(sums).enumerate() {
                let scale = _mm512_mul_ps(scales, _mm512_set1_ps(*x_scales.get_unchecked(lane + token)));
                *y = _mm512_add_ps(*y, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale));
            }
            (a, b) = (a.add(TILE_ROWS * width), b.add(TILE_ROWS * width));
            factors = factors.add(1);
            column += width;
        }
    }
    for (token, y) in y.into_iter().enumerate() {
        let upper = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(y)));
        out.write(first + token, tiles[0] * TILE_ROWS, &avx2::to_array(_mm512_castps512_ps256(y)));
        if tiles[1] > tiles[0] {
            out.write(first + token, tiles[1] * TILE_ROWS, &avx2::to_array(upper));
        }
    }
    T
}

/// Adds four columns' products of two tiles.
///
/// # Safety
/// 32 bytes of both tiles and 4 of every token's x, `stride` apart, must be there.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
unsafe fn four_columns<const T: usize>([a, b]: [*const u8; 2], x: *const i8, stride: usize, sums: &mut [__m512i; T]) {
    // SAFETY: the caller's promise.
    let (a, b) = unsafe { (_mm256_loadu_si256(a.cast()), _mm256_loadu_si256(b.cast())) };
    let weights = _mm512_xor_si512(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b), flip());
    for (token, sum) in sums.iter_mut().enumerate() {
        // SAFETY: as above.
        let x = unsafe { x.add(token * stride).cast::<i32>().read_unaligned() };
        *sum = _mm512_dpbusd_epi32(*sum, weights, _mm512_set1_epi32(x));
    }
}

/// `x as i32`: towards zero, saturating, NaN becomes 0.
#[target_feature(enable = "avx512f")]
#[inline]
fn to_int(x: __m512) -> __m512i {
    // What is out of range becomes the smallest number, which is right for negative ones.
    let t = _mm512_maskz_cvttps_epi32(_mm512_cmp_ps_mask::<_CMP_ORD_Q>(x, x), x);
    let high = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(x, _mm512_set1_ps(2_147_483_648.0));
    _mm512_mask_mov_epi32(t, high, _mm512_set1_epi32(i32::MAX))
}

/// [`super::math::negative_exp2`] of sixteen numbers, as `avx2` has it.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn negative_exp2(t: __m512i) -> __m512 {
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
fn twice(x: __m256) -> __m512 {
    _mm512_castpd_ps(_mm512_broadcast_f64x4(_mm256_castps_pd(x)))
}

/// Two numbers, each eight times.
#[target_feature(enable = "avx512f")]
#[inline]
fn eight_times(x: &[f32; 2]) -> __m512 {
    // SAFETY: 8 bytes are there, and this load asks for no more.
    let two = _mm_castsi128_ps(unsafe { _mm_loadl_epi64(x.as_ptr().cast()) });
    let index = _mm512_inserti64x4::<1>(_mm512_setzero_si512(), _mm256_set1_epi32(1));
    _mm512_permutexvar_ps(index, _mm512_castps128_ps512(two))
}

/// The selective scan, two states of eight channels at a time.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl")]
pub(super) fn scan<S: StateScalar>(scan: Scan<'_, S>) {
    portable::scan_with(scan, |state, step| {
        let Step { a, b, c, dt, z, d, u } = step;
        let (x, dt) = (avx2::load_f32(u), avx2::load_f32(dt));
        let dx = _mm256_mul_ps(dt, x);
        let dt = _mm256_mul_ps(dt, _mm256_set1_ps(LOG_SCALE));
        let (dt2, dx2) = (twice(dt), twice(dx));
        let mut y = _mm256_setzero_ps();
        let ((a, last_a), (b, last_b), (c, last_c)) = (a.as_chunks::<2>(), b.as_chunks::<2>(), c.as_chunks::<2>());
        let (state, last) = state.as_chunks_mut::<2>();
        for (((h, a), b), c) in state.iter_mut().zip(a).zip(b).zip(c) {
            let negative_decay = negative_exp2(to_int(_mm512_mul_ps(dt2, load_two(a))));
            let input = _mm512_mul_ps(dx2, eight_times(b));
            let next = _mm512_sub_ps(input, _mm512_mul_ps(negative_decay, load_two(h)));
            store_two(h, next);
            let outputs = _mm512_mul_ps(next, eight_times(c));
            y = _mm256_add_ps(y, _mm512_castps512_ps256(outputs));
            y = _mm256_add_ps(y, _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(outputs))));
        }
        for (((h, a), b), c) in last.iter_mut().zip(last_a).zip(last_b).zip(last_c) {
            let t = avx2::to_int(_mm256_mul_ps(dt, avx2::load_f32(a)));
            let input = _mm256_mul_ps(dx, _mm256_set1_ps(*b));
            let next = _mm256_sub_ps(input, _mm256_mul_ps(avx2::negative_exp2(t), avx2::load_state(h)));
            avx2::store_state(h, next);
            y = _mm256_add_ps(y, _mm256_mul_ps(next, _mm256_set1_ps(*c)));
        }
        let y = _mm256_add_ps(y, _mm256_mul_ps(avx2::load_f32(d), x));
        *u = avx2::to_array(_mm256_mul_ps(y, avx2::silu(avx2::load_f32(z))));
    });
}

/// Two states of eight channels.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_two<S: StateScalar>(h: &[[S; 8]; 2]) -> __m512 {
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
fn store_two<S: StateScalar>(h: &mut [[S; 8]; 2], value: __m512) {
    // SAFETY: as in `load_two`.
    unsafe {
        match S::HALF {
            true => _mm256_storeu_si256(h.as_mut_ptr().cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)),
            false => _mm512_storeu_ps(h.as_mut_ptr().cast(), value),
        }
    }
}

#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl")]
pub(super) fn softmax(x: &mut [f32]) -> f32 {
    let mut max = _mm512_set1_ps(f32::MIN);
    let (blocks, rest) = x.as_chunks_mut::<16>();
    for block in &*blocks {
        // The second one where the first isn't larger, or no number.
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

#[target_feature(enable = "avx512f")]
#[inline]
fn load(x: &[f32; 16]) -> __m512 {
    // SAFETY: 64 bytes are there, and unaligned loads ask for no more.
    unsafe { _mm512_loadu_ps(x.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(x: &mut [f32; 16], value: __m512) {
    // SAFETY: as in `load`.
    unsafe { _mm512_storeu_ps(x.as_mut_ptr(), value) }
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
pub(super) fn scores(q: &[i16], scale: f32, keys: &[i8], key_scales: &[f32], scores: &mut [f32]) {
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
pub(super) fn weighted_values(weights: &mut [f32], sum: f32, values: &[i8], value_scales: &[f32], out: &mut [f32]) {
    weighted_values_of([(weights, sum, out)], values, value_scales);
}

/// [`weighted_values`] of heads that share their values: these are read and widened once.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn weighted_values_of<const H: usize>(
    mut heads: [(&mut [f32], f32, &mut [f32]); H],
    values: &[i8],
    value_scales: &[f32],
) {
    let dim = heads.iter().map(|(.., out)| out.len()).min().unwrap_or(0);
    if !dim.is_multiple_of(32) || heads.iter().any(|(.., out)| out.len() != dim) {
        for (weights, sum, out) in heads {
            avx2::weighted_values(weights, sum, values, value_scales, out);
        }
        return;
    }
    for (.., out) in &mut heads {
        out.fill(0.0);
    }
    let blocks = value_scales.chunks(VALUE_BLOCK).zip(values.chunks(VALUE_BLOCK * dim.max(1)));
    for (block, (scales, values)) in blocks.enumerate() {
        let rounded = heads
            .each_mut()
            .map(|(weights, ..)| block_weights(weights.chunks_mut(VALUE_BLOCK).nth(block).unwrap_or(&mut []), scales));
        let pairs = rounded.each_ref().map(|(p, _)| avx2::Pairs::new(p, values, dim));
        for first in (0..dim / 64 * 64).step_by(64) {
            let sums = strip::<2, H>(&pairs, first);
            for (((.., out), sums), (_, scale)) in heads.iter_mut().zip(&sums).zip(&rounded) {
                add_scaled(sums.as_flattened(), *scale, &mut out[first..first + 64]);
            }
        }
        if !dim.is_multiple_of(64) {
            let sums = strip::<1, H>(&pairs, dim - 32);
            for (((.., out), sums), (_, scale)) in heads.iter_mut().zip(&sums).zip(&rounded) {
                add_scaled(sums.as_flattened(), *scale, &mut out[dim - 32..]);
            }
        }
    }
    for (_, sum, out) in heads {
        let inverse = 1.0 / sum;
        out.iter_mut().for_each(|out| *out *= inverse);
    }
}

/// `out += sums · scale`, sixteen numbers a vector.
#[target_feature(enable = "avx512f")]
#[inline]
fn add_scaled(sums: &[__m512i], scale: f32, out: &mut [f32]) {
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
