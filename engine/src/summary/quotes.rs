//! The sentences of a text that may be quoted: the best wait in a buffer of constant size until the text is over.

use super::compress::{Compressed, compress, headline};
use super::sentences::{Sentence, Splitter};
use super::signals::{Context, signals};
use super::sink::Sink;
use super::words::{Keys, among, is_content, is_formal, key, label, refers_back, words};
use crate::model::parameters::{Parameters, Ranking};
use heapless::Vec;

/// Sentences that wait.
pub const KEPT: usize = 24;
/// Counters of content words, which share them by the lower bits of their keys.
const COUNTERS: usize = 1024;
/// The most bytes of a heading.
const HEADING: usize = 72;
/// Labels of a heading.
const SUBJECTS: &[&[u8]] = &[b"subject", b"title", b"re"];
/// Fewer words are no sentence to quote.
const FEWEST_WORDS: usize = 4;

/// Of fewer words nobody can tell the language.
const FEWEST_WORDS_TO_TELL: u32 = 12;
/// English has at least one word that any English text has, and three letters, among so many.
const COMMON_ONE_IN: u32 = 16;

/// How much of a sentence is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// All of it.
    Whole,
    /// Without what it can do without.
    Compressed,
    /// Its first clause, without a stop.
    Title,
}

/// A sentence that waits, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub sentence: Sentence,
    pub keys: Keys,
    /// Sentences of prose before it.
    pub number: u16,
    /// How much it says.
    pub score: f32,
    /// The logit of the model's mark for important sentences at its end, where that is known.
    pub mark: f32,
    /// The mean log-probability of its tokens and its end as the summary, and its end's.
    pub likelihood: [f32; 2],
    /// Whether that is known.
    pub has_likelihood: bool,
}

impl Kept {
    const NONE: Self = Self {
        sentence: Sentence::NONE,
        keys: Keys::NONE,
        number: 0,
        score: 0.0,
        mark: 0.0,
        likelihood: [0.0; 2],
        has_likelihood: false,
    };

    fn score_by(&self, ranking: &Ranking<'_>, signals: &[f32]) -> f32 {
        let telling = words(self.sentence.text()).filter(|word| !word.first().is_some_and(u8::is_ascii_digit));
        ranking.score(signals, telling.map(key))
    }

    /// What is said of it.
    fn cut(&self, cut: Cut) -> Compressed<'_> {
        let whole = self.sentence.text();
        match cut {
            Cut::Whole => Compressed { text: whole, capital: false, stop: false },
            Cut::Compressed => compress(whole),
            Cut::Title => headline(whole),
        }
    }

    /// Writes what is said of it. What is too long for the buffer ends in an ellipsis.
    pub fn write(&self, cut: Cut, sink: &mut Sink<'_>) {
        let compressed = self.cut(cut);
        let (first, rest) = compressed.parts();
        if let Some(first) = first {
            sink.put(char::from(first).encode_utf8(&mut [0; 4]));
        }
        self.put(compressed.text.get(rest).unwrap_or(&[]), sink);
        if compressed.stop {
            sink.put(".");
        }
    }

    /// Whether words of it are left out, not only its stop.
    pub fn is_shorter(&self, cut: Cut) -> bool {
        words(self.cut(cut).text).count() < words(self.sentence.text()).count()
    }

    fn put(&self, text: &[u8], sink: &mut Sink<'_>) {
        for chunk in text.utf8_chunks() {
            sink.put(chunk.valid());
            // A character that was cut off at the end is left out.
            if !chunk.invalid().is_empty() && !self.sentence.cut {
                sink.put("\u{fffd}");
            }
        }
        if self.sentence.cut {
            sink.put("…");
        }
    }

    /// Whether it is a sentence, and not a line without an end.
    pub fn is_prose(&self) -> bool {
        self.sentence.stopped && !self.sentence.heading
    }

    /// Whether it is a statement without the lines around it: no heading or row of a table, no lettered clause, nothing that only
    /// announces what follows or goes on from what came before.
    pub fn stands_alone(&self) -> bool {
        let text = self.sentence.text();
        let goes_on = text.first().is_some_and(u8::is_ascii_lowercase)
            && words(text).next().is_some_and(|word| !is_content(word));
        let clause = matches!(text.first(), Some(b'(' | b'[' | b'.'));
        (self.sentence.item || self.is_prose())
            && !matches!(text.last(), Some(b':' | b';' | b','))
            && !clause
            && !goes_on
    }

    /// Whether it begins with a word that means something of the sentence before it.
    pub fn refers_back(&self) -> bool {
        refers_back(self.sentence.text())
    }
}

