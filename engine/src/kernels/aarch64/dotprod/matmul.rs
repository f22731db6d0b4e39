//! Matrix products.

use crate::kernels::aarch64::neon::{Inner, Sums, Token, product};
use crate::kernels::{Columns, Quantized};
use crate::matrix::{FLIPPED, QMatrix};
use core::arch::aarch64::*;
use core::arch::asm;

/// SDOT multiplies four columns of four rows by a token's four activations: 4 columns of 8 rows take 2 SDOT, 2 EOR and a
/// double load.
pub(in crate::kernels::aarch64) struct Sdot;

impl Inner for Sdot {
    #[target_feature(enable = "neon")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn four_tiles(tiles: [*const u8; 4], token: Token, groups: usize, out: *mut f32) {
        let [a, b, c, d] = tiles.map(|tile| tile.wrapping_sub(64));
        // SAFETY: by the caller's promise; the loop ends after as many groups.
        unsafe {
            asm!(
                ".arch_extension dotprod",
                // Eight columns of a tile.
                ".macro EIGHT w, step, s0, s1, x, first, second",
                "ldp q2, q3, [\\w, #\\step]!",
                "ldp q4, q5, [\\w, #32]",
                "eor v2.16b, v2.16b, v6.16b",
                "eor v3.16b, v3.16b, v6.16b",
                "eor v4.16b, v4.16b, v6.16b",
                "eor v5.16b, v5.16b, v6.16b",
                "sdot \\s0\\().4s, v2.16b, \\x\\().4b[\\first]",
                "sdot \\s1\\().4s, v3.16b, \\x\\().4b[\\first]",
                "sdot \\s0\\().4s, v4.16b, \\x\\().4b[\\second]",
                "sdot \\s1\\().4s, v5.16b, \\x\\().4b[\\second]",
                ".endm",
                ".macro TILE w, y0, y1, s0, s1",
                "movi \\s0\\().2d, #0",
                "movi \\s1\\().2d, #0",
                "EIGHT \\w, 80, \\s0, \\s1, v0, 0, 1",
                "EIGHT \\w, 64, \\s0, \\s1, v0, 2, 3",
                "EIGHT \\w, 64, \\s0, \\s1, v1, 0, 1",
                "EIGHT \\w, 64, \\s0, \\s1, v1, 2, 3",
                "ldur q2, [\\w, #-208]",
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
                "movi v6.8h, #0x80",
                "2:",
                "ldp q0, q1, [{x}], #32",
                "ldr s7, [{scales}], #4",
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
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn four_tokens(tile: *const u8, tokens: [Token; 4], groups: usize, out: [*mut f32; 4]) {
        let [a, b, c, d] = tokens;
        let [ya, yb, yc, yd] = out;
        // SAFETY: by the caller's promise; the loop ends after as many groups.
        unsafe {
            asm!(
                ".arch_extension dotprod",
                // Four columns: v10 and v11 hold the weights.
                ".macro FOUR w0, w1, xa, xb, xc, xd, lane",
                "eor \\w0\\().16b, \\w0\\().16b, v12.16b",
                "eor \\w1\\().16b, \\w1\\().16b, v12.16b",
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
                "ldp q10, q11, [{w}, #32]",
                "FOUR v8, v9, \\xa, \\xb, \\xc, \\xd, \\first",
                "FOUR v10, v11, \\xa, \\xb, \\xc, \\xd, \\second",
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
                "movi v12.8h, #0x80",
                "2:",
                "ldp q0, q1, [{xa}], #32",
                "ldp q2, q3, [{xb}], #32",
                "ldp q4, q5, [{xc}], #32",
                "ldp q6, q7, [{xd}], #32",
                "movi v16.2d, #0",
                "movi v17.2d, #0",
                "movi v18.2d, #0",
                "movi v19.2d, #0",
                "movi v20.2d, #0",
                "movi v21.2d, #0",
                "movi v22.2d, #0",
                "movi v23.2d, #0",
                "EIGHT 80, v0, v2, v4, v6, 0, 1",
                "EIGHT 64, v0, v2, v4, v6, 2, 3",
                "EIGHT 64, v1, v3, v5, v7, 0, 1",
                "EIGHT 64, v1, v3, v5, v7, 2, 3",
                "ldur q13, [{w}, #-208]",
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
                ".purgem SCALE",
                w = inout(reg) tile.wrapping_sub(64) => _,
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
                "2:", // four columns
                "ldp {w0:q}, {w1:q}, [{w}], #32",
                "ld1r {{{four:v}.4s}}, [{x}], #4",
                "eor {w0:v}.16b, {w0:v}.16b, {flipped:v}.16b",
                "eor {w1:v}.16b, {w1:v}.16b, {flipped:v}.16b",
                "sdot {low:v}.4s, {w0:v}.16b, {four:v}.16b",
                "sdot {high:v}.4s, {w1:v}.16b, {four:v}.16b",
                "subs {columns}, {columns}, #4",
                "b.ne 2b",
                w = inout(reg) weights => _,
                x = inout(reg) values => _,
                columns = inout(reg) columns => _,
                w0 = out(vreg) _,
                w1 = out(vreg) _,
                four = out(vreg) _,
                low = inout(vreg) sums[0],
                high = inout(vreg) sums[1],
                flipped = in(vreg) vdupq_n_u32(FLIPPED),
                options(pure, readonly, nostack),
            );
        }
        sums
    }
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    // SAFETY: `Kernels` uses this only where the processor was seen to have SDOT.
    unsafe { product::<Sdot>(w, x, out) }
}
