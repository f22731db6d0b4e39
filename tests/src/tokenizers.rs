//! What the tokenizer tests share: fixtures, and a long mixed text from small seeds.

use std::fs;
use std::path::{Path, PathBuf};

use jamlet::tokenizer::{Decoder, Encoder, Tokenizer};
use serde_json::Value;

pub use crate::random::Random;

/// A folder of `fixtures/tokenizers`.
pub fn dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tokenizers").join(name)
}

/// Writes a folder with the tokenizer of a fixture, which gets these added tokens where it is a `tokenizer.json`.
///
/// # Panics
/// If it can't be written.
pub fn write_folder(folder: &Path, name: &str, added: Option<&Value>, settings: &Value, template: Option<&str>) {
    let source = dir(name);
    match added {
        Some(added) => {
            let json = fs::read(source.join("tokenizer.json")).expect("a tokenizer");
            let mut json: Value = serde_json::from_slice(&json).expect("JSON");
            json["added_tokens"] = added.clone();
            fs::write(folder.join("tokenizer.json"), json.to_string()).expect("a file");
        }
        None => {
            fs::copy(source.join("tokenizer.model"), folder.join("tokenizer.model")).expect("a file");
        }
    }
    fs::write(folder.join("tokenizer_config.json"), settings.to_string()).expect("a file");
    if let Some(template) = template {
        fs::write(folder.join("chat_template.jinja"), template).expect("a file");
    }
}

/// Ids that a folder's tokenizer has, at most.
///
/// # Panics
/// If its `tokenizer.json` is none.
pub fn vocabulary(folder: &Path) -> u32 {
    let Ok(json) = fs::read(folder.join("tokenizer.json")) else { return 4096 };
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    let vocab = json["model"]["vocab"].as_object().expect("a vocabulary").values();
    let added = json["added_tokens"].as_array().into_iter().flatten().map(|token| &token["id"]);
    vocab.chain(added).filter_map(Value::as_u64).max().expect("ids") as u32 + 1
}

/// The seeds: English, source code, Chinese, Arabic, Hindi, emoji, combining marks.
pub fn seeds() -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(dir("seeds")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// At least `bytes` bytes of lines, words and torn pieces of the seeds, runs of white space and letters, `marks` (special
/// tokens and what looks like them) and characters from all of Unicode.
pub fn mixed_text(bytes: usize, seed: u64, marks: &[&str]) -> String {
    let (seeds, mut random) = (seeds(), Random(seed));
    let spaces = [" ", "\n", "\t", "\r\n", " \n", "\u{a0}", "\u{3000}", "\r"];
    let mut text = String::with_capacity(bytes + 1000);
    while text.len() < bytes {
        let seed = &seeds[random.below(seeds.len())];
        match random.below(16) {
            0..5 => {
                let lines: Vec<_> = seed.lines().collect();
                text += lines[random.below(lines.len())];
                text.push('\n');
            }
            5..10 => {
                let (from, count) = (random.below(seed.chars().count()), 1 + random.below(60));
                text.extend(seed.chars().skip(from).take(count));
            }
            10 | 11 => {
                let space = spaces[random.below(spaces.len())];
                let longest = [3, 10, 40, 300][random.below(4)];
                text.extend(std::iter::repeat_n(space, 1 + random.below(longest)));
            }
            12 => {
                let letter = ["a", "Z", "7", "=", "-", "好", "é", "'", "ab", "!?"][random.below(10)];
                text.extend(std::iter::repeat_n(letter, 1 + random.below(100)));
            }
            13 => text.extend(char::from_u32(random.below(0x11_0000) as u32)),
            14 => text.extend(char::from_u32(random.below(0x3000) as u32)),
            _ if marks.is_empty() => text.push('<'),
            _ => {
                let mark = marks[random.below(marks.len())];
                // Sometimes torn.
                let keep = if random.below(4) == 0 { random.below(mark.len()) } else { mark.len() };
                text += mark.get(..keep).unwrap_or(mark);
            }
        }
    }
    text
}

/// Ids of a text that is fed at once.
pub fn encode(tokenizer: Tokenizer<'_>, text: &[u8]) -> Vec<u32> {
    encode_chunks(tokenizer, [text])
}

/// Ids of a text that is fed in pieces.
pub fn encode_chunks<'t>(tokenizer: Tokenizer<'_>, chunks: impl IntoIterator<Item = &'t [u8]>) -> Vec<u32> {
    let mut ids = Vec::new();
    let mut encoder = Encoder::<512>::new(tokenizer);
    for chunk in chunks {
        encoder.feed(chunk, |id| ids.push(id));
    }
    encoder.finish(|id| ids.push(id));
    ids
}

/// Text of ids.
pub fn decode(tokenizer: Tokenizer<'_>, ids: &[u32], skip_special: bool) -> String {
    let mut text = String::new();
    let mut decoder = Decoder::new(tokenizer, skip_special);
    for &id in ids {
        decoder.push(id, |part| text += part);
    }
    decoder.finish(|part| text += part);
    text
}

/// Asserts equal ids; a difference is shown with what is around it.
#[track_caller]
pub fn assert_ids(ours: &[u32], theirs: &[u32], show: impl Fn(u32) -> String) {
    if let Some(at) = (0..ours.len().max(theirs.len())).find(|&at| ours.get(at) != theirs.get(at)) {
        let around = |ids: &[u32]| -> Vec<String> {
            ids.iter().skip(at.saturating_sub(6)).take(16).map(|&id| format!("{id}={:?}", show(id))).collect()
        };
        panic!("token {at} differs\n ours {}\nright {}", around(ours).join(" "), around(theirs).join(" "));
    }
}
