//! Token ids and texts equal those of the `tokenizers` library for the same `tokenizer.json`.

use jamlet::tokenizer::Decoder;
use jamlet_tests::tokenizers::{Random, assert_ids, decode, dir, encode, encode_chunks, mixed_text};
use jamlet_tools::hf::tokenizer::{PackedTokenizer, load};

/// The same tokenizer twice.
struct Both {
    ours: PackedTokenizer,
    theirs: tokenizers::Tokenizer,
}

impl Both {
    fn open(name: &str) -> Self {
        // Where the files are of another kind, the library's stands beside them.
        let files = ["reference.json", "tokenizer.json"].map(|file| dir(name).join(file));
        let theirs = tokenizers::Tokenizer::from_file(files.iter().find(|file| file.exists()).unwrap()).unwrap();
        let vocab = theirs.get_vocab_size(true) as u32;
        Self { ours: load(&dir(name), vocab).unwrap().expect("a tokenizer"), theirs }
    }

    fn right(&self, text: &str) -> Vec<u32> {
        self.theirs.encode(text, false).unwrap().get_ids().into()
    }

    #[track_caller]
    fn check_encode(&self, text: &str) -> Vec<u32> {
        let ids = encode(self.ours.view(), text.as_bytes());
        assert_ids(&ids, &self.right(text), |id| self.theirs.id_to_token(id).unwrap_or_default());
        ids
    }

    /// Special tokens, and texts that look like them.
    fn marks(&self) -> Vec<String> {
        let mut marks: Vec<String> = self.theirs.get_added_vocabulary().get_vocab().keys().cloned().collect();
        marks.sort();
        marks.extend(["<|".into(), "<|start<|summary|>".into(), "<s".into(), "[INST]".into()]);
        marks.extend(
            [" word", "word ", "words", "a word.", "[x]y", " [x]", "  <mask>", "Übung_", "Übung\n"].map(String::from),
        );
        marks
    }

    fn check_mixed(&self, bytes: usize) {
        let marks = self.marks();
        let marks: Vec<&str> = marks.iter().map(String::as_str).collect();
        let text = mixed_text(bytes, 1, &marks);
        let ids = self.check_encode(&text);
        self.check_pieces(&text, &ids);
        let ids = self.check_encode(&mixed_text(bytes / 8, 4, &marks));
        for skip_special in [false, true] {
            let right = self.theirs.decode(&ids, skip_special).unwrap();
            assert!(decode(self.ours.view(), &ids, skip_special) == right, "decoding, skip_special {skip_special}");
        }
    }

    /// Pieces of every size, cut anywhere.
    fn check_pieces(&self, text: &str, ids: &[u32]) {
        let mut random = Random(2);
        let mut chunks = Vec::new();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at((1 + random.below(24)).min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        assert!(encode_chunks(self.ours.view(), chunks) == ids, "fed in pieces");
    }

    /// Words that are far longer than the window, and other texts where much depends on little.
    fn check_long_words(&self, longest: usize) {
        for unit in
            ["a", " ", "\n", "\n ", "7", "=", "ab", "aab", "好", "\u{a0}", "é", "the", "' ", "\t", "-=", "\u{1f600}"]
        {
            for tail in ["", "x", " x", "\n", "\u{3b1}"] {
                self.check_encode(&(unit.repeat(1200) + tail));
            }
        }
        self.check_encode(&" ".repeat(longest / 10));
        self.check_encode(&"a".repeat(longest));
    }
}

macro_rules! equal {
    ($($test:ident: $folder:literal, $bytes:expr;)+) => {
        $(
            #[test]
            fn $test() {
                let both = Both::open($folder);
                both.check_mixed($bytes);
                both.check_long_words($bytes);
            }
        )+
    };
}

equal! {
    byte_level: "byte-level-4096", 1 << 20;
    byte_level_with_prefix_space: "prefix-space", 1 << 17;
    byte_level_with_digits: "digits", 1 << 17;
    llama_3: "llama-3", 1 << 20;
    qwen_2: "qwen-2", 1 << 17;
    jamba: "jamba-json", 1 << 20;
    llama_2: "llama-2-json", 1 << 20;
    o200k: "o200k", 1 << 18;
    deepseek: "deepseek", 1 << 18;
    deepseek_3: "deepseek-3", 1 << 18;
    falcon: "falcon", 1 << 18;
    possessive: "possessive", 1 << 17;
    neox: "neox", 1 << 18;
    late_merges: "late-merges", 1 << 18;
    vocabulary_and_merges: "pairs", 1 << 17;
    metaspace_first: "metaspace-first", 1 << 17;
    metaspace_always: "metaspace-always", 1 << 17;
}

/// Added tokens that swallow white space and those that must be words, beside words, signs and white space.
#[test]
fn added_tokens_and_what_stands_beside_them() {
    let both = Both::open("added");
    let marks = both.marks();
    let others = [
        " ", "  ", "\n", "\t ", "\u{3000}", "a", "Z9", "_", "é", ".", "-", "'s", "e\u{301}", "word", "Übung", "好",
        "\r\n",
    ];
    let mut random = Random(9);
    for _ in 0..20_000 {
        let part = |random: &mut Random| match random.below(2) {
            0 => marks[random.below(marks.len())].clone(),
            _ => others[random.below(others.len())].to_string(),
        };
        let text: String = (0..1 + random.below(8)).map(|_| part(&mut random)).collect();
        both.check_encode(&text);
    }
}

#[test]
fn every_split_of_a_text() {
    for name in
        ["byte-level-4096", "llama-3", "digits", "llama-2-json", "o200k", "falcon", "deepseek-3", "neox", "added"]
    {
        let both = Both::open(name);
        let text = "It's it'ſ IT'S we'Re 好 👩🏽\u{200d}🚀 <|summary|> x\r\n \n  y<|endoftext|>'re\u{301} <|user|> <|eot_id|> \n<|sum\
                    words word a\n <mask>  <both> \t[x] [x]1234,56--12 e\u{323}\u{301} \u{1112}\u{1161}\u{11ab} HTTPServer'LL word";
        let right = both.right(text);
        for at in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(at);
            assert_eq!(encode_chunks(both.ours.view(), [a, b]), right, "{name}, split at {at}");
        }
        assert_eq!(encode_chunks(both.ours.view(), text.as_bytes().chunks(1)), right, "{name}, byte by byte");
    }
}

