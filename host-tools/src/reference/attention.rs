//! Grouped-query attention (Ainslie et al. 2023), causal and without positional encoding.
//!
//! ```text
//! q, k, v = q_proj(x), k_proj(x), v_proj(x)
//! a[j]    = softmax over visible j of (q · k[j]) / sqrt(head_dim)
//! out     = o_proj(Σ_j a[j] v[j])
//! ```

use rayon::prelude::*;

use super::Visible;
use super::math::{Linear, dot, softmax};
use super::rounding::{Loader, round_rows};
use crate::hf::{ImportError, WeightId};

pub(super) struct Attention {
    query: Linear,  // (heads D, H)
    key: Linear,    // (kv_heads D, H)
    value: Linear,  // (kv_heads D, H)
    output: Linear, // (H, heads D)
    heads: usize,
    kv_heads: usize,
    head_dim: usize, // D
    /// Whether keys and values are rounded to int8.
    round: bool,
}

/// Keys and values of all tokens so far, each (tokens, kv_heads D).
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Attention {
    pub(super) fn load(weights: &Loader<'_>, l: usize) -> Result<Self, ImportError> {
        let c = weights.config();
        Ok(Self {
            query: weights.linear(WeightId::Query(l), None)?,
            key: weights.linear(WeightId::Key(l), None)?,
            value: weights.linear(WeightId::Value(l), None)?,
            output: weights.linear(WeightId::Output(l), None)?,
            heads: c.num_attention_heads,
            kv_heads: c.num_key_value_heads,
            head_dim: c.head_dim,
            round: weights.cache(),
        })
    }

    /// (T, H) to (T, H); appends T tokens to the cache.
    pub(super) fn forward(&self, x: &[f32], cache: &mut Cache, visible: Visible) -> Vec<f32> {
        let (dim, width) = (self.head_dim, self.kv_heads * self.head_dim);
        let queries = self.query.forward(x); // (T, heads D)
        let before = cache.keys.len() / width;
        let (mut keys, mut values) = (self.key.forward(x), self.value.forward(x));
        if self.round {
            (keys, values) = (round_rows(&keys, dim, dim), round_rows(&values, dim, dim));
        }
        cache.keys.append(&mut keys);
        cache.values.append(&mut values);

        let mut mixed = vec![0.0; queries.len()]; // (T, heads D)
        let rows = mixed.par_chunks_exact_mut(self.heads * dim).zip(queries.par_chunks_exact(self.heads * dim));
        rows.enumerate().for_each(|(t, (mixed, queries))| {
            let position = before + t;
            let seen: Vec<_> = (0..=position).filter(|&j| visible.sees(position, j)).collect();
            for (head, (out, query)) in mixed.chunks_exact_mut(dim).zip(queries.chunks_exact(dim)).enumerate() {
                // Consecutive query heads share a key-value head.
                let offset = head / (self.heads / self.kv_heads) * dim;
                let scale = 1.0 / (dim as f32).sqrt();
                let key = |j: &usize| &cache.keys[j * width + offset..][..dim];
                let mut scores: Vec<_> = seen.iter().map(|j| dot(query, key(j)) * scale).collect();
                softmax(&mut scores);
                for (j, score) in seen.iter().zip(&scores) {
                    let value = &cache.values[j * width + offset..][..dim];
                    out.iter_mut().zip(value).for_each(|(out, v)| *out += score * v);
                }
            }
        });
        self.output.forward(&mixed)
    }
}
