//! The causal depthwise convolution before a state space.

use super::loader::Loader;
use super::math::{dot, silu};
use crate::hf::{ImportError, WeightId};

pub(super) struct Convolution {
    weight: Vec<f32>, // (channels, K), the last tap meets the newest token
    bias: Vec<f32>,   // (channels)
}

impl Convolution {
    pub(super) fn load(weights: &Loader<'_>, l: usize) -> Result<Self, ImportError> {
        Ok(Self {
            weight: weights.matrix(WeightId::Conv(l)).read()?,
            bias: match weights.get(WeightId::ConvBias(l)) {
                Some(bias) => bias.read()?,
                None => vec![0.0; weights.matrix(WeightId::Conv(l)).rows()],
            },
        })
    }

    /// What is remembered before any token: (channels, K-1), the last inputs, oldest first.
    pub(super) fn empty_state(&self) -> Vec<f32> {
        vec![0.0; self.weight.len() - self.bias.len()]
    }

    /// The convolution of the columns from `first` on of `x` (T, width), and silu: (T, channels).
    pub(super) fn forward(&self, x: &[f32], width: usize, first: usize, state: &mut [f32]) -> Vec<f32> {
        let channels = self.bias.len();
        let taps = self.weight.len() / channels;
        let tokens = x.len() / width;
        let mut out = vec![0.0; tokens * channels];
        let mut line = Vec::new(); // one channel over time, after what the state remembers
        for e in 0..channels {
            let past = &mut state[e * (taps - 1)..][..taps - 1];
            let weight = &self.weight[e * taps..][..taps];
            line.clear();
            line.extend_from_slice(past);
            line.extend(x.chunks_exact(width).map(|row| row[first + e]));
            for t in 0..tokens {
                out[t * channels + e] = silu(dot(&line[t..t + taps], weight) + self.bias[e]);
            }
            past.copy_from_slice(&line[tokens..]);
        }
        out
    }
}
