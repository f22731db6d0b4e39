//! RMS norms.

use super::cpu;
use crate::kernels::portable::sum_lanes;
use core::arch::naked_asm;

pub(in crate::kernels) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let length = x.len().min(weight.len()).min(out.len());
    // SAFETY: that many numbers are there.
    unsafe { scale(x.as_ptr(), weight.as_ptr(), out.as_mut_ptr(), length, inverse_rms(x, eps)) };
}

pub(in crate::kernels) fn rms_norm_in_place(x: &mut [f32], weight: &[f32], eps: f32) {
    let (length, inverse) = (x.len().min(weight.len()), inverse_rms(x, eps));
    // SAFETY: that many numbers are there.
    unsafe { scale(x.as_ptr(), weight.as_ptr(), x.as_mut_ptr(), length, inverse) };
}

/// `1 / sqrt(mean of squares + ε)`.
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (eights, rest) = x.as_chunks::<8>();
    // SAFETY: that many eights are there.
    unsafe { squares(eights.as_ptr(), eights.len(), &mut lanes) };
    lanes.iter_mut().zip(rest).for_each(|(lane, x)| *lane += x * x);
    1.0 / libm::sqrtf(sum_lanes(lanes) / x.len() as f32 + eps)
}

/// Adds squares to eight lanes.
///
/// # Safety
/// There must be `count` eights.
#[unsafe(naked)]
unsafe extern "C" fn squares(x: *const [f32; 8], count: usize, lanes: &mut [f32; 8]) {
    naked_asm!(
        cpu!(),
        "cbz r1, 3f",
        "vldmia r2, {{s0-s7}}",
        "2:",
        "vldmia r0!, {{s8-s15}}",
        "vmla.f32 s0, s8, s8",
        "vmla.f32 s1, s9, s9",
        "vmla.f32 s2, s10, s10",
        "vmla.f32 s3, s11, s11",
        "vmla.f32 s4, s12, s12",
        "vmla.f32 s5, s13, s13",
        "vmla.f32 s6, s14, s14",
        "vmla.f32 s7, s15, s15",
        "subs r1, #1",
        "bne 2b",
        "vstmia r2, {{s0-s7}}",
        "3:",
        "bx lr",
    )
}

/// `to = (x·inverse)·w`.
///
/// # Safety
/// There must be `count` numbers.
#[unsafe(naked)]
unsafe extern "C" fn scale(x: *const f32, w: *const f32, to: *mut f32, count: usize, inverse: f32) {
    naked_asm!(
        cpu!(),
        "subs r3, #4",
        "blo 3f",
        "2:",
        "vldmia r0!, {{s1-s4}}",
        "vldmia r1!, {{s5-s8}}",
        ".irp x, 1, 2, 3, 4",
        "vmul.f32 s\\x, s\\x, s0",
        ".endr",
        "vmul.f32 s1, s1, s5",
        "vmul.f32 s2, s2, s6",
        "vmul.f32 s3, s3, s7",
        "vmul.f32 s4, s4, s8",
        "vstmia r2!, {{s1-s4}}",
        "subs r3, #4",
        "bhs 2b",
        "3:",
        "adds r3, #4",
        "beq 5f",
        "4:",
        "vldmia r0!, {{s1}}",
        "vldmia r1!, {{s5}}",
        "vmul.f32 s1, s1, s0",
        "vmul.f32 s1, s1, s5",
        "vstmia r2!, {{s1}}",
        "subs r3, #1",
        "bne 4b",
        "5:",
        "bx lr",
    )
}
