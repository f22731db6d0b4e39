//! A tokenizer section from a stranger, and a text: two bytes say how long the section is, then it follows, then the text.

use jamlet::tokenizer::{Decoder, Encoder, MAX_SYMBOLS, Tokenizer, flag};

use super::{Input, image::show};
use crate::vocabulary::{Token, Vocabulary, cuts, normal_forms, small};

/// Reads the bytes as a section and a text.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let length = input.word();
    let section = input.take(length.into());
    let text = input.rest();
    match Tokenizer::parse(section, 1 << 16) {
        Ok(tokenizer) => use_all(tokenizer, text),
        Err(error) => show(&error),
    }
}

/// Small vocabularies of both kinds, and texts that use them.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut sections = Vec::new();
    for words in 0..=5 {
        sections.push(Vocabulary { program: cuts(words), prefix: words % 5, ..small() });
    }
    let mut pieces = Vocabulary { prefix: 4, strip: 2, program: cuts(3), ..Vocabulary::of_symbols(1, " abé世") };
    pieces.tokens.extend([Token::Merged(2, 3), Token::Merged(1, 6), Token::Literal(None)]);
    let tokens = pieces.tokens.len() as u32;
    sections.push(Vocabulary { ranks: Some((0..tokens).rev().collect()), ..pieces.clone() });
    sections.push(pieces);
    sections.push(Vocabulary { whole: vec![11], strip: 1, ..small() });
    sections.push(Vocabulary { normal_forms: normal_forms(), ..small() });
    let flags = flag::SPECIAL | flag::IN_TEXT | flag::STRIP_LEFT | flag::STRIP_RIGHT | flag::SINGLE_WORD;
    sections.push(Vocabulary { added: vec![11 | flags], ..small() });
    sections
        .iter()
        .map(|vocabulary| {
            let section = vocabulary.section();
            let text = "abcab a'b\n\n 12 <s> abé世\u{2581}b".as_bytes();
            [&(section.len() as u16).to_le_bytes(), &section[..], text].concat()
        })
        .collect()
}

/// Encodes the text at once and in pieces, which must be the same; decodes what comes of it, and ids that are not there.
pub fn use_all(tokenizer: Tokenizer<'_>, text: &[u8]) {
    let mut ids = Vec::new();
    let mut encoder = Encoder::<256>::new(tokenizer);
    encoder.feed(text, |id| ids.push(id));
    encoder.finish(|id| ids.push(id));
    let mut at = 0;
    for piece in text.chunks(3) {
        encoder.feed(piece, |id| at += usize::from(ids.get(at) == Some(&id)));
    }
    encoder.finish(|id| at += usize::from(ids.get(at) == Some(&id)));
    assert_eq!(at, ids.len(), "a text in pieces has the tokens of the whole");
    let mut bytes = 0;
    for skip_special in [false, true] {
        let mut decoder = Decoder::new(tokenizer, skip_special);
        for &id in &ids {
            assert!(id < tokenizer.tokens(), "token {id} of {}", tokenizer.tokens());
            decoder.push(id, |part| bytes += part.len());
        }
        for id in [0, tokenizer.tokens() - 1, tokenizer.tokens(), u32::MAX] {
            decoder.push(id, |part| bytes += part.len());
        }
        decoder.finish(|part| bytes += part.len());
    }
    let longest = tokenizer.longest();
    assert!((1..=usize::from(MAX_SYMBOLS)).contains(&longest));
    let most = 255 * usize::from(MAX_SYMBOLS);
    assert!(tokenizer.piece(tokenizer.tokens() - 1).is_none_or(|piece| piece.count() <= most));
    std::hint::black_box((tokenizer.added_token("<s>"), tokenizer.is_special(tokenizer.tokens() - 1), bytes));
}
