//! `tokenizer.json`, as the `tokenizers` library writes it. The README of host-tools says what is read.
//!
//! `post_processor`, `truncation` and `padding` don't touch the text and are ignored: the prompt says what stands around it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use jamlet::tokenizer::{Kind, NONE, Prefix, Strip};
use serde_json::{Map, Value};

use super::build::{Added, Merge, Spec};
use super::bytes::{byte_of, byte_token};
use super::fields::Json;
use super::pre_tokenizer::Steps;
use super::{ImportError, TokenizerError};
use crate::hf::files;

/// The character that stands for a space in SentencePiece vocabularies.
const SPACE: char = '▁';

/// Reads the file for a model of `vocab` tokens.
pub(super) fn read(file: &Path, vocab: u32) -> Result<Spec, TokenizerError> {
    let json = files::read(file)?;
    let root: Value =
        files::parse(&json).map_err(|e| ImportError::file(file, format!("not JSON: {e}; expected a tokenizer")))?;
    spec(file, &root, vocab)
}

/// The same of a file that was read.
pub(super) fn spec(file: &Path, root: &Value, vocab: u32) -> Result<Spec, TokenizerError> {
    let json = Json { file };
    let model = json.object(&root["model"], "model")?;
    json.check_model(model)?;

    let normalizer = json.normalizer(&root["normalizer"])?;
    let steps = json.pre_tokenizer(&root["pre_tokenizer"], normalizer.replace)?;
    let byte_fallback = json.flag(model, "model.byte_fallback", false)?;
    let kind = match (steps.byte_level, byte_fallback) {
        (true, _) => Kind::ByteLevel,
        (false, true) => Kind::SentencePiece,
        (false, false) => {
            return Err(json.wrong("model.byte_fallback", "false", "true, or a ByteLevel pre_tokenizer"));
        }
    };
    let prefix = json.prefix(kind, &normalizer, &steps)?;
    let strip = json.decoder(&root["decoder"], kind)?;

    let strings = json.vocabulary(model, vocab)?;
    let mut spec = Spec {
        kind,
        stages: steps.stages,
        nfc: normalizer.nfc,
        prefix,
        strip,
        texts: vec![None; strings.values().max().map_or(0, |&id| id as usize + 1)],
        bytes: [NONE; 256],
        characters: HashMap::new(),
        merges: json.merges(model, &strings)?,
        ignore_merges: json.flag(model, "model.ignore_merges", false)?,
        added: Vec::new(),
        notes: Vec::new(),
    };
    for (string, &id) in &strings {
        spec.texts[id as usize] = Some(text(kind, string));
    }
    json.symbols(&mut spec, &strings)?;
    json.added(&mut spec, &root["added_tokens"], &normalizer, vocab)?;
    Ok(spec)
}

/// The text of a vocabulary's string.
fn text(kind: Kind, string: &str) -> Vec<u8> {
    match kind {
        // A string that is not in the alphabet of bytes stands for itself.
        Kind::ByteLevel => string.chars().map(byte_of).collect::<Option<_>>().unwrap_or_else(|| string.into()),
        Kind::SentencePiece => match byte_token(string) {
            Some(byte) => vec![byte],
            None => string.replace(SPACE, " ").into(),
        },
    }
}

/// What the normalizer does.
struct Normalizer {
    prepend: bool,
    replace: bool,
    nfc: bool,
}

