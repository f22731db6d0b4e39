//! Quantization to int8: four numbers at a time.

use super::attention::aligned;
use super::cpu;
use crate::kernels::math::ROUND;
use crate::kernels::portable::{max_abs, scale_for, to_i8};
use core::arch::naked_asm;

pub(in crate::kernels) fn quantize(x: &[f32], group: usize, values: &mut [i8], scales: &mut [f32]) {
    let mut groups = x.chunks(group.max(1));
    for (q, scale) in values.chunks_mut(group.max(1)).zip(scales) {
        *scale = quantize_head(groups.next().unwrap_or(&[]), q);
    }
}

/// The rest of `out` is zeroed.
pub(in crate::kernels) fn quantize_head(x: &[f32], out: &mut [i8]) -> f32 {
    let (max, finite) = largest(x);
    let (scale, inverse) = scale_for(max, 127.0);
    let length = x.len().min(out.len());
    // With the group finite, no product is larger than 127: there is nothing to clamp.
    let fours = if finite && aligned(out) { length / 4 } else { 0 };
    if fours > 0 {
        // SAFETY: that many numbers are there, and as many places, aligned as words are.
        unsafe { round_fours(x.as_ptr(), out.as_mut_ptr(), fours, inverse, ROUND) };
    }
    let (head, tail) = out.split_at_mut(length);
    for (q, x) in head.iter_mut().zip(x).skip(4 * fours) {
        *q = to_i8(x * inverse);
    }
    tail.fill(0);
    scale
}

/// Largest magnitude, NaN not counting; and whether all numbers are finite.
pub(in crate::kernels) fn largest(x: &[f32]) -> (f32, bool) {
    let (fours, rest) = x.as_chunks::<4>();
    let mut bits = 0;
    if !fours.is_empty() {
        // SAFETY: that many fours are there.
        bits = unsafe { largest_bits(fours.as_ptr(), fours.len()) };
    }
    bits = rest.iter().fold(bits, |most, x| (x.to_bits() << 1).max(most));
    let finite = bits < f32::INFINITY.to_bits() << 1;
    (if finite { f32::from_bits(bits >> 1) } else { max_abs(x) }, finite)
}

/// The largest of the numbers' bits times two, which shifts the sign out: bits without a sign have the order of magnitudes.
///
/// # Safety
/// There must be `fours` > 0 fours.
#[unsafe(naked)]
unsafe extern "C" fn largest_bits(x: *const [f32; 4], fours: usize) -> u32 {
    naked_asm!(
        cpu!(),
        "push {{r4, r5}}",
        "mov r12, #0",
        "2:",
        "ldm r0!, {{r2-r5}}",
        ".irp x, r2, r3, r4, r5",
        "cmp r12, \\x, lsl #1",
        "it lo",
        "lsllo r12, \\x, #1",
        ".endr",
        "subs r1, #1",
        "bne 2b",
        "mov r0, r12",
        "pop {{r4, r5}}",
        "bx lr",
    )
}

/// `to = round(x·inverse)`: the lowest byte of the sum with `round`.
///
/// # Safety
/// There must be `fours` > 0 fours, and `to` aligned as words are.
#[unsafe(naked)]
unsafe extern "C" fn round_fours(x: *const f32, to: *mut i8, fours: usize, inverse: f32, round: f32) {
    naked_asm!(
        cpu!(),
        "push {{r4, lr}}",
        "2:",
        "vldmia r0!, {{s2-s5}}",
        ".irp x, 2, 3, 4, 5",
        "vmul.f32 s\\x, s\\x, s0",
        ".endr",
        ".irp x, 2, 3, 4, 5",
        "vadd.f32 s\\x, s\\x, s1",
        ".endr",
        "vmov r3, r4, s2, s3",
        "vmov r12, lr, s4, s5",
        "pkhbt r3, r3, r12, lsl #16",
        "pkhbt r4, r4, lr, lsl #16",
        "uxtb16 r3, r3",
        "uxtb16 r4, r4",
        "orr r3, r3, r4, lsl #8",
        "str r3, [r1], #4",
        "subs r2, #1",
        "bne 2b",
        "pop {{r4, pc}}",
    )
}
