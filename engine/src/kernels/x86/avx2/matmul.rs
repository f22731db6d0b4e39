//! Matrix products: how tiles and tokens are walked, and what int8 weights do.
//!
//! Four weights of a row are one word: bytes u₀, q₁, u₂, q₃ with u = q + 128, see [`crate::image`]. VPMADDWD of the words,
//! taken as 16-bit numbers, with x₁ and x₃ gives `256·q₁x₁ + u₀x₁ + 256·q₃x₃ + u₂x₃`; of their low bytes with `256·x₀ − x₁` and
//! `256·x₂ − x₃` it makes of both together `256·(u₀x₀ + q₁x₁ + u₂x₂ + q₃x₃)`. What u has more than q is taken off at the
//! start: `256·128·(x₀ + x₂)`. So 32 products take six instructions, two of which repeat words as they load them.
//! The sum of a group of up to 512 columns is exact:
//! 256·512·128·127 < 2³¹; what overflows on the way wraps around and comes back.

use super::vector::{load_f32, to_array};
use crate::kernels::portable;
use crate::kernels::{Columns, Quantized};
use crate::matrix::{Bits, NIBBLE_GROUP, QMatrix, TILE_ROWS};
use crate::planned::planned;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;
use core::ops::Range;

/// A tile's eight f16 scales.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub(in crate::kernels) fn scales(bytes: &[u8; 2 * TILE_ROWS]) -> __m256 {
    // SAFETY: 16 bytes are there, and an unaligned load asks for no more.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// Whether matrix and activations belong together, so that the kernels below may go by the matrix' shape alone.
pub(in crate::kernels) fn fits(w: &QMatrix<'_>, x: &Quantized<'_>) -> bool {
    x.cols == w.padded_cols()
        && x.group == w.group()
        && x.group.is_multiple_of(8)
        && w.groups() > 0
        && x.scales.len() >= x.tokens() * w.groups()
        && w.bytes().len() >= w.rows().div_ceil(TILE_ROWS) * w.tile_bytes()
}

/// The widest group of int8 whose sum is exact.
const WIDEST: usize = 512;
/// Blocks of columns, of all tokens together, for whose expanded activations there is room: half of the smallest first-level cache.
const ROOM: usize = 2048;

/// Some whole groups of some tokens, expanded: `(groups, blocks, tokens)` and `(groups, tokens)`.
struct Expanded {
    blocks: [MaybeUninit<Block>; ROOM],
    factors: [MaybeUninit<Factor>; ROOM / 2],
}

/// What multiplies a block of columns: two words, each for all of a tile's rows.
pub(super) type Block = [i32; 2];

/// A block's words, each eight times. Loads do that: together they would be one load, and the rest arithmetic.
///
/// # Safety
/// There is a block.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn repeat(block: *const Block) -> [__m256i; 2] {
    let word: *const f32 = block.cast();
    // SAFETY: the caller's promise; any bits are an f32.
    unsafe { [_mm256_broadcast_ss(&*word), _mm256_broadcast_ss(&*word.add(1))].map(|words| _mm256_castps_si256(words)) }
}

#[derive(Clone, Copy)]
struct Factor {
    /// What the sums begin or end with.
    offset: i32,
    scale: f32,
}

/// What weights of so many bits do differently.
pub(super) trait Weights {
    const BITS: Bits;
    /// Bytes of a column of a tile.
    const COLUMN: usize = TILE_ROWS * Self::BITS.count() as usize / 8;
    /// Columns of 32 bytes of weights.
    const BLOCK: usize = 32 / Self::COLUMN;

    /// Expands eight columns' activations to blocks that are `step` apart; the sum of what it returns belongs to the group's offset.
    ///
    /// # Safety
    /// There must be room.
    unsafe fn expand(eight: &[i8; 8], to: *mut Block, step: usize) -> __m128i;

    /// What a group's sums begin with.
    ///
    /// # Safety
    /// The processor has AVX2; here and below.
    unsafe fn begin(offset: i32) -> __m256i;

    /// Adds the products of a block of columns.
    ///
    /// # Safety
    /// There must be a vector of weights and `T` expanded blocks.
    unsafe fn multiply<const T: usize>(weights: *const __m256i, x: *const Block, sums: &mut [__m256i; T]);

