//! S4D-Real (Gu et al. 2022) in Mamba's block: the state space without selectivity.
//!
//! ```text
//! u, z = in_proj(x)
//! u    = silu(conv(u))                  causal, each channel on its own
//! h    = exp(dt A) h + dt B u           dt = exp(log_dt), A = -exp(A_log); dt, B and C are constants of a channel
//! y    = C·h + D u
//! out  = out_proj(y silu(z))
//! ```

use super::convolution::Convolution;
use super::linear::Linear;
use super::loader::Loader;
use super::mamba::State;
use super::math::{dot, silu};
use crate::hf::{ImportError, WeightId};

pub(super) struct S4d {
    in_proj: Linear, // (2E, H)
    conv: Convolution,
    decay: Vec<f32>,  // (E, N), exp(dt A)
    b: Vec<f32>,      // (E, N), dt B
    c: Vec<f32>,      // (E, N)
    d: Vec<f32>,      // (E)
    out_proj: Linear, // (H, E)
}

impl S4d {
    pub(super) fn load(weights: &Loader<'_>, l: usize) -> Result<Self, ImportError> {
        let n = weights.config().mamba_d_state;
        let dt: Vec<f64> = weights.matrix(WeightId::LogDt(l)).read()?.iter().map(|log| f64::from(*log).exp()).collect();
        let constants = |id, f: fn(f64, f64) -> f64| -> Result<Vec<f32>, ImportError> {
            let numbers = weights.matrix(id).read()?;
            Ok(numbers.iter().enumerate().map(|(i, x)| f(dt[i / n], f64::from(*x)) as f32).collect())
        };
        Ok(Self {
            in_proj: weights.linear(WeightId::InProj(l), Some(WeightId::InProjBias(l)))?,
            conv: Convolution::load(weights, l)?,
            decay: constants(WeightId::ALog(l), |dt, a| (-dt * a.exp()).exp())?,
            b: constants(WeightId::S4dB(l), |dt, b| dt * b)?,
            c: weights.matrix(WeightId::S4dC(l)).read()?,
            d: weights.matrix(WeightId::D(l)).read()?,
            out_proj: weights.linear(WeightId::OutProj(l), Some(WeightId::OutProjBias(l)))?,
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
        State { conv: self.conv.empty_state(), ssm: vec![0.0; self.decay.len()] }
    }

    /// (T, H) to (T, H); moves the state on by T tokens.
    pub(super) fn forward(&self, x: &[f32], state: &mut State) -> Vec<f32> {
        let (channels, n) = (self.d.len(), self.decay.len() / self.d.len());
        let u_and_z = self.in_proj.forward(x); // (T, 2E)
        let mut y = self.conv.forward(&u_and_z, 2 * channels, 0, &mut state.conv); // (T, E): u, then what becomes of it
        for (y, u_and_z) in y.chunks_exact_mut(channels).zip(u_and_z.chunks_exact(2 * channels)) {
            for (e, (y, z)) in y.iter_mut().zip(&u_and_z[channels..]).enumerate() {
                let h = &mut state.ssm[e * n..][..n];
                for (j, h) in h.iter_mut().enumerate() {
                    *h = self.decay[e * n + j] * *h + self.b[e * n + j] * *y;
                }
                *y = (dot(h, &self.c[e * n..][..n]) + self.d[e] * *y) * silu(*z);
            }
        }
        self.out_proj.forward(&y)
    }
}
