//! A typed view of an image: the layers' weights by name and shape. Everything here is infallible after
//! [`Model::parse`] said Ok.

mod baked;
pub mod parameters;
mod prompt;
mod sampling;
mod template;

pub use crate::image::{FeedForward, Header, LayerKind, Mixer};
pub use baked::Baked;
pub use parameters::Parameters;
pub use prompt::Prompt;
pub use sampling::Sampling;
pub use template::Template;

use crate::image::{EXPERT_SECTIONS, Image, ImageError, Role, Section, features};
use crate::matrix::QMatrix;
use crate::planned::planned;
use crate::tokenizer::Tokenizer;
use core::ops::Range;

/// A checked image and its parts.
#[derive(Clone, Copy, Debug)]
pub struct Model<'m> {
    image: Image<'m>,
    prompt: Prompt<'m>,
    template: Option<Template<'m>>,
}

impl<'m> Model<'m> {
    /// Checks an image completely, checksum included.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(image: &'m [u8]) -> Result<Self, ImageError> {
        Self::new(Image::parse(image)?)
    }

    /// As [`Model::parse`], with the caller's CRC-32, see [`Image::parse_with`].
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse_with(image: &'m [u8], checksum: impl FnOnce(&[u8]) -> u32) -> Result<Self, ImageError> {
        Self::new(Image::parse_with(image, checksum)?)
    }

    fn new(image: Image<'m>) -> Result<Self, ImageError> {
        let prompt = image.model_section(Role::Prompt).ok_or(ImageError::Prompt)?;
        let prompt = Prompt::parse(prompt.bytes, image.header().vocab).ok_or(ImageError::Prompt)?;
        let template = match image.model_section(Role::Template) {
            Some(section) => Some(Template::parse(section.bytes, image.header().vocab).ok_or(ImageError::Template)?),
            None => None,
        };
        if let Some(section) = image.model_section(Role::Sampling) {
            Sampling::parse(section.bytes).ok_or(ImageError::Sampling)?;
        }
        if let Some(section) = image.model_section(Role::Tokenizer) {
            Tokenizer::parse(section.bytes, image.header().vocab).map_err(ImageError::Tokenizer)?;
        }
        if let Some(section) = image.model_section(Role::Baked) {
            Baked::parse(section.bytes, image.header().vocab).ok_or(ImageError::Baked)?;
        }
        if let Some(section) = image.model_section(Role::Summary) {
            Parameters::parse(section.bytes, image.header()).map_err(|field| ImageError::Summary { field })?;
        }
        Ok(Self { image, prompt, template })
    }

    /// The image's sizes.
    pub fn header(&self) -> &Header {
        self.image.header()
    }

    /// The checked image.
    pub fn image(&self) -> &Image<'m> {
        &self.image
    }

    /// What saved states are bound to: the checksum of the image, or where it carries a baked prompt, of the image before that.
    pub fn identity(&self) -> u32 {
        self.baked().map_or_else(|| self.image.checksum(), |baked| baked.identity())
    }

    /// The state after a fixed prefix, if the image carries one.
    pub fn baked(&self) -> Option<Baked<'m>> {
        Baked::parse(self.image.model_section(Role::Baked)?.bytes, self.header().vocab)
    }

    /// How summaries are chosen: as the image says, or as usual.
    pub fn parameters(&self) -> Parameters<'m> {
        let section = self.image.model_section(Role::Summary);
        section.and_then(|section| Parameters::parse(section.bytes, self.header()).ok()).unwrap_or(Parameters::USUAL)
    }

    /// The tokens that every text begins with: those of the baked prompt, or else of the prompt's prefix.
    pub fn opening(&self) -> impl ExactSizeIterator<Item = u32> + use<'m> {
        let words = self.baked().map_or(self.prompt.prefix_words(), |baked| baked.words());
        words.iter().map(|id| u32::from_le_bytes(*id))
    }

    /// What stands before and after a text that is to be summarized, and which tokens end the answer.
    pub fn prompt(&self) -> Prompt<'m> {
        self.prompt
    }

    /// What the ids of the prompt don't say, if there is more to say.
    pub fn template(&self) -> Option<Template<'m>> {
        self.template
    }

    /// The ids before a text that is read without the prompt: the template's, or else the token that begins a text.
    pub fn plain_start(&self) -> impl Iterator<Item = u32> + use<'m> {
        let bos = self.header().bos.filter(|_| self.template.is_none());
        let ids = self.template.map(|template| template.plain_start());
        bos.into_iter().chain(ids.into_iter().flatten())
    }

    /// The ids after a text that is read without the prompt.
    pub fn plain_end(&self) -> impl Iterator<Item = u32> + use<'m> {
        self.template.map(|template| template.plain_end()).into_iter().flatten()
    }

    /// How answers are drawn, if the model says so.
    pub fn sampling(&self) -> Option<Sampling> {
        Sampling::parse(self.image.model_section(Role::Sampling)?.bytes)
    }

    /// The tokenizer, if the image carries one.
    pub fn tokenizer(&self) -> Option<Tokenizer<'m>> {
        Tokenizer::view(self.image.model_section(Role::Tokenizer)?.bytes, self.header().vocab).ok()
    }

    /// Embedding of every token, `(vocab, hidden)`.
    #[doc(hidden)]
    pub fn embedding(&self) -> QMatrix<'m> {
        self.matrix(self.image.model_section(Role::Embedding))
    }

    /// The head, `(vocab, hidden)`: the embedding where the two are tied.
    #[doc(hidden)]
    pub fn head(&self) -> QMatrix<'m> {
        match self.header().has(features::TIED) {
            true => self.embedding(),
            false => self.matrix(self.image.model_section(Role::Head)),
        }
    }

    /// Weight of the last norm, `(hidden)`.
    #[doc(hidden)]
    pub fn final_norm(&self) -> &'m [f32] {
        self.image.model_section(Role::FinalNorm).map_or(&[], |section| floats(&section))
    }

    /// The layers from first to last.
    #[doc(hidden)]
    pub fn layers(&self) -> impl Iterator<Item = Layer<'m>> + use<'m> {
        let model = *self;
        (0..self.header().layers).filter_map(move |index| model.layer(index))
    }

    fn layer(&self, index: u32) -> Option<Layer<'m>> {
        let kind = self.image.layer(index)?;
        let mut read = LayerReader::new(self, self.image.layer_indices(index));
        let mixer_norm = read.floats(Role::MixerNorm);
        let mixer = match kind.mixer {
            Mixer::Mamba | Mixer::S4d => MixerWeights::Mamba(MambaWeights {
                in_x: read.matrix(Role::MambaInX),
                in_z: read.matrix(Role::MambaInZ),
                in_bias: read.floats(Role::MambaInBias),
                conv: read.floats(Role::MambaConv),
                conv_bias: read.floats(Role::MambaConvBias),
                ssm: match kind.mixer {
                    Mixer::S4d => SsmWeights::Constant(S4dWeights {
                        decay: read.floats(Role::S4dDecay),
                        b: read.floats(Role::S4dB),
                        c: read.floats(Role::S4dC),
                    }),
                    _ => SsmWeights::Selective(SelectiveWeights {
                        x_proj: read.matrix(Role::MambaXProj),
                        norms: [Role::MambaDtNorm, Role::MambaBNorm, Role::MambaCNorm].map(|norm| read.floats(norm)),
                        dt_proj: read.matrix(Role::MambaDtProj),
                        dt_bias: read.floats(Role::MambaDtBias),
                        a: read.floats(Role::MambaA),
                    }),
                },
                d: read.floats(Role::MambaD),
                out: read.matrix(Role::MambaOut),
                out_bias: read.floats(Role::MambaOutBias),
            }),
            Mixer::Mamba2 => MixerWeights::Mamba2(Mamba2Weights {
                in_x: read.matrix(Role::MambaInX),
                in_z: read.matrix(Role::MambaInZ),
                in_bias: read.floats(Role::MambaInBias),
                conv: read.floats(Role::MambaConv),
                conv_bias: read.floats(Role::MambaConvBias),
                in_bc: read.matrix(Role::Mamba2InBc),
                in_dt: read.matrix(Role::Mamba2InDt),
                bc_bias: read.floats(Role::Mamba2BcBias),
                bc_conv: read.floats(Role::Mamba2BcConv),
                bc_conv_bias: read.floats(Role::Mamba2BcConvBias),
                dt_bias: read.floats(Role::Mamba2DtBias),
                a: read.floats(Role::Mamba2A),
                d: read.floats(Role::MambaD),
                norm: read.floats(Role::Mamba2Norm),
                out: read.matrix(Role::MambaOut),
                out_bias: read.floats(Role::MambaOutBias),
            }),
            Mixer::Attention => MixerWeights::Attention(AttentionWeights {
                q: read.matrix(Role::AttentionQ),
                k: read.matrix(Role::AttentionK),
                v: read.matrix(Role::AttentionV),
                o: read.matrix(Role::AttentionO),
            }),
        };
        let ffn = match kind.ffn {
            FeedForward::None => FfnWeights::None,
            FeedForward::Mlp => FfnWeights::Mlp { norm: read.floats(Role::FfnNorm), mlp: read.mlp(MLP) },
            FeedForward::Moe => FfnWeights::Moe {
                norm: read.floats(Role::FfnNorm),
                moe: MoeWeights {
                    router: read.floats(Role::Router),
                    experts: Experts { model: *self, sections: read.indices },
                },
            },
        };
        Some(Layer { mixer_norm, mixer, ffn })
    }

    fn matrix(&self, section: Option<Section<'m>>) -> QMatrix<'m> {
        let Some(s) = section else { return QMatrix::EMPTY };
        let bits = s.encoding.bits().unwrap_or_default();
        QMatrix::new(s.bytes, bits, s.rows, s.cols, self.header().group as usize)
    }
}

