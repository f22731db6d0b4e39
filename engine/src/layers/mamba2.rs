//! The Mamba-2 block, the state-space dual (Dao and Gu 2024, section 7): Mamba with one decay a head, whose scan takes far fewer
//! exponentials and so can have far more states.
//!
//! ```text
//! z, x, BC, dt = in_proj(u)                       (tokens, E) twice, (tokens, 2·G·N), (tokens, M)
//! x, BC        = silu(conv(x)), silu(conv(BC))    causal, depthwise, K taps
//! dt           = softplus(dt + bias)              (tokens, M), kept within the header's limits
//! h[t]         = exp(dt·A)·h[t−1] + (dt·x) ⊗ B    (E, N): dt and A of the channel's head, B and C of its group
//! y            = (h·C + D·x) · silu(z)            (tokens, E)
//! out          = out_proj(norm(y))                (tokens, hidden), the RMS norm over the E / G channels of a group
//! ```
//!
//! In an image, the channels of a group are padded to a multiple of 8. Padding stays zero all the way: its weights are.

use super::norm::{Norm, normalize};
use super::pass::Pass;
use super::rows::{NUMBER, add_bias, add_to, change_and_quantize, row, sequences, sequences_mut, take_prefix};
use crate::kernels::{Columns, Product, SsdScan, TokenRows};
use crate::model::{Header, Mamba2Weights};
use crate::planned::planned;
use crate::state::MambaState;

/// Adds the block's output to the residual stream and moves on the sequences' states of Mamba layer `layer`.
#[inline(never)]
pub(crate) fn mamba2(
    pass: &mut Pass<'_, '_>,
    norm: &[f32],
    w: &Mamba2Weights<'_>,
    states: &mut MambaState<'_>,
    layer: usize,
) {
    let (k, tokens, each, header) = (pass.kernels, pass.tokens, pass.each, pass.header);
    let group = header.group as usize;
    let (e, bc_row, heads) = (w.d.len(), w.bc_conv_bias.len(), w.dt_bias.len());
    let shared = header.ssm_group_channels() as usize;
    let b = &mut *pass.buffers;
    let [x, z, wide] = &mut b.wide;
    let (x, z) = (take_prefix(x, tokens * e), take_prefix(z, tokens * e));
    let (bc, steps) = planned(take_prefix(b.narrow, tokens * (bc_row + heads)).split_at_mut_checked(tokens * bc_row));
    let residual = take_prefix(b.residual, tokens * norm.len());

    let norm = Norm { weight: norm, eps: header.eps };
    let input = normalize(k, residual, norm, group, wide, &mut b.quant_in);
    let products = [(&w.in_z, &mut *z), (&w.in_x, x), (&w.in_bc, bc), (&w.in_dt, steps)];
    k.products(&mut products.map(|(w, out)| Product::new(w, out)), &input);
    if let Some((x_bias, z_bias)) = w.in_bias.split_at_checked(e)
        && !x_bias.is_empty()
    {
        add_bias(k, x, x_bias);
        add_bias(k, z, z_bias);
        add_bias(k, bc, w.bc_bias);
    }

    for (sequence, (x, bc)) in sequences_mut(x, each * e).zip(sequences_mut(bc, each * bc_row)).enumerate() {
        let state = states.layer(sequence, layer);
        let (x_history, bc_history) = planned(state.conv.split_at_mut_checked(w.conv.len() - e));
        k.conv_silu(x, w.conv, w.conv_bias, x_history);
        k.conv_silu(bc, w.bc_conv, w.bc_conv_bias, take_prefix(bc_history, w.bc_conv.len() - bc_row));
    }

    k.softplus_bias(steps, w.dt_bias);
    let dt = take_prefix(wide, tokens * e);
    let rows = TokenRows { x: &mut *dt, width: e, values: &mut [], scales: &mut [] };
    k.tokens(tokens, NUMBER, rows, &|token, channels| spread(row(steps, token, heads), header, channels.x));

    let (a, d, n) = (w.a, w.d, header.d_state as usize);
    let others = sequences(dt, each * e).zip(sequences(z, each * e)).zip(sequences(bc, each * bc_row));
    for (sequence, (x, ((dt, z), bc))) in sequences_mut(x, each * e).zip(others).enumerate() {
        let (u, state) = (Columns::new(x, e), states.layer(sequence, layer));
        let (width, state) = (state.width, state.ssm);
        let scan = SsdScan { u, first: 0, dt, z, stride: e, bc, row: bc_row, shared, a, d, state, d_state: n };
        k.ssd_scan_stored(scan, width, pass.position);
    }

    let gated = change_and_quantize(k, (x, e, e), group, &mut b.quant_mid, 2 * NUMBER, &|_, y| {
        for (y, weight) in y.chunks_exact_mut(shared.max(1)).zip(w.norm.chunks_exact(shared.max(1))) {
            k.rms_norm_in_place(y, weight, header.mixer_eps);
        }
    });
    let out = take_prefix(wide, residual.len());
    k.matmul(&w.out, &gated, out);
    add_to(k, residual, out, w.out_bias, norm.weight.len());
}

/// Gives each head's step, kept within the header's limits, to its channels; padding gets none.
fn spread(steps: &[f32], header: &Header, channels: &mut [f32]) {
    let (dim, shared) = (header.ssm_head_dim as usize, header.ssm_group_channels() as usize);
    let in_group = steps.len() / (header.ssm_groups as usize).max(1);
    let [least, largest] = header.step_limit;
    for (steps, channels) in steps.chunks_exact(in_group.max(1)).zip(channels.chunks_exact_mut(shared.max(1))) {
        channels.fill(0.0);
        for (step, channels) in steps.iter().zip(channels.chunks_exact_mut(dim.max(1))) {
            let step = if *step < least { least } else { *step };
            channels.fill(if step > largest { largest } else { step });
        }
    }
}
