//! Matrix products: how tiles and tokens are walked, for all of aarch64, and the baseline's inner loops.

use super::vector::{load, load_bytes, store, widen, zip};
use crate::kernels::{Columns, Quantized, portable};
use crate::matrix::{Bits, Block, FLIPPED, NIBBLE_COLS, QMatrix, TILE_COLS, TILE_ROWS};
use core::arch::aarch64::*;
use core::arch::asm;

/// Columns of a group for which there are inner loops of their own: the packer's default.
pub(in crate::kernels) const WIDTH: usize = 32;

/// The integer sums of a group's eight rows.
pub(in crate::kernels) type Sums = [int32x4_t; 2];

/// One token's activations, and a scale for each group of them.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Token {
    pub values: *const i8,
    pub scales: *const f32,
}

/// The inner loops of an instruction set.
pub(in crate::kernels) trait Inner {
    /// Bits of a weight.
    const BITS: Bits = Bits::Eight;
    /// Tiles through which all tokens are taken before the next ones: a multiple of four.
    const STRETCH: usize = 4;

    /// `groups` groups of each of four tiles times one token, into 32 numbers.
    ///
    /// # Safety
    /// The processor has the instructions. `groups` is not 0; the tiles have so many groups of [`WIDTH`] columns, and the
    /// token has their activations and scales. There is room for the results.
    unsafe fn four_tiles(tiles: [*const u8; 4], token: Token, groups: usize, out: *mut f32);

    /// The same for one tile and four tokens, into eight numbers for each token.
    ///
    /// # Safety
    /// As for [`Inner::four_tiles`].
    unsafe fn four_tokens(tile: *const u8, tokens: [Token; 4], groups: usize, out: [*mut f32; 4]);

    /// Dot products of eight rows' `columns` weights with as many activations.
    ///
    /// # Safety
    /// The processor has the instructions. There are `columns` weights a row and as many activations; `columns` is a multiple
    /// of 8 and not 0, and with 4 bits at most [`WIDTH`].
    unsafe fn sums(weights: *const u8, values: *const i8, columns: usize) -> Sums;

    /// Multiplies a stretch of tiles by the first tokens, where the instruction set has a faster way for many tokens; returns
    /// how many tokens that were.
    ///
    /// # Safety
    /// The processor has the instructions. There is such a tile.
    #[inline(always)]
    unsafe fn stretch(_work: &Work<'_>, _first: usize, _out: &mut Columns<'_>) -> usize {
        0
    }
}

/// What a matrix product works on, checked.
pub(in crate::kernels) struct Work<'a> {
    tiles: *const u8,
    /// Tiles.
    pub count: usize,
    /// Bytes of a tile.
    size: usize,
    x: Quantized<'a>,
    pub tokens: usize,
    /// Groups of a row.
    pub groups: usize,
    /// Those that the inner loops take.
    pub whole: usize,
}

/// Matrix product, a stretch of tiles at a time through all tokens, so that the weights cross the memory bus once however many
/// tokens there are.
///
/// # Safety
/// The processor must have the instructions of `I`.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernels) unsafe fn product<I: Inner>(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    let (cols, group, tokens) = (x.cols, x.group, x.tokens());
    let (groups, size) = (cols.div_ceil(group.max(1)), I::BITS.tile_bytes(cols, group));
    let fits = (cols, group) == (w.padded_cols(), w.group())
        && x.scales.len() >= tokens * groups
        && (I::BITS == Bits::Eight || group == WIDTH);
    if !fits || out.tokens() < tokens || cols == 0 || !cols.is_multiple_of(8) || !group.is_multiple_of(8) {
        return match I::BITS {
            Bits::Eight => portable::matmul(w, x, out),
            Bits::Four => portable::matmul_q4(w, x, out),
        };
    }
    let whole = if group == WIDTH { cols / WIDTH } else { 0 };
    let count = w.bytes().len().checked_div(size).unwrap_or(0);
    let work = Work { tiles: w.bytes().as_ptr(), count, size, x: *x, tokens, groups, whole };
    let mut done = 0;
    for first in (0..count).step_by(4) {
        // SAFETY: the caller's promise, and what was checked.
        unsafe {
            if first.is_multiple_of(I::STRETCH) {
                done = I::stretch(&work, first, &mut out);
            }
            let mut token = done;
            while tokens - token >= 3 {
                four_tokens::<I>(&work, first, token, &mut out);
                token = tokens.min(token + 4);
            }
            while token < tokens {
                one_token::<I>(&work, first, token, &mut out);
                token += 1;
            }
        }
    }
}