/// A text's sentences, its words, and how often it has them.
#[derive(Clone, Debug)]
pub(super) struct Quotes {
    counts: [u8; COUNTERS],
    kept: [Kept; KEPT],
    /// Places in `kept` in the order of the text.
    order: [u8; KEPT],
    len: u8,
    /// Content words of the first sentence of prose, and of a line before it.
    pub lead: Keys,
    pub title: Keys,
    /// The text's own heading, where it has one.
    heading: Vec<u8, HEADING>,
    has_lead: bool,
    /// A line that is no prose comes before the first sentence.
    pub has_title: bool,
    /// What waits is no candidate: it is there for want of better.
    makeshift: bool,
    pub sentences: u16,
    pub prose: u16,
    pub paragraphs: u16,
    /// Words, and those of them that any English text has.
    words: u32,
    common: u32,
}

impl Quotes {
    pub const NONE: Self = Self {
        counts: [0; COUNTERS],
        kept: [Kept::NONE; KEPT],
        order: [0; KEPT],
        len: 0,
        lead: Keys::NONE,
        title: Keys::NONE,
        heading: Vec::new(),
        has_lead: false,
        has_title: false,
        makeshift: false,
        sentences: 0,
        prose: 0,
        paragraphs: 0,
        words: 0,
        common: 0,
    };

    /// Begins another text.
    pub fn reset(&mut self) {
        self.counts.fill(0);
        (self.lead, self.title) = (Keys::NONE, Keys::NONE);
        self.heading.clear();
        (self.len, self.has_lead, self.has_title, self.makeshift) = (0, false, false, false);
        (self.sentences, self.prose, self.paragraphs, self.words, self.common) = (0, 0, 0, 0, 0);
    }

    /// Takes the next sentence, with the logit of its mark. Where all places are taken, that of the sentence that scores least
    /// by now is given to it.
    pub fn take(&mut self, sentence: &Sentence, mark: f32, ranking: &Ranking<'_>) {
        for word in words(sentence.text()) {
            self.words = self.words.saturating_add(1);
            if is_content(word) {
                if let Some(count) = self.counts.get_mut(slot(key(word))) {
                    *count = count.saturating_add(1);
                }
            } else if word.len() >= 3 {
                self.common = self.common.saturating_add(1);
            }
        }
        let formal = is_formal(sentence.text());
        let candidate = !sentence.cut && !formal && words(sentence.text()).nth(FEWEST_WORDS - 1).is_some();
        let prose = candidate && sentence.stopped && !sentence.heading;
        if self.sentences == 0 && !prose && !formal {
            self.title.set(sentence.text());
            self.has_title = true;
        }
        if self.prose == 0 && !prose && self.heading.is_empty() {
            self.take_heading(sentence);
        }
        if prose && !self.has_lead {
            self.has_lead = true;
            self.lead.set(sentence.text());
        }
        self.sentences = self.sentences.saturating_add(1);
        self.paragraphs = sentence.paragraph.saturating_add(1);
        let number = self.prose;
        self.prose = self.prose.saturating_add(u16::from(prose));
        if candidate && self.makeshift {
            (self.len, self.makeshift) = (0, false);
        }
        self.makeshift |= !candidate && self.len == 0;
        if (candidate || self.len == 0)
            && let Some(place) = self.place(ranking)
        {
            place.sentence.clone_from(sentence);
            place.keys.set(sentence.text());
            (place.number, place.mark, place.has_likelihood) = (number, mark, false);
        }
    }

    /// Takes a line before the prose as the text's heading, if it looks like one: a line of its own that has two words or more, and
    /// is first, or marked as a heading, or labelled as the subject.
    fn take_heading(&mut self, sentence: &Sentence) {
        let text = sentence.text();
        let labelled = label(text).map(|label| among(label, SUBJECTS));
        let text = match labelled {
            Some(true) => text.splitn(2, |&byte| byte == b':').nth(1).unwrap_or(&[]).trim_ascii(),
            Some(false) => return,
            None => text,
        };
        let first = self.sentences == 0 || sentence.heading || labelled.is_some();
        let leads_on = matches!(text.last(), Some(b',' | b':' | b']'));
        if first && !sentence.stopped && !sentence.item && !leads_on && !is_formal(text) && words(text).nth(1).is_some()
        {
            // What is longer is no heading.
            let _ = self.heading.extend_from_slice(text);
        }
    }

