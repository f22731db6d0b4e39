//! Which matrices have 4 bits a weight; `quantization.md` beside this file has the figures.

use crate::hf::WeightId;
use jamlet::matrix::Bits;
use std::collections::HashSet;

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

/// Bits of a weight, matrix by matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The same in all layers, but where [`bits_of`] makes an exception.
    Widths(Widths),
    /// 4 in these matrices, 8 in all others.
    Four(HashSet<WeightId>),
}

impl Choice {
    /// Bits of a weight of this tensor.
    pub fn bits(&self, id: WeightId) -> Bits {
        match self {
            Self::Widths(widths) => bits_of(id, *widths),
            Self::Four(four) if four.contains(&id) => Bits::Four,
            Self::Four(_) => Bits::Eight,
        }
    }

    /// Whether no matrix has 4.
    pub(super) fn is_eight(&self) -> bool {
        match self {
            Self::Widths(widths) => *widths == Widths::EIGHT,
            Self::Four(four) => four.is_empty(),
        }
    }
}

impl From<Widths> for Choice {
    fn from(widths: Widths) -> Self {
        Self::Widths(widths)
    }
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
