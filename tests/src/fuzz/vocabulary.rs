//! Any vocabulary that is a vocabulary, and any text: the bytes list tokens, of which a section is made. It must parse, and
//! byte-level vocabularies must give every text back.

use jamlet::tokenizer::{Decoder, Encoder, Tokenizer, flag};

use super::{Input, tokenizer::use_all};
use crate::vocabulary::{Token, Vocabulary, cuts, normal_forms};

/// Makes a vocabulary and a text of the bytes.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (vocabulary, faithful) = vocabulary(&mut input);
    let section = vocabulary.section();
    let tokenizer = Tokenizer::parse(&section, 1 << 16).expect("a vocabulary");
    let text = input.rest();
    use_all(tokenizer, text);
    if faithful {
        let (mut ids, mut back) = (Vec::new(), Vec::new());
        let mut encoder = Encoder::<256>::new(tokenizer);
        encoder.feed(text, |id| ids.push(id));
        encoder.finish(|id| ids.push(id));
        let mut decoder = Decoder::new(tokenizer, false);
        ids.iter().for_each(|&id| decoder.push_bytes(id, |byte| back.push(byte)));
        assert_eq!(back, text, "decoding gives back what was encoded");
    }
}

/// The vocabulary, and whether it gives every text back: each byte has a symbol of its own, and nothing is added.
fn vocabulary(input: &mut Input<'_>) -> (Vocabulary, bool) {
    let style = input.byte();
    let cut = input.byte();
    let around = input.byte();
    let kind = style & 1;
    let faithful = kind == 0 && style & 2 != 0;
    let mut v = Vocabulary::of_symbols(kind, if faithful { "" } else { "ab c'\n世" });
    if faithful {
        v.tokens = (0..=255).map(|byte| Token::Symbol(vec![byte])).collect();
        v.bytes = (0..256).collect();
    }
    v.program = cuts(cut);
    if !faithful {
        (v.prefix, v.strip) = ((around & 7) % 5, (around >> 3) % 3);
    }
    let (merges, others) = (input.byte() % 64, input.byte() % 8);
    let mut symbols = v.symbols();
    for _ in 0..merges {
        let known = v.tokens.len() as u32;
        let mut part = || u32::from(input.byte()) % known;
        // Half of the right parts are among the last tokens: long ones come of long ones.
        let (left, mut right) = (part(), part());
        if left & 1 == 0 {
            right = known - 1 - right % known.min(8);
        }
        let total = usize::from(symbols[left as usize]) + usize::from(symbols[right as usize]);
        if symbols[left as usize] == 0 || symbols[right as usize] == 0 || total > 255 {
            continue;
        }
        v.tokens.push(Token::Merged(left, right));
        symbols.push(total as u8);
    }
    let mut added = Vec::new();
    for _ in 0..if faithful { 0 } else { others } {
        let length = 1 + usize::from(input.byte() % 5);
        let text = input.take(length).to_vec();
        if text.is_empty() || added.iter().any(|(known, _)| *known == text) {
            continue;
        }
        let id = v.tokens.len() as u32;
        let flags =
            [flag::SPECIAL, flag::IN_TEXT, flag::STRIP_RIGHT, flag::SINGLE_WORD, flag::STRIP_LEFT, flag::NORMALIZED];
        let choice = input.byte();
        let flags = flags.iter().enumerate().filter(|(at, _)| choice >> at & 1 != 0).fold(0, |all, (_, bit)| all | bit);
        v.tokens.push(Token::Literal(Some(text.clone())));
        if choice & 32 != 0 {
            v.whole.push(id);
        }
        added.push((text, id | flags));
    }
    added.sort_unstable();
    let text = |id: &u32| match &v.tokens[*id as usize] {
        Token::Literal(Some(text)) => text.clone(),
        _ => Vec::new(),
    };
    let mut whole = v.whole.clone();
    whole.sort_by_key(text);
    v.whole = whole;
    v.added = added.into_iter().map(|(_, entry)| entry).collect();
    if around & 64 != 0 && !faithful {
        v.normal_forms = normal_forms();
    }
    if style & 4 != 0 {
        // Any order of merges.
        v.ranks = Some((0..v.tokens.len() as u32).map(|_| u32::from(input.byte())).collect());
    }
    (v, faithful)
}

/// One of each style.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for style in 0..8 {
        for cut in 0..6 {
            let merges = [1, 2, 8, 9, 3, 1, 10, 10, 97, 98, 99, 98];
            let mut seed = vec![style, cut, style + 8 * (cut % 3), 6, 2];
            seed.extend(merges);
            seed.extend(b"\x02<s>\x07\x00c\x0f");
            seed.extend("abab cab 12'll\n\n <s> \u{4e16}aaaa".as_bytes());
            seeds.push(seed);
        }
    }
    seeds
}
