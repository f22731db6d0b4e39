//! Text to token ids and back, read in place from an image: no heap, and memory that doesn't grow with the text.
//!
//! Two kinds of byte-pair encoding cover Jamba and its relatives: *byte-level* (GPT-2, Llama 3), whose symbols are bytes,
//! and the *SentencePiece* kind (Llama 2, Jamba), whose symbols are characters, with byte tokens for those that the
//! vocabulary lacks. Ids are those of the `tokenizers` library for the same `tokenizer.json`.
//!
//! A text passes through these steps, each a small state machine:
//!
//! 1. `added` finds special and other added tokens in the bytes, in two passes;
//! 2. `utf8` makes characters of the bytes between them;
//! 3. `whole_words` takes tokens for text that stand within a word and must not;
//! 4. `strip` drops the white space that the token behind it swallows;
//! 5. `nfc` normalizes characters, where the model asks for it;
//! 6. `segment` puts a space before what lies between two tokens, and ends its last word;
//! 7. `split` cuts it into words, as tables say that the host tool has made of the model's regular expressions;
//! 8. `symbols` makes of characters what is merged;
//! 9. `bpe` merges each word's symbols to tokens, in a window of fixed size ([`Encoder`] says what that means).
//!
//! Each step asks the one before it for more (`stage`), so ids are taken from the last one.
//!
//! # The section, version 2
//!
//! All integers are little-endian. `w` is the width of an id, 2 or 4 bytes; an id of all ones is "none".
//!
//! | bytes | what |
//! |---|---|
//! | 48 | header, below |
//! | vocabulary | *symbols*: u8 per token, u16 with flag 2. 0 a literal, which no merge makes; 1 a symbol; n ≥ 2 merged from n symbols |
//! | vocabulary × 2 w | *nodes*: of a merged token its left and right token; of others a u32 offset into the texts, or `FFFFFFFF` for no text (then zeros up to 2 w) |
//! | vocabulary × w | *ranks*, only with flag 1: a merged token's place in the order of merges, from 1 on. Without it, the rank is the id + 1 |
//! | levels × 2 w | *levels*: a merged token, and the highest rank among the merges that it is made by, where that isn't its own. Sorted by token |
//! | slots × w | *lookup*: hash table of ids, see below |
//! | 256 × w | *bytes*: the symbol of each byte, or none |
//! | added × 4 | *added tokens*, sorted by text: the id in the low 24 bits, and above them the bits of [`flag`] |
//! | whole × w | *whole words*, sorted by text: literals that a word becomes when it equals their text, whatever the merges say |
//! | texts | *texts*: of each symbol and literal a u8 length and its bytes |
//! | program | *program*: how texts are cut into words, below; may be empty where nothing cuts |
//! | normal forms | *normal forms*: tables of Unicode's form C, below; empty where texts aren't normalized |
//!
//! ## Header
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u16 | version, 2 |
//! | 2 | u8 | w |
//! | 3 | u8 | kind: 0 byte-level, 1 SentencePiece |
//! | 4 | u8 | flags: 1 ranks, 2 symbols are u16 |
//! | 5 | u8 | stages of the program |
//! | 6 | u8 | classes of the program |
//! | 7 | u8 | space before a text, see [`Prefix`] |
//! | 8 | u8 | what decoding strips at the start, see [`Strip`] |
//! | 9 | u8 | longest probe in the lookup |
//! | 10 | u16 | most symbols of a token |
//! | 12 | u32 | tokens |
//! | 16 | u32 | slots |
//! | 20 | u32 | added tokens |
//! | 24 | u32 | whole words |
//! | 28 | u32 | bytes of the texts |
//! | 32 | u32 | levels |
//! | 36 | u32 | bytes of the program |
//! | 40 | u32 | bytes of the normal forms |
//! | 44 | u32 | 0 |
//!
//! ## Lookup
//!
//! Every merged token is found under its (left, right), and in the SentencePiece kind every one-character symbol under
//! (`FFFFFFFF`, character). The first slot is `(hash · slots) >> 32` with
//! `hash = (a · 9E3779B1 + b) · 85EBCA6B; hash ^= hash >> 15; hash · 9E3779B1`, all modulo 2³²; a search goes on to the next slots, cyclically, up to the
//! longest probe or a "none". Of the merges that make the same token only one can ever happen, so a token has one node.
//!
//! Texts of the SentencePiece kind hold a space where the vocabulary has `▁`.
//!
//! ## Program
//!
//! Characters have classes; a stage is a deterministic automaton over classes. Each stage cuts the words of the one before
//! it: a match is a word, and so is what lies between two matches. State 1 is where a match begins.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | set of the classes that are white space (`\s`), a bit each |
//! | 8 | set of the classes of which words are made (`\w`) |
//! | 128 | class of each ASCII character |
//! | 256 | class of the character that stands for each byte in GPT-2's alphabet |
//! | 18 × 2 | for each plane of 65,536 characters the index of its first edge, and their number |
//! | edges × 2 | *edges*: the low 16 bits of characters from which on the class is another; a plane's first is 0 |
//! | edges | class from each edge on |
//! | per stage: 4 | u16 flags: 1 it reads bytes; u16 states |
//! | per stage: states × (classes + 1) × 2 | for each state and class, and then the end of the text: the next state, 0 for none, and in bit 15 whether what came before is a match |
//!
//! ## Normal forms
//!
//! | bytes | what |
//! |---|---|
//! | 8 | u16 each: parts, wholes, classes, 0 |
//! | parts × 9 | sorted: a character, and the one or two (else 0) that it is made of, 3 bytes each; without Hangul |
//! | wholes × 2 | index of each part that is put together again, sorted by the two |
//! | classes × 4 | 3 bytes a character, 1 byte the combining class from it on; sorted |

