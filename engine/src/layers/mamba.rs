//! The Mamba block (Gu and Dao 2023) with Jamba's norms on dt, B and C (Lieber et al. 2024, section 2).
//!
//! ```text
//! x, z      = in_proj(u)                          (tokens, E) each
//! x         = silu(conv(x))                       causal, depthwise, K taps
//! dt, B, C  = x_proj(x)                           (tokens, R), (tokens, N), (tokens, N), each through its RMS norm
//! dt        = softplus(dt_proj(dt) + bias)        (tokens, E)
//! h[t]      = exp(dt·A)·h[t−1] + dt·B·x           (E, N)
//! y         = (h·C + D·x) · silu(z)               (tokens, E)
//! out       = out_proj(y)                         (tokens, hidden)
//! ```

use super::{Pass, add_bias, add_rows, first, normalize, quantize_rows};
use crate::kernels::{Columns, Scan, StateScalar};
use crate::model::MambaWeights;

/// Adds the block's output to the residual stream. `conv (K − 1, E)` and `ssm (E / 8, N, 8)` are this layer's state.
pub(crate) fn mamba<S: StateScalar>(
    pass: &mut Pass<'_, '_>,
    norm: &[f32],
    w: &MambaWeights<'_>,
    conv: &mut [f32],
    ssm: &mut [S],
) {
    let (k, tokens, header) = (pass.kernels, pass.tokens, pass.header);
    let (group, eps) = (header.group as usize, header.eps);
    let (e, n, rank) = (w.d.len(), header.d_state as usize, header.dt_rank as usize);
    let row = rank + 2 * n;
    let b = &mut *pass.buffers;
    let [x, z, dt] = &mut b.wide;
    let (x, z, dt) = (first(x, tokens * e), first(z, tokens * e), first(dt, tokens * e));
    let residual = first(b.residual, tokens * norm.len());

    let input = normalize(k, residual, (norm, eps), group, b.normed, (&mut *b.quant_in.0, &mut *b.quant_in.1));
    k.matmul(&w.in_x, &input, x);
    k.matmul(&w.in_z, &input, z);
    if let Some((x_bias, z_bias)) = w.in_bias.split_at_checked(e)
        && !x_bias.is_empty()
    {
        add_bias(x, x_bias);
        add_bias(z, z_bias);
    }

    k.conv_silu(x, w.conv, w.conv_bias, conv);

    let convolved = quantize_rows(k, x, e, e, group, (&mut *b.quant_mid.0, &mut *b.quant_mid.1));
    let selective = first(b.narrow, tokens * row);
    k.matmul(&w.x_proj, &convolved, selective);
    for row in selective.chunks_exact_mut(row.max(1)) {
        let (to_dt, bc) = row.split_at_mut(rank.min(row.len()));
        let (to_b, to_c) = bc.split_at_mut(n.min(bc.len()));
        for (x, weight) in [(to_dt, w.dt_norm), (to_b, w.b_norm), (to_c, w.c_norm)] {
            k.rms_norm_in_place(x, weight, eps);
        }
    }

    let steps = quantize_rows(k, selective, row, rank, group, (&mut *b.quant_in.0, &mut *b.quant_in.1));
    k.matmul(&w.dt_proj, &steps, dt);
    k.softplus_bias(dt, w.dt_bias);

    let (u, bc) = (Columns::new(x, e), &*selective);
    k.scan(Scan { u, first: 0, dt, z, stride: e, bc, row, a: w.a, d: w.d, state: ssm, d_state: n });

    let gated = quantize_rows(k, x, e, e, group, (&mut *b.quant_mid.0, &mut *b.quant_mid.1));
    let out = first(b.wide[2], residual.len());
    k.matmul(&w.out, &gated, out);
    add_rows(residual, out);
    add_bias(residual, w.out_bias);
}
