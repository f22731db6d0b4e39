//! SwiGLU (Shazeer 2020), and the mixture of several.
//!
//! ```text
//! mlp(x) = down(silu(gate(x)) up(x))
//! p      = softmax(router(x))                     over all experts
//! moe(x) = Σ over the k largest p of p[e] mlp_e(x)        p as it is: it need not sum to 1
//! ```
//!
//! Granite has an MLP for all tokens beside the experts, and its softmax is over the k largest alone:
//!
//! ```text
//! p      = softmax(the k largest of router(x))
//! moe(x) = shared(x) + Σ p[e] mlp_e(x)
//! ```

use super::linear::Linear;
use super::loader::Loader;
use super::math::{add, silu, softmax};
use crate::hf::{ImportError, Projection, WeightId};

pub(super) struct Mlp {
    gate: Linear, // (I, H)
    up: Linear,   // (I, H)
    down: Linear, // (H, I)
}

impl Mlp {
    /// Reads the three matrices that `id` names.
    pub(super) fn load(weights: &Loader<'_>, id: impl Fn(Projection) -> WeightId) -> Result<Self, ImportError> {
        Ok(Self {
            gate: weights.linear(id(Projection::Gate), None)?,
            up: weights.linear(id(Projection::Up), None)?,
            down: weights.linear(id(Projection::Down), None)?,
        })
    }

    /// One of the three.
    pub(super) fn linear_mut(&mut self, which: Projection) -> &mut Linear {
        match which {
            Projection::Gate => &mut self.gate,
            Projection::Up => &mut self.up,
            Projection::Down => &mut self.down,
        }
    }

    /// (T, H) to (T, H).
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut inner = self.gate.forward(x); // (T, I)
        inner.iter_mut().zip(self.up.forward(x)).for_each(|(gate, up)| *gate = silu(*gate) * up);
        self.down.forward(&inner)
    }
}

pub(super) struct Moe {
    router: Linear, // (experts, H)
    experts: Vec<Mlp>,
    /// What all tokens go through, in Granite.
    shared: Option<Mlp>,
    /// Experts a token visits, k.
    visited: usize,
    hidden: usize,
}

impl Moe {
    pub(super) fn load(weights: &Loader<'_>, l: usize) -> Result<Self, ImportError> {
        let c = weights.config();
        let expert = |e| Mlp::load(weights, |p| WeightId::Expert(l, e, p));
        Ok(Self {
            router: {
                let router = weights.matrix(WeightId::Router(l));
                Linear::new(router.read()?, vec![], router.cols(), None)
            },
            experts: (0..c.num_experts).map(expert).collect::<Result<_, _>>()?,
            shared: match c.shared_intermediate_size {
                0 => None,
                _ => Some(Mlp::load(weights, |p| WeightId::Shared(l, p))?),
            },
            visited: c.num_experts_per_tok,
            hidden: c.hidden_size,
        })
    }

    /// The matrix of this name.
    pub(super) fn linear_mut(&mut self, id: WeightId) -> Option<&mut Linear> {
        match id {
            WeightId::Shared(_, which) => Some(self.shared.as_mut()?.linear_mut(which)),
            WeightId::Expert(_, expert, which) => Some(self.experts.get_mut(expert)?.linear_mut(which)),
            _ => None,
        }
    }

    /// (T, H) to (T, H). Expert by expert, so that each sees all of its tokens at once.
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let hidden = self.hidden;
        let mut visits: Vec<Vec<(usize, f32)>> = vec![vec![]; self.experts.len()]; // token, p
        for (t, p) in self.router.forward(x).chunks_exact_mut(self.experts.len()).enumerate() {
            if self.shared.is_none() {
                softmax(p);
            }
            let mut order: Vec<_> = (0..p.len()).collect();
            order.sort_by(|&a, &b| p[b].total_cmp(&p[a]).then(a.cmp(&b)));
            let mut chosen: Vec<_> = order[..self.visited].iter().map(|&e| p[e]).collect();
            if self.shared.is_some() {
                softmax(&mut chosen);
            }
            order.iter().zip(chosen).for_each(|(&e, p)| visits[e].push((t, p)));
        }
        let mut out = match &self.shared {
            Some(shared) => shared.forward(x),
            None => vec![0.0; x.len()],
        };
        for (expert, visits) in self.experts.iter().zip(&visits).filter(|(_, visits)| !visits.is_empty()) {
            let input: Vec<_> = visits.iter().flat_map(|(t, _)| &x[t * hidden..][..hidden]).copied().collect();
            let output = expert.forward(&input);
            for ((t, p), output) in visits.iter().zip(output.chunks_exact(hidden)) {
                let scaled: Vec<_> = output.iter().map(|y| p * y).collect();
                add(&mut out[t * hidden..][..hidden], &scaled);
            }
        }
        out
    }
}
