//! aarch64's baseline (Cortex-A53, A72: Raspberry Pi 3, 4 and Zero 2 W).

mod attention;
mod matmul;
mod rows;
mod s4d;
mod scan;
mod vector;

pub(super) use attention::{scores, softmax, weighted_values};
pub(super) use matmul::{Inner, Sums, Token, matmul, product};
#[cfg(i8mm)]
pub(super) use matmul::{WIDTH, Work};
pub(super) use rows::{
    conv_silu, dot, quantize, quantize_head, quantize_query, rms_norm, rms_norm_in_place, softplus_bias, swiglu,
};
pub(super) use s4d::s4d_scan;
pub(super) use scan::scan;
#[cfg(i8mm)]
pub(super) use vector::{load_bytes, store_bytes};
