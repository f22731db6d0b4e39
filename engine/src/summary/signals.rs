//! What tells how much a sentence says: numbers that need no model, and the model's mark.

// `quotes` ranks by signals, and a sentence's signals are about the others that wait: each needs the other.
use super::quotes::Quotes;
use super::words::{
    ANAPHORS, CONNECTIVES, CONTRAST, CUES, DOCUMENTS, IMPERATIVES, Keys, OUTCOMES, RESULTS, SMALL_TALK, TROUBLE, WHEN,
    among, is_content, label, words,
};

/// What is known of a sentence by itself, and beside the others.
const ALONE: usize = 49;
/// Of these, what the sentences have on the average tells kinds of texts apart.
const MEANS: [usize; 13] = [1, 2, 3, 18, 21, 22, 24, 25, 26, 28, 29, 32, 16];
/// Of these counts how far a sentence is from the best.
const MARGINS: [usize; 4] = [11, 13, 41, 15];
/// Signals of a sentence.
///
/// With n words, k different content words and the recurrence R, the sum over these of (c − 1) / (c + 2) where the text has one
/// c times:
///
/// | | |
/// |---|---|
/// | 0–4 | n from 3 to 8, 8 to 14, 14 to 22, 22 to 32 and 32 to 50, each as 0 to 1 |
/// | 5–10 | first sentence of prose; 1 / (1 + its number); number / sentences; last; opens a paragraph; in the first one |
/// | 11–13 | R / the largest R; R / (k + 2); R / (R + 3) |
/// | 14, 15 | share of the title's content words, and of the first sentence's |
/// | 16, 17 | begins with a word that points back; with one that goes on |
/// | 18–23 | has `?`; ends in `!`; in `:`; has no stop; list item; heading |
/// | 24–27 | shares of I, we, you; a greeting |
/// | 28–32 | share of words with a digit; with a capital; quotation marks; parentheses; share of signs of code |
/// | 33–38 | "is a"; events; duties; conclusions; purposes; pointers |
/// | 39, 40 | mean length of content words; their share |
/// | 41 | mean share of content words that the other sentences have |
/// | 42 | sentences / (sentences + 8) |
/// | 43–48 | "This document"; an instruction; has a comma; begins small; its paragraph's place; an open quotation or parenthesis |
/// | 49–61 | means over the sentences of 1, 2, 3, 18, 21, 22, 24, 25, 26, 28, 29, 32, 16 |
/// | 62–65 | 11, 13, 41 and 15 less the largest of them |
/// | 66 | length, the sum of 0 to 4, less the mean length |
/// | 67 | logit of the model's mark at its end; 0 where the model has none |
/// | 68–76 | politeness in at most 16 words; a label; that of an outcome; when; trouble; findings; share of verbs of the past; contrast; begins with a quotation |
/// | 77, 78 | means over the sentences of 69, 74 |
pub const SIGNALS: usize = ALONE + MEANS.len() + MARGINS.len() + 2 + FURTHER + 2;
/// Those that the words of a sentence tell.
const FURTHER: usize = 9;
/// Of these, the ones that tell kinds of texts apart.
const LABEL: usize = 1;
const PAST: usize = 6;

/// What all sentences of a text have in common.
pub(super) struct Context {
    means: [f32; MEANS.len()],
    best: [f32; MARGINS.len()],
    length: f32,
    label: f32,
    past: f32,
}

impl Context {
    /// Of those that wait.
    pub fn of(quotes: &Quotes) -> Self {
        let mut all = Self { means: [0.0; _], best: [f32::NEG_INFINITY; _], length: 0.0, label: 0.0, past: 0.0 };
        for at in 0..quotes.len() {
            let signals = alone(quotes, at);
            let signal = |at: usize| signals.get(at).copied().unwrap_or(0.0);
            for (mean, at) in all.means.iter_mut().zip(MEANS) {
                *mean += signal(at);
            }
            for (best, at) in all.best.iter_mut().zip(MARGINS) {
                if signal(at) > *best {
                    *best = signal(at);
                }
            }
            all.length += length(&signals);
            if let Some(kept) = quotes.get(at) {
                let further = further(kept.sentence.text());
                all.label += further[LABEL];
                all.past += further[PAST];
            }
        }
        let count = quotes.len().max(1) as f32;
        all.means.iter_mut().for_each(|mean| *mean /= count);
        for sum in [&mut all.length, &mut all.label, &mut all.past] {
            *sum /= count;
        }
        all
    }
}

