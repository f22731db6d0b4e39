//! The packed image: one contiguous little-endian file that holds everything a board needs.
//!
//! The writer in `jamlet-tools` uses the definitions of this module, so the two can't drift apart.
//! Reading is zero-copy and without alloc; what the memory plan needs ([`Header::read`]) is `const`.
//!
//! # Format, version 1
//!
//! All integers are unsigned and little-endian, all floats IEEE 754 little-endian. The file is
//!
//! | bytes | what |
//! |---|---|
//! | 0..128 | header |
//! | 128.. | layer table, 8 bytes a layer |
//! | .. | section table, 32 bytes a section |
//! | .. | sections, each on a multiple of 64, zeros between them |
//! | last 4 | CRC-32 (ISO-HDLC, as in zlib) of all bytes before it |
//!
//! ## Header
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | 8 bytes | magic `93 4A 41 4D 4C 45 54 0A` (`\x93JAMLET\n`) |
//! | 8 | u32 | version, 1 |
//! | 12 | u32 | features that a reader must know, see [`features`]; others are refused |
//! | 16 | u64 | length of the file in bytes, CRC included |
//! | 24 | u32 | number of sections |
//! | 28 | u32 | number of layers |
//! | 32 | u32 | vocabulary size |
//! | 36 | u32 | hidden size |
//! | 40 | u32 | intermediate size: width of an MLP or of one expert |
//! | 44 | u32 | query heads |
//! | 48 | u32 | key-value heads |
//! | 52 | u32 | head dimension |
//! | 56 | u32 | channels of a Mamba block (`d_inner`), padded to a multiple of 8; in Mamba-2 those of each group are |
//! | 60 | u32 | state size of a Mamba channel (`d_state`) |
//! | 64 | u32 | convolution width (`d_conv`) |
//! | 68 | u32 | rank of dt (`dt_rank`) |
//! | 72 | u32 | experts |
//! | 76 | u32 | experts per token |
//! | 80 | u32 | quantization group along the input dimension, a multiple of 8 |
//! | 84 | f32 | epsilon of the RMS norms |
//! | 88 | u32 | id of the beginning-of-sequence token, or `FFFFFFFF` |
//! | 92 | f32 | epsilon of the RMS norms inside a Mamba block; 0 where it is that at 84 |
//! | 96..104 | | zeros |
//! | 104 | u32 | heads of a Mamba-2 block |
//! | 108 | u32 | channels of such a head |
//! | 112 | u32 | groups of such heads |
//! | 116 | f32 | smallest step dt of Mamba-2 |
//! | 120 | f32 | largest step dt of Mamba-2, which may be infinite |
//! | 124 | u32 | width of the MLP beside a mixture's experts, or 0: see Mixtures |
//!
//! The fields from 104 to 123 are 0 where no layer is Mamba-2, and that at 124 where none has a mixture.
//!
//! ## Layer table
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u8 | mixer: 1 Mamba, 2 attention, 3 S4D, 4 Mamba-2 |
//! | 1 | u8 | feed-forward: 0 none, 1 MLP, 2 mixture of experts |
//! | 2 | u16 | zero |
//! | 4 | u32 | index of the layer's first section |
//!
//! ## Section table
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u16 | role, see [`Role`] |
//! | 2 | u16 | layer, or `FFFF` |
//! | 4 | u16 | expert, or `FFFF` |
//! | 6 | u16 | encoding, see [`Encoding`] |
//! | 8 | u32 | rows |
//! | 12 | u32 | columns |
//! | 16 | u64 | offset from the start of the file |
//! | 24 | u64 | length in bytes |
//!
//! Which sections exist, their order, their shapes and their encodings follow from header and layer table alone (see
//! `image/roles.rs`); the table must say the same. With [`features::FOUR_BITS`] it decides for each matrix whether it is `Q8` or
//! `Q4`, and at least one is `Q4`. Sections follow each other without holes: each begins at the first multiple of 64
//! after the end of the one before.
//!
//! ## Encodings
//!
//! * `F32`: rows × columns, row-major.
//! * `Q8` (`matrix/tile.rs`): int8 matrix in tiles of 8 rows, in the order in which kernels read it. The columns are padded with zeros to
//!   a multiple of 8 and cut into groups of the header's group size (the last may be shorter), the rows are padded to a
//!   multiple of 8. Tile after tile, and in it group after group: the 8 rows' scales as f16, then for every 4 columns of
//!   the group 4 bytes of each of the 8 rows. A weight is its row's scale times an int8 number q that is never −128. Odd
//!   columns store q, even ones q + 128: their top bit is flipped. Then two neighbouring bytes, read as one 16-bit number,
//!   are 256·q₁ + (q₀ + 128) without a borrow, which lets processors that multiply 16 bits at a time unpack half as
//!   often; the others flip one bit of every other byte. Padding, like any weight of zero, is 80 00 80 00.
//! * `Q4` (`matrix/tile.rs`): a matrix of 4 bits a weight, laid out as `Q8` is, in groups of 32, but for every 8 columns of a
//!   group there are 4 bytes of each of the 8 rows. A weight is its row's scale times a number q from −8 to 7, stored as
//!   u = q + 8; byte j of the four has column j's u in its lower half and column j + 4's in its upper half. So each half of such
//!   a word is four neighbouring columns, one a byte, as processors that multiply bytes take them, and `x & 000F000F` of the
//!   word shifted by 0, 4, 8 and 12 bits gives the weights two by two to those that multiply 16 bits. Padding is 88.
//! * `Bytes`: 1 × length bytes with a format of their own.
//!
//! ## Mixtures
//!
//! A token goes through the experts with the largest router logits, and their outputs are weighted by a softmax over the logits of
//! all experts. Where all tokens go through an MLP beside the experts as well, the softmax is over the chosen ones alone.
//!
//! ## Prompt, template and sampling
//!
//! The prompt's ids stand around every text. An image with [`features::TEMPLATE`] says more: text that is encoded together with
//! the message, and what is read without the prompt ([`crate::model::Template`]); one with [`features::SAMPLING`] says how its
//! makers draw answers ([`crate::model::Sampling`]). Their sections follow that of the prompt, in this order.
//!
//! ## Baked prompt
//!
//! An image with [`features::BAKED`] has the state of a session after a fixed prefix, for given options, which a session with the
//! same options starts from: see [`crate::model::Baked`]. With other options the prefix is read instead, to the same effect. Its
//! section stands between provenance and signature.
//!
//! ## Summaries
//!
//! An image with [`features::SUMMARY`] says how its summaries are chosen: see [`crate::model::parameters`]. Its section
//! stands behind that of the baked prompt.
//!
//! ## Signature
//!
//! An image with [`features::SIGNED`] has an Ed25519 signature (RFC 8032, pure) of all its bytes but the 64 of the signature
//! itself and the four of the checksum. The engine doesn't check it, firmware may: see [`Image::signature`].
//!
//! ## Version policy
//!
//! A change that old readers would misread sets a new feature bit or a new version, and old readers refuse it by name.