/// Takes the weights of a layer, or of an expert, by their roles.
struct LayerReader<'a, 'm> {
    model: &'a Model<'m>,
    /// Sections of the layer.
    indices: Range<u32>,
    /// The one after that which was taken last.
    next: u32,
}

impl<'a, 'm> LayerReader<'a, 'm> {
    fn new(model: &'a Model<'m>, indices: Range<u32>) -> Self {
        Self { model, next: indices.start, indices }
    }

    /// The section of a role; empty where the model has none.
    fn take(&mut self, role: Role) -> Section<'m> {
        if !role.is_present(self.model.header()) {
            return Section::EMPTY;
        }
        // The next one, if weights are taken in the order in which they lie.
        let mut ahead = (self.next..self.indices.end).chain(self.indices.start..self.next);
        let index = ahead.find(|&index| self.model.image.has_role(index, role));
        debug_assert!(index.is_some() || self.indices.is_empty(), "{role:?} isn't among the layer's sections");
        let Some(index) = index else { return Section::EMPTY };
        self.next = index + 1;
        self.model.image.section(index)
    }

    fn floats(&mut self, role: Role) -> &'m [f32] {
        floats(&self.take(role))
    }

    fn matrix(&mut self, role: Role) -> QMatrix<'m> {
        let section = self.take(role);
        self.model.matrix(Some(section))
    }

    fn mlp(&mut self, [gate, up, down]: [Role; 3]) -> MlpWeights<'m> {
        MlpWeights { gate: self.matrix(gate), up: self.matrix(up), down: self.matrix(down) }
    }
}

