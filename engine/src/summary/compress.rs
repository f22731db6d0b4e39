//! What a sentence can do without: pieces that grammar doesn't need are left out, and for a title all but the first clause.

use super::words::{among, words};
use core::ops::Range;

/// A sentence without what it can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compressed<'t> {
    /// What is left: one piece of the sentence.
    pub text: &'t [u8],
    /// A capital letter has to stand at the beginning instead of a small one.
    pub capital: bool,
    /// A stop has to be put at the end.
    pub stop: bool,
}

/// Leaves out, from a sentence on one line:
///
/// * date and time at the beginning;
/// * a greeting, and phrases that lead over from the sentence before (`However, `, `Please note that `);
/// * at the end who said it, unless something is quoted, and examples (`, such as ...`) of a long sentence.
pub(super) fn compress(sentence: &[u8]) -> Compressed<'_> {
    let (mut text, mut capital, mut stop) = (sentence, false, false);
    text = behind(text, stamp(text));
    for _ in 0..2 {
        for start in [greeting(text), phrase(text)].into_iter().flatten() {
            (text, capital) = (behind(text, start), true);
        }
    }
    let quotes = sentence.contains(&b'"') || sentence.windows(2).any(|pair| pair == [0xe2, 0x80]);
    if !quotes {
        for end in [speaker(text), examples(text)].into_iter().flatten() {
            let kept = text.get(..end).unwrap_or(text);
            let last = kept.iter().rposition(|byte| !matches!(byte, b' ' | b',' | b';' | b':')).map_or(0, |at| at + 1);
            (text, stop) = (kept.get(..last).unwrap_or(kept), true);
        }
    }
    Compressed { text, capital: capital && begins_with_a_word(text), stop }
}

/// The first clause of a sentence on one line, without its stop, and what [`compress`] leaves out.
///
/// A clause goes only where the rest is true without it: behind `if` or before `unless` it stays. So it does where another comma
/// comes before it, which may stand in a list or close what was inserted.
pub(super) fn headline(sentence: &[u8]) -> Compressed<'_> {
    let Compressed { text, capital, .. } = compress(sentence);
    let text = clause(text).and_then(|end| text.get(..end)).unwrap_or(text);
    let sign = |byte: &u8| !matches!(byte, b'.' | b',' | b';' | b':' | b' ');
    let end = text.iter().rposition(sign).map_or(0, |at| at + 1);
    Compressed { text: text.get(..end).unwrap_or(text), capital, stop: false }
}

/// Where the first clause of a long sentence ends, if what follows can go.
fn clause(text: &[u8]) -> Option<usize> {
    let condition = words(text).next().is_some_and(|word| among(word, CONDITIONS));
    if count(text) <= LONG_TITLE || condition {
        return None;
    }
    let begins = |at: usize, lead: &[u8]| text.get(at..).is_some_and(|rest| rest.starts_with(lead));
    let ends =
        |at: &usize| matches!(text.get(*at), Some(b',' | b';' | b':')) || MORE.iter().any(|lead| begins(*at, lead));
    let at = (0..text.len()).find(ends)?;
    let head = text.get(..at)?;
    let more = MORE.iter().any(|lead| begins(at, lead));
    (more && count(head) >= 4 && has_verb(head)).then_some(at)
}

fn behind(text: &[u8], start: usize) -> &[u8] {
    text.get(start..).unwrap_or(&[])
}

fn count(text: &[u8]) -> usize {
    words(text).count()
}

fn has_word(text: &[u8], list: &[&[u8]]) -> bool {
    words(text).any(|word| among(word, list))
}

/// Whether the first word is a plain one in small letters, and no name such as `git-lfs`.
fn begins_with_a_word(text: &[u8]) -> bool {
    let end = text.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(text.len());
    let plain = text.get(..end).is_some_and(|word| !word.is_empty() && word.iter().all(u8::is_ascii_lowercase));
    plain && !matches!(text.get(end), Some(b'-' | b'_' | b'.' | b'/'))
}

