//! The merges, as the engine finds them in a window of fixed size, on random vocabularies over few letters: much depends
//! on little there. And damaged sections: never a panic, never an endless loop.

use std::path::Path;

use jamlet::image::Role;
use jamlet::tokenizer::{Decoder, Encoder, Tokenizer, field};
use jamlet::{ImageError, Model};
use jamlet_tests::tokenizers::{Random, dir, encode};
use jamlet_tools::hf::tokenizer::{PackedTokenizer, load};
use serde_json::{Value, json};

/// The character of a byte in byte-level vocabularies, for bytes that stand for themselves there or are below 33.
fn character(byte: u8) -> char {
    let others = (0..=255_u8).filter(|byte| !matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff));
    match others.into_iter().position(|other| other == byte) {
        Some(place) => char::from_u32(0x100 + place as u32).unwrap(),
        None => byte.into(),
    }
}

/// A `tokenizer.json` with all bytes, and `merges` random merges of tokens over `letters`. `again` of them make a token
/// that another one makes too.
fn random_vocabulary(random: &mut Random, letters: &str, merges: usize, again: usize) -> Value {
    let mut tokens: Vec<String> = letters.chars().map(String::from).collect();
    let mut list: Vec<[String; 2]> = Vec::new();
    for _ in 0..merges {
        let [left, right] = [0, 1].map(|_| tokens[random.below(tokens.len())].clone());
        let merged = format!("{left}{right}");
        if merged.len() <= 16 && !tokens.contains(&merged) {
            tokens.push(merged);
            list.push([left, right]);
        }
    }
    for _ in 0..again {
        let token = &tokens[random.below(tokens.len())];
        if token.len() > 1 {
            let (left, right) = token.split_at(1 + random.below(token.len() - 1));
            let pair = [left.to_string(), right.to_string()];
            if tokens.contains(&pair[0]) && tokens.contains(&pair[1]) && !list.contains(&pair) {
                list.insert(random.below(list.len() + 1), pair);
            }
        }
    }
    let all = (0..=255).map(|byte| character(byte).to_string()).chain(tokens);
    let mut vocab = serde_json::Map::new();
    for token in all {
        let next = vocab.len();
        vocab.entry(token).or_insert(next.into());
    }
    json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
        "post_processor": null,
        "decoder": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
        "model": { "type": "BPE", "vocab": vocab, "merges": list },
    })
}

/// Packs a `tokenizer.json`.
fn pack(json: &Value) -> PackedTokenizer {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
    load(folder.path(), 1 << 16).unwrap().expect("a tokenizer")
}

#[test]
fn random_vocabularies() {
    let mut random = Random(4);
    for case in 0..900 {
        let letters = ["a", "ab", "abc"][random.below(3)];
        let (merges, again) = ([3, 10, 60][random.below(3)], [0, 0, 4][random.below(3)]);
        let mut json = random_vocabulary(&mut random, letters, merges, again);
        if case % 3 == 0 {
            // In any order: merges come before those that make their parts.
            let list = json["model"]["merges"].as_array_mut().unwrap();
            (1..list.len()).for_each(|at| list.swap(at, random.below(at + 1)));
        }
        let ours = pack(&json);
        let theirs: tokenizers::Tokenizer = json.to_string().parse().unwrap();
        for text in 0..24 {
            let length = if text == 0 { 3000 } else { 1 + random.below(60) };
            let period = 1 + random.below(length.min(12));
            let letter = |random: &mut Random| letters.as_bytes()[random.below(letters.len())];
            let mut text: Vec<u8> = (0..period).map(|_| letter(&mut random)).collect();
            // Half of them repeat themselves.
            let repeat = random.below(2) == 0;
            while text.len() < length {
                text.push(if repeat { text[text.len() - period] } else { letter(&mut random) });
            }
            let text = String::from_utf8(text).unwrap();
            let right = theirs.encode(text.as_str(), false).unwrap();
            let mut ids = Vec::new();
            let mut encoder = Encoder::<256>::new(ours.view());
            encoder.feed(text.as_bytes(), |id| ids.push(id));
            encoder.finish(|id| ids.push(id));
            assert_eq!(ids, right.get_ids(), "case {case}: {text:?} with {}", json["model"]["merges"]);
        }
    }
}