#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]

mod added;
mod bpe;
mod decoder;
mod encoder;
mod front;
mod hold;
mod nfc;
mod program;
mod segment;
mod split;
mod stage;
mod strip;
mod symbols;
mod table;
mod utf8;
mod whole_words;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub(crate) use front::drop_front;
pub use table::{NONE, Piece, Tokenizer, hash, slot};

/// Offsets of the header's fields, the only place that names them.
#[doc(hidden)]
pub mod field {
    #![allow(missing_docs)]
    pub const VERSION: usize = 0;
    pub const WIDTH: usize = 2;
    pub const KIND: usize = 3;
    pub const FLAGS: usize = 4;
    pub const STAGES: usize = 5;
    pub const CLASSES: usize = 6;
    pub const PREFIX: usize = 7;
    pub const STRIP: usize = 8;
    pub const PROBE: usize = 9;
    pub const LONGEST: usize = 10;
    pub const TOKENS: usize = 12;
    pub const SLOTS: usize = 16;
    pub const ADDED: usize = 20;
    pub const WHOLE: usize = 24;
    pub const TEXTS: usize = 28;
    pub const LEVELS: usize = 32;
    pub const PROGRAM: usize = 36;
    pub const NORMAL_FORMS: usize = 40;
    pub const ZERO: usize = 44;
    pub const HEADER_BYTES: usize = 48;
}

/// The section's version that this crate reads and writes.
pub const VERSION: u16 = 2;
/// Flag: the section has ranks.
pub const RANKS: u8 = 1;
/// Flag: symbols are counted in 16 bits.
pub const WIDE: u8 = 2;
/// Most symbols of a token.
pub const MAX_SYMBOLS: u16 = 512;
/// Most stages that cut words one after the other.
pub const MAX_STAGES: usize = 6;
/// Most classes of characters.
pub const MAX_CLASSES: usize = 64;
/// Longest text of a symbol or literal in bytes.
pub const MAX_TEXT: usize = 255;
/// Longest text of an added token that is found in texts, in bytes.
pub const MAX_ADDED: usize = 64;

/// Bits of an added token's entry.
#[doc(hidden)]
pub mod flag {
    /// The token is special: decoding can skip it.
    pub const SPECIAL: u32 = 1 << 24;
    /// The token is found in texts.
    pub const IN_TEXT: u32 = 1 << 25;
    /// White space after the token belongs to it.
    pub const STRIP_RIGHT: u32 = 1 << 26;
    /// White space before the token belongs to it.
    pub const STRIP_LEFT: u32 = 1 << 27;
    /// The token is found only where no character of a word stands beside it.
    pub const SINGLE_WORD: u32 = 1 << 28;
    /// The token is found only between those without this bit, as if it were searched for after them.
    pub const NORMALIZED: u32 = 1 << 29;
    /// The bits that are the id.
    pub const ID: u32 = (1 << 24) - 1;
    /// All flags.
    pub const KNOWN: u32 = SPECIAL | IN_TEXT | STRIP_RIGHT | STRIP_LEFT | SINGLE_WORD | NORMALIZED;
}

/// What the symbols are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bytes.
    ByteLevel = 0,
    /// Characters, and bytes of characters that are no symbol.
    SentencePiece = 1,
}

/// Where a space is put before a text. Added tokens cut a text into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Prefix {
    /// Nowhere.
    Never = 0,
    /// Before every segment.
    Segments = 1,
    /// Before every segment that doesn't begin with one.
    BareSegments = 2,
    /// Before the text, even where it begins with an added token.
    Text = 3,
    /// Before the text, unless it begins with a space or an added token.
    BareText = 4,
}

/// What decoding strips at the start of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Strip {
    /// Nothing.
    Nothing = 0,
    /// One space.
    Space = 1,
    /// All spaces of the first token.
    FirstToken = 2,
}

/// Why a section is not a tokenizer that this crate can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TokenizerError {
    /// Its length is not what the header implies.
    Length {
        /// Bytes that the header implies.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// A header field has a value that can't be.
    Field {
        /// Name of the field.
        name: &'static str,
        /// What was found.
        found: u32,
    },
    /// An entry of a table is wrong.
    Entry {
        /// Name of the table.
        table: &'static str,
        /// Index in it.
        index: u32,
    },
}

impl core::fmt::Display for TokenizerError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Length { expected, found } => write!(f, "tokenizer of {found} bytes; {expected} would be right"),
            Self::Field { name, found } => write!(f, "tokenizer field {name} can't be {found}"),
            Self::Entry { table, index } => write!(f, "entry {index} of the tokenizer's {table} is wrong"),
        }
    }
}

impl core::error::Error for TokenizerError {}
