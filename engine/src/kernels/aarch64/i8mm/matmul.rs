//! Matrix products with 8 and with 4 bits a weight.

use crate::kernels::aarch64::dotprod::Sdot;
use crate::kernels::aarch64::neon::{Inner, Sums, Token, WIDTH, Work, load_bytes, product, store_bytes};
use crate::kernels::{Columns, Quantized};
use crate::matrix::{Bits, QMatrix, TILE_ROWS};
use crate::planned::planned;
use core::arch::aarch64::*;
use core::arch::asm;
use core::mem::MaybeUninit;

/// Tokens whose activations are laid out for SMMLA together.
const TOKENS: usize = 8;

/// A group's activations of eight tokens: what their sums begin with, `(pairs of tokens, 2, 2)`, `(columns / 8, pairs of tokens, 2, 8)`
/// int8, and `(pairs of tokens, 2, 2)` scales; sums and scales each twice.
#[repr(C)]
struct Group {
    begin: [[i32; 4]; TOKENS / 2],
    values: [[[i8; 16]; TOKENS / 2]; WIDTH / 8],
    scales: [[f32; 4]; TOKENS / 2],
}

/// Groups that are laid out at a time: 1,024 columns, 12 KiB.
const BLOCK: usize = 32;

/// SMMLA multiplies eight columns of two rows by two tokens' activations, and so does in one instruction what takes two SDOT.
/// In return two rows' columns must be brought together, for which there are eight tokens at a time and half a tile, and two
/// tokens' activations as well, once for [`Inner::STRETCH`] tiles: 109 instructions for 4 rows, 32 columns and 8 tokens, where
/// SDOT takes 141 for as many products. Fewer tokens are SDOT's.
///
/// `NIBBLES`, weights of 4 bits, are multiplied as the u = q + 8 that is stored, and a group's sums begin with `−8·Σx`: 105 instructions.
struct Smmla<const NIBBLES: bool>;

impl<const NIBBLES: bool> Inner for Smmla<NIBBLES> {
    const BITS: Bits = if NIBBLES { Bits::Four } else { Bits::Eight };
    const STRETCH: usize = 16;

