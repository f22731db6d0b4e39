//! x86-64 with AVX2 and F16C (Haswell, Zen).

mod attention;
#[cfg(feature = "narrow-state")]
mod int8_state;
mod matmul;
mod matmul_q4;
mod rows;
mod s4d;
mod scan;
mod ssd;
mod vector;

pub(super) use attention::Pairs;
pub(in crate::kernels) use attention::{scores, softmax, weighted_values};
#[cfg(feature = "narrow-state")]
pub(in crate::kernels) use int8_state::round_state;
pub(in crate::kernels) use matmul::matmul;
pub(super) use matmul::{fits, scales};
pub(in crate::kernels) use matmul_q4::matmul_q4;
pub(in crate::kernels) use rows::{
    conv_silu, dot, quantize, quantize_head, quantize_query, rms_norm, rms_norm_in_place, softplus_bias, swiglu,
};
pub(in crate::kernels) use s4d::s4d_scan;
pub(in crate::kernels) use scan::scan;
pub(super) use ssd::blocks;
pub(in crate::kernels) use ssd::ssd_scan;
pub(super) use vector::{load_f32, load_state, negative_exp2, silu, store_state, to_array, to_int};

use core::arch::x86_64::*;

/// Whether processor and operating system have both.
pub(in crate::kernels) fn available() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const AVX: u32 = 1 << 28;
    const F16C: u32 = 1 << 29;
    const AVX2: u32 = 1 << 5;
    // SSE and AVX registers are saved.
    const STATE: u64 = 0b110;
    let leaf = __cpuid(1);
    leaf.ecx & (OSXSAVE | AVX | F16C) == OSXSAVE | AVX | F16C
        && __cpuid_count(7, 0).ebx & AVX2 == AVX2
        // SAFETY: OSXSAVE says that XGETBV may be used.
        && unsafe { enabled_state() } & STATE == STATE
}

/// The register states that the operating system saves.
///
/// # Safety
/// CPUID must say OSXSAVE.
#[target_feature(enable = "xsave")]
pub(in crate::kernels) unsafe fn enabled_state() -> u64 {
    // SAFETY: the caller's promise.
    unsafe { _xgetbv(0) }
}
