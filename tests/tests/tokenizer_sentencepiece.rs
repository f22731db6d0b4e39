//! Token ids of a `tokenizer.model` equal those of SentencePiece, which `fixtures/tokenizers/make.py` has written down.

use std::collections::BTreeMap;

use jamlet_tests::tokenizers::{assert_ids, decode, dir, encode, mixed_text};
use jamlet_tools::hf::tokenizer::load;
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    /// Ids of every seed.
    seeds: BTreeMap<String, Vec<u32>>,
    long: Long,
}

/// A long text.
#[derive(Deserialize)]
struct Long {
    bytes: usize,
    marks: Vec<String>,
    ids: usize,
    /// FNV-1a of the ids.
    fnv: String,
}

fn fnv(ids: &[u32]) -> String {
    let bytes = ids.iter().flat_map(|id| id.to_le_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

fn check(name: &str, vocab: u32) {
    let packed = load(&dir(name), vocab).unwrap().expect("a tokenizer");
    let view = packed.view();
    let expected = std::fs::read(dir(name).join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_slice(&expected).unwrap();
    for (seed, right) in &expected.seeds {
        let text = std::fs::read_to_string(dir("seeds").join(seed)).unwrap();
        let ids = encode(view, text.as_bytes());
        assert_ids(&ids, right, |id| String::from_utf8_lossy(&view.piece(id).unwrap().collect::<Vec<_>>()).into());
        assert_eq!(decode(view, &ids, false), text, "{seed}");
    }
    let marks: Vec<&str> = expected.long.marks.iter().map(String::as_str).collect();
    let text = mixed_text(1 << 20, 1, &marks);
    assert_eq!(text.len(), expected.long.bytes, "the text is the one that SentencePiece was given");
    let ids = encode(view, text.as_bytes());
    assert_eq!((ids.len(), fnv(&ids)), (expected.long.ids, expected.long.fnv));
}

#[test]
fn jamba() {
    check("jamba", 2500);
}

/// Pieces of the same score: the leftmost pair merges first.
#[test]
fn equal_scores() {
    check("equal-scores", 1300);
}

#[test]
fn llama_2() {
    check("llama-2", 2000);
}
