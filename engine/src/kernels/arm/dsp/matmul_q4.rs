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
//! | [`eight_rows`], one token | 70 | 329 |
//! | [`four_rows`], two tokens | 60 | 283 |
//! | [`two_rows`], four tokens | 50 | 241 |
//!
//! How tokens, tiles and groups are walked is the same as with 8 bits.

use super::matmul::{EightRows, Loops, TwoRows, for_eight_rows, for_four_rows, for_two_rows, product};
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
    // SAFETY: the trait says what callers promise, here and below.
    const EIGHT_ROWS: unsafe extern "C" fn(&mut EightRows) = eight_rows;
    const FOUR_ROWS: unsafe extern "C" fn(&mut TwoRows) = four_rows;
    const TWO_ROWS: unsafe extern "C" fn(&mut TwoRows) = two_rows;

    /// Of eight activations, first the word for bytes 0 and 2, that for their lower halves, and the same for bytes 1 and 3.
    #[inline(always)]
    // SAFETY: the trait says what its callers promise.
    unsafe fn expand<const STEP: usize>(values: &[i8], to: *mut u32) -> u32 {
        let offset: u32;
        // SAFETY: by the caller's promise.
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
}

/// See [`Loops::EIGHT_ROWS`]: the lower four rows' sums are made before the upper four's, so that there are registers for both words of
/// weights and all four of activations of eight columns.
///
/// # Safety
/// As there.
#[unsafe(naked)]
unsafe extern "C" fn eight_rows(args: &mut EightRows) {
    for_eight_rows!(
        bytes: "140", // for eight columns
        fraction: "4",
        // Where the lower rows begin: to s27, which was read.
        begin: ["adr r1, 4f", "mla r1, r2, r3, r1", "add r1, #1", "vmov s27, r1"],
        sums: [
            // Eight columns of two rows: r4 and r6 multiply the bytes as they are, r5 and r7 the lower halves of these.
            ".macro ROWS a, b, at:vararg",
            "ldrd r8, r9, \\at",
            "uxtb16 r10, r8",
            "uxtb16 r11, r9",
            "smlad \\a, r10, r4, \\a",
            "smlad \\b, r11, r4, \\b",
            "and r10, #0x000f000f",
            "and r11, #0x000f000f",
            "smlad \\a, r10, r5, \\a",
            "smlad \\b, r11, r5, \\b",
            "uxtb16 r10, r8, ror #8",
            "uxtb16 r11, r9, ror #8",
            "smlad \\a, r10, r6, \\a",
            "smlad \\b, r11, r6, \\b",
            "and r10, #0x000f000f",
            "and r11, #0x000f000f",
            "smlad \\a, r10, r7, \\a",
            "smlad \\b, r11, r7, \\b",
            ".endm",
            ".macro FOUR_ROWS",
            ".rept 4",
            "ldmia lr!, {{r4-r7}}",
            "ROWS r2, r3, [r12, #8]",
            "ROWS r0, r1, [r12], #32",
            ".endr",
            ".endm",
            "vmov s4, s5, lr, r12",
            "add r12, #16",
            "ldr pc, [sp, #64]",
            "3:", // the upper rows
            "FOUR_ROWS",
            "vmov s12, s13, r0, r1",
            "vmov s14, s15, r2, r3",
            "vmov lr, r12, s4, s5",
            "vmov r8, s27",
            "ldmdb lr, {{r0-r3}}",
            "mov pc, r8", // not BX, which `cargo xtask stack` takes for a call of anything
            "4:", // the lower rows
            "FOUR_ROWS",
            "vmov s8, s9, r0, r1",
            "vmov s10, s11, r2, r3",
            "vmov r8, s25",
            "cmp lr, r8", // equal: another group follows; higher: the last one
            ".purgem ROWS",
            ".purgem FOUR_ROWS",
        ]
    )
}

/// See [`Loops::FOUR_ROWS`].
///
/// # Safety
/// As there.
#[unsafe(naked)]
unsafe extern "C" fn four_rows(args: &mut TwoRows) {
    for_four_rows!(
        bytes: "240", // for eight columns
        fraction: "4",
        round: [
            // A half of two rows' bytes as they are, then the lower halves of these.
            ".macro UPPER from, offset",
            "ldrd r8, r9, [r12, #8]",
            "uxtb16 r8, r8, ror #\\from",
            "uxtb16 r9, r9, ror #\\from",
            "ldrd r10, r11, [lr, #\\offset]",
            "PRODUCTS r2, r3, r6, r7",
            "and r8, #0x000f000f",
            "and r9, #0x000f000f",
            "ldrd r10, r11, [lr, #\\offset + 8]",
            "PRODUCTS r2, r3, r6, r7",
            ".endm",
            ".macro LOWER from, at:vararg",
            "ldrd r8, r9, \\at",
            "uxtb16 r8, r8, ror #\\from",
            "uxtb16 r9, r9, ror #\\from",
            "ldrd r10, r11, [lr], #8",
            "PRODUCTS r0, r1, r4, r5",
            "and r8, #0x000f000f",
            "and r9, #0x000f000f",
            "ldrd r10, r11, [lr], #8",
            "PRODUCTS r0, r1, r4, r5",
            ".endm",
            ".rept 4",
            "UPPER 0, 0",
            "UPPER 8, 16",
            "LOWER 0, [r12]",
            "LOWER 8, [r12], #32",
            ".endr",
            ".purgem UPPER",
            ".purgem LOWER",
        ]
    )
}

/// See [`Loops::TWO_ROWS`].
///
/// # Safety
/// As there.
#[unsafe(naked)]
unsafe extern "C" fn two_rows(args: &mut TwoRows) {
    for_two_rows!(
        bytes: "200", // for eight columns
        fraction: "4",
        round: [
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
            ".rept 4",
            "HALF 0, [r12]",
            "HALF 8, [r12], #32",
            ".endr",
            ".purgem HALF",
        ]
    )
}
