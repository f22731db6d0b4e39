//! aarch64's baseline (Cortex-A53, A72: Raspberry Pi 3, 4 and Zero 2 W).

mod attention;
mod matmul;
mod rows;
mod s4d;
mod scan;
mod ssd;
mod vector;

pub(in crate::kernels) use attention::{scores, softmax, weighted_values};
pub(in crate::kernels) use matmul::{Inner, Sums, Token, matmul, matmul_q4, product};
#[cfg(i8mm)]
pub(in crate::kernels) use matmul::{WIDTH, Work};
pub(in crate::kernels) use rows::{
    conv_silu, dot, quantize, quantize_head, quantize_query, rms_norm, rms_norm_in_place, softplus_bias, swiglu,
};
pub(in crate::kernels) use s4d::s4d_scan;
pub(in crate::kernels) use scan::scan;
pub(in crate::kernels) use ssd::ssd_scan;
#[cfg(i8mm)]
pub(in crate::kernels) use vector::{load_bytes, store_bytes};