    /// Sums of a group's blocks together.
    ///
    /// # Safety
    /// As above.
    unsafe fn add(sums: __m256i, others: __m256i) -> __m256i;

    /// A group's sums as integers.
    ///
    /// # Safety
    /// As above.
    unsafe fn end(sums: __m256i, offset: i32) -> __m256i;
}

#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    product::<Q8>(w, x, out);
}

/// Matrix product with as many tokens a pass through a tile as there are registers for.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub(super) fn product<W: Weights>(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    match W::BITS {
        Bits::Eight if !fits(w, x) || x.group > WIDEST => return portable::matmul(w, x, out),
        Bits::Four if !fits(w, x) || x.group != NIBBLE_GROUP => return portable::matmul_q4(w, x, out),
        _ => {}
    }
    let mut room = Expanded {
        blocks: [const { MaybeUninit::uninit() }; ROOM],
        factors: [const { MaybeUninit::uninit() }; ROOM / 2],
    };
    let mut first = 0;
    while first < x.tokens() {
        first += match x.tokens() - first {
            4.. => block::<W, 4>(w, x, first, &mut room, &mut out),
            2.. => block::<W, 2>(w, x, first, &mut room, &mut out),
            _ => block::<W, 1>(w, x, first, &mut room, &mut out),
        };
    }
}

/// `T` tokens from `first` on through all tiles, as many groups at once as there is room for; returns `T`.
#[target_feature(enable = "avx2,f16c")]
fn block<W: Weights, const T: usize>(
    w: &QMatrix<'_>,
    x: &Quantized<'_>,
    first: usize,
    room: &mut Expanded,
    out: &mut Columns<'_>,
) -> usize {
    let most = (ROOM * W::BLOCK / T / x.group).max(1) * x.group;
    let size = w.tile_bytes();
    let mut column = 0;
    while column < x.cols {
        let width = most.min(x.cols - column);
        for token in 0..T {
            // SAFETY: `most` is as many columns of T tokens as there is room for, and `column` begins a group.
            unsafe {
                expand::<W>(x, first + token, column..column + width, Interleave { index: token, count: T }, room)
            };
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
                let groups = w.bytes().as_ptr().add(tile * size + W::BITS.tile_bytes(column, x.group));
                add_groups::<W, T>(groups, width, x.group, room, &mut y);
            }
            for (token, y) in y.iter().enumerate() {
                out.write(first + token, tile * TILE_ROWS, &to_array(*y));
            }
        }
        column += width;
    }
    T
}

/// Where a token's expanded activations go: they lie interleaved with those of `count` tokens, this being number `index`.
#[derive(Clone, Copy)]
struct Interleave {
    index: usize,
    count: usize,
}

