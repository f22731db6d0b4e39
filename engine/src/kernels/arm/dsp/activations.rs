//! SiLU, softplus and softmax: two numbers at a time.

use super::{constants, cpu, exp};
use crate::kernels::math::{EXP2, LOG2_E, SOFTPLUS, exp2};
use crate::kernels::portable;
use core::arch::naked_asm;

/// For the functions with SiLU: two numbers, in FPU registers, become their SiLU. Takes −log2(e)·2²³ in s14, 1 in s15, two
/// registers u and v, r12, lr and what `EXP` takes.
macro_rules! silu {
    () => {
        ".macro SILU x, y, u, v
        vabs.f32 s\\u, s\\x
        vabs.f32 s\\v, s\\y
        vmul.f32 s\\u, s\\u, s14
        vmul.f32 s\\v, s\\v, s14
        vcvt.s32.f32 s\\u, s\\u
        vcvt.s32.f32 s\\v, s\\v
        vmov r12, lr, s\\u, s\\v
        EXP r12
        EXP lr
        vmov s\\u, s\\v, r12, lr
        vmov r10, r11, s\\x, s\\y
        cmp r10, #0
        it le
        vnmulle.f32 s\\x, s\\x, s\\u
        cmp r11, #0
        it le
        vnmulle.f32 s\\y, s\\y, s\\v
        vsub.f32 s\\u, s15, s\\u
        vsub.f32 s\\v, s15, s\\v
        vdiv.f32 s\\x, s\\x, s\\u
        vdiv.f32 s\\y, s\\y, s\\v
        .endm"
    };
}

/// `x = silu(x)`.
pub(in crate::kernels) fn silu(x: &mut [f32]) {
    let (pairs, rest) = x.as_chunks_mut::<2>();
    if !pairs.is_empty() {
        // SAFETY: as many pairs are there.
        unsafe { silu_pairs(pairs.as_mut_ptr(), pairs.len(), -LOG2_E, 1.0) }
    }
    rest.iter_mut().for_each(|x| *x = crate::kernels::math::silu(*x));
}

/// `to = silu(x)·by`; `x` or `by` may be `to`.
///
/// # Safety
/// There must be `fours` > 0 times four numbers.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn silu_times(
    to: *mut [f32; 4],
    x: *const [f32; 4],
    by: *const [f32; 4],
    fours: usize,
    minus_log2_e: f32,
    one: f32,
) {
    naked_asm!(
        cpu!(),
        exp!(),
        silu!(),
        "push {{r4-r11, lr}}",
        "vmov.f32 s14, s0",
        "vmov.f32 s15, s1",
        constants!(),
        "2:",
        "vldmia r1!, {{s0-s3}}",
        "SILU 0, 1, 4, 5",
        "SILU 2, 3, 6, 7",
        "vldmia r2!, {{s4-s7}}",
        "vmul.f32 s0, s0, s4",
        "vmul.f32 s1, s1, s5",
        "vmul.f32 s2, s2, s6",
        "vmul.f32 s3, s3, s7",
        "vstmia r0!, {{s0-s3}}",
        "subs r3, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
        ".purgem EXP",
        ".purgem SILU",
        c0 = const EXP2[0],
        c1 = const EXP2[1],
        c2 = const EXP2[2],
    )
}

/// `x = silu(x)`.
///
/// # Safety
/// There must be `pairs` > 0 pairs.
#[unsafe(naked)]
unsafe extern "C" fn silu_pairs(x: *mut [f32; 2], pairs: usize, minus_log2_e: f32, one: f32) {
    naked_asm!(
        cpu!(),
        exp!(),
        silu!(),
        "push {{r4-r11, lr}}",
        "vmov.f32 s14, s0",
        "vmov.f32 s15, s1",
        constants!(),
        "2:",
        "vldmia r0, {{s0, s1}}",
        "SILU 0, 1, 2, 3",
        "vstmia r0!, {{s0, s1}}",
        "subs r1, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
        ".purgem EXP",
        ".purgem SILU",
        c0 = const EXP2[0],
        c1 = const EXP2[1],
        c2 = const EXP2[2],
    )
}

pub(in crate::kernels) fn swiglu(gate: &mut [f32], up: &[f32]) {
    let length = gate.len().min(up.len());
    let Some((fours, rest)) = gate.split_at_mut_checked(length / 4 * 4) else { return };
    if length > 3 {
        let to = fours.as_mut_ptr().cast();
        // SAFETY: as many fours are there.
        unsafe { silu_times(to, to, up.as_ptr().cast(), length / 4, -LOG2_E, 1.0) }
    }
    portable::swiglu(rest, up.get(length / 4 * 4..).unwrap_or(&[]));
}

pub(in crate::kernels) fn softplus_bias(dt: &mut [f32], bias: &[f32]) {
    let (biases, _) = bias.as_chunks::<2>();
    for row in dt.chunks_exact_mut(bias.len().max(1)) {
        let (pairs, rest) = row.as_chunks_mut::<2>();
        if !pairs.is_empty() {
            // SAFETY: as many pairs are there.
            unsafe { softplus_pairs(pairs.as_mut_ptr(), biases.as_ptr(), pairs.len(), &CONSTANTS) }
        }
        portable::softplus_bias(rest, bias.get(2 * biases.len()..).unwrap_or(&[]));
    }
}