    #[target_feature(enable = "neon")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn four_tiles(tiles: [*const u8; 4], token: Token, groups: usize, out: *mut f32) {
        // SAFETY: by the caller's promise; here and below.
        unsafe { Sdot::<NIBBLES>::four_tiles(tiles, token, groups, out) }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn four_tokens(tile: *const u8, tokens: [Token; 4], groups: usize, out: [*mut f32; 4]) {
        // SAFETY: as above.
        unsafe { Sdot::<NIBBLES>::four_tokens(tile, tokens, groups, out) }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn sums(weights: *const u8, values: *const i8, columns: usize) -> Sums {
        // SAFETY: as above.
        unsafe { Sdot::<NIBBLES>::sums(weights, values, columns) }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn stretch(work: &Work<'_>, first: usize, out: &mut Columns<'_>) -> usize {
        if work.whole < work.groups {
            return 0;
        }
        let tokens = work.tokens / TOKENS * TOKENS;
        for token in (0..tokens).step_by(TOKENS) {
            // SAFETY: by the caller's promise; there are eight tokens.
            unsafe { eight_tokens::<NIBBLES>(work, first, token, out) }
        }
        tokens
    }
}

/// A stretch of tiles and eight tokens, a block of columns after the other.
///
/// # Safety
/// The processor has SMMLA. There are such a tile and so many tokens, and their groups are whole.
#[target_feature(enable = "neon")]
#[inline(never)]
unsafe fn eight_tokens<const NIBBLES: bool>(work: &Work<'_>, first: usize, token: usize, out: &mut Columns<'_>) {
    let mut block = [const { MaybeUninit::<Group>::uninit() }; BLOCK];
    // Of the tile within which the matrix ends.
    let mut edge = [[0.0; TILE_ROWS]; TOKENS];
    for done in (0..work.groups).step_by(BLOCK) {
        let groups = BLOCK.min(work.groups - done);
        // SAFETY: tokens have all their columns; tile and results too.
        unsafe {
            lay_out::<NIBBLES>(work, token, done, planned(block.get_mut(..groups)));
            for tile in first..work.count.min(first + Smmla::<NIBBLES>::STRETCH) {
                let weights = work.tile(tile).add(Smmla::<NIBBLES>::BITS.tile_bytes(done * WIDTH, WIDTH));
                let (y, stride) = match out.pointer(token..token + TOKENS, tile * TILE_ROWS, TILE_ROWS) {
                    Some(y) => (y, out.stride()),
                    None => (edge.as_flattened_mut().as_mut_ptr(), TILE_ROWS),
                };
                for half in 0..2 {
                    half_tile::<NIBBLES>(weights, half, &block, groups, done > 0, y.add(half * TILE_ROWS / 2), stride);
                }
            }
        }
    }
    let last = work.count - 1;
    if first + Smmla::<NIBBLES>::STRETCH > last
        && out.pointer(token..token + TOKENS, last * TILE_ROWS, TILE_ROWS).is_none()
    {
        edge.iter().enumerate().for_each(|(index, y)| out.write(token + index, last * TILE_ROWS, y));
    }
}

/// Lays out the activations of eight tokens, from group `first` on.
///
/// # Safety
/// There are so many tokens and groups.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn lay_out<const NIBBLES: bool>(work: &Work<'_>, token: usize, first: usize, block: &mut [MaybeUninit<Group>]) {
    for pair in 0..TOKENS / 2 {
        let (a, b) = (work.token(token + 2 * pair), work.token(token + 2 * pair + 1));
        for (index, group) in (first..).zip(&mut *block) {
            let group = group.as_mut_ptr();
            // SAFETY: by the caller's promise; a group has room for it.
            unsafe {
                let sixteen = |token: Token, half: usize| load_bytes(token.values.add(WIDTH * index + 16 * half));
                for half in 0..2 {
                    let (a, b) = (sixteen(a, half), sixteen(b, half));
                    let (a, b) = (vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b));
                    let values = |eight: usize| (&raw mut (*group).values).cast::<[i8; 16]>().add(4 * eight + pair);
                    store_bytes(values(2 * half), vreinterpretq_u8_u64(vzip1q_u64(a, b)));
                    store_bytes(values(2 * half + 1), vreinterpretq_u8_u64(vzip2q_u64(a, b)));
                }
                let begin = |token: Token| {
                    let sum =
                        || [0, 1].map(|half| vaddlvq_s8(vreinterpretq_s8_u8(sixteen(token, half)))).iter().sum::<i16>();
                    vdup_n_s32(if NIBBLES { -8 * i32::from(sum()) } else { 0 })
                };
                let to = (&raw mut (*group).begin).cast::<[i32; 4]>().add(pair);
                store_bytes(to, vreinterpretq_u8_s32(vcombine_s32(begin(a), begin(b))));
                let scales = vcombine_f32(vdup_n_f32(*a.scales.add(index)), vdup_n_f32(*b.scales.add(index)));
                let to = (&raw mut (*group).scales).cast::<[f32; 4]>().add(pair);
                store_bytes(to, vreinterpretq_u8_f32(scales));
            }
        }
    }
}