/// Uses all that a section offers.
fn use_all(tokenizer: Tokenizer<'_>, random: &mut Random) {
    let text = b"It's a <|endoftext|> of 123 words\r\n \n \xe4\xb8\x96\xe7\x95\x8c \xff <tool>aaaaaaaaaaaaaaaa   ";
    let ids = encode(tokenizer, text);
    let mut bytes = 0;
    for skip_special in [false, true] {
        let mut decoder = Decoder::new(tokenizer, skip_special);
        for &id in &ids {
            assert!(id < tokenizer.tokens());
            decoder.push(id, |part| bytes += part.len());
        }
        decoder.push(random.bits() as u32, |part| bytes += part.len());
        decoder.finish(|part| bytes += part.len());
    }
    let id = random.below(2 * tokenizer.tokens() as usize) as u32;
    let length = tokenizer.piece(id).map_or(0, |piece| piece.count());
    assert!(length <= 255 * 512);
    let _ = (tokenizer.added_token("<tool>"), tokenizer.is_special(id), bytes);
}

#[test]
fn damaged_sections() {
    let mut random = Random(5);
    let vocabulary = random_vocabulary(&mut random, "abc", 40, 0);
    let small = pack(&vocabulary);
    let mut accepted = 0;
    let mut sections = vec![(small, 300_000)];
    for (name, vocab) in [("llama-3", 1510), ("jamba", 2500), ("falcon", 800), ("neox", 800)] {
        sections.push((load(&dir(name), vocab).unwrap().unwrap(), 6_000));
    }
    for (section, cases) in sections {
        let mut bytes = section.bytes.clone();
        // Every length.
        for length in 0..bytes.len() {
            assert!(Tokenizer::parse(&bytes[..length], section.vocab).is_err(), "{length} bytes");
        }
        bytes.push(0);
        assert!(Tokenizer::parse(&bytes, section.vocab).is_err(), "a byte more");
        bytes.pop();
        // Some changed bytes; half of them in the header and what follows it.
        for _ in 0..cases {
            let changes: Vec<(usize, u8)> = (0..1 + random.below(3))
                .map(|_| {
                    let end = if random.below(2) == 0 { bytes.len() } else { bytes.len().min(1000) };
                    let value = [0, 1, 255, random.bits() as u8][random.below(4)];
                    (random.below(end), value)
                })
                .collect();
            let before: Vec<u8> = changes.iter().map(|&(at, _)| bytes[at]).collect();
            changes.iter().for_each(|&(at, value)| bytes[at] = value);
            if let Ok(tokenizer) = Tokenizer::parse(&bytes, section.vocab) {
                accepted += 1;
                if accepted % 8 == 0 {
                    use_all(tokenizer, &mut random);
                }
            }
            changes.iter().zip(before).rev().for_each(|(&(at, _), value)| bytes[at] = value);
        }
        assert!(Tokenizer::parse(&bytes, section.vocab).is_ok(), "whole again");
    }
    assert!(accepted > 10_000, "only {accepted} damaged sections were read far enough to test what they do");
}

#[test]
fn random_bytes() {
    let mut random = Random(6);
    for _ in 0..100_000 {
        let bytes: Vec<u8> = (0..random.below(200)).map(|_| random.bits() as u8).collect();
        assert!(Tokenizer::parse(&bytes, 1 << 16).is_err());
    }
}

/// An image whose tokenizer is damaged but whose checksum is right is refused too.
#[test]
fn a_damaged_tokenizer_in_an_image() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host-tools/models/pico.jamlet");
    let image = std::fs::read(file).unwrap();
    let mut aligned = vec![0_u128; image.len().div_ceil(16)];
    let bytes = &mut bytemuck::cast_slice_mut(&mut aligned)[..image.len()];
    bytes.copy_from_slice(&image);
    let (section, stored) = {
        let model = Model::parse(bytes).unwrap();
        assert!(model.tokenizer().is_some());
        let section = model.image().model_section(Role::Tokenizer).unwrap().bytes;
        (
            section.as_ptr() as usize - bytes.as_ptr() as usize,
            image.last_chunk().copied().map(u32::from_le_bytes).unwrap(),
        )
    };
    for (at, name) in [(field::VERSION, "version"), (field::KIND, "kind"), (field::STAGES, "stages")] {
        bytes[section + at] ^= 0x80;
        let found = Model::parse_with(bytes, |_| stored).unwrap_err();
        let right = format!("tokenizer field {name} can't be");
        assert!(matches!(found, ImageError::Tokenizer(_)) && found.to_string().contains(&right), "{found}");
        bytes[section + at] ^= 0x80;
    }
    assert!(Model::parse(bytes).is_ok(), "whole again");
}
