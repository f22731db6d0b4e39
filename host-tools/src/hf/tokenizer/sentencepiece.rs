//! `tokenizer.model`, as SentencePiece writes it: byte-pair encoding with byte fallback that changes no characters.
//!
//! SentencePiece merges any two neighbours whose text is a piece, best score first. Control pieces are not found in
//! texts; user-defined ones are, before anything is merged.

use std::collections::HashMap;
use std::path::Path;

use jamlet::tokenizer::{Kind, MAX_TEXT, NONE, Prefix, Strip};

use super::build::{Added, Merge, Spec};
use super::bytes::byte_token;
use super::protobuf::{Field, fields};
use super::{ImportError, TokenizerError};
use crate::hf::files;

/// Numbers of the fields of `ModelProto` and the messages in it.
mod number {
    pub const PIECES: u64 = 1;
    pub const TRAINER: u64 = 2;
    pub const NORMALIZER: u64 = 3;

    pub const PIECE_TEXT: u64 = 1;
    pub const PIECE_SCORE: u64 = 2;
    pub const PIECE_TYPE: u64 = 3;

    pub const MODEL_TYPE: u64 = 3;
    pub const WHITESPACE_AS_SUFFIX: u64 = 24;

    pub const CHARSMAP: u64 = 2;
    pub const ADD_DUMMY_PREFIX: u64 = 3;
    pub const REMOVE_EXTRA_WHITESPACES: u64 = 4;
    pub const ESCAPE_WHITESPACES: u64 = 5;
}

/// Types of pieces.
mod piece {
    pub const NORMAL: u64 = 1;
    pub const UNKNOWN: u64 = 2;
    pub const CONTROL: u64 = 3;
    pub const USER_DEFINED: u64 = 4;
    pub const BYTE: u64 = 6;
}

/// Bytes of a piece that can still be a token. Merges are looked for at every place of a text, so it must be short.
const LONGEST: usize = 4 * MAX_TEXT;

/// `ModelType` of byte-pair encoding.
const BPE: u64 = 2;

/// Reads the file for a model of `vocab` tokens.
pub(super) fn read(file: &Path, vocab: u32) -> Result<Spec, TokenizerError> {
    let bytes = files::read(file)?;
    let message = |bytes| fields(bytes).ok_or_else(|| ImportError::file(file, "not a SentencePiece model"));
    let model = message(&bytes)?;
    let part = |number: u64| match model.iter().rev().find(|field| field.0 == number) {
        Some(&(_, Field::Bytes(bytes))) => message(bytes),
        _ => Ok(Vec::new()),
    };
    let (trainer, normalizer) = (part(number::TRAINER)?, part(number::NORMALIZER)?);
    let prefix = check(file, &trainer, &normalizer)?;

    let mut spec = Spec {
        kind: Kind::SentencePiece,
        stages: Vec::new(),
        nfc: false,
        prefix: if prefix { Prefix::Text } else { Prefix::Never },
        strip: if prefix { Strip::Space } else { Strip::Nothing },
        texts: Vec::new(),
        bytes: [NONE; 256],
        characters: HashMap::new(),
        merges: Vec::new(),
        ignore_merges: false,
        added: Vec::new(),
        notes: Vec::new(),
    };
    let mut normal = Vec::new();
    for (_, piece) in model.iter().filter(|field| field.0 == number::PIECES) {
        let Field::Bytes(bytes) = *piece else { return Err(ImportError::file(file, "not a SentencePiece model")) };
        let (text, score, kind) = read_piece(&message(bytes)?);
        let id = spec.texts.len() as u32;
        if id >= vocab {
            return Err(ImportError::field(
                file,
                "pieces",
                format!("more than {vocab}"),
                "the model's vocab_size at most",
            ));
        }
        if text.len() > LONGEST {
            let found = format!("a text of {} bytes", text.len());
            let expected = format!("at most {LONGEST}: 255 characters");
            return Err(ImportError::field(file, &format!("pieces[{id}]"), found, expected));
        }
        let wrong = |found: &str, expected: &str| {
            Err(ImportError::field(file, &format!("pieces[{id}] {text:?}"), found, expected))
        };
        let mut characters = text.chars();
        match (kind, characters.next(), characters.next()) {
            (piece::NORMAL, Some(c), None) => {
                spec.characters.insert(if c == '▁' { ' ' } else { c }, id);
            }
            (piece::NORMAL, Some(_), _) if score.is_nan() => return wrong("no score", "a score"),
            (piece::NORMAL, Some(_), _) => normal.push((score, id, text.clone())),
            (piece::UNKNOWN | piece::CONTROL, Some(_), _) => {
                spec.added.push(Added { id, special: true, ..Added::default() });
            }
            (piece::USER_DEFINED, Some(_), _) if prefix && text.starts_with('▁') => {
                return wrong("begins with a space that add_dummy_prefix could make", "no such space");
            }
            (piece::USER_DEFINED, Some(_), _) => {
                spec.added.push(Added { id, in_text: true, ..Added::default() });
            }
            (piece::BYTE, ..) => match byte_token(&text) {
                Some(byte) => spec.bytes[usize::from(byte)] = id,
                None => return wrong("a byte piece", "one of <0x00> to <0xFF>"),
            },
            (_, None, _) => return wrong("no text", "a text"),
            (kind, ..) => {
                return wrong(&format!("type {kind}"), "a normal, unknown, control, user-defined or byte piece");
            }
        }
        spec.texts.push(Some(match byte_token(&text).filter(|_| kind == piece::BYTE) {
            Some(byte) => vec![byte],
            None => text.replace('▁', " ").into(),
        }));
    }
    if let Some(byte) = spec.bytes.iter().position(|&id| id == NONE) {
        let found = format!("no piece for byte {byte:#04x}");
        return Err(ImportError::field(file, "pieces", found, "byte_fallback: pieces for all 256 bytes"));
    }
    if !spec.characters.contains_key(&' ') {
        return Err(ImportError::field(file, "pieces", "no piece \"▁\"", "one: it stands for a space"));
    }
    spec.merges = merges(file, &spec, normal)?;
    Ok(spec)
}

