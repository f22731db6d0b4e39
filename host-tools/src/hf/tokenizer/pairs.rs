//! `vocab.json` with `merges.txt`, as the tokenizers of GPT-2 and Qwen 2 are kept without `tokenizer.json`.
//!
//! They say nothing about normalizing and cutting: the class in `tokenizer_config.json` does.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::build::Spec;
use super::pre_tokenizer::GPT2;
use super::{ImportError, TokenizerError, json};

/// What Qwen 2 cuts with.
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// Reads the files of a folder for a model of `vocab` tokens.
pub(super) fn read(dir: &Path, vocab: u32) -> Result<Spec, TokenizerError> {
    let file = dir.join("vocab.json");
    let strings = object(&file)?;
    let settings_file = dir.join("tokenizer_config.json");
    let settings = optional(&settings_file)?;
    let merges_file = dir.join("merges.txt");
    let text = std::fs::read_to_string(&merges_file).map_err(ImportError::io(&merges_file))?;
    let merges: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("#version")).collect();

    let class = settings.get("tokenizer_class").and_then(Value::as_str).unwrap_or("GPT2Tokenizer");
    let (pattern, normalizer) = match class.trim_end_matches("Fast") {
        "GPT2Tokenizer" | "PreTrainedTokenizer" | "PreTrainedTokenizer2" => (GPT2, Value::Null),
        "Qwen2Tokenizer" => (QWEN2, json!({ "type": "NFC" })),
        other => {
            let expected = "GPT2Tokenizer or Qwen2Tokenizer, where there is no tokenizer.json";
            return Err(ImportError::field(&settings_file, "tokenizer_class", other, expected));
        }
    };
    let prefix = settings.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(false);
    let cut = json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated" });
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": prefix, "use_regex": prefix });
    let steps = if prefix { vec![bytes] } else { vec![cut, bytes] };
    let added = added(dir, &settings, &strings)?;
    let root = json!({
        "normalizer": normalizer,
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": steps },
        "decoder": { "type": "ByteLevel" },
        "added_tokens": added,
        "model": { "type": "BPE", "vocab": strings, "merges": merges },
    });
    json::spec(&file, &root, vocab)
}

/// Added tokens: those of `tokenizer_config.json`, else of `added_tokens.json` and `special_tokens_map.json`.
fn added(
    dir: &Path,
    settings: &Map<String, Value>,
    strings: &Map<String, Value>,
) -> Result<Vec<Value>, TokenizerError> {
    if let Some(Value::Object(tokens)) = settings.get("added_tokens_decoder") {
        let with_id = |(id, token): (&String, &Value)| {
            let mut token = token.clone();
            token["id"] = id.parse::<u32>().map_or(Value::Null, Value::from);
            token
        };
        return Ok(tokens.iter().filter(|(_, token)| token.is_object()).map(with_id).collect());
    }
    let more = optional(&dir.join("added_tokens.json"))?;
    let map = optional(&dir.join("special_tokens_map.json"))?;
    let mut tokens: Map<String, Value> = more;
    for settings in [settings, &map] {
        for value in settings.iter().filter(|(key, _)| key.ends_with("_token")).map(|(_, value)| value) {
            let text = value.as_str().or_else(|| value.get("content")?.as_str());
            if let Some((text, id)) = text.and_then(|text| Some((text, strings.get(text)?))) {
                tokens.insert(text.into(), id.clone());
            }
        }
    }
    if let Some(id) = strings.get("<|endoftext|>") {
        tokens.insert("<|endoftext|>".into(), id.clone());
    }
    let token = |(text, id): (String, Value)| json!({ "content": text, "id": id, "special": true });
    Ok(tokens.into_iter().map(token).collect())
}

fn optional(file: &Path) -> Result<Map<String, Value>, TokenizerError> {
    match file.try_exists().map_err(ImportError::io(file))? {
        true => object(file),
        false => Ok(Map::new()),
    }
}

fn object(file: &Path) -> Result<Map<String, Value>, TokenizerError> {
    let bytes = std::fs::read(file).map_err(ImportError::io(file))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ImportError::file(file, format!("not a JSON object: {error}; expected a tokenizer's file")))
}