/// All characters of Unicode, alone, doubled and between others: each is of the right class.
#[test]
fn every_character() {
    // Two cut by the same classes: for the second, samples do, as they do beyond the second plane, where little is.
    for (name, step) in
        [("byte-level-4096", 1), ("llama-3", 11), ("o200k", 1), ("falcon", 1), ("deepseek-3", 5), ("neox", 1)]
    {
        let both = Both::open(name);
        for plane in 0..17 {
            let step = if plane < 2 { step } else { 61 };
            let mut text = String::new();
            for c in (plane << 16..(plane + 1) << 16).step_by(step).filter_map(char::from_u32) {
                text.extend(['a', c, '1', c, ' ', c]);
            }
            both.check_encode(&text);
        }
    }
}

/// Letters, marks of all classes and parts of syllables in any order: what belongs together is put together.
#[test]
fn normal_forms() {
    let both = Both::open("neox");
    let mut random = Random(8);
    let letters: Vec<char> =
        "aeiounsSAEIOcC \u{1100}\u{1102}\u{1161}\u{1165}\u{11a8}\u{11ab}\u{ac00}\u{ac01}\u{1e09}\u{1ed7}\u{212b}\
                              \u{2126}\u{9c7}\u{b92}\u{5d0}\u{fb4b}\u{929}\u{958}\u{f900}\u{1fed}\u{344}\u{110a5}好-"
            .chars()
            .collect();
    let marks: Vec<char> =
        "\u{300}\u{301}\u{302}\u{304}\u{308}\u{30a}\u{323}\u{327}\u{328}\u{345}\u{93c}\u{9be}\u{9d7}\u{bd7}\u{5bc}\
                            \u{5b4}\u{110ba}\u{334}\u{338}\u{653}\u{20d2}"
            .chars()
            .collect();
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..1 + random.below(6) {
            text.push(letters[random.below(letters.len())]);
            let count = [0, 0, 1, 2, 5][random.below(5)];
            text.extend((0..count).map(|_| marks[random.below(marks.len())]));
        }
        both.check_encode(&text);
    }
}

/// Whatever the bytes are, all of them come back.
#[test]
fn bytes_that_are_no_text_survive() {
    let mut random = Random(3);
    for name in ["byte-level-4096", "llama-3", "jamba-json"] {
        let both = Both::open(name);
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..random.below(40))
                .map(|_| match random.below(3) {
                    0 => random.bits() as u8,
                    1 => b"\xe2\x96\xf0\x9f\xc3\x80"[random.below(6)],
                    _ => b"a <|"[random.below(4)],
                })
                .collect();
            let ids = encode(both.ours.view(), &bytes);
            assert_eq!(encode_chunks(both.ours.view(), bytes.chunks(1)), ids, "{name}: {bytes:x?}");
            let mut back = Vec::new();
            let mut decoder = Decoder::new(both.ours.view(), false);
            ids.iter().for_each(|&id| decoder.push_bytes(id, |byte| back.push(byte)));
            // A space and its mark are one symbol in SentencePiece.
            let marked = bytes.utf8_chunks().any(|chunk| chunk.valid().contains('▁'));
            assert!(back == bytes || (name == "jamba-json" && marked), "{name}: {bytes:x?} became {back:x?}");
            assert_eq!(decode(both.ours.view(), &ids, false), String::from_utf8_lossy(&back), "{name}: {bytes:x?}");
        }
    }
}

#[test]
fn special_tokens_by_text() {
    let both = Both::open("byte-level-4096");
    let view = both.ours.view();
    for (text, id) in [("<|pad|>", 0), ("<|startoftext|>", 1), ("<|endoftext|>", 2), ("<|summary|>", 3)] {
        assert_eq!(view.added_token(text), Some(id));
        assert!(view.is_special(id));
        assert_eq!(view.piece(id).unwrap().collect::<Vec<u8>>(), text.as_bytes());
    }
    assert_eq!(view.added_token("the"), None);
    assert_eq!(view.added_token(""), None);
    assert!((4..view.tokens()).all(|id| !view.is_special(id)));
    assert!(view.piece(view.tokens()).is_none());
}

/// For a 4,096-token vocabulary the section must stay small: it lies in the flash of a microcontroller.
#[test]
fn a_small_vocabulary_is_small() {
    let size = Both::open("byte-level-4096").ours.bytes.len();
    println!("{size} bytes");
    assert!(size < 40_000, "{size} bytes");
}
