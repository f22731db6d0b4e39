//! aarch64 with SMMLA beside SDOT (Armv8.6-A: Cortex-A510 and later, Neoverse V1; no Raspberry Pi up to the 5).

mod matmul;

pub(in crate::kernels) use super::neon::{
    conv_silu, dot, quantize, quantize_head, quantize_query, rms_norm, rms_norm_in_place, s4d_scan, scan, scores,
    softmax, softplus_bias, ssd_scan, swiglu, weighted_values,
};
pub(in crate::kernels) use matmul::{matmul, matmul_q4};

use super::dotprod;
use core::arch::asm;

/// Whether the processor has SMMLA: field I8MM of ID_AA64ISAR1_EL1, read as [`dotprod::available`] reads its own.
pub(in crate::kernels) fn available() -> bool {
    #[cfg(target_os = "linux")]
    {
        let features: u64;
        // SAFETY: reading an ID register changes nothing, and Linux allows it.
        unsafe {
            asm!("mrs {}, ID_AA64ISAR1_EL1", out(reg) features, options(pure, nomem, nostack, preserves_flags));
        }
        dotprod::available() && features >> 52 & 0xF == 1
    }
    #[cfg(not(target_os = "linux"))]
    {
        dotprod::available() && cfg!(target_feature = "i8mm")
    }
}
