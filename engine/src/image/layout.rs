//! Which sections an image has, in which order and shape: implied by header and layer table.

use super::roles::{Part, roles_of};
use super::{Encoding, FeedForward, Header, LayerKind, Mixer, NONE_U16, Role, features};

/// A section as header and layers imply it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionSpec {
    /// What it holds.
    pub role: Role,
    /// Its layer, or [`NONE_U16`].
    pub layer: u16,
    /// Its expert, or [`NONE_U16`].
    pub expert: u16,
    /// How its numbers are stored: a matrix as `Q8` unless the image says otherwise, see [`SectionSpec::stored_as`].
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
            Encoding::Q8 | Encoding::Q4 => {
                let bits = self.encoding.bits().unwrap_or_default();
                u64::from(rows.div_ceil(8)) * bits.tile_bytes(cols as usize, header.group as usize) as u64
            }
            Encoding::Bytes => u64::from(cols),
        })
    }

    /// The same where a matrix is stored in another encoding than `Q8`; where the header leaves no choice, what it implies.
    #[must_use]
    pub fn stored_as(self, encoding: Option<Encoding>, header: &Header) -> Self {
        match (self.encoding, encoding) {
            (Encoding::Q8, Some(Encoding::Q4)) if header.has(features::FOUR_BITS) => {
                Self { encoding: Encoding::Q4, ..self }
            }
            _ => self,
        }
    }
}

fn spec(header: &Header, role: Role, layer: u16, expert: u16) -> SectionSpec {
    let (encoding, shape) = role.shape(header);
    SectionSpec { role, layer, expert, encoding, shape }
}

/// The sections of the model as a whole, which come first.
pub fn model_sections(header: &Header) -> impl Iterator<Item = SectionSpec> + '_ {
    roles_of(Part::Model, header).map(|role| spec(header, role, NONE_U16, NONE_U16))
}

/// The sections of one layer: mixer, then feed-forward part, then its experts.
pub fn layer_sections(header: &Header, layer: u16, kind: LayerKind) -> impl Iterator<Item = SectionSpec> + '_ {
    let mixer = match kind.mixer {
        Mixer::Mamba => Part::Mamba,
        Mixer::Attention => Part::Attention,
        Mixer::S4d => Part::S4d,
        Mixer::Mamba2 => Part::Mamba2,
    };
    let (ffn, experts) = match kind.ffn {
        FeedForward::None => (None, 0),
        FeedForward::Mlp => (Some(Part::Mlp), 0),
        FeedForward::Moe => (Some(Part::Moe), header.experts as u16),
    };
    let own = roles_of(mixer, header).chain(ffn.into_iter().flat_map(|part| roles_of(part, header)));
    let experts = (0..experts).flat_map(move |expert| roles_of(Part::Expert, header).map(move |role| (role, expert)));
    own.map(|role| (role, NONE_U16)).chain(experts).map(move |(role, expert)| spec(header, role, layer, expert))
}
