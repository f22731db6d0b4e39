//! Attention over an int8 cache.

use super::cpu;
use crate::kernels::portable::{self, VALUE_BLOCK, strip, values_with};
use core::arch::naked_asm;

/// The widest head whose query has room in the order that the loop wants.
const WIDEST: usize = 128;

pub(in crate::kernels) fn scores(q: &[i16], scale: f32, keys: &[i8], key_scales: &[f32], scores: &mut [f32]) {
    let slots = scores.len().min(key_scales.len()).min(keys.len() / q.len().max(1));
    if q.len() > WIDEST || q.is_empty() || !q.len().is_multiple_of(8) || !aligned(keys) || slots == 0 {
        return portable::scores(q, scale, keys, key_scales, scores);
    }
    // Of four numbers the even ones, then the odd ones.
    let mut pairs = [[0i16; 4]; WIDEST / 4];
    for (pairs, q) in pairs.iter_mut().zip(q.as_chunks::<4>().0) {
        *pairs = [q[0], q[2], q[1], q[3]];
    }
    // SAFETY: that many keys are there, as many places for sums, and the query has this length.
    unsafe { dot_slots(pairs.as_ptr(), keys.as_ptr(), q.len() / 8, slots, scores.as_mut_ptr().cast()) };
    for (score, key_scale) in scores.iter_mut().zip(key_scales).take(slots) {
        *score = score.to_bits() as i32 as f32 * (scale * key_scale);
    }
}

/// Whether the address is aligned for loads and stores of words and of pairs of words.
pub(in crate::kernels) fn aligned(numbers: &[i8]) -> bool {
    numbers.as_ptr().addr().is_multiple_of(4)
}

/// `sums[slot] = q · keys[slot]`.
///
/// # Safety
/// There must be `slots` > 0 keys of `eights` > 0 times eight numbers, aligned as words are.
#[unsafe(naked)]
unsafe extern "C" fn dot_slots(q: *const [i16; 4], keys: *const i8, eights: usize, slots: usize, sums: *mut i32) {
    naked_asm!(
        cpu!(),
        ".macro FOUR key", // with q in r9 and r10
        "ldrd r9, r10, [r4], #8",
        "sxtb16 r11, \\key",
        "sxtb16 \\key, \\key, ror #8",
        "smlad r5, r11, r9, r5",
        "smlad r5, \\key, r10, r5",
        ".endm",
        "push {{r4-r11, lr}}",
        "ldr r12, [sp, #36]",
        "1:",
        "mov r4, r0",
        "mov r5, #0",
        "mov r6, r2",
        "2:",
        "ldrd r7, r8, [r1], #8",
        "FOUR r7",
        "FOUR r8",
        "subs r6, #1",
        "bne 2b",
        "str r5, [r12], #4",
        "subs r3, #1",
        "bne 1b",
        "pop {{r4-r11, pc}}",
        ".purgem FOUR",
    )
}

pub(in crate::kernels) fn weighted_values(
    weights: &mut [f32],
    sum: f32,
    values: &[i8],
    value_scales: &[f32],
    out: &mut [f32],
) {
    values_with(weights, sum, values, value_scales, out, |p, values, dim, first| {
        let slots = (values.len() / dim.max(1)).min(VALUE_BLOCK);
        match values.get(first..) {
            Some(from) if slots > 0 && dim.is_multiple_of(4) && aligned(from) => {
                let mut sums = [0; 8];
                // SAFETY: each of these slots has eight numbers from `first` on.
                unsafe { sum_slots(p.as_ptr(), from.as_ptr(), dim, slots, &mut sums) };
                sums
            }
            _ => strip(p, values, dim, first),
        }
    });
}

/// `sums = Σ_slot p[slot] · values[slot]` for eight numbers of each slot, the next one's lying `dim` further.
///
/// # Safety
/// There must be `slots` > 0 of them, aligned as words are; p may not need more than 16 bits.
#[unsafe(naked)]
unsafe extern "C" fn sum_slots(p: *const i32, values: *const i8, dim: usize, slots: usize, sums: &mut [i32; 8]) {
    // r4 to r11 are the sums, r3 is the weight, r12 and lr are values.
    naked_asm!(
        cpu!(),
        ".macro FOUR a, b, c, d, v, t",
        "sxtb16 \\t, \\v",
        "sxtb16 \\v, \\v, ror #8",
        "smlabb \\a, \\t, r3, \\a",
        "smlabb \\b, \\v, r3, \\b",
        "smlatb \\c, \\t, r3, \\c",
        "smlatb \\d, \\v, r3, \\d",
        ".endm",
        "push {{r4-r11, lr}}",
        "add r3, r0, r3, lsl #2",
        "vmov s0, s1, r3, r2", // where p ends, and dim
        "ldr r4, [sp, #36]",
        "ldm r4, {{r4-r11}}",
        "2:",
        "ldrd r12, lr, [r1]",
        "ldr r3, [r0], #4",
        "add r1, r2",
        "FOUR r4, r5, r6, r7, r12, r2",
        "FOUR r8, r9, r10, r11, lr, r2",
        "vmov r3, r2, s0, s1",
        "cmp r0, r3",
        "bne 2b",
        "ldr r0, [sp, #36]",
        "stm r0, {{r4-r11}}",
        "pop {{r4-r11, pc}}",
        ".purgem FOUR",
    )
}
