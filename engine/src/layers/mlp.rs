//! SwiGLU (Shazeer 2020): `down(silu(gate(x)) · up(x))`.

use super::norm::{Norm, normalize};
use super::pass::Pass;
use super::rows::{EXPONENTIAL, add_to, change_and_quantize, row, take_prefix};
use crate::kernels::{Kernels, Product, Quantized};
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
    let out = swiglu(k, w, &input, quant_mid, wide);
    add_to(k, residual, out, &[], norm.weight.len());
}

/// The three matrices: `(tokens, hidden)` in, `(tokens, hidden)` out, in the third wide buffer.
pub(super) fn swiglu<'b>(
    k: Kernels<'_>,
    w: &MlpWeights<'_>,
    input: &Quantized<'_>,
    quant_mid: &mut QuantBuffer<'_>,
    wide: &'b mut [&mut [f32]; 3],
) -> &'b [f32] {
    let [gate, up, out] = wide;
    let (tokens, width) = (input.tokens(), w.gate.rows());
    let (gate, up) = (take_prefix(gate, tokens * width), take_prefix(up, tokens * width));
    let out = take_prefix(out, tokens * w.down.rows());
    k.products(&mut [Product::new(&w.gate, gate), Product::new(&w.up, up)], input);
    let middle = change_and_quantize(k, (gate, width, width), input.group, quant_mid, EXPONENTIAL, &|token, gate| {
        k.swiglu(gate, row(up, token, width));
    });
    k.matmul(&w.down, &middle, out);
    out
}
