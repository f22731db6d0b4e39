//! SwiGLU (Shazeer 2020): `down(silu(gate(x)) · up(x))`.

use super::norm::{Norm, normalize};
use super::pass::Pass;
use super::rows::{Rows, add_to, take_prefix};
use crate::kernels::{Kernels, Mlp, Mlps, Quantized};
use crate::model::MlpWeights;
use crate::state::{Buffers, QuantBuffer};

/// Adds the block's output to the residual stream.
#[inline(never)]
pub(crate) fn mlp(pass: &mut Pass<'_, '_>, norm: &[f32], w: &MlpWeights<'_>) {
    let (k, tokens, header) = (pass.kernels, pass.tokens, pass.header);
    let Buffers { residual, quant_in, quant_mid, wide, .. } = &mut *pass.buffers;
    let residual = take_prefix(residual, tokens * norm.len());
    let norm = Norm { weight: norm, eps: header.eps };
    let input = normalize(k, residual, norm, header.group as usize, wide[2], quant_in);
    let out = swiglu(k, Mlps { get: &|_| matrices(w), ends: &[tokens] }, &input, quant_mid, wide);
    add_to(k, residual, out, &[], norm.weight.len());
}

/// An MLP as the kernels take it.
pub(super) fn matrices<'m>(w: &MlpWeights<'m>) -> Mlp<'m> {
    Mlp { gate: w.gate, up: w.up, down: w.down }
}

/// The three matrices of one MLP or of several: `(tokens, hidden)` in, `(tokens, hidden)` out, in the third wide buffer.
pub(super) fn swiglu<'b>(
    k: Kernels<'_>,
    mlps: Mlps<'_, '_>,
    input: &Quantized<'_>,
    quant_mid: &mut QuantBuffer<'_>,
    wide: &'b mut [&mut [f32]; 3],
) -> &'b [f32] {
    let (first, tokens) = ((mlps.get)(0), mlps.tokens());
    let width = first.gate.rows();
    let [gate, up, out] = wide;
    let (gate, up) = (take_prefix(gate, tokens * width), take_prefix(up, tokens * width));
    let out = take_prefix(out, tokens * first.down.rows());
    let mut middle = Rows::new(tokens, width, input.group, quant_mid);
    k.gated(mlps, input, middle.beside(gate, width), up);
    k.down(mlps, &middle.into_all(), out);
    out
}