/// Where the sentence goes on behind `Hi team, `.
fn greeting(text: &[u8]) -> Option<usize> {
    let first = words(text).next()?;
    let at = text.iter().take(40).position(|byte| matches!(byte, b',' | b'!'))?;
    let rest = behind(text, at + 1);
    (among(first, &[b"hi", b"hello", b"hey", b"dear"]) && rest.first() == Some(&b' ') && count(rest) >= 4)
        .then_some(at + 2)
}

/// Where it goes on behind a phrase; what is left has to be a sentence.
fn phrase(text: &[u8]) -> Option<usize> {
    let begins = |phrase: &&&[u8]| text.get(..phrase.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(phrase));
    let phrase = PHRASES.iter().find(begins)?;
    (count(text) >= count(phrase) + 4).then_some(phrase.len())
}

/// Where `, X said.` or `, according to X.` begins.
fn speaker(text: &[u8]) -> Option<usize> {
    let at = text.iter().rposition(|&byte| byte == b',')?;
    let tail = behind(text, at + 1);
    let (words, all) = (count(tail), count(text));
    let said = words <= 6 && has_word(tail, &[b"said", b"says"]) && !has_word(tail, &[b"that"]);
    let according = words <= 12 && tail.get(..14).is_some_and(|begin| begin.eq_ignore_ascii_case(b" according to "));
    ((said || according) && all >= words + 5).then_some(at)
}

/// Where the examples of a long sentence begin that end it.
fn examples(text: &[u8]) -> Option<usize> {
    if count(text) <= 16 {
        return None;
    }
    let leads: [&[u8]; 4] = [b", such as ", b", including ", b", for example ", b", e.g. "];
    leads.into_iter().find_map(|lead| {
        let begins = |&at: &usize| text.get(at..at + lead.len()).is_some_and(|part| part.eq_ignore_ascii_case(lead));
        let at = (0..text.len()).find(begins)?;
        let (head, tail) = text.split_at_checked(at)?;
        (count(head) >= 7 && has_verb(head) && !has_word(tail, VERBS)).then_some(at)
    })
}

/// Has a word that is likely a finite verb.
fn has_verb(text: &[u8]) -> bool {
    words(text).skip(1).any(|word| {
        let ending = word.len() > 4 && (word.ends_with(b"ed") || word.ends_with(b"es"));
        ending || among(word, VERBS)
    })
}

/// Bytes of date and time at the beginning: words of digits and `-:/.,TZ+`, one of them at least a time or a date; or a month,
/// a day and a time.
fn stamp(text: &[u8]) -> usize {
    let (mut at, mut sure) = (0, false);
    loop {
        let rest = behind(text, at);
        let Some(end) = rest.iter().position(|&byte| byte == b' ').filter(|&end| end > 0) else { return 0 };
        let word = rest.get(..end).unwrap_or(&[]);
        let bare = word.strip_prefix(b"[").unwrap_or(word);
        let bare = bare.strip_suffix(b"]").unwrap_or(bare);
        let digits = bare.iter().filter(|byte| byte.is_ascii_digit()).count();
        let signs = bare.iter().filter(|byte| matches!(byte, b':' | b'-' | b'/')).count();
        let numeric = bare.iter().all(|byte| byte.is_ascii_digit() || b"-:/.,TZ+".contains(byte));
        if !(at == 0 && among(word, MONTHS) || digits > 0 && numeric) {
            break;
        }
        sure |= digits >= 4 && signs >= 1 && bare.len() >= 5;
        at += end + 1;
    }
    if sure && count(behind(text, at)) >= 2 { at } else { 0 }
}

impl Compressed<'_> {
    /// The first byte where it has to be another, and the range of the others.
    pub fn parts(&self) -> (Option<u8>, Range<usize>) {
        match self.text.first() {
            Some(first) if self.capital => (Some(first.to_ascii_uppercase()), 1..self.text.len()),
            _ => (None, 0..self.text.len()),
        }
    }
}

