//! aarch64 with SDOT (Cortex-A76: Raspberry Pi 5; Neoverse).

mod matmul;

pub(in crate::kernels) use super::neon::{
    conv_silu, dot, quantize, quantize_head, quantize_query, rms_norm, rms_norm_in_place, s4d_scan, scan, scores,
    softmax, softplus_bias, ssd_scan, swiglu, weighted_values,
};
#[cfg(i8mm)]
pub(super) use matmul::Sdot;
pub(in crate::kernels) use matmul::{matmul, matmul_q4};

use core::arch::asm;

/// Whether the processor has SDOT: field DP of ID_AA64ISAR0_EL1. Linux lets programs read it (it traps and emulates the
/// access), without an operating system EL1 may; elsewhere what the program was compiled for decides.
pub(in crate::kernels) fn available() -> bool {
    #[cfg(any(target_os = "linux", target_os = "none"))]
    {
        let features: u64;
        // SAFETY: reading an ID register changes nothing, and Linux and EL1 both allow it.
        unsafe {
            asm!("mrs {}, ID_AA64ISAR0_EL1", out(reg) features, options(pure, nomem, nostack, preserves_flags));
        }
        features >> 44 & 0xF == 1
    }
    #[cfg(not(any(target_os = "linux", target_os = "none")))]
    {
        cfg!(target_feature = "dotprod")
    }
}