pub mod crc;
pub mod features;
mod header;
#[doc(hidden)]
pub mod layout;
mod roles;
mod sections;

pub use header::{FeedForward, Header, LayerKind, Mixer};
pub(crate) use roles::EXPERT_SECTIONS;
pub use roles::Role;
pub use sections::{Image, Section, Signed};

use crate::matrix::Bits;

/// First eight bytes of every image.
pub const MAGIC: [u8; 8] = *b"\x93JAMLET\n";
/// The format version that this crate reads and writes.
pub const VERSION: u32 = 1;
/// Every section begins on a multiple of this many bytes from the start of the image.
pub const SECTION_ALIGN: usize = 64;
/// The image itself must lie at an address that is a multiple of this.
pub const IMAGE_ALIGN: usize = 16;
/// Bytes of the section [`Role::Sampling`].
pub const SAMPLING_BYTES: usize = 20;
/// Length of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;
/// "No token", "no layer", "no expert".
pub const NONE_U32: u32 = u32::MAX;
/// "No layer", "no expert" in the section table.
pub const NONE_U16: u16 = u16::MAX;

/// Offsets of header, layer and section fields, the only place that names them.
#[doc(hidden)]
pub mod field {
    #![allow(missing_docs)]
    pub const VERSION: usize = 8;
    pub const FEATURES: usize = 12;
    pub const LENGTH: usize = 16;
    pub const SECTIONS: usize = 24;
    pub const LAYERS: usize = 28;
    pub const VOCAB: usize = 32;
    pub const HIDDEN: usize = 36;
    pub const INTERMEDIATE: usize = 40;
    pub const HEADS: usize = 44;
    pub const KV_HEADS: usize = 48;
    pub const HEAD_DIM: usize = 52;
    pub const D_INNER: usize = 56;
    pub const D_STATE: usize = 60;
    pub const D_CONV: usize = 64;
    pub const DT_RANK: usize = 68;
    pub const EXPERTS: usize = 72;
    pub const TOP_K: usize = 76;
    pub const GROUP: usize = 80;
    pub const EPS: usize = 84;
    pub const BOS: usize = 88;
    pub const MIXER_EPS: usize = 92;
    pub const RESERVED: usize = 96;
    pub const SSM_HEADS: usize = 104;
    pub const SSM_HEAD_DIM: usize = 108;
    pub const SSM_GROUPS: usize = 112;
    pub const STEP_MIN: usize = 116;
    pub const STEP_MAX: usize = 120;
    pub const SHARED: usize = 124;
    pub const HEADER_BYTES: usize = 128;

