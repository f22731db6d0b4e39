//! Granite's multipliers, which an image doesn't have: they are folded into its weights and norms, and nothing is left to compute.
//!
//! With e the embedding's multiplier, r the residual one, a that of attention and l what logits are divided by, the residual
//! stream x is stored as x / r:
//!
//! ```text
//! x = e·E                   x/r = (e/r)·E            the embedding is multiplied by e / r
//! x += r·f(norm(x))         x/r += f(norm(x))
//! norm(x)                   the norm of x/r with epsilon ε / r²
//! scores = a·(q·k)          the engine divides by √head_dim: q_proj is multiplied by a·√head_dim
//! logits = head(norm(x))/l  the final norm is divided by l, and by e / r where the head is the embedding
//! ```

use crate::hf::{JambaConfig, WeightId};

/// What an image's weight is multiplied by.
pub(crate) fn factor(c: &JambaConfig, id: WeightId) -> f32 {
    let m = c.multipliers;
    let embedding = f64::from(m.embedding) / f64::from(m.residual);
    let factor = match id {
        WeightId::Embedding => embedding,
        WeightId::Head if c.tie_word_embeddings => embedding,
        WeightId::FinalNorm if c.tie_word_embeddings => 1.0 / (f64::from(m.logits) * embedding),
        WeightId::FinalNorm => 1.0 / f64::from(m.logits),
        WeightId::Query(_) => m.attention.map_or(1.0, |a| f64::from(a) * (c.head_dim as f64).sqrt()),
        _ => 1.0,
    };
    factor as f32
}

/// Epsilon of the norms of an image's residual stream.
pub(super) fn eps(c: &JambaConfig) -> f32 {
    (f64::from(c.rms_norm_eps) / f64::from(c.multipliers.residual).powi(2)) as f32
}
