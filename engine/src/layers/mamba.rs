//! The Mamba block (Gu and Dao 2023), with Jamba's norms on dt, B and C where the model has them (Lieber et al. 2024,
//! section 2), and what it came from: the same block with S4D (Gu et al. 2022) in its middle.
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
//!
//! In S4D, dt, B and C are constants of a channel, so exp(dt·A) and dt·B are too: the image has them ready.

use super::norm::{Norm, normalize};
use super::pass::Pass;
use super::rows::{
    NUMBER, add_bias, add_to, change_and_quantize, quantize_rows, sequences, sequences_mut, take_prefix,
};
use crate::kernels::{Columns, Product, S4dScan, Scan};
use crate::model::{MambaWeights, S4dWeights, SsmWeights};
use crate::state::MambaState;

/// Adds the block's output to the residual stream and moves on the sequences' states of Mamba layer `layer`.
#[inline(never)]
pub(crate) fn mamba(
    pass: &mut Pass<'_, '_>,
    norm: &[f32],
    w: &MambaWeights<'_>,
    states: &mut MambaState<'_>,
    layer: usize,
) {
    let (k, tokens, each, header) = (pass.kernels, pass.tokens, pass.each, pass.header);
    let group = header.group as usize;
    let (e, n, rank) = (w.d.len(), header.d_state as usize, header.dt_rank as usize);
    let row = rank + 2 * n;
    let b = &mut *pass.buffers;
    let [x, z, wide] = &mut b.wide;
    let (x, z) = (take_prefix(x, tokens * e), take_prefix(z, tokens * e));
    let residual = take_prefix(b.residual, tokens * norm.len());

    let norm = Norm { weight: norm, eps: header.eps };
    let input = normalize(k, residual, norm, group, wide, &mut b.quant_in);
    k.products(&mut [Product::new(&w.in_x, x), Product::new(&w.in_z, z)], &input);
    if let Some((x_bias, z_bias)) = w.in_bias.split_at_checked(e)
        && !x_bias.is_empty()
    {
        add_bias(k, x, x_bias);
        add_bias(k, z, z_bias);
    }

    for (sequence, x) in sequences_mut(x, each * e).enumerate() {
        // Mamba-2's convolutions, which have more channels, may be in the same image.
        let history = take_prefix(states.layer(sequence, layer).conv, w.conv.len() - e);
        k.conv_silu(x, w.conv, w.conv_bias, history);
    }

    match &w.ssm {
        SsmWeights::Selective(s) => {
            let convolved = quantize_rows(k, x, e, group, &mut b.quant_mid);
            let selective = take_prefix(b.narrow, tokens * row);
            k.matmul(&s.x_proj, &convolved, selective);
            let [dt_norm, b_norm, c_norm] = s.norms;
            let rows = (&mut *selective, row, rank);
            let steps = change_and_quantize(k, rows, group, &mut b.quant_in, 2 * NUMBER, &|_, row| {
                let (to_dt, bc) = row.split_at_mut(rank.min(row.len()));
                let (to_b, to_c) = bc.split_at_mut(n.min(bc.len()));
                for (x, weight) in [(to_dt, dt_norm), (to_b, b_norm), (to_c, c_norm)] {
                    if !weight.is_empty() {
                        k.rms_norm_in_place(x, weight, header.mixer_eps);
                    }
                }
            });
            let dt = take_prefix(wide, tokens * e);
            k.matmul(&s.dt_proj, &steps, dt);
            k.softplus_bias(dt, s.dt_bias);

            let others = sequences(dt, each * e).zip(sequences(z, each * e)).zip(sequences(selective, each * row));
            for (sequence, (x, ((dt, z), bc))) in sequences_mut(x, each * e).zip(others).enumerate() {
                let (u, state) = (Columns::new(x, e), states.layer(sequence, layer));
                let (a, d, width, state) = (s.a, w.d, state.width, state.ssm);
                let scan = Scan { u, first: 0, dt, z, stride: e, bc, row, a, d, state, d_state: n };
                k.scan_stored(scan, width, pass.position);
            }
        }
        SsmWeights::Constant(S4dWeights { decay, b, c }) => {
            for (sequence, (x, z)) in sequences_mut(x, each * e).zip(sequences(z, each * e)).enumerate() {
                let (u, state) = (Columns::new(x, e), states.layer(sequence, layer));
                let (d, width, state) = (w.d, state.width, state.ssm);
                let scan = S4dScan { u, first: 0, z, stride: e, decay, b, c, d, state, d_state: n };
                k.s4d_scan_stored(scan, width, pass.position);
            }
        }
    }

    let gated = quantize_rows(k, x, e, group, &mut b.quant_mid);
    let out = take_prefix(wide, residual.len());
    k.matmul(&w.out, &gated, out);
    add_to(k, residual, out, w.out_bias, norm.weight.len());
}
