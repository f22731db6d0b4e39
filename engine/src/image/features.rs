//! Features that an image can need. A reader refuses bits that it doesn't know.

/// The head shares the embedding's matrix.
pub const TIED: u32 = 1 << 0;
/// in_proj and out_proj of Mamba have biases.
pub const PROJ_BIAS: u32 = 1 << 1;
/// The image carries a tokenizer.
pub const TOKENIZER: u32 = 1 << 2;

/// The image carries a signature.
pub const SIGNED: u32 = 1 << 3;

/// The image carries a baked prompt.
pub const BAKED: u32 = 1 << 4;

/// Mamba layers have no norms on dt, B and C.
pub const PLAIN_MAMBA: u32 = 1 << 5;

/// The image says more about the text around a text than which ids it has, see [`crate::model::Template`].
pub const TEMPLATE: u32 = 1 << 6;

/// The image says how answers are drawn, see [`crate::model::Sampling`].
pub const SAMPLING: u32 = 1 << 7;

/// The image says how its summaries are chosen.
pub const SUMMARY: u32 = 1 << 8;

/// Some matrices have 4 bits a weight, see [`crate::image::Encoding::Q4`]; the group size is 32.
pub const FOUR_BITS: u32 = 1 << 10;

/// All bits that this version knows.
pub const KNOWN: u32 =
    TIED | PROJ_BIAS | TOKENIZER | SIGNED | BAKED | PLAIN_MAMBA | TEMPLATE | SAMPLING | SUMMARY | FOUR_BITS;