/// The matrices of a plain MLP, or of an expert.
const MLP: [Role; 3] = [Role::Gate, Role::Up, Role::Down];

/// The numbers of an `F32` section. Sections lie on multiples of 64 in an image on a multiple of 16, so the cast holds.
fn floats<'m>(section: &Section<'m>) -> &'m [f32] {
    // Bytes that aren't there lie anywhere.
    if section.bytes.is_empty() { &[] } else { planned(bytemuck::try_cast_slice(section.bytes).ok()) }
}

/// One layer: `x += mixer(norm(x)); x += ffn(norm(x))`.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Layer<'m> {
    /// Norm before the mixer, `(hidden)`.
    pub mixer_norm: &'m [f32],
    /// What mixes tokens.
    pub mixer: MixerWeights<'m>,
    /// What follows.
    pub ffn: FfnWeights<'m>,
}

/// Weights of a mixer.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub enum MixerWeights<'m> {
    /// A state space, selective or not.
    Mamba(MambaWeights<'m>),
    /// A state space with heads.
    Mamba2(Mamba2Weights<'m>),
    /// Attention.
    Attention(AttentionWeights<'m>),
}

/// A Mamba block: E = d_inner channels, N = d_state, K = d_conv, R = dt_rank.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct MambaWeights<'m> {
    /// The convolved half of in_proj, `(E, hidden)`.
    pub in_x: QMatrix<'m>,
    /// The gate's half of in_proj, `(E, hidden)`.
    pub in_z: QMatrix<'m>,
    /// Biases of both halves, `(2, E)`, or empty.
    pub in_bias: &'m [f32],
    /// Convolution, `(K, E)`.
    pub conv: &'m [f32],
    /// Bias of the convolution, `(E)`.
    pub conv_bias: &'m [f32],
    /// How the state moves on.
    pub ssm: SsmWeights<'m>,
    /// Skip connection, `(E)`.
    pub d: &'m [f32],
    /// `(hidden, E)`.
    pub out: QMatrix<'m>,
    /// `(hidden)`, or empty.
    pub out_bias: &'m [f32],
}

/// How the state of a Mamba block moves on.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub enum SsmWeights<'m> {
    /// As the token says: Mamba.
    Selective(SelectiveWeights<'m>),
    /// The same for every token: S4D.
    Constant(S4dWeights<'m>),
}

/// What makes dt, B and C of a token.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct SelectiveWeights<'m> {
    /// To dt, B and C: `(R + 2N, E)`.
    pub x_proj: QMatrix<'m>,
    /// Norms of dt, B and C: `(R)`, `(N)`, `(N)`; empty where the model has none.
    pub norms: [&'m [f32]; 3],
    /// `(E, R)`.
    pub dt_proj: QMatrix<'m>,
    /// `(E)`.
    pub dt_bias: &'m [f32],
    /// −exp(A_log)·log2(e), `(E / 8, N, 8)`.
    pub a: &'m [f32],
}

/// The constants of an S4D layer, each `(E / 8, N, 8)`.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct S4dWeights<'m> {
    /// exp(dt·A).
    pub decay: &'m [f32],
    /// dt·B.
    pub b: &'m [f32],
    /// C.
    pub c: &'m [f32],
}

/// A Mamba-2 block: E = d_inner channels, N = d_state, K = d_conv, M heads, W channels of B and C of all groups.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Mamba2Weights<'m> {
    /// The part of in_proj that becomes x, `(E, hidden)`.
    pub in_x: QMatrix<'m>,
    /// The gate's part, `(E, hidden)`.
    pub in_z: QMatrix<'m>,
    /// Biases of both, `(2, E)`, or empty.
    pub in_bias: &'m [f32],
    /// Convolution of x, `(K, E)`.
    pub conv: &'m [f32],
    /// Its bias, `(E)`.
    pub conv_bias: &'m [f32],
    /// The part of in_proj that becomes B and C, `(W, hidden)`.
    pub in_bc: QMatrix<'m>,
    /// The part that becomes dt, `(M, hidden)`.
    pub in_dt: QMatrix<'m>,
    /// Bias of B and C, `(W)`, or empty.
    pub bc_bias: &'m [f32],
    /// Convolution of B and C, `(K, W)`.
    pub bc_conv: &'m [f32],
    /// Its bias, `(W)`.
    pub bc_conv_bias: &'m [f32],
    /// `(M)`.
    pub dt_bias: &'m [f32],
    /// −exp(A_log)·log2(e), `(E)`.
    pub a: &'m [f32],
    /// Skip connection, `(E)`.
    pub d: &'m [f32],
    /// Norm of the gated output, `(E)`.
    pub norm: &'m [f32],
    /// `(hidden, E)`.
    pub out: QMatrix<'m>,
    /// `(hidden)`, or empty.
    pub out_bias: &'m [f32],
}