/// What leads over from the sentence before, or announces what is said.
const PHRASES: &[&[u8]] = &[
    b"however, ",
    b"in addition, ",
    b"for example, ",
    b"for instance, ",
    b"moreover, ",
    b"furthermore, ",
    b"additionally, ",
    b"therefore, ",
    b"thus, ",
    b"hence, ",
    b"finally, ",
    b"also, ",
    b"in fact, ",
    b"of course, ",
    b"as a result, ",
    b"in other words, ",
    b"on the other hand, ",
    b"in particular, ",
    b"in general, ",
    b"in short, ",
    b"in summary, ",
    b"in conclusion, ",
    b"overall, ",
    b"unfortunately, ",
    b"fortunately, ",
    b"similarly, ",
    b"likewise, ",
    b"consequently, ",
    b"nevertheless, ",
    b"nonetheless, ",
    b"instead, ",
    b"meanwhile, ",
    b"indeed, ",
    b"as you know, ",
    b"as you may know, ",
    b"please note that ",
    b"please note: ",
    b"note that ",
    b"note: ",
    b"just a reminder that ",
    b"this is a reminder that ",
    b"a reminder that ",
    b"please be advised that ",
    b"we are pleased to announce that ",
    b"i am pleased to announce that ",
    b"i am writing to inform you that ",
    b"we would like to inform you that ",
    b"it should be noted that ",
    b"it is important to note that ",
    b"in this paper, ",
    b"in this work, ",
    b"in this article, ",
    b"but ",
    b"and ",
    b"so ",
    b"yet ",
    b"important: ",
    b"reminder: ",
    b"summary: ",
    b"decision: ",
    b"status: ",
    b"tip: ",
    b"update: ",
    b"otherwise, ",
    b"besides, ",
    b"accordingly, ",
    b"to summarize, ",
    b"first, ",
    b"second, ",
    b"then, ",
    b"again, ",
    b"well, ",
    b"yes, ",
    b"no, ",
    b"okay, ",
];

/// Words of a title that isn't cut.
const LONG_TITLE: usize = 9;

/// A sentence that begins with one of these isn't true without what follows.
const CONDITIONS: &[&[u8]] = &[
    b"if",
    b"when",
    b"while",
    b"although",
    b"though",
    b"because",
    b"since",
    b"as",
    b"after",
    b"before",
    b"unless",
    b"once",
    b"where",
    b"until",
    b"whenever",
    b"not",
    b"despite",
];

/// Beginnings of clauses that only add something.
const MORE: &[&[u8]] = &[
    b", which ",
    b", who ",
    b", where ",
    b", so ",
    b", because ",
    b", as ",
    b", since ",
    b", and it ",
    b", and they ",
    b", and we ",
    b", and I ",
    b", and the ",
    b", giving ",
    b", making ",
    b", including ",
    b", such as ",
    b", for example ",
    b"; ",
    b" because ",
    b" so that ",
    b" in order to ",
];

/// Finite forms of verbs.
const VERBS: &[&[u8]] = &[
    b"is", b"are", b"was", b"were", b"has", b"have", b"had", b"will", b"can", b"must", b"may", b"should", b"would",
    b"could", b"does", b"do", b"did",
];

const MONTHS: &[&[u8]] =
    &[b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

#[cfg(test)]
mod tests {
    use super::headline;

    fn title(sentence: &str) -> &str {
        core::str::from_utf8(headline(sentence.as_bytes()).text).expect("UTF-8")
    }

    #[test]
    fn a_title_says_nothing_that_the_sentence_does_not() {
        for (sentence, right) in [
            (
                "The parcel that you sent to Leeds was returned on Monday, because nobody was at home.",
                "The parcel that you sent to Leeds was returned on Monday",
            ),
            ("The shop is closed on Sundays.", "The shop is closed on Sundays"),
            // What follows says when it is true.
            (
                "If the green light is on, the pump has run dry, so that the motor must be stopped at once.",
                "If the green light is on, the pump has run dry, so that the motor must be stopped at once",
            ),
            (
                "You can have the money back within thirty days, but only if the box is still closed.",
                "You can have the money back within thirty days, but only if the box is still closed",
            ),
            // The first comma closes nothing.
            (
                "The house, which was sold in May, is being torn down, so the street is closed.",
                "The house, which was sold in May, is being torn down, so the street is closed",
            ),
        ] {
            assert_eq!(title(sentence), right);
        }
    }
}
