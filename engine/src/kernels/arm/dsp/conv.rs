//! The causal depthwise convolution: four channels at a time.

use super::activations::silu;
use super::cpu;
use crate::kernels::operands::Conv;
use crate::kernels::portable;
use core::arch::naked_asm;

pub(in crate::kernels) fn conv_silu(mut conv: Conv<'_>) {
    let Conv { u, history, weight, stride, first, bias } = &mut conv;
    let (channels, past) = (bias.len(), history.tokens());
    let weights = weight.get(*first..).filter(|weight| weight.len() >= past * *stride + channels);
    let (Some(history), Some(weights), true) = (
        history.pointer(0..past, 0, channels),
        weights,
        past > 0 && channels.is_multiple_of(4) && history.stride() == *stride,
    ) else {
        return portable::conv_silu(conv);
    };
    for token in 0..u.tokens() {
        let row = u.row(token, 0, channels);
        if row.len() < channels {
            return;
        }
        let (stride, fours) = (4 * *stride, channels / 4);
        let mut args = Convolve { bias: bias.as_ptr(), weight: weights.as_ptr(), history, stride, past, fours };
        // SAFETY: that many channels and taps are there, `stride` bytes apart.
        unsafe { convolve(row.as_mut_ptr(), &mut args) };
        silu(row);
    }
}

/// What [`convolve`] needs: in this order in r1 to r6.
#[repr(C)]
struct Convolve {
    bias: *const f32,
    weight: *const f32,
    history: *mut f32,
    /// Bytes from one tap's weights to the next one's, and from one remembered input to the next.
    stride: usize,
    /// Inputs that are remembered, at least one.
    past: usize,
    /// Fours of channels.
    fours: usize,
}

/// One token's `u = bias + Σ_k weight[k] · u[k]`; `history` moves on by one.
///
/// # Safety
/// The pointers must be right.
#[unsafe(naked)]
unsafe extern "C" fn convolve(u: *mut f32, args: &mut Convolve) {
    // s0 to s3 are the sums, s4 to s7 weights, s8 to s11 inputs; r7, r8 and r10 go through weights and history.
    naked_asm!(
        cpu!(),
        ".macro TAP",
        "vldmia r7, {{s4-s7}}",
        "add r7, r4",
        "vmla.f32 s0, s8, s4",
        "vmla.f32 s1, s9, s5",
        "vmla.f32 s2, s10, s6",
        "vmla.f32 s3, s11, s7",
        ".endm",
        "push {{r4-r10, lr}}",
        "ldm r1, {{r1-r6}}",
        "1:", // four channels
        "vldmia r1!, {{s0-s3}}",
        "mov r7, r2",
        "mov r8, r3",
        "vldmia r8, {{s8-s11}}",
        "TAP",
        "subs r9, r5, #1",
        "beq 3f",
        "2:", // an input, which also takes the place of the one before
        "add r10, r8, r4",
        "vldmia r10, {{s8-s11}}",
        "vstmia r8, {{s8-s11}}",
        "mov r8, r10",
        "TAP",
        "subs r9, #1",
        "bne 2b",
        "3:", // the newest
        "vldmia r0, {{s8-s11}}",
        "vstmia r8, {{s8-s11}}",
        "TAP",
        "vstmia r0!, {{s0-s3}}",
        "add r2, #16",
        "add r3, #16",
        "subs r6, #1",
        "bne 1b",
        "pop {{r4-r10, pc}}",
        ".purgem TAP",
    )
}
