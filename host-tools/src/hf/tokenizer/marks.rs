//! What a tokenizer puts around every text: usually the token that begins one, or nothing.

use super::{ImportError, TokenizerError};
use crate::hf::files;
use jamlet::tokenizer::Tokenizer;
use serde_json::Value;
use std::path::Path;

/// Ids around a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub start: Vec<u32>,
    pub end: Vec<u32>,
}

/// What transformers' tokenizer of the folder `dir` puts around a text: `add_bos_token` and `add_eos_token` of the `settings` decide, where
/// they are there; else the post-processor of `tokenizer.json`.
///
/// # Errors
/// If a file or field is none that can be read.
pub(super) fn around_texts(
    dir: &Path,
    settings: &Value,
    tokenizer: Tokenizer<'_>,
    bos: Option<u32>,
    eos: Option<u32>,
) -> Result<Marks, TokenizerError> {
    let flag = |field: &str| match &settings[field] {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        other => Err(ImportError::field(&dir.join("tokenizer_config.json"), field, other, "true or false")),
    };
    let (add_bos, add_eos) = (flag("add_bos_token")?, flag("add_eos_token")?);
    if add_bos.is_some() || add_eos.is_some() {
        let when = |flag: Option<bool>, id: Option<u32>| id.filter(|_| flag == Some(true)).into_iter().collect();
        return Ok(Marks { start: when(add_bos, bos), end: when(add_eos, eos) });
    }
    #[derive(serde::Deserialize)]
    struct File {
        #[serde(default)]
        post_processor: Value,
    }
    let file = dir.join("tokenizer.json");
    let Some(json) = files::read_if_there(&file)? else { return Ok(Marks::default()) };
    let json: File = files::parse(&json).map_err(|e| ImportError::file(&file, format!("not JSON: {e}")))?;
    let mut marks = Marks::default();
    let wrong = |step: &Value| {
        ImportError::field(&file, "post_processor", step, "one that puts tokens of the vocabulary around a text")
    };
    let steps = match &json.post_processor {
        Value::Null => &[],
        list if list["type"] == "Sequence" => list["processors"].as_array().map_or(&[][..], Vec::as_slice),
        step => std::slice::from_ref(step),
    };
    for step in steps {
        let (start, end) = of_step(step, tokenizer).ok_or_else(|| wrong(step))?;
        // Steps wrap what those before them made.
        marks.start.splice(0..0, start);
        marks.end.extend(end);
    }
    Ok(marks)
}

/// Ids before and after.
fn of_step(step: &Value, tokenizer: Tokenizer<'_>) -> Option<(Vec<u32>, Vec<u32>)> {
    let id = |text: &Value| tokenizer.added_token(text.as_str()?);
    match step["type"].as_str()? {
        "ByteLevel" => Some((Vec::new(), Vec::new())),
        "BertProcessing" | "RobertaProcessing" => Some((vec![id(&step["cls"][0])?], vec![id(&step["sep"][0])?])),
        "TemplateProcessing" => {
            let (mut start, mut end, mut text_seen) = (Vec::new(), Vec::new(), false);
            for part in step["single"].as_array()? {
                if part.get("Sequence").is_some() {
                    text_seen = true;
                    continue;
                }
                let name = part["SpecialToken"]["id"].as_str()?;
                let ids = step["special_tokens"][name]["ids"].as_array()?;
                for id in ids {
                    let id = u32::try_from(id.as_u64()?).ok().filter(|&id| tokenizer.piece(id).is_some())?;
                    if text_seen { end.push(id) } else { start.push(id) }
                }
            }
            Some((start, end))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_way_to_say_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let vocab: serde_json::Map<String, Value> = (0..=255_u8)
            .map(|byte| {
                let printable = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
                let others = (0..byte).filter(|b| !matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)).count() as u32;
                let c = if printable { char::from(byte) } else { char::from_u32(256 + others).expect("a character") };
                (c.to_string(), json!(byte))
            })
            .collect();
        let added: Vec<Value> = (256..)
            .zip(["<s>", "</s>"])
            .map(|(id, content)| json!({"id": id, "content": content, "special": true}))
            .collect();
        let found = |post_processor: Value, settings: Value| {
            let json = json!({
                "added_tokens": added, "post_processor": post_processor,
                "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "ByteLevel"},
                "model": {"type": "BPE", "vocab": vocab, "merges": []},
            });
            std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).expect("a file");
            let packed = super::super::load(folder.path(), 258).expect("a tokenizer").expect("a tokenizer");
            let marks = around_texts(folder.path(), &settings, packed.view(), Some(256), Some(257));
            marks.map(|marks| (marks.start, marks.end)).map_err(|error| error.to_string())
        };
        let bos = json!({"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]}}});
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": true});
        assert_eq!(found(Value::Null, Value::Null), Ok((vec![], vec![])));
        assert_eq!(found(bos.clone(), Value::Null), Ok((vec![256], vec![])));
        assert_eq!(
            found(json!({"type": "Sequence", "processors": [bytes, bos]}), Value::Null),
            Ok((vec![256], vec![]))
        );
        assert_eq!(found(bos.clone(), json!({"add_bos_token": false})), Ok((vec![], vec![])));
        assert_eq!(
            found(Value::Null, json!({"add_bos_token": true, "add_eos_token": true})),
            Ok((vec![256], vec![257]))
        );
        assert_eq!(found(bos, json!({"add_eos_token": true})), Ok((vec![], vec![257])));
        let roberta = json!({"type": "RobertaProcessing", "cls": ["<s>", 256], "sep": ["</s>", 257]});
        assert_eq!(found(roberta, Value::Null), Ok((vec![256], vec![257])));
        assert!(
            found(json!({"type": "Other"}), Value::Null)
                .unwrap_err()
                .contains("post_processor: found {\"type\":\"Other\"}")
        );
        assert!(found(Value::Null, json!({"add_bos_token": 1})).unwrap_err().contains("add_bos_token: found 1"));
    }
}
