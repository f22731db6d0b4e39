//! `tokenizer.json`, as the `tokenizers` library writes it.
//!
//! | part | what is read |
//! |---|---|
//! | model | BPE without dropout, prefixes and suffixes; `ignore_merges`; byte-level, or with `byte_fallback` |
//! | normalizer | none; with `byte_fallback` also `Prepend` of `▁` and `Replace` of a space by `▁` |
//! | pre_tokenizer | `ByteLevel`, also after `Digits` or after `Split` by one of [`PATTERNS`]; `Metaspace`; none |
//! | decoder | `ByteLevel`; `Metaspace`; `Replace`, `ByteFallback`, `Fuse` and `Strip` of one space |
//! | added_tokens | all but those with `lstrip` or `single_word` |
//!
//! `post_processor`, `truncation` and `padding` don't touch the text and are ignored: the prompt says what stands around it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use jamlet::tokenizer::{Kind, Prefix, Strip, Words};
use serde_json::{Map, Value};

use super::build::{Added, Merge, Spec};
use super::{ImportError, TokenizerError};

/// Regular expressions of `Split` that cut as [`Words::Tiktoken`] does, and the most digits in a word.
pub const PATTERNS: [(&str, u8); 6] = [
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        3,
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        1,
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        2,
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        0,
    ),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        3,
    ),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        3,
    ),
];
/// What GPT-2 cuts with; also what `ByteLevel` does when `use_regex` is set.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The character that stands for a space in SentencePiece vocabularies.
const SPACE: char = '▁';

/// Reads the file for a model of `vocab` tokens.
pub(super) fn read(file: &Path, vocab: u32) -> Result<Spec, TokenizerError> {
    let json = std::fs::read(file).map_err(ImportError::io(file))?;
    let root: Value = serde_json::from_slice(&json)
        .map_err(|e| ImportError::file(file, format!("not JSON: {e}; expected a tokenizer")))?;
    let json = Json { file };
    let model = json.object(&root["model"], "model")?;
    json.check_model(model)?;

    let steps = json.pre_tokenizer(&root["pre_tokenizer"])?;
    let normalizer = json.normalizer(&root["normalizer"])?;
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
        words: steps.words,
        digits: steps.digits,
        cut_digits: steps.cut_digits,
        prefix,
        strip,
        texts: vec![None; strings.values().max().map_or(0, |&id| id as usize + 1)],
        bytes: [u32::MAX; 256],
        characters: HashMap::new(),
        merges: json.merges(model, &strings)?,
        ignore_merges: json.flag(model, "model.ignore_merges", false)?,
        added: Vec::new(),
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

/// The byte of a token such as `<0x0A>`.
pub(super) fn byte_token(string: &str) -> Option<u8> {
    let hex = string.strip_prefix("<0x")?.strip_suffix('>')?;
    let upper = |c: u8| c.is_ascii_digit() || (b'A'..=b'F').contains(&c);
    (hex.len() == 2 && hex.bytes().all(upper)).then(|| u8::from_str_radix(hex, 16).ok())?
}

/// GPT-2's alphabet of bytes: printable Latin-1 stands for itself, the other bytes in turn for the characters from U+0100.
fn byte_of(c: char) -> Option<u8> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(c) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(|&byte| printable(byte)),
        code => (0..=u8::MAX).filter(|&byte| !printable(byte)).nth((code - 0x100) as usize),
    }
}

/// What the pre-tokenizer does.
struct Steps {
    byte_level: bool,
    words: Words,
    digits: u8,
    cut_digits: u8,
    prefix: Prefix,
}

/// What the normalizer does.
struct Normalizer {
    prepend: bool,
    replace: bool,
}

/// Reads values and names them when they are wrong.
struct Json<'a> {
    file: &'a Path,
}

