//! SwiGLU (Shazeer 2020): `down(silu(gate(x)) · up(x))`.

use super::{Pass, add_rows, normalize, quantize_rows, take_prefix};
use crate::kernels::{Kernels, Quantized};
use crate::model::MlpWeights;
use crate::state::Buffers;

/// Adds the block's output to the residual stream.
#[inline(never)]
pub(crate) fn mlp(pass: &mut Pass<'_, '_>, norm: &[f32], w: &MlpWeights<'_>) {
    let (k, tokens, header) = (pass.kernels, pass.tokens, pass.header);
    let group = header.group as usize;
    let b = &mut *pass.buffers;
    let Buffers { residual, normed, quant_in, quant_mid, wide, .. } = b;
    let residual = take_prefix(residual, tokens * norm.len());
    let input = normalize(k, residual, (norm, header.eps), group, normed, (&mut *quant_in.0, &mut *quant_in.1));
    let out = swiglu(k, w, &input, (&mut *quant_mid.0, &mut *quant_mid.1), wide);
    add_rows(residual, out);
}

/// The three matrices: `(tokens, hidden)` in, `(tokens, hidden)` out, in the third wide buffer.
pub(super) fn swiglu<'b>(
    k: Kernels<'_>,
    w: &MlpWeights<'_>,
    input: &Quantized<'_>,
    quant_mid: (&mut [i8], &mut [f32]),
    [gate, up, out]: &'b mut [&mut [f32]; 3],
) -> &'b [f32] {
    let (tokens, width) = (input.tokens(), w.gate.rows());
    let (gate, up) = (take_prefix(gate, tokens * width), take_prefix(up, tokens * width));
    let out = take_prefix(out, tokens * w.down.rows());
    k.matmul(&w.gate, input, gate);
    k.matmul(&w.up, input, up);
    k.swiglu(gate, up);
    let middle = quantize_rows(k, gate, width, width, input.group, quant_mid);
    k.matmul(&w.down, &middle, out);
    out
}
