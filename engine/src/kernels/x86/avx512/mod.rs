//! x86-64 with AVX-512 F, BW, VL and VNNI (Ice Lake, Zen 4).

mod attention;
mod matmul;
mod matmul_q4;
mod scan;
mod ssd;
mod vector;

pub(in crate::kernels) use super::avx2::{
    conv_silu, dot, quantize, quantize_head, quantize_query, rms_norm, rms_norm_in_place, s4d_scan, softplus_bias,
    swiglu,
};
pub(in crate::kernels) use attention::{scores, softmax, weighted_values, weighted_values_of};
pub(in crate::kernels) use matmul::matmul;
pub(in crate::kernels) use matmul_q4::matmul_q4;
pub(in crate::kernels) use scan::scan;
pub(in crate::kernels) use ssd::ssd_scan;

use super::avx2;
use core::arch::x86_64::*;

/// Whether processor and operating system have them all.
pub(in crate::kernels) fn available() -> bool {
    const F: u32 = 1 << 16;
    const BW: u32 = 1 << 30;
    const VL: u32 = 1 << 31;
    const VNNI: u32 = 1 << 11;
    // Opmask registers and the upper halves of the vectors.
    const STATE: u64 = 0b1110_0000;
    let leaf = __cpuid_count(7, 0);
    avx2::available()
        && leaf.ebx & (F | BW | VL) == F | BW | VL
        && leaf.ecx & VNNI == VNNI
        // SAFETY: `avx2::available` saw that the operating system allows XGETBV.
        && unsafe { avx2::enabled_state() } & STATE == STATE
}