/// The signals of the sentence at `at`; all 0 where there is none.
pub(super) fn signals(quotes: &Quotes, at: usize, context: &Context) -> [f32; SIGNALS] {
    let mut signals = [0.0; SIGNALS];
    let Some(kept) = quotes.get(at) else { return signals };
    let alone = alone(quotes, at);
    let margins = MARGINS.iter().zip(&context.best).map(|(&at, best)| alone.get(at).copied().unwrap_or(0.0) - best);
    let last = [length(&alone) - context.length, kept.mark];
    let further = further(kept.sentence.text()).into_iter().chain([context.label, context.past]);
    let all = alone.iter().copied().chain(context.means).chain(margins).chain(last).chain(further);
    signals.iter_mut().zip(all).for_each(|(place, signal)| *place = signal);
    signals
}

/// Sum of the first five: grows with the number of words.
fn length(signals: &[f32; ALONE]) -> f32 {
    let [a, b, c, d, e, ..] = signals;
    a + b + c + d + e
}

#[inline(never)]
fn alone(quotes: &Quotes, at: usize) -> [f32; ALONE] {
    let Some(kept) = quotes.get(at) else { return [0.0; ALONE] };
    let (sentence, text, keys) = (&kept.sentence, kept.sentence.text(), &kept.keys);
    let Counts { words, content, letters, numbers, capitals, cues, is_a, first, second } = Counts::of(text);
    let count = words;
    let n = f32::from(count.max(1));
    let share = |count: u16| f32::from(count) / n;
    let ramp = |low: f32, high: f32| (n - low).max(0.0).min(high - low) / (high - low);
    let r = recurrence(quotes, keys);
    let mut most = 1e-6f32;
    let mut central = 0f32;
    for (index, other) in quotes.iter().enumerate() {
        let theirs = recurrence(quotes, &other.keys);
        if theirs > most {
            most = theirs;
        }
        if index != at {
            central += keys.shared(&other.keys) as f32 / (1 + keys.len().max(other.keys.len())) as f32;
        }
    }
    let k = keys.len() as f32;
    let number = f32::from(kept.number);
    let prose = kept.is_prose();
    let lead = kept.number == 0 && prose;
    let last = text.last().copied().unwrap_or(0);
    let code = text.iter().filter(|byte| b"<>=_/\\{}`|$@#*;".contains(byte)).count() as f32;
    let quotation = text.contains(&b'"') || text.windows(2).any(|pair| pair == [0xe2, 0x80]);
    let [i, we, you, greeting, event, duty, conclusion, purpose, pointer] = cues;
    [
        ramp(3.0, 8.0),
        ramp(8.0, 14.0),
        ramp(14.0, 22.0),
        ramp(22.0, 32.0),
        ramp(32.0, 50.0),
        flag(lead),
        1.0 / (1.0 + number),
        number / f32::from(quotes.prose.max(1)),
        flag(prose && u32::from(kept.number) + 1 == u32::from(quotes.prose)),
        flag(sentence.opens),
        flag(sentence.paragraph == 0),
        r / most,
        r / (k + 2.0),
        r / (r + 3.0),
        overlap(&quotes.title, keys),
        if lead { 0.0 } else { overlap(&quotes.lead, keys) },
        flag(among(first, ANAPHORS)),
        flag(among(first, CONNECTIVES)),
        flag(text.contains(&b'?')),
        flag(last == b'!'),
        flag(last == b':'),
        flag(!sentence.stopped),
        flag(sentence.item),
        flag(sentence.heading),
        share(i),
        share(we),
        share(you),
        flag(greeting > 0),
        share(numbers),
        share(capitals),
        flag(quotation),
        flag(text.contains(&b'(')),
        (code / text.len().max(1) as f32).min(0.2) * 5.0,
        flag(is_a),
        flag(event > 0),
        flag(duty > 0),
        flag(conclusion > 0),
        flag(purpose > 0),
        flag(pointer > 0),
        letters as f32 / (f32::from(content) + 1.0) / 8.0,
        share(content),
        central / (quotes.len().max(2) - 1) as f32,
        f32::from(quotes.prose) / (f32::from(quotes.prose) + 8.0),
        flag(among(first, &[b"this"]) && among(second, DOCUMENTS)),
        flag(among(first, IMPERATIVES)),
        flag(text.contains(&b',')),
        flag(first.first().is_some_and(u8::is_ascii_lowercase)),
        f32::from(sentence.paragraph) / f32::from(quotes.paragraphs.max(1)),
        flag(is_unbalanced(text)),
    ]
}

