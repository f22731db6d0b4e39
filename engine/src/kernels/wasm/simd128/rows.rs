//! Kernels that treat every number of a row alike: to int8 and int16, convolution and activations. Where a row ends with fewer
//! numbers than these take at a time, the portable kernels do the rest.

use super::vector::{add, load, map, max_abs, mul, silu, softplus, store, store_i16, to_array, to_i8, to_i16};
use crate::kernels::operands::Conv;
use crate::kernels::portable::{self, scale_for};

/// A group to int8.
#[inline(always)]
fn quantize_blocks(x: &[[f32; 8]], q: &mut [[i8; 8]]) -> f32 {
    let (scale, inverse) = scale_for(max_abs(x.as_flattened()), 127.0);
    for (x, q) in x.iter().zip(q) {
        *q = to_i8(load(x), inverse);
    }
    scale
}

pub(in crate::kernels) fn quantize(x: &[f32], group: usize, values: &mut [i8], scales: &mut [f32]) {
    let (x8, q8) = (x.as_chunks::<8>(), values.as_chunks_mut::<8>());
    if !x8.1.is_empty() || !q8.1.is_empty() || x8.0.len() != q8.0.len() || !group.is_multiple_of(8) || group == 0 {
        return portable::quantize(x, group, values, scales);
    }
    for ((x, q), scale) in x8.0.chunks(group / 8).zip(q8.0.chunks_mut(group / 8)).zip(scales) {
        *scale = quantize_blocks(x, q);
    }
}

pub(in crate::kernels) fn quantize_head(x: &[f32], out: &mut [i8]) -> f32 {
    match (x.as_chunks::<8>(), out.as_chunks_mut::<8>()) {
        ((x, []), (q, [])) if x.len() == q.len() => quantize_blocks(x, q),
        _ => portable::quantize_head(x, out),
    }
}

pub(in crate::kernels) fn quantize_query(x: &[f32], out: &mut [i16]) -> f32 {
    let ((blocks, []), (q, [])) = (x.as_chunks::<8>(), out.as_chunks_mut::<8>()) else {
        return portable::quantize_query(x, out);
    };
    let (scale, inverse) = scale_for(max_abs(x), 32767.0);
    for (x, q) in blocks.iter().zip(q) {
        store_i16(q, to_i16(load(x), inverse));
    }
    scale
}

pub(in crate::kernels) fn conv_silu(conv: Conv<'_>) {
    portable::conv_with(conv, |sum| to_array(map(load(&sum), silu)));
}

pub(in crate::kernels) fn softplus_bias(dt: &mut [f32], bias: &[f32]) {
    let (bias8, []) = bias.as_chunks::<8>() else {
        return portable::softplus_bias(dt, bias);
    };
    for row in dt.chunks_exact_mut(bias.len().max(1)) {
        for (dt, bias) in row.as_chunks_mut::<8>().0.iter_mut().zip(bias8) {
            store(dt, map(add(load(dt), load(bias)), softplus));
        }
    }
}

pub(in crate::kernels) fn swiglu(gate: &mut [f32], up: &[f32]) {
    let ((gate, gate_rest), (up, up_rest)) = (gate.as_chunks_mut::<8>(), up.as_chunks::<8>());
    for (gate, up) in gate.iter_mut().zip(up) {
        store(gate, mul(map(load(gate), silu), load(up)));
    }
    portable::swiglu(gate_rest, up_rest);
}