impl Work<'_> {
    /// Tile `index`, or the last one.
    #[inline(always)]
    pub fn tile(&self, index: usize) -> *const u8 {
        self.tiles.wrapping_add(index.min(self.count - 1) * self.size)
    }

    /// Token `index`.
    #[inline(always)]
    pub fn token(&self, index: usize) -> Token {
        let (values, scales) = (self.x.values.as_ptr(), self.x.scales.as_ptr());
        Token { values: values.wrapping_add(index * self.x.cols), scales: scales.wrapping_add(index * self.groups) }
    }
}

/// Four tiles and four tokens, as far as there are so many: the last token stands in for those after it.
///
/// # Safety
/// The processor must have the instructions of `I`. There are such a tile and such a token.
#[target_feature(enable = "neon")]
#[inline(never)]
unsafe fn four_tokens<I: Inner>(work: &Work<'_>, first: usize, token: usize, out: &mut Columns<'_>) {
    let last = work.tokens - 1;
    let distinct = last + 1 - token;
    let indices = [0, 1, 2, 3].map(|at| (token + at).min(last));
    let tokens = indices.map(|index| work.token(index));
    for tile in first..work.count.min(first + 4) {
        let mut buffer = [[0.0; TILE_ROWS]; 4];
        let places = indices.map(|index| out.block::<TILE_ROWS>(index, tile * TILE_ROWS).map(|y| y.as_mut_ptr()));
        let (results, direct) = match places {
            [Some(a), Some(b), Some(c), Some(d)] => ([a, b, c, d], true),
            // The matrix ends within this tile.
            _ => (buffer.each_mut().map(|y| y.as_mut_ptr()), false),
        };
        let weights = work.tile(tile);
        // SAFETY: tile and tokens have all their columns, and there is room for the results.
        unsafe {
            match work.whole {
                0 => results.into_iter().for_each(|y| y.write_bytes(0, TILE_ROWS)),
                whole => I::four_tokens(weights, tokens, whole, results),
            }
            if work.whole < work.groups {
                // Once a token.
                results
                    .into_iter()
                    .zip(tokens)
                    .take(distinct)
                    .for_each(|(y, token)| rest::<I>(work, weights, token, y));
            }
        }
        if !direct {
            for (y, index) in buffer.iter().zip(indices).take(distinct) {
                out.write(index, tile * TILE_ROWS, y);
            }
        }
    }
}

/// Four tiles, as far as there are so many, and one token.
///
/// # Safety
/// As for [`four_tokens`].
#[target_feature(enable = "neon")]
#[inline(never)]
unsafe fn one_token<I: Inner>(work: &Work<'_>, first: usize, token: usize, out: &mut Columns<'_>) {
    let tiles = [0, 1, 2, 3].map(|at| work.tile(first + at));
    match out.block::<{ 4 * TILE_ROWS }>(token, first * TILE_ROWS) {
        // SAFETY: tiles and token have all their columns, and there is room for the results.
        Some(y) if work.whole == work.groups => unsafe {
            I::four_tiles(tiles, work.token(token), work.whole, y.as_mut_ptr());
        },
        // SAFETY: the caller's promise.
        _ => unsafe { one_token_at_the_end::<I>(work, first, token, out) },
    }
}