/// What the words of a sentence tell.
#[inline(never)]
fn further(text: &[u8]) -> [f32; FURTHER] {
    let (mut count, mut past, mut has) = (0u16, 0u16, [false; 5]);
    for word in words(text) {
        count += 1;
        let ends_past = word.len() > 3 && word.ends_with(b"ed");
        past += u16::from(ends_past || among(word, &[b"was", b"were", b"had", b"did"]));
        for (has, list) in has.iter_mut().zip([SMALL_TALK, WHEN, TROUBLE, RESULTS, CONTRAST]) {
            *has |= among(word, list);
        }
    }
    let [polite, when, trouble, results, contrast] = has;
    let label = label(text);
    [
        flag(polite && count <= 16),
        flag(label.is_some()),
        flag(label.is_some_and(|word| among(word, OUTCOMES))),
        flag(when),
        flag(trouble),
        flag(results),
        f32::from(past) / f32::from(count.max(1)),
        flag(contrast),
        flag(matches!(text, [b'"', ..] | [0xe2, 0x80, 0x9c, ..])),
    ]
}

fn flag(set: bool) -> f32 {
    if set { 1.0 } else { 0.0 }
}

/// The share of `of`'s words that a sentence has.
fn overlap(of: &Keys, keys: &Keys) -> f32 {
    of.shared(keys) as f32 / (of.len() as f32 + 1.0)
}

fn recurrence(quotes: &Quotes, keys: &Keys) -> f32 {
    let mut sum = 0.0;
    for &key in keys.all() {
        let count = f32::from(quotes.count(key).max(1));
        sum += (count - 1.0) / (count + 2.0);
    }
    sum
}

/// What there is to count in a sentence.
struct Counts<'t> {
    words: u16,
    content: u16,
    /// Of content words, at most 15 each.
    letters: u32,
    /// Words with a digit, and words but the first with a capital letter.
    numbers: u16,
    capitals: u16,
    cues: [u16; CUES.len()],
    /// It says what something is.
    is_a: bool,
    first: &'t [u8],
    second: &'t [u8],
}

impl<'t> Counts<'t> {
    fn of(text: &'t [u8]) -> Self {
        let mut counts = Self {
            words: 0,
            content: 0,
            letters: 0,
            numbers: 0,
            capitals: 0,
            cues: [0; _],
            is_a: false,
            first: &[],
            second: &[],
        };
        let mut before: &[u8] = &[];
        for word in words(text) {
            match counts.words {
                0 => counts.first = word,
                1 => counts.second = word,
                _ => {}
            }
            if is_content(word) {
                counts.content += 1;
                counts.letters += word.len().min(15) as u32;
            }
            counts.numbers += u16::from(word.iter().any(u8::is_ascii_digit));
            counts.capitals += u16::from(counts.words > 0 && word.first().is_some_and(u8::is_ascii_uppercase));
            for (count, list) in counts.cues.iter_mut().zip(CUES) {
                *count += u16::from(among(word, list));
            }
            counts.is_a |= among(word, &[b"a", b"an", b"the"]) && among(before, &[b"is", b"are", b"was"]);
            before = word;
            counts.words += 1;
        }
        counts
    }
}

/// A quotation or parenthesis is open at one of the ends.
fn is_unbalanced(text: &[u8]) -> bool {
    let count = |sign: u8| text.iter().filter(|&&byte| byte == sign).count();
    let marks = |last: u8| text.windows(3).filter(|sign| *sign == [0xe2, 0x80, last]).count();
    count(b'"') % 2 == 1 || count(b'(') != count(b')') || count(b'[') != count(b']') || marks(0x9c) != marks(0x9d)
}