impl Json<'_> {
    fn check_model(&self, model: &Map<String, Value>) -> Result<(), TokenizerError> {
        let kind = model.get("type").unwrap_or(&Value::Null);
        // Old files leave the type out; only BPE has merges.
        if kind != "BPE" && !(kind.is_null() && model.contains_key("merges")) {
            return Err(self.wrong("model.type", kind, "\"BPE\", the only model that the engine has"));
        }
        for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
            let value = model.get(key).unwrap_or(&Value::Null);
            if !(value.is_null() || value == "" || value.as_f64() == Some(0.0)) {
                return Err(self.wrong(&format!("model.{key}"), value, "null"));
            }
        }
        Ok(())
    }

    fn vocabulary(&self, model: &Map<String, Value>, vocab: u32) -> Result<HashMap<String, u32>, TokenizerError> {
        let entries = self.object(model.get("vocab").unwrap_or(&Value::Null), "model.vocab")?;
        let mut ids = HashSet::with_capacity(entries.len());
        entries
            .iter()
            .map(|(string, value)| {
                let field = || format!("model.vocab[{string:?}]");
                let id = self.id(value, &field(), vocab)?;
                match ids.insert(id) {
                    true => Ok((string.clone(), id)),
                    false => Err(self.wrong(&field(), value, "an id that no other token has")),
                }
            })
            .collect()
    }

    fn id(&self, value: &Value, field: &str, vocab: u32) -> Result<u32, TokenizerError> {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|&id| id < vocab);
        id.ok_or_else(|| self.wrong(field, value, &format!("an id below the model's vocab_size {vocab}")))
    }

    fn merges(&self, model: &Map<String, Value>, strings: &HashMap<String, u32>) -> Result<Vec<Merge>, TokenizerError> {
        let merges = model.get("merges").unwrap_or(&Value::Null);
        let list = merges.as_array().ok_or_else(|| self.wrong("model.merges", merges, "a list"))?;
        list.iter()
            .enumerate()
            .map(|(rank, merge)| {
                let field = || format!("model.merges[{rank}]");
                let parts = match merge {
                    Value::String(merge) => merge.split_once(' '),
                    Value::Array(parts) => match parts.as_slice() {
                        [Value::String(left), Value::String(right)] => Some((left.as_str(), right.as_str())),
                        _ => None,
                    },
                    _ => None,
                };
                let (left, right) = parts.ok_or_else(|| self.wrong(&field(), merge, "two tokens"))?;
                let id = |string: &str| {
                    let expected = format!("{string:?} in model.vocab");
                    strings.get(string).copied().ok_or_else(|| self.wrong(&field(), merge, &expected))
                };
                Ok(Merge { left: id(left)?, right: id(right)?, id: id(&format!("{left}{right}"))?, rank })
            })
            .collect()
    }

    fn symbols(&self, spec: &mut Spec, strings: &HashMap<String, u32>) -> Result<(), TokenizerError> {
        for (string, &id) in strings {
            let mut characters = string.chars();
            match (spec.kind, characters.next(), characters.next()) {
                (Kind::ByteLevel, Some(c), None) => {
                    if let Some(byte) = byte_of(c) {
                        spec.bytes[usize::from(byte)] = id;
                    }
                }
                (Kind::SentencePiece, Some(c), None) => {
                    spec.characters.insert(if c == SPACE { ' ' } else { c }, id);
                }
                (Kind::SentencePiece, ..) => {
                    if let Some(byte) = byte_token(string) {
                        spec.bytes[usize::from(byte)] = id;
                    }
                }
                _ => {}
            }
        }
        if spec.kind == Kind::SentencePiece {
            // Of an ASCII character with a token of its own, as Gemma's tab is, that of the byte may be missing.
            for (byte, symbol) in (0..0x80_u8).zip(&mut spec.bytes).filter(|(_, symbol)| **symbol == NONE) {
                *symbol = spec.characters.get(&char::from(byte)).copied().unwrap_or(NONE);
            }
        }
        // Bytes that UTF-8 has not may lack a token.
        let in_text = |byte: usize| spec.kind == Kind::SentencePiece || !matches!(byte, 0xc0 | 0xc1 | 0xf5..);
        if let Some(byte) = (0..256).find(|&byte| spec.bytes[byte] == NONE && in_text(byte)) {
            let expected = "tokens for all 256 bytes, but for 0xc0, 0xc1 and those from 0xf5 on, which no UTF-8 has";
            return Err(self.wrong("model.vocab", format!("no token for byte {byte:#04x}"), expected));
        }
        if spec.kind == Kind::SentencePiece && !spec.characters.contains_key(&' ') {
            return Err(self.wrong("model.vocab", "no token \"▁\"", "one: it stands for a space"));
        }
        Ok(())
    }

    fn normalizer(&self, value: &Value) -> Result<Normalizer, TokenizerError> {
        let mut normalizer = Normalizer { prepend: false, replace: false, nfc: false };
        for step in self.sequence(value, "normalizers") {
            let is_space = |value: &Value| value == "▁";
            match step["type"].as_str() {
                // After Replace it would prepend a second time what the text may begin with; no known file does.
                Some("Prepend") if is_space(&step["prepend"]) && !normalizer.replace => normalizer.prepend = true,
                Some("Replace") if is_space(&step["content"]) && step["pattern"]["String"] == " " => {
                    normalizer.replace = true;
                }
                // It would take marks from what was prepended.
                Some("NFC") if !normalizer.prepend => normalizer.nfc = true,
                _ => {
                    let expected = "none, NFC, or Prepend of \"▁\" and then Replace of \" \" by \"▁\"";
                    return Err(self.wrong("normalizer", step, expected));
                }
            }
        }
        Ok(normalizer)
    }

    /// Where a space is put before a text. Only one of normalizer and pre-tokenizer may say so.
    fn prefix(&self, kind: Kind, normalizer: &Normalizer, steps: &Steps) -> Result<Prefix, TokenizerError> {
        let metaspace = steps.prefix != Prefix::Never || steps.metaspace;
        match kind {
            Kind::ByteLevel if normalizer.prepend || normalizer.replace => {
                Err(self.wrong("normalizer", "Prepend or Replace before ByteLevel", "none"))
            }
            Kind::ByteLevel => Ok(steps.prefix),
            Kind::SentencePiece if normalizer.prepend && metaspace => {
                Err(self.wrong("normalizer", "Prepend before Metaspace", "one of the two"))
            }
            Kind::SentencePiece if normalizer.prepend => Ok(Prefix::Segments),
            Kind::SentencePiece => Ok(steps.prefix),
        }
    }

    fn decoder(&self, value: &Value, kind: Kind) -> Result<Strip, TokenizerError> {
        let steps = self.sequence(value, "decoders");
        let mut strip = Strip::Nothing;
        let mut spaces = false;
        for step in steps {
            match (kind, step["type"].as_str()) {
                (Kind::ByteLevel, Some("ByteLevel")) => spaces = true,
                (Kind::SentencePiece, Some("Replace"))
                    if step["pattern"]["String"] == "▁" && step["content"] == " " =>
                {
                    spaces = true;
                }
                (Kind::SentencePiece, Some("Metaspace")) if step["replacement"] == "▁" => {
                    spaces = true;
                    let never = step["prepend_scheme"] == "never" || step["add_prefix_space"] == false;
                    strip = if never { Strip::Nothing } else { Strip::FirstToken };
                }
                (Kind::SentencePiece, Some("Strip"))
                    if step["content"] == " " && step["start"] == 1 && step["stop"] == 0 =>
                {
                    strip = Strip::Space;
                }
                (_, Some("ByteFallback" | "Fuse")) => {}
                _ => {
                    let expected = "ByteLevel; or Replace of \"▁\" by \" \", ByteFallback, Fuse and Strip of one space; \
                                    or Metaspace";
                    return Err(self.wrong("decoder", step, expected));
                }
            }
        }
        match spaces {
            true => Ok(strip),
            false => Err(self.wrong("decoder", value, "one that makes text of the vocabulary's strings")),
        }
    }

    fn added(&self, spec: &mut Spec, list: &Value, normalizer: &Normalizer, vocab: u32) -> Result<(), TokenizerError> {
        let mut runs_of_spaces = 0;
        for (index, token) in list.as_array().map_or(&[][..], Vec::as_slice).iter().enumerate() {
            let field = |key: &str| format!("added_tokens[{index}].{key}");
            let map = self.object(token, &field(""))?;
            let content = token["content"].as_str().filter(|content| !content.is_empty());
            let content = content.ok_or_else(|| self.wrong(&field("content"), &token["content"], "a text"))?;
            let id = self.id(&token["id"], &field("id"), vocab)?;
            let special = self.flag(map, &field("special"), false)?;
            let normalized = self.flag(map, &field("normalized"), !special)?;
            if normalized && normalizer.prepend {
                let found = format!("true for {content:?}");
                return Err(self.wrong(&field("normalized"), found, "false where the normalizer has Prepend"));
            }
            let at = id as usize;
            spec.texts.resize(spec.texts.len().max(at + 1), None);
            // Before spaces are replaced only "▁" itself is found.
            let literal = spec.kind == Kind::SentencePiece && !(normalized && normalizer.replace);
            let is_run = content.chars().all(|c| c == SPACE);
            if literal && !special && is_run && spec.texts[at] == Some(content.replace(SPACE, " ").into()) {
                // Merges make it of spaces, as of "▁".
                runs_of_spaces += 1;
                continue;
            }
            let text = match spec.kind {
                Kind::SentencePiece if !literal => content.replace(SPACE, " "),
                _ => content.into(),
            };
            match &spec.texts[at] {
                Some(known) if *known != text.as_bytes() => {
                    let expected = format!("the vocabulary's text of id {id}, {:?}", String::from_utf8_lossy(known));
                    return Err(self.wrong(&field("content"), format!("{content:?}"), &expected));
                }
                _ => spec.texts[at] = Some(text.into()),
            }
            let flag = |key| self.flag(map, &field(key), false);
            spec.added.push(Added {
                id,
                special,
                in_text: true,
                strip_left: flag("lstrip")?,
                strip_right: flag("rstrip")?,
                single_word: flag("single_word")?,
                normalized,
            });
        }
        if runs_of_spaces > 0 {
            spec.notes.push(format!(
                "{runs_of_spaces} added tokens are runs of \"▁\", and are made of spaces alone: the ids of a text that has several \"▁\" \
                 in a row may differ"
            ));
        }
        Ok(())
    }
}