/// [`one_token`] where the matrix ends within these tiles, or there are groups that the inner loops don't take.
///
/// # Safety
/// As for [`four_tokens`].
#[target_feature(enable = "neon")]
#[inline(never)]
unsafe fn one_token_at_the_end<I: Inner>(work: &Work<'_>, first: usize, token: usize, out: &mut Columns<'_>) {
    let tiles = [0, 1, 2, 3].map(|at| work.tile(first + at));
    let x = work.token(token);
    let mut y = [[0.0; TILE_ROWS]; 4];
    // SAFETY: tiles and token have all their columns, and there is room for the results.
    unsafe {
        if work.whole > 0 {
            I::four_tiles(tiles, x, work.whole, y.as_flattened_mut().as_mut_ptr());
        }
        for ((y, &weights), tile) in y.iter_mut().zip(&tiles).zip(first..work.count) {
            if work.whole < work.groups {
                rest::<I>(work, weights, x, y.as_mut_ptr());
            }
            out.write(token, tile * TILE_ROWS, y);
        }
    }
}

/// The groups that the inner loops don't take, of any width: their products are added to `y`.
///
/// # Safety
/// The processor must have the instructions of `I`; tile and token have all their columns, and `y` eight numbers.
#[target_feature(enable = "neon")]
#[inline(never)]
unsafe fn rest<I: Inner>(work: &Work<'_>, tile: *const u8, token: Token, y: *mut f32) {
    let Quantized { cols, group, .. } = work.x;
    let (mut index, mut column) = (work.whole, work.whole * group);
    while column < cols {
        let width = group.min(cols - column);
        // SAFETY: by the caller's promise. Before a group lie scales and columns of those before it.
        unsafe {
            let scales = tile.add(2 * index * TILE_ROWS + column / I::BITS.block_cols() * size_of::<Block>());
            let sums = I::sums(scales.add(2 * TILE_ROWS), token.values.add(column), width);
            let x_scale = *token.scales.add(index);
            let scales = widen(load_bytes(scales));
            let scaled = |half: usize| {
                let scale = vmulq_n_f32(scales[half], x_scale);
                vmulq_f32(vcvtq_f32_s32(sums[half]), scale)
            };
            let y = &mut *y.cast::<[f32; TILE_ROWS]>();
            store(y, zip(load(y), [scaled(0), scaled(1)], |y, scaled| vaddq_f32(y, scaled)));
        }
        (index, column) = (index + 1, column + width);
    }
}

/// Sixteen bytes: four columns of four rows, with the flipped bits flipped back.
///
/// # Safety
/// They must be there.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn flipped_back(bytes: *const u8) -> int8x16_t {
    // SAFETY: by the caller's promise.
    let stored = unsafe { load_bytes(bytes) };
    vreinterpretq_s8_u8(veorq_u8(stored, vreinterpretq_u8_u32(vdupq_n_u32(FLIPPED))))
}

