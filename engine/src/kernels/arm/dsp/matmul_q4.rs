//! Matrix products with 4 bits a weight: two 16-bit products an instruction.
//!
//! A word is eight weights of a row, as the u = q + 8 that is stored: byte j is u_j + 16·u_(j+4), see [`crate::image`]. UXTB16 leaves
//! bytes 0 and 2, and their SMLAD with x₄ and x₆ gives `(u₀ + 16·u₄)·x₄ + (u₂ + 16·u₆)·x₆`. AND leaves u₀ and u₂, and their SMLAD
//! with `16·x₀ − x₄` and `16·x₂ − x₆` makes of both together `16·(u₀x₀ + u₂x₂ + u₄x₄ + u₆x₆)`; bytes 1 and 3 give the other four.
//! What u has more than q is taken off at the start: `16·8·Σx`. So eight products take eight instructions and a load, and the
//! sum of a group of 32 columns is exact: 16·32·15·127 < 2³¹.
//!
//! | | instructions for 64 products | for a group of 32 columns, 256 products, with scaling |
//! |---|---|---|
//! | [`eight_rows`], one token | 74 | 340 |
//! | [`two_rows`], four tokens | 50 | 241 |
//!
//! How tokens, tiles and groups are walked is the same as with 8 bits.

use super::matmul::{EightRows, Loops, TwoRows, product};
use super::{cpu, enter, leave};
use crate::kernels::{Columns, Quantized, portable};
use crate::matrix::{Bits, NIBBLE_GROUP, QMatrix};
use core::arch::{asm, naked_asm};

// A frame of its own, beside that of int8.
#[inline(never)]
pub(in crate::kernels) fn matmul_q4(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    match x.group {
        NIBBLE_GROUP => product::<Q4>(w, x, out),
        _ => portable::matmul_q4(w, x, out),
    }
}

/// The loops for 4 bits.
struct Q4;

impl Loops for Q4 {
    const BITS: Bits = Bits::Four;

    /// Of eight activations, first the word for bytes 0 and 2, that for their lower halves, and the same for bytes 1 and 3.
    #[inline(always)]
    // SAFETY: the trait says what its callers promise; here and below.
    unsafe fn expand<const STEP: usize>(values: &[i8], to: *mut u32) -> u32 {
        let offset: u32;
        // SAFETY: by the caller's promise; here and below.
        unsafe {
            asm!(
                cpu!(),
                "2:",
                "ldr {low}, [{from}], #4",
                "ldr {high}, [{from}], #4",
                ".irp from, 0, 8",
                "sxtb16 {whole}, {high}, ror #\\from", // x₄ and x₆, or x₅ and x₇
                "sxtb16 {half}, {low}, ror #\\from",   // x₀ and x₂, or x₁ and x₃
                "smlad {offset}, {whole}, {minus}, {offset}",
                "smlad {offset}, {half}, {minus}, {offset}",
                "sadd16 {half}, {half}, {half}",
                "sadd16 {half}, {half}, {half}",
                "sadd16 {half}, {half}, {half}",
                "sadd16 {half}, {half}, {half}",
                "ssub16 {half}, {half}, {whole}",
                "str {half}, [{to}, #{step}]",
                "str {whole}, [{to}], #2 * {step}",
                ".endr",
                "cmp {from}, {end}",
                "bne 2b",
                from = inout(reg) values.as_ptr() => _,
                end = in(reg) values.as_ptr_range().end,
                to = inout(reg) to => _,
                minus = in(reg) 0xFF80_FF80u32, // −128 twice
                offset = inout(reg) 0 => offset,
                low = out(reg) _,
                high = out(reg) _,
                whole = out(reg) _,
                half = out(reg) _,
                step = const STEP,
                options(nostack),
            );
        }
        offset
    }

    #[inline(always)]
    // SAFETY: as above.
    unsafe fn eight_rows(args: &mut EightRows) {
        // SAFETY: as above.
        unsafe { eight_rows(args) }
    }

    #[inline(always)]
    // SAFETY: as above.
    unsafe fn two_rows(args: &mut TwoRows) {
        // SAFETY: as above.
        unsafe { two_rows(args) }
    }
}

