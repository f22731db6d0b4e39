//! Matrix products with 4 bits a weight: the baseline's inner loops.

use super::matmul::{Inner, Sums, Token, product, repeated};
use super::vector::load_bytes;
use crate::kernels::{Columns, Quantized};
use crate::matrix::{Bits, NIBBLE_COLS, QMatrix};
use core::arch::aarch64::*;
use core::arch::asm;

/// SMULL and SMLAL multiply weights as the u = q + 8 that is stored. A group's 32 columns give 16-bit sums of eight products, which
/// always fit (8·15·128 < 2¹⁵): 8 columns of 8 rows take 8 instructions, 2 AND, 2 USHR and a double load. SADDLP and ADDP make
/// them 32-bit sums once a group, and `8·Σx` is taken off.
struct Baseline;

impl Inner for Baseline {
    const BITS: Bits = Bits::Four;

    #[target_feature(enable = "neon")]
    #[inline]
    // SAFETY: the trait says what its callers promise.
    unsafe fn four_tiles(tiles: [*const u8; 4], token: Token, groups: usize, out: *mut f32) {
        let [a, b, c, d] = tiles.map(|tile| tile.wrapping_sub(32));
        // SAFETY: by the caller's promise; the loop ends after as many groups.
        unsafe {
            asm!(
                // Eight columns of a tile: x0 and x1 hold their activations, repeated.
                ".macro EIGHT w, step, mul, mul2, x0, x1",
                "ldp q16, q17, [\\w, #\\step]!",
                "ushr v18.16b, v16.16b, #4",
                "ushr v19.16b, v17.16b, #4",
                "and v16.16b, v16.16b, v29.16b",
                "and v17.16b, v17.16b, v29.16b",
                "\\mul v20.8h, v16.8b, \\x0\\().8b",
                "\\mul2 v21.8h, v16.16b, \\x0\\().16b",
                "\\mul v22.8h, v17.8b, \\x0\\().8b",
                "\\mul2 v23.8h, v17.16b, \\x0\\().16b",
                "smlal v20.8h, v18.8b, \\x1\\().8b",
                "smlal2 v21.8h, v18.16b, \\x1\\().16b",
                "smlal v22.8h, v19.8b, \\x1\\().8b",
                "smlal2 v23.8h, v19.16b, \\x1\\().16b",
                ".endm",
                ".macro TILE w, y0, y1",
                "EIGHT \\w, 48, smull, smull2, v0, v1",
                "EIGHT \\w, 32, smlal, smlal2, v2, v3",
                "EIGHT \\w, 32, smlal, smlal2, v4, v5",
                "EIGHT \\w, 32, smlal, smlal2, v6, v7",
                "ldur q16, [\\w, #-112]",
                "saddlp v24.4s, v20.8h",
                "saddlp v25.4s, v21.8h",
                "saddlp v26.4s, v22.8h",
                "saddlp v27.4s, v23.8h",
                "addp v24.4s, v24.4s, v25.4s",
                "addp v26.4s, v26.4s, v27.4s",
                "sub v24.4s, v24.4s, v30.4s",
                "sub v26.4s, v26.4s, v30.4s",
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
                "movi v29.16b, #15",
                "2:",
                "ldp q30, q31, [{x}]",
                "ld1r {{v0.4s}}, [{x}], #4",
                "ld1r {{v1.4s}}, [{x}], #4",
                "ld1r {{v2.4s}}, [{x}], #4",
                "ld1r {{v3.4s}}, [{x}], #4",
                "ld1r {{v4.4s}}, [{x}], #4",
                "ld1r {{v5.4s}}, [{x}], #4",
                "ld1r {{v6.4s}}, [{x}], #4",
                "ld1r {{v7.4s}}, [{x}], #4",
                "ld1r {{v28.4s}}, [{scales}], #4",
                // 8·Σx.
                "saddlp v30.8h, v30.16b",
                "sadalp v30.8h, v31.16b",
                "saddlv s30, v30.8h",
                "dup v30.4s, v30.s[0]",
                "shl v30.4s, v30.4s, #3",
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
                ".macro EIGHT x, mul, mul2, s0, s1, s2, s3",
                "ld1r {{v4.4s}}, [\\x], #4",
                "ld1r {{v5.4s}}, [\\x], #4",
                "\\mul \\s0\\().8h, v0.8b, v4.8b",
                "\\mul2 \\s1\\().8h, v0.16b, v4.16b",
                "\\mul \\s2\\().8h, v1.8b, v4.8b",
                "\\mul2 \\s3\\().8h, v1.16b, v4.16b",
                "smlal \\s0\\().8h, v2.8b, v5.8b",
                "smlal2 \\s1\\().8h, v2.16b, v5.16b",
                "smlal \\s2\\().8h, v3.8b, v5.8b",
                "smlal2 \\s3\\().8h, v3.16b, v5.16b",
                ".endm",
                ".macro TOKENS step, mul, mul2",
                "ldp q0, q1, [{w}, #\\step]!",
                "movi v4.16b, #15",
                "ushr v2.16b, v0.16b, #4",
                "ushr v3.16b, v1.16b, #4",
                "and v0.16b, v0.16b, v4.16b",
                "and v1.16b, v1.16b, v4.16b",
                "EIGHT {xa}, \\mul, \\mul2, v16, v17, v18, v19",
                "EIGHT {xb}, \\mul, \\mul2, v20, v21, v22, v23",
                "EIGHT {xc}, \\mul, \\mul2, v24, v25, v26, v27",
                "EIGHT {xd}, \\mul, \\mul2, v28, v29, v30, v31",
                ".endm",
                // One token's results: v0 and v1 hold the weights' scales.
                ".macro SCALE x, scales, y0, y1, s0, s1, s2, s3",
                "ldp q2, q3, [\\x, #-32]",
                "ldr s4, [\\scales], #4",
                "saddlp v2.8h, v2.16b",
                "sadalp v2.8h, v3.16b",
                "saddlv s2, v2.8h",
                "dup v2.4s, v2.s[0]",
                "shl v2.4s, v2.4s, #3",
                "saddlp \\s0\\().4s, \\s0\\().8h",
                "saddlp \\s1\\().4s, \\s1\\().8h",
                "saddlp \\s2\\().4s, \\s2\\().8h",
                "saddlp \\s3\\().4s, \\s3\\().8h",
                "addp \\s0\\().4s, \\s0\\().4s, \\s1\\().4s",
                "addp \\s2\\().4s, \\s2\\().4s, \\s3\\().4s",
                "sub \\s0\\().4s, \\s0\\().4s, v2.4s",
                "sub \\s2\\().4s, \\s2\\().4s, v2.4s",
                "fmul v3.4s, v0.4s, v4.s[0]",
                "fmul v4.4s, v1.4s, v4.s[0]",
                "scvtf \\s0\\().4s, \\s0\\().4s",
                "scvtf \\s2\\().4s, \\s2\\().4s",
                "fmul v3.4s, v3.4s, \\s0\\().4s",
                "fmul v4.4s, v4.4s, \\s2\\().4s",
                "fadd \\y0\\().4s, \\y0\\().4s, v3.4s",
                "fadd \\y1\\().4s, \\y1\\().4s, v4.4s",
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
                "TOKENS 48, smull, smull2",
                "TOKENS 32, smlal, smlal2",
                "TOKENS 32, smlal, smlal2",
                "TOKENS 32, smlal, smlal2",
                "ldur q0, [{w}, #-112]",
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
                w = inout(reg) tile.wrapping_sub(32) => _,
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
}

#[target_feature(enable = "neon")]
pub(in crate::kernels) fn matmul_q4(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    // SAFETY: every processor that this is compiled for has NEON.
    unsafe { product::<Baseline>(w, x, out) }
}
