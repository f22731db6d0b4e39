//! Mamba-2, the state-space dual (Dao & Gu 2024), token by token: one decay a head, and B and C of a group of heads.
//!
//! ```text
//! z, xBC, dt = in_proj(x)
//! u, B, C    = silu(conv(xBC))                    causal, each channel on its own
//! dt         = softplus(dt + bias)                a head; kept within time_step_limit
//! h          = exp(dt A) h + (dt u) ⊗ B           A = -exp(A_log), a head; h is (head_dim, N)
//! y          = h·C + D u
//! out        = out_proj(norm(y silu(z)))          the RMS norm is over the channels of a group
//! ```
//!
//! transformers bounds dt by time_step_limit where it reads several tokens at once and not where it reads one: bounded it is what
//! the model was trained with.

use rayon::prelude::*;

use super::convolution::Convolution;
use super::linear::Linear;
use super::loader::Loader;
use super::mamba::State;
use super::math::{dot, rms_norm, silu, softplus};
use crate::hf::config::Mamba2Config;
use crate::hf::{ImportError, WeightId};

pub(super) struct Mamba2 {
    in_proj: Linear,   // (2E + 2GN + M, H)
    conv: Convolution, // of E + 2GN channels
    dt_bias: Vec<f32>, // (M)
    a: Vec<f32>,       // (M), -exp(A_log)
    d: Vec<f32>,       // (M)
    norm: Vec<f32>,    // (E)
    out_proj: Linear,  // (H, E)
    sizes: Mamba2Config,
    n: usize, // N
    eps: f32,
}

impl Mamba2 {
    pub(super) fn load(weights: &Loader<'_>, l: usize) -> Result<Self, ImportError> {
        let c = weights.config();
        let a_log = weights.matrix(WeightId::ALog(l)).read()?;
        Ok(Self {
            in_proj: weights.linear(WeightId::InProj(l), Some(WeightId::InProjBias(l)))?,
            conv: Convolution::load(weights, l)?,
            dt_bias: weights.matrix(WeightId::DtBias(l)).read()?,
            a: a_log.into_iter().map(|a| -a.exp()).collect(),
            d: weights.matrix(WeightId::D(l)).read()?,
            norm: weights.matrix(WeightId::GatedNorm(l)).read()?,
            out_proj: weights.linear(WeightId::OutProj(l), Some(WeightId::OutProjBias(l)))?,
            sizes: c.mamba2.expect("only models of Mamba-2 have its layers"),
            n: c.mamba_d_state,
            eps: c.mixer_rms_eps,
        })
    }

    /// The matrix of this name.
    pub(super) fn linear_mut(&mut self, id: WeightId) -> Option<&mut Linear> {
        match id {
            WeightId::InProj(_) => Some(&mut self.in_proj),
            WeightId::OutProj(_) => Some(&mut self.out_proj),
            _ => None,
        }
    }

    pub(super) fn empty_state(&self) -> State {
        State { conv: self.conv.empty_state(), ssm: vec![0.0; self.norm.len() * self.n] }
    }

    /// (T, H) to (T, H); moves the state on by T tokens.
    pub(super) fn forward(&self, x: &[f32], state: &mut State) -> Vec<f32> {
        let (channels, heads) = (self.norm.len(), self.sizes.heads);
        let projected = self.in_proj.forward(x); // (T, 2E + 2GN + M)
        let width = 2 * channels + 2 * self.sizes.groups * self.n + heads;
        let convolved = self.conv.forward(&projected, width, channels, &mut state.conv); // (T, E + 2GN)
        let [least, largest] = self.sizes.step_limit;
        let steps = projected.chunks_exact(width).flat_map(|row| row[width - heads..].iter().zip(&self.dt_bias));
        let dt: Vec<f32> = steps.map(|(dt, bias)| softplus(dt + bias).clamp(least, largest)).collect(); // (T, M)

        let mut y = self.scan(&convolved, &dt, &mut state.ssm); // (T, E)
        for (y, row) in y.chunks_exact_mut(channels).zip(projected.chunks_exact(width)) {
            y.iter_mut().zip(row).for_each(|(y, z)| *y *= silu(*z));
            let group = channels / self.sizes.groups;
            for (y, norm) in y.chunks_exact_mut(group).zip(self.norm.chunks_exact(group)) {
                y.copy_from_slice(&rms_norm(y, norm, self.eps));
            }
        }
        self.out_proj.forward(&y)
    }

    /// The recurrence over time, each head on its own: u, B, C (T, E + 2GN) and dt (T, M) to h·C + D u (T, E).
    fn scan(&self, convolved: &[f32], dt: &[f32], state: &mut [f32]) -> Vec<f32> {
        let (channels, n, Mamba2Config { heads, groups, .. }) = (self.norm.len(), self.n, self.sizes);
        let (dim, row) = (channels / heads, channels + 2 * groups * n);
        let tokens = dt.len() / heads;
        let mut y = vec![0.0; tokens * channels]; // (M, T, dim) until the last line
        y.par_chunks_mut(tokens * dim).zip(state.par_chunks_mut(dim * n)).enumerate().for_each(|(head, (y, h))| {
            let group = head / (heads / groups);
            for (t, (y, convolved)) in y.chunks_exact_mut(dim).zip(convolved.chunks_exact(row)).enumerate() {
                let u = &convolved[head * dim..][..dim];
                let b = &convolved[channels + group * n..][..n];
                let c = &convolved[channels + (groups + group) * n..][..n];
                let dt = dt[t * heads + head];
                let decay = (dt * self.a[head]).exp();
                for ((y, u), h) in y.iter_mut().zip(u).zip(h.chunks_exact_mut(n)) {
                    h.iter_mut().zip(b).for_each(|(h, b)| *h = decay * *h + dt * u * b);
                    *y = dot(h, c) + self.d[head] * u;
                }
            }
        });
        let of_head = |t: usize, head: usize| y[(head * tokens + t) * dim..][..dim].iter().copied();
        (0..tokens).flat_map(|t| (0..heads).flat_map(move |head| of_head(t, head))).collect()
    }
}