    /// The text's own heading; empty where it has none.
    pub fn heading(&self) -> &[u8] {
        &self.heading
    }

    /// A free place, the last one in the order of the text.
    fn place(&mut self, ranking: &Ranking<'_>) -> Option<&mut Kept> {
        let len = usize::from(self.len);
        let free = if len < KEPT {
            self.len += 1;
            len as u8
        } else {
            let worst = self.worst(ranking);
            let free = *self.order.get(worst)?;
            let mut after = free;
            // All behind it move up.
            for place in self.order.get_mut(worst..len)?.iter_mut().rev() {
                core::mem::swap(place, &mut after);
            }
            free
        };
        *self.order.get_mut(usize::from(self.len) - 1)? = free;
        self.kept.get_mut(usize::from(free))
    }

    /// The model's mark of the sentence that ends at `end`, if that waits here.
    pub fn mark(&mut self, end: u32, logit: f32) {
        let len = usize::from(self.len);
        if let Some(kept) = self.kept.iter_mut().take(len).find(|kept| kept.sentence.end == end) {
            kept.mark = logit;
        }
    }

    /// Whether the text is in English, as far as one can tell: of its words, few enough are names and numbers.
    pub fn is_english(&self) -> bool {
        self.words < FEWEST_WORDS_TO_TELL || self.common.saturating_mul(COMMON_ONE_IN) >= self.words
    }

    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Those that wait, in the order of the text.
    pub fn get(&self, at: usize) -> Option<&Kept> {
        let place = self.order.get(..self.len())?.get(at)?;
        self.kept.get(usize::from(*place))
    }

    pub fn get_mut(&mut self, at: usize) -> Option<&mut Kept> {
        let place = self.order.get(..self.len())?.get(at)?;
        self.kept.get_mut(usize::from(*place))
    }

    /// All that wait, likewise.
    pub fn iter(&self) -> impl Iterator<Item = &Kept> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// How often the text has a content word, and those that share its counter.
    pub fn count(&self, key: u16) -> u8 {
        self.counts.get(slot(key)).copied().unwrap_or(0)
    }

    /// Ranks all that wait. `look` gets each one's place, signals and score.
    pub fn rank(&mut self, ranking: &Ranking<'_>, mut look: impl FnMut(&Kept, &[f32])) {
        let context = Context::of(self);
        for at in 0..self.len() {
            let signals = signals(self, at, &context);
            let score = self.get(at).map_or(0.0, |kept| kept.score_by(ranking, &signals));
            if let Some(kept) = self.get_mut(at) {
                kept.score = score;
                look(kept, &signals);
            }
        }
    }

    /// Which one says least.
    fn worst(&self, ranking: &Ranking<'_>) -> usize {
        let context = Context::of(self);
        let mut worst = (f32::INFINITY, 0);
        for at in 0..self.len() {
            let signals = signals(self, at, &context);
            let score = self.get(at).map_or(0.0, |kept| kept.score_by(ranking, &signals));
            if score < worst.0 {
                worst = (score, at);
            }
        }
        worst.1
    }
}

fn slot(key: u16) -> usize {
    usize::from(key) % COUNTERS
}

/// The sentences of a text that may be quoted, with their [signals](super::SIGNALS), as they are known without a model: for fitting
/// parameters. Where there are more than [`KEPT`], the usual ranking chooses.
pub fn examine(text: &[u8], mut out: impl FnMut(&[u8], &[f32])) {
    let (mut splitter, mut quotes) = (Splitter::NEW, Quotes::NONE);
    let ranking = Parameters::USUAL.ranking;
    for &byte in text {
        splitter.read(byte, |sentence| quotes.take(sentence, 0.0, &ranking));
    }
    splitter.finish(|sentence| quotes.take(sentence, 0.0, &ranking));
    quotes.rank(&ranking, |kept, signals| out(kept.sentence.text(), signals));
}
