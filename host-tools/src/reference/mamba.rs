//! The selective state space of Mamba (Gu & Dao 2023), with Jamba's norms on dt, B and C.
//!
//! ```text
//! u, z     = in_proj(x)
//! u        = silu(conv(u))                        causal, each channel on its own
//! dt, B, C = norm of each part of x_proj(u)      Mamba has no norms, FalconMamba has them without weights
//! dt       = softplus(dt_proj(dt))
//! h        = exp(dt A) h + dt B u                 A = -exp(A_log)
//! y        = C·h + D u
//! out      = out_proj(y silu(z))
//! ```

use rayon::prelude::*;

use super::convolution::Convolution;
use super::linear::Linear;
use super::loader::Loader;
use super::math::{dot, rms_norm, silu, softplus};
use crate::hf::config::Family;
use crate::hf::{ImportError, WeightId};

pub(super) struct Mamba {
    in_proj: Linear, // (2E, H)
    conv: Convolution,
    x_proj: Linear,               // (R + 2N, E)
    norms: Option<[Vec<f32>; 3]>, // (R), (N), (N): of dt, B and C
    dt_proj: Linear,              // (E, R)
    a: Vec<f32>,                  // (E, N), -exp(A_log)
    d: Vec<f32>,                  // (E)
    out_proj: Linear,             // (H, E)
    rank: usize,                  // R
    n: usize,                     // N
    eps: f32,
}

/// What a Mamba layer remembers, the same size however long the text is.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// (E, K-1): the last inputs of the convolution, oldest first.
    pub(super) conv: Vec<f32>,
    /// (E, N).
    pub(super) ssm: Vec<f32>,
}

impl Mamba {
    pub(super) fn load(weights: &Loader<'_>, l: usize) -> Result<Self, ImportError> {
        let c = weights.config();
        let a_log = weights.matrix(WeightId::ALog(l)).read()?;
        Ok(Self {
            in_proj: weights.linear(WeightId::InProj(l), Some(WeightId::InProjBias(l)))?,
            conv: Convolution::load(weights, l)?,
            x_proj: weights.linear(WeightId::XProj(l), None)?,
            norms: match c.family {
                Family::Mamba | Family::Mamba2 | Family::Granite => None,
                Family::FalconMamba => Some([c.mamba_dt_rank, c.mamba_d_state, c.mamba_d_state].map(|n| vec![1.0; n])),
                Family::Jamba | Family::Jamlet => Some([
                    weights.matrix(WeightId::DtNorm(l)).read()?,
                    weights.matrix(WeightId::BNorm(l)).read()?,
                    weights.matrix(WeightId::CNorm(l)).read()?,
                ]),
            },
            dt_proj: weights.linear(WeightId::DtProj(l), Some(WeightId::DtProjBias(l)))?,
            a: a_log.into_iter().map(|a| -a.exp()).collect(),
            d: weights.matrix(WeightId::D(l)).read()?,
            out_proj: weights.linear(WeightId::OutProj(l), Some(WeightId::OutProjBias(l)))?,
            rank: c.mamba_dt_rank,
            n: c.mamba_d_state,
            eps: c.mixer_rms_eps,
        })
    }

    /// The matrix of this name.
    pub(super) fn linear_mut(&mut self, id: WeightId) -> Option<&mut Linear> {
        match id {
            WeightId::InProj(_) => Some(&mut self.in_proj),
            WeightId::XProj(_) => Some(&mut self.x_proj),
            WeightId::DtProj(_) => Some(&mut self.dt_proj),
            WeightId::OutProj(_) => Some(&mut self.out_proj),
            _ => None,
        }
    }

    pub(super) fn empty_state(&self) -> State {
        State { conv: self.conv.empty_state(), ssm: vec![0.0; self.a.len()] }
    }

    /// (T, H) to (T, H); moves the state on by T tokens.
    pub(super) fn forward(&self, x: &[f32], state: &mut State) -> Vec<f32> {
        let (channels, rank, n) = (self.d.len(), self.rank, self.n);
        let u_and_z = self.in_proj.forward(x); // (T, 2E)
        let u = self.conv.forward(&u_and_z, 2 * channels, 0, &mut state.conv); // (T, E)

        let projected = self.x_proj.forward(&u); // (T, R + 2N)
        let part = |begin: usize, len: usize, norm: usize| {
            let part: Vec<_> =
                projected.chunks_exact(rank + 2 * n).flat_map(|row| &row[begin..begin + len]).copied().collect();
            match &self.norms {
                Some(norms) => rms_norm(&part, &norms[norm], self.eps),
                None => part,
            }
        };
        let dt = part(0, rank, 0); // (T, R)
        let b = part(rank, n, 1); // (T, N)
        let c = part(rank + n, n, 2); // (T, N)
        let mut dt = self.dt_proj.forward(&dt); // (T, E)
        dt.iter_mut().for_each(|dt| *dt = softplus(*dt));

        let mut y = self.scan(&u, &dt, &b, &c, state); // (T, E)
        for (y, u_and_z) in y.chunks_exact_mut(channels).zip(u_and_z.chunks_exact(2 * channels)) {
            y.iter_mut().zip(&u_and_z[channels..]).for_each(|(y, z)| *y *= silu(*z));
        }
        self.out_proj.forward(&y)
    }

    /// The recurrence over time, each channel on its own: u, dt (T, E) and B, C (T, N) to C·h + D u (T, E).
    fn scan(&self, u: &[f32], dt: &[f32], b: &[f32], c: &[f32], state: &mut State) -> Vec<f32> {
        /// Channels that a thread takes at a time.
        const BLOCK: usize = 16;
        let (channels, n) = (self.d.len(), self.n);
        let tokens = u.len() / channels;
        let mut y = vec![0.0; u.len()]; // (E, T) until the last line
        y.par_chunks_mut(BLOCK * tokens).zip(state.ssm.par_chunks_mut(BLOCK * n)).enumerate().for_each(
            |(block, (y, h))| {
                for (i, (y, h)) in y.chunks_exact_mut(tokens).zip(h.chunks_exact_mut(n)).enumerate() {
                    let e = block * BLOCK + i;
                    let a = &self.a[e * n..][..n];
                    for (t, y) in y.iter_mut().enumerate() {
                        let (u, dt) = (u[t * channels + e], dt[t * channels + e]);
                        for (j, h) in h.iter_mut().enumerate() {
                            *h = (dt * a[j]).exp() * *h + dt * b[t * n + j] * u;
                        }
                        *y = dot(h, &c[t * n..][..n]) + self.d[e] * u;
                    }
                }
            },
        );
        (0..tokens).flat_map(|t| y.iter().skip(t).step_by(tokens).copied()).collect()
    }
}