/// Text, score and type of a piece.
fn read_piece(fields: &[(u64, Field<'_>)]) -> (String, f32, u64) {
    let (mut text, mut score, mut kind) = (String::new(), 0.0, piece::NORMAL);
    for field in fields {
        match *field {
            (number::PIECE_TEXT, Field::Bytes(bytes)) => text = String::from_utf8_lossy(bytes).into(),
            (number::PIECE_SCORE, Field::Float(value)) => score = value,
            (number::PIECE_TYPE, Field::Varint(value)) => kind = value,
            _ => {}
        }
    }
    (text, score, kind)
}

/// Refuses what the engine doesn't do. Returns whether a text gets a space before it.
fn check(file: &Path, trainer: &[(u64, Field<'_>)], normalizer: &[(u64, Field<'_>)]) -> Result<bool, TokenizerError> {
    let varint = |fields: &[(u64, Field<'_>)], number, default| {
        fields
            .iter()
            .rev()
            .find_map(|&(n, field)| match field {
                Field::Varint(value) if n == number => Some(value),
                _ => None,
            })
            .unwrap_or(default)
    };
    let model_type = varint(trainer, number::MODEL_TYPE, 1);
    if model_type != BPE {
        let name = match model_type {
            1 => "UNIGRAM",
            3 => "WORD",
            4 => "CHAR",
            _ => "unknown",
        };
        return Err(ImportError::field(file, "trainer_spec.model_type", name, "BPE"));
    }
    let normalizes = |&(n, field): &(u64, Field<'_>)| n == number::CHARSMAP && field != Field::Bytes(&[]);
    if normalizer.iter().any(normalizes) {
        let expected = "none (the rule \"identity\"): the engine changes no characters";
        return Err(ImportError::field(file, "normalizer_spec.precompiled_charsmap", "a map", expected));
    }
    for (fields, name, number, default, right) in [
        (trainer, "trainer_spec.treat_whitespace_as_suffix", number::WHITESPACE_AS_SUFFIX, 0, 0),
        (normalizer, "normalizer_spec.remove_extra_whitespaces", number::REMOVE_EXTRA_WHITESPACES, 1, 0),
        (normalizer, "normalizer_spec.escape_whitespaces", number::ESCAPE_WHITESPACES, 1, 1),
    ] {
        let found = varint(fields, number, default);
        if found != right {
            return Err(ImportError::field(file, name, found != 0, (right != 0).to_string()));
        }
    }
    Ok(varint(normalizer, number::ADD_DUMMY_PREFIX, 1) != 0)
}

/// All merges: a piece comes from any two pieces that it is made of, best score first. Pieces of the same score, as runs of
/// spaces are, have the same rank: of their merges the leftmost comes first.
fn merges(file: &Path, spec: &Spec, mut normal: Vec<(f32, u32, String)>) -> Result<Vec<Merge>, TokenizerError> {
    normal.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let ids: HashMap<&str, u32> = normal.iter().map(|(_, id, text)| (text.as_str(), *id)).collect();
    let find = |part: &str| {
        let mut characters = part.chars();
        match (characters.next(), characters.next()) {
            (Some(c), None) => spec.characters.get(&if c == '▁' { ' ' } else { c }).copied(),
            _ => ids.get(part).copied(),
        }
    };
    let mut merges = Vec::new();
    let mut rank = 0;
    for (at, (score, id, text)) in normal.iter().enumerate() {
        // -0 and 0 are the same score.
        rank = if at > 0 && normal[at - 1].0 == *score { rank } else { at };
        if let Some(c) = text.chars().find(|&c| find(c.encode_utf8(&mut [0; 4])).is_none()) {
            let found = format!("{text:?} with a character {c:?} that is no piece");
            return Err(ImportError::field(
                file,
                &format!("pieces[{id}]"),
                found,
                "pieces for all characters of pieces",
            ));
        }
        for (at, _) in text.char_indices().skip(1) {
            if let (Some(left), Some(right)) = (find(&text[..at]), find(&text[at..])) {
                merges.push(Merge { left, right, id: *id, rank });
            }
        }
    }
    Ok(merges)
}
