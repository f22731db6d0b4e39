//! Cortex-M with DSP instructions and an FPU (M4, M7, M33).
//!
//! The loops are whole functions in assembly: they use all fourteen registers, r7 and lr among them, which Rust gives to no
//! `asm!` block. Outer loops keep their variables in the FPU's registers, which a move reaches in one cycle.
//!
//! What `cargo xtask bench` prints: instructions counted in QEMU, the same on M4, M7 and M33 to 5 %, overhead and all; and cycles of the
//! inner loop alone by llvm-mca 22, which knows of no waiting for memory (a dash where it has no figures).
//!
//! | kernel | instructions | cycles, M4 | M7 | for each |
//! |---|---|---|---|---|
//! | matmul 256 x 256, 1 token, groups of 32 (64) | 1.11 (1.03) | 1.04 | 0.80 | multiply-accumulate |
//! | matmul 256 x 256, 2 tokens | 1.02 | 0.95 | 0.83 | multiply-accumulate |
//! | matmul 256 x 256, 8 tokens, groups of 32 (64) | 0.94 (0.88) | 0.86 | 0.73 | multiply-accumulate |
//! | matmul 256 x 256 of 4 bits, 1 token | 1.33 | 1.36, with the scaling | 1.11 | multiply-accumulate |
//! | matmul 256 x 256 of 4 bits, 2 tokens | 1.15 | 1.14 | 0.89 | multiply-accumulate |
//! | matmul 256 x 256 of 4 bits, 8 tokens | 1.01 | 0.95 | 0.77 | multiply-accumulate |
//! | scan of 16 states, without its gate | 13.2 | 15.9 | 18.9 | state element |
//! | scan of Mamba-2, 128 states, with its gate | 4.3 | 3.6 | 4.1 | state element |
//! | gate of a scan, and SwiGLU | 18.0 | 26.5 | – | number |
//! | convolution of 4 taps, and SiLU | 30.3 | – | – | channel |
//! | softplus | 29.8 | 39.5 | – | number |
//! | quantize | 13.4 | – | – | number |
//! | RMS norm | 5.2 | 4.9 | 6.4 | number |
//! | scores, head of 32 | 2.2 | 1.6 | 1.5 | multiply-accumulate |
//! | softmax | 23.5 | 15.5 | 19.5 | number |
//! | weighted values, head of 32 | 3.7 | 2.3 | 2.1 | multiply-accumulate |

mod activations;
mod attention;
mod conv;
mod matmul;
mod matmul_q4;
mod norm;
mod quantize;
mod scan;
mod ssd;

pub(in crate::kernels) use crate::kernels::portable::{dot, quantize_query, s4d_scan};
pub(in crate::kernels) use activations::{softmax, softplus_bias, swiglu};
pub(in crate::kernels) use attention::{scores, weighted_values};
pub(in crate::kernels) use conv::conv_silu;
pub(in crate::kernels) use matmul::matmul;
pub(in crate::kernels) use matmul_q4::matmul_q4;
pub(in crate::kernels) use norm::{rms_norm, rms_norm_in_place};
pub(in crate::kernels) use quantize::{quantize, quantize_head};
pub(in crate::kernels) use scan::scan;
pub(in crate::kernels) use ssd::ssd_scan;

/// Tells the assembler about DSP instructions and FPU: of a whole function in assembly it doesn't know the target's features.
#[cfg(not(dsp_optional))]
macro_rules! cpu {
    () => {
        ".cpu cortex-m4\n.fpu fpv4-sp-d16"
    };
}
#[cfg(dsp_optional)]
macro_rules! cpu {
    () => {
        ".cpu cortex-m33\n.fpu fpv5-sp-d16"
    };
}
use cpu;

/// Saves what a function must give back, its only argument on top: `[sp, #64]` is it.
macro_rules! enter {
    () => {
        "push {{r0, r4-r11, lr}}\nvpush {{s16-s31}}"
    };
}
use enter;

/// Returns from a function that did [`enter`].
macro_rules! leave {
    () => {
        "vpop {{s16-s31}}\npop {{r0, r4-r11, pc}}"
    };
}
use leave;

/// For the functions with exponentials: `t`, in a register, becomes `-2^(t / 2²³)` by [`crate::kernels::math::negative_exp2`]. Takes the
/// constants that [`constants`] leaves in r4 to r9, and r10 and r11.
macro_rules! exp {
    () => {
        ".macro EXP t
        eor r10, r7, \\t, lsl #9
        smmla r11, r10, r6, r5
        smmla r11, r10, r11, r4
        smmla r10, r10, r10, r8
        smmla \\t, r10, r11, \\t
        qsub16 \\t, \\t, r9
        .endm"
    };
}
use exp;

/// Loads what `EXP` needs, from the operands `c0`, `c1`, `c2`: [`crate::kernels::math::EXP2`].
macro_rules! constants {
    () => {
        "movw r4, #({c0} & 0xffff)
        movt r4, #({c0} >> 16)
        movw r5, #({c1} & 0xffff)
        movt r5, #({c1} >> 16)
        movw r6, #({c2} & 0xffff)
        movt r6, #({c2} >> 16)
        mov r7, #0x80000000
        mov r8, #0xc0000000
        mov r9, #0x40800000"
    };
}
use constants;

const _: () = assert!(crate::kernels::math::EXP2_BIAS == 0x4080, "r9's upper half");
