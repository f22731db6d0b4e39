//! The reference: a Jamba, or one of its relatives, in f32, straight from its checkpoint, to be read beside the paper (Lieber et al. 2024).
//!
//! It says what a packed image should compute, so it favours plainness over memory: all weights are held in f32, and the
//! cache of an attention layer grows with the text. It equals transformers' `JambaForCausalLM`, `MambaForCausalLM`,
//! `FalconMambaForCausalLM`, `Mamba2ForCausalLM` and `GraniteMoeHybridForCausalLM` in f32, which the fixtures under
//! `tests/fixtures/checkpoints` show.
//!
//! Shapes in comments are rows × columns, row after row in memory: T tokens of this call, H hidden, E Mamba channels,
//! N state, R dt rank, K taps, I intermediate, V vocabulary.

mod attention;
mod convolution;
mod feed_forward;
mod linear;
mod loader;
mod mamba;
mod mamba2;
mod math;
mod rounding;
mod s4d;
mod walk;

use std::path::Path;

use crate::hf::config::{FeedForward, JambaConfig, Mixer};
use crate::hf::{ImportError, WeightId, Weights};
use linear::Linear;
use loader::Loader;
use math::{add_scaled, rms_norm};

pub use attention::Visible;
pub use rounding::Rounding;
pub use walk::Walk;

/// A model in f32.
pub struct Reference {
    config: JambaConfig,
    embedding: Vec<f32>, // (V, H)
    layers: Vec<Layer>,
    final_norm: Vec<f32>, // (H)
    /// (V, H); `None` if it is the embedding.
    head: Option<Linear>,
    visible: Visible,
}

struct Layer {
    mixer_norm: Vec<f32>, // (H)
    mixer: MixerWeights,
    ffn_norm: Vec<f32>, // (H)
    ffn: FfnWeights,
}

enum MixerWeights {
    Mamba(mamba::Mamba),
    Mamba2(mamba2::Mamba2),
    Attention(attention::Attention),
    S4d(s4d::S4d),
}

enum FfnWeights {
    None,
    Mlp(feed_forward::Mlp),
    Moe(feed_forward::Moe),
}

/// What a text leaves behind: continue from it with [`Reference::step`].
#[derive(Clone, Debug)]
pub struct State {
    layers: Vec<LayerState>,
    position: usize,
}

#[derive(Clone, Debug)]
enum LayerState {
    Mamba(mamba::State),
    Attention(attention::Cache),
}

impl State {
    /// Tokens seen so far.
    pub fn position(&self) -> usize {
        self.position
    }
}

/// A token that the model has no embedding for.
#[derive(Debug, thiserror::Error)]
#[error("token {token} is outside of the vocabulary of {vocab}")]
pub struct UnknownToken {
    /// The token.
    pub token: u32,
    /// The vocabulary's size.
    pub vocab: usize,
}

impl Reference {
    /// Loads the Hugging Face folder `dir` into memory, 4 bytes a parameter.
    ///
    /// # Errors
    /// If the folder can't be imported, see [`Weights::open`].
    pub fn load(dir: &Path) -> Result<Self, ImportError> {
        Self::from_weights(&Weights::open(dir)?)
    }

    /// Reads all weights of a checked checkpoint.
    ///
    /// # Errors
    /// If a file can't be read, or a number is NaN or infinite.
    pub fn from_weights(weights: &Weights) -> Result<Self, ImportError> {
        Self::from_loader(&Loader { weights, rounding: None })
    }

    /// As [`Reference::from_weights`], rounding where an int8 engine rounds.
    ///
    /// # Errors
    /// As [`Reference::from_weights`].
    pub fn rounded(weights: &Weights, rounding: Rounding<'_>) -> Result<Self, ImportError> {
        Self::from_loader(&Loader { weights, rounding: Some(rounding) })
    }

    fn from_loader(weights: &Loader<'_>) -> Result<Self, ImportError> {
        let config = weights.config().clone();
        let layer = |(l, kind): (usize, jamlet::image::LayerKind)| {
            Ok(Layer {
                mixer_norm: weights.matrix(WeightId::MixerNorm(l)).read()?,
                mixer: match kind.mixer {
                    Mixer::Mamba => MixerWeights::Mamba(mamba::Mamba::load(weights, l)?),
                    Mixer::Mamba2 => MixerWeights::Mamba2(mamba2::Mamba2::load(weights, l)?),
                    Mixer::Attention => MixerWeights::Attention(attention::Attention::load(weights, l)?),
                    Mixer::S4d => MixerWeights::S4d(s4d::S4d::load(weights, l)?),
                },
                ffn_norm: match kind.ffn {
                    FeedForward::None => Vec::new(),
                    _ => weights.matrix(WeightId::FfnNorm(l)).read()?,
                },
                ffn: match kind.ffn {
                    FeedForward::Moe => FfnWeights::Moe(feed_forward::Moe::load(weights, l)?),
                    FeedForward::None => FfnWeights::None,
                    FeedForward::Mlp => FfnWeights::Mlp(feed_forward::Mlp::load(weights, |p| WeightId::Mlp(l, p))?),
                },
            })
        };
        Ok(Self {
            embedding: weights.embedding()?,
            layers: config.layers().enumerate().map(layer).collect::<Result<_, ImportError>>()?,
            final_norm: weights.matrix(WeightId::FinalNorm).read()?,
            head: match config.tie_word_embeddings && weights.rounding.is_none() {
                true => None,
                false => Some(weights.linear(WeightId::Head, None)?),
            },
            config,
            visible: Visible::All,
        })
    }

