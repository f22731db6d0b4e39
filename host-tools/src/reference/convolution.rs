//! The causal depthwise convolution before a state space.

use super::loader::Loader;
use super::math::{dot, silu};
use crate::hf::{ImportError, WeightId};

pub(super) struct Convolution {
    weight: Vec<f32>, // (E, K), the last tap meets the newest token
    bias: Vec<f32>,   // (E)
}

impl Convolution {
    pub(super) fn load(weights: &Loader<'_>, l: usize) -> Result<Self, ImportError> {
        Ok(Self {
            weight: weights.matrix(WeightId::Conv(l)).read()?,
            bias: match weights.get(WeightId::ConvBias(l)) {
                Some(bias) => bias.read()?,
                None => vec![0.0; weights.config().mamba_d_inner],
            },
        })
    }

    /// What is remembered before any token: (E, K-1), the last inputs, oldest first.
    pub(super) fn empty_state(&self) -> Vec<f32> {
        vec![0.0; self.weight.len() - self.bias.len()]
    }

    /// The convolution of u, the first half of `u_and_z` (T, 2E), and silu: (T, E).
    pub(super) fn forward(&self, u_and_z: &[f32], state: &mut [f32]) -> Vec<f32> {
        let channels = self.bias.len();
        let taps = self.weight.len() / channels;
        let tokens = u_and_z.len() / (2 * channels);
        let mut out = vec![0.0; tokens * channels];
        let mut line = Vec::new(); // one channel over time, after what the state remembers
        for e in 0..channels {
            let past = &mut state[e * (taps - 1)..][..taps - 1];
            let weight = &self.weight[e * taps..][..taps];
            line.clear();
            line.extend_from_slice(past);
            line.extend(u_and_z.chunks_exact(2 * channels).map(|row| row[e]));
            for t in 0..tokens {
                out[t * channels + e] = silu(dot(&line[t..t + taps], weight) + self.bias[e]);
            }
            past.copy_from_slice(&line[tokens..]);
        }
        out
    }
}
