//! What an image's tokenizer is, and what it costs on a board.

use jamlet::image::Role;
use jamlet::model::Model;
use jamlet::tokenizer::{Encoder, Kind, Prefix, RANKS, Strip, Tokenizer, WIDE, field};
use serde::Serialize;
use std::collections::BTreeMap;

/// Symbols that a board's encoder merges in.
const BOARD_WINDOW: usize = 256;

/// What `inspect` and `plan` say about a tokenizer.
#[derive(Clone, Debug, Serialize)]
pub struct TokenizerFacts {
    /// What its symbols are.
    pub kind: &'static str,
    /// Ids that it knows.
    pub tokens: u32,
    /// Tokens that are found in texts before the merges, or stand for no text at all.
    pub added_tokens: u32,
    /// Tokens that decoding can skip.
    pub special_tokens: u32,
    /// Symbols of the longest token.
    pub longest: usize,
    /// Expressions that cut a text into words, one after the other.
    pub cuts: u8,
    /// Whether texts are brought into Unicode's form C.
    pub nfc: bool,
    /// Where a space is put before a text.
    pub space_before: &'static str,
    /// What decoding drops at the start of a text.
    pub strips: &'static str,
    /// Bytes of the image.
    pub flash: u64,
    /// The same by what they are.
    pub flash_by_part: BTreeMap<&'static str, u64>,
    /// Most bytes of RAM that a board's encoder takes; with narrower addresses than this machine's it takes fewer.
    pub ram: u64,
}

impl TokenizerFacts {
    /// Those of an image; `None` where it has no tokenizer.
    pub fn of(model: &Model<'_>) -> Option<Self> {
        let tokenizer = model.tokenizer()?;
        let (_, section) = model.image().sections().find(|(expected, _)| expected.role == Role::Tokenizer)?;
        let header: &[u8; field::HEADER_BYTES] = section.bytes.first_chunk()?;
        let byte = |at: usize| header[at];
        let word = |at: usize| u32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]);
        let flags = byte(field::FLAGS);
        Some(Self {
            kind: match byte(field::KIND) {
                kind if kind == Kind::ByteLevel as u8 => "byte-level BPE",
                _ => "SentencePiece BPE",
            },
            tokens: tokenizer.tokens(),
            added_tokens: word(field::ADDED),
            special_tokens: (0..tokenizer.tokens()).filter(|&id| tokenizer.is_special(id)).count() as u32,
            longest: tokenizer.longest(),
            cuts: byte(field::STAGES),
            nfc: word(field::NORMAL_FORMS) > 0,
            space_before: space_before(byte(field::PREFIX)),
            strips: strips(byte(field::STRIP)),
            flash: section.bytes.len() as u64,
            flash_by_part: flash_by_part(&tokenizer, &word, byte(field::WIDTH).into(), flags),
            ram: size_of::<Encoder<'_, BOARD_WINDOW>>() as u64,
        })
    }
}

fn space_before(prefix: u8) -> &'static str {
    const NAMES: [(Prefix, &str); 5] = [
        (Prefix::Never, "nothing"),
        (Prefix::Segments, "every piece between added tokens"),
        (Prefix::BareSegments, "every piece between added tokens that doesn't begin with one"),
        (Prefix::Text, "the text"),
        (Prefix::BareText, "the text, unless it begins with one or with an added token"),
    ];
    NAMES.into_iter().find(|(known, _)| *known as u8 == prefix).map_or("", |(_, name)| name)
}

fn strips(strip: u8) -> &'static str {
    const NAMES: [(Strip, &str); 3] = [
        (Strip::Nothing, "nothing"),
        (Strip::Space, "one space"),
        (Strip::FirstToken, "the spaces of the first token"),
    ];
    NAMES.into_iter().find(|(known, _)| *known as u8 == strip).map_or("", |(_, name)| name)
}

/// Bytes of a section's tables, as [`jamlet::tokenizer`] lists them.
fn flash_by_part(
    tokenizer: &Tokenizer<'_>,
    word: &impl Fn(usize) -> u32,
    width: u64,
    flags: u8,
) -> BTreeMap<&'static str, u64> {
    let count = |at| u64::from(word(at));
    let tokens = u64::from(tokenizer.tokens());
    let lengths = if flags & WIDE != 0 { 2 } else { 1 };
    let ranks = if flags & RANKS != 0 { tokens * width } else { 0 };
    let merges = tokens * (lengths + 2 * width) + ranks + 2 * width * count(field::LEVELS);
    let parts = [
        ("merges", merges),
        ("lookup of merges", width * count(field::SLOTS)),
        ("texts", count(field::TEXTS)),
        ("added tokens", 4 * count(field::ADDED)),
        ("whole words", width * count(field::WHOLE)),
        ("bytes and header", 256 * width + field::HEADER_BYTES as u64),
        ("expressions", count(field::PROGRAM)),
        ("NFC", count(field::NORMAL_FORMS)),
    ];
    parts.into_iter().filter(|(_, bytes)| *bytes > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_file::ImageFile;

    #[test]
    fn parts_are_the_whole() {
        for name in ["pico", "nano"] {
            let file = ImageFile::open(Some(name.as_ref())).expect("a model");
            let facts = TokenizerFacts::of(&file.model().expect("a model")).expect("a tokenizer");
            assert_eq!(facts.flash_by_part.values().sum::<u64>(), facts.flash, "{name}: {facts:?}");
            assert!(facts.tokens > 256 && facts.longest > 1 && facts.special_tokens > 0, "{name}: {facts:?}");
            assert!(!facts.space_before.is_empty() && !facts.strips.is_empty(), "{name}: {facts:?}");
        }
    }
}