    pub const LAYER_MIXER: usize = 0;
    pub const LAYER_FFN: usize = 1;
    pub const LAYER_ZERO: usize = 2;
    pub const LAYER_FIRST: usize = 4;
    pub const LAYER_BYTES: usize = 8;

    pub const SECTION_ROLE: usize = 0;
    pub const SECTION_LAYER: usize = 2;
    pub const SECTION_EXPERT: usize = 4;
    pub const SECTION_ENCODING: usize = 6;
    pub const SECTION_ROWS: usize = 8;
    pub const SECTION_COLS: usize = 12;
    pub const SECTION_OFFSET: usize = 16;
    pub const SECTION_LENGTH: usize = 24;
    pub const SECTION_BYTES: usize = 32;
}

/// How a section's numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Encoding {
    /// f32, row-major.
    F32 = 1,
    /// int8 in row tiles with f16 scales per group.
    Q8 = 2,
    /// Opaque bytes.
    Bytes = 3,
    /// 4 bits a weight in row tiles with f16 scales per group of 32. An image with it has [`features::FOUR_BITS`].
    Q4 = 4,
}

impl Encoding {
    /// From the section table.
    const fn read(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::F32),
            2 => Some(Self::Q8),
            3 => Some(Self::Bytes),
            4 => Some(Self::Q4),
            _ => None,
        }
    }

    /// Bits of a weight, where it is that of a quantized matrix.
    pub const fn bits(self) -> Option<Bits> {
        match self {
            Self::Q8 => Some(Bits::Eight),
            Self::Q4 => Some(Bits::Four),
            Self::F32 | Self::Bytes => None,
        }
    }
}

