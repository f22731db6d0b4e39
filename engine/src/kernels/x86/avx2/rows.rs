//! Kernels that treat every number of a row alike: convolution, activations, and those that the compiler vectorises.

use super::vector::{load_f32, silu, softplus, to_array};
use crate::kernels::operands::Conv;
use crate::kernels::{math, portable};
use core::arch::x86_64::*;

compiled! { "avx2,f16c":
    fn quantize(x: &[f32], group: usize, values: &mut [i8], scales: &mut [f32]);
    fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]);
    fn rms_norm_in_place(x: &mut [f32], weight: &[f32], eps: f32);
    fn quantize_query(q: &[f32], out: &mut [i16]) -> f32;
    fn quantize_head(x: &[f32], out: &mut [i8]) -> f32;
    fn dot(a: &[f32], b: &[f32]) -> f32;
}

#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn conv_silu(conv: Conv<'_>) {
    portable::conv_with(conv, |sum| to_array(silu(load_f32(&sum))));
}

#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn softplus_bias(dt: &mut [f32], bias: &[f32]) {
    for row in dt.chunks_exact_mut(bias.len().max(1)) {
        let (blocks, rest) = row.as_chunks_mut::<8>();
        let (biases, bias_rest) = bias.as_chunks::<8>();
        for (dt, bias) in blocks.iter_mut().zip(biases) {
            *dt = to_array(softplus(_mm256_add_ps(load_f32(dt), load_f32(bias))));
        }
        for (dt, bias) in rest.iter_mut().zip(bias_rest) {
            *dt = math::softplus(*dt + bias);
        }
    }
}

#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn swiglu(gate: &mut [f32], up: &[f32]) {
    let (blocks, rest) = gate.as_chunks_mut::<8>();
    let (ups, up_rest) = up.as_chunks::<8>();
    for (gate, up) in blocks.iter_mut().zip(ups) {
        *gate = to_array(_mm256_mul_ps(silu(load_f32(gate)), load_f32(up)));
    }
    portable::swiglu(rest, up_rest);
}