/// See [`Loops::eight_rows`].
///
/// # Safety
/// As there.
#[unsafe(naked)]
unsafe extern "C" fn eight_rows(args: &mut EightRows) {
    // r0 to r7 are the rows' sums, r8 and r9 weights, r10 and r11 activations, r12 and lr where they come from.
    naked_asm!(
        cpu!(),
        // Two rows: r10 multiplies a half of their bytes as they are, r11 the lower halves of these; two weights an instruction.
        ".macro ROWS a, b, from, at:vararg",
        "ldrd r8, r9, \\at",
        "uxtb16 r8, r8, ror #\\from",
        "uxtb16 r9, r9, ror #\\from",
        "smlad \\a, r8, r10, \\a",
        "smlad \\b, r9, r10, \\b",
        "and r8, #0x000f000f",
        "and r9, #0x000f000f",
        "smlad \\a, r8, r11, \\a",
        "smlad \\b, r9, r11, \\b",
        ".endm",
        enter!(),
        "vldmia r0, {{s26-s31}}",
        "vmov r12, s31",
        "adr r1, 3f", // where groups begin: 296 bytes for eight columns
        "vmov r2, s27",
        "mov r3, #296",
        "mla r1, r2, r3, r1",
        "add r1, #1",
        "str r1, [sp, #64]",
        "1:", // a tile
        "vmov r8, s28",
        "vldmia r8, {{s16-s23}}",
        "vmov lr, s26",
        "2:", // a group
        "vldmia lr!, {{s24, s25}}",
        "ldmia lr!, {{r0-r7}}",
        "vldmia r12!, {{s0-s3}}",
        "ldr pc, [sp, #64]",
        "3:", // a round
        ".rept 4",
        "ldrd r10, r11, [lr], #8",
        "ROWS r0, r1, 0, [r12, #0]",
        "ROWS r2, r3, 0, [r12, #8]",
        "ROWS r4, r5, 0, [r12, #16]",
        "ROWS r6, r7, 0, [r12, #24]",
        "ldrd r10, r11, [lr], #8",
        "ROWS r0, r1, 8, [r12], #32",
        "ROWS r2, r3, 8, [r12, #-24]",
        "ROWS r4, r5, 8, [r12, #-16]",
        "ROWS r6, r7, 8, [r12, #-8]",
        ".endr",
        "vmov r8, s25",
        "cmp lr, r8", // lower: the group goes on; equal: another follows; higher: the last one
        "blo 3b",
        "vmov s8, s9, r0, r1",
        "vmov s10, s11, r2, r3",
        "vmov s12, s13, r4, r5",
        "vmov s14, s15, r6, r7",
        "vcvtt.f32.f16 s7, s3",
        "vcvtb.f32.f16 s6, s3",
        "vcvtt.f32.f16 s5, s2",
        "vcvtb.f32.f16 s4, s2",
        "vcvtt.f32.f16 s3, s1",
        "vcvtb.f32.f16 s2, s1",
        "vcvtt.f32.f16 s1, s0",
        "vcvtb.f32.f16 s0, s0",
        // From fixed point: the division by 16. VMLA rounds the product before it adds.
        ".irp row, 0, 1, 2, 3, 4, 5, 6, 7",
        "vmul.f32 s\\row, s\\row, s24",
        ".endr",
        ".irp sum, 8, 9, 10, 11, 12, 13, 14, 15",
        "vcvt.f32.s32 s\\sum, s\\sum, #4",
        ".endr",
        "vmla.f32 s16, s8, s0",
        "vmla.f32 s17, s9, s1",
        "vmla.f32 s18, s10, s2",
        "vmla.f32 s19, s11, s3",
        "vmla.f32 s20, s12, s4",
        "vmla.f32 s21, s13, s5",
        "vmla.f32 s22, s14, s6",
        "vmla.f32 s23, s15, s7",
        "beq 2b",
        "vmov r8, s28",
        "vmov r9, s30",
        "vstmia r8!, {{s16-s23}}",
        "add r12, r9",
        "vmov s28, r8",
        "vmov r9, s29",
        "cmp r8, r9",
        "bne 1b",
        leave!(),
        ".purgem ROWS",
    )
}