/// Four activations, four times.
///
/// # Safety
/// They must be there.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn repeated(x: *const i8) -> int8x16_t {
    let repeated;
    // SAFETY: by the caller's promise.
    unsafe {
        asm!(
            "ld1r {{{repeated:v}.4s}}, [{x}]",
            x = in(reg) x,
            repeated = out(vreg) repeated,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    repeated
}

/// SMULL and SMLAL give 16-bit sums of two products, which always fit (2·128·127 < 2¹⁵), and SADALP adds them in pairs to
/// 32 bits: 8 columns of 8 rows take 12 instructions, 4 EOR and 2 double loads of weights.
///
/// `NIBBLES`, weights of 4 bits, are multiplied as the u = q + 8 that is stored. A group's 32 columns give 16-bit sums of eight products,
/// which always fit (8·15·128 < 2¹⁵): 8 columns of 8 rows take 8 instructions, 2 AND, 2 USHR and a double load. SADDLP and ADDP make
/// them 32-bit sums once a group, and `8·Σx` is taken off.
struct Baseline<const NIBBLES: bool>;

impl<const NIBBLES: bool> Baseline<NIBBLES> {
    /// Bytes of eight columns of a tile.
    const EIGHT: usize = if NIBBLES { 32 } else { 64 };
}

impl<const NIBBLES: bool> Inner for Baseline<NIBBLES> {
    const BITS: Bits = if NIBBLES { Bits::Four } else { Bits::Eight };

    #[target_feature(enable = "neon")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn four_tiles(tiles: [*const u8; 4], token: Token, groups: usize, out: *mut f32) {
        let [a, b, c, d] = tiles.map(|tile| tile.wrapping_sub(Self::EIGHT));
        // SAFETY: by the caller's promise; the loop ends after as many groups.
        unsafe {
            asm!(
                ".macro MULTIPLY mul, mul2, x0, x1",
                "\\mul v20.8h, v16.8b, \\x0\\().8b",
                "\\mul2 v21.8h, v16.16b, \\x0\\().16b",
                "\\mul v22.8h, v17.8b, \\x0\\().8b",
                "\\mul2 v23.8h, v17.16b, \\x0\\().16b",
                "smlal v20.8h, v18.8b, \\x1\\().8b",
                "smlal2 v21.8h, v18.16b, \\x1\\().16b",
                "smlal v22.8h, v19.8b, \\x1\\().8b",
                "smlal2 v23.8h, v19.16b, \\x1\\().16b",
                ".endm",
                // To 32 bits.
                ".macro ADD add",
                "\\add v24.4s, v20.8h",
                "\\add v25.4s, v21.8h",
                "\\add v26.4s, v22.8h",
                "\\add v27.4s, v23.8h",
                ".endm",
                // Eight columns of a tile: x0 and x1 hold their activations, repeated.
                ".macro EIGHT w, step, mul, mul2, add, x0, x1",
                "ldp q16, q17, [\\w, #\\step]!",
                ".if {nibbles}",
                "ushr v18.16b, v16.16b, #4",
                "ushr v19.16b, v17.16b, #4",
                "and v16.16b, v16.16b, v29.16b",
                "and v17.16b, v17.16b, v29.16b",
                "MULTIPLY \\mul, \\mul2, \\x0, \\x1",
                ".else",
                "ldp q18, q19, [\\w, #32]",
                "eor v16.16b, v16.16b, v29.16b",
                "eor v17.16b, v17.16b, v29.16b",
                "eor v18.16b, v18.16b, v29.16b",
                "eor v19.16b, v19.16b, v29.16b",
                "MULTIPLY smull, smull2, \\x0, \\x1",
                "ADD \\add",
                ".endif",
                ".endm",
                ".macro TILE w, y0, y1",
                "EIGHT \\w, 16+{eight}, smull, smull2, saddlp, v0, v1",
                "EIGHT \\w, {eight}, smlal, smlal2, sadalp, v2, v3",
                "EIGHT \\w, {eight}, smlal, smlal2, sadalp, v4, v5",
                "EIGHT \\w, {eight}, smlal, smlal2, sadalp, v6, v7",
                "ldur q16, [\\w, #-16-3*{eight}]",
                ".if {nibbles}",
                "ADD saddlp",
                ".endif",
                "addp v24.4s, v24.4s, v25.4s",
                "addp v26.4s, v26.4s, v27.4s",
                ".if {nibbles}",
                "sub v24.4s, v24.4s, v30.4s",
                "sub v26.4s, v26.4s, v30.4s",
                ".endif",
                "fcvtl2 v17.4s, v16.8h",
                "fcvtl v16.4s, v16.4h",
                "scvtf v24.4s, v24.4s",
                "scvtf v26.4s, v26.4s",
                "fmul v16.4s, v16.4s, v28.4s",
                "fmul v17.4s, v17.4s, v28.4s",
                "fmul v16.4s, v16.4s, v24.4s",
                "fmul v17.4s, v17.4s, v26.4s",
                "fadd \\y0\\().4s, \\y0\\().4s, v16.4s",
                "fadd \\y1\\().4s, \\y1\\().4s, v17.4s",
                ".endm",
                "movi v8.2d, #0",
                "movi v9.2d, #0",
                "movi v10.2d, #0",
                "movi v11.2d, #0",
                "movi v12.2d, #0",
                "movi v13.2d, #0",
                "movi v14.2d, #0",
                "movi v15.2d, #0",
                ".if {nibbles}",
                "movi v29.16b, #15",
                ".else",
                "movi v29.8h, #0x80",
                ".endif",
                "2:",
                ".if {nibbles}", // 8·Σx
                "ldp q30, q31, [{x}]",
                "saddlp v30.8h, v30.16b",
                "sadalp v30.8h, v31.16b",
                "saddlv s30, v30.8h",
                "dup v30.4s, v30.s[0]",
                "shl v30.4s, v30.4s, #3",
                ".endif",
                "ld1r {{v0.4s}}, [{x}], #4",
                "ld1r {{v1.4s}}, [{x}], #4",
                "ld1r {{v2.4s}}, [{x}], #4",
                "ld1r {{v3.4s}}, [{x}], #4",
                "ld1r {{v4.4s}}, [{x}], #4",
                "ld1r {{v5.4s}}, [{x}], #4",
                "ld1r {{v6.4s}}, [{x}], #4",
                "ld1r {{v7.4s}}, [{x}], #4",
                "ld1r {{v28.4s}}, [{scales}], #4",
                "TILE {a}, v8, v9",
                "TILE {b}, v10, v11",
                "TILE {c}, v12, v13",
                "TILE {d}, v14, v15",
                "subs {groups}, {groups}, #1",
                "b.ne 2b",
                "stp q8, q9, [{y}]",
                "stp q10, q11, [{y}, #32]",
                "stp q12, q13, [{y}, #64]",
                "stp q14, q15, [{y}, #96]",
                ".purgem MULTIPLY",
                ".purgem ADD",
                ".purgem EIGHT",
                ".purgem TILE",
                a = inout(reg) a => _,
                b = inout(reg) b => _,
                c = inout(reg) c => _,
                d = inout(reg) d => _,
                x = inout(reg) token.values => _,
                scales = inout(reg) token.scales => _,
                groups = inout(reg) groups => _,
                y = in(reg) out,
                nibbles = const NIBBLES as u32,
                eight = const Self::EIGHT,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _,
                out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _,
                out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _,
                out("v30") _, out("v31") _,
                options(nostack),
            );
        }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn four_tokens(tile: *const u8, tokens: [Token; 4], groups: usize, out: [*mut f32; 4]) {
        let [a, b, c, d] = tokens;
        let [ya, yb, yc, yd] = out;
        // SAFETY: by the caller's promise; the loop ends after as many groups.
        unsafe {
            asm!(
                // One token's eight columns: v0 to v3 hold the weights.
                ".macro EIGHT x, mul, mul2, add, s0, s1, s2, s3",
                "ld1r {{v4.4s}}, [\\x], #4",
                "ld1r {{v5.4s}}, [\\x], #4",
                ".if {nibbles}",
                "\\mul \\s0\\().8h, v0.8b, v4.8b",
                "\\mul2 \\s1\\().8h, v0.16b, v4.16b",
                "\\mul \\s2\\().8h, v1.8b, v4.8b",
                "\\mul2 \\s3\\().8h, v1.16b, v4.16b",
                "smlal \\s0\\().8h, v2.8b, v5.8b",
                "smlal2 \\s1\\().8h, v2.16b, v5.16b",
                "smlal \\s2\\().8h, v3.8b, v5.8b",
                "smlal2 \\s3\\().8h, v3.16b, v5.16b",
                ".else",
                "smull v6.8h, v0.8b, v4.8b",
                "smull2 v7.8h, v0.16b, v4.16b",
                "smlal v6.8h, v2.8b, v5.8b",
                "smlal2 v7.8h, v2.16b, v5.16b",
                "\\add \\s0\\().4s, v6.8h",
                "\\add \\s1\\().4s, v7.8h",
                "smull v6.8h, v1.8b, v4.8b",
                "smull2 v7.8h, v1.16b, v4.16b",
                "smlal v6.8h, v3.8b, v5.8b",
                "smlal2 v7.8h, v3.16b, v5.16b",
                "\\add \\s2\\().4s, v6.8h",
                "\\add \\s3\\().4s, v7.8h",
                ".endif",
                ".endm",
                ".macro TOKENS step, mul, mul2, add",
                "ldp q0, q1, [{w}, #\\step]!",
                ".if {nibbles}",
                "movi v4.16b, #15",
                "ushr v2.16b, v0.16b, #4",
                "ushr v3.16b, v1.16b, #4",
                "and v0.16b, v0.16b, v4.16b",
                "and v1.16b, v1.16b, v4.16b",
                ".else",
                "ldp q2, q3, [{w}, #32]",
                "movi v4.8h, #0x80",
                "eor v0.16b, v0.16b, v4.16b",
                "eor v1.16b, v1.16b, v4.16b",
                "eor v2.16b, v2.16b, v4.16b",
                "eor v3.16b, v3.16b, v4.16b",
                ".endif",
                "EIGHT {xa}, \\mul, \\mul2, \\add, v16, v17, v18, v19",
                "EIGHT {xb}, \\mul, \\mul2, \\add, v20, v21, v22, v23",
                "EIGHT {xc}, \\mul, \\mul2, \\add, v24, v25, v26, v27",
                "EIGHT {xd}, \\mul, \\mul2, \\add, v28, v29, v30, v31",
                ".endm",
                // One token's results: v0 and v1 hold the weights' scales.
                ".macro SCALE x, scales, y0, y1, s0, s1, s2, s3",
                ".if {nibbles}", // to 32 bits, and 8·Σx
                "saddlp \\s0\\().4s, \\s0\\().8h",
                "saddlp \\s1\\().4s, \\s1\\().8h",
                "saddlp \\s2\\().4s, \\s2\\().8h",
                "saddlp \\s3\\().4s, \\s3\\().8h",
                "ldp q2, q3, [\\x, #-32]",
                "saddlp v2.8h, v2.16b",
                "sadalp v2.8h, v3.16b",
                "saddlv s2, v2.8h",
                "dup v2.4s, v2.s[0]",
                "shl v2.4s, v2.4s, #3",
                ".endif",
                "addp \\s0\\().4s, \\s0\\().4s, \\s1\\().4s",
                "addp \\s2\\().4s, \\s2\\().4s, \\s3\\().4s",
                ".if {nibbles}",
                "sub \\s0\\().4s, \\s0\\().4s, v2.4s",
                "sub \\s2\\().4s, \\s2\\().4s, v2.4s",
                ".endif",
                "ldr s2, [\\scales], #4",
                "fmul v3.4s, v0.4s, v2.s[0]",
                "fmul v2.4s, v1.4s, v2.s[0]",
                "scvtf \\s0\\().4s, \\s0\\().4s",
                "scvtf \\s2\\().4s, \\s2\\().4s",
                "fmul v3.4s, v3.4s, \\s0\\().4s",
                "fmul v2.4s, v2.4s, \\s2\\().4s",
                "fadd \\y0\\().4s, \\y0\\().4s, v3.4s",
                "fadd \\y1\\().4s, \\y1\\().4s, v2.4s",
                ".endm",
                "movi v8.2d, #0",
                "movi v9.2d, #0",
                "movi v10.2d, #0",
                "movi v11.2d, #0",
                "movi v12.2d, #0",
                "movi v13.2d, #0",
                "movi v14.2d, #0",
                "movi v15.2d, #0",
                "2:",
                "TOKENS 16+{eight}, smull, smull2, saddlp",
                ".rept 3",
                "TOKENS {eight}, smlal, smlal2, sadalp",
                ".endr",
                "ldur q0, [{w}, #-16-3*{eight}]",
                "fcvtl2 v1.4s, v0.8h",
                "fcvtl v0.4s, v0.4h",
                "SCALE {xa}, {sa}, v8, v9, v16, v17, v18, v19",
                "SCALE {xb}, {sb}, v10, v11, v20, v21, v22, v23",
                "SCALE {xc}, {sc}, v12, v13, v24, v25, v26, v27",
                "SCALE {xd}, {sd}, v14, v15, v28, v29, v30, v31",
                "subs {groups}, {groups}, #1",
                "b.ne 2b",
                "stp q8, q9, [{ya}]",
                "stp q10, q11, [{yb}]",
                "stp q12, q13, [{yc}]",
                "stp q14, q15, [{yd}]",
                ".purgem EIGHT",
                ".purgem TOKENS",
                ".purgem SCALE",
                w = inout(reg) tile.wrapping_sub(Self::EIGHT) => _,
                xa = inout(reg) a.values => _,
                xb = inout(reg) b.values => _,
                xc = inout(reg) c.values => _,
                xd = inout(reg) d.values => _,
                sa = inout(reg) a.scales => _,
                sb = inout(reg) b.scales => _,
                sc = inout(reg) c.scales => _,
                sd = inout(reg) d.scales => _,
                groups = inout(reg) groups => _,
                ya = in(reg) ya,
                yb = in(reg) yb,
                yc = in(reg) yc,
                yd = in(reg) yd,
                nibbles = const NIBBLES as u32,
                eight = const Self::EIGHT,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _,
                out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _,
                out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _,
                out("v30") _, out("v31") _,
                options(nostack),
            );
        }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn sums(weights: *const u8, values: *const i8, columns: usize) -> Sums {
        // SAFETY: by the caller's promise; here and below.
        unsafe {
            if NIBBLES { sums_of_nibbles(weights, values, columns) } else { sums_of_bytes(weights, values, columns) }
        }
    }
}

/// [`Inner::sums`] of int8.
///
/// # Safety
/// As there.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn sums_of_bytes(weights: *const u8, values: *const i8, columns: usize) -> Sums {
    // Two sums of each row side by side.
    let mut sums = [vdupq_n_s32(0); 4];
    for eight in 0..columns / 8 {
        // SAFETY: by the caller's promise.
        let (w, x) = unsafe {
            let (w, x) = (weights.add(64 * eight), values.add(8 * eight));
            let w = [0, 16, 32, 48].map(|offset| flipped_back(w.add(offset)));
            (w, [repeated(x), repeated(x.add(TILE_COLS))])
        };
        for half in 0..2 {
            let low = vmull_s8(vget_low_s8(w[half]), vget_low_s8(x[0]));
            let low = vmlal_s8(low, vget_low_s8(w[half + 2]), vget_low_s8(x[1]));
            let high = vmull_high_s8(w[half], x[0]);
            let high = vmlal_high_s8(high, w[half + 2], x[1]);
            sums[2 * half] = vpadalq_s16(sums[2 * half], low);
            sums[2 * half + 1] = vpadalq_s16(sums[2 * half + 1], high);
        }
    }
    [vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3])]
}

