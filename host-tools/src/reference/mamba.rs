//! The selective state space of Mamba (Gu & Dao 2023), with Jamba's norms on dt, B and C.
//!
//! ```text
//! u, z     = in_proj(x)
//! u        = silu(conv(u))                        causal, each channel on its own
//! dt, B, C = norm of each part of x_proj(u)
//! dt       = softplus(dt_proj(dt))
//! h        = exp(dt A) h + dt B u                 A = -exp(A_log)
//! y        = C·h + D u
//! out      = out_proj(y silu(z))
//! ```

use rayon::prelude::*;

use super::math::{Linear, dot, rms_norm, silu, softplus};
use super::rounding::Loader;
use crate::hf::{ImportError, WeightId};

pub(super) struct Mamba {
    in_proj: Linear,     // (2E, H)
    conv: Vec<f32>,      // (E, K), the last tap meets the newest token
    conv_bias: Vec<f32>, // (E)
    x_proj: Linear,      // (R + 2N, E)
    dt_norm: Vec<f32>,   // (R)
    b_norm: Vec<f32>,    // (N)
    c_norm: Vec<f32>,    // (N)
    dt_proj: Linear,     // (E, R)
    a: Vec<f32>,         // (E, N), -exp(A_log)
    d: Vec<f32>,         // (E)
    out_proj: Linear,    // (H, E)
    eps: f32,
}

/// What a Mamba layer remembers, the same size however long the text is.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// (E, K-1): the last inputs of the convolution, oldest first.
    conv: Vec<f32>,
    /// (E, N).
    ssm: Vec<f32>,
}

impl Mamba {
    pub(super) fn load(weights: &Loader<'_>, l: usize) -> Result<Self, ImportError> {
        let c = weights.config();
        let a_log = weights.matrix(WeightId::ALog(l)).read()?;
        Ok(Self {
            in_proj: weights.linear(WeightId::InProj(l), Some(WeightId::InProjBias(l)))?,
            conv: weights.matrix(WeightId::Conv(l)).read()?,
            conv_bias: match weights.get(WeightId::ConvBias(l)) {
                Some(bias) => bias.read()?,
                None => vec![0.0; c.mamba_d_inner],
            },
            x_proj: weights.linear(WeightId::XProj(l), None)?,
            dt_norm: weights.matrix(WeightId::DtNorm(l)).read()?,
            b_norm: weights.matrix(WeightId::BNorm(l)).read()?,
            c_norm: weights.matrix(WeightId::CNorm(l)).read()?,
            dt_proj: weights.linear(WeightId::DtProj(l), Some(WeightId::DtProjBias(l)))?,
            a: a_log.into_iter().map(|a| -a.exp()).collect(),
            d: weights.matrix(WeightId::D(l)).read()?,
            out_proj: weights.linear(WeightId::OutProj(l), Some(WeightId::OutProjBias(l)))?,
            eps: c.rms_norm_eps,
        })
    }

    pub(super) fn empty_state(&self) -> State {
        let channels = self.d.len();
        State { conv: vec![0.0; self.conv.len() - channels], ssm: vec![0.0; self.a.len()] }
    }

    /// (T, H) to (T, H); moves the state on by T tokens.
    pub(super) fn forward(&self, x: &[f32], state: &mut State) -> Vec<f32> {
        let (channels, rank, n) = (self.d.len(), self.dt_norm.len(), self.b_norm.len());
        let u_and_z = self.in_proj.forward(x); // (T, 2E)
        let u = self.convolve(&u_and_z, state); // (T, E)

        let projected = self.x_proj.forward(&u); // (T, R + 2N)
        let part = |begin: usize, len: usize, norm: &[f32]| {
            let part: Vec<_> =
                projected.chunks_exact(rank + 2 * n).flat_map(|row| &row[begin..begin + len]).copied().collect();
            rms_norm(&part, norm, self.eps)
        };
        let dt = part(0, rank, &self.dt_norm); // (T, R)
        let b = part(rank, n, &self.b_norm); // (T, N)
        let c = part(rank + n, n, &self.c_norm); // (T, N)
        let mut dt = self.dt_proj.forward(&dt); // (T, E)
        dt.iter_mut().for_each(|dt| *dt = softplus(*dt));

        let mut y = self.scan(&u, &dt, &b, &c, state); // (T, E)
        for (y, u_and_z) in y.chunks_exact_mut(channels).zip(u_and_z.chunks_exact(2 * channels)) {
            y.iter_mut().zip(&u_and_z[channels..]).for_each(|(y, z)| *y *= silu(*z));
        }
        self.out_proj.forward(&y)
    }

    /// The causal depthwise convolution of u, the first half of `u_and_z` (T, 2E), and silu: (T, E).
    fn convolve(&self, u_and_z: &[f32], state: &mut State) -> Vec<f32> {
        let channels = self.d.len();
        let taps = self.conv.len() / channels;
        let tokens = u_and_z.len() / (2 * channels);
        let mut out = vec![0.0; tokens * channels];
        let mut line = Vec::new(); // one channel over time, after what the state remembers
        for e in 0..channels {
            let past = &mut state.conv[e * (taps - 1)..][..taps - 1];
            let weight = &self.conv[e * taps..][..taps];
            line.clear();
            line.extend_from_slice(past);
            line.extend(u_and_z.chunks_exact(2 * channels).map(|row| row[e]));
            for t in 0..tokens {
                out[t * channels + e] = silu(dot(&line[t..t + taps], weight) + self.conv_bias[e]);
            }
            past.copy_from_slice(&line[tokens..]);
        }
        out
    }

    /// The recurrence over time, each channel on its own: u, dt (T, E) and B, C (T, N) to C·h + D u (T, E).
    fn scan(&self, u: &[f32], dt: &[f32], b: &[f32], c: &[f32], state: &mut State) -> Vec<f32> {
        /// Channels that a thread takes at a time.
        const BLOCK: usize = 16;
        let (channels, n) = (self.d.len(), self.b_norm.len());
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
