//! Which sections an image has, in which order and shape: implied by header and layer table.

use super::{Encoding, FeedForward, Header, LayerKind, Mixer, NONE_U16, Role, SIGNATURE_BYTES, features};
use crate::matrix::tile_bytes;

/// A section as header and layers imply it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionSpec {
    /// What it holds.
    pub role: Role,
    /// Its layer, or [`NONE_U16`].
    pub layer: u16,
    /// Its expert, or [`NONE_U16`].
    pub expert: u16,
    /// How its numbers are stored.
    pub encoding: Encoding,
    /// Rows and columns, or `None` where the section decides: text of any length.
    pub shape: Option<(u32, u32)>,
}

impl SectionSpec {
    /// Length in bytes, where header and layers imply it.
    pub fn bytes(&self, header: &Header) -> Option<u64> {
        let (rows, cols) = self.shape?;
        Some(match self.encoding {
            Encoding::F32 => 4 * u64::from(rows) * u64::from(cols),
            Encoding::Q8 => u64::from(rows.div_ceil(8)) * tile_bytes(cols as usize, header.group as usize) as u64,
            Encoding::Bytes => u64::from(cols),
        })
    }
}

const MODEL: [Role; 8] = [
    Role::Embedding,
    Role::FinalNorm,
    Role::Head,
    Role::Tokenizer,
    Role::Prompt,
    Role::Provenance,
    Role::Baked,
    Role::Signature,
];
const MAMBA: [Role; 16] = [
    Role::MixerNorm,
    Role::MambaInX,
    Role::MambaInZ,
    Role::MambaInBias,
    Role::MambaConv,
    Role::MambaConvBias,
    Role::MambaXProj,
    Role::MambaDtNorm,
    Role::MambaBNorm,
    Role::MambaCNorm,
    Role::MambaDtProj,
    Role::MambaDtBias,
    Role::MambaA,
    Role::MambaD,
    Role::MambaOut,
    Role::MambaOutBias,
];
const S4D: [Role; 12] = [
    Role::MixerNorm,
    Role::MambaInX,
    Role::MambaInZ,
    Role::MambaInBias,
    Role::MambaConv,
    Role::MambaConvBias,
    Role::S4dDecay,
    Role::S4dB,
    Role::S4dC,
    Role::MambaD,
    Role::MambaOut,
    Role::MambaOutBias,
];
const ATTENTION: [Role; 5] = [Role::MixerNorm, Role::AttentionQ, Role::AttentionK, Role::AttentionV, Role::AttentionO];
const MLP: [Role; 4] = [Role::FfnNorm, Role::Gate, Role::Up, Role::Down];
const MOE: [Role; 2] = [Role::FfnNorm, Role::Router];
const EXPERT: [Role; 3] = [Role::Gate, Role::Up, Role::Down];

fn present(header: &Header, role: Role) -> bool {
    match role {
        Role::Head => !header.has(features::TIED),
        Role::Tokenizer => header.has(features::TOKENIZER),
        Role::Baked => header.has(features::BAKED),
        Role::Signature => header.has(features::SIGNED),
        Role::MambaInBias | Role::MambaOutBias => header.has(features::PROJ_BIAS),
        Role::MambaDtNorm | Role::MambaBNorm | Role::MambaCNorm => !header.has(features::PLAIN_MAMBA),
        _ => true,
    }
}

/// Encoding and shape of a section; `None` for the shape of a section that decides itself.
fn shape(header: &Header, role: Role) -> (Encoding, Option<(u32, u32)>) {
    use Encoding::{Bytes, F32, Q8};
    let h = header;
    // In bounds: `Header::read` caps each factor.
    let (q_width, kv_width) = (h.heads * h.head_dim, h.kv_heads * h.head_dim);
    let (encoding, rows, cols) = match role {
        Role::Embedding | Role::Head => (Q8, h.vocab, h.hidden),
        Role::FinalNorm | Role::MixerNorm | Role::FfnNorm => (F32, 1, h.hidden),
        Role::Tokenizer | Role::Prompt | Role::Provenance | Role::Baked => return (Bytes, None),
        Role::Signature => (Bytes, 1, SIGNATURE_BYTES as u32),
        Role::MambaInX | Role::MambaInZ => (Q8, h.d_inner, h.hidden),
        Role::MambaInBias => (F32, 2, h.d_inner),
        Role::MambaConv => (F32, h.d_conv, h.d_inner),
        Role::MambaConvBias | Role::MambaDtBias | Role::MambaD => (F32, 1, h.d_inner),
        Role::MambaXProj => (Q8, h.dt_rank + 2 * h.d_state, h.d_inner),
        Role::MambaDtNorm => (F32, 1, h.dt_rank),
        Role::MambaBNorm | Role::MambaCNorm => (F32, 1, h.d_state),
        Role::MambaDtProj => (Q8, h.d_inner, h.dt_rank),
        Role::MambaA | Role::S4dDecay | Role::S4dB | Role::S4dC => (F32, h.d_inner / 8 * h.d_state, 8),
        Role::MambaOut => (Q8, h.hidden, h.d_inner),
        Role::MambaOutBias => (F32, 1, h.hidden),
        Role::AttentionQ => (Q8, q_width, h.hidden),
        Role::AttentionK | Role::AttentionV => (Q8, kv_width, h.hidden),
        Role::AttentionO => (Q8, h.hidden, q_width),
        Role::Router => (F32, h.experts, h.hidden),
        Role::Gate | Role::Up => (Q8, h.intermediate, h.hidden),
        Role::Down => (Q8, h.hidden, h.intermediate),
    };
    (encoding, Some((rows, cols)))
}

fn expected(header: &Header, role: Role, layer: u16, expert: u16) -> SectionSpec {
    let (encoding, shape) = shape(header, role);
    SectionSpec { role, layer, expert, encoding, shape }
}

/// The sections of the model as a whole, which come first.
pub fn model_sections(header: &Header) -> impl Iterator<Item = SectionSpec> + '_ {
    let roles = MODEL.into_iter().filter(|&role| present(header, role));
    roles.map(|role| expected(header, role, NONE_U16, NONE_U16))
}

/// The sections of one layer: mixer, then feed-forward part, then its experts.
pub fn layer_sections(header: &Header, layer: u16, kind: LayerKind) -> impl Iterator<Item = SectionSpec> + '_ {
    let mixer: &[Role] = match kind.mixer {
        Mixer::Mamba => &MAMBA,
        Mixer::Attention => &ATTENTION,
        Mixer::S4d => &S4D,
    };
    let (ffn, experts): (&[Role], u16) = match kind.ffn {
        FeedForward::None => (&[], 0),
        FeedForward::Mlp => (&MLP, 0),
        FeedForward::Moe => (&MOE, header.experts as u16),
    };
    let roles = mixer.iter().chain(ffn).copied().filter(|&role| present(header, role));
    roles
        .map(move |role| expected(header, role, layer, NONE_U16))
        .chain((0..experts).flat_map(move |e| EXPERT.into_iter().map(move |role| expected(header, role, layer, e))))
}