    /// The same model with attention that forgets. Mamba layers are not touched.
    #[must_use]
    pub fn with_visible(self, visible: Visible) -> Self {
        Self { visible, ..self }
    }

    /// The model's sizes.
    pub fn config(&self) -> &JambaConfig {
        &self.config
    }

    /// The state before any token.
    pub fn empty_state(&self) -> State {
        State { layers: self.layers.iter().map(Layer::empty_state).collect(), position: 0 }
    }

    /// Logits of every position of a text that begins at `tokens[0]`: (T, V).
    ///
    /// # Errors
    /// If a token is outside of the vocabulary.
    pub fn forward(&self, tokens: &[u32]) -> Result<Vec<f32>, UnknownToken> {
        self.extend(&mut self.empty_state(), tokens)
    }

    /// Logits after one more token: (V).
    ///
    /// # Errors
    /// If the token is outside of the vocabulary; the state is then unchanged.
    pub fn step(&self, state: &mut State, token: u32) -> Result<Vec<f32>, UnknownToken> {
        self.extend(state, &[token])
    }

    /// Logits of every one of `tokens`, which continue the text behind `state`: (T, V).
    ///
    /// # Errors
    /// If a token is outside of the vocabulary; the state is then unchanged.
    pub fn extend(&self, state: &mut State, tokens: &[u32]) -> Result<Vec<f32>, UnknownToken> {
        let x = self.hidden(state, tokens)?;
        Ok(self.logits(&x))
    }

    /// What goes into the head for every one of `tokens`: (T, H), normed. For a large vocabulary, feed rows of it to
    /// [`Reference::logits`] piece by piece.
    ///
    /// # Errors
    /// If a token is outside of the vocabulary; the state is then unchanged.
    pub fn hidden(&self, state: &mut State, tokens: &[u32]) -> Result<Vec<f32>, UnknownToken> {
        let mut x = self.embed(tokens)?;
        if tokens.is_empty() {
            return Ok(x);
        }
        for (layer, state) in self.layers.iter().zip(&mut state.layers) {
            layer.forward(&mut x, state, self);
        }
        state.position += tokens.len();
        Ok(rms_norm(&x, &self.final_norm, self.config.rms_norm_eps))
    }

    /// The residual stream of tokens before the first layer: (T, H).
    fn embed(&self, tokens: &[u32]) -> Result<Vec<f32>, UnknownToken> {
        let hidden = self.config.hidden_size;
        let mut x = Vec::with_capacity(tokens.len() * hidden);
        for &token in tokens {
            let row = self.embedding.chunks_exact(hidden).nth(token as usize);
            let row = row.ok_or(UnknownToken { token, vocab: self.config.vocab_size })?;
            x.extend(row.iter().map(|x| x * self.config.multipliers.embedding));
        }
        Ok(x)
    }

    /// The head: rows of [`Reference::hidden`] (T, H) to logits (T, V).
    pub fn logits(&self, hidden: &[f32]) -> Vec<f32> {
        let mut logits = match &self.head {
            Some(head) => head.forward(hidden),
            None => math::matmul(hidden, &self.embedding, self.config.hidden_size),
        };
        let scaling = self.config.multipliers.logits;
        logits.iter_mut().for_each(|x| *x /= scaling);
        logits
    }
}

impl Layer {
    fn empty_state(&self) -> LayerState {
        match &self.mixer {
            MixerWeights::Mamba(m) => LayerState::Mamba(m.empty_state()),
            MixerWeights::Mamba2(m) => LayerState::Mamba(m.empty_state()),
            MixerWeights::S4d(s) => LayerState::Mamba(s.empty_state()),
            MixerWeights::Attention(_) => LayerState::Attention(attention::Cache::default()),
        }
    }

    /// Adds what this layer of `model` makes of the residual stream (T, H) to it.
    fn forward(&self, x: &mut [f32], state: &mut LayerState, model: &Reference) {
        let (eps, residual) = (model.config.rms_norm_eps, model.config.multipliers.residual);
        let normed = rms_norm(x, &self.mixer_norm, eps);
        let mixed = match (&self.mixer, state) {
            (MixerWeights::Mamba(m), LayerState::Mamba(s)) => m.forward(&normed, s),
            (MixerWeights::Mamba2(m), LayerState::Mamba(s)) => m.forward(&normed, s),
            (MixerWeights::S4d(m), LayerState::Mamba(s)) => m.forward(&normed, s),
            (MixerWeights::Attention(a), LayerState::Attention(s)) => a.forward(&normed, s, model.visible),
            _ => panic!("this state belongs to another model"),
        };
        add_scaled(x, &mixed, residual);
        let fed_forward = match &self.ffn {
            FfnWeights::None => return,
            FfnWeights::Mlp(mlp) => mlp.forward(&rms_norm(x, &self.ffn_norm, eps)),
            FfnWeights::Moe(moe) => moe.forward(&rms_norm(x, &self.ffn_norm, eps)),
        };
        add_scaled(x, &fed_forward, residual);
    }
}