/// What `softplus_pairs` has in s8 to s15: the polynomial, then what the rest needs.
static CONSTANTS: [f32; 8] = [SOFTPLUS[0], SOFTPLUS[1], SOFTPLUS[2], SOFTPLUS[3], SOFTPLUS[4], -LOG2_E, 0.0, 2.0];

/// `x = softplus(x + bias)`.
///
/// # Safety
/// There must be `pairs` > 0 pairs.
#[unsafe(naked)]
unsafe extern "C" fn softplus_pairs(
    x: *mut [f32; 2],
    bias: *const [f32; 2],
    pairs: usize,
    constants: &'static [f32; 8],
) {
    naked_asm!(
        cpu!(),
        exp!(),
        // s0, s1 are x, s2, s3 −u and then −s, s4, s5 s², s6, s7 the polynomial.
        "push {{r4-r11, lr}}",
        "vldmia r3, {{s8-s15}}",
        constants!(),
        "2:",
        "vldmia r0, {{s0, s1}}",
        "vldmia r1!, {{s2, s3}}",
        "vadd.f32 s0, s0, s2",
        "vadd.f32 s1, s1, s3",
        "vabs.f32 s2, s0",
        "vabs.f32 s3, s1",
        "vmul.f32 s2, s2, s13",
        "vmul.f32 s3, s3, s13",
        "vcvt.s32.f32 s2, s2",
        "vcvt.s32.f32 s3, s3",
        "vmov r12, lr, s2, s3",
        "EXP r12",
        "EXP lr",
        "vmov s2, s3, r12, lr",
        "vsub.f32 s4, s15, s2",
        "vsub.f32 s5, s15, s3",
        "vdiv.f32 s2, s2, s4",
        "vdiv.f32 s3, s3, s5",
        "vmul.f32 s4, s2, s2",
        "vmul.f32 s5, s3, s3",
        "vmul.f32 s6, s8, s4",
        "vmul.f32 s7, s8, s5",
        ".irp q, 9, 10, 11",
        "vadd.f32 s6, s6, s\\q",
        "vadd.f32 s7, s7, s\\q",
        "vmul.f32 s6, s6, s4",
        "vmul.f32 s7, s7, s5",
        ".endr",
        "vadd.f32 s6, s6, s12",
        "vadd.f32 s7, s7, s12",
        ".irp x, 0, 1", // what isn't larger than 0 becomes 0, NaN as well
        "vcmp.f32 s\\x, #0",
        "vmrs APSR_nzcv, fpscr",
        "it le",
        "vmovle.f32 s\\x, s14",
        ".endr",
        "vmls.f32 s0, s2, s6",
        "vmls.f32 s1, s3, s7",
        "vstmia r0!, {{s0, s1}}",
        "subs r2, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
        ".purgem EXP",
        c0 = const EXP2[0],
        c1 = const EXP2[1],
        c2 = const EXP2[2],
    )
}

pub(in crate::kernels) fn softmax(x: &mut [f32]) -> f32 {
    let max = x.iter().fold(f32::MIN, |max, &x| if x > max { x } else { max });
    let (pairs, rest) = x.as_chunks_mut::<2>();
    if !pairs.is_empty() {
        // SAFETY: as many pairs are there.
        unsafe { exp_pairs(pairs.as_mut_ptr(), pairs.len(), max, LOG2_E) }
    }
    rest.iter_mut().for_each(|x| *x = exp2(((*x - max) * LOG2_E) as i32));
    let mut sums = [0.0f32; 8];
    let (eights, rest) = x.as_chunks::<8>();
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, x)| *sum += x);
    }
    sums.iter_mut().zip(rest).for_each(|(sum, x)| *sum += x);
    portable::sum_lanes(sums)
}

/// `x = exp(x − max)`.
///
/// # Safety
/// There must be `pairs` > 0 pairs.
#[unsafe(naked)]
unsafe extern "C" fn exp_pairs(x: *mut [f32; 2], pairs: usize, max: f32, log2_e: f32) {
    naked_asm!(
        cpu!(),
        exp!(),
        "push {{r4-r11, lr}}",
        constants!(),
        "2:",
        "vldmia r0, {{s2, s3}}",
        "vsub.f32 s2, s2, s0",
        "vsub.f32 s3, s3, s0",
        "vmul.f32 s2, s2, s1",
        "vmul.f32 s3, s3, s1",
        "vcvt.s32.f32 s2, s2",
        "vcvt.s32.f32 s3, s3",
        "vmov r12, lr, s2, s3",
        "EXP r12",
        "EXP lr",
        "eor r12, r7",
        "eor lr, r7",
        "strd r12, lr, [r0], #8",
        "subs r1, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
        ".purgem EXP",
        c0 = const EXP2[0],
        c1 = const EXP2[1],
        c2 = const EXP2[2],
    )
}
