//! Texts on their way through the layers: all tokens through one layer, then through the next, so that what a change of one
//! matrix does needs no layer before it a second time.

use super::linear::Linear;
use super::loader::as_in_an_image;
use super::math::rms_norm;
use super::{FfnWeights, MixerWeights, Reference, UnknownToken};
use crate::hf::WeightId;
use crate::pack::Format;

/// The residual stream of a text that began with an empty state, between two layers.
#[derive(Clone, Debug)]
pub struct Walk {
    /// (T, H).
    x: Vec<f32>,
    /// Layers that are behind it.
    passed: usize,
}

impl Walk {
    /// Layers that are behind it.
    pub fn passed(&self) -> usize {
        self.passed
    }
}

impl Reference {
    /// A text before the first layer.
    ///
    /// # Errors
    /// If a token is outside of the vocabulary.
    pub fn enter(&self, tokens: &[u32]) -> Result<Walk, UnknownToken> {
        Ok(Walk { x: self.embed(tokens)?, passed: 0 })
    }

    /// Takes a text through one more layer; behind the last, nothing happens.
    pub fn pass(&self, walk: &mut Walk) {
        if let Some(layer) = self.layers.get(walk.passed) {
            layer.forward(&mut walk.x, &mut layer.empty_state(), self);
            walk.passed += 1;
        }
    }

    /// Takes a text through the layers that are left: its logits, (T, V).
    pub fn leave(&self, mut walk: Walk) -> Vec<f32> {
        while walk.passed < self.layers.len() {
            self.pass(&mut walk);
        }
        self.logits(&rms_norm(&walk.x, &self.final_norm, self.config.rms_norm_eps))
    }

    /// Rounds a matrix as an image has it, and returns what it was before, for [`Reference::put`]. `None` where it isn't held: a
    /// head that is the embedding, and what isn't the matrix of a product.
    pub fn round(&mut self, id: WeightId, cols: usize, format: Format) -> Option<Vec<f32>> {
        let before = self.weights_mut(id)?.clone();
        let rounded = as_in_an_image(&self.config, (id, cols), &before, format);
        self.put(id, rounded);
        Some(before)
    }

    /// Replaces the weights of a matrix, (out, in).
    ///
    /// # Panics
    /// If there are not as many as before.
    pub fn put(&mut self, id: WeightId, weights: Vec<f32>) {
        if let Some(held) = self.weights_mut(id) {
            assert_eq!(held.len(), weights.len(), "{id:?} has another shape");
            *held = weights;
        }
    }

    /// Begins to add up what is known of the inputs of a product.
    pub fn watch(&mut self, id: WeightId) {
        if let Some(linear) = self.linear_mut(id) {
            linear.watch();
        }
    }

    /// Ends [`Reference::watch`]: XᵀX (in, in) of all inputs X (T, in) since. `None` for what is no product, or wasn't watched.
    pub fn seen(&mut self, id: WeightId) -> Option<Vec<f64>> {
        self.linear_mut(id)?.seen()
    }

    fn weights_mut(&mut self, id: WeightId) -> Option<&mut Vec<f32>> {
        match id {
            WeightId::Embedding => Some(&mut self.embedding),
            _ => self.linear_mut(id).map(Linear::weight_mut),
        }
    }

    fn linear_mut(&mut self, id: WeightId) -> Option<&mut Linear> {
        use WeightId as W;
        match id {
            W::Head => self.head.as_mut(),
            W::InProj(l) | W::XProj(l) | W::DtProj(l) | W::OutProj(l) => match &mut self.layers.get_mut(l)?.mixer {
                MixerWeights::Mamba(mamba) => mamba.linear_mut(id),
                MixerWeights::Mamba2(mamba) => mamba.linear_mut(id),
                MixerWeights::S4d(s4d) => s4d.linear_mut(id),
                MixerWeights::Attention(_) => None,
            },
            W::Query(l) | W::Key(l) | W::Value(l) | W::Output(l) => match &mut self.layers.get_mut(l)?.mixer {
                MixerWeights::Attention(attention) => attention.linear_mut(id),
                _ => None,
            },
            W::Mlp(l, which) => match &mut self.layers.get_mut(l)?.ffn {
                FfnWeights::Mlp(mlp) => Some(mlp.linear_mut(which)),
                _ => None,
            },
            W::Expert(l, ..) | W::Shared(l, _) => match &mut self.layers.get_mut(l)?.ffn {
                FfnWeights::Moe(moe) => moe.linear_mut(id),
                _ => None,
            },
            _ => None,
        }
    }
}
