//! Matrix products with 8 and with 4 bits a weight.

use crate::kernels::aarch64::neon::{Inner, Sums, Token, product};
use crate::kernels::{Columns, Quantized};
use crate::matrix::{Bits, FLIPPED, QMatrix};
use core::arch::aarch64::*;
use core::arch::asm;

/// SDOT multiplies four columns of four rows by a token's four activations. Of int8, 8 columns of 8 rows take 4 SDOT, 4 EOR and two
/// double loads. `NIBBLES`, weights of 4 bits, are multiplied as the u = q + 8 that is stored: 4 SDOT, 2 AND, 2 USHR and a double
/// load. Their group's sums begin with `−8·Σx`, which SDOT computes too.
pub(in crate::kernels::aarch64) struct Sdot<const NIBBLES: bool>;

impl<const NIBBLES: bool> Sdot<NIBBLES> {
    /// Bytes of eight columns of a tile.
    const EIGHT: usize = if NIBBLES { 32 } else { 64 };
}

impl<const NIBBLES: bool> Inner for Sdot<NIBBLES> {
    const BITS: Bits = if NIBBLES { Bits::Four } else { Bits::Eight };

    #[target_feature(enable = "neon")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn four_tiles(tiles: [*const u8; 4], token: Token, groups: usize, out: *mut f32) {
        let [a, b, c, d] = tiles.map(|tile| tile.wrapping_sub(Self::EIGHT));
        // SAFETY: by the caller's promise; the loop ends after as many groups.
        unsafe {
            asm!(
                ".arch_extension dotprod",
                // Eight columns of a tile.
                ".macro EIGHT w, step, s0, s1, x, first, second",
                "ldp q2, q3, [\\w, #\\step]!",
                ".if {nibbles}",
                "ushr v4.16b, v2.16b, #4",
                "ushr v5.16b, v3.16b, #4",
                "and v2.16b, v2.16b, v6.16b",
                "and v3.16b, v3.16b, v6.16b",
                ".else",
                "ldp q4, q5, [\\w, #32]",
                "eor v2.16b, v2.16b, v6.16b",
                "eor v3.16b, v3.16b, v6.16b",
                "eor v4.16b, v4.16b, v6.16b",
                "eor v5.16b, v5.16b, v6.16b",
                ".endif",
                "sdot \\s0\\().4s, v2.16b, \\x\\().4b[\\first]",
                "sdot \\s1\\().4s, v3.16b, \\x\\().4b[\\first]",
                "sdot \\s0\\().4s, v4.16b, \\x\\().4b[\\second]",
                "sdot \\s1\\().4s, v5.16b, \\x\\().4b[\\second]",
                ".endm",
                ".macro TILE w, y0, y1, s0, s1",
                "mov \\s0\\().16b, v8.16b",
                "mov \\s1\\().16b, v8.16b",
                "EIGHT \\w, 16+{eight}, \\s0, \\s1, v0, 0, 1",
                "EIGHT \\w, {eight}, \\s0, \\s1, v0, 2, 3",
                "EIGHT \\w, {eight}, \\s0, \\s1, v1, 0, 1",
                "EIGHT \\w, {eight}, \\s0, \\s1, v1, 2, 3",
                "ldur q2, [\\w, #-16-3*{eight}]",
                "fcvtl2 v3.4s, v2.8h",
                "fcvtl v2.4s, v2.4h",
                "scvtf \\s0\\().4s, \\s0\\().4s",
                "scvtf \\s1\\().4s, \\s1\\().4s",
                "fmul v2.4s, v2.4s, v7.s[0]",
                "fmul v3.4s, v3.4s, v7.s[0]",
                "fmul v2.4s, v2.4s, \\s0\\().4s",
                "fmul v3.4s, v3.4s, \\s1\\().4s",
                "fadd \\y0\\().4s, \\y0\\().4s, v2.4s",
                "fadd \\y1\\().4s, \\y1\\().4s, v3.4s",
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
                "movi v6.16b, #15",
                "movi v9.16b, #0xf8", // −8
                ".else",
                "movi v6.8h, #0x80",
                ".endif",
                "movi v8.2d, #0", // what sums begin with
                "2:",
                "ldp q0, q1, [{x}], #32",
                "ldr s7, [{scales}], #4",
                ".if {nibbles}",
                "movi v8.2d, #0",
                "sdot v8.4s, v0.16b, v9.16b",
                "sdot v8.4s, v1.16b, v9.16b",
                "addv s8, v8.4s",
                "dup v8.4s, v8.s[0]",
                ".endif",
                "TILE {a}, v24, v25, v16, v17",
                "TILE {b}, v26, v27, v18, v19",
                "TILE {c}, v28, v29, v20, v21",
                "TILE {d}, v30, v31, v22, v23",
                "subs {groups}, {groups}, #1",
                "b.ne 2b",
                "stp q24, q25, [{y}]",
                "stp q26, q27, [{y}, #32]",
                "stp q28, q29, [{y}, #64]",
                "stp q30, q31, [{y}, #96]",
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
                out("v8") _, out("v9") _,
                out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _,
                out("v23") _,
                out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _,
                out("v31") _,
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
                ".arch_extension dotprod",
                // Four columns.
                ".macro FOUR w0, w1, xa, xb, xc, xd, lane",
                "sdot v16.4s, \\w0\\().16b, \\xa\\().4b[\\lane]",
                "sdot v17.4s, \\w1\\().16b, \\xa\\().4b[\\lane]",
                "sdot v18.4s, \\w0\\().16b, \\xb\\().4b[\\lane]",
                "sdot v19.4s, \\w1\\().16b, \\xb\\().4b[\\lane]",
                "sdot v20.4s, \\w0\\().16b, \\xc\\().4b[\\lane]",
                "sdot v21.4s, \\w1\\().16b, \\xc\\().4b[\\lane]",
                "sdot v22.4s, \\w0\\().16b, \\xd\\().4b[\\lane]",
                "sdot v23.4s, \\w1\\().16b, \\xd\\().4b[\\lane]",
                ".endm",
                ".macro EIGHT step, xa, xb, xc, xd, first, second",
                "ldp q8, q9, [{w}, #\\step]!",
                ".if {nibbles}",
                "ushr v10.16b, v8.16b, #4",
                "ushr v11.16b, v9.16b, #4",
                "and v8.16b, v8.16b, v12.16b",
                "and v9.16b, v9.16b, v12.16b",
                ".else",
                "ldp q10, q11, [{w}, #32]",
                "eor v8.16b, v8.16b, v12.16b",
                "eor v9.16b, v9.16b, v12.16b",
                "eor v10.16b, v10.16b, v12.16b",
                "eor v11.16b, v11.16b, v12.16b",
                ".endif",
                "FOUR v8, v9, \\xa, \\xb, \\xc, \\xd, \\first",
                "FOUR v10, v11, \\xa, \\xb, \\xc, \\xd, \\second",
                ".endm",
                // What one token's sums begin with.
                ".macro BEGIN x0, x1, s0, s1",
                ".if {nibbles}",
                "movi \\s0\\().2d, #0",
                "sdot \\s0\\().4s, \\x0\\().16b, v13.16b",
                "sdot \\s0\\().4s, \\x1\\().16b, v13.16b",
                "addv s14, \\s0\\().4s",
                "dup \\s0\\().4s, v14.s[0]",
                "dup \\s1\\().4s, v14.s[0]",
                ".else",
                "movi \\s0\\().2d, #0",
                "movi \\s1\\().2d, #0",
                ".endif",
                ".endm",
                // One token's results: v13 and v14 hold the weights' scales.
                ".macro SCALE scales, y0, y1, s0, s1",
                "ldr s15, [\\scales], #4",
                "scvtf \\s0\\().4s, \\s0\\().4s",
                "scvtf \\s1\\().4s, \\s1\\().4s",
                "fmul v8.4s, v13.4s, v15.s[0]",
                "fmul v9.4s, v14.4s, v15.s[0]",
                "fmul v8.4s, v8.4s, \\s0\\().4s",
                "fmul v9.4s, v9.4s, \\s1\\().4s",
                "fadd \\y0\\().4s, \\y0\\().4s, v8.4s",
                "fadd \\y1\\().4s, \\y1\\().4s, v9.4s",
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
                "movi v12.16b, #15",
                ".else",
                "movi v12.8h, #0x80",
                ".endif",
                "2:",
                "ldp q0, q1, [{xa}], #32",
                "ldp q2, q3, [{xb}], #32",
                "ldp q4, q5, [{xc}], #32",
                "ldp q6, q7, [{xd}], #32",
                ".if {nibbles}",
                "movi v13.16b, #0xf8", // −8
                ".endif",
                "BEGIN v0, v1, v16, v17",
                "BEGIN v2, v3, v18, v19",
                "BEGIN v4, v5, v20, v21",
                "BEGIN v6, v7, v22, v23",
                "EIGHT 16+{eight}, v0, v2, v4, v6, 0, 1",
                "EIGHT {eight}, v0, v2, v4, v6, 2, 3",
                "EIGHT {eight}, v1, v3, v5, v7, 0, 1",
                "EIGHT {eight}, v1, v3, v5, v7, 2, 3",
                "ldur q13, [{w}, #-16-3*{eight}]",
                "fcvtl2 v14.4s, v13.8h",
                "fcvtl v13.4s, v13.4h",
                "SCALE {sa}, v24, v25, v16, v17",
                "SCALE {sb}, v26, v27, v18, v19",
                "SCALE {sc}, v28, v29, v20, v21",
                "SCALE {sd}, v30, v31, v22, v23",
                "subs {groups}, {groups}, #1",
                "b.ne 2b",
                "stp q24, q25, [{ya}]",
                "stp q26, q27, [{yb}]",
                "stp q28, q29, [{yc}]",
                "stp q30, q31, [{yd}]",
                ".purgem FOUR",
                ".purgem EIGHT",
                ".purgem BEGIN",
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
                out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _,
                out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
                out("v22") _, out("v23") _,
                out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _,
                out("v31") _,
                options(nostack),
            );
        }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn sums(weights: *const u8, values: *const i8, columns: usize) -> Sums {
        let mut sums = [vdupq_n_s32(0); 2];
        // SAFETY: by the caller's promise; the loop ends after as many columns.
        unsafe {
            asm!(
                ".arch_extension dotprod",
                "2:", // eight columns
                "ldp {w0:q}, {w1:q}, [{w}], #32",
                "ld1r {{{first:v}.4s}}, [{x}], #4",
                "ld1r {{{second:v}.4s}}, [{x}], #4",
                ".if {nibbles}",
                "ushr {w2:v}.16b, {w0:v}.16b, #4",
                "ushr {w3:v}.16b, {w1:v}.16b, #4",
                "and {w0:v}.16b, {w0:v}.16b, {mask:v}.16b",
                "and {w1:v}.16b, {w1:v}.16b, {mask:v}.16b",
                "sdot {low:v}.4s, {minus:v}.16b, {first:v}.16b",
                "sdot {high:v}.4s, {minus:v}.16b, {first:v}.16b",
                "sdot {low:v}.4s, {minus:v}.16b, {second:v}.16b",
                "sdot {high:v}.4s, {minus:v}.16b, {second:v}.16b",
                ".else",
                "ldp {w2:q}, {w3:q}, [{w}], #32",
                "eor {w0:v}.16b, {w0:v}.16b, {mask:v}.16b",
                "eor {w1:v}.16b, {w1:v}.16b, {mask:v}.16b",
                "eor {w2:v}.16b, {w2:v}.16b, {mask:v}.16b",
                "eor {w3:v}.16b, {w3:v}.16b, {mask:v}.16b",
                ".endif",
                "sdot {low:v}.4s, {w0:v}.16b, {first:v}.16b",
                "sdot {high:v}.4s, {w1:v}.16b, {first:v}.16b",
                "sdot {low:v}.4s, {w2:v}.16b, {second:v}.16b",
                "sdot {high:v}.4s, {w3:v}.16b, {second:v}.16b",
                "subs {columns}, {columns}, #8",
                "b.ne 2b",
                w = inout(reg) weights => _,
                x = inout(reg) values => _,
                columns = inout(reg) columns => _,
                w0 = out(vreg) _,
                w1 = out(vreg) _,
                w2 = out(vreg) _,
                w3 = out(vreg) _,
                first = out(vreg) _,
                second = out(vreg) _,
                low = inout(vreg) sums[0],
                high = inout(vreg) sums[1],
                mask = in(vreg) vdupq_n_u32(if NIBBLES { 0x0F0F_0F0F } else { FLIPPED }),
                minus = in(vreg) vdupq_n_s8(-8),
                nibbles = const NIBBLES as u32,
                options(pure, readonly, nostack),
            );
        }
        sums
    }
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    // SAFETY: `Kernels` uses this only where the processor was seen to have SDOT.
    unsafe { product::<Sdot<false>>(w, x, out) }
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn matmul_q4(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    // SAFETY: as above.
    unsafe { product::<Sdot<true>>(w, x, out) }
}
