//! A tokenizer from a stranger's Hugging Face folder: byte 0 says which file the rest is. What loads encodes and decodes.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use jamlet_tools::hf::JambaConfig;
use jamlet_tools::hf::tokenizer::{load, prompt};

use super::{Input, image::show, tokenizer::use_all};
use crate::folder;

const JSON: &str = "tokenizer.json";
const MODEL: &str = "tokenizer.model";
const SETTINGS: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";
const VOCAB: u32 = 600;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| folder::scratch("tokenizer"));

/// Loads the bytes as a tokenizer.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    for file in [JSON, MODEL, SETTINGS, TEMPLATE] {
        drop(fs::remove_file(FOLDER.join(file)));
    }
    let put = |file: &str, bytes: &[u8]| fs::write(FOLDER.join(file), bytes).expect("a file");
    match choice % 6 {
        0 => put(JSON, input.rest()),
        1 => put(MODEL, input.rest()),
        // Merges and added tokens, in the midst of a file that is right.
        2 => put(JSON, &json(true, &String::from_utf8_lossy(input.rest()))),
        3 => put(JSON, &json(false, &String::from_utf8_lossy(input.rest()))),
        4 => {
            put(JSON, &json(true, EXTRA));
            put(SETTINGS, input.rest());
        }
        _ => {
            put(JSON, &json(true, EXTRA));
            put(TEMPLATE, input.rest());
        }
    }
    match load(&FOLDER, VOCAB) {
        Ok(None) => {}
        Ok(Some(packed)) => {
            use_all(packed.view(), b"It's ab aab <s>\n\n 12 \xe4\xb8\x96\xff");
            let config = format!("{{\"model_type\":\"jamba\",\"vocab_size\":{VOCAB}}}");
            let config = JambaConfig::parse("config.json".as_ref(), config.as_bytes()).expect("a config");
            match prompt(&FOLDER, &packed, &config, true) {
                Ok(prompt) => {
                    let ids = prompt.ids;
                    assert!(ids.prefix.iter().chain(&ids.suffix).chain(&ids.stops).all(|&id| id < VOCAB));
                }
                Err(error) => show(&error),
            }
        }
        Err(error) => show(&error),
    }
}

/// What stands for the part that a fuzzer chooses: tokens, merges, added tokens.
const EXTRA: &str = r#","ab":256,"aab":257},"merges":[["a","b"],["a","ab"]]},"added_tokens":[{"id":258,"content":"<s>","special":true}]"#;

/// A `tokenizer.json` with tokens for all bytes, byte-level or not, followed by `rest`.
fn json(byte_level: bool, rest: &str) -> Vec<u8> {
    static BYTES: LazyLock<[String; 2]> = LazyLock::new(|| {
        let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let mut others = 0x100_u32..;
        let characters = (0..=255_u8).map(|byte| match printable(byte) {
            true => char::from(byte),
            false => others.next().and_then(char::from_u32).expect("a character"),
        });
        let list = |strings: &mut dyn Iterator<Item = String>| -> String {
            let entries: Vec<String> =
                strings.enumerate().map(|(id, text)| format!("{}:{id}", serde_json::Value::from(text))).collect();
            entries.join(",")
        };
        [
            list(&mut characters.map(String::from)),
            list(&mut (0..=255_u8).map(|byte| format!("<0x{byte:02X}>")).chain(["\u{2581}".into()])),
        ]
    });
    let (steps, decoder) = match byte_level {
        true => (r#"{"type":"ByteLevel","add_prefix_space":false}"#, r#"{"type":"ByteLevel"}"#),
        false => (r#"{"type":"Metaspace","replacement":"▁"}"#, r#"{"type":"Metaspace","replacement":"▁"}"#),
    };
    let vocab = &BYTES[usize::from(!byte_level)];
    format!(
        r#"{{"pre_tokenizer":{steps},"decoder":{decoder},"model":{{"type":"BPE","byte_fallback":{},"vocab":{{{vocab}{rest}}}"#,
        !byte_level
    )
    .into_bytes()
}

/// A file of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let piece = |text: &str, score: f32, kind: u8| {
        let mut piece = vec![0x0a, text.len() as u8];
        piece.extend(text.as_bytes());
        piece.push(0x15);
        piece.extend(score.to_le_bytes());
        piece.extend([0x18, kind]);
        [vec![0x0a, piece.len() as u8], piece].concat()
    };
    let mut model = [piece("<unk>", 0.0, 2), piece("<s>", 0.0, 3)].concat();
    (0..=255_u8).for_each(|byte| model.extend(piece(&format!("<0x{byte:02X}>"), 0.0, 6)));
    for (at, text) in ["ab", "\u{2581}ab", "\u{2581}", "a", "b"].iter().enumerate() {
        model.extend(piece(text, -(at as f32), 1));
    }
    model.extend(piece("<tool>", 0.0, 4));
    model.extend([0x12, 2, 0x18, 2, 0x1a, 4, 0x18, 1, 0x20, 0]);
    let pieces = r#","a":257,"b":258,"ab":259,"▁ab":260},"merges":["a b",["▁","ab"]]},"added_tokens":[{"id":261,"content":"<s>","special":true,"rstrip":true}]"#;
    let settings = r#"{"bos_token":"<s>","chat_template":"{{ bos_token }}{% for m in messages %}{{ m.content.strip() }}{% endfor %}<s>"}"#;
    let template = "{%- for m in messages -%}{{ m['role'] }}: {{ m['content'] | trim }}{%- endfor -%}{% if add_generation_prompt %}ab{% endif %}";
    vec![
        [&[1], &model[..]].concat(),
        [&[2], EXTRA.as_bytes()].concat(),
        [&[3], pieces.as_bytes()].concat(),
        [&[4], settings.as_bytes()].concat(),
        [&[5], template.as_bytes()].concat(),
        [&[0], &br#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"ByteLevel"},"decoder":{"type":"ByteLevel"}}"#[..]].concat(),
    ]
}