/// Expands some columns of one token, the first of which begins a group.
///
/// # Safety
/// There must be room for so many columns of `at.count` tokens.
#[target_feature(enable = "avx2")]
unsafe fn expand<W: Weights>(
    x: &Quantized<'_>,
    token: usize,
    columns: Range<usize>,
    at: Interleave,
    room: &mut Expanded,
) {
    let (row, scales) = x.row(token);
    let scales = planned(scales.get(columns.start / x.group..));
    let mut blocks: *mut Block = room.blocks.as_mut_ptr().wrapping_add(at.index).cast();
    let factors = room.factors.iter_mut().skip(at.index).step_by(at.count);
    let groups = planned(row.get(columns)).chunks(x.group);
    for ((group, &scale), factor) in groups.zip(scales).zip(factors) {
        let mut offset = _mm_setzero_si128();
        for eight in group.as_chunks::<8>().0 {
            // SAFETY: the caller's promise.
            offset = _mm_add_epi32(offset, unsafe { W::expand(eight, blocks, at.count) });
            blocks = blocks.wrapping_add(8 / W::BLOCK * at.count);
        }
        let offset = _mm_add_epi32(offset, _mm_unpackhi_epi64(offset, offset));
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
unsafe fn add_groups<W: Weights, const T: usize>(
    mut groups: *const u8,
    width: usize,
    group: usize,
    room: &Expanded,
    y: &mut [__m256; T],
) {
    let mut x: *const Block = room.blocks.as_ptr().cast();
    let mut factors: *const Factor = room.factors.as_ptr().cast();
    let mut left = width;
    while left > 0 {
        let width = group.min(left);
        // SAFETY: by the caller's promise there are 16 bytes of scales, a vector of weights for every block of columns, and of
        // every token an expanded block for each of these and a factor.
        unsafe {
            let scales = scales(&*groups.cast());
            let weights: *const __m256i = groups.add(2 * TILE_ROWS).cast();
            let mut sums = [_mm256_setzero_si256(); T];
            for (token, sum) in sums.iter_mut().enumerate() {
                *sum = W::begin((*factors.add(token)).offset);
            }
            let blocks = width / W::BLOCK;
            if T == 1 && width == 32 {
                // Two sums, for which additions wait half as often for the one before. Of more tokens, compilers would keep more numbers
                // than there are registers if this were unrolled.
                let mut others = [_mm256_setzero_si256(); T];
                for at in (0..32 / W::BLOCK).step_by(2) {
                    W::multiply(weights.add(at), x.add(at), &mut sums);
                    W::multiply(weights.add(at + 1), x.add(at + 1), &mut others);
                }
                sums = [W::add(sums[0], others[0]); T];
            } else {
                for at in 0..blocks {
                    W::multiply(weights.add(at), x.add(at * T), &mut sums);
                }
            }
            for (token, (y, sum)) in y.iter_mut().zip(sums).enumerate() {
                let factor = &*factors.add(token);
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps(factor.scale));
                let sum = _mm256_cvtepi32_ps(W::end(sum, factor.offset));
                *y = _mm256_add_ps(*y, _mm256_mul_ps(sum, scale));
            }
            groups = groups.add(2 * TILE_ROWS + W::COLUMN * width);
            x = x.add(width / W::BLOCK * T);
            factors = factors.add(T);
        }
        left -= width;
    }
}

/// Weights of 8 bits: of a block's words, the first multiplies those of the weights, the other one their low bytes.
struct Q8;

impl Weights for Q8 {
    const BITS: Bits = Bits::Eight;

    #[target_feature(enable = "avx2")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn expand(eight: &[i8; 8], to: *mut Block, step: usize) -> __m128i {
        // SAFETY: 8 bytes are there, and this load asks for no more.
        let words = unsafe { _mm_loadl_epi64(eight.as_ptr().cast()) };
        let (odd, even) = (_mm_srai_epi16::<8>(words), _mm_slli_epi16::<8>(words));
        let low = _mm_sub_epi16(even, odd);
        let pairs = _mm_unpacklo_epi32(odd, low);
        // SAFETY: the caller's promise.
        unsafe {
            _mm_storel_epi64(to.cast(), pairs);
            _mm_storel_epi64(to.add(step).cast(), _mm_unpackhi_epi64(pairs, pairs));
        }
        _mm_madd_epi16(even, _mm_set1_epi16(-128))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    // SAFETY: as above.
    unsafe fn begin(offset: i32) -> __m256i {
        _mm256_set1_epi32(offset)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn multiply<const T: usize>(weights: *const __m256i, x: *const Block, sums: &mut [__m256i; T]) {
        // SAFETY: the caller's promise.
        let words = unsafe { _mm256_loadu_si256(weights) };
        let low = _mm256_and_si256(words, _mm256_set1_epi32(0x00FF_00FF));
        for (token, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let [for_words, for_low] = unsafe { repeat(x.add(token)) };
            let products = _mm256_add_epi32(_mm256_madd_epi16(words, for_words), _mm256_madd_epi16(low, for_low));
            *sum = _mm256_add_epi32(*sum, products);
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    // SAFETY: as above.
    unsafe fn add(sums: __m256i, others: __m256i) -> __m256i {
        _mm256_add_epi32(sums, others)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    // SAFETY: as above.
    unsafe fn end(sums: __m256i, _offset: i32) -> __m256i {
        _mm256_srai_epi32::<8>(sums)
    }
}
