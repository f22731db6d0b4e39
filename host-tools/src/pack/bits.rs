//! Which matrices have 4 bits a weight where 4 are asked for; `quantization.md` beside this file has the figures.

use crate::hf::WeightId;
use jamlet::matrix::Bits;

/// Bits of a weight that a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// Of the layers.
    pub layers: Bits,
    /// Of embedding and head.
    pub head: Bits,
}

impl Widths {
    /// 8 everywhere.
    pub const EIGHT: Self = Self { layers: Bits::Eight, head: Bits::Eight };
    /// 4 wherever a matrix has no reason for more.
    pub const FOUR: Self = Self { layers: Bits::Four, head: Bits::Four };
}

/// Bits of a weight of this tensor. x_proj and dt_proj keep 8, whatever the layers have: a state's steps are made from them, and
/// they are small.
pub fn bits_of(id: WeightId, wanted: Widths) -> Bits {
    match id {
        WeightId::XProj(_) | WeightId::DtProj(_) => Bits::Eight,
        WeightId::Embedding | WeightId::Head => wanted.head,
        _ => wanted.layers,
    }
}