/// Grouped-query attention.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct AttentionWeights<'m> {
    /// `(heads · head_dim, hidden)`.
    pub q: QMatrix<'m>,
    /// `(kv_heads · head_dim, hidden)`.
    pub k: QMatrix<'m>,
    /// `(kv_heads · head_dim, hidden)`.
    pub v: QMatrix<'m>,
    /// `(hidden, heads · head_dim)`.
    pub o: QMatrix<'m>,
}

/// Weights after the mixer.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub enum FfnWeights<'m> {
    /// Nothing follows.
    None,
    /// SwiGLU.
    Mlp {
        /// Norm before it, `(hidden)`.
        norm: &'m [f32],
        /// Its matrices.
        mlp: MlpWeights<'m>,
    },
    /// Mixture of experts.
    Moe {
        /// Norm before it, `(hidden)`.
        norm: &'m [f32],
        /// Router and experts.
        moe: MoeWeights<'m>,
    },
}

/// SwiGLU: `down(silu(gate(x)) · up(x))`.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct MlpWeights<'m> {
    /// `(intermediate, hidden)`.
    pub gate: QMatrix<'m>,
    /// `(intermediate, hidden)`.
    pub up: QMatrix<'m>,
    /// `(hidden, intermediate)`.
    pub down: QMatrix<'m>,
}

/// Router and experts.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct MoeWeights<'m> {
    /// `(experts, hidden)`.
    pub router: &'m [f32],
    /// The experts, and the MLP beside them, read when a token needs them.
    pub experts: Experts<'m>,
}

/// Experts of a layer by number. Their matrices aren't kept: a layer lies on the stack.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Experts<'m> {
    model: Model<'m>,
    /// Of the layer; the experts' are the last ones.
    sections: Range<u32>,
}

impl<'m> Experts<'m> {
    /// What all tokens go through beside the experts, if there is such an MLP.
    pub fn shared(&self) -> Option<MlpWeights<'m>> {
        let roles = [Role::SharedGate, Role::SharedUp, Role::SharedDown];
        let read = || LayerReader::new(&self.model, self.sections.clone()).mlp(roles);
        (self.model.header().shared_intermediate > 0).then(read)
    }

    /// The matrices of expert `index`; empty past the last.
    pub fn get(&self, index: usize) -> MlpWeights<'m> {
        let experts = EXPERT_SECTIONS * self.model.header().experts;
        let first =
            self.sections.end.saturating_sub(experts).saturating_add(EXPERT_SECTIONS.saturating_mul(index as u32));
        let there = index < self.model.header().experts as usize;
        let indices = if there { first..first.saturating_add(EXPERT_SECTIONS) } else { 0..0 };
        LayerReader::new(&self.model, indices).mlp(MLP)
    }
}