/// [`Inner::sums`] of weights of 4 bits.
///
/// # Safety
/// As there.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn sums_of_nibbles(weights: *const u8, values: *const i8, columns: usize) -> Sums {
    let mut sums = [vdupq_n_s16(0); 4];
    let mut total = 0;
    for eight in 0..columns / NIBBLE_COLS {
        // SAFETY: by the caller's promise.
        let (w, x, values) = unsafe {
            let (w, x) = (weights.add(32 * eight), values.add(NIBBLE_COLS * eight));
            let w = [0, 16].map(|offset| load_bytes(w.add(offset)));
            (w, [repeated(x), repeated(x.add(4))], *x.cast::<[i8; NIBBLE_COLS]>())
        };
        total += values.into_iter().map(i32::from).sum::<i32>();
        for half in 0..2 {
            let low = vreinterpretq_s8_u8(vandq_u8(w[half], vdupq_n_u8(15)));
            let high = vreinterpretq_s8_u8(vshrq_n_u8::<4>(w[half]));
            for (w, x) in [(low, x[0]), (high, x[1])] {
                sums[2 * half] = vmlal_s8(sums[2 * half], vget_low_s8(w), vget_low_s8(x));
                sums[2 * half + 1] = vmlal_high_s8(sums[2 * half + 1], w, x);
            }
        }
    }
    let [a, b, c, d] = sums.map(|sums| vpaddlq_s16(sums));
    [vpaddq_s32(a, b), vpaddq_s32(c, d)].map(|sums| vsubq_s32(sums, vdupq_n_s32(8 * total)))
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    // SAFETY: every processor that this is compiled for has NEON.
    unsafe { product::<Baseline<false>>(w, x, out) }
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn matmul_q4(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    // SAFETY: as above.
    unsafe { product::<Baseline<true>>(w, x, out) }
}