/// See [`Loops::two_rows`].
///
/// # Safety
/// As there.
#[unsafe(naked)]
unsafe extern "C" fn two_rows(args: &mut TwoRows) {
    // r0, r2, r4, r6 are the first row's sums, r1, r3, r5, r7 the second one's; r8 and r9 are weights, r10 and r11
    // activations, r12 and lr where they come from. Of two rows, s4 is where their results go, s5 the stride, s6 where
    // the activations begin, s31 where the weights do, and s30 the bytes of scales before theirs.
    naked_asm!(
        cpu!(),
        // Two tokens.
        ".macro TOKENS a, b, c, d",
        "ldrd r10, r11, [lr], #8",
        "smlad \\a, r8, r10, \\a",
        "smlad \\b, r9, r10, \\b",
        "smlad \\c, r8, r11, \\c",
        "smlad \\d, r9, r11, \\d",
        ".endm",
        // A half of two rows' bytes as they are, then the lower halves of these.
        ".macro HALF from, at:vararg",
        "ldrd r8, r9, \\at",
        "uxtb16 r8, r8, ror #\\from",
        "uxtb16 r9, r9, ror #\\from",
        "TOKENS r0, r1, r2, r3",
        "TOKENS r4, r5, r6, r7",
        "and r8, #0x000f000f",
        "and r9, #0x000f000f",
        "TOKENS r0, r1, r2, r3",
        "TOKENS r4, r5, r6, r7",
        ".endm",
        ".macro SCALE token, y0, y1, a, b",
        "vmul.f32 s2, s0, s\\token",
        "vmul.f32 s3, s1, s\\token",
        "vmla.f32 s\\y0, s\\a, s2",
        "vmla.f32 s\\y1, s\\b, s3",
        ".endm",
        enter!(),
        "adr r1, 3f", // where groups begin: 200 bytes for eight columns
        "ldr r2, [r0, #16]",
        "mov r3, #200",
        "mla r1, r2, r3, r1",
        "add r1, #1",
        "push {{r0, r1}}",
        "1:", // a tile
        "ldr r8, [sp]",
        "ldrd lr, r9, [r8, #4]",
        "ldr r10, [r8, #12]",
        "ldr r11, [r8, #20]",
        "vmov s4, s5, r9, r10",
        "vmov s7, r11", // fours of tokens that are left
        "4:",           // four tokens
        "ldr r8, [sp]",
        "vmov s6, lr",
        "ldr r12, [r8]",
        "mov r9, #0",
        "5:", // two rows
        "vmov s30, s31, r9, r12",
        "vmov r8, r9, s4, s5",
        "vmov lr, s6",
        "vldmia r8, {{s16, s17}}",
        "add r8, r9",
        "vldmia r8, {{s18, s19}}",
        "add r8, r9",
        "vldmia r8, {{s20, s21}}",
        "add r8, r9",
        "vldmia r8, {{s22, s23}}",
        "2:", // a group
        "vldmia lr!, {{s24-s28}}",
        "vmov r8, s30",
        "ldmia lr!, {{r0-r7}}",
        "sub r9, r12, r8", // each two rows' weights lie eight bytes further, their scales four
        "vldr s0, [r9]",
        "add r12, #16",
        "ldr pc, [sp, #4]",
        "3:", // a round
        ".rept 4",
        "HALF 0, [r12]",
        "HALF 8, [r12], #32",
        ".endr",
        "vmov r8, s28",
        "cmp lr, r8", // as in eight_rows
        "blo 3b",
        "vmov s8, s9, r0, r1",
        "vmov s10, s11, r2, r3",
        "vmov s12, s13, r4, r5",
        "vmov s14, s15, r6, r7",
        "vcvtt.f32.f16 s1, s0",
        "vcvtb.f32.f16 s0, s0",
        ".irp sum, 8, 9, 10, 11, 12, 13, 14, 15",
        "vcvt.f32.s32 s\\sum, s\\sum, #4",
        ".endr",
        "SCALE 24, 16, 17, 8, 9",
        "SCALE 25, 18, 19, 10, 11",
        "SCALE 26, 20, 21, 12, 13",
        "SCALE 27, 22, 23, 14, 15",
        "beq 2b",
        "vmov r8, r9, s4, s5",
        "vstmia r8!, {{s16, s17}}",
        "vmov s4, r8",
        "add r8, r9",
        "vstmdb r8!, {{s18, s19}}",
        "add r8, r9",
        "vstmia r8, {{s20, s21}}",
        "add r8, r9",
        "vstmia r8, {{s22, s23}}",
        "vmov r9, r12, s30, s31",
        "add r9, #4",
        "add r12, #8",
        "cmp r9, #16",
        "bne 5b",
        // The next four tokens: lr is where their activations begin.
        "vmov r8, r9, s4, s5",
        "sub r8, #32",
        "add r8, r8, r9, lsl #2",
        "vmov s4, r8",
        "vmov r8, s7",
        "subs r8, #1",
        "vmov s7, r8",
        "bne 4b",
        // The next tile.
        "ldr r8, [sp]",
        "ldrd r0, r1, [r8, #24]",
        "ldr r2, [r8]",
        "ldr r3, [r8, #8]",
        "add r2, r1",
        "add r3, #32",
        "str r2, [r8]",
        "str r3, [r8, #8]",
        "subs r0, #1",
        "str r0, [r8, #24]",
        "bne 1b",
        "add sp, #8",
        leave!(),
        ".purgem TOKENS",
        ".purgem HALF",
        ".purgem SCALE",
    )
}