impl Json<'_> {
    fn wrong(&self, field: &str, found: impl ToString, expected: &str) -> TokenizerError {
        ImportError::field(self.file, field, found, expected)
    }

    fn object<'v>(&self, value: &'v Value, field: &str) -> Result<&'v Map<String, Value>, TokenizerError> {
        value.as_object().ok_or_else(|| self.wrong(field, value, "an object"))
    }

    /// A switch; `field` is its path, whose last part is its key in `map`.
    fn flag(&self, map: &Map<String, Value>, field: &str, default: bool) -> Result<bool, TokenizerError> {
        let key = field.rsplit('.').next().unwrap_or(field);
        match map.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(field, other, "true or false")),
        }
    }

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
        if let Some(byte) = spec.bytes.iter().position(|&id| id == u32::MAX) {
            return Err(self.wrong(
                "model.vocab",
                format!("no token for byte {byte:#04x}"),
                "tokens for all 256 bytes",
            ));
        }
        if spec.kind == Kind::SentencePiece && !spec.characters.contains_key(&' ') {
            return Err(self.wrong("model.vocab", "no token \"▁\"", "one: it stands for a space"));
        }
        Ok(())
    }

    fn normalizer(&self, value: &Value) -> Result<Normalizer, TokenizerError> {
        let mut normalizer = Normalizer { prepend: false, replace: false };
        for step in self.sequence(value, "normalizers") {
            let is_space = |value: &Value| value == "▁";
            match step["type"].as_str() {
                // After Replace it would prepend a second time what the text may begin with; no known file does.
                Some("Prepend") if is_space(&step["prepend"]) && !normalizer.replace => normalizer.prepend = true,
                Some("Replace") if is_space(&step["content"]) && step["pattern"]["String"] == " " => {
                    normalizer.replace = true;
                }
                _ => {
                    return Err(self.wrong(
                        "normalizer",
                        step,
                        "none, or Prepend of \"▁\" and then Replace of \" \" by \"▁\"; the engine changes no characters",
                    ));
                }
            }
        }
        Ok(normalizer)
    }

    /// The steps of a `Sequence`, which lie under `key`, or the one step, or none.
    fn sequence<'v>(&self, value: &'v Value, key: &str) -> &'v [Value] {
        match value {
            Value::Null => &[],
            Value::Object(map) if map.get("type").is_some_and(|kind| kind == "Sequence") => {
                map.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
            }
            step => std::slice::from_ref(step),
        }
    }

    fn pre_tokenizer(&self, value: &Value) -> Result<Steps, TokenizerError> {
        let mut steps =
            Steps { byte_level: false, words: Words::Whole, digits: 0, cut_digits: 0, prefix: Prefix::Never };
        let list = self.sequence(value, "pretokenizers");
        for (index, step) in list.iter().enumerate() {
            let map = self.object(step, "pre_tokenizer")?;
            match step["type"].as_str() {
                Some("Digits") if index == 0 => {
                    let single = self.flag(map, "pre_tokenizer.Digits.individual_digits", false)?;
                    steps.cut_digits = if single { 2 } else { 1 };
                }
                Some("Split") if index == 0 => (steps.words, steps.digits) = self.split(map)?,
                Some("ByteLevel") if index + 1 == list.len() => {
                    steps.byte_level = true;
                    if self.flag(map, "pre_tokenizer.ByteLevel.use_regex", true)? {
                        if steps.words != Words::Whole {
                            return Err(self.wrong("pre_tokenizer.ByteLevel.use_regex", true, "false after Split"));
                        }
                        steps.words = Words::Gpt2;
                    }
                    if self.flag(map, "pre_tokenizer.ByteLevel.add_prefix_space", true)? {
                        if index > 0 {
                            let found = "true after a cut, where it adds a space to every part";
                            return Err(self.wrong("pre_tokenizer.ByteLevel.add_prefix_space", found, "false"));
                        }
                        steps.prefix = Prefix::BareSegments;
                    }
                }
                Some("Metaspace") if list.len() == 1 => self.metaspace(map, &mut steps)?,
                _ => {
                    return Err(self.wrong(
                        "pre_tokenizer",
                        step,
                        "ByteLevel, Digits or Split and then ByteLevel, Metaspace, or none",
                    ));
                }
            }
        }
        if !steps.byte_level && (steps.cut_digits != 0 || matches!(steps.words, Words::Gpt2 | Words::Tiktoken)) {
            return Err(self.wrong("pre_tokenizer", value, "ByteLevel as the last step"));
        }
        Ok(steps)
    }

    fn split(&self, map: &Map<String, Value>) -> Result<(Words, u8), TokenizerError> {
        let get = |key: &str| map.get(key).unwrap_or(&Value::Null);
        let invert = self.flag(map, "pre_tokenizer.Split.invert", false)?;
        // Where the expression matches everything, isolating its matches is removing what lies between them.
        if !(get("behavior") == "Isolated" && !invert || get("behavior") == "Removed" && invert) {
            return Err(self.wrong("pre_tokenizer.Split.behavior", get("behavior"), "\"Isolated\", not inverted"));
        }
        let pattern = &get("pattern")["Regex"];
        if pattern == GPT2 {
            return Ok((Words::Gpt2, 0));
        }
        match PATTERNS.iter().find(|(known, _)| pattern == known) {
            Some(&(_, digits)) => Ok((Words::Tiktoken, digits)),
            None => Err(self.wrong(
                "pre_tokenizer.Split.pattern",
                get("pattern"),
                "the regular expression of GPT-2, cl100k, Llama 3 or Qwen 2",
            )),
        }
    }

    fn metaspace(&self, map: &Map<String, Value>, steps: &mut Steps) -> Result<(), TokenizerError> {
        let get = |key: &str| map.get(key).unwrap_or(&Value::Null);
        if get("replacement") != "▁" {
            return Err(self.wrong("pre_tokenizer.Metaspace.replacement", get("replacement"), "\"▁\""));
        }
        if self.flag(map, "pre_tokenizer.Metaspace.split", true)? {
            steps.words = Words::Spaces;
        }
        let add = self.flag(map, "pre_tokenizer.Metaspace.add_prefix_space", true)?;
        steps.prefix = match get("prepend_scheme").as_str() {
            _ if !add => Prefix::Never,
            None | Some("always") => Prefix::BareSegments,
            Some("first") => Prefix::BareText,
            Some("never") => Prefix::Never,
            Some(other) => {
                return Err(self.wrong("pre_tokenizer.Metaspace.prepend_scheme", other, "always, first or never"));
            }
        };
        Ok(())
    }

    /// Where a space is put before a text. Only one of normalizer and pre-tokenizer may say so.
    fn prefix(&self, kind: Kind, normalizer: &Normalizer, steps: &Steps) -> Result<Prefix, TokenizerError> {
        let metaspace = steps.prefix != Prefix::Never || steps.words == Words::Spaces;
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
        // In two passes, as the library matches them: before and after normalizing.
        let mut passes: [Vec<String>; 2] = Default::default();
        for (index, token) in list.as_array().map_or(&[][..], Vec::as_slice).iter().enumerate() {
            let field = |key: &str| format!("added_tokens[{index}].{key}");
            let map = self.object(token, &field(""))?;
            let content = token["content"].as_str().filter(|content| !content.is_empty());
            let content = content.ok_or_else(|| self.wrong(&field("content"), &token["content"], "a text"))?;
            let id = self.id(&token["id"], &field("id"), vocab)?;
            for key in ["lstrip", "single_word"] {
                if self.flag(map, &field(key), false)? {
                    return Err(self.wrong(&field(key), format!("true for {content:?}"), "false"));
                }
            }
            let special = self.flag(map, &field("special"), false)?;
            let normalized = self.flag(map, &field("normalized"), !special)?;
            if normalized && normalizer.prepend {
                let found = format!("true for {content:?}");
                return Err(self.wrong(&field("normalized"), found, "false where the normalizer has Prepend"));
            }
            if spec.kind == Kind::SentencePiece && !(normalized && normalizer.replace) && content.contains(SPACE) {
                return Err(self.wrong(&field("content"), format!("{content:?}"), "a text without \"▁\""));
            }
            let text = match spec.kind {
                Kind::SentencePiece => content.replace(SPACE, " "),
                Kind::ByteLevel => content.into(),
            };
            let at = id as usize;
            spec.texts.resize(spec.texts.len().max(at + 1), None);
            match &spec.texts[at] {
                Some(known) if *known != text.as_bytes() => {
                    let expected = format!("the vocabulary's text of id {id}, {:?}", String::from_utf8_lossy(known));
                    return Err(self.wrong(&field("content"), format!("{content:?}"), &expected));
                }
                _ => spec.texts[at] = Some(text.clone().into()),
            }
            let strip_right = self.flag(map, &field("rstrip"), false)?;
            spec.added.push(Added { id, special, in_text: true, strip_right });
            passes[usize::from(normalized)].push(text);
        }
        match passes[0].iter().find_map(|a| passes[1].iter().find(|b| overlap(a, b)).map(|b| (a, b))) {
            None => Ok(()),
            Some((a, b)) => Err(self.wrong(
                "added_tokens",
                format!("{a:?} not normalized and {b:?} normalized, which can overlap in a text"),
                "the same for both",
            )),
        }
    }
}

/// Whether both can be found at places of a text that share characters.
fn overlap(a: &str, b: &str) -> bool {
    let end_begins = |a: &str, b: &str| a.char_indices().any(|(at, _)| b.starts_with(&a[at..]));
    a.contains(b) || b.contains(a) || end_begins(a, b) || end_begins(b, a)
}