/// Four rows of a tile, from a group on, times eight tokens, into four numbers for each token that lie `stride` apart; `more`
/// adds to those that are there.
///
/// # Safety
/// The processor has SMMLA. `groups` is not 0; tile and block have so many. There is room for the results.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn half_tile<const NIBBLES: bool>(
    tile: *const u8,
    half: usize,
    block: &[MaybeUninit<Group>; BLOCK],
    groups: usize,
    more: bool,
    out: *mut f32,
    stride: usize,
) {
    // SAFETY: by the caller's promise; the loop ends after as many groups.
    unsafe {
        asm!(
            ".arch_extension i8mm",
            // Eight columns: v0 and v1 hold two rows' weights each, v4 to v7 two tokens' activations.
            ".macro EIGHT step",
            ".if {nibbles}",
            "ldr q0, [{w}], #\\step",
            ".else",
            "ldr q1, [{w}, #32]",
            "ldr q0, [{w}], #\\step",
            ".endif",
            "ldp q4, q5, [{x}], #32",
            "ldp q6, q7, [{x}], #32",
            ".if {nibbles}",
            "ushr v1.16b, v0.16b, #4",
            "and v0.16b, v0.16b, v3.16b",
            ".else",
            "eor v1.16b, v1.16b, v3.16b",
            "eor v0.16b, v0.16b, v3.16b",
            ".endif",
            "zip2 v2.4s, v0.4s, v1.4s",
            "zip1 v0.4s, v0.4s, v1.4s",
            "smmla v16.4s, v4.16b, v0.16b",
            "smmla v17.4s, v4.16b, v2.16b",
            "smmla v18.4s, v5.16b, v0.16b",
            "smmla v19.4s, v5.16b, v2.16b",
            "smmla v20.4s, v6.16b, v0.16b",
            "smmla v21.4s, v6.16b, v2.16b",
            "smmla v22.4s, v7.16b, v0.16b",
            "smmla v23.4s, v7.16b, v2.16b",
            ".endm",
            // Two tokens' results: v0 and v1 hold two rows' scales each.
            ".macro SCALE x, y0, y1, s0, s1",
            "fmul v6.4s, v0.4s, \\x\\().4s",
            "fmul v7.4s, v1.4s, \\x\\().4s",
            "scvtf \\s0\\().4s, \\s0\\().4s",
            "scvtf \\s1\\().4s, \\s1\\().4s",
            "fmul v6.4s, v6.4s, \\s0\\().4s",
            "fmul v7.4s, v7.4s, \\s1\\().4s",
            "fadd \\y0\\().4s, \\y0\\().4s, v6.4s",
            "fadd \\y1\\().4s, \\y1\\().4s, v7.4s",
            ".endm",
            // Results of two tokens, from the order in which they are computed (two rows of both tokens) to that of memory.
            ".macro STORE y0, y1",
            "zip1 v0.2d, \\y0\\().2d, \\y1\\().2d",
            "zip2 v1.2d, \\y0\\().2d, \\y1\\().2d",
            "st1 {{v0.4s}}, [{y}], {stride}",
            "st1 {{v1.4s}}, [{y}], {stride}",
            ".endm",
            ".macro LOAD y0, y1",
            "ld1 {{v0.4s}}, [{before}], {stride}",
            "ld1 {{v1.4s}}, [{before}], {stride}",
            "zip1 \\y0\\().2d, v0.2d, v1.2d",
            "zip2 \\y1\\().2d, v0.2d, v1.2d",
            ".endm",
            "movi v24.2d, #0",
            "movi v25.2d, #0",
            "movi v26.2d, #0",
            "movi v27.2d, #0",
            "movi v28.2d, #0",
            "movi v29.2d, #0",
            "movi v30.2d, #0",
            "movi v31.2d, #0",
            ".if {nibbles}",
            "movi v3.16b, #15",
            ".else",
            "movi v3.8h, #0x80",
            ".endif",
            "cbz {before}, 2f",
            "LOAD v24, v25",
            "LOAD v26, v27",
            "LOAD v28, v29",
            "LOAD v30, v31",
            "2:",
            "ldp q16, q18, [{x}], #32",
            "ldp q20, q22, [{x}], #32",
            "mov v17.16b, v16.16b",
            "mov v19.16b, v18.16b",
            "mov v21.16b, v20.16b",
            "mov v23.16b, v22.16b",
            "EIGHT {eight}",
            "EIGHT {eight}",
            "EIGHT {eight}",
            "EIGHT 16+{eight}",
            "ld2r {{v0.2s, v1.2s}}, [{scales}], {size}",
            "ldp q2, q4, [{x}], #32",
            "fcvtl v0.4s, v0.4h",
            "fcvtl v1.4s, v1.4h",
            "SCALE v2, v24, v25, v16, v17",
            "SCALE v4, v26, v27, v18, v19",
            "ldp q2, q4, [{x}], #32",
            "SCALE v2, v28, v29, v20, v21",
            "SCALE v4, v30, v31, v22, v23",
            "subs {groups}, {groups}, #1",
            "b.ne 2b",
            "STORE v24, v25",
            "STORE v26, v27",
            "STORE v28, v29",
            "STORE v30, v31",
            ".purgem EIGHT",
            ".purgem SCALE",
            ".purgem STORE",
            ".purgem LOAD",
            w = inout(reg) tile.wrapping_add(2 * TILE_ROWS + 16 * half) => _,
            scales = inout(reg) tile.wrapping_add(TILE_ROWS * half) => _,
            size = in(reg) Smmla::<NIBBLES>::BITS.tile_bytes(WIDTH, WIDTH),
            x = inout(reg) block.as_ptr() => _,
            groups = inout(reg) groups => _,
            before = inout(reg) if more { out } else { core::ptr::null_mut() } => _,
            y = inout(reg) out => _,
            stride = in(reg) stride * size_of::<f32>(),
            nibbles = const NIBBLES as u32,
            eight = const if NIBBLES { 32 } else { 64 },
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _,
            out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _,
            out("v31") _,
            options(nostack),
        );
    }
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    // SAFETY: `Kernels` uses this only where the processor was seen to have SMMLA and SDOT.
    unsafe { product::<Smmla<false>>(w, x, out) }
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn matmul_q4(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    // SAFETY: as above.
    unsafe { product::<Smmla<true>>(w, x, out) }
}