/// Why bytes are not an image that this crate can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ImageError {
    /// The bytes end too early.
    Truncated {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The bytes go on after the image's end.
    TrailingBytes {
        /// Where the image ends.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The first eight bytes are not [`MAGIC`]: not an image at all.
    NotAnImage,
    /// A version that this crate doesn't know.
    Version {
        /// The version found; [`VERSION`] would be right.
        found: u32,
    },
    /// The image needs features that this crate doesn't know.
    Features {
        /// The unknown bits.
        unknown: u32,
    },
    /// A header field has a value that can't be.
    Field {
        /// Name of the field.
        name: &'static str,
        /// What was found.
        found: u64,
        /// The smallest right value.
        min: u64,
        /// The largest right value.
        max: u64,
    },
    /// A header field isn't a multiple of what it must be a multiple of.
    Multiple {
        /// Name of the field.
        name: &'static str,
        /// What was found.
        found: u32,
        /// What a right value is a multiple of.
        of: u32,
    },
    /// A header field doesn't divide what it must divide.
    Divisor {
        /// Name of the field.
        name: &'static str,
        /// What was found.
        found: u32,
        /// What a right value divides.
        of: u32,
    },
    /// A header field with a floating-point number is not from 0 to 1.
    Fraction {
        /// Name of the field.
        name: &'static str,
        /// Its bits.
        bits: u32,
    },
    /// A layer's entry has a value that can't be.
    Layer {
        /// Index of the layer.
        layer: u32,
        /// Name of the field.
        name: &'static str,
        /// What was found.
        found: u32,
    },
    /// A section's entry differs from what header and layers imply.
    Section {
        /// Index in the section table.
        index: u32,
        /// Name of the field.
        name: &'static str,
        /// What was found.
        found: u64,
        /// What would be right.
        expected: u64,
    },
    /// A byte between two sections is not zero.
    Padding {
        /// Offset of the byte.
        offset: u64,
    },
    /// The checksum is wrong: the image was changed or cut after it was written.
    Crc {
        /// The sum in the file.
        stored: u32,
        /// The sum of the bytes.
        computed: u32,
    },
    /// The image doesn't lie at a multiple of [`IMAGE_ALIGN`].
    Misaligned,
    /// The section with the prompt and the stop tokens is malformed.
    Prompt,
    /// The section with the prompt's template is malformed.
    Template,
    /// The section with the sampling values is malformed.
    Sampling,
    /// The section with the baked prompt is malformed.
    Baked,
    /// A field of the section that says how summaries are chosen is wrong, or it has another length than its fields say.
    Summary {
        /// Name of the field.
        field: &'static str,
    },
    /// The section with the tokenizer is malformed.
    Tokenizer(crate::tokenizer::TokenizerError),
}

impl core::fmt::Display for ImageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Truncated { needed, found } => {
                write!(f, "the image is cut off: {found} bytes, {needed} needed")
            }
            Self::TrailingBytes { expected, found } => {
                write!(f, "the image ends at {expected} bytes, but {found} are there")
            }
            Self::NotAnImage => write!(f, "not a jamlet image: the first 8 bytes differ from \\x93JAMLET\\n"),
            Self::Version { found } => {
                write!(f, "image version {found}; this jamlet reads version {VERSION}")
            }
            Self::Features { unknown } => {
                write!(f, "the image needs features {unknown:#x}, which this jamlet doesn't know: use a newer one")
            }
            Self::Field { name, found, min, max } => {
                write!(f, "header field {name} is {found}; {min} to {max} would be right")
            }
            Self::Multiple { name, found, of } => {
                write!(f, "header field {name} is {found}; a multiple of {of} would be right")
            }
            Self::Divisor { name, found, of } => {
                write!(f, "header field {name} is {found}; a divisor of {of} would be right")
            }
            // No decimal number: boards have no room for the code that writes one.
            Self::Fraction { name, bits } => {
                write!(f, "header field {name} has bits {bits:08x}, which is no number from 0 to 1")
            }
            Self::Layer { layer, name, found } => write!(f, "layer {layer}: {name} can't be {found}"),
            Self::Section { index, name, found, expected } => {
                write!(f, "section {index}: {name} is {found}; {expected} would be right")
            }
            Self::Padding { offset } => write!(f, "byte {offset}, between two sections, is not zero"),
            Self::Crc { stored, computed } => {
                write!(f, "checksum {computed:08x}, but the image says {stored:08x}: it is damaged")
            }
            Self::Misaligned => write!(f, "the image must lie at a multiple of {IMAGE_ALIGN} bytes"),
            Self::Prompt => write!(f, "the prompt section is malformed"),
            Self::Template => write!(f, "the template section is malformed"),
            Self::Sampling => write!(f, "the sampling section is malformed"),
            Self::Baked => write!(f, "the section with the baked prompt is malformed"),
            Self::Summary { field } => write!(f, "the section for summaries: {field} is wrong"),
            Self::Tokenizer(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ImageError {}
